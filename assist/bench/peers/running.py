"""A peer under load: its server started in its own Python, warmed up, fed so many calls at once, and measured."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from assist.bench.peers.peer import Feed, Peer
from assist.bench.peers.whisper_live import WhisperLive
from assist.bench.peers.whisper_live_kit import WhisperLiveKit
from assist.bench.peers.wyoming import WyomingFasterWhisper
from assist.errors import AssistError
from audio.events import SAMPLE_RATE, Pcm, Speaker
from audio.measuring import Load, load_of
from audio.scoring import EMPTY_SCORE, SpokenWord, score

PEERS: tuple[Peer, ...] = (WhisperLive(), WhisperLiveKit(), WyomingFasterWhisper())
HOST = Path(__file__).with_name("host.py")
START_S = 180.0
"""The slowest of them imports torch before it listens."""
WARM_UP_S = 4.0
"""Of the recording, played once before anything is measured: models are loaded at the first client."""


def peers_named(given: Sequence[str] | None) -> dict[str, Path]:
    """`MODULE=PYTHON` as typed, by module. Raises AssistError peer-unknown."""
    modules = ", ".join(peer.module for peer in PEERS)
    named = {}
    for text in given or ():
        module, _, python = text.partition("=")
        if not python or module not in {peer.module for peer in PEERS}:
            raise AssistError("peer-unknown", f"--peer {text}: expected MODULE=PYTHON with one of {modules}.")
        named[module] = Path(python).expanduser()
    return named


def variable(peer: Peer) -> str:
    """The environment variable that names its Python."""
    return f"ASSIST_PEER_{peer.module.upper()}"


def python_of(peer: Peer, given: Mapping[str, Path]) -> Path | None:
    """The Python in which the peer can be imported: as told, or this one; None where it is not installed.

    Raises AssistError peer-unusable where the Python that was named cannot import it.
    """
    told = given.get(peer.module) or os.environ.get(variable(peer))
    if told is None:
        return Path(sys.executable) if importlib.util.find_spec(peer.module) else None
    look = f"import importlib.util as u; raise SystemExit(u.find_spec({peer.module!r}) is None)"
    try:
        found = subprocess.run([told, "-c", look], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        found = False
    if not found:
        raise AssistError(
            "peer-unusable",
            f"{told} has no {peer.module}: expected the python of an environment made with pip install {peer.package}.",
        )
    return Path(told)


class Server:
    """A running peer: its port, and what it has cost."""

    def __init__(self, process: subprocess.Popen[str], port: int, log: IO[bytes]) -> None:
        self._process = process
        self.port = port
        self._log = log

    def cost(self) -> tuple[float, float]:
        """CPU seconds and peak MiB so far. Raises AssistError peer-failed where it is gone."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith("BENCH "):
                    figures = json.loads(line[6:])
                    return figures["cpu_s"], figures["peak_mib"]
        raise self.failed()

    def failed(self) -> AssistError:
        """Its last line, for whoever wants to know why."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return AssistError("peer-failed", f"stopped: {lines[-1] if lines else 'without a word'}"[:300])

    def wait_until_up(self) -> None:
        """Raises AssistError peer-failed."""
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at:
            if self._process.poll() is not None:
                raise self.failed()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.2)
        raise AssistError("peer-failed", f"did not listen within {START_S:.0f} s")


@contextlib.contextmanager
def serving(peer: Peer, python: Path, model: Path) -> Iterator[Server]:
    """The peer's server with that model, for as long as it is needed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    offline = {"HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [python, HOST, *peer.server(model.absolute(), port, Path(folder))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | offline,
            cwd=folder,
        )
        try:
            server = Server(process, port, log)
            server.wait_until_up()
            yield server
        finally:
            process.kill()
            process.communicate()


def measure_peer(
    peer: Peer,
    python: Path,
    model: Path,
    sound: Mapping[Speaker, Pcm],
    words: Sequence[SpokenWord],
    *,
    calls: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Load:
    """The same sound as so many calls at once, each channel one client, in real time.

    CPU is counted while the sound plays, not while last words are waited for. Raises AssistError peer-failed.
    """
    with serving(peer, python, model) as server:
        return asyncio.run(_measure(peer, server, sound, words, calls, progress))


async def _measure(
    peer: Peer,
    server: Server,
    sound: Mapping[Speaker, Pcm],
    words: Sequence[SpokenWord],
    calls: int,
    progress: Callable[[float], None],
) -> Load:
    try:
        start = next(iter(sound.values()))[: int(WARM_UP_S * SAMPLE_RATE)]
        await peer.hear(server.port, Feed(start, time.monotonic()))
        length = max(len(pcm) for pcm in sound.values()) / SAMPLE_RATE
        cpu, _ = server.cost()
        began = time.monotonic() + 1.0  # so that all clients are connected
        feeds = [
            (speaker, Feed(pcm, began + number / calls)) for number in range(calls) for speaker, pcm in sound.items()
        ]
        hearing = asyncio.gather(*(peer.hear(server.port, feed) for _, feed in feeds))
        async with _shown(progress, began, length + 1):
            await asyncio.sleep(began + length + 1 - time.monotonic())
            used, _ = server.cost()
            texts = await hearing
        _, peak = server.cost()
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise AssistError("peer-failed", f"its client failed: {type(error).__name__} {error}") from None
    total = EMPTY_SCORE
    for (speaker, feed), text in zip(feeds, texts, strict=True):
        spoken = [word for word in words if word.speaker is speaker]
        total += score(spoken, feed.states, last=" ".join(text).split())
    return load_of(calls, total, cpu_s=used - cpu, wall_s=length + 2, audio_s=length, peak_mib=peak)


@contextlib.asynccontextmanager
async def _shown(progress: Callable[[float], None], began: float, length: float) -> AsyncIterator[None]:
    async def show() -> None:
        while True:
            progress(min(1.0, max(0.0, (time.monotonic() - began) / length)))
            await asyncio.sleep(0.25)

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()
