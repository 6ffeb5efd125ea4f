"""The word signals on lines written by somebody who had not seen the rules; floors lie below the measured values."""

from pathlib import Path

import pytest

from assist.evaluation.cases import read_cases
from assist.evaluation.scoring import evaluate_cases
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules

WORDS = Path(__file__).parent / "data" / "words"
LEAST_RECALL = {"press_threat": 0.70, "influence_claim": 0.75, "police": 0.80, "legal_threat": 0.80}
"""The weakest, each of 7 to 16 lines; all others were measured at 0.93 or more."""


@pytest.fixture(scope="module")
def measured():
    def of(name):
        rules = load_rules()
        cases = read_cases(WORDS / name)
        return {row.id: row for row in evaluate_cases(cases, lambda: [PhraseDetector(rules)], name).signals}

    return {name: of(name) for name in ("dev2", "heldout2")}


def test_recall_holds_signal_by_signal(measured):
    rows = measured["heldout2"]
    low = {
        signal: row.recall.value for signal, row in rows.items() if row.recall.value < LEAST_RECALL.get(signal, 0.90)
    }
    assert len(rows) == 17
    assert not low


def test_no_hint_of_self_harm_is_missed(measured):
    for name, rows in measured.items():
        assert rows["vulnerable"].missed == 0, name


def test_calm_lines_full_of_near_misses_stay_quiet(measured):
    """Measured: one false hit in 653 words held out; twelve in 1,481 words of the lines the rules were tuned on."""
    false = {name: sum(row.false for row in rows.values()) for name, rows in measured.items()}
    assert false["heldout2"] <= 1
    assert false["dev2"] <= 12
