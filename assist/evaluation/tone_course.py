"""The raised-voice detector on whole simulated calls: detection delay, long anger, recovery, a step in gain, and false
alarms on speech that is not raised.

Calls are joined from a speaker's clips and sent over one simulated telephone line (assist/evaluation/tone_lines.py).
False alarms are counted on clips labelled "natural" (a calm caller's
ordinary talk); acted neutral speech hides them.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from assist.evaluation.tone_lines import in_condition, measures
from audio.events import SAMPLE_RATE, Pcm, VoiceMeasure
from detectors.raised_voice import RaisedVoice
from detectors.signals import Window

MEASURE_S = 0.2
"""Seconds of voiced speech that one measure covers."""
CALM_S = 20.0
"""Calm speech before anything else."""
ANGER_S = 40.0
OUTBURST_CLIPS = 4
"""Raised clips in a row, to measure detection and its delay."""
GAIN_STEP_DB = 8.0
"""Such as a phone moved closer, or a gateway that raises its gain."""
PAUSE_S = (0.2, 0.6)
"""Between clips: least and most."""


@dataclass(frozen=True, slots=True)
class SpeakerClips:
    """One speaker's clips, by how they are spoken."""

    speaker: str
    calm: Sequence[Pcm] = ()
    raised: Sequence[Pcm] = ()
    """Of any level."""
    levels: dict[str, Sequence[Pcm]] = field(default_factory=dict)
    """The raised ones whose label says so: shouted, moderate."""
    talk: dict[str, Sequence[Pcm]] = field(default_factory=dict)
    """What must not alarm, by kind: natural, lively."""


@dataclass(slots=True)
class ConditionFigures:
    """Figures of one condition, over all speakers."""

    third: list[int] = field(default_factory=lambda: [0, 0])
    """Measures judged raised, of all, in the last third of 40 s of raised speech."""
    clears_s: list[float] = field(default_factory=list)
    """Calm time until the voice no longer counts as raised, of speakers whose voice did when the anger ended."""
    steps: list[int] = field(default_factory=lambda: [0, 0])
    """Speakers whose calm talk alarmed after a gain step of 8 dB, of all."""
    found: dict[str, list[float | None]] = field(default_factory=dict)
    """Raised speech in seconds until the alarm (None: none came), by level of anger; "any" where labels say none."""
    talk: dict[str, list[float]] = field(default_factory=dict)
    """Alarms and hours of measured speech, by kind of talk that is not raised."""

    def add(self, voice: SpeakerClips, condition: str) -> None:
        """Simulate this speaker's calls over this condition's line and count what the detector does."""
        rng = random.Random(zlib.crc32(voice.speaker.encode()))
        calm = _joined_clips(voice.calm, CALM_S, rng)
        if calm and voice.raised:
            _long_anger(self, voice, condition, calm, rng)
            for level, clips in (voice.levels or {"any": voice.raised}).items():
                _outbursts(self.found.setdefault(level, []), voice, condition, calm, clips, rng)
        halves = (calm, _joined_clips(voice.calm, CALM_S, rng)) if calm else _halves(voice.talk.get("natural", ()))
        if halves:
            self.steps[0] += _alarms_louder(halves, voice, condition)
            self.steps[1] += 1
        talk = dict(voice.talk)
        if len(voice.calm) > 1:
            talk["acted calm"] = voice.calm
        for kind, clips in talk.items():
            heard = measures(in_condition(_joined_clips(clips, 0, rng), condition, voice.speaker))
            total = self.talk.setdefault(kind, [0.0, 0.0])
            total[0] += count_alarms(heard)
            total[1] += MEASURE_S * len(heard) / 3600


def count_alarms(heard: Sequence[VoiceMeasure]) -> int:
    """Number of alarms of the detector; one that is raised repeatedly counts once."""
    detector = RaisedVoice()
    return len({signal.key for m in heard for signal in detector(Window(m.at_ms, voice=m))})


def _long_anger(
    figures: ConditionFigures, voice: SpeakerClips, condition: str, calm: Sequence[Pcm], rng: random.Random
) -> None:
    anger, again = _joined_clips(voice.raised, ANGER_S, rng), _joined_clips(voice.calm, CALM_S, rng)
    start, end = _seconds(calm), _seconds(calm) + _seconds(anger)
    detector, since = RaisedVoice(), end - (end - start) / 3
    raised, clear = False, None
    for measure in measures(in_condition([*calm, *anger, *again], condition, voice.speaker)):
        detector(Window(measure.at_ms, voice=measure))
        at = measure.at_ms / 1000
        if at < end:
            raised = detector.raised
        elif clear is None and not detector.raised:
            clear = at - end
        if since <= at < end:
            figures.third[0] += detector.raised
            figures.third[1] += 1
    if raised:
        figures.clears_s.append(clear if clear is not None else _seconds(again))


def _outbursts(
    found: list[float | None],
    voice: SpeakerClips,
    condition: str,
    calm: Sequence[Pcm],
    clips: Sequence[Pcm],
    rng: random.Random,
) -> None:
    for first in range(0, len(clips) - OUTBURST_CLIPS + 1, OUTBURST_CLIPS):
        anger = _joined_clips(clips[first : first + OUTBURST_CLIPS], 0, rng)
        detector, spoken, alarm_s = RaisedVoice(), 0, None
        for measure in measures(in_condition([*calm, *anger], condition, voice.speaker)):
            raised = measure.at_ms / 1000 >= _seconds(calm)
            spoken += raised
            if detector(Window(measure.at_ms, voice=measure)) and raised:
                alarm_s = MEASURE_S * spoken
                break
        found.append(alarm_s)


def _joined_clips(clips: Sequence[Pcm], seconds: float, rng: random.Random) -> list[Pcm]:
    """Clips in random order with pauses between: `seconds` of speech, repeated where there is less; 0: each once."""
    order = list(clips)
    rng.shuffle(order)
    pieces: list[Pcm] = []
    spoken = 0.0
    while order and (spoken < seconds or (not seconds and len(pieces) < 2 * len(order))):
        clip = order[len(pieces) // 2 % len(order)]
        pieces += [clip, np.zeros(int(rng.uniform(*PAUSE_S) * SAMPLE_RATE), dtype=np.float32)]
        spoken += len(clip) / SAMPLE_RATE
    return pieces


def _halves(clips: Sequence[Pcm]) -> tuple[list[Pcm], list[Pcm]] | None:
    whole = np.concatenate(list(clips)) if clips else np.zeros(0, dtype=np.float32)
    middle = len(whole) // 2
    return ([whole[:middle]], [whole[middle:]]) if middle >= CALM_S / 2 * SAMPLE_RATE else None


def _alarms_louder(halves: tuple[list[Pcm], list[Pcm]], voice: SpeakerClips, condition: str) -> bool:
    """Whether the second half alarms more often when it comes 8 dB louder."""
    before, after = halves
    louder = [part * np.float32(10 ** (GAIN_STEP_DB / 20)) for part in after]
    plain, stepped = ([*before, *then] for then in (after, louder))
    return _alarms(in_condition(stepped, condition, voice.speaker)) > _alarms(
        in_condition(plain, condition, voice.speaker)
    )


def _seconds(parts: Sequence[Pcm]) -> float:
    return sum(len(part) for part in parts) / SAMPLE_RATE


def _alarms(pcm: Pcm) -> int:
    return count_alarms(measures(pcm))
