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
    CALL_TAIL_S,
    WORDS_PER_S,
    Case,
    Clip,
    Labelled,
    LabelledCall,
    Turn,
)
from assist.evaluation.figures import (
    Evaluation,
    Example,
    LevelTimeline,
    SignalFigures,
    f1,
    percentile,
    rate,
    wilson,
)
from assist.evaluation.levels import level_figures
from assist.evaluation.progress import Progress, no_progress, with_progress
from assist.events import Event, SignalRaised, SignalWithdrawn
from assist.live.session import TICK_MS
from audio.events import Heard, Hypothesis, Speaker, SpeechActivity, Trouble, Utterance, Word
from detectors.signals import AGENT_SIGNALS, CUSTOMER_WORDS, Detector, LevelChange, Signal, Window

PARTIAL_MS = 1_000
"""A simulated recogniser gives a hypothesis this often while a turn is spoken ..."""
AGREED_LAG_MS = 1_000
"""... whose words of the last second are tentative ..."""
SETTLE_MS = 700
"""... and the settled utterance this long after the turn's end."""
REPEAT_MS = 60_000
"""A rule is silent for its cool-down (at most this) after it has fired: a repeat within it is no miss, if the turn by
itself raises the signal."""
REPEATED = "Labels that count neither way, for their signal had been raised less than a minute before: {}."
OTHER_SPEAKER = (
    "{} labels are of signals that are listened for in the other speaker's words only, and count as missed unless a "
    "rule of your own has them: {}."
)
NO_SPEAKER = "{} of {} do not say who speaks (speaker): they are taken as the customer's."
ALL_CALM = (
    "No call says when it turns (escalates_at, in seconds): all are taken as calm, every rise of the level as false."
)


class CallSession(Protocol):
    """What a call is played to: the part of assist.live.session.Session that is used here."""

    def hear(self, heard: Heard) -> list[Event]:
        """Process what a listener reports."""
        ...

    def tick(self, now_ms: int) -> list[Event]:
        """Call time has passed."""
        ...


@dataclass(slots=True)
class _SignalCounts:
    hits: int = 0
    false: int = 0
    missed: int = 0
    words: int = 0
    hours: float = 0.0
    """Words and time in which the signal was looked for: the exposure of its false-alarm rates."""
    negatives: int = 0
    """Units in which it was looked for and is not labelled; without any, precision is undefined."""
    delays: list[float] = field(default_factory=list)


@dataclass(slots=True)
class DetectionCounts:
    """Hits, false alarms and misses by signal, counted unit by unit."""

    by_id: dict[str, _SignalCounts] = field(default_factory=lambda: defaultdict(_SignalCounts))
    examples: list[Example] = field(default_factory=list)
    units: int = 0
    words: int = 0
    hours: float = 0.0
    repeats: int = 0
    """Labels that are not counted, as they repeat a signal within its cool-down."""

    def count(
        self,
        item: Labelled,
        text: str,
        scored: Iterable[str],
        found: dict[str, str],
        place: str = "",
        hours: float = 0.0,
    ) -> None:
        """Count one unit: its labels, of the ids in `scored`, against `found` (id -> quote or values, and rule)."""
        wanted = set(item.labels) - set(item.unsure)
        scored = (set(scored) | wanted) - set(item.unsure)
        words = len(text.split())
        self.units += 1
        self.words += words
        self.hours += hours
        for signal in sorted(scored):
            tally = self.by_id[signal]
            tally.words += words
            tally.hours += hours
            tally.negatives += signal not in wanted
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
                    precision=wilson(tally.hits, found) if labelled and found and tally.negatives else None,
                    recall=wilson(tally.hits, labelled) if labelled else None,
                    f1=f1(tally.hits, tally.false, tally.missed) if labelled and tally.negatives else None,
                    false_per_10k_words=rate(tally.false, tally.words / 10_000) if tally.words else None,
                    false_per_hour=rate(tally.false, tally.hours) if timed else None,
                    delay_median_s=median(tally.delays) if tally.delays else None,
                    delay_p95_s=percentile(tally.delays, 95),
                )
            )
        return tuple(rows)


def evaluate_cases(
    cases: Sequence[Case], build: Callable[[], Sequence[Detector]], source: str, progress: Progress = no_progress
) -> Evaluation:
    """Judge single utterances, each with fresh detectors and nothing before it.

    Raises:
        AssistError: code detector-off, where a detector fails.
    """
    counts = DetectionCounts()
    default_ids = _default_ids(cases)
    for case in with_progress(cases, progress):
        found = _found_in(_utterance("u0", case.who, case.text), build())
        scored = default_ids if case.judged is None else case.judged
        counts.count(case, case.text, scored, found)
    return Evaluation(
        source=source,
        kind="utterances",
        units=counts.units,
        words=counts.words,
        hours=None,
        signals=counts.figures(timed=False),
        examples=tuple(counts.examples),
        notes=tuple(_speaker_notes(cases)),
    )


def evaluate_clips(
    clips: Sequence[Clip],
    build: Callable[[], Sequence[Detector]],
    transcribe: Callable[[Clip], tuple[Sequence[Word], float]],
    source: str,
    progress: Progress = no_progress,
) -> Evaluation:
    """Judge the words of clips labelled for word signals, as a recogniser hears them; each is the customer's.

    `transcribe`: the words of a clip, and its length in seconds.
    """
    counts = DetectionCounts()
    items = [Case(text="-", labels=clip.signals) for clip in clips if clip.signals is not None]
    default_ids = _default_ids(items)
    for clip in with_progress(clips, progress):
        if clip.signals is None:
            continue
        heard, seconds = transcribe(clip)
        words = tuple(heard)
        utterance = Utterance("u0", Speaker.CUSTOMER, 0, words[-1].end_ms if words else 0, words)
        found = _found_in(utterance, build()) if words else {}
        item = Case(text=utterance.text or "-", labels=clip.signals)
        counts.count(item, utterance.text, default_ids, found, clip.place, seconds / 3600)
    return Evaluation(
        source=source,
        kind="audio",
        units=counts.units,
        words=counts.words,
        hours=counts.hours,
        signals=counts.figures(),
        examples=tuple(counts.examples),
    )


def evaluate_calls(
    calls: Sequence[LabelledCall],
    new_session: Callable[[LabelledCall], CallSession],
    source: str,
    progress: Progress = no_progress,
) -> Evaluation:
    """Play whole calls, turn by turn in call time, to a new session each, and compare events with labels."""
    counts = DetectionCounts()
    timelines: list[tuple[LabelledCall, list[Event]]] = []
    default_ids = _default_ids(turn for call in calls for turn in call.turns)
    for call in with_progress(calls, progress):
        events = play_call(call, new_session(call))
        timelines.append((call, events))
        _count_call(call, events, counts, default_ids, new_session)
    labelled = any(turn.labels for call in calls for turn in call.turns)
    notes = [ALL_CALM] if labelled and all(call.escalates_at is None for call in calls) else []
    notes += _speaker_notes([turn for call in calls for turn in call.turns])
    if counts.repeats:
        notes.append(REPEATED.format(counts.repeats))
    return Evaluation(
        source=source,
        kind="calls",
        units=counts.units,
        words=counts.words,
        hours=counts.hours,
        signals=counts.figures(),
        level=level_figures(timelines, _turn_index),
        timelines=tuple(_timeline(call, events) for call, events in timelines),
        examples=tuple(counts.examples),
        notes=tuple(notes),
    )


def evaluate_marks(
    calls: Sequence[LabelledCall],
    new_session: Callable[[LabelledCall], CallSession],
    source: str,
    progress: Progress = no_progress,
) -> Evaluation:
    """Play calls that people have marked, and score the marks: each in its turn, with all that was said before.

    Marks give no rate of false alarms: they say nothing of what nobody has marked.
    """
    counts = DetectionCounts()
    for call in with_progress(calls, progress):
        _count_call(call, play_call(call, new_session(call)), counts, frozenset(), new_session)
    marked = [turn for call in calls for turn in call.turns if turn.judged]
    rows = (replace(row, false_per_10k_words=None, false_per_hour=None) for row in counts.figures())
    return Evaluation(
        source=source,
        kind="utterances",
        units=len(marked),
        words=sum(len(turn.text.split()) for turn in marked),
        hours=None,
        signals=tuple(rows),
        examples=tuple(counts.examples),
        marks=sum(len(turn.judged or ()) for turn in marked),
    )


def play_call(call: LabelledCall, session: CallSession) -> list[Event]:
    """All events of a session to which a call is played as a streaming recogniser would give it.

    Raises:
        AssistError: code detector-off: a live call goes on without a failed detector, but figures would mislead.
    """
    events: list[Event] = []
    now = 0
    ends_ms = max(turn.end_ms for turn in call.turns) + round(CALL_TAIL_S * 1000)
    for at_ms, heard in [*_recogniser_output(call), (ends_ms, None)]:
        known = len(events)
        while now + TICK_MS <= at_ms:
            now += TICK_MS
            events += session.tick(now)
        events += session.tick(at_ms)
        if heard is not None:
            events += session.hear(heard)
        for event in events[known:]:
            if isinstance(event, Trouble) and event.code.startswith("detector-off:"):
                raise _detector_failure(
                    event.text.partition(";")[0], f"call {call.call!r}, second {event.at_ms / 1000:.1f}"
                )
    return events


def _recogniser_output(call: LabelledCall) -> list[tuple[int, Heard]]:
    stream: list[tuple[int, int, Heard]] = []
    for number, turn in enumerate(call.turns):
        name = f"t{number}"
        utterance = _utterance(name, turn.who, turn.text, turn.start_ms, turn.end_ms)
        stream.append((utterance.start_ms, 0, SpeechActivity(turn.who, utterance.start_ms, True)))
        for now in range(utterance.start_ms + PARTIAL_MS, utterance.end_ms, PARTIAL_MS):
            agreed = tuple(word for word in utterance.words if word.end_ms <= now - AGREED_LAG_MS)
            tentative = tuple(word for word in utterance.words if now - AGREED_LAG_MS < word.end_ms <= now)
            if agreed:
                stream.append((now, 1, Hypothesis(name, turn.who, utterance.start_ms, agreed, tentative)))
        stream.append((utterance.end_ms, 2, SpeechActivity(turn.who, utterance.end_ms, False)))
        stream.append((utterance.end_ms + SETTLE_MS, 3, utterance))
    return [(at_ms, heard) for at_ms, _, heard in sorted(stream, key=lambda each: each[:2])]


def _utterance(name: str, speaker: Speaker, text: str, start_ms: int = 0, end_ms: int | None = None) -> Utterance:
    """An utterance of a written text; word times are in proportion to word lengths."""
    texts = text.split()
    end_ms = end_ms if end_ms is not None else start_ms + round(len(texts) * 1000 / WORDS_PER_S)
    sizes = [len(each) + 1 for each in texts]
    edges = [start_ms + round((end_ms - start_ms) * sum(sizes[:n]) / max(sum(sizes), 1)) for n in range(len(texts) + 1)]
    words = tuple(Word(each, edges[n], edges[n + 1]) for n, each in enumerate(texts))
    return Utterance(name, speaker, start_ms, end_ms, words)


def _default_ids(items: Iterable[Labelled]) -> frozenset[str]:
    """Ids to score where the data do not say: the customer's word signals, and all that is labelled anywhere."""
    return frozenset(CUSTOMER_WORDS).union(*(item.labels for item in items))


def _speaker_notes(items: Sequence[Labelled]) -> list[str]:
    missing = sum("speaker" not in item.model_fields_set for item in items)
    notes = [NO_SPEAKER.format(missing, len(items))] if missing else []
    others = [
        f"{label} ({item.speaker})"
        for item in items
        for label in item.labels
        if (item.who is Speaker.AGENT and label in CUSTOMER_WORDS)
        or (item.who is Speaker.CUSTOMER and label in AGENT_SIGNALS)
    ]
    return [*notes, OTHER_SPEAKER.format(len(others), ", ".join(sorted(set(others))))] if others else notes


def _found_in(utterance: Utterance, detectors: Sequence[Detector]) -> dict[str, str]:
    window = Window(now_ms=utterance.end_ms, utterances=(utterance,), latest=utterance)
    found: dict[str, str] = {}
    for detector in detectors:
        try:
            for signal in detector(window):
                found.setdefault(signal.id, f"{signal.evidence.quote or signal.evidence.summary} [{signal.rule}]")
        except Exception as error:
            stopped = f"detector {detector.name} stopped ({type(error).__name__})"
            raise _detector_failure(stopped, f"line {utterance.text!r}") from error
    return found


def _detector_failure(stopped: str, place: str) -> AssistError:
    return AssistError(
        "detector-off", f"{place}: {stopped}; without it the figures would mislead: mend it, then measure"
    )


def _raised_signals(events: Sequence[Event]) -> list[SignalRaised]:
    """Signals raised and not withdrawn, each as first raised."""
    raised_signals: dict[str, SignalRaised] = {}
    for event in events:
        if isinstance(event, SignalRaised):
            raised_signals.setdefault(event.signal.key, event)
        elif isinstance(event, SignalWithdrawn):
            raised_signals.pop(event.key, None)
    return list(raised_signals.values())


def _count_call(
    call: LabelledCall,
    events: Sequence[Event],
    counts: DetectionCounts,
    default_ids: frozenset[str],
    new_session: Callable[[LabelledCall], CallSession],
) -> None:
    by_turn: dict[int, dict[str, str]] = defaultdict(dict)
    said_at: dict[str, list[int]] = defaultdict(list)
    for raised in _raised_signals(events):
        signal = raised.signal
        evidence = signal.evidence
        number = _turn_index(call, signal)
        turn = call.turns[number]
        is_first = signal.id not in by_turn[number]
        by_turn[number].setdefault(signal.id, f"{evidence.quote or evidence.summary} [{signal.rule}]")
        if signal.id in (*turn.labels, *turn.unsure):
            said_at[signal.id].append(raised.at_ms)
        if is_first and signal.id in turn.labels:
            counts.by_id[signal.id].delays.append((raised.at_ms - signal.at_ms) / 1000)
    spans = _turn_spans_ms(call)
    for number, turn in enumerate(call.turns):
        scored = next((ids for ids in (turn.judged, call.judged) if ids is not None), default_ids)
        repeats = {
            name
            for name in set(turn.labels) - by_turn[number].keys()
            if any(0 <= turn.end_ms - at_ms <= REPEAT_MS for at_ms in said_at[name])
        }
        if repeats:
            repeats &= _signals_in_isolation(call, turn, new_session)
            counts.repeats += len(repeats)
        turn = turn.model_copy(update={"unsure": (*turn.unsure, *repeats)})
        place = f"{call.call} {turn.start:.1f} s"
        counts.count(turn, turn.text, scored, by_turn[number], place, spans[number] / 3_600_000)


def _turn_spans_ms(call: LabelledCall) -> list[int]:
    """The time in ms from each turn's start to the next one's; what comes before the first one nobody has labelled."""
    edges = [*(turn.start_ms for turn in call.turns), max(turn.end_ms for turn in call.turns)]
    return [after - before for before, after in pairwise(edges)]


def _signals_in_isolation(
    call: LabelledCall, turn: Turn, new_session: Callable[[LabelledCall], CallSession]
) -> set[str]:
    """Ids of the signals raised on a turn as the first of a call, where no cool-down applies."""
    first = turn.model_copy(update={"start": 0.0, "end": (turn.end_ms - turn.start_ms) / 1000})
    alone = call.model_copy(update={"turns": (first,)})
    return {raised.signal.id for raised in _raised_signals(play_call(alone, new_session(alone)))}


def _turn_index(call: LabelledCall, signal: Signal) -> int:
    """Index of a signal's turn: that of its words; else the last begun, but one labelled with it within 10 s first."""
    if signal.evidence.utterance is not None:
        return int(signal.evidence.utterance.removeprefix("t"))
    begun = [n for n, turn in enumerate(call.turns) if turn.start_ms <= signal.at_ms] or [0]
    near = [n for n in begun if signal.id in call.turns[n].labels and signal.at_ms - call.turns[n].end_ms <= 10_000]
    return (near or begun)[-1]


def _timeline(call: LabelledCall, events: Sequence[Event]) -> LevelTimeline:
    changes = tuple((e.at_ms / 1000, e.level.value) for e in events if isinstance(e, LevelChange))
    return LevelTimeline(call.call, _hours(call) * 3600, call.escalates_at, changes)


def _hours(call: LabelledCall) -> float:
    return max(turn.end_ms for turn in call.turns) / 3_600_000
