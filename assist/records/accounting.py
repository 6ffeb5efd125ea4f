"""Time accounting of a call: the milliseconds of each channel by category, computed from the call's events.

Where categories overlap, the first in CATEGORIES counts; time in none of them is silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from assist.events import Action, CallStarted, ConsentSet, Event, TranscribedLate
from assist.privacy.consent import Consent, ConsentPolicy, Gate, unkept_ranges
from audio.events import Gap, Utterance

CATEGORIES = ("withheld", "paused", "lost", "untranscribed", "failed", "transcribed-late", "speech")
"""Highest priority first. Withheld: no consent to keep it; lost, untranscribed and failed are values of `Gap.why`."""


@dataclass
class Ledger:
    """Add a call's events in order; ask for the totals at any time."""

    _ranges: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Channel -> (start ms, end ms, index in CATEGORIES)."""
    _paused_at: int | None = None
    _consent: list[tuple[int, Gate]] = field(default_factory=list)
    """(since ms, what may be kept)."""

    def add(self, event: Event) -> None:
        """Count the next event of the call."""
        match event:
            case CallStarted():
                self._ranges = {speaker: [] for speaker in event.speakers}
            case Utterance():
                self._add_range(event.speaker, event.start_ms, event.end_ms, "speech")
            case Gap():
                self._add_range(event.speaker, event.start_ms, event.end_ms, event.why)
            case ConsentSet():
                self._consent.append((event.at_ms, Gate(ConsentPolicy(event.policy), Consent(event.consent))))
            case TranscribedLate():
                for speaker, start, end in event.ranges:
                    ranges, gap = self._ranges.get(speaker, []), (start, end, CATEGORIES.index("untranscribed"))
                    if gap in ranges:
                        ranges.remove(gap)
                    self._add_range(speaker, start, end, "transcribed-late")
            case Action(what="pause") if self._paused_at is None:
                self._paused_at = event.at_ms
            case Action(what="resume") if self._paused_at is not None:
                for speaker in self._ranges:
                    self._add_range(speaker, self._paused_at, event.at_ms, "paused")
                self._paused_at = None

    def totals(self, end_ms: int) -> dict[str, int]:
        """Milliseconds by "channel.category", such as "customer.speech", of a call that has lasted `end_ms`."""
        withheld = [(since, end_ms if until is None else until) for since, until in unkept_ranges(self._consent)]
        of_all = [(since, until, CATEGORIES.index("withheld")) for since, until in withheld]
        if self._paused_at is not None:
            of_all.append((self._paused_at, end_ms, CATEGORIES.index("paused")))
        found: dict[str, int] = {}
        for speaker, ranges in self._ranges.items():
            sums = _time_per_category([*ranges, *of_all], end_ms)
            for what, ms in zip(CATEGORIES, sums, strict=True):
                if ms or what == "speech":
                    found[f"{speaker}.{what}"] = ms
            found[f"{speaker}.silence"] = end_ms - sum(sums)
        return found

    def _add_range(self, speaker: str, start_ms: int, end_ms: int, what: str) -> None:
        self._ranges.setdefault(str(speaker), []).append((start_ms, end_ms, CATEGORIES.index(what)))


def _time_per_category(ranges: Iterable[tuple[int, int, int]], end_ms: int) -> list[int]:
    """Milliseconds in 0..end_ms by index in CATEGORIES; where ranges overlap, the lowest index counts (sweep line)."""
    edges: list[tuple[int, int, int]] = []
    for start, end, index in ranges:
        start, end = max(0, start), min(end, end_ms)
        if start < end:
            edges += [(start, 1, index), (end, -1, index)]
    sums, open_ = [0] * len(CATEGORIES), [0] * len(CATEGORIES)
    before = 0
    for at, step, index in sorted(edges):
        top = next((each for each, count in enumerate(open_) if count), None)
        if top is not None:
            sums[top] += at - before
        before = at
        open_[index] += step
    return sums


def time_totals(events: Iterable[Event], end_ms: int) -> dict[str, int]:
    """The totals of a stored call that lasted `end_ms`."""
    ledger = Ledger()
    for event in events:
        ledger.add(event)
    return ledger.totals(end_ms)
