"""The smallest encoder window with which a Whisper model makes no more errors, measured and stored beside the model.

Short windows save most of the encoder's work, and some models lose words on them (CTranslate2 issue 2100). Each
utterance is decoded with a full 30 s window and with each shorter floor, as a hypothesis (with less silence after it,
so in a shorter window) and as a final, and the words are compared.
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

MAX_DIFFERENCE = 0.02
"""Share of words that may differ from the full window's."""
MAX_RETRIED = 0.05
"""Share of utterances that may have signs of hallucination."""
MIN_WORDS = 100
"""With fewer, a difference of 2 % cannot be told."""


@dataclass(frozen=True, slots=True)
class WindowRow:
    """How one floor compares with full windows."""

    floor_frames: int
    """10 ms each."""
    words: int
    """Words recognised with full windows."""
    different: float
    """Share of words that differ, of hypotheses and finals together."""
    retried: float
    """Share of utterances with signs of hallucination, which were decoded again."""
    cpu_s: float
    safe: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """The table, and the floor that was chosen: None where there were too few words to choose one."""

    rows: tuple[WindowRow, ...]
    floor_frames: int | None


def utterances(pcm: Pcm) -> list[Pcm]:
    """The utterances of one channel."""
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
    """Compare windows on recordings (one array of 16 kHz float32 per channel) and store the smallest safe floor.

    A floor is safe when with it and every longer one at most 2 % of the words differ from full windows, and at most
    5 % of the utterances have signs of hallucination.
    Raises AudioError: those of the model, calibration-no-speech, model-read-only.
    """
    segments = [segment for pcm in recordings for segment in utterances(pcm)]
    if not segments:
        raise AudioError("calibration-no-speech", "No speech in these recordings: give recordings of calls.")
    recogniser = WhisperRecogniser(model, floor_frames=FULL)
    floors = (FULL, *(bucket for bucket in reversed(BUCKETS) if bucket < FULL))
    reference: list[list[str]] = []
    rows: list[WindowRow] = []
    safe = True
    for number, floor in enumerate(floors):
        recogniser.floor = floor
        before, cpu = recogniser.retries, time.process_time()
        hypotheses = [words for pcm in segments for words in _words(recogniser, pcm)]
        cpu = time.process_time() - cpu
        reference = reference or hypotheses
        count = sum(map(len, reference))
        different = sum(word_errors(*pair) for pair in zip(hypotheses, reference, strict=True)) / max(1, count)
        retried = (recogniser.retries - before) / len(segments)
        safe = safe and different <= MAX_DIFFERENCE and (floor == FULL or retried <= MAX_RETRIED)
        rows.append(WindowRow(floor, sum(map(len, reference[1::2])), different, retried, cpu, safe))
        progress(number + 1, len(floors))
    floor_kept = min(row.floor_frames for row in rows if row.safe) if rows[0].safe else FULL
    if rows[0].words < MIN_WORDS:
        return Calibration(tuple(rows), None)
    if keep:
        _store(model, recogniser.version, rows, floor_kept)
    return Calibration(tuple(rows), floor_kept)


def _words(recogniser: WhisperRecogniser, pcm: Pcm) -> Iterator[list[str]]:
    """The words of its hypothesis, then the final ones."""
    decoding = recogniser.begin()
    decoding.extend(np.ascontiguousarray(pcm))
    for words in (decoding.hypothesis(), decoding.final()):
        yield [normalised(word.text) for word in words]


def _store(model: Path, version: str, rows: Sequence[WindowRow], floor: int) -> None:
    text = json.dumps({"floor_frames": floor, "weights": version, "words": rows[0].words}, indent=1)
    part = model / (FLOOR_FILE + ".part")
    try:
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, model / FLOOR_FILE)
    except OSError as error:
        raise AudioError(
            "model-read-only", f"{model} cannot keep the window: {error.strerror or error}. Make the folder writable."
        ) from None
