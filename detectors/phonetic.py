"""Correction of words that a recogniser split or misheard to words of the rules: by sound and edit distance."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rapidfuzz.distance import DamerauLevenshtein

MIN_LETTERS = 6
"""Shorter words are similar to too many others."""

MIN_LETTERS_TO_CORRECT = 8
"""Everyday words of seven letters are two edits from words of the rules: "pushing", "retired", "flowers" (airline
tweets)."""

_SPELLINGS = (
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


def phonetic_key(word: str) -> str:
    """How a word sounds, roughly: its first letter and later consonants, letters of one sound as one, doubles once."""
    for old, new in _SPELLINGS:
        word = word.replace(old, new)
    return re.sub(r"(.)\1+", r"\1", word[:1] + re.sub(r"[aeiouyhw]", "", word[1:]))


class PhoneticCorrector:
    """Corrects tokens to known words of the same phonetic key; results are cached."""

    def __init__(self, words: Iterable[str]) -> None:
        """`words`: those to correct to; none under `MIN_LETTERS` is ever given."""
        self._known = frozenset(words)
        self._by_key: dict[str, list[str]] = {}
        for word in sorted(self._known):
            if len(word) >= MIN_LETTERS:
                self._by_key.setdefault(phonetic_key(word), []).append(word)
        self._cache: dict[str, str | None] = {}

    def join(self, first: str, second: str) -> str | None:
        """The known word that two tokens make together, such as "super visor"; None if they make none."""
        joined = first + second
        return joined if len(joined) >= MIN_LETTERS and joined in self._known else None

    def correct(self, word: str) -> str | None:
        """A known word of the same phonetic key at most two edits away; None if there is none, or the word is known."""
        if len(word) < MIN_LETTERS_TO_CORRECT or word in self._known:
            return None
        if word not in self._cache:
            if len(self._cache) > 20_000:
                self._cache.clear()
            near = [
                known
                for known in self._by_key.get(phonetic_key(word), ())
                if DamerauLevenshtein.distance(word, known, score_cutoff=2) <= 2
            ]
            self._cache[word] = near[0] if near else None
        return self._cache[word]
