"""Phrases of a playbook found in what somebody said; and whether a suggested line was said, near enough."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from audio.events import Utterance
from detectors.assertion import negated, reported
from detectors.normalisation import NormalisedText, normalise
from detectors.phrase_pattern import compile_phrase, mark_clauses

SAID_SHARE = 0.6
"""A suggested line counts as said when so many of its telling words were: nobody reads a card aloud word by word."""
SAID_LEAST = 3
"""Telling words a line needs before it can be recognised at all."""
ALIKE = 0.6
"""Share of words in common from which a text says the same as another."""
_SMALL = frozenset(
    "a an and are at be but by can do for from have i if in is it me my not of on or our so than that the then there "
    "this to up us was we what will with would you your".split()
)


@cache
def pattern(phrase: str) -> re.Pattern[str]:
    """A phrase pattern as a regular expression over marked words.

    Raises:
        ValueError: in plain words, what is wrong with it.
    """
    return compile_phrase(phrase, {}, {}).exact


def found(phrases: Iterable[str], utterance: Utterance) -> str:
    """The words that the first fitting phrase stands for, as they were heard; empty where none fits."""
    return next((words for _, _, words in _fitting(phrases, utterance)), "")


def meant(phrases: Iterable[str], utterance: Utterance) -> str:
    """As `found`, of what the speaker does: what they deny, cannot do or report of others is passed over."""
    for heard, first, words in _fitting(phrases, utterance):
        unable = "unable" in heard.tokens[max(heard.clause_starts[first], first - 5) : first]
        if not (unable or negated(heard, first) or reported(heard, first)):
            return words
    return ""


def _fitting(phrases: Iterable[str], utterance: Utterance) -> Iterator[tuple[NormalisedText, int, str]]:
    """Where phrases fit, phrase by phrase: the plain words, the first token of the place, the words as heard."""
    heard = normalise([word.text for word in utterance.words])
    text = mark_clauses(heard)
    for phrase in phrases:
        for match in pattern(phrase).finditer(text):
            first = text.count(" ", 0, match.start())
            last = text.count(" ", 0, match.end()) - 1
            words = utterance.words[heard.word_indices[first] : heard.word_indices[last] + 1]
            yield heard, first, " ".join(word.text for word in words).strip(" .,;:!?")


def is_said(line: str, utterance: Utterance) -> bool:
    """Whether the agent has said about this line."""
    wanted = set(normalise(line.split()).tokens) - _SMALL
    if len(wanted) < SAID_LEAST:
        return False
    spoken = set(normalise([word.text for word in utterance.words]).tokens)
    return len(wanted & spoken) >= SAID_SHARE * len(wanted)


def alike(one: str, other: str) -> bool:
    """Whether two texts say the same: most of the telling words of the shorter one stand in the other."""
    first, second = set(plain_tokens(one)), set(plain_tokens(other))
    return bool(first and second) and len(first & second) >= ALIKE * min(len(first), len(second))


def plain_tokens(text: str) -> Sequence[str]:
    """The telling words of a text, in plain form."""
    return [token for token in normalise(text.split()).tokens if token not in _SMALL]
