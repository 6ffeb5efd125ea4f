"""Whisper through CTranslate2, shown only as much sound as was said: the door to faster-whisper.

faster-whisper pads every request to 30 s; here the same models, tokenizer and mel filters are called directly with
windows as long as the speech (audio/windows.py). Greedy, without timestamp tokens; word times and probabilities come
from cross-attention alignment. One loaded model serves every channel of every call.
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

from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm, Word
from audio.guards import Evidence, believable, insisted, suspicion
from audio.memory import give_back
from audio.models import verify_model
from audio.steadiness import Steadiness
from audio.windows import FULL, HOP, PHRASES_FROM, SAFE_FLOOR, TAIL, Spectrum, batch_key, forbid_trap, window_frames

FLOOR_FILE = "encoder-window.json"
"""Beside the model: the smallest safe window, written by its calibration."""
FINAL_TAIL = 300
"""Frames of silence behind a whole utterance: decoded once, so it may cost more."""
PHRASE_TOKENS = 24
"""At most so many tokens of expected phrases: longer lists make models invent them (faster-whisper #731, #853)."""
GIVE_BACK_EVERY = 100
"""Utterances after which free memory is handed back. Over hours of one call nothing grows that is held (Python's
objects and the C library's used bytes stay level), but the holes between used blocks do: 0.9 to 1.2 MiB an hour."""
FRAME_MS = 20
"""One encoder position."""


@dataclass(frozen=True, slots=True)
class _Result:
    words: tuple[Word, ...]
    suspicion: str | None
    evidence: Evidence


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

    `device` "auto" takes a GPU when there is one (float16), otherwise the CPU (int8). `workers` decode at the same
    time, one thread each. `floor_frames` is the shortest window; None: the stored one, or 10 s.
    Raises AudioError: model-corrupt, model-wrong-family, model-memory, model-device.
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
        from tokenizers import Tokenizer as Words

        self._storage = ctranslate2.StorageView.from_array
        if device == "auto":
            device = "cuda" if gpu_present() else "cpu"
        compute = "float16" if device == "cuda" else "int8"
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder), device=device, compute_type=compute, inter_threads=workers, intra_threads=1
            )
            words = Words.from_file(str(folder / "tokenizer.json"))
            self._tokens = Tokenizer(words, self._model.is_multilingual, "transcribe", "en")
        except AudioError:
            raise
        except Exception as error:  # CTranslate2 raises RuntimeError or ValueError, tokenizers a bare Exception
            raise _load_error(folder, device, error) from None
        self.name = f"faster-whisper {folder.name} ({'GPU' if device == 'cuda' else 'CPU'}, {compute})"
        self.on_gpu = device == "cuda"
        self._filters = FeatureExtractor(feature_size=self._model.n_mels).mel_filters
        self.previous = self._tokens.sot_prev
        self._head = (*self._tokens.sot_sequence, self._tokens.no_timestamps)
        self.floor = floor_frames or stored_floor(folder, self.version) or SAFE_FLOOR
        self.retries = 0
        """How often a suspicious text was decoded again with the full window."""
        self._ended = itertools.count(1)

    def begin(self, *, phrases: Sequence[str] = ()) -> WhisperDecoding:
        """Start an utterance."""
        hint: tuple[int, ...] = ()
        if phrases:
            hint = tuple(self._tokens.encode(" " + ", ".join(phrases))[:PHRASE_TOKENS])
        return WhisperDecoding(self, Spectrum(self._filters), hint)

    def hypotheses(self, decodings: Sequence[WhisperDecoding]) -> list[tuple[Word, ...]]:
        """The words of several utterances so far, decoded as one batch; their `batch_key` must be equal."""
        found = self.decode(decodings, decodings[0].window(TAIL))
        for decoding, result in zip(decodings, found, strict=True):
            if result.suspicion is None:  # otherwise the words before stay: a provisional text is not worth 30 s
                decoding.words = believable(result.words, result.evidence)
        return [decoding.words for decoding in decodings]

    def close(self, decoding: WhisperDecoding) -> tuple[Word, ...]:
        """The words if nothing follows, decoded as an end is; kept for `final`."""
        samples = decoding.spectrum.samples
        (result,) = self.decode([decoding], decoding.window(FINAL_TAIL))
        decoding.closed = (samples, result)
        if result.suspicion is None:
            decoding.words = believable(result.words, result.evidence)
        return decoding.words

    def final(self, decoding: WhisperDecoding) -> tuple[Word, ...]:
        """The words of a whole utterance; a suspicious text is decoded again, once, with the full window."""
        if next(self._ended) % GIVE_BACK_EVERY == 0:
            give_back()
        frames = decoding.window(FINAL_TAIL)
        if decoding.closed is not None and decoding.closed[0] == decoding.spectrum.samples:
            result = decoding.closed[1]
        else:
            (result,) = self.decode([decoding], frames)
        if result.suspicion is not None and (frames < FULL or decoding.prompt):
            self.retries += 1
            decoding.hint = ()
            (result,) = self.decode([decoding], FULL)
        if result.suspicion is not None and not insisted(result.suspicion, result.evidence):
            return ()
        return believable(result.words, result.evidence)

    def decode(self, decodings: Sequence[WhisperDecoding], frames: int) -> list[_Result]:
        """Greedy decoding of equally long prompts in windows of `frames`."""
        forbid_trap(frames, self._model.n_mels)
        features = np.stack([decoding.spectrum.window(frames) for decoding in decodings])
        encoded = self._model.encode(self._storage(features))
        prompts = [[*decoding.prompt, *self._head] for decoding in decodings]
        caps = [6 + math.ceil(7 * decoding.spectrum.samples / SAMPLE_RATE) for decoding in decodings]
        generated = self._model.generate(
            encoded,
            prompts,
            beam_size=1,
            max_length=longest(len(prompts[0]), max(caps)),
            suppress_blank=True,
            suppress_tokens=[-1],
            return_scores=True,
            return_no_speech_prob=True,
        )
        texts = []
        for answer, cap in zip(generated, caps, strict=True):
            texts.append([token for token in answer.sequences_ids[0] if token < self._tokens.eot][:cap])
        spoken = [index for index, tokens in enumerate(texts) if tokens]
        words: dict[int, tuple[Word, ...]] = {}
        if spoken:
            shown = encoded
            if len(spoken) < len(texts):  # only those with text have anything to align
                shown = self._model.encode(self._storage(np.ascontiguousarray(features[spoken])))
            contents = [min(decodings[index].spectrum.frames, frames) for index in spoken]
            aligned = self._model.align(
                shown, list(self._tokens.sot_sequence), [texts[index] for index in spoken], contents
            )
            for index, alignment in zip(spoken, aligned, strict=True):
                words[index] = self._timed(texts[index], alignment, decodings[index].spectrum.samples)
        results = []
        for index, (answer, cap) in enumerate(zip(generated, caps, strict=True)):
            tokens = texts[index]
            evidence = Evidence(
                tokens=len(tokens),
                voiced_ms=decodings[index].spectrum.samples * 1000 // SAMPLE_RATE,
                mean_log_probability=answer.scores[0] * len(tokens) / (len(tokens) + 1),
                no_speech=answer.no_speech_prob,
                cut=len(tokens) >= cap,
                tonal=decodings[index].steadiness.tonal,
            )
            results.append(_Result(words.get(index, ()), suspicion(self._tokens.decode(tokens), evidence), evidence))
        return results

    def _timed(self, tokens: list[int], alignment: Any, samples: int) -> tuple[Word, ...]:
        """Words with times, from the pairs (token, encoder position) of one alignment."""
        pairs = np.array(alignment.alignments)
        first = np.concatenate([[True], np.diff(pairs[:, 0]) > 0])
        jumps = pairs[first, 1] * FRAME_MS
        length = samples * 1000 // SAMPLE_RATE
        texts, groups = self._tokens.split_to_word_tokens([*tokens, self._tokens.eot])
        words: list[Word] = []
        at = 0
        for text, group in zip(texts[:-1], groups[:-1], strict=True):
            begin, at = at, at + len(group)
            text = text.strip()
            probability = min(1.0, float(np.mean(alignment.text_token_probs[begin:at])))
            start = min(int(jumps[min(begin, len(jumps) - 1)]), length)
            end = min(int(jumps[min(at, len(jumps) - 1)]), length)
            if words and not any(letter.isalnum() for letter in text):
                before = words.pop()
                words.append(Word(before.text + text, before.start_ms, before.end_ms, before.probability))
            elif text:
                words.append(Word(text, start, max(start, end), probability))
        return tuple(words)


class WhisperDecoding:
    """One utterance on its way through the model."""

    def __init__(self, recogniser: WhisperRecogniser, spectrum: Spectrum, hint: tuple[int, ...]) -> None:
        self._recogniser = recogniser
        self.spectrum = spectrum
        self.steadiness = Steadiness()
        self.hint = hint
        self.words: tuple[Word, ...] = ()
        """The latest hypothesis."""
        self.closed: tuple[int, _Result] | None = None
        """How many samples were decoded as if they were all, and what was found."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """Tokens shown to the model before the text, never as its beginning."""
        if not self.hint or self.spectrum.samples < PHRASES_FROM:
            return ()
        return (self._recogniser.previous, *self.hint)

    def window(self, tail: int) -> int:
        """Frames the encoder is shown."""
        return window_frames(self.spectrum.frames, floor=self._recogniser.floor, tail=tail)

    def batch_key(self, samples: int) -> Hashable:
        """Decodings with equal keys can share a batch: with so many samples, equal windows and equally long prompts."""
        return batch_key(samples, self._recogniser.floor, len(self.hint))

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples."""
        self.spectrum.extend(pcm)
        self.steadiness.extend(pcm)

    def hypothesis(self) -> tuple[Word, ...]:
        """The words so far."""
        return self._recogniser.hypotheses([self])[0]

    def close(self) -> tuple[Word, ...]:
        """The words if nothing follows: `final` then costs nothing more."""
        return self._recogniser.close(self) if self.spectrum.samples >= HOP else ()

    def final(self) -> tuple[Word, ...]:
        """The words of the whole utterance."""
        if self.spectrum.samples < HOP:
            return ()
        return self._recogniser.final(self)


def longest(prompt: int, tokens: int) -> int:
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
