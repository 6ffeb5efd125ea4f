"""`assist eval`: how good the signals and the level are on labelled material, with confidence intervals.

Proportions carry Wilson's 95 % interval, F1 a bootstrap's, rates per hour Byar's approximation to the exact Poisson
interval. Each utterance (or turn) counts once per signal: found and labelled is a hit, found only a false alarm,
labelled only a miss.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Protocol

import numpy as np

from assist.evaluation_cases import Case, Clip, LabelledCall
from assist.events import Event, PromptShown, SignalRaised, SignalWithdrawn
from audio.events import Heard, Hypothesis, Speaker, SpeechActivity, Utterance, Word
from detectors.signals import SIGNAL_IDS, Detector, Level, LevelChange, Signal, Window

Z = 1.959964
"""Normal quantile of a two-sided 95 % interval."""
PARTIAL_MS = 1_000
"""A call's words become known in such steps while a turn is spoken, as a streaming recogniser gives them ..."""
AGREED_LAG_MS = 1_000
"""... the last second of them not yet agreed on ..."""
SETTLE_MS = 700
"""... and they settle this long after the turn's end."""
TICK_MS = 500


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
    false_per_10k_words: Figure
    false_per_hour: Figure | None
    """None where the material has no times."""
    delay_median_s: float | None = None
    """From the end of the words or sound it stands on to its being raised; calls only."""
    delay_p95_s: float | None = None


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """How the escalation level and the prompts did on whole calls."""

    calm_calls: int
    calm_hours: float
    false_tense: int
    false_escalations: int
    false_prompts: int
    false_escalations_per_hour: Figure
    false_prompts_per_hour: Figure
    escalating_calls: int
    noticed: int
    """Escalating calls whose level rose at all, not earlier than `EARLY_S` before the labelled moment."""
    escalated: int
    """... and reached "escalated"."""
    recovered: int
    """Of those, calls that came down again."""
    delay_median_s: float | None
    """From the first cue's labelled completion to the first change of level."""
    delay_p95_s: float | None
    late: int
    """Delays over 5 s, the goal."""


@dataclass(frozen=True, slots=True)
class Example:
    """One thing that went wrong, to look at."""

    what: str
    """missed or false."""
    signal: str
    text: str
    place: str = ""
    because: str = ""
    """The words or values the false alarm stood on, with its rule."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one run."""

    source: str
    kind: str
    """utterances, calls or audio."""
    units: int
    """Utterances, turns or clips judged."""
    words: int
    hours: float | None
    signals: tuple[SignalFigures, ...]
    level: LevelFigures | None = None
    examples: tuple[Example, ...] = ()
    marks: int = 0
    """Cases that came from people's marks in calls."""
    notes: tuple[str, ...] = ()


EARLY_S = 2.0
"""A change of level this little before the labelled moment is a prompt answer, not a false alarm."""


class Judge(Protocol):
    """What a call is played to: the live session of a call, or anything with its methods."""

    def hear(self, heard: Heard) -> list[Event]:
        """Take what a listener says."""
        ...

    def tick(self, now_ms: int) -> list[Event]:
        """Time has passed."""
        ...


@dataclass(slots=True)
class _Tally:
    hits: int = 0
    false: int = 0
    missed: int = 0
    delays: list[float] = field(default_factory=list)


@dataclass(slots=True)
class _Tallies:
    """Counts while units are judged one by one."""

    by_id: dict[str, _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    examples: list[Example] = field(default_factory=list)
    units: int = 0
    words: int = 0

    def count(
        self,
        text: str,
        labels: Iterable[str],
        judged: Iterable[str] | None,
        found: dict[str, str],
        place: str = "",
    ) -> None:
        """One unit: what it is labelled with against what was found in it (id -> what it stood on)."""
        asked = SIGNAL_IDS if judged is None else frozenset(judged)
        wanted = set(labels)
        self.units += 1
        self.words += len(text.split())
        for signal in sorted((wanted | found.keys()) & (asked | wanted)):
            tally = self.by_id[signal]
            if signal in wanted and signal in found:
                tally.hits += 1
            elif signal in found:
                tally.false += 1
                self.examples.append(Example("false", signal, text, place, found[signal]))
            else:
                tally.missed += 1
                self.examples.append(Example("missed", signal, text, place))

    def figures(self, hours: float | None) -> tuple[SignalFigures, ...]:
        rows = []
        for signal, tally in sorted(self.by_id.items()):
            labelled = tally.hits + tally.missed
            found = tally.hits + tally.false
            rows.append(
                SignalFigures(
                    id=signal,
                    labelled=labelled,
                    hits=tally.hits,
                    false=tally.false,
                    missed=tally.missed,
                    precision=wilson(tally.hits, found) if labelled and found else None,
                    recall=wilson(tally.hits, labelled) if labelled else None,
                    f1=f1(tally.hits, tally.false, tally.missed, self.units) if labelled else None,
                    false_per_10k_words=rate(tally.false, self.words / 10_000),
                    false_per_hour=None if hours is None else rate(tally.false, hours),
                    delay_median_s=median(tally.delays) if tally.delays else None,
                    delay_p95_s=percentile(tally.delays, 95),
                )
            )
        return tuple(rows)


def evaluate_cases(cases: Sequence[Case], build: Callable[[], Sequence[Detector]], source: str) -> Evaluation:
    """Judge single utterances, each with fresh detectors and nothing before it."""
    tallies = _Tallies()
    for case in cases:
        found = _found_in(_utterance("u0", case.who, case.text), build())
        tallies.count(case.text, case.labels, case.judged, found, f"{case.call} {case.at_s or ''}".strip())
    return Evaluation(
        source=source,
        kind="utterances",
        units=tallies.units,
        words=tallies.words,
        hours=None,
        signals=tallies.figures(None),
        examples=tuple(tallies.examples),
        marks=sum(case.mark is not None for case in cases),
    )


def evaluate_clips(
    clips: Sequence[Clip],
    build: Callable[[], Sequence[Detector]],
    transcribe: Callable[[Path], Sequence[Word]],
    source: str,
) -> Evaluation:
    """Judge the words of clips labelled for word signals, as a recogniser hears them; each is the customer's."""
    tallies = _Tallies()
    end_ms = 0
    for clip in clips:
        if clip.signals is None:
            continue
        words = tuple(transcribe(clip.path))
        length_ms = words[-1].end_ms if words else 0
        utterance = Utterance("u0", Speaker.CUSTOMER, 0, length_ms, words)
        found = _found_in(utterance, build()) if words else {}
        tallies.count(utterance.text, clip.signals, None, found, clip.path.name)
        end_ms += length_ms
    hours = end_ms / 3_600_000
    return Evaluation(
        source=source,
        kind="audio",
        units=tallies.units,
        words=tallies.words,
        hours=hours,
        signals=tallies.figures(hours or None),
        examples=tuple(tallies.examples),
    )


def evaluate_calls(calls: Sequence[LabelledCall], begin: Callable[[LabelledCall], Judge], source: str) -> Evaluation:
    """Play whole calls, turn by turn in call time, to a fresh session each, and compare what came out."""
    tallies = _Tallies()
    courses: list[tuple[LabelledCall, list[Event]]] = []
    for call in calls:
        events = play(call, begin(call))
        courses.append((call, events))
        _count_call(call, events, tallies)
    hours = sum(_hours(call) for call in calls)
    return Evaluation(
        source=source,
        kind="calls",
        units=tallies.units,
        words=tallies.words,
        hours=hours,
        signals=tallies.figures(hours),
        level=_level(courses),
        examples=tuple(tallies.examples),
    )


def play(call: LabelledCall, judge: Judge) -> list[Event]:
    """Everything a session says about a call whose words arrive as a streaming recogniser gives them.

    After the last turn 10 s of silence follow.
    """
    events: list[Event] = []
    now = 0
    ends_ms = max(turn.end_ms for turn in call.turns) + 10_000
    for at_ms, heard in [*_heard(call), (ends_ms, None)]:
        while now + TICK_MS <= at_ms:
            now += TICK_MS
            events += judge.tick(now)
        events += judge.tick(at_ms)
        if heard is not None:
            events += judge.hear(heard)
    return events


def _heard(call: LabelledCall) -> list[tuple[int, Heard]]:
    stream: list[tuple[int, int, Heard]] = []
    for number, turn in enumerate(call.turns):
        name = f"t{number}"
        whole = _utterance(name, turn.who, turn.text, turn.start_ms, turn.end_ms)
        stream.append((whole.start_ms, 0, SpeechActivity(turn.who, whole.start_ms, True)))
        for now in range(whole.start_ms + PARTIAL_MS, whole.end_ms, PARTIAL_MS):
            agreed = tuple(word for word in whole.words if word.end_ms <= now - AGREED_LAG_MS)
            tentative = tuple(word for word in whole.words if now - AGREED_LAG_MS < word.end_ms <= now)
            if agreed:
                stream.append((now, 1, Hypothesis(name, turn.who, whole.start_ms, agreed, tentative)))
        stream.append((whole.end_ms, 2, SpeechActivity(turn.who, whole.end_ms, False)))
        stream.append((whole.end_ms + SETTLE_MS, 3, whole))
    return [(at_ms, heard) for at_ms, _, heard in sorted(stream, key=lambda each: each[:2])]


def _utterance(name: str, speaker: Speaker, text: str, start_ms: int = 0, end_ms: int | None = None) -> Utterance:
    """Words of a written text, given times in proportion to their letters."""
    texts = text.split()
    end_ms = end_ms if end_ms is not None else start_ms + round(len(texts) * 1000 / 2.7)
    sizes = [len(each) + 1 for each in texts]
    edges = [start_ms + round((end_ms - start_ms) * sum(sizes[:n]) / max(sum(sizes), 1)) for n in range(len(texts) + 1)]
    words = tuple(Word(each, edges[n], edges[n + 1]) for n, each in enumerate(texts))
    return Utterance(name, speaker, start_ms, end_ms, words)


def _found_in(utterance: Utterance, detectors: Sequence[Detector]) -> dict[str, str]:
    window = Window(now_ms=utterance.end_ms, utterances=(utterance,), latest=utterance)
    found: dict[str, str] = {}
    for detector in detectors:
        for signal in detector(window):
            found.setdefault(signal.id, f"{signal.evidence.quote or signal.evidence.summary} [{signal.rule}]")
    return found


def _count_call(call: LabelledCall, events: Sequence[Event], tallies: _Tallies) -> None:
    standing: dict[str, SignalRaised] = {}
    for event in events:
        if isinstance(event, SignalRaised):
            standing.setdefault(event.signal.key, event)
        elif isinstance(event, SignalWithdrawn):
            standing.pop(event.key, None)
    by_turn: dict[int, dict[str, str]] = defaultdict(dict)
    for raised in standing.values():
        signal = raised.signal
        evidence = signal.evidence
        number = _turn_of(call, signal)
        by_turn[number].setdefault(signal.id, f"{evidence.quote or evidence.summary} [{signal.rule}]")
        if signal.id in call.turns[number].labels:
            tallies.by_id[signal.id].delays.append((raised.at_ms - signal.at_ms) / 1000)
    for number, turn in enumerate(call.turns):
        place = f"{call.call} {turn.start:.1f} s"
        tallies.count(turn.text, turn.labels, turn.judged, by_turn[number], place)


def _turn_of(call: LabelledCall, signal: Signal) -> int:
    """The turn a signal belongs to: that of its words; else the last one begun, a labelled one within 10 s first."""
    if signal.evidence.utterance is not None:
        return int(signal.evidence.utterance.removeprefix("t"))
    begun = [n for n, turn in enumerate(call.turns) if turn.start_ms <= signal.at_ms] or [0]
    near = [n for n in begun if signal.id in call.turns[n].labels and signal.at_ms - call.turns[n].end_ms <= 10_000]
    return (near or begun)[-1]


def _false_prompts(call: LabelledCall, events: Sequence[Event]) -> int:
    """Prompts none of whose signals is labelled in the turn it was heard in."""
    raised = {event.signal.key: event.signal for event in events if isinstance(event, SignalRaised)}
    true = {key for key, signal in raised.items() if signal.id in call.turns[_turn_of(call, signal)].labels}
    return sum(isinstance(event, PromptShown) and not true & set(event.signals) for event in events)


def _level(courses: Sequence[tuple[LabelledCall, list[Event]]]) -> LevelFigures:
    calm_hours = 0.0
    counts: dict[str, int] = defaultdict(int)
    delays: list[float] = []
    for call, events in courses:
        changes = [event for event in events if isinstance(event, LevelChange)]
        if call.escalates_at is None:
            calm_hours += _hours(call)
            counts["calm"] += 1
            counts["tense"] += sum(c.level is Level.TENSE and c.before is Level.CALM for c in changes)
            counts["false"] += sum(c.level is Level.ESCALATED for c in changes)
            counts["prompts"] += _false_prompts(call, events)
            continue
        counts["escalating"] += 1
        up = [c for c in changes if c.level in (Level.TENSE, Level.ESCALATED)]
        early = [c for c in up if c.at_ms / 1000 < call.escalates_at - EARLY_S]
        counts["tense"] += len(early)
        counts["false"] += sum(c.level is Level.ESCALATED for c in early)
        timely = [c for c in up if c not in early]
        if timely:
            counts["noticed"] += 1
            delays.append(timely[0].at_ms / 1000 - call.escalates_at)
        if any(c.level is Level.ESCALATED for c in timely):
            counts["escalated"] += 1
            counts["recovered"] += any(c.level is Level.RECOVERING for c in changes)
    return LevelFigures(
        calm_calls=counts["calm"],
        calm_hours=calm_hours,
        false_tense=counts["tense"],
        false_escalations=counts["false"],
        false_prompts=counts["prompts"],
        false_escalations_per_hour=rate(counts["false"], calm_hours),
        false_prompts_per_hour=rate(counts["prompts"], calm_hours),
        escalating_calls=counts["escalating"],
        noticed=counts["noticed"],
        escalated=counts["escalated"],
        recovered=counts["recovered"],
        delay_median_s=median(delays) if delays else None,
        delay_p95_s=percentile(delays, 95),
        late=sum(delay > 5.0 for delay in delays),
    )


def _hours(call: LabelledCall) -> float:
    return max(turn.end_ms for turn in call.turns) / 3_600_000


def wilson(hits: int, of: int) -> Figure:
    """A proportion with Wilson's score interval (Wilson 1927)."""
    if of == 0:
        return Figure(math.nan, 0.0, 1.0)
    share = hits / of
    centre = (share + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z / (1 + Z * Z / of) * math.sqrt(share * (1 - share) / of + Z * Z / (4 * of * of))
    return Figure(share, max(0.0, centre - half), min(1.0, centre + half))


def f1(hits: int, false: int, missed: int, units: int) -> Figure:
    """F1 with a percentile bootstrap over units (2,000 resamples, fixed seed, so that a rerun gives the same).

    Resampling units that are each a hit, a false alarm, a miss or nothing is drawing from a multinomial.
    """
    value = 2 * hits / (2 * hits + false + missed) if hits + false + missed else math.nan
    counts = np.array([hits, false, missed, max(units - hits - false - missed, 0)], dtype=np.float64)
    if counts.sum() == 0:
        return Figure(value, 0.0, 1.0)
    drawn = np.random.default_rng(1).multinomial(int(counts.sum()), counts / counts.sum(), size=2_000)
    below = 2 * drawn[:, 0] + drawn[:, 1] + drawn[:, 2]
    scores = 2 * drawn[below > 0, 0] / below[below > 0]
    low, high = np.percentile(scores, [2.5, 97.5]) if len(scores) else (0.0, 1.0)
    return Figure(value, float(low), float(high))


def rate(count: int, exposure: float) -> Figure:
    """Events per unit of exposure with Byar's approximation to the exact Poisson interval (Breslow & Day 1987)."""
    if exposure <= 0:
        return Figure(math.nan, math.nan, math.nan)
    low = count * (1 - 1 / (9 * count) - Z / (3 * math.sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + Z / (3 * math.sqrt(more))) ** 3
    return Figure(count / exposure, low / exposure, high / exposure)


def percentile(values: Sequence[float], share: float) -> float | None:
    """Percentile by linear interpolation; None of nothing."""
    return float(np.percentile(values, share)) if values else None


def iter_notes(evaluation: Evaluation) -> Iterator[str]:
    """Plain sentences that belong under the figures."""
    yield from evaluation.notes
    small = [row.id for row in evaluation.signals if 0 < row.labelled < 30]
    if small:
        yield f"Fewer than 30 labelled examples, read the intervals and not the values: {', '.join(small)}."
    if evaluation.marks:
        yield f"{evaluation.marks} of the cases come from people's marks in calls."
