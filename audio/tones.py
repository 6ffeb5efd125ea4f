"""Signalling tones (ringback, busy, DTMF, fax, beeps): sound whose energy sits in one or two fixed lines."""

from __future__ import annotations

import numpy as np

from audio.events import SAMPLE_RATE, Pcm

WINDOW = 2048
"""Samples looked at: 128 ms, so lines 8 Hz apart are told apart and a voice's pitch moves."""
SHARE = 0.90
"""Of the energy between 200 and 4000 Hz, in the two strongest lines."""
STEADY = 4
"""Successive frames (128 ms more) with the same lines."""
LOW, HIGH = 200 * WINDOW // SAMPLE_RATE, 4000 * WINDOW // SAMPLE_RATE
SPREAD = 3
"""Bins either side that belong to a line (Hann window: main lobe of 4 bins)."""


class ToneGate:
    """Whether the newest sound of a channel is a tone."""

    def __init__(self) -> None:
        self._recent: Pcm = np.zeros(WINDOW, np.float32)
        self._shape = np.hanning(WINDOW).astype(np.float32)
        self._lines: tuple[int, int] | None = None
        self._run = 0

    def push(self, pcm: Pcm) -> bool:
        """Take one frame; True while the sound is a tone."""
        self._recent = np.concatenate([self._recent[len(pcm) :], pcm])
        if not np.any(pcm):
            self._lines, self._run = None, 0
            return False
        power = np.abs(np.fft.rfft(self._recent * self._shape)[LOW:HIGH]) ** 2
        total = float(power.sum())
        first, held = _line(power)
        second, more = _line(power)
        if total <= 0 or held + more < SHARE * total:
            self._lines, self._run = None, 0
            return False
        lines = (first, second) if more > 0.02 * total else (first, first)
        lines = (min(lines), max(lines))
        same = self._lines is not None and all(abs(a - b) <= 1 for a, b in zip(lines, self._lines, strict=True))
        self._run = self._run + 1 if same else 0
        self._lines = lines
        return self._run >= STEADY


def _line(power: np.ndarray) -> tuple[int, float]:
    """The strongest line and its energy; taken out of `power`."""
    peak = int(power.argmax())
    around = slice(max(0, peak - SPREAD), peak + SPREAD + 1)
    energy = float(power[around].sum())
    power[around] = 0
    return peak, energy
