"""How long each kind of data stays, what is due, and how it goes: by age, by call, by customer; a hold stops all of it.

Four ages of a finished call, counted from its beginning: its sound goes first, where it was kept, with its words at the
latest; then its words (events, transcript, quotes; the record stays as figures, levels and what people wrote), then the
record with everything said about it, then the one row that says that there was a call and what was known about consent.
The audit log loses its oldest entries by their own age, up to the first that is about a call on hold; what is left is
still a sealed chain. A store that a restore has put aside goes whole when all words in it are past their time.
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
from assist.settings import KeepSettings
from assist.store.backups import former_stores, has_holds
from assist.store.paths import store_path
from assist.store.recordings import Recordings
from assist.store.rows import StoredCall, stamp
from assist.store.searching import RecordQuery, sort_key
from assist.store.sqlite import remove_leftovers
from assist.store.store import Store

ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]+")
"""A call's, as it begins the names of its files."""
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
"""What is dated before it was heard under a clock that had lost the time, as of a machine without a battery: this
program is not so old. Nobody knows its age, so it is never past its time; `assist doctor` says so."""
PAGE = 200
MOST_TOLD = 5
"""Files that a message names."""
PART_BYTES = 1 << 20
"""Sound is opened and written so much at a time."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is past its time at one moment; nothing of a call on hold is ever in it."""

    words: tuple[str, ...]
    """Calls whose words are to go, also those of which only record files are left."""
    records: tuple[str, ...]
    """Calls to be erased whole."""
    gates: tuple[str, ...]
    """Calls whose consent row is to go as well."""
    held: tuple[str, ...]
    """Calls that would be among them, but are on hold."""
    sounds: tuple[str, ...] = ()
    """Calls whose recordings are to go: too old, or left over from a call that is not there any more."""
    audit: int = 0
    """Entries of the audit log that are too old, those kept for a call on hold included."""
    stores: tuple[Path, ...] = ()
    """Stores put aside by a restore, so long ago that no word in them may stay."""

    @property
    def anything(self) -> bool:
        """Whether something is to go."""
        return bool(self.words or self.records or self.gates or self.sounds or self.audit or self.stores)


def due(store: Store, keep: KeepSettings, now: datetime, data: Path | None = None) -> Due:
    """What is past its time.

    Args:
        store: The store.
        keep: Days for each kind.
        now: With its time zone.
        data: The data folder, where recordings and stores put aside are looked for as well.
    """
    holds = {hold.call for hold in store.holds()}
    with_words = store.calls_with_events() | (_record_files(data).keys() if data is not None else set())
    words: list[str] = []
    whole: list[str] = []
    held: list[str] = []
    for digest in store.digests(RecordQuery(limit=None)):
        call, age = digest["call"], _age(digest["started_at"], now)
        if age > timedelta(days=keep.review_days):
            found = whole
        elif age > timedelta(days=keep.transcript_days) and (call in with_words or _words_left(store.record(call))):
            found = words
        else:
            continue
        (held if call in holds else found).append(call)
    for stored in _cut_short(store):
        # A day more than the words' time: no call that goes on is so old.
        if _age(stored.started_at, now) > timedelta(days=keep.transcript_days + 1):
            (held if stored.call in holds else whole).append(stored.call)
    if data is not None:
        left = _left_files(store, data, now - timedelta(days=keep.transcript_days))
        words += [call for call in left if call not in holds]
        held += [call for call in left if call in holds and call not in held]
    gates = [call for call in store.gates_before(stamp(now - timedelta(days=keep.consent_days))) if call not in holds]
    sounds = _sounds(store, keep, now, data) if data is not None else []
    held += [call for call in sounds if call in holds and call not in held]
    return Due(
        tuple(words),
        tuple(whole),
        tuple(gates),
        tuple(held),
        tuple(call for call in sounds if call not in holds),
        store.people.count_audit_before(stamp(now - timedelta(days=keep.audit_days))),
        tuple(_put_aside(data, now - timedelta(days=keep.transcript_days))) if data is not None else (),
    )


def take_out(store: Store, audit: Audit, keep: KeepSettings, data: Path, now: datetime, found: Due) -> None:
    """Take out what was found to be due, the oldest of the audit log too; returns when its bytes are gone.

    Raises:
        AssistError: code files-left, naming the files that cannot be removed; all else that is due is gone; what the
            store raises where it cannot take something out.
    """
    records = ((call, store.record(call)) for call in found.words)
    written = [store.erase_words(call, stripped(record)) for call, record in records if record is not None]
    store.delete_gates(found.gates).result()
    left: list[str] = []
    with ExitStack() as steps:  # the last one first; one that fails keeps none of the others
        steps.callback(lambda: [receipt.result() for receipt in written])
        steps.callback(_tell_left, left, "all else that was due is gone; make that possible, the next run tries again")
        steps.callback(_remove, [*found.stores, *map(Recordings(data).path, found.sounds)], left)
        if found.audit:
            steps.callback(_shorten, audit, store, keep, now)
        if found.records:
            steps.callback(_erase, store, data, found.records, left)
        steps.callback(_remove_files, data, found.words, left)


def _shorten(audit: Audit, store: Store, keep: KeepSettings, now: datetime) -> None:
    held = {hold.call for hold in store.holds()}
    audit.shorten(stamp(now - timedelta(days=keep.audit_days)), held).result()


def stripped(record: dict[str, Any]) -> dict[str, Any]:
    """A record without anybody's words: figures, levels, prompts and what reviewers wrote stay."""
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


def _words_left(record: dict[str, Any] | None) -> bool:
    """Whether a record holds words that an earlier version left in it."""
    return record is not None and stripped(record) != record


def erase(store: Store, data: Path, calls: Sequence[str]) -> None:
    """Take whole calls out of the store and the record files beside it; returns when their bytes are gone.

    Raises:
        AssistError: as `check_erasable`, and code files-left.
    """
    left: list[str] = []
    _erase(store, data, calls, left)
    files = {*_record_files(data), *Recordings(data).calls()} if left else set()
    again = [call for call in calls if call in files]  # the others are not known any more, and no longer a customer's
    do = f"then erase {' '.join(again)} again" if again else "the next retention run tries again"
    _tell_left(left, f"all else of the calls is gone; make that possible, {do}")


def _erase(store: Store, data: Path, calls: Sequence[str], left: list[str]) -> None:
    check_erasable(store, data, calls)
    store.erase(calls).result()
    _remove_files(data, calls, left)


def check_erasable(store: Store, data: Path, calls: Sequence[str]) -> None:
    """Refuse ids that nothing is kept of, and calls on hold.

    Not those of which only files are left: of an erasure that was cut short, or of a store restored since.

    Raises:
        AssistError: code call-unknown or on-hold, naming the first one that is.
    """
    files = {*_record_files(data), *Recordings(data).calls()}
    check_known(store, [call for call in calls if call not in files])
    held = {hold.call: hold for hold in store.holds()}
    for call in calls:
        if call in held:
            hold = held[call]
            raise AssistError("on-hold", f"call {call} is on hold ({hold.by}: {hold.why}); release it first")


def check_known(store: Store, calls: Sequence[str]) -> None:
    """Refuse ids that nothing is kept of: a mistyped one must not pass for erased, or for held.

    Raises:
        AssistError: code call-unknown, naming the first one.
    """
    for call in calls:
        if store.record(call) is None and not store.raw_events(call) and store.gate(call) is None:
            raise AssistError("call-unknown", f"nothing is kept of a call {call!r}; see `assist records list`")


def of_customer(store: Store, key: str) -> list[str]:
    """Calls of a customer, by the key the telephone system gave (as it is shown, such as "…0142").

    No keyboard has that sign: three dots or none say the same. No key is nobody's: calls of which the customer is not
    known are not one customer's.
    """
    wanted = _plain(key)
    if not wanted:
        return []
    found = [record["call"] for record in _records(store) if _plain(record["caller"]) == wanted]
    for stored in _cut_short(store):
        _, name, body = store.raw_events(stored.call)[0]
        if name == CallStarted.__name__ and _plain(json.loads(body)["caller"]) == wanted:
            found.append(stored.call)
    return found


def _plain(key: str) -> str:
    return key.strip().lstrip("….").strip()


def export(store: Store, calls: Sequence[str], out: Path, data: Path | None = None) -> None:
    """Everything that is kept of these calls, as one zip file of JSON.

    With the data folder also their recordings, as WAV.

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
                        for start in range(0, sound.size, PART_BYTES):
                            part.write(sound.wav(start, start + PART_BYTES))
    except BaseException as error:
        out.unlink(missing_ok=True)  # a part of somebody's words that nobody looks for, and in the way of the next try
        if isinstance(error, OSError):
            raise AssistError("export-failed", f"cannot write {out}: {error.strerror or error}") from None
        raise


def _cut_short(store: Store) -> list[StoredCall]:
    """Calls with words and without a record: cut short, and closed by no program since, or going on now."""
    logged = store.calls_with_events()
    return [each for each in store.calls("live") if each.call in logged and store.record(each.call) is None]


def _age(started_at: str, now: datetime) -> timedelta:
    began = datetime.fromisoformat(started_at)
    return now - began if began >= EARLIEST or now < EARLIEST else timedelta()


def _records(store: Store) -> Iterator[dict[str, Any]]:
    query = RecordQuery(limit=PAGE)
    while page := store.records(query):
        yield from page
        query = replace(query, after=sort_key(page[-1]))


def _sounds(store: Store, keep: KeepSettings, now: datetime, data: Path) -> list[str]:
    """Recordings past their time, and those left over from calls that were erased, whose keys have gone with them.

    Of a call that has its key and is not in the store the file's own age counts: the store may have been lost, and come
    back from a backup.
    """
    oldest = now - timedelta(days=min(keep.audio_days, keep.transcript_days))
    began = {stored.call: now - _age(stored.started_at, now) for stored in store.calls()}
    recordings = Recordings(data)
    found = recordings.calls()
    if unknown := set(found).difference(began):
        with suppress(AssistError):  # a damaged keyring says nothing of any
            unknown &= recordings.keys.calls()
        for call in unknown:
            began[call] = datetime.fromtimestamp(recordings.path(call).stat().st_mtime, UTC)
    return [call for call in found if call not in began or began[call] < oldest]


def _put_aside(data: Path, before: datetime) -> Iterator[Path]:
    """Stores put aside before then; one with a call on hold stays, as every hold stays good."""
    for path, when in former_stores(data):
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)  # later than a clock that had lost the time
        if max(when, written) < before and not has_holds(path):
            yield path


def _left_files(store: Store, data: Path, before: datetime) -> list[str]:
    """Calls that are not in the store and whose record files were all written before then.

    Only names as calls have them: whatever else somebody has put there is theirs to remove.
    """
    known = {stored.call for stored in store.calls()}
    return [
        call
        for call, paths in _record_files(data).items()
        if call not in known and ID.fullmatch(call) and all(path.stat().st_mtime < before.timestamp() for path in paths)
    ]


def _record_files(data: Path) -> dict[str, list[Path]]:
    """Call -> the files that `listen`, `replay` and `demo` have written of it."""
    found: dict[str, list[Path]] = {}
    for path in (data / "records").glob("*.*"):
        found.setdefault(path.name.partition(".")[0], []).append(path)
    return found


def _remove_files(data: Path, calls: Sequence[str], left: list[str]) -> None:
    """Recordings and record files of these calls, and what a killed backup or back-test has left."""
    files = _record_files(data)
    _remove([path for call in calls for path in (Recordings(data).path(call), *files.get(call, ()))], left)
    try:
        remove_leftovers(store_path(data))
    except OSError as error:
        left.append(f"{error.filename}: {error.strerror}")


def _remove(paths: Iterable[Path], left: list[str]) -> None:
    """Each for itself; which cannot be removed, and why, is added to `left`."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            left.append(f"{path}: {error.strerror}")


def _tell_left(left: Sequence[str], do: str) -> None:
    """Raises: AssistError, code files-left, where there are any."""
    if left:
        more = f" and {len(left) - MOST_TOLD} more" if len(left) > MOST_TOLD else ""
        raise AssistError("files-left", f"cannot remove {', '.join(left[:MOST_TOLD])}{more}; {do}")
