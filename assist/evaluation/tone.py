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
from assist.evaluation.progress import Progress, no_progress
from assist.evaluation.scoring import DetectionCounts
from assist.evaluation.tone_course import MEASURE_S, ConditionFigures, SpeakerClips, count_alarms
from assist.evaluation.tone_lines import CONDITIONS, in_condition, measures, sound
from audio.events import SAMPLE_RATE, Pcm, VoiceMeasure
from detectors.raised_voice import RaisedVoice
from detectors.signals import Window

SHOUTED = frozenset({"shout", "shouted", "shouting"})
MODERATE = frozenset({"moderate"})
RAISED = frozenset({"raised", "raised_voice", "anger", "angry"}) | SHOUTED | MODERATE
CALM = frozenset({"calm", "neutral", "sad", "sadness", "boredom", "bored"})
UNRAISED_SPEECH = {
    "natural": frozenset({"natural"}),
    "read aloud": frozenset({"read", "prompt"}),
    "lively": frozenset({"lively", "happy", "happiness", "laughter", "excited"}),
}
"""What must not alarm, by kind; lively speech is reported apart, for it is raised too, only not in anger."""
KNOWN_LABELS = RAISED | CALM | frozenset().union(*UNRAISED_SPEECH.values())
"""Labels that are evaluated; upper or lower case."""
BASELINE_CLIPS = 8
"""Calm clips of the same speaker played before the clip that is judged, as a baseline."""
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
class _MeasuredClip:
    """A clip after the simulated telephone line, with its voice measures."""

    corpus: str
    """Name of its folder."""
    speaker: str
    label: str
    measures: list[VoiceMeasure]
    place: str
    seconds: float


def evaluate_tone(clips: Sequence[Clip], source: str = "", progress: Progress = no_progress) -> Evaluation:
    """Measure the goals in every condition of a line, the AUC of each corpus (folder), and which clips alarm.

    Only one speaker's audio is in memory at a time.

    Raises:
        AudioError: a clip's sound cannot be read, or there is none at its times.
    """
    labelled = ((n, clip.model_copy(update={"label": clip.label.casefold()})) for n, clip in enumerate(clips))
    used = {number: clip for number, clip in labelled if clip.label in KNOWN_LABELS}
    found: dict[str, dict[int, _MeasuredClip]] = {condition: {} for condition in CONDITIONS}
    figures = {condition: ConditionFigures() for condition in CONDITIONS}
    spent = seconds = 0.0
    done = 0
    for speaker in sorted({clip.speaker for clip in used.values()}):
        theirs = {number: clip for number, clip in used.items() if clip.speaker == speaker}
        sounds = {number: sound(clip.path, clip.start, clip.end) for number, clip in theirs.items()}
        voice = _clips_of_speaker(speaker, [(theirs[number].label, pcm) for number, pcm in sounds.items()])
        for condition in CONDITIONS:
            for number, clip in theirs.items():
                progress(done, len(CONDITIONS) * len(used))
                done += 1
                if condition != CONDITIONS[0] and clip.label not in RAISED | CALM:
                    continue
                line = in_condition([sounds[number]], condition, speaker)
                began = time.process_time()
                measured = measures(line)
                _scores_over_time(RaisedVoice(), [measured])
                length_s = len(line) / SAMPLE_RATE
                spent, seconds = spent + time.process_time() - began, seconds + length_s
                found[condition][number] = _MeasuredClip(
                    clip.path.parent.name, speaker, clip.label, measured, clip.place, length_s
                )
            figures[condition].add(voice, condition)
    heard = {condition: [each for _, each in sorted(by_number.items())] for condition, by_number in found.items()}
    with_auc = {name: [clip for clip in each if clip.label in RAISED | CALM] for name, each in heard.items()}
    grids = [_goal_grid(with_auc, figures, 1000 * spent / seconds if seconds else math.nan)]
    if len(corpora := {clip.corpus for clip in with_auc[CONDITIONS[0]]}) > 1:
        grids.append(_by_corpus(with_auc, sorted(corpora)))
    return replace(_clip_alarms(heard[CONDITIONS[0]], source), grids=tuple(grids))


def _clip_alarms(clips: Sequence[_MeasuredClip], source: str) -> Evaluation:
    """Whether and how soon the detector alarms on each clip, after calm clips of its speaker."""
    counts = DetectionCounts()
    for number, clip in enumerate(clips):
        detector, before_ms = RaisedVoice(), 0
        for each in _calm_before(clips, number):
            _scores_over_time(detector, [each.measures], before_ms)
            before_ms += round(each.seconds * 1000)
        detector.pause()
        shifted = [replace(measure, at_ms=measure.at_ms + before_ms) for measure in clip.measures]
        alarm = next((signal for m in shifted for signal in detector(Window(m.at_ms, voice=m))), None)
        wanted = ("raised_voice",) if clip.label in RAISED else ()
        found = {} if alarm is None else {alarm.id: f"{alarm.evidence.summary} [{alarm.rule}]"}
        if alarm is not None and wanted:
            counts.by_id[alarm.id].delays.append((alarm.at_ms - before_ms) / 1000)
        item = Labelled(text="-", labels=wanted)
        counts.count(item, "", ("raised_voice",), found, f"{clip.label}, {clip.place}", clip.seconds / 3600)
    return Evaluation(
        source=f"{source}, voices",
        kind="voices",
        units=counts.units,
        words=0,
        hours=counts.hours,
        signals=counts.figures(),
        examples=tuple(counts.examples),
        notes=(COLUMNS, CLIP_BY_CLIP),
    )


def _calm_before(clips: Sequence[_MeasuredClip], number: int) -> list[_MeasuredClip]:
    """Up to BASELINE_CLIPS calm clips of the same speaker, shuffled by a fixed seed."""
    speaker = clips[number].speaker
    calm = [each for n, each in enumerate(clips) if each.speaker == speaker and each.label in CALM and n != number]
    random.Random(number).shuffle(calm)
    return calm[:BASELINE_CLIPS]


def natural_alarms(recordings: Iterable[Path]) -> tuple[int, float]:
    """Alarms, and hours of measured speech, on recordings of one calm speaker each."""
    alarms, seconds = 0, 0.0
    for path in recordings:
        heard = measures(in_condition([sound(path)], "tel", path.name))
        alarms, seconds = alarms + count_alarms(heard), seconds + MEASURE_S * len(heard)
    return alarms, seconds / 3600


def auc(raised: Sequence[float], calm: Sequence[float]) -> float:
    """Probability that a raised clip scores above a calm one; ties count half. Mann-Whitney U."""
    if not raised or not calm:
        return math.nan
    ordered = np.sort(np.asarray(calm))
    below = np.searchsorted(ordered, raised, side="left")
    upto = np.searchsorted(ordered, raised, side="right")
    return float(np.mean(below + upto) / 2 / len(calm))


def _clips_of_speaker(speaker: str, sounds: Sequence[tuple[str, Pcm]]) -> SpeakerClips:
    def of(labels: frozenset[str]) -> list[Pcm]:
        return [pcm for label, pcm in sounds if label in labels]

    levels = {"shouted": of(SHOUTED), "moderate": of(MODERATE)}
    talk = {kind: of(labels) for kind, labels in UNRAISED_SPEECH.items()}
    return SpeakerClips(
        speaker,
        of(CALM),
        of(RAISED),
        {level: found for level, found in levels.items() if found},
        {kind: found for kind, found in talk.items() if found},
    )


def _goal_grid(heard: dict[str, list[_MeasuredClip]], figures: dict[str, ConditionFigures], cpu_ms: float) -> Grid:
    """A row for every goal, with its target in each condition (tel / agc / norm) and the values reached."""
    rows: list[tuple[str, ...]] = []
    relative = {name: _scores(clips, baseline=True) for name, clips in heard.items()}
    absolute = {name: _scores(clips, baseline=False) for name, clips in heard.items()}

    def row(name: str, asked: str, value: Callable[[str], str]) -> None:
        rows.append((name, asked, *(value(condition) for condition in heard)))

    def area(scores: dict[str, list[tuple[_MeasuredClip, float]]], labels: frozenset[str]) -> Callable[[str], str]:
        return lambda condition: _number(_auc(scores[condition], labels))

    row("AUC, own baseline", ".950 / .940 / .920", area(relative, RAISED))
    row("- shouted", ".985", area(relative, SHOUTED))
    row("- moderate", ".91 (tel)", area(relative, MODERATE))
    row("AUC, no baseline", ".92 (tel)", area(absolute, RAISED))
    for kind in ("natural", "read aloud", "acted calm", "lively"):
        asked = "<= 6" if kind == "natural" else "-"
        row(f"alarms an hour, {kind}", asked, lambda c, k=kind: _alarm_rate(figures[c], k))  # type: ignore[misc]
    levels = [
        level for level in ("shouted", "moderate", "any") if any(level in each.found for each in figures.values())
    ]
    for level in levels:
        asked = {"shouted": "100 %, 1.3 s, 1.8 s (tel)", "moderate": "-"}.get(level, "-")
        row(f"{level}: found; median, 90 %", asked, lambda c, k=level: _detection_times(figures[c].found.get(k, [])))  # type: ignore[misc]
        asked = {"shouted": "95 % (agc)", "moderate": "85 % / 45 % in 8 s"}.get(level, "-")
        row(f"{level}: in 3 s; in 8 s", asked, lambda c, k=level: _detected_within(figures[c].found.get(k, [])))  # type: ignore[misc]
    row("last third of long anger", "70 %", lambda c: _share(*figures[c].third))
    row("calm again: median, 90 %", "1.5 s, 3 s", lambda c: _recovery_times(figures[c]))
    row("callers who alarm after +8 dB", "<= 8 of 24", lambda c: f"{figures[c].steps[0]} of {figures[c].steps[1]}")
    row("CPU ms per second of audio", "<= 3", lambda _: "-" if math.isnan(cpu_ms) else f"{cpu_ms:.2f}")
    row("clips with AUC", "", lambda c: str(len(relative[c])))
    return Grid(("Raised voice", "Asked, tel / agc / norm", *heard), tuple(rows))


def _by_corpus(heard: dict[str, list[_MeasuredClip]], corpora: Sequence[str]) -> Grid:
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


def _scores(clips: Sequence[_MeasuredClip], *, baseline: bool) -> list[tuple[_MeasuredClip, float]]:
    """Each clip's score: the mean of its six highest."""
    found = []
    for number, clip in enumerate(clips):
        if not clip.measures:
            continue
        detector = RaisedVoice()
        if baseline:
            _scores_over_time(detector, [each.measures for each in _calm_before(clips, number)])
            detector.pause()
        found.append((clip, float(np.mean(sorted(_scores_over_time(detector, [clip.measures]))[-6:]))))
    return found


def _auc(scores: Sequence[tuple[_MeasuredClip, float]], labels: frozenset[str]) -> float:
    return auc(
        [score for clip, score in scores if clip.label in labels],
        [score for clip, score in scores if clip.label in CALM],
    )


def _scores_over_time(detector: RaisedVoice, clips: Sequence[list[VoiceMeasure]], offset: int = 0) -> list[float]:
    scores: list[float] = []
    for clip in clips:
        for measure in clip:
            scores.append(detector.update(replace(measure, at_ms=measure.at_ms + offset)))
        offset += clip[-1].at_ms + 400 if clip else 0
    return scores


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _share(hits: int, of: int) -> str:
    return f"{hits / of:.0%}" if of else "-"


def _times(seconds: Sequence[float]) -> str:
    median, ninety = percentile(seconds, 50), percentile(seconds, 90)
    return "-" if median is None or ninety is None else f"{median:.1f} s, {ninety:.1f} s"


def _recovery_times(done: ConditionFigures) -> str:
    """Median and 90th percentile, and the number of speakers still judged raised when their anger ended."""
    return f"{_times(done.clears_s)} (of {len(done.clears_s)})" if done.clears_s else "-"


def _detection_times(found: Sequence[float | None]) -> str:
    times = [each for each in found if each is not None]
    return f"{_share(len(times), len(found))}; {_times(times)}" if times else "-"


def _detected_within(found: Sequence[float | None]) -> str:
    times = [each for each in found if each is not None]
    return "; ".join(_share(sum(each <= limit for each in times), len(found)) for limit in (3, 8)) if found else "-"


def _alarm_rate(done: ConditionFigures, kind: str) -> str:
    alarms, hours = done.talk.get(kind, (0.0, 0.0))
    if not hours:
        return "-"
    figure = rate(round(alarms), hours)
    return f"{figure.value:.1f} ({figure.low:.1f}-{figure.high:.1f}); {alarms:.0f} in {hours:.2f} h"
