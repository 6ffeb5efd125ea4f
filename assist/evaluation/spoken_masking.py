"""Card numbers read aloud to a recogniser: how much of them is still seen after the redactor.

Voices are flite's (`apt install flite`): synthetic, clear, American and Scottish English. A recogniser that mishears
writes other words than digits, which nothing can mask; what counts here is whether digits are left.
"""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assist.errors import AssistError
from assist.evaluation.figures import Figure, wilson
from assist.evaluation.masking import bears_digits, card, digits, doubled, groups, pairs
from assist.privacy.redaction import Redactor
from audio.events import SAMPLE_RATE, Chunk, Pcm, Speaker, Utterance, Word
from audio.listener import Listener
from audio.recogniser import Recogniser
from audio.recording import open_recording
from audio.scheduling import Scheduler

VOICES = ("slt", "rms", "awb", "kal16")
LEAK = 4
"""Digit-bearing words in sight that make a leak worth the name: a group of a card."""


_QUESTION = Utterance(
    "a0", Speaker.AGENT, 0, 0, tuple(Word(word, 0, 0) for word in "can I take the card number please".split())
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What came of the numbers read aloud."""

    numbers: int
    none_left: int
    """Numbers of which no digit-bearing word was left in sight."""
    none_share: Figure
    few_left: int
    """Numbers of which fewer than LEAK digit-bearing words were left in sight."""
    few_share: Figure
    said: int
    """Digit-bearing words recognised, all numbers together."""
    seen: int
    """Of those, left in sight."""
    with_cue: tuple[int, int]
    """(none left, numbers) where the agent had asked for the card."""


def measure_spoken(
    recogniser: Recogniser, numbers: int, *, seed: int = 3, progress: Callable[[int], None] = lambda _: None
) -> Spoken:
    """Read that many card numbers to the recogniser, half of them after the agent's question.

    Raises:
        AssistError: code flite-missing.
    """
    if shutil.which("flite") is None:
        raise AssistError("flite-missing", "flite reads the numbers aloud and is not here: apt install flite")
    scheduler = Scheduler(recogniser, 1)
    none = few = said = seen = cued = cued_none = 0
    try:
        for n, (voice, text) in enumerate(_texts(numbers, random.Random(seed))):
            redactor = Redactor()
            asked = n % 2 == 0
            if asked:
                redactor.settled(_QUESTION)
            before, after = _digits_seen(scheduler, redactor, spoken(voice, text))
            said, seen = said + before, seen + after
            none += after == 0
            few += after < LEAK
            cued += asked
            cued_none += asked and after == 0
            progress(n + 1)
    finally:
        scheduler.close()
    return Spoken(numbers, none, wilson(none, numbers), few, wilson(few, numbers), said, seen, (cued_none, cued))


def _texts(numbers: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    before = ["", "sure, it is", "my card number is", "okay, so"]
    after = ["", "thank you", "is that right"]
    for n in range(numbers):
        number = card(rng)
        body = [
            ", ".join(digits(part, "oh") for part in groups(number)),
            ", ".join(digits(part) for part in groups(number)),
            doubled(number),
            pairs(number),
        ][n // len(VOICES) % 4]
        yield VOICES[n % len(VOICES)], f"{rng.choice(before)} {body}. {rng.choice(after)}".strip()


def spoken(voice: str, text: str) -> Pcm:
    """The text as sound, with a second of silence after it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True, capture_output=True)
        pcm = asyncio.run(_read(path))
    loud = float(np.abs(pcm).max()) or 1.0
    return np.concatenate([pcm * (0.5 / loud), np.zeros(SAMPLE_RATE, np.float32)]).astype(np.float32)


async def _read(path: Path) -> Pcm:
    source = open_recording(path, mono=Speaker.CUSTOMER, speed=math.inf)
    return np.concatenate([item.channels[Speaker.CUSTOMER] async for item in source if isinstance(item, Chunk)])


def _digits_seen(scheduler: Scheduler, redactor: Redactor, pcm: Pcm) -> tuple[int, int]:
    """Digit-bearing words recognised, and how many of them the redactor left."""
    listener = Listener(scheduler, (Speaker.CUSTOMER,), in_step=True)
    heard = []
    for start in range(0, len(pcm), 1600):
        heard += listener.push(Chunk(start * 1000 // SAMPLE_RATE, {Speaker.CUSTOMER: pcm[start : start + 1600]}))
    heard += listener.finish()
    before = after = 0
    for utterance in (each for each in heard if isinstance(each, Utterance)):
        before += sum(bears_digits(word.text) for word in utterance.words)
        after += sum(bears_digits(word.text) for word in redactor.settled(utterance).words)
    return before, after
