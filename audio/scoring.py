"""Word error rate and latency: the successive texts of one channel compared with the words spoken.

Only texts and the times at which they came are used, so that systems without word times, or with other ones, are
measured alike.
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
    """A word of the reference, with its exact time."""

    speaker: Speaker
    text: str
    start_ms: int
    end_ms: int


class State(NamedTuple):
    """The text of one channel at one moment."""

    at_ms: int
    """When it was given, on the clock of the audio."""
    settled: tuple[str, ...]
    """Words presented as stable (they should not change any more)."""
    tentative: tuple[str, ...] = ()
    """The words after those, which may still change."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of one channel, or several added up."""

    words: int
    """In the reference."""
    errors: int
    """Substitutions, insertions and deletions of the last state's settled words."""
    withdrawn: int
    """Times a correct settled word was changed again."""
    shown_ms: tuple[int, ...]
    """From a word's end to its first appearance, settled or not: one per word that is correct in the end."""
    settled_ms: tuple[int, ...]
    """From a word's end to when it was last settled: one per word that is correct in the end."""

    def __add__(self, other: Score) -> Score:
        return Score(
            self.words + other.words,
            self.errors + other.errors,
            self.withdrawn + other.withdrawn,
            self.shown_ms + other.shown_ms,
            self.settled_ms + other.settled_ms,
        )


EMPTY_SCORE = Score(0, 0, 0, (), ())


def score(words: Sequence[SpokenWord], states: Sequence[State], *, last: Sequence[str] | None = None) -> Score:
    """Score the states of one channel, in order of time, against the words spoken on it.

    Each state is aligned (Levenshtein, on words without case and punctuation) with the words begun by then, so that a
    word said twice in a call is not found before it was said.

    Args:
        words: the reference.
        states: in order of time.
        last: the text in which errors are counted; None: the last state's settled words.
    """
    reference = [normalised(word.text) for word in words]
    shown: dict[int, int] = {}
    settled: dict[int, int] = {}
    withdrawn = 0
    previous: tuple[tuple[str, ...], tuple[str, ...], int] | None = None
    for state in states:
        begun = sum(word.start_ms <= state.at_ms for word in words)
        if (state.settled, state.tentative, begun) == previous:
            continue
        previous = (state.settled, state.tentative, begun)
        stable = [normalised(text) for text in state.settled]
        matched = _matched(reference[:begun], stable)
        for index in settled.keys() - matched:
            del settled[index]
            withdrawn += 1
        for index in matched:
            settled.setdefault(index, state.at_ms)
        for index in _matched(reference[:begun], [*stable, *map(normalised, state.tentative)]):
            shown.setdefault(index, state.at_ms)
    if last is None:
        last = states[-1].settled if states else ()
    correct = sorted(settled)
    return Score(
        len(words),
        word_errors([normalised(text) for text in last], reference),
        withdrawn,
        tuple(min(shown.get(index, settled[index]), settled[index]) - words[index].end_ms for index in correct),
        tuple(settled[index] - words[index].end_ms for index in correct),
    )


def word_errors(hypothesis: Sequence[str], reference: Sequence[str]) -> int:
    """Substitutions, insertions and deletions: the numerator of the word error rate."""
    return Levenshtein.distance(reference, hypothesis)


def _matched(reference: Sequence[str], hypothesis: Sequence[str]) -> set[int]:
    """Indices of the reference words that the alignment finds in the hypothesis."""
    matched: set[int] = set()
    for block in Levenshtein.opcodes(reference, hypothesis):
        if block.tag == "equal":
            matched.update(range(block.src_start, block.src_end))
    return matched
