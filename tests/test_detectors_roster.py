import pytest

from audio.events import Speaker, Utterance, VoiceMeasure, Word
from detectors.roster import RosterSettings, build
from detectors.rulebook import load_rules
from detectors.signals import SIGNAL_IDS, Window


@pytest.fixture(scope="module")
def rulebook():
    return load_rules()


def said(text):
    words = tuple(Word(each, 300 * n, 300 * n + 300) for n, each in enumerate(text.split()))
    return Utterance("c1", Speaker.CUSTOMER, 0, 300 * len(words), words)


def test_every_detector_has_a_name_of_its_own_and_a_version(rulebook):
    detectors = build(rulebook)
    names = [detector.name for detector in detectors]
    assert len(names) == len(set(names)) and all(names)
    assert all(detector.version for detector in detectors)
    assert {"overlap", "silence", "fast_speech", "monologue", "repeated_request", "negative_sentiment"} < set(names)


def test_words_and_voice_are_both_judged(rulebook):
    utterance = said("I want to speak to your supervisor right now")
    window = Window(utterance.end_ms, (utterance,), utterance)
    found = {signal.id for detector in build(rulebook) for signal in detector(window)}
    assert "supervisor_demand" in found and found <= SIGNAL_IDS
    assert "raised_voice" in {detector.name for detector in build(rulebook)}


def test_calls_share_nothing(rulebook):
    one, other = build(rulebook), build(rulebook)
    assert not {id(detector) for detector in one} & {id(detector) for detector in other}


def test_a_detector_can_be_left_out(rulebook):
    names = {detector.name for detector in build(rulebook, RosterSettings(off=frozenset({"negative_sentiment"})))}
    assert names == {detector.name for detector in build(rulebook)} - {"negative_sentiment"}


def test_time_and_sound_alone_without_any_words_are_fine(rulebook):
    measure = VoiceMeasure(1000, 800, -20.0, 12.0, 7.0, 0.2)
    for window in (Window(0), Window(5000), Window(5000, voice=measure)):
        assert [signal for detector in build(rulebook) for signal in detector(window)] == []
