"""Phrases found in words as they come: provisional, final, over a pause, misheard, unsure."""

import pytest

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.signals import Severity, Window


@pytest.fixture(scope="module")
def rulebook():
    return load_rules()


def words(text, at=0, probability=1.0):
    return tuple(Word(w, at + 300 * n, at + 300 * n + 300, probability) for n, w in enumerate(text.split()))


def said(text, id="c1", at=0, probability=1.0):
    heard = words(text, at, probability)
    return Utterance(id, Speaker.CUSTOMER, at, heard[-1].end_ms, heard)


def test_the_key_is_the_same_on_provisional_and_final_words(rulebook):
    judge = PhraseDetector(rulebook)
    early = Hypothesis("c1", Speaker.CUSTOMER, 0, words("i want your manager"), ())
    final = said("i want your manager now")
    [one] = judge(Window(1200, (early,), early))
    [two] = [s for s in judge(Window(1500, (final,), final)) if s.id == "supervisor_demand"]
    assert one.key == two.key
    assert not one.settled and two.settled


def test_a_phrase_over_a_pause_is_heard_and_stands_in_the_later_utterance(rulebook):
    first = said("let me speak to")
    for gap, expected in ((1500, ["supervisor_demand"]), (4000, [])):
        second = said("manager about it", "c2", first.end_ms + gap)
        found = PhraseDetector(rulebook)(Window(second.end_ms, (first, second), second))
        assert [s.id for s in found if s.rule == "supervisor.demand"] == expected


def test_evidence_is_exact(rulebook):
    [signal] = PhraseDetector(rulebook)(Window(0, (), said("hello I know where you live, OK?", at=500)))
    place = signal.evidence
    assert signal.severity is Severity.URGENT
    assert (place.quote, place.first_word, place.last_word) == ("I know where you live", 1, 5)
    assert (place.start_ms, place.end_ms, signal.at_ms) == (800, 2300, 2300)


@pytest.mark.parametrize("text", ["get me your super visor", "give me a supervizor", "GET ME YOUR SUPERVISOR!"])
def test_split_and_misheard_words_are_found(rulebook, text):
    assert "supervisor_demand" in {s.id for s in PhraseDetector(rulebook).find(text)}


def test_unsure_words_weigh_less_and_very_unsure_ones_nothing(rulebook):
    def heard(probability):
        one = said("get me your manager", probability=probability)
        return [s.strength for s in PhraseDetector(rulebook)(Window(0, (), one))]

    assert heard(1.0)[0] > heard(0.6)[0]
    assert heard(0.1) == []


def test_cool_down_holds_a_second_finding_back(rulebook):
    judge = PhraseDetector(rulebook)
    found = []
    for number, at in enumerate((0, 10_000, 60_000)):
        one = said("get me your manager", f"c{number}", at)
        found.append(len(list(judge(Window(at, (), one)))))
    assert found == [1, 0, 1]
