"""Whether this installation is sound."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Annotated

import typer
from rich.text import Text

from assist.commands.app import ConfigOption, DataOption, ModelOption, PortOption, RecogniserOption, app, console
from assist.hints import complete
from assist.settings import load_settings

COLOURS = {"ok": "green", "warning": "yellow", "bad": "bold red"}


@app.command()
def doctor(
    json_: Annotated[bool, typer.Option("--json", help="The findings as a JSON list.")] = False,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    port: PortOption = None,
    host: Annotated[str | None, typer.Option(help="Address the pages are to be served on.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Check this installation line by line; exit code 1 where something is bad. Changes and fetches nothing."""
    from assist.doctor.examine import examine
    from assist.doctor.finding import Finding, Level

    settings = load_settings(config, data=data, recogniser=recogniser, model=model, port=port, host=host)
    findings: list[Finding] = []
    for found in examine(settings):
        finding = replace(found, text=complete(found.text))
        findings.append(finding)
        if not json_:
            mark, check = (f"{finding.level:<8} ", COLOURS[finding.level]), (f"{finding.check:<12} ", "bold")
            console.print(Text.assemble(mark, check, finding.text), soft_wrap=True)
    bad = sum(finding.level is Level.BAD for finding in findings)
    if json_:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        warnings = sum(finding.level is Level.WARNING for finding in findings)
        console.print(f"{len(findings)} checks: {bad} bad, {warnings} warnings")
    raise typer.Exit(1 if bad else 0)
