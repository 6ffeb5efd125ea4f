"""Retention, erasure and export: by age, by call, by customer. A call on hold is never erased.

A finished call is erased in four steps, by its age: the recording, with the words at the latest; the words (events,
transcript, quotes: a record of figures, levels and what people wrote remains); the record with its reviews; the gate,
the row that says that there was a call and what was known about consent. The audit log loses its oldest entries by
their own age, up to the first about a call on hold; the rest is still a sealed chain. A former store, which a restore
has kept, is deleted when every word in it is past its retention period.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from assist.access.audit import Audit
from assist.errors import AssistError
from assist.events import CallStarted
from assist.privacy.consent import Consent
from assist.settings import KeepSettings
from assist.store.backups import former_stores, has_holds
from assist.store.keys import Keyring
from assist.store.paths import store_path
from assist.store.recordings import Recordings
from assist.store.rows import StoredCall, stamp
from assist.store.searching import RecordQuery, sort_key
from assist.store.sqlite import remove_leftovers
from assist.store.store import Store

CALL_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]+")
"""A call's id, with which the names of its files begin."""
EARLIEST_CALL = datetime(2020, 1, 1, tzinfo=UTC)
"""This program is not so old: calls dated earlier were recorded under a wrong clock, as on a machine without a battery.
Their age is unknown, so retention never erases them; `assist doctor` names them."""
PAGE_SIZE = 200
MAX_FILES_NAMED = 5
"""Files that an error message names at most."""
EXPORT_CHUNK_BYTES = 1 << 20
"""Recordings are decrypted and exported so much at a time."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is past its retention period; nothing of a call on hold, except in `held`."""

    words: tuple[str, ...]
    """Calls whose words are due, also those of which only record files are left."""
    records: tuple[str, ...]
    """Calls that are due to be erased completely, also those that were erased and have a key again."""
    gates: tuple[str, ...]
    """Calls whose gate is due: the last row about them."""
    held: tuple[str, ...]
    """Calls that would be due, but are on hold."""
    recordings: tuple[str, ...] = ()
    """Calls whose recordings are due: too old, or left over from an erased call."""
    audit: int = 0
    """Number of audit entries that are too old, and no call on hold keeps."""
    stores: tuple[Path, ...] = ()
    """Former stores, kept by restores so long ago that every word in them is due."""

    @property
    def anything(self) -> bool:
        """Whether something is due."""
        return bool(self.words or self.records or self.gates or self.recordings or self.audit or self.stores)


def held_calls(store: Store) -> set[str]:
    """The calls that are on hold now."""
    return {hold.call for hold in store.holds()}


def find_due(store: Store, keep: KeepSettings, now: datetime, data: Path | None = None) -> Due:
    """Find what is past its retention period.

    Args:
        store: The store.
        keep: Retention periods in days.
        now: With its time zone.
        data: The data folder, to search for recordings, record files and former stores as well.
    """
    holds = held_calls(store)
    with_words = store.calls_with_events() | (_record_files(data).keys() if data is not None else set())
    words: list[str] = []
    records: list[str] = []
    held: list[str] = []
    for digest in store.digests(RecordQuery(limit=None)):
        call, age = digest["call"], _age(digest["started_at"], now)
        if age > timedelta(days=keep.review_days):
            found = records
        elif age > timedelta(days=keep.transcript_days) and (call in with_words or _has_words(store.record(call))):
            found = words
        else:
            continue
        (held if call in holds else found).append(call)
    for stored in _calls_without_record(store):
        # One day more than the words' retention period: no live call is so old. Refused: kept for a hold.
        if _is_refused(store, stored.call) or _age(stored.started_at, now) > timedelta(days=keep.transcript_days + 1):
            (held if stored.call in holds else records).append(stored.call)
    if data is not None:
        records += [call for call in _erased_with_key(store, data) if call not in holds]
        left = _orphaned_record_files(store, data, now - timedelta(days=keep.transcript_days))
        words += [call for call in left if call not in holds]
        held += [call for call in left if call in holds and call not in held]
    gates = [call for call in store.gates_before(stamp(now - timedelta(days=keep.consent_days))) if call not in holds]
    sounds = _due_recordings(store, keep, now, data) if data is not None else []
    held += [call for call in sounds if call in holds and call not in held]
    return Due(
        tuple(words),
        tuple(records),
        tuple(gates),
        tuple(held),
        tuple(call for call in sounds if call not in holds),
        store.people.count_old_audit(*_audit_times(keep, now), holds),
        tuple(_due_former_stores(data, now - timedelta(days=keep.transcript_days))) if data is not None else (),
    )


def erase_due(store: Store, audit: Audit, keep: KeepSettings, data: Path, now: datetime, found: Due) -> Due:
    """Erase what was found to be due; returns what that was, when its bytes are gone.

    Not what is on hold by now: somebody may have been asked since it was found.

    Raises:
        AssistError: code files-left, naming the files that cannot be removed, when all else is erased; as the store,
            where it cannot erase something.
    """
    found = _without_held(found, store, keep, now)
    records = ((call, store.record(call)) for call in found.words)
    receipts = [store.erase_words(call, without_words(record)) for call, record in records if record is not None]
    store.delete_gates(found.gates).result()
    left: list[str] = []
    with ExitStack() as steps:  # done in reverse order, each one even if others fail
        steps.callback(lambda: [receipt.result() for receipt in receipts])
        steps.callback(
            _raise_if_left, left, "all else that was due is gone; make that possible, the next run tries again"
        )
        steps.callback(_remove, [*found.stores, *map(Recordings(data).path, found.recordings)], left)
        if found.audit:
            steps.callback(_shorten_audit_log, audit, store, keep, now)
        if found.records:
            steps.callback(_erase, store, data, found.records, left)
        steps.callback(_remove_files_of, data, found.words, left)
    return found


def _without_held(found: Due, store: Store, keep: KeepSettings, now: datetime) -> Due:
    """What is due without the calls that are on hold now."""
    holds = held_calls(store)
    parts = {name: getattr(found, name) for name in ("words", "records", "gates", "recordings")}
    return replace(
        found,
        **{name: tuple(call for call in calls if call not in holds) for name, calls in parts.items()},
        held=tuple(
            dict.fromkeys((*found.held, *(call for calls in parts.values() for call in calls if call in holds)))
        ),
        audit=store.people.count_old_audit(*_audit_times(keep, now), holds),
    )


def _audit_times(keep: KeepSettings, now: datetime) -> tuple[str, str]:
    """Entries before the first time are too old, those after the second are of a clock set ahead."""
    return stamp(now - timedelta(days=keep.audit_days)), stamp(now)


def _shorten_audit_log(audit: Audit, store: Store, keep: KeepSettings, now: datetime) -> None:
    audit.shorten(*_audit_times(keep, now), held_calls(store)).result()


def without_words(record: dict[str, Any]) -> dict[str, Any]:
    """A copy of a record without what was said: figures, levels, prompts and what reviewers wrote stay."""
    out = json.loads(json.dumps(record))
    out["transcript"] = []
    blank: dict[str, dict[str, Any]] = {
        "signals": {"quote": ""},
        "prompts": {"why": [], "words": ""},
        "plan": {"heard": ""},
        "steps": {"words": ""},
        "follow_ups": {"words": ""},
        "alerts": {"reason": ""},
        "hand_offs": {"said": [], "done": [], "words": ""},
    }
    for part, fields in blank.items():
        for each in out.get(part, []):
            each.update({key: value for key, value in fields.items() if key in each})
    return out  # type: ignore[no-any-return]


def _has_words(record: dict[str, Any] | None) -> bool:
    """Whether a record still has words: an earlier version left some in it."""
    return record is not None and without_words(record) != record


def erase(store: Store, data: Path, calls: Sequence[str]) -> None:
    """Erase calls completely, from the store and their files; returns when their bytes are gone.

    Raises:
        AssistError: as `check_erasable`, and code files-left.
    """
    left: list[str] = []
    _erase(store, data, calls, left)
    files = {*_record_files(data), *Recordings(data).calls()} if left else set()
    again = [call for call in calls if call in files]  # the others could not be named any more: nothing is left of them
    do = f"then erase {' '.join(again)} again" if again else "the next retention run tries again"
    _raise_if_left(left, f"all else of the calls is gone; make that possible, {do}")


def _erase(store: Store, data: Path, calls: Sequence[str], left: list[str]) -> None:
    check_erasable(store, data, calls)
    store.erase(calls).result()
    _remove_files_of(data, calls, left)


def check_erasable(store: Store, data: Path, calls: Sequence[str]) -> None:
    """Check that calls exist and are not on hold.

    Those of which only files or a key are left exist: their erasure was interrupted, or the store or the keys were put
    back since.

    Raises:
        AssistError: code call-unknown or on-hold, naming the first one that is; keys-failed.
    """
    left = {*_record_files(data), *Recordings(data).calls(), *_keyring(data).calls()}
    check_known(store, [call for call in calls if call not in left])
    held = {hold.call: hold for hold in store.holds()}
    for call in calls:
        if call in held:
            hold = held[call]
            raise AssistError("on-hold", f"call {call} is on hold ({hold.by}: {hold.why}); release it first")


def check_known(store: Store, calls: Sequence[str]) -> None:
    """Check that something is stored of each call: a mistyped id must not pass for erased, or for held.

    Raises:
        AssistError: code call-unknown, naming the first one.
    """
    for call in calls:
        if store.record(call) is None and not store.raw_events(call) and store.gate(call) is None:
            raise AssistError("call-unknown", f"nothing is kept of a call {call!r}; see `assist records list`")


def calls_of_customer(store: Store, key: str) -> list[str]:
    """Calls of a customer, by the caller key of the telephone system as it is shown, such as "…0142".

    "...0142" and "0142" mean the same, as keyboards have no "…". An empty key finds nothing: calls of unknown
    customers are not one customer's.
    """
    wanted = _normalised_key(key)
    if not wanted:
        return []
    found = [record["call"] for record in _all_records(store) if _normalised_key(record["caller"]) == wanted]
    for stored in _calls_without_record(store):
        _, name, body = store.raw_events(stored.call)[0]
        if name == CallStarted.__name__ and _normalised_key(json.loads(body)["caller"]) == wanted:
            found.append(stored.call)
    return found


def _normalised_key(key: str) -> str:
    return key.strip().lstrip("….").strip()


def export(store: Store, calls: Sequence[str], out: Path, data: Path | None = None) -> None:
    """Write everything that is stored of these calls to a zip file: JSON, and with `data` their recordings as WAV.

    Raises:
        AssistError: codes export-failed, call-unknown.
    """
    check_known(store, calls)
    try:
        handle = os.open(out, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise AssistError("export-failed", f"cannot write {out}: {error.strerror or error}") from None
    try:
        with open(handle, "w+b") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for call in dict.fromkeys(calls):
                record, log = store.record(call), store.raw_events(call)
                gate = store.gate(call)
                parts: dict[str, Any] = {
                    "record": record,
                    "events": [{"n": n, "type": name, "body": json.loads(body)} for n, name, body in log],
                    "reviews": [asdict(review) for review in store.reviews(call)],
                    "consent": asdict(gate) if gate is not None else None,
                }
                for name, part in parts.items():
                    archive.writestr(f"{call}/{name}.json", json.dumps(part, ensure_ascii=False, indent=1))
                sound = Recordings(data).open(call) if data is not None else None
                if sound is not None:
                    with archive.open(f"{call}/sound.wav", "w", force_zip64=True) as part:
                        for start in range(0, sound.size, EXPORT_CHUNK_BYTES):
                            part.write(sound.wav(start, start + EXPORT_CHUNK_BYTES))
    except BaseException as error:
        out.unlink(missing_ok=True)  # an incomplete file would hold words unnoticed, and block the next attempt
        if isinstance(error, OSError):
            raise AssistError("export-failed", f"cannot write {out}: {error.strerror or error}") from None
        raise


def _calls_without_record(store: Store) -> list[StoredCall]:
    """Calls with events and without a record: live, or interrupted and not closed since."""
    logged = store.calls_with_events()
    return [each for each in store.calls("live") if each.call in logged and store.record(each.call) is None]


def _is_refused(store: Store, call: str) -> bool:
    gate = store.gate(call)
    return gate is not None and gate.consent == Consent.REFUSED


def _keyring(data: Path) -> Keyring:
    return Keyring.beside(store_path(data))


def _erased_with_key(store: Store, data: Path) -> list[str]:
    """Calls that were erased and have a key again: an older copy of the keys was put back."""
    try:
        keys = _keyring(data).calls()
    except AssistError:  # damaged: nothing is known
        return []
    unknown = keys.difference(stored.call for stored in store.calls())
    erased = store.people.audit_targets("erase") if unknown else set()
    return sorted(call for call in unknown if call in erased or _is_refused(store, call))


def _age(started_at: str, now: datetime) -> timedelta:
    began = datetime.fromisoformat(started_at)
    return now - began if began >= EARLIEST_CALL or now < EARLIEST_CALL else timedelta()


def _all_records(store: Store) -> Iterator[dict[str, Any]]:
    query = RecordQuery(limit=PAGE_SIZE)
    while page := store.records(query):
        yield from page
        query = replace(query, after=sort_key(page[-1]))


def _due_recordings(store: Store, keep: KeepSettings, now: datetime, data: Path) -> list[str]:
    """Recordings past their retention period, and those left over from erased calls, whose keys are gone.

    For a call that has its key but is not in the store, the age of the file counts: the store may have been lost and be
    restored from a backup.
    """
    oldest = now - timedelta(days=min(keep.audio_days, keep.transcript_days))
    began = {stored.call: now - _age(stored.started_at, now) for stored in store.calls()}
    recordings = Recordings(data)
    found = recordings.calls()
    if unknown := set(found).difference(began):
        with suppress(AssistError):  # a damaged keyring: nothing is known about any of them
            unknown &= recordings.keys.calls()
        for call in unknown:
            began[call] = datetime.fromtimestamp(recordings.path(call).stat().st_mtime, UTC)
    return [call for call in found if call not in began or began[call] < oldest]


def _due_former_stores(data: Path, before: datetime) -> Iterator[Path]:
    """Former stores kept before then, without those that have a call on hold."""
    for path, when in former_stores(data):
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)  # the time in the name may be a wrong clock's
        if max(when, written) < before and not has_holds(path):
            yield path


def _orphaned_record_files(store: Store, data: Path, before: datetime) -> list[str]:
    """Calls that are not in the store and whose record files were all written before then.

    Only files named by a call's id: others are somebody else's.
    """
    known = {stored.call for stored in store.calls()}
    return [
        call
        for call, paths in _record_files(data).items()
        if call not in known
        and CALL_ID.fullmatch(call)
        and all(path.stat().st_mtime < before.timestamp() for path in paths)
    ]


def _record_files(data: Path) -> dict[str, list[Path]]:
    """Call -> its files in `records`, which `listen`, `replay` and `demo` write."""
    found: dict[str, list[Path]] = {}
    for path in (data / "records").glob("*.*"):
        found.setdefault(path.name.partition(".")[0], []).append(path)
    return found


def _remove_files_of(data: Path, calls: Sequence[str], left: list[str]) -> None:
    """Remove recordings and record files of these calls, and what killed backups and back-tests have left."""
    files = _record_files(data)
    _remove([path for call in calls for path in (Recordings(data).path(call), *files.get(call, ()))], left)
    try:
        remove_leftovers(store_path(data))
    except OSError as error:
        left.append(f"{error.filename}: {error.strerror}")


def _remove(paths: Iterable[Path], left: list[str]) -> None:
    """Remove files; those that cannot be removed are added to `left`, with the reason."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            left.append(f"{path}: {error.strerror}")


def _raise_if_left(left: Sequence[str], do: str) -> None:
    """Raise AssistError, code files-left, where there are any; `do` is what to do then."""
    if left:
        more = f" and {len(left) - MAX_FILES_NAMED} more" if len(left) > MAX_FILES_NAMED else ""
        raise AssistError("files-left", f"cannot remove {', '.join(left[:MAX_FILES_NAMED])}{more}; {do}")
