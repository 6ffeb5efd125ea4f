"""The recogniser, chosen, fetched where needed, loaded, and ready to give every call its listener."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from assist.service import Hearing
from assist.settings import Settings
from audio.events import Speaker
from audio.listener import Listener
from audio.models import choose_recogniser, fetch_model
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler
from audio.voice import VoiceMeter


def load_hearing(settings: Settings, console: Console) -> Hearing:
    """Choose and load the recogniser, saying in one line which it is.

    Raises:
        AudioError: an unknown, corrupt or wrong model, or no network where one was asked for by name.
    """
    choice = choose_recogniser(settings.recogniser, settings.model, settings.models_dir)
    console.print(choice.line, markup=False, soft_wrap=True)
    path, line = choice.path, choice.line
    if choice.needs_download:
        path = fetch_with_progress(str(choice.model), settings.models_dir, console)
        line = f"Listening with Whisper {choice.model} from {path}"
    workers = settings.workers or os.cpu_count() or 1
    recogniser: Recogniser
    if choice.kind == "whisper" and path is not None:
        from audio.whisper import WhisperRecogniser

        recogniser = WhisperRecogniser(path, workers=workers)
    else:
        from audio.sphinx import SphinxRecogniser

        recogniser = SphinxRecogniser()
    return ready(recogniser, line, workers)


def ready(recogniser: Recogniser, line: str, workers: int) -> Hearing:
    """A loaded recogniser behind one scheduler for all calls."""
    scheduler = Scheduler(recogniser, workers)

    def listener(
        speakers: Sequence[Speaker], *, in_step: bool, wake: Callable[[], None], phrases: Sequence[str]
    ) -> Listener:
        clean = Speaker.CUSTOMER in speakers and Speaker.AGENT in speakers
        meter = VoiceMeter() if clean else None
        return Listener(scheduler, speakers, in_step=in_step, wake=wake, phrases=phrases, voice_meter=meter)

    return Hearing(line, recogniser.name, recogniser.version, recogniser.embedded, listener, scheduler.close)


def fetch_with_progress(name: str, models_dir: Path, console: Console) -> Path:
    """Download a model with a progress bar; its checksums are verified on the way."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)

        def show(file: str, done: int, total: int) -> None:
            progress.update(task, description=file, completed=done, total=total)

        return fetch_model(name, models_dir, show)
