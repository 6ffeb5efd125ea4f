"""Raised voice: louder, brighter and higher than this caller's own normal, in physical words; never an emotion's name.

Every feature of the last second of voiced speech is set against a running baseline of the same caller. The baseline is
Bayesian: it begins as a population prior with a wide predictive deviation, so that no special start mode is needed, and
narrows within a few seconds of speech. It takes speech in late, lightly while the voice is up, and clipped, so that
anger does not become the new normal; a small leak frees it from a bad start.

It measures vocal effort. What the effort means must come from the words.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from audio.events import Speaker, VoiceMeasure
from detectors.signals import Evidence, Severity, Signal, Window


@dataclass(frozen=True, slots=True)
class Feature:
    """One measure: where calm callers lie, and what it counts."""

    mean: float
    between: float
    """Standard deviation of callers' means."""
    within: float
    """Standard deviation of one caller's one-second windows."""
    weight: float


FEATURES: dict[str, Feature] = {
    "level_db": Feature(-26.0, 25.0, 2.6, 0.24),
    "balance_db": Feature(-11.5, 3.0, 3.0, 0.28),
    "flux": Feature(0.62, 0.07, 0.048, 0.36),
    "period_semitones": Feature(13.0, 3.0, 2.3, 0.12),
    "pitch_semitones": Feature(7.0, 4.0, 3.0, 0.0),
}
"""Rounded figures of calm speech in the telephone condition (three acted corpora, a bank's agents, reading voices,
prompts in five languages); weights set by hand in steps of 0.02, not fitted.

Before a baseline exists the level says next to nothing (25 dB between callers: handsets, lines), flux and balance most:
a logistic regression over the two and pitch, fitted on two corpora, told the third one's anger from its calm without
any baseline with an AUC of .87, 1.00 and 1.00; with the spectral centroid in the balance's place .84, 1.00 and .99.
The period counts least: it rises by 5 semitones in a friendly goodbye. Pitch is said, but counts nothing: in the
period's place it finds anger no better, and acted calm speech alarms more often (5 times instead of 3)."""

CLIP = (-1.5, 4.0)
"""z-scores beyond say no more. Even at its utmost the level alone (4 x 0.24) stays below RAISED."""
POPULATION_S = 15.0
"""A caller's own spread counts as much as the population's once it has been heard for so many seconds."""
FULL_MS = 1_000
"""A mean over less voiced speech wavers more, and counts less: by the square root of its length."""
SMOOTH_MS = 200.0
"""Time constant of the score; the measures are means over a second already."""
RAISED = 2.0
"""Score at which a rise begins. Set on calm talk that is not acted, never on acted speech, which hides false alarms:
none in 0.18 hours of bank agents and readers, some 6 an hour in 1.7 hours of prompts by eight speakers in a row.
`assist eval` with clips labelled natural measures it."""
LOWERED = 0.9
LEAST_MS = 200
"""One measure, of a second of speech: one loud word does not reach it."""
REFRACTORY_MS = 15_000
STRONG = 3.0
"""Score of full strength."""
MEMORY = 40.0
"""Seconds of voiced speech the baseline remembers."""
LATE_MS = 3_000
"""Speech enters the baseline this late."""
HUBER = 1.5
"""Deviations are clipped to so many standard deviations on their way into the baseline."""
CALM_BELOW = 1.0
UP_FROM = 1.5
HALFWAY = 0.2
LEAK = 0.03
"""Weight with which speech enters the baseline: whole below a score of CALM_BELOW, HALFWAY between, LEAK from UP_FROM.
The leak frees the baseline from a bad start. With everything taken in whole, the last third of 40 s of acted anger was
found 24 % of the time instead of 88 %, without HUBER as well 1 % (assist/evaluation/tone_course.py)."""
BREAK_MS = 6_000
"""After this much without measures a rise is over, and the smoothed score starts anew."""
KNOWN_S = 1.0
"""Seconds of speech from which a normal is this caller's; before, it is that of callers at large."""


@dataclass(slots=True)
class _Baseline:
    """One feature of one caller."""

    feature: Feature
    weight: float = 0.0
    """Seconds of speech taken in, faded."""
    mean: float = 0.0
    square: float = 0.0

    @property
    def normal(self) -> float:
        """The caller's normal value: prior and what was heard, by their certainty."""
        prior = self.feature.within**2 / self.feature.between**2
        return (prior * self.feature.mean + self.weight * self.mean) / (prior + self.weight)

    @property
    def known(self) -> bool:
        """Whether the normal is this caller's own."""
        return self.weight >= KNOWN_S

    @property
    def deviation(self) -> float:
        """Predictive standard deviation of the next window: the caller's spread and the doubt about the normal."""
        prior = self.feature.within**2 / self.feature.between**2
        spread = (POPULATION_S * self.feature.within**2 + self.weight * self.square) / (POPULATION_S + self.weight)
        return math.sqrt(spread + self.feature.within**2 / (prior + self.weight))

    def take(self, value: float, weight: float, seconds: float) -> None:
        """One more window."""
        limit = HUBER * self.deviation
        value = self.normal + min(limit, max(-limit, value - self.normal))
        fade = math.exp(-seconds / MEMORY)
        self.weight *= fade
        total = self.weight + weight
        if total <= 0:
            return
        off = value - self.mean
        self.mean += off * weight / total
        self.square += (off * (value - self.mean) - self.square) * weight / total
        self.weight = total


@dataclass
class RaisedVoice:
    """The judge of one caller's voice; a Detector. `score` and `raised` may be watched."""

    name: str = "raised_voice"
    version: str = "4"
    score: float = 0.0
    raised: bool = False
    _baselines: dict[str, _Baseline] = field(
        default_factory=lambda: {name: _Baseline(feature) for name, feature in FEATURES.items()}
    )
    _late: deque[tuple[VoiceMeasure, float]] = field(default_factory=deque)
    _last_ms: int | None = None
    _since_ms: int = 0
    _up_ms: int = 0
    """Raised speech in this rise, since the score said so."""
    _before_ms: int = 0
    """Raised speech before: the score follows means, so that it rises when nearly all of them is raised."""
    _spoken: Signal | None = None
    _quiet_until_ms: int = 0

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The rise that is going on, if it has lasted long enough; the same rise keeps its key."""
        measure = window.voice
        if measure is None:
            return ()
        gap = measure.at_ms - self._last_ms if self._last_ms is not None else BREAK_MS
        self.judge(measure)
        if not self.raised:
            self._spoken = None
            return ()
        self._up_ms += min(gap, 400)
        if self._up_ms < LEAST_MS or (self._spoken is None and measure.at_ms < self._quiet_until_ms):
            return ()
        signal = self._signal(measure)
        if signal is None:
            return ()
        if self._spoken is None:
            self._quiet_until_ms = measure.at_ms + REFRACTORY_MS
        self._spoken = signal
        return (signal,)

    def judge(self, measure: VoiceMeasure) -> float:
        """Score one measure against the caller's normal, then let older speech into the baseline."""
        raw, trust = 0.0, math.sqrt(min(1.0, measure.voiced_ms / FULL_MS))
        for name, baseline in self._baselines.items():
            z = trust * (float(getattr(measure, name)) - baseline.normal) / baseline.deviation
            raw += baseline.feature.weight * min(CLIP[1], max(CLIP[0], z))
        gap = measure.at_ms - self._last_ms if self._last_ms is not None else BREAK_MS
        if gap >= BREAK_MS:
            self.score, self.raised, self._spoken = raw, False, None
        else:
            self.score += (raw - self.score) * (1 - math.exp(-gap / SMOOTH_MS))
        self._last_ms = measure.at_ms
        if not self.raised and self.score >= RAISED:
            self.raised, self._since_ms, self._up_ms, self._before_ms = True, measure.at_ms, 0, measure.voiced_ms
        elif self.raised and self.score < LOWERED:
            self.raised = False
        self._late.append((measure, self.score))
        while self._late and measure.at_ms - self._late[0][0].at_ms >= LATE_MS:
            self._learn(*self._late.popleft())
        return self.score

    def pause(self) -> None:
        """The caller was away: the normal stays, the smoothed score begins anew."""
        self._last_ms = None
        self.raised = False

    def _learn(self, measure: VoiceMeasure, score: float) -> None:
        worst = max([score, *(later for _, later in self._late)])
        share = 1.0 if worst < CALM_BELOW else HALFWAY if worst < UP_FROM else LEAK
        for name, baseline in self._baselines.items():
            baseline.take(float(getattr(measure, name)), 0.2 * share, 0.2)

    def _signal(self, measure: VoiceMeasure) -> Signal | None:
        """The rise in words that are true of this measure; as it was said last, or not yet, where none is."""
        known = all(baseline.known for baseline in self._baselines.values())
        change = {
            name: float(getattr(measure, name)) - self._baselines[name].normal
            for name in ("level_db", "pitch_semitones", "balance_db")
        }
        seconds = (self._before_ms + self._up_ms) / 1000
        strength = min(1.0, max(0.0, (self.score - LOWERED) / (STRONG - LOWERED)))
        parts = _against_own(change) if known else _against_others(change)
        if not parts:
            return replace(self._spoken, at_ms=measure.at_ms, strength=strength) if self._spoken else None
        listed = " and ".join(parts) if len(parts) < 3 else f"{parts[0]}, {parts[1]} and {parts[2]}"
        than = "over this caller's normal" if known else "than most callers (this one's normal is not known yet)"
        measured = {"brighter_db": change["balance_db"]}
        if known:
            measured |= {name: change[name] for name in ("level_db", "pitch_semitones")}
        return Signal(
            id="raised_voice",
            rule="tone.raised-voice",
            version=self.version,
            speaker=Speaker.CUSTOMER,
            at_ms=measure.at_ms,
            strength=strength,
            severity=Severity.NOTE,
            evidence=Evidence(
                start_ms=self._since_ms,
                end_ms=measure.at_ms,
                measured={
                    **{name: round(value, 1) for name, value in measured.items()},
                    "seconds": round(seconds, 1),
                    "score": round(self.score, 2),
                },
                summary=f"{listed} {than}, {seconds:.1f} s",
            ),
        )


def _against_own(change: Mapping[str, float]) -> list[str]:
    """What stands out against the caller's own normal."""
    level, higher = change["level_db"], round(change["pitch_semitones"])
    parts = [f"+{level:.0f} dB"] if level >= 1.5 else []
    parts += [f"+{higher} semitone{'s' * (higher > 1)}"] if change["pitch_semitones"] >= 1.0 else []
    return parts + ["brighter"] * (change["balance_db"] >= 2.0)


def _against_others(change: Mapping[str, float]) -> list[str]:
    """What stands out among callers; not how loud it is: that says more of the line than of the caller."""
    return [
        word
        for name, word in (("pitch_semitones", "higher"), ("balance_db", "brighter"))
        if change[name] >= FEATURES[name].between
    ]
