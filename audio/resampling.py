"""Streaming resampling to 16 kHz float32 in [-1, 1]. The only importer of soxr."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from audio.events import SAMPLE_RATE

Frames = NDArray[np.float32]
"""Shape (frames, channels), float32."""

MAX_AMPLITUDE = 4.0
"""12 dB over full scale. Lossy codecs overshoot 1.0 a little; a sample beyond this is damage, not sound."""


def repaired(frames: Frames) -> tuple[Frames, int]:
    """The frames with each sample that is NaN, infinite or beyond MAX_AMPLITUDE set to 0, and how many there were."""
    bad = ~(np.abs(frames) <= MAX_AMPLITUDE)
    count = int(np.count_nonzero(bad))
    return (np.where(bad, np.float32(0), frames) if count else frames), count


class Resampler:
    """Resamples a stream of frames to 16 kHz.

    After `finish` exactly round(n * 16000 / rate) frames have come out for n that went in: the filter's delay is
    taken out. Until then up to 120 ms are inside (soxr HQ).
    """

    def __init__(self, rate: float, channels: int) -> None:
        self._rate = rate
        self._channels = channels
        self._frames_in = 0
        self._frames_out = 0
        same = rate == SAMPLE_RATE
        self._resampler = None if same else soxr.ResampleStream(rate, SAMPLE_RATE, channels, dtype="float32")

    def push(self, frames: Frames) -> Frames:
        """Take the next frames at the source's rate; return what is ready at 16 kHz."""
        self._frames_in += len(frames)
        output = frames
        if self._resampler is not None:
            output = self._resampler.resample_chunk(np.ascontiguousarray(frames))
        self._frames_out += len(output)
        return np.clip(output, -1.0, 1.0)

    def finish(self) -> Frames:
        """The last frames."""
        if self._resampler is None:
            return np.zeros((0, self._channels), np.float32)
        tail = self._resampler.resample_chunk(np.zeros((0, self._channels), np.float32), last=True)
        missing = max(round(self._frames_in * SAMPLE_RATE / self._rate) - self._frames_out, 0)
        exact = np.zeros((missing, self._channels), np.float32)
        exact[: min(missing, len(tail))] = tail[:missing]
        self._frames_out += missing
        return np.clip(exact, -1.0, 1.0)
