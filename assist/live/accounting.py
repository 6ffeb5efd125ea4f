"""Where the time of a call went: each channel's milliseconds by what became of them. A fold over the call's events.

What overlaps counts once, as the gravest: withheld for want of consent, paused, lost, untranscribed, failed,
transcribed after the call, speech; the rest is silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from assist.events import Action, CallStarted, ConsentSet, Event, TranscribedLate
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from audio.events import Gap, Utterance

ORDER = ("withheld", "paused", "lost", "untranscribed", "failed", "transcribed-late", "speech")
"""Gravest first; `Gap.why` names the third to the fifth."""


@dataclass
class Ledger:
    """Feed it a call's events in order; ask for the sums at any time."""

    _ranges: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Channel -> (start, end, rank in ORDER)."""
    _paused_at: int | None = None
    _withheld_at: int | None = None

    def take(self, event: Event) -> None:
        """The next event of the call."""
        match event:
            case CallStarted():
                self._ranges = {speaker: [] for speaker in event.speakers}
            case Utterance():
                self._note(event.speaker, event.start_ms, event.end_ms, "speech")
            case Gap():
                self._note(event.speaker, event.start_ms, event.end_ms, event.why)
            case ConsentSet():
                heard = Gate(ConsentPolicy(event.policy), Consent(event.consent)).heard
                if not heard and self._withheld_at is None:
                    self._withheld_at = event.at_ms
                elif heard and self._withheld_at is not None:
                    for speaker in self._ranges:
                        self._note(speaker, self._withheld_at, event.at_ms, "withheld")
                    self._withheld_at = None
            case TranscribedLate():
                for speaker, start, end in event.ranges:
                    ranges, gap = self._ranges.get(speaker, []), (start, end, ORDER.index("untranscribed"))
                    if gap in ranges:
                        ranges.remove(gap)
                    self._note(speaker, start, end, "transcribed-late")
            case Action(what="pause") if self._paused_at is None:
                self._paused_at = event.at_ms
            case Action(what="resume") if self._paused_at is not None:
                for speaker in self._ranges:
                    self._note(speaker, self._paused_at, event.at_ms, "paused")
                self._paused_at = None

    def sums(self, end_ms: int) -> dict[str, int]:
        """Milliseconds by "channel.what", such as "customer.speech", of a call that has lasted `end_ms`."""
        still = ((self._withheld_at, "withheld"), (self._paused_at, "paused"))
        going_on = [(since, end_ms, ORDER.index(what)) for since, what in still if since is not None]
        found: dict[str, int] = {}
        for speaker, ranges in self._ranges.items():
            parts = _painted([*ranges, *going_on], end_ms)
            found |= {f"{speaker}.{what}": ms for what, ms in zip(ORDER, parts, strict=True) if ms or what == "speech"}
            found[f"{speaker}.silence"] = end_ms - sum(parts)
        return found

    def _note(self, speaker: str, start_ms: int, end_ms: int, what: str) -> None:
        self._ranges.setdefault(str(speaker), []).append((start_ms, end_ms, ORDER.index(what)))


def _painted(ranges: Iterable[tuple[int, int, int]], end_ms: int) -> list[int]:
    """Milliseconds under each rank in 0..end_ms, where the lowest rank open at a moment has it."""
    edges: list[tuple[int, int, int]] = []
    for start, end, rank in ranges:
        start, end = max(0, start), min(end, end_ms)
        if start < end:
            edges += [(start, 1, rank), (end, -1, rank)]
    sums, open_ = [0] * len(ORDER), [0] * len(ORDER)
    before = 0
    for at, step, rank in sorted(edges):
        top = next((each for each, count in enumerate(open_) if count), None)
        if top is not None:
            sums[top] += at - before
        before = at
        open_[rank] += step
    return sums


def accounted(events: Iterable[Event], end_ms: int) -> dict[str, int]:
    """The sums of a stored call."""
    ledger = Ledger()
    for event in events:
        ledger.take(event)
    return ledger.sums(end_ms)
