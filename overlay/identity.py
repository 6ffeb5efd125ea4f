"""Who uses a page, how pages are served, and the single-use tickets that carry an identity to a websocket."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Literal
from urllib.parse import urlsplit

Role = Literal["agent", "supervisor", "qa", "admin"]
TICKET_LIFE_S = 30.0
TICKETS_WAITING = 10_000
"""Of more unused tickets than this the oldest are dropped: asking for tickets cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The person who uses a page."""

    who: str
    """Agent id, or the name of a supervisor or reviewer."""
    role: Role


Identify = Callable[[Mapping[str, str], str], Identity | None]
"""(request headers with lower-case names, address of the peer) -> who a reverse proxy in front says it is; None where
nobody is logged in. The proxy must have removed headers that a browser could set itself."""


@dataclass(frozen=True, slots=True)
class ScreenSettings:
    """How the screens are served."""

    agent: str = "agent"
    """Agent id of /agent where the address names none (no login)."""
    supervisor: str = "Supervisor"
    """Name of whoever opens the board (no login)."""
    reviewer: str = "Reviewer"
    """Name of whoever opens the review page (no login)."""
    identify: Identify | None = None
    """How a reverse proxy tells who it is. None, and no accounts either: no login, and whoever reaches the loopback
    address is believed."""
    login_name: Callable[[str], str] = str
    """Any spelling of a name -> the name that person logs in with."""
    hosts: tuple[str, ...] = ()
    """Host names, besides loopback ones, under which browsers reach this server; with the port unless 80 or 443."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks of trusted reverse proxies in front, which end TLS and tell where a request comes from."""
    certificate: tuple[str, str] | None = None
    """Files of the TLS certificate (with its chain) and its key."""
    beat_s: float = 2.0
    """Interval of the heartbeat; a page greys out after three missed ones."""
    send_timeout_s: float = 10.0
    """A page that does not receive a message within this time is closed (4408) and may reconnect."""
    on_login: Callable[[str, str, str], None] = lambda who, what, detail: None
    """Called as (name, login | login-failed | logout, address or empty); must be quick."""
    proxy_login_s: float = 600.0
    """A page whose user a proxy named is closed (1012) after this time: it reconnects, and the proxy is asked again."""

    @property
    def secure(self) -> bool:
        """Whether browsers reach this server through TLS, ended here or by a proxy in front."""
        return self.certificate is not None or bool(self.proxies)

    def is_trusted(self, peer: str) -> bool:
        """Whether an address is one of the declared proxies."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in ip_network(each, strict=False) for each in self.proxies)


@dataclass(frozen=True, slots=True)
class Grant:
    """What the holder of a ticket may open: this room, as this person."""

    identity: Identity
    room: str
    session: str = ""
    """Server-side key of the session it was fetched with; empty where this server keeps no sessions."""


@dataclass
class Tickets:
    """Single-use tickets: issued over HTTP, where the user is known, and redeemed by the websocket's first message."""

    clock: Callable[[], float] = monotonic
    _open: dict[str, tuple[float, Grant]] = field(default_factory=dict)

    def issue(self, grant: Grant) -> str:
        """A ticket of 192 random bits, good once and for 30 s."""
        while len(self._open) >= TICKETS_WAITING:
            del self._open[next(iter(self._open))]
        ticket = secrets.token_urlsafe(24)
        self._open[ticket] = (self.clock() + TICKET_LIFE_S, grant)
        return ticket

    def redeem(self, ticket: str) -> Grant | None:
        """The grant of a ticket; None if it is unknown, used or expired."""
        until, grant = self._open.pop(ticket, (0.0, None))
        return grant if self.clock() < until else None


def normalised(name: str) -> str:
    """A name as it is stored: in Unicode normal form C, without spaces around it."""
    return unicodedata.normalize("NFC", name).strip()


def casefolded(name: str) -> str:
    """A name as it is looked up and counted: normalised and case-folded (ß as ss)."""
    return normalised(name).casefold()


def network_of(address: str) -> str:
    """What failed logins of an address are counted by: of IPv6 its /64 network, which one customer line has whole."""
    try:
        seen = ip_address(address)
    except ValueError:
        return address
    if isinstance(seen, IPv4Address):
        return address
    return str(seen.ipv4_mapped or IPv6Network((int(seen), 64), strict=False))


def printable(text: str) -> str:
    """Typed text for a line of a terminal: control characters and line breaks are replaced."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def exposure(host: str, hosts: Sequence[str], proxies: Sequence[str]) -> str:
    """How other machines can reach pages served on `host`, in a few words; empty where they cannot."""
    if not is_loopback(host):
        return f"{host} can be reached from outside"
    if proxies:
        return f"the proxy {proxies[0]} lets others in"
    name = next((name for name in hosts if not _is_loopback_name(name)), "")
    return f"others call this server {name}" if name else ""


def is_known_host(settings: ScreenSettings, host: str) -> bool:
    """Whether a Host header names this server: a foreign name that resolves to loopback (DNS rebinding) does not."""
    return _is_loopback_name(host) or host in settings.hosts


def _is_loopback_name(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether another site's page makes the browser load this, by its Sec-Fetch headers; following a link is none."""
    follows_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not follows_link


def is_own_origin(origin: str | None, host: str, *, secure: bool) -> bool:
    """Whether an Origin header names this server itself; a missing one does not."""
    return origin is not None and origin == f"{'https' if secure else 'http'}://{host}"
