"""The shipped rules do what their own examples say, for every signal that is heard in words."""

import pytest

from audio.events import Speaker
from detectors.examples import failing_examples
from detectors.meaning import UPSET
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.signals import AGENT_SIGNALS, CUSTOMER_WORDS


@pytest.fixture(scope="module")
def rulebook():
    return load_rules()


def test_every_example_in_the_rule_files_holds(rulebook):
    assert failing_examples(rulebook) == []


def test_every_signal_of_the_words_has_a_rule(rulebook):
    wanted = {*CUSTOMER_WORDS, *AGENT_SIGNALS, UPSET}
    assert {rule.signal for rule in rulebook.rules} == wanted


@pytest.mark.parametrize(
    "text",
    ["Scunthorpe", "Essex", "assassin", "cocktail", "shitake mushrooms", "Penistone", "class assessment", "Dickens"],
)
def test_words_that_only_contain_a_swear_word_are_silent(rulebook, text):
    assert PhraseDetector(rulebook).find(f"it is about the {text}", Speaker.CUSTOMER) == []


def test_the_agents_steps_are_not_heard_from_the_customer(rulebook):
    judge = PhraseDetector(rulebook)
    assert {signal.id for signal in judge.find("please calm down", "agent")} == {"calm_down"}
    assert judge.find("please calm down", "customer") == []
