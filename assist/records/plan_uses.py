"""How each Plan B option was used in a call: shown, offered, requested, answered, whether it calmed the call. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from assist.events import Action, PlanMoved, PlanOffered
from assist.records.record import LevelStep, PlanUse
from detectors.signals import CALMER


@dataclass
class PlanUses:
    """The options of a call by id, built from its events in order."""

    _uses: dict[str, dict[str, Any]] = field(default_factory=dict)

    def shown(self, event: PlanOffered) -> None:
        """Options came on screen."""
        for option in event.options:
            self._uses.setdefault(
                option.id,
                {
                    "id": option.id,
                    "title": option.title,
                    "worth": option.worth,
                    "authority": option.authority,
                    "cost": option.cost,
                    "shown_ms": event.at_ms,
                },
            )

    def moved(self, moved: PlanMoved) -> None:
        """Offered or accepted in words, or a request for it was answered or expired; clicks are actions."""
        requested = moved.what in ("allowed", "denied", "expired")
        use = self._uses.get(moved.option)
        if use is None:
            authority = "ask" if requested else "yours"
            use = {"id": moved.option, "title": moved.title, "worth": "", "authority": authority}
            use = self._uses[moved.option] = use | {"cost": moved.cost, "shown_ms": moved.at_ms}
        match moved.what:
            case "offered":
                use.setdefault("offered_ms", moved.at_ms)
                use["heard"] = moved.words or use.get("heard", "")
            case "accepted":
                use.setdefault("offered_ms", moved.at_ms)
                use |= {"answer": "accepted", "answered_ms": moved.at_ms, "heard": moved.words}
            case "allowed" | "denied" | "expired":
                use["permission"] = moved.what

    def asked(self, option: str, at_ms: int) -> None:
        """A supervisor was asked for it."""
        if option in self._uses:
            self._uses[option].setdefault("asked_ms", at_ms)

    def agent_acted(self, action: Action) -> None:
        """The agent has clicked that it was offered, or accepted or refused by the customer."""
        use = self._uses.get(action.target)
        if use is None:
            return
        use.setdefault("offered_ms", action.at_ms)
        if action.what == "plan-refused" and use.get("answer"):
            use["heard"] = ""  # of an acceptance that there was none of
        if action.what != "plan-offered":
            use |= {"answer": action.what.removeprefix("plan-"), "answered_ms": action.at_ms}

    def title(self, option: str) -> str:
        """The title of an option that was used; empty for any other."""
        return str(self._uses[option]["title"]) if option in self._uses else ""

    def request_answered(self, option: str, answer: str) -> None:
        """A supervisor has answered a request for an option: allowed or denied."""
        if option in self._uses:
            self._uses[option]["permission"] = answer

    def uses(self, levels: Sequence[LevelStep]) -> list[PlanUse]:
        """In order of their first appearance; `levels` tell when the call calmed down after an acceptance."""
        return [PlanUse(**use, calmed_after_ms=_calmed_after_ms(use, levels)) for use in self._uses.values()]


def _calmed_after_ms(use: dict[str, Any], levels: Sequence[LevelStep]) -> int | None:
    """Milliseconds from the acceptance until the call was calmer, at least 1; 0: it was calmer already; None: it never
    was, or the option was not accepted. An acceptance heard in words lowers the level in the same moment.
    """
    if use.get("answer") != "accepted":
        return None
    accepted_ms: int = use["answered_ms"]
    before = [step.level for step in levels if step.at_ms < accepted_ms]
    if before and before[-1] in CALMER:
        return 0
    return next(
        (max(1, step.at_ms - accepted_ms) for step in levels if step.level in CALMER and step.at_ms >= accepted_ms),
        None,
    )
