"""The embedded recogniser: pocketsphinx with the US-English model of its own wheel. The only door to pocketsphinx.

It needs no download and starts in under a second, and mishears more than Whisper does. What was measured on synthetic
voices before it became a rule here:

- Cepstral mean normalisation over the whole utterance ("batch") against the running one ("live"): 24 % words wrong
  against 83 % in the telephone band (447 words, three voices), 10 % against 15 % in the full band. So the final words
  come from one pass over the whole utterance; provisional ones from a running pass, which costs no sound twice.
- On the demo's lines: without the second, flat search and with at most 3000 active states per frame, 4.3 % words wrong
  at half the CPU time of the default settings (4.7 %).
- A decoder is 90 MB. So decoders are pooled, made on demand up to a bound: memory does not grow with the number of
  calls. An utterance for which none is free has no provisional words, only final ones: for these one decoder is kept
  from the running passes, which hold theirs for as long as somebody speaks.
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
MARGIN = SAMPLE_RATE // 5
"""Samples of silence (200 ms) put before and after the speech: without them first and last words are lost."""
SHORTEST = SAMPLE_RATE // 5
"""Less sound than this (200 ms) holds no word."""
QUIETEST = 1e-4
"""A peak below this (-80 dB) is silence."""
CALL_WORDS = Path(__file__).parent / "call-words.dict"
"""Words that the shipped rules listen for and the model lacks, with their sounds (ARPAbet, as CMUdict writes them)."""
CALL_WORD_WEIGHT = 20.0
"""Their likelihood in units of an even one. Of 16 sentences with one of them (two synthetic voices, full band) 15 are
heard with it; before, none as one word and 4 in parts ("trust pilot", "f t c"). 40 clips without them stay the same."""
LEAST = 0.05
"""A word less probable was not said: of what is heard in 25 stretches of recorded announcements and 68 single words
(synthetic voices), all on the telephone band, it takes out 50 of 218 wrong words and none of 61 right ones."""
LONGEST_MS = 1200
"""A longer word was not said: where many talk at once, "and" is heard for seconds, with a probability of 1. The longest
of 331 right words of recorded prompts and of single words is 720 ms. Of 4, 8 and 16 talkers mixed, a minute each, full
band and telephone, it takes out 26 of 620 words."""
UNSURE, COVERS, AROUND_MS = 0.2, 0.9, 400
"""Where no word is this probable, only a word alone is accepted that takes up so much of the speech, which is the sound
without pre-roll and post-roll (audio/segmentation.py). On the same words it takes out none of 331 right ones and 70 of
778 wrong ones, on other single words none of 125 and 29 of 254; hallucinations on a kitchen's noise, on talk in the
background and on a ringtone were one or two words at 0.07 to 0.18."""
NARROW = 1e-6
"""Share of the energy above 4 kHz under which the sound came over a telephone (-60 dB)."""
LINE_NOISE = 0.03
"""White noise put under telephone sound, as a share of its root mean square: the model was made from wide-band speech
and takes an empty upper band for something. Words wrong without and with it: 87 words of recorded prompts and 130 of
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
        """`decoders` bounds how many utterances have provisional words at once; with one more, 90 MB each."""
        self.name = "pocketsphinx en-us (embedded)"
        self.version = f"pocketsphinx {_installed_version()} en-us"
        self._free: list[Any] = [_new_decoder()]
        self._unmade = max(decoders, 1)
        self._change = threading.Condition()

    def begin(self, *, phrases: Sequence[str] = ()) -> SphinxDecoding:
        """Start an utterance. `phrases` have no effect: the model takes no hints for a single utterance."""
        return SphinxDecoding(self)

    def words_in(self, pcm: Pcm) -> tuple[Word, ...]:
        """The words of a whole stretch of speech, times in milliseconds since its first sample. Waits for a decoder."""
        if len(pcm) < SHORTEST or float(np.max(np.abs(pcm))) < QUIETEST:
            return ()
        silence = np.zeros(MARGIN, np.float32)
        decoder = self.borrow(wait=True)
        try:
            _start(decoder)
            try:
                decoder.process_raw(_raw(np.concatenate([silence, filled(pcm), silence])), full_utt=True)
            finally:
                decoder.end_utt()
            return _words(decoder, len(pcm) * 1000 // SAMPLE_RATE)
        finally:
            self.give_back(decoder)

    def borrow(self, *, wait: bool) -> Any:
        """A decoder to use alone until `give_back`.

        Without `wait` the last one is left to those who wait, who need it only for a moment: None where no other is.
        """
        with self._change:
            if not wait and len(self._free) + self._unmade < 2:
                return None
            while not self._free and not self._unmade:
                self._change.wait()
            if self._free:
                return self._free.pop()
            self._unmade -= 1
        try:
            return _new_decoder()
        except AudioError:
            with self._change:
                self._unmade += 1
                self._change.notify()
            raise

    def give_back(self, decoder: Any) -> None:
        """The decoder is free for others."""
        with self._change:
            self._free.append(decoder)
            self._change.notify()


class SphinxDecoding:
    """One utterance; its sound is kept until `final`."""

    def __init__(self, recogniser: SphinxRecogniser) -> None:
        self._recogniser = recogniser
        self._pieces: list[Pcm] = []
        self._new: list[Pcm] = []
        """What the running pass has not had yet."""
        self._running: Any = None
        self._heard: tuple[Word, ...] = ()
        self._steadiness = Steadiness()

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples of the utterance."""
        if len(pcm):
            self._steadiness.extend(pcm)
            self._pieces.append(pcm)
            self._new.append(pcm)

    def hypothesis(self) -> tuple[Word, ...]:
        """The words so far, from the running pass; the words before where no decoder is free for one."""
        if self._steadiness.tonal:
            return ()
        if not self._new:
            return self._heard
        if self._running is None:
            self._running = self._recogniser.borrow(wait=False)
            if self._running is None:
                return self._heard
            _start(self._running)
            self._new = [np.zeros(MARGIN, np.float32), *self._pieces]
        self._running.process_raw(_raw(filled(np.concatenate(self._new))), full_utt=False)
        self._new = []
        self._heard = _words(self._running, sum(map(len, self._pieces)) * 1000 // SAMPLE_RATE)
        return self._heard

    def final(self) -> tuple[Word, ...]:
        """The words of the whole utterance, from one pass over all of it; frees its sound."""
        if self._running is not None:
            self._running.end_utt()
            self._recogniser.give_back(self._running)
            self._running = None
        pieces, self._pieces, self._new = self._pieces, [], []
        if self._steadiness.tonal:
            return ()
        return self._recogniser.words_in(np.concatenate(pieces)) if pieces else ()

    def __del__(self) -> None:
        """An utterance given up in the middle (its worker hung or failed) returns its decoder."""
        if self._running is not None:
            self._running.end_utt()
            self._recogniser.give_back(self._running)


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


def filled(pcm: Pcm) -> Pcm:
    """Telephone sound with a little noise in all of the model's band; other sound as it is."""
    power = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)))) ** 2
    if power[len(power) // 2 :].sum() > NARROW * power.sum():
        return pcm
    noise = np.random.default_rng(0).standard_normal(len(pcm), np.float32)
    return pcm + noise * np.float32(LINE_NOISE * np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))


def _raw(pcm: Pcm) -> bytes:
    return (np.clip(pcm, -1.0, 1.0) * 32767).astype("<i2").tobytes()


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
        if probability < LEAST:
            continue
        words.append(Word(ALTERNATE.sub("", segment.word), start, end, probability))
    return believed(words, duration_ms)


def believed(words: Sequence[Word], duration_ms: int) -> tuple[Word, ...]:
    """The words left of so much sound when those are taken out that nobody can have said."""
    said = tuple(word for word in words if word.end_ms - word.start_ms <= LONGEST_MS)
    if any(word.probability >= UNSURE for word in said):
        return said
    alone = len(said) == 1 and said[0].end_ms - said[0].start_ms >= COVERS * (duration_ms - AROUND_MS)
    return said if alone else ()
