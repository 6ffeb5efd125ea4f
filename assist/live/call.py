"""The live loop of one call: sound in, events out. Start reading here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from assist.events import SCREEN_ONLY, Action, Event
from assist.live.session import Session
from audio.events import Chunk, Gap, Heard, Trouble


class Ears(Protocol):
    """What a call needs of a listener (audio/listener.py)."""

    def push(self, chunk: Chunk) -> Iterable[Heard]:
        """Take the next sound; say everything that is ready."""
        ...

    def poll(self) -> Iterable[Heard]:
        """Say what has become ready since."""
        ...

    def finish(self) -> Iterable[Heard]:
        """The last words; blocks until they are final."""
        ...

    def accounted(self) -> Mapping[str, int]:
        """Milliseconds of each channel by what became of them."""
        ...


@dataclass
class LiveCall:
    """One call being listened to.

    Everything that touches the session runs on the event loop, one step at a time: sound, words that have become
    ready, and what people do at their screens.
    """

    session: Session
    publish: Callable[[int | None, Event], None]
    """Called in order with every event and, where the log keeps it, its number in the call."""
    pulse: Callable[[], None] = lambda: None
    """Called once a second of call time: screens that show how things stand even when nothing happens."""
    _number: int = 0
    _next_pulse_ms: int = 0
    _paused_ms: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _hang_up: bool = False
    _ended: bool = False

    def wake(self) -> None:
        """There are words to poll for. Call it on the event loop (`loop.call_soon_threadsafe(call.wake)`)."""
        self._wake.set()

    def act(self, action: Action) -> None:
        """A person did something; ignored once the call has ended."""
        if not self._ended:
            self._say(self.session.act(action))
            if action.what == "hang-up":
                self.hang_up()

    def trouble(self, trouble: Trouble) -> None:
        """Something outside the sound went wrong (the store, a page)."""
        if not self._ended:
            self._say([trouble])

    def hang_up(self) -> None:
        """End the call after the sound already taken."""
        self._hang_up = True
        self._wake.set()

    async def run(self, source: AsyncIterable[Chunk | Gap | Trouble], ears: Ears) -> None:
        """Listen until the sound ends or somebody hangs up. The call is ended properly even when this is cancelled."""
        reason = "failed"
        self._say(self.session.begin())
        sound = aiter(source)
        try:
            reason = await self._listen(sound, ears)
        except asyncio.CancelledError:
            reason = "interrupted"
            raise
        finally:
            if hasattr(sound, "aclose"):
                with contextlib.suppress(Exception):
                    await sound.aclose()
            for heard in await asyncio.to_thread(lambda: list(ears.finish())):
                self._say(self.session.hear(heard))
            self._say(self.session.end(self.session.now_ms, reason, self._accounted(ears)))
            self._ended = True

    async def _listen(self, sound: object, ears: Ears) -> str:
        coming: asyncio.Task[Chunk | Gap | Trouble] = asyncio.ensure_future(anext(sound))  # type: ignore[call-overload]
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            while not self._hang_up:
                await asyncio.wait({coming, woken}, return_when=asyncio.FIRST_COMPLETED)
                if woken.done():
                    self._wake.clear()
                    woken = asyncio.ensure_future(self._wake.wait())
                    for heard in ears.poll():
                        self._say(self.session.hear(heard))
                if coming.done():
                    try:
                        item = coming.result()
                    except StopAsyncIteration:
                        return "end-of-recording"
                    coming = asyncio.ensure_future(anext(sound))  # type: ignore[call-overload]
                    self._take(item, ears)
            return "hang-up"
        finally:
            for task in (coming, woken):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
                    await task

    def _take(self, item: Chunk | Gap | Trouble, ears: Ears) -> None:
        if isinstance(item, Chunk):
            if self.session.paused_since is not None:
                item = replace(item, channels={who: np.zeros_like(pcm) for who, pcm in item.channels.items()})
                self._paused_ms += item.end_ms - item.start_ms
            for heard in ears.push(item):
                self._say(self.session.hear(heard))
            self._say(self.session.tick(item.end_ms))
            if item.end_ms >= self._next_pulse_ms:
                self._next_pulse_ms = item.end_ms + 1000
                self.pulse()
        else:
            self._say(self.session.hear(item))

    def _accounted(self, ears: Ears) -> dict[str, int]:
        """Every millisecond of every channel; what was silenced by a pause counts as paused."""
        accounted = dict(ears.accounted())
        if self._paused_ms:
            for key in [key for key in accounted if key.endswith(".silence")]:
                accounted[key] -= self._paused_ms
                accounted[key.replace(".silence", ".paused")] = self._paused_ms
        return accounted

    def _say(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, SCREEN_ONLY):
                self.publish(None, event)
            else:
                self.publish(self._number, event)
                self._number += 1
