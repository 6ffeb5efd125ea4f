import shutil
import sys

import pytest

from assist.commands.main import main
from assist.live import runs
from audio.events import Speaker, Utterance, VoiceMeasure
from detectors import factory
from detectors.factory import DetectorSettings, ModelError, build_detectors
from detectors.rulebook import Rulebook, load_rules
from detectors.sentence_model import FOLDER, SentenceModel
from detectors.signals import SIGNAL_IDS, Window
from tests.heard import words


@pytest.fixture(scope="module")
def rulebook():
    return load_rules()


def said(text):
    spoken = words(text)
    return Utterance("c1", Speaker.CUSTOMER, 0, spoken[-1].end_ms, spoken)


def test_every_detector_has_a_name_of_its_own_and_a_version(rulebook):
    detectors = build_detectors(rulebook)
    names = [detector.name for detector in detectors]
    assert len(names) == len(set(names)) and all(names)
    assert all(detector.version for detector in detectors)
    assert {"overlap", "silence", "fast_speech", "monologue", "repeated_request", "negative_sentiment"} < set(names)


def test_words_and_voice_are_both_judged(rulebook):
    utterance = said("I want to speak to your supervisor right now")
    window = Window(utterance.end_ms, (utterance,), utterance)
    found = {signal.id for detector in build_detectors(rulebook) for signal in detector(window)}
    assert "supervisor_demand" in found and found <= SIGNAL_IDS
    assert "raised_voice" in {detector.name for detector in build_detectors(rulebook)}


def test_calls_share_nothing(rulebook):
    one, other = build_detectors(rulebook), build_detectors(rulebook)
    assert not {id(detector) for detector in one} & {id(detector) for detector in other}


def test_a_detector_can_be_left_out(rulebook):
    names = {
        detector.name for detector in build_detectors(rulebook, DetectorSettings(off=frozenset({"negative_sentiment"})))
    }
    assert names == {detector.name for detector in build_detectors(rulebook)} - {"negative_sentiment"}


def test_time_and_sound_alone_without_any_words_are_fine(rulebook):
    measure = VoiceMeasure(1000, 800, -20.0, 12.0, 7.0, 0.2, 12.0)
    for window in (Window(0), Window(5000), Window(5000, voice=measure)):
        assert [signal for detector in build_detectors(rulebook) for signal in detector(window)] == []


def damaged(folder, file, share):
    """Loads a copy of the shipped sentence model of which only that share of one file is left; None: not even that."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    if share is not None:
        (folder / file).write_bytes(whole[: int(len(whole) * share)])
    return lambda: SentenceModel(folder)


@pytest.mark.parametrize(
    ("file", "share"),
    [
        ("model.onnx", 0.5),
        ("model.onnx", 0),
        ("model.onnx", None),
        ("caller.onnx", None),
        ("vocab.txt.gz", 0.5),
        ("labels.json", 0.5),
    ],
)
def test_a_damaged_sentence_model_is_an_error_of_its_own(file, share, tmp_path, monkeypatch):
    monkeypatch.setattr(factory, "shipped_model", damaged(tmp_path, file, share))
    with pytest.raises(ModelError, match=r"install call-assist again, or set meaning = false"):
        build_detectors(Rulebook((), {}, "none"))


def test_a_damaged_sentence_model_is_one_clear_line_at_the_start(rulebook, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(factory, "shipped_model", damaged(tmp_path, "model.onnx", 0.5))
    monkeypatch.setattr(runs, "load_rules", lambda **_: rulebook)
    monkeypatch.setattr(sys, "argv", ["assist", "serve", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capfd.readouterr().err
    assert ended.value.code == 1 and len(told.splitlines()) == 1 and "damaged" in told, told
