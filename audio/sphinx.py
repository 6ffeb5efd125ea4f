"""The embedded recogniser: pocketsphinx with the US-English model of its own wheel. The only importer of pocketsphinx.

It needs no download and starts in under a second, and mishears more than Whisper does. What was measured on synthetic
voices before it became a rule here:

- Cepstral mean normalisation over the whole utterance ("batch") against the running one ("live"): 24 % words wrong
  against 83 % in the telephone band (447 words, three voices), 10 % against 15 % in the full band. So the final words
  come from one pass over the whole utterance; hypotheses from a streaming pass, which decodes no audio twice.
- On the demo's lines: without the second, flat search and with at most 3000 active states per frame, 4.3 % words wrong
  at half the CPU time of the default settings (4.7 %).
- A decoder is 90 MB. So decoders are pooled, made on demand up to a bound: memory does not grow with the number of
  calls. An utterance for which none is free has no hypotheses, only final words: for these one decoder is kept from
  the streaming passes, which hold theirs for as long as somebody speaks.
"""

from __future__ import annotations

import importlib.metadata
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm, Word
from audio.steadiness import Steadiness

FRAME_MS = 10
"""Milliseconds per frame of the acoustic model (frate 100)."""
PADDING = SAMPLE_RATE // 5
"""Samples of silence (200 ms) put before and after the speech: without them first and last words are lost."""
MIN_SAMPLES = SAMPLE_RATE // 5
"""Less audio than this (200 ms) holds no word."""
SILENCE_PEAK = 1e-4
"""A peak below this (-80 dB) is silence."""
CALL_WORDS = Path(__file__).parent / "call-words.dict"
"""Words that the shipped rules look for and the model lacks, with pronunciations (ARPAbet, as in CMUdict)."""
CALL_WORD_WEIGHT = 20.0
"""Their likelihood in units of an even one. Of 16 sentences with one of them (two synthetic voices, full band) 15 are
heard with it; before, none as one word and 4 in parts ("trust pilot", "f t c"). 40 clips without them stay the same."""
MIN_PROBABILITY = 0.05
"""A word less probable is dropped: of the words decoded in 25 stretches of recorded announcements and 68 single words
(synthetic voices), all on the telephone band, it takes out 50 of 218 wrong words and none of 61 right ones."""
MAX_WORD_MS = 1200
"""A longer word is dropped: where many talk at once, "and" is decoded for seconds, with a probability of 1. The longest
of 331 right words of recorded prompts and of single words is 720 ms. Of 4, 8 and 16 talkers mixed, a minute each, full
band and telephone, it takes out 26 of 620 words."""
UNSURE_BELOW, ALONE_COVERS, ROLL_MS = 0.2, 0.9, 400
"""Where no word is this probable, only a word alone is accepted that takes up so much of the speech, which is the sound
without pre-roll and post-roll (audio/segmentation.py). On the same words it takes out none of 331 right ones and 70 of
778 wrong ones, on other single words none of 125 and 29 of 254; hallucinations on a kitchen's noise, on talk in the
background and on a ringtone were one or two words at 0.07 to 0.18."""
TELEPHONE_BAND = 1e-6
"""Share of the energy above 4 kHz (-60 dB) under which the audio came over a telephone."""
LINE_NOISE = 0.03
"""White noise added to telephone audio, as a share of its root mean square: the model was trained on wide-band speech
and misreads an empty upper band. Words wrong without and with it: 87 words of recorded prompts and 130 of
synthetic voices (set on) 93 and 78 %, 48 and 40 %; 114 and 129 others 89 and 81 %, 55 and 51 %. Of 61 held-out lines
with a signal 17 are noticed instead of 12, with as many false ones. It costs words of the demo's lines through a
telephone (34 and 42 %), which were chosen for what is heard without it, and wide-band speech (7 and 11 %): that gets
none."""
ALTERNATE = re.compile(r"\(\d+\)$")
"""Marks a word's second, third ... pronunciation, such as "read(2)"."""


class SphinxRecogniser:
    """Decoders of the embedded model, shared by all calls.

    Raises:
        AudioError: code model-corrupt, where pocketsphinx or its model cannot be loaded.
    """

    embedded = True

    def __init__(self, *, decoders: int = 4) -> None:
        """`decoders`: most utterances with hypotheses at a time. One decoder more than that is created, 90 MB each."""
        self.name = "pocketsphinx en-us (embedded)"
        self.version = f"pocketsphinx {_installed_version()} en-us"
        self._free: list[Any] = [_new_decoder()]
        self._not_created = max(decoders, 1)
        self._condition = threading.Condition()

    def begin(self, *, phrases: Sequence[str] = ()) -> SphinxDecoding:
        """Start an utterance. `phrases` have no effect: the model takes no hints for a single utterance."""
        return SphinxDecoding(self)

    def decode(self, pcm: Pcm) -> tuple[Word, ...]:
        """The words of a whole utterance, times in milliseconds since its first sample. Waits for a decoder."""
        if len(pcm) < MIN_SAMPLES or float(np.max(np.abs(pcm))) < SILENCE_PEAK:
            return ()
        silence = np.zeros(PADDING, np.float32)
        decoder = self.acquire(wait=True)
        try:
            _start(decoder)
            try:
                decoder.process_raw(_raw(np.concatenate([silence, with_line_noise(pcm), silence])), full_utt=True)
            finally:
                decoder.end_utt()
            return _words(decoder, len(pcm) * 1000 // SAMPLE_RATE)
        finally:
            self.release(decoder)

    def acquire(self, *, wait: bool) -> Any:
        """Take a decoder until `release`.

        Without `wait` None where only one is left: that one is for those who wait, who need it only for a moment.
        """
        with self._condition:
            if not wait and len(self._free) + self._not_created < 2:
                return None
            while not self._free and not self._not_created:
                self._condition.wait()
            if self._free:
                return self._free.pop()
            self._not_created -= 1
        try:
            return _new_decoder()
        except AudioError:
            with self._condition:
                self._not_created += 1
                self._condition.notify()
            raise

    def release(self, decoder: Any) -> None:
        """Give a decoder back."""
        with self._condition:
            self._free.append(decoder)
            self._condition.notify()


class SphinxDecoding:
    """One utterance; its audio is kept until `final`."""

    def __init__(self, recogniser: SphinxRecogniser) -> None:
        self._recogniser = recogniser
        self._pieces: list[Pcm] = []
        self._unfed: list[Pcm] = []
        """Samples that the streaming decoder has not been given yet."""
        self._decoder: Any = None
        """The streaming decoder."""
        self._latest_words: tuple[Word, ...] = ()
        self._steadiness = Steadiness()

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples of the utterance."""
        if len(pcm):
            self._steadiness.extend(pcm)
            self._pieces.append(pcm)
            self._unfed.append(pcm)

    def hypothesis(self) -> tuple[Word, ...]:
        """The words so far, from the streaming decoder; the latest ones, or none, where no decoder is free."""
        if self._steadiness.tonal:
            return ()
        if not self._unfed:
            return self._latest_words
        if self._decoder is None:
            self._decoder = self._recogniser.acquire(wait=False)
            if self._decoder is None:
                return self._latest_words
            _start(self._decoder)
            self._unfed = [np.zeros(PADDING, np.float32), *self._pieces]
        self._decoder.process_raw(_raw(with_line_noise(np.concatenate(self._unfed))), full_utt=False)
        self._unfed = []
        self._latest_words = _words(self._decoder, sum(map(len, self._pieces)) * 1000 // SAMPLE_RATE)
        return self._latest_words

    def final(self) -> tuple[Word, ...]:
        """The words of the whole utterance, decoded in one pass; frees its audio."""
        if self._decoder is not None:
            self._decoder.end_utt()
            self._recogniser.release(self._decoder)
            self._decoder = None
        pieces, self._pieces, self._unfed = self._pieces, [], []
        if self._steadiness.tonal:
            return ()
        return self._recogniser.decode(np.concatenate(pieces)) if pieces else ()

    def __del__(self) -> None:
        """Abandoned before its end (its worker hung or failed): gives its decoder back."""
        if self._decoder is not None:
            self._decoder.end_utt()
            self._recogniser.release(self._decoder)


def _installed_version() -> str:
    try:
        return importlib.metadata.version("pocketsphinx")
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _new_decoder() -> Any:
    """A decoder with the words of calls in its dictionary and its language model."""
    try:
        import pocketsphinx

        decoder = pocketsphinx.Decoder(loglevel="FATAL", fwdflat=False, maxhmmpf=3000, lm=None)
        folder = pocketsphinx.get_model_path("en-us/en-us.lm.bin")
        model = pocketsphinx.NGramModel(decoder.config, decoder.logmath, folder)
        for line in CALL_WORDS.read_text(encoding="utf-8").splitlines():
            word, phones = line.split(" ", 1)
            decoder.add_word(word, phones, False)
            model.add_word(word, CALL_WORD_WEIGHT)
        decoder.add_lm("calls", model)
        decoder.activate_search("calls")
    except (ImportError, OSError, RuntimeError) as error:
        raise AudioError(
            "model-corrupt",
            "The embedded recogniser cannot be loaded: reinstall the package pocketsphinx, or choose a Whisper model.",
        ) from error
    return decoder


def _start(decoder: Any) -> None:
    decoder.reinit_feat()  # forget the noise and level estimates of whoever spoke before
    decoder.start_utt()


def with_line_noise(pcm: Pcm) -> Pcm:
    """Telephone audio with white noise added (see LINE_NOISE); wide-band audio as it is."""
    power = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)))) ** 2
    if power[len(power) // 2 :].sum() > TELEPHONE_BAND * power.sum():
        return pcm
    noise = np.random.default_rng(0).standard_normal(len(pcm), np.float32)
    return pcm + noise * np.float32(LINE_NOISE * np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))


def _raw(pcm: Pcm) -> bytes:
    return (np.clip(pcm, -1.0, 1.0) * 32767).astype("<i2").tobytes()


def _words(decoder: Any, duration_ms: int) -> tuple[Word, ...]:
    """The decoder's segments as words with their posteriors, without fillers and pronunciation marks."""
    if decoder.hyp() is None:
        return ()
    padding_ms = PADDING * 1000 // SAMPLE_RATE
    words = []
    for segment in decoder.seg():
        if segment.word.startswith(("<", "[", "+")):
            continue
        start = min(max(segment.start_frame * FRAME_MS - padding_ms, 0), duration_ms)
        end = min(max((segment.end_frame + 1) * FRAME_MS - padding_ms, start), duration_ms)
        probability = min(max(float(segment.prob), 0.0), 1.0)
        if probability < MIN_PROBABILITY:
            continue
        words.append(Word(ALTERNATE.sub("", segment.word), start, end, probability))
    return without_implausible(words, duration_ms)


def without_implausible(words: Sequence[Word], duration_ms: int) -> tuple[Word, ...]:
    """The words without those that are too long or too improbable to have been said.

    `duration_ms`: length of the audio, pre-roll and post-roll included.
    """
    said = tuple(word for word in words if word.end_ms - word.start_ms <= MAX_WORD_MS)
    if any(word.probability >= UNSURE_BELOW for word in said):
        return said
    alone = len(said) == 1 and said[0].end_ms - said[0].start_ms >= ALONE_COVERS * (duration_ms - ROLL_MS)
    return said if alone else ()
