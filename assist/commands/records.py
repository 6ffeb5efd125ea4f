"""Finished calls: records and the promises in them."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import (
    CallArgument,
    ConfigOption,
    DataOption,
    app,
    console,
    fail,
    group,
    listing,
    store_of,
)
from assist.settings import load_settings

records_app = group("records", "Incident records: list, show, export, verify; columns of the CSV, JSON Schema.")


@records_app.command("list")
def records_list(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Finished calls, newest first; an id begins with the day and the time at which its call began."""
    from assist.store.rows import latest_texts
    from assist.store.searching import RecordQuery
    from assist.wording import clock

    with closing(store_of(load_settings(config, data=data))) as store:
        found = list(store.digests(RecordQuery(limit=limit)))
        said = store.reviews_by_call([digest["call"] for digest in found])
    table = listing("Call", "Agent", "Level reached", "Outcome", "Signals", "Length")
    for digest in found:
        table.add_row(
            digest["call"],
            digest["agent"],
            digest["level_reached"],
            latest_texts(said.get(digest["call"], ())).get(("outcome", "")) or digest["outcome"],
            str(sum(signal["times"] for signal in digest["signals"])),
            clock(digest["duration_ms"]),
        )
    console.print(table)


@records_app.command("show")
def records_show(call: CallArgument, data: DataOption = None, config: ConfigOption = None) -> None:
    """A call line by line, as its log has it."""
    from assist.access.audit import open_audit
    from assist.live.terminal import Terminal

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        events = store.events(call)
        left = store.record(call) is not None
        if events:
            open_audit(store.people, settings.data).note_command("look", call)
    if left and not events:
        fail(
            f"the words of call {call} are no longer kept; its record is: `assist records export {call}`", "log-erased"
        )
    if not events:
        fail(f"no call {call!r} in this store; see `assist records list`", "record-unknown")
    terminal = Terminal(console)
    for _, event in events:
        terminal.show(event)


@records_app.command("export")
def records_export(
    calls: Annotated[list[str] | None, typer.Argument(help="Ids of calls; none: all that fit.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File (.json, .csv, .html), or a folder with --format. Default: stdout."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="json, csv or html; default: by the name of --out.")] = "",
    since: Annotated[str, typer.Option(help="First day, such as 2026-11-01.")] = "",
    until: Annotated[str, typer.Option(help="Last day.")] = "",
    team: Annotated[str, typer.Option(help="Calls of this team only.")] = "",
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Records as JSON, CSV (a row per call; `assist records columns`) or pages; one, several, or by date."""
    from assist.access.audit import open_audit
    from assist.records.export import FORMATS, export, parse_day, records_between, select_records, serialised

    if form and form not in FORMATS:
        fail(f"--format {form}: expected one of {', '.join(FORMATS)}", "export-format")
    if calls and (since or until or team):
        fail("name calls, or say which by --since, --until and --team: not both", "calls-doubled")
    query = records_between(parse_day(since, "--since"), parse_day(until, "--until"), team)
    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        records = select_records(store, calls or [], query)
        if out is None and form == "html" and len(records) != 1:
            fail("a page holds one record: name one call, or a folder with --out", "export-format")
        open_audit(store.people, settings.data).note_command_for_each("export", records.calls)
        if out is None:
            for part in serialised(records, form or "json"):
                typer.echo(part.encode(), nl=False)  # UTF-8, as the files, whatever the terminal
            return
        files = export(records, out, form)
    console.print(f"written: {out}" + (f" ({files} files)" if files != 1 else ""), soft_wrap=True)


@records_app.command("columns")
def records_columns() -> None:
    """The columns of the CSV and what they mean."""
    from assist.records.export import COLUMNS

    table = listing("Column", "What it holds")
    for column in COLUMNS:
        table.add_row(column.name, column.meaning)
    console.print(table)


@records_app.command("schema")
def records_schema() -> None:
    """JSON Schema of the incident record (also assist/records/record.schema.json)."""
    from assist.records.record import record_schema

    typer.echo(json.dumps(record_schema(), indent=2))


@records_app.command("verify")
def records_verify(
    call: CallArgument,
    record: Annotated[Path | None, typer.Option(help="Verify this exported record (JSON).")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Whether the event log of a call is still the one its record was made from."""
    from assist.records.seal import verify_log

    with closing(store_of(load_settings(config, data=data))) as store:
        console.print(verify_log(store, call, record))


@app.command()
def followups(
    done: Annotated[list[str] | None, typer.Option("--done", help="Mark this one (CALL/ID) done.")] = None,
    reopen: Annotated[list[str] | None, typer.Option("--reopen", help="Mark this one (CALL/ID) open again.")] = None,
    owner: Annotated[str, typer.Option(help="Those of this person only.")] = "",
    ical: Annotated[Path | None, typer.Option(help="Also write them as an iCalendar file.")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Open promises of finished calls, with owner and due day; mark them done."""
    from assist.access.audit import open_audit, system_user
    from assist.records.followups import check_calendar_file, mark_follow_ups, open_followups, write_calendar
    from overlay.identity import casefolded

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        check_calendar_file(ical)  # all that can be refused, before anything is marked
        mark_follow_ups(store, system_user(), done=done or (), reopened=reopen or ())
        found = [each for each in open_followups(store) if not owner or casefolded(owner) == casefolded(each.owner)]
        if ical is not None:
            written = dict.fromkeys(each.call for each in found if each.day is not None)
            open_audit(store.people, settings.data).note_command_for_each("export", written)
    table = listing("Follow-up", "What", "Due", "Means", "Owner")
    for each in found:
        means = f"{each.at:%Y-%m-%d %H:%M}" if each.at is not None else str(each.day or "–")
        table.add_row(each.name, each.what, each.due or "no time named", means, each.owner)
    console.print(table)
    if ical is not None:
        write_calendar(found, ical)
        console.print(f"written: {ical}", soft_wrap=True)
