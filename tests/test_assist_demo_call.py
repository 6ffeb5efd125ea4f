"""The demo call: what the embedded recogniser hears in it against what was written."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audio.sphinx import SphinxRecogniser

DEMO = Path(__file__).parent.parent / "assist" / "demo"
LINES: list[dict[str, Any]] = json.loads((DEMO / "lines.json").read_text(encoding="utf-8"))


def plain(text: str) -> str:
    return "".join(c if c.isalpha() or c == "'" else " " for c in text.lower())


def edits(said: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (word != other))
    return row[-1]


@pytest.fixture(scope="module")
def heard() -> list[str]:
    """The words heard in each line, cut from the call at the times written beside it."""
    sound, rate = soundfile.read(DEMO / "call.ogg", dtype="float32")
    assert rate == 16_000
    recogniser = SphinxRecogniser()
    texts = []
    for line in LINES:
        channel = sound[line["start_ms"] * 16 - 2000 : line["end_ms"] * 16 + 2000, int(line["speaker"] == "customer")]
        texts.append(" ".join(word.text for word in recogniser.decode(channel)))
    return texts


@pytest.mark.slow
def test_most_words_are_heard_as_written(heard: list[str]) -> None:
    wrong = sum(
        edits(plain(line["text"]).split(), plain(text).split()) for line, text in zip(LINES, heard, strict=True)
    )
    words = sum(len(plain(line["text"]).split()) for line in LINES)
    assert wrong / words < 0.08, f"{wrong} of {words} words wrong; 5 % when the call was made"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("speaker", "phrase"),
    [
        ("customer", "third time"),
        ("customer", "bullshit"),
        ("customer", "what the hell"),
        ("customer", "calling my guy"),
        ("customer", "speak to your manager"),
        ("customer", "that works for me"),
        ("customer", "i appreciate"),
        ("agent", "i am so sorry"),
        ("agent", "i understand"),
        ("agent", "i will take care of this"),
        ("agent", "remove the late fee"),
        ("agent", "tomorrow morning at nine"),
    ],
)
def test_what_the_call_turns_on_is_heard(heard: list[str], speaker: str, phrase: str) -> None:
    assert any(phrase in text for line, text in zip(LINES, heard, strict=True) if line["speaker"] == speaker)


def test_sound_matches_the_script() -> None:
    script = tomllib.loads((DEMO / "script.toml").read_text(encoding="utf-8"))["line"]
    assert [(line["speaker"], line["text"]) for line in script] == [(line["speaker"], line["text"]) for line in LINES]
    assert (DEMO / "call.ogg").stat().st_size < 1_000_000


def test_customer_is_calm_long_enough_and_then_louder_and_calm_again() -> None:
    sound, _ = soundfile.read(DEMO / "call.ogg", dtype="float32")

    def level(line: dict[str, Any]) -> float:
        return float(20 * np.log10(np.sqrt(np.mean(sound[line["start_ms"] * 16 : line["end_ms"] * 16, 1] ** 2))))

    customer = [line for line in LINES if line["speaker"] == "customer"]
    first = next(i for i, line in enumerate(customer) if line["raised"])
    assert sum(line["end_ms"] - line["start_ms"] for line in customer[:first]) > 15_000
    calm = float(np.mean([level(line) for line in customer[:first]]))
    assert max(level(line) for line in customer) > calm + 8
    assert abs(level(customer[-1]) - calm) < 2


def test_one_interruption() -> None:
    assert sum(after["start_ms"] < line["end_ms"] for line, after in zip(LINES, LINES[1:], strict=False)) == 1
