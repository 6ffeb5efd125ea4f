"""The training data of the sentence model: well formed, and nothing of it is measured on."""

import json
import re
import shutil
from pathlib import Path

import pytest

from assist.evaluation.cases import read_cases
from detectors.meaning import COMPLAINT, SELF_HARM, UPSET
from tests.telephone_talk import calls
from tests.training import examples
from tests.training.examples import (
    AGENT_LABELS,
    CALLER_LABELS,
    CUSTOMER_LABELS,
    DATA,
    HELD_OUT_FILES,
    HELD_OUT_SELF_HARM,
    STOCK_FILES,
    WORDS,
    Example,
    caller_examples,
    outright_examples,
    read_graded_calls,
    self_harm_examples,
    talk_examples,
    words_examples,
)

TRAINING = sorted((WORDS / "taught").glob("*.txt"))
HELD_OUT = sorted((WORDS / "held").glob("*.txt"))


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower().replace("’", "'")))


def is_long(text: str) -> bool:
    """More than what two authors write alike by chance ("that's fine", "you absolute donkey")."""
    return len(text.split()) > 8


def fields(path: Path) -> list[list[str]]:
    return [line.split("|") for line in path.read_text(encoding="utf-8").splitlines() if line]


@pytest.fixture(scope="module")
def of_callers(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """The examples of the network `caller`; of each file of talk or graded calls those of its first call only."""
    words = tmp_path_factory.mktemp("data") / "words"
    shutil.copytree(WORDS, words)
    for path in (*words.glob("talk/*.txt"), *words.glob("upset/upset-*.txt")):
        path.write_text(path.read_text(encoding="utf-8").partition("\n\n")[0], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(examples, "WORDS", words)
        return list(caller_examples(tmp_path_factory.mktemp("without-bitext")))


@pytest.mark.parametrize("path", [*TRAINING, *HELD_OUT], ids=lambda path: path.stem)
def test_every_line_has_a_speaker_labels_and_a_text(path: Path) -> None:
    known = {"c": {*CUSTOMER_LABELS, "-"}, "a": {*AGENT_LABELS, "-"}}
    for line in fields(path):
        assert len(line) == 3 and line[2].strip(), line
        assert {label.removeprefix("?") for label in line[1].split(",")} <= known[line[0]], line


def test_talk_is_said_by_one_of_two() -> None:
    for path in sorted((WORDS / "talk").glob("*.txt")):
        for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
            who, _, text = line.partition("|")
            assert who in ("A", "B") and text.strip() and "|" not in text, (path.name, line)


def test_every_customers_turn_of_a_graded_call_has_a_degree() -> None:
    for path in sorted((WORDS / "upset").glob("*.txt")):
        for line in fields(path):
            who, degree, text = line
            assert text.strip() and (who, degree in "0123") in (("c", True), ("a", False)), (path.name, line)
        wanted = {"0"} if path.stem.startswith("ordinary") else {"0", "1", "2"}
        assert {degree for who, degree, _ in fields(path) if who == "c"} >= wanted, path.name


def test_every_line_is_marked_positive_or_a_lookalike() -> None:
    for path in sorted(each for folder in ("self-harm", "outright") for each in (WORDS / folder).glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, text = line.split("|")
            assert kind in ("h", "-") and text.strip(), (path.name, line)


def test_held_out_files_are_not_trained_on(of_callers: list[Example]) -> None:
    folders = ("talk", "upset", "self-harm", "outright")
    files = {path.stem for folder in folders for path in (WORDS / folder).glob("*.txt")}
    assert files > HELD_OUT_FILES
    assert {line.source for line in of_callers} & files == files - HELD_OUT_FILES
    assert {line.source for line in talk_examples()} == {
        path.stem for path in (WORDS / "talk").glob("*.txt")
    } - HELD_OUT_FILES
    assert {line.source for line in self_harm_examples(held_out=True)} == {HELD_OUT_SELF_HARM}


def test_nothing_that_is_measured_on_is_trained_on() -> None:
    measured = {
        plain(case.text)
        for path in (WORDS / "independent").glob("[b-k]*.jsonl")
        for case in read_cases(path)
        if path.stem not in tuple("ghijk") or is_long(case.text)
    }
    for path in {*(WORDS / "stock").glob("*.jsonl")} - {WORDS / "stock" / f"{name}.jsonl" for name in STOCK_FILES}:
        measured |= {plain(case.text) for case in read_cases(path) if is_long(case.text)}
    for folder in ("heldout3", "independent"):
        for path in (DATA / "calls" / folder).glob("*.jsonl"):
            for call in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                said = [turn["text"] for turn in call["turns"]]
                measured |= {plain(text) for text in said if path.stem not in tuple("efghijk") or is_long(text)}
    taught = {plain(line[2]) for path in TRAINING for line in fields(path)}
    assert not taught & measured
    known = taught | measured
    assert not [line[2] for path in HELD_OUT for line in fields(path) if is_long(line[2]) and plain(line[2]) in known]
    marked = [
        line.text
        for held_out in (False, True)
        for line in (*self_harm_examples(held_out=held_out), *outright_examples(held_out=held_out))
    ]
    assert not [text for text in marked if is_long(text) and plain(text) in measured]
    turns = [text for path in (WORDS / "upset").glob("*.txt") for who, _, text in fields(path) if who == "c"]
    assert not [text for text in turns if is_long(text) and plain(text) in measured]


def test_all_examples_can_be_read(of_callers: list[Example], tmp_path: Path) -> None:
    assert {"vulnerable", COMPLAINT} < {name for line in words_examples(tmp_path) for name in line.labels}
    assert {name for line in of_callers for name in line.labels} == set(CALLER_LABELS)
    assert any(line.context.previous_turn and line.context.other_turn for line in of_callers)


def test_whether_somebody_who_wants_something_is_upset_is_known_only_where_it_is_said(
    of_callers: list[Example],
) -> None:
    assert len(set(CUSTOMER_LABELS)) == len(CUSTOMER_LABELS)
    authored = {path.stem for path in TRAINING}
    lines = [line for line in of_callers if line.source in authored]
    assert lines and not [line.text for line in lines if line.labels.get(SELF_HARM) and line.labels.get(UPSET) is False]
    assert [line for line in lines if line.source == "plain-6" and line.labels.get(UPSET)]


def test_a_turn_of_a_graded_call_has_its_context(tmp_path: Path) -> None:
    path = tmp_path / "upset-1.txt"
    path.write_text(
        "a|-|Good morning, how can I help?\nc|0|It's about my bill.\na|-|I see nothing here.\nc|1|Mhm, okay.\n"
        "a|-|It may be the meter.\nc|2|So nobody knows.\n\na|-|Hello, Robbie speaking.\nc|0|Hiya.\n"
    )
    first, second, third, other = read_graded_calls(path)
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
