"""Rooms of keyed values, and the pages that watch them: snapshot first, then the latest of each key.

Called on the event loop only, never waits: a page that reads slowly costs a call nothing but one reference per key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from pydantic import BaseModel

KEPT = {"line": 40, "heard": 20, "notice/message": 6, "notice/answer": 6}
"""Newest values kept in a room of the keys that are this, a slash and one word more."""
OUTBOX_BYTES = 256 << 10
"""What a page may have waiting besides the snapshot it came for, in characters of JSON: a page that stopped reading
does not grow past it."""
BEAT = '{"type":"beat"}'


@dataclass(frozen=True, slots=True)
class _Value:
    message: BaseModel
    body: str
    """JSON, encoded once for all pages."""
    said: float
    """Reading of the hub's clock."""


class Outbox:
    """What one page has still to be sent: at most one frame per room and key, bounded in bytes."""

    __slots__ = (
        "_clock",
        "_delivered",
        "_limit",
        "_resets",
        "_said",
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
        """The bound was passed: nothing more is taken, the page must be closed (4408) and will come back."""
        self._clock = clock
        self._limit = limit
        self._size = 0
        self._snapshot = 0
        """Of the size, what a snapshot brought: a board of any number of calls can be joined."""
        self._said = ""
        self._resets: dict[str, None] = {}
        self._waiting: dict[tuple[str, str], _Value | None] = {}
        self._delivered: set[tuple[str, str]] = set()
        """Keys the page knows: only those are dropped by a frame, others are just taken back."""
        self._waiter: asyncio.Future[None] | None = None

    @property
    def ready(self) -> bool:
        """There is something to send, or the outbox is overfull."""
        return bool(self._waiting or self._resets or self._said or self.overfull)

    async def wait(self, seconds: float) -> bool:
        """Return when it is ready, or after so long; whether it is ready. For one waiter."""
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
        if self._said:
            frames.append(self._said)
            self._said = ""
        for place, value in self._waiting.items():
            room, key = json.dumps(place[0]), json.dumps(place[1])
            if value is None:
                self._delivered.discard(place)
                frames.append(f'{{"type":"drop","room":{room},"key":{key}}}')
            else:
                self._delivered.add(place)
                age = max(0, round((now - value.said) * 1000))
                frames.append(f'{{"type":"set","room":{room},"key":{key},"age":{age},"body":{value.body}}}')
        self._resets = {}
        self._waiting = {}
        self._size = self._snapshot = 0
        return f"[{','.join(frames) or BEAT}]"

    def say(self, frame: str) -> None:
        """A frame for this page alone, outside any room; the last one said wins."""
        self._said = frame
        self._wake()

    def _put(self, room: str, key: str, value: _Value | None) -> None:
        if self.overfull:
            return
        place = (room, key)
        before = self._waiting.get(place)
        self._size -= len(before.body) if before is not None else 0
        if value is None and place not in self._delivered:
            self._waiting.pop(place, None)
            return
        self._waiting[place] = value
        self._size += len(value.body) if value is not None else 0
        if self._size > self._limit + self._snapshot:
            self.overfull = True
            self._waiting = {}
        self._wake()

    def _reset(self, room: str) -> None:
        self._resets[room] = None
        self._delivered = {place for place in self._delivered if place[0] != room}
        for place in [place for place in self._waiting if place[0] == room]:
            value = self._waiting.pop(place)
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
        place = self._rooms.setdefault(room, _Room())
        body = message.model_dump_json()
        before = place.values.get(key)
        if before is not None and before.body == body:
            return
        value = _Value(message, body, self._clock())
        place.values[key] = value
        for page in place.pages:
            page._put(room, key, value)
        if before is None:
            self._trim(room, place, key)

    def drop(self, room: str, key: str) -> None:
        """Take `key` away; nothing happens where it is not there."""
        place = self._rooms.get(room)
        if place is None or place.values.pop(key, None) is None:
            return
        for page in place.pages:
            page._put(room, key, None)
        self._sweep(room, place)

    def clear(self, room: str) -> None:
        """Take every key away: the next call of an agent begins with an empty room."""
        for key in self.snapshot(room):
            self.drop(room, key)

    def snapshot(self, room: str) -> dict[str, str]:
        """The values of a room by key, each as JSON, in the order in which the keys came."""
        place = self._rooms.get(room)
        return {key: value.body for key, value in place.values.items()} if place else {}

    def latest(self, room: str, key: str) -> BaseModel | None:
        """The value of one key as it was shown, or None."""
        place = self._rooms.get(room)
        value = place.values.get(key) if place else None
        return value.message if value else None

    def open(self, *rooms: str, limit: int = OUTBOX_BYTES) -> Outbox:
        """An outbox for a page that has come, with the snapshots of its rooms in it."""
        page = Outbox(self._clock, limit)
        for room in rooms:
            self.watch(page, room)
        return page

    def watch(self, page: Outbox, room: str) -> None:
        """The page sees this room too: its snapshot first, then what comes."""
        place = self._rooms.setdefault(room, _Room())
        place.pages.add(page)
        page.rooms.add(room)
        page._reset(room)
        page._snapshot += sum(len(value.body) for value in place.values.values())
        for key, value in place.values.items():
            page._put(room, key, value)

    def unwatch(self, page: Outbox, room: str) -> None:
        """The page no longer sees this room."""
        page.rooms.discard(room)
        page._reset(room)
        place = self._rooms.get(room)
        if place is not None:
            place.pages.discard(page)
            self._sweep(room, place)

    def close(self, page: Outbox) -> None:
        """The page has gone."""
        for room in tuple(page.rooms):
            self.unwatch(page, room)

    def _trim(self, room: str, place: _Room, key: str) -> None:
        kind, slash, _ = key.rpartition("/")
        limit = KEPT.get(kind)
        if not slash or limit is None:
            return
        same = [each for each in place.values if each.startswith(f"{kind}/")]
        for old in same[: max(0, len(same) - limit)]:
            self.drop(room, old)

    def _sweep(self, room: str, place: _Room) -> None:
        if not place.values and not place.pages:
            self._rooms.pop(room, None)
