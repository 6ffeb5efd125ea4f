"""Words invented on sound that nobody said: what a recogniser makes of tones, music, noise and silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from audio.events import SAMPLE_RATE, Chunk, Pcm, Speaker, Utterance
from audio.listener import Listener
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler

CHUNK = SAMPLE_RATE // 10


@dataclass(frozen=True, slots=True)
class Invented:
    """What was heard in one sound without speech."""

    name: str
    seconds: float
    taken_s: float
    """Seconds that voice activity took for speech and gave to the recogniser."""
    words: int

    @property
    def per_minute(self) -> float:
        """Words per minute of this sound."""
        return self.words * 60 / self.seconds if self.seconds else 0.0


def invented(
    recogniser: Recogniser,
    sounds: Mapping[str, Pcm],
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Invented]:
    """Listen to sounds that hold no speech, each as a call of one customer; any word is invented."""
    scheduler = Scheduler(recogniser, 1)
    found = []
    for number, (name, pcm) in enumerate(sounds.items()):
        listener = Listener(scheduler, (Speaker.CUSTOMER,), in_step=True)
        heard = []
        for at in range(0, len(pcm), CHUNK):
            heard += listener.push(Chunk(at * 1000 // SAMPLE_RATE, {Speaker.CUSTOMER: pcm[at : at + CHUNK]}))
        heard += listener.finish()
        said = [item for item in heard if isinstance(item, Utterance)]
        words = sum(len(item.words) for item in said)
        taken_s = sum(item.end_ms - item.start_ms for item in said) / 1000
        found.append(Invented(name, len(pcm) / SAMPLE_RATE, taken_s, words))
        progress((number + 1) / len(sounds))
    scheduler.close()
    return found


def telephone(pcm: Pcm) -> Pcm:
    """The same sound through a G.711 mu-law line: 8 kHz, 300 to 3400 Hz, 8 bits."""
    even = pcm[: len(pcm) // 2 * 2]
    spectrum = np.fft.rfft(even)
    hertz = np.fft.rfftfreq(len(even), 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(even))[::2], -1, 1)
    law = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
    narrow = np.sign(law) * np.expm1(np.abs(law) * np.log(256)) / 255
    return (2 * np.fft.irfft(np.fft.rfft(narrow), len(even))).astype(np.float32)


def synthetic(seconds: float = 30.0, *, seed: int = 8) -> dict[str, Pcm]:
    """The sounds of a telephone line without a speaker: signalling tones, held music, noise, silence."""
    count = round(seconds * SAMPLE_RATE)
    at = np.arange(count) / SAMPLE_RATE
    chance = np.random.default_rng(seed)

    def tones(*hertz: float, level: float = 0.1) -> Pcm:
        return np.asarray(sum(np.sin(2 * np.pi * f * at) for f in hertz) * level, np.float32)

    def every(period: float, on: float) -> Pcm:
        return np.asarray(at % period < on, np.float32)

    keys = np.zeros(count, np.float32)
    for start in np.arange(0, seconds - 0.2, 0.25):
        row, column = chance.choice((697, 770, 852, 941)), chance.choice((1209, 1336, 1477))
        keys += tones(row, column) * ((at >= start) & (at < start + 0.1))
    sit = sum(tones(f) * (((at % 4) >= k / 3) & ((at % 4) < (k + 1) / 3)) for k, f in enumerate((950, 1400, 1800)))
    noise = chance.normal(0, 1, count).astype(np.float32)
    brown = np.cumsum(noise)
    brown -= np.convolve(brown, np.ones(SAMPLE_RATE // 20) / (SAMPLE_RATE // 20), "same")
    typing = noise * np.exp(-((at * chance.uniform(5, 7)) % 1) * 60).astype(np.float32)
    return {
        "silence": np.zeros(count, np.float32),
        "comfort noise": (noise * 0.001).astype(np.float32),
        "hiss": (noise * 0.02).astype(np.float32),
        "hum and fans": (0.02 * brown / np.abs(brown).max() + tones(120, level=0.01)).astype(np.float32),
        "typing": (0.1 * typing).astype(np.float32),
        "ringback": tones(440, 480) * every(6, 2),
        "ringback, Europe": tones(425) * every(5, 1),
        "busy": tones(480, 620) * every(1, 0.5),
        "congestion": tones(425) * every(0.5, 0.25),
        "call waiting": tones(440) * every(10, 0.3),
        "keypad": keys,
        "out of service": np.asarray(sit, np.float32),
        "fax": tones(1100) * every(3.5, 0.5),
        "recording beep": tones(1400) * every(15, 0.2),
        "held music": _music(count, chance, vibrato=0.0),
        "held music, sung on one vowel": _music(count, chance, vibrato=0.012),
    }


def _music(count: int, chance: np.random.Generator, *, vibrato: float) -> Pcm:
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
        note = chance.choice(scale)
        phase = 2 * np.pi * np.cumsum(note * (1 + vibrato * np.sin(2 * np.pi * 5.5 * t))) / SAMPLE_RATE
        for k in range(1, 12):
            gain = 1 / k
            if vibrato:
                gain = float(np.sum(1 / (1 + ((k * note - formants[:, 0]) / formants[:, 1]) ** 2)))
            sound[start:stop] += 0.12 * gain * np.sin(k * phase) * np.minimum(1, t * 30) * np.exp(-1.5 * t)
        drum = chance.normal(0, 1, stop - start) * np.exp(-60 * t) * (0.08 if number % 2 else 0.04)
        sound[start:stop] += drum
    return np.asarray(sound / np.abs(sound).max() * 0.4, np.float32)
