"""The port: one uvicorn server inside the running event loop. The one door to uvicorn."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from overlay.errors import OverlayError
from overlay.identity import ScreenSettings, is_loopback, outsiders

WS_BYTES = 65_536
PING_S = 5.0
REQUEST_S = 10.0
"""A line by which no whole request has come for so long is closed."""
ANSWER_S = 60.0
"""A line by which nothing of an answer is taken for so long is cut; a player that is paused asks again for the rest."""
GOODBYE_S = 1.0
"""So long a closed line waits for the other side to close its TLS too; within it what is written must be taken."""
SOON = timedelta(days=14)
"""So long before a certificate ends it is said."""
_NOT_YET, _EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""


class App(Protocol):
    """What `overlay.server.create_app` makes: an ASGI application that carries its settings."""

    @property
    def state(self) -> Any:
        """Holds `settings` (ScreenSettings), `open` (no login is needed) and `check` (refuses undeclared routes)."""
        ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        ...


class _Inbox:
    """What uvicorn needs of asyncio.Queue, for one reader and without its four deques (3 KiB a page)."""

    __slots__ = ("_items", "_reader")

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def put_nowait(self, item: Any) -> None:
        self._items.append(item)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Any:
        while not self._items:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._items.pop(0)

    def empty(self) -> bool:
        return not self._items


class _Socket(WebSocketsSansIOProtocol):
    """uvicorn's websocket, without what a thousand idle pages would hold for nothing, and with an end to dead ones.

    A peer that has stopped reading never takes the rest of what was written: closing waits for it, cutting does not.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.queue = _Inbox()  # type: ignore[assignment]

    async def send(self, message: Any) -> None:
        """Forget the handshake once it is over."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response

    async def run_asgi(self) -> None:
        """Cut the line of a page that is closed while it does not read."""
        await super().run_asgi()
        if not self.writable.is_set():
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """Cut the line of a page that has not answered a ping."""
        super().keepalive_timeout()
        self.transport.abort()


class _Http(H11Protocol):
    """uvicorn's HTTP, with an end to lines by which no whole request comes or nothing of an answer is taken: each holds
    one of the files a process may have open, and without a limit they hold all.
    """

    _limit: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def handle_events(self) -> None:
        """Wait for the rest of a request, or for the next one; not while an answer is made, nor of a websocket."""
        super().handle_events()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        super().connection_lost(exc)
        self._wait()
        self._taken()

    def pause_writing(self) -> None:
        """Wait for what is written to be taken."""
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        """It is taken."""
        super().resume_writing()
        self._taken()

    def _await_taking(self) -> None:
        self._taken()
        self._untaken = self.loop.call_later(ANSWER_S, self._look, self.transport.get_write_buffer_size())

    def _look(self, left: int) -> None:
        """Cut the line where all that was left is left still: a slow one takes a big answer in its own time."""
        if self.transport.get_write_buffer_size() < left:
            self._await_taking()
        else:
            self.transport.abort()

    def _taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
        self._untaken = None

    def _wait(self) -> None:
        answering = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        over = self.transport.is_closing()  # it may have no protocol any more
        handed_over = not over and self.transport.get_protocol() is not self
        if handed_over:
            self._taken()
        if answering or over or handed_over:
            if self._limit is not None:
                self._limit.cancel()
            self._limit = None
        elif self._limit is None:
            self._limit = self.loop.call_later(REQUEST_S, self.transport.close)


class _Server(uvicorn.Server):
    """Leaves signals to the program around it; uvicorn's own would raise SIGTERM again and skip what follows."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen here: uvicorn leaves a line a minute for its TLS handshake and half a minute for its end, of which
        `_Http` hears nothing.
        """
        await super().startup([])
        for each in sockets or []:
            listening = await asyncio.get_running_loop().create_server(
                lambda: _Http(self.config, self.server_state, self.lifespan.state),
                sock=each,
                ssl=self.config.ssl,
                backlog=self.config.backlog,
                ssl_handshake_timeout=REQUEST_S if self.config.ssl else None,
                ssl_shutdown_timeout=GOODBYE_S if self.config.ssl else None,
            )
            self.servers.append(listening)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut the lines that take nothing now (a player that is paused): they would be waited for in vain, and told of
        with a traceback.
        """
        for line in list(self.server_state.connections):
            if isinstance(line, _Http) and line.flow.write_paused:
                line.transport.abort()
        await super().shutdown(sockets)


@asynccontextmanager
async def serving(app: App, host: str = "127.0.0.1", port: int = 8765) -> AsyncIterator[str]:
    """Serve while the block runs; yields the address, such as "http://127.0.0.1:8765". Port 0 takes a free one.

    Raises:
        OverlayError: port-in-use, address-unknown; login-needed or tls-needed where others than this machine get in;
            certificate-unusable, key-readable; route-undeclared.
    """
    settings: ScreenSettings = app.state.settings
    app.state.check()
    _refuse_open_doors(host, settings, app.state.open)
    certificate, key = settings.certificate or (None, None)
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        proxy_headers=False,  # who is believed about that stands in overlay.access
        ws=_Socket,
        ws_max_size=WS_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_per_message_deflate=False,
        http=_Http,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait((up, running), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if running.done():
            running.result()
            raise OverlayError("not-started", "The screens could not be served; see the log.")
        shown = f"[{host}]" if ":" in host else host
        yield f"{'https' if certificate else 'http'}://{shown}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.shield(running)
        listener.close()


def check_port(host: str, port: int) -> None:
    """Whether the port could be served on now.

    Raises:
        OverlayError: port-in-use, port-forbidden, address-unknown.
    """
    _listen(host, port).close()


def _refuse_open_doors(host: str, settings: ScreenSettings, no_login: bool) -> None:
    if no_login and (how := outsiders(host, settings.hosts, settings.proxies)):
        raise OverlayError(
            "login-needed",
            f"No login is set up, and {how}: configure a login, or serve on 127.0.0.1 without hosts and proxies.",
        )
    if not is_loopback(host) and not settings.secure:
        raise OverlayError(
            "tls-needed",
            f"{host} can be reached from outside without TLS: set a certificate, or declare the reverse proxy in "
            "front that has one.",
        )
    if settings.certificate is None:
        return
    certificate, key = (Path(name) for name in settings.certificate)
    check_certificate(certificate, key)


def check_certificate(certificate: Path, key: Path) -> None:
    """Whether pages can be served with this TLS certificate (with its chain) and its key.

    Raises:
        OverlayError: certificate-unusable, key-readable.
    """
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            why = f"{path}: {error.strerror}: expected a PEM file that this user may read."
            raise OverlayError("certificate-unusable", why) from None
    _serving_with(certificate, key)
    if sys.platform != "win32" and key.stat().st_mode & 0o077:
        raise OverlayError("key-readable", f"{key} can be read by others: chmod 600 it, and consider a new key.")


def check_dates(certificate: Path, key: Path, now: datetime) -> str:
    """One line where a certificate that pages can be served with ends within a fortnight; empty where it does not.

    Raises:
        OverlayError: code certificate-out-of-date.
    """
    renew = "renew it, then start the program again."
    # The library tells the dates of a peer's certificate, once it has verified it: so both sides are here, in memory.
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = _serving_with(certificate, key).wrap_bio(to_server, to_client, server_side=True)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        trusting.load_verify_locations(certificate)
        client = trusting.wrap_bio(to_client, to_server)
        for side in (client, server, client):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str((client.getpeercert() or {})["notAfter"])), UTC)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (_NOT_YET, _EXPIRED):
            what = "has expired" if error.verify_code == _EXPIRED else "is not valid yet, by this machine's clock"
            raise OverlayError(
                "certificate-out-of-date", f"{certificate} {what}, and browsers refuse the pages: {renew}"
            ) from None
        return ""
    except (ssl.SSLError, ValueError, KeyError):  # not to be told here; browsers say what they think of it
        return ""
    return f"{certificate} ends on {ends:%Y-%m-%d}: {renew}" if ends < now + SOON else ""


def _serving_with(certificate: Path, key: Path) -> ssl.SSLContext:
    def no_pass_phrase() -> str:
        raise OverlayError(
            "certificate-unusable",
            f"{key} has a pass phrase: expected one without (openssl pkey -in {key} -out NEW, then chmod 600 NEW).",
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, no_pass_phrase)
    except ssl.SSLError as error:
        why = f"are no certificate with its key (PEM): {error.strerror}"
        if error.reason == "KEY_VALUES_MISMATCH":
            why = "do not belong together: expected the key of the file's first certificate, which is this server's."
        raise OverlayError("certificate-unusable", f"{certificate} and {key} {why}") from None
    return context


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:  # UnicodeError: no name that a host can have
        raise OverlayError("address-unknown", f"{host} is no address of this machine; use 127.0.0.1.") from error
    listener = socket.socket(family, kind, protocol)
    if sys.platform != "win32":  # there it would let two programs share the port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise OverlayError(
                "port-in-use", f"Port {port} is in use: stop what runs there, or choose another one with --port."
            ) from error
        if error.errno == errno.EACCES:
            raise OverlayError("port-forbidden", f"Port {port} needs rights: choose one from 1024 up.") from error
        raise OverlayError("address-unknown", f"{host} is no address of this machine; use 127.0.0.1.") from error
    listener.setblocking(False)
    return listener
