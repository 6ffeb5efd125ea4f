"""Finished calls: records and the promises in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from assist.commands.app import (
    ConfigOption,
    DataOption,
    app,
    console,
    fail,
    group,
    store_of,
)
from assist.settings import load_settings

records_app = group("records", "Incident records: list, show, export.")


@records_app.command("list")
def records_list(
    limit: Annotated[int, typer.Option(min=1)] = 20, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Finished calls, newest first."""
    from assist.records.page import clock
    from assist.records.record import IncidentRecord
    from assist.store.store import RecordQuery

    store = store_of(load_settings(config, data=data))
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
    from assist.live.terminal import Terminal

    store = store_of(load_settings(config, data=data))
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
    from assist.records.page import page
    from assist.records.record import IncidentRecord

    store = store_of(load_settings(config, data=data))
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


@app.command()
def followups(
    data: DataOption = None,
    ical: Annotated[Path | None, typer.Option(help="Also write them as an iCalendar file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Open promises of finished calls, with owner and due day."""
    from assist.records.followups import open_followups, write_calendar

    store = store_of(load_settings(config, data=data))
    table = Table("Call", "What", "Due", "Day", "Owner")
    found = open_followups(store)
    store.close()
    for each in found:
        table.add_row(each.call, each.what, each.due, str(each.day or "–"), each.owner)
    console.print(table)
    if ical is not None:
        write_calendar(found, ical)
        console.print(f"written: {ical}", markup=False)
