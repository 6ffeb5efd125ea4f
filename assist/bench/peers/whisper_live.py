"""WhisperLive (Collabora): a websocket server around one shared faster-whisper model. Written against 0.10.0."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from assist.bench.peers.peer import Feed

SERVE = """
import sys
from whisper_live.server import TranscriptionServer
TranscriptionServer().run("127.0.0.1", port=int(sys.argv[2]), backend="faster_whisper",
    faster_whisper_custom_model_path=sys.argv[1], single_model=True, max_clients=256, max_connection_time=7200)
"""
LAST_WORDS_S = 15.0
"""The server closes the connection once it has decoded what is left; not waited for longer than its own client does."""


class WhisperLive:
    """Segments are re-sent while they grow and marked completed when they will not change any more."""

    name = "WhisperLive"
    package = "whisper-live"
    module = "whisper_live"
    streaming = True
    settings = "faster_whisper backend, one shared model, its own voice activity filter, client's defaults"

    def server(self, model: Path, port: int, folder: Path) -> list[str]:
        """One server, one model."""
        return ["-c", SERVE, str(model), str(port)]

    async def hear(self, port: int, feed: Feed) -> Sequence[str]:
        """Feed one channel as one client."""
        async with connect(f"ws://127.0.0.1:{port}", max_size=None, compression=None) as line:
            hello = {
                "uid": str(uuid.uuid4()),
                "language": "en",
                "task": "transcribe",
                "model": "model",
                "use_vad": True,
            }
            await line.send(json.dumps(hello))
            ready = asyncio.Event()
            reading = asyncio.create_task(self._read(line, feed, ready))
            await asyncio.wait_for(ready.wait(), 60)
            async for piece in feed.chunks():
                await line.send(piece.astype(np.float32).tobytes())
            await line.send(b"END_OF_AUDIO")
            await asyncio.wait([reading], timeout=LAST_WORDS_S)
            reading.cancel()
        last = feed.states[-1] if feed.states else None
        return (*last.settled, *last.tentative) if last else ()

    async def _read(self, line: ClientConnection, feed: Feed, ready: asyncio.Event) -> None:
        completed: dict[float, str] = {}  # by beginning: only the last ten segments are sent each time
        try:
            async for message in line:
                body = json.loads(message)
                if body.get("message") == "SERVER_READY":
                    ready.set()
                if "segments" not in body:
                    continue
                growing = []
                for segment in body["segments"]:
                    if segment.get("completed"):
                        completed[float(segment["start"])] = segment["text"]
                    else:
                        growing.append(segment["text"])
                feed.note([completed[start] for start in sorted(completed)], growing)
        except ConnectionClosed:
            pass
