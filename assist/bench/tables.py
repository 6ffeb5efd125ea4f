"""The benches' figures as tables."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich import box
from rich.table import Table

from assist.bench.listening import BUSY, OURS, Comparison, counted, verdicts
from audio.measuring import Load, within


def listen_table(found: Comparison) -> Table:
    """The comparison as a table."""
    sound = f"{found.material.name} ({found.material.seconds:.0f} s, {len(found.material.sound)} channels)"
    table = load_table(
        f"{sound} as so many calls at once, in real time\n"
        f"{found.recogniser}, {found.setup.workers} workers on {os.cpu_count()} cores"
    )
    for system in dict.fromkeys(row.system for row in found.rows):
        add_loads(table, system, found.of(system))
        for row in found.rows:
            if row.system == system and row.load is None:
                table.add_row(system, "", row.trouble)
        table.add_section()
    lines = [
        f"Times count from a word's end; CPU is per second of one call; RTF is the share of the whole machine in use. "
        f"Word errors against {found.reference}.",
        *found.notes,
        *verdicts(found),
    ]
    if found.busy > BUSY:
        lines.append(f"Something else kept {found.busy:.0%} of this machine busy: repeat it when idle.")
    table.caption = "\n".join(lines)
    table.caption_justify = "left"
    return table


def load_table(title: str) -> Table:
    """An empty table of loads, as narrow as a terminal of 80 columns."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("", overflow="fold")
    for heading in (
        "calls",
        "shown s\n50/95 %",
        "settled s\n50/95 %",
        "word\nerrors",
        "CPU-s\nper s",
        "RTF",
        "peak\nMiB",
        "MiB per\nmore",
    ):
        table.add_column(heading, justify="right", overflow="fold")
    return table


def add_loads(table: Table, system: str, loads: Sequence[Load], *, random_weights: bool = False) -> None:
    """One system's rows. The real-time factor (RTF) is the share of the whole machine that the calls took."""
    cores = os.cpu_count() or 1
    for number, load in enumerate(loads):
        table.add_row(
            "" if number else system,
            str(load.calls),
            _seconds(load.shown_ms),
            _seconds(load.settled_ms),
            "–" if random_weights else f"{100 * load.error_rate:.1f} %",
            f"{load.cpu_per_audio:.3f}",
            f"{load.cores / cores:.2f}",
            f"{load.peak_mib:.0f}",
            added(loads, load),
        )


def added(loads: Sequence[Load], load: Load) -> str:
    """Peak memory per call more than in the first load."""
    more = load.calls - loads[0].calls
    return f"{(load.peak_mib - loads[0].peak_mib) / more:.1f}" if more > 0 else ""


def capacity_table(name: str, loads: Sequence[Load]) -> Table:
    """The loads tried on the way to the largest, in the order of their size."""
    table = load_table(f"{name}, on {os.cpu_count()} cores")
    add_loads(table, OURS, sorted(loads, key=lambda load: load.calls))
    return table


def capacity_line(loads: Sequence[Load], limit_ms: int) -> str:
    """The answer in one sentence."""
    good = max((load.calls for load in loads if within(load, limit_ms)), default=0)
    limit = f"95 % of words settled within {limit_ms / 1000:g} s"
    if not good:
        return f"This machine does not carry one such call with {limit}: take a smaller model, or a shorter --window."
    if all(within(load, limit_ms) for load in loads):
        return f"This machine carries at least {counted(good)} at once with {limit}; more were not tried (--most)."
    return f"This machine carries {counted(good)} at once with {limit}."


def _seconds(spread: tuple[int, int]) -> str:
    return f"{spread[0] / 1000:.2f}/{spread[1] / 1000:.2f}" if any(spread) else "–"
