"""The rig of the fault tests: a process that runs live calls and can be killed, and scripted ears.

The ears stand in for a recogniser: they say one utterance for every so many chunks, so that the plumbing behind them
can be loaded, killed and starved without paying for recognition. Everything else is the real thing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from assist.coach.reloading import ReloadingPlaybook
from assist.live.hearing import Hearing
from assist.live.service import Service
from assist.settings import Settings
from audio.events import Chunk, Speaker, Utterance, Word
from detectors.rulebook import load_rules
from overlay.hub import Hub

BOTH = (Speaker.AGENT, Speaker.CUSTOMER)
SILENCE = np.zeros(1600, np.float32)
LINES = (
    "i have been waiting for three weeks and nobody called me back",
    "this is ridiculous i want to speak to your manager",
    "if this is not fixed today i will cancel everything",
    "okay thank you that sounds fair",
)
RULES = load_rules()


class Ears:
    """Says a line of the customer for every `every` chunks."""

    def __init__(self, every: int = 5) -> None:
        self._every = every
        self._chunks = 0
        self._said = 0

    def push(self, chunk: Chunk):
        self._chunks += 1
        if self._chunks % self._every:
            return []
        self._said += 1
        words = LINES[self._said % len(LINES)].split()
        start, step = chunk.start_ms, max(1, (chunk.end_ms - chunk.start_ms) // len(words))
        said = tuple(Word(word, start + n * step, start + (n + 1) * step) for n, word in enumerate(words))
        return [Utterance(f"c{self._said}", Speaker.CUSTOMER, start, chunk.end_ms, said)]

    def poll(self):
        return []

    def finish(self):
        return []


class Sound:
    """A call source of silence, as fast as it is taken, with a breath after every chunk."""

    name = "rig"
    speakers = BOTH

    def __init__(self, chunks: int | None = None, breath: Callable[[], object] = lambda: asyncio.sleep(0)) -> None:
        self._chunks = chunks
        self._breath = breath

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        n = 0
        while self._chunks is None or n < self._chunks:
            yield Chunk(n * 100, {Speaker.AGENT: SILENCE, Speaker.CUSTOMER: SILENCE})
            n += 1
            await self._breath()


def hearing(every: int = 5) -> Hearing:
    """Scripted ears in the place of a recogniser."""
    return Hearing("rig", "rig", "0", False, lambda *_, **__: Ears(every), lambda: None)


def service(folder: Path, every: int = 5, **settings: Any) -> Service:
    """A whole program on this folder, with scripted ears. Call `open` on an event loop.

    It judges by its rules alone: the sentence model would cost more than all that is tried here.
    """
    chosen = Settings(data=folder, **({"consent": "granted", "meaning": False} | settings))
    return Service(chosen, RULES, ReloadingPlaybook("default"), Hub(), hearing(every))


def acknowledging(one: Service, tell: Callable[[str, int], None]) -> None:
    """Have every receipt of an event told as soon as it is fulfilled."""
    append = one.store.append

    def told(call, n, event):
        receipt = append(call, n, event)
        receipt.add_done_callback(lambda done: tell(call, n) if done.exception() is None else None)
        return receipt

    one.store.append = told  # type: ignore[method-assign]


def in_a_child(work: Callable[..., None], *args: Any) -> tuple[BaseProcess, int]:
    """Run `work(*args, pipe)`, a function of a module, in a process that can be killed; it and the pipe's reading end.

    The process is forked from one that has no thread and no model. In a fork of the test's own process the threads of a
    recogniser that an earlier test loaded are missing, and the process ends as soon as that recogniser is let go of.
    """
    clean = multiprocessing.get_context("forkserver")
    clean.set_forkserver_preload([work.__module__])
    reading, writing = os.pipe()
    with Connection(writing, readable=False) as pipe:
        child = clean.Process(target=_work, args=(work, args, pipe), daemon=True)
        child.start()
    return child, reading


def _work(work: Callable[..., None], args: tuple[Any, ...], pipe: Connection) -> None:
    work(*args, pipe.fileno())


def killed_after(child: BaseProcess, reading: int, acknowledgements: int) -> list[str]:
    """Read so many lines, kill -9, and return every line that came out."""
    said = b""
    while said.count(b"\n") < acknowledgements:
        part = os.read(reading, 65536)
        assert part, f"the process ended by itself; it said {said!r}"
        said += part
    child.kill()
    while part := os.read(reading, 65536):
        said += part
    os.close(reading)
    child.join()
    return said.decode().rpartition("\n")[0].splitlines()
