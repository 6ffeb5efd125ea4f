"""Words invented on sound that nobody said: what a recogniser makes of tones, music, noise and silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from audio.events import CHUNK, SAMPLE_RATE, Chunk, Pcm, Speaker, Utterance
from audio.listener import Listener
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler


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
