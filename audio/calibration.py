"""The smallest window a Whisper model can be shown without hearing worse: measured on recordings, kept beside it.

Short windows save most of the encoder's work, and some models lose words on them (CTranslate2 issue 2100). Each stretch
of speech is decoded with a full 30 s window and with each shorter floor, as if it went on (with less silence behind it,
so in a shorter window) and as a whole, and the words are compared.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.activity import VoiceActivityDetector
from audio.errors import AudioError
from audio.events import Pcm
from audio.normalisation import normalised
from audio.scoring import word_errors
from audio.segmentation import UtteranceEnd, UtteranceSegmenter
from audio.whisper import FLOOR_FILE, WhisperRecogniser
from audio.windows import BUCKETS, FULL

SAFE_DIFFERENCE = 0.02
"""Share of words that may differ from the full window's."""
SAFE_RETRIES = 0.05
"""Share of utterances that may look invented."""
ENOUGH_WORDS = 100
"""With fewer, a difference of 2 % cannot be told."""


@dataclass(frozen=True, slots=True)
class WindowRow:
    """How one floor compares with full windows."""

    floor_frames: int
    """10 ms each."""
    words: int
    """Words heard with full windows."""
    different: float
    """Words that differ, by words, provisional and final ones together."""
    retried: float
    """Share of utterances whose text looked invented and was decoded again."""
    cpu_s: float
    safe: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """The table, and the floor that was kept: None where nothing was changed for want of words."""

    rows: tuple[WindowRow, ...]
    floor_frames: int | None


def utterances(pcm: Pcm) -> list[Pcm]:
    """The stretches of speech of one channel."""
    activity, segmenter = VoiceActivityDetector(), UtteranceSegmenter()
    events = [event for frame in activity.push(pcm) for event in segmenter.push(frame, interval_factor=0)]
    events += [event for frame in activity.flush() for event in segmenter.push(frame, interval_factor=0)]
    events += segmenter.finish()
    return [event.pcm for event in events if isinstance(event, UtteranceEnd)]


def calibrate(
    model: Path,
    recordings: Iterable[Pcm],
    *,
    keep: bool = True,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Calibration:
    """Compare windows on recordings (one array of 16 kHz float32 per channel) and keep the smallest safe floor.

    A floor is safe when it and every longer one differ from full windows in at most 2 % of the words and look invented
    in at most 5 % of the utterances. Raises AudioError: the model's own, calibration-no-speech, model-read-only.
    """
    speech = [piece for pcm in recordings for piece in utterances(pcm)]
    if not speech:
        raise AudioError("calibration-no-speech", "No speech in these recordings: give recordings of calls.")
    recogniser = WhisperRecogniser(model, floor_frames=FULL)
    floors = (FULL, *(bucket for bucket in reversed(BUCKETS) if bucket < FULL))
    wanted: list[list[str]] = []
    rows: list[WindowRow] = []
    safe = True
    for number, floor in enumerate(floors):
        recogniser.floor = floor
        before, cpu = recogniser.retries, time.process_time()
        heard = [words for pcm in speech for words in _words(recogniser, pcm)]
        cpu = time.process_time() - cpu
        wanted = wanted or heard
        count = sum(map(len, wanted))
        different = sum(word_errors(ours, full) for ours, full in zip(heard, wanted, strict=True)) / max(1, count)
        retried = (recogniser.retries - before) / len(speech)
        safe = safe and different <= SAFE_DIFFERENCE and (floor == FULL or retried <= SAFE_RETRIES)
        rows.append(WindowRow(floor, sum(map(len, wanted[1::2])), different, retried, cpu, safe))
        progress(number + 1, len(floors))
    floor_kept = min(row.floor_frames for row in rows if row.safe) if rows[0].safe else FULL
    if rows[0].words < ENOUGH_WORDS:
        return Calibration(tuple(rows), None)
    if keep:
        _keep(model, recogniser.version, rows, floor_kept)
    return Calibration(tuple(rows), floor_kept)


def _words(recogniser: WhisperRecogniser, pcm: Pcm) -> Iterator[list[str]]:
    """Its provisional words, then its final ones."""
    decoding = recogniser.begin()
    decoding.extend(np.ascontiguousarray(pcm))
    for words in (decoding.hypothesis(), decoding.final()):
        yield [normalised(word.text) for word in words]


def _keep(model: Path, version: str, rows: Sequence[WindowRow], floor: int) -> None:
    text = json.dumps({"floor_frames": floor, "weights": version, "words": rows[0].words}, indent=1)
    part = model / (FLOOR_FILE + ".part")
    try:
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, model / FLOOR_FILE)
    except OSError as error:
        raise AudioError(
            "model-read-only", f"{model} cannot keep the window: {error.strerror or error}. Make the folder writable."
        ) from None
