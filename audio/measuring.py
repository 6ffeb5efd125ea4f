"""How late words are and what they cost: the same recording as many calls at once, at the pace of real time.

Every figure is from the true end of a word in the recording to the moment the listener said it, over the words that
were heard rightly in the end.
"""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from audio.events import SAMPLE_RATE, Chunk, Hypothesis, Pcm, Speaker, Utterance, Word
from audio.listener import Listener
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler
from audio.settling import plain

CHUNK = SAMPLE_RATE // 10
NEAR_MS = 1500
"""A word said this far from its true place is another word."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of the recording, with its exact place."""

    speaker: Speaker
    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Load:
    """What so many calls at once cost, and how late their words were."""

    calls: int
    error_rate: float
    """Word error rate of the final text over all calls: substitutions, insertions, deletions by words spoken."""
    settled_ms: tuple[int, int]
    """Median and 95th percentile from a word's end until two hypotheses agree on it, or its utterance is final."""
    final_ms: tuple[int, int]
    """The same, to its utterance being final."""
    shown_ms: tuple[int, int]
    """The same, to its first appearance at its place, provisional or not."""
    cpu_per_audio: float
    """CPU seconds per second of one call (all its channels)."""
    real_time_factor: float
    """CPU seconds of all calls per second of wall time."""
    peak_mib: float
    """Largest resident memory of the process so far."""


@dataclass
class _Ear:
    """One call while it runs: what it said and when, in ms since its own beginning."""

    listener: Listener
    began: float
    said: list[tuple[int, Hypothesis | Utterance]] = field(default_factory=list)


def measure(
    recogniser: Recogniser,
    sound: Mapping[Speaker, Pcm],
    words: Sequence[SpokenWord],
    *,
    calls: int,
    workers: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Load:
    """Play `sound` as so many calls at once, staggered over one second, in real time."""
    scheduler = Scheduler(recogniser, workers)
    changed = threading.Event()
    length = max(len(pcm) for pcm in sound.values())
    cpu, wall = time.process_time(), time.monotonic()
    ears = [_Ear(Listener(scheduler, tuple(sound), wake=changed.set), wall + number / calls) for number in range(calls)]
    places = [0] * calls
    while any(place < length for place in places):
        now = time.monotonic()
        waits = []
        for number, ear in enumerate(ears):
            place = places[number]
            due = ear.began + min(place + CHUNK, length) / SAMPLE_RATE
            if place < length and now >= due:
                pieces = {who: pcm[place : place + CHUNK] for who, pcm in sound.items()}
                _note(ear, ear.listener.push(Chunk(place * 1000 // SAMPLE_RATE, pieces)))
                places[number] = place + CHUNK
                due += CHUNK / SAMPLE_RATE
            else:
                _note(ear, ear.listener.poll())
            if places[number] < length:
                waits.append(due)
        progress(sum(places) / (length * calls))
        changed.wait(max(0.0, min(waits, default=0.0) - time.monotonic()))
        changed.clear()
    for ear in ears:
        _note(ear, ear.listener.finish())
    scheduler.close()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    settled, final, shown, errors = [], [], [], 0
    for ear in ears:
        errors += _errors(ear.said, words)
        for word in words:
            at = _moments(word, ear.said)
            if at is not None:
                shown.append(at[0] - word.end_ms)
                settled.append(at[1] - word.end_ms)
                final.append(at[2] - word.end_ms)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = length / SAMPLE_RATE
    return Load(
        calls,
        errors / max(1, len(words) * calls),
        _spread(settled),
        _spread(final),
        _spread(shown),
        cpu / (seconds * calls),
        cpu / wall,
        peak,
    )


def capacity(
    recogniser: Recogniser,
    sound: Mapping[Speaker, Pcm],
    words: Sequence[SpokenWord],
    *,
    workers: int,
    limit_ms: int = 1000,
    most: int = 64,
) -> list[Load]:
    """Loads measured on the way to the largest number of calls whose settled words stay within the limit at p95.

    Doubled until the limit is passed, then halved in between. The answer is the largest `calls` of a load within it.
    """
    loads: list[Load] = []
    good, bad, calls = 0, most + 1, 1
    while bad - good > 1:
        load = measure(recogniser, sound, words, calls=calls, workers=workers)
        loads.append(load)
        if load.settled_ms[1] <= limit_ms:
            good = calls
        else:
            bad = calls
        calls = min(2 * good, most) if bad > most else (good + bad) // 2
        if calls <= good:
            break
    return loads


def _note(ear: _Ear, heard: Sequence[object]) -> None:
    at = round((time.monotonic() - ear.began) * 1000)
    ear.said += [(at, item) for item in heard if isinstance(item, Hypothesis | Utterance)]


def _moments(word: SpokenWord, said: Sequence[tuple[int, Hypothesis | Utterance]]) -> tuple[int, int, int] | None:
    """When the word was first shown, settled, and final; None where it was not heard."""
    final = next(
        (
            (at, item)
            for at, item in said
            if isinstance(item, Utterance) and item.speaker is word.speaker and _holds(item.words, word)
        ),
        None,
    )
    if final is None:
        return None
    earlier = [(at, item) for at, item in said if isinstance(item, Hypothesis) and item.id == final[1].id]
    shown = next((at for at, item in earlier if _holds((*item.agreed, *item.tentative), word)), final[0])
    settled = next((at for at, item in earlier if _holds(item.agreed, word)), final[0])
    return shown, settled, final[0]


def _holds(words: Sequence[Word], wanted: SpokenWord) -> bool:
    text = plain(wanted.text)
    return any(plain(word.text) == text and abs(word.start_ms - wanted.start_ms) < NEAR_MS for word in words)


def _errors(said: Sequence[tuple[int, Hypothesis | Utterance]], words: Sequence[SpokenWord]) -> int:
    count = 0
    for speaker in {word.speaker for word in words}:
        wanted = [plain(word.text) for word in words if word.speaker is speaker]
        finals = [item for _, item in said if isinstance(item, Utterance) and item.speaker is speaker]
        heard = [plain(word.text) for item in sorted(finals, key=lambda item: item.start_ms) for word in item.words]
        count += word_errors(heard, wanted)
    return count


def word_errors(heard: Sequence[str], wanted: Sequence[str]) -> int:
    """Substitutions, insertions and deletions between two texts (Levenshtein)."""
    row = list(range(len(heard) + 1))
    for number, want in enumerate(wanted, start=1):
        above, row = row, [number]
        for column, word in enumerate(heard, start=1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (word != want)))
    return row[-1]


def _spread(values: Sequence[int]) -> tuple[int, int]:
    if not values:
        return 0, 0
    return int(np.median(values)), int(np.percentile(values, 95))
