"""Fast speech: the customer's articulation rate (syllables per second) against their own earlier in the call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from audio.events import Speaker, Word
from detectors.signals import Evidence, Severity, Signal, Window

_VOWELS = re.compile(r"[aeiouy]+")
_SYLLABLES_UNKNOWN = re.compile(r"\[|\d\D*\d")
"""Masked or written in digits: the spelling has fewer syllables than were spoken."""
_SILENT_END = re.compile(r"(?:[^laeiouy]e|[^aeiouytd]ed|[^aeiouysxzcg]es)$")
PAUSE_MS = 300
"""A longer gap between two words is a pause."""


def syllables(word: str) -> int:
    """Syllables of an English word by its spelling: groups of vowels less silent endings; at least 1.

    Off by one for about one word in ten, which evens out over an utterance: only ratios are judged here.
    """
    letters = re.sub(r"[^a-z]", "", word.lower())
    count = len(_VOWELS.findall(letters))
    if count > 1 and _SILENT_END.search(letters):
        count -= 1
    return max(count, 1)


def articulation_rate(words: Sequence[Word]) -> tuple[float, int]:
    """Articulation rate in syllables per second, without pauses, and the number of syllables.

    (0.0, 0) where a word does not show how many syllables were spoken.
    """
    if not words or any(_SYLLABLES_UNKNOWN.search(word.text) for word in words):
        return 0.0, 0
    spoken_ms = words[-1].end_ms - words[0].start_ms
    for before, after in zip(words, words[1:], strict=False):
        gap = after.start_ms - before.end_ms
        if gap > PAUSE_MS:
            spoken_ms -= gap
    count = sum(syllables(word.text) for word in words)
    return (count * 1000 / spoken_ms if spoken_ms > 0 else 0.0), count


@dataclass(slots=True)
class Pace:
    """Fires when the rate of an utterance is well above the median of this customer's earlier ones.

    Fast speech must not become the baseline: an utterance well above the median enters it at the weight `drift_share`.
    It does enter, so that somebody who began by spelling out a number is not called fast for the rest of the call.

    The just noticeable difference of speaking rate is about 5 % (Quené 2007); utterances of one speaker scatter by
    more, mostly with their length, so +30 % over the median is asked for. Under 4.5 syllables per second nothing is
    fast, whoever speaks.
    """

    ratio: float = 1.3
    min_rate: float = 4.5
    """Syllables per second."""
    min_syllables: int = 12
    """Of a judged utterance: short ones scatter too much."""
    min_earlier: int = 4
    """Earlier utterances, of `baseline_syllables` or more, before one is judged."""
    drift_ratio: float = 1.15
    """Over the median, from here on with `drift_share`: three just noticeable differences."""
    drift_share: float = 0.2
    baseline_syllables: int = 6
    name: str = "fast_speech"
    version: str = "2"
    _earlier: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Utterance id -> its rate, and its weight in the median."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The signal of a settled utterance of the customer's that is fast."""
        latest = window.latest
        if latest is None or not latest.settled or latest.speaker is not Speaker.CUSTOMER:
            return
        rate, count = articulation_rate(latest.words)
        if rate <= 0 or count < self.baseline_syllables or latest.id in self._earlier:
            return
        known = len(self._earlier) >= self.min_earlier
        usual = _median(list(self._earlier.values())) if known else rate
        self._earlier[latest.id] = rate, self.drift_share if rate > self.drift_ratio * usual else 1.0
        if not known or count < self.min_syllables or rate < self.min_rate or rate < self.ratio * usual:
            return
        more = rate / usual - 1.0
        yield Signal(
            id="fast_speech",
            rule="pace.fast",
            version=self.version,
            speaker=Speaker.CUSTOMER,
            at_ms=latest.end_ms,
            strength=min(1.0, more),
            severity=Severity.NOTE,
            evidence=Evidence(
                latest.start_ms,
                latest.end_ms,
                measured={"syllables_per_s": round(rate, 2), "usual_syllables_per_s": round(usual, 2)},
                summary=f"Speaks {more:.0%} faster than before ({rate:.1f} against {usual:.1f} syllables a second)",
            ),
        )


def _median(rates: Sequence[tuple[float, float]]) -> float:
    """The weighted median of (rate, weight)."""
    left = sum(weight for _, weight in rates) / 2
    for rate, weight in sorted(rates):
        left -= weight
        if left <= 0:
            return rate
    raise ValueError("a median needs at least one rate")
