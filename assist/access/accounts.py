"""Local users: names, roles, passwords as argon2id. The only module that imports argon2."""

from __future__ import annotations

import secrets
import time
import unicodedata
from functools import cache
from typing import get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from assist.errors import AssistError
from assist.store.people import People, StoredLogin, StoredUser
from assist.store.rows import stamp
from overlay.identity import Identity, Role, casefolded, normalised
from overlay.sessions import StoredSession

ROLES: tuple[Role, ...] = get_args(Role)
MIN_PASSWORD_CHARS = 12
"""Characters of a password; length is what counts (NIST SP 800-63B), so there are no other rules."""
_HASHER = PasswordHasher()  # RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes


@cache
def _dummy_hash() -> str:
    """A hash to verify for unknown names, so that they take as long as known ones."""
    return _HASHER.hash("nobody")


class Accounts:
    """The users as the login sees them (overlay.sessions.Accounts); `refresh` reads them from the store."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._users: dict[str, StoredUser] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the users again. Blocks on the store: call it in a thread."""
        self._users = {casefolded(user.name): user for user in self._people.users()}
        if self._users:
            _dummy_hash()  # cached now, so that the first unknown name takes no longer

    @property
    def empty(self) -> bool:
        """Whether there are no users."""
        return not self._users

    def look_up(self, who: str) -> tuple[Identity, int] | None:
        """Identity and version of a user as of the last refresh; None where there is none."""
        user = self._users.get(casefolded(who))
        return None if user is None else (Identity(user.name, user.role), user.version)  # type: ignore[arg-type]

    def verify(self, who: str, password: str) -> bool:
        """Whether that is the password; takes 0.1 s whether the name is known or not."""
        user = self._users.get(casefolded(who))
        try:
            _HASHER.verify(_dummy_hash() if user is None else user.password, _normalised_password(password))
        except (VerificationError, InvalidHashError):
            return False
        return user is not None


class Logins:
    """Login sessions in the store, which outlive a restart (overlay.sessions.SessionStore)."""

    def __init__(self, people: People) -> None:
        self._people = people

    def load(self) -> list[StoredSession]:
        """All stored sessions; ages are never negative, even if the clock was set back."""
        now = time.time()
        return [
            StoredSession(
                each.key, each.who, each.version, max(0.0, now - each.began_at), max(0.0, now - each.active_at)
            )
            for each in self._people.logins()
        ]

    def keep(self, session: StoredSession) -> None:
        """Store a session as it is now."""
        now = time.time()
        began, active = now - session.age_s, now - session.idle_s
        self._people.save_login(StoredLogin(session.key, session.who, session.version, began, active))

    def forget(self, key: str) -> None:
        """Delete a session."""
        self._people.delete_login(key)


def new_user_name(people: People, name: str, role: str) -> str:
    """Check name and role of a new user and return the normalised name.

    Raises:
        AssistError: codes user-exists, user-invalid, role-invalid.
    """
    name = normalised(name)
    if not 0 < len(name) <= 60 or not name.isprintable():
        raise AssistError("user-invalid", "a user's name has 1 to 60 printable characters")
    if (user := _find(people, name)) is not None:
        raise AssistError("user-exists", f"there is a user {user.name} already; see `assist users list`")
    _checked_role(role)
    return name


def add_user(people: People, name: str, role: str, password: str) -> None:
    """Add a user.

    Raises:
        AssistError: as `new_user_name`, and code password-weak.
    """
    name = new_user_name(people, name, role)
    # A random version: sessions of an earlier user of this name must not be valid for the new one.
    version = secrets.randbits(62)
    people.put_user(StoredUser(name, role, _password_hash(name, password), version, stamp())).result()


def set_password(people: People, name: str, password: str) -> None:
    """Give a user another password; their open pages are closed.

    Raises:
        AssistError: codes user-unknown, password-weak.
    """
    user = find_user(people, name)
    hashed = _password_hash(user.name, password)
    people.put_user(StoredUser(user.name, user.role, hashed, user.version + 1, stamp())).result()


def set_role(people: People, name: str, role: str) -> None:
    """Give a user another role; their open pages are closed.

    Raises:
        AssistError: codes user-unknown, role-invalid.
    """
    user = find_user(people, name)
    people.put_user(StoredUser(user.name, _checked_role(role), user.password, user.version + 1, stamp())).result()


def remove_user(people: People, name: str) -> str:
    """Delete a user; returns their name as it is stored.

    Raises:
        AssistError: code user-unknown.
    """
    user = find_user(people, name)
    people.remove_user(user.name).result()
    return user.name


def _find(people: People, name: str) -> StoredUser | None:
    return next((user for user in people.users() if casefolded(user.name) == casefolded(name)), None)


def find_user(people: People, name: str) -> StoredUser:
    """A user by any spelling of the name.

    Raises:
        AssistError: code user-unknown.
    """
    user = _find(people, name)
    if user is None:
        raise AssistError("user-unknown", f"there is no user {name}; see `assist users list`")
    return user


def _checked_role(role: str) -> str:
    if role not in ROLES:
        raise AssistError("role-invalid", f"{role!r} is no role: expected one of {', '.join(ROLES)}")
    return role


def _password_hash(name: str, password: str) -> str:
    password = _normalised_password(password)
    if len(password) < MIN_PASSWORD_CHARS or len(set(password)) < 5 or casefolded(name) == casefolded(password):
        raise AssistError(
            "password-weak",
            f"a password has at least {MIN_PASSWORD_CHARS} characters, 5 different ones, and is not the name",
        )
    return _HASHER.hash(password)


def _normalised_password(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
