"""`assist bench endurance`: one call of many hours, as fast as it goes, and whether the program's memory grows."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from assist.bench.alone import alone
from assist.bench.figures import resident_mib
from assist.bench.listening import steps
from assist.bench.material import Material
from assist.bench.recogniser_setup import RecogniserSetup
from audio.events import CHUNK, SAMPLE_RATE, Chunk, Utterance
from audio.listener import Listener
from audio.scheduling import Scheduler
from audio.voice import VoiceMeter

SETTLING_SHARE = 0.2
"""The beginning of a call, in which caches and the allocator's pools fill, is left out of the slope."""


@dataclass(frozen=True, slots=True)
class Endurance:
    """Memory over a long call."""

    recogniser: str
    samples: tuple[tuple[float, float], ...]
    """(hours of call so far, MiB resident)."""
    utterances: int
    cpu_s: float

    @property
    def hours(self) -> float:
        """Length of the call."""
        return self.samples[-1][0]

    @property
    def slope(self) -> float:
        """MiB per hour of call: the least-squares line through the samples after the first fifth."""
        late = [sample for sample in self.samples if sample[0] >= SETTLING_SHARE * self.hours]
        hours, mib = np.array(late).T
        return float(np.polyfit(hours, mib, 1)[0]) if len(late) > 1 else 0.0

    def table(self) -> Table:
        """The figures."""
        table = Table("One call", f"of {self.hours:.1f} h", title=self.recogniser)
        first, last = (
            next(mib for hours, mib in self.samples if hours >= SETTLING_SHARE * self.hours),
            self.samples[-1][1],
        )
        table.add_row("memory after the first fifth", f"{first:.1f} MiB")
        table.add_row("memory at its end", f"{last:.1f} MiB")
        table.add_row("slope after the first fifth", f"{self.slope:+.2f} MiB per hour")
        table.add_row("utterances", str(self.utterances))
        table.add_row("CPU-seconds per call-second", f"{self.cpu_s / (3600 * self.hours):.3f}")
        return table


def endure(console: Console, material: Material, setup: RecogniserSetup, *, hours: float, pause_s: float) -> Endurance:
    """Play the material over and over, with a pause each time, as one call of so many hours."""
    with steps(console) as step:
        found: Endurance = step(f"a call of {hours:g} h", alone, one_call, setup, material, hours, pause_s)
    return found


def one_call(
    setup: RecogniserSetup, material: Material, hours: float, pause_s: float, *, progress: Callable[[float], None]
) -> Endurance:
    """The call itself, listened to as the program does; for a process of its own."""
    recogniser = setup.load()
    scheduler = Scheduler(recogniser, setup.workers)
    listener = Listener(scheduler, tuple(material.sound), in_step=True, voice_meter=VoiceMeter())
    samples: list[tuple[float, float]] = []
    utterances, cpu = 0, time.process_time()
    for number, chunk in enumerate(_chunks(material, pause_s)):
        if chunk.start_ms >= hours * 3_600_000:
            break
        utterances += sum(isinstance(item, Utterance) for item in listener.push(chunk))
        if number % 600 == 599:  # each minute
            samples.append((chunk.end_ms / 3_600_000, resident_mib()))
            progress(chunk.end_ms / (hours * 3_600_000))
    utterances += sum(isinstance(item, Utterance) for item in listener.finish())
    scheduler.close()
    samples.append((hours, resident_mib()))
    return Endurance(recogniser.name, tuple(samples), utterances, time.process_time() - cpu)


def _chunks(material: Material, pause_s: float) -> Iterator[Chunk]:
    """The material over and over on one clock."""
    length = max(len(pcm) for pcm in material.sound.values()) + round(pause_s * SAMPLE_RATE)
    length -= length % CHUNK
    looped = {
        who: np.concatenate([pcm, np.zeros(max(0, length - len(pcm)), np.float32)])[:length]
        for who, pcm in material.sound.items()
    }
    places = itertools.cycle(range(0, length, CHUNK))
    for number, place in enumerate(places):
        yield Chunk(number * 100, {who: pcm[place : place + CHUNK] for who, pcm in looped.items()})
