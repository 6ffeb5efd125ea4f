"""The results of an evaluation: figures with 95 % confidence intervals, and their formulas.

Proportions carry Wilson's interval, F1 Goutte and Gaussier's, rates per hour or per 10,000 words Byar's approximation
to the exact Poisson interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959964
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SignalFigures:
    """How one signal did. Precision, recall and F1 are None where nothing was labelled with it."""

    id: str
    labelled: int
    hits: int
    false: int
    missed: int
    precision: Figure | None
    recall: Figure | None
    f1: Figure | None
    false_per_10k_words: Figure | None
    """None where only what people have marked was judged, or no words."""
    false_per_hour: Figure | None
    """None where the material has no times."""
    delay_median_s: float | None = None
    """From the end of its evidence until it was raised, in calls; of voices from the beginning of the clip."""
    delay_p95_s: float | None = None


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """How the escalation level and the prompts did on whole calls.

    False is what came in calm time: in calm calls, and before the first cue of the others unless it was early.
    """

    calm_calls: int
    calm_hours: float
    false_tense: int
    false_escalations: int
    false_prompts: int
    false_escalations_per_hour: Figure
    false_prompts_per_hour: Figure
    false_prompt_causes: tuple[tuple[str, int], ...]
    """Rules (or the play, where no signal was behind it) and how many false prompts stood on them, most first."""
    escalating_calls: int
    noticed: int
    """Escalating calls whose level had risen and stood at the labelled moment, or rose within a minute of it."""
    early: int
    """Of those, calls whose level had risen before the labelled moment and stood until then."""
    early_median_s: float | None
    early_most_s: float | None
    """How early."""
    escalated: int
    """... and reached "escalated"."""
    recovered: int
    """Of those, calls that came down again."""
    delay_median_s: float | None
    """From the first cue's labelled completion to the first change of level, where that was not early."""
    delay_p95_s: float | None
    late: int
    """Delays over 5 s, the goal."""


@dataclass(frozen=True, slots=True)
class Example:
    """One miss or false alarm, to look at."""

    what: str
    """missed or false."""
    signal: str
    text: str
    place: str = ""
    because: str = ""
    """The words or values that raised the false alarm, with its rule."""


@dataclass(frozen=True, slots=True)
class LevelTimeline:
    """The level of one call over time."""

    call: str
    length_s: float
    escalates_at: float | None
    levels: tuple[tuple[float, str], ...]
    """Second and level of each change; before the first it is calm."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Figures of voices, a column for every condition of a line."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one run."""

    source: str
    kind: str
    """utterances, calls, audio (its words) or voices."""
    units: int
    """Utterances, turns or clips judged."""
    words: int
    hours: float | None
    signals: tuple[SignalFigures, ...]
    level: LevelFigures | None = None
    timelines: tuple[LevelTimeline, ...] = ()
    examples: tuple[Example, ...] = ()
    marks: int = 0
    """Judgements of people in calls, where these were measured: each one signal on one line."""
    grids: tuple[Grid, ...] = ()
    """Of voices: the goals, and of several corpora the AUC of each."""
    left_out: int = 0
    """Clips that were listed and cannot be heard; the notes say which."""
    notes: tuple[str, ...] = ()


def wilson(hits: int, of: int) -> Figure:
    """A proportion with Wilson's score interval (Wilson 1927)."""
    if of == 0:
        return Figure(math.nan, 0.0, 1.0)
    share = hits / of
    centre = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z / (1 + Z * Z / of) * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    return Figure(share, max(0.0, centre - half), min(1.0, centre + half))


def f1(hits: int, false: int, missed: int) -> Figure:
    """F1 with the interval of Goutte & Gaussier (ECIR 2005): U / (U + V), U ~ Gamma(hits + l, 2) and
    V ~ Gamma(false + missed + 2 l, 1), with Jeffreys' l = 1/2; 20,000 draws of a fixed seed, so that a rerun says the
    same. A bootstrap would call four hits of four certain.
    """
    value = 2 * hits / (2 * hits + false + missed) if hits + false + missed else math.nan
    draws = np.random.default_rng(1)
    good = draws.gamma(hits + 0.5, 2.0, 20_000)
    bad = draws.gamma(false + missed + 1.0, 1.0, 20_000)
    low, high = np.percentile(good / (good + bad), [2.5, 97.5])
    return Figure(value, min(float(low), value), max(float(high), value))


def rate(count: int, exposure: float) -> Figure:
    """Events per unit of exposure with Byar's approximation to the exact Poisson interval (Breslow & Day 1987)."""
    if exposure <= 0:
        return Figure(math.nan, math.nan, math.nan)
    low = count * (1 - 1 / (9 * count) - Z / (3 * math.sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + Z / (3 * math.sqrt(more))) ** 3
    return Figure(count / exposure, low / exposure, high / exposure)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Percentile by linear interpolation; None without values."""
    return float(np.percentile(values, percent)) if values else None


def iter_notes(evaluation: Evaluation) -> Iterator[str]:
    """Notes to show with the figures."""
    yield from evaluation.notes
    small = [row.id for row in evaluation.signals if 0 < row.labelled < 30]
    if small:
        yield f"Fewer than 30 labelled examples, read the intervals and not the values: {', '.join(small)}."
    if evaluation.signals and not evaluation.marks and not any(row.labelled for row in evaluation.signals):
        yield "Nothing is labelled with a signal: all that is found counts as false."
    always = [row.id for row in evaluation.signals if row.labelled and row.f1 is None]
    if always:
        yield f"No precision and no F1: there is nothing that is not labelled with it: {', '.join(always)}."
    if evaluation.marks:
        yield (
            f"{evaluation.marks} marks of people in calls, each judged after what was said before it; they say nothing "
            "of what nobody has marked, so that there is no rate of false alarms."
        )
