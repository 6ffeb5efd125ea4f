from pathlib import Path

import pytest
from typer.testing import CliRunner

from assist.coach.listing import playbook_lines
from assist.coach.playbook import PlaybookError, check_playbook, copy_playbook, list_playbooks, load_playbook
from assist.commands.main import app
from assist.evaluation.trial import load_conversations, run_conversation, turn_report
from detectors.rulebook import load_rules

RULES = load_rules()

SCRIPT = """
[[calls]]
name = "one"

[[calls.turns]]
says = "I'm going to call my guy and he will take care of it."
expect = { prompt = "influence-claim", level = "tense" }

[[calls.turns]]
who = "agent"
says = "I will take care of this myself."
expect = { prompt = "refund", acted = "influence-claim", promise = "by Friday" }
"""


def test_written_calls_that_are_there_and_cannot_be_read_are_not_called_missing(tmp_path):
    (tmp_path / "mine.test.toml").write_text(SCRIPT, encoding="utf-16")
    with pytest.raises(PlaybookError, match="mine.test.toml: not a text file in UTF-8: save it as UTF-8"):
        load_conversations(tmp_path / "mine.toml")
    (tmp_path / "mine.test.toml").write_text(SCRIPT, encoding="utf-8-sig")
    assert [call.name for call in load_conversations(tmp_path / "mine.toml")[1]] == ["one"]


@pytest.mark.parametrize("name", list_playbooks())
def test_the_written_calls_of_every_shipped_playbook_go_as_expected(name):
    book = load_playbook(name)
    place, calls = load_conversations(name)
    misses = [
        f"{place}: {call.name}: {outcome.turn.says}: {miss}"
        for call in calls
        for outcome in run_conversation(book, RULES, call)
        for miss in outcome.misses
    ]
    assert misses == []


@pytest.mark.parametrize("name", list_playbooks())
def test_every_shipped_playbook_is_sound_with_the_rules(name):
    assert check_playbook(name, rules=RULES) == []


def test_what_does_not_come_is_said_in_plain_lines(tmp_path):
    script = tmp_path / "mine.test.toml"
    script.write_text(SCRIPT)
    _, [call] = load_conversations(tmp_path / "mine.toml")
    first, second = run_conversation(load_playbook("default"), RULES, call)
    assert first.misses == ()
    assert second.misses == (
        "prompt: expected refund, there was none",
        "promise due: expected by Friday, there was none",
    )
    lines = [line for outcome in (first, second) for line in turn_report(outcome)]
    assert "    level tense (42)" in lines
    assert any(line.startswith("    ▶ influence-claim: [Be the person they can call]") for line in lines)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("name =", "nam ="), "calls.#1.name: missing: expected it here"),
        (('who = "agent"', 'who = "robot"'), "calls.one.turns.#2.who"),
        (
            ("prompt = ", "promt = "),
            "calls.one.turns.#1.expect.promt: unknown key: expected one of prompt, no_prompt",
        ),
        (('who = "agent"', 'hears = ["shouting"]'), "'shouting': expected one of"),
        (("[[calls]]", "[[calls"), "not valid TOML"),
        (('says = "I will take care of this myself."', 'says = "  "'), "turns.#2: says: empty: expected some text"),
        (('who = "agent"', 'does = "plan-offred late-fee"'), "does: 'plan-offred late-fee' is nothing that is done"),
        (
            ('who = "agent"\nsays = "I will take care of this myself."', 'hears = ["overlap"]'),
            "hears: a signal is heard",
        ),
    ],
)
def test_a_bad_script_is_refused_with_its_place(change, says, tmp_path):
    script = tmp_path / "bad.test.toml"
    assert change[0] in SCRIPT
    script.write_text(SCRIPT.replace(*change, 1))
    with pytest.raises(PlaybookError) as caught:
        load_conversations(tmp_path / "bad.toml")
    assert str(caught.value).startswith(str(script)) and says in str(caught.value)


def test_what_would_be_refused_at_the_screen_does_not_come(tmp_path):
    (tmp_path / "mine.test.toml").write_text(SCRIPT.replace('who = "agent"', 'does = "plan-offered late-fea"'))
    _, [call] = load_conversations(tmp_path / "mine.toml")
    first, second = run_conversation(load_playbook("default"), RULES, call)
    assert first.misses == () and "does: There is no option 'late-fea' in this call's playbook." in second.misses


def test_a_playbook_without_written_calls_says_where_they_belong(tmp_path):
    with pytest.raises(PlaybookError, match=r"expected .*mine\.test\.toml"):
        load_conversations(tmp_path / "mine.toml")
    with pytest.raises(PlaybookError, match=r"expected .*gone\.toml"):
        load_conversations("default", Path(tmp_path / "gone.toml"))


def test_a_file_named_as_a_shipped_playbook_has_its_own_written_calls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy_playbook("default", Path("default.toml"))
    Path("default.test.toml").write_text(SCRIPT)
    assert [call.name for call in load_conversations("default.toml")[1]] == ["one"]
    assert "one" not in [call.name for call in load_conversations("default")[1]]
    answer = CliRunner().invoke(app, ["playbook", "test", "default.toml"])
    assert answer.exit_code == 1 and "prompt: expected refund, there was none" in answer.output
    Path("default.test.toml").unlink()
    with pytest.raises(PlaybookError, match=r"no scripted .* default\.toml: expected default\.test\.toml"):
        load_conversations("default.toml")


def test_a_playbook_reads_as_a_person_would_want_it():
    text = "\n".join(playbook_lines(load_playbook("jerk")))
    assert "1 Just calm yourself – a slow, low answer" in text
    assert "influence_claim (tense, escalated, recovering) → Redirect" in text
    assert "Waive the fee – worth 12 to them; costs 4 (agent up to 20, senior up to 50, supervisor up to 200)" in text


def test_a_whole_call_comes_to_exactly_these_events():
    _, [call, *_] = load_conversations("default")
    outcomes = run_conversation(load_playbook("default"), RULES, call)
    lines = [line.strip() for outcome in outcomes for line in turn_report(outcome)]
    kept = [line for line in lines if not line.startswith(("heard", "agent:", "customer:"))]
    assert [line.split("] “")[0] for line in kept] == WHOLE


WHOLE = [
    "level tense (50)",
    "▶ influence-claim: [Be the person they can call",
    "plan B: Engineer at a fixed time, Your direct line, Call back at their time",
    "✓ redirect “I will take care of”",
    "p1 acted: “I will take care of”",
    "level escalated (92)",
    "clock started",
    "▶ supervisor-demand: [Own it, ask the manager in",
    "plan B: Engineer at a fixed time, Your direct line, Supervisor joins this call",
    "✓ just-calm “I'm so sorry about”",
    "✓ empathize “I understand how frustrating that”",
    "✓ plan-b “I can waive”",
    "p2 acted: “I can waive”",
    "promise: call you back, due tomorrow at ten 2026-11-25T10:00+00:00",
    "late-fee offered “waive the late fee”",
    "named-callback offered “call you back tomorrow”",
    "level recovering (25)",
    "clock met",
    "late-fee accepted “Thank you so much”",
    "named-callback accepted “Thank you so much”",
]
