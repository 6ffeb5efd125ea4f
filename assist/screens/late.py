"""Alerts about calls that are over: something urgent was heard in words transcribed late, and somebody should know.

They ring as others do (assist/screens/duty.py), until somebody has ended them; the call's own page gets nothing. Each
step is added to the call's log. They do not outlive the program: then the record alone tells of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assist.events import Action, AlertMoved, AlertRaised, CallStarted, Event, SignalRaised
from assist.screens.cards import Cards
from assist.screens.duty import Duty
from detectors.signals import Level, Severity
from overlay import messages
from overlay.hub import Hub

ALERT = "late"
"""Id of such an alert: a call has one."""


@dataclass(slots=True)
class _Over:
    cards: Cards
    raised_ms: int
    """Since the call began."""
    raised_s: float
    """On the event loop's clock."""


class LateAlerts:
    """Event loop only. `keep` adds an event to the log of a call that is over."""

    def __init__(self, hub: Hub, duty: Duty, turn_ms: int, keep: Callable[[str, Event], None]) -> None:
        self._hub, self._duty, self._turn_ms, self._keep = hub, duty, turn_ms, keep
        self._calls: dict[str, _Over] = {}
        self._loop = asyncio.get_running_loop()

    def heard(self, started: CallStarted, level: Level, now_ms: int, signals: Sequence[SignalRaised]) -> None:
        """What was found in late words of a call; `now_ms` is the time since it began."""
        urgent = [raised.signal for raised in signals if raised.signal.severity is Severity.URGENT]
        if not urgent:
            return
        call = started.call
        over = self._calls[call] = _Over(Cards(started, self._turn_ms), now_ms, self._loop.time())
        quotes = list(dict.fromkeys(each.evidence.quote for each in urgent))
        said = ", ".join(f"“{quote}”" for quote in quotes[:3])
        keys = tuple(each.key for each in urgent)
        raised = AlertRaised(now_ms, ALERT, Severity.URGENT, f"Said in a call that is over: {said}", keys, "late")
        self._keep(call, raised)
        self._show(over.cards.raised(raised, level, quotes[0]))
        self._duty.take(call, raised)

    def has(self, call: str) -> bool:
        """Whether an alert about this call is open."""
        return call in self._calls

    def now_ms(self, call: str) -> int:
        """The time since this call began."""
        over = self._calls[call]
        return over.raised_ms + round((self._loop.time() - over.raised_s) * 1000)

    def moved(self, call: str, make: Callable[[int], AlertMoved]) -> None:
        """The alert goes on by itself."""
        if call in self._calls:
            event = make(self.now_ms(call))
            self._keep(call, event)
            self._show(self._calls[call].cards.moved(event))

    def act(self, call: str, action: Action) -> None:
        """A supervisor does something about it."""
        self._keep(call, action)
        self._show(self._calls[call].cards.done(action))
        if action.what == "resolve":
            del self._calls[call]

    def forget(self, calls: Sequence[str]) -> None:
        """These calls are erased."""
        for call in calls:
            if self._calls.pop(call, None) is not None:
                self._duty.ended(call)
                self._hub.drop("board", f"alert/{call}-{ALERT}")

    def _show(self, alerts: Sequence[messages.Alert]) -> None:
        for alert in alerts:
            if alert.state == "resolved":
                self._hub.drop("board", f"alert/{alert.call}-{alert.id}")
            else:
                self._hub.show("board", f"alert/{alert.call}-{alert.id}", alert)
