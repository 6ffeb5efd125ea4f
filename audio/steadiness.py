"""Beeps, ringtones and held notes told from voices: a tone keeps its frequency, a voice never does for long.

Where `audio/tones.py` takes out pure signalling tones as they sound, this looks back at a whole utterance of any
make-up: harmonics, chords, melodies, a sung vowel. In each spectrum the strongest lines are found; the energy of those
that have stood still for the last three spectra, as a share of all, is averaged over the spectra that are not quiet.
A voice that holds one vowel moves its pitch but not its mouth: there the shape of the spectrum stands still instead.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audio.events import SAMPLE_RATE, Pcm

WINDOW, HOP = 1024, 256
"""Samples: 64 ms, every 16 ms."""
LOW, HIGH = 100 * WINDOW // SAMPLE_RATE, 3800 * WINDOW // SAMPLE_RATE
LINES = 4
"""Strongest lines of a spectrum that are looked at."""
SPREAD = 3
"""Bins either side that belong to a line."""
BACK = 3
"""Spectra (48 ms) through which a line must have stood still."""
DRIFT, DRIFT_HZ = 0.0015, 0.3
"""It may have moved so much of its frequency, and so many Hz, between any two of them."""
LOUD = 10 ** (-25 / 10)
"""Spectra 25 dB under the loudest so far count for nothing."""
STEADY = 0.25
"""Share from which a sound is nobody's voice. Set on made sounds (`audio/line_sounds.py`, seeds 101 to 110) and on
people: of 43 stretches of beeps, chimes and sung notes that voice activity let through, 28 have more than 0.25; the
most among 450 clips of 16 people who act moods (SAVEE, TESS, EmoDB; telephone band) is 0.15, among 146 stretches of
recorded announcements 0.05, among 68 single words of four synthetic voices 0.17, among announcements over hold music,
ringback or mains hum 5 dB below 0.23. A softphone's beep that this was not set on has 0.28."""
EDGES = (
    np.array((200, 350, 500, 650, 800, 1000, 1200, 1450, 1700, 2000, 2350, 2750, 3200, 3700)) * WINDOW // SAMPLE_RATE
)
"""Between them, bands wide enough for a harmonic of any voice: their levels are the spectrum's shape."""
FAINT = 10 ** (-25 / 10)
"""Share of the energy that is added to each band: what lies far below does not count."""
SAME_DB = 2.5
"""Shapes are the same that differ less, root mean square over the bands."""
HELD_SPECTRA, HELD = 20, 0.7
"""A sound is one held note when its shape stays the same for so many spectra (320 ms) and for so much of what is loud.
Set on made sounds (`beeps` and `line_tones`, seeds 301 to 330, telephone band, as voice activity cuts them) and on
people: of 67 stretches of a sung vowel that are not steady 63 are held; of 1,055 single words (ten synthetic voices,
TESS), 485 more that actors say in four moods, 630 acted clips and 80 recorded announcements none is, the nearest being
words drawn out in sadness (0.67)."""

Spectra = NDArray[np.float64]


class Steadiness:
    """How much of one utterance is steady lines, as its sound arrives."""

    def __init__(self) -> None:
        self._rest: Pcm = np.zeros(WINDOW // 2, np.float32)
        self._shape = np.hanning(WINDOW)
        self._lines: Spectra = np.zeros((0, LINES))
        """Hz, of the last spectra."""
        self._energy: list[float] = []
        self._share: list[float] = []
        self._shapes = _Shapes()

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples."""
        self._rest = np.concatenate([self._rest, pcm])
        count = (len(self._rest) - WINDOW) // HOP + 1
        if count <= 0:
            return
        windows = np.lib.stride_tricks.sliding_window_view(self._rest, WINDOW)[::HOP][:count]
        self._rest = self._rest[count * HOP :]
        power = np.abs(np.fft.rfft(windows * self._shape, axis=1)) ** 2
        total = power[:, LOW:HIGH].sum(axis=1)
        self._shapes.extend(power)
        hertz, held = _strongest(power)
        known = np.concatenate([self._lines, hertz])
        before = len(self._lines)
        for row in range(count):
            at = before + row
            if at < BACK:
                continue
            room = DRIFT * hertz[row] + DRIFT_HZ
            past = np.abs(hertz[row][None, :, None] - known[at - BACK : at][:, None, :])
            still = (past < room[None, :, None]).any(axis=2).all(axis=0)
            self._energy.append(float(total[row]))
            self._share.append(min(1.0, float(held[row][still].sum() / max(total[row], 1e-12))))
        self._lines = known[-BACK:]

    @property
    def share(self) -> float:
        """0..1: of the energy so far, in lines that stand still."""
        if not self._energy:
            return 0.0
        energy, share = np.array(self._energy), np.array(self._share)
        return float(share[energy >= LOUD * energy.max()].mean()) if energy.max() > 0 else 0.0

    @property
    def tonal(self) -> bool:
        """Whether nobody speaks in this: a beep, a ringtone, a held note, a vowel sung on and on."""
        return self.share >= STEADY or self._shapes.held


class _Shapes:
    """The shapes of the spectra so far, cut into runs of one shape."""

    def __init__(self) -> None:
        self._first: Spectra | None = None
        """dB: the shape this run began with."""
        self._run = 0
        self._runs: list[int] = []
        """The run that each spectrum belongs to."""
        self._energy: list[float] = []

    def extend(self, power: Spectra) -> None:
        """Take the next spectra, shape (spectra, bins)."""
        bands = np.add.reduceat(power[:, : EDGES[-1]], EDGES[:-1], axis=1)
        total = bands.sum(axis=1)
        shapes = 10 * np.log10(bands / np.maximum(total, 1e-12)[:, None] + FAINT)
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
        runs = np.array(self._runs)[energy >= LOUD * energy.max()]
        longest = int(np.bincount(runs).max())
        return longest >= HELD_SPECTRA and longest >= HELD * len(runs)


def _strongest(power: Spectra) -> tuple[Spectra, Spectra]:
    """(Hz, energy) of the strongest lines of each spectrum, each of shape (spectra, LINES)."""
    left = power[:, LOW:HIGH].copy()
    rows = np.arange(len(power))
    hertz, held = np.zeros((len(power), LINES)), np.zeros((len(power), LINES))
    places = np.arange(left.shape[1])
    for number in range(LINES):
        peak = left.argmax(axis=1)
        near = np.abs(places[None] - peak[:, None]) <= SPREAD
        held[:, number] = np.where(near, power[:, LOW:HIGH], 0).sum(axis=1)
        below, here, above = (np.log(power[rows, peak + LOW + step] + 1e-24) for step in (-1, 0, 1))
        bend = below - 2 * here + above
        offset = np.where(bend < 0, 0.5 * (below - above) / np.minimum(bend, -1e-12), 0.0)
        hertz[:, number] = (peak + LOW + np.clip(offset, -1, 1)) * SAMPLE_RATE / WINDOW
        left[near] = 0
    return hertz, held
