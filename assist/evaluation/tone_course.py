"""The raised-voice detector over whole calls: how soon it speaks, long anger, the way back to calm, a phone moved
closer, and how often it alarms on talk that is not raised.

Calls are put together from a speaker's clips and go over one telephone line (assist/evaluation/tone_lines.py), so that
what is measured is what a call would bring. False alarms are counted on clips labelled "natural" (a calm caller's
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
"""Voiced speech that one measure adds."""
CALM_S = 20.0
"""Calm speech before anything else."""
ANGER_S = 40.0
OUTBURST = 4
"""Raised clips in a row, for what is found and how soon."""
STEP_DB = 8.0
"""A telephone moved closer, or a gateway that turns its gain up."""
PAUSE_S = (0.2, 0.6)
"""Between clips."""


@dataclass(frozen=True, slots=True)
class Voice:
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
class Course:
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

    def add(self, voice: Voice, condition: str) -> None:
        """Put this speaker's calls together, over this condition's line, and play them."""
        chance = random.Random(zlib.crc32(voice.speaker.encode()))
        calm = _string(voice.calm, CALM_S, chance)
        if calm and voice.raised:
            _long_anger(self, voice, condition, calm, chance)
            for level, clips in (voice.levels or {"any": voice.raised}).items():
                _outbursts(self.found.setdefault(level, []), voice, condition, calm, clips, chance)
        halves = (calm, _string(voice.calm, CALM_S, chance)) if calm else _halves(voice.talk.get("natural", ()))
        if halves:
            self.steps[0] += _alarms_louder(halves, voice, condition)
            self.steps[1] += 1
        talk = dict(voice.talk)
        if len(voice.calm) > 1:
            talk["acted calm"] = voice.calm
        for kind, clips in talk.items():
            heard = measures(in_condition(_string(clips, 0, chance), condition, voice.speaker))
            total = self.talk.setdefault(kind, [0.0, 0.0])
            total[0] += alarms_in(heard)
            total[1] += MEASURE_S * len(heard) / 3600


def alarms_in(heard: Sequence[VoiceMeasure]) -> int:
    """How often the detector speaks; the same rise counts once."""
    judge = RaisedVoice()
    return len({signal.key for m in heard for signal in judge(Window(m.at_ms, voice=m))})


def _long_anger(out: Course, voice: Voice, condition: str, calm: Sequence[Pcm], chance: random.Random) -> None:
    anger, again = _string(voice.raised, ANGER_S, chance), _string(voice.calm, CALM_S, chance)
    start, end = _seconds(calm), _seconds(calm) + _seconds(anger)
    judge, since = RaisedVoice(), end - (end - start) / 3
    raised, clear = False, None
    for measure in measures(in_condition([*calm, *anger, *again], condition, voice.speaker)):
        judge(Window(measure.at_ms, voice=measure))
        at = measure.at_ms / 1000
        if at < end:
            raised = judge.raised
        elif clear is None and not judge.raised:
            clear = at - end
        if since <= at < end:
            out.third[0] += judge.raised
            out.third[1] += 1
    if raised:
        out.clears_s.append(clear if clear is not None else _seconds(again))


def _outbursts(
    found: list[float | None],
    voice: Voice,
    condition: str,
    calm: Sequence[Pcm],
    clips: Sequence[Pcm],
    chance: random.Random,
) -> None:
    for first in range(0, len(clips) - OUTBURST + 1, OUTBURST):
        anger = _string(clips[first : first + OUTBURST], 0, chance)
        judge, spoken, when = RaisedVoice(), 0, None
        for measure in measures(in_condition([*calm, *anger], condition, voice.speaker)):
            raised = measure.at_ms / 1000 >= _seconds(calm)
            spoken += raised
            if judge(Window(measure.at_ms, voice=measure)) and raised:
                when = MEASURE_S * spoken
                break
        found.append(when)


def _string(clips: Sequence[Pcm], seconds: float, chance: random.Random) -> list[Pcm]:
    """Clips with pauses between them: so much speech, again from the beginning where there is less; 0: each once."""
    order = list(clips)
    chance.shuffle(order)
    out: list[Pcm] = []
    spoken = 0.0
    while order and (spoken < seconds or (not seconds and len(out) < 2 * len(order))):
        clip = order[len(out) // 2 % len(order)]
        out += [clip, np.zeros(int(chance.uniform(*PAUSE_S) * SAMPLE_RATE), dtype=np.float32)]
        spoken += len(clip) / SAMPLE_RATE
    return out


def _halves(clips: Sequence[Pcm]) -> tuple[list[Pcm], list[Pcm]] | None:
    whole = np.concatenate(list(clips)) if clips else np.zeros(0, dtype=np.float32)
    middle = len(whole) // 2
    return ([whole[:middle]], [whole[middle:]]) if middle >= CALM_S / 2 * SAMPLE_RATE else None


def _alarms_louder(halves: tuple[list[Pcm], list[Pcm]], voice: Voice, condition: str) -> bool:
    """Whether the second half alarms more often when it comes 8 dB louder."""
    before, after = halves
    louder = [part * np.float32(10 ** (STEP_DB / 20)) for part in after]
    plain, stepped = ([*before, *then] for then in (after, louder))
    return _alarms(in_condition(stepped, condition, voice.speaker)) > _alarms(
        in_condition(plain, condition, voice.speaker)
    )


def _seconds(parts: Sequence[Pcm]) -> float:
    return sum(len(part) for part in parts) / SAMPLE_RATE


def _alarms(pcm: Pcm) -> int:
    return alarms_in(measures(pcm))
