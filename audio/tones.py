"""Signalling tones (ringback, busy, DTMF, fax, beeps): audio whose energy is at one or two fixed frequencies."""

from __future__ import annotations

import numpy as np

from audio.events import SAMPLE_RATE, Pcm

WINDOW = 2048
"""Samples: 128 ms, so that bins are 8 Hz apart and a voice's pitch moves within a few windows."""
TONE_ENERGY_SHARE = 0.90
"""Share of the energy between 200 and 4000 Hz that is in the two strongest peaks."""
STEADY_FRAMES = 4
"""Successive frames (128 ms more) with the same peaks."""
LOW_BIN, HIGH_BIN = 200 * WINDOW // SAMPLE_RATE, 4000 * WINDOW // SAMPLE_RATE
PEAK_BINS = 3
"""Bins either side that belong to a peak (Hann window: main lobe of 4 bins)."""


class ToneDetector:
    """Whether the newest audio of a channel is a tone."""

    def __init__(self) -> None:
        self._recent: Pcm = np.zeros(WINDOW, np.float32)
        self._hann = np.hanning(WINDOW).astype(np.float32)
        self._frequencies: tuple[int, int] | None = None
        self._steady_frames = 0

    def push(self, pcm: Pcm) -> bool:
        """Take one frame; True while the audio is a tone."""
        self._recent = np.concatenate([self._recent[len(pcm) :], pcm])
        if not np.any(pcm):
            self._frequencies, self._steady_frames = None, 0
            return False
        power = np.abs(np.fft.rfft(self._recent * self._hann)[LOW_BIN:HIGH_BIN]) ** 2
        total = float(power.sum())
        first, first_energy = _pop_peak(power)
        second, second_energy = _pop_peak(power)
        if total <= 0 or first_energy + second_energy < TONE_ENERGY_SHARE * total:
            self._frequencies, self._steady_frames = None, 0
            return False
        frequencies = (first, second) if second_energy > 0.02 * total else (first, first)
        frequencies = (min(frequencies), max(frequencies))
        same = self._frequencies is not None and all(
            abs(a - b) <= 1 for a, b in zip(frequencies, self._frequencies, strict=True)
        )
        self._steady_frames = self._steady_frames + 1 if same else 0
        self._frequencies = frequencies
        return self._steady_frames >= STEADY_FRAMES


def _pop_peak(power: np.ndarray) -> tuple[int, float]:
    """Bin and energy of the strongest peak, which is removed from `power`."""
    peak = int(power.argmax())
    around = slice(max(0, peak - PEAK_BINS), peak + PEAK_BINS + 1)
    energy = float(power[around].sum())
    power[around] = 0
    return peak, energy
