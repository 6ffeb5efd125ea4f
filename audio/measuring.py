"""How late words are and what they cost: the same recording as many calls at once, at the pace of real time."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio.events import CHUNK, SAMPLE_RATE, Chunk, Hypothesis, Pcm, Speaker, Utterance
from audio.listener import Listener
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler
from audio.scoring import NOTHING, Score, SpokenWord, State, score


@dataclass(frozen=True, slots=True)
class Load:
    """What so many calls at once cost, and how late their words were."""

    calls: int
    words: int
    """Spoken, over all calls."""
    error_rate: float
    """Word error rate of the final text: substitutions, insertions, deletions by words spoken."""
    shown_ms: tuple[int, int]
    """Median and 95th percentile from a word's end to its first appearance, provisional or not; over the words that
    were right in the end, as the next."""
    settled_ms: tuple[int, int]
    """The same, to when it was settled for good."""
    withdrawn: int
    """Times a rightly settled word was taken back."""
    cpu_per_audio: float
    """CPU seconds per second of one call (all its channels)."""
    cores: float
    """CPU seconds of all calls per second of wall time."""
    peak_mib: float
    """Largest resident memory so far, of this process and the recogniser's together."""


def load_of(calls: int, total: Score, *, cpu_s: float, wall_s: float, audio_s: float, peak_mib: float) -> Load:
    """The figures of `calls` calls of `audio_s` seconds each."""
    return Load(
        calls,
        total.words,
        total.errors / max(1, total.words),
        spread(total.shown_ms),
        spread(total.settled_ms),
        total.withdrawn,
        cpu_s / (audio_s * calls),
        cpu_s / wall_s,
        peak_mib,
    )


def spread(values: Sequence[int]) -> tuple[int, int]:
    """Median and 95th percentile."""
    if not values:
        return 0, 0
    return int(np.median(values)), int(np.percentile(values, 95))


@dataclass
class Transcript:
    """What a listener has said of each channel, kept as the states that `score` compares."""

    states: dict[Speaker, list[State]] = field(default_factory=dict)
    utterances: list[Utterance] = field(default_factory=list)
    """Those that are final."""
    _latest: dict[str, Hypothesis | Utterance] = field(default_factory=dict)

    def note(self, at_ms: int, heard: Sequence[object]) -> None:
        """Take what the listener said at this moment."""
        fresh = [item for item in heard if isinstance(item, Hypothesis | Utterance)]
        for item in fresh:
            self._latest[item.id] = item
            if isinstance(item, Utterance):
                self.utterances.append(item)
        for speaker in {item.speaker for item in fresh}:
            said = [item for item in self._latest.values() if item.speaker is speaker]
            said.sort(key=lambda item: item.start_ms)
            settled = tuple(word.text for item in said for word in item.words)
            tentative = tuple(word.text for item in said if isinstance(item, Hypothesis) for word in item.tentative)
            self.states.setdefault(speaker, []).append(State(at_ms, settled, tentative))

    def spoken(self) -> list[SpokenWord]:
        """The final words as if they were the truth, in order of time."""
        words = [
            SpokenWord(item.speaker, word.text, word.start_ms, word.end_ms)
            for item in self.utterances
            for word in item.words
        ]
        return sorted(words, key=lambda word: word.start_ms)

    def score(self, words: Sequence[SpokenWord]) -> Score:
        """Held against the words spoken, over all channels."""
        total = NOTHING
        for speaker in {word.speaker for word in words} | self.states.keys():
            spoken = [word for word in words if word.speaker is speaker]
            total += score(spoken, self.states.get(speaker, []))
        return total


@dataclass
class _Ear:
    """One call while it runs."""

    listener: Listener
    began: float
    transcript: Transcript = field(default_factory=Transcript)
    place: int = 0

    def note(self, heard: Sequence[object]) -> None:
        self.transcript.note(round((time.monotonic() - self.began) * 1000), heard)

    def due(self, length: int) -> float:
        """When the next sound has been spoken."""
        return self.began + min(self.place + CHUNK, length) / SAMPLE_RATE

    def finish(self) -> None:
        self.note(self.listener.finish())


def measure(
    recogniser: Recogniser,
    sound: Mapping[Speaker, Pcm],
    words: Sequence[SpokenWord] | None,
    *,
    calls: int,
    workers: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Load:
    """Play `sound` as so many calls at once, staggered over one second, in real time.

    Without `words` each call's own final words stand for the truth: lateness means something then, errors do not.
    """
    scheduler = Scheduler(recogniser, workers)
    changed = threading.Event()
    length = max(len(pcm) for pcm in sound.values())
    cpu, wall = cpu_s(recogniser), time.monotonic()
    ears = [_Ear(Listener(scheduler, tuple(sound), wake=changed.set), wall + number / calls) for number in range(calls)]
    with ThreadPoolExecutor(calls) as hanging_up:
        while talking := [ear for ear in ears if ear.place < length]:
            changed.wait(max(0.0, min(ear.due(length) for ear in talking) - time.monotonic()))
            changed.clear()
            for ear in talking:
                if time.monotonic() < ear.due(length):
                    ear.note(ear.listener.poll())
                    continue
                pieces = {who: pcm[ear.place : ear.place + CHUNK] for who, pcm in sound.items()}
                ear.note(ear.listener.push(Chunk(ear.place * 1000 // SAMPLE_RATE, pieces)))
                ear.place += CHUNK
                if ear.place >= length:
                    hanging_up.submit(ear.finish)  # blocks until its last words are final
            progress(sum(min(ear.place, length) for ear in ears) / (length * calls))
    cpu, wall, peak = cpu_s(recogniser) - cpu, time.monotonic() - wall, peak_mib(*getattr(recogniser, "pids", ()))
    scheduler.close()
    total = NOTHING
    for ear in ears:
        total += ear.transcript.score(ear.transcript.spoken() if words is None else words)
    return load_of(calls, total, cpu_s=cpu, wall_s=wall, audio_s=length / SAMPLE_RATE, peak_mib=peak)


def cpu_s(recogniser: Recogniser | None) -> float:
    """CPU seconds so far, of this process and the recogniser's."""
    spent: float = getattr(recogniser, "cpu_s", 0.0)
    return time.process_time() + spent


def peak_mib(*pids: int) -> float:
    """Largest resident memory of this process so far and, on Linux, of its children `pids`, MiB.

    On Linux not from getrusage, which there begins with the peak of the process that started this one.
    """
    if sys.platform == "linux":
        files = [Path("/proc") / str(one) / "status" for one in ("self", *pids)]
        texts = [path.read_text(encoding="ascii", errors="replace") for path in files if path.exists()]
        return sum(int(text.split("VmHWM:")[1].split()[0]) for text in texts) / 1024
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def capacity(measured: Callable[[int], Load], *, limit_ms: int = 1000, most: int = 64) -> list[Load]:
    """Loads measured on the way to the largest number of calls whose settled words stay within the limit at p95.

    `measured` measures so many calls. Doubled until the limit is passed, then halved in between. The answer is the
    largest `calls` of a load within it.
    """
    loads: list[Load] = []
    good, bad, calls = 0, most + 1, 1
    while bad - good > 1:
        load = measured(calls)
        loads.append(load)
        if within(load, limit_ms):
            good = calls
        else:
            bad = calls
        calls = min(2 * good, most) if bad > most else (good + bad) // 2
        if calls <= good:
            break
    return loads


def within(load: Load, limit_ms: int) -> bool:
    """Whether 95 of 100 words were settled in time; a load that heard nothing never is."""
    return load.error_rate < 1 and load.settled_ms[1] <= limit_ms
