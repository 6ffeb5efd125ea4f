"""What teaches the sentence model: well formed, and nothing of it is measured on."""

import json
import re
from pathlib import Path

import pytest

from assist.evaluation.cases import read_cases
from detectors.meaning import COMPLAINT, UPSET
from tests.teaching.lines import DATA, HELD_BACK, OF_AGENT, OF_CUSTOMER, graded, in_calls, in_talk, taught
from tests.telephone_talk import calls

TAUGHT = sorted((DATA / "words" / "taught").glob("*.txt"))


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower().replace("’", "'")))


def is_long(text: str) -> bool:
    """More than what two authors of whole calls write alike by chance ("that's fine")."""
    return len(text.split()) > 8


def told(path: Path) -> list[list[str]]:
    return [line.split("|") for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
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


def test_what_is_held_back_is_not_taught() -> None:
    files = {path.stem for folder in ("talk", "upset") for path in (DATA / "words" / folder).glob("*.txt")}
    assert files > HELD_BACK
    assert {line.source for line in (*in_talk(), *in_calls())} == files - HELD_BACK


def test_nothing_that_is_measured_on_is_taught() -> None:
    measured = {
        plain(case.text) for path in (DATA / "words" / "independent").glob("[b-f]*.jsonl") for case in read_cases(path)
    }
    for folder in ("heldout3", "independent"):
        for path in (DATA / "calls" / folder).glob("*.jsonl"):
            for call in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                said = [turn["text"] for turn in call["turns"]]
                measured |= {plain(text) for text in said if path.stem != "e" or is_long(text)}
    both = [line for path in TAUGHT for line in told(path) if plain(line[2]) in measured]
    assert not both
    turns = [text for path in (DATA / "words" / "upset").glob("*.txt") for _, _, text in graded(path)]
    assert not [text for text in turns if is_long(text) and plain(text) in measured]


def test_all_that_is_taught_can_be_read(tmp_path: Path) -> None:
    assert {UPSET, COMPLAINT} < {name for line in taught(tmp_path) for name in line.holds}


def test_a_conversation_is_two_calls_either_speaker_once_the_customer(tmp_path: Path) -> None:
    (tmp_path / "2010.txt").write_text("A|This is Archie.|fp\nB|Hi, Archie.|fp\nB|I'm Sharon.|fp\n")
    first, second = calls(tmp_path)
    assert [(turn["speaker"], turn["text"]) for turn in first["turns"]] == [
        ("customer", "This is Archie."),
        ("agent", "Hi, Archie. I'm Sharon."),
    ]
    assert [turn["speaker"] for turn in second["turns"]] == ["agent", "customer"]
