"""What a sentence sounds like: signals for wordings that no phrase rule foresees, by a sentence embedding.

Optional (the extra `meaning`, off by default). For each signal a linear head on the sentence's vector says how much it
is like the lines the signal was taught with; the closest of those lines is the evidence. The heads were made by
`tests/teach_meanings.py`, which says from which lines, and how their thresholds were set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audio.events import Speaker, Utterance, Word
from detectors import context
from detectors.phrases import PhraseDetector
from detectors.signals import CUSTOMER_SIGNALS, Evidence, Severity, Signal, Window

HEADS = Path(__file__).parent / "meanings" / "heads.npz"
LEAST_WORDS = 3
"""Shorter sentences mean too little on their own."""
MOST_WORDS = 24
"""Longer stretches without a full stop are cut: the mean over many words says little about any of them."""
COOL_DOWN_MS = 60_000
"""A signal of the rules or of a meaning is not raised by a meaning again so soon."""
STRENGTH = 0.6
"""Less than any rule of the same signal: likeness is no proof."""
SELF_HARM = "self-harm"
"""A head of its own, which raises `vulnerable`: here a miss is worse than a question too many."""

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Heads:
    """One linear head a row."""

    names: tuple[str, ...]
    weights: NDArray[np.float32]
    """Heads x dimensions."""
    bias: NDArray[np.float32]
    least: NDArray[np.float32]
    """A head's score counts from here on."""
    examples: tuple[tuple[str, ...], ...]
    """For each head, lines it was taught with ..."""
    vectors: tuple[NDArray[np.float32], ...]
    """... and their unit vectors."""
    version: str


@lru_cache(maxsize=1)
def shipped_heads() -> Heads:
    """The heads beside this file."""
    with np.load(HEADS) as stored:
        told = json.loads(str(stored["told"]))
        scaled = stored["vectors"].astype(np.float32)
        vectors = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
        ends = np.cumsum([len(lines) for lines in told["examples"]])[:-1]
        return Heads(
            tuple(told["names"]),
            stored["weights"],
            stored["bias"],
            stored["least"],
            tuple(tuple(lines) for lines in told["examples"]),
            tuple(np.split(vectors, ends)),
            told["version"],
        )


def sentences(words: Sequence[Word]) -> list[tuple[int, int]]:
    """First and last word of each sentence: to a full stop or question mark, at most `MOST_WORDS`."""
    out: list[tuple[int, int]] = []
    first = 0
    for at, word in enumerate(words):
        ends = word.text.rstrip("\"'”)]").endswith((".", "?", "!", "…"))
        if ends or at - first + 1 == MOST_WORDS or at == len(words) - 1:
            if at - first + 1 >= LEAST_WORDS:
                out.append((first, at))
            first = at + 1
    return out


class MeaningDetector:
    """The phrase rules, and settled sentences judged by their meaning where the rules heard nothing; one per call."""

    name = "phrases"
    """Whoever leaves out the words leaves out both."""

    def __init__(self, phrases: PhraseDetector, encode: Encode, heads: Heads) -> None:
        """`encode`: sentences to unit vectors."""
        self.version = phrases.version
        self._phrases = phrases
        self._encode = encode
        self._heads = heads
        self._last: dict[str, int] = {}

    def __call__(self, window: Window) -> Iterable[Signal]:
        """What the rules find, and what the latest utterance, once settled, sounds like besides."""
        found = list(self._phrases(window))
        for signal in found:
            self._last[signal.id] = signal.at_ms
        latest = window.latest
        if not isinstance(latest, Utterance):
            return found
        for signal in self._judge(latest.words, latest.speaker, latest.id):
            if signal.at_ms - self._last.get(signal.id, -COOL_DOWN_MS) >= COOL_DOWN_MS:
                self._last[signal.id] = signal.at_ms
                found.append(signal)
        return found

    def find(self, text: str, speaker: Speaker | str = Speaker.CUSTOMER) -> list[Signal]:
        """What one written line sounds like, whatever the rules say; times are counted at 300 ms a word."""
        return self._judge(context.written(text), Speaker(speaker), "text")

    def _judge(self, words: Sequence[Word], speaker: Speaker, utterance: str) -> list[Signal]:
        places = sentences(words)
        if not places:
            return []
        vectors = self._encode([" ".join(word.text for word in words[first : last + 1]) for first, last in places])
        scores = vectors @ self._heads.weights.T + self._heads.bias
        signals: dict[int, Signal] = {}
        for (first, last), vector, row in zip(places, vectors, scores, strict=True):
            for head in map(int, np.flatnonzero(row >= self._heads.least)):
                name = self._heads.names[head]
                of_customer = name == SELF_HARM or name in CUSTOMER_SIGNALS
                if of_customer is (speaker is Speaker.AGENT) or head in signals:
                    continue
                likeness = self._heads.vectors[head] @ vector
                closest = int(likeness.argmax())
                signals[head] = Signal(
                    id="vulnerable" if name == SELF_HARM else name,
                    rule=f"meaning.{name}",
                    version=self._heads.version,
                    speaker=speaker,
                    at_ms=words[last].end_ms,
                    strength=STRENGTH,
                    severity=Severity.HELP if name == SELF_HARM else Severity.NOTE,
                    evidence=Evidence(
                        start_ms=words[first].start_ms,
                        end_ms=words[last].end_ms,
                        utterance=utterance,
                        measured={"closeness": round(float(likeness[closest]), 2)},
                        summary=f"sounds like “{self._heads.examples[head][closest]}”",
                    ),
                )
        return list(signals.values())
