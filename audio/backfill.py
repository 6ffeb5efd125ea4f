"""Backfill: speech held in memory (16 bits a sample) while there is no recogniser, and the limit on it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.events import Pcm, Speaker

FULL_SCALE = 32768


@dataclass(frozen=True, eq=False, slots=True)
class UntranscribedUtterance:
    """An utterance of an ended call that there was no recogniser for."""

    id: str
    """As that of its Utterance would have been."""
    speaker: Speaker
    start_ms: int
    end_ms: int
    sound: NDArray[np.int16]
    """Shape (samples,), 16 kHz."""


class BackfillBudget:
    """How many samples all calls may hold together, ended ones included. Safe to use from any thread."""

    def __init__(self, samples: int) -> None:
        self._max_samples = samples
        self._held: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def set_held(self, holder: Hashable, samples: int) -> bool:
        """Record that `holder` has so many samples now; returns whether all together have too many."""
        with self._lock:
            self._held[holder] = samples
            if not samples:
                del self._held[holder]
            return sum(self._held.values()) > self._max_samples


def to_int16(pieces: Sequence[Pcm]) -> NDArray[np.int16]:
    """Pieces joined, as 16-bit samples: half the memory of float32, and exact where the audio came with 16 bits."""
    return np.clip((np.concatenate(pieces) * FULL_SCALE).round(), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def to_float(sound: NDArray[np.int16]) -> Pcm:
    """16-bit samples as a recogniser takes them."""
    return sound.astype(np.float32) / np.float32(FULL_SCALE)
