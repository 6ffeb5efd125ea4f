"""`assist eval`: how good the signals and the level are on labelled material, with confidence intervals.

Each utterance (or turn) counts once per signal: found and labelled is a hit, found only a false alarm,
labelled only a miss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median
from typing import Protocol

from assist.errors import AssistError
from assist.evaluation.cases import (
    AFTER_S,
    WORDS_PER_S,
    Case,
    Clip,
    Labelled,
    LabelledCall,
    Turn,
)
from assist.evaluation.figures import (
    Course,
    Evaluation,
    Example,
    SignalFigures,
    f1,
    percentile,
    rate,
    wilson,
)
from assist.evaluation.levels import level_figures
from assist.evaluation.progress import Progress, counted, silent
from assist.events import Event, SignalRaised, SignalWithdrawn
from assist.live.session import TICK_MS
from audio.events import Heard, Hypothesis, Speaker, SpeechActivity, Trouble, Utterance, Word
from detectors.signals import CUSTOMER_WORDS, Detector, LevelChange, Signal, Window

PARTIAL_MS = 1_000
"""A call's words become known in such steps while a turn is spoken, as a streaming recogniser gives them ..."""
AGREED_LAG_MS = 1_000
"""... the last second of them not yet agreed on ..."""
SETTLE_MS = 700
"""... and they settle this long after the turn's end."""
REPEAT_MS = 60_000
"""A rule is silent for its cool-down (at most this) after it has fired: the same signal said again is no miss, if its
words by themselves are heard."""
SAID_AGAIN = "Labels that count neither way, for their signal had been raised less than a minute before: {}."
UNSAID = "{} of {} do not say who speaks (speaker): they are taken as the customer's."
ALL_CALM = (
    "No call says when it turns (escalates_at, in seconds): all are taken as calm, every rise of the level as false."
)


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
    words: int = 0
    hours: float = 0.0
    """Words and time in which the signal was looked for: what its false alarms are counted against."""
    without: int = 0
    """Units in which it was looked for and is not labelled: without any it has no precision."""
    delays: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Tallies:
    """Counts while units are judged one by one."""

    by_id: dict[str, _Tally] = field(default_factory=lambda: defaultdict(_Tally))
    examples: list[Example] = field(default_factory=list)
    units: int = 0
    words: int = 0
    hours: float = 0.0
    again: int = 0
    """Labels that count neither way, said again while a rule was silent."""

    def count(
        self,
        item: Labelled,
        text: str,
        asked: Iterable[str],
        found: dict[str, str],
        place: str = "",
        hours: float = 0.0,
    ) -> None:
        """One unit: what it is labelled with against what was found in it (id -> what it stood on)."""
        wanted = set(item.labels) - set(item.unsure)
        asked = (set(asked) | wanted) - set(item.unsure)
        words = len(text.split())
        self.units += 1
        self.words += words
        self.hours += hours
        for signal in sorted(asked):
            tally = self.by_id[signal]
            tally.words += words
            tally.hours += hours
            tally.without += signal not in wanted
            if signal not in wanted and signal not in found:
                continue
            if signal in wanted and signal in found:
                tally.hits += 1
            elif signal in found:
                tally.false += 1
                self.examples.append(Example("false", signal, text, place, found[signal]))
            else:
                tally.missed += 1
                self.examples.append(Example("missed", signal, text, place))

    def figures(self, *, timed: bool = True) -> tuple[SignalFigures, ...]:
        """A row for every signal that was labelled or found."""
        rows = []
        for signal, tally in sorted(self.by_id.items()):
            labelled = tally.hits + tally.missed
            found = tally.hits + tally.false
            if not labelled and not found:
                continue
            rows.append(
                SignalFigures(
                    id=signal,
                    labelled=labelled,
                    hits=tally.hits,
                    false=tally.false,
                    missed=tally.missed,
                    precision=wilson(tally.hits, found) if labelled and found and tally.without else None,
                    recall=wilson(tally.hits, labelled) if labelled else None,
                    f1=f1(tally.hits, tally.false, tally.missed) if labelled and tally.without else None,
                    false_per_10k_words=rate(tally.false, tally.words / 10_000) if tally.words else None,
                    false_per_hour=rate(tally.false, tally.hours) if timed else None,
                    delay_median_s=median(tally.delays) if tally.delays else None,
                    delay_p95_s=percentile(tally.delays, 95),
                )
            )
        return tuple(rows)


def evaluate_cases(
    cases: Sequence[Case], build: Callable[[], Sequence[Detector]], source: str, progress: Progress = silent
) -> Evaluation:
    """Judge single utterances, each with fresh detectors and nothing before it.

    Raises:
        AssistError: code detector-off, where a detector fails.
    """
    tallies = Tallies()
    usual = _looked_for(cases)
    for case in counted(cases, progress):
        found = _found_in(_utterance("u0", case.who, case.text), build())
        asked = usual if case.judged is None else case.judged
        tallies.count(case, case.text, asked, found)
    return Evaluation(
        source=source,
        kind="utterances",
        units=tallies.units,
        words=tallies.words,
        hours=None,
        signals=tallies.figures(timed=False),
        examples=tuple(tallies.examples),
        notes=tuple(_unsaid(cases)),
    )


def evaluate_clips(
    clips: Sequence[Clip],
    build: Callable[[], Sequence[Detector]],
    transcribe: Callable[[Clip], tuple[Sequence[Word], float]],
    source: str,
    progress: Progress = silent,
) -> Evaluation:
    """Judge the words of clips labelled for word signals, as a recogniser hears them; each is the customer's.

    `transcribe`: the words of a clip, and its length in seconds.
    """
    tallies = Tallies()
    items = [Case(text="-", labels=clip.signals) for clip in clips if clip.signals is not None]
    usual = _looked_for(items)
    for clip in counted(clips, progress):
        if clip.signals is None:
            continue
        heard, seconds = transcribe(clip)
        words = tuple(heard)
        utterance = Utterance("u0", Speaker.CUSTOMER, 0, words[-1].end_ms if words else 0, words)
        found = _found_in(utterance, build()) if words else {}
        item = Case(text=utterance.text or "-", labels=clip.signals)
        tallies.count(item, utterance.text, usual, found, clip.place, seconds / 3600)
    return Evaluation(
        source=source,
        kind="audio",
        units=tallies.units,
        words=tallies.words,
        hours=tallies.hours,
        signals=tallies.figures(),
        examples=tuple(tallies.examples),
    )


def evaluate_calls(
    calls: Sequence[LabelledCall], begin: Callable[[LabelledCall], Judge], source: str, progress: Progress = silent
) -> Evaluation:
    """Play whole calls, turn by turn in call time, to a fresh session each, and compare what came out."""
    tallies = Tallies()
    courses: list[tuple[LabelledCall, list[Event]]] = []
    usual = _looked_for(turn for call in calls for turn in call.turns)
    for call in counted(calls, progress):
        events = play(call, begin(call))
        courses.append((call, events))
        _count_call(call, events, tallies, usual, begin)
    labelled = any(turn.labels for call in calls for turn in call.turns)
    notes = [ALL_CALM] if labelled and all(call.escalates_at is None for call in calls) else []
    notes += _unsaid([turn for call in calls for turn in call.turns])
    if tallies.again:
        notes.append(SAID_AGAIN.format(tallies.again))
    return Evaluation(
        source=source,
        kind="calls",
        units=tallies.units,
        words=tallies.words,
        hours=tallies.hours,
        signals=tallies.figures(),
        level=level_figures(courses, _turn_of),
        courses=tuple(_course(call, events) for call, events in courses),
        examples=tuple(tallies.examples),
        notes=tuple(notes),
    )


def evaluate_marks(
    calls: Sequence[LabelledCall], begin: Callable[[LabelledCall], Judge], source: str, progress: Progress = silent
) -> Evaluation:
    """Play calls that people have marked, and judge what is marked: where it was said, after all that was said before.

    Marks give no rate of false alarms: they say nothing of what nobody has marked.
    """
    tallies = Tallies()
    for call in counted(calls, progress):
        _count_call(call, play(call, begin(call)), tallies, frozenset(), begin)
    marked = [turn for call in calls for turn in call.turns if turn.judged]
    rows = (replace(row, false_per_10k_words=None, false_per_hour=None) for row in tallies.figures())
    return Evaluation(
        source=source,
        kind="utterances",
        units=len(marked),
        words=sum(len(turn.text.split()) for turn in marked),
        hours=None,
        signals=tuple(rows),
        examples=tuple(tallies.examples),
        marks=sum(len(turn.judged or ()) for turn in marked),
    )


def play(call: LabelledCall, judge: Judge) -> list[Event]:
    """Everything a session says about a call whose words arrive as a streaming recogniser gives them.

    Raises:
        AssistError: code detector-off; a live call goes on without a detector that fails, figures would only mislead.
    """
    events: list[Event] = []
    now = 0
    ends_ms = max(turn.end_ms for turn in call.turns) + round(AFTER_S * 1000)
    for at_ms, heard in [*_heard(call), (ends_ms, None)]:
        known = len(events)
        while now + TICK_MS <= at_ms:
            now += TICK_MS
            events += judge.tick(now)
        events += judge.tick(at_ms)
        if heard is not None:
            events += judge.hear(heard)
        for event in events[known:]:
            if isinstance(event, Trouble) and event.code.startswith("detector-off:"):
                raise _misleading(event.text.partition(";")[0], f"call {call.call!r}, second {event.at_ms / 1000:.1f}")
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
    end_ms = end_ms if end_ms is not None else start_ms + round(len(texts) * 1000 / WORDS_PER_S)
    sizes = [len(each) + 1 for each in texts]
    edges = [start_ms + round((end_ms - start_ms) * sum(sizes[:n]) / max(sum(sizes), 1)) for n in range(len(texts) + 1)]
    words = tuple(Word(each, edges[n], edges[n + 1]) for n, each in enumerate(texts))
    return Utterance(name, speaker, start_ms, end_ms, words)


def _looked_for(items: Iterable[Labelled]) -> frozenset[str]:
    """Where the material does not say: the word signals of customers, and whatever is labelled anywhere in it."""
    return frozenset(CUSTOMER_WORDS).union(*(item.labels for item in items))


def _unsaid(items: Sequence[Labelled]) -> list[str]:
    silent = sum("speaker" not in item.model_fields_set for item in items)
    return [UNSAID.format(silent, len(items))] if silent else []


def _found_in(utterance: Utterance, detectors: Sequence[Detector]) -> dict[str, str]:
    window = Window(now_ms=utterance.end_ms, utterances=(utterance,), latest=utterance)
    found: dict[str, str] = {}
    for detector in detectors:
        try:
            for signal in detector(window):
                found.setdefault(signal.id, f"{signal.evidence.quote or signal.evidence.summary} [{signal.rule}]")
        except Exception as error:
            stopped = f"detector {detector.name} stopped ({type(error).__name__})"
            raise _misleading(stopped, f"line {utterance.text!r}") from error
    return found


def _misleading(stopped: str, place: str) -> AssistError:
    return AssistError(
        "detector-off", f"{place}: {stopped}; without it the figures would mislead: mend it, then measure"
    )


def _standing(events: Sequence[Event]) -> list[SignalRaised]:
    """What was raised and not withdrawn, each as it came first."""
    standing: dict[str, SignalRaised] = {}
    for event in events:
        if isinstance(event, SignalRaised):
            standing.setdefault(event.signal.key, event)
        elif isinstance(event, SignalWithdrawn):
            standing.pop(event.key, None)
    return list(standing.values())


def _count_call(
    call: LabelledCall,
    events: Sequence[Event],
    tallies: Tallies,
    usual: frozenset[str],
    begin: Callable[[LabelledCall], Judge],
) -> None:
    by_turn: dict[int, dict[str, str]] = defaultdict(dict)
    said_at: dict[str, list[int]] = defaultdict(list)
    for raised in _standing(events):
        signal = raised.signal
        evidence = signal.evidence
        number = _turn_of(call, signal)
        turn = call.turns[number]
        by_turn[number].setdefault(signal.id, f"{evidence.quote or evidence.summary} [{signal.rule}]")
        if signal.id in (*turn.labels, *turn.unsure):
            said_at[signal.id].append(raised.at_ms)
        if signal.id in turn.labels:
            tallies.by_id[signal.id].delays.append((raised.at_ms - signal.at_ms) / 1000)
    spans = _spans_ms(call)
    for number, turn in enumerate(call.turns):
        asked = next((ids for ids in (turn.judged, call.judged) if ids is not None), usual)
        again = {
            name
            for name in set(turn.labels) - by_turn[number].keys()
            if any(0 <= turn.end_ms - at_ms <= REPEAT_MS for at_ms in said_at[name])
        }
        if again:
            again &= _heard_alone(call, turn, begin)
            tallies.again += len(again)
        turn = turn.model_copy(update={"unsure": (*turn.unsure, *again)})
        place = f"{call.call} {turn.start:.1f} s"
        tallies.count(turn, turn.text, asked, by_turn[number], place, spans[number] / 3_600_000)


def _spans_ms(call: LabelledCall) -> list[int]:
    """The call's time shared out to its turns: each has that up to the next one's start."""
    edges = [0, *(turn.start_ms for turn in call.turns[1:]), max(turn.end_ms for turn in call.turns)]
    return [after - before for before, after in pairwise(edges)]


def _heard_alone(call: LabelledCall, turn: Turn, begin: Callable[[LabelledCall], Judge]) -> set[str]:
    """What is raised on a turn with which the call begins: no cool-down is at work."""
    first = turn.model_copy(update={"start": 0.0, "end": (turn.end_ms - turn.start_ms) / 1000})
    alone = call.model_copy(update={"turns": (first,)})
    return {raised.signal.id for raised in _standing(play(alone, begin(alone)))}


def _turn_of(call: LabelledCall, signal: Signal) -> int:
    """The turn a signal belongs to: that of its words; else the last one begun, a labelled one within 10 s first."""
    if signal.evidence.utterance is not None:
        return int(signal.evidence.utterance.removeprefix("t"))
    begun = [n for n, turn in enumerate(call.turns) if turn.start_ms <= signal.at_ms] or [0]
    near = [n for n in begun if signal.id in call.turns[n].labels and signal.at_ms - call.turns[n].end_ms <= 10_000]
    return (near or begun)[-1]


def _course(call: LabelledCall, events: Sequence[Event]) -> Course:
    changes = tuple((e.at_ms / 1000, e.level.value) for e in events if isinstance(e, LevelChange))
    return Course(call.call, _hours(call) * 3600, call.escalates_at, changes)


def _hours(call: LabelledCall) -> float:
    return max(turn.end_ms for turn in call.turns) / 3_600_000
