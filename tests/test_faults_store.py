"""What is acknowledged is on disk: kill -9, failing and full disks, the order of fsync and acknowledgement, backups.

Figures of the goals are in the names of the tests; tests/mutants.toml holds a seeded bug for each that must fail it.
"""

import asyncio
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from assist.errors import AssistError
from assist.events import Action, CallEnded
from assist.store.backups import restore_backup, write_backup
from assist.store.people import StoredUser
from assist.store.store import open_store
from assist.store.writer import RESERVE_BYTES
from tests.fault_rig import Sound, acknowledging, in_a_child, killed_after, service

CALLS = 8
NEEDS_STRACE = pytest.mark.skipif(
    shutil.which("strace") is None or not sys.platform.startswith("linux"),
    reason="needs strace (Linux) to see and to break system calls",
)


def url(folder):
    return f"sqlite:///{folder / 'assist.db'}"


def listen_until_killed(folder, pipe):
    """Eight calls at once; a line for every acknowledged event."""

    async def run():
        one = service(folder)
        one.open()
        acknowledging(one, lambda call, n: os.write(pipe, f"{call} {n}\n".encode()))
        tasks = [one.start(Sound(), agent=f"agent {n}")[1] for n in range(CALLS)]
        await asyncio.gather(*tasks)

    asyncio.run(run())


def kills(folder, rounds, seed):
    """Kill rounds on one store; the counts that matter."""
    dice = random.Random(seed)
    acknowledged, interrupted = 0, 0
    for _ in range(rounds):
        child, reading = in_a_child(listen_until_killed, folder)
        told = [line.split() for line in killed_after(child, reading, dice.randint(1, 300))]
        acknowledged += len(told)

        async def check(told=told):
            one = service(folder)
            interrupted = one.open()
            for call in {call for call, _ in told}:
                stored = [n for n, _ in one.store.events(call)]
                assert {int(n) for c, n in told if c == call} <= set(stored), "an acknowledged event is lost"
                assert stored == list(range(len(stored))), "a hole, or an event twice"
                assert one.store.events(call)[-1][1].reason == "interrupted"
                assert one.store.record(call)["ended"] == "interrupted"
            assert set(interrupted) >= {call for call, _ in told}
            await one.close()
            return len(interrupted)

        interrupted += asyncio.run(check())
        with closing(sqlite3.connect(folder / "assist.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return acknowledged, interrupted


def test_kill_9_in_eight_live_calls_loses_and_doubles_nothing(tmp_path):
    acknowledged, interrupted = kills(tmp_path, 3, seed=1)
    assert acknowledged >= 3 and interrupted >= 3


def test_a_call_cut_short_before_its_first_event_is_no_call(tmp_path):
    store = open_store(url(tmp_path))
    store.begin("k1", "2026-11-26T10:00:00+00:00", "dana").result(10)
    store.close()

    async def run():
        one = service(tmp_path)
        interrupted = one.open()
        calls = one.store.calls()
        await one.close()
        return interrupted, calls

    for _ in range(2):
        assert asyncio.run(run()) == ([], [])


@pytest.mark.slow
def test_two_hundred_kills_lose_and_double_nothing(tmp_path):
    acknowledged, interrupted = kills(tmp_path, 200, seed=2)
    print(f"200 kills, {acknowledged} acknowledged events, {interrupted} calls interrupted, 0 lost, 0 doubled")
    assert acknowledged >= 2_000


WRITER = """
import os, sys
from assist.store.store import open_store
from assist.events import Action
store = open_store(sys.argv[1], lambda line: os.write(2, f"trouble {line}\\n".encode()))
for n in range(int(sys.argv[2])):
    event = Action(n, "dana", "agent", "note", detail="x" * 300)
    store.append("k1", n, event).add_done_callback(
        lambda done, n=n: os.write(1, f"ack {n}\\n".encode()) if done.exception() is None else None
    )
    if n % 7 == 0:
        store.flush().exception()
store.close()
"""


def traced(folder, events, *options):
    """Write so many events under strace; what it saw, and what the writer said."""
    log = folder / "strace.log"
    command = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=pwrite64,fdatasync,fsync,write", *options]
    answer = subprocess.run(
        [*command, sys.executable, "-c", WRITER, url(folder), str(events)], capture_output=True, text=True, timeout=300
    )
    return log.read_text(), answer


def acknowledged_before_their_fsync(log):
    """Acknowledgements that were told while something written to the log of the database was not yet synced."""
    early, dirty = [], False
    for line in log.splitlines():
        if "assist.db-wal" in line and "pwrite64" in line:
            dirty = True
        elif ("fdatasync" in line or "fsync" in line) and re.search(r"\) += 0|resumed.*= 0", line):
            dirty = False
        elif (found := re.search(r'write\(1\S*, "ack (\d+)', line)) and dirty:
            early.append(int(found[1]))
    return early


@NEEDS_STRACE
@pytest.mark.parametrize("events", [120, pytest.param(1_000, marks=pytest.mark.slow)])
def test_no_event_is_acknowledged_before_its_fsync_has_returned(tmp_path, events):
    log, answer = traced(tmp_path, events)
    assert answer.stdout.count("ack") == events, answer.stderr
    assert acknowledged_before_their_fsync(log) == []


ERASER = """
import sys
from assist.store.searching import RecordQuery
from assist.store.store import open_store
from tests.made_records import made_records
store = open_store(sys.argv[1])
for record in made_records(250):
    store.begin(record["call"], record["started_at"], record["agent"])
    store.finish(record["call"], "ended", record)
store.erase([f"k{n:06}" for n in range(125)]).result()
assert len(store.records(RecordQuery(worst_first=True, limit=None))) == 125
store.close()
"""


@NEEDS_STRACE
def test_neither_erasing_nor_sorting_writes_words_to_another_folder(tmp_path):
    elsewhere, log = tmp_path / "elsewhere", tmp_path / "strace.log"
    elsewhere.mkdir()
    strace = ["strace", "-f", "--seccomp-bpf", "-o", str(log), "-e", "trace=openat"]
    command = [*strace, sys.executable, "-c", ERASER, url(tmp_path)]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"SQLITE_TMPDIR": str(elsewhere)})
    opened = log.read_text()
    assert "assist.db-wal" in opened and str(elsewhere) not in opened


def broken_disk(folder, call, error, nth):
    """Break the nth such call on the database's log once; 0 acknowledged events may be missing afterwards."""
    open_store(url(folder)).close()
    log = str(folder / "assist.db-wal")
    _, answer = traced(folder, 40, "-P", log, "-e", f"inject={call}:error={error}:when={nth}")
    acknowledged = {int(n) for n in re.findall(r"ack (\d+)", answer.stdout)}
    told = "trouble" in answer.stderr
    store = open_store(url(folder))
    stored = {n for n, _ in store.events("k1")}
    store.close()
    assert acknowledged <= stored, f"{call} {error} at {nth}: acknowledged and not there"
    with closing(sqlite3.connect(folder / "assist.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return told, len(acknowledged)


@NEEDS_STRACE
@pytest.mark.parametrize(
    ("call", "error", "nth"), [("fdatasync", "EIO", 5), ("pwrite64", "EIO", 12), ("pwrite64", "ENOSPC", 16)]
)
def test_a_disk_that_fails_once_loses_nothing_that_was_acknowledged(tmp_path, call, error, nth):
    told, kept = broken_disk(tmp_path, call, error, nth)
    assert told and kept == 40  # written again on a fresh connection: nothing is given up


@pytest.mark.slow
@NEEDS_STRACE
@pytest.mark.parametrize(("call", "error"), [("fdatasync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC")])
def test_fifty_places_of_failure_lose_nothing_that_was_acknowledged(tmp_path, call, error):
    told = 0
    for nth in range(1, 51):
        folder = tmp_path / f"{nth}"
        folder.mkdir()
        told += broken_disk(folder, call, error, nth)[0]
    print(f"{call} {error}: 50 places, {told} met while writing, 0 acknowledged events lost")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 40 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_told_its_reserve_is_used_and_nothing_is_lost(small_disk):
    told = []
    store = open_store(url(small_disk), told.append)
    store.begin("k1", "2026-11-26T10:00:00+00:00", "dana").result(10)
    reserve = small_disk / "assist.db.reserve"
    assert reserve.stat().st_size == RESERVE_BYTES
    ballast = small_disk / "somebody else's file"
    with open(ballast, "wb") as file:
        file.write(bytes(shutil.disk_usage(small_disk).free))
    assert shutil.disk_usage(small_disk).free == 0
    receipts = [store.append("k1", n, Action(n, "dana", "agent", "note", detail="x" * 20_000)) for n in range(100)]
    for receipt in receipts:  # 2 MB: the reserve holds it
        receipt.result(30)
    store.flush().result(30)
    assert "reserve is in use" in told[0] and told[-1] is None
    assert not reserve.exists()
    more = [store.append("k1", n, Action(n, "dana", "agent", "note", detail="x" * 20_000)) for n in range(100, 400)]
    while len(told) < 3:
        assert not all(receipt.done() for receipt in more)
    assert "trying again" in told[2]
    assert store.backlog_full is False
    ballast.unlink()
    for receipt in more:
        receipt.result(30)
    store.flush().result(30)
    assert told[-1] is None and reserve.exists()
    assert [n for n, _ in store.events("k1")] == list(range(400))
    store.close()


def test_so_much_waiting_that_no_new_call_should_begin(tmp_path):
    one = None

    async def run():
        nonlocal one
        one = service(tmp_path)
        one.open()
        blocker = sqlite3.connect(tmp_path / "assist.db", isolation_level=None)
        with one.store._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=50")
        blocker.execute("BEGIN EXCLUSIVE")
        receipts = [
            one.store.append("k1", n, Action(n, "dana", "agent", "note", detail="x" * 1_000_000)) for n in range(20)
        ]
        with pytest.raises(AssistError, match="no new call begins"):
            one.start(Sound(1))
        blocker.execute("COMMIT")
        blocker.close()
        for receipt in receipts:
            receipt.result(30)
        assert len(one.store.events("k1")) == 20
        _, task = one.start(Sound(1))
        await task
        await one.close()

    asyncio.run(run())


@pytest.mark.slow
def test_a_backup_made_while_calls_go_on_comes_back_whole(tmp_path):
    folder, out = tmp_path / "data", tmp_path / "copy.db"

    async def run():
        one = service(folder)
        one.open()
        call, task = one.start(Sound(2_000))
        for _ in range(50):
            await asyncio.sleep(0)
        one.store.flush().result(10)
        acknowledged = one.store.events(call)
        assert write_backup(one.store, out) > 0
        with pytest.raises(AssistError, match="exists already"):
            write_backup(one.store, out)
        with pytest.raises(AssistError, match="written by another"):
            restore_backup(out, url(folder))
        await task
        await one.close()
        return call, acknowledged

    call, acknowledged = asyncio.run(run())
    with closing(sqlite3.connect(folder / "assist.db")) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM events").fetchall()
        with pytest.raises(AssistError, match="in use"):
            restore_backup(out, url(folder))
    kept = restore_backup(out, url(folder)).former
    store = open_store(url(folder))
    assert store.events(call)[: len(acknowledged)] == acknowledged
    store.close()
    former = open_store(f"sqlite:///{kept}")
    assert isinstance(former.events(call)[-1][1], CallEnded)
    former.close()
    assert (folder / "assist.db").stat().st_mode & 0o077 == 0


def test_a_damaged_backup_is_refused_and_the_store_stays(tmp_path):
    store = open_store(url(tmp_path))
    for n in range(200):
        store.append("k1", n, Action(n, "dana", "agent", "note", detail="x" * 500))
    store.people.put_user(StoredUser("Maria", "qa", "q" * 600, 1, "2026-01-01")).result()
    out = tmp_path / "copy.db"
    write_backup(store, out)
    store.close()
    whole = out.read_bytes()
    pages = range(8192, len(whole), 4096)
    users = [place for place in pages if b"q" * 600 in whole[place : place + 4096]]
    for damaged in (pages, users):  # those no restore reads
        body = bytearray(whole)
        for place in damaged:
            body[place : place + 64] = bytes(64)
        out.write_bytes(body)
        with pytest.raises(AssistError, match="damaged|no whole store"):
            restore_backup(out, url(tmp_path))
    with pytest.raises(AssistError, match="there is no file"):
        restore_backup(tmp_path / "none.db", url(tmp_path))
    assert not list(tmp_path.glob("*.restoring"))  # refused before anything was written
    again = open_store(url(tmp_path))
    assert len(again.events("k1")) == 200
    again.close()
