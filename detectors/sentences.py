"""How likely each signal is in what was said, by a small taught sentence model (ONNX, on the processor).

It is two networks: one for what is said, in any place, and one for how the caller is, which reads what both sides said
just before as well. Each is all-MiniLM-L6-v2's encoder (Wang et al. 2020, Reimers & Gurevych 2019; Apache-2.0), taught
further on lines written for this project, with one attention over the words and one linear score for each signal,
stored in 8 bits. Their vocabulary is the part of BERT's (Devlin et al. 2018; Apache-2.0) that English calls need; other
words are spelled from pieces. `tests/teaching` says how they were taught. Nothing is downloaded at run time.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.exchange import NOWHERE, Exchange

FOLDER = Path(__file__).parent / "meanings"
MOST_TOKENS = 96
"""Of longer texts the beginning is cut: none was taught. No more than `meaning.MOST_WORDS` words are read at once, and
what was said just before."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which score on a signal counts; scores are log odds as taught, not calibrated for a call's rarity."""

    least: float
    """Heard: worth a note."""
    sure: float
    """Clear enough to act on."""
    doubt: float
    """Below this, a shipped phrase rule that fired is taken to have matched words that mean something else."""
    agree: float
    """From here on, such a rule is taken at its word; between the two it is noted only."""
    urgent: float = inf
    """Clear enough to call for help at once."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one text says."""

    scores: NDArray[np.float32]
    """One for each label."""
    parts: NDArray[np.float32]
    """What each word adds to each score: labels x words."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Tokens of a text and of what was said before it."""

    ids: list[int]
    begins: int
    """The first token of the text itself."""
    words: list[int | None]
    """Of each token from the mark before that one on: which word of the text it is of."""


class Coder:
    """Words to tokens, as the networks were taught to read them."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """`vocabulary`: each token in the place of its number."""
        from tokenizers import BertWordPieceTokenizer

        self._tokenizer = BertWordPieceTokenizer({word: n for n, word in enumerate(vocabulary) if word})

    def __call__(self, words: Sequence[str], place: Exchange = NOWHERE) -> Coded:
        """A text of at least one word, after what was said in its place by either side."""
        (start, *text), of_words = self._code(words)
        before = [start]
        for said in filter(None, (place.before, place.other)):
            before += self._code(said)[0][1:]
        return Coded(before + text, len(before), of_words)

    def _code(self, words: Sequence[str]) -> tuple[list[int], list[int | None]]:
        """Tokens between two marks, and of which word each is."""
        coded = self._tokenizer.encode([word.replace("’", "'") for word in words], is_pretokenized=True)
        over = max(0, len(coded.ids) - MOST_TOKENS)
        return [coded.ids[0], *coded.ids[1 + over :]], [coded.word_ids[0], *coded.word_ids[1 + over :]]


# From 1.29 on onnxruntime tells its maker of every process that loads it, and keeps a device id in the user's cache,
# unless this stands before its first import (github.com/microsoft/onnxruntime/pull/27379).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


class Network:
    """Reads texts word by word; stateless."""

    def __init__(self, path: Path, coder: Coder, labels: Sequence[str], *, in_place: bool) -> None:
        """Load one; one thread, as calls are many and sentences short."""
        import onnxruntime

        self.labels = tuple(labels)
        self.in_place = in_place
        """Whether it reads what was said before, too."""
        self._coder = coder
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Processors without VNNI (AMD before Zen 4, Intel before 2019) otherwise cut off sums of products of 8 bits:
        # scores of the caller's network were off by 0.16 there (root of the mean square of 300 lines; at most 0.7).
        # With this they are those of every other processor, and take up to a fifth longer.
        options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, words: Sequence[str], place: Exchange = NOWHERE) -> Reading:
        """Read one text of at least one word, in any case, with or without punctuation."""
        coded = self._coder(words, place if self.in_place else NOWHERE)
        told = {"ids": np.array(coded.ids, np.int64)}
        if self.in_place:
            told["begins"] = np.array(coded.begins, np.int64)
        scores, tokens = self._session.run(None, told)
        parts = np.zeros((len(self.labels), len(words)), np.float32)
        for token, word in enumerate(coded.words, coded.begins - 1):
            if word is not None:
                parts[:, word] += tokens[:, token]
        return Reading(scores, parts)


class SentenceModel:
    """The networks with their thresholds; may be shared by all calls of a process."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Load networks, vocabulary and labels."""
        told = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        coder = Coder(vocabulary(folder))
        self.version: str = told["version"]
        self.networks = tuple(
            Network(folder / each["file"], coder, tuple(each["labels"]), in_place=each["in_place"])
            for each in told["networks"]
        )
        self.thresholds = {
            label: Threshold(**numbers) for each in told["networks"] for label, numbers in each["labels"].items()
        }

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of all networks."""
        return tuple(self.thresholds)


def vocabulary(folder: Path = FOLDER) -> list[str]:
    """The tokens that the networks know, each in the place of its number."""
    return gzip.decompress((folder / "vocab.txt.gz").read_bytes()).decode("utf-8").split("\n")


@lru_cache(maxsize=1)
def shipped_model() -> SentenceModel:
    """The model beside this file, loaded once per process."""
    return SentenceModel()
