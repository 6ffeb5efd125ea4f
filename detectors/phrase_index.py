"""An inverted index of phrases: which can match some words at all, without thousands of regular expressions tried."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.phrase_pattern import PhrasePattern


class PhraseIndex:
    """Phrases by their anchors, each as (index of its rule, index among the rule's patterns)."""

    def __init__(self, rules: Sequence[Sequence[PhrasePattern]], *, misheard: bool) -> None:
        """Index the patterns of each rule; with `misheard` only those of which misheard forms are listed."""
        self.misheard = misheard
        self._anchor_sets: dict[tuple[int, int], tuple[frozenset[str], ...]] = {}
        self._by_anchor: dict[str, list[tuple[int, int]]] = {}
        self._without_anchors: list[tuple[int, int]] = []
        for rule_index, patterns in enumerate(rules):
            for pattern_index, pattern in enumerate(patterns):
                if misheard and pattern.misheard_source is None:
                    continue
                where = rule_index, pattern_index
                anchor_sets = pattern.misheard_anchor_sets if misheard else pattern.anchor_sets
                self._anchor_sets[where] = anchor_sets
                if not anchor_sets:
                    self._without_anchors.append(where)
                    continue
                for anchor in anchor_sets[0]:
                    self._by_anchor.setdefault(anchor, []).append(where)

    def candidates(self, tokens: Sequence[str]) -> list[tuple[int, int]]:
        """(rule index, pattern index) of every pattern that may match, in order."""
        present = frozenset(tokens)
        found = {each for token in present for each in self._by_anchor.get(token, ())}
        may_match = [each for each in found if not any(map(present.isdisjoint, self._anchor_sets[each]))]
        return sorted([*may_match, *self._without_anchors])
