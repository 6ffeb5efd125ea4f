"""Supervisors on duty: runs the alert routing (assist/screens/alert_routing.py) on the clock of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assist.events import AlertMoved, AlertRaised, Event
from assist.screens.alert_routing import AlertRouting, Move, RoutingRules
from assist.screens.call_alerts import SEVERITIES
from detectors.signals import Level, LevelChange
from overlay import messages
from overlay.hub import Hub


class Duty:
    """Event loop only. `log_move(call, make)` appends the event `make(call time)` to the log of its call."""

    def __init__(
        self, rules: RoutingRules, hub: Hub, log_move: Callable[[str, Callable[[int], AlertMoved]], None]
    ) -> None:
        self._routing = AlertRouting(rules)
        self._hub = hub
        self._log_move = log_move
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._show()

    def arrive(self, who: str) -> None:
        """A board was opened."""
        self._apply(self._routing.arrive(who, self._loop.time()))

    def leave(self, who: str) -> None:
        """A board was closed."""
        self._routing.leave(who, self._loop.time())
        self._apply([])

    def take(self, call: str, event: Event) -> None:
        """An event of a call; those that concern alerts are handled."""
        match event:
            case AlertRaised():
                self._apply(self._routing.raised(call, event.id, event.kind, event.tier, self._loop.time()))
            case AlertMoved(what="expired"):
                self._apply(self._routing.expired(call, event.id, self._loop.time()))
            case LevelChange(level=Level.CALM):
                self._apply(self._routing.calmed(call, self._loop.time()))
            case _:
                pass

    def restore(self, alert: messages.Alert) -> None:
        """An interrupted call is resumed that has this alert open."""
        by = alert.by if alert.state == "claimed" else ""
        tier = SEVERITIES[alert.tier]
        self._apply(self._routing.restored(alert.call, alert.id, alert.kind, tier, by, self._loop.time()))

    def ended(self, call: str) -> list[str]:
        """The call is over; returns the ids of its alerts that are not."""
        self._apply(self._routing.ended(call, self._loop.time()))
        return self._routing.open_alerts(call)

    def forget(self, call: str) -> None:
        """The call is erased or resumed."""
        self._apply(self._routing.forgotten(call, self._loop.time()))

    def do(self, who: str, what: str, call: str, alert: str) -> None:
        """A supervisor claims, releases or ends an alert.

        Raises:
            OverlayError: code refused, with who has it.
        """
        act = {"claim": self._routing.claim, "release": self._routing.release}.get(what, self._routing.resolve)
        self._apply(act(call, alert, who, self._loop.time()))

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _apply(self, moves: list[Move]) -> None:
        for move in moves:  # after the event that is being published now
            self._loop.call_soon(self._log, move)
        self._show()
        self.close()
        due = self._routing.next_due_s(self._loop.time())
        if due is not None:
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._apply(self._routing.tick(self._loop.time()))

    def _log(self, move: Move) -> None:
        self._log_move(move.call, lambda at_ms: AlertMoved(at_ms, move.alert, move.what, move.who))

    def _show(self) -> None:
        rules = self._routing.rules
        people = [messages.OnDuty(who=who, open=load, away=away) for who, load, away in self._routing.supervisors()]
        duty = messages.Duty(
            people=people, budget=rules.budget, turn_ms=round(rules.turn_s * 1000), queued=self._routing.queued
        )
        self._hub.show("board", "duty", duty)
