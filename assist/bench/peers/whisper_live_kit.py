"""WhisperLiveKit: LocalAgreement around faster-whisper behind a websocket. Written against 0.2.26.

Its default policy (SimulStreaming) needs torch weights besides the CTranslate2 folder, so it cannot run on the same
model files; this is its other one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from assist.bench.peers.peer import Feed, int16

SILENCE = -2
"""The "speaker" of a line that holds no text."""
LAST_WORDS_S = 30.0


class WhisperLiveKit:
    """The whole transcript is sent each time: validated lines, and a buffer that may still change."""

    name = "WhisperLiveKit"
    package = "whisperlivekit"
    module = "whisperlivekit"
    streaming = True
    settings = "faster-whisper backend, LocalAgreement, raw sound, otherwise defaults"

    def server(self, model: Path, port: int, folder: Path) -> list[str]:
        """One server, one model; an empty warm-up file keeps it off the net."""
        options = {
            "--host": "127.0.0.1",
            "--port": str(port),
            "--backend": "faster-whisper",
            "--backend-policy": "localagreement",
            "--model_dir": str(model),
            "--lan": "en",
            "--warmup-file": "",
            "-l": "WARNING",
        }
        start = "import sys; from whisperlivekit.basic_server import main; main()"
        return ["-c", start, "--pcm-input", *(part for option in options.items() for part in option)]

    async def hear(self, port: int, feed: Feed) -> Sequence[str]:
        """Feed one channel as one client."""
        async with connect(f"ws://127.0.0.1:{port}/asr", max_size=None, compression=None) as line:
            reading = asyncio.create_task(self._read(line, feed))
            async for piece in feed.chunks():
                await line.send(int16(piece))
            await line.send(b"")
            await asyncio.wait([reading], timeout=LAST_WORDS_S)
            reading.cancel()
        last = feed.states[-1] if feed.states else None
        return (*last.settled, *last.tentative) if last else ()

    async def _read(self, line: ClientConnection, feed: Feed) -> None:
        try:
            async for message in line:
                body = json.loads(message)
                if body.get("type") == "ready_to_stop":
                    return
                if "lines" in body:
                    lines = [each["text"] or "" for each in body["lines"] if each.get("speaker") != SILENCE]
                    feed.note(lines, [body.get("buffer_transcription") or ""])
        except ConnectionClosed:
            pass
