"""An inverted index of phrases: which can match some words at all, without thousands of regular expressions tried."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.phrase_pattern import PhrasePattern


class PhraseIndex:
    """Phrases by their anchors, each as (index of its rule, index among the rule's patterns)."""

    def __init__(self, rules: Sequence[Sequence[PhrasePattern]], *, misheard: bool) -> None:
        """Index the patterns of each rule; with `misheard` only those of which misheard forms are listed."""
        self.misheard = misheard
        self._by_anchor: dict[str, list[tuple[int, int]]] = {}
        self._without_anchors: list[tuple[int, int]] = []
        for rule_index, patterns in enumerate(rules):
            for pattern_index, pattern in enumerate(patterns):
                if misheard and pattern.misheard_source is None:
                    continue
                anchors = pattern.misheard_anchors if misheard else pattern.anchors
                for anchor in anchors:
                    self._by_anchor.setdefault(anchor, []).append((rule_index, pattern_index))
                if not anchors:
                    self._without_anchors.append((rule_index, pattern_index))

    def candidates(self, tokens: Sequence[str]) -> list[tuple[int, int]]:
        """(rule index, pattern index) of every pattern that may match, in order."""
        found = {each for token in set(tokens) for each in self._by_anchor.get(token, ())}
        return sorted(found.union(self._without_anchors))
