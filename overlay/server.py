"""The screens over HTTP and websockets on one port: pages, live messages, records. The one door to Starlette."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from overlay.errors import OverlayError
from overlay.hub import BEAT, Hub, Outbox
from overlay.identity import Identity, Pass, ScreenSettings, Tickets, admit, is_known_host, is_own_origin, reviewer
from overlay.messages import (
    AGENT_DOES,
    DO,
    SUPERVISOR_DOES,
    Call,
    Do,
    DoNote,
    DoWatch,
    DoWrapUp,
    Ended,
    schema,
)
from overlay.records import Answer, Filters, Mark, RecordNote, Records, RecordSummary, RecordView, TrendsAsked

STATIC = Path(__file__).parent / "static"
TICKET_WAIT_S = 5.0
DOES_PER_SECOND = 50
"""More from one page than any pair of hands can do: it is closed (4429)."""
BODY_BYTES = 65_536
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
RECORD_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"
"""For a record as one self-contained page: its own style and nothing else, no scripts at all."""
STATUS = {"login-needed": 401, "forbidden": 403, "record-unknown": 404, "records-missing": 404, "sound-missing": 404}

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


_SUMMARIES = TypeAdapter(list[RecordSummary])


def create_app(
    hub: Hub,
    desk: Desk,
    records: Records | None = None,
    settings: ScreenSettings | None = None,
    presence: Presence = lambda who, room, here: None,
) -> Starlette:
    """The application; serve it with overlay.listening.

    Args:
        hub: What the pages show.
        desk: What people do goes here.
        records: Finished calls; None: the review page says that there are none.
        settings: Names, login, heartbeat.
        presence: Told who comes and goes.
    """
    chosen = settings or ScreenSettings()
    screens = _Screens(hub, desk, records, chosen, presence)
    routes = [
        Route("/", _page("home.html")),
        Route("/agent", _page("agent.html")),
        Route("/agent/{agent}", _page("agent.html")),
        Route("/board", _page("board.html")),
        Route("/review", _page("review.html")),
        Route("/review/{record}", _page("review.html")),
        Route("/api/ticket", screens.ticket, methods=["POST"]),
        Route("/api/schema", screens.schema),
        Route("/api/trends", screens.trends),
        Route("/api/records", screens.search),
        Route("/api/records/{record}", screens.record),
        Route("/api/records/{record}/html", screens.html),
        Route("/api/records/{record}/export", screens.export),
        Route("/api/records/{record}/sound", screens.sound),
        Route("/api/records/{record}/marks", screens.mark, methods=["POST"]),
        Route("/api/records/{record}/answers", screens.answer, methods=["POST"]),
        Route("/api/records/{record}/notes", screens.note, methods=["POST"]),
        WebSocketRoute("/live", screens.live),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: Any = {OverlayError: _refused, ValidationError: _invalid}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.settings = chosen
    app.add_middleware(_Guard, settings=chosen)
    return app


def _page(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

    return endpoint


async def _refused(request: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, OverlayError) else "refused"
    return JSONResponse({"code": code, "text": str(error)}, STATUS.get(code, 400))


async def _invalid(request: Request, error: Exception) -> Response:
    return JSONResponse({"code": "invalid", "text": _line(error)}, 400)


def _line(error: Exception) -> str:
    """What was wrong with a message, in one line without its content."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"Not understood: {place or 'message'}: {first['msg']}"
    return str(error)


class _Guard:
    """Known host names only, own origin only where something changes, and the headers every answer carries."""

    def __init__(self, app: ASGIApp, settings: ScreenSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if not is_known_host(self.settings, host) or (changes and not is_own_origin(headers.get("origin"), host)):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 4403})
            else:
                await PlainTextResponse("This address or origin is not served here.", 403)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                for name, value in _HEADERS:
                    if name not in given:
                        message["headers"].append((name, value))
            await send(message)

        await self.app(scope, receive, guarded)


_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-cache"),
]


class _Screens:
    """The endpoints."""

    def __init__(
        self, hub: Hub, desk: Desk, records: Records | None, settings: ScreenSettings, presence: Presence
    ) -> None:
        self.hub = hub
        self.presence = presence
        self.desk = desk
        self.settings = settings
        self.tickets = Tickets()
        self._records = records

    # ---- live ----

    async def ticket(self, request: Request) -> Response:
        ask = _TicketAsk.model_validate_json(await _body(request))
        entry = admit(self.settings, request.headers, ask.page, ask.who.strip())
        return JSONResponse({"ticket": self.tickets.issue(entry)})

    async def live(self, socket: WebSocket) -> None:
        await socket.accept()
        entry = await self._entry(socket)
        if entry is None:
            await _close(socket, 4401)
            return
        self.presence(entry.identity, entry.room, True)
        page = self.hub.open(entry.room)
        sending = asyncio.create_task(self._send(socket, page, entry))
        receiving = asyncio.create_task(self._receive(socket, page, entry))
        try:
            await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            rooms = set(page.rooms)
            self.hub.close(page)
            self.presence(entry.identity, entry.room, False)
            for task in (sending, receiving):
                task.cancel()
            ended = await asyncio.gather(sending, receiving, return_exceptions=True)
            await self._stop_reading(entry.identity, rooms)
        code = next((each for each in ended if isinstance(each, int)), 1011)
        if code:
            await _close(socket, code)

    async def _entry(self, socket: WebSocket) -> Pass | None:
        try:
            async with asyncio.timeout(TICKET_WAIT_S):
                sent = _TicketSent.model_validate_json(await socket.receive_text())
        except (TimeoutError, ValidationError, WebSocketDisconnect, KeyError):
            return None
        return self.tickets.spend(sent.ticket)

    async def _send(self, socket: WebSocket, page: Outbox, entry: Pass) -> int:
        """Send until the page is too slow; the code to close it with."""
        hello = {
            "type": "hello",
            "who": entry.identity.who,
            "role": entry.identity.role,
            "room": entry.room,
            "beat_ms": round(self.settings.beat_s * 1000),
        }
        text = f"[{json.dumps(hello)}]"
        while True:
            try:
                async with asyncio.timeout(self.settings.send_limit_s):
                    await socket.send_text(text)
            except TimeoutError:
                return 4408
            except (WebSocketDisconnect, RuntimeError):
                return 0
            try:
                async with asyncio.timeout(self.settings.beat_s):
                    await page.wait()
            except TimeoutError:
                text = f"[{BEAT}]"
                continue
            if page.overfull:
                return 4408
            text = page.take()

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
            try:
                do = DO.validate_json(text)
                self._permit(entry, do)
                if isinstance(do, DoWatch):
                    self._watch(page, do)
                await self._do(entry, do)
            except (ValidationError, OverlayError) as error:
                page.say(json.dumps({"type": "refused", "text": _line(error)}))
            except Exception as error:  # the page stays open: the call's own state is not the page's to end
                log.error("the desk failed on %s: %s", type(do).__name__, type(error).__name__)
                page.say(json.dumps({"type": "refused", "text": "That did not work; it has been logged."}))

    async def _do(self, entry: Pass, do: Do) -> None:
        """To the desk; a note on a call that is over goes to its record."""
        ended = self.hub.latest(entry.room, "ended")
        if isinstance(do, DoNote) and isinstance(ended, Ended) and self._records is not None:
            await self._records.note(entry.identity, ended.record, RecordNote(kind="comment", text=do.text))
            return
        await self.desk(entry.identity, do)

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
        current = self.hub.latest(entry.room, "call")
        if not isinstance(current, Call) or not current.call or current.call != do.call:
            raise OverlayError("call-over", "That call is no longer on this screen.")

    def _watch(self, page: Outbox, do: DoWatch) -> None:
        """A board reads one call at a time."""
        for room in [room for room in page.rooms if room.startswith("call/")]:
            if not do.on or room != f"call/{do.call}":
                self.hub.unwatch(page, room)
        if do.on and f"call/{do.call}" not in page.rooms:
            self.hub.watch(page, f"call/{do.call}")

    async def _stop_reading(self, who: Identity, rooms: set[str]) -> None:
        for room in rooms:
            if room.startswith("call/"):
                try:
                    await self.desk(who, DoWatch(do="watch", call=room.removeprefix("call/"), on=False))
                except Exception as error:  # the page has gone: nobody is left to tell
                    log.warning("the desk did not take the end of a reading: %s", type(error).__name__)

    # ---- records ----

    async def schema(self, request: Request) -> Response:
        return JSONResponse(schema())

    async def search(self, request: Request) -> Response:
        who, records = self._reader(request)
        filters = Filters.model_validate(dict(request.query_params))
        if who.role == "agent":
            filters = filters.model_copy(update={"agent": who.who})
        found = await records.search(who, filters)
        return Response(_SUMMARIES.dump_json(found), media_type="application/json")

    async def record(self, request: Request) -> Response:
        return Response((await self._view(request)).model_dump_json(), media_type="application/json")

    async def export(self, request: Request) -> Response:
        view = await self._view(request)
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in view.id)
        headers = {"Content-Disposition": f'attachment; filename="call-{name}.json"'}
        return JSONResponse(view.record, headers=headers)

    async def html(self, request: Request) -> Response:
        who, records = self._reader(request)
        if who.role == "agent":
            await self._view(request)
        text = await records.html(who, request.path_params["record"])
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": RECORD_POLICY})

    async def mark(self, request: Request) -> Response:
        who, records = self._reader(request)
        if who.role == "agent":
            raise OverlayError("forbidden", "Marks are a reviewer's; add a note instead.")
        await records.mark(who, request.path_params["record"], Mark.model_validate_json(await _body(request)))
        return Response(status_code=204)

    async def answer(self, request: Request) -> Response:
        who, records = self._reader(request)
        if who.role == "agent":
            raise OverlayError("forbidden", "The form is a reviewer's; add a note instead.")
        given = Answer.model_validate_json(await _body(request))
        await records.answer(who, request.path_params["record"], given)
        return Response(status_code=204)

    async def sound(self, request: Request) -> Response:
        who, records = self._reader(request)
        if who.role == "agent":
            await self._view(request)
        sound, kind = await records.sound(who, request.path_params["record"])
        return _ranged(sound, kind, request.headers.get("range", ""))

    async def trends(self, request: Request) -> Response:
        who, records = self._reader(request)
        if who.role == "agent":
            raise OverlayError("forbidden", "Trends are over all calls, for reviewers and supervisors.")
        asked = TrendsAsked.model_validate(dict(request.query_params))
        return Response((await records.trends(who, asked)).model_dump_json(), media_type="application/json")

    async def note(self, request: Request) -> Response:
        who, records = self._reader(request)
        note = RecordNote.model_validate_json(await _body(request))
        if who.role == "agent":
            await self._view(request)
        await records.note(who, request.path_params["record"], note)
        return Response(status_code=204)

    async def _view(self, request: Request) -> RecordView:
        """The record asked for; an agent sees that agent's own."""
        who, records = self._reader(request)
        view = await records.get(who, request.path_params["record"])
        if who.role == "agent" and view.record.get("agent") != who.who:
            raise OverlayError("record-unknown", "There is no such record; choose one from the list.")
        return view

    def _reader(self, request: Request) -> tuple[Identity, Records]:
        who = reviewer(self.settings, request.headers)
        if self._records is None:
            raise OverlayError("records-missing", "No records are kept here; start with a data folder.")
        return who, self._records


def _ranged(content: bytes, kind: str, asked: str) -> Response:
    """The part of `content` a player asks for (one range, RFC 9110), so that it can jump without reading it all."""
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    if match is None or not any(match.groups()):
        return Response(content, media_type=kind, headers=headers)
    first, last = match.groups()
    start = int(first) if first else max(0, len(content) - int(last))
    end = min(int(last), len(content) - 1) if first and last else len(content) - 1
    if start > end:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
    return Response(content[start : end + 1], 206, media_type=kind, headers=headers)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            raise OverlayError("too-large", "At most 64 KiB can be sent at once.")
        parts.append(part)
    return b"".join(parts)


async def _close(socket: WebSocket, code: int) -> None:
    try:
        async with asyncio.timeout(2):
            await socket.close(code)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return
