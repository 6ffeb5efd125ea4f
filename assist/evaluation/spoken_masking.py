"""Masking of synthesised card numbers as recognised: how many digits are still visible after the redactor.

Voices are flite's (`apt install flite`): synthetic, clear, American and Scottish English; the redactor was tuned on
what the embedded recogniser made of them. The unseen one, festival's (`apt install festival festvox-kdlpc16k`), was not
looked at while it was written. espeak-ng's voices say nothing here: of the digit words that they speak, the embedded
recogniser hears 15 to 27 in a hundred as digits. A recogniser that mishears writes other words than digits, which
nothing can mask; what counts here is whether digits are left.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assist.errors import AssistError
from assist.evaluation.figures import Figure, wilson
from assist.evaluation.spoken_numbers import card, digits, doubled, groups, has_digits, pairs
from assist.privacy.redaction import Redactor
from assist.sound import whole
from audio.events import SAMPLE_RATE, Chunk, Hypothesis, Pcm, Speaker, Utterance, Word
from audio.listener import Listener
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler

VOICES = ("flite:slt", "flite:rms", "flite:awb", "flite:kal16")
HELD_OUT_VOICES = ("festival:ked_diphone",)
"""Voices as program:name."""
MIN_LEAK_WORDS = 4
"""So many visible digit words count as a leak: a group of a card number."""


_QUESTION = Utterance(
    "a0", Speaker.AGENT, 0, 0, tuple(Word(word, 0, 0) for word in "can I take the card number please".split())
)


@dataclass(frozen=True, slots=True)
class SpokenMaskingFigures:
    """Figures of the numbers read aloud."""

    numbers: int
    none_left: int
    """Numbers of which no digit-bearing word was left in sight."""
    none_share: Figure
    few_left: int
    """Numbers of which fewer than MIN_LEAK_WORDS digit-bearing words were left in sight."""
    said: int
    """Digit-bearing words recognised, all numbers together."""
    seen: int
    """Of those, left in sight."""
    partial_leaks: int
    """Provisional texts with three digit-bearing words and more in sight, all numbers together."""


def measure_spoken(recogniser: Recogniser, numbers: int, *, voices: Sequence[str] = VOICES) -> SpokenMaskingFigures:
    """Read that many card numbers to the recogniser, half of them after the agent's question.

    Raises:
        AssistError: code voice-missing.
    """
    missing = sorted(
        {program for program, _ in (voice.split(":") for voice in voices) if shutil.which(program) is None}
    )
    if missing:
        raise AssistError("voice-missing", f"numbers are read aloud by {missing[0]}, which is not here: apt install it")
    scheduler = Scheduler(recogniser, 1)
    none = few = said = seen = leaks = 0
    try:
        for n, (voice, text) in enumerate(_spoken_numbers(numbers, voices, random.Random(3))):
            redactor = Redactor()
            if n % 2 == 0:
                redactor.redact_utterance(_QUESTION)
            before, after, partial = _digits_seen(scheduler, redactor, synthesise(voice, text))
            said, seen, leaks = said + before, seen + after, leaks + partial
            none += after == 0
            few += after < MIN_LEAK_WORDS
    finally:
        scheduler.close()
    return SpokenMaskingFigures(numbers, none, wilson(none, numbers), few, said, seen, leaks)


def _spoken_numbers(numbers: int, voices: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    before = ["", "sure, it is", "my card number is", "okay, so"]
    after = ["", "thank you", "is that right"]
    for n in range(numbers):
        number = card(rng)
        body = [
            ", ".join(digits(part, "oh") for part in groups(number)),
            ", ".join(digits(part) for part in groups(number)),
            doubled(number),
            pairs(number),
        ][n // len(voices) % 4]
        yield voices[n % len(voices)], f"{rng.choice(before)} {body}. {rng.choice(after)}".strip()


def synthesise(voice: str, text: str) -> Pcm:
    """Synthesise a text: 16 kHz, peak 0.5, with a second of silence after it. `voice`: program:name."""
    program, _, name = voice.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = {
            "flite": ["flite", "-voice", name, "-t", text, "-o", str(path)],
            "festival": ["text2wave", "-eval", f"(voice_{name})", "-o", str(path)],
        }[program]
        subprocess.run(command, input=text.encode(), check=True, capture_output=True)
        pcm = whole(path, mono=Speaker.CUSTOMER)[Speaker.CUSTOMER]
    loud = float(np.abs(pcm).max()) or 1.0
    return np.concatenate([pcm * (0.5 / loud), np.zeros(SAMPLE_RATE, np.float32)]).astype(np.float32)


def _digits_seen(scheduler: Scheduler, redactor: Redactor, pcm: Pcm) -> tuple[int, int, int]:
    """Digit-bearing words recognised, how many of them the redactor left, and provisional texts that show three."""
    listener = Listener(scheduler, (Speaker.CUSTOMER,), in_step=True)
    heard = []
    for start in range(0, len(pcm), 1600):
        heard += listener.push(Chunk(start * 1000 // SAMPLE_RATE, {Speaker.CUSTOMER: pcm[start : start + 1600]}))
    heard += listener.finish()
    before = after = leaks = 0
    for each in heard:
        if isinstance(each, Utterance):
            before += _digit_words(each.words)
            after += _digit_words(redactor.redact_utterance(each).words)
        elif isinstance(each, Hypothesis):
            shown = redactor.redact_hypothesis(each)
            leaks += _digit_words(shown.agreed + shown.tentative) >= 3
    return before, after, leaks


def _digit_words(words: Sequence[Word]) -> int:
    return sum(has_digits(word.text) for word in words)
