"""Commands that take a call: demo, replay, listen, serve, devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from assist.commands.app import (
    AgentOption,
    ConfigOption,
    ConsentOption,
    DataOption,
    ModelOption,
    PlaybookOption,
    PortOption,
    QueueOption,
    RecogniserOption,
    app,
    console,
    fail,
    lasting,
    listing,
    speed_of,
)
from assist.errors import first_problem
from assist.settings import Settings, load_settings

if TYPE_CHECKING:
    from assist.live.joining import Joining


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
    from assist.live.runs import run_demo

    settings = load_settings(None, data=data, port=port, recogniser=recogniser, model=model)
    run_demo(settings, lasting, speed=speed_of(speed), any_port=port is None, browser=browser)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="WAV, FLAC, OGG or MP3; mono or stereo; any sample rate.")],
    speed: Annotated[str, typer.Option(help="1 is real time, max as fast as it goes.")] = "1",
    agent_channel: Annotated[
        int, typer.Option(help="Which channel of a stereo file is the agent: 0 left, 1 right.")
    ] = 0,
    mono: Annotated[str, typer.Option(help="Whose voice a mono file holds: unknown, customer or agent.")] = "unknown",
    queue: QueueOption = "",
    agent: AgentOption = None,
    consent: ConsentOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    playbook: PlaybookOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Take a recorded call through the whole path: words, signals, prompts, record."""
    from assist.live.runs import run_call
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
        lasting,
        _asked(
            recording=recording.absolute(),
            speed=speed_of(speed),
            agent_channel=agent_channel,
            mono=Speaker(mono),
            queue=queue,
            agent=_named(settings),
            consent=consent,
        ),
        _given(recogniser=recogniser, model=model, playbook=playbook, port=port),
    )


@app.command()
def listen(
    microphone: Annotated[
        str | None, typer.Option(help="The agent's microphone: name or number (assist devices).")
    ] = None,
    far_end: Annotated[str | None, typer.Option(help="What carries the customer: name or number.")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this call, which was cut short less than two minutes ago.")
    ] = None,
    caller: Annotated[str, typer.Option(help="How the caller is shown, such as …0142: for Plan B's limits.")] = "",
    value: Annotated[str, typer.Option(help="The customer's value, such as gold: for Plan B's conditions.")] = "",
    queue: QueueOption = "",
    agent: AgentOption = None,
    consent: ConsentOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    playbook: PlaybookOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Listen to a live call on two devices of this machine, with the pages open; Ctrl-C hangs up."""
    from assist.live.runs import run_call

    settings = load_settings(
        config, data=data, port=port, agent=agent, recogniser=recogniser, model=model, playbook=playbook
    )
    joining = _asked(
        microphone=microphone,
        far_end=far_end,
        queue=queue,
        agent=_named(settings),
        consent=consent,
        resume=resume,
        caller=caller,
        value=value,
    )
    run_call(settings, lasting, joining, _given(recogniser=recogniser, model=model, playbook=playbook, port=port))


def _named(settings: Settings) -> str | None:
    """The agent, where option or settings file name one: in a running server with settings of its own, too."""
    return settings.agent if "agent" in settings.model_fields_set else None


def _given(**options: object) -> list[str]:
    return [f"--{name}" for name, value in options.items() if value is not None]


def _asked(**options: Any) -> Joining:
    from assist.live.joining import Joining

    try:
        return Joining(**options)
    except ValidationError as error:
        option, why = first_problem(error)
        fail(f"--{option.replace('_', '-')}: {why}", "option-invalid")


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
    from assist.live.runs import run_server

    settings = load_settings(
        config, data=data, port=port, host=host, recogniser=recogniser, model=model, playbook=playbook
    )
    run_server(settings, lasting)


@app.command()
def devices() -> None:
    """List sound devices and mark those that carry the far end (the customer)."""
    from audio.devices import list_devices

    table = listing("No.", "Device", "System", "Inputs", "Rate", "Carries")
    for device in list_devices():
        carries = "far end (customer)" if device.far_end else "microphone (agent)" if device.inputs else "–"
        if device.default:
            carries += ", default"
        table.add_row(
            str(device.index), device.name, device.host_api, str(device.inputs), f"{device.rate:.0f} Hz", carries
        )
    console.print(table)
    console.print("Use them with: assist listen --microphone NAME --far-end NAME", style="dim")
