"""Chooses, downloads and loads the recogniser, and makes a listener for each call."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from assist.live.hearing import Hearing
from assist.live.reloading import RecogniserReloader, missing_message
from assist.live.terminal import Terminal
from assist.settings import Settings
from assist.sound import whole
from audio.backfill import BackfillBudget, UntranscribedUtterance
from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Speaker
from audio.listener import Listener
from audio.models import choose_recogniser, fetch_model, find_model
from audio.processes import Pool, default_processes, embedded_model
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler
from audio.voice import VoiceMeter
from audio.worker import Model


def load_hearing(settings: Settings, console: Console, *, keep_trying: bool = False) -> Hearing:
    """Choose and load the recogniser and print which it is; one that fails later is loaded again.

    `keep_trying`: if none can be loaded, say so, take calls without transcribing them, and try again until one can.

    Raises:
        AudioError: an unknown, corrupt or wrong model, no memory for it, or no network where one was asked for by name.
    """
    backfill_ms, budget = settings.backfill_s * 1000, BackfillBudget(settings.backfill_total_s * SAMPLE_RATE)
    try:
        recogniser, line = load_recogniser(settings, console, in_processes=True)
    except AudioError as error:
        if not keep_trying:
            raise
        console.print(f"{missing_message(error)} It is tried again.", markup=False, soft_wrap=True)
        scheduler = Scheduler(None, missing=missing_message(error))
        hearing = hearing_with(scheduler, missing_message(error), backfill_ms, budget)
    else:
        scheduler = Scheduler(recogniser)
        hearing = hearing_with(scheduler, line, backfill_ms, budget)
    quiet = Console(quiet=True)
    reloading = RecogniserReloader(hearing, scheduler, lambda: load_recogniser(settings, quiet, in_processes=True))

    def close() -> None:
        reloading.close()
        scheduler.close()

    hearing.close = close
    return hearing


def load_recogniser(settings: Settings, console: Console, *, in_processes: bool = False) -> tuple[Recogniser, str]:
    """The recogniser that the settings ask for, and a line for people that names it.

    `in_processes`: in processes of its own, as calls need it. With `auto` the embedded recogniser replaces a Whisper
    model that cannot be loaded.

    Raises:
        AudioError: as `load_hearing`.
    """
    workers = settings.workers or os.cpu_count() or 1
    choice = choose_recogniser(settings.recogniser, settings.model, settings.models_dir)
    say = Terminal(console).say
    say(choice.line)
    path, line = choice.path, choice.line
    if choice.needs_download:
        path = fetch_with_progress(str(choice.model), settings.models_dir, console)
        line = f"Listening with Whisper {choice.model} from {path}"
    processes = min(workers, settings.processes or default_processes(choice.kind == "whisper")) if in_processes else 1
    threads = workers // processes
    sphinx = embedded_model(processes)
    model = sphinx
    if choice.kind == "whisper" and path is not None:
        model = Model("audio.whisper:WhisperRecogniser", {"folder": str(path), "workers": threads})

    def start(model: Model) -> Recogniser:
        return Pool(model, processes, threads) if in_processes else model.load()

    try:
        return start(model), line
    except AudioError as error:
        if model is sphinx or settings.recogniser == "whisper" or settings.model:
            raise
        line = f"Listening with the built-in PocketSphinx, which mishears more: {error}"
        say(line)
        return start(sphinx), line


def hearing_with(
    scheduler: Scheduler, line: str, backfill_ms: int = 0, budget: BackfillBudget | None = None
) -> Hearing:
    """A Hearing whose listeners decode on this scheduler; `budget`: of the audio held while there is no recogniser."""
    budget = budget or BackfillBudget(0)

    def listener(
        speakers: Sequence[Speaker],
        *,
        in_step: bool,
        wake: Callable[[], None],
        phrases: Sequence[str],
        tone: bool = True,
        on_untranscribed: Callable[[UntranscribedUtterance], None] | None = None,
    ) -> Listener:
        has_customer_channel = Speaker.CUSTOMER in speakers and Speaker.AGENT in speakers
        return Listener(
            scheduler,
            speakers,
            in_step=in_step,
            wake=wake,
            phrases=phrases,
            voice_meter=VoiceMeter() if has_customer_channel and tone else None,
            backfill_ms=backfill_ms,
            budget=budget,
            on_untranscribed=on_untranscribed,
        )

    hearing = Hearing(
        line,
        "no recogniser",
        "",
        False,
        listener,
        scheduler.close,
        lambda: scheduler.recogniser,
        scheduler.decode_in_background,
        budget=budget,
    )
    if scheduler.recogniser is not None:
        hearing.use(scheduler.recogniser, line)
    return hearing


def fetch_with_progress(name: str, models_dir: Path, console: Console) -> Path:
    """Download a model with a progress bar; its checksums are verified on the way."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)

        def show(file: str, done: int, total: int) -> None:
            progress.update(task, description=file, completed=done, total=total)

        return fetch_model(name, models_dir, show)


def calibrate_with_table(name: str, recordings: Sequence[Path], models_dir: Path, console: Console) -> Table:
    """Compare short recognition windows with full ones on recordings and keep the smallest safe floor beside the model.

    Raises:
        AudioError: an unknown or missing model, unreadable recordings, or no speech in them.
    """
    from audio.calibration import calibrate

    path = find_model(name, models_dir=models_dir)
    if path is None:
        raise AudioError("model-missing", f"{name} is not on this machine: run `assist models fetch {name}` first.")
    if not recordings:
        raise AudioError(
            "calibration-no-speech",
            "Name recordings of your own calls: `assist models calibrate NAME CALL.wav ...` (a few minutes of speech).",
        )
    with Progress(TextColumn("comparing windows"), BarColumn(), console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        found = calibrate(
            path,
            [pcm for recording in recordings for pcm in whole(recording).values()],
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    title = (
        "too little speech to decide: nothing is changed (give at least 100 words)"
        if found.floor_frames is None
        else f"windows from {found.floor_frames / 100:g} s are kept as safe for this model"
    )
    table = Table("Shortest window", "Words", "Different", "Decoded again", "CPU", "Safe", title=title)
    for row in found.rows:
        table.add_row(
            f"{row.floor_frames / 100:g} s",
            str(row.words),
            f"{100 * row.different:.1f} %",
            f"{100 * row.retried:.1f} %",
            f"{row.cpu_s:.1f} s",
            "yes" if row.safe else "no",
        )
    return table
