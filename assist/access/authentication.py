"""How users are identified, by the settings: no login on loopback, local users, or headers of a reverse proxy."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from assist.access.accounts import Accounts, Logins
from assist.access.audit import Audit
from assist.access.proxy import Spellings, identify_by_header
from assist.errors import AssistError
from assist.settings import Settings
from assist.store.people import People
from overlay.identity import ScreenSettings
from overlay.sessions import login_name_of

log = logging.getLogger("assist")

REFRESH_S = 2.0
"""How often a running server reads what `assist users` has changed; with its heartbeat, this closes a removed user's
pages within 5 s."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """What the server needs to identify users."""

    screens: ScreenSettings
    accounts: Accounts | None
    logins: Logins | None

    async def keep_refreshing(self) -> None:
        """Refresh the accounts every REFRESH_S, until cancelled."""
        while self.accounts is not None:
            await asyncio.sleep(REFRESH_S)
            try:
                await asyncio.to_thread(self.accounts.refresh)
            except Exception as error:  # the last state stays in force until it can be read again
                log.error("users could not be read: %s", type(error).__name__)


def open_authentication(settings: Settings, people: People, audit: Audit) -> Authentication:
    """Build it from the settings; logins and logouts are noted in the audit log.

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
        identify = identify_by_header(
            login.header, login.roles_header, login.roles, login.role, settings.proxies, spellings
        )
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
    return Authentication(screens, accounts, logins)


def _note_settings(settings: Settings, people: People, audit: Audit) -> None:
    """Note a start with changed settings in the audit log, with a hash of them."""
    settings_hash = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]
    last = people.last_audit_entry("settings")
    if last is None or last.detail != settings_hash:
        audit.note("", "program", "settings", "", settings_hash)
