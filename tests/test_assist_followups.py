import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime

import icalendar
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from assist.commands.main import app
from assist.errors import AssistError
from assist.events import CallEnded, CallStarted, FollowUpNoted
from assist.records.folding import fold
from assist.records.followups import mark_follow_ups, open_followups, write_calendar
from assist.records.icalendar import to_icalendar
from assist.store.rows import Review
from assist.store.store import open_store

STARTED = CallStarted(0, "k1", "Dana", "", "", "", "2026-11-24T10:00:00+00:00", "t", ("agent", "customer"), {})
CALL_BACK = FollowUpNoted(5_000, "f1", "call you back", "tomorrow at ten", "Dana", "words", "2026-11-25T10:00+00:00")
ENGINEER = FollowUpNoted(6_000, "f2", "send an engineer", "by Friday", "Lee", "words", "2026-11-27")
SOME_TIME = FollowUpNoted(7_000, "f3", "call you back", "", "Dana", "words")


@pytest.fixture
def store(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    store.begin("k1", STARTED.started_at, "Dana").result()
    record = fold([STARTED, SOME_TIME, ENGINEER, CALL_BACK, CallEnded(9_000, "hang-up")])
    store.finish("k1", "ended", record.model_dump(mode="json")).result()
    yield store
    store.close()


def test_open_ones_come_in_the_order_they_are_due(store):
    found = open_followups(store)
    assert [(each.name, str(each.day), each.owner) for each in found] == [
        ("k1/f1", "2026-11-25", "Dana"),
        ("k1/f2", "2026-11-27", "Lee"),
        ("k1/f3", "None", "Dana"),
    ]
    assert found[0].at == datetime.fromisoformat("2026-11-25T10:00:00+00:00") and found[1].at is None


def test_a_promise_is_listed_however_many_calls_came_after_it(store, tmp_path):
    with sqlite3.connect(tmp_path / "assist.db") as database:
        calls = "WITH RECURSIVE later(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM later WHERE n < 100001) "
        database.execute(
            f"""INSERT INTO records {calls} SELECT 'later' || n, schema_version, '2026-11-25T10:00', agent, team, level,
            outcome, contested, signal_ids, '' FROM later, records"""
        )
        database.execute(
            f"""INSERT INTO digests {calls} SELECT 'later' || n,
            '{{"call": "later' || n || '", "started_at": "2026-11-25T10:00", "follow_ups": []}}' FROM later"""
        )
    database.close()
    assert [each.name for each in open_followups(store)] == ["k1/f1", "k1/f2", "k1/f3"]


def test_calls_whose_promises_are_written_to_a_file_are_noted_before_as_exported(store, tmp_path):
    later = replace(STARTED, call="k2", started_at="2026-11-25T10:00:00+00:00")
    store.begin("k2", later.started_at, "Dana")
    store.finish("k2", "ended", fold([later, SOME_TIME, CallEnded(9_000, "hang-up")]).model_dump(mode="json")).result()
    store.close()
    of = ["--owner", "dana"]  # however the name is spelled
    run = lambda: CliRunner().invoke(app, ["followups", "--ical", str(out), "--data", str(tmp_path), *of])  # noqa: E731
    for name, code in (("out.ics", 0), ("none.ics", 1)):
        out = tmp_path / name
        assert run().exit_code == code and out.exists() == (not code)
        with closing(sqlite3.connect(tmp_path / "assist.db")) as database, database:
            assert database.execute("SELECT what, target FROM audit").fetchall() == [("export", "k1")]  # k2 has no day
            database.execute(
                "CREATE TRIGGER IF NOT EXISTS never BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END"
            )


def test_done_ones_leave_the_list_and_come_back_when_reopened(store):
    mark_follow_ups(store, "lee", done=["k1/f1"])
    assert [each.id for each in open_followups(store)] == ["f2", "f3"]
    mark_follow_ups(store, "lee", reopened=["k1/f1"])
    assert [each.id for each in open_followups(store)] == ["f1", "f2", "f3"]
    assert [(review.who, review.text) for review in store.reviews("k1")] == [("lee", "done"), ("lee", "open")]


def test_a_day_that_is_none_hides_no_promise(store, tmp_path):
    store.review("k1", Review("2026-11-24T11:00:00+00:00", "Dana", "due", "f1", "2026-02-30")).result()
    assert [(each.id, str(each.day)) for each in open_followups(store)] == [
        ("f2", "2026-11-27"),
        ("f3", "None"),
        ("f1", "None"),
    ]
    write_calendar(open_followups(store), tmp_path / "out.ics")
    assert len(icalendar.Calendar.from_ical((tmp_path / "out.ics").read_bytes()).walk("VTODO")) == 1


@pytest.mark.parametrize("name", ["f1", "k1/f9", "k2/f1", ""])
def test_one_that_is_not_there_is_refused_and_nothing_is_marked(store, name):
    with pytest.raises(AssistError, match="expected CALL/ID"):
        mark_follow_ups(store, "lee", done=["k1/f1", name])
    with pytest.raises(AssistError, match="expected CALL/ID"):
        mark_follow_ups(store, "lee", done=["k1/f1"], reopened=[name])
    assert len(open_followups(store)) == 3


def test_a_calendar_that_cannot_be_written_is_refused_before_anything_is_marked(store, tmp_path):
    (tmp_path / "mine.ics").write_text("notes of somebody's")
    store.close()
    answer = CliRunner().invoke(
        app, ["followups", "--done", "k1/f1", "--ical", str(tmp_path / "mine.ics"), "--data", str(tmp_path)]
    )
    assert "mine.ics is there" in str(answer.exception)
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as again:
        assert len(open_followups(again)) == 3


def test_the_calendar_is_read_by_an_icalendar_library(store, tmp_path):
    write_calendar(open_followups(store), tmp_path / "out.ics")
    calendar = icalendar.Calendar.from_ical((tmp_path / "out.ics").read_bytes())
    first, second = calendar.walk("VTODO")
    assert (str(first["SUMMARY"]), first.decoded("DUE")) == (
        "call you back (Dana)", datetime.fromisoformat("2026-11-25T10:00:00+00:00"),
    )  # fmt: skip
    assert (str(second["SUMMARY"]), second.decoded("DUE")) == ("send an engineer (Lee)", date(2026, 11, 27))
    assert first["UID"] != second["UID"] and str(first["STATUS"]) == "NEEDS-ACTION"
    assert calendar.errors == [] and first.errors == []


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=120),
            st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20),
            st.dates(date(2026, 1, 1), date(2030, 1, 1)),
        ),
        max_size=5,
    )
)
def test_any_words_make_a_valid_calendar_with_short_lines(todos):
    given_ = [(f"k-{n}", what, owner, due) for n, (what, owner, due) in enumerate(todos)]
    text = to_icalendar(given_, "20261124T101500Z")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    calendar = icalendar.Calendar.from_ical(text)
    assert [(str(todo["SUMMARY"]), todo.decoded("DUE")) for todo in calendar.walk("VTODO")] == [
        (f"{what} ({owner})", due) for what, owner, due in todos
    ]


def test_a_moment_is_written_in_utc():
    there = datetime.fromisoformat("2026-11-25T10:00:00+02:00")
    text = to_icalendar([("k", "call", "Dana", there)], "20261124T101500Z")
    assert "DUE:20261125T080000Z" in text
