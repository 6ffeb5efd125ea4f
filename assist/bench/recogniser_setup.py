"""Describes the recogniser that a benchmark measures, so that a new process can load it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from assist.errors import AssistError
from assist.settings import Settings
from audio.events import CHUNK, SAMPLE_RATE, Chunk, Pcm, Speaker
from audio.listener import Listener
from audio.measuring import Load, Transcript, measure
from audio.models import choose_recogniser
from audio.processes import Pool, default_processes, embedded_model
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler
from audio.scoring import SpokenWord
from audio.windows import FULL
from audio.worker import Model

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class RecogniserSetup:
    """Which recogniser, and how it is run."""

    folder: Path | None
    """Folder of the Whisper model; None: the embedded recogniser."""
    workers: int
    device: Device = "auto"
    floor_frames: int | None = None
    """Length of the shortest window in frames of 10 ms; None: as calibrated."""
    random_weights: bool = False
    """A model of random weights (audio/shapes.py): what it says is replaced, what it costs is real."""
    processes: int = 2

    def model(self, *, workers: int, full_windows: bool = False, processes: int = 1) -> Model:
        """How each of `processes` processes loads it; it decodes `workers` utterances at the same time."""
        if self.folder is None:
            return embedded_model(processes)
        options: dict[str, str | int | None] = {"folder": str(self.folder), "workers": workers, "device": self.device}
        options["floor_frames"] = FULL if full_windows else self.floor_frames
        if self.random_weights:
            return Model("audio.shapes:ShapeRecogniser", options)
        return Model("audio.whisper:WhisperRecogniser", options)

    def load(self, *, full_windows: bool = False) -> Recogniser:
        """Load it in this process. Raises the model's AudioError."""
        return self.model(workers=self.workers, full_windows=full_windows).load()

    def load_pool(self) -> Pool:
        """Load it in processes of its own, as for live calls. Raises the model's AudioError."""
        processes = min(self.processes, self.workers)
        threads = self.workers // processes
        return Pool(self.model(workers=threads, processes=processes), processes, threads)


def choose_setup(
    settings: Settings, console: Console, *, device: str = "auto", window_s: float | None = None
) -> RecogniserSetup:
    """The recogniser of these settings, fetched where needed, with a line saying which it is.

    Raises AudioError: the model's own, no-network; AssistError: device-invalid, window-invalid.
    """
    choice = choose_recogniser(settings.recogniser, settings.model, settings.models_dir)
    console.print(choice.line, markup=False, soft_wrap=True)
    folder = choice.path
    if choice.needs_download:
        from assist.live.loading import fetch_with_progress

        folder = fetch_with_progress(str(choice.model), settings.models_dir, console)
    found = folder if choice.kind == "whisper" else None
    return checked_setup(
        found, workers=settings.workers, processes=settings.processes, device=device, window_s=window_s
    )


def checked_setup(
    folder: Path | None, *, workers: int, processes: int = 0, device: str, window_s: float | None
) -> RecogniserSetup:
    """A model's folder with the options as typed. Raises AssistError device-invalid, window-invalid."""
    if device not in ("auto", "cpu", "cuda"):
        raise AssistError("device-invalid", f"--device {device}: expected auto, cpu or cuda.")
    if window_s is not None and not 1 <= window_s <= 30:
        raise AssistError("window-invalid", f"--window {window_s:g}: expected seconds from 1 to 30.")
    return RecogniserSetup(
        folder,
        workers or os.cpu_count() or 1,
        device,  # type: ignore[arg-type]
        None if window_s is None else round(window_s * 100),
        processes=processes or default_processes(folder is not None and device != "cpu"),
    )


def measure_load(
    setup: RecogniserSetup,
    sound: Mapping[Speaker, Pcm],
    words: Sequence[SpokenWord] | None,
    calls: int,
    *,
    progress: Callable[[float], None],
) -> tuple[str, Load]:
    """Measure so many calls at once, in a process of its own: (the recogniser's name, its load)."""
    recogniser = setup.load_pool()
    load = measure(recogniser, sound, words, calls=calls, workers=setup.workers, progress=progress)
    return recogniser.name, load


def transcribe(
    setup: RecogniserSetup, sound: Mapping[Speaker, Pcm], *, progress: Callable[[float], None]
) -> list[SpokenWord]:
    """Transcribe the recording with the same model, with full windows and not in real time."""
    scheduler = Scheduler(setup.load(full_windows=True), setup.workers)
    listener = Listener(scheduler, tuple(sound), in_step=True)
    transcript = Transcript()
    length = max(len(pcm) for pcm in sound.values())
    for place in range(0, length, CHUNK):
        pieces = {who: pcm[place : place + CHUNK] for who, pcm in sound.items()}
        transcript.note(0, listener.push(Chunk(place * 1000 // SAMPLE_RATE, pieces)))
        progress(place / length)
    transcript.note(0, listener.finish())
    scheduler.close()
    return transcript.spoken()
