"""Publish and subscribe: pages watch rooms of keyed values; first the snapshot, then the latest value of each key.

Called on the event loop only, never waits: a page that reads slowly costs a call nothing but one reference per key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from pydantic import BaseModel

MAX_VALUES_KEPT = {"line": 40, "heard": 20, "notice/message": 6, "notice/answer": 6}
"""Key prefix (before the last slash) -> how many of its newest values a room keeps."""
OUTBOX_BYTES = 256 << 10
"""Limit of what waits for a page besides the snapshot it joined with, in characters of JSON: bounds the memory that a
page costs which has stopped reading."""
BEAT = '{"type":"beat"}'


@dataclass(frozen=True, slots=True)
class _Value:
    message: BaseModel
    body: str
    """JSON, encoded once for all pages."""
    shown_at_s: float
    """On the hub's clock."""


class Outbox:
    """What one page has still to be sent: at most one frame per room and key, bounded in bytes."""

    __slots__ = (
        "_clock",
        "_delivered",
        "_limit",
        "_resets",
        "_direct_frames",
        "_size",
        "_snapshot",
        "_waiter",
        "_waiting",
        "overfull",
        "rooms",
    )

    def __init__(self, clock: Callable[[], float], limit: int = OUTBOX_BYTES) -> None:
        self.rooms: set[str] = set()
        self.overfull = False
        """The limit was passed: nothing more is queued; the page must be closed (4408) and will reconnect."""
        self._clock = clock
        self._limit = limit
        self._size = 0
        self._snapshot = 0
        """The part of the size that is a snapshot, which is not limited: a board may have any number of calls."""
        self._direct_frames: list[str] = []
        self._resets: dict[str, None] = {}
        self._waiting: dict[tuple[str, str], _Value | None] = {}
        self._delivered: set[tuple[str, str]] = set()
        """(room, key) the page has: only for these a drop frame is sent; others are just removed from the outbox."""
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ready(self) -> bool:
        """There is something to send, or the outbox is overfull."""
        return bool(self._waiting or self._resets or self._direct_frames or self.overfull)

    async def wait(self, seconds: float) -> bool:
        """Wait until it is ready, at most `seconds`; returns whether it is. One waiter at a time."""
        if not self.ready:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            until = loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                until.cancel()
                self._waiter = None
        return self.ready

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> str:
        """Everything waiting, as one websocket message (a JSON array of frames); the outbox is empty afterwards."""
        now = self._clock()
        frames = [json.dumps({"type": "reset", "room": room}) for room in self._resets]
        frames += self._direct_frames
        self._direct_frames = []
        for slot, value in self._waiting.items():
            room, key = json.dumps(slot[0]), json.dumps(slot[1])
            if value is None:
                self._delivered.discard(slot)
                frames.append(f'{{"type":"drop","room":{room},"key":{key}}}')
            else:
                self._delivered.add(slot)
                age = max(0, round((now - value.shown_at_s) * 1000))
                frames.append(f'{{"type":"set","room":{room},"key":{key},"age":{age},"body":{value.body}}}')
        self._resets = {}
        self._waiting = {}
        self._size = self._snapshot = 0
        return f"[{','.join(frames) or BEAT}]"

    def send_direct(self, frame: str) -> None:
        """Queue a frame for this page alone, outside any room."""
        if self.overfull:
            return
        self._direct_frames.append(frame)
        self._grow(len(frame))

    def _put(self, room: str, key: str, value: _Value | None) -> None:
        if self.overfull:
            return
        slot = (room, key)
        before = self._waiting.get(slot)
        self._size -= len(before.body) if before is not None else 0
        if value is None and slot not in self._delivered:
            self._waiting.pop(slot, None)
            return
        self._waiting[slot] = value
        self._grow(len(value.body) if value is not None else 0)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limit + self._snapshot:
            self.overfull = True
            self._waiting = {}
            self._direct_frames = []
        self._wake()

    def _reset(self, room: str) -> None:
        self._resets[room] = None
        self._delivered = {slot for slot in self._delivered if slot[0] != room}
        for slot in [slot for slot in self._waiting if slot[0] == room]:
            value = self._waiting.pop(slot)
            self._size -= len(value.body) if value is not None else 0
        self._wake()


@dataclass(slots=True)
class _Room:
    values: dict[str, _Value] = field(default_factory=dict)
    pages: set[Outbox] = field(default_factory=set)


class Hub:
    """All rooms. A room exists while it holds a value or is watched."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._rooms: dict[str, _Room] = {}

    def show(self, room: str, key: str, message: BaseModel) -> None:
        """Make `message` the value of `key`; the same value again is not sent again."""
        state = self._rooms.setdefault(room, _Room())
        body = message.model_dump_json()
        before = state.values.get(key)
        if before is not None and before.body == body:
            return
        value = _Value(message, body, self._clock())
        state.values[key] = value
        for page in state.pages:
            page._put(room, key, value)
        if before is None:
            self._trim(room, state, key)

    def drop(self, room: str, key: str) -> None:
        """Take `key` away; nothing happens where it is not there."""
        state = self._rooms.get(room)
        if state is None or state.values.pop(key, None) is None:
            return
        for page in state.pages:
            page._put(room, key, None)
        self._forget_if_unused(room, state)

    def clear(self, room: str) -> None:
        """Take every key away: the next call of an agent begins with an empty room."""
        for key in self.snapshot(room):
            self.drop(room, key)

    def snapshot(self, room: str) -> dict[str, str]:
        """The values of a room by key, each as JSON, in the order in which the keys came."""
        state = self._rooms.get(room)
        return {key: value.body for key, value in state.values.items()} if state else {}

    def latest(self, room: str, key: str) -> BaseModel | None:
        """The value of one key as it was shown, or None."""
        state = self._rooms.get(room)
        value = state.values.get(key) if state else None
        return value.message if value else None

    def open(self, *rooms: str, limit: int = OUTBOX_BYTES) -> Outbox:
        """An outbox for a page that has come, with the snapshots of its rooms in it."""
        page = Outbox(self._clock, limit)
        for room in rooms:
            self.watch(page, room)
        return page

    def watch(self, page: Outbox, room: str) -> None:
        """The page sees this room too: its snapshot first, then what comes."""
        state = self._rooms.setdefault(room, _Room())
        state.pages.add(page)
        page.rooms.add(room)
        page._reset(room)
        page._snapshot += sum(len(value.body) for value in state.values.values())
        for key, value in state.values.items():
            page._put(room, key, value)

    def unwatch(self, page: Outbox, room: str) -> None:
        """The page no longer sees this room."""
        page.rooms.discard(room)
        page._reset(room)
        state = self._rooms.get(room)
        if state is not None:
            state.pages.discard(page)
            self._forget_if_unused(room, state)

    def close(self, page: Outbox) -> None:
        """The page has gone."""
        for room in tuple(page.rooms):
            self.unwatch(page, room)

    def _trim(self, room: str, state: _Room, key: str) -> None:
        kind, slash, _ = key.rpartition("/")
        limit = MAX_VALUES_KEPT.get(kind)
        if not slash or limit is None:
            return
        same = [each for each in state.values if each.startswith(f"{kind}/")]
        for old in same[: max(0, len(same) - limit)]:
            self.drop(room, old)

    def _forget_if_unused(self, room: str, state: _Room) -> None:
        if not state.values and not state.pages:
            self._rooms.pop(room, None)
