"""The record carries everything, earlier versions still open, its schema is the published one, its log is sealed."""

import csv
import io
import json
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assist.errors import AssistError
from assist.events import Action, AlertRaised, FollowUpNoted, PlanOffered, PlanOption, PromptShown
from assist.files import write_file
from assist.records.export import COLUMNS, export, records_between, select_records, serialised, to_csv
from assist.records.folding import fold
from assist.records.page import page
from assist.records.record import SCHEMA_VERSION, IncidentRecord, read_record, record_schema
from assist.records.seal import seal, verify_log
from assist.records.wrapup import with_reviews
from assist.store.codec import decode, encode
from assist.store.rows import Review
from assist.store.searching import RecordQuery
from assist.store.store import open_store
from audio.events import Speaker, Utterance, Word
from detectors.signals import Level, LevelChange, Severity
from tests.made_records import made_records
from tests.test_assist_record import CALL, OPTION, signal

SAMPLES = sorted((Path(__file__).parent / "data" / "records").glob("*.json"))
SCHEMA = Path(__file__).parent.parent / "assist" / "records" / "record.schema.json"
MONTH = PlanOption("month", "One month free", "worth £34", "ask", 25.0)
WORDS = tuple(Word(text, i * 100, i * 100 + 90) for i, text in enumerate(["it", "is", "[card number]", "right"]))
MORE = [
    *CALL[:-1],
    Utterance("c2", Speaker.CUSTOMER, 23_100, 23_900, WORDS),
    PlanOffered(24_000, (OPTION, MONTH)),
    Action(24_100, "Dana", "agent", "plan-asked", "month", "One month free"),
    AlertRaised(24_100, "a2", Severity.HELP, "Dana asks to give: One month free", (), "ask", "month"),
    Action(24_500, "Maria", "supervisor", "watch"),
    Action(25_000, "Maria", "supervisor", "plan-answered", "a2", "allowed"),
    Action(25_500, "Maria", "supervisor", "message", detail="Give it. I'll sign."),
    Action(26_000, "Dana", "agent", "plan-accepted", "month"),
    LevelChange(26_500, Level.ESCALATED, Level.RECOVERING, 70.0, (signal(),)),
    Action(27_000, "Dana", "agent", "pause"),
    Action(28_000, "Dana", "agent", "resume"),
    LevelChange(29_000, Level.RECOVERING, Level.ESCALATED, 30.0, ()),
    CALL[-1],
]


def test_everything_people_did_and_what_came_of_it_is_in_the_record():
    record = fold(MORE)
    fee, month = record.plan
    assert (fee.answer, fee.answered_ms, fee.calmed_after_ms) == ("accepted", 12_000, 8_000)
    assert (month.asked_ms, month.permission, month.answer, month.calmed_after_ms) == (24_100, "allowed", "accepted", 0)
    assert [(d.who, d.what, d.text) for d in record.actions] == [
        ("Maria", "claim", ""),
        ("Maria", "watch", ""),
        ("Maria", "plan-answered", "allowed"),
        ("Maria", "message", "Give it. I'll sign."),
        ("Dana", "pause", ""),
        ("Dana", "resume", ""),
    ]
    assert [(p.from_ms, p.to_ms) for p in record.pauses] == [(27_000, 28_000)]
    assert "<td>asked, allowed</td>" in page(record) and "to be asked for" not in page(record)
    assert "<td>to be asked for</td>" in page(fold([*CALL[:-1], MORE[len(CALL)], CALL[-1]])), "nobody has asked"
    assert record.redactions == {"card number": 1} and record.withdrawn == 1
    assert record.alerts[1].kind == "ask" and record.alerts[1].course[0] == (25_000, "allowed", "Maria")


def test_an_accepted_option_that_calmed_nobody_says_so():
    events = [CALL[0], LevelChange(1, Level.ESCALATED, Level.CALM, 70.0, ()), PlanOffered(2, (OPTION,)),
              Action(3, "Dana", "agent", "plan-accepted", OPTION.id), CALL[-1]]  # fmt: skip
    record = fold(events)
    assert record.plan[0].calmed_after_ms is None
    assert "did not calm down" in page(record)


@pytest.mark.parametrize(
    ("calmer_ms", "after_ms", "told"),
    [(26_500, 1, "calmer with it"), (26_499, 0, "calmer already"), (31_500, 5_000, "calmer 5 s later")],
)
def test_a_yes_that_brings_the_level_down_itself_has_calmed_the_call(calmer_ms, after_ms, told):
    yes = Action(26_500, "", "system", "plan-accepted", OPTION.id, "oh yes please")
    down = LevelChange(calmer_ms, Level.RECOVERING, Level.ESCALATED, 40.0, ())
    up = LevelChange(1, Level.ESCALATED, Level.CALM, 70.0, ())
    record = fold([CALL[0], up, PlanOffered(2, (OPTION,)), *sorted((down, yes), key=lambda each: each.at_ms), CALL[-1]])
    assert record.plan[0].calmed_after_ms == after_ms and told in page(record)


def test_what_is_said_afterwards_is_laid_over_the_record():
    reviews = [
        Review("2026-11-24T11:00:00", "Dana", "root-cause", "", "missed appointment"),
        Review("2026-11-24T12:00:00", "Quinn", "prompt", "p1", "right"),
        Review("2026-11-24T12:00:01", "Quinn", "signal", signal().key, "wrong"),
        Review("2026-11-24T12:00:02", "Quinn", "signal", signal().key, "clear"),
    ]
    record = with_reviews(fold(CALL), reviews)
    assert record.wrap_up and (record.wrap_up.who, record.wrap_up.at) == ("Dana", "2026-11-24T11:00:00")
    assert [(m.target, m.verdict) for m in record.marks] == [("p1", "right")]
    assert IncidentRecord.model_validate_json(record.model_dump_json()) == record


def test_a_day_that_was_corrected_takes_the_moment_with_it():
    noted = FollowUpNoted(60_000, "f9", "call back", "tomorrow at ten", "Dana", "", "2026-11-25T10:00+00:00")
    record = fold([*CALL[:-1], noted, CALL[-1]])
    [promise] = [each for each in record.follow_ups if each.id == "f9"]
    assert (promise.day, promise.at) == ("2026-11-25", "2026-11-25T10:00+00:00")
    [promise] = with_reviews(record, [Review("t", "Dana", "due", "f9", "2026-12-01")]).follow_ups[1:]
    assert (promise.day, promise.at) == ("2026-12-01", "")


def test_the_published_schema_is_this_records_schema():
    assert json.loads(SCHEMA.read_text()) == record_schema(), (
        "the record has changed: raise SCHEMA_VERSION where older readers would misread it, and write "
        "`assist records schema` to assist/records/record.schema.json"
    )


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_records_of_every_earlier_version_still_open(path):
    body = json.loads(path.read_text())
    record = read_record(body)
    assert record.schema_version == SCHEMA_VERSION
    now = record.model_dump(mode="json")
    for key, value in body.items():
        if key not in ("schema_version", "signals", "prompts", "plan", "follow_ups", "alerts", "recovery"):
            assert now[key] == value
    assert [p["say"] for p in now["prompts"]] == [p["say"] for p in body["prompts"]]
    assert "Transcript" in page(record) and to_csv([record]).count("\n") == 2


def test_a_record_of_a_later_version_and_no_record_are_one_clear_line():
    with pytest.raises(AssistError, match=f"schema 99: this program knows up to {SCHEMA_VERSION}"):
        read_record({"schema_version": 99})
    with pytest.raises(AssistError, match="not an incident record: call: Field required"):
        read_record({"schema_version": 1})


@pytest.fixture
def store(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    store.begin("k1", CALL[0].started_at, "Dana")
    for n, event in enumerate(CALL):
        store.append("k1", n, event)
    store.flush().result(10)
    record = fold(CALL).model_copy(update={"seal": seal("k1", store.raw_events("k1"))})
    store.finish("k1", "ended", record.model_dump(mode="json")).result(10)
    yield store
    store.close()


def test_the_seal_holds_until_the_log_is_touched(store, tmp_path):
    assert "unchanged" in verify_log(store, "k1")
    taken = tmp_path / "k1.json"
    export(select_records(store, ["k1"], RecordQuery()), taken, "")
    assert "unchanged" in verify_log(store, "k1", taken)
    with sqlite3.connect(tmp_path / "assist.db") as other:
        other.execute("UPDATE events SET body = replace(body, 'guy', 'man') WHERE type = 'Utterance'")
    other.close()
    for record in (None, taken):
        with pytest.raises(AssistError, match="not the one its record was made from"):
            verify_log(store, "k1", record)
    with sqlite3.connect(tmp_path / "assist.db") as other:
        other.execute("DELETE FROM events")
    other.close()
    with pytest.raises(AssistError, match="no longer here"):
        verify_log(store, "k1")


@given(st.lists(st.sampled_from(CALL), min_size=1, max_size=8), st.data())
def test_every_change_of_a_log_changes_its_seal(events, data):
    rows = [(n, *encode(event)) for n, event in enumerate(events)]
    whole = seal("k1", rows)
    drop = data.draw(st.integers(0, len(rows) - 1))
    assert seal("k1", rows[:drop] + rows[drop + 1 :]) != whole
    n, name, body = rows[drop]
    assert seal("k1", [*rows[:drop], (n, name, body + " "), *rows[drop + 1 :]]) != whole
    assert seal("k2", rows) != whole
    assert seal("k1", [(n, *encode(decode(name, body))) for n, name, body in rows]) == whole


def test_records_are_exported_one_many_and_by_day(store, tmp_path):
    for n, day in ((2, "2026-11-25"), (3, "2026-11-26")):
        body = fold(CALL).model_dump(mode="json") | {"call": f"k{n}", "started_at": f"{day}T23:30:00+00:00"}
        store.begin(f"k{n}", body["started_at"], "Dana")
        store.finish(f"k{n}", "ended", body).result(10)
    from datetime import date

    only = select_records(store, [], records_between(date(2026, 11, 25), date(2026, 11, 25)))
    assert [record.call for record in only] == ["k2"]
    everything = select_records(store, [], RecordQuery(limit=100))
    export(everything, tmp_path / "all.json", "")
    assert [each["call"] for each in json.loads((tmp_path / "all.json").read_text())] == ["k3", "k2", "k1"]
    assert export(everything, tmp_path / "pages", "html") == 3
    assert "Transcript" in (tmp_path / "pages" / "k2.html").read_text()
    export(everything, tmp_path / "all.csv", "")
    for path in ("all.json", "pages/k2.html", "all.csv"):
        assert os.name == "nt" or (tmp_path / path).stat().st_mode & 0o077 == 0, "anybody's words, their owner's only"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert [row["call"] for row in rows] == ["k3", "k2", "k1"]
    assert rows[0]["cost"] == "12.0" and rows[0]["recovery"] == "met" and rows[0]["recovery_s"] == "15.7"
    with pytest.raises(AssistError, match="no record of call 'nope'"):
        select_records(store, ["nope"], RecordQuery())
    with pytest.raises(AssistError, match="name a folder"):
        export(everything, tmp_path / "all.html", "")
    with pytest.raises(AssistError, match="expected a name that ends in .*; for a folder, give --format as well"):
        export(everything, tmp_path / "all.xlsx", "")


def test_an_export_of_many_holds_one_record_at_a_time_and_passes_over_one_that_is_erased_meanwhile(
    store, tmp_path, monkeypatch
):
    for body in made_records(20):
        store.begin(body["call"], body["started_at"], body["agent"])
        store.finish(body["call"], "ended", body).result(10)
    monkeypatch.setattr(store, "records", lambda query: pytest.fail("read whole"))
    many = select_records(store, [], RecordQuery(limit=None))
    first = next(serialised(many, "csv"))
    assert first.count("\r\n") == 1 + len(many) == 22
    store.erase(["k000007"]).result(10)
    export(many, tmp_path / "all.json", "")
    left = [each["call"] for each in json.loads((tmp_path / "all.json").read_text())]
    assert len(left) == 20 and "k000007" not in left
    store.erase(list(many.calls)).result(10)
    assert json.loads("".join(serialised(many, "json"))) == []


def test_an_export_that_stops_at_a_record_leaves_the_file_of_the_one_before(tmp_path):
    out, linked = tmp_path / "all.json", tmp_path / "link.json"
    record = fold(CALL)
    export([record], out, "")
    out.chmod(0o644)
    linked.symlink_to(out)
    before = out.read_text()
    with pytest.raises(AttributeError):
        export([record, None], linked, "")
    assert out.read_text() == before and sorted(tmp_path.iterdir()) == [out, linked]
    export([record, record], linked, "")
    assert len(json.loads(out.read_text())) == 2 and linked.is_symlink() and out.stat().st_mode & 0o777 == 0o644
    write_file(Path(os.devnull), "a device")
    assert not Path(os.devnull).is_file()


@given(st.text(min_size=1, max_size=30))
def test_no_cell_of_the_csv_is_a_formula(text):
    typed = {"outcome": text, "root_cause": "=1+1", "agent": "-2+3", "team": "@x", "queue": "\uff1d1+1"}
    record = fold(CALL).model_copy(update=typed)
    [row] = list(csv.DictReader(io.StringIO(to_csv([record]), newline="")))
    for column in COLUMNS:
        assert row[column.name].lstrip(" ")[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n"), column.name
    assert (row["root_cause"], row["queue"]) == ("'=1+1", "'\uff1d1+1")
    assert row["outcome"].removeprefix("'").replace("\r\n", "\n") == text.replace("\r\n", "\n") or text[0] == "'"


def test_the_page_says_what_was_done_and_escapes_it():
    record = fold(
        [*MORE[:-1], PromptShown(29_500, "p2", "x", "", "<i>t", "<script>", (), Severity.HELP, ()), MORE[-1]]
    ).model_copy(update={"contested": "<b>no</b>"})
    html = page(record)
    assert "<script" not in html and "<i>t" not in html and "<b>no" not in html
    for text in ("Maria (supervisor)", "wrote to the agent: Give it.", "1 × card number", "calmer 8 s later",
                 "Paused, nothing heard or kept: 00:27 to 00:28", "asked, allowed", "Contested by Dana"):  # fmt: skip
        assert text in html, text
