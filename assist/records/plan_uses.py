"""What became of each Plan B option in a call: on screen, offered, asked for, answered, and whether it helped. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from assist.events import Action, PlanMoved, PlanOffered
from assist.records.record import LevelStep, PlanUse
from detectors.signals import CALMER


@dataclass
class PlanUses:
    """A fold over the call's events."""

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
        """What was heard about an option, and requests that ran out; what is done by hand is an action."""
        use = self._uses.get(moved.option)
        if use is None:
            use = {"id": moved.option, "title": moved.title, "worth": "", "authority": "yours"}
            use = self._uses[moved.option] = use | {"cost": moved.cost, "shown_ms": moved.at_ms}
        match moved.what:
            case "offered":
                use.setdefault("offered_ms", moved.at_ms)
                use["heard"] = moved.words
            case "accepted":
                use |= {"answer": "accepted", "answered_ms": moved.at_ms, "heard": moved.words}
            case "expired":
                use["permission"] = "expired"

    def done(self, action: Action) -> None:
        """The agent has offered it, asked for it, or noted the customer's answer."""
        use = self._uses.get(action.target)
        if use is None:
            return
        if action.what == "plan-asked":
            use.setdefault("asked_ms", action.at_ms)
            return
        use.setdefault("offered_ms", action.at_ms)
        if action.what != "plan-offered":
            use |= {"answer": action.what.removeprefix("plan-"), "answered_ms": action.at_ms}

    def answered(self, option: str, answer: str) -> None:
        """A supervisor has answered a request for it: allowed or denied."""
        if option in self._uses:
            self._uses[option]["permission"] = answer

    def uses(self, levels: Sequence[LevelStep]) -> list[PlanUse]:
        """In the order in which they came; `levels` tell when the call came down after a yes."""
        return [PlanUse(**use, calmed_after_ms=_calmed_after(use, levels)) for use in self._uses.values()]


def _calmed_after(use: dict[str, Any], levels: Sequence[LevelStep]) -> int | None:
    """From the yes to a calmer call, at least 1; 0 where it was calmer already, None where it never was or there was no
    yes. A yes that is heard in words brings the level down in the same moment.
    """
    if use.get("answer") != "accepted":
        return None
    since: int = use["answered_ms"]
    before = [step.level for step in levels if step.at_ms < since]
    if before and before[-1] in CALMER:
        return 0
    return next((max(1, step.at_ms - since) for step in levels if step.level in CALMER and step.at_ms >= since), None)
