"""Before every endpoint: host, origin, request rate and role are checked; after it: the headers of every answer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from overlay.access import GATE_PATH, ROUTES, WITHOUT_LOGIN, Access, roles_of
from overlay.errors import OverlayError
from overlay.identity import Identity, is_cross_site, is_known_host, is_own_origin
from overlay.rates import REQUESTS_A_SECOND, Rates

STATIC = Path(__file__).parent / "static"
LIVE_PATH = "/live"
TICKET_ROUTE = "POST /api/ticket"
"""An open page fetches this by itself whenever it reconnects: no activity of a person, as all other requests are."""
MAX_BODY_BYTES = 65_536
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; "
    "media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
STATUS_OF_CODE = {
    "too-large": 413,
    "login-needed": 401,
    "not-vouched": 401,
    "key-needed": 401,
    "forbidden": 403,
    "marked-since": 409,
    "call-unknown": 404,
    "record-unknown": 404,
    "records-missing": 404,
    "sound-missing": 404,
    "view-unknown": 404,
}
HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-cache"),
]

Endpoint = Callable[[Request], Awaitable[Response]]


class DeclaredRoute(Route):
    """A route of overlay.access.ROUTES: its endpoint is reached by the roles of the table only."""


def route(access: Access, route_name: str, endpoint: Endpoint, *, page: bool = False) -> DeclaredRoute:
    """A route of `overlay.access.ROUTES`, such as "GET /board". A `page` redirects to the login if nobody is logged in.

    Raises:
        OverlayError: route-undeclared.
    """
    roles = roles_of(route_name)
    method, _, path = route_name.partition(" ")

    async def authorised(request: Request) -> Response:
        identity = access.identity(request.headers, peer_of(request))
        if roles != WITHOUT_LOGIN and not access.open:
            if identity is None:
                if page and access.sessions is not None:
                    return RedirectResponse(f"/login?next={quote(_as_asked(request))}", 303)
                raise access.not_logged_in
            if identity.role not in roles:
                raise OverlayError("forbidden", f"This is not for the role {identity.role}; ask an admin for another.")
        if access.sessions is not None and route_name != TICKET_ROUTE:
            access.sessions.touch(access.sessions.key(access.token(request.headers)))
        request.state.who = identity
        return await endpoint(request)

    return DeclaredRoute(path, authorised, methods=[method])


def _as_asked(request: Request) -> str:
    """The path with its query, as the browser sent them."""
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("ascii", "replace")


def check_declared(routes: Iterable[BaseRoute]) -> None:
    """Check that every route is in the table and declared by `route`, and that every row is served.

    Raises:
        OverlayError: route-undeclared, naming the first one.
    """
    found = {f"WS {LIVE_PATH}"}
    for each in routes:
        if isinstance(each, Mount):
            route_name = f"GET {each.path}"
        elif isinstance(each, DeclaredRoute):
            route_name = f"{next(iter((each.methods or set()) - {'HEAD'}))} {each.path}"
        else:
            route_name = f"{getattr(each, 'path', each)} (not a declared route)"
        roles_of(route_name)
        found.add(route_name)
    for route_name in ROUTES.keys() - found:
        raise OverlayError("route-undeclared", f"{route_name} stands in overlay.access.ROUTES and is not served.")


def peer_of(connection: HTTPConnection) -> str:
    """The address of the peer; of a proxy, if there is one in front."""
    return connection.client.host if connection.client is not None else ""


def person_of(request: Request, otherwise: str) -> Identity:
    """Who sends the request; where no login is set up, a reviewer of the name `otherwise`."""
    who: Identity | None = request.state.who
    return who if who is not None else Identity(otherwise, "qa")


def static_page(name: str) -> Endpoint:
    """An endpoint that answers with a file of the pages."""

    async def endpoint(request: Request) -> Response:
        return FileResponse(STATIC / name)

    return endpoint


async def body_of(request: Request) -> bytes:
    """The body, at most 64 KiB.

    Raises:
        OverlayError: too-large; cut-off, when the client has gone, so that nobody reads the answer.
    """
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise OverlayError("too-large", "At most 64 KiB can be sent at once.")
            parts.append(part)
    except ClientDisconnect:
        raise OverlayError("cut-off", "Only a part of what was to be sent has come.") from None
    return b"".join(parts)


async def refused(request: Request, error: Exception) -> Response:
    """An OverlayError as JSON, with its status."""
    code = error.code if isinstance(error, OverlayError) else "refused"
    return JSONResponse({"code": code, "text": str(error)}, STATUS_OF_CODE.get(code, 400))


def failure_handler(tell: Callable[[Exception], str]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers an error of what is behind the pages with status 503 and the line that `tell` has for it."""

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse({"code": "failed", "text": tell(error)}, 503)

    return failed


async def invalid_request(request: Request, error: Exception) -> Response:
    """A request that does not fit the contract, as JSON with status 400."""
    return JSONResponse({"code": "invalid", "text": error_line(error)}, 400)


def error_line(error: Exception) -> str:
    """What was wrong with a message, in one line without its content."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"Not understood: {place or 'message'}: {first['msg']}"
    return str(error)


class Guard:
    """ASGI middleware: refuses unknown hosts, other origins and too many requests; adds the headers of every answer."""

    def __init__(self, app: ASGIApp, access: Access, live: Callable[[WebSocket], Awaitable[None]]) -> None:
        self.app = app
        self.access = access
        self.settings = access.settings
        self.live = live
        self.rates = Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        wait_s = self._wait_s(scope)
        served = wait_s == 0 and self._is_allowed(scope)
        if scope["type"] == "websocket":
            if served and scope["path"] == LIVE_PATH:
                # Past the router: it would keep its layers of middleware in memory for each of a thousand open pages.
                await self.live(WebSocket(scope, receive, send))
            else:
                await receive()
                await send({"type": "websocket.close", "code": 4403})
            return
        if wait_s > 0:
            more = {"Retry-After": str(math.ceil(wait_s))}
            text = f"More than {REQUESTS_A_SECOND} requests in one second: wait for the next one."
            await JSONResponse({"code": "too-many", "text": text}, 429, more)(scope, receive, send)
            return
        if not served:
            await PlainTextResponse("This address or origin is not served here.", 403)(scope, receive, send)
            return
        await self._with_headers(scope, receive, send)

    def _wait_s(self, scope: Scope) -> float:
        connection = HTTPConnection(scope)
        client = self.access.rate_key(connection.headers, peer_of(connection))
        return self.rates.wait_s(client) if client else 0.0

    def _is_allowed(self, scope: Scope) -> bool:
        """Whether the Host header names this server, and the request is of its own pages, or changes nothing.

        Another site may link here, but not load anything: every look at a record is noted.
        """
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        changes_something = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        has_key = scope["type"] == "http" and scope["path"] == GATE_PATH
        own = has_key or is_own_origin(headers.get("origin"), host, secure=self.settings.secure)
        return is_known_host(self.settings, host) and (own or not (changes_something or is_cross_site(headers)))

    async def _with_headers(self, scope: Scope, receive: Receive, send: Send) -> None:
        secure = self.settings.secure

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more: list[Any] = [(b"strict-transport-security", b"max-age=31536000")] if secure else []
                for name, value in [*HEADERS, *more]:
                    if name not in given:
                        message["headers"].append((name, value))
            await send(message)

        await self.app(scope, receive, guarded)
