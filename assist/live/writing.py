"""What other commands write while a program has the store: asked of that program over its socket; it alone writes.

`store_beside` opens the store for reading and passes each write on; a write of another kind is refused. The socket is
the one that calls join by (assist/live/joining.py): whoever may read the store may ask, nobody else.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from assist.access.audit import Audit
from assist.errors import AssistError
from assist.privacy.retention import erase
from assist.settings import Settings
from assist.store.owner import StoreInUse
from assist.store.people import AuditEntry, People, Seals, StoredUser
from assist.store.rows import Hold, Review
from assist.store.sqlite import ReadOnlyStore
from assist.store.store import Store, path_of

LONGEST_PATH = 100
"""Bytes; a Unix socket's path has a limit of 108 on Linux and 104 on macOS. A longer one is not used."""
LINE_BYTES = 1 << 20
"""Longest line on the socket."""


class _Ask(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PutUser(_Ask):
    """Add or replace one who may log in."""

    write: Literal["put-user"] = "put-user"
    user: StoredUser


class RemoveUser(_Ask):
    """Take one out."""

    write: Literal["remove-user"] = "remove-user"
    name: str


class Note(_Ask):
    """Append to the audit log; the program seals it."""

    write: Literal["note"] = "note"
    entries: list[AuditEntry] = Field(min_length=1)


class PutHold(_Ask):
    """Keep a call from being erased."""

    write: Literal["hold"] = "hold"
    hold: Hold


class Release(_Ask):
    """End the hold of a call."""

    write: Literal["release"] = "release"
    call: str


class PutReview(_Ask):
    """Say something about a finished call."""

    write: Literal["review"] = "review"
    call: str
    review: Review


class Erase(_Ask):
    """Take whole calls out; not live ones, nor those on hold."""

    write: Literal["erase"] = "erase"
    calls: list[str] = Field(min_length=1)


class Strip(_Ask):
    """Take a call's words out; the record is what stays of it."""

    write: Literal["strip"] = "strip"
    call: str
    record: dict[str, Any]


class Forget(_Ask):
    """Take the consent rows of calls out."""

    write: Literal["forget"] = "forget"
    calls: list[str]


class Shorten(_Ask):
    """Take the oldest entries of the audit log out."""

    write: Literal["shorten"] = "shorten"
    before: str
    held: list[str]


Ask = PutUser | RemoveUser | Note | PutHold | Release | PutReview | Erase | Strip | Forget | Shorten
ASK: TypeAdapter[Ask] = TypeAdapter(Annotated[Ask, Field(discriminator="write")])
BEGINS = b'{"write"'
"""How a line that asks for a write begins."""


class Owning(Protocol):
    """The program that has the store, as far as writes need it."""

    settings: Settings
    store: Store
    audit: Audit

    @property
    def live(self) -> Sequence[str]:
        """Calls that go on now."""
        ...

    def forget(self, calls: Sequence[str], *, whole: bool = False) -> None:
        """The words of these calls are being erased: none of them stays in memory; `whole`: nor what came of them."""
        ...


def socket_of(data: Path) -> Path | None:
    """The socket of the program that has this data folder; None where the path is too long for one."""
    path = data / "serve.sock"
    return path if len(bytes(path)) <= LONGEST_PATH else None


# ---- the program that has the store ----


async def write(owning: Owning, line: bytes) -> dict[str, Any]:
    """Carry out what a line asks; the answer to it, given when it is on disk."""
    try:
        await _carry_out(owning, ASK.validate_json(line))
    except AssistError as error:
        return {"refused": str(error), "code": error.code}
    except ValueError as error:
        return {"refused": f"not understood: {str(error).splitlines()[0]}"}
    return {"written": True}


async def _carry_out(owning: Owning, ask: Ask) -> None:
    store, data = owning.store, owning.settings.data
    match ask:
        case PutUser():
            receipt = store.people.put_user(ask.user)
        case RemoveUser():
            receipt = store.people.remove_user(ask.name)
        case Note():
            receipt = owning.audit.append(ask.entries)
        case Shorten():
            receipt = owning.audit.shorten(ask.before, ask.held)
        case PutHold():
            receipt = store.hold(ask.hold)
        case Release():
            receipt = store.release(ask.call)
        case PutReview():
            receipt = store.review(ask.call, ask.review)
        case Strip():
            owning.forget([ask.call])
            receipt = store.strip(ask.call, ask.record)
        case Forget():
            receipt = store.forget(ask.calls)
        case Erase():
            live = [call for call in ask.calls if call in owning.live]
            if live:
                raise AssistError("call-live", f"call {live[0]} is live: hang up first, or refuse consent on its page")
            try:
                await asyncio.to_thread(erase, store, data, ask.calls)
            finally:  # a file that could not be removed is told, and the call has gone all the same
                owning.forget(await asyncio.to_thread(_gone, store, ask.calls), whole=True)
            return
    await asyncio.wrap_future(receipt)


def _gone(store: Store, calls: Sequence[str]) -> list[str]:
    """Those that nothing is kept of."""
    return [call for call in calls if store.record(call) is None and not store.log(call)]


# ---- the command beside it ----


def store_beside(url: str, in_use: StoreInUse) -> Store:
    """The store that another program has: read here, written there.

    Raises:
        AssistError: `in_use` itself where that program cannot be asked; what `open_reader` raises.
    """
    path = path_of(url)
    at = socket_of(path.parent)
    if at is None or not hasattr(socket, "AF_UNIX"):
        raise in_use
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(at))
    except OSError:  # none, or that of a program that was killed
        raise in_use from None
    return _StoreBeside(path, at)


class _StoreBeside(ReadOnlyStore):
    def __init__(self, path: Path, at: Path) -> None:
        super().__init__(path)
        self._at = at

    def hold(self, hold: Hold) -> Future[None]:
        return _asked(self._at, PutHold(hold=hold))

    def release(self, call: str) -> Future[None]:
        return _asked(self._at, Release(call=call))

    def review(self, call: str, review: Review) -> Future[None]:
        return _asked(self._at, PutReview(call=call, review=review))

    def erase(self, calls: Sequence[str]) -> Future[None]:
        return _asked(self._at, Erase(calls=list(calls)))

    def strip(self, call: str, record: dict[str, Any]) -> Future[None]:
        return _asked(self._at, Strip(call=call, record=record))

    def forget(self, calls: Sequence[str]) -> Future[None]:
        return _asked(self._at, Forget(calls=list(calls)))

    @property
    def people(self) -> People:
        return _PeopleBeside(self._writer, self._reader, self._at)


class _PeopleBeside(People):
    def __init__(self, writer: Any, reader: Any, at: Path) -> None:
        super().__init__(writer, reader)
        self._at = at

    def put_user(self, user: StoredUser) -> Future[None]:
        return _asked(self._at, PutUser(user=user))

    def remove_user(self, name: str) -> Future[None]:
        return _asked(self._at, RemoveUser(name=name))

    def note(self, entries: Sequence[AuditEntry], seals: Seals) -> Future[None]:
        return _asked(self._at, Note(entries=list(entries)))

    def shorten_audit(self, before: str, held: Collection[str], seals: Seals) -> Future[None]:
        return _asked(self._at, Shorten(before=before, held=sorted(held)))


def _asked(at: Path, ask: Ask) -> Future[None]:
    """Ask, and wait for the answer: a receipt that is fulfilled already."""
    receipt: Future[None] = Future()
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(at))
            line.sendall(ask.model_dump_json().encode() + b"\n")
            with line.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b"{}")
    except OSError as error:
        raise AssistError("write-lost", f"the running program cannot be asked ({error}): try again") from None
    if "refused" in answer:
        raise AssistError(answer.get("code", "write-refused"), answer["refused"])
    if "written" not in answer:
        raise AssistError("write-lost", "the running program went away: look whether it was done, then try again")
    receipt.set_result(None)
    return receipt
