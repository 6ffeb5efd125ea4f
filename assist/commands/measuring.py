"""Figures: detectors on labelled data, this machine under load."""

from __future__ import annotations

from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import (
    ConfigOption,
    DataOption,
    ModelOption,
    PlainConsole,
    PlaybookOption,
    RecogniserOption,
    app,
    console,
    fail,
    group,
    store_of,
)
from assist.settings import load_settings

bench_app = group("bench", "Measure this machine: tables from real runs.")


@app.command("eval")
def evaluate(
    what: Annotated[
        list[Path] | None,
        typer.Argument(
            help='Utterances {"speaker", "text", "labels"} or calls {"call", "turns": [{"speaker", "text", "start", '
            '"labels"}], "escalates_at"} as JSON lines, a list or .csv, folders of either, or of audio (--labels).'
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Label table of a folder of audio: path, speaker, label (anger, calm ...); path, signals."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots.")] = None,
    rules: Annotated[list[Path] | None, typer.Option(help="Rule files besides the shipped ones.")] = None,
    marks: Annotated[
        bool, typer.Option("--marks", help="Also what people have marked right, wrong or missed in this store's calls.")
    ] = False,
    playbook: PlaybookOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure the signals on labelled lines, calls or clips: precision, recall, F1, false alarms, delay."""
    from assist.evaluation.command import run_evaluation

    if labels is not None and not what:
        fail(f"--labels {labels}: name the folder in which its audio files are, too", "eval-input")
    if not what and not marks:
        fail("nothing to measure: name labelled lines, calls or audio, or give --marks", "eval-input")
    settings = load_settings(config, data=data, recogniser=recogniser, model=model, playbook=playbook)
    tell = PlainConsole(stderr=True, highlight=False, markup=False, soft_wrap=True).print
    with closing(store_of(settings)) if marks else nullcontext() as store:
        run_evaluation(
            settings, console, what or [], labels=labels, html=html, rules=rules or [], store=store, tell=tell
        )


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
    from assist.sound import DEMO_SOUND
    from audio.recording import open_recording

    settings = load_settings(None, data=data, recogniser=recogniser, model=model)
    source = open_recording(recording or DEMO_SOUND, agent_channel=0, speed=1.0)
    console.print(asyncio.run(measure_live(settings, source, console)).table())


@bench_app.command("screens")
def bench_screens(
    pages: Annotated[int, typer.Option(min=1, help="Open pages at once.")] = 1_000,
    calls: Annotated[int, typer.Option(min=1, help="Calls on the board.")] = 200,
) -> None:
    """How soon the pages have what the server says, and what an open page costs."""
    import asyncio

    from assist.bench.screens import measure_screens

    console.print(asyncio.run(measure_screens(pages, calls)).table())


RecordingArgument = Annotated[Path | None, typer.Argument(help="A recorded call; default: the sample call.")]
ReferenceOption = Annotated[
    Path | None, typer.Option(help="JSON with the words spoken and their times; without it the model's own transcript.")
]
SecondsOption = Annotated[float | None, typer.Option(min=1, help="Play only the first seconds of the recording.")]
WindowOption = Annotated[
    float | None, typer.Option(help="Shortest recognition window in seconds; default: as calibrated, otherwise 10.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
WorkersOption = Annotated[int | None, typer.Option(help="Recognition workers; default: one per core.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]


@bench_app.command("listen")
def bench_listen(
    recording: RecordingArgument = None,
    calls: Annotated[str, typer.Option(help="Numbers of simultaneous calls.")] = "1,2,4,8",
    reference: ReferenceOption = None,
    agent_channel: Annotated[int, typer.Option(help="Which channel is the agent: 0 left, 1 right.")] = 0,
    seconds: SecondsOption = None,
    window: WindowOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    peers: Annotated[bool, typer.Option(help="Also the same through other programs, where installed.")] = False,
    peer: Annotated[
        list[str] | None, typer.Option(help="Where one is installed, as MODULE=PYTHON; implies --peers.")
    ] = None,
    json: JsonOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """How late words are, how right, and what they cost, with so many calls at once in real time."""
    from assist.bench.listening import JSON_BEGINS, compare, write_json
    from assist.bench.material import load_material
    from assist.bench.peers.running import peers_named
    from assist.bench.recogniser_setup import choose_setup
    from assist.bench.tables import listen_table
    from assist.files import check_file

    settings = load_settings(config, data=data, recogniser=recogniser, model=model, workers=workers)
    counts = _counts(calls)
    check_file(json, JSON_BEGINS)
    named = peers_named(peer) if peers or peer else None
    material = load_material(recording, reference, agent_channel=agent_channel, seconds=seconds)
    setup = choose_setup(settings, console, device=device, window_s=window)
    found = compare(console, material, setup, counts, peers=named)
    console.print(listen_table(found))
    if json is not None:
        write_json(json, found)


@bench_app.command("capacity")
def bench_capacity(
    recording: RecordingArgument = None,
    limit: Annotated[float, typer.Option(help="Seconds within which 95 of 100 words must be settled.")] = 1.0,
    most: Annotated[int, typer.Option(help="Do not try more calls than this.")] = 64,
    reference: ReferenceOption = None,
    agent_channel: Annotated[int, typer.Option(help="Which channel is the agent: 0 left, 1 right.")] = 0,
    seconds: SecondsOption = 30,
    window: WindowOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """How many calls at once this machine carries with its words settled in time."""
    from assist.bench.listening import find_capacity
    from assist.bench.material import load_material
    from assist.bench.recogniser_setup import choose_setup
    from assist.bench.tables import capacity_line, capacity_table

    settings = load_settings(config, data=data, recogniser=recogniser, model=model, workers=workers)
    if not (limit > 0 and most > 0):
        fail(f"--limit {limit:g} --most {most}: expected numbers above 0", "limit-invalid")
    material = load_material(recording, reference, agent_channel=agent_channel, seconds=seconds)
    setup = choose_setup(settings, console, device=device, window_s=window)
    name, loads = find_capacity(console, material, setup, limit_ms=round(limit * 1000), most=most)
    console.print(capacity_table(name, loads))
    console.print(capacity_line(loads, round(limit * 1000)), style="bold")


@bench_app.command("shapes")
def bench_shapes(
    shape: Annotated[list[str] | None, typer.Argument(help="tiny, base, small; default: all three.")] = None,
    calls: Annotated[str, typer.Option(help="Numbers of simultaneous calls.")] = "1",
    limit: Annotated[
        float,
        typer.Option(help="Also find the most calls with 95 of 100 words settled within these seconds; 0: do not."),
    ] = 1.5,
    most: Annotated[int, typer.Option(help="Do not try more calls than this.")] = 64,
    seconds: SecondsOption = 20,
    window: WindowOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
) -> None:
    """What Whisper models cost on this machine, before one is fetched: true shapes, random weights, no words."""
    from assist.bench.material import load_material
    from assist.bench.shapes import measure_shapes

    measure_shapes(
        console,
        load_material(seconds=seconds),
        shape or ["tiny", "base", "small"],
        _counts(calls),
        limit_ms=round(limit * 1000),
        most=most,
        window_s=window,
        device=device,
        workers=workers,
    )


@bench_app.command("endurance")
def bench_endurance(
    recording: RecordingArgument = None,
    hours: Annotated[float, typer.Option(min=0.01, help="Length of the call.")] = 1.0,
    pause: Annotated[float, typer.Option(min=0, help="Seconds of silence each time the recording is over.")] = 0.0,
    window: WindowOption = None,
    workers: WorkersOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """One long call, as fast as it goes: does its memory grow?"""
    from assist.bench.endurance import endure
    from assist.bench.material import load_material
    from assist.bench.recogniser_setup import choose_setup

    settings = load_settings(config, data=data, recogniser=recogniser, model=model, workers=workers)
    setup = choose_setup(settings, console, window_s=window)
    console.print(endure(console, load_material(recording), setup, hours=hours, pause_s=pause).table())


def _counts(text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        fail(f"--calls {text}: expected numbers from 1, such as 1,2,4,8", "calls-invalid")
    return counts


@bench_app.command("search")
def bench_search(
    records: Annotated[int, typer.Option(min=1, help="Records kept.")] = 10_000,
) -> None:
    """How soon a search of the review page is answered with many records kept."""
    from assist.bench.searching import measure_search

    console.print(measure_search(records).table())


@bench_app.command("nonspeech")
def bench_nonspeech(
    recordings: Annotated[
        list[Path] | None, typer.Argument(help="Recordings without speech: hold music, an empty office.")
    ] = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Words invented on tones, music, noise and silence: made here, and on recordings of your own."""
    from assist.bench.nonspeech import nonspeech_table

    settings = load_settings(config, data=data, recogniser=recogniser, model=model)
    console.print(nonspeech_table(settings, recordings or [], console))
