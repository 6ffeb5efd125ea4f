"""`assist bench listen` and `assist bench capacity`: words and their cost under load, beside other programs."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from assist.bench.alone import alone
from assist.bench.material import Material
from assist.bench.peers.peer import Peer
from assist.bench.peers.running import PEERS, measure_peer, python_of, variable
from assist.bench.recogniser_setup import RecogniserSetup, measure_load, transcribe
from assist.errors import AssistError
from assist.files import check_file, write_file
from audio.measuring import Load, capacity

Step = Callable[..., Any]
"""Runs a step of a bench with its own bar, as `step(what, function, argument ...)`; gives what the function gives."""

OURS = "call-assist"
BUSY = 0.25
"""Share of the cores in use by others above which figures are not to be trusted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One system under one load."""

    system: str
    load: Load | None
    trouble: str = ""
    """Why there are no figures."""


@dataclass
class Comparison:
    """Everything measured in one run."""

    material: Material
    setup: RecogniserSetup
    recogniser: str = ""
    reference: str = ""
    """Where the true words come from."""
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    busy: float = 0.0
    """Load average per core before the first run: what others were doing."""

    def of(self, system: str) -> list[Load]:
        """A system's loads, in the order measured."""
        return [row.load for row in self.rows if row.system == system and row.load is not None]


def compare(
    console: Console,
    material: Material,
    setup: RecogniserSetup,
    counts: Sequence[int],
    *,
    peers: Mapping[str, Path] | None = None,
) -> Comparison:
    """Each number of calls through this program and, where `peers` is given, through every peer installed.

    `peers` maps a peer's module to the Python it is installed in; those not named are looked for in their environment
    variable and in this Python.
    """
    found = Comparison(material, setup, busy=busy())
    known = material.words
    pythons = {}
    if peers is not None:
        if setup.folder is None:
            raise AssistError(
                "peers-need-whisper", "--peers: the others run Whisper models only; give one with --model."
            )
        pythons = {peer: python_of(peer, peers) for peer in PEERS}
    with steps(console) as step:
        if known is None:
            spoken = tuple(step("full-window transcript, as reference", alone, transcribe, setup, material.sound))
            if not spoken:
                raise AssistError("bench-no-words", f"{material.name}: no word was heard in it; give a recorded call.")
            material = found.material = replace(material, words=spoken)
            found.reference = "this model's own transcript with full windows and all the time it wants"
        else:
            found.reference = "the words spoken, with their true times"
        assert material.words is not None
        for calls in counts:
            what = f"{OURS}, {counted(calls)}"
            found.recogniser, load = step(what, alone, measure_load, setup, material.sound, material.words, calls)
            found.rows.append(Row(OURS, load))
        for peer, python in pythons.items():
            if python is not None:
                _add_peer(found, step, peer, python, counts)
            else:
                found.notes.append(
                    f"{peer.name} is not installed: pip install {peer.package} in an environment of its own, then "
                    f"--peer {peer.module}=PYTHON (or {variable(peer)})"
                )
    return found


def _add_peer(found: Comparison, step: Step, peer: Peer, python: Path, counts: Sequence[int]) -> None:
    """One peer's rows, up to the first number of calls that it fails at, and how it was set."""
    material, folder = found.material, found.setup.folder
    for calls in counts:
        what = f"{peer.name}, {counted(calls)}"
        try:
            load = step(what, measure_peer, peer, python, folder, material.sound, material.words, calls=calls)
        except AssistError as error:
            found.rows.append(Row(peer.name, None, f"{counted(calls)}: {error}"))
            break
        found.rows.append(Row(peer.name, load))
    found.notes.append(f"{peer.name}: {peer.settings}")


def find_capacity(
    console: Console, material: Material, setup: RecogniserSetup, *, limit_ms: int, most: int
) -> tuple[str, list[Load]]:
    """The recogniser's name, and the loads on the way to the largest this machine carries in time."""
    name = ""
    with steps(console) as step:

        def measured(calls: int) -> Load:
            nonlocal name
            load: Load
            name, load = step(counted(calls), alone, measure_load, setup, material.sound, material.words, calls)
            return load

        loads = capacity(measured, limit_ms=limit_ms, most=most)
    return name, loads


def verdicts(found: Comparison) -> list[str]:
    """This program against the best streaming peer in each figure, at each number of calls.

    Who has settled no word rightly has no lateness. A peer that falls behind costs no more than the machine has, and
    leaves words out: its cost is then no measure of its work, and is not compared.
    """
    lines = []
    for ours in found.of(OURS):
        others = [
            (load, peer.name, _behind(load, found.of(peer.name)))
            for peer in PEERS
            if peer.streaming
            for load in found.of(peer.name)
            if load.calls == ours.calls and load.cpu_per_audio
        ]
        if not others:
            continue
        keeping_up = [other for other in others if not other[2]]
        cheap = min(keeping_up, key=lambda other: other[0].cpu_per_audio, default=None)
        heard = [other for other in others if other[0].settled_ms[1]]
        soon = min(heard, key=lambda other: other[0].settled_ms[1], default=None)
        right = min(others, key=lambda other: other[0].error_rate)
        cost = f"CPU {ours.cpu_per_audio / cheap[0].cpu_per_audio:.2f} of {cheap[1]}" if cheap else "none keeps up"
        late = f"{ours.settled_ms[1] / soon[0].settled_ms[1]:.2f} of {soon[1]}" if soon and ours.settled_ms[1] else "–"
        lines.append(
            f"{counted(ours.calls)}, against the best streaming peer in each: {cost}, settled (95 %) {late}, "
            f"word errors {100 * ours.error_rate:.1f} % against {100 * right[0].error_rate:.1f} % of {right[1]}"
        )
    return lines


def _behind(load: Load, loads: Sequence[Load]) -> bool:
    """Whether the same system settles words far later than with the fewest calls, or loses them."""
    fewest = min(loads, key=lambda each: each.calls)
    return load.settled_ms[1] > 2 * max(1000, fewest.settled_ms[1]) or load.error_rate > fewest.error_rate + 0.1


JSON_BEGINS = '{\n "recording"'


def write_json(path: Path, found: Comparison) -> None:
    """The comparison, for a program to read. Raises AssistError where it cannot be written."""
    body: dict[str, Any] = {
        "recording": found.material.name,
        "seconds": found.material.seconds,
        "reference": found.reference,
        "recogniser": found.recogniser,
        "workers": found.setup.workers,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "busy_before": found.busy,
        "rows": [
            {"system": row.system, "trouble": row.trouble, **(asdict(row.load) if row.load else {})}
            for row in found.rows
        ],
        "notes": [*found.notes, *verdicts(found)],
    }
    check_file(path, JSON_BEGINS)
    write_file(path, json.dumps(body, indent=1) + "\n")


@contextlib.contextmanager
def steps(console: Console) -> Iterator[Step]:
    """While the block runs, a `Step`."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:

        def step(what: str, work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
            task = bars.add_task(what, total=1.0)
            answer = work(*arguments, **named, progress=lambda share: bars.update(task, completed=share))
            bars.update(task, completed=1.0)
            return answer

        yield step


def busy() -> float:
    """Load average per core: what this machine is doing already."""
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except (AttributeError, OSError):
        return 0.0


def counted(count: int) -> str:
    """So many calls, in words."""
    return f"{count} call" + "s" * (count != 1)
