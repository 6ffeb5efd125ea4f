"""Time accounting of a call: the milliseconds of each channel by category, computed from the call's events.

Where categories overlap, the first in CATEGORIES counts; time in none of them is silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from assist.events import Action, CallStarted, ConsentSet, Event, TranscribedLate
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from audio.events import Gap, Utterance

CATEGORIES = ("withheld", "paused", "lost", "untranscribed", "failed", "transcribed-late", "speech")
"""Highest priority first. Withheld: no consent to keep it; lost, untranscribed and failed are values of `Gap.why`."""


@dataclass
class Ledger:
    """Add a call's events in order; ask for the totals at any time."""

    _ranges: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Channel -> (start ms, end ms, index in CATEGORIES)."""
    _paused_at: int | None = None
    _withheld_at: int | None = None
    _is_first_consent: bool = True
    """Before the first word about consent nothing was kept: a log begins with the one that lets it be kept."""

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
                kept = Gate(ConsentPolicy(event.policy), Consent(event.consent)).may_store
                if self._is_first_consent:
                    self._withheld_at, self._is_first_consent = 0, False
                if not kept and self._withheld_at is None:
                    self._withheld_at = event.at_ms
                elif kept and self._withheld_at is not None:
                    for speaker in self._ranges:
                        self._add_range(speaker, self._withheld_at, event.at_ms, "withheld")
                    self._withheld_at = None
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
        open_states = ((self._withheld_at, "withheld"), (self._paused_at, "paused"))
        ongoing = [(since, end_ms, CATEGORIES.index(what)) for since, what in open_states if since is not None]
        found: dict[str, int] = {}
        for speaker, ranges in self._ranges.items():
            sums = _time_per_category([*ranges, *ongoing], end_ms)
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
