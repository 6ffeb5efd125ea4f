"""The raised-voice detector on labelled clips, against the goals set for it: does it tell raised from calm speech of
the same speaker, how soon, and how often does it alarm on talk that is not raised? In three conditions of a line.

`assist eval FOLDER --labels TABLE` runs it on any clips with path, speaker and label, and counts which clips alarm.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from assist.evaluation.cases import Clip, Labelled
from assist.evaluation.figures import Evaluation, Grid, percentile, rate
from assist.evaluation.progress import Progress, silent
from assist.evaluation.scoring import Tallies
from assist.evaluation.tone_course import MEASURE_S, Course, Voice, alarms_in
from assist.evaluation.tone_lines import CONDITIONS, in_condition, measures, sound
from audio.events import SAMPLE_RATE, Pcm, VoiceMeasure
from detectors.raised_voice import RaisedVoice
from detectors.signals import Window

SHOUTED = frozenset({"shout", "shouted", "shouting"})
MODERATE = frozenset({"moderate"})
RAISED = frozenset({"raised", "raised_voice", "anger", "angry"}) | SHOUTED | MODERATE
CALM = frozenset({"calm", "neutral", "sad", "sadness", "boredom", "bored"})
TALK = {
    "natural": frozenset({"natural"}),
    "read aloud": frozenset({"read", "prompt"}),
    "lively": frozenset({"lively", "happy", "happiness", "laughter", "excited"}),
}
"""What must not alarm, by kind; lively speech is reported apart, for it is raised too, only not in anger."""
USED = RAISED | CALM | frozenset().union(*TALK.values())
"""Labels that say how a voice is raised, or that it is not; any case."""
BASELINE_CLIPS = 8
"""Calm clips of the same speaker heard before the clip that is judged."""
COLUMNS = (
    "tel: each clip as by telephone; agc: behind automatic gain besides; norm: every clip levelled, the worst case. "
    "AUC: how likely a raised clip scores above a calm one."
)
CLIP_BY_CLIP = (
    f"raised_voice: each clip by itself, as by telephone, after up to {BASELINE_CLIPS} calm ones of its speaker; the "
    "delay counts from its beginning. A clip of a few seconds is often over before a rise is sure. Lively speech that "
    "alarms is false, too."
)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A clip that was played over a line."""

    corpus: str
    """The folder it lies in."""
    speaker: str
    label: str
    measures: list[VoiceMeasure]
    place: str
    seconds: float


def evaluate_tone(clips: Sequence[Clip], source: str = "", progress: Progress = silent) -> Evaluation:
    """The goals in every condition of a line; of several corpora (folders) the AUC of each; and which clips alarm.

    One speaker's sound is held at a time.

    Raises:
        AudioError: a clip's sound cannot be read, or there is none at its times.
    """
    labelled = ((n, clip.model_copy(update={"label": clip.label.casefold()})) for n, clip in enumerate(clips))
    used = {number: clip for number, clip in labelled if clip.label in USED}
    found: dict[str, dict[int, _Heard]] = {condition: {} for condition in CONDITIONS}
    courses = {condition: Course() for condition in CONDITIONS}
    spent = seconds = 0.0
    done = 0
    for speaker in sorted({clip.speaker for clip in used.values()}):
        theirs = {number: clip for number, clip in used.items() if clip.speaker == speaker}
        sounds = {number: sound(clip.path, clip.start, clip.end) for number, clip in theirs.items()}
        voice = _voice(speaker, [(theirs[number].label, pcm) for number, pcm in sounds.items()])
        for condition in CONDITIONS:
            for number, clip in theirs.items():
                progress(done, len(CONDITIONS) * len(used))
                done += 1
                if condition != CONDITIONS[0] and clip.label not in RAISED | CALM:
                    continue
                line = in_condition([sounds[number]], condition, speaker)
                began = time.process_time()
                measured = measures(line)
                _play(RaisedVoice(), [measured])
                length_s = len(line) / SAMPLE_RATE
                spent, seconds = spent + time.process_time() - began, seconds + length_s
                found[condition][number] = _Heard(
                    clip.path.parent.name, speaker, clip.label, measured, clip.place, length_s
                )
            courses[condition].add(voice, condition)
    heard = {condition: [each for _, each in sorted(by_number.items())] for condition, by_number in found.items()}
    scored = {name: [clip for clip in each if clip.label in RAISED | CALM] for name, each in heard.items()}
    grids = [_goals(scored, courses, 1000 * spent / seconds if seconds else math.nan)]
    if len(corpora := {clip.corpus for clip in scored[CONDITIONS[0]]}) > 1:
        grids.append(_by_corpus(scored, sorted(corpora)))
    return replace(_alarms_of_clips(heard[CONDITIONS[0]], source), grids=tuple(grids))


def _alarms_of_clips(clips: Sequence[_Heard], source: str) -> Evaluation:
    """Each clip once, after calm clips of its speaker: whether the detector alarms, and how soon."""
    tallies = Tallies()
    for number, clip in enumerate(clips):
        judge, before_ms = RaisedVoice(), 0
        for each in _calm_before(clips, number):
            _play(judge, [each.measures], before_ms)
            before_ms += round(each.seconds * 1000)
        judge.pause()
        shifted = [replace(measure, at_ms=measure.at_ms + before_ms) for measure in clip.measures]
        alarm = next((signal for m in shifted for signal in judge(Window(m.at_ms, voice=m))), None)
        wanted = ("raised_voice",) if clip.label in RAISED else ()
        found = {} if alarm is None else {alarm.id: f"{alarm.evidence.summary} [{alarm.rule}]"}
        if alarm is not None and wanted:
            tallies.by_id[alarm.id].delays.append((alarm.at_ms - before_ms) / 1000)
        item = Labelled(text="-", labels=wanted)
        tallies.count(item, "", ("raised_voice",), found, f"{clip.label}, {clip.place}", clip.seconds / 3600)
    return Evaluation(
        source=f"{source}, voices",
        kind="voices",
        units=tallies.units,
        words=0,
        hours=tallies.hours,
        signals=tallies.figures(),
        examples=tuple(tallies.examples),
        notes=(COLUMNS, CLIP_BY_CLIP),
    )


def _calm_before(clips: Sequence[_Heard], number: int) -> list[_Heard]:
    """What is heard of a clip's speaker before it."""
    speaker = clips[number].speaker
    calm = [each for n, each in enumerate(clips) if each.speaker == speaker and each.label in CALM and n != number]
    random.Random(number).shuffle(calm)
    return calm[:BASELINE_CLIPS]


def natural_alarms(recordings: Iterable[Path]) -> tuple[int, float]:
    """Alarms, and hours of measured speech, on recordings of one calm speaker each."""
    alarms, seconds = 0, 0.0
    for path in recordings:
        heard = measures(in_condition([sound(path)], "tel", path.name))
        alarms, seconds = alarms + alarms_in(heard), seconds + MEASURE_S * len(heard)
    return alarms, seconds / 3600


def auc(raised: Sequence[float], calm: Sequence[float]) -> float:
    """Probability that a raised clip scores above a calm one; ties count half. Mann-Whitney U."""
    if not raised or not calm:
        return math.nan
    ordered = np.sort(np.asarray(calm))
    below = np.searchsorted(ordered, raised, side="left")
    upto = np.searchsorted(ordered, raised, side="right")
    return float(np.mean(below + upto) / 2 / len(calm))


def _voice(speaker: str, sounds: Sequence[tuple[str, Pcm]]) -> Voice:
    def of(labels: frozenset[str]) -> list[Pcm]:
        return [pcm for label, pcm in sounds if label in labels]

    levels = {"shouted": of(SHOUTED), "moderate": of(MODERATE)}
    talk = {kind: of(labels) for kind, labels in TALK.items()}
    return Voice(
        speaker,
        of(CALM),
        of(RAISED),
        {level: found for level, found in levels.items() if found},
        {kind: found for kind, found in talk.items() if found},
    )


def _goals(heard: dict[str, list[_Heard]], courses: dict[str, Course], cpu_ms: float) -> Grid:
    """A row for every goal, with what is asked at least and what is aimed at (after the slash)."""
    rows: list[tuple[str, ...]] = []
    relative = {name: _scores(clips, baseline=True) for name, clips in heard.items()}
    absolute = {name: _scores(clips, baseline=False) for name, clips in heard.items()}

    def row(name: str, asked: str, value: Callable[[str], str]) -> None:
        rows.append((name, asked, *(value(condition) for condition in heard)))

    def area(scores: dict[str, list[tuple[_Heard, float]]], labels: frozenset[str]) -> Callable[[str], str]:
        return lambda condition: _number(_auc(scores[condition], labels))

    row("AUC, own baseline", ".950 / .940 / .920", area(relative, RAISED))
    row("- shouted", ".985", area(relative, SHOUTED))
    row("- moderate", ".91 (tel)", area(relative, MODERATE))
    row("AUC, no baseline", ".92 (tel)", area(absolute, RAISED))
    for kind in ("natural", "read aloud", "acted calm", "lively"):
        row(f"alarms an hour, {kind}", "<= 6" if kind == "natural" else "-", lambda c, k=kind: _hourly(courses[c], k))  # type: ignore[misc]
    levels = [
        level for level in ("shouted", "moderate", "any") if any(level in each.found for each in courses.values())
    ]
    for level in levels:
        asked = {"shouted": "100 %, 1.3 s, 1.8 s (tel)", "moderate": "-"}.get(level, "-")
        row(f"{level}: found; median, 90 %", asked, lambda c, k=level: _soon(courses[c].found.get(k, [])))  # type: ignore[misc]
        asked = {"shouted": "95 % (agc)", "moderate": "85 % / 45 % in 8 s"}.get(level, "-")
        row(f"{level}: in 3 s; in 8 s", asked, lambda c, k=level: _within(courses[c].found.get(k, [])))  # type: ignore[misc]
    row("last third of long anger", "70 %", lambda c: _share(*courses[c].third))
    row("calm again: median, 90 %", "1.5 s, 3 s", lambda c: _clears(courses[c]))
    row("callers who alarm after +8 dB", "<= 8 of 24", lambda c: f"{courses[c].steps[0]} of {courses[c].steps[1]}")
    row("CPU ms per second of audio", "<= 3", lambda _: "-" if math.isnan(cpu_ms) else f"{cpu_ms:.2f}")
    row("clips with AUC", "", lambda c: str(len(relative[c])))
    return Grid(("Raised voice", "Asked, tel / agc / norm", *heard), tuple(rows))


def _by_corpus(heard: dict[str, list[_Heard]], corpora: Sequence[str]) -> Grid:
    """AUC with the speaker's own baseline / with none, each corpus by itself."""
    rows: list[tuple[str, ...]] = []
    for corpus in corpora:
        cells = []
        for clips in heard.values():
            own = [clip for clip in clips if clip.corpus == corpus]
            cells.append(
                " / ".join(_number(_auc(_scores(own, baseline=baseline), RAISED)) for baseline in (True, False))
            )
        rows.append((corpus, *cells))
    return Grid(("Corpus, AUC own / no baseline", *heard), tuple(rows))


def _scores(clips: Sequence[_Heard], *, baseline: bool) -> list[tuple[_Heard, float]]:
    """Each clip's score: the mean of its six highest."""
    found = []
    for number, clip in enumerate(clips):
        if not clip.measures:
            continue
        judge = RaisedVoice()
        if baseline:
            _play(judge, [each.measures for each in _calm_before(clips, number)])
            judge.pause()
        found.append((clip, float(np.mean(sorted(_play(judge, [clip.measures]))[-6:]))))
    return found


def _auc(scores: Sequence[tuple[_Heard, float]], labels: frozenset[str]) -> float:
    return auc(
        [score for clip, score in scores if clip.label in labels],
        [score for clip, score in scores if clip.label in CALM],
    )


def _play(judge: RaisedVoice, clips: Sequence[list[VoiceMeasure]], offset: int = 0) -> list[float]:
    scores: list[float] = []
    for clip in clips:
        for measure in clip:
            scores.append(judge.update(replace(measure, at_ms=measure.at_ms + offset)))
        offset += clip[-1].at_ms + 400 if clip else 0
    return scores


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _share(hits: int, of: int) -> str:
    return f"{hits / of:.0%}" if of else "-"


def _times(seconds: Sequence[float]) -> str:
    median, ninety = percentile(seconds, 50), percentile(seconds, 90)
    return "-" if median is None or ninety is None else f"{median:.1f} s, {ninety:.1f} s"


def _clears(done: Course) -> str:
    """How soon, and of how many speakers: no others were heard as raised when their anger ended."""
    return f"{_times(done.clears_s)} (of {len(done.clears_s)})" if done.clears_s else "-"


def _soon(found: Sequence[float | None]) -> str:
    times = [each for each in found if each is not None]
    return f"{_share(len(times), len(found))}; {_times(times)}" if times else "-"


def _within(found: Sequence[float | None]) -> str:
    times = [each for each in found if each is not None]
    return "; ".join(_share(sum(each <= limit for each in times), len(found)) for limit in (3, 8)) if found else "-"


def _hourly(done: Course, kind: str) -> str:
    if kind not in done.talk:
        return "-"
    alarms, hours = done.talk[kind]
    figure = rate(round(alarms), hours)
    return f"{figure.value:.1f} ({figure.low:.1f}-{figure.high:.1f}); {alarms:.0f} in {hours:.2f} h"
