"""The sentence model: scores how likely a text contains each signal, by two small neural networks (ONNX, on the CPU).

The first scores a text by itself, for what is said; the second scores how the caller is, from the text and its
dialogue context. Each is the encoder of all-MiniLM-L6-v2 (Wang et al. 2020, Reimers & Gurevych 2019; Apache-2.0),
fine-tuned on lines written for this project, with attention pooling and a linear output for each label, its weights
quantised to 8-bit integers. Their vocabulary is the part of BERT's (Devlin et al. 2018; Apache-2.0) that English calls
need; other words are split into word pieces. The training code is `tests/training`. Nothing is downloaded at run time.
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

from detectors.dialogue_context import NO_CONTEXT, DialogueContext

FOLDER = Path(__file__).parent / "meanings"
MAX_TOKENS = 96
"""Longer texts are truncated at their beginning. Training had none: a text is at most `meaning.MAX_WORDS` words and the
words of the same turn just before them."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The decision thresholds of one label, on its score.

    `tests/training/fit_thresholds.py` sets them; their names are those of `labels.json`.
    """

    least: float
    """Detected: from here on worth a note."""
    sure: float
    """From here on clear enough to act on."""
    doubt: float
    """Below this, a shipped phrase rule that fired is taken for a false positive and dropped ..."""
    agree: float
    """... and from here on for a true one; between the two it is noted only."""
    urgent: float = inf
    """From here on clear enough to call for help at once."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A network's output for one text."""

    scores: NDArray[np.float32]
    """A logit (natural log odds) for each label, shape (labels,). Not calibrated: in training data labels are far more
    frequent than in calls."""
    contributions: NDArray[np.float32]
    """What each word adds to each score, shape (labels, words). They sum to the scores but for the labels' biases and
    what the special tokens add."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text and its context as the tokens that a network reads."""

    ids: list[int]
    """[CLS] previous turn [SEP] other turn [SEP] text [SEP]; a turn without words is left out with its [SEP]."""
    text_start: int
    """Index of the first token of the text."""
    word_ids: list[int | None]
    """For each token from there on the index of its word in the text; None for [SEP]."""


class Tokenizer:
    """Splits words into BERT's word pieces."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """`vocabulary`: the tokens in the order of their ids; an empty one is an id that is not used."""
        from tokenizers import BertWordPieceTokenizer

        self._tokenizer = BertWordPieceTokenizer({token: n for n, token in enumerate(vocabulary) if token})

    def __call__(self, words: Sequence[str], context: DialogueContext = NO_CONTEXT) -> Encoding:
        """Encode a text of at least one word. `context.current_turn` is not read: put it before the words."""
        cls, text, word_ids = self._encode(words)
        ids = [cls]
        for turn in filter(None, (context.previous_turn, context.other_turn)):
            ids += self._encode(turn)[1]
        return Encoding(ids + text, len(ids), word_ids)

    def _encode(self, words: Sequence[str]) -> tuple[int, list[int], list[int | None]]:
        """The id of [CLS], the ids of the words' last tokens and of [SEP], and the word that each of these is of."""
        encoding = self._tokenizer.encode([word.replace("’", "'") for word in words], is_pretokenized=True)
        first = 1 + max(0, len(encoding.ids) - MAX_TOKENS)
        return encoding.ids[0], encoding.ids[first:], encoding.word_ids[first:]


# From 1.29 on onnxruntime tells its maker of every process that loads it, and keeps a device id in the user's cache,
# unless this stands before its first import (github.com/microsoft/onnxruntime/pull/27379).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


class Network:
    """One of the networks; stateless, so calls may share it."""

    def __init__(self, path: Path, tokenizer: Tokenizer, labels: Sequence[str], *, uses_context: bool) -> None:
        """Load an ONNX file. It runs on one thread, as calls are many and sentences short.

        Args:
            path: the file.
            tokenizer: of the vocabulary that the network was trained with.
            labels: those it scores, in the order of its outputs.
            uses_context: whether it was trained to read the dialogue context as well.
        """
        import onnxruntime

        self.labels = tuple(labels)
        self.uses_context = uses_context
        self._tokenizer = tokenizer
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Processors without VNNI (AMD before Zen 4, Intel before 2019) otherwise saturate sums of 8-bit products:
        # scores of the caller's network were off by 0.16 there (root mean square over 300 lines; at most 0.7). With
        # this they are those of every other processor, and take up to a fifth longer.
        options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, words: Sequence[str], context: DialogueContext = NO_CONTEXT) -> Prediction:
        """Score one text of at least one word, in any case, with or without punctuation."""
        encoding = self._tokenizer(words, context if self.uses_context else NO_CONTEXT)
        inputs = {"ids": np.array(encoding.ids, np.int64)}
        if self.uses_context:
            inputs["begins"] = np.array(encoding.text_start, np.int64)  # so named in the shipped file
        scores, by_token = self._session.run(None, inputs)
        contributions = np.zeros((len(self.labels), len(words)), np.float32)
        for token, word in enumerate(encoding.word_ids, encoding.text_start):
            if word is not None:
                contributions[:, word] += by_token[:, token]
        return Prediction(scores, contributions)


class SentenceModel:
    """The networks and the thresholds of their labels; may be shared by all calls of a process."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Load `labels.json`, the vocabulary and the networks."""
        config = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        tokenizer = Tokenizer(load_vocabulary(folder))
        self.version: str = config["version"]
        self.networks = tuple(
            Network(folder / each["file"], tokenizer, tuple(each["labels"]), uses_context=each["in_place"])
            for each in config["networks"]
        )
        self.thresholds = {
            label: Thresholds(**values) for each in config["networks"] for label, values in each["labels"].items()
        }

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of all networks."""
        return tuple(self.thresholds)


def load_vocabulary(folder: Path = FOLDER) -> list[str]:
    """The tokens that the networks know, in the order of their ids."""
    return gzip.decompress((folder / "vocab.txt.gz").read_bytes()).decode("utf-8").split("\n")


@lru_cache(maxsize=1)
def shipped_model() -> SentenceModel:
    """The model beside this file, loaded once per process."""
    return SentenceModel()
