"""Tones told from voices, by lines that stand still."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.events import Pcm
from audio.line_sounds import beeps, telephone
from audio.steadiness import TONAL_SHARE, Steadiness

CALL = Path(__file__).parent / "data" / "spoken-call.flac"


def share(sound: Pcm, piece: int = 8000) -> float:
    steadiness = Steadiness()
    for at in range(0, len(sound), piece):
        steadiness.extend(sound[at : at + piece])
    return steadiness.share


@pytest.mark.parametrize("name", ["beeps", "chimes", "ringtone, a melody", "ringtone, a bell"])
@pytest.mark.parametrize("level", [0.05, 1.0])
def test_beeps_and_ringtones_are_steady(name: str, level: float) -> None:
    sound = beeps(4.0, seed=7)[name]
    assert share(telephone(sound * np.float32(level))) >= TONAL_SHARE


def test_a_vowel_sung_on_and_on_is_nobody_speaking_though_its_pitch_swings() -> None:
    held = 0
    for seed in range(401, 411):
        steadiness = Steadiness()
        steadiness.extend(telephone(beeps(4.0, seed=seed)["a vowel, sung"]))
        held += steadiness.tonal and steadiness.share < TONAL_SHARE
    assert held >= 8


def test_words_said_alone_and_sentences_are_somebody_speaking() -> None:
    call, _ = soundfile.read(CALL, dtype="float32")
    said = json.loads(CALL.with_suffix(".json").read_text(encoding="utf-8"))
    for before, word in zip(said, said[1:], strict=False):
        for start in (word["start_ms"], before["start_ms"]):
            sound = call[start * 16 : word["end_ms"] * 16, int(word["who"] == "customer")]
            steadiness = Steadiness()
            steadiness.extend(telephone(sound))
            assert not steadiness.tonal


def test_voices_are_not_steady_quiet_or_loud_or_beside_a_hum() -> None:
    call, _ = soundfile.read(CALL, dtype="float32")
    said = json.loads(CALL.with_suffix(".json").read_text(encoding="utf-8"))
    for channel, who in enumerate(("agent", "customer")):
        words = [word for word in said if word["who"] == who]
        voice = call[words[0]["start_ms"] * 16 : words[6]["end_ms"] * 16, channel].copy()
        hum = np.asarray(0.02 * np.sin(2 * np.pi * 120 / 16_000 * np.arange(len(voice))), np.float32)
        for sound in (voice, 0.03 * voice, telephone(voice), voice + hum):
            assert share(sound.astype(np.float32)) < TONAL_SHARE / 2


def test_silence_and_too_little_sound_are_not_steady() -> None:
    assert share(np.zeros(16_000, np.float32)) == 0.0
    assert share(np.ones(100, np.float32)) == 0.0


@settings(max_examples=25)
@given(st.lists(st.integers(1, 4000), min_size=1, max_size=12))
def test_the_size_of_pieces_changes_nothing(sizes: list[int]) -> None:
    sound = beeps(1.0, seed=3)["chimes"]
    steadiness, at = Steadiness(), 0
    for size in [*sizes, len(sound)]:
        steadiness.extend(sound[at : at + size])
        at += size
    assert steadiness.share == pytest.approx(share(sound, len(sound)), abs=1e-9)
