"""What every peer is to the bench: a server to start, and a client that feeds one channel and notes what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from audio.events import CHUNK, SAMPLE_RATE, Pcm
from audio.scoring import State


@dataclass
class Feed:
    """One channel on its way to a peer, at the pace of real time, and the states that came back."""

    pcm: Pcm
    began: float
    """When the call began, on the monotonic clock."""
    states: list[State] = field(default_factory=list)

    def note(self, settled: Sequence[str], tentative: Sequence[str] = ()) -> None:
        """The peer says this now: texts of any length, in order."""
        at = round((time.monotonic() - self.began) * 1000)
        self.states.append(State(at, _words(settled), _words(tentative)))

    async def chunks(self) -> AsyncIterator[Pcm]:
        """The sound in pieces of 100 ms, each when it has been spoken."""
        for start in range(0, len(self.pcm), CHUNK):
            piece = self.pcm[start : start + CHUNK]
            due = self.began + (start + len(piece)) / SAMPLE_RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            yield piece

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return time.monotonic() >= self.began + len(self.pcm) / SAMPLE_RATE


class Peer(Protocol):
    """One other program. Its files name the version it was written against."""

    name: str
    package: str
    """How it is installed: the argument of pip install."""
    module: str
    """Importable where it is installed."""
    streaming: bool
    """Whether it shows words before the utterance ends."""
    settings: str
    """How it is run, for the table's reader."""

    def server(self, model: Path, port: int, folder: Path) -> list[str]:
        """What its Python is given to run after `host.py`: serve that model on loopback; `folder` is for its files."""
        ...

    async def hear(self, port: int, feed: Feed) -> Sequence[str]:
        """Feed one channel and note what comes back; the text of the whole channel as it stood at the end."""
        ...


def int16(pcm: Pcm) -> bytes:
    """Samples as little-endian 16-bit integers."""
    return (np.clip(pcm, -1, 1) * 32767).astype("<i2").tobytes()


def _words(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for text in texts for word in text.split())
