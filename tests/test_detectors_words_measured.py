"""The word signals hold what was measured on lines nobody tuned on; floors lie below the measured values."""

import json
from collections import Counter
from pathlib import Path

import pytest

from assist.evaluation.cases import read_cases
from assist.evaluation.scoring import evaluate_cases
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules

WORDS = Path(__file__).parent / "data" / "words"
RULES = load_rules()
FLOOR = {"empathy": 0.80, "defending": 0.80, "question": 0.85, "blaming": 0.85}
"""Of the agent's signals with 15 examples; all others measured 0.93 or more."""


@pytest.fixture(scope="module")
def measured():
    cases = read_cases(WORDS / "heldout")
    return {row.id: row for row in evaluate_cases(cases, lambda: [PhraseDetector(RULES)], "held-out").signals}


@pytest.mark.parametrize("signal", sorted(file.stem for file in (WORDS / "heldout").glob("*.jsonl")))
def test_every_signal_stays_above_its_floor(measured, signal):
    row = measured[signal]
    assert row.f1.value >= FLOOR.get(signal, 0.90), (row.hits, row.false, row.missed)


def test_swearing_and_demands_are_found_and_vulnerable_people_are_not_missed(measured):
    assert measured["swearing"].recall.value >= 0.95
    assert measured["supervisor_demand"].recall.value >= 0.95
    assert measured["vulnerable"].missed == 0


def test_the_same_lines_without_punctuation_and_capitals_do_as_well():
    """As pocketsphinx writes: lower case, no punctuation."""
    judge = PhraseDetector(RULES)
    right = Counter()
    for file in sorted((WORDS / "heldout").glob("*.jsonl")):
        for line in file.read_text().splitlines():
            case = json.loads(line)
            bare = "".join(c if c.isalnum() or c in "' *" else " " for c in case["text"].lower())
            found = any(signal.id == file.stem for signal in judge.find(bare, case["speaker"]))
            right[found == bool(case["labels"])] += 1
    assert right[True] / right.total() >= 0.96


@pytest.mark.parametrize(
    ("text", "signal", "fires"),
    [
        # An exception silences its own clause only.
        ("my manager told me to call, but you get me your manager now", "supervisor_demand", True),
        ("my manager told me to call", "supervisor_demand", False),
        ("I don't need a supervisor I want my money back", "refund_chargeback", True),
        ("I don't want to cancel but I will cancel my account if you go on", "cancel_threat", True),
        ("why won't you put me through to a manager", "supervisor_demand", True),
        ("no I want to speak to your manager", "supervisor_demand", True),
        # Late in a long utterance.
        (
            " ".join(["it was in the box on the shelf by the door"] * 12) + " and I'll see you in court",
            "legal_threat",
            True,
        ),
        # Misheard and split words, stutter and fillers.
        ("I'm gonna calm my guy", "influence_claim", True),
        ("I will sewer you", "legal_threat", True),
        ("calm down", "influence_claim", False),
        ("can I can I uh speak to your um super visor", "supervisor_demand", True),
        # Taken out by the recogniser.
        ("this is [expletive] ridiculous", "swearing", True),
        ("what the **** is this", "swearing", True),
        ("are you f-ing serious", "swearing", True),
        # 's that is an "is", and one that is not.
        ("my cousin's on your board", "influence_claim", True),
        ("my cousin's board game is missing", "influence_claim", False),
    ],
)
def test_clauses_mishearings_and_masks(text, signal, fires):
    assert (signal in {found.id for found in PhraseDetector(RULES).find(text)}) is fires


def test_swearing_at_the_agent_weighs_more_than_mild_swearing_at_things():
    judge = PhraseDetector(RULES)
    weights = [
        max((found.severity, found.strength) for found in judge.find(text) if found.id == "swearing")
        for text in ("fuck you", "this is bullshit", "where is my damn parcel")
    ]
    assert weights == sorted(weights, reverse=True) and len(set(weights)) == 3
