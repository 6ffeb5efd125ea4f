"""A call through the real service and the real store, whose recogniser says what a script says it hears."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np

from assist.coach.reloading import ReloadingPlaybook
from assist.events import Event
from assist.live.hearing import Hearing
from assist.live.service import Service
from assist.settings import Settings
from audio.events import Chunk, Heard, Hypothesis, Speaker, Utterance
from detectors.rulebook import load_rules
from overlay.hub import Hub
from tests.heard import words

RULES = load_rules()
SPEAKERS = (Speaker.AGENT, Speaker.CUSTOMER)


def said(text, start_ms, speaker=Speaker.CUSTOMER):
    spoken = words(text, start_ms)
    return Utterance(f"{speaker[0]}{start_ms}", speaker, start_ms, spoken[-1].end_ms, spoken)


def saying(text, start_ms, speaker=Speaker.CUSTOMER):
    return Hypothesis(f"{speaker[0]}{start_ms}", speaker, start_ms, words(text, start_ms), ())


class Source:
    """Sound on demand."""

    name, speakers = "scripted", SPEAKERS

    def __init__(self):
        self._sound = asyncio.Queue()
        self.end_ms = 0

    def __aiter__(self):
        return self._chunks()

    async def _chunks(self):
        while (chunk := await self._sound.get()) is not None:
            yield chunk

    def play(self, milliseconds):
        pcm = np.full(milliseconds * 16, 0.1, np.float32)
        self._sound.put_nowait(Chunk(self.end_ms, dict.fromkeys(SPEAKERS, pcm)))
        self.end_ms += milliseconds

    def stop(self):
        self._sound.put_nowait(None)


@dataclass
class Ears:
    """Says what it is given, but only where the sound that comes with it is no silence."""

    script: list[Heard] = field(default_factory=list)
    late: list[Heard] = field(default_factory=list)
    """Said whatever the sound: words that were on their way."""
    silent_ms: int = 0
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, chunk):
        script, self.script = self.script, []
        self.turn.set()
        if not any(pcm.any() for pcm in chunk.channels.values()):
            self.silent_ms += chunk.end_ms - chunk.start_ms
            return self.poll()
        return [*script, *self.poll()]

    def poll(self):
        late, self.late = self.late, []
        return late

    def finish(self):
        return self.poll()


@dataclass
class Stage:
    service: Service
    ears: Ears
    source: Source
    call: str
    task: asyncio.Task
    heard: list[Event]

    async def hear(self, *heard, ms=1000):
        """The next second of the call, in which these are said."""
        self.ears.script = list(heard)
        self.ears.turn.clear()
        self.source.play(ms)
        await self.ears.turn.wait()
        await asyncio.sleep(0)

    async def written(self):
        """Everything so far is on disk, and the pages know."""
        await asyncio.wrap_future(self.service.store.flush())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def shown(self, key):
        return self.service.hub.latest("agent/Dana", key)

    async def end(self):
        self.source.stop()
        await self.task

    async def interrupt(self):
        """As a kill does: without a proper end, and nothing is written any more."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await asyncio.to_thread(self.service.store.close)

    async def close(self):
        await self.service.close()


def open_service(data, playbooks=None, **settings):
    ears = Ears()
    hearing = Hearing("", "scripted", "1", False, lambda speakers, **_: ears, lambda: None)
    service = Service(
        Settings(data=data, agent="Dana", **settings), RULES, playbooks or ReloadingPlaybook("default"), Hub(), hearing
    )
    service.open()
    return service, ears


async def on_stage(data, *, start=None, **settings):
    service, ears = open_service(data, **settings)
    source, heard = Source(), []
    call, task = service.start(source, on_event=heard.append, **(start or {}))
    return Stage(service, ears, source, call, task, heard)


async def taken_up(data, call, **settings):
    """An interrupted call, resumed by another program."""
    service, ears = open_service(data, **settings)
    source, heard = Source(), []
    _, task = await service.resume(call, source, on_event=heard.append)
    return Stage(service, ears, source, call, task, heard)


def hits(folder, *needles):
    """Which needles stand anywhere in the bytes of a folder's files."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found |= {(path.name, needle) for needle in needles if needle.encode() in data}
    return found
