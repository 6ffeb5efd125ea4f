import io
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from assist.commands.main import app
from assist.errors import AssistError
from assist.evaluation import command, tone_lines
from assist.evaluation.cases import (
    Case,
    Clip,
    read_calls,
    read_cases,
    read_clips,
    read_labelled,
)
from assist.evaluation.figures import Figure, f1, iter_notes, percentile, rate, wilson
from assist.evaluation.progress import ProgressReporter
from assist.evaluation.report import page, tables
from assist.evaluation.scoring import evaluate_calls, evaluate_cases, evaluate_clips
from assist.files import PAGE_BEGINS
from audio.events import Speaker, Word
from detectors.signals import Evidence, Severity, Signal

ROOT = Path(__file__).parent.parent
SPOKEN_CALL = ROOT / "tests" / "data" / "spoken-call.flac"


class Spotter:
    """Finds a supervisor demand in any customer's utterance with the word "manager", right or wrong."""

    name, version = "spotter", "1"

    def __call__(self, window):
        latest = window.latest
        places = [n for n, word in enumerate(latest.words) if "manager" in word.text] if latest else []
        if latest is not None and latest.speaker is Speaker.CUSTOMER and places:
            n = places[0]
            word = latest.words[n]
            evidence = Evidence(word.start_ms, word.end_ms, word.text, latest.id, n, n)
            yield Signal(
                "supervisor_demand", "spotter.manager", "1", latest.speaker, word.end_ms, 0.9, Severity.HELP, evidence
            )


def build():
    return [Spotter()]


def lines(tmp_path, *values, name="cases.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(v if isinstance(v, str) else json.dumps(v) for v in values) + "\n", encoding="utf-8")
    return path


CASES = [
    {"speaker": "customer", "text": "get me your manager now", "labels": ["supervisor_demand"]},
    {"speaker": "customer", "text": "my manager told me to call you", "labels": []},
    {"speaker": "customer", "text": "let me talk to whoever is in charge", "labels": ["supervisor_demand"]},
    {"speaker": "agent", "text": "I will ask my manager", "labels": []},
    {"speaker": "customer", "text": "what time do you open", "labels": []},
]


# --- figures


def test_wilson_matches_the_published_values():
    # Newcombe 1998, table I, method 3 (score without continuity correction).
    for hits, of, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        figure = wilson(hits, of)
        assert (figure.low, figure.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_rates_match_the_exact_poisson_interval():
    # Exact 95 % limits for counts 0, 5 and 10 (Garwood 1936).
    for count, low, high in [(0, 0.0, 3.69), (5, 1.62, 11.67), (10, 4.80, 18.39)]:
        figure = rate(count, 2.0)
        assert figure.value == count / 2
        assert figure.low == pytest.approx(low / 2, abs=0.05)
        assert figure.high == pytest.approx(high / 2, abs=0.05)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_intervals_hold_their_values(hits, false, missed):
    figures = [wilson(hits, hits + false), f1(hits, false, missed)]
    for figure in figures:
        if not math.isnan(figure.value):
            assert 0.0 <= figure.low <= figure.value + 1e-9 and figure.value - 1e-9 <= figure.high <= 1.0


def test_more_material_gives_narrower_intervals():
    small, large = f1(9, 1, 1), f1(900, 100, 100)
    assert small.value == large.value == 0.9
    assert f1(4, 0, 0).low < 0.8, "four of four are not certain"
    assert large.high - large.low < (small.high - small.low) / 5


def test_percentile():
    assert percentile([], 95) is None
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


# --- utterances


def test_hits_misses_and_false_alarms_are_counted_per_signal(tmp_path):
    result = evaluate_cases(read_cases(lines(tmp_path, *CASES)), build, "my cases")
    (row,) = result.signals
    assert (row.id, row.labelled, row.hits, row.false, row.missed) == ("supervisor_demand", 2, 1, 1, 1)
    assert (row.precision.value, row.recall.value, row.f1.value) == (0.5, 0.5, 0.5)
    assert result.words == sum(len(case["text"].split()) for case in CASES)
    assert row.false_per_10k_words.value == pytest.approx(1 / result.words * 10_000)
    assert row.false_per_hour is None
    assert {(e.what, e.text) for e in result.examples} == {
        ("false", CASES[1]["text"]),
        ("missed", CASES[2]["text"]),
    }
    assert any("30 labelled examples" in note for note in iter_notes(result))


def test_without_labels_only_the_false_alarms_are_told(tmp_path):
    result = evaluate_cases(read_cases(lines(tmp_path, CASES[1], CASES[4])), build, "calm")
    (row,) = result.signals
    assert (row.false, row.precision, row.recall, row.f1) == (1, None, None, None)
    assert list(iter_notes(result)) == ["Nothing is labelled with a signal: all that is found counts as false."]
    always = evaluate_cases(read_cases(lines(tmp_path, CASES[0])), build, "all labelled")
    assert any("nothing that is not labelled with it: supervisor_demand" in note for note in iter_notes(always))


def test_what_nobody_looked_for_or_agrees_on_does_not_count(tmp_path):
    judged = {**CASES[1], "judged": ["swearing"]}
    unsure = {**CASES[1], "unsure": ["supervisor_demand"]}
    assert evaluate_cases(read_cases(lines(tmp_path, judged, unsure)), build, "x").signals == ()


def test_lines_that_do_not_say_who_speaks_are_counted(tmp_path):
    silent = {key: value for key, value in CASES[0].items() if key != "speaker"}
    result = evaluate_cases(read_cases(lines(tmp_path, silent, {**silent, "speaker": None}, CASES[1])), build, "x")
    assert "2 of 3 do not say who speaks (speaker): they are taken as the customer's." in result.notes
    turns = [{**silent, "start": 1}, {**TURN, "start": 3}]
    calls = read_calls(lines(tmp_path, {"call": "x", "turns": turns}, name="c.jsonl"))
    assert any("1 of 2 do not say" in note for note in evaluate_calls(calls, lambda call: Quiet(), "x").notes)


def test_labels_that_their_speaker_is_not_listened_to_for_are_told(tmp_path):
    rows = [(("agent"), "supervisor_demand"), ("customer", "apology"), ("agent", "apology"), ("customer", "swearing")]
    cases = read_cases(lines(tmp_path, *({"speaker": who, "text": "a", "labels": [label]} for who, label in rows)))
    [note] = [note for note in iter_notes(evaluate_cases(cases, build, "x")) if "other speaker" in note]
    assert note.startswith("2 labels are of") and note.endswith("apology (customer), supervisor_demand (agent).")


class Quiet:
    """A session that hears nothing in what is said."""

    def hear(self, heard):
        return []

    tick = hear


# --- audio


def test_clips_are_judged_by_the_words_a_recogniser_hears(tmp_path):
    heard = {"a.wav": "get me a manager", "b.wav": "hello there", "c.wav": ""}
    for name in heard:
        (tmp_path / name).write_bytes(b"")
    table = lines(
        tmp_path,
        "path\tspeaker\tlabel\tsignals",
        "a.wav\tann\traised\tsupervisor_demand",
        "b.wav\tann\tcalm\t",
        "c.wav\tbob\tcalm\tsupervisor_demand",
        name="labels.tsv",
    )
    clips = read_clips(tmp_path, table)
    assert clips[0] == Clip(path=tmp_path / "a.wav", speaker="ann", label="raised", signals=("supervisor_demand",))

    def transcribe(clip):
        return [Word(text, 400 * n, 400 * n + 400) for n, text in enumerate(heard[clip.path.name].split())], 12.0

    result = evaluate_clips(clips, build, transcribe, "clips")
    (row,) = result.signals
    assert (row.hits, row.false, row.missed) == (1, 0, 1)
    assert result.hours == pytest.approx(36 / 3600), "the sound's length, silence and all"


def opening_of_the_call():
    """Fourteen seconds, in which both speak: sound of shape (frames, 2), and its rate."""
    rate = soundfile.info(SPOKEN_CALL).samplerate
    return soundfile.read(SPOKEN_CALL, frames=14 * rate)


def test_of_a_clip_with_two_channels_only_the_customers_words_count(tmp_path):
    sound, rate = opening_of_the_call()
    agent, customer = sound.T
    soundfile.write(tmp_path / "call.wav", sound, rate)
    soundfile.write(tmp_path / "agent.wav", np.stack([agent, 0 * agent], axis=1), rate)
    soundfile.write(tmp_path / "customer.wav", customer, rate)

    def words(*names):
        table = lines(tmp_path, "path,speaker,label,signals", *(f"{name}.wav,ann,," for name in names), name="t.csv")
        model = ROOT / "tests" / "models" / "test-recogniser"
        answer = CliRunner().invoke(app, ["eval", str(tmp_path), "--labels", str(table), "--model", str(model)])
        assert answer.exit_code == 0, answer.output
        return int(re.search(rf"{len(names)} clips, (\d+) words", answer.output)[1])

    assert words("call", "agent") == words("customer") > 10


def test_a_clip_with_one_voice_on_both_channels_is_the_customers(tmp_path):
    voice = np.sin(np.arange(16_000) / 20).astype(np.float32) / 4
    for name, sound in (("one.wav", voice), ("both.wav", np.stack([voice, voice], axis=1))):
        soundfile.write(tmp_path / name, sound, 16_000, subtype="FLOAT")
    assert np.array_equal(tone_lines.sound(tmp_path / "both.wav"), tone_lines.sound(tmp_path / "one.wav"))


def test_silence_of_a_clip_is_time_too(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(36 * 8000, np.float32), 8000)
    table = lines(tmp_path, "path,speaker,label,signals", "a.wav,ann,,", name="labels.csv")
    answer = CliRunner().invoke(app, ["eval", str(tmp_path), "--labels", str(table), "--recogniser", "pocketsphinx"])
    assert answer.exit_code == 0 and "1 clips, 0 words, 0.01 hours" in " ".join(answer.output.split()), answer.output


def test_of_a_long_clip_it_is_said_how_far_it_is(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(command, "ProgressReporter", lambda tell, what: lambda done, of: told.append((what, done, of)))
    soundfile.write(tmp_path / "a.wav", np.zeros(3 * 8000, np.float32), 8000)
    table = lines(tmp_path, "path,signals,start,end", "a.wav,,1,", name="labels.csv")
    asked = ["eval", str(tmp_path), "--labels", str(table), "--recogniser", "pocketsphinx"]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert [(what, done) for what, done, of in told if of == 2][::10] == [("a.wav, seconds", 0), ("a.wav, seconds", 1)]


def test_false_alarms_are_counted_against_what_was_looked_through_for_them(tmp_path):
    asked = {**CASES[1], "judged": ["supervisor_demand"]}
    others = [{**CASES[4], "judged": ["swearing"]}] * 9
    unsure = {**CASES[1], "unsure": ["supervisor_demand"]}
    (row,) = evaluate_cases(read_cases(lines(tmp_path, asked, *others, unsure)), build, "x").signals
    assert (row.false, row.false_per_10k_words.value) == (1, pytest.approx(10_000 / 7))


# --- bad input


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"speaker": "customer", "text": "a", "labels": ["shouting"]}', "'shouting' is not a signal"),
        ('{"speaker": "robot", "text": "a"}', "speaker: Input should be 'agent', 'customer' or 'unknown'"),
        ('{"speaker": "agent"}', "text: Field required"),
        ('{"speaker": "agent", "text": null}', "text: Field required"),
        ('{"text": "a", "labels": 1}', "labels: expected a list of signals such as"),
        ('{"speaker": "agent", ', "not valid JSON"),
        ('["agent"]', "expected a JSON object"),
        ('{"text": ""}', "text: String should have at least 1 character"),
        ('{"text": "a", "label": ["swearing"]}', "'label' is not known; expected 'labels'"),
    ],
)
def test_a_bad_case_is_one_line_with_file_and_line(tmp_path, text, expected):
    path = lines(tmp_path, CASES[0], "", text)
    with pytest.raises(AssistError) as error:
        read_cases(path)
    said = str(error.value)
    assert said.startswith(f"{path}, line 3: ") and expected in said and "\n" not in said
    assert error.value.code == "eval-input"


TURN = {"speaker": "customer", "text": "hello", "start": 1.0}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"call": "x", "turns": []}, "turns: "),
        ({"call": "x", "turns": [{**TURN, "end": 0.5}]}, "turns.0: end (0.5) must come after start (1.0)"),
        ({"call": "x", "turns": [{**TURN, "labels": ["rage"]}]}, "turns.0.labels: 'rage' is not a signal"),
        ({"call": "x", "turns": [{**TURN, "labels": ["escalation"]}]}, "when a call turns is its escalates_at, in sec"),
        ({"call": "x", "turns": [TURN, {**TURN, "start": 60_001}]}, "2 words in 60,000 s: expected seconds; millisec"),
        (
            {"call": "x", "turns": [{**TURN, "start_ms": 10**400, "start": None}]},
            "turns.0: start_ms: expected millisec",
        ),
        ({"call": "x", "turns": [{**TURN, "end": 10**400}]}, "turns.0.end: "),
        ({"call": "x", "turns": [{**TURN, "end": math.nan}]}, "turns.0.end: Input should be a finite number"),
        ({"call": "x", "turns": [{**TURN, "start": math.inf}]}, "turns.0.start: Input should be a finite number"),
        ({"call": "x", "turns": [TURN, {**TURN, "start": 1.7643e9}]}, "turns.1: expected seconds since the call began"),
        ({"call": "x", "turns": [{**TURN, "end": 9e4}]}, "turns.0: expected seconds since the call began, at most 864"),
        ({"call": "x", "turns": [TURN], "escalates_at": math.nan}, "escalates_at: Input should be a finite number"),
        ({"call": "x", "turns": [TURN], "escalates_at": -1}, "escalates_at: Input should be greater than or equal"),
        ({"call": "x", "turns": [TURN], "escalates_at": 36_000}, "escalates_at (36000) must not come after the call's"),
        ({"call": "x", "turns": [TURN], "escalate_at": 1.2}, "'escalate_at' is not known; expected 'escalates_at'"),
    ],
)
def test_a_bad_call_is_one_line_with_its_place(tmp_path, call, expected):
    path = lines(tmp_path, {"call": "ok", "turns": [TURN]}, call, name="calls.jsonl")
    with pytest.raises(AssistError, match=r"calls\.jsonl, line 2: ") as error:
        read_calls(path)
    assert expected in str(error.value)


def test_a_line_ends_where_the_file_says_so_and_not_within_what_was_said(tmp_path):
    case = {"speaker": "customer", "text": "one\u2028two\x85three", "note": "pasted", "labels": []}
    [read] = read_cases(lines(tmp_path, json.dumps(case, ensure_ascii=False)))
    assert read.text == case["text"]
    (tmp_path / "a\u2028b.wav").write_bytes(b"")
    [clip] = read_clips(tmp_path, lines(tmp_path, "path,speaker,label", "a\u2028b.wav,ann,calm", name="t.csv"))
    assert clip.path == tmp_path / "a\u2028b.wav"


def test_missing_files_and_folders_without_calls(tmp_path):
    for reader in (read_cases, read_calls):
        with pytest.raises(AssistError, match="cannot be read: No such file"):
            reader(tmp_path / "none.jsonl")
    with pytest.raises(AssistError, match=r"expected \*\.json"):
        read_calls(tmp_path)
    binary = tmp_path / "sound.jsonl"
    binary.write_bytes(b"\xff\xfe\x00RIFF")
    with pytest.raises(AssistError, match="expected UTF-8 text"):
        read_cases(binary)


def test_bad_tables(tmp_path):
    with pytest.raises(AssistError, match=r"line 1: expected the columns .* missing: label"):
        read_clips(tmp_path, lines(tmp_path, "path,speaker", "a.wav,ann", name="t.csv"))


@pytest.mark.parametrize(
    "rows",
    [
        ("path;speaker;label", "a.wav;ann;calm"),
        ("Path, Speaker, Label", "a.wav, ann, calm "),
        ("path,speaker,label", "", "a.wav,ann,calm", ",,", ""),
        ("", " ; ;", "path;speaker;label", "a.wav;ann;calm"),
    ],
)
def test_tables_are_read_as_spreadsheets_write_them(tmp_path, rows):
    (tmp_path / "a.wav").write_bytes(b"")
    [clip] = read_clips(tmp_path, lines(tmp_path, *rows, name="t.csv"))
    assert clip == Clip(path=tmp_path / "a.wav", speaker="ann", label="calm")


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        (("filename,speaker_id,emotion", "a.wav,ann,anger"), {"speaker": "ann", "label": "anger"}),
        (("file\tsignal", "a.wav\tswearing; legal_threat"), {"signals": ("swearing", "legal_threat")}),
        (("path,label", "a.wav,Legal-threat"), {"signals": ("legal_threat",)}),
        (("path,speaker,label", "a.wav,ann,Raised_voice"), {"speaker": "ann", "label": "Raised_voice"}),
        (("path,speaker,label,start,end", "a.wav,ann,calm,1.5,2"), {"start": 1.5, "end": 2}),
        (("path;speaker;label;start;end", "a.wav;ann;calm;1,5;2"), {"start": 1.5, "end": 2}),
        (("path,speaker,label,start,end", "a.wav,ann,calm,,"), {"start": 0, "end": None}),
    ],
)
def test_tables_are_read_under_the_names_others_use(tmp_path, rows, read):
    (tmp_path / "a.wav").write_bytes(b"")
    [clip] = read_clips(tmp_path, lines(tmp_path, *rows, name="t.csv"))
    assert {key: getattr(clip, key) for key in read} == read


def test_lines_and_turns_may_be_rows_of_a_table(tmp_path):
    rows = ["Speaker;Text;Labels;note", "Customer;get me your manager; now;;", "", "agent;;;", ";;;"]
    rows[1] = 'Customer;"get me your manager; now";supervisor-demand, upset;mine'
    with pytest.raises(AssistError, match=r"t\.csv, line 4: text: Field required"):
        read_cases(lines(tmp_path, *rows, name="t.csv"))
    [case] = read_cases(lines(tmp_path, *rows[:3], rows[4], name="t.csv"))
    assert (case.speaker, case.text, case.labels) == (
        "customer",
        "get me your manager; now",
        ("supervisor_demand", "upset"),
    )
    with pytest.raises(AssistError, match=r"t\.csv, line 3: more values than columns; what has a ',' in it"):
        read_cases(lines(tmp_path, "speaker,text", "agent,hello,,", "customer,get me, now, your manager", name="t.csv"))
    with pytest.raises(AssistError, match=r"t\.csv, line 3: start: .*valid number"):
        read_labelled(lines(tmp_path, "call,start,text", '7,"0,5",hello', '7,"1,500",hello', name="t.csv"))
    open_quote = ["speaker,text", 'customer,"hello', *["customer,get me your manager"] * 5]
    for rows in (open_quote, [*open_quote, 'agent,"hello, there"']):
        with pytest.raises(AssistError, match=r"t\.csv, line 2: not a table: .* a quotation mark is not closed"):
            read_cases(lines(tmp_path, *rows, name="t.csv"))
    [case] = read_cases(lines(tmp_path, "", "speaker,text", 'agent,"one\n""two"""', name="t.csv"))
    assert case.text == 'one\n"two"'
    table = ["call\tstart_ms\tend\ttext\tescalates_at", "7\t1500\t2,25\thello\t", "7\t300\t\thm\t2.5"]
    path = tmp_path / "turns.tsv"
    path.write_text("\r\n".join(table), encoding="utf-16")
    cases, [call] = read_labelled(path)
    assert not cases and (call.call, call.escalates_at) == ("7", 2.5)
    assert [(turn.start, turn.end, turn.text) for turn in call.turns] == [(0.3, None, "hm"), (1.5, 2.25, "hello")]
    with pytest.raises(AssistError, match=r"clips\.csv, line 1: .* assist eval FOLDER --labels .*clips\.csv"):
        read_labelled(lines(tmp_path, "path,speaker,label", "a.wav,ann,calm", name="clips.csv"))


def test_a_table_may_be_json_lines_or_a_list(tmp_path):
    rows = [
        {"Path": "a.wav", "speaker": 7, "emotion": "calm ", "start": 1.5, "end": None, "signals": ["swearing"]},
        {"Path": "b.wav", "speaker": "ann", "emotion": None, "signals": "upset swearing", "note": {"by": "me"}},
        {"Path": "c.wav", "speaker": "ann", "emotion": "anger"},
    ]
    read = [
        Clip(path=tmp_path / "a.wav", speaker="7", label="calm", start=1.5, signals=("swearing",)),
        Clip(path=tmp_path / "b.wav", speaker="ann", signals=("upset", "swearing")),
        Clip(path=tmp_path / "c.wav", speaker="ann", label="anger"),
    ]
    assert read_clips(tmp_path, lines(tmp_path, *rows, name="t.jsonl")) == read
    assert read_clips(tmp_path, lines(tmp_path, json.dumps(rows, indent=1), name="t.json")) == read
    for row, said in (
        ({"path": ["a.wav"], "signals": []}, "line 1: expected the path"),
        ({"path": "a.wav", "label": [1]}, "missing: speaker"),
        ({"path": "a.wav", "label": ["swearing"], "start": "x"}, r"line 1: start: Input should be a valid number"),
    ):
        with pytest.raises(AssistError, match=said):
            read_clips(tmp_path, lines(tmp_path, row, name="t.jsonl"))


def test_where_all_labels_are_signals_the_other_clips_have_none(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.wav").write_bytes(b"")
    table = ["path,speaker,label", "a.wav,ann,upset", "b.wav,ann,calm", "c.wav,,"]
    clips = read_clips(tmp_path, lines(tmp_path, *table, name="t.csv"))
    assert [(clip.label, clip.signals) for clip in clips] == [("", ("upset",)), ("", ()), ("", ())]
    clips = read_clips(tmp_path, lines(tmp_path, *table, "d.wav,ann,anger", name="t.csv"))
    assert [(clip.label, clip.signals) for clip in clips] == [(each, None) for each in ("upset", "calm", "", "anger")]


def test_clips_that_cannot_be_heard_are_counted_and_named_and_the_others_measured(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(16_000) / 20).astype(np.float32) / 4, 8000)
    (tmp_path / "b.wav").write_bytes(b"RIFF and nothing")
    whole = [(f"{name}.wav", "", "") for name in "abcd"]
    rows = [*whole[:3], ("a.wav", 9, 10), ("a.wav", 1, 1.0003), whole[3]]
    asked = lines(
        tmp_path, "path,speaker,label,start,end", *(f"{f},ann,happy,{s},{e}" for f, s, e in rows), name="t.csv"
    )
    html = tmp_path / "page.html"
    command = ["eval", str(tmp_path), "--labels", str(asked), "--html", str(html)]
    answer = CliRunner().invoke(app, command, env={"COLUMNS": "400"})
    assert answer.exit_code == 0, answer.output
    for said in (" ".join(answer.output.split()), html.read_text(encoding="utf-8")):
        assert "1 clips, 0.00 hours, 5 left out" in said
        assert f"2 of 6 clips left out: There is no file {tmp_path / 'c.wav'}" in said and "The same of: d.wav." in said
        assert f"1 of 6 clips left out: {tmp_path / 'a.wav'} has no sound at 9 s" in said
        assert f"1 of 6 clips left out: {tmp_path / 'a.wav'} has only 0.00025 s of sound at 1 s" in said
        assert f"1 of 6 clips left out: {tmp_path / 'b.wav'} cannot be used" in said
    (tmp_path / "a.wav").unlink()
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, AssistError) and error.code == "eval-input"
    assert f"5 of 6 clips left out: There is no file {tmp_path / 'a.wav'}" in str(error)


def test_a_clip_that_ends_before_its_header_says_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(24_000) / 20).astype(np.float32) / 4, 8000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:32_000])
    rows = ["a.wav,ann,happy,,", "cut.wav,ann,happy,,", "cut.wav,ann,happy,0,1"]
    table = lines(tmp_path, "path,speaker,label,start,end", *rows, name="t.csv")
    answer = CliRunner().invoke(app, ["eval", str(tmp_path), "--labels", str(table)], env={"COLUMNS": "200"})
    assert "1 of 3 clips are not whole: what can be read was used: cut.wav" in answer.output
    far = lines(tmp_path, "path,speaker,label,start", "a.wav,ann,happy,1e18", "a.wav,ann,happy,1e300", name="far.csv")
    error = CliRunner().invoke(app, ["eval", str(tmp_path), "--labels", str(far)]).exception
    assert isinstance(error, AssistError) and "a.wav: 1e+18 to 1e+18: expected seconds of it" in str(error)


def test_words_of_a_part_of_a_file_are_those_of_the_part(tmp_path):
    sound, rate = opening_of_the_call()
    half = len(sound) // 2 // rate
    soundfile.write(tmp_path / "call.wav", sound, rate)
    soundfile.write(tmp_path / "half.wav", sound[half * rate :], rate)

    def said(row):
        table = lines(tmp_path, "path,signals,start,end", row, name="t.csv")
        model = ROOT / "tests" / "models" / "test-recogniser"
        answer = CliRunner().invoke(app, ["eval", str(tmp_path), "--labels", str(table), "--model", str(model)])
        assert answer.exit_code == 0, answer.output
        return re.search(r"1 clips, \d+ words, \d\.\d\d hours", answer.output)[0]

    assert said(f"call.wav,,{half},") == said("half.wav,,,") != said("call.wav,,,")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("path,speaker,label,start,end", "a.wav,ann,calm,3,2"), r"end \(2\) must come after start \(3\)"),
        (("path,speaker,label", '"x.wav,ann,calm', *["b.wav,ann,calm"] * 30), r"line 2: .* mark is not"),
        (("path,speaker,label", "", "a.wav,ann,calm", 'a.wav,"ann"n,calm'), r"line 4: .* mark is not"),
        (("path,speaker,label", '"' + "x" * 200_000), r"t\.csv, line \d: not a table"),
        (("path,speaker,label", ",ann,calm"), r"line 2: expected the path"),
        (("speaker,label,path", "ann,calm"), r"line 2: expected the path"),
    ],
)
def test_a_broken_table_is_named(tmp_path, rows, said):
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(AssistError, match=said):
        read_clips(tmp_path, lines(tmp_path, *rows, name="t.csv"))


def test_a_folder_of_audio_is_one_that_is_there(tmp_path):
    table = lines(tmp_path, "path,speaker,label", "a.wav,ann,calm", name="t.csv")
    with pytest.raises(AssistError, match=r"none: expected the folder in which the audio files of .*t\.csv are"):
        read_clips(tmp_path / "none", table)


def test_a_table_says_who_speaks_and_has_something_to_measure(tmp_path):
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(8000, np.float32), 8000)

    def eval_of(*rows):
        table = lines(tmp_path, *rows, name="t.csv")
        return CliRunner().invoke(app, ["eval", str(tmp_path), "--labels", str(table)], env={"COLUMNS": "200"})

    for rows, said in [
        (("path,label", "a.wav,calm"), "line 1: expected the columns path, speaker, label; missing: speaker"),
        (("path,speaker,label", "a.wav,ann,calm", "b.wav,,calm"), "line 3: expected a speaker beside the label"),
        (("path,speaker,label", "a.wav,ann,furious", "b.wav,ann,"), "nothing to measure"),
    ]:
        error = eval_of(*rows).exception
        assert isinstance(error, AssistError) and error.code == "eval-input" and said in str(error), error
    answer = eval_of("path,speaker,label", "a.wav,ann,Calm", "b.wav,ann,fear")
    assert answer.exit_code == 0 and "1 clips are no part of the voice's figures: fear" in answer.output
    assert re.search(r"clips with AUC\W+0\W+0\W+0\W", answer.output), "silence is not scored"
    assert "nan" not in answer.output
    assert "nan" not in eval_of("path,speaker,label", "a.wav,ann,happy").output


def test_calls_are_told_from_utterances(tmp_path):
    calls = lines(tmp_path, {"call": "x", "turns": [TURN]}, name="a.jsonl")
    cases = lines(tmp_path, *CASES, name="b.jsonl")
    assert read_labelled(calls) == ([], read_calls(calls))
    assert read_labelled(cases) == (read_cases(cases), [])


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs files that a shell makes of a pipe")
def test_what_another_program_writes_into_a_pipe_is_measured(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, lines(tmp_path, *CASES).read_bytes())
    os.close(writing)
    try:
        assert len(read_labelled(Path(f"/dev/fd/{reading}"))[0]) == len(CASES)
    finally:
        os.close(reading)


def test_utterances_are_read_as_lines_or_a_list_in_any_file_and_folder(tmp_path):
    rows = [(case["text"], case["speaker"], " ".join(case["labels"])) for case in CASES]
    for folder in ("below", ".checkpoints"):
        (tmp_path / "all" / folder).mkdir(parents=True)
    for name, text in (
        ("all/a.jsonl", "\r\n\r\n".join(map(json.dumps, CASES))),
        ("all/b.json", json.dumps(CASES, indent=1)),
        ("all/below/c.ndjson", json.dumps(CASES)),
        ("all/below/d.json", "\n".join(map(json.dumps, CASES))),
        ("all/below/e.CSV", "\n".join(["text,speaker,labels", *(",".join(row) for row in rows)])),
        ("all/.checkpoints/a.jsonl", json.dumps(CASES)),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert [case.text for case in read_labelled(tmp_path / name)[0]] == [case["text"] for case in CASES], name
    assert len(read_cases(tmp_path / "all")) == 5 * len(CASES)
    for name, text in product(("deep.json", "deep.jsonl"), ("[" * 100_000, "9" * 5_000)):
        with pytest.raises(AssistError, match="nested too deeply, or a number of too many digits"):
            read_cases(lines(tmp_path, text, name=name))
    broken = json.dumps(CASES, indent=1).replace("what time", 'what" time')
    with pytest.raises(AssistError, match=r"e\.json, line 28: not valid JSON"):
        read_cases(lines(tmp_path, broken, name="e.json"))


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"speaker": "Customer"}, ("customer", ())),
        ({"speaker": "AGENT "}, ("agent", ())),
        ({"speaker": "caller"}, ("customer", ())),
        ({"speaker": None, "labels": None}, ("customer", ())),
        ({"labels": "swearing, legal_threat"}, ("customer", ("swearing", "legal_threat"))),
        ({"labels": ["Supervisor-demand", "legal threat"]}, ("customer", ("supervisor_demand", "legal_threat"))),
    ],
)
def test_the_plain_ways_to_say_the_same_are_read(tmp_path, given, read):
    [case] = read_cases(lines(tmp_path, {"text": "a", **given}))
    assert (case.speaker, case.labels) == read


def test_turns_may_stand_one_by_one(tmp_path):
    said = [{**TURN, "start": at, "text": f"at {at}"} for at in (0.5, 3, 9)]
    rows = [{"call_id": n, "id": at, **turn} for n in (7, 8) for at, turn in enumerate(said[::-1])]
    path = lines(tmp_path, *rows, {"call_id": 8, **TURN, "start": 1, "escalates_at": 2}, name="rows.jsonl")
    seven, eight = read_labelled(path)[1]
    assert (seven.call, [turn.start for turn in seven.turns], seven.escalates_at) == ("7", [0.5, 3, 9], None)
    assert (eight.call, [turn.start for turn in eight.turns], eight.escalates_at) == ("8", [0.5, 1, 3, 9], 2)
    with pytest.raises(AssistError, match=r"bad\.jsonl, line 2: start: Field required"):
        read_calls(lines(tmp_path, rows[0], {"call_id": 7, "text": "a"}, name="bad.jsonl"))
    timed = [{"text": "hello", "start": 1.7643e9 + at} for at in range(3)]
    for name, utterances in (("loose.jsonl", said), ("timed.jsonl", timed)):
        path = lines(tmp_path, *utterances, name=name)
        assert len(read_labelled(path)[0]) == 3, "of no call, whatever their times"
    written = [{**turn, "call": "a", "start": str(turn["start"])} for turn in said]
    assert read_calls(lines(tmp_path, *written, name="written.jsonl"))[0].turns[1].start == 3
    with pytest.raises(AssistError, match=r"clock\.jsonl, line 1: start: Input should be a valid number"):
        read_labelled(lines(tmp_path, {**written[0], "start": "00:01:05"}, name="clock.jsonl"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"call": "x", "begin": 1.5}, "line 2: a turn of a call without its start: expected start .* not begin"),
        ({"call": "x", "End": 1.5}, "line 2: a turn of a call without its start: expected start .* not End"),
        ({"escalates_at": 1.5}, "line 2: a turn of a call without its start: expected start .* not escalates_at"),
    ],
)
def test_turns_without_a_start_that_is_known_are_no_utterances(tmp_path, row, said):
    with pytest.raises(AssistError, match=said):
        read_labelled(lines(tmp_path, {"text": "hello", "call": "x"}, {"text": "hello", **row}))
    assert len(read_labelled(lines(tmp_path, {"text": "hello", "call": "x"}, name="of.jsonl"))[0]) == 1


def test_a_call_turns_once(tmp_path):
    head = "call,start,text,escalates_at"
    with pytest.raises(AssistError, match=r"t\.csv, line 3: expected one escalates_at for a call, not 1\.5 and 2\.0"):
        read_labelled(lines(tmp_path, head, "7,1,hello,1.5", "7,2,hello,2", "8,1,hello,1", name="t.csv"))
    same = lines(tmp_path, head, "7,1,hello,1.5", "7,2,hello,1.5", "8,1,hello,1", name="same.csv")
    assert [call.escalates_at for call in read_labelled(same)[1]] == [1.5, 1]


def test_a_calls_name_and_times_are_read_as_they_come(tmp_path):
    ms = {"speaker": "customer", "text": "hello", "start_ms": 1500, "end_ms": 2500}
    called = {"id": "a", "turns": [{**TURN, "start": 9, "end": 9}, ms]}
    a, b = read_calls(lines(tmp_path, called, {"call": None, "turns": [TURN]}, name="c.jsonl"))
    assert (a.call, b.call) == ("a", "c 2")
    assert [(turn.start, turn.end_ms) for turn in a.turns] == [(1.5, 2500), (9, 9400)], "in order; no end is estimated"
    late = [{**TURN, "start": at, "end": at + 1} for at in (1500, 1508)]
    [part] = read_calls(lines(tmp_path, {"call": "c", "turns": late}, name="part.jsonl"))
    assert part.turns[0].start_ms == 1_500_000, "a part of a long call"


def test_a_folder_holds_calls_or_utterances_and_something(tmp_path):
    lines(tmp_path, {"call": "x", "turns": [TURN]}, name="a.jsonl")
    lines(tmp_path, *CASES, name="b.jsonl")
    with pytest.raises(AssistError, match=r"b\.jsonl: not whole calls as the other files"):
        read_calls(tmp_path)
    with pytest.raises(AssistError, match="nothing to measure"):
        read_labelled(lines(tmp_path, name="empty.jsonl"))


def test_nothing_is_measured_before_all_that_is_named_was_seen_to_be_there(tmp_path, monkeypatch):
    judged = []
    monkeypatch.setattr(command, "ProgressReporter", lambda tell, what: lambda done, of: judged.append(what))
    answer = CliRunner().invoke(app, ["eval", str(lines(tmp_path, *CASES)), str(tmp_path / "none.jsonl")])
    assert "none.jsonl: cannot be read" in str(answer.exception) and judged == []
    for out in (tmp_path / "none" / "page.html", tmp_path):
        answer = CliRunner().invoke(app, ["eval", str(lines(tmp_path, *CASES)), "--html", str(out)])
        assert f"cannot write {out}" in str(answer.exception) and judged == []
    answer = CliRunner().invoke(app, ["eval", "--labels", str(lines(tmp_path, "path", name="t.csv"))])
    assert answer.exit_code == 1 and "t.csv: name the folder" in answer.output.replace("\n", "")


def test_a_page_replaces_a_page_and_no_other_file(tmp_path):
    table = lines(tmp_path, "speaker,text", "customer,hello", name="a.csv")
    taken, page, made = tmp_path / "mine.html", tmp_path / "page.html", tmp_path / "made.html"
    taken.write_text("labels")
    made.write_text("")
    for out in (table, taken):
        before = out.read_bytes()
        answer = CliRunner().invoke(app, ["eval", str(table), "--html", str(out)])
        assert f"{out} is there and does not begin as what is written there would" in str(answer.exception)
        assert out.read_bytes() == before
    for out in (page, page, made):
        assert CliRunner().invoke(app, ["eval", str(table), "--html", str(out)]).exit_code == 0
        assert out.read_text(encoding="utf-8").startswith(PAGE_BEGINS)


def test_one_call_a_list_or_lines_are_all_read(tmp_path):
    call = {"call": "x", "turns": [TURN], "escalates_at": 1.5}
    one = read_calls(lines(tmp_path, json.dumps(call, indent=1), name="a.json"))
    many = read_calls(lines(tmp_path, json.dumps([call, call]), name="b.json"))
    assert one[0] == many[1] == read_calls(lines(tmp_path, call, name="c.jsonl"))[0]
    assert len(read_calls(tmp_path)) == 4
    milliseconds = {"call": "x", "turns": [{**TURN, "start": 300_000}]}
    with pytest.raises(AssistError, match=r"e\.json, line 2: turns\.0: expected seconds since the call began"):
        read_calls(lines(tmp_path, json.dumps([call, milliseconds]), name="e.json"))
    with pytest.raises(AssistError, match=r"d\.json, line 1: not valid JSON"):
        read_calls(lines(tmp_path, '{"call": }', name="d.json"))


# --- report


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.opened, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.opened.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_is_self_contained_escapes_what_was_said_and_shows_the_figures(tmp_path):
    nasty = Case(text="<script>alert('manager')</script> & manager", labels=())
    cases = [*read_cases(lines(tmp_path, *CASES)), nasty]
    html = page([evaluate_cases(cases, build, "cases <b>"), evaluate_cases(cases[:1], build, "one")])
    tags = Tags()
    tags.feed(html)
    names = [tag for tag, _ in tags.opened]
    assert "script" not in names and names.count("svg") >= 3
    assert not [a for _, attrs in tags.opened for a in attrs if a in ("src", "href", "onload")]
    assert not re.search(r"https?://|url\(", html)
    text = " ".join(tags.texts)
    assert "<script>alert('manager')</script> & manager" in text and "cases <b>" in text
    assert "supervisor_demand" in text and "0.333" in text


def printed(tables, width=80):
    console = Console(width=width, record=True, file=io.StringIO())
    for each in tables:
        console.print(each)
    return console.export_text()


def test_the_tables_show_every_signal_with_its_counts_and_intervals_in_80_columns(tmp_path):
    result = evaluate_cases(read_cases(lines(tmp_path, *CASES)), build, "my cases")
    text = printed(tables(result))
    assert "my cases: 5 utterances" in text
    assert re.search(r"signal +labelled +hits +false +missed +false /10k words", text)
    assert re.search(r"supervisor_demand +2 +1 +1 +1 +333\.33 \[\d+\.\d+–\d+\.\d+\]", text)
    assert re.search(r"supervisor_demand(?: +0\.500 \[0\.\d\d–0\.\d\d\]){3}", text)
    long = replace(result.signals[0], id="negative_sentiment", false_per_hour=Figure(12.34, 10.11, 15.55))
    timed = replace(result, hours=1.0, signals=(replace(long, hits=1_234, delay_median_s=12.3, delay_p95_s=45.6),))
    assert re.search(
        r"negative_sentiment +2 +1,234 +1 +1 +12\.34 \[10\.11–15\.55\] +12\.3 / 45\.6", printed(tables(timed))
    )
    assert "…" not in printed(tables(timed), width=40), "what does not fit goes on in the next line"


def test_a_long_measurement_says_now_and_then_how_far_it_is(tmp_path):
    said, seconds = [], iter(range(0, 600, 3))
    far = ProgressReporter(said.append, "my cases", lambda: next(seconds))
    cases = read_cases(lines(tmp_path, *CASES * 20))
    evaluate_cases(cases, lambda: [], "my cases", far)
    assert said[0] == "my cases: 1 of 100 judged after 6 s" and len(said) == 7
    assert said[-1] == "my cases: 86 of 100 judged after 261 s"
