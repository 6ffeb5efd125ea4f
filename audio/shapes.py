"""Whisper models of real size with random weights: measure the cost of recognition before a model is downloaded.

Such a model recognises nothing. `ShapeRecogniser` runs it, then replaces its output by words at the rate of speech, so
that what follows (LocalAgreement, retries) goes on as with a real model. Cost and latency are real; the words, and so
the errors, mean nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ctranslate2.specs import whisper_spec

from audio.events import SAMPLE_RATE
from audio.whisper import POSITION_MS, WhisperDecoding, WhisperRecogniser, max_length_for

TOKENS_PER_S = 3.5
"""Text tokens per second of speech: conversational English has about 2.6 words a second (150 to 160 a minute) and
Whisper's vocabulary about 1.3 tokens a word."""
TEXT_TOKENS = 50_256
"""Of the English-only models; the end of text follows."""
SPECIAL = 1608
"""End of text and everything after it: 51864 in all."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Radford et al. 2022 (arXiv 2212.04356), table 1; layers are those of the encoder, and of the decoder."""

    layers: int
    width: int
    heads: int


SHAPES = {"tiny": Shape(4, 384, 6), "base": Shape(6, 512, 8), "small": Shape(12, 768, 12)}


def make_shape(name: str, folder: Path) -> Path:
    """Write a CTranslate2 model (int8) of that shape with random weights into `folder`; returns it."""
    shape = SHAPES[name]
    spec = whisper_spec.WhisperSpec(shape.layers, shape.heads, shape.layers, shape.heads)
    _fill(spec, shape, np.random.default_rng(1))
    tokens = _vocabulary()
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = list(range(TEXT_TOKENS, len(tokens)))  # it never ends by itself
    spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [TEXT_TOKENS + 2]
    spec.config.alignment_heads = [[layer, 0] for layer in range(shape.layers // 2, shape.layers)]
    spec.validate()
    spec.optimize(quantization="int8")
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer(tokens)), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}), encoding="utf-8")
    return folder


class ShapeRecogniser(WhisperRecogniser):
    """A model with random weights and the computing cost of a real one of its shape."""

    def __init__(self, folder: Path | str, **options: Any) -> None:
        super().__init__(folder, **options)
        self._model: Any = _SyntheticOutput(self._model)
        self.name = self.name.replace(self.folder.name, f"{self.folder.name} shape, random weights")

    def decode(self, decodings: Sequence[WhisperDecoding], frames: int, beam_size: int = 1) -> Any:
        """As the base class, after telling the model the lengths of speech."""
        self._model.speech_s = [decoding.spectrogram.samples / SAMPLE_RATE for decoding in decodings]
        return super().decode(decodings, frames, beam_size)

    def encoder_ms(self, frames: int, *, times: int = 5) -> float:
        """Milliseconds of one encoding of so many frames, the fastest of some: of CPU time, on a GPU of the clock."""
        clock = time.perf_counter if self.on_gpu else time.process_time
        mel = np.random.default_rng(2).standard_normal((1, self._model.n_mels, frames)).astype(np.float32)
        best = float("inf")
        for _ in range(times):
            began = clock()
            self._model.encode(self._storage(mel), to_cpu=True)
            best = min(best, 1000 * (clock() - began))
        return best


class _SyntheticOutput(threading.local):
    """A loaded model whose output is replaced by tokens at the rate of speech, evenly spaced, of high probability."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.speech_s: list[float] = []
        """Seconds of speech of what this thread decodes next."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, encoded: Any, prompts: list[list[int]], **options: Any) -> list[Any]:
        """Run the model for the longest text of the batch; return texts of the right lengths."""
        counts = [max(1, round(TOKENS_PER_S * seconds)) for seconds in self.speech_s]
        options["max_length"] = max_length_for(len(prompts[0]), max(counts))
        self._model.generate(encoded, prompts, **options)
        return [
            SimpleNamespace(
                sequences_ids=[[_word(number) for number in range(count)]], scores=[-0.1], no_speech_prob=0.0
            )
            for count in counts
        ]

    def align(self, encoded: Any, start: list[int], texts: list[list[int]], frames: list[int], **options: Any) -> Any:
        """Run the alignment; return evenly spaced tokens."""
        self._model.align(encoded, start, texts, frames, **options)
        step = 1000 / TOKENS_PER_S / POSITION_MS
        return [
            SimpleNamespace(
                alignments=[(number, round(number * step)) for number in range(len(text) + 1)],
                text_token_probs=[0.95] * len(text),
            )
            for text in texts
        ]


def _word(number: int) -> int:
    """The token of an utterance's word of this number: always the same, no two alike."""
    return 256 + number


def _vocabulary() -> list[str]:
    """256 bytes, as the byte-level alphabet of GPT-2 writes them, then words, then the special tokens."""
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    words = [f"Ġ{_letters(number)}" for number in range(TEXT_TOKENS - 256)]
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    special += [f"<|{0.02 * number:.2f}|>" for number in range(1501)]
    special += [f"<|extra{number}|>" for number in range(SPECIAL - len(special))]
    return [*letters, *words, *special]


def _letters(number: int) -> str:
    text = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        text = chr(97 + letter) + text
    return text


def _tokenizer(tokens: list[str]) -> dict[str, Any]:
    """A byte-level tokenizer without merges."""
    added = [
        {
            "id": TEXT_TOKENS + number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": number < SPECIAL - 1501,
        }
        for number, token in enumerate(tokens[TEXT_TOKENS:])
    ]
    return {
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {token: number for number, token in enumerate(tokens)}, "merges": []},
    }


def _fill(spec: Any, shape: Shape, random: np.random.Generator) -> None:
    width = shape.width

    def weights(*size: int) -> Any:
        return random.standard_normal(size, np.float32) * np.float32(size[-1] ** -0.5)

    def linear(layer: Any, outputs: int, inputs: int) -> None:
        layer.weight, layer.bias = weights(outputs, inputs), np.zeros(outputs, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def convolution(layer: Any, inputs: int) -> None:
        layer.weight, layer.bias = weights(width, inputs, 3), np.zeros(width, np.float32)

    def attention(layer: Any, *outputs: int) -> None:
        norm(layer.layer_norm)
        for part, size in zip(layer.linear, outputs, strict=True):
            linear(part, size, width)

    def feed_forward(layer: Any) -> None:
        norm(layer.layer_norm)
        linear(layer.linear_0, 4 * width, width)
        linear(layer.linear_1, width, 4 * width)

    encoder, decoder = spec.encoder, spec.decoder
    convolution(encoder.conv1, 80)
    convolution(encoder.conv2, width)
    encoder.position_encodings.encodings = weights(1500, width)
    decoder.position_encodings.encodings = weights(448, width)
    decoder.embeddings.weight = weights(TEXT_TOKENS + SPECIAL, width)
    decoder.projection.weight = decoder.embeddings.weight
    for half in (encoder, decoder):
        norm(half.layer_norm)
    for layer in _layers(encoder, decoder):
        attention(layer.self_attention, 3 * width, width)
        feed_forward(layer.ffn)
    for layer in decoder.layer:
        attention(layer.attention, width, 2 * width, width)


def _layers(*halves: Any) -> Iterator[Any]:
    for half in halves:
        yield from half.layer
