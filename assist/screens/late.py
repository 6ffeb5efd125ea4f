"""Alerts about calls that are over: something urgent was heard in words transcribed late.

Supervisors are asked as about others (assist/screens/duty.py), until one ends the alert; the agent's page shows
nothing. Each step is added to the call's log. They do not outlive the program: then only the record has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assist.events import Action, AlertMoved, AlertRaised, CallStarted, Event, SignalRaised
from assist.screens.call_alerts import CallAlerts
from assist.screens.duty import Duty
from detectors.signals import Level, Severity
from overlay import messages
from overlay.hub import Hub

ALERT = "late"
"""Id of the alert: a call has at most one."""


@dataclass(slots=True)
class _EndedCall:
    alerts: CallAlerts
    raised_ms: int
    """Call time."""
    raised_s: float
    """The same moment on the event loop's clock."""


class LateAlerts:
    """Event loop only. `append` adds an event to the log of a call that is over."""

    def __init__(self, hub: Hub, duty: Duty, turn_ms: int, append: Callable[[str, Event], None]) -> None:
        self._hub, self._duty, self._turn_ms, self._append = hub, duty, turn_ms, append
        self._calls: dict[str, _EndedCall] = {}
        self._loop = asyncio.get_running_loop()

    def heard(self, started: CallStarted, level: Level, now_ms: int, signals: Sequence[SignalRaised]) -> None:
        """Raise an alert if there are urgent ones among the signals of late words. `now_ms`: since the call began."""
        urgent = [raised.signal for raised in signals if raised.signal.severity is Severity.URGENT]
        if not urgent:
            return
        call = started.call
        ended_call = self._calls[call] = _EndedCall(CallAlerts(started, self._turn_ms), now_ms, self._loop.time())
        quotes = list(dict.fromkeys(each.evidence.quote for each in urgent))
        said = ", ".join(f"“{quote}”" for quote in quotes[:3])
        keys = tuple(each.key for each in urgent)
        raised = AlertRaised(now_ms, ALERT, Severity.URGENT, f"Said in a call that is over: {said}", keys, "late")
        self._append(call, raised)
        self._show(ended_call.alerts.raised(raised, level, quotes[0]))
        self._duty.take(call, raised)

    def has(self, call: str) -> bool:
        """Whether an alert about this call is open."""
        return call in self._calls

    def now_ms(self, call: str) -> int:
        """Time since this call began, in ms."""
        ended_call = self._calls[call]
        return ended_call.raised_ms + round((self._loop.time() - ended_call.raised_s) * 1000)

    def moved(self, call: str, make: Callable[[int], AlertMoved]) -> None:
        """The alert changed without a supervisor's doing: log and show it."""
        if call in self._calls:
            event = make(self.now_ms(call))
            self._append(call, event)
            self._show(self._calls[call].alerts.moved(event))

    def act(self, call: str, action: Action) -> None:
        """A supervisor did something about the alert: log and show it."""
        self._append(call, action)
        self._show(self._calls[call].alerts.done(action))
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
