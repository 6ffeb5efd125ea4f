"""What all calls come to: the prevention report, and calls of the past judged again."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import ConfigOption, DataOption, ModelOption, RecogniserOption, app, console, fail, store_of
from assist.settings import load_settings


@app.command()
def report(
    since: Annotated[str, typer.Option(help="First day, such as 2026-11-01. Default: twelve weeks ago.")] = "",
    until: Annotated[str, typer.Option(help="Last day. Default: today.")] = "",
    team: Annotated[str, typer.Option(help="This team's calls only (from five agents up).")] = "",
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of tables.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Prevention: what went wrong, how often, what it cost, what worked, week by week. No agent is named or ranked."""
    from assist.records.export import parse_day
    from assist.records.report_page import tables
    from assist.records.reporting import report_as_json, report_from_store, write_page

    first, last = parse_day(since, "--since"), parse_day(until, "--until")
    with closing(store_of(load_settings(config, data=data))) as store:
        found = report_from_store(store, first, last, team)
    if html is not None:
        write_page(found, html)
    if as_json:
        typer.echo(json.dumps(report_as_json(found), indent=2))
        return
    for part in tables(found):
        console.print(part)
    if html is not None:
        console.print(f"written: {html}", soft_wrap=True)


@app.command()
def backtest(
    what: Annotated[
        list[str] | None, typer.Argument(help="Ids of stored calls, or recordings (stereo, agent left); none: by date.")
    ] = None,
    playbook: Annotated[str, typer.Option(help="The new playbook: a shipped one's name or a TOML file.")] = "",
    rules: Annotated[list[Path] | None, typer.Option(help="Rule files to try besides the shipped ones.")] = None,
    old: Annotated[str, typer.Option(help="The playbook to compare with. Default: the one in the settings.")] = "",
    since: Annotated[str, typer.Option(help="First day of stored calls.")] = "",
    until: Annotated[str, typer.Option(help="Last day of stored calls.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many stored calls, the newest.")] = 200,
    html: Annotated[Path | None, typer.Option(help="Also write a page.")] = None,
    recogniser: RecogniserOption = None,
    model: ModelOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Judge calls of the past with a new playbook or new rules: which prompts would come, go or move."""
    from assist.coach.playbook import load_playbook
    from assist.evaluation.backtest import Configuration
    from assist.evaluation.backtest_run import calls_between, run_backtest
    from detectors.rulebook import load_rules

    if not playbook and not rules:
        fail("nothing to try: give --playbook, --rules, or both", "backtest-empty")
    if what and (since or until):
        fail("name calls or recordings, or say which by --since and --until: not both", "calls-doubled")
    settings = load_settings(config, data=data, recogniser=recogniser, model=model)
    before = Configuration(
        load_playbook(old or settings.playbook, options=settings.options),
        load_rules(extra=settings.rules),
        settings,
    )
    after = Configuration(
        load_playbook(playbook or old or settings.playbook, options=settings.options),
        load_rules(extra=[*settings.rules, *(rules or [])]),
        settings,
    )
    with closing(store_of(settings)) as store:
        query = calls_between(since, until, limit)
        run_backtest(settings, store, console, what or [], old=before, new=after, query=query, html=html)
