"""Plan B in earlier calls: how often each option was accepted, and which ones each caller has had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from assist.coach.parts import Option


@dataclass(frozen=True, slots=True)
class _PlanOutcome:
    """The options offered in one call, and what became of them."""

    caller: str
    """The masked number; empty: not known."""
    day: date
    offers: tuple[tuple[str, bool], ...]
    """Option, and whether it was accepted; at least one."""


@dataclass(slots=True)
class History:
    """Finished calls with offers, from their records or digests, in any order."""

    _outcomes: dict[str, _PlanOutcome] = field(default_factory=dict)

    def take(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Adds finished calls; one that was resumed replaces its earlier state.

        A caller is known by the masked number ("…0142"), so two callers may be taken for one: an option is then
        offered too seldom, never too often.
        """
        for record in records:
            offers = tuple(
                (str(use["id"]), use.get("answer") == "accepted")
                for use in record.get("plan", ())
                if use.get("offered_ms") is not None or use.get("answer")
            )
            if offers:
                day = date.fromisoformat(str(record["started_at"])[:10])
                self._outcomes[str(record["call"])] = _PlanOutcome(str(record.get("caller") or ""), day, offers)

    def forget(self, calls: Iterable[str]) -> None:
        """Removes calls that were erased."""
        for call in calls:
            self._outcomes.pop(call, None)

    def accepted_here(self) -> dict[str, tuple[int, int]]:
        """Option -> (times accepted, times offered). Any thread."""
        counts: dict[str, tuple[int, int]] = {}
        for outcome in list(self._outcomes.values()):
            for option, accepted in outcome.offers:
                yes, many = counts.get(option, (0, 0))
                counts[option] = (yes + accepted, many + 1)
        return counts

    def used_by(self, caller: str, options: Sequence[Option], today: date) -> dict[str, int]:
        """Option -> times this caller had it within the option's `per_days`. Any thread."""
        days = {option.id: option.per_days for option in options}
        counts: dict[str, int] = {}
        for outcome in list(self._outcomes.values()) if caller else ():
            if outcome.caller != caller:
                continue
            for option, accepted in outcome.offers:
                if accepted and (today - outcome.day).days <= days.get(option, 0):
                    counts[option] = counts.get(option, 0) + 1
        return counts


def first_day(options: Iterable[Option], today: date) -> date:
    """The first day of the calls that matter today: the longest `per_days` of these options goes back to it."""
    return today - timedelta(days=max((option.per_days for option in options), default=0))
