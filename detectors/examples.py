"""The examples in the rule files, tried: each rule must fire on its own and stay silent where it says so."""

from __future__ import annotations

from detectors.phrases import PhraseDetector
from detectors.rulebook import Rulebook


def failing(rulebook: Rulebook) -> list[str]:
    """Every example that does not do what it should, one line each; empty when all is well."""
    judge = PhraseDetector(rulebook)
    problems = []
    for rule in rulebook.rules:
        for wanted, examples in ((True, rule.fires), (False, rule.silent)):
            for text in examples:
                if any(signal.rule == rule.id for signal in judge.find(text, rule.speaker)) != wanted:
                    says = "should fire but is silent" if wanted else "should be silent but fires"
                    problems.append(f"{rule.source}: {rule.id}: {says} on {text!r}")
    return problems
