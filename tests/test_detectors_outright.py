"""What customers say outright when they have lost patience, by an author of whom nothing was learnt."""

from pathlib import Path

import pytest

from detectors.meaning import UPSET, MeaningDetector
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.sentence_model import shipped_model

LINES = Path(__file__).parent / "data" / "words" / "outright" / "outright-2.txt"


@pytest.fixture(scope="module")
def judge():
    return MeaningDetector(PhraseDetector(load_rules()), shipped_model())


def is_upset(judge, line):
    return any(signal.id == UPSET for signal in judge.find(line))


def test_most_of_what_is_said_outright_is_heard_and_little_that_sounds_like_it(judge):
    """A floor under what is measured (tests/figures.md); every fourth line."""
    told = [line.split("|", 1) for line in LINES.read_text(encoding="utf-8").splitlines()[::4]]
    heard = {kind: [is_upset(judge, text) for each, text in told if each == kind] for kind in "h-"}
    assert sum(heard["h"]) >= 0.5 * len(heard["h"])
    assert sum(heard["-"]) <= 0.06 * len(heard["-"])


@pytest.mark.parametrize(
    "line",
    [
        "this is ridiculous",
        "are you kidding me",
        "I want to make a complaint",
        "you're no help at all",
        "what's taking so long?",
        "I am furious",
        "this is terrible customer service",
    ],
)
def test_the_plainest_words_are_heard_by_themselves(judge, line):
    assert is_upset(judge, line)


@pytest.mark.parametrize(
    "line",
    [
        "I don't want to make a complaint, it's only a question",
        "my wife said this is ridiculous, but I don't mind waiting",
        "the service has been terrific, thank you",
    ],
)
def test_what_is_denied_or_told_of_others_is_not(judge, line):
    assert not is_upset(judge, line)
