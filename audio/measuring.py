"""Load measurement: latency, errors, CPU and memory with one recording played as many calls at once, in real time."""

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
from audio.scoring import EMPTY_SCORE, Score, SpokenWord, State, score


@dataclass(frozen=True, slots=True)
class Load:
    """Cost and latency of so many calls at once."""

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
    """Times a correct settled word was changed again."""
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
        median_and_p95(total.shown_ms),
        median_and_p95(total.settled_ms),
        total.withdrawn,
        cpu_s / (audio_s * calls),
        cpu_s / wall_s,
        peak_mib,
    )


def median_and_p95(values: Sequence[int]) -> tuple[int, int]:
    """Median and 95th percentile."""
    if not values:
        return 0, 0
    return int(np.median(values)), int(np.percentile(values, 95))


@dataclass
class Transcript:
    """The states of each channel (see scoring.State), built from a listener's events."""

    states: dict[Speaker, list[State]] = field(default_factory=dict)
    utterances: list[Utterance] = field(default_factory=list)
    """Those that are final."""
    _latest: dict[str, Hypothesis | Utterance] = field(default_factory=dict)

    def note(self, at_ms: int, heard: Sequence[object]) -> None:
        """Take the events of this moment."""
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
        """The final words as a reference, in order of time."""
        words = [
            SpokenWord(item.speaker, word.text, word.start_ms, word.end_ms)
            for item in self.utterances
            for word in item.words
        ]
        return sorted(words, key=lambda word: word.start_ms)

    def score(self, words: Sequence[SpokenWord]) -> Score:
        """Score against the words spoken, over all channels."""
        total = EMPTY_SCORE
        for speaker in {word.speaker for word in words} | self.states.keys():
            spoken = [word for word in words if word.speaker is speaker]
            total += score(spoken, self.states.get(speaker, []))
        return total


@dataclass
class _Playback:
    """One call being played."""

    listener: Listener
    start_s: float
    transcript: Transcript = field(default_factory=Transcript)
    position: int = 0

    def note(self, heard: Sequence[object]) -> None:
        self.transcript.note(round((time.monotonic() - self.start_s) * 1000), heard)

    def due(self, length: int) -> float:
        """When the next chunk is complete, on the monotonic clock."""
        return self.start_s + min(self.position + CHUNK, length) / SAMPLE_RATE

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

    Without `words` each call's own final words are the reference: then latency means something, errors do not.
    """
    scheduler = Scheduler(recogniser, workers)
    changed = threading.Event()
    length = max(len(pcm) for pcm in sound.values())
    cpu, wall = cpu_s(recogniser), time.monotonic()
    playbacks = [
        _Playback(Listener(scheduler, tuple(sound), wake=changed.set), wall + number / calls) for number in range(calls)
    ]
    with ThreadPoolExecutor(calls) as hanging_up:
        while talking := [playback for playback in playbacks if playback.position < length]:
            changed.wait(max(0.0, min(playback.due(length) for playback in talking) - time.monotonic()))
            changed.clear()
            for playback in talking:
                if time.monotonic() < playback.due(length):
                    playback.note(playback.listener.poll())
                    continue
                pieces = {who: pcm[playback.position : playback.position + CHUNK] for who, pcm in sound.items()}
                playback.note(playback.listener.push(Chunk(playback.position * 1000 // SAMPLE_RATE, pieces)))
                playback.position += CHUNK
                if playback.position >= length:
                    hanging_up.submit(playback.finish)  # blocks until its last words are final
            progress(sum(min(playback.position, length) for playback in playbacks) / (length * calls))
    cpu, wall, peak = cpu_s(recogniser) - cpu, time.monotonic() - wall, peak_mib(*getattr(recogniser, "pids", ()))
    scheduler.close()
    total = EMPTY_SCORE
    for playback in playbacks:
        total += playback.transcript.score(playback.transcript.spoken() if words is None else words)
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
    largest_good, smallest_bad, calls = 0, most + 1, 1
    while smallest_bad - largest_good > 1:
        load = measured(calls)
        loads.append(load)
        if within(load, limit_ms):
            largest_good = calls
        else:
            smallest_bad = calls
        calls = min(2 * largest_good, most) if smallest_bad > most else (largest_good + smallest_bad) // 2
        if calls <= largest_good:
            break
    return loads


def within(load: Load, limit_ms: int) -> bool:
    """Whether 95 of 100 words were settled in time; a load that heard nothing never is."""
    return load.error_rate < 1 and load.settled_ms[1] <= limit_ms
