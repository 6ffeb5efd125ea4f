"""Speech that is held in memory because no recogniser was there for it, 16 bits a sample, and how much of it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.events import Pcm, Speaker

FULL_SCALE = 32768


@dataclass(frozen=True, eq=False, slots=True)
class Owed:
    """An utterance whose call is over and whose words are not known: there was no recogniser."""

    id: str
    """As its Utterance would have had."""
    speaker: Speaker
    start_ms: int
    end_ms: int
    sound: NDArray[np.int16]
    """Shape (samples,), 16 kHz."""


class Room:
    """How much may be held by all calls together, those that have ended included. Any thread."""

    def __init__(self, samples: int) -> None:
        self._most = samples
        self._held: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def note(self, who: Hashable, samples: int) -> bool:
        """`who` holds so many samples now; whether that is too much, all together: then hold less."""
        with self._lock:
            self._held[who] = samples
            if not samples:
                del self._held[who]
            return sum(self._held.values()) > self._most


def held(pieces: Sequence[Pcm]) -> NDArray[np.int16]:
    """Sound as it is held: half of what a recogniser takes, and exact where it came with 16 bits."""
    return np.clip((np.concatenate(pieces) * FULL_SCALE).round(), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def as_heard(sound: NDArray[np.int16]) -> Pcm:
    """Held sound as a recogniser takes it."""
    return sound.astype(np.float32) / np.float32(FULL_SCALE)
