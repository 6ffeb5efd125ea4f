"""Physical measures of the customer's voice: level, pitch and spectral shape of voiced speech; no judgement.

numpy only. 40 ms Hann windows every 20 ms, one FFT and one inverse each, in blocks of 0.2 s. Everything is measured
inside 300-3400 Hz, so that a telephone line and a studio microphone give the same figures.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.events import SAMPLE_RATE, CustomerAudio, Pcm, VoiceMeasure

FRAME = 640
"""Samples: 40 ms."""
HOP = 320
"""Samples: 20 ms."""
BLOCK = 10
"""Hops: 0.2 s."""
FFT = 1024
PITCH_HZ = (70.0, 450.0)
"""F0 of men's calm to women's shouted speech."""
PERIODIC = 0.5
"""Normalised autocorrelation above which a frame counts as voiced."""
PITCH_PEAK, PERIOD_PEAK = 0.97, 0.85
"""Share of the highest autocorrelation peak that makes a shorter lag the pitch, and the period. With the lower one what
the first formant makes of a deep voice counts, in a quarter of all frames: that tells raised from calm speech a little
better than pitch does, but is none. What is an octave off with the higher one goes with the median of a second. On 16
speakers' calm and angry speech (telephone band; against praat on the clean sound) a second's pitch is 0.8 semitones
off, and its rise into anger 7.9 of 8.1 semitones; the mean period is 4.0 off and rises by 4.3."""
OVER_FLOOR_DB = 8.0
UNDER_PEAK_DB = 22.0
"""A voiced frame is so far above the noise floor, and no further below the recent peak level: softer ones are trailing
sounds, echo or somebody in the background."""
FLOOR_RISE_DB = 0.01
"""Per hop: the floor creeps up at 0.5 dB a second, and follows down at once."""
PEAK_FALL_DB = 0.06
"""Per hop: the recent peak falls 3 dB a second."""
SILENT_DB = -75.0
"""Below this level nothing is speech (dBFS)."""
MIN_FRAMES = 20
"""0.4 s of voiced speech: with less there is no measure."""
MAX_FRAMES = 50
"""1 s of voiced speech: measures are over the latest ..."""
MAX_AGE_MS = 6_000
"""... that are not older than this."""
BALANCE_HZ = (300.0, 450.0, 650.0, 950.0, 1400.0)
"""Edges of the two lower and the two upper bands of the balance: where the first formant of vowels lies when spoken
softly, and where it and the second lie when the mouth is wide open. A handset's slow tilt moves it less than it moves
a centroid over the whole band."""


@dataclass(frozen=True, slots=True)
class _Frame:
    at_ms: int
    level_db: float
    pitch: float
    period: float
    balance: float
    flux: float


class VoiceMeter:
    """The measures of one customer's channel, fed in order."""

    def __init__(self) -> None:
        bins = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)
        self._window = np.hanning(FRAME).astype(np.float64)
        correlation = np.fft.irfft(np.abs(np.fft.rfft(self._window, 2 * FFT)) ** 2)[: FFT // 2]
        self._lags = np.arange(int(SAMPLE_RATE / PITCH_HZ[1]), int(SAMPLE_RATE / PITCH_HZ[0]) + 1)
        self._lag_gain = correlation[0] / correlation[self._lags]
        self._band = slice(*np.searchsorted(bins, (300.0, 3400.0)))
        self._balance = np.searchsorted(bins, BALANCE_HZ)
        self._scale = 10 * math.log10(FFT * float(np.sum(self._window**2)) / 2)
        self._pending: NDArray[np.float64] = np.zeros(0)
        self._speech_flags: deque[tuple[int, bool]] = deque()
        self._position = 0
        """Position of the first pending sample."""
        self._floor_db = -60.0
        self._peak_db = SILENT_DB
        self._previous_spectrum: NDArray[np.float64] | None = None
        self._frames: deque[_Frame] = deque(maxlen=MAX_FRAMES)

    def push(self, audio: CustomerAudio, speech: bool = True) -> list[VoiceMeasure]:
        """Measure the next sound.

        Args:
            audio: the customer's next chunk, 16 kHz float32, any length, gapless.
            speech: whether it is, by voice activity; what is no speech is not measured, nor is anything while both
                parties talk (`audio.crosstalk`).
        """
        start = audio.start_ms * SAMPLE_RATE // 1000
        if abs(self._position + len(self._pending) - start) > FRAME:
            self._pending, self._position, self._previous_spectrum = np.zeros(0), start, None
        pcm = np.nan_to_num(np.asarray(audio.pcm, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        self._pending = np.concatenate([self._pending, pcm])
        self._speech_flags.append((self._position + len(self._pending), speech and not audio.crosstalk))
        measures: list[VoiceMeasure] = []
        length = HOP * (BLOCK - 1) + FRAME
        while len(self._pending) >= length:
            measure = self._measure_block(self._pending[:length])
            self._drop_old_flags()
            if measure is not None:
                measures.append(measure)
            self._pending = self._pending[HOP * BLOCK :]
            self._position += HOP * BLOCK
        return measures

    def _measure_block(self, pcm: Pcm | NDArray[np.float64]) -> VoiceMeasure | None:
        if not np.any(pcm):
            self._previous_spectrum = None
            return None
        frames = np.lib.stride_tricks.sliding_window_view(pcm, FRAME)[::HOP]
        frames = (frames - frames.mean(axis=1, keepdims=True)) * self._window
        spectra = np.abs(np.fft.rfft(frames, FFT, axis=1))
        power = spectra**2
        band = power[:, self._band]
        energy = band.sum(axis=1) + 1e-12
        levels = 10 * np.log10(energy) - self._scale
        band_power = np.zeros_like(power)
        band_power[:, self._band] = band
        correlation = np.fft.irfft(band_power, axis=1)
        correlations = (
            correlation[:, self._lags[0] : self._lags[-1] + 1] * self._lag_gain / (correlation[:, :1] + 1e-12)
        )
        peaks = correlations.max(axis=1)
        pitches, periods = self._semitones(correlations, peaks)
        band_levels_db = 10 * np.log10(np.add.reduceat(power, self._balance, axis=1)[:, :4] + 1e-12)
        balances = (band_levels_db[:, 2] + band_levels_db[:, 3] - band_levels_db[:, 0] - band_levels_db[:, 1]) / 2
        amplitudes = spectra[:, self._band]
        amplitudes = amplitudes / (amplitudes.sum(axis=1, keepdims=True) + 1e-12)
        first = (
            self._previous_spectrum if self._previous_spectrum is not None else np.full(amplitudes.shape[1], math.nan)
        )
        self._previous_spectrum = amplitudes[-1]
        fluxes = np.abs(np.diff(amplitudes, axis=0, prepend=first[None])).sum(axis=1)
        added = False
        for n in range(len(levels)):
            now = self._position + n * HOP + FRAME // 2
            level = float(levels[n])
            self._floor_db = min(level, self._floor_db + FLOOR_RISE_DB) if level > SILENT_DB else self._floor_db
            self._peak_db -= PEAK_FALL_DB
            flux = float(fluxes[n])
            if not self._is_voiced(float(peaks[n]), level, now):
                continue
            self._peak_db = max(self._peak_db, level)
            if math.isnan(flux):
                continue
            at_ms = now * 1000 // SAMPLE_RATE
            self._frames.append(_Frame(at_ms, level, float(pitches[n]), float(periods[n]), float(balances[n]), flux))
            added = True
        return self._averaged() if added else None

    def _is_voiced(self, periodicity: float, level_db: float, sample: int) -> bool:
        return (
            periodicity > PERIODIC
            and level_db > max(SILENT_DB, self._floor_db + OVER_FLOOR_DB)
            and level_db > self._peak_db - UNDER_PEAK_DB
            and self._is_speech(sample)
        )

    def _averaged(self) -> VoiceMeasure | None:
        now = self._frames[-1].at_ms
        frames = [frame for frame in self._frames if frame.at_ms > now - MAX_AGE_MS]
        if len(frames) < MIN_FRAMES:
            return None
        count = len(frames)
        return VoiceMeasure(
            at_ms=now,
            voiced_ms=count * HOP * 1000 // SAMPLE_RATE,
            level_db=sum(frame.level_db for frame in frames) / count,
            pitch_semitones=statistics.median(frame.pitch for frame in frames),
            balance_db=sum(frame.balance for frame in frames) / count,
            flux=sum(frame.flux for frame in frames) / count,
            period_semitones=sum(frame.period for frame in frames) / count,
        )

    def _semitones(
        self, correlations: NDArray[np.float64], peaks: NDArray[np.float64]
    ) -> Iterator[NDArray[np.float64]]:
        """Pitch and period (semitones above 100 Hz) of the shortest lag with a peak nearly as high as the highest.

        `correlations`: normalised autocorrelation, shape (frames, lags); `peaks`: its maximum in each frame.
        """
        is_peak = np.zeros_like(correlations, dtype=bool)
        is_peak[:, 1:-1] = (correlations[:, 1:-1] >= correlations[:, :-2]) & (
            correlations[:, 1:-1] >= correlations[:, 2:]
        )
        highest = correlations.argmax(axis=1)
        for share in (PITCH_PEAK, PERIOD_PEAK):
            is_high = is_peak & (correlations >= share * np.minimum(peaks, 1.0)[:, None])
            first = np.where(is_high.any(axis=1), is_high.argmax(axis=1), highest)
            yield np.asarray(12 * np.log2(SAMPLE_RATE / self._lags[first] / 100.0))

    def _is_speech(self, sample: int) -> bool:
        while len(self._speech_flags) > 1 and self._speech_flags[0][0] <= sample:
            self._speech_flags.popleft()
        return bool(self._speech_flags) and self._speech_flags[0][1]

    def _drop_old_flags(self) -> None:
        end = self._position + HOP * BLOCK
        while len(self._speech_flags) > 1 and self._speech_flags[0][0] <= end:
            self._speech_flags.popleft()
