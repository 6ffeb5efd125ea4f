"""Supervisors on duty: the life of alerts (assist/screens/alerts.py) on a real clock, for the log and the boards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assist.events import AlertMoved, AlertRaised, Event
from assist.screens.alerts import Alerts, Move, Rules
from assist.screens.cards import SEVERITIES
from detectors.signals import Level, LevelChange
from overlay import messages
from overlay.hub import Hub


class Duty:
    """Event loop only. `tell(call, make)` appends what `make(call time)` gives to the call's log, if it is still on."""

    def __init__(self, rules: Rules, hub: Hub, tell: Callable[[str, Callable[[int], AlertMoved]], None]) -> None:
        self._alerts = Alerts(rules)
        self._hub = hub
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._show()

    def arrive(self, who: str) -> None:
        """A board was opened."""
        self._go_on(self._alerts.arrive(who, self._loop.time()))

    def leave(self, who: str) -> None:
        """A board has gone."""
        self._alerts.leave(who, self._loop.time())
        self._go_on([])

    def take(self, call: str, event: Event) -> None:
        """What happens in a call that concerns alerts."""
        match event:
            case AlertRaised():
                self._go_on(self._alerts.raised(call, event.id, event.kind, event.tier, self._loop.time()))
            case AlertMoved(what="expired"):
                self._go_on(self._alerts.expired(call, event.id, self._loop.time()))
            case LevelChange(level=Level.CALM):
                self._go_on(self._alerts.calmed(call, self._loop.time()))
            case _:
                pass

    def restore(self, alert: messages.Alert) -> None:
        """A call goes on that was cut short with this alert open."""
        by = alert.by if alert.state == "claimed" else ""
        tier = SEVERITIES[alert.tier]
        self._go_on(self._alerts.restored(alert.call, alert.id, alert.kind, tier, by, self._loop.time()))

    def ended(self, call: str) -> None:
        """The call is over."""
        self._go_on(self._alerts.ended(call, self._loop.time()))

    def do(self, who: str, what: str, call: str, alert: str) -> None:
        """A supervisor claims, gives back, or ends an alert.

        Raises:
            OverlayError: code refused, with who has it.
        """
        act = {"claim": self._alerts.claim, "release": self._alerts.release}.get(what, self._alerts.resolve)
        self._go_on(act(call, alert, who, self._loop.time()))

    def close(self) -> None:
        """No more timers."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self, moves: list[Move]) -> None:
        for move in moves:  # after the event that is being told just now
            self._loop.call_soon(self._say, move)
        self._show()
        self.close()
        due = self._alerts.due_s(self._loop.time())
        if due is not None:
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._go_on(self._alerts.tick(self._loop.time()))

    def _say(self, move: Move) -> None:
        self._tell(move.call, lambda at_ms: AlertMoved(at_ms, move.alert, move.what, move.who))

    def _show(self) -> None:
        rules = self._alerts.rules
        people = [messages.OnDuty(who=who, open=load, away=away) for who, load, away in self._alerts.people()]
        duty = messages.Duty(
            people=people, budget=rules.budget, turn_ms=round(rules.turn_s * 1000), queued=self._alerts.queued
        )
        self._hub.show("board", "duty", duty)
