"""Practice calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import (
    AgentOption,
    ConfigOption,
    DataOption,
    ModelOption,
    PlaybookOption,
    PortOption,
    RecogniserOption,
    app,
    console,
    lasting,
    listing,
)
from assist.settings import load_settings


@app.command()
def practice(
    call: Annotated[str, typer.Argument(help="A shipped practice call, or a TOML file; none: list them.")] = "",
    page: Annotated[bool, typer.Option("--page", help="Answer on the agent's page instead of the terminal.")] = False,
    aloud: Annotated[bool, typer.Option("--aloud", help="Answer into the microphone.")] = False,
    microphone: Annotated[str | None, typer.Option(help="The microphone: name or number (assist devices).")] = None,
    far_end: Annotated[
        str | None, typer.Option(help="As in `assist listen`: it must be there, and is not listened to.")
    ] = None,
    recording: Annotated[Path | None, typer.Option(help="Take the trainee's voice from this file instead.")] = None,
    agent: AgentOption = "Trainee",
    playbook: PlaybookOption = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    port: PortOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Play an escalation at a trainee, with the live overlay, and tell which steps were done. Nothing is stored."""
    from assist.practice.run import run_practice
    from assist.practice.script import list_scripts, load_script

    if not call:
        table = listing("Practice call", "Title", "What there is to practise")
        for name in list_scripts():
            script = load_script(name)
            table.add_row(name, script.title, script.aim)
        console.print(table)
        return
    settings = load_settings(
        config, data=data, port=port, agent=agent, recogniser=recogniser, model=model, playbook=playbook
    )
    run_practice(
        settings,
        lasting,
        call,
        page=page,
        aloud=aloud or recording is not None,
        microphone=microphone,
        far_end=far_end,
        recording=recording,
    )
