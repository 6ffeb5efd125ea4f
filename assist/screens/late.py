"""Alerts about calls that are over: something urgent was heard before the caller hung up, or in words transcribed late.

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
"""Id of the alert about words transcribed late: a call has at most one."""
WORDS_NOT_KEPT = "Something urgent was heard in a call that is over; its words are not kept"


@dataclass(slots=True)
class _EndedCall:
    alerts: CallAlerts
    """The open ones."""
    at_ms: int
    """A moment in call time."""
    at_s: float
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
        quotes = [each.evidence.quote for each in urgent]
        keys = tuple(each.key for each in urgent)
        raised = AlertRaised(now_ms, ALERT, Severity.URGENT, _reason(quotes), keys, "late")
        self._append(call, raised)
        self._show(self._alerts_of(started, now_ms).raised(raised, level, quotes[0]))
        self._duty.take(call, raised)

    def outlive(
        self,
        alerts: CallAlerts,
        still_open: Sequence[str],
        now_ms: int,
        quotes_of: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        """The call of these alerts is over: take over those that are not, with whoever is asked or has claimed them.

        Args:
            alerts: of the call; they lose what is taken over.
            still_open: ids of the alerts that are not over.
            now_ms: since the call began.
            quotes_of: the words that led to signals, by their keys, as far as they may be kept. No others are shown.
        """
        for name in still_open:
            if (alert := alerts.by_id.pop(name, None)) is None:
                continue
            quotes = quotes_of(alerts.signals_of.pop(name, ()))
            reason = _reason(quotes) if quotes else WORDS_NOT_KEPT
            more = {"kind": "over", "reason": reason, "quote": quotes[0] if quotes else "", "at_ms": now_ms}
            kept = self._alerts_of(alerts.started, now_ms).by_id[name] = alert.model_copy(update=more)
            self._show([kept])

    def _alerts_of(self, started: CallStarted, now_ms: int) -> CallAlerts:
        if started.call not in self._calls:
            self._calls[started.call] = _EndedCall(CallAlerts(started, self._turn_ms), now_ms, self._loop.time())
        return self._calls[started.call].alerts

    def has(self, call: str) -> bool:
        """Whether an alert about this call is open."""
        return call in self._calls

    def now_ms(self, call: str) -> int:
        """Time since this call began, in ms."""
        ended_call = self._calls[call]
        return ended_call.at_ms + round((self._loop.time() - ended_call.at_s) * 1000)

    def moved(self, call: str, make: Callable[[int], AlertMoved]) -> None:
        """The alert changed without a supervisor's doing: log and show it."""
        if call in self._calls:
            event = make(self.now_ms(call))
            self._append(call, event)
            self._show(self._calls[call].alerts.moved(event))

    def act(self, call: str, action: Action) -> None:
        """A supervisor did something about the alert: log and show it."""
        self._append(call, action)
        alerts = self._calls[call].alerts
        self._show(alerts.done(action))
        if action.what == "resolve":
            alerts.by_id.pop(action.target, None)
            if not alerts.by_id:
                del self._calls[call]

    def forget(self, calls: Sequence[str]) -> None:
        """These calls are erased or resumed."""
        for call in calls:
            if (ended_call := self._calls.pop(call, None)) is not None:
                self._duty.forget(call)
                for name in ended_call.alerts.by_id:
                    self._hub.drop("board", f"alert/{call}-{name}")

    def _show(self, alerts: Sequence[messages.Alert]) -> None:
        for alert in alerts:
            if alert.state == "resolved":
                self._hub.drop("board", f"alert/{alert.call}-{alert.id}")
            else:
                self._hub.show("board", f"alert/{alert.call}-{alert.id}", alert)


def _reason(quotes: Sequence[str]) -> str:
    """`quotes`: at least one."""
    return "Said in a call that is over: " + ", ".join(f"“{quote}”" for quote in list(dict.fromkeys(quotes))[:3])
