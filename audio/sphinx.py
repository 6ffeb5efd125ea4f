"""The embedded recogniser: pocketsphinx with the US-English model of its own wheel. The only door to pocketsphinx.

It needs no download and starts in under a second, and mishears more than Whisper does. Two things were measured on
synthetic voices before they became rules here:

- Cepstral mean normalisation over the whole utterance ("batch") against the running one ("live"): 24 % words wrong
  against 83 % in the telephone band (447 words, three voices), 10 % against 15 % in the full band. So an utterance is
  always recognised as a whole, and each hypothesis too is a fresh pass over what has been said so far.
- A decoder is 90 MB. So decoders are pooled, made on demand up to a bound, and held only while a pass runs: memory
  does not grow with the number of calls.
"""

from __future__ import annotations

import importlib.metadata
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm, Word

__all__ = ["SphinxRecogniser"]

FRAME_MS = 10
"""Milliseconds per frame of the acoustic model (frate 100)."""
MARGIN = SAMPLE_RATE // 5
"""Samples of silence (200 ms) put before and after the speech: without them first and last words are lost."""
SHORTEST = SAMPLE_RATE // 5
"""Less sound than this (200 ms) holds no word."""
QUIETEST = 1e-4
"""A peak below this (-80 dB) is silence."""
ALTERNATE = re.compile(r"\(\d+\)$")
"""Marks a word's second, third ... pronunciation, such as "read(2)"."""


class SphinxRecogniser:
    """Decoders of the embedded model, shared by all calls.

    Raises:
        AudioError: code model-corrupt, where pocketsphinx or its model cannot be loaded.
    """

    embedded = True

    def __init__(self, *, decoders: int = 2) -> None:
        """`decoders` bounds how many passes run at once (90 MB each); one more than the cores is a waste."""
        self.name = "pocketsphinx en-us (embedded)"
        self.version = f"pocketsphinx {_installed_version()} en-us"
        self._free: list[Any] = [_new_decoder()]
        self._unmade = max(decoders, 1) - 1
        self._change = threading.Condition()

    def begin(self, *, phrases: Sequence[str] = ()) -> SphinxDecoding:
        """Start an utterance. `phrases` have no effect: the model takes no hints for a single utterance."""
        return SphinxDecoding(self)

    def words_in(self, pcm: Pcm) -> tuple[Word, ...]:
        """The words of a whole stretch of speech, times in milliseconds since its first sample. Waits for a decoder."""
        if len(pcm) < SHORTEST or float(np.max(np.abs(pcm))) < QUIETEST:
            return ()
        silence = np.zeros(MARGIN, np.float32)
        samples = np.clip(np.concatenate([silence, pcm, silence]), -1.0, 1.0)
        sound = (samples * 32767).astype("<i2").tobytes()
        with self._decoder() as decoder:
            decoder.reinit_feat()  # forget the noise estimate of whoever spoke before
            decoder.start_utt()
            try:
                decoder.process_raw(sound, full_utt=True)
            finally:
                decoder.end_utt()
            return _words(decoder, len(pcm) * 1000 // SAMPLE_RATE)

    @contextmanager
    def _decoder(self) -> Iterator[Any]:
        with self._change:
            while not self._free and not self._unmade:
                self._change.wait()
            decoder = self._free.pop() if self._free else None
            if decoder is None:
                self._unmade -= 1
        try:
            if decoder is None:
                decoder = _new_decoder()
            yield decoder
        finally:
            with self._change:
                if decoder is None:
                    self._unmade += 1
                else:
                    self._free.append(decoder)
                self._change.notify()


class SphinxDecoding:
    """One utterance; its sound is kept until `final`."""

    def __init__(self, recogniser: SphinxRecogniser) -> None:
        self._recogniser = recogniser
        self._pieces: list[Pcm] = []
        self._heard: tuple[int, tuple[Word, ...]] = (0, ())

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples of the utterance."""
        if len(pcm):
            self._pieces.append(pcm)

    def hypothesis(self) -> tuple[Word, ...]:
        """The words so far: one pass over all that was given, about 0.2 CPU-seconds per second of it."""
        samples = sum(map(len, self._pieces))
        if samples != self._heard[0]:
            self._pieces = [np.concatenate(self._pieces)]
            self._heard = (samples, self._recogniser.words_in(self._pieces[0]))
        return self._heard[1]

    def final(self) -> tuple[Word, ...]:
        """The words of the whole utterance; frees its sound."""
        words = self.hypothesis()
        self._pieces = []
        self._heard = (0, ())
        return words


def _installed_version() -> str:
    try:
        return importlib.metadata.version("pocketsphinx")
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _new_decoder() -> Any:
    try:
        import pocketsphinx

        decoder = pocketsphinx.Decoder(loglevel="FATAL")
    except (ImportError, OSError, RuntimeError) as error:
        raise AudioError(
            "model-corrupt",
            "The embedded recogniser cannot be loaded: reinstall the package pocketsphinx, or choose a Whisper model.",
        ) from error
    return decoder


def _words(decoder: Any, duration_ms: int) -> tuple[Word, ...]:
    """The decoder's segments as words with their posteriors, without fillers and pronunciation marks."""
    if decoder.hyp() is None:
        return ()
    margin_ms = MARGIN * 1000 // SAMPLE_RATE
    words = []
    for segment in decoder.seg():
        if segment.word.startswith(("<", "[", "+")):
            continue
        start = min(max(segment.start_frame * FRAME_MS - margin_ms, 0), duration_ms)
        end = min(max((segment.end_frame + 1) * FRAME_MS - margin_ms, start), duration_ms)
        probability = min(max(float(segment.prob), 0.0), 1.0)
        words.append(Word(ALTERNATE.sub("", segment.word), start, end, probability))
    return tuple(words)
