"""Simulates a telephone line for clips, and measures their voice as in a call."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assist.sound import whole
from audio.events import SAMPLE_RATE, CustomerAudio, Pcm, Speaker, VoiceMeasure
from audio.voice import VoiceMeter

CONDITIONS = ("tel", "agc", "norm")
"""tel: 300-3400 Hz, a handset tilt of +-8 dB and a gain of +-10 dB per speaker, noise at -60 dBov, mu-law.
agc: the same behind automatic gain (+-20 dB). norm: every clip levelled, the worst case."""

_Signal = NDArray[np.float64]


def in_condition(clips: Sequence[Pcm], condition: str, speaker: str) -> Pcm:
    """Clips (16 kHz) in a row over one simulated line; a speaker always has the same handset and gain.

    `condition`: one of CONDITIONS. Shape (samples,), the sum of the clips' lengths.
    """
    rng = np.random.default_rng(zlib.crc32(speaker.encode()))
    tilt_db, gain_db = rng.uniform(-8, 8), rng.uniform(-10, 10)
    parts = [_band_limited(clip, tilt_db, gain_db) for clip in clips if len(clip)]
    if condition == "norm":
        parts = [part / (math.sqrt(float(np.mean(part**2))) + 1e-9) * 0.05 if np.any(part) else part for part in parts]
    out = np.concatenate(parts) if parts else np.zeros(0)
    if condition == "agc":
        out = _automatic_gain(out)
    seed = zlib.crc32(f"{speaker}{len(out)}".encode())
    return _mu_law(out + np.random.default_rng(seed).standard_normal(len(out)) * 10 ** (-60 / 20)).astype(np.float32)


def measures(pcm: Pcm) -> list[VoiceMeasure]:
    """The voice measures of 16 kHz sound, fed to the meter in chunks of 100 ms as in a call."""
    meter = VoiceMeter()
    found: list[VoiceMeasure] = []
    for start in range(0, len(pcm), 1600):
        found += meter.push(CustomerAudio(start * 1000 // SAMPLE_RATE, pcm[start : start + 1600]))
    return found


def sound(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Pcm:
    """The customer's channel of a recording or a part of it, 16 kHz: of two channels the right one, if they differ."""
    sides = whole(path, mono=Speaker.CUSTOMER, start_s=start_s, end_s=end_s)
    [theirs] = (pcm for who, pcm in sides.items() if who is not Speaker.AGENT)
    return theirs


def _band_limited(pcm: Pcm, tilt_db: float, gain_db: float) -> _Signal:
    """300-3400 Hz by FFT, with a spectral tilt (dB over the band, 0 at 1 kHz) and a gain in dB."""
    size = 1 << (len(pcm) + SAMPLE_RATE // 10).bit_length()
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    slope = np.clip(tilt_db * np.log2(frequencies / 1000) / np.log2(3400 / 300), -abs(tilt_db), abs(tilt_db))
    line = np.where((frequencies >= 300) & (frequencies <= 3400), 10 ** (slope / 20), 0.0)
    out: _Signal = np.fft.irfft(np.fft.rfft(pcm.astype(np.float64), size) * line, size)[: len(pcm)]
    return out * 10 ** (gain_db / 20)


def _automatic_gain(pcm: _Signal) -> _Signal:
    """Automatic gain control of a gateway: towards -20 dBov in 20 ms steps, fast down, slow up, within +-20 dB."""
    step, gain = SAMPLE_RATE // 50, 0.0
    out = pcm.copy()
    for start in range(0, len(pcm), step):
        block = pcm[start : start + step]
        level = 10 * math.log10(float(np.mean(block**2)) + 1e-12)
        if level > -50:
            wanted = min(20.0, max(-20.0, -20.0 - level))
            gain += (wanted - gain) * (0.15 if wanted < gain else 0.02)
        out[start : start + step] = block * 10 ** (gain / 20)
    return out


def _mu_law(pcm: _Signal) -> _Signal:
    """Encoded and decoded with the mu-law curve of G.711 at 8 bits."""
    clipped = np.clip(pcm, -1, 1)
    code = np.round(np.sign(clipped) * np.log1p(255 * np.abs(clipped)) / math.log(256) * 127) / 127
    return np.asarray(np.sign(code) * (np.power(256.0, np.abs(code)) - 1) / 255)
