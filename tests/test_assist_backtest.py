"""Calls of the past judged again: nothing changes where nothing was changed, and what was changed is found."""

import io
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console
from typer.testing import CliRunner

from assist.coach.playbook import copy_playbook, load_playbook
from assist.commands.main import app
from assist.errors import AssistError
from assist.evaluation.backtest import Configuration, compare, replay_call
from assist.evaluation.backtest_run import page, run_backtest, tables, transcribed_calls
from assist.events import Action, CallEnded, CallStarted, PlanOffered, PromptEnded, PromptShown, SignalRaised
from assist.privacy.retention import erase
from assist.records.folding import fold
from assist.settings import KeepSettings, LoginSettings, Settings
from assist.store.rows import Review
from assist.store.searching import RecordQuery
from assist.store.sqlite import temporary_folder
from assist.store.store import open_store
from audio.errors import AudioError
from audio.events import Speaker, Utterance, Word
from audio.recording import open_recording
from detectors.factory import ModelError
from detectors.rulebook import load_rules
from detectors.signals import Evidence, Severity, Signal
from tests.call_parts import write_parts
from tests.fault_rig import in_a_child, killed_after
from tests.test_assist_retention import purge

STARTED = CallStarted(
    0, "k1", "Dana", "Billing", "", "…0142", "2026-11-24T10:00:00+00:00", "test", ("agent", "customer"), {}
)
SAID = [
    ("agent", 1_000, "thank you for calling this is Dana"),
    ("customer", 5_000, "this is the third time I have called and nobody has helped me"),
    ("customer", 11_000, "this is bullshit what the hell is wrong with you"),
    ("customer", 17_000, "I am going to call my guy and he will take care of it"),
    ("agent", 24_000, "I am so sorry this happened I understand how you feel"),
    ("customer", 30_000, "I want to speak to your manager right now"),
]


def utterance(n, who, start_ms, text):
    words = text.split()
    spoken = tuple(Word(word, start_ms + 300 * i, start_ms + 300 * i + 250, 0.95) for i, word in enumerate(words))
    return Utterance(f"u{n}", Speaker(who), start_ms, start_ms + 300 * len(words), spoken)


LOUD = Signal("raised_voice", "tone.raised-voice", "1", Speaker.CUSTOMER, 14_000, 0.9, Severity.HELP,
              Evidence(12_000, 14_000, measured={"level_db": 9.0}, summary="+9 dB"))  # fmt: skip
INPUTS = [STARTED, *(utterance(n, *line) for n, line in enumerate(SAID)), SignalRaised(14_000, LOUD),
          CallEnded(40_000, "hang-up")]  # fmt: skip
ROOT = Path(__file__).parent.parent
OLD = Configuration(load_playbook("default"), load_rules())


def with_prompts(events):
    """The log of the call as it would have been stored: inputs and what was shown."""
    shown = [e for e in replay_call(events, OLD) if isinstance(e, (PromptShown, PromptEnded))]
    return [*events[:-1], *shown, events[-1]]


@pytest.fixture(scope="module")
def log():
    return with_prompts(INPUTS)


@pytest.fixture(scope="module")
def prompts(log):
    return [event for event in log if isinstance(event, PromptShown)]


def without(book, play):
    return book.model_copy(update={"plays": [each for each in book.plays if each.id != play]})


def swapped(book, play):
    return book.model_copy(update={"plays": [play if each.id == play.id else each for each in book.plays]})


def test_the_same_judges_change_nothing(log, prompts):
    assert len(prompts) >= 2
    found = compare("k1", log, OLD, OLD)
    assert [change.what for change in found.changes] == ["kept"] * len(prompts)
    assert found.signals_gained == found.signals_lost == ()
    assert replay_call(log, OLD) == replay_call(log, OLD)


def test_signals_that_stood_on_sound_are_taken_as_they_were_heard(log):
    heard = [event.signal for event in replay_call(log, OLD) if isinstance(event, SignalRaised)]
    assert LOUD in heard and "swearing" in {signal.id for signal in heard}
    with pytest.raises(ValueError):
        replay_call([], OLD)


def test_a_play_taken_out_is_lost_with_its_mark_and_another_may_come(log, prompts):
    play = prompts[0].play
    new = Configuration(without(OLD.playbook, play), OLD.rulebook)
    found = compare("k1", log, OLD, new, {prompts[0].id: "wrong"})
    lost = [change for change in found.changes if change.what == "lost" and change.play == play]
    assert [change.mark for change in lost] == ["wrong"]
    assert found.count("lost", "wrong") == 1 and found.count("lost", "right") == 0
    back = compare("k1", log, new, OLD, {prompts[0].id: "wrong"})
    gained = [change for change in back.changes if change.what == "gained" and change.play == play]
    assert gained and gained[0].mark == "wrong" and gained[0].before_ms is None


def test_a_marked_prompt_that_comes_in_neither_run_is_told(store, tmp_path, log, prompts):
    new = Configuration(without(OLD.playbook, prompts[0].play), OLD.rulebook)
    marks = {prompts[0].id: "right"}
    assert compare("k1", log, OLD, new, marks).unplaced_marks == 0
    assert compare("k1", log, new, new, marks).unplaced_marks == 1
    out, console = tmp_path / "back.html", Console(width=200, record=True, file=io.StringIO())
    query, settings = RecordQuery(limit=10), Settings(data=tmp_path)
    [found] = run_backtest(settings, store, console, ["k1", "k1"], old=new, new=new, query=query, html=out)
    assert found.unplaced_marks == 1
    for said in (console.export_text(), out.read_text()):
        assert "Of the prompts that people have marked, 1 came in neither run" in said


def test_another_line_is_reworded_and_a_later_one_has_moved(log, prompts):
    book = OLD.playbook
    first = next(play for play in book.plays if play.id == prompts[0].play)
    lines = first.model_copy(update={"say": ["I hear you. Let me put this right."]})
    new = Configuration(
        book.model_copy(update={"plays": [lines if p.id == first.id else p for p in book.plays]}), OLD.rulebook
    )
    assert compare("k1", log, OLD, new).changes[0].what == "reworded"
    late = first.model_copy(update={"at_least": 2})
    again = replace(utterance(9, "customer", 20_500, SAID[1][2]), id="u9")
    longer = [*log[:5], again, *log[5:]]
    new = Configuration(swapped(book, late), OLD.rulebook)
    kinds = {change.what for change in compare("k1", longer, OLD, new).changes if change.play == first.id}
    assert kinds & {"moved", "lost"}


def test_what_people_did_to_a_prompt_goes_to_the_same_prompt_of_the_new_run(log, prompts):
    first = prompts[0]
    longer = [*log, Action(first.at_ms + 700, "Dana", "agent", "used", first.id)]
    longer.sort(key=lambda event: getattr(event, "at_ms", getattr(event, "start_ms", 0)))
    new = Configuration(without(OLD.playbook, prompts[-1].play), OLD.rulebook)
    used = [event for event in replay_call(longer, new) if isinstance(event, PromptEnded) and event.how == "used"]
    assert len(used) == 1


def test_new_rules_gain_signals(tmp_path, log):
    rules = tmp_path / "mine.toml"
    rules.write_text(
        'version = "1"\nowner = "quality"\nlanguage = "en"\n[[rule]]\nid = "mine.third"\nsignal = "giving_up"\n'
        'severity = "help"\nphrases = ["third time"]\nfires = ["this is the third time"]\nsilent = ["hello"]\n'
    )
    new = Configuration(OLD.playbook, load_rules(extra=[rules]))
    assert "giving_up" in compare("k1", log, OLD, new).signals_gained


def hearing_beside(data, pipe):
    """A back-test that has heard something; killed."""
    with temporary_folder(Path(data) / "assist.db") as folder:
        (folder / "assist.db").write_text("what was said")
        os.write(pipe, b"heard\n")
        signal.pause()


@pytest.fixture
def store(tmp_path, log, prompts):
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    store.begin("k1", STARTED.started_at, "Dana")
    for n, event in enumerate(log):
        store.append("k1", n, event)
    store.finish("k1", "ended", fold(log).model_dump(mode="json"))
    store.review("k1", Review("t", "Quinn", "prompt", prompts[0].id, "right")).result(10)
    yield store
    store.close()


def test_the_command_prints_tables_and_writes_a_page(store, tmp_path, prompts):
    out = tmp_path / "back.html"
    new = Configuration(without(OLD.playbook, prompts[0].play), OLD.rulebook)
    console = Console(record=True, width=160, file=open(tmp_path / "out.txt", "w"))  # noqa: SIM115
    settings = Settings(data=tmp_path)
    [found] = run_backtest(settings, store, console, [], old=OLD, new=new, query=RecordQuery(limit=10), html=out)
    console.file.close()
    assert found.count("lost", "right") == 1
    assert "Call k1" in console.export_text() and "lost" in out.read_text()
    mine = copy_playbook("default", tmp_path / "mine.toml") or tmp_path / "mine.toml"
    before = mine.read_text()
    with pytest.raises(AssistError, match="mine.toml is there and does not begin as"):
        run_backtest(settings, store, Console(quiet=True), [], old=OLD, new=new, query=RecordQuery(), html=mine)
    assert mine.read_text() == before
    with pytest.raises(AssistError, match="no log of call 'nope'"):
        run_backtest(settings, store, Console(quiet=True), ["nope"], old=OLD, new=new, query=RecordQuery(), html=None)
    with pytest.raises(AudioError, match="There is no file nope.wav"):
        run_backtest(
            settings, store, Console(quiet=True), ["nope.wav"], old=OLD, new=new, query=RecordQuery(), html=None
        )
    with pytest.raises(AssistError, match="no stored call fits"):
        query = RecordQuery(since="2030-01-01")
        run_backtest(settings, store, Console(quiet=True), [], old=OLD, new=new, query=query, html=None)


def test_calls_and_days_are_not_named_both(tmp_path):
    both = ["backtest", "k1", "--playbook", "default", "--until", "2026-11-01", "--data", str(tmp_path)]
    answer = CliRunner().invoke(app, both)
    assert answer.exit_code == 1 and "not both [calls-doubled]" in answer.output


def test_calls_and_parties_that_are_not_judged_as_one_might_think_are_told(store, tmp_path):
    def told(*what, limit=1):
        out, console = tmp_path / "back.html", Console(width=200, record=True, file=io.StringIO())
        with suppress(AudioError):  # no model hears the recording
            run_backtest(settings, store, console, what, old=OLD, new=OLD, query=RecordQuery(limit=limit), html=out)
            return out.read_text() + console.export_text()
        return console.export_text()

    settings = Settings(data=tmp_path, recogniser="whisper", model=str(tmp_path / "no model"))
    store.begin("k2", "2026-11-20T10:00:00+00:00", "Dana")
    earlier = [replace(STARTED, call="k2", started_at="2026-11-20T10:00:00+00:00"), CallEnded(1_000, "hang-up")]
    for n, event in enumerate(earlier):
        store.append("k2", n, event)
    store.finish("k2", "ended", fold(earlier).model_dump(mode="json")).result(10)
    assert told().count("Of 2 calls that fit, the newest 1 are judged (--limit)") == 2
    purge(store, KeepSettings(transcript_days=1), tmp_path, datetime(2026, 11, 22, tzinfo=UTC))
    assert told(limit=5).count("Of 1 calls only the record is kept and not the words: they are left out") == 2
    soundfile.write(tmp_path / "mixed.wav", np.zeros(8_000, np.float32), 8_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "mixed.wav").read_bytes()[:9_000])
    assert told(str(tmp_path / "cut.wav")).count("cut.wav ends before its header says") == 1
    assert told(str(tmp_path / "mixed.wav")).count("on one channel, and not told apart: mixed.wav") == 1


def test_without_the_sentence_model_in_the_settings_no_call_is_judged_by_it(monkeypatch, log):
    monkeypatch.setattr("detectors.factory.shipped_model", lambda: 1 / 0)
    with pytest.raises(ModelError):
        replay_call(log, OLD)
    assert replay_call(log, replace(OLD, settings=Settings(meaning=False)))


def test_an_agents_own_limits_and_wishes_count_as_they_would_in_a_call(prompts):
    def asked(settings):
        found = replay_call(INPUTS, replace(OLD, settings=settings))
        return {option.authority for event in found if isinstance(event, PlanOffered) for option in event.options}

    assert "yours" in asked(Settings()) and asked(Settings(authorities={"Dana": "trainee"})) == {"ask"}
    few = replay_call(INPUTS, replace(OLD, settings=Settings(experienced_agents=["Dana"])))
    assert sum(isinstance(event, PromptShown) for event in few) < len(prompts)


def test_a_recording_is_heard_and_judged_twice_as_a_stored_call_is(store, tmp_path):
    settings = Settings(
        data=tmp_path,
        recogniser="whisper",
        model="tiny.en",
        login=LoginSettings(by="users"),
    )
    shutil.copytree(ROOT / "tests" / "models" / "test-recogniser", settings.models_dir / "tiny.en")
    recording = write_parts(tmp_path / "call.wav", ROOT / "tests" / "data" / "spoken-call.flac", (0, 8))
    [(name, log, _)] = transcribed_calls(settings, [open_recording(recording, speed=inf)], Console(quiet=True))
    assert name == recording.name and any(isinstance(event, Utterance) for event in log)
    assert compare(name, log, OLD, OLD).call == name
    assert {each["call"] for each in store.digests(RecordQuery())} == {"k1"}, "nothing of it is kept"
    assert not list(tmp_path.glob("*backtest*"))


def test_what_is_heard_and_read_again_is_noted_before_and_a_recording_that_cannot_be_read_is_not(store, tmp_path):
    def noted():
        return [(row.entry.what, row.entry.target) for row in store.people.audit()]

    def run(*what):
        told = Console(quiet=True)
        return run_backtest(settings, store, told, what, old=OLD, new=OLD, query=RecordQuery(limit=9), html=None)

    settings = Settings(data=tmp_path, recogniser="whisper", model=str(tmp_path / "no model"))
    run()
    assert noted() == [("backtest", "k1")]
    with pytest.raises(AudioError):
        run("k1", "nope.wav")
    assert len(noted()) == 1
    with pytest.raises(AudioError):  # nothing hears it
        run("k1", str(ROOT / "tests" / "data" / "spoken-call.flac"))
    assert noted()[1:] == [("backtest", "spoken-call.flac"), ("backtest", "k1")]


def test_what_a_killed_back_test_leaves_goes_with_an_erasure_a_retention_run_and_a_start_but_not_of_one_at_work(
    store, tmp_path
):
    def left():
        child, pipe = in_a_child(hearing_beside, str(tmp_path))
        killed_after(child, pipe, 1)
        [folder] = [each for each in tmp_path.glob("assist.db.backtest-*") if each.is_dir() and each != working]
        return folder

    with temporary_folder(tmp_path / "assist.db") as working:
        now = datetime.now(UTC)
        for goes in (
            lambda: erase(store, tmp_path, ["k1"]),
            lambda: purge(store, Settings().keep, tmp_path, now),
            lambda: (store.close(), open_store(f"sqlite:///{tmp_path / 'assist.db'}").close()),
        ):
            folder = left()
            assert folder.stat().st_mode & 0o077 == 0 and (folder / "assist.db").read_text() == "what was said"
            goes()
            assert {each.name for each in tmp_path.glob("*backtest*")} == {working.name, working.name + ".lock"}
    assert not list(tmp_path.glob("*backtest*"))


def test_the_page_escapes_what_a_playbook_says(log, prompts):
    book = OLD.playbook.model_copy(update={"version": "<script>"})
    found = compare("k1", log, OLD, Configuration(without(book, prompts[0].play), OLD.rulebook))
    html = page([replace(found, call="<b>k1")], OLD, Configuration(book, OLD.rulebook))
    assert "<script" not in html and "<b>k1" not in html
    assert len(tables([found])) >= 2


def test_a_copied_playbook_changes_nothing_but_its_version(tmp_path, log):
    mine = tmp_path / "mine.toml"
    copy_playbook("default", Path(mine))
    found = compare("k1", log, OLD, Configuration(load_playbook(mine), OLD.rulebook))
    assert {change.what for change in found.changes} == {"kept"}
