import numpy as np
import pytest

from audio.events import SAMPLE_RATE, Chunk, CustomerAudio, Speaker
from audio.voice import VoiceMeter


def voice(seconds, *, pitch=120.0, level=0.1, bright=1.0, seed=0):
    """Speech-like sound: harmonics under a moving formant, in syllables of 0.2 s. Synthetic: proves measuring only."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros_like(time)
    for n in range(1, int(3600 / pitch)):
        slope = (n * pitch / 500.0) ** -(1.6 / bright)
        sound += slope * np.sin(2 * np.pi * n * pitch * time + n)
    envelope = 0.75 - 0.25 * np.cos(2 * np.pi * time / 0.2)
    sound = sound * envelope / np.sqrt(np.mean(sound**2)) * level
    return (sound + np.random.default_rng(seed).normal(0, 1e-4, len(time))).astype(np.float32)


def measured(pcm, *, chunk=1600, speech=True, crosstalk=False):
    meter = VoiceMeter()
    found = []
    for start in range(0, len(pcm), chunk):
        audio = CustomerAudio(start * 1000 // SAMPLE_RATE, pcm[start : start + chunk], crosstalk)
        found += meter.push(audio, speech)
    return found


def mean(measures, name):
    return float(np.mean([getattr(each, name) for each in measures]))


def test_twice_as_loud_is_six_decibel():
    soft, loud = measured(voice(3)), measured(voice(3, level=0.2))
    assert mean(loud, "level_db") - mean(soft, "level_db") == pytest.approx(6.0, abs=0.2)
    assert mean(loud, "balance_db") == pytest.approx(mean(soft, "balance_db"), abs=0.1)


@pytest.mark.parametrize("pitch", [90.0, 130.0, 210.0, 320.0])
def test_pitch_is_heard_without_its_fundamental(pitch):
    """The telephone band begins at 300 Hz: F0 itself is not there, only its harmonics."""
    found = measured(voice(3, pitch=pitch))
    assert mean(found, "pitch_semitones") == pytest.approx(12 * np.log2(pitch / 100), abs=0.5)


@pytest.mark.parametrize(("pitch", "formant"), [(85.0, 700.0), (105.0, 600.0), (105.0, 450.0)])
def test_the_first_formant_of_a_deep_voice_is_not_its_pitch(pitch, formant):
    time = np.arange(SAMPLE_RATE * 3) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.02 * np.sin(2 * np.pi * 5 * time))) / SAMPLE_RATE
    shape = [0.02 + np.exp(-(((n * pitch - formant) / 60) ** 2)) for n in range(1, 30)]
    sound = sum(share * np.cos(n * phase + n) for n, share in enumerate(shape, 1))
    found = measured((sound / np.abs(sound).max() * 0.3).astype(np.float32))
    assert mean(found, "pitch_semitones") == pytest.approx(12 * np.log2(pitch / 100), abs=1.0)


def test_a_brighter_voice_has_a_higher_balance():
    assert mean(measured(voice(3, bright=2.5)), "balance_db") > mean(measured(voice(3)), "balance_db") + 1.0


def test_the_size_of_the_chunks_does_not_matter():
    pcm = voice(3)
    assert measured(pcm, chunk=1600) == measured(pcm, chunk=4800)


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(SAMPLE_RATE * 3, np.float32),
        np.random.default_rng(1).normal(0, 0.1, SAMPLE_RATE * 3).astype(np.float32),
        np.full(SAMPLE_RATE * 3, 0.3, np.float32),
        np.zeros(0, np.float32),
    ],
    ids=["digital silence", "noise", "direct current", "nothing"],
)
def test_what_is_no_voice_is_not_measured(pcm):
    assert measured(pcm) == []


def test_what_voice_activity_calls_no_speech_and_crosstalk_are_not_measured():
    assert measured(voice(3), speech=False) == []
    assert measured(voice(3), crosstalk=True) == []


def test_a_line_on_which_nobody_speaks_leaves_nothing_behind():
    meter, hiss = VoiceMeter(), np.random.default_rng(0).normal(0, 1e-4, 1600).astype(np.float32)
    for n in range(600):
        meter.push(CustomerAudio(n * 100, hiss), False)
    assert len(meter._speech_flags) < 10


def test_broken_samples_do_no_harm():
    pcm = voice(4)
    broken = pcm.copy()
    broken[SAMPLE_RATE : SAMPLE_RATE + 40] = np.nan
    after = [m for m in measured(broken) if m.at_ms > 2_500]
    assert after and all(np.isfinite(m.level_db) for m in after)
    assert mean(after, "level_db") == pytest.approx(
        mean([m for m in measured(pcm) if m.at_ms > 2_500], "level_db"), abs=0.2
    )


def test_there_is_no_customer_audio_of_an_agent_or_a_mixed_channel():
    pcm = np.zeros(1600, np.float32)
    assert Chunk(0, {Speaker.UNKNOWN: pcm}).customer_audio() is None
    assert Chunk(0, {Speaker.AGENT: pcm}).customer_audio() is None
    both = Chunk(0, {Speaker.AGENT: pcm, Speaker.CUSTOMER: pcm + 1})
    assert both.customer_audio() is not None and both.customer_audio().pcm[0] == 1
