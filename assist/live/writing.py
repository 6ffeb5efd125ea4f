"""Writes of other commands while a program owns the store: sent to that program over its socket, as it alone writes.

`open_remote_store` opens the store for reading and sends each write to the owner; other kinds of writes are refused.
The socket is the one that calls join by (assist/live/joining.py): whoever may read the store may send, nobody else.
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
from assist.store.lock import StoreInUse
from assist.store.people import AuditEntry, People, Seals, StoredUser
from assist.store.rows import Hold, Review
from assist.store.sqlite import ReadOnlyStore
from assist.store.store import Store, path_from_url

MAX_PATH_BYTES = 100
"""Bytes; a Unix socket's path has a limit of 108 on Linux and 104 on macOS. A longer one is not used."""
MAX_LINE_BYTES = 1 << 20
"""Longest line on the socket."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PutUser(_Request):
    """Add or replace one who may log in."""

    write: Literal["put-user"] = "put-user"
    user: StoredUser


class RemoveUser(_Request):
    """Take one out."""

    write: Literal["remove-user"] = "remove-user"
    name: str


class Note(_Request):
    """Append to the audit log; the program seals it."""

    write: Literal["note"] = "note"
    entries: list[AuditEntry] = Field(min_length=1)


class PutHold(_Request):
    """Keep a call from being erased."""

    write: Literal["hold"] = "hold"
    hold: Hold


class Release(_Request):
    """End the hold of a call."""

    write: Literal["release"] = "release"
    call: str


class PutReview(_Request):
    """Say something about a finished call."""

    write: Literal["review"] = "review"
    call: str
    review: Review


class Erase(_Request):
    """Take whole calls out; not live ones, nor those on hold."""

    write: Literal["erase"] = "erase"
    calls: list[str] = Field(min_length=1)


class EraseWords(_Request):
    """Take a call's words out; the record is what stays of it."""

    write: Literal["strip"] = "strip"
    call: str
    record: dict[str, Any]


class DeleteGates(_Request):
    """Take the consent rows of calls out."""

    write: Literal["forget"] = "forget"
    calls: list[str]


class Shorten(_Request):
    """Take the oldest entries of the audit log out."""

    write: Literal["shorten"] = "shorten"
    before: str
    now: str
    held: list[str]


WriteRequest = PutUser | RemoveUser | Note | PutHold | Release | PutReview | Erase | EraseWords | DeleteGates | Shorten
WRITE_REQUEST: TypeAdapter[WriteRequest] = TypeAdapter(Annotated[WriteRequest, Field(discriminator="write")])
WRITE_PREFIX = b'{"write"'
"""Tells a write request from a request to join a call: both are lines on the same socket."""


class StoreOwner(Protocol):
    """The part of the program that owns the store which writes need."""

    settings: Settings
    store: Store
    audit: Audit

    @property
    def live_calls(self) -> Sequence[str]:
        """Ids of the live calls, and of those that are just ending or being resumed."""
        ...

    def forget(self, calls: Sequence[str], *, whole: bool = False) -> None:
        """Drop the words of calls that are being erased from memory; `whole`: the outcomes of their offers, too."""
        ...


def socket_path(data: Path) -> Path | None:
    """Path of the socket of the program that owns this data folder; None where it is too long for a socket."""
    path = data / "serve.sock"
    return path if len(bytes(path)) <= MAX_PATH_BYTES else None


# ---- in the program that owns the store ----


async def handle_write(owner: StoreOwner, line: bytes) -> dict[str, Any]:
    """Carry out one request line and return the answer to send, once the write is on disk."""
    try:
        await _apply(owner, WRITE_REQUEST.validate_json(line))
    except AssistError as error:
        return {"refused": str(error), "code": error.code}
    except ValueError as error:
        return {"refused": f"not understood: {str(error).splitlines()[0]}"}
    return {"written": True}


async def _apply(owner: StoreOwner, request: WriteRequest) -> None:
    store, data = owner.store, owner.settings.data
    match request:
        case PutUser():
            receipt = store.people.put_user(request.user)
        case RemoveUser():
            receipt = store.people.remove_user(request.name)
        case Note():
            receipt = owner.audit.append(request.entries)
        case Shorten():
            receipt = owner.audit.shorten(request.before, request.now, request.held)
        case PutHold():
            receipt = store.hold(request.hold)
        case Release():
            receipt = store.release(request.call)
        case PutReview():
            receipt = store.review(request.call, request.review)
        case EraseWords():
            owner.forget([request.call])
            receipt = store.erase_words(request.call, request.record)
        case DeleteGates():
            receipt = store.delete_gates(request.calls)
        case Erase():
            live = [call for call in request.calls if call in owner.live_calls]
            if live:
                why = f"call {live[0]} is live, or ending just now: hang up first, or refuse consent on its page"
                raise AssistError("call-live", why)
            try:
                await asyncio.to_thread(erase, store, data, request.calls)
            finally:  # also where a file could not be removed: the call is erased from the store all the same
                owner.forget(await asyncio.to_thread(_erased, store, request.calls), whole=True)
            return
    await asyncio.wrap_future(receipt)


def _erased(store: Store, calls: Sequence[str]) -> list[str]:
    """Those of which nothing is stored any more."""
    return [call for call in calls if store.record(call) is None and not store.raw_events(call)]


# ---- in a command beside it ----


def open_remote_store(url: str, in_use: StoreInUse) -> Store:
    """The store that another program owns: read directly, written through that program.

    Raises:
        AssistError: `in_use` itself where that program does not answer; as `open_reader`.
    """
    path = path_from_url(url)
    socket_file = socket_path(path.parent)
    if socket_file is None or not hasattr(socket, "AF_UNIX"):
        raise in_use
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(socket_file))
    except OSError:  # none, or that of a program that was killed
        raise in_use from None
    return _RemoteStore(path, socket_file)


class _RemoteStore(ReadOnlyStore):
    def __init__(self, path: Path, socket_file: Path) -> None:
        super().__init__(path)
        self._socket_file = socket_file

    def hold(self, hold: Hold) -> Future[None]:
        return _send(self._socket_file, PutHold(hold=hold))

    def release(self, call: str) -> Future[None]:
        return _send(self._socket_file, Release(call=call))

    def review(self, call: str, review: Review) -> Future[None]:
        return _send(self._socket_file, PutReview(call=call, review=review))

    def erase(self, calls: Sequence[str]) -> Future[None]:
        return _send(self._socket_file, Erase(calls=list(calls)))

    def erase_words(self, call: str, record: dict[str, Any]) -> Future[None]:
        return _send(self._socket_file, EraseWords(call=call, record=record))

    def delete_gates(self, calls: Sequence[str]) -> Future[None]:
        return _send(self._socket_file, DeleteGates(calls=list(calls)))

    @property
    def people(self) -> People:
        return _RemotePeople(self._writer, self._reader, self._socket_file)


class _RemotePeople(People):
    def __init__(self, writer: Any, reader: Any, socket_file: Path) -> None:
        super().__init__(writer, reader)
        self._socket_file = socket_file

    def put_user(self, user: StoredUser) -> Future[None]:
        return _send(self._socket_file, PutUser(user=user))

    def remove_user(self, name: str) -> Future[None]:
        return _send(self._socket_file, RemoveUser(name=name))

    def append_audit(self, entries: Sequence[AuditEntry], seals: Seals) -> Future[None]:
        return _send(self._socket_file, Note(entries=list(entries)))

    def shorten_audit(self, before: str, now: str, held: Collection[str], seals: Seals) -> Future[None]:
        return _send(self._socket_file, Shorten(before=before, now=now, held=sorted(held)))


def _send(socket_file: Path, request: WriteRequest) -> Future[None]:
    """Send a request and block until it is answered; the future returned is already done."""
    receipt: Future[None] = Future()
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(socket_file))
            sock.sendall(request.model_dump_json().encode() + b"\n")
            with sock.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b"{}")
    except OSError as error:
        raise AssistError("write-lost", f"the running program cannot be asked ({error}): try again") from None
    if "refused" in answer:
        raise AssistError(answer.get("code", "write-refused"), answer["refused"])
    if "written" not in answer:
        raise AssistError("write-lost", "the running program went away: look whether it was done, then try again")
    receipt.set_result(None)
    return receipt
