"""Raised voice: louder, brighter and higher than the caller's own baseline, in physical measures, never as an emotion.

The score is a weighted sum of z-scores: every feature of the last second of voiced speech against a running baseline of
the same caller. The baseline is Bayesian: it starts as a population prior with a wide predictive deviation, so that no
calibration is needed, and narrows within a few seconds of speech. Speech enters it with a delay, at a low weight while
the voice is raised, and clipped, so that anger does not become the baseline; a small leak frees it from a bad start.

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
    """The distribution of one measure (a field of `VoiceMeasure`, in its unit) in calm speech."""

    mean: float
    between_sd: float
    """Standard deviation of callers' means."""
    within_sd: float
    """Standard deviation of one caller's one-second windows."""
    weight: float
    """Of its z-score in the score."""


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
The period counts least: it rises by 5 semitones in a friendly goodbye. Pitch is shown, but has no weight: in the
period's place it finds anger no better, and acted calm speech alarms more often (5 times instead of 3)."""

CLIP = (-1.5, 4.0)
"""Range to which z-scores are clipped. The level alone (at most 4 x 0.24) stays below ONSET_SCORE."""
POPULATION_S = 15.0
"""The population's variance has the weight of so many seconds of the caller's own speech."""
FULL_MS = 1_000
"""A mean over less voiced speech varies more: its z-scores are multiplied by sqrt(voiced_ms / FULL_MS)."""
SMOOTH_MS = 200.0
"""Time constant of the score; the measures are means over a second already."""
ONSET_SCORE = 2.0
"""Score at which a rise begins. Set on calm talk that is not acted, never on acted speech, which hides false alarms:
none in 0.18 hours of bank agents and readers, some 6 an hour in 1.7 hours of prompts by eight speakers in a row.
`assist eval` with clips labelled natural measures it."""
OFFSET_SCORE = 0.9
"""Score below which it ends."""
MIN_RISE_MS = 200
"""One measure, of a second of speech: one loud word does not reach it."""
REFRACTORY_MS = 15_000
"""After the start of one signal no other starts for so long."""
FULL_STRENGTH_SCORE = 3.0
"""Score at which the strength is 1."""
MEMORY_S = 40.0
"""Time constant of the baseline, in seconds of voiced speech."""
DELAY_MS = 3_000
"""Speech enters the baseline so much later."""
HUBER_LIMIT = 1.5
"""Values are clipped to so many standard deviations from the normal before they enter the baseline."""
CALM_BELOW = 1.0
RAISED_FROM = 1.5
BETWEEN_SHARE = 0.2
LEAK = 0.03
"""Weight with which speech enters the baseline: 1 below a score of CALM_BELOW, LEAK from RAISED_FROM, between the two
BETWEEN_SHARE. The leak frees the baseline from a bad start. With the weight 1 for all speech the last third of 40 s of
acted anger was found 24 % of the time instead of 88 %, without HUBER_LIMIT as well 1 %
(assist/evaluation/tone_course.py)."""
BREAK_MS = 6_000
"""After this much without measures a rise is over, and the smoothed score starts anew."""
MIN_KNOWN_S = 1.0
"""Seconds of speech from which on the normal is called this caller's; before, it is the population's."""


@dataclass(slots=True)
class _Baseline:
    """Running estimate of one feature of one caller."""

    feature: Feature
    weight: float = 0.0
    """Seconds of speech taken in, with exponential decay."""
    mean: float = 0.0
    variance: float = 0.0

    @property
    def normal(self) -> float:
        """The posterior mean: of the population's and the caller's, weighted by their precision."""
        prior = self.feature.within_sd**2 / self.feature.between_sd**2
        return (prior * self.feature.mean + self.weight * self.mean) / (prior + self.weight)

    @property
    def known(self) -> bool:
        """Whether the normal is this caller's own (see `MIN_KNOWN_S`)."""
        return self.weight >= MIN_KNOWN_S

    @property
    def deviation(self) -> float:
        """Predictive standard deviation of the next window: from the variance and the uncertainty of the normal."""
        prior = self.feature.within_sd**2 / self.feature.between_sd**2
        spread = (POPULATION_S * self.feature.within_sd**2 + self.weight * self.variance) / (POPULATION_S + self.weight)
        return math.sqrt(spread + self.feature.within_sd**2 / (prior + self.weight))

    def update(self, value: float, weight: float, seconds: float) -> None:
        """Add the value of one window: weighted incremental mean and variance, after a decay by `seconds`."""
        limit = HUBER_LIMIT * self.deviation
        value = self.normal + min(limit, max(-limit, value - self.normal))
        decay = math.exp(-seconds / MEMORY_S)
        self.weight *= decay
        total = self.weight + weight
        if total <= 0:
            return
        delta = value - self.mean
        self.mean += delta * weight / total
        self.variance += (delta * (value - self.mean) - self.variance) * weight / total
        self.weight = total


@dataclass
class RaisedVoice:
    """The detector of one caller's raised voice. `score` and `raised` may be read after each window."""

    name: str = "raised_voice"
    version: str = "4"
    score: float = 0.0
    raised: bool = False
    _baselines: dict[str, _Baseline] = field(
        default_factory=lambda: {name: _Baseline(feature) for name, feature in FEATURES.items()}
    )
    _delayed: deque[tuple[VoiceMeasure, float]] = field(default_factory=deque)
    _last_ms: int | None = None
    _since_ms: int = 0
    _rise_ms: int = 0
    """Duration of this rise since its onset."""
    _raised_before_ms: int = 0
    """Raised speech before the onset: all of the measure then, as a mean gets there only when nearly all is raised."""
    _last_signal: Signal | None = None
    _refractory_until_ms: int = 0

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The signal of the present rise, if it has lasted long enough; its key stays the same."""
        measure = window.voice
        if measure is None:
            return ()
        gap = measure.at_ms - self._last_ms if self._last_ms is not None else BREAK_MS
        self.update(measure)
        if not self.raised:
            self._last_signal = None
            return ()
        self._rise_ms += min(gap, 400)
        if self._rise_ms < MIN_RISE_MS or (self._last_signal is None and measure.at_ms < self._refractory_until_ms):
            return ()
        signal = self._signal(measure)
        if signal is None:
            return ()
        if self._last_signal is None:
            self._refractory_until_ms = measure.at_ms + REFRACTORY_MS
        self._last_signal = signal
        return (signal,)

    def update(self, measure: VoiceMeasure) -> float:
        """The score after one measure of the caller's voice; updates the baseline too."""
        raw, reliability = 0.0, math.sqrt(min(1.0, measure.voiced_ms / FULL_MS))
        for name, baseline in self._baselines.items():
            z = reliability * (float(getattr(measure, name)) - baseline.normal) / baseline.deviation
            raw += baseline.feature.weight * min(CLIP[1], max(CLIP[0], z))
        gap = measure.at_ms - self._last_ms if self._last_ms is not None else BREAK_MS
        if gap >= BREAK_MS:
            self.score, self.raised, self._last_signal = raw, False, None
        else:
            self.score += (raw - self.score) * (1 - math.exp(-gap / SMOOTH_MS))
        self._last_ms = measure.at_ms
        if not self.raised and self.score >= ONSET_SCORE:
            self.raised, self._since_ms, self._rise_ms, self._raised_before_ms = (
                True,
                measure.at_ms,
                0,
                measure.voiced_ms,
            )
        elif self.raised and self.score < OFFSET_SCORE:
            self.raised = False
        self._delayed.append((measure, self.score))
        while self._delayed and measure.at_ms - self._delayed[0][0].at_ms >= DELAY_MS:
            self._update_baselines(*self._delayed.popleft())
        return self.score

    def pause(self) -> None:
        """Keep the baseline and start a new smoothed score: the caller was away."""
        self._last_ms = None
        self.raised = False

    def _update_baselines(self, measure: VoiceMeasure, score: float) -> None:
        """Add a measure to the baselines, with a weight by the highest score from it on."""
        highest = max([score, *(later for _, later in self._delayed)])
        share = 1.0 if highest < CALM_BELOW else BETWEEN_SHARE if highest < RAISED_FROM else LEAK
        for name, baseline in self._baselines.items():
            baseline.update(float(getattr(measure, name)), 0.2 * share, 0.2)

    def _signal(self, measure: VoiceMeasure) -> Signal | None:
        """The signal with what this measure shows; the last one again, or None, where it shows nothing."""
        known = all(baseline.known for baseline in self._baselines.values())
        change = {
            name: float(getattr(measure, name)) - self._baselines[name].normal
            for name in ("level_db", "pitch_semitones", "balance_db")
        }
        seconds = (self._raised_before_ms + self._rise_ms) / 1000
        strength = min(1.0, max(0.0, (self.score - OFFSET_SCORE) / (FULL_STRENGTH_SCORE - OFFSET_SCORE)))
        parts = _above_own_normal(change) if known else _above_population(change)
        if not parts:
            return replace(self._last_signal, at_ms=measure.at_ms, strength=strength) if self._last_signal else None
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


def _above_own_normal(change: Mapping[str, float]) -> list[str]:
    """What exceeds the caller's own normal."""
    level, higher = change["level_db"], round(change["pitch_semitones"])
    parts = [f"+{level:.0f} dB"] if level >= 1.5 else []
    parts += [f"+{higher} semitone{'s' * (higher > 1)}"] if change["pitch_semitones"] >= 1.0 else []
    return parts + ["brighter"] * (change["balance_db"] >= 2.0)


def _above_population(change: Mapping[str, float]) -> list[str]:
    """What exceeds the population's mean; not the level, which depends on the line more than on the caller."""
    return [
        word
        for name, word in (("pitch_semitones", "higher"), ("balance_db", "brighter"))
        if change[name] >= FEATURES[name].between_sd
    ]
