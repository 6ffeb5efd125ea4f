"""Tests of the examples in the rule files: each rule must fire on those of `fires`, and not on those of `silent`.

An exception must apply to those of its `silent`, and not to those of its `fires`.
"""

from __future__ import annotations

from dataclasses import replace

from detectors.normalisation import timed_words
from detectors.phrases import PhraseDetector
from detectors.rulebook import Rulebook


def failing_examples(rulebook: Rulebook) -> list[str]:
    """A line of text for each example that fails, for people; empty if all pass."""
    detector = PhraseDetector(rulebook)
    problems = []
    for rule in rulebook.rules:
        for should_fire, examples in ((True, rule.fires), (False, rule.silent)):
            for text in examples:
                if any(signal.rule == rule.id for signal in detector.find(text, rule.speaker)) != should_fire:
                    says = "should fire but is silent" if should_fire else "should be silent but fires"
                    problems.append(f"{rule.source}: {rule.id}: {says} on {text!r}")
    for exception in rulebook.exceptions:
        alone = PhraseDetector(replace(rulebook, rules=(), exceptions=(exception,)))
        for should_apply, examples in ((False, exception.fires), (True, exception.silent)):
            for text in examples:
                excepted = alone.excepted_words(exception.signal, timed_words(text), exception.speaker)
                if bool(excepted) != should_apply:
                    says = "should apply but does not" if should_apply else "should not apply but does"
                    problems.append(f"{exception.source}: {exception.id}: {says} to {text!r}")
    return problems
