"""The raised-voice detector over minutes: long anger, the way back to calm, a phone moved closer, calm talk.

`assist eval FOLDER --labels TABLE` prints it below the table of clips. Clips labelled "natural" are whole stretches of
one calm caller's ordinary talk: false alarms are counted on those, never on acted speech, which hides them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from audio.events import VoiceMeasure
from detectors.raised_voice import RaisedVoice
from detectors.signals import Window

MEASURE_S = 0.2
"""Voiced speech that one measure adds."""
CALM_S = 20.0
"""Calm speech before anything else."""
ANGER_S = 40.0
STEP_DB = 8.0
"""A telephone moved closer, or a gateway that turns its gain up."""


@dataclass(frozen=True, slots=True)
class Course:
    """Figures of one condition."""

    last_third: tuple[int, int]
    """Measures judged raised, of all, in the last third of 40 s of raised speech."""
    clears_s: tuple[float, ...]
    """For each speaker, calm speech until the voice no longer counts as raised."""
    steps: tuple[int, int]
    """Speakers whose calm talk alarmed after a gain step of 8 dB, of all."""
    alarms: int
    """On natural talk."""
    natural_s: float


def course(
    calm: Sequence[Sequence[VoiceMeasure]],
    raised: Sequence[Sequence[VoiceMeasure]],
    natural: Sequence[Sequence[VoiceMeasure]],
) -> Course:
    """Play each speaker's calm and raised speech (one sequence each, same order), and each natural stretch."""
    up = late = stepped = tried = alarms = 0
    clears: list[float] = []
    for quiet, loud in zip(calm, raised, strict=True):
        before, anger = _of(quiet, CALM_S), _of(loud, ANGER_S)
        if before and anger:
            judge = RaisedVoice()
            states = _states(judge, [*before, *anger])
            third = states[len(before) + 2 * len(anger) // 3 :]
            up, late = up + sum(third), late + len(third)
            back = _states(judge, before, start_ms=_length_ms([*before, *anger]))
            clears.append(MEASURE_S * (back.index(False) if False in back else len(back)))
        if before:
            tried += 1
            shifted = [replace(measure, level_db=measure.level_db + STEP_DB) for measure in before]
            plain = _alarms([*before, *before])
            stepped += _alarms([*before, *shifted]) > plain
    for talk in natural:
        alarms += _alarms(talk)
    seconds = MEASURE_S * sum(len(talk) for talk in natural)
    return Course((up, late), tuple(sorted(clears)), (stepped, tried), alarms, seconds)


def table(courses: dict[str, Course]) -> Table:
    """One row for each condition."""
    out = Table(
        "Condition", "Last third of 40 s", "Calm again, median / 90 %", "Alarms after +8 dB", "Alarms on natural talk"
    )
    for condition, found in courses.items():
        clears = found.clears_s
        hours = found.natural_s / 3600
        natural = f"{found.alarms} in {hours:.2f} h" if found.natural_s else "no clips labelled natural"
        out.add_row(
            condition,
            f"{found.last_third[0] / found.last_third[1]:.0%}" if found.last_third[1] else "–",
            f"{clears[len(clears) // 2]:.1f} / {clears[int(0.9 * (len(clears) - 1))]:.1f} s" if clears else "–",
            f"{found.steps[0]} of {found.steps[1]} callers",
            natural,
        )
    return out


def _of(measures: Sequence[VoiceMeasure], seconds: float) -> list[VoiceMeasure]:
    """Exactly so much voiced speech, the same again where there is less; empty where there is next to none."""
    wanted = int(seconds / MEASURE_S)
    if len(measures) * MEASURE_S < 2.0:
        return []
    return [measures[n % len(measures)] for n in range(wanted)]


def _timed(measures: Sequence[VoiceMeasure], start_ms: int = 0) -> list[VoiceMeasure]:
    return [replace(measure, at_ms=start_ms + 200 * (n + 1)) for n, measure in enumerate(measures)]


def _length_ms(measures: Sequence[VoiceMeasure]) -> int:
    return 200 * len(measures)


def _states(judge: RaisedVoice, measures: Sequence[VoiceMeasure], start_ms: int = 0) -> list[bool]:
    found = []
    for measure in _timed(measures, start_ms):
        judge(Window(measure.at_ms, voice=measure))
        found.append(judge.raised)
    return found


def _alarms(measures: Sequence[VoiceMeasure]) -> int:
    judge = RaisedVoice()
    return len({signal.key for m in _timed(measures) for signal in judge(Window(m.at_ms, voice=m))})
