"""Input of Whisper's encoder: log-mel frames, computed as audio arrives, and windows of them.

Log-mel after Whisper (Radford et al. 2022, arXiv 2212.04356): 25 ms Hann windows every 10 ms at 16 kHz, mel power,
log10, clamped to 8 below the window's maximum, (x + 4) / 4.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from audio.events import SAMPLE_RATE, Pcm

HOP = 160
"""Samples between frames: 10 ms."""
FFT = 400
"""Samples of a frame: 25 ms."""
FULL = 3000
"""Frames of the window that Whisper was trained on: 30 s."""
BUCKETS = (300, 400, 500, 600, 800, 1000, 1200, 1600, 2000, FULL)
"""Window lengths in frames; few, so that windows of several calls can be decoded as one batch."""
TAIL = 128
"""Frames of silence after the audio, at least (1.28 s): with less, a model does not know when to stop
(futo-org/whisper-acft issue 5 measured it; whisper.cpp #1951)."""
SAFE_FLOOR = 1000
"""Shortest window of a model that has not been calibrated: 10 s."""
PROMPT_MIN_SAMPLES = 1 * SAMPLE_RATE
"""Samples of speech from which phrases are given to the model: on less they are hallucinated."""
MIN_LOG_MEL = -10.0
"""log10 of the smallest mel power, 1e-10: digital silence."""


def window_frames(sound_frames: int, *, floor: int, tail: int = TAIL) -> int:
    """Window length for so many frames of audio: the smallest bucket that holds them and the silent tail."""
    wanted = max(floor, sound_frames + tail)
    return next((bucket for bucket in BUCKETS if bucket >= wanted), FULL)


def batch_key(samples: int, floor: int, prompt: Hashable) -> Hashable:
    """Equal for utterances that can share a batch: equal windows, and equal prompts where they are used yet."""
    return window_frames(-(-samples // HOP), floor=floor), prompt if samples >= PROMPT_MIN_SAMPLES else None


def check_window(frames: int, n_mels: int) -> None:
    """Raise ValueError for a window that cannot be used.

    CTranslate2 takes an encoder output that is exactly `n_mels` long for a spectrogram, and silently encodes it again.
    """
    if not 0 < frames <= FULL or (frames + 1) // 2 == n_mels:
        raise ValueError(f"a window of {frames} frames cannot be used with {n_mels} mel bands")


class LogMelSpectrogram:
    """The log-mel frames of one utterance, each computed once."""

    def __init__(self, filters: NDArray[np.float32]) -> None:
        self._filters = filters
        self._hann = np.hanning(FFT + 1)[:-1].astype(np.float32)
        self._remainder: Pcm = np.zeros(FFT // 2, np.float32)
        self._frames: list[NDArray[np.float32]] = []
        self.samples = 0

    @property
    def frames(self) -> int:
        """Number of frames of the audio so far."""
        return -(-self.samples // HOP)

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples."""
        self.samples += len(pcm)
        self._remainder = np.concatenate([self._remainder, pcm])
        count = (len(self._remainder) - FFT) // HOP + 1
        if count > 0:
            self._frames.append(self._log_mel(self._remainder, count))
            self._remainder = self._remainder[count * HOP :]

    def window(self, frames: int) -> NDArray[np.float32]:
        """Features of shape (n_mels, frames): the audio so far, then silence; longer audio loses its end."""
        after = np.concatenate([self._remainder, np.zeros(FFT, np.float32)])
        parts = [*self._frames, self._log_mel(after, len(self._remainder) // HOP + 1)]
        mel = np.full((len(self._filters), frames), MIN_LOG_MEL, np.float32)
        sound = np.concatenate(parts, axis=1)[:, :frames]
        mel[:, : sound.shape[1]] = sound
        mel = np.maximum(mel, mel.max() - 8.0)
        return np.ascontiguousarray((mel + 4.0) / 4.0)

    def _log_mel(self, pcm: Pcm, count: int) -> NDArray[np.float32]:
        frames = np.lib.stride_tricks.sliding_window_view(pcm, FFT)[::HOP][:count]
        power = np.abs(np.fft.rfft(frames * self._hann, axis=1)) ** 2
        # Frame by frame: on some processors the sums of a product of matrices depend on how many frames it has, and so
        # words would depend on the pieces in which their sound came.
        mel: NDArray[np.float32] = np.matmul(self._filters, power.astype(np.float32)[:, :, None])[:, :, 0].T
        logs: NDArray[np.float32] = np.log10(np.maximum(mel, 1e-10)).astype(np.float32)
        return logs
