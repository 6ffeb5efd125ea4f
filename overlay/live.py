"""The websocket of an open page: ticket, rooms out, actions in; slow pages and those that may not stay are closed."""

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
from overlay.doing import AGENT_ACTIONS, DO, SUPERVISOR_ACTIONS, Do, DoAlert, DoNote, DoPrompt, DoWatch, DoWrapUp
from overlay.errors import OverlayError
from overlay.guard import body_of, error_line, peer_of
from overlay.hub import BEAT, Hub, Outbox
from overlay.identity import Grant, Identity, Tickets
from overlay.messages import Call, Ended
from overlay.records import RecordNote, Records

TICKET_WAIT_S = 5.0
MAX_ACTIONS_PER_SECOND = 50
"""A page that sends more than any pair of hands can do is closed (4429)."""
MAX_PAGES_PER_PERSON = 20
"""Open pages of one logged-in person; one more is closed (4429)."""
RECONNECT_MS_PER_PAGE, RECONNECT_MIN_MS, RECONNECT_MAX_MS = 10, 500, 10_000
"""Pages that lose the server reconnect at a random moment within this time: 10 ms for each open page."""

log = logging.getLogger(__name__)

ActionHandler = Callable[[Identity, Do], Awaitable[None]]
"""Carries out what a person does on a page. Must be quick: the page's next message is read after it returns. The text
of an OverlayError it raises is shown on that page."""
Presence = Callable[[Identity, str, bool], None]
"""Called as (who, room, here) when a page opens (True) or closes (False) a room; must be quick."""


class _TicketRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")
    page: str = Field(pattern="^(agent|board)$")
    who: str = Field("", max_length=120)


class _TicketMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ticket: str = Field(max_length=200)


class _Numbered(BaseModel):
    """Of an action as it was sent, the number alone."""

    n: int = 0


class Live:
    """The endpoints of live pages."""

    def __init__(
        self, hub: Hub, on_action: ActionHandler, records: Records | None, access: Access, presence: Presence
    ) -> None:
        self._hub = hub
        self._on_action = on_action
        self._records = records
        self._access = access
        self._presence = presence
        self._tickets = Tickets()
        self._pages: Counter[str] = Counter()

    async def ticket(self, request: Request) -> Response:
        """POST /api/ticket."""
        asked = _TicketRequest.model_validate_json(await body_of(request))
        sessions = self._access.sessions
        session = sessions.key(self._access.token(request.headers)) if sessions is not None else ""
        grant = self._access.admit(request.state.who, asked.page, asked.who.strip(), session)
        return JSONResponse({"ticket": self._tickets.issue(grant)})

    async def socket(self, socket: WebSocket) -> None:
        """WS /live."""
        await socket.accept()
        grant = await self._redeem_ticket(socket)
        if grant is None:
            await _close(socket, 4401)
            return
        who = grant.identity.who
        if not self._access.open and self._pages[who] >= MAX_PAGES_PER_PERSON:
            await _close(socket, 4429)
            return
        self._pages[who] += 1
        self._presence(grant.identity, grant.room, True)
        page = self._hub.open(grant.room)
        socket.scope["headers"].clear()  # not read any more: memory, with a thousand open pages
        sending = asyncio.create_task(self._send(socket, page, grant))
        receiving = asyncio.create_task(self._receive(socket, page, grant))
        try:
            await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            rooms = set(page.rooms)
            self._hub.close(page)
            self._presence(grant.identity, grant.room, False)
            self._pages[who] -= 1
            if not self._pages[who]:
                del self._pages[who]
            for task in (sending, receiving):
                task.cancel()
            ended = await asyncio.gather(sending, receiving, return_exceptions=True)
            await self._stop_reading(grant.identity, rooms)
        code = next((each for each in ended if isinstance(each, int)), 1011)
        if code:
            await _close(socket, code)

    async def _redeem_ticket(self, socket: WebSocket) -> Grant | None:
        """The grant of the ticket the page sends first; None if there is none in time, or somebody else fetched it."""
        try:
            async with asyncio.timeout(TICKET_WAIT_S):
                sent = _TicketMessage.model_validate_json(await socket.receive_text())
        except (TimeoutError, ValidationError, WebSocketDisconnect, KeyError):
            return None
        grant = self._tickets.redeem(sent.ticket)
        if grant is None or self._access.open:
            return grant
        same = self._access.identity(socket.headers, peer_of(socket)) == grant.identity
        return grant if same and self._access.is_valid(grant) else None

    async def _send(self, socket: WebSocket, page: Outbox, grant: Grant) -> int:
        """Send until the page is too slow or may no longer stay; returns the code to close it with."""
        settings = self._access.settings
        loop = asyncio.get_running_loop()
        proxy_login_until = loop.time() + settings.proxy_login_s if settings.identify is not None else float("inf")
        hello = {
            "type": "hello",
            "who": grant.identity.who,
            "role": grant.identity.role,
            "room": grant.room,
            "beat_ms": round(settings.beat_s * 1000),
            "again_ms": min(RECONNECT_MAX_MS, max(RECONNECT_MIN_MS, RECONNECT_MS_PER_PAGE * self._pages.total())),
        }
        text = f"[{json.dumps(hello)}]"
        while True:
            try:
                async with asyncio.timeout(settings.send_timeout_s):
                    await socket.send_text(text)
            except TimeoutError:
                return 4408
            except (WebSocketDisconnect, RuntimeError):
                return 0
            text = "" if await page.wait(settings.beat_s) else f"[{BEAT}]"
            if self._is_on_call(grant):
                self._touch(grant, watching=grant.room == "board")
            if not self._access.is_valid(grant):
                return 4401
            if loop.time() > proxy_login_until:
                return 1012
            if page.overfull:
                return 4408
            text = text or page.take()

    async def _receive(self, socket: WebSocket, page: Outbox, grant: Grant) -> int:
        """Carry out what the page sends; returns the code to close it with, 0 when the page has closed."""
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
            if count > MAX_ACTIONS_PER_SECOND:
                return 4429
            if not self._access.is_valid(grant):
                return 4401
            try:
                do = DO.validate_json(text)
                self._check_permitted(grant, do)
                by_itself = isinstance(do, DoPrompt | DoAlert) and do.what == "seen"
                if not by_itself:
                    self._touch(grant)
                if isinstance(do, DoWatch):
                    await self._watch(page, grant, do)
                else:
                    await self._carry_out(grant, do)
            except (ValidationError, OverlayError) as error:
                page.send_direct(_refused(text, error_line(error)))
            except Exception as error:  # the page stays open: the call's own state is not the page's to end
                log.error("the action handler failed on %s: %s", type(do).__name__, type(error).__name__)
                page.send_direct(_refused(text, "That did not work; it has been logged."))

    async def _carry_out(self, grant: Grant, do: Do) -> None:
        """Pass the action on; a note on a call that is over goes to its record instead."""
        ended = self._hub.latest(grant.room, "ended")
        if isinstance(do, DoNote) and isinstance(ended, Ended) and self._records is not None:
            await self._records.note(grant.identity, ended.record, RecordNote(kind="comment", text=do.text))
            return
        await self._on_action(grant.identity, do)

    def _check_permitted(self, grant: Grant, do: Do) -> None:
        """Raises OverlayError (forbidden, call-over) where this page may not do that: boards send supervisors' actions,
        agents' pages those of agents, and only on the call they show.
        """
        if grant.room == "board":
            if not isinstance(do, SUPERVISOR_ACTIONS):
                raise OverlayError("forbidden", "That is done on the agent's own screen.")
            return
        if not isinstance(do, AGENT_ACTIONS):
            raise OverlayError("forbidden", "That is done on the supervisor's board.")
        if isinstance(do, DoWrapUp):  # also of an earlier call: the action handler checks whose it was
            return
        current = self._hub.latest(grant.room, "call")
        if not isinstance(current, Call) or not current.call or current.call != do.call:
            raise OverlayError("call-over", "That call is no longer on this screen.")

    async def _watch(self, page: Outbox, grant: Grant, do: DoWatch) -> None:
        """A board reads one call along at a time; the action handler is told once of each begin and end."""
        asked = {f"call/{do.call}"}
        read = {room for room in page.rooms if room.startswith("call/")}
        over = read - asked if do.on else read & asked
        for room in over:
            self._hub.unwatch(page, room)
        await self._stop_reading(grant.identity, over)
        if do.on and not asked <= read:
            self._hub.watch(page, f"call/{do.call}")
            await self._on_action(grant.identity, do)

    def _is_on_call(self, grant: Grant) -> bool:
        """Whether the page shows a live call."""
        if grant.room == "board":
            return any(key.startswith("row/") for key in self._hub.snapshot("board"))
        call = self._hub.latest(grant.room, "call")
        return isinstance(call, Call) and call.state == "live"

    def _touch(self, grant: Grant, *, watching: bool = False) -> None:
        if grant.session and self._access.sessions is not None:
            self._access.sessions.touch(grant.session, watching=watching)

    async def _stop_reading(self, who: Identity, rooms: set[str]) -> None:
        for room in rooms:
            if room.startswith("call/"):
                try:
                    await self._on_action(who, DoWatch(do="watch", call=room.removeprefix("call/"), on=False))
                except Exception as error:  # the page is closed: nobody is left to tell
                    log.warning("the action handler failed on the end of reading along: %s", type(error).__name__)


def _refused(action: str, why: str) -> str:
    """The frame that says why an action, given as it was sent, is not carried out."""
    try:
        number = _Numbered.model_validate_json(action).n
    except ValidationError:
        number = 0
    return json.dumps({"type": "refused", "n": number, "text": why})


async def _close(socket: WebSocket, code: int) -> None:
    try:
        async with asyncio.timeout(2):
            await socket.close(code)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return
