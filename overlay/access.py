"""Who may go where: one table of all routes and rooms, denied by default. No sockets, no framework.

A route that is not in the table is refused at start-up; a row without a route too.
"""

from __future__ import annotations

from collections.abc import Mapping

from overlay.errors import OverlayError
from overlay.identity import Identity, Pass, Role, ScreenSettings
from overlay.sessions import Sessions

ALL: frozenset[Role] = frozenset({"agent", "supervisor", "qa", "admin"})
REVIEWERS: frozenset[Role] = ALL - {"agent"}
WITHOUT_LOGIN: frozenset[Role] = frozenset()
"""No roles needed because nobody is known yet: the way in, and what the way in looks like."""

KEYED = "/api/gate"
"""Opened by a key that no browser sends by itself (overlay/gate.py): foreign origins are judged there."""

ROUTES: dict[str, frozenset[Role]] = {
    "GET /login": WITHOUT_LOGIN,
    "POST /login": WITHOUT_LOGIN,
    "POST /logout": WITHOUT_LOGIN,
    "GET /static": WITHOUT_LOGIN,
    "GET /": ALL,
    "GET /agent": frozenset({"agent", "admin"}),
    "GET /agent/{agent}": frozenset({"agent", "admin"}),
    "GET /board": frozenset({"supervisor", "admin"}),
    "GET /review": ALL,  # an agent finds their own calls there
    "GET /review/{record}": ALL,
    "GET /trends": REVIEWERS,
    "POST /api/ticket": frozenset({"agent", "supervisor", "admin"}),
    "GET /api/schema": ALL,
    "GET /api/me": ALL,
    "GET /api/trends": REVIEWERS,
    "GET /report": REVIEWERS,
    "GET /api/records": ALL,
    "GET /api/records/{record}": ALL,
    "GET /api/records/{record}/html": ALL,
    "GET /api/records/{record}/export": ALL,
    "GET /api/records/{record}/sound": REVIEWERS,
    "POST /api/records/{record}/marks": REVIEWERS,
    "POST /api/records/{record}/answers": REVIEWERS,
    "POST /api/records/{record}/notes": ALL,
    "GET /api/views": REVIEWERS,
    "POST /api/views": REVIEWERS,
    "POST /api/views/delete": REVIEWERS,
    f"POST {KEYED}": WITHOUT_LOGIN,  # opens to the installation's key only
    f"OPTIONS {KEYED}": WITHOUT_LOGIN,
    "WS /live": WITHOUT_LOGIN,  # opens to a ticket only, which is fetched with an identity
}
"""Method and path -> roles let in. What each of them then sees is narrowed by identity: an agent's own calls only."""

ROOMS: dict[str, frozenset[Role]] = {
    "agent": frozenset({"agent", "admin"}),  # an agent: the own room
    "board": frozenset({"supervisor", "admin"}),
    "call": frozenset({"supervisor", "admin"}),  # reading along, from the board
}


def roles_of(place: str) -> frozenset[Role]:
    """The roles of a route.

    Raises:
        OverlayError: route-undeclared.
    """
    if place not in ROUTES:
        raise OverlayError("route-undeclared", f"{place} is in no row of overlay.access.ROUTES: say who may go there.")
    return ROUTES[place]


class Access:
    """Who is at the other end of a request, by whichever way this server knows people."""

    def __init__(self, settings: ScreenSettings, sessions: Sessions | None) -> None:
        self.settings = settings
        self.sessions = sessions

    @property
    def open(self) -> bool:
        """No login: whoever reaches the loopback address is believed."""
        return self.settings.identify is None and self.sessions is None

    @property
    def unknown(self) -> OverlayError:
        """What somebody who is not known is told."""
        if self.sessions is None:
            return OverlayError("not-vouched", "The proxy in front has not said who you are: log in there.")
        return OverlayError("login-needed", "Log in first, then open this page again.")

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; the prefix makes browsers refuse it from anywhere but this very host."""
        return "__Host-session" if self.settings.secure else "session"

    def token(self, headers: Mapping[str, str]) -> str:
        """The session key a browser sent, beside cookies of others on this host that may be written in any way."""
        pairs = (part.partition("=") for part in headers.get("cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}.get(self.cookie, "")

    def identity(self, headers: Mapping[str, str], peer: str) -> Identity | None:
        """Who it is; None where nobody is logged in (or no login is set up)."""
        if self.settings.identify is not None:
            return self.settings.identify(headers, peer)
        return self.sessions.who(self.token(headers)) if self.sessions is not None else None

    def address(self, headers: Mapping[str, str], peer: str) -> str:
        """Where a request comes from: behind a trusted proxy, the address that this proxy saw."""
        # Before that stands what the browser sent: in the same line, or, of a proxy that adds its own, in one above.
        lines = [value for name, value in headers.items() if name == "x-forwarded-for"]
        seen = lines[-1].rpartition(",")[2].strip() if lines and self.settings.is_trusted(peer) else ""
        return seen or peer

    def client(self, headers: Mapping[str, str], peer: str) -> str:
        """Whose requests are counted together: a person's, else an address's; empty where nobody logs in."""
        if self.open:
            return ""
        identity = self.identity(headers, peer)
        return f"who {identity.who}" if identity is not None else f"from {self.address(headers, peer)}"

    def admit(self, identity: Identity | None, page: str, who: str, session: str = "") -> Pass:
        """What a page that asks for `page` ("agent" or "board") as `who` (may be empty) is let into.

        Raises:
            OverlayError: login-needed or forbidden.
        """
        settings = self.settings
        if self.open:
            if page == "agent":
                return Pass(Identity(who or settings.agent, "agent"), f"agent/{who or settings.agent}")
            return Pass(Identity(who or settings.supervisor, "supervisor"), "board")
        if identity is None:
            raise self.unknown
        if identity.role not in ROOMS[page]:
            raise OverlayError(
                "forbidden", f"This page is not for the role {identity.role}; ask an admin for the role you need."
            )
        if page == "board":
            return Pass(identity, "board", session)
        agent = who if who and identity.role == "admin" else identity.who
        agent = settings.known(agent)  # however the address of the page spells it
        return Pass(identity, f"agent/{agent}", session)

    def still(self, entry: Pass) -> bool:
        """Whether a page that was let in may stay."""
        return not entry.session or self.sessions is None or self.sessions.check(entry.session) == entry.identity
