"""What became of each alert of a call, step by step. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from assist.events import Action, AlertRaised
from assist.records.record import Alert


@dataclass
class AlertCourses:
    """A fold over the call's events."""

    alerts: dict[str, Alert] = field(default_factory=dict)

    def raised(self, event: AlertRaised) -> None:
        """Somebody is needed, or needed more."""
        known = self.alerts.get(event.id)
        if known is None:
            self.alerts[event.id] = Alert(
                id=event.id,
                at_ms=event.at_ms,
                tier=event.tier,
                reason=event.reason,
                kind=event.kind,
                target=event.target,
            )
            return
        self.alerts[event.id] = known.model_copy(update={"tier": event.tier, "reason": event.reason})
        self.step(event.id, event.at_ms, "raised-again", "")

    def step(self, name: str, at_ms: int, what: str, who: str, ending: dict[str, Any] | None = None) -> None:
        """It went on, by itself or because somebody did something; `ending`: how it ended."""
        known = self.alerts.get(name)
        if known is not None:
            course = [*known.course, (at_ms, what, who)]
            self.alerts[name] = known.model_copy(update={"course": course, **(ending or {})})

    def wrote(self, action: Action) -> None:
        """A message to the agent: who has claimed an alert did it about that."""
        for alert in list(self.alerts.values()):
            if _holder(alert) == action.who:
                self.step(alert.id, action.at_ms, "message", action.who)

    def ended(self, action: Action) -> tuple[str, str]:
        """A supervisor resolved it or answered a request; the option that was about (may be empty), and the answer."""
        answered = action.what == "plan-answered"
        first, _, words = action.detail.partition(" " if answered else "\n")
        how, step = ("answered", first) if answered else (first, "resolve")
        ending = {"resolved_ms": action.at_ms, "how": how, "note": words}
        self.step(action.target, action.at_ms, step, action.who, ending)
        known = self.alerts.get(action.target)
        return (known.target if answered and known is not None else ""), first


def _holder(alert: Alert) -> str:
    """Who has claimed it and neither given it back nor ended it."""
    held = ""
    for _, what, who in alert.course:
        held = who if what == "claim" else "" if what in ("release", "released") else held
    return "" if alert.resolved_ms is not None else held
