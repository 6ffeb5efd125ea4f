"""Clips as a telephone line would carry them, and what the voice meter makes of them."""

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
    """Clips (16 kHz) in a row over one line; the same speaker always has the same handset and gain."""
    own = np.random.default_rng(zlib.crc32(speaker.encode()))
    tilt, gain = own.uniform(-8, 8), own.uniform(-10, 10)
    parts = [_in_band(clip, tilt, gain) for clip in clips if len(clip)]
    if condition == "norm":
        parts = [part / (math.sqrt(float(np.mean(part**2))) + 1e-9) * 0.05 if np.any(part) else part for part in parts]
    out = np.concatenate(parts) if parts else np.zeros(0)
    if condition == "agc":
        out = _automatic_gain(out)
    seed = zlib.crc32(f"{speaker}{len(out)}".encode())
    return _mu_law(out + np.random.default_rng(seed).standard_normal(len(out)) * 10 ** (-60 / 20)).astype(np.float32)


def measures(pcm: Pcm) -> list[VoiceMeasure]:
    """The measures of one channel's sound, in chunks as a call would bring them."""
    meter = VoiceMeter()
    found: list[VoiceMeasure] = []
    for start in range(0, len(pcm), 1600):
        found += meter.push(CustomerAudio(start * 1000 // SAMPLE_RATE, pcm[start : start + 1600]))
    return found


def sound(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Pcm:
    """The customer's side of a recording or of a part of it, 16 kHz: of two channels the right one, if they differ."""
    sides = whole(path, mono=Speaker.CUSTOMER, start_s=start_s, end_s=end_s)
    [theirs] = (pcm for who, pcm in sides.items() if who is not Speaker.AGENT)
    return theirs


def _in_band(pcm: Pcm, tilt: float, gain: float) -> _Signal:
    size = 1 << (len(pcm) + SAMPLE_RATE // 10).bit_length()
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 1.0)
    slope = np.clip(tilt * np.log2(frequencies / 1000) / np.log2(3400 / 300), -abs(tilt), abs(tilt))
    line = np.where((frequencies >= 300) & (frequencies <= 3400), 10 ** (slope / 20), 0.0)
    out: _Signal = np.fft.irfft(np.fft.rfft(pcm.astype(np.float64), size) * line, size)[: len(pcm)]
    return out * 10 ** (gain / 20)


def _automatic_gain(pcm: _Signal) -> _Signal:
    """A gateway's: towards -20 dBov in 20 ms steps, down quickly, up slowly, at most 20 dB either way."""
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
    """There and back: G.711's curve with 8 bits."""
    clipped = np.clip(pcm, -1, 1)
    code = np.round(np.sign(clipped) * np.log1p(255 * np.abs(clipped)) / math.log(256) * 127) / 127
    return np.asarray(np.sign(code) * (np.power(256.0, np.abs(code)) - 1) / 255)
