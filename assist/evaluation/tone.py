"""The raised-voice detector on labelled clips: does it tell raised from calm speech of the same speaker, and how often
does it alarm on calm talk? In the conditions of a telephone line, each made here from the clip.

`assist eval FOLDER --labels TABLE` runs it on any clips with path, speaker and label; `natural_alarms` on calm calls.
"""

from __future__ import annotations

import asyncio
import math
import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from assist.evaluation.cases import Clip
from assist.evaluation.tone_course import course
from assist.evaluation.tone_course import table as course_table
from audio.events import SAMPLE_RATE, Chunk, CustomerAudio, Pcm, Speaker, VoiceMeasure
from audio.recording import open_recording
from audio.voice import VoiceMeter
from detectors.raised_voice import RaisedVoice
from detectors.signals import Window

RAISED = frozenset({"raised", "anger", "angry", "shout", "shouted", "shouting"})
CALM = frozenset({"calm", "neutral", "sad", "sadness", "boredom", "bored"})
NATURAL = frozenset({"natural"})
CONDITIONS = ("tel", "agc", "norm")
"""tel: 300-3400 Hz, a handset tilt of +-8 dB and a gain of +-10 dB per speaker, noise at -60 dBov, mu-law.
agc: the same behind automatic gain (+-20 dB). norm: every clip levelled, the worst case."""
BASELINE_CLIPS = 8
"""Calm clips of the same speaker heard before the clip that is judged."""
STRETCH_CLIPS = 4
"""Raised clips in a row, for what is found and how soon."""

_Signal = NDArray[np.float64]


def in_condition(pcm: Pcm, condition: str, speaker: str) -> Pcm:
    """A clip (16 kHz) as the line would carry it; the same speaker always has the same handset and gain."""
    own = np.random.default_rng(zlib.crc32(speaker.encode()))
    tilt, gain = own.uniform(-8, 8), own.uniform(-10, 10)
    size = len(pcm)
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    slope = np.clip(tilt * np.log2(frequencies / 1000) / np.log2(3400 / 300), -abs(tilt), abs(tilt))
    line = np.where((frequencies >= 300) & (frequencies <= 3400), 10 ** (slope / 20), 0.0)
    out: _Signal = np.fft.irfft(np.fft.rfft(pcm.astype(np.float64)) * line, size) * 10 ** (gain / 20)
    if condition == "norm":
        out = out / (math.sqrt(float(np.mean(out**2))) + 1e-9) * 0.05
    elif condition == "agc":
        out = _automatic_gain(out)
    noise = np.random.default_rng(zlib.crc32(f"{speaker}{size}".encode())).standard_normal(size) * 10 ** (-60 / 20)
    return _mu_law(out + noise).astype(np.float32)


def evaluate_tone(clips: Sequence[Clip]) -> list[Table]:
    """Tables with a row for every condition: AUC against the speaker's own baseline and without, what is found how
    soon; and the course over minutes (assist/evaluation/tone_course.py).
    """
    table = Table(
        "Condition", "AUC, own baseline", "AUC, no baseline", "Stretches found", "Median raised speech", "Clips"
    )
    courses = {}
    for condition in CONDITIONS:
        everything = [
            (clip.speaker, clip.label.casefold(), measures(in_condition(sound(clip.path), condition, clip.speaker)))
            for clip in clips
            if clip.label.casefold() in RAISED | CALM | NATURAL
        ]
        measured = [each for each in everything if each[1] not in NATURAL]
        speakers = sorted({who for who, _, _ in measured})
        courses[condition] = course(
            [_speech_of(measured, each, CALM) for each in speakers],
            [_speech_of(measured, each, RAISED) for each in speakers],
            [clip for _, label, clip in everything if label in NATURAL],
        )
        relative, absolute = _scores(measured, baseline=True), _scores(measured, baseline=False)
        found = _found(measured)
        times = sorted(each for each in found if each is not None)
        table.add_row(
            condition,
            f"{auc(*relative):.3f}",
            f"{auc(*absolute):.3f}",
            f"{len(times)} of {len(found)}",
            f"{times[len(times) // 2]:.1f} s" if times else "–",
            str(len(measured)),
        )
    return [table, course_table(courses)]


def natural_alarms(recordings: Iterable[Path]) -> tuple[int, float]:
    """Alarms, and hours of measured speech, on recordings of one calm speaker each."""
    alarms, seconds = 0, 0.0
    for path in recordings:
        heard = measures(in_condition(sound(path), "tel", path.name))
        judge = RaisedVoice()
        alarms += len({signal.key for m in heard for signal in judge(Window(m.at_ms, voice=m))})
        seconds += 0.2 * len(heard)
    return alarms, seconds / 3600


def measures(pcm: Pcm) -> list[VoiceMeasure]:
    """A clip's measures, in chunks as a call would bring them."""
    meter = VoiceMeter()
    found: list[VoiceMeasure] = []
    for start in range(0, len(pcm), 1600):
        found += meter.push(CustomerAudio(start * 1000 // SAMPLE_RATE, pcm[start : start + 1600]))
    return found


def sound(path: Path) -> Pcm:
    """A whole recording as one channel, 16 kHz."""
    source = open_recording(path, speed=math.inf, mono=Speaker.CUSTOMER)

    async def read() -> Pcm:
        parts = [item.channels for item in [each async for each in source] if isinstance(item, Chunk)]
        return np.concatenate([np.mean(list(channels.values()), axis=0) for channels in parts]).astype(np.float32)

    return asyncio.run(read())


def auc(raised: Sequence[float], calm: Sequence[float]) -> float:
    """Probability that a raised clip scores above a calm one; ties count half. Mann-Whitney U."""
    if not raised or not calm:
        return math.nan
    ordered = np.sort(np.asarray(calm))
    below = np.searchsorted(ordered, raised, side="left")
    upto = np.searchsorted(ordered, raised, side="right")
    return float(np.mean(below + upto) / 2 / len(calm))


_Measured = Sequence[tuple[str, str, list[VoiceMeasure]]]


def _scores(measured: _Measured, *, baseline: bool) -> tuple[list[float], list[float]]:
    raised: list[float] = []
    calm: list[float] = []
    for number, (speaker, label, clip) in enumerate(measured):
        if not clip:
            continue
        judge = RaisedVoice()
        if baseline:
            others = [m for n, (who, what, m) in enumerate(measured) if who == speaker and what in CALM and n != number]
            random.Random(number).shuffle(others)
            _play(judge, others[:BASELINE_CLIPS])
            judge.pause()
        scores = sorted(_play(judge, [clip]))
        (raised if label in RAISED else calm).append(float(np.mean(scores[-6:])))
    return raised, calm


def _found(measured: _Measured) -> list[float | None]:
    """Seconds of raised speech until the detector says so, for stretches of clips after a calm beginning."""
    found: list[float | None] = []
    for speaker in sorted({who for who, _, _ in measured}):
        calm = [m for who, label, m in measured if who == speaker and label in CALM and m]
        raised = [m for who, label, m in measured if who == speaker and label in RAISED and m]
        for start in range(0, len(raised) - STRETCH_CLIPS + 1, STRETCH_CLIPS):
            judge = RaisedVoice()
            clips = [*calm[:BASELINE_CLIPS], *raised[start : start + STRETCH_CLIPS]]
            calm_count = sum(len(m) for m in calm[:BASELINE_CLIPS])
            when = None
            for number, measure in enumerate(_in_a_row(clips)):
                if judge(Window(measure.at_ms, voice=measure)) and number >= calm_count:
                    when = 0.2 * (number - calm_count + 1)
                    break
            found.append(when)
    return found


def _play(judge: RaisedVoice, clips: Sequence[list[VoiceMeasure]]) -> list[float]:
    return [judge.judge(measure) for measure in _in_a_row(clips)]


def _speech_of(measured: _Measured, speaker: str, labels: frozenset[str]) -> list[VoiceMeasure]:
    return [measure for who, label, clip in measured if who == speaker and label in labels for measure in clip]


def _in_a_row(clips: Sequence[list[VoiceMeasure]]) -> list[VoiceMeasure]:
    out: list[VoiceMeasure] = []
    offset = 0
    for clip in clips:
        out += [replace(measure, at_ms=measure.at_ms + offset) for measure in clip]
        offset = out[-1].at_ms + 400 if out else 0
    return out


def _automatic_gain(pcm: _Signal) -> _Signal:
    """A gateway's: towards -20 dBov in 20 ms steps, down quickly, up slowly, at most 20 dB either way."""
    step, gain = SAMPLE_RATE // 50, 0.0
    out = pcm.copy()
    for start in range(0, len(pcm), step):
        block = pcm[start : start + step]
        level = 10 * math.log10(float(np.mean(block**2)) + 1e-12)
        if level > -50:
            wanted = min(20.0, max(-20.0, -20.0 - level))
            gain += (wanted - gain) * (0.15 if wanted < gain else 0.02)
        out[start : start + step] = block * 10 ** (gain / 20)
    return out


def _mu_law(pcm: _Signal) -> _Signal:
    """There and back: G.711's curve with 8 bits."""
    clipped = np.clip(pcm, -1, 1)
    code = np.round(np.sign(clipped) * np.log1p(255 * np.abs(clipped)) / math.log(256) * 127) / 127
    return np.asarray(np.sign(code) * (np.power(256.0, np.abs(code)) - 1) / 255)
