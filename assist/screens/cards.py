"""The alerts of one live call as the boards show them: a fold over the call's events."""

from __future__ import annotations

from dataclasses import dataclass, field

from assist.events import Action, AlertMoved, AlertRaised, CallStarted
from detectors.signals import Level, Severity, Signal
from overlay import messages

TIERS = {Severity.NOTE: "note", Severity.HELP: "help", Severity.URGENT: "urgent"}
SEVERITIES = {tier: severity for severity, tier in TIERS.items()}
STEPS_SHOWN = 20
BY_HOLDER = {"message": ("message", "wrote to {agent}"), "watch": ("reading", "reading along")}
"""What whoever has claimed an alert does in its call counts as done about the alert."""

TAKEN_BACK = "The words heard here were taken back"
OUT_OF_TURN = {"to": "", "passes_at_ms": 0, "waits": ""}


@dataclass
class Cards:
    """Every method returns the alerts that look different now."""

    started: CallStarted
    turn_ms: int
    """How long one supervisor's turn lasts."""
    open: dict[str, messages.Alert] = field(default_factory=dict)
    """All alerts of the call by id, resolved ones too, until it ends."""
    stand_on: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Alert -> keys of the signals it was raised for."""

    @property
    def handled_by(self) -> str:
        """Who has claimed an alert of this call; empty when nobody has."""
        return next((alert.by for alert in self.open.values() if alert.state == "claimed"), "")

    def raised(self, event: AlertRaised, level: Level, quote: str) -> list[messages.Alert]:
        """Somebody is needed, or needed more."""
        self.stand_on[event.id] = event.signals
        known = self.open.get(event.id)
        if known is not None:
            more = {"tier": TIERS[event.tier], "reason": event.reason, "quote": quote, "level": level.value}
            return [self._step(known, event.at_ms, "raised-again", "", again=known.again + 1, **more)]
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
        return [self._step(alert, event.at_ms, "raised", "")]

    def unsaid(self, key: str, left: dict[str, Signal]) -> list[messages.Alert]:
        """The words under a signal were taken back: no alert quotes them any more. `left`: the signals that stand."""
        changed = []
        for name, keys in self.stand_on.items():
            if key in keys:
                self.stand_on[name] = keys = tuple(each for each in keys if each in left)
                evidence = [left[each].evidence for each in keys]
                quotes = [each.quote for each in evidence if each.quote]
                reason = ", ".join(each.in_words for each in evidence[:3])
                more = {"reason": reason or TAKEN_BACK, "quote": quotes[0] if quotes else ""}
                self.open[name] = self.open[name].model_copy(update=more)
                changed.append(self.open[name])
        return changed

    def moved(self, event: AlertMoved) -> list[messages.Alert]:
        """The alert went on by itself."""
        alert = self.open.get(event.id)
        if alert is None or alert.state == "resolved":
            return []
        passed = [*alert.passed, alert.to] if alert.to else alert.passed
        quiet = {"to": "", "passes_at_ms": 0, "passed": passed}
        more: dict[str, object] = {
            "turn": {"to": event.who, "passes_at_ms": event.at_ms + self.turn_ms, "passed": passed, "waits": ""},
            "everyone": quiet | {"waits": "everyone"},
            "queued": quiet | {"waits": "queued"},
            "released": {"state": "raised", "by": "", "claimed_ms": None},
            "calmed": quiet | {"state": "resolved", "how": "calmed down", "waits": ""},
            "expired": quiet | {"state": "resolved", "how": "ran out", "waits": ""},
        }[event.what]  # type: ignore[assignment]
        return [self._step(alert, event.at_ms, event.what, event.who, **more)]

    def done(self, action: Action) -> list[messages.Alert]:
        """A supervisor did something about it."""
        if action.what in BY_HOLDER:
            step, text = BY_HOLDER[action.what]
            text = text.format(agent=self.started.agent)
            held = [alert for alert in self.open.values() if alert.state == "claimed" and alert.by == action.who]
            return [self._step(alert, action.at_ms, step, action.who, action=text) for alert in held]
        alert = self.open.get(action.target)
        if alert is None or alert.state == "resolved":
            return []
        match action.what:
            case "alert-seen":
                seen = {"state": "seen", "by": action.who} if alert.state != "claimed" else {}
                return [self._step(alert, action.at_ms, "seen", action.who, **seen)]
            case "claim":
                held_now = {"state": "claimed", "by": action.who, "claimed_ms": action.at_ms, **OUT_OF_TURN}
                return [self._step(alert, action.at_ms, "claimed", action.who, **held_now)]
            case "release":
                return [self._step(alert, action.at_ms, "released", action.who, state="raised", by="", claimed_ms=None)]
            case "resolve":
                how, _, note = action.detail.partition("\n")
                return [self._end(alert, action, "resolved", how, note)]
            case "plan-answered":
                answer, _, words = action.detail.partition(" ")
                return [self._end(alert, action, answer, "answered", words)]
        return []

    def _end(self, alert: messages.Alert, action: Action, step: str, how: str, note: str) -> messages.Alert:
        over = {"state": "resolved", "by": action.who, "how": how, "note": note, **OUT_OF_TURN}
        return self._step(alert, action.at_ms, step, action.who, **over)

    def _step(self, alert: messages.Alert, at_ms: int, what: str, who: str, **more: object) -> messages.Alert:
        step = messages.AlertStep.model_validate({"at_ms": at_ms, "what": what, "who": who})
        course = [*alert.course, step][-STEPS_SHOWN:]
        alert = alert.model_copy(update={**more, "at_ms": at_ms, "course": course})
        self.open[alert.id] = alert
        return alert
