import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.calibration import calibrate, utterances
from audio.errors import AudioError
from audio.whisper import FLOOR_FILE, WhisperRecogniser

MODEL = Path(__file__).parent / "models" / "test-recogniser"
DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def sound():
    return soundfile.read(DATA / "spoken-call.flac", dtype="float32")[0].T.copy()


@pytest.fixture
def model(tmp_path):
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


@pytest.mark.slow
def test_the_smallest_safe_window_is_kept_beside_the_model(model, sound):
    found = calibrate(model, [*sound, *sound])
    assert [row.floor_frames for row in found.rows][:2] == [3000, 2000]
    assert found.rows[0].different == 0 and found.rows[0].words > 100
    assert found.rows[-1].cpu_s < found.rows[0].cpu_s
    assert found.floor_frames == WhisperRecogniser(model, device="cpu").floor
    assert found.floor_frames == min(row.floor_frames for row in found.rows if row.safe)
    unsafe = [row.floor_frames for row in found.rows if not row.safe]
    assert all(floor < found.floor_frames for floor in unsafe)


def test_every_window_that_is_called_safe_has_been_tried(model, sound, monkeypatch):
    shown = set()
    decode = WhisperRecogniser.decode

    def watched(recogniser, decodings, frames, *beam_size):
        shown.add(frames)
        return decode(recogniser, decodings, frames, *beam_size)

    monkeypatch.setattr(WhisperRecogniser, "decode", watched)
    found = calibrate(model, [sound[1, 20 * 16_000 : 21 * 16_000]])
    assert shown == {row.floor_frames for row in found.rows}


def test_too_few_words_change_nothing(model, sound):
    found = calibrate(model, [sound[1, 20 * 16_000 : 21 * 16_000]])
    assert found.rows[0].words > 0 and found.rows[0].safe
    assert found.floor_frames is None and not (model / FLOOR_FILE).exists()


def test_recordings_without_speech_are_refused(model):
    with pytest.raises(AudioError) as caught:
        calibrate(model, [np.zeros(160_000, np.float32)])
    assert caught.value.code == "calibration-no-speech"


def test_each_stretch_of_speech_is_one_utterance(sound):
    assert len(utterances(sound[1])) == 4
