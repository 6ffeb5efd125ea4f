"""People as a reverse proxy in front names them, in headers that only it can set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network

from overlay.identity import Identify, Identity, Role, normalised


class Spellings:
    """One spelling of each name, the first that was seen: a directory may pass on what was typed, Maria or maria.

    Small and capital letters alone count as the same: names that differ in more (ß and ss) may be two people's.
    """

    def __init__(self, seen: Iterable[str] = ()) -> None:
        self._first: dict[str, str] = {}
        for name in seen:
            self.known(name)

    def known(self, name: str) -> str:
        """The name as it was spelled first."""
        return self._first.setdefault(normalised(name).lower(), name)


def by_header(
    header: str,
    roles_header: str,
    roles: Mapping[str, Role],
    role: Role | None,
    proxies: Sequence[str],
    spellings: Spellings | None = None,
) -> Identify:
    """An `identify` for overlay.identity.ScreenSettings.

    Args:
        header: The one that names the person.
        roles_header: The one that names groups, separated by commas; empty where there is none.
        roles: Group -> role; the first row that fits counts.
        role: Where no row fits; None: not let in.
        proxies: Addresses or networks whose word counts; from anywhere else nobody is logged in.
        spellings: Of those who are known already.
    """
    known = (spellings or Spellings()).known
    networks = [ip_network(proxy, strict=False) for proxy in proxies]

    def identify(headers: Mapping[str, str], peer: str) -> Identity | None:
        try:
            trusted = any(ip_address(peer) in network for network in networks)
        except ValueError:
            return None
        who = _one(headers, header)
        if not trusted or not who or len(who) > 120 or not who.isprintable():
            return None
        groups = {group.strip() for group in _one(headers, roles_header).split(",")} if roles_header else set()
        given = next((each for group, each in roles.items() if group in groups), role)
        return None if given is None else Identity(known(who), given)

    return identify


def _one(headers: Mapping[str, str], name: str) -> str:
    """The header's value; empty where it is there twice: one of them may be the browser's own."""
    given = headers.getlist(name) if hasattr(headers, "getlist") else [headers.get(name.lower(), "")]
    return normalised(_read(str(given[0]))) if len(given) == 1 else ""


def _read(value: str) -> str:
    """A value as the proxy wrote it: a server reads bytes as latin-1, proxies mostly write UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:  # it was latin-1, or whoever read it has decoded it already
        return value
