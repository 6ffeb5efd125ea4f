"""Whisper through CTranslate2, with encoder windows as long as the speech: the only importer of faster-whisper.

faster-whisper pads every request to 30 s; here the same models, tokenizer and mel filters are called directly with
shorter windows (audio/windows.py). No timestamp tokens: word times and probabilities come from cross-attention
alignment. One loaded model serves every channel of every call.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm, Word
from audio.hallucinations import DecodeStatistics, hallucination_sign, is_genuine_repetition, without_hallucinations
from audio.memory import release_free_memory
from audio.models import verify_model
from audio.steadiness import Steadiness
from audio.windows import (
    FULL,
    HOP,
    PROMPT_MIN_SAMPLES,
    SAFE_FLOOR,
    TAIL,
    LogMelSpectrogram,
    batch_key,
    check_window,
    window_frames,
)

FLOOR_FILE = "encoder-window.json"
"""Beside the model: the smallest safe window, written by its calibration."""
FINAL_TAIL = 300
"""Frames of silence after a whole utterance: it is decoded once, so it may cost more than `TAIL`."""
BEAM_SIZE = 5
"""So many texts are followed at a time where an utterance is complete; its hypotheses, whose words may still change,
are decoded greedily. Of 220 lines spoken by neural voices over a telephone, half of them in noise, Whisper base got
14.5, 13.6, 13.0, 12.5, 12.5 of 100 words wrong with 1, 2, 3, 5, 8, in 133, 148, 151, 162, 183 s of CPU time."""
PHRASE_TOKENS = 24
"""Most tokens of expected phrases: longer lists make models hallucinate them (faster-whisper #731, #853)."""
RELEASE_MEMORY_EVERY = 100
"""Utterances after which freed memory is returned to the system. Over hours of one call memory in use does not grow
(Python's objects and the C library's used bytes stay level), but the holes between used blocks do: 0.9 to 1.2 MiB an
hour."""
POSITION_MS = 20
"""Duration of one encoder position."""


@dataclass(frozen=True, slots=True)
class _Result:
    words: tuple[Word, ...]
    hallucination_sign: str | None
    statistics: DecodeStatistics


def stored_floor(folder: Path, version: str) -> int | None:
    """The smallest safe window of these weights in frames, if they have been calibrated."""
    try:
        stored = json.loads((folder / FLOOR_FILE).read_text(encoding="utf-8"))
        floor, calibrated = stored["floor_frames"], stored["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return floor if calibrated == version and isinstance(floor, int) and 0 < floor <= FULL else None


def gpu_present() -> bool:
    """Whether CTranslate2 can use a GPU here."""
    import ctranslate2

    count: int = ctranslate2.get_cuda_device_count()
    return count > 0


class WhisperRecogniser:
    """A loaded Whisper model; `begin` and `hypotheses` are safe from several threads.

    Args:
        folder: of the model.
        workers: utterances decoded at the same time, on one thread each.
        device: "auto" takes a GPU when there is one (float16), otherwise the CPU (int8).
        floor_frames: the shortest window, in frames of 10 ms; None: the stored one, or 10 s.

    Raises:
        AudioError: model-corrupt, model-wrong-family, model-memory, model-device.
    """

    embedded = False

    def __init__(
        self,
        folder: Path | str,
        *,
        workers: int = 1,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        floor_frames: int | None = None,
    ) -> None:
        folder = Path(folder)
        self.version = verify_model(folder)
        self.folder = folder
        import ctranslate2
        from faster_whisper.feature_extractor import FeatureExtractor
        from faster_whisper.tokenizer import Tokenizer
        from tokenizers import Tokenizer as RawTokenizer

        self._storage = ctranslate2.StorageView.from_array
        if device == "auto":
            device = "cuda" if gpu_present() else "cpu"
        compute = "float16" if device == "cuda" else "int8"
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder), device=device, compute_type=compute, inter_threads=workers, intra_threads=1
            )
            words = RawTokenizer.from_file(str(folder / "tokenizer.json"))
            self._tokens = Tokenizer(words, self._model.is_multilingual, "transcribe", "en")
        except AudioError:
            raise
        except Exception as error:  # CTranslate2 raises RuntimeError or ValueError, tokenizers a bare Exception
            raise _load_error(folder, device, error) from None
        self.name = f"faster-whisper {folder.name} ({'GPU' if device == 'cuda' else 'CPU'}, {compute})"
        self.on_gpu = device == "cuda"
        self._filters = FeatureExtractor(feature_size=self._model.n_mels).mel_filters
        self.previous_text_token = self._tokens.sot_prev
        self._start_tokens = (*self._tokens.sot_sequence, self._tokens.no_timestamps)
        self.floor = floor_frames or stored_floor(folder, self.version) or SAFE_FLOOR
        self.retries = 0
        """How often a text was decoded again with the full window."""
        self._finals = itertools.count(1)

    def begin(self, *, phrases: Sequence[str] = ()) -> WhisperDecoding:
        """Start an utterance."""
        phrase_tokens: tuple[int, ...] = ()
        if phrases:
            phrase_tokens = tuple(self._tokens.encode(" " + ", ".join(phrases))[:PHRASE_TOKENS])
        return WhisperDecoding(self, LogMelSpectrogram(self._filters), phrase_tokens)

    def hypotheses(self, decodings: Sequence[WhisperDecoding]) -> list[tuple[Word, ...]]:
        """The words of several utterances so far, decoded as one batch; their `batch_key` must be equal."""
        found = self.decode(decodings, decodings[0].window(TAIL))
        for decoding, result in zip(decodings, found, strict=True):
            if result.hallucination_sign is None:  # otherwise the earlier words stay: a hypothesis is not worth 30 s
                decoding.words = without_hallucinations(result.words, result.statistics)
        return [decoding.words for decoding in decodings]

    def close(self, decoding: WhisperDecoding) -> tuple[Word, ...]:
        """The words if the utterance ends here, decoded as `final` does, which uses the result if nothing follows."""
        samples = decoding.spectrogram.samples
        (result,) = self.decode([decoding], decoding.window(FINAL_TAIL), BEAM_SIZE)
        decoding.pause_result = (samples, result)
        if result.hallucination_sign is None:
            decoding.words = without_hallucinations(result.words, result.statistics)
        return decoding.words

    def final(self, decoding: WhisperDecoding) -> tuple[Word, ...]:
        """The words of a whole utterance; decoded again with the full window where they may be hallucinated."""
        if next(self._finals) % RELEASE_MEMORY_EVERY == 0:
            release_free_memory()
        frames = decoding.window(FINAL_TAIL)
        if decoding.pause_result is not None and decoding.pause_result[0] == decoding.spectrogram.samples:
            result = decoding.pause_result[1]
        else:
            (result,) = self.decode([decoding], frames, BEAM_SIZE)
        if result.hallucination_sign is not None and (frames < FULL or decoding.prompt):
            self.retries += 1
            decoding.phrase_tokens = ()
            (result,) = self.decode([decoding], FULL, BEAM_SIZE)
        if result.hallucination_sign is not None and not is_genuine_repetition(
            result.hallucination_sign, result.statistics
        ):
            return ()
        return without_hallucinations(result.words, result.statistics)

    def decode(self, decodings: Sequence[WhisperDecoding], frames: int, beam_size: int = 1) -> list[_Result]:
        """Decode as one batch, in windows of `frames`; the prompts must have equal lengths."""
        check_window(frames, self._model.n_mels)
        features = np.stack([decoding.spectrogram.window(frames) for decoding in decodings])
        encoded = self._model.encode(self._storage(features))
        prompts = [[*decoding.prompt, *self._start_tokens] for decoding in decodings]
        caps = [6 + math.ceil(7 * decoding.spectrogram.samples / SAMPLE_RATE) for decoding in decodings]
        generated = self._model.generate(
            encoded,
            prompts,
            beam_size=beam_size,
            max_length=max_length_for(len(prompts[0]), max(caps)),
            suppress_blank=True,
            suppress_tokens=[-1],
            return_scores=True,
            return_no_speech_prob=True,
        )
        texts = []
        for answer, cap in zip(generated, caps, strict=True):
            texts.append([token for token in answer.sequences_ids[0] if token < self._tokens.eot][:cap])
        words = self._aligned(encoded, features, texts, decodings)
        results = []
        for decoding, answer, tokens, cap, timed in zip(decodings, generated, texts, caps, words, strict=True):
            statistics = DecodeStatistics(
                tokens=len(tokens),
                audio_ms=decoding.spectrogram.samples * 1000 // SAMPLE_RATE,
                mean_log_probability=answer.scores[0] * len(tokens) / (len(tokens) + 1),
                no_speech=answer.no_speech_prob,
                truncated=len(tokens) >= cap,
                tonal=decoding.steadiness.tonal,
            )
            sign = hallucination_sign(self._tokens.decode(tokens), statistics)
            results.append(_Result(timed, sign, statistics))
        return results

    def _aligned(
        self,
        encoded: Any,
        features: NDArray[np.float32],
        texts: Sequence[list[int]],
        decodings: Sequence[WhisperDecoding],
    ) -> list[tuple[Word, ...]]:
        """The words of each text; only those that have tokens are aligned."""
        words: list[tuple[Word, ...]] = [()] * len(texts)
        spoken = [index for index, tokens in enumerate(texts) if tokens]
        if not spoken:
            return words
        if len(spoken) < len(texts):
            encoded = self._model.encode(self._storage(np.ascontiguousarray(features[spoken])))
        frames = [min(decodings[index].spectrogram.frames, features.shape[2]) for index in spoken]
        alignments = self._model.align(
            encoded, list(self._tokens.sot_sequence), [texts[index] for index in spoken], frames
        )
        for index, alignment in zip(spoken, alignments, strict=True):
            words[index] = self._timed(texts[index], alignment, decodings[index].spectrogram.samples)
        return words

    def _timed(self, tokens: list[int], alignment: Any, samples: int) -> tuple[Word, ...]:
        """Words with times, from the pairs (token, encoder position) of one alignment."""
        pairs = np.array(alignment.alignments)
        first = np.concatenate([[True], np.diff(pairs[:, 0]) > 0])
        starts_ms = pairs[first, 1] * POSITION_MS
        length = samples * 1000 // SAMPLE_RATE
        texts, groups = self._tokens.split_to_word_tokens([*tokens, self._tokens.eot])
        words: list[Word] = []
        at = 0
        spaced = False
        for piece, group in zip(texts[:-1], groups[:-1], strict=True):
            begin, at = at, at + len(group)
            text = piece.strip()
            probability = min(1.0, float(np.mean(alignment.text_token_probs[begin:at])))
            start = min(int(starts_ms[min(begin, len(starts_ms) - 1)]), length)
            end = min(int(starts_ms[min(at, len(starts_ms) - 1)]), length)
            if words and not any(letter.isalnum() for letter in text):
                before = words.pop()
                words.append(Word(before.text + text, before.start_ms, before.end_ms, before.probability))
            elif words and not (spaced or piece.startswith(" ")):  # " $15" ".50", " brother" "-in" "-law"
                before = words.pop()
                least = min(before.probability, probability)
                words.append(Word(before.text + text, before.start_ms, max(before.end_ms, end), least))
            elif text:
                words.append(Word(text, start, max(start, end), probability))
            spaced = piece.endswith(" ")
        return tuple(words)


class WhisperDecoding:
    """One utterance being decoded."""

    def __init__(
        self, recogniser: WhisperRecogniser, spectrogram: LogMelSpectrogram, phrase_tokens: tuple[int, ...]
    ) -> None:
        self._recogniser = recogniser
        self.spectrogram = spectrogram
        self.steadiness = Steadiness()
        self.phrase_tokens = phrase_tokens
        self.words: tuple[Word, ...] = ()
        """The latest hypothesis."""
        self.pause_result: tuple[int, _Result] | None = None
        """Result of the decode at the last pause, after the number of samples decoded."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """Tokens given to the model as previous text: the phrases."""
        if not self.phrase_tokens or self.spectrogram.samples < PROMPT_MIN_SAMPLES:
            return ()
        return (self._recogniser.previous_text_token, *self.phrase_tokens)

    def window(self, tail: int) -> int:
        """Length of the encoder window, frames of 10 ms."""
        return window_frames(self.spectrogram.frames, floor=self._recogniser.floor, tail=tail)

    def batch_key(self, samples: int) -> Hashable:
        """Decodings with equal keys can share a batch: equal windows for so many samples, and equally long prompts."""
        return batch_key(samples, self._recogniser.floor, len(self.phrase_tokens))

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples."""
        self.spectrogram.extend(pcm)
        self.steadiness.extend(pcm)

    def hypothesis(self) -> tuple[Word, ...]:
        """The words so far."""
        return self._recogniser.hypotheses([self])[0]

    def close(self) -> tuple[Word, ...]:
        """The words if the utterance ends here; if it does, `final` costs nothing more."""
        return self._recogniser.close(self) if self.spectrogram.samples >= HOP else ()

    def final(self) -> tuple[Word, ...]:
        """The words of the whole utterance."""
        if self.spectrogram.samples < HOP:
            return ()
        return self._recogniser.final(self)


def max_length_for(prompt: int, tokens: int) -> int:
    """The `max_length` with which CTranslate2 generates up to so many tokens after a prompt.

    It generates at most half of `max_length`, as Whisper does, and no more than the prompt leaves of it.
    """
    return max(2 * tokens, prompt + tokens)


def _load_error(folder: Path, device: str, error: Exception) -> AudioError:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "bad_alloc" in text:
        return AudioError(
            "model-memory", f"Not enough memory to load {folder.name}: choose a smaller model (`assist models list`)."
        )
    if "cuda" in text or "cublas" in text or "cudnn" in text:
        return AudioError("model-device", f"The GPU cannot run {folder.name}: choose the device cpu.")
    if "whisper" in text and "model" in text and "unsupported" not in text:
        return AudioError("model-wrong-family", f"{folder} holds another kind of model, not Whisper for CTranslate2.")
    return AudioError("model-corrupt", f"{folder} is damaged and cannot be loaded: fetch the model again.")
