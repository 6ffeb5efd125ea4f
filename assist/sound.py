"""A recording, or a part of one, in memory."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import numpy as np

from audio.events import Chunk, Pcm, Speaker
from audio.recording import open_recording

DEMO_SOUND = Path(__file__).parent / "demo" / "call.ogg"
"""The sample call."""


def whole(
    recording: Path,
    *,
    agent_channel: int = 0,
    mono: Speaker = Speaker.UNKNOWN,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> dict[Speaker, Pcm]:
    """One array of 16 kHz samples per channel, of all or from second to second.

    `agent_channel` and `mono` as `open_recording` takes them.

    Raises:
        AudioError: it cannot be read.
    """
    source = open_recording(recording, agent_channel=agent_channel, mono=mono, speed=math.inf).part(start_s, end_s)

    async def read() -> dict[Speaker, Pcm]:
        parts: dict[Speaker, list[Pcm]] = {}
        async for item in source:
            if isinstance(item, Chunk):
                for speaker, pcm in item.channels.items():
                    parts.setdefault(speaker, []).append(pcm)
        return {speaker: np.concatenate(pcm) for speaker, pcm in parts.items()}

    return asyncio.run(read())
