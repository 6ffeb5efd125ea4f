"""Access control: the roles of every route and room, denied by default. No sockets, no framework.

A route that is missing in the table is refused at start-up, and so is a row without a route.
"""

from __future__ import annotations

from collections.abc import Mapping

from overlay.errors import OverlayError
from overlay.identity import Grant, Identity, Role, ScreenSettings
from overlay.sessions import Sessions

ALL: frozenset[Role] = frozenset({"agent", "supervisor", "qa", "admin"})
REVIEWERS: frozenset[Role] = ALL - {"agent"}
WITHOUT_LOGIN: frozenset[Role] = frozenset()
"""No role needed, as nobody is known yet: the login page and its files."""

GATE_PATH = "/api/gate"
"""Authorised by a key that no browser sends by itself; overlay/gate.py judges other origins itself."""

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
    f"POST {GATE_PATH}": WITHOUT_LOGIN,  # opens to the installation's key only
    f"OPTIONS {GATE_PATH}": WITHOUT_LOGIN,
    "WS /live": WITHOUT_LOGIN,  # opens to a ticket only, which is fetched with an identity
}
"""Method and path -> roles let in. What they see is narrowed by identity: agents see their own calls only."""

ROOMS: dict[str, frozenset[Role]] = {
    "agent": frozenset({"agent", "admin"}),  # an agent: their own room only
    "board": frozenset({"supervisor", "admin"}),
    "call": frozenset({"supervisor", "admin"}),  # reading along, from the board
}


def roles_of(route: str) -> frozenset[Role]:
    """The roles of a route.

    Raises:
        OverlayError: route-undeclared.
    """
    if route not in ROUTES:
        raise OverlayError("route-undeclared", f"{route} is in no row of overlay.access.ROUTES: say who may go there.")
    return ROUTES[route]


class Access:
    """Who sends a request, by whichever login this server uses, and what they may open."""

    def __init__(self, settings: ScreenSettings, sessions: Sessions | None) -> None:
        self.settings = settings
        self.sessions = sessions

    @property
    def open(self) -> bool:
        """Whether there is no login: whoever reaches the loopback address is believed."""
        return self.settings.identify is None and self.sessions is None

    @property
    def not_logged_in(self) -> OverlayError:
        """The error for somebody who is not logged in."""
        if self.sessions is None:
            return OverlayError("not-vouched", "The proxy in front has not said who you are: log in there.")
        return OverlayError("login-needed", "Log in first, then open this page again.")

    @property
    def cookie(self) -> str:
        """Name of the session cookie; with its prefix browsers accept it from this very host only."""
        return "__Host-session" if self.settings.secure else "session"

    def token(self, headers: Mapping[str, str]) -> str:
        """The session token a browser sent. Parsed leniently: other programs on this host may set malformed cookies."""
        pairs = (part.partition("=") for part in headers.get("cookie", "").split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}.get(self.cookie, "")

    def identity(self, headers: Mapping[str, str], peer: str) -> Identity | None:
        """Who sends the request; None where nobody is logged in or no login is set up."""
        if self.settings.identify is not None:
            return self.settings.identify(headers, peer)
        return self.sessions.who(self.token(headers)) if self.sessions is not None else None

    def address(self, headers: Mapping[str, str], peer: str) -> str:
        """The address a request comes from: behind a trusted proxy, the one that proxy saw."""
        # What the browser itself sent stands before it: in the same header line or in an earlier one.
        lines = [value for name, value in headers.items() if name == "x-forwarded-for"]
        seen = lines[-1].rpartition(",")[2].strip() if lines and self.settings.is_trusted(peer) else ""
        return seen or peer

    def rate_key(self, headers: Mapping[str, str], peer: str) -> str:
        """Whom the request rate is counted for: a person, else an address; empty where there is no login."""
        if self.open:
            return ""
        identity = self.identity(headers, peer)
        return f"who {identity.who}" if identity is not None else f"from {self.address(headers, peer)}"

    def admit(self, identity: Identity | None, page: str, who: str, session: str = "") -> Grant:
        """What a page may open that asks for `page` ("agent" or "board") as `who` (may be empty).

        Raises:
            OverlayError: login-needed or forbidden.
        """
        settings = self.settings
        if self.open:
            if page == "agent":
                return Grant(Identity(who or settings.agent, "agent"), f"agent/{who or settings.agent}")
            return Grant(Identity(who or settings.supervisor, "supervisor"), "board")
        if identity is None:
            raise self.not_logged_in
        if identity.role not in ROOMS[page]:
            raise OverlayError(
                "forbidden", f"This page is not for the role {identity.role}; ask an admin for the role you need."
            )
        if page == "board":
            return Grant(identity, "board", session)
        agent = who if who and identity.role == "admin" else identity.who
        agent = settings.login_name(agent)  # the URL may spell it otherwise
        return Grant(identity, f"agent/{agent}", session)

    def is_valid(self, grant: Grant) -> bool:
        """Whether an open page may stay: its session is neither over nor of another role by now."""
        return not grant.session or self.sessions is None or self.sessions.check(grant.session) == grant.identity
