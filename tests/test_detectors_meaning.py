"""What words mean: the sentence model, and how it stands beside the phrase rules."""

from dataclasses import replace

import numpy as np
import pytest

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors.meaning import AGENT_SIGNALS, COMPLAINT, MOST_WORDS, SELF_HARM, MeaningDetector
from detectors.phrases import PhraseDetector
from detectors.roster import RosterSettings, build
from detectors.rulebook import Rulebook, load_rules
from detectors.sentences import shipped_model
from detectors.signals import SIGNAL_IDS, Severity, Window

VEILED = "my grandchildren would do better if grandpa quietly left this world"
ORDINARY = "so then we drove down to the coast with the dog and had our lunch by the harbour and it was lovely "


@pytest.fixture(scope="module")
def model():
    return shipped_model()


@pytest.fixture(scope="module")
def rules():
    return load_rules()


@pytest.fixture
def judge(model, rules):
    return MeaningDetector(PhraseDetector(rules), model)


def words_of(text, at_ms=0):
    return tuple(Word(word, at_ms + 300 * n, at_ms + 300 * n + 300) for n, word in enumerate(text.split()))


def said(text, at_ms=0, who=Speaker.CUSTOMER, name="u1", before=()):
    words = words_of(text, at_ms)
    one = Utterance(name, who, at_ms, words[-1].end_ms, words)
    return Window(one.end_ms, (*before, one), one)


def saying(text, name="u1"):
    words = words_of(text)
    one = Hypothesis(name, Speaker.CUSTOMER, 0, words, ())
    return Window(words[-1].end_ms, (one,), one)


def ids(signals):
    return {signal.id for signal in signals}


def test_every_signal_of_the_rules_has_a_label_and_ordered_thresholds(model, rules):
    assert set(model.labels) == {SELF_HARM, COMPLAINT, *(rule.signal for rule in rules.rules)}
    assert set(model.labels) - {SELF_HARM, COMPLAINT} <= SIGNAL_IDS
    for name, threshold in model.thresholds.items():
        assert threshold.doubt <= threshold.least <= threshold.sure, name


def test_words_add_up_to_the_score(model):
    words = "I can't do this any more, I want somebody above you.".split()
    reading, other = model(words), model(["hello", "there"])
    assert reading.parts.shape == (len(model.labels), len(words))
    apart = reading.scores - reading.parts.sum(axis=1) - (other.scores - other.parts.sum(axis=1))
    row = model.labels.index("supervisor_demand")
    assert reading.scores[row] > other.scores[row]
    assert np.abs(apart).max() < np.abs(reading.scores).max(), "the markers at both ends add little"


def test_a_veiled_hint_is_heard_and_quoted(judge):
    (signal,) = [each for each in judge.find(VEILED) if each.rule == f"meaning.{SELF_HARM}"]
    assert signal.id == "vulnerable"
    assert signal.severity >= Severity.HELP
    assert signal.evidence.quote in VEILED
    assert signal.evidence.quote == " ".join(VEILED.split()[signal.evidence.first_word : signal.evidence.last_word + 1])


def test_business_is_no_hint(judge):
    for text in ("could you send the invoice to my new address please", "the parcel should arrive on friday morning"):
        assert not judge.find(text)


@pytest.mark.parametrize("who", [Speaker.AGENT, Speaker.CUSTOMER])
def test_a_side_is_judged_by_its_own_labels_only(judge, who):
    lines = ("I'm so sorry, leave it with me, I'll refund you today and ring you at four.", VEILED)
    found = set().union(*(ids(judge.find(line, who)) for line in lines))
    assert found
    assert all((each in AGENT_SIGNALS) is (who is Speaker.AGENT) for each in found)


def test_what_the_rules_heard_is_not_raised_twice(judge):
    found = list(judge(said("I want to speak to your manager right now.")))
    assert [signal.id for signal in found].count("supervisor_demand") == 1


def test_a_shipped_rule_is_doubted_and_a_deployments_own_is_not(model, rules):
    """The rule must fire by itself, or nothing is tried here."""
    text = "thanks so much the manager signed the form for my new desk so could you put the supervisor down as contact"
    own = Rulebook(tuple(replace(rule, shipped=False) for rule in rules.rules), rules.misheard, rules.version)
    texts = (text, "my solicitor will see you in court he said to the other fellow in the film last night")
    for each in texts:
        alone = {(s.id, s.severity) for s in PhraseDetector(rules).find(each)}
        kept = {(s.id, s.severity) for s in MeaningDetector(PhraseDetector(own), model).find(each)}
        assert alone <= kept
    assert any(
        {(s.id, s.severity) for s in PhraseDetector(rules).find(each)}
        - {(s.id, s.severity) for s in MeaningDetector(PhraseDetector(rules), model).find(each)}
        for each in texts
    )


def test_a_meaning_is_not_raised_again_within_its_cool_down(judge):
    heard = [
        any(signal.rule == f"meaning.{SELF_HARM}" for signal in judge(said(VEILED, at_ms, name=f"u{at_ms}")))
        for at_ms in (0, 20_000, 90_000)
    ]
    assert heard == [True, False, True]


def test_a_cue_at_the_end_of_a_very_long_turn_is_heard(judge):
    text = ORDINARY * 6 + "and now I want to talk to whoever is above you"
    assert len(text.split()) > 2 * MOST_WORDS
    (signal,) = [each for each in judge(said(text)) if each.id == "supervisor_demand"]
    assert signal.evidence.first_word > 2 * MOST_WORDS
    assert signal.at_ms > 300 * 2 * MOST_WORDS


def test_a_sentence_that_runs_over_a_pause_is_read_as_one(judge):
    first = said("honestly if I were not here any more", name="u1")
    (before,) = first.utterances
    whole = said("nobody would even notice would they", before.end_ms + 900, name="u2", before=(before,))
    alone = said("nobody would even notice would they", before.end_ms + 60_000, name="u3", before=(before,))
    fresh = MeaningDetector(judge._phrases, judge._model)
    assert not any(signal.rule == f"meaning.{SELF_HARM}" for signal in fresh(alone))
    assert any(signal.rule == f"meaning.{SELF_HARM}" for signal in judge(whole))


def test_a_clear_finding_does_not_wait_for_the_end_of_the_turn(judge):
    text = "I have had enough of this put me through to somebody who is above you this minute"
    assert "supervisor_demand" in ids(judge(saying(text)))
    assert "supervisor_demand" in ids(judge(saying(text + " and"))), "still there with one word more"
    (settled,) = [each for each in judge(said(text)) if each.id == "supervisor_demand"]
    assert settled.settled


def test_it_is_on_unless_turned_off():
    assert any(isinstance(one, MeaningDetector) for one in build(load_rules()))
    assert not any(isinstance(one, MeaningDetector) for one in build(load_rules(), RosterSettings(meaning=False)))
