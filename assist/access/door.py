"""The way in as the settings describe it: no login on loopback, local users, or a reverse proxy's word."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from assist.access.accounts import Accounts, Logins
from assist.access.audit import Audit
from assist.access.proxy import Spellings, by_header
from assist.errors import AssistError
from assist.settings import Settings
from assist.store.people import People
from overlay.identity import ScreenSettings
from overlay.sessions import login_name_of

log = logging.getLogger("assist")

REFRESH_S = 2.0
"""What `assist users` changes is known to a running server this soon; with its heartbeat, a removed user's pages are
closed within 5 s."""


@dataclass(frozen=True, slots=True)
class Door:
    """What the server needs to know people."""

    screens: ScreenSettings
    accounts: Accounts | None
    logins: Logins | None

    async def keep_fresh(self) -> None:
        """Follow what other commands change, until cancelled."""
        while self.accounts is not None:
            await asyncio.sleep(REFRESH_S)
            try:
                await asyncio.to_thread(self.accounts.refresh)
            except Exception as error:  # what was read last goes on counting, until it can be read again
                log.error("users could not be read: %s", type(error).__name__)


def open_door(settings: Settings, people: People, audit: Audit) -> Door:
    """Build it; who comes and goes is noted in the audit log.

    Raises:
        AssistError: code login-empty.
    """
    login = settings.login
    accounts = logins = identify = None
    login_name: Callable[[str], str] = str
    if login.by == "users":
        accounts, logins = Accounts(people), Logins(people)
        if accounts.empty:
            raise AssistError("login-empty", "nobody can log in yet: `assist users add NAME --role admin`")
        login_name = partial(login_name_of, accounts)
    elif login.by == "proxy":
        spellings = Spellings(people.spellings())
        identify = by_header(login.header, login.roles_header, login.roles, login.role, settings.proxies, spellings)
        login_name = spellings.known
    certificate = None
    if settings.certificate is not None and settings.certificate_key is not None:
        certificate = (str(settings.certificate), str(settings.certificate_key))

    def on_login(who: str, what: str, detail: str) -> None:
        audit.note(who, "", what, "", detail)

    named = settings.supervisor != Settings.model_fields["supervisor"].default
    screens = ScreenSettings(
        agent=settings.agent,
        supervisor=settings.supervisor if named else "Supervisor",
        identify=identify,
        login_name=login_name,
        hosts=tuple(settings.hosts),
        proxies=tuple(settings.proxies),
        certificate=certificate,
        on_login=on_login,
    )
    _note_settings(settings, people, audit)
    return Door(screens, accounts, logins)


def _note_settings(settings: Settings, people: People, audit: Audit) -> None:
    """A start with other settings than the last time is in the audit log, by a digest of them."""
    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]
    last = people.last_noted("settings")
    if last is None or last.detail != digest:
        audit.note("", "program", "settings", "", digest)
