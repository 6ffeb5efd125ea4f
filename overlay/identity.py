"""Who is at a page, what a page may see and do, and the single-use tickets that carry this to its websocket."""

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
"""More than this many unused tickets and the oldest go: asking for tickets cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person at a page."""

    who: str
    """Agent id, or the name of a supervisor or reviewer."""
    role: Role


Identify = Callable[[Mapping[str, str], str], Identity | None]
"""Identity from the headers of a request (lower-case names) and the address it came from, as a reverse proxy in front
vouches for it; None where nobody is logged in. Headers that a browser could set itself must have been removed there."""


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
    """A reverse proxy's word for who it is. None, and no accounts either: no login, whoever reaches the loopback
    address is believed."""
    known: Callable[[str], str] = str
    """The name under which somebody logs in, of any way to spell it."""
    hosts: tuple[str, ...] = ()
    """Names, besides the loopback ones, under which browsers call this server; port included where it is not 80/443."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks of reverse proxies in front, which end TLS and are believed about where a request comes
    from."""
    certificate: tuple[str, str] | None = None
    """Files of the TLS certificate (with its chain) and its key."""
    beat_s: float = 2.0
    """Heartbeat; a page greys out after three of them."""
    send_limit_s: float = 10.0
    """A page that takes longer to take one message is closed (4408) and may come back."""
    noted: Callable[[str, str, str], None] = lambda who, what, detail: None
    """Told who has logged in or out (what: login, login-failed, logout) and from where; must be quick."""
    vouched_s: float = 600.0
    """A page let in on a proxy's word comes back for a new ticket after so long (closed with 1012)."""

    @property
    def secure(self) -> bool:
        """Browsers reach this server through TLS, here or in a proxy in front."""
        return self.certificate is not None or bool(self.proxies)

    def is_trusted(self, peer: str) -> bool:
        """Whether an address is one of the declared proxies."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in ip_network(each, strict=False) for each in self.proxies)


@dataclass(frozen=True, slots=True)
class Pass:
    """What a ticket stands for."""

    identity: Identity
    room: str
    session: str = ""
    """The session it was fetched with; empty where sessions are not this server's."""


@dataclass
class Tickets:
    """Single-use tickets: fetched over HTTP with the page's identity, spent as the websocket's first message."""

    clock: Callable[[], float] = monotonic
    _open: dict[str, tuple[float, Pass]] = field(default_factory=dict)

    def issue(self, entry: Pass) -> str:
        """A ticket of 192 random bits, good once and for 30 s."""
        while len(self._open) >= TICKETS_WAITING:
            del self._open[next(iter(self._open))]
        ticket = secrets.token_urlsafe(24)
        self._open[ticket] = (self.clock() + TICKET_LIFE_S, entry)
        return ticket

    def spend(self, ticket: str) -> Pass | None:
        """What the ticket stands for; None where it is unknown, spent or too old."""
        until, entry = self._open.pop(ticket, (0.0, None))
        return entry if self.clock() < until else None


def spelled(name: str) -> str:
    """A name as it is kept: without spaces around it, however its letters were put together."""
    return unicodedata.normalize("NFC", name).strip()


def folded(name: str) -> str:
    """A name as it is looked up and counted: the same of every way to spell it."""
    return spelled(name).casefold()


def network(address: str) -> str:
    """An address as tries from it are counted: of IPv6 its 64 bits of network, all of which one line has."""
    try:
        seen = ip_address(address)
    except ValueError:
        return address
    if isinstance(seen, IPv4Address):
        return address
    return str(seen.ipv4_mapped or IPv6Network((int(seen), 64), strict=False))


def printable(text: str) -> str:
    """What somebody typed, fit for a line of a terminal: escapes, line breaks and the like are replaced."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def outsiders(host: str, hosts: Sequence[str], proxies: Sequence[str]) -> str:
    """How others than this machine come to pages served on `host`, in a few words; empty where they do not."""
    if not is_loopback(host):
        return f"{host} can be reached from outside"
    if proxies:
        return f"the proxy {proxies[0]} lets others in"
    name = next((name for name in hosts if not _names_loopback(name)), "")
    return f"others call this server {name}" if name else ""


def is_known_host(settings: ScreenSettings, host: str) -> bool:
    """Whether a Host header names this server: a foreign name that resolves to loopback (DNS rebinding) does not."""
    return _names_loopback(host) or host in settings.hosts


def _names_loopback(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a page of elsewhere has a browser load this, as browsers say by themselves; not that it leads there."""
    leads = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not leads


def is_own_origin(origin: str | None, host: str, *, secure: bool) -> bool:
    """Whether a request that changes something comes from a page of this server; a missing Origin does not."""
    return origin is not None and origin == f"{'https' if secure else 'http'}://{host}"
