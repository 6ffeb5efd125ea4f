"""The protocol of every call source: a recording, two devices, later a telephone system's media stream."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from audio.events import Chunk, Gap, Speaker, Trouble

Arrival = Chunk | Gap | Trouble
"""What a source yields: audio, gaps (lost audio that silence replaces), trouble."""


async def end_sound(sound: AsyncIterator[Arrival]) -> None:
    """End what a source yields before it has ended by itself; whatever that raises is of no use any more."""
    if hasattr(sound, "aclose"):
        with contextlib.suppress(Exception):
            await sound.aclose()


class CallSource(Protocol):
    """The audio of one call, chunk by chunk, all speakers on one sample clock that starts at 0."""

    @property
    def name(self) -> str:
        """For people and records, such as a file's name."""
        ...

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        """Who is in every chunk's channels."""
        ...

    def __aiter__(self) -> AsyncIterator[Arrival]:
        """The chunks in order; ends with the call."""
        ...
