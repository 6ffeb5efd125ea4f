"""Serving the pages on a port: one uvicorn server inside the running event loop. Only this file imports uvicorn."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from overlay.errors import OverlayError
from overlay.identity import ScreenSettings, exposure, is_loopback

MAX_MESSAGE_BYTES = 65_536
PING_S = 5.0
REQUEST_TIMEOUT_S = 10.0
"""A connection on which no whole request has arrived within this time is closed."""
ANSWER_TIMEOUT_S = 60.0
"""A connection whose client receives nothing of an answer for this time is aborted; a paused player asks again."""
TLS_SHUTDOWN_TIMEOUT_S = 1.0
"""How long a closed connection waits for the peer to end TLS too; what was written must be received within it."""
EXPIRY_WARNING = timedelta(days=14)
"""How long before a certificate expires there is a warning."""
_NOT_YET, _EXPIRED = 9, 10
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""


class App(Protocol):
    """What `overlay.app.create_app` makes: an ASGI application that carries its settings."""

    @property
    def state(self) -> Any:
        """Holds `settings` (ScreenSettings), `open` (no login is needed) and `check` (refuses undeclared routes)."""
        ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        ...


class _MessageQueue:
    """The part of asyncio.Queue that uvicorn needs, for one reader; saves its four deques (3 KiB a page)."""

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
    """uvicorn's websocket with less memory for each of a thousand idle pages, and an end to dead connections.

    Closing waits until the peer has received what was written, which one that has stopped reading never does; aborting
    does not wait.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = _MessageQueue()  # type: ignore[assignment]

    async def send(self, message: Any) -> None:
        """Free the memory of the handshake once it is over."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            del self.request, self.response

    async def run_asgi(self) -> None:
        """Abort the connection of a page that is closed while it does not read."""
        await super().run_asgi()
        if not self.writable.is_set():
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """Abort the connection of a page that has not answered a ping."""
        super().keepalive_timeout()
        self.transport.abort()


class _Http(H11Protocol):
    """uvicorn's HTTP with time limits for requests to arrive and answers to be received: without them idle connections
    could use up the files that the process may open.
    """

    _request_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._update_request_timer()

    def handle_events(self) -> None:
        """Wait for the rest of a request, or for the next one; not while an answer is made, nor of a websocket."""
        super().handle_events()
        self._update_request_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both timers."""
        super().connection_lost(exc)
        self._update_request_timer()
        self._stop_send_timer()

    def pause_writing(self) -> None:
        """The write buffer is full: wait for the client to receive some of it."""
        super().pause_writing()
        self._start_send_timer()

    def resume_writing(self) -> None:
        """The client has received enough."""
        super().resume_writing()
        self._stop_send_timer()

    def _start_send_timer(self) -> None:
        self._stop_send_timer()
        unsent = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(ANSWER_TIMEOUT_S, self._check_send_progress, unsent)

    def _check_send_progress(self, unsent_before: int) -> None:
        """Abort the connection if nothing was received since; a slow client may take its time over a big answer."""
        if self.transport.get_write_buffer_size() < unsent_before:
            self._start_send_timer()
        else:
            self.transport.abort()

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
        self._send_timer = None

    def _update_request_timer(self) -> None:
        answering = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        over = self.transport.is_closing()  # then the transport may have no protocol any more
        handed_over = not over and self.transport.get_protocol() is not self
        if handed_over:
            self._stop_send_timer()
        if answering or over or handed_over:
            if self._request_timer is not None:
                self._request_timer.cancel()
            self._request_timer = None
        elif self._request_timer is None:
            self._request_timer = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.close)


class _Server(uvicorn.Server):
    """Leaves signals to the program around it: uvicorn would raise SIGTERM again and skip the program's own ending."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with shorter TLS timeouts than uvicorn's, a minute for the handshake and half a minute for the end:
        `_Http` is not called meanwhile.
        """
        await super().startup([])
        for each in sockets or []:
            listening = await asyncio.get_running_loop().create_server(
                lambda: _Http(self.config, self.server_state, self.lifespan.state),
                sock=each,
                ssl=self.config.ssl,
                backlog=self.config.backlog,
                ssl_handshake_timeout=REQUEST_TIMEOUT_S if self.config.ssl else None,
                ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT_S if self.config.ssl else None,
            )
            self.servers.append(listening)
        self.is_listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Abort connections that receive nothing now, as of a paused player: uvicorn would wait in vain and log a
        traceback.
        """
        for connection in list(self.server_state.connections):
            if isinstance(connection, _Http) and connection.flow.write_paused:
                connection.transport.abort()
        await super().shutdown(sockets)


@asynccontextmanager
async def serving(
    app: App, host: str = "127.0.0.1", port: int = 8765, *, elsewhere: Callable[[str], object] | None = None
) -> AsyncIterator[str]:
    """Serve while the block runs; yields the address, such as "http://127.0.0.1:8765". Port 0 takes a free one.

    `elsewhere`: where the port is in use, a free one is taken and this told so in one line.

    Raises:
        OverlayError: port-in-use, address-unknown; login-needed or tls-needed where others than this machine get in;
            certificate-unusable, key-readable; route-undeclared.
    """
    settings: ScreenSettings = app.state.settings
    app.state.check()
    _check_exposure(host, settings, app.state.open)
    certificate, key = settings.certificate or (None, None)
    try:
        listener = _bind(host, port)
    except OverlayError as error:
        if elsewhere is None or error.code != "port-in-use":
            raise
        listener = _bind(host, 0)
        elsewhere(f"Port {port} is in use: the pages are on {listener.getsockname()[1]}.")
    config = uvicorn.Config(
        app,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        proxy_headers=False,  # overlay.access decides whose headers are believed
        ws=_Socket,
        ws_max_size=MAX_MESSAGE_BYTES,
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
        listening = asyncio.create_task(server.is_listening.wait())
        await asyncio.wait((listening, running), return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
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
    """Check that the port could be served on now.

    Raises:
        OverlayError: port-in-use, port-forbidden, address-unknown.
    """
    _bind(host, port).close()


def _check_exposure(host: str, settings: ScreenSettings, no_login: bool) -> None:
    if no_login and (how := exposure(host, settings.hosts, settings.proxies)):
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
    """Check that pages can be served with this TLS certificate (with its chain) and its key.

    Raises:
        OverlayError: certificate-unusable, key-readable.
    """
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            why = f"{path}: {error.strerror}: expected a PEM file that this user may read."
            raise OverlayError("certificate-unusable", why) from None
    _server_context(certificate, key)
    if sys.platform != "win32" and key.stat().st_mode & 0o077:
        raise OverlayError("key-readable", f"{key} can be read by others: chmod 600 it, and consider a new key.")


def check_dates(certificate: Path, key: Path, now: datetime) -> str:
    """A one-line warning if a usable certificate expires within EXPIRY_WARNING of `now`; otherwise empty.

    Raises:
        OverlayError: code certificate-out-of-date.
    """
    renew = "renew it, then start the program again."
    try:
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(_as_seen(certificate, key)["notAfter"])), UTC)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (_NOT_YET, _EXPIRED):
            what = "has expired" if error.verify_code == _EXPIRED else "is not valid yet, by this machine's clock"
            raise OverlayError(
                "certificate-out-of-date", f"{certificate} {what}, and browsers refuse the pages: {renew}"
            ) from None
        return ""
    except (ssl.SSLError, ValueError, KeyError):  # dates unknown: browsers will say what is wrong
        return ""
    return f"{certificate} ends on {ends:%Y-%m-%d}: {renew}" if ends < now + EXPIRY_WARNING else ""


def certificate_names(certificate: Path, key: Path) -> list[str] | None:
    """The names and addresses under which browsers accept a usable certificate; None where they cannot be read."""
    try:
        found = _as_seen(certificate, key).get("subjectAltName", ())
        addresses = [str(ip_address(name)) for kind, name in found if kind == "IP Address"]
    except (ssl.SSLError, ValueError):
        return None
    return [*(name.lower() for kind, name in found if kind == "DNS"), *addresses]


def _as_seen(certificate: Path, key: Path) -> dict[str, Any]:
    """The certificate as a client that trusts it has it; raises ssl.SSLError where none would."""
    # ssl gives the dates of a verified peer's certificate only: so make both ends of a connection, in memory.
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = _server_context(certificate, key).wrap_bio(to_server, to_client, server_side=True)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(certificate)
    client = trusting.wrap_bio(to_client, to_server)
    for side in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client.getpeercert() or {}


def _server_context(certificate: Path, key: Path) -> ssl.SSLContext:
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


def _bind(host: str, port: int) -> socket.socket:
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
