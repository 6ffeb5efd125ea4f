"""Matches text: a playbook's phrase patterns, suggested lines and texts that say the same, by the words they share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from audio.events import Utterance
from detectors.assertion import negated, reported
from detectors.normalisation import NormalisedText, normalise
from detectors.phrase_pattern import compile_phrase, mark_clauses

LINE_SAID_SHARE = 0.6
"""A suggested line counts as said when this share of its content words was: nobody reads a prompt out word by word."""
MIN_CONTENT_WORDS = 3
"""A line with fewer content words is never recognised."""
SIMILAR_SHARE = 0.6
"""Two texts say the same from this share of common content words, of the shorter one's."""
_STOP_WORDS = frozenset(
    "a an and are at be but by can do for from have i if in is it me my not of on or our so than that the then there "
    "this to up us was we what will with would you your".split()
)


@cache
def phrase_regex(phrase: str) -> re.Pattern[str]:
    """A phrase pattern as a regular expression over an utterance's text as `mark_clauses` (detectors) writes it.

    Raises:
        ValueError: the pattern is malformed; the text says how.
    """
    return compile_phrase(phrase, {}, {}).exact


def matched_words(phrases: Iterable[str], utterance: Utterance) -> str:
    """The words that the first matching phrase matches, as they were heard; empty where none matches."""
    return next((words for _, _, words in _matches(phrases, utterance)), "")


def asserted_words(phrases: Iterable[str], utterance: Utterance) -> str:
    """As `matched_words`, without matches that the speaker negates, cannot do or reports of others."""
    for heard, first, words in _matches(phrases, utterance):
        unable = "unable" in heard.tokens[max(heard.clause_starts[first], first - 5) : first]
        if not (unable or negated(heard, first) or reported(heard, first)):
            return words
    return ""


def _matches(phrases: Iterable[str], utterance: Utterance) -> Iterator[tuple[NormalisedText, int, str]]:
    """Each match, phrase by phrase: the normalised line, the index of its first token there, its words as heard."""
    heard = normalise([word.text for word in utterance.words])
    text = mark_clauses(heard)
    for phrase in phrases:
        for match in phrase_regex(phrase).finditer(text):
            first = text.count(" ", 0, match.start())
            last = text.count(" ", 0, match.end()) - 1
            words = utterance.words[heard.word_indices[first] : heard.word_indices[last] + 1]
            yield heard, first, " ".join(word.text for word in words).strip(" .,;:!?")


def is_line_said(line: str, utterance: Utterance) -> bool:
    """Whether the utterance says a suggested line (see `LINE_SAID_SHARE`)."""
    wanted = set(content_words(line))
    if len(wanted) < MIN_CONTENT_WORDS:
        return False
    spoken = set(normalise([word.text for word in utterance.words]).tokens)
    return len(wanted & spoken) >= LINE_SAID_SHARE * len(wanted)


def is_similar(one: str, other: str) -> bool:
    """Whether two texts say the same (see `SIMILAR_SHARE`)."""
    first, second = set(content_words(one)), set(content_words(other))
    return bool(first and second) and len(first & second) >= SIMILAR_SHARE * min(len(first), len(second))


def content_words(text: str) -> Sequence[str]:
    """The normalised words of a text without its stop words."""
    return [token for token in normalise(text.split()).tokens if token not in _STOP_WORDS]


def source_end_ms(words: str, heard: Sequence[Utterance]) -> int:
    """The end of the last utterance that has these words, ms of call time; where none has them, of any; 0: none."""
    latest_ms = max((each.words[-1].end_ms for each in heard), default=0)
    return max((each.words[-1].end_ms for each in heard if words in each.text), default=latest_ms)
