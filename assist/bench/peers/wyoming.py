"""wyoming-faster-whisper (Home Assistant): whole utterances over TCP, no words before an utterance ends. For 3.8.1.

The client says where an utterance ends. Here that is this program's own voice activity, whose cost is not counted
against the peer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from assist.bench.peers.peer import Feed, int16
from audio.activity import VoiceActivityDetector
from audio.events import SAMPLE_RATE, Pcm
from audio.segmentation import SegmenterEvent, UtteranceEnd, UtteranceSegmenter

SOUND = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}


class WyomingFasterWhisper:
    """One connection per utterance: JSON lines, each with a payload behind it."""

    name = "wyoming-faster-whisper"
    package = "wyoming-faster-whisper"
    module = "wyoming_faster_whisper"
    streaming = False
    settings = "defaults; utterances cut by this program's voice activity, uncounted"

    def server(self, model: Path, port: int, folder: Path) -> list[str]:
        """One server; `--local-files-only` keeps it off the hub."""
        options = {
            "uri": f"tcp://127.0.0.1:{port}",
            "model": str(model),
            "data-dir": str(folder),
            "language": "en",
            "stt-library": "faster-whisper",
        }
        return [
            self.module,
            "--local-files-only",
            *(part for key, value in options.items() for part in (f"--{key}", value)),
        ]

    async def hear(self, port: int, feed: Feed) -> Sequence[str]:
        """Feed one channel, utterance by utterance."""
        activity, segmenter = VoiceActivityDetector(), UtteranceSegmenter()
        said: dict[int, str] = {}
        asked: list[asyncio.Task[None]] = []

        async def ask(number: int, pcm: Pcm) -> None:
            said[number] = await _transcribe(port, pcm)
            feed.note([said[key] for key in sorted(said)])

        def take(events: Iterable[SegmenterEvent]) -> None:
            for event in events:
                if isinstance(event, UtteranceEnd):
                    asked.append(asyncio.create_task(ask(len(asked), event.pcm)))

        async for piece in feed.chunks():
            for frame in activity.push(piece):
                take(segmenter.push(frame, interval_factor=0))
        for frame in activity.flush():
            take(segmenter.push(frame, interval_factor=0))
        take(segmenter.finish())
        await asyncio.gather(*asked)
        return [said[key] for key in sorted(said)]


async def _transcribe(port: int, pcm: Pcm) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        _write(writer, "transcribe", {"language": "en"})
        _write(writer, "audio-start", SOUND)
        for start in range(0, len(pcm), SAMPLE_RATE):
            _write(writer, "audio-chunk", SOUND, int16(pcm[start : start + SAMPLE_RATE]))
        _write(writer, "audio-stop", {})
        await writer.drain()
        while line := await reader.readline():
            event = json.loads(line)
            data = event.get("data") or {}
            if event.get("data_length"):
                data |= json.loads(await reader.readexactly(event["data_length"]))
            if event.get("payload_length"):
                await reader.readexactly(event["payload_length"])
            if event["type"] == "transcript":
                return str(data.get("text", ""))
        return ""
    finally:
        writer.close()


def _write(writer: asyncio.StreamWriter, kind: str, data: dict[str, Any], payload: bytes = b"") -> None:
    header: dict[str, Any] = {"type": kind, "data": data}
    if payload:
        header["payload_length"] = len(payload)
    writer.write(json.dumps(header).encode() + b"\n" + payload)
