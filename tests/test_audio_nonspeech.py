from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.line_sounds import beeps, synthetic, telephone
from audio.nonspeech import decode_nonspeech
from audio.sphinx import SphinxRecogniser
from audio.whisper import WhisperRecogniser

HERE = Path(__file__).parent


@pytest.fixture(scope="module", params=["whisper", "pocketsphinx"])
def recogniser(request):
    if request.param == "pocketsphinx":
        return SphinxRecogniser(decoders=1)
    return WhisperRecogniser(HERE / "models" / "test-recogniser", device="cpu", floor_frames=300)


def test_nothing_is_invented_on_the_sounds_of_a_line_without_a_speaker(recogniser):
    sounds = synthetic(5.0)
    sounds |= {f"{name}, telephone": telephone(pcm) for name, pcm in sounds.items()}
    assert {found.name: found.words for found in decode_nonspeech(recogniser, sounds) if found.words} == {}


def test_beeps_that_pass_for_speech_give_no_words(recogniser):
    beep, chime = beeps(15, seed=101)["beeps"], beeps(20, seed=103)["chimes"]
    sung = beeps(15, seed=101)["a vowel, sung"]
    sounds = {"beeps": telephone(beep), "chimes": np.clip(4 * chime, -1, 1), "sung": telephone(sung)}
    found = decode_nonspeech(recogniser, sounds)
    assert all(each.detected_s > 0.5 and not each.words for each in found)


def test_what_is_said_is_counted(recogniser):
    customer = soundfile.read(HERE / "data" / "spoken-call.flac", dtype="float32")[0].T[1, : 8 * 16000].copy()
    (found,) = decode_nonspeech(recogniser, {"a sentence": customer})
    assert 8 <= found.words <= 12 and 2 < found.detected_s < 4
    assert found.per_minute == found.words * 60 / 8
