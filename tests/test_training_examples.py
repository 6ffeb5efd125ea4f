"""What teaches the sentence model: well formed, and nothing of it is measured on."""

import json
import re
from pathlib import Path

import pytest

from assist.evaluation.cases import read_cases
from detectors.meaning import COMPLAINT
from tests.telephone_talk import calls
from tests.training.examples import (
    DATA,
    HELD_BACK,
    HELD_HARM,
    OF_AGENT,
    OF_CALLER,
    OF_CUSTOMER,
    graded,
    hints,
    in_calls,
    in_talk,
    of_callers,
    outright,
    taught,
)

TAUGHT = sorted((DATA / "words" / "taught").glob("*.txt"))
HELD = sorted((DATA / "words" / "held").glob("*.txt"))


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower().replace("’", "'")))


def is_long(text: str) -> bool:
    """More than what two authors write alike by chance ("that's fine", "you absolute donkey")."""
    return len(text.split()) > 8


def told(path: Path) -> list[list[str]]:
    return [line.split("|") for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("path", [*TAUGHT, *HELD], ids=lambda path: path.stem)
def test_every_line_says_who_what_holds_and_what_was_said(path: Path) -> None:
    known = {"c": {*OF_CUSTOMER, "-"}, "a": {*OF_AGENT, "-"}}
    for line in told(path):
        assert len(line) == 3 and line[2].strip(), line
        assert {label.removeprefix("?") for label in line[1].split(",")} <= known[line[0]], line


def test_talk_is_said_by_one_of_two() -> None:
    for path in sorted((DATA / "words" / "talk").glob("*.txt")):
        for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
            who, _, text = line.partition("|")
            assert who in ("A", "B") and text.strip() and "|" not in text, (path.name, line)


def test_every_customers_turn_of_a_graded_call_has_a_degree() -> None:
    for path in sorted((DATA / "words" / "upset").glob("*.txt")):
        for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
            who, degree, text = line.split("|")
            assert text.strip() and (who, degree in "0123") in (("c", True), ("a", False)), (path.name, line)
        assert {degree for _, degree, _ in graded(path)} >= ({0} if path.stem.startswith("ordinary") else {0, 1, 2})


def test_what_holds_or_not_stands_before_a_line() -> None:
    for path in sorted(
        each for folder in ("self-harm", "outright") for each in (DATA / "words" / folder).glob("*.txt")
    ):
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, text = line.split("|")
            assert kind in ("h", "-") and text.strip(), (path.name, line)


def test_what_is_held_back_is_not_taught() -> None:
    folders = ("talk", "upset", "self-harm", "outright")
    files = {path.stem for folder in folders for path in (DATA / "words" / folder).glob("*.txt")}
    assert files > HELD_BACK
    assert {line.source for line in (*in_talk(), *in_calls(), *hints(), *outright())} == files - HELD_BACK
    assert {line.source for line in hints(held=True)} == {HELD_HARM}


def test_nothing_that_is_measured_on_is_taught() -> None:
    measured = {
        plain(case.text)
        for path in (DATA / "words" / "independent").glob("[b-i]*.jsonl")
        for case in read_cases(path)
        if path.stem not in tuple("ghi") or is_long(case.text)
    }
    for folder in ("heldout3", "independent"):
        for path in (DATA / "calls" / folder).glob("*.jsonl"):
            for call in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                said = [turn["text"] for turn in call["turns"]]
                measured |= {plain(text) for text in said if path.stem not in tuple("efghi") or is_long(text)}
    both = [line for path in TAUGHT for line in told(path) if plain(line[2]) in measured]
    assert not both
    told_twice = {plain(line[2]) for path in TAUGHT for line in told(path)} | measured
    assert not [line[2] for path in HELD for line in told(path) if is_long(line[2]) and plain(line[2]) in told_twice]
    hinted = [line.text for held in (False, True) for line in (*hints(held=held), *outright(held=held))]
    assert not [text for text in hinted if is_long(text) and plain(text) in measured]
    turns = [text for path in (DATA / "words" / "upset").glob("*.txt") for _, _, text in graded(path)]
    assert not [text for text in turns if is_long(text) and plain(text) in measured]


def test_all_that_is_taught_can_be_read(tmp_path: Path) -> None:
    assert {"vulnerable", COMPLAINT} < {name for line in taught(tmp_path) for name in line.holds}
    lines = list(of_callers(tmp_path))
    assert {name for line in lines for name in line.holds} == set(OF_CALLER)
    assert any(line.place.previous_turn and line.place.other_turn for line in lines)


def test_a_turn_is_taught_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "upset-1.txt"
    path.write_text(
        "a|-|Good morning, how can I help?\nc|0|It's about my bill.\na|-|I see nothing here.\nc|1|Mhm, okay.\n"
        "a|-|It may be the meter.\nc|2|So nobody knows.\n\na|-|Hello, Robbie speaking.\nc|0|Hiya.\n"
    )
    first, second, third, other = graded(path)
    assert first[0].other_turn == tuple("Good morning, how can I help?".split()) and not first[0].previous_turn
    assert second[1] == 1 and second[0].other_turn == tuple("I see nothing here.".split())
    assert third[0].other_turn == tuple("I see nothing here. It may be the meter.".split()), "a nod takes no turn"
    assert third[0].previous_turn == tuple("It's about my bill.".split())
    assert other[0].other_turn == tuple("Hello, Robbie speaking.".split()), "another call"


def test_a_conversation_is_two_calls_either_speaker_once_the_customer(tmp_path: Path) -> None:
    (tmp_path / "2010.txt").write_text("A|This is Archie.|fp\nB|Hi, Archie.|fp\nB|I'm Sharon.|fp\n")
    first, second = calls(tmp_path)
    assert [(turn["speaker"], turn["text"]) for turn in first["turns"]] == [
        ("customer", "This is Archie."),
        ("agent", "Hi, Archie. I'm Sharon."),
    ]
    assert [turn["speaker"] for turn in second["turns"]] == ["agent", "customer"]
