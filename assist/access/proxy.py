"""Users as a reverse proxy names them, in headers that only it can set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from overlay.identity import Identify, Identity, Role, normalised


class Spellings:
    """One spelling of each name, the first one seen: a directory may pass on what was typed, Maria or maria.

    Names are the same if they differ in case only; ß and ss may be two people's.
    """

    def __init__(self, seen: Iterable[str] = ()) -> None:
        self._first: dict[str, str] = {}
        for name in seen:
            self.known(name)

    def known(self, name: str) -> str:
        """The first spelling of this name."""
        return self._first.setdefault(normalised(name).lower(), name)


def identify_by_header(
    header: str,
    roles_header: str,
    roles: Mapping[str, Role],
    role: Role | None,
    proxies: Sequence[str],
    spellings: Spellings | None = None,
) -> Identify:
    """An `identify` for overlay.identity.ScreenSettings.

    Args:
        header: Name of the header with the user's name.
        roles_header: Name of the header with the user's groups, separated by commas; empty: there is none.
        roles: Group -> role; the first one that matches counts.
        role: Role where no group matches; None: access is denied.
        proxies: Addresses or networks of trusted proxies; requests from elsewhere are not logged in.
        spellings: Of known users.
    """
    known = (spellings or Spellings()).known
    networks = [ip_network(proxy, strict=False) for proxy in proxies]

    def identify(headers: Mapping[str, str], peer: str) -> Identity | None:
        try:
            trusted = any(ip_address(peer) in network for network in networks)
        except ValueError:
            return None
        who = _header_value(headers, header)
        if not trusted or not who or len(who) > 120 or not who.isprintable():
            return None
        groups = {group.strip() for group in _header_value(headers, roles_header).split(",")} if roles_header else set()
        given = next((each for group, each in roles.items() if group in groups), role)
        return None if given is None else Identity(known(who), given)

    return identify


def _header_value(headers: Mapping[str, str], name: str) -> str:
    """The header's value; empty where it is sent twice: one may be the browser's."""
    given = headers.getlist(name) if hasattr(headers, "getlist") else [headers.get(name.lower(), "")]
    return normalised(_decoded(str(given[0]))) if len(given) == 1 else ""


def _decoded(value: str) -> str:
    """Decode a value: servers read headers as latin-1, proxies mostly write UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:  # it was latin-1, or is decoded already
        return value
