"""Words a recogniser split or misheard, brought back to a word the rules know: by sound and by small edits."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rapidfuzz.distance import DamerauLevenshtein

LEAST_LETTERS = 6
"""Shorter words have too many neighbours."""

LEAST_TO_MEND = 8
"""Of seven letters, everyday pairs differ by two edits: "pushing", "retired", "flowers" (airline tweets)."""

_SAME = (
    ("ph", "f"),
    ("ck", "k"),
    ("q", "k"),
    ("x", "ks"),
    ("z", "s"),
    ("ce", "se"),
    ("ci", "si"),
    ("c", "k"),
    ("ge", "je"),
    ("gi", "ji"),
)


def key(word: str) -> str:
    """How a word sounds, roughly: consonants only, like letters made one, doubles once."""
    for old, new in _SAME:
        word = word.replace(old, new)
    return re.sub(r"(.)\1+", r"\1", word[:1] + re.sub(r"[aeiouyhw]", "", word[1:]))


class Sounds:
    """The words that rules look for, found again in what was heard."""

    def __init__(self, words: Iterable[str]) -> None:
        """`words`: every literal of the rules; the short ones are left out."""
        self._known = frozenset(words)
        self._by_key: dict[str, list[str]] = {}
        for word in sorted(self._known):
            if len(word) >= LEAST_LETTERS:
                self._by_key.setdefault(key(word), []).append(word)
        self._cache: dict[str, str | None] = {}

    def joined(self, first: str, second: str) -> str | None:
        """The one word that two make: "super visor", "re fund"."""
        both = first + second
        return both if len(both) >= LEAST_LETTERS and both in self._known else None

    def nearest(self, word: str) -> str | None:
        """A known word of the same sound at most two edits away, or None; None for a known word."""
        if len(word) < LEAST_TO_MEND or word in self._known:
            return None
        if word not in self._cache:
            if len(self._cache) > 20_000:
                self._cache.clear()
            near = [
                known
                for known in self._by_key.get(key(word), ())
                if DamerauLevenshtein.distance(word, known, score_cutoff=2) <= 2
            ]
            self._cache[word] = near[0] if near else None
        return self._cache[word]
