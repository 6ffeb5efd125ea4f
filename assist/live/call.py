"""The live loop of one call: sound in, events out. Start reading here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from assist.events import SCREEN_ONLY, Action, AlertMoved, Event
from assist.live.accounting import Ledger
from assist.live.resuming import shifted
from assist.live.session import Session
from assist.privacy.recordings import Tape
from audio.backfill import UntranscribedUtterance
from audio.channels import ChannelWatch
from audio.events import Chunk, Gap, Heard, Trouble

STALLED_S = 3.0
"""Without any sound for so long, people are told."""
GIVEN_UP_S = 30.0
"""Without any sound for so long, the call is ended as interrupted."""


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
    ledger: Ledger = field(default_factory=Ledger)
    number: int = 0
    """Of the next event: above 0 where a call that was cut short goes on."""
    offset_ms: int = 0
    """Call time at which this run's sound begins."""
    stalled_s: float = STALLED_S
    given_up_s: float = GIVEN_UP_S
    cuts: int = 0
    """Times this call was cut short before: keeps the utterances of each run apart."""
    tape: Tape | None = None
    """Keeps the sound; None: it is not kept."""
    owed: list[UntranscribedUtterance] = field(default_factory=list)
    """Speech without words when the call ended, in the call's own time; none of it from where nothing may be kept."""
    _closed: list[tuple[int, int]] = field(default_factory=list)
    """(from, to) in ms of call time: paused, or without consent to be heard and kept."""
    _watch: ChannelWatch = field(default_factory=ChannelWatch)
    _stalled: bool = False
    _end_ms: int = 0
    _next_pulse_ms: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _hang_up: bool = False
    _ended: bool = False

    def wake(self) -> None:
        """There are words to poll for. Call it on the event loop (`loop.call_soon_threadsafe(call.wake)`)."""
        self._wake.set()

    def act(self, action: Action) -> None:
        """A person did something; ignored once the call has ended."""
        if not self._ended:
            self._begin()
            self._say(self.session.act(action))
            if action.what == "hang-up":
                self.hang_up()

    def trouble(self, trouble: Trouble) -> None:
        """Something outside the sound went wrong (the store, a page)."""
        if not self._ended:
            self._begin()
            self._say([trouble])

    def gap(self, gap: Gap) -> None:
        """A stretch that nobody listened to, in the call's own time."""
        self._say([gap])

    def moved(self, make: Callable[[int], AlertMoved]) -> None:
        """An alert of this call went on; `make` is given the call time."""
        if not self._ended:
            self._begin()
            self._say([make(self.session.now_ms)])

    def owe(self, owed: UntranscribedUtterance) -> None:
        """Take speech whose words the listener does not know as the call ends."""
        start_ms, end_ms = owed.start_ms + self.offset_ms, owed.end_ms + self.offset_ms
        if not any(start_ms < closed_to and closed_from < end_ms for closed_from, closed_to in self._closed):
            name = f"{owed.id}.{self.cuts}" if self.offset_ms else owed.id
            self.owed.append(replace(owed, id=name, start_ms=start_ms, end_ms=end_ms))

    def hang_up(self) -> None:
        """End the call after the sound already taken."""
        self._hang_up = True
        self._wake.set()

    async def run(self, source: AsyncIterable[Chunk | Gap | Trouble], ears: Ears) -> None:
        """Listen until the sound ends or somebody hangs up. The call is ended properly even when this is cancelled."""
        reason = "failed"
        self._begin()
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
                self._hear(heard)
            if self.tape is not None:
                self._say(await self.tape.finish())
            self._say(self.session.end(self.session.now_ms, reason, self.ledger.sums(self._end_ms)))
            self._ended = True

    def _begin(self) -> None:
        """The first events of the call stand before all others, also where something happens before it is run."""
        if self.number == 0:
            self._say(self.session.begin())

    async def _listen(self, sound: object, ears: Ears) -> str:
        clock = asyncio.get_running_loop().time
        coming: asyncio.Task[Chunk | Gap | Trouble] = asyncio.ensure_future(anext(sound))  # type: ignore[call-overload]
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            last = clock()
            while not self._hang_up:
                limit = (self.given_up_s if self._stalled else self.stalled_s) - (clock() - last)
                await asyncio.wait({coming, woken}, timeout=max(0.0, limit), return_when=asyncio.FIRST_COMPLETED)
                without_s = 0.0 if coming.done() else clock() - last
                if without_s >= self.given_up_s:
                    return "interrupted"
                self._say(self._stall(without_s >= self.stalled_s))
                if woken.done():
                    self._wake.clear()
                    woken = asyncio.ensure_future(self._wake.wait())
                    for heard in ears.poll():
                        self._hear(heard)
                if coming.done():
                    try:
                        item = coming.result()
                    except StopAsyncIteration:
                        return "end-of-recording"
                    coming = asyncio.ensure_future(anext(sound))  # type: ignore[call-overload]
                    self._take(item, ears)
                    last = clock()
            return "hang-up"
        finally:
            for task in (coming, woken):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
                    await task

    def _take(self, item: Chunk | Gap | Trouble, ears: Ears) -> None:
        if not isinstance(item, Chunk):
            self._hear(item)
            return
        if self.session.deaf:
            item = replace(item, channels={who: np.zeros_like(pcm) for who, pcm in item.channels.items()})
        else:
            for trouble in self._watch.push(item):
                self._hear(trouble)
        if self.session.deaf or not self.session.gate.kept:
            self._close(item.start_ms + self.offset_ms, item.end_ms + self.offset_ms)
        if self.tape is not None:
            self._say(self.tape.push(item, self.offset_ms, self.session.gate.consent, deaf=self.session.deaf))
        for heard in ears.push(item):
            self._hear(heard)
        self._end_ms = item.end_ms + self.offset_ms
        self._say(self.session.tick(self._end_ms))
        if self._end_ms >= self._next_pulse_ms:
            self._next_pulse_ms = self._end_ms + 1000
            self.pulse()

    def _close(self, start_ms: int, end_ms: int) -> None:
        if self._closed and self._closed[-1][1] >= start_ms:
            start_ms = self._closed.pop()[0]
        self._closed.append((start_ms, end_ms))

    def _stall(self, stalled: bool) -> list[Trouble]:
        """No sound of any kind is coming, or it comes again."""
        if stalled == self._stalled:
            return []
        self._stalled = stalled
        text = "No sound comes from the telephone system or the devices: check that the call is still there."
        if not stalled:
            text = "Sound comes again."
        return [Trouble(self.session.now_ms, "audio-stalled", text, cleared=not stalled)]

    def _hear(self, heard: Heard) -> None:
        self._say(self.session.hear(shifted(heard, self.offset_ms, self.cuts) if self.offset_ms else heard))

    def _say(self, events: Iterable[Event]) -> None:
        for event in events:
            self.ledger.take(event)
            if self.tape is not None:
                self.tape.take(event)
            if isinstance(event, SCREEN_ONLY):
                self.publish(None, event)
            else:
                number, self.number = self.number, self.number + 1  # also where it fails: no number is given twice
                self.publish(number, event)
