"""The command line: parses, then calls the piece that does the work. Typer's only door."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from assist.errors import AssistError
from assist.settings import Settings, load_settings

app = typer.Typer(
    help="Real-time assist for call centres: listens locally, notices a call turning, shows the next right line.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="Recognition models: list, fetch ahead of time, calibrate.", no_args_is_help=True)
records_app = typer.Typer(help="Incident records: list, show, export.", no_args_is_help=True)
playbook_app = typer.Typer(help="Playbooks: list, check, show what differs.", no_args_is_help=True)
bench_app = typer.Typer(help="Measure this machine: tables from real runs.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.add_typer(records_app, name="records")
app.add_typer(playbook_app, name="playbook")
app.add_typer(bench_app, name="bench")

console = Console(highlight=False)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataOption = Annotated[Path | None, typer.Option("--data", help="Folder of the store and the models.")]
PortOption = Annotated[int | None, typer.Option("--port", help="Port of the pages on loopback (8765).")]
AgentOption = Annotated[str | None, typer.Option("--agent", help="Name of the agent on this call.")]
RecogniserOption = Annotated[str | None, typer.Option("--recogniser", help="auto, whisper or pocketsphinx.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Whisper model: a name (base.en) or a folder.")]
PlaybookOption = Annotated[str | None, typer.Option("--playbook", help="A shipped playbook's name or a TOML file.")]


def main() -> None:
    """Run the command; every expected error is one line on stderr and exit code 1."""
    from assist.playbook import PlaybookError
    from audio.errors import AudioError
    from detectors.rulebook import RuleError
    from overlay.errors import OverlayError

    try:
        app()
    except (AssistError, AudioError, PlaybookError, RuleError, OverlayError) as error:
        fail(str(error), getattr(error, "code", ""))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(text: str, code: str = "") -> NoReturn:
    """One line on stderr, exit code 1."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"[bold red]assist:[/] {text}" + (f" [dim]\\[{code}][/]" if code else ""), markup=True
    )
    sys.exit(1)


@app.command()
def demo(
    port: PortOption = None,
    data: DataOption = None,
    recogniser: RecogniserOption = "pocketsphinx",
    model: ModelOption = None,
    speed: Annotated[str, typer.Option(help="1 is real time, max as fast as it goes.")] = "1",
    browser: Annotated[bool | None, typer.Option(help="Open the agent's page (default: on a terminal).")] = None,
) -> None:
    """Play the bundled sample call through the real recogniser and path, with the pages open, then print its record."""
    from assist.runs import run_demo

    settings = load_settings(None, data=data, port=port, recogniser=recogniser, model=model)
    run_demo(settings, console, speed=_speed(speed), any_port=port is None, browser=browser)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="WAV, FLAC, OGG or MP3; mono or stereo; any sample rate.")],
    speed: Annotated[str, typer.Option(help="1 is real time, max as fast as it goes.")] = "1",
    agent_channel: Annotated[
        int, typer.Option(help="Which channel of a stereo file is the agent: 0 left, 1 right.")
    ] = 0,
    mono: Annotated[str, typer.Option(help="Whose voice a mono file holds: unknown, customer or agent.")] = "unknown",
    agent: AgentOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    playbook: PlaybookOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Take a recorded call through the whole path: words, signals, prompts, record."""
    from assist.joining import Joining
    from assist.runs import run_call
    from audio.events import Speaker

    settings = load_settings(
        config, data=data, port=port, agent=agent, recogniser=recogniser, model=model, playbook=playbook
    )
    if mono not in list(Speaker):
        fail(f"--mono {mono}: expected one of {', '.join(Speaker)}", "mono-invalid")
    if agent_channel not in (0, 1):
        fail(f"--agent-channel {agent_channel}: expected 0 (left) or 1 (right)", "channel-invalid")
    run_call(
        settings,
        console,
        Joining(
            recording=recording.absolute(),
            speed=_speed(speed),
            agent_channel=agent_channel,
            mono=Speaker(mono),
            agent=agent,
        ),
    )


@app.command()
def listen(
    microphone: Annotated[
        str | None, typer.Option(help="The agent's microphone: name or number (assist devices).")
    ] = None,
    far_end: Annotated[str | None, typer.Option(help="What carries the customer: name or number.")] = None,
    agent: AgentOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    playbook: PlaybookOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Listen to a live call on two devices of this machine, with the pages open; Ctrl-C hangs up."""
    from assist.joining import Joining
    from assist.runs import run_call

    settings = load_settings(
        config, data=data, port=port, agent=agent, recogniser=recogniser, model=model, playbook=playbook
    )
    run_call(settings, console, Joining(microphone=microphone, far_end=far_end, agent=agent))


@app.command()
def serve(
    port: PortOption = None,
    host: Annotated[str | None, typer.Option(help="Address to serve on; loopback needs no login.")] = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    playbook: PlaybookOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Serve the pages (agent, board, review); calls of `listen` and `replay` on this machine join it."""
    from assist.runs import run_server

    settings = load_settings(
        config, data=data, port=port, host=host, recogniser=recogniser, model=model, playbook=playbook
    )
    run_server(settings, console)


@app.command()
def devices() -> None:
    """List sound devices and mark those that carry the far end (the customer)."""
    from audio.devices import list_devices

    table = Table("No.", "Device", "System", "Inputs", "Rate", "Carries")
    for device in list_devices():
        carries = "far end (customer)" if device.far_end else "microphone (agent)" if device.inputs else "–"
        if device.default:
            carries += ", default"
        table.add_row(
            str(device.index), device.name, device.host_api, str(device.inputs), f"{device.rate:.0f} Hz", carries
        )
    console.print(table)
    console.print("Use them with: assist listen --microphone NAME --far-end NAME", style="dim")


@models_app.command("list")
def models_list(data: DataOption = None, config: ConfigOption = None) -> None:
    """Models on this machine, and those that can be fetched by name."""
    from audio.models import KNOWN_MODELS, find_model

    settings = load_settings(config, data=data)
    table = Table("Model", "On this machine")
    for name in KNOWN_MODELS:
        found = find_model(name, models_dir=settings.models_dir)
        table.add_row(name, str(found) if found else "–")
    console.print(table)


@models_app.command("fetch")
def models_fetch(name: str, data: DataOption = None, config: ConfigOption = None) -> None:
    """Download a model ahead of time, with its checksums verified."""
    from assist.loading import fetch_with_progress

    settings = load_settings(config, data=data)
    path = fetch_with_progress(name, settings.models_dir, console)
    console.print(f"{name} is ready in {path}")


@models_app.command("calibrate")
def models_calibrate(
    name: str,
    recordings: Annotated[list[Path] | None, typer.Argument(help="Your own recordings.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Compare short recognition windows with full ones and keep the smallest safe floor beside the model."""
    from assist.loading import calibrate_with_table

    settings = load_settings(config, data=data)
    console.print(calibrate_with_table(name, recordings or [], settings.models_dir, console))


@records_app.command("list")
def records_list(
    limit: Annotated[int, typer.Option(min=1)] = 20, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Finished calls, newest first."""
    from assist.record import IncidentRecord
    from assist.record_page import clock
    from assist.store import RecordQuery

    store = _store(load_settings(config, data=data))
    table = Table("Call", "Started", "Agent", "Level reached", "Outcome", "Signals", "Length")
    for body in store.records(RecordQuery(limit=limit)):
        record = IncidentRecord.model_validate(body)
        table.add_row(
            record.call,
            record.started_at[:19],
            record.agent,
            record.level_reached,
            record.outcome,
            str(len(record.signals)),
            clock(record.duration_ms),
        )
    store.close()
    console.print(table)


@records_app.command("show")
def records_show(call: str, data: DataOption = None, config: ConfigOption = None) -> None:
    """One record in full."""
    from assist.terminal import Terminal

    store = _store(load_settings(config, data=data))
    events = store.events(call)
    store.close()
    if not events:
        fail(f"no call {call!r} in this store; see `assist records list`", "record-unknown")
    terminal = Terminal(console)
    for _, event in events:
        terminal.show(event)


@records_app.command("export")
def records_export(
    call: str,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; .json or .html. Default: stdout, JSON.")
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """One record as JSON or HTML."""
    from assist.record import IncidentRecord
    from assist.record_page import page

    store = _store(load_settings(config, data=data))
    body = store.record(call)
    store.close()
    if body is None:
        fail(f"no record of call {call!r}; see `assist records list`", "record-unknown")
    if out is None:
        typer.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    if out.suffix not in (".json", ".html"):
        fail(f"--out {out}: expected a name that ends in .json or .html", "export-format")
    text = page(IncidentRecord.model_validate(body)) if out.suffix == ".html" else json.dumps(body, indent=2)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {out}: {error.strerror}", "export-failed")
    console.print(f"written: {out}")


@playbook_app.command("list")
def playbook_list() -> None:
    """The shipped playbooks."""
    from assist.playbook import list_playbooks, load_playbook

    table = Table("Name", "Method", "Version")
    for name in list_playbooks():
        book = load_playbook(name)
        table.add_row(name, book.name, book.version)
    console.print(table)


@playbook_app.command("check")
def playbook_check(
    playbook: Annotated[list[str] | None, typer.Argument(help="Playbook names or files; default: all shipped.")] = None,
    rules: Annotated[list[Path] | None, typer.Option("--rules", help="Rule files to check as well.")] = None,
) -> None:
    """Check playbooks and rules: keys, limits, reachable steps, and the examples inside every rule file."""
    from assist.playbook import check_playbook, list_playbooks
    from detectors.rulebook import load_rules

    problems = [line for name in (playbook or list_playbooks()) for line in check_playbook(name)]
    rulebook = load_rules(rules or None)
    problems += rulebook.check()
    for line in problems:
        console.print(line, markup=False)
    if problems:
        fail(f"{len(problems)} problem(s) found; the running playbook stays in force", "playbook-invalid")
    console.print(f"playbooks ok; rules ok ({len(rulebook.rules)} rules, version {rulebook.version})")


@playbook_app.command("new")
def playbook_new(
    base: Annotated[str, typer.Argument(help="A shipped playbook to start from (assist playbook list).")],
    out: Annotated[Path, typer.Argument(help="The new TOML file.")],
) -> None:
    """Copy a shipped playbook, comments and all, to edit."""
    from assist.playbook import copy_playbook

    copy_playbook(base, out)
    console.print(f"written: {out}; edit it, then: assist playbook check {out}", markup=False)


@playbook_app.command("diff")
def playbook_diff(before: str, after: str) -> None:
    """What differs between two playbooks: steps, plays, options, lines."""
    from assist.playbook import diff_playbooks, load_playbook

    lines = diff_playbooks(load_playbook(before), load_playbook(after))
    for line in lines:
        console.print(line, markup=False)
    if not lines:
        console.print("no difference")


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
    from assist.evaluating import run_evaluation

    settings = load_settings(config, data=data, recogniser=recogniser, model=model, playbook=playbook)
    run_evaluation(settings, console, what, labels=labels, html=html, rules=rules or [])


@app.command()
def followups(
    data: DataOption = None,
    ical: Annotated[Path | None, typer.Option(help="Also write them as an iCalendar file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Open promises of finished calls, with owner and due day."""
    from assist.promised import open_followups, write_calendar

    store = _store(load_settings(config, data=data))
    table = Table("Call", "What", "Due", "Day", "Owner")
    found = open_followups(store)
    store.close()
    for each in found:
        table.add_row(each.call, each.what, each.due, str(each.day or "–"), each.owner)
    console.print(table)
    if ical is not None:
        write_calendar(found, ical)
        console.print(f"written: {ical}", markup=False)


@bench_app.command("live")
def bench_live(
    recording: Annotated[Path | None, typer.Argument(help="A two-channel recording; default: the demo call.")] = None,
    recogniser: RecogniserOption = "pocketsphinx",
    model: ModelOption = None,
    data: DataOption = None,
) -> None:
    """From the end of the words that fire to the card in a real browser, in real time; cost and memory."""
    import asyncio

    from assist.bench_live import measure_live
    from assist.runs import DEMO_SOUND
    from audio.recording import open_recording

    settings = load_settings(None, data=data, recogniser=recogniser, model=model)
    source = open_recording(recording or DEMO_SOUND, agent_channel=0, speed=1.0)
    console.print(asyncio.run(measure_live(settings, source, console)).table())


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0
    if not speed > 0:
        fail(f"--speed {text}: expected a number above 0, or max", "speed-invalid")
    return speed


def _store(settings: Settings):  # type: ignore[no-untyped-def]
    from assist.store import open_store

    return open_store(settings.store_url)
