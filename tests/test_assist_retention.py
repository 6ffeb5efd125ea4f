"""What is kept goes: by age, by call, by customer; a hold stops it; nothing of it is left in any file."""

import asyncio
import json
import logging
import sqlite3
import zipfile
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from errno import ENOSPC

import pytest

from assist.access.audit import open_audit
from assist.commands.main import app
from assist.errors import AssistError
from assist.events import CallEnded, CallStarted, HandOffNoted, PlanMoved, PlanOffered, PlanOption
from assist.live.runs import scheduled_retention
from assist.privacy.consent import Consent
from assist.privacy.retention import calls_of_customer, erase, erase_due, export, find_due, without_words
from assist.records.filing import file_record
from assist.settings import KeepSettings
from assist.store.backups import restore_backup, write_backup
from assist.store.rows import Hold, Review, stamp
from assist.store.searching import RecordQuery
from assist.store.store import open_store
from audio.events import Speaker, Utterance, Word
from tests.fault_rig import service
from tests.scripted_call import hits, on_stage, said

KEEP = KeepSettings()
CANARY, OTHER = "quicksilver", "tangerine"


async def calls(stage_of, data):
    """Two calls, with a review, and their files."""
    stage = await stage_of(data)
    made = []
    for word, caller in ((CANARY, "…0142"), (OTHER, "…0199")):
        source = type(stage.source)()
        call, task = stage.service.start(source, caller=caller, consent=Consent.GRANTED)
        stage.ears.script = [said(f"I want my {word} and your manager right now", 0)]
        stage.ears.turn.clear()
        source.play(3_000)
        await stage.ears.turn.wait()
        source.stop()
        await task
        stage.service.store.review(call, Review("2026-01-01", "Q", "comment", "", f"about {word}")).result()
        (data / "records").mkdir(exist_ok=True)
        for end in ("json", "html"):
            (data / "records" / f"{call}.{end}").write_text(f"said {word}")
        made.append(call)
    await stage.end()
    return stage, made


def on_two_calls(tmp_path, check):
    async def run():
        stage, made = await calls(on_stage, tmp_path)
        try:
            await asyncio.to_thread(check, stage.service.store, *made)
        finally:
            await stage.close()

    asyncio.run(run())


def later(days):
    return datetime.now(UTC) + timedelta(days=days)


def purge(store, keep, data, now):
    """A retention run whose clock nobody doubts; what was taken out."""
    found = find_due(store, keep, now, data)
    return erase_due(store, open_audit(store.people, data), keep, data, now, found)


def test_an_erased_call_is_in_no_file_and_the_other_one_is_whole(tmp_path):
    def check(store, one, two):
        assert calls_of_customer(store, "…0142") == [one] and hits(tmp_path, CANARY)
        assert store.records(RecordQuery(words=CANARY))
        erase(store, tmp_path, [one])
        assert not hits(tmp_path, CANARY)
        assert store.record(one) is None and store.events(one) == [] and store.reviews(one) == []
        assert store.record(two) and store.records(RecordQuery(words=OTHER))
        assert store.gate(one).consent == "granted"

    on_two_calls(tmp_path, check)
    assert not hits(tmp_path, CANARY) and hits(tmp_path, OTHER)


def in_store(folder, word):
    return {name for name, _ in hits(folder, word) if name.startswith("assist.db")}


@contextmanager
def a_reader(folder):
    """Somebody in the middle of reading the store, as a backup is."""
    with closing(sqlite3.connect(f"file:{folder / 'assist.db'}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls").fetchall()
        yield


def test_erased_is_said_when_the_log_is_empty_and_nothing_else_waits_for_whoever_reads(tmp_path):
    def check(store, one, two):
        with a_reader(tmp_path):
            erased = store.erase([one])
            for _ in range(3):
                store.flush().result(10)
            assert not erased.done() and in_store(tmp_path, CANARY)
        erased.result(10)
        assert not in_store(tmp_path, CANARY)

    on_two_calls(tmp_path, check)


def test_who_waits_is_told_why_and_the_next_run_wipes_what_this_one_could_not(tmp_path, monkeypatch):
    monkeypatch.setattr("assist.store.writer.REPORT_AFTER_CHECKPOINTS", 1)
    url, calls, told = f"sqlite:///{tmp_path / 'assist.db'}", [], []
    on_two_calls(tmp_path, lambda store, *made: calls.extend(made))
    store = open_store(url, told.append)
    with a_reader(tmp_path):
        erased = store.erase(calls)
        while not told:
            assert not erased.done()
        assert told == ["what was taken out is still in assist.db-wal: somebody reads it; trying again"]
        store.close()
        with pytest.raises(AssistError, match="which somebody reads"):
            erased.result()
    assert in_store(tmp_path, CANARY)
    store = open_store(url)
    assert not in_store(tmp_path, CANARY)
    store.close()


def test_words_go_first_then_the_record_then_the_consent_row(tmp_path):
    def check(store, one, two):
        assert find_due(store, KEEP, later(179)).words == ()
        assert set(purge(store, KEEP, tmp_path, later(181)).words) == {one, two}
        assert hits(tmp_path, CANARY) == {("assist.db", CANARY)}, "the reviewer's own comment stays"
        record = store.record(one)
        assert record["transcript"] == [] and record["signals"] and record["signals"][0]["quote"] == ""
        assert store.events(one) == [] and store.reviews(one)
        assert purge(store, KEEP, tmp_path, later(182)).words == ()
        assert set(purge(store, KEEP, tmp_path, later(366)).records) == {one, two}
        assert not hits(tmp_path, CANARY) and store.gate(one) is not None
        assert {one, two} <= set(purge(store, KEEP, tmp_path, later(401)).gates)
        assert store.gate(one) is None

    on_two_calls(tmp_path, check)


def handed_over(store, *, heard):
    """A call of half a year ago whose words were handed over and accepted; `heard`: they are in its transcript too."""
    started = CallStarted(0, "k1", "dana", "", "", "", stamp(later(-181)), "t", ("agent", "customer"), {})
    events = [
        started,
        *([Utterance("c1", Speaker.CUSTOMER, 0, 900, (Word(CANARY, 0, 900),))] if heard else []),
        PlanOffered(1_000, (PlanOption("refund", "Refund", "", "yours"),)),
        PlanMoved(2_000, "refund", "Refund", "accepted", "words", f"yes {CANARY}"),
        HandOffNoted(3_000, "Sam", ((0, f"my {CANARY}"),), (f"promised: {CANARY}",), f"a colleague for {CANARY}"),
        CallEnded(4_000, "hang-up"),
    ]
    store.begin("k1", started.started_at, "dana")
    for n, event in enumerate(events):
        store.append("k1", n, event)
    store.flush().result(10)
    record = file_record(store, "k1", "ended").model_dump(mode="json")
    assert record["plan"][0]["heard"] and record["hand_offs"][0]["said"] and bool(record["transcript"]) == heard
    return record


@pytest.mark.parametrize("heard", [True, False])
def test_words_that_were_handed_over_or_showed_an_answer_go_too_also_where_nothing_was_transcribed(tmp_path, heard):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    handed_over(store, heard=heard)
    assert purge(store, KEEP, tmp_path, later(0)).words == ("k1",)
    assert not hits(tmp_path, CANARY)
    assert store.record("k1")["plan"][0]["answer"] == "accepted" and store.record("k1")["hand_offs"][0]["to"] == "Sam"
    assert find_due(store, KEEP, later(0)).words == ()
    store.close()


def test_words_left_in_a_record_by_an_earlier_version_are_due(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    record = handed_over(store, heard=True)
    store.erase(["k1"])
    store.begin("k1", record["started_at"], "dana")
    store.finish("k1", "ended", {**record, "transcript": []}).result(10)
    assert purge(store, KEEP, tmp_path, later(0)).words == ("k1",)
    assert not hits(tmp_path, CANARY)
    store.close()


def test_words_go_from_the_record_and_from_the_log_at_once_or_from_neither(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    record = handed_over(store, heard=True)
    with pytest.raises(AssistError):
        store.erase_words("k1", without_words(record) | {"schema_version": 1 << 63}).result(10)
    assert store.record("k1") == record and len(store.events("k1")) == 6
    store.close()


def test_a_call_on_hold_is_neither_purged_nor_erased_until_it_is_released(tmp_path):
    def check(store, one, two):
        found = find_due(store, KEEP, later(366), tmp_path)
        store.hold(Hold(one, "legal", "case 7", "2026-01-01")).result()
        words = without_words(store.record(one))
        for erased in (store.erase([two, one]), store.erase_words(one, words), store.delete_gates([one])):
            assert erased.exception(10).code == "on-hold"
        assert store.events(one) and store.events(two) and store.gate(one)
        assert find_due(store, KEEP, later(366), tmp_path).held == (one,)
        done = erase_due(store, open_audit(store.people, tmp_path), KEEP, tmp_path, later(366), found)
        assert set(found.records) == {one, two} and (done.records, done.held) == ((two,), (one,)), "held since"
        assert find_due(store, KEEP, later(366), tmp_path).records == ()
        with pytest.raises(AssistError, match="on hold \\(legal: case 7\\); release it first"):
            erase(store, tmp_path, [one])
        assert hits(tmp_path, CANARY)
        store.release(one).result()
        assert purge(store, KEEP, tmp_path, later(366)).records == (one,)
        assert not hits(tmp_path, CANARY)

    on_two_calls(tmp_path, check)


@pytest.mark.parametrize("held", [False, True])
def test_a_store_put_aside_by_a_restore_goes_with_its_last_words_unless_it_holds_a_call(tmp_path, held):
    url = f"sqlite:///{tmp_path / 'assist.db'}"

    def restored(store, one, two):
        if held:
            store.hold(Hold(one, "A", stamp(), "a claim")).result()
        write_backup(store, tmp_path / "old.backup")

    on_two_calls(tmp_path, restored)
    former = restore_backup(tmp_path / "old.backup", url).former
    store = open_store(url)
    try:
        assert purge(store, KEEP, tmp_path, later(179)).stores == () and former.exists()
        assert purge(store, KEEP, tmp_path, later(181)).stores == (() if held else (former,))
    finally:
        store.close()
    assert former.exists() is held


def test_an_export_holds_everything_of_the_call_and_nothing_of_another(tmp_path):
    def check(store, one, two):
        export(store, [one], tmp_path / "out.zip")
        with zipfile.ZipFile(tmp_path / "out.zip") as archive:
            parts = {name: json.loads(archive.read(name)) for name in archive.namelist()}
        assert set(parts) == {f"{one}/{part}.json" for part in ("record", "events", "reviews", "consent")}
        assert CANARY in json.dumps(parts) and OTHER not in json.dumps(parts)
        assert parts[f"{one}/events.json"][0]["type"] == "CallStarted"
        with pytest.raises(AssistError, match="nothing is kept of a call 'nope'"):
            export(store, [one, "nope"], tmp_path / "none.zip")
        assert not (tmp_path / "none.zip").exists()
        export(store, [one, one], tmp_path / "once.zip")
        with zipfile.ZipFile(tmp_path / "once.zip") as archive:
            assert len(archive.namelist()) == 4

    on_two_calls(tmp_path, check)


def test_an_export_that_finds_no_room_leaves_nothing_and_can_be_made_again(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(ENOSPC, "No space left on device")

    def check(store, one, two):
        out = tmp_path / "out.zip"
        with monkeypatch.context() as patched:
            patched.setattr(zipfile.ZipFile, "writestr", full)
            with pytest.raises(AssistError, match="No space left"):
                export(store, [one], out)
        assert not out.exists()
        export(store, [one], out)
        assert out.stat().st_mode & 0o077 == 0
        with pytest.raises(AssistError, match="File exists"):
            export(store, [two], out)
        assert zipfile.is_zipfile(out)

    on_two_calls(tmp_path, check)


def test_an_empty_key_is_no_customer_and_takes_no_call_out(tmp_path):
    from typer.testing import CliRunner

    made = []

    def check(store, one, two):
        store.finish(one, "ended", store.record(one) | {"caller": ""}).result()
        assert calls_of_customer(store, "") == calls_of_customer(store, "…") == [] and calls_of_customer(
            store, "…0199"
        ) == [two]
        assert calls_of_customer(store, "...0199") == calls_of_customer(store, " 0199") == [
            two
        ] and not calls_of_customer(store, "199")
        made.extend((one, two))

    on_two_calls(tmp_path, check)
    run = lambda *line: CliRunner().invoke(app, [*line, "--data", str(tmp_path)])  # noqa: E731
    out = tmp_path / "out.zip"
    for key in ("", " "):
        for line in (("erase", "--yes"), ("export", "--out", str(out))):
            answer = run("privacy", *line, "--customer", key)
            assert answer.exit_code == 1 and "[calls-missing]" in answer.stderr, line
    assert not out.exists()
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    assert sorted(stored.call for stored in store.calls()) == sorted(made)
    store.close()


def test_what_is_handed_out_is_noted_before_and_what_cannot_be_noted_is_not_handed_out(tmp_path):
    from typer.testing import CliRunner

    calls = []
    on_two_calls(tmp_path, lambda store, *made: calls.extend(made))
    run = lambda *line: CliRunner().invoke(app, [*line, "--data", str(tmp_path)])  # noqa: E731
    out = tmp_path / "out.zip"
    with sqlite3.connect(tmp_path / "assist.db") as database:
        database.execute("CREATE TRIGGER never BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END")
    database.close()
    assert run("privacy", "export", calls[0], "--out", str(out)).exit_code == 1 and not out.exists()


def test_the_commands(tmp_path):
    from typer.testing import CliRunner

    calls = []
    on_two_calls(tmp_path, lambda store, *made: calls.extend(made))
    run = lambda *line: CliRunner().invoke(app, [*line, "--data", str(tmp_path)])  # noqa: E731
    assert "180 days" in run("retention", "show").output
    assert "taken out: words of 0 calls" in run("retention", "run").output.replace("\n", " ")
    out = tmp_path / "out.zip"
    assert run("privacy", "export", "--customer", "…0142", "--out", str(out)).exit_code == 0 and out.exists()
    out.unlink()
    answer = run("privacy", "erase", "--customer", "…0142", "--yes")
    assert answer.exit_code == 0 and "erased: 1 call(s)" in answer.output
    assert not hits(tmp_path, CANARY)
    assert "erase" in run("audit").output
    for mistyped in (("erase", "nope", "--yes"), ("hold", "nope", "--why", "case 7"), ("release", calls[1])):
        answer = run("privacy", *mistyped)
        assert answer.exit_code == 1 and getattr(answer.exception, "code", 0) in ("call-unknown", 1), mistyped
    assert run("privacy", "hold", calls[1], "--why", "case 7").exit_code == 0
    assert run("privacy", "hold", calls[1], "--why", "x" * 1_001).exit_code == 1
    for why in ("claim\n 9 ", "case 7", "case 7; claim 9"):
        assert run("privacy", "hold", calls[1], "--why", why).exit_code == 0
    for asked, code in ((calls[1], "on-hold"), ("nope", "call-unknown")):
        answer = run("privacy", "erase", asked)
        assert answer.exception.code == code and "for good" not in answer.output, "nobody is asked about what cannot be"
    assert "case 7; claim 9\n" in run("retention", "show").output, "nobody's reason goes with another's"
    assert "no longer on hold: case 7; claim 9" in run("privacy", "release", calls[1]).output
    answer = run("privacy", "erase", calls[1])
    assert answer.exit_code == 1 and "nothing is erased: expected y, or --yes" in answer.stderr
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    purge(store, KEEP, tmp_path, later(181))
    store.close()
    assert "its record is" in run("records", "show", calls[1]).stderr


def test_files_of_a_call_that_a_restore_took_out_of_the_store_go_by_age_and_by_erasure(tmp_path):
    data, url = tmp_path / "data", f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    store = open_store(url)
    write_backup(store, tmp_path / "empty.backup")
    store.close()
    restore_backup(tmp_path / "empty.backup", url)
    one, two = (f"20260102-030405-{end}" for end in ("00000001", "0000000f"))
    files = [data / "records" / f"{call}.{end}" for call in (one, two) for end in ("json", "html")]
    files[0].parent.mkdir()
    own = data / "records" / "of november.csv"
    own.write_text("an export, put there by somebody")
    for path in files:
        path.write_text(f"said {CANARY}")
    store = open_store(url)
    purge(store, KEEP, data, later(179))
    assert all(path.exists() for path in files)
    erase(store, data, [one])
    assert [path.exists() for path in files] == [False, False, True, True]
    with pytest.raises(AssistError, match="nothing is kept"):
        erase(store, data, [one])
    store.hold(Hold(two, "legal", "case 7", stamp())).result()
    purge(store, KEEP, data, later(181))
    assert hits(data, CANARY)
    store.release(two).result()
    assert purge(store, KEEP, data, later(181)).words == (two,)
    assert not hits(data, CANARY) and own.exists()
    store.close()


def test_a_file_that_cannot_be_removed_keeps_no_other_call_that_is_due(tmp_path):
    def check(store, one, two):
        (tmp_path / "records" / "20260102-030405-00000001.json").mkdir()
        for days in (366, 401):
            with pytest.raises(AssistError, match="cannot remove .*00000001"):
                purge(store, KEEP, tmp_path, later(days))
            assert not hits(tmp_path, CANARY) and not hits(tmp_path, OTHER)
        assert store.record(one) is None and store.gate(one) is None

    on_two_calls(tmp_path, check)


def test_one_file_that_cannot_be_removed_keeps_no_other_file_and_is_named(tmp_path):
    def check(store, one, two):
        in_the_way = [tmp_path / "recordings" / "gone.rec", tmp_path / "assist.before-20260101T000000.db"]
        in_the_way += [tmp_path / "records" / f"{call}.0" for call in (one, two)]
        for path in in_the_way:
            path.mkdir(parents=True)
        others = [tmp_path / "recordings" / "late.rec", tmp_path / "assist.before-20260102T000000.db"]
        for path in others:
            path.write_text(CANARY)
        assert len(find_due(store, KEEP, later(181), tmp_path).stores) == 2, "names as restores give them"
        with pytest.raises(AssistError, match="all else that was due is gone; .* next run tries again") as told:
            purge(store, KEEP, tmp_path, later(181))
        assert all(str(path) in str(told.value) for path in in_the_way)
        assert not any(path.exists() for path in others)
        assert not hits(tmp_path / "records", CANARY) and not hits(tmp_path / "records", OTHER)
        for path in in_the_way:
            path.rmdir()
            path.write_text(f"said {CANARY}")
        purge(store, KEEP, tmp_path, later(182))
        assert not any(path.exists() for path in in_the_way)

    on_two_calls(tmp_path, check)


def test_a_run_that_cannot_take_words_out_fails_and_takes_out_the_others(tmp_path):
    def check(store, one, two):
        with closing(sqlite3.connect(tmp_path / "assist.db")) as database, database:
            when = f"CREATE TRIGGER never BEFORE UPDATE ON records WHEN NEW.call = '{one}'"
            database.execute(f"{when} BEGIN SELECT RAISE(ABORT, 'no'); END")
        with pytest.raises(AssistError, match="no"):
            purge(store, KEEP, tmp_path, later(181))
        assert store.events(one) and not store.events(two)

    on_two_calls(tmp_path, check)


def test_serve_says_which_file_its_retention_run_could_not_remove(tmp_path, caplog, monkeypatch):
    in_the_way = tmp_path / "recordings" / "gone.rec"
    in_the_way.mkdir(parents=True)

    async def scene():
        told = asyncio.Event()
        monkeypatch.setattr(logging.getLogger("assist"), "filters", [lambda _: told.set() or True])
        one = service(tmp_path)
        one.open()
        async with asyncio.timeout(30), scheduled_retention(one):
            await told.wait()
        await one.close()

    asyncio.run(scene())
    assert f"the next one is in an hour: cannot remove {in_the_way}: " in caplog.text


def test_files_that_a_retention_run_could_not_remove_go_with_the_next_one(tmp_path):
    def check(store, one, two):
        held_open = tmp_path / "records" / f"{one}.txt"
        held_open.mkdir()
        with pytest.raises(AssistError, match=f"cannot remove .*{one}.txt"):
            purge(store, KEEP, tmp_path, later(181))
        held_open.rmdir()
        held_open.write_text(f"said {CANARY}")
        assert purge(store, KEEP, tmp_path, later(182)).words == (one,)
        assert hits(tmp_path, CANARY) == {("assist.db", CANARY)}, "the reviewer's own comment stays"
        assert purge(store, KEEP, tmp_path, later(183)).words == ()

    on_two_calls(tmp_path, check)


def test_a_call_that_was_cut_short_and_never_closed_is_found_by_its_customer_and_goes_in_time(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    utterance = Utterance("c1", Speaker.CUSTOMER, 0, 900, (Word(CANARY, 0, 900),))
    store.begin("k1", started, "dana")
    for n, event in enumerate(
        (CallStarted(0, "k1", "dana", "", "", "…0142", started, "t", ("customer",), {}), utterance)
    ):
        store.append("k1", n, event).result()
    assert calls_of_customer(store, "…0142") == ["k1"] and calls_of_customer(store, "…0199") == []
    purge(store, KEEP, tmp_path, later(180.5))
    assert store.events("k1")
    assert purge(store, KEEP, tmp_path, later(182)).records == ("k1",)
    assert not hits(tmp_path, CANARY)
    store.close()


def test_an_erasure_that_cannot_remove_a_file_says_which_and_is_done_again(tmp_path):
    def check(store, one, two):
        path = tmp_path / "records" / f"{one}.txt"
        path.mkdir()
        with pytest.raises(AssistError, match=f"cannot remove .*{one}.txt"):
            erase(store, tmp_path, [one])
        path.rmdir()
        path.write_text(f"said {CANARY}")
        erase(store, tmp_path, [one])
        assert not hits(tmp_path, CANARY)

    on_two_calls(tmp_path, check)


def test_an_erasure_that_has_left_a_file_is_noted_and_says_of_which_call(tmp_path):
    from typer.testing import CliRunner

    calls = []
    on_two_calls(tmp_path, lambda store, *made: calls.extend(made))
    run = lambda *line: CliRunner().invoke(app, [*line, "--data", str(tmp_path)])  # noqa: E731
    path = tmp_path / "records" / f"{calls[0]}.txt"
    path.mkdir(parents=True)
    answer = run("privacy", "erase", *reversed(calls), "--yes")
    assert answer.exit_code == 1 and f"make that possible, then erase {calls[0]} again" in str(answer.exception)
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        noted = [row.entry.target for row in store.people.audit() if row.entry.what == "erase"]
        assert sorted(noted) == sorted(calls) and not any(map(store.record, calls))
    path.rmdir()
    path.write_text(f"said {CANARY}")
    assert run("privacy", "erase", calls[0], "--yes").exit_code == 0
    assert not hits(tmp_path, CANARY)
