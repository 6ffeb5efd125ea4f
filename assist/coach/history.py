"""What Plan B came to in earlier calls: how often each option was accepted here, and what each caller has had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from assist.coach.parts import Option

CALLS = 2_000
"""So many of the newest calls are read when the program starts: what worked here lately."""


@dataclass(slots=True)
class History:
    """Counts over finished calls. Feed it records (or what is kept of them for lists) in any order."""

    _offered: dict[str, int] = field(default_factory=dict)
    _accepted: dict[str, int] = field(default_factory=dict)
    _had: dict[str, list[tuple[str, date]]] = field(default_factory=dict)
    """Caller as shown -> options accepted, with the day."""

    def take(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Finished calls. A caller is known by how the number is shown ("…0142"), so two callers may be taken for one:
        an option is then offered once too seldom, never once too often.
        """
        for record in records:
            day = date.fromisoformat(str(record["started_at"])[:10])
            caller = str(record.get("caller") or "")
            for use in record.get("plan", ()):
                if use.get("offered_ms") is None and not use.get("answer"):
                    continue
                option = str(use["id"])
                self._offered[option] = self._offered.get(option, 0) + 1
                if use.get("answer") == "accepted":
                    self._accepted[option] = self._accepted.get(option, 0) + 1
                    if caller:
                        self._had.setdefault(caller, []).append((option, day))

    def accepted_here(self) -> dict[str, tuple[int, int]]:
        """Option -> (times accepted, times offered). Any thread."""
        return {option: (self._accepted.get(option, 0), many) for option, many in list(self._offered.items())}

    def used_by(self, caller: str, options: Sequence[Option], today: date) -> dict[str, int]:
        """Option -> times this caller had it within the option's `per_days`."""
        days = {option.id: option.per_days for option in options}
        counts: dict[str, int] = {}
        for option, day in self._had.get(caller, ()):
            if (today - day).days <= days.get(option, 0):
                counts[option] = counts.get(option, 0) + 1
        return counts
