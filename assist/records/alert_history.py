"""The history of each alert of a call. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from assist.events import Action, AlertRaised
from assist.records.record import Alert


@dataclass
class AlertHistory:
    """The alerts of a call by id, built from its events in order."""

    alerts: dict[str, Alert] = field(default_factory=dict)

    def raised(self, event: AlertRaised) -> None:
        """An alert was raised, or raised again (with a higher tier, or for other signals)."""
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
        if not event.signals:
            return
        self.alerts[event.id] = known.model_copy(update={"tier": event.tier, "reason": event.reason})
        self.add_step(event.id, event.at_ms, "raised-again", "")

    def add_step(
        self, alert_id: str, at_ms: int, what: str, who: str, resolution: dict[str, Any] | None = None
    ) -> None:
        """Append a step to an alert's `course`; `resolution`: fields to set where it was resolved."""
        known = self.alerts.get(alert_id)
        if known is not None:
            course = [*known.course, (at_ms, what, who)]
            self.alerts[alert_id] = known.model_copy(update={"course": course, **(resolution or {})})

    def message_sent(self, action: Action) -> None:
        """A supervisor wrote to the agent: counts as a step of the alerts they have claimed."""
        for alert in list(self.alerts.values()):
            if _claimed_by(alert) == action.who:
                self.add_step(alert.id, action.at_ms, "message", action.who)

    def resolved(self, action: Action) -> tuple[str, str]:
        """A supervisor resolved an alert or answered a request; returns the option (may be empty) and the answer."""
        answered = action.what == "plan-answered"
        first, _, words = action.detail.partition(" " if answered else "\n")
        how, step = ("answered", first) if answered else (first, "resolve")
        resolution = {"resolved_ms": action.at_ms, "how": how, "note": words}
        self.add_step(action.target, action.at_ms, step, action.who, resolution)
        known = self.alerts.get(action.target)
        return (known.target if answered and known is not None else ""), first


def _claimed_by(alert: Alert) -> str:
    """Who has an alert claimed now; empty: nobody."""
    claimed_by = ""
    for _, what, who in alert.course:
        claimed_by = who if what == "claim" else "" if what in ("release", "released") else claimed_by
    return "" if alert.resolved_ms is not None else claimed_by
