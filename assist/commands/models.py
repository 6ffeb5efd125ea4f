"""Recognition models: list, fetch, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import ConfigOption, DataOption, console, group, listing
from assist.settings import load_settings

NameArgument = Annotated[str, typer.Argument(help="A model's name, such as base.en (assist models list).")]
models_app = group("models", "Recognition models: list, fetch ahead of time, calibrate.")


@models_app.command("list")
def models_list(data: DataOption = None, config: ConfigOption = None) -> None:
    """Models on this machine, and those that can be fetched by name."""
    from audio.models import KNOWN_MODELS, find_model

    settings = load_settings(config, data=data)
    table = listing("Model", "On this machine")
    for name in KNOWN_MODELS:
        found = find_model(name, models_dir=settings.models_dir)
        table.add_row(name, str(found) if found else "–")
    console.print(table)


@models_app.command("fetch")
def models_fetch(name: NameArgument, data: DataOption = None, config: ConfigOption = None) -> None:
    """Download a model ahead of time, with its checksums verified."""
    from assist.live.loading import fetch_with_progress

    settings = load_settings(config, data=data)
    path = fetch_with_progress(name, settings.models_dir, console)
    console.print(f"{name} is ready in {path}")


@models_app.command("calibrate")
def models_calibrate(
    name: NameArgument,
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="Your own calls: some minutes of speech, at least 100 words.")
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Compare short recognition windows with full ones and keep the smallest safe floor beside the model."""
    from assist.live.loading import calibrate_with_table

    settings = load_settings(config, data=data)
    console.print(calibrate_with_table(name, recordings or [], settings.models_dir, console))
