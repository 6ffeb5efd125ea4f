"""A clock that was set far ahead erases nothing at once; after a long closure what is due still goes by itself."""

import asyncio
import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from assist.access.audit import open_audit
from assist.commands.main import app
from assist.doctor.keeping import retention
from assist.errors import AssistError
from assist.events import CallEnded, CallStarted
from assist.live.runs import scheduled_retention
from assist.privacy.clock_check import begin_run, clock_doubt
from assist.privacy.retention import find_due
from assist.records.filing import file_record
from assist.settings import KeepSettings, Settings
from assist.store.people import AuditEntry
from assist.store.rows import Hold, stamp
from assist.store.store import open_store
from tests.fault_rig import service
from tests.test_assist_retention import purge

KEEP = KeepSettings()
BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR = 1 / 24


def begun(store, call, began):
    """A finished call."""
    store.begin(call, stamp(began), "dana")
    started = CallStarted(0, call, "dana", "", "", "", stamp(began), "t", ("agent", "customer"), {})
    for n, event in enumerate((started, CallEnded(4_000, "hang-up"))):
        store.append(call, n, event)
    store.flush().result(10)
    file_record(store, call, "ended")
    store.flush().result(10)


@pytest.fixture
def site(tmp_path):
    """A store with a call, and runs by a clock that is set: days after the call began -> whether it is believed."""
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        begun(store, "k1", BEGAN)
        audit = open_audit(store.people, tmp_path)

        def runs(days):
            now = BEGAN + timedelta(days=days)
            found = find_due(store, KEEP, now, tmp_path)
            try:
                begin_run(store, audit, found, now)
            except AssistError as error:
                assert error.code == "clock-doubted" and clock_doubt(store, found, now)
                return False
            assert not clock_doubt(store, found, now)
            return True

        yield store, runs


@pytest.mark.parametrize(
    ("days", "believed", "noted"),
    [
        pytest.param((179, 179 + 36), (True, False), "Rw", id="set ahead"),
        pytest.param((179, 179 + 31), (True, True), "RR", id="once a month"),
        pytest.param((60, 100, 179, 181), (True,) * 4, "RwRR", id="nothing is due"),
        pytest.param((100, 179.5, 180.5, 182.5), (True, True, False, True), "RwR", id="a leap before anything is due"),
        pytest.param((400, 402.9, 403), (False, False, True), "wR", id="the first run ever, after a long closure"),
        pytest.param((179, 9_000, 9_000 + HOUR, 179 + HOUR, 181), (True, False, False, True, True), "RwRR", id="right"),
        pytest.param(
            (179, 9_000, 179.5, 9_001, 9_003.9, 9_004), (True, False, True, False, False, True), "RwRwR", id="twice"
        ),
        pytest.param((179, 9_000, 1_000, 1_002, 1_003), (True, False, False, False, True), "RwwR", id="not set enough"),
        pytest.param((179, 9_000, 9_100), (True, False, True), "RwR", id="switched on now and then"),
        pytest.param((170, -9_000, 181, -9_000, 182), (True,) * 5, "RRR", id="set back at each start"),
        pytest.param(
            (145, 181, -9_000, 183, -9_000, 184), (True, False, True, False, True, True), "RwR", id="waits all the same"
        ),
        pytest.param((-9_000, 181, -9_000, 183, 184), (True, False, True, False, True), "wR", id="at the first start"),
    ],
)
def test_a_run_long_after_the_last_one_waits_three_days(site, days, believed, noted):
    store, runs = site
    assert tuple(map(runs, days)) == believed
    kinds = {"retention": "R", "retention-waits": "w"}
    assert "".join(kinds[row.entry.what] for row in store.people.audit()) == noted


def test_serve_doubts_a_leap_says_so_and_takes_out_what_is_due_once_it_has_waited(tmp_path, caplog, monkeypatch):
    now = datetime.now(UTC)

    async def scene(entry):
        one, told = service(tmp_path), asyncio.Event()
        one.open()
        if entry is not None:
            begun(one.store, "k1", now - timedelta(days=366))
            open_audit(one.store.people, tmp_path).append([entry]).result()
        forget = one.forget
        one.forget = lambda calls, **how: (forget(calls, **how), told.set())
        monkeypatch.setattr(logging.getLogger("assist"), "filters", [lambda _: told.set() or True])
        async with asyncio.timeout(30), scheduled_retention(one):
            await told.wait()
        left = one.store.record("k1")
        await one.close()
        return left

    ran = AuditEntry(stamp(now - timedelta(days=40)), "", "program", "retention")
    assert asyncio.run(scene(ran)) and "retention run waits" in caplog.text and "40 days after" in caplog.text
    assert asyncio.run(scene(None)), "nor after a restart"
    [found] = retention(Settings(data=tmp_path))
    assert (found.level, "set it if that is wrong" in found.text) == ("warning", True)
    waited = AuditEntry(stamp(now - timedelta(days=4)), "", "program", "retention-waits", "", ran.at)
    assert asyncio.run(scene(waited)) is None


def test_what_was_heard_or_put_aside_under_a_clock_that_had_lost_the_time_is_not_taken_for_old(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        begun(store, "k1", datetime(1970, 1, 1, 0, 3, tzinfo=UTC))
        (tmp_path / "assist.before-19700101T000500.db").touch()
        found = purge(store, KEEP, tmp_path, datetime.now(UTC))
        assert store.record("k1") and not found.anything
        assert purge(store, KEEP, tmp_path, datetime.now(UTC) + timedelta(days=181)).stores


def test_serve_takes_out_what_is_due_without_the_key_of_the_audit_log_says_so_and_puts_it_back(tmp_path, caplog):
    key = tmp_path / "audit.key"

    async def scene():
        one = service(tmp_path)
        one.open()
        begun(one.store, "k1", datetime.now(UTC) - timedelta(days=366))
        one.audit.append([AuditEntry(stamp(datetime.now(UTC)), "", "program", "retention")]).result()
        gone, forget = asyncio.Event(), one.forget
        one.forget = lambda calls, **how: (forget(calls, **how), gone.set())
        key.unlink()
        async with asyncio.timeout(30), scheduled_retention(one):
            await gone.wait()
            assert key.exists() and one.store.record("k1") is None
            key.unlink()
        await one.close()

    asyncio.run(scene())
    assert caplog.text.count("audit.key was gone from the data folder, and is put back") == 2
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        assert not open_audit(store.people, tmp_path).verify().problem


def test_serve_ends_while_a_run_waits_for_what_cannot_be_written(tmp_path, monkeypatch):
    """As with keys that are damaged, or a full disk: its calls are still to be closed."""
    monkeypatch.setattr("assist.live.runs.RETENTION_STOP_S", 0.1)

    async def scene():
        one, told = service(tmp_path), asyncio.Event()
        one.open()
        begun(one.store, "k1", datetime.now(UTC) - timedelta(days=200))
        ran = AuditEntry(stamp(datetime.now(UTC)), "", "program", "retention")
        open_audit(one.store.people, tmp_path).append([ran]).result()
        (tmp_path / "keys.db").write_text("no keys")
        one._store_trouble = lambda line: told.set()
        try:
            async with asyncio.timeout(30), scheduled_retention(one):
                await told.wait()
        finally:
            await one.close()

    asyncio.run(scene())
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        assert store.calls_with_events() == {"k1"}, "its words wait for the next run"


def test_the_command_asks_whether_the_clock_is_right_and_one_that_nobody_answers_waits(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        begun(store, "k1", datetime.now(UTC) - timedelta(days=366))

    def run(*line, answer=""):
        return CliRunner().invoke(app, ["retention", *line, "--data", str(tmp_path)], input=answer)

    for answer in ("", "n\n"):
        refused = run("run", answer=answer)
        assert refused.exit_code == 1 and refused.exception.code == "clock-doubted"
    assert "It waits: the clock says" in run("show").stdout
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        assert store.record("k1") and [row.entry.what for row in store.people.audit()] == ["retention-waits"]
    assert "1 records" in run("run", answer="y\n").stdout and "It waits" not in run("show").stdout


def test_while_it_asks_whether_the_clock_is_right_the_store_is_free_and_what_is_said_meanwhile_counts(
    tmp_path, monkeypatch
):
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        for call in ("k1", "k2"):
            begun(store, call, datetime.now(UTC) - timedelta(days=366))

    def hold(asked):
        with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
            store.hold(Hold("k1", "dana", "case 7", stamp())).result()
        return True

    monkeypatch.setattr(typer, "confirm", hold)
    assert "1 records" in CliRunner().invoke(app, ["retention", "run", "--data", str(tmp_path)]).stdout
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        assert store.record("k1") and not store.record("k2")


def test_who_says_that_the_clock_is_right_is_not_asked(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        begun(store, "k1", datetime.now(UTC) - timedelta(days=366))
    answer = CliRunner().invoke(app, ["retention", "run", "--yes", "--data", str(tmp_path)])
    assert "1 records" in answer.stdout
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        [entry] = [row.entry for row in store.people.audit()]
        assert (entry.what, entry.role) == ("retention", "command")
        assert not purge(store, KEEP, tmp_path, datetime.now(UTC)).anything
