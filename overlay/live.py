"""The live websocket of a page: a ticket, its rooms, what the person does; slow and expired pages are closed."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from overlay.access import Access
from overlay.doing import AGENT_DOES, DO, SUPERVISOR_DOES, Do, DoAlert, DoNote, DoPrompt, DoWatch, DoWrapUp
from overlay.errors import OverlayError
from overlay.guard import body_of, line, peer_of
from overlay.hub import BEAT, Hub, Outbox
from overlay.identity import Identity, Pass, Tickets
from overlay.messages import Call, Ended
from overlay.records import RecordNote, Records

TICKET_WAIT_S = 5.0
DOES_PER_SECOND = 50
"""More from one page than any pair of hands can do: it is closed (4429)."""
PAGES_OF_ONE = 20
"""Open pages of one person who has logged in; the next one is closed (4429)."""
AGAIN_EACH_MS, AGAIN_LEAST_MS, AGAIN_MOST_MS = 10, 500, 10_000
"""Pages that lose the server come back at a random moment within so long: 10 ms for each open page."""

log = logging.getLogger(__name__)

Desk = Callable[[Identity, Do], Awaitable[None]]
"""Where what people do at the screens goes. Must be quick: one page's next message is read after it. An OverlayError it
raises is shown on that page as its text."""
Presence = Callable[[Identity, str, bool], None]
"""Told when a page comes to a room (True) and when it goes (False); must be quick."""


class _TicketAsk(BaseModel):
    model_config = ConfigDict(extra="forbid")
    page: str = Field(pattern="^(agent|board)$")
    who: str = Field("", max_length=120)


class _TicketSent(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ticket: str = Field(max_length=200)


class Live:
    """The endpoints of live pages."""

    def __init__(self, hub: Hub, desk: Desk, records: Records | None, access: Access, presence: Presence) -> None:
        self._hub = hub
        self._desk = desk
        self._records = records
        self._access = access
        self._presence = presence
        self._tickets = Tickets()
        self._pages: Counter[str] = Counter()

    async def ticket(self, request: Request) -> Response:
        """POST /api/ticket."""
        ask = _TicketAsk.model_validate_json(await body_of(request))
        sessions = self._access.sessions
        session = sessions.key(self._access.token(request.headers)) if sessions is not None else ""
        entry = self._access.admit(request.state.who, ask.page, ask.who.strip(), session)
        return JSONResponse({"ticket": self._tickets.issue(entry)})

    async def socket(self, socket: WebSocket) -> None:
        """WS /live."""
        await socket.accept()
        entry = await self._entry(socket)
        if entry is None:
            await _close(socket, 4401)
            return
        who = entry.identity.who
        if not self._access.open and self._pages[who] >= PAGES_OF_ONE:
            await _close(socket, 4429)
            return
        self._pages[who] += 1
        self._presence(entry.identity, entry.room, True)
        page = self._hub.open(entry.room)
        socket.scope["headers"].clear()  # a thousand open pages: nobody asks for them any more
        sending = asyncio.create_task(self._send(socket, page, entry))
        receiving = asyncio.create_task(self._receive(socket, page, entry))
        try:
            await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            rooms = set(page.rooms)
            self._hub.close(page)
            self._presence(entry.identity, entry.room, False)
            self._pages[who] -= 1
            if not self._pages[who]:
                del self._pages[who]
            for task in (sending, receiving):
                task.cancel()
            ended = await asyncio.gather(sending, receiving, return_exceptions=True)
            await self._stop_reading(entry.identity, rooms)
        code = next((each for each in ended if isinstance(each, int)), 1011)
        if code:
            await _close(socket, code)

    async def _entry(self, socket: WebSocket) -> Pass | None:
        """What the ticket stands for, if it is spent by whoever fetched it."""
        try:
            async with asyncio.timeout(TICKET_WAIT_S):
                sent = _TicketSent.model_validate_json(await socket.receive_text())
        except (TimeoutError, ValidationError, WebSocketDisconnect, KeyError):
            return None
        entry = self._tickets.spend(sent.ticket)
        if entry is None or self._access.open:
            return entry
        same = self._access.identity(socket.headers, peer_of(socket)) == entry.identity
        return entry if same and self._access.still(entry) else None

    async def _send(self, socket: WebSocket, page: Outbox, entry: Pass) -> int:
        """Send until the page is too slow or may no longer stay; the code to close it with."""
        settings = self._access.settings
        loop = asyncio.get_running_loop()
        vouched_until = loop.time() + settings.vouched_s if settings.identify is not None else float("inf")
        hello = {
            "type": "hello",
            "who": entry.identity.who,
            "role": entry.identity.role,
            "room": entry.room,
            "beat_ms": round(settings.beat_s * 1000),
            "again_ms": min(AGAIN_MOST_MS, max(AGAIN_LEAST_MS, AGAIN_EACH_MS * self._pages.total())),
        }
        text = f"[{json.dumps(hello)}]"
        while True:
            try:
                async with asyncio.timeout(settings.send_limit_s):
                    await socket.send_text(text)
            except TimeoutError:
                return 4408
            except (WebSocketDisconnect, RuntimeError):
                return 0
            text = "" if await page.wait(settings.beat_s) else f"[{BEAT}]"
            if self._is_on_a_call(page, entry):
                self._touch(entry)
            if not self._access.still(entry):
                return 4401
            if loop.time() > vouched_until:
                return 1012
            if page.overfull:
                return 4408
            text = text or page.take()

    async def _receive(self, socket: WebSocket, page: Outbox, entry: Pass) -> int:
        """Take what the page sends until it goes; the code to close it with, 0 where it has gone."""
        loop = asyncio.get_running_loop()
        second, count = loop.time(), 0
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return 0
            text = message.get("text")
            if text is None:
                return 1003
            if loop.time() - second >= 1:
                second, count = loop.time(), 0
            count += 1
            if count > DOES_PER_SECOND:
                return 4429
            if not self._access.still(entry):
                return 4401
            try:
                do = DO.validate_json(text)
                self._permit(entry, do)
                if not (isinstance(do, DoPrompt | DoAlert) and do.what == "seen"):  # pages say that by themselves
                    self._touch(entry)
                if isinstance(do, DoWatch):
                    await self._watch(page, entry, do)
                else:
                    await self._do(entry, do)
            except (ValidationError, OverlayError) as error:
                page.say(json.dumps({"type": "refused", "text": line(error)}))
            except Exception as error:  # the page stays open: the call's own state is not the page's to end
                log.error("the desk failed on %s: %s", type(do).__name__, type(error).__name__)
                page.say(json.dumps({"type": "refused", "text": "That did not work; it has been logged."}))

    async def _do(self, entry: Pass, do: Do) -> None:
        """To the desk; a note on a call that is over goes to its record."""
        ended = self._hub.latest(entry.room, "ended")
        if isinstance(do, DoNote) and isinstance(ended, Ended) and self._records is not None:
            await self._records.note(entry.identity, ended.record, RecordNote(kind="comment", text=do.text))
            return
        await self._desk(entry.identity, do)

    def _permit(self, entry: Pass, do: Do) -> None:
        """Identity decides what may be done, and an agent's page acts on that agent's call only."""
        if entry.room == "board":
            if not isinstance(do, SUPERVISOR_DOES):
                raise OverlayError("forbidden", "That is done on the agent's own screen.")
            return
        if not isinstance(do, AGENT_DOES):
            raise OverlayError("forbidden", "That is done on the supervisor's board.")
        if isinstance(do, DoWrapUp):  # also of the call before this one: the desk sees whose it was
            return
        current = self._hub.latest(entry.room, "call")
        if not isinstance(current, Call) or not current.call or current.call != do.call:
            raise OverlayError("call-over", "That call is no longer on this screen.")

    async def _watch(self, page: Outbox, entry: Pass, do: DoWatch) -> None:
        """A board reads one call at a time; whichever it begins or stops reading, the desk is told once."""
        asked = {f"call/{do.call}"}
        read = {room for room in page.rooms if room.startswith("call/")}
        over = read - asked if do.on else read & asked
        for room in over:
            self._hub.unwatch(page, room)
        await self._stop_reading(entry.identity, over)
        if do.on and not asked <= read:
            self._hub.watch(page, f"call/{do.call}")
            await self._desk(entry.identity, do)

    def _is_on_a_call(self, page: Outbox, entry: Pass) -> bool:
        """An agent with a live call, or a supervisor reading one along."""
        rooms = [room for room in page.rooms if room.startswith("call/")] if entry.room == "board" else [entry.room]
        calls = (self._hub.latest(room, "call") for room in rooms)
        return any(isinstance(call, Call) and call.state == "live" for call in calls)

    def _touch(self, entry: Pass) -> None:
        if entry.session and self._access.sessions is not None:
            self._access.sessions.touch(entry.session)

    async def _stop_reading(self, who: Identity, rooms: set[str]) -> None:
        for room in rooms:
            if room.startswith("call/"):
                try:
                    await self._desk(who, DoWatch(do="watch", call=room.removeprefix("call/"), on=False))
                except Exception as error:  # the page has gone: nobody is left to tell
                    log.warning("the desk did not take the end of a reading: %s", type(error).__name__)


async def _close(socket: WebSocket, code: int) -> None:
    try:
        async with asyncio.timeout(2):
            await socket.close(code)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return
