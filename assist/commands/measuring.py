"""Figures: detectors on labelled data, this machine under load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import (
    ConfigOption,
    DataOption,
    ModelOption,
    PlaybookOption,
    RecogniserOption,
    app,
    console,
    group,
)
from assist.settings import load_settings

bench_app = group("bench", "Measure this machine: tables from real runs.")


@app.command("eval")
def evaluate(
    what: Annotated[
        list[Path], typer.Argument(help="JSON lines of utterances or calls, folders of calls, or of audio (--labels).")
    ],
    labels: Annotated[
        Path | None, typer.Option(help="Label table (path, speaker, label) of a folder of audio.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots.")] = None,
    rules: Annotated[list[Path] | None, typer.Option(help="Rule files besides the shipped ones.")] = None,
    playbook: PlaybookOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure the signals on labelled lines, calls or clips: precision, recall, F1, false alarms, delay."""
    from assist.evaluation.command import run_evaluation

    settings = load_settings(config, data=data, recogniser=recogniser, model=model, playbook=playbook)
    run_evaluation(settings, console, what, labels=labels, html=html, rules=rules or [])


@bench_app.command("live")
def bench_live(
    recording: Annotated[Path | None, typer.Argument(help="A two-channel recording; default: the demo call.")] = None,
    recogniser: RecogniserOption = "pocketsphinx",
    model: ModelOption = None,
    data: DataOption = None,
) -> None:
    """From the end of the words that fire to the card in a real browser, in real time; cost and memory."""
    import asyncio

    from assist.bench.live import measure_live
    from assist.live.runs import DEMO_SOUND
    from audio.recording import open_recording

    settings = load_settings(None, data=data, recogniser=recogniser, model=model)
    source = open_recording(recording or DEMO_SOUND, agent_channel=0, speed=1.0)
    console.print(asyncio.run(measure_live(settings, source, console)).table())
