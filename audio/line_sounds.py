"""Synthetic audio without speech, of telephone lines and rooms, from seeded random numbers; and a telephone channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audio.events import SAMPLE_RATE, Pcm

Samples = NDArray[np.float64]


def synthetic(seconds: float = 30.0, *, seed: int = 8) -> dict[str, Pcm]:
    """Signalling tones, music on hold, beeps, ringtones, noise, silence: name -> audio of so many seconds."""
    return line_tones(seconds, seed=seed) | room_sounds(seconds, seed=seed) | beeps(seconds, seed=seed)


def line_tones(seconds: float, *, seed: int) -> dict[str, Pcm]:
    """What a telephone network plays: call progress tones, DTMF, fax, music on hold."""
    count = round(seconds * SAMPLE_RATE)
    at = np.arange(count) / SAMPLE_RATE
    rng = np.random.default_rng(seed)

    def tones(*hertz: float, level: float = 0.1) -> Pcm:
        return np.asarray(sum(np.sin(2 * np.pi * f * at) for f in hertz) * level, np.float32)

    def every(period: float, on: float) -> Pcm:
        return np.asarray(at % period < on, np.float32)

    keys = np.zeros(count, np.float32)
    for start in np.arange(0, seconds - 0.2, 0.25):
        row, column = rng.choice((697, 770, 852, 941)), rng.choice((1209, 1336, 1477))
        keys += tones(row, column) * ((at >= start) & (at < start + 0.1))
    sit = sum(tones(f) * (((at % 4) >= k / 3) & ((at % 4) < (k + 1) / 3)) for k, f in enumerate((950, 1400, 1800)))
    return {
        "ringback": tones(440, 480) * every(6, 2),
        "ringback, Europe": tones(425) * every(5, 1),
        "busy": tones(480, 620) * every(1, 0.5),
        "congestion": tones(425) * every(0.5, 0.25),
        "call waiting": tones(440) * every(10, 0.3),
        "keypad": keys,
        "out of service": np.asarray(sit, np.float32),
        "fax": tones(1100) * every(3.5, 0.5),
        "recording beep": tones(1400) * every(15, 0.2),
        "held music": _music(count, rng, vibrato=0.0),
        "held music, sung on one vowel": _music(count, rng, vibrato=0.012),
    }


def room_sounds(seconds: float, *, seed: int) -> dict[str, Pcm]:
    """Noise of a quiet line, a machine, a desk."""
    count = round(seconds * SAMPLE_RATE)
    at = np.arange(count) / SAMPLE_RATE
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, count)
    brown = np.cumsum(noise)
    brown -= np.convolve(brown, np.ones(SAMPLE_RATE // 20) / (SAMPLE_RATE // 20), "same")
    hum = sum(np.sin(2 * np.pi * 50 * k * at + rng.uniform(0, 6)) / k for k in range(1, 16))
    typing = noise * np.exp(-((at * rng.uniform(5, 7)) % 1) * 60)
    keyboard, rustle, knocks = np.zeros(count), np.zeros(count), np.zeros(count)
    for start in _random_times(rng, seconds, 0.05, 0.4):
        burst = rng.normal(0, 1, round(SAMPLE_RATE * rng.uniform(0.008, 0.03)))
        ring = np.sin(2 * np.pi * rng.uniform(300, 3000) * np.arange(len(burst)) / SAMPLE_RATE)
        _mix_in(keyboard, start, burst * (0.5 + ring) * np.exp(-np.linspace(0, 5, len(burst))))
    for start in _random_times(rng, seconds, 0.2, 1.5):
        length = round(SAMPLE_RATE * rng.uniform(0.1, 0.8))
        crackle = rng.normal(0, 1, length) * (rng.random(length) < 0.1)
        _mix_in(rustle, start, crackle * np.hanning(length))
        length = round(SAMPLE_RATE * rng.uniform(0.05, 0.2))
        thud = np.sin(2 * np.pi * rng.uniform(80, 300) * np.arange(length) / SAMPLE_RATE)
        _mix_in(knocks, start, thud * np.exp(-np.linspace(0, 8, length)))
    return {
        "silence": np.zeros(count, np.float32),
        "comfort noise": _scaled_to_rms(noise, 0.001),
        "hiss": _scaled_to_rms(noise, 0.02),
        "hum and fans": (0.02 * brown / np.abs(brown).max() + 0.01 * np.sin(2 * np.pi * 120 * at)).astype(np.float32),
        "mains hum": _scaled_to_rms(np.asarray(hum), 0.03),
        "typing": (0.1 * typing).astype(np.float32),
        "keyboard": _scaled_to_rms(keyboard, 0.03),
        "rustling": _scaled_to_rms(rustle, 0.02),
        "knocks": _scaled_to_rms(knocks, 0.03),
    }


def beeps(seconds: float, *, seed: int) -> dict[str, Pcm]:
    """What telephones and programs play to the person in front of them."""
    count = round(seconds * SAMPLE_RATE)
    rng = np.random.default_rng(seed)
    found: dict[str, Pcm] = {}
    plain, chimes, melody, trill, bell, siren, sung = (np.zeros(count) for _ in range(7))
    for start in _random_times(rng, seconds, 0.3, 1.5):
        hertz, pause = rng.uniform(130, 2500), rng.uniform(0.08, 0.3)
        for number in range(rng.integers(1, 4)):
            note = _note(hertz, rng.uniform(0.06, 0.4), _partials(rng))
            _mix_in(plain, start + number * (pause + len(note) / SAMPLE_RATE), note)
        hertz = rng.uniform(110, 900)
        for number in range(rng.integers(2, 4)):
            note = _note(hertz, rng.uniform(0.1, 0.35), _partials(rng), decay=rng.uniform(2, 10))
            _mix_in(chimes, start + number * rng.uniform(0.1, 0.3), note)
            hertz *= 2 ** (rng.choice((-7, -5, -4, 3, 4, 5, 7)) / 12)
    scale = 2 ** (np.array((0, 2, 4, 5, 7, 9, 11, 12)) / 12)
    for start in np.arange(0, seconds, rng.uniform(0.1, 0.25)):
        root = 220 * rng.choice(scale)
        for step in (1, *rng.choice((5 / 4, 3 / 2, 2), rng.integers(0, 3), replace=False)):
            _mix_in(melody, start, _note(root * step, 0.3, _partials(rng), decay=8))
    for start in _random_times(rng, seconds, 2.0, 3.0):
        low, high, rate = rng.uniform(400, 900), rng.uniform(900, 1600), rng.uniform(10, 25)
        at = np.arange(round(1.5 * SAMPLE_RATE)) / SAMPLE_RATE
        sweep = np.where((at * rate) % 1 < 0.5, low, high)
        _mix_in(trill, start, np.sin(2 * np.pi * np.cumsum(sweep) / SAMPLE_RATE))
        ring = sum(np.sin(2 * np.pi * hertz * at) for hertz in rng.uniform(600, 3400, 5))
        _mix_in(bell, start, np.asarray(ring) * (0.4 + 0.6 * np.abs(np.sin(np.pi * rate * at))))
        sweep = 900 + 500 * np.sin(2 * np.pi * rng.uniform(0.3, 4) * at)
        _mix_in(siren, start, np.sin(2 * np.pi * np.cumsum(sweep) / SAMPLE_RATE))
        vowel = ((rng.uniform(300, 800), 80), (rng.uniform(900, 2200), 90), (2500, 120))
        _mix_in(sung, start, _vowel(rng.uniform(110, 400), at, vowel, vibrato=rng.uniform(0, 0.015)))
    for name, sound in (
        ("beeps", plain),
        ("chimes", chimes),
        ("ringtone, a melody", melody),
        ("ringtone, a trill", trill),
        ("ringtone, a bell", bell),
        ("siren", siren),
        ("a vowel, sung", sung),
    ):
        found[name] = _scaled_to_rms(sound, 0.1)
    return found


def telephone(pcm: Pcm) -> Pcm:
    """Audio through a G.711 mu-law line: 8 kHz, 300 to 3400 Hz, 8 bits; an odd last sample is dropped."""
    even = pcm[: len(pcm) // 2 * 2]
    spectrum = np.fft.rfft(even)
    hertz = np.fft.rfftfreq(len(even), 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(even))[::2], -1, 1)
    law = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    narrow = np.sign(law) * np.expm1(np.abs(law) * np.log(256)) / 255
    return (2 * np.fft.irfft(np.fft.rfft(narrow), len(even))).astype(np.float32)


def _random_times(rng: np.random.Generator, seconds: float, min_gap: float, max_gap: float) -> list[float]:
    """Times (s) with uniformly distributed gaps."""
    steps = np.cumsum(rng.uniform(min_gap, max_gap, round(seconds / min_gap) + 1))
    return [float(at) for at in steps if at < seconds]


def _mix_in(sound: Samples, start: float, piece: Samples) -> None:
    at = round(start * SAMPLE_RATE)
    sound[at : at + len(piece)] += piece[: max(0, len(sound) - at)]


def _scaled_to_rms(sound: Samples, rms: float) -> Pcm:
    """Scaled to this root mean square, and clipped to [-1, 1]."""
    loudness = float(np.sqrt(np.mean(sound**2)))
    return np.asarray(np.clip(sound * (rms / max(loudness, 1e-9)), -1, 1), np.float32)


def _partials(rng: np.random.Generator) -> Sequence[float]:
    """Strengths of a note's harmonics, from a pure tone to a rich one."""
    return [1.0, *(rng.uniform(0, 1) ** 2 / k for k in range(2, 2 + rng.integers(0, 7)))]


def _note(hertz: float, seconds: float, partials: Sequence[float], *, decay: float = 0.0) -> Samples:
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    edge = np.minimum(1, np.minimum(at, at[::-1]) / 0.005)
    wave = sum(gain * np.sin(2 * np.pi * hertz * (k + 1) * at) for k, gain in enumerate(partials))
    return np.asarray(wave * edge * np.exp(-decay * at))


def _vowel(hertz: float, at: Samples, formants: Sequence[tuple[float, float]], *, vibrato: float) -> Samples:
    """Harmonics up to 3.4 kHz under (centre, width) resonances; the pitch swings 5.5 times a second."""
    phase = 2 * np.pi * np.cumsum(hertz * (1 + vibrato * np.sin(2 * np.pi * 5.5 * at))) / SAMPLE_RATE
    sound = np.zeros(len(at))
    for k in range(1, int(3400 / hertz)):
        gain = sum(1 / (1 + ((k * hertz - centre) / width) ** 2) for centre, width in formants)
        sound += gain * np.sin(k * phase)
    return sound * np.minimum(1, np.minimum(at, at[::-1]) / 0.05)


def _music(count: int, rng: np.random.Generator, *, vibrato: float) -> Pcm:
    """Chords, a melody and a beat at 96 a minute; with vibrato the melody has a singer's formants."""
    at = np.arange(count) / SAMPLE_RATE
    beat = round(0.625 * SAMPLE_RATE)
    sound = np.zeros(count)
    scale = 220 * 2 ** (np.array((0, 2, 4, 7, 9, 12)) / 12)
    formants = np.array(((700, 80), (1150, 90), (2500, 120)))
    for number, start in enumerate(range(0, count, beat)):
        stop = min(start + beat, count)
        t = at[start:stop] - at[start]
        root = 110 * 2 ** ((0, 5, 7, 0)[number // 4 % 4] / 12)
        sound[start:stop] += sum(0.05 * np.sin(2 * np.pi * root * r * at[start:stop]) for r in (1, 5 / 4, 3 / 2, 2))
        note = rng.choice(scale)
        phase = 2 * np.pi * np.cumsum(note * (1 + vibrato * np.sin(2 * np.pi * 5.5 * t))) / SAMPLE_RATE
        for k in range(1, 12):
            gain = 1 / k
            if vibrato:
                gain = float(np.sum(1 / (1 + ((k * note - formants[:, 0]) / formants[:, 1]) ** 2)))
            sound[start:stop] += 0.12 * gain * np.sin(k * phase) * np.minimum(1, t * 30) * np.exp(-1.5 * t)
        drum = rng.normal(0, 1, stop - start) * np.exp(-60 * t) * (0.08 if number % 2 else 0.04)
        sound[start:stop] += drum
    return np.asarray(sound / np.abs(sound).max() * 0.4, np.float32)
