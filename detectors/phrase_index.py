"""Which patterns can match some words at all: one look-up for each word instead of thousands of searches."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.phrasing import Phrase


class PhraseIndex:
    """Patterns by the words they need."""

    def __init__(self, rules: Sequence[Sequence[Phrase]], *, loose: bool) -> None:
        """The patterns of each rule; `loose`: those with misheard forms of their words only."""
        self.loose = loose
        self._by_word: dict[str, list[tuple[int, int]]] = {}
        self._always: list[tuple[int, int]] = []
        for number, patterns in enumerate(rules):
            for which, phrase in enumerate(patterns):
                if loose and phrase.loose_source is None:
                    continue
                anchors = phrase.loose_anchors if loose else phrase.anchors
                for word in anchors:
                    self._by_word.setdefault(word, []).append((number, which))
                if not anchors:
                    self._always.append((number, which))

    def candidates(self, tokens: Sequence[str]) -> list[tuple[int, int]]:
        """Numbers of rule and pattern, in order."""
        wanted = {place for token in set(tokens) for place in self._by_word.get(token, ())}
        return sorted(wanted.union(self._always))
