import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from assist.errors import AssistError
from assist.events import Action, CallStarted, SignalRaised
from assist.store import schema
from assist.store.backups import restore_backup, write_backup
from assist.store.checking import check_store
from assist.store.codec import decode, encode
from assist.store.rows import Hold, Review
from assist.store.searching import RecordQuery, sort_key
from assist.store.store import open_reader, open_store
from audio.events import Speaker, Trouble, Utterance, Word
from detectors.signals import Evidence, Severity, Signal

STARTED = CallStarted(
    0, "k1", "dana", "billing", "q", "…0142", "2026-11-24T10:00:00+00:00", "test", ("agent", "customer"), {"rules": "1"}
)
EVENTS = [
    STARTED,
    Utterance("c1", Speaker.CUSTOMER, 100, 900, (Word("my", 100, 200, 0.9), Word("guy", 210, 400, 0.8))),
    SignalRaised(
        900,
        Signal(
            "influence_claim",
            "influence.my-guy",
            "3",
            Speaker.CUSTOMER,
            900,
            0.8,
            Severity.HELP,
            Evidence(100, 400, "my guy", "c1", 0, 1, {"level_db": 8.25}),
        ),
    ),
    Action(1200, "dana", "agent", "used", "p1"),
    Trouble(1300, "audio-lost", "the headset is gone"),
]


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'assist.db'}"


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_its_json(event):
    assert decode(*encode(event)) == event


def test_an_unreadable_event_is_one_clear_line():
    with pytest.raises(AssistError, match="Action event: at_ms"):
        decode("Action", '{"who": "x", "role": "agent", "what": "used"}')
    with pytest.raises(AssistError, match="'Nonsense' is not known"):
        decode("Nonsense", "{}")


def test_events_come_back_in_order_and_a_repeated_number_is_kept_once(tmp_path):
    store = open_store(url(tmp_path))
    store.begin("k1", STARTED.started_at, "dana")
    for n, event in reversed(list(enumerate(EVENTS))):
        store.append("k1", n, event)
    store.append("k1", 1, EVENTS[4]).result(10)
    assert store.events("k1") == list(enumerate(EVENTS))
    assert [call.state for call in store.calls()] == ["live"]
    store.close()


def test_the_file_is_private_and_commits_are_full(tmp_path):
    store = open_store(url(tmp_path))
    assert (tmp_path / "assist.db").stat().st_mode & 0o077 == 0
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    store.close()


@pytest.mark.parametrize(("name", "other"), [("Team #1", "Team #2"), ("why?1", "why?2"), ("w%41", "wA")])
def test_a_folder_of_any_name_holds_its_own_store_and_nothing_lies_outside(name, other, tmp_path):
    stores = [open_store(url(tmp_path / folder)) for folder in (name, other)]
    stores[0].begin("k1", STARTED.started_at, "dana").result(10)
    stores[0].append("k1", 0, STARTED).result(10)
    assert [len(store.calls()) for store in stores] == [1, 0]
    assert {path.name for path in tmp_path.iterdir()} == {name, other}
    assert all(path.stat().st_mode & 0o077 == 0 for folder in tmp_path.iterdir() for path in folder.iterdir())
    reader = open_reader(url(tmp_path / name))
    assert len(reader.calls()) == 1
    reader.close()
    write_backup(stores[0], tmp_path / name / "old #1.backup")
    for store in stores:
        store.close()
    assert [check_store(tmp_path / folder / "assist.db").calls for folder in (name, other)] == [1, 0]
    restore_backup(tmp_path / name / "old #1.backup", url(tmp_path / other))
    assert check_store(tmp_path / other / "assist.db").problem == ""


def test_acknowledged_events_survive_kill_9(tmp_path):
    writer = """
import sys
from assist.store.rows import Review
from assist.store.searching import RecordQuery, sort_key
from assist.store.store import open_store
from assist.events import Action
store = open_store(sys.argv[1])
store.begin("k1", "2026-11-24T10:00:00+00:00", "dana")
for n in range(10_000):
    store.append("k1", n, Action(n, "dana", "agent", "note", detail="x" * 100)).result()
    print(n, flush=True)
"""
    for round_number in range(3):
        folder = tmp_path / str(round_number)
        process = subprocess.Popen(
            [sys.executable, "-c", writer, url(folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(20 + 14 * round_number)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().split()]
        process.wait()
        process.stdout.close()
        store = open_store(url(folder))
        stored = [n for n, _ in store.events("k1")]
        store.close()
        assert stored[: len(acknowledged)] == acknowledged
        assert len(stored) == len(set(stored))


def test_a_locked_database_loses_nothing_and_says_so(tmp_path):
    said: list[str | None] = []
    store = open_store(url(tmp_path), said.append)
    store.begin("k1", STARTED.started_at, "dana").result(10)
    # A writer of another process holds the lock; the store's own wait is cut short so that the test need not be long.
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    other = sqlite3.connect(tmp_path / "assist.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    receipts = [store.append("k1", n, event) for n, event in enumerate(EVENTS)]
    while not said:
        assert not any(receipt.done() for receipt in receipts)
    other.execute("COMMIT")
    other.close()
    for receipt in receipts:
        receipt.result(30)
    assert store.events("k1") == list(enumerate(EVENTS))
    store.close()  # the writer says that it is well again after it has acknowledged
    assert "locked" in str(said[0]) and said[-1] is None


def test_a_full_disk_loses_nothing_and_says_so(tmp_path):
    said: list[str | None] = []
    store = open_store(url(tmp_path), said.append)
    store.begin("k1", STARTED.started_at, "dana").result(10)
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    big = Action(0, "dana", "agent", "note", detail="x" * 50_000)
    receipt = store.append("k1", 0, big)
    while not said:
        assert not receipt.done()
    assert "full" in str(said[0])
    receipt.result(30)  # a fresh connection has no such limit: the disk has space again
    assert store.events("k1") == [(0, big)]
    store.close()


def test_a_row_that_cannot_be_written_keeps_no_other_from_the_disk(tmp_path):
    store = open_store(url(tmp_path))
    good = store.append("k1", 0, EVENTS[3])
    bad = store.append("k1", None, EVENTS[3])  # type: ignore[arg-type]
    also = store.append("k1", 1, EVENTS[4])
    good.result(10)
    also.result(10)
    with pytest.raises(AssistError):
        bad.result(10)
    store.close()


@pytest.mark.parametrize(
    "odd",
    [
        lambda store: store.review("k1", Review("2026-11-24", "Q", "missed", at_ms=1 << 63)),
        lambda store: store.hold(Hold("k1", "Q", "case \udcff", "2026-11-24")),
        lambda store: store._writer.put(lambda connection: [][0]),
    ],
    ids=["number", "text", "work"],
)
def test_what_the_driver_itself_refuses_keeps_no_other_from_the_disk(tmp_path, odd):
    store = open_store(url(tmp_path))
    good = store.append("k1", 0, EVENTS[3])
    bad = odd(store)
    also = store.append("k1", 1, EVENTS[4])
    good.result(10)
    also.result(10)
    with pytest.raises(AssistError, match="[a-z]{4}"):
        bad.result(10)
    store.close()


def test_whoever_stops_waiting_for_a_receipt_stops_no_write(tmp_path):
    store = open_store(url(tmp_path))
    other = sqlite3.connect(tmp_path / "assist.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    async def page_that_goes():
        receipt = store.append("k1", 0, EVENTS[3])
        waiting = asyncio.ensure_future(asyncio.wrap_future(receipt))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        other.execute("COMMIT")
        return receipt

    receipt = asyncio.run(page_that_goes())
    other.close()
    store.append("k1", 1, EVENTS[4]).result(30)
    assert receipt.done() and not receipt.cancelled()
    assert [n for n, _ in store.events("k1")] == [0, 1]
    store.close()


def test_what_is_put_to_a_store_that_was_closed_is_refused_and_nobody_waits_for_it(tmp_path):
    """As of a retention run that is at work when the program ends: its thread would keep the program from ending."""
    store = open_store(url(tmp_path))
    store.append("k1", 0, EVENTS[0]).result(10)
    store.close()
    with pytest.raises(AssistError, match="was closed before this was written"):
        store.erase(["k1"]).result(10)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AssistError, match="choose a writable folder with --data"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'assist.db'}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_store_on_a_full_disk_is_refused_with_what_to_do(tmp_path, monkeypatch):
    import resource

    open_store(url(tmp_path)).close()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))  # no file may become longer, as where there is no room
    try:
        with pytest.raises(AssistError, match="the disk is full .*: make room there"):
            open_store(url(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    open_store(url(tmp_path)).close()


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "assist.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(AssistError, match="newer version"):
        open_store(url(tmp_path))


def test_a_migration_that_is_cut_short_has_changed_nothing_and_the_next_start_does_it(tmp_path, monkeypatch):
    store = open_store(url(tmp_path))
    store.begin("k1", STARTED.started_at, "dana").result(10)
    store.close()
    dies = f"""
import os
from assist.store import schema
from assist.store.store import open_store
def step(connection):
    connection.exec_driver_sql("ALTER TABLE calls ADD COLUMN queue VARCHAR NOT NULL DEFAULT ''")
    os._exit(9)
schema.MIGRATIONS, schema.SCHEMA_VERSION = (*schema.MIGRATIONS, step), schema.SCHEMA_VERSION + 1
open_store({url(tmp_path)!r})
"""
    assert subprocess.run([sys.executable, "-c", dies], timeout=60).returncode == 9

    def step(connection):
        connection.exec_driver_sql("ALTER TABLE calls ADD COLUMN queue VARCHAR NOT NULL DEFAULT ''")
        connection.exec_driver_sql("UPDATE calls SET queue = 'billing'")

    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", after := schema.SCHEMA_VERSION + 1)
    open_store(url(tmp_path)).close()
    connection = sqlite3.connect(tmp_path / "assist.db")
    assert connection.execute("SELECT call, queue FROM calls").fetchall() == [("k1", "billing")]
    assert connection.execute("PRAGMA user_version").fetchone() == (after,)
    connection.close()


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path):
    (tmp_path / "assist.db").write_bytes(b"this is a diary, not a database" * 50)
    with pytest.raises(AssistError, match="not a database; put the last backup back: `assist restore FILE`"):
        open_store(url(tmp_path))


def test_a_store_that_is_damaged_in_one_place_is_one_clear_line_when_that_is_read(tmp_path, monkeypatch, capsys):
    from assist.commands.main import main

    store = open_store(url(tmp_path))
    store.begin("k1", STARTED.started_at, "dana")
    store.finish("k1", "ended", RECORD).result()
    store.close()
    with sqlite3.connect(tmp_path / "assist.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [[page]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'records'").fetchall()
    connection.close()
    data = bytearray((tmp_path / "assist.db").read_bytes())
    data[(page - 1) * 4096 : page * 4096] = os.urandom(4096)
    (tmp_path / "assist.db").write_bytes(data)
    monkeypatch.setattr(sys, "argv", ["assist", "records", "export", "k1", "--data", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().err
    assert "the store cannot be read: database disk image is malformed; put the last backup back" in told
    assert f"`assist restore FILE --data {tmp_path}`" in told and len(told.splitlines()) == 1


RECORD = {
    "schema_version": 1,
    "started_at": STARTED.started_at,
    "agent": "dana",
    "team": "billing",
    "level_reached": "calm",
    "outcome": "calm throughout",
    "contested": "",
    "signals": [],
    "transcript": [{"text": "the engineer never came"}],
}


def test_a_record_replaces_the_one_before(tmp_path):
    store = open_store(url(tmp_path))
    store.begin("k1", STARTED.started_at, "dana")
    store.finish("k1", "ended", RECORD)
    store.finish("k1", "ended", {**RECORD, "level_reached": "tense"}).result(10)
    assert store.record("k1") == {**RECORD, "level_reached": "tense"}
    assert store.record("k2") is None
    assert len(store.records(RecordQuery(words="engineer"))) == 1
    assert [call.state for call in store.calls("live")] == []
    store.close()


def test_an_erased_call_gets_no_record_any_more(tmp_path):
    store = open_store(url(tmp_path))
    store.begin("k1", STARTED.started_at, "dana")
    store.erase(["k1"])
    store.finish("k1", "ended", RECORD).result(10)
    assert store.record("k1") is None and not store.count(RecordQuery(words="engineer")) and not store.calls()
    store.close()


def test_records_are_found_by_what_is_asked(tmp_path):
    store = open_store(url(tmp_path))
    for n, (level, found_signal, words) in enumerate(
        [("calm", "silence", "hello"), ("escalated", "swearing", "call my guy"), ("tense", "police", 'a "quote" AND')]
    ):
        record = {
            **RECORD,
            "call": f"k{n}",
            "started_at": f"2026-11-2{n}T10:00:00+00:00",
            "level_reached": level,
            "signals": [{"id": found_signal}],
            "transcript": [{"text": words}],
        }
        store.begin(f"k{n}", str(record["started_at"]), "dana")
        store.finish(f"k{n}", "ended", record).result(10)

    def found(**wanted):
        return [record["call"] for record in store.records(RecordQuery(**wanted))]

    assert found() == ["k2", "k1", "k0"]
    assert found(worst_first=True) == ["k1", "k2", "k0"]
    assert found(words="my guy") == ["k1"]
    assert found(words='quote" AND') == ["k2"]  # the query language of the index is not open to the page
    assert found(words='"') == [] and found(words="guy my") == []
    assert found(signal="swearing") == ["k1"] and found(signal="swear") == []
    assert found(since="2026-11-21") == ["k2", "k1"]
    assert found(level="tense") == ["k2"]
    for n, began in enumerate(("02:40:00+02:00", "02:10:00+01:00", "02:50:00+02:00")):  # the clocks go back between
        store.begin(f"n{n}", f"2026-10-25T{began}", "dana")
        store.finish(f"n{n}", "ended", {**RECORD, "call": f"n{n}", "started_at": f"2026-10-25T{began}"}).result(10)
    night = store.records(RecordQuery(before="2026-10-26"))
    assert [each["call"] for each in night] == ["n1", "n2", "n0"]
    assert found(before="2026-10-26", after=sort_key(night[0])) == ["n2", "n0"]
    store.erase(["n0", "n1", "n2"]).result(10)
    newest, last = store.records(RecordQuery(limit=1)), store.records(RecordQuery(worst_first=True, limit=1))
    assert found(limit=1, after=sort_key(newest[0])) == ["k1"]
    assert found(worst_first=True, after=sort_key(last[0])) == ["k2", "k0"]
    assert store.count(RecordQuery(since="2026-11-21", limit=1, after=sort_key(newest[0]))) == 2
    store.review("k1", Review("2026-11-24T11:00:00", "Q", "signal", "key", "wrong"))
    store.review("k0", Review("2026-11-24T11:00:00", "Q", "looked")).result(10)
    assert found(reviewed=True) == ["k1"] and found(reviewed=False) == ["k2", "k0"] and found(wrong=True) == ["k1"]
    assert store.reviews("k1") == [Review("2026-11-24T11:00:00", "Q", "signal", "key", "wrong", None)]
    store.review("k1", Review("2026-11-24T11:01:00", "Q", "signal", "key", "clear"))
    store.review("k0", Review("2026-11-24T11:02:00", "Q", "comment", "", "wrong"))
    store.review("k2", Review("2026-11-24T11:03:00", "Q", "prompt", "p1", "right"))
    store.review("k2", Review("2026-11-24T11:04:00", "Q", "prompt", "p2", "wrong")).result(10)
    assert found(wrong=True) == ["k2"], "what was taken back or set right is not wrong any more, nor is another's word"
    store.close()
