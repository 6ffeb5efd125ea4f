"""`assist bench shapes`: what Whisper models of the true sizes cost on this machine, measured on random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assist.bench.alone import alone
from assist.bench.listening import steps
from assist.bench.material import Material
from assist.bench.recogniser_setup import RecogniserSetup, checked_setup, measure_load
from assist.bench.tables import add_loads, capacity_line, load_table
from assist.errors import AssistError
from audio.measuring import Load, capacity
from audio.shapes import SHAPES, TOKENS_PER_S, ShapeRecogniser, make_shape

WINDOWS = (300, 600, 1000, 3000)
"""Frames whose encoding is timed: 3, 6, 10 and 30 s."""


def measure_shapes(
    console: Console,
    material: Material,
    names: Sequence[str],
    counts: Sequence[int],
    *,
    limit_ms: int,
    most: int,
    window_s: float | None,
    device: str,
    workers: int | None,
) -> None:
    """Make each shape, time its encoder, play the material as so many calls, find the most; prints as it goes.

    Raises AssistError shape-unknown, and what `checked_setup` raises.
    """
    for name in names:
        if name not in SHAPES:
            raise AssistError("shape-unknown", f"No shape is called {name}; expected one of: {', '.join(SHAPES)}.")
    setup = checked_setup(None, workers=workers or 0, device=device, window_s=window_s)
    console.print(
        "Random weights: the cost and the lateness are real, the words are not "
        f"({TOKENS_PER_S:g} tokens per second of speech are decoded, the pace of talk)."
    )
    encoder = Table("Encoder, one at a time (CPU ms; on a GPU ms)", *(f"{frames // 100} s" for frames in WINDOWS))
    loads = load_table(f"{material.seconds:.0f} s of {material.name} as so many calls at once, in real time")
    answers = []
    with tempfile.TemporaryDirectory() as folder, steps(console) as step:
        for name in names:
            shaped = replace(setup, folder=make_shape(name, Path(folder) / name), random_weights=True)
            times = step(f"{name}: encoder", alone, encoder_times, shaped)
            encoder.add_row(name, *(f"{ms:.1f} ms" for ms in times))
            measured: dict[int, Load] = {}

            def measure(calls: int, shaped: RecogniserSetup = shaped, measured: dict[int, Load] = measured) -> Load:
                if calls not in measured:
                    what = f"{shaped.folder.name if shaped.folder else ''}: {calls} at once"
                    _, measured[calls] = step(what, alone, measure_load, shaped, material.sound, None, calls)
                return measured[calls]

            for calls in counts:
                measure(calls)
            tried = capacity(measure, limit_ms=limit_ms, most=most) if limit_ms else []
            add_loads(loads, name, [measured[calls] for calls in sorted(measured)], random_weights=True)
            loads.add_section()
            if tried:
                answers.append(f"{name}: {capacity_line(tried, limit_ms)}")
    console.print(encoder)
    console.print(loads)
    for answer in answers:
        console.print(answer, style="bold", highlight=False)


def encoder_times(setup: RecogniserSetup, *, progress: Callable[[float], None]) -> list[float]:
    """Milliseconds of each window's encoding; for a process of its own."""
    recogniser = setup.load()
    assert isinstance(recogniser, ShapeRecogniser)
    return [recogniser.encoder_ms(frames) for frames in WINDOWS]
