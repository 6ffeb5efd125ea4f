"""How late and how right: what a listener said of one channel, moment by moment, held against what was spoken.

The same ruler for every listener: it looks at texts and at when they came, so that systems that give no word times, or
other ones, are measured alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from audio.events import Speaker
from audio.normalisation import normalised


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word of the recording, with its exact place."""

    speaker: Speaker
    text: str
    start_ms: int
    end_ms: int


class State(NamedTuple):
    """What a listener says of one channel at one moment of it."""

    at_ms: int
    """On the clock of the sound: when it was said, not what it is about."""
    settled: tuple[str, ...]
    """Words that it presents as no longer changing."""
    tentative: tuple[str, ...] = ()
    """Words after those, which may still change."""


@dataclass(frozen=True, slots=True)
class Score:
    """One channel's words, or those of several added up."""

    words: int
    """Spoken."""
    errors: int
    """Substitutions, insertions and deletions of the last state's settled words."""
    withdrawn: int
    """Times a rightly settled word was taken back."""
    shown_ms: tuple[int, ...]
    """From a word's end to its first appearance, settled or not: one per word that was right in the end."""
    settled_ms: tuple[int, ...]
    """From a word's end to when it was settled for good: one per word that was right in the end."""

    def __add__(self, other: Score) -> Score:
        return Score(
            self.words + other.words,
            self.errors + other.errors,
            self.withdrawn + other.withdrawn,
            self.shown_ms + other.shown_ms,
            self.settled_ms + other.settled_ms,
        )


NOTHING = Score(0, 0, 0, (), ())


def score(words: Sequence[SpokenWord], states: Sequence[State], *, last: Sequence[str] | None = None) -> Score:
    """Compare the states of one channel, in order of time, with the words spoken on it.

    `last` is the text errors are counted in, where it is more than the last state's settled words.

    Each state is aligned (Levenshtein, on words without case and punctuation) with the words begun by then, so that a
    word said twice in a call is not found before it was said.
    """
    wanted = [normalised(word.text) for word in words]
    shown: dict[int, int] = {}
    settled: dict[int, int] = {}
    withdrawn = 0
    before: tuple[tuple[str, ...], tuple[str, ...], int] | None = None
    for state in states:
        begun = sum(word.start_ms <= state.at_ms for word in words)
        if (state.settled, state.tentative, begun) == before:
            continue
        before = (state.settled, state.tentative, begun)
        sure = [normalised(text) for text in state.settled]
        found = _found(wanted[:begun], sure)
        for index in settled.keys() - found:
            del settled[index]
            withdrawn += 1
        for index in found:
            settled.setdefault(index, state.at_ms)
        for index in _found(wanted[:begun], [*sure, *map(normalised, state.tentative)]):
            shown.setdefault(index, state.at_ms)
    if last is None:
        last = states[-1].settled if states else ()
    right = sorted(settled)
    return Score(
        len(words),
        word_errors([normalised(text) for text in last], wanted),
        withdrawn,
        tuple(min(shown.get(index, settled[index]), settled[index]) - words[index].end_ms for index in right),
        tuple(settled[index] - words[index].end_ms for index in right),
    )


def word_errors(heard: Sequence[str], wanted: Sequence[str]) -> int:
    """Substitutions, insertions and deletions between two texts."""
    return Levenshtein.distance(wanted, heard)


def _found(wanted: Sequence[str], heard: Sequence[str]) -> set[int]:
    """Which of the wanted words are among those heard, in order."""
    found: set[int] = set()
    for block in Levenshtein.opcodes(wanted, heard):
        if block.tag == "equal":
            found.update(range(block.src_start, block.src_end))
    return found
