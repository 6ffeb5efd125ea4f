"""One program writes a store: beside a real server, commands read for themselves and have it write."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assist.commands.app import store_of
from assist.commands.main import app
from assist.errors import AssistError
from assist.events import CallEnded, CallStarted, FollowUpNoted
from assist.live.joining import Joining, accept_calls, join
from assist.live.runs import scheduled_retention
from assist.live.writing import Erase, EraseWords, handle_write, socket_path
from assist.privacy.retention import erase, without_words
from assist.records.folding import fold
from assist.settings import Settings
from assist.store.lock import StoreInUse, StoreLock, check_not_in_use
from assist.store.rows import Hold, StoredGate
from assist.store.sqlite import BACKUP_COPY
from assist.store.store import open_reader, open_store
from tests.fault_rig import Sound, service
from tests.scripted_call import Source, on_stage
from tests.test_assist_retention import purge

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "tests" / "models" / "test-recogniser"
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1"}
NOW = datetime.now(UTC)
LINES = (
    ("users", "add", "Maria", "--role", "supervisor", "--password-stdin"),
    ("users", "passwd", "Maria", "--password-stdin"),
    ("users", "role", "Maria", "qa"),
    ("users", "list"),
    ("users", "add", "Dana", "--role", "agent", "--password-stdin"),
    ("users", "remove", "Dana"),
    ("privacy", "hold", "k1", "--why", "case 7"),
    ("privacy", "hold", "k2", "--why", "case 8"),
    ("privacy", "release", "k2"),
    ("privacy", "erase", "k2", "--yes"),
    ("privacy", "export", "k1", "--out", "OUT/export.zip"),
    ("records", "list"),
    ("records", "show", "k1"),
    ("followups", "--ical", "OUT/promises.ics"),
    ("followups", "--done", "k1/f1"),
    ("retention", "show"),
    ("retention", "run"),
    ("backup", "OUT/copy.db"),
    ("report",),
    ("audit", "--verify"),
    ("doctor", "--port", "0"),
)
COMMANDS = """
import json, sys
opened = []
def hook(event, arguments):
    if event == "sqlite3.connect":
        opened.append(str(arguments[0]))
sys.addaudithook(hook)
from typer.testing import CliRunner
from assist.commands.main import app
data, out, lines = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
said = []
for line in lines:
    line = [each.replace("OUT", out) for each in line]
    answer = CliRunner().invoke(app, [*line, "--data", data], input="correct horse battery\\n")
    said.append([answer.exit_code, answer.output, repr(answer.exception)])
print(json.dumps([said, opened]))
"""


@pytest.fixture
def data(tmp_path):
    """A folder with three finished calls."""
    folder = tmp_path / "data"
    store = open_store(Settings(data=folder).store_url)
    for call in ("k1", "k2", "k3"):
        started = CallStarted(0, call, "Dana", "", "", "", NOW.isoformat(), "t", ("agent", "customer"), {})
        promised = FollowUpNoted(1_000, "f1", "call you back", "tomorrow", "Dana", "words")
        store.begin(call, started.started_at, "Dana")
        events = (started, promised, CallEnded(9_000, "hang-up"))
        for n, event in enumerate(events):
            store.append(call, n, event)
        record = fold(events)
        store.set_gate(call, StoredGate("one-party", "granted", "Dana", at=NOW.isoformat()))
        store.finish(call, "ended", record.model_dump(mode="json")).result()
    store.close()
    return folder


@pytest.fixture
def server(data):
    """A real server on it."""
    server = subprocess.Popen(
        [sys.executable, "-m", "assist", "serve", "--port", "0", "--data", str(data)]
        + ["--recogniser", "whisper", "--model", str(MODEL)],
        stdout=subprocess.PIPE,
        text=True,
        env={**ENV, "HOME": str(data), "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    assert any(line.startswith("Ready") for line in server.stdout)
    yield server
    server.kill()
    server.wait()
    server.stdout.close()


def commands(data, out, lines):
    """[exit code, output, exception] of each, all from one other process, and the databases that it opened."""
    answer = subprocess.run(
        [sys.executable, "-c", COMMANDS, str(data), str(out), json.dumps(lines)],
        capture_output=True, text=True, timeout=120, env={**ENV, "HOME": str(data)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    said, opened = json.loads(answer.stdout)
    return said, [
        each for each in opened if "assist.db" in each and BACKUP_COPY not in each
    ]  # a backup's copy is not it


def test_every_command_works_beside_a_running_server_and_none_opens_its_store_for_writing(data, server, tmp_path):
    said, opened = commands(data, tmp_path, LINES)
    failed = [(line, *each) for line, each in zip(LINES, said, strict=True) if each[0] and line[0] != "doctor"]
    assert not failed
    assert opened and all("mode=ro" in each for each in opened)
    assert "every seal holds" in said[-2][1]
    reader = open_reader(Settings(data=data).store_url)
    assert [(user.name, user.role) for user in reader.people.users()] == [("Maria", "qa")]
    assert [hold.call for hold in reader.holds()] == ["k1"] and {each.call for each in reader.calls()} == {"k1", "k3"}
    assert [(review.kind, review.text) for review in reader.reviews("k1")] == [("follow-up", "done")]
    noted = {f"{row.entry.what} {row.entry.target}" for row in reader.people.audit()}
    assert {"user-added Maria", "user-removed Dana", "hold k1", "erase k2", "export k1", "export k3"} <= noted
    reader.close()

    beside = store_of(Settings(data=data))
    with pytest.raises(AssistError, match="on hold"):
        erase(beside, data, ["k1"])
    with pytest.raises(AssistError, match="open for reading only"):
        beside.begin("k9", NOW.isoformat(), "Dana")
    assert purge(beside, Settings(data=data).keep, data, NOW + timedelta(days=366)).records == ("k3",)
    assert purge(beside, Settings(data=data).keep, data, NOW + timedelta(days=401)).gates == ("k2", "k3")
    assert [each.call for each in beside.calls()] == ["k1"]
    beside.close()

    second = CliRunner().invoke(app, ["serve", "--port", "0", "--data", str(data), "--recogniser", "pocketsphinx"])
    assert second.output == "", "told before seconds of loading"
    assert isinstance(second.exception, AssistError)
    assert f"is being written by another assist program (process {server.pid}): stop that one first" in str(
        second.exception
    )
    server.kill()
    server.wait()
    open_store(Settings(data=data).store_url).close()  # the lock went with the process, though its socket is there
    assert socket_path(data).exists()


def test_a_program_that_cannot_be_asked_is_named_and_one_that_hears_a_single_call_writes_but_takes_no_other(
    data, monkeypatch
):
    settings = Settings(data=data)
    monkeypatch.setattr("assist.commands.app.WAIT_S", 0)

    async def scene():
        one = service(data)
        one.open()
        with pytest.raises(AssistError, match=f"written by another assist program \\(process {os.getpid()}\\)"):
            store_of(settings)  # no socket: there is nobody to ask
        socket_path(data).mkdir()
        async with accept_calls(one) as closed:
            assert closed.startswith("no socket can be made in the data folder (")
        socket_path(data).rmdir()
        async with accept_calls(one, joins=False):
            with pytest.raises(AssistError, match="run `assist serve`, which takes many"):
                await join(data, Joining(microphone="m", far_end="f"), lambda event: None)
            with pytest.raises(AssistError, match="only be told names in UTF-8: rename the file"):
                await join(data, Joining(recording=Path(os.fsdecode(b"\xff.ogg"))), lambda event: None)
            beside = store_of(settings)
            await asyncio.to_thread(lambda: beside.hold(Hold("k1", "legal", "case 7", "2026-01-01")).result())
            live, task = one.start(Sound())
            with pytest.raises(AssistError, match="is live, or ending just now: hang up first"):
                await asyncio.to_thread(beside.erase, [live])
            one.calls[live].hang_up()
            await task
            beside.close()
        assert [hold.why for hold in one.store.holds()] == ["case 7"]
        await one.close()

    asyncio.run(scene())


@pytest.mark.parametrize("erases", [True, False])
def test_a_call_whose_words_are_taken_out_leaves_the_page_of_its_agent_and_no_other(erases, tmp_path):
    async def scene():
        one = service(tmp_path)
        one.open()
        for agent in ("Dana", "Tom"):
            call, task = one.start(Sound(40), agent=agent)
            await task
        [of_dana] = [each.call for each in one.store.calls() if each.agent == "Dana"]
        assert "your manager" in str(one.hub.snapshot("agent/Dana"))
        ask = (
            Erase(calls=[of_dana])
            if erases
            else EraseWords(call=of_dana, record=without_words(one.store.record(of_dana)))
        )
        assert await handle_write(one, ask.model_dump_json().encode()) == {"written": True}
        assert set(one.hub.snapshot("agent/Dana")) == {"call"}
        assert one.hub.latest("agent/Dana", "call").state == "waiting"
        assert one.hub.latest("agent/Tom", "ended").record == call
        await one.close()

    asyncio.run(scene())


@pytest.mark.parametrize("killed", [False, True])
def test_a_command_waits_for_another_one_that_has_the_store(data, monkeypatch, killed):
    owner = StoreLock(data / "assist.db")
    if killed:  # what a killed server leaves
        with closing(socket.socket(socket.AF_UNIX)) as left:
            left.bind(str(socket_path(data)))
    monkeypatch.setattr("assist.commands.app.sleep", lambda _: owner.close())
    line = ["privacy", "hold", "k1", "--why", "case 7", "--data", str(data)]
    assert CliRunner().invoke(app, line).exit_code == 0
    with closing(StoreLock(data / "assist.db")):
        monkeypatch.setattr("assist.commands.app.WAIT_S", 0)
        answer = CliRunner().invoke(app, line)
        (data / "assist.db.lock").unlink()  # by hand, taken for one of a program that was killed
        assert CliRunner().invoke(app, line).exception.code == "store-in-use"
        with pytest.raises(StoreInUse):
            check_not_in_use(data / "assist.db")
    assert f"another assist program (process {os.getpid()})" in str(answer.exception)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_command_that_cannot_write_says_what_it_waits_for(data, monkeypatch):
    import resource

    before, store = resource.getrlimit(resource.RLIMIT_FSIZE), store_of(Settings(data=data))

    class Terminal(StringIO):
        def write(self, text):
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Terminal())
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        store.hold(Hold("k1", "legal", "case 7", "2026-01-01")).result(60)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        store.close()
    assert "waiting: cannot write assist.db: " in sys.stderr.getvalue()


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("goes", ["by a command", "by age", "words alone"])
def test_what_an_erased_call_was_offered_is_forgotten_by_the_program_that_runs(data, goes, left):
    began = (NOW - timedelta(days=3)).isoformat()
    offered = {"id": "fee", "title": "Fee waived", "offered_ms": 1_000, "answer": "accepted"}
    store = open_store(Settings(data=data).store_url)
    record = store.record("k1") | {"caller": "…0142", "plan": [offered], "started_at": began}
    store.finish("k1", "ended", record).result()
    store.close()

    async def scene():
        one = service(data, keep={"review_days": 1} if goes == "by age" else {})
        one.open()
        if left:  # a file of it that cannot be removed
            (data / "records" / "k1.html").mkdir(parents=True)
        gone, forget = asyncio.Event(), one.forget
        one.forget = lambda calls, **how: (forget(calls, **how), "k1" in calls and gone.set())
        assert one.history.accepted_here() == {"fee": (1, 1)}
        if goes == "by age":
            async with scheduled_retention(one):
                await gone.wait()
        else:
            ask = EraseWords(call="k1", record=without_words(record)) if goes == "words alone" else Erase(calls=["k1"])
            answer = await handle_write(one, ask.model_dump_json().encode())
            assert answer.get("code", "") == ("files-left" if left and goes == "by a command" else "")
        assert one.history.accepted_here() == ({"fee": (1, 1)} if goes == "words alone" else {})
        await one.close()

    asyncio.run(scene())


def test_a_call_whose_record_is_being_written_is_neither_erased_nor_resumed_until_it_is_done(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", meaning=False, auto_pause=False)
        one, held, writing = stage.service, threading.Event(), asyncio.Event()
        write, loop = one._write_record, asyncio.get_running_loop()

        def slowly(call):
            loop.call_soon_threadsafe(writing.set)
            held.wait()
            return write(call)

        one._write_record = slowly
        await stage.hear()
        stage.task.cancel()
        await writing.wait()
        erase_it = Erase(calls=[stage.call]).model_dump_json().encode()
        try:
            assert (await handle_write(one, erase_it))["code"] == "call-live"
            with pytest.raises(AssistError, match="try again in a moment"):
                await one.resume(stage.call, Source())
        finally:
            held.set()
        await asyncio.wait([stage.task])
        assert one.hub.latest("board", f"row/{stage.call}") is None
        assert await handle_write(one, erase_it) == {"written": True}
        assert one.store.record(stage.call) is None and one._write_record(stage.call) is None
        await one.close()

    asyncio.run(scene())


def test_no_page_keeps_a_call_whose_record_cannot_be_written(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, consent="granted", meaning=False, auto_pause=False)
        one = stage.service
        await stage.hear()
        one._write_record = lambda call: 1 / 0
        stage.source.stop()
        with pytest.raises(ZeroDivisionError):
            await stage.task
        assert one.live_calls == () and stage.shown("call").state == "ended"
        assert one.hub.latest("board", f"row/{stage.call}") is None
        await one.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "line",
    [b'{"write": "drop"}\n', b'{"write": "hold"}\n', b'{"write": "note", "entries": []}\n', b'{"write"\n'],
)
def test_what_is_no_write_is_refused_in_one_line_and_nothing_is_written(data, line):
    one = service(data)

    async def scene():
        one.open()
        before = (data / "assist.db-wal").read_bytes()
        answer = await handle_write(one, line)
        assert answer["refused"].startswith("not understood: ") and "\n" not in answer["refused"]
        one.store.flush().result()
        assert (data / "assist.db-wal").read_bytes() == before
        await one.close()

    asyncio.run(scene())
