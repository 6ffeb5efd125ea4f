"""Whose words are whose, where both parties share a channel."""

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from assist.evaluation.cases import read_calls
from audio.events import Speaker, Utterance
from detectors.meaning import UPSET, MeaningDetector
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.sentence_model import shipped_model
from detectors.signals import Severity, Window
from detectors.speaker_role import MIN_WORDS, agent_odds, shipped_role_model
from tests.heard import words

CALLS = Path(__file__).parent / "data" / "calls"
AGENTS = (
    "Plus a 57 dollar credit for the inconvenience you've experienced.",
    "I can see your problem, sir, and I'm processing a full refund of $114 right now.",
)
"""Taken for a customer's these raise a signal: what is found in it, by the model and by a rule."""


@pytest.fixture(scope="module")
def judge():
    rules, model = load_rules(), shipped_model()
    return lambda said: MeaningDetector(PhraseDetector(rules), model)(Window(said.end_ms, (said,), said))


def said(text, who=Speaker.UNKNOWN):
    heard = words(text)
    return Utterance("u1", who, 0, heard[-1].end_ms, heard)


def acted(found):
    return {each.id for each in found if each.severity >= Severity.HELP}


def test_in_a_shared_channel_what_sounds_like_the_agents_is_not_acted_on(judge):
    for text in AGENTS:
        assert agent_odds(said(text)) > 0
        assert not acted(judge(said(text)))
    [credit, refund] = AGENTS
    assert UPSET in {each.id for each in judge(said(credit, Speaker.CUSTOMER))}
    assert UPSET not in {each.id for each in judge(said(credit))}
    assert "refund_chargeback" in acted(judge(said(refund, Speaker.CUSTOMER)))


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("I've had enough, get me your manager right now", "supervisor_demand"),
        ("this is bullshit, what the hell is wrong with you people", "swearing"),
        ("So you took my money, you lost my parcel, and now you want me to prove it?", UPSET),
    ],
)
def test_in_a_shared_channel_the_customer_is_heard(judge, text, signal):
    assert agent_odds(said(text)) < 0 and signal in acted(judge(said(text)))


def test_a_hint_of_self_harm_is_heard_whoever_it_sounds_like(judge):
    hint = said("Thank you for your help today sir, I'll be out of everybody's way tonight, I won't wake up tomorrow.")
    assert agent_odds(hint) > 0
    assert "vulnerable" in {each.id for each in judge(hint)}


def test_where_the_speaker_is_known_or_little_is_said_the_words_tell_nothing():
    text = AGENTS[0]
    assert agent_odds(said(text, Speaker.CUSTOMER)) == agent_odds(said(text, Speaker.AGENT)) == -inf
    short = replace(said(text), words=said(text).words[:3])
    assert agent_odds(short) == -inf


def test_the_parties_of_calls_that_it_has_not_learnt_from_are_told_apart():
    taken = {Speaker.AGENT: [], Speaker.CUSTOMER: []}
    for path in [
        *sorted((CALLS / "dev3").glob("*.jsonl")),
        *(CALLS / "independent" / f"{name}.jsonl" for name in "ghij"),
    ]:
        for call in read_calls(path):
            for turn in call.turns:
                if len(turn.text.split()) >= MIN_WORDS:
                    taken[turn.who].append(shipped_role_model().agent_odds(turn.text.split()) >= 0)
    assert min(map(len, taken.values())) > 1_000
    agents, customers = (sum(taken[who]) / len(taken[who]) for who in (Speaker.AGENT, Speaker.CUSTOMER))
    assert agents > 0.85 and customers < 0.2
