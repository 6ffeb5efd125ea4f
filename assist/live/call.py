"""The live loop of one call: sound in, events out. Start reading here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import numpy as np

from assist.events import SCREEN_ONLY, Action, AlertMoved, CallResumed, Event
from assist.live.resuming import shifted
from assist.live.session import Session
from assist.privacy.recorder import CallRecorder
from assist.records.accounting import Ledger
from audio.backfill import UntranscribedUtterance
from audio.channels import ChannelWatch
from audio.events import Chunk, Gap, Heard, Trouble
from audio.source import end_sound

STALLED_S = 3.0
"""People are told when no sound has come for so long ..."""
SOUND_TIMEOUT_S = 30.0
"""... and the call is ended as interrupted after so long."""
TURN_S = 0.5
"""Silence is counted in turns of at most so long: while the program itself stands still, no source can deliver."""


class CallListener(Protocol):
    """The part of audio.listener.Listener that a call uses."""

    def push(self, chunk: Chunk) -> Iterable[Heard]:
        """Process the next chunk; returns everything that is ready."""
        ...

    def poll(self) -> Iterable[Heard]:
        """What has become ready since, without new sound."""
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
    """Called in order with every event and its number in the call's log; None: screens only, not logged."""
    pulse: Callable[[], None] = lambda: None
    """Called once a second of call time, to refresh screens when nothing else happens."""
    ledger: Ledger = field(default_factory=Ledger)
    next_number: int = 0
    """Log number of the next event; above 0 for a call that is resumed."""
    offset_ms: int = 0
    """Call time in ms at which this run's sound begins; above 0 for a call that is resumed."""
    in_step: bool = False
    """The listener waits for each decode (audio/listener.py); a thread waits with it."""
    stalled_s: float = STALLED_S
    sound_timeout_s: float = SOUND_TIMEOUT_S
    interruptions: int = 0
    """How often this call was interrupted before: makes utterance ids of each run distinct."""
    recorder: CallRecorder | None = None
    """None: the call is not recorded."""
    untranscribed: list[UntranscribedUtterance] = field(default_factory=list)
    """Speech not transcribed when the call ended, in call time; none from `_private_ranges`."""
    _private_ranges: list[tuple[int, int]] = field(default_factory=list)
    """(from, to) in ms of call time: paused, or without the consent to transcribe and store."""
    _watch: ChannelWatch = field(default_factory=ChannelWatch)
    _is_stalled: bool = False
    _end_ms: int = field(init=False)
    """The end of the sound processed."""
    _next_pulse_ms: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _hang_up: bool = False
    end_reason: str = ""
    """As in CallEnded; empty while the call is live."""
    _blocking: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="listening"))
    """Waits for decodes: of calls that end together, each in a thread of its own, and the pages keep theirs."""

    def __post_init__(self) -> None:
        self._end_ms = self.offset_ms

    def wake(self) -> None:
        """There are words to poll for. Call it on the event loop (`loop.call_soon_threadsafe(call.wake)`)."""
        self._wake.set()

    def act(self, action: Action) -> None:
        """A person did something; ignored once the call has ended, and where it would end another's pause."""
        if not self.end_reason and (action.what != "resume" or self.session.pauses.may_end(action.who)):
            self._emit_start()
            self._emit(self.session.act(action))
            if action.what == "hang-up":
                self.hang_up()

    def report_trouble(self, trouble: Trouble) -> None:
        """Publish a problem from outside the sound (the store, a page); ignored once the call has ended."""
        if not self.end_reason:
            self._emit_start()
            self._emit([trouble])

    def report_gap(self, gap: Gap) -> None:
        """Publish a stretch that was not listened to, in call time."""
        self._emit([gap])

    def report_resumed(self, versions: dict[str, str]) -> None:
        """Publish that the call goes on with these versions."""
        self._emit([CallResumed(self.offset_ms, versions)])

    def alert_moved(self, make: Callable[[int], AlertMoved]) -> None:
        """Publish a change of an alert of this call; `make` is given the call time in ms."""
        if not self.end_reason:
            self._emit_start()
            self._emit([make(self.session.now_ms)])

    def add_untranscribed(self, utterance: UntranscribedUtterance) -> None:
        """Keep speech that the listener could not transcribe before the call ended."""
        start_ms, end_ms = utterance.start_ms + self.offset_ms, utterance.end_ms + self.offset_ms
        if not any(start_ms < to_ms and from_ms < end_ms for from_ms, to_ms in self._private_ranges):
            name = f"{utterance.id}.{self.interruptions}" if self.offset_ms else utterance.id
            self.untranscribed.append(replace(utterance, id=name, start_ms=start_ms, end_ms=end_ms))

    def hang_up(self) -> None:
        """End the call after the sound already processed."""
        self._hang_up = True
        self.session.sound_ended()
        self._wake.set()

    async def run(self, source: AsyncIterable[Chunk | Gap | Trouble], listener: CallListener) -> None:
        """Process sound until it ends or somebody hangs up. CallEnded is published even when this is cancelled."""
        reason = "failed"
        self._emit_start()
        sound = aiter(source)
        try:
            reason = await self._listen(sound, listener)
        except asyncio.CancelledError:
            reason = "interrupted"
            raise
        finally:
            await end_sound(sound)
            self.session.sound_ended()
            for heard in await self._in_thread(listener.finish):
                self._judge(heard)
            self._blocking.shutdown(wait=False)
            if self.recorder is not None:
                self._emit(await self.recorder.finish())
            self._emit(self.session.end(self.session.now_ms, reason, self.ledger.totals(self._end_ms)))
            self.end_reason = reason

    def _emit_start(self) -> None:
        """Publish the first events of the call, also where something happens before it is run."""
        if self.next_number == 0:
            self._emit(self.session.begin())

    async def _listen(self, sound: object, listener: CallListener) -> str:
        clock = asyncio.get_running_loop().time
        next_item: asyncio.Task[Chunk | Gap | Trouble] = asyncio.ensure_future(anext(sound))  # type: ignore[call-overload]
        wake_up = asyncio.ensure_future(self._wake.wait())
        try:
            silent_s = 0.0
            while not self._hang_up:
                limit = (self.sound_timeout_s if self._is_stalled else self.stalled_s) - silent_s
                since, turn_s = clock(), min(max(0.0, limit), TURN_S)
                await asyncio.wait({next_item, wake_up}, timeout=turn_s, return_when=asyncio.FIRST_COMPLETED)
                silent_s = 0.0 if next_item.done() else silent_s + min(clock() - since, TURN_S)
                if silent_s >= self.sound_timeout_s:
                    return "interrupted"
                self._emit(self._stall_changed(silent_s >= self.stalled_s))
                if wake_up.done():
                    self._wake.clear()
                    wake_up = asyncio.ensure_future(self._wake.wait())
                    for heard in listener.poll():
                        self._judge(heard)
                if next_item.done():
                    try:
                        item = next_item.result()
                    except StopAsyncIteration:
                        return "end-of-recording"
                    next_item = asyncio.ensure_future(anext(sound))  # type: ignore[call-overload]
                    await self._process(item, listener)
            return "hang-up"
        finally:
            for task in (next_item, wake_up):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
                    await task

    async def _in_thread(self, listen: Callable[[], Iterable[Heard]]) -> list[Heard]:
        return await asyncio.get_running_loop().run_in_executor(self._blocking, lambda: list(listen()))

    async def _process(self, item: Chunk | Gap | Trouble, listener: CallListener) -> None:
        if not isinstance(item, Chunk):
            self._judge(item)
            return
        if self.session.suspended:
            item = replace(item, channels={who: np.zeros_like(pcm) for who, pcm in item.channels.items()})
        else:
            for trouble in self._watch.push(item):
                self._judge(trouble)
        if self.session.suspended or not self.session.gate.may_store:
            self._add_private_range(item.start_ms + self.offset_ms, item.end_ms + self.offset_ms)
        if self.recorder is not None:
            self._emit(
                self.recorder.push(item, self.offset_ms, self.session.gate.consent, suspended=self.session.suspended)
            )
        push = partial(listener.push, item)
        for heard in await self._in_thread(push) if self.in_step else push():
            self._judge(heard)
        self._end_ms = item.end_ms + self.offset_ms
        self._emit(self.session.tick(self._end_ms))
        if self._end_ms >= self._next_pulse_ms:
            self._next_pulse_ms = self._end_ms + 1000
            self.pulse()

    def _add_private_range(self, start_ms: int, end_ms: int) -> None:
        if self._private_ranges and self._private_ranges[-1][1] >= start_ms:
            start_ms = self._private_ranges.pop()[0]
        self._private_ranges.append((start_ms, end_ms))

    def _stall_changed(self, stalled: bool) -> list[Trouble]:
        """The event where sound has stopped coming or comes again; empty where nothing changed."""
        if stalled == self._is_stalled:
            return []
        self._is_stalled = stalled
        text = "No sound comes from the telephone system or the devices: check that the call is still there."
        if not stalled:
            text = "Sound comes again."
        return [Trouble(self.session.now_ms, "audio-stalled", text, cleared=not stalled)]

    def _judge(self, heard: Heard) -> None:
        self._emit(self.session.hear(shifted(heard, self.offset_ms, self.interruptions) if self.offset_ms else heard))

    def _emit(self, events: Iterable[Event]) -> None:
        for event in events:
            self.ledger.add(event)
            if self.recorder is not None:
                self.recorder.observe(event)
            if isinstance(event, SCREEN_ONLY):
                self.publish(None, event)
            else:
                number = self.next_number
                self.next_number += 1  # before publishing, which may fail: no number is used twice
                self.publish(number, event)
