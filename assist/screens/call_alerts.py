"""The alerts of one call as the boards show them: a fold over the call's events."""

from __future__ import annotations

from dataclasses import dataclass, field

from assist.events import Action, AlertMoved, AlertRaised, CallStarted
from detectors.signals import Level, Severity, Signal
from overlay import messages

TIERS = {Severity.NOTE: "note", Severity.HELP: "help", Severity.URGENT: "urgent"}
SEVERITIES = {tier: severity for severity, tier in TIERS.items()}
MAX_STEPS = 20
"""Newest steps of an alert that are shown."""
ACTIONS_OF_CLAIMANT = {"message": ("message", "wrote to {agent}"), "watch": ("reading", "reading along")}
"""What the claimant of an alert does in its call counts as done about it: action -> (step, text)."""
TAKEN_BACK = "The words heard here were taken back"
NO_TURN = {"to": "", "passes_at_ms": 0, "waits": ""}
FREE = {"state": "raised", "by": "", "claimed_ms": None, "action": ""}
"""Nobody has it: nor is it anybody's doing what was done about it before."""


@dataclass
class CallAlerts:
    """The alerts of one call; every method returns those it has changed."""

    started: CallStarted
    turn_ms: int
    """How long one supervisor's turn lasts."""
    by_id: dict[str, messages.Alert] = field(default_factory=dict)
    """Alert id -> alert; resolved ones too."""
    signals_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Alert id -> keys of the signals it was raised for."""

    @property
    def handled_by(self) -> str:
        """Who has claimed an alert of this call; empty when nobody has."""
        return next((alert.by for alert in self.by_id.values() if alert.state == "claimed"), "")

    def raised(self, event: AlertRaised, level: Level, quote: str) -> list[messages.Alert]:
        """An alert is raised, or raised again."""
        known = self.by_id.get(event.id)
        if known is not None and not event.signals:
            return []
        self.signals_of[event.id] = event.signals
        if known is not None:
            more = {"tier": TIERS[event.tier], "reason": event.reason, "quote": quote, "level": level.value}
            return [self._add_step(known, event.at_ms, "raised-again", "", again=known.again + 1, **more)]
        started = self.started
        alert = messages.Alert.model_validate(
            {
                "id": event.id,
                "call": started.call,
                "agent": started.agent,
                "team": started.team,
                "kind": event.kind,
                "tier": TIERS[event.tier],
                "level": level.value,
                "title": event.reason if event.kind == "ask" else "",
                "reason": event.reason,
                "quote": quote,
                "state": "raised",
                "raised_ms": event.at_ms,
                "at_ms": event.at_ms,
            }
        )
        return [self._add_step(alert, event.at_ms, "raised", "")]

    def drop_signal(self, key: str, remaining: dict[str, Signal]) -> list[messages.Alert]:
        """The words of a signal were taken back: no alert quotes them any more. `remaining`: the other signals."""
        changed = []
        for name, keys in self.signals_of.items():
            if key in keys:
                self.signals_of[name] = keys = tuple(each for each in keys if each in remaining)
                evidence = [remaining[each].evidence for each in keys]
                quotes = [each.quote for each in evidence if each.quote]
                reason = ", ".join(each.in_words for each in evidence[:3])
                more = {"reason": reason or TAKEN_BACK, "quote": quotes[0] if quotes else ""}
                self.by_id[name] = self.by_id[name].model_copy(update=more)
                changed.append(self.by_id[name])
        return changed

    def moved(self, event: AlertMoved) -> list[messages.Alert]:
        """The alert changed without a supervisor's doing."""
        alert = self.by_id.get(event.id)
        if alert is None or alert.state == "resolved":
            return []
        passed = [*alert.passed, alert.to] if alert.to else alert.passed
        quiet = {"to": "", "passes_at_ms": 0, "passed": passed}
        more: dict[str, object] = {
            "turn": {"to": event.who, "passes_at_ms": event.at_ms + self.turn_ms, "passed": passed, "waits": ""},
            "everyone": quiet | {"waits": "everyone"},
            "queued": quiet | {"waits": "queued"},
            "released": FREE,
            "calmed": quiet | {"state": "resolved", "how": "calmed down", "waits": ""},
            "expired": quiet | {"state": "resolved", "how": "ran out", "waits": ""},
        }[event.what]  # type: ignore[assignment]
        return [self._add_step(alert, event.at_ms, event.what, event.who, **more)]

    def done(self, action: Action) -> list[messages.Alert]:
        """A supervisor did something about an alert."""
        if action.what in ACTIONS_OF_CLAIMANT:
            step, text = ACTIONS_OF_CLAIMANT[action.what]
            text = text.format(agent=self.started.agent)
            claimed = [alert for alert in self.by_id.values() if alert.state == "claimed" and alert.by == action.who]
            return [self._add_step(alert, action.at_ms, step, action.who, action=text) for alert in claimed]
        alert = self.by_id.get(action.target)
        if alert is None or alert.state == "resolved":
            return []
        match action.what:
            case "alert-seen":
                seen_by = list(dict.fromkeys([*alert.seen_by, action.who]))
                return [self._add_step(alert, action.at_ms, "seen", action.who, seen_by=seen_by)]
            case "claim":
                claim = {"state": "claimed", "by": action.who, "claimed_ms": action.at_ms, **NO_TURN}
                return [self._add_step(alert, action.at_ms, "claimed", action.who, **claim)]
            case "release":
                return [self._add_step(alert, action.at_ms, "released", action.who, **FREE)]
            case "resolve":
                how, _, note = action.detail.partition("\n")
                return [self._resolve(alert, action, "resolved", how, note)]
            case "plan-answered":
                answer, _, words = action.detail.partition(" ")
                return [self._resolve(alert, action, answer, "answered", words)]
        return []

    def _resolve(self, alert: messages.Alert, action: Action, step: str, how: str, note: str) -> messages.Alert:
        over = {"state": "resolved", "by": action.who, "how": how, "note": note, **NO_TURN}
        return self._add_step(alert, action.at_ms, step, action.who, **over)

    def _add_step(self, alert: messages.Alert, at_ms: int, what: str, who: str, **more: object) -> messages.Alert:
        step = messages.AlertStep.model_validate({"at_ms": at_ms, "what": what, "who": who})
        course = [*alert.course, step][-MAX_STEPS:]
        alert = alert.model_copy(update={**more, "at_ms": at_ms, "course": course})
        self.by_id[alert.id] = alert
        return alert
