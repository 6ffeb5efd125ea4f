"""Tells beeps, ringtones and held notes from voices: a tone keeps its frequency, a voice never does for long.

Where `audio/tones.py` detects pure signalling tones frame by frame, this judges a whole utterance of any make-up:
harmonics, chords, melodies, a sung vowel. In each spectrum the strongest peaks are found; the share of energy in peaks
that have been steady for the last three spectra is averaged over the spectra that are not quiet. A voice that holds one
vowel moves its pitch but not its mouth: there the shape of the spectrum (its envelope) is steady instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio.events import SAMPLE_RATE, Pcm

WINDOW, HOP = 1024, 256
"""Samples: 64 ms, every 16 ms."""
LOW_BIN, HIGH_BIN = 100 * WINDOW // SAMPLE_RATE, 3800 * WINDOW // SAMPLE_RATE
PEAKS = 4
"""Strongest peaks of a spectrum that are used."""
PEAK_BINS = 3
"""Bins either side that belong to a peak."""
STEADY_SPECTRA = 3
"""Spectra (48 ms) for which a peak must have been steady."""
MAX_DRIFT, MAX_DRIFT_HZ = 0.0015, 0.3
"""A steady peak moves at most by this share of its frequency, and so many Hz, between any two of them."""
LOUD_RATIO = 10 ** (-25 / 10)
"""Spectra more than 25 dB under the loudest so far do not count."""
TONAL_SHARE = 0.25
"""Share from which a sound is nobody's voice. Set on made sounds (`audio/line_sounds.py`, seeds 101 to 110) and on
people: of 43 stretches of beeps, chimes and sung notes that voice activity let through, 28 have more than 0.25; the
most among 450 clips of 16 people who act moods (SAVEE, TESS, EmoDB; telephone band) is 0.15, among 146 stretches of
recorded announcements 0.05, among 68 single words of four synthetic voices 0.17, among announcements over hold music,
ringback or mains hum 5 dB below 0.23. A softphone's beep that this was not set on has 0.28."""
BAND_EDGES = (
    np.array((200, 350, 500, 650, 800, 1000, 1200, 1450, 1700, 2000, 2350, 2750, 3200, 3700)) * WINDOW // SAMPLE_RATE
)
"""Between them, bands wide enough for a harmonic of any voice: their levels are the spectrum's shape."""
BAND_FLOOR = 10 ** (-25 / 10)
"""Share of the energy that is added to each band: what lies far below does not count."""
SAME_DB = 2.5
"""Shapes are the same that differ less, root mean square over the bands."""
HELD_SPECTRA, HELD_SHARE = 20, 0.7
"""A sound is one held note when its shape stays the same for so many spectra (320 ms) and for so much of what is loud.
Set on made sounds (`beeps` and `line_tones`, seeds 301 to 330, telephone band, as voice activity cuts them) and on
people: of 67 stretches of a sung vowel that are not steady 63 are held; of 1,055 single words (ten synthetic voices,
TESS), 485 more that actors say in four moods, 630 acted clips and 80 recorded announcements none is, the nearest being
words drawn out in sadness (0.67)."""

Spectra = NDArray[np.float64]


class Steadiness:
    """Whether one utterance is tonal; takes its audio as it arrives."""

    def __init__(self) -> None:
        self._rest: Pcm = np.zeros(WINDOW // 2, np.float32)
        self._hann = np.hanning(WINDOW)
        self._recent_peaks_hz: Spectra = np.zeros((0, PEAKS))
        """Hz, of the last spectra."""
        self._energy: list[float] = []
        self._share: list[float] = []
        self._shapes = _ShapeRuns()

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples."""
        self._rest = np.concatenate([self._rest, pcm])
        count = (len(self._rest) - WINDOW) // HOP + 1
        if count <= 0:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self._rest, WINDOW)[::HOP][:count]
        self._rest = self._rest[count * HOP :]
        power = np.abs(np.fft.rfft(windows * self._hann, axis=1)) ** 2
        total = power[:, LOW_BIN:HIGH_BIN].sum(axis=1)
        self._shapes.extend(power)
        hertz, energy = _strongest_peaks(power)
        peaks_hz = np.concatenate([self._recent_peaks_hz, hertz])
        before = len(self._recent_peaks_hz)
        for row in range(count):
            at = before + row
            if at < STEADY_SPECTRA:
                continue
            tolerance = MAX_DRIFT * hertz[row] + MAX_DRIFT_HZ
            past = np.abs(hertz[row][None, :, None] - peaks_hz[at - STEADY_SPECTRA : at][:, None, :])
            still = (past < tolerance[None, :, None]).any(axis=2).all(axis=0)
            self._energy.append(float(total[row]))
            self._share.append(min(1.0, float(energy[row][still].sum() / max(total[row], 1e-12))))
        self._recent_peaks_hz = peaks_hz[-STEADY_SPECTRA:]

    @property
    def share(self) -> float:
        """0..1: share of the energy so far that is in steady peaks."""
        if not self._energy:
            return 0.0
        energy, share = np.array(self._energy), np.array(self._share)
        return float(share[energy >= LOUD_RATIO * energy.max()].mean()) if energy.max() > 0 else 0.0

    @property
    def tonal(self) -> bool:
        """Whether nobody speaks in this: a beep, a ringtone, a held note, a vowel sung on and on."""
        return self.share >= TONAL_SHARE or self._shapes.held


class _ShapeRuns:
    """The shapes of the spectra so far, divided into runs of the same shape."""

    def __init__(self) -> None:
        self._first: Spectra | None = None
        """The shape with which this run began, dB."""
        self._run = 0
        self._runs: list[int] = []
        """The run that each spectrum belongs to."""
        self._energy: list[float] = []

    def extend(self, power: Spectra) -> None:
        """Take the next spectra, shape (spectra, bins)."""
        bands = np.add.reduceat(power[:, : BAND_EDGES[-1]], BAND_EDGES[:-1], axis=1)
        total = bands.sum(axis=1)
        shapes = 10 * np.log10(bands / np.maximum(total, 1e-12)[:, None] + BAND_FLOOR)
        for shape in shapes:
            if self._first is None or np.square(shape - self._first).mean() >= SAME_DB**2:
                self._first, self._run = shape, self._run + 1
            self._runs.append(self._run)
        self._energy.extend(total.tolist())

    @property
    def held(self) -> bool:
        """Whether one shape makes up nearly all of what is loud."""
        energy = np.array(self._energy)
        if not len(energy):
            return False
        runs = np.array(self._runs)[energy >= LOUD_RATIO * energy.max()]
        longest = int(np.bincount(runs).max())
        return longest >= HELD_SPECTRA and longest >= HELD_SHARE * len(runs)


def _strongest_peaks(power: Spectra) -> tuple[Spectra, Spectra]:
    """(Hz, energy) of the strongest peaks of each spectrum, each of shape (spectra, PEAKS)."""
    remaining = power[:, LOW_BIN:HIGH_BIN].copy()
    rows = np.arange(len(power))
    hertz, energy = np.zeros((len(power), PEAKS)), np.zeros((len(power), PEAKS))
    bins = np.arange(remaining.shape[1])
    for number in range(PEAKS):
        peak = remaining.argmax(axis=1)
        near = np.abs(bins[None] - peak[:, None]) <= PEAK_BINS
        energy[:, number] = np.where(near, power[:, LOW_BIN:HIGH_BIN], 0).sum(axis=1)
        below, here, above = (np.log(power[rows, peak + LOW_BIN + step] + 1e-24) for step in (-1, 0, 1))
        curvature = below - 2 * here + above
        offset = np.where(curvature < 0, 0.5 * (below - above) / np.minimum(curvature, -1e-12), 0.0)
        hertz[:, number] = (peak + LOW_BIN + np.clip(offset, -1, 1)) * SAMPLE_RATE / WINDOW
        remaining[near] = 0
    return hertz, energy
