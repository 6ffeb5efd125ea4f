"""What Plan B came to in earlier calls: how often each option was accepted here, and what each caller has had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from assist.coach.parts import Option

CALLS = 2_000
"""So many of the newest calls are read when the program starts: what worked here lately."""


@dataclass(frozen=True, slots=True)
class _Came:
    """What Plan B came to in one call."""

    caller: str
    """As shown; empty: not known."""
    day: date
    offers: tuple[tuple[str, bool], ...]
    """Option, and whether it was accepted; at least one."""


@dataclass(slots=True)
class History:
    """Finished calls with offers in them. Feed it records (or what is kept of them for lists) in any order."""

    _came: dict[str, _Came] = field(default_factory=dict)

    def take(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Finished calls, one that went on after it was cut short in its own place. A caller is known by how the number
        is shown ("…0142"), so two callers may be taken for one: an option is then offered once too seldom, never once
        too often.
        """
        for record in records:
            offers = tuple(
                (str(use["id"]), use.get("answer") == "accepted")
                for use in record.get("plan", ())
                if use.get("offered_ms") is not None or use.get("answer")
            )
            if offers:
                day = date.fromisoformat(str(record["started_at"])[:10])
                self._came[str(record["call"])] = _Came(str(record.get("caller") or ""), day, offers)

    def forget(self, calls: Iterable[str]) -> None:
        """These calls are erased."""
        for call in calls:
            self._came.pop(call, None)

    def accepted_here(self) -> dict[str, tuple[int, int]]:
        """Option -> (times accepted, times offered). Any thread."""
        counts: dict[str, tuple[int, int]] = {}
        for came in list(self._came.values()):
            for option, accepted in came.offers:
                yes, many = counts.get(option, (0, 0))
                counts[option] = (yes + accepted, many + 1)
        return counts

    def used_by(self, caller: str, options: Sequence[Option], today: date) -> dict[str, int]:
        """Option -> times this caller had it within the option's `per_days`. Any thread."""
        days = {option.id: option.per_days for option in options}
        counts: dict[str, int] = {}
        for came in list(self._came.values()) if caller else ():
            if came.caller != caller:
                continue
            for option, accepted in came.offers:
                if accepted and (today - came.day).days <= days.get(option, 0):
                    counts[option] = counts.get(option, 0) + 1
        return counts
