"""What is kept of whom, handed out and taken out; how long it stays; how well the masking works."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from assist.commands.app import CallArgument, ConfigOption, DataOption, console, fail, group, store_of
from assist.errors import AssistError
from assist.hints import complete
from assist.settings import Settings, load_settings

privacy_app = group("privacy", "One call's or customer's data: export, erase, hold, release; measure the masking.")
retention_app = group("retention", "How long data stays: show, run.")
CallsArgument = Annotated[list[str] | None, typer.Argument(help="Ids of calls (assist records list).")]
CustomerOption = Annotated[
    str | None, typer.Option("--customer", help='All calls of a customer, by the key shown, such as "…0142".')
]


LONGEST_WHY = 1_000


def _calls(settings: Settings, calls: list[str] | None, customer: str | None) -> list[str]:
    from assist.privacy.retention import calls_of_customer

    if bool(calls) == (customer is not None):
        fail("name calls, or --customer KEY", "calls-missing")
    if calls:
        return list(dict.fromkeys(calls))
    if not customer or not customer.strip():
        fail("--customer is empty: name calls, or the customer's key", "calls-missing")
    with closing(store_of(settings)) as store:
        found = calls_of_customer(store, customer)
    if not found:
        fail(f"no call of a customer {customer!r} is kept", "customer-unknown")
    return found


def _sure(asked: str) -> bool:
    try:
        return typer.confirm(asked)
    except typer.Abort:  # nobody is there to answer
        return False


@privacy_app.command("export")
def privacy_export(
    calls: CallsArgument = None,
    customer: CustomerOption = None,
    out: Annotated[Path, typer.Option("--out", help="The zip file to write; it must not exist yet.")] = Path(
        "export.zip"
    ),
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Everything that is kept of calls or of a customer, as one zip file of JSON, and of WAV where sound is kept."""
    from assist.access.audit import open_audit
    from assist.privacy.retention import check_known, export

    settings = load_settings(config, data=data)
    chosen = _calls(settings, calls, customer)
    with closing(store_of(settings)) as store:
        check_known(store, chosen)
        open_audit(store.people, settings.data).note_command_for_each("export", chosen)
        export(store, chosen, out, settings.data)
    console.print(f"written: {out} ({len(chosen)} calls)", soft_wrap=True)


@privacy_app.command("erase")
def privacy_erase(
    calls: CallsArgument = None,
    customer: CustomerOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Take calls out for good: tables, full-text index, write-ahead log, record files. Also while the server runs."""
    from assist.access.audit import open_audit
    from assist.privacy.retention import check_erasable, erase
    from assist.store.paths import keys_path

    settings = load_settings(config, data=data)
    chosen = _calls(settings, calls, customer)
    if not yes:
        with closing(store_of(settings)) as store:
            check_erasable(store, settings.data, chosen)
        asked = f"Erase {len(chosen)} call(s) for good: {', '.join(chosen[:5])}{' …' if len(chosen) > 5 else ''}?"
        if not _sure(asked):
            fail("nothing is erased: expected y, or --yes, which does not ask", "not-confirmed")
    with closing(store_of(settings)) as store:
        audit = open_audit(store.people, settings.data)
        try:
            erase(store, settings.data, chosen)
        except AssistError as error:
            if error.code == "files-left":  # the calls themselves are gone
                audit.note_command_for_each("erase", chosen)
            raise
        audit.note_command_for_each("erase", chosen)
        backed_up = store.people.last_audit_entry("backup") is not None
    console.print(f"erased: {len(chosen)} call(s); exports are yours to remove", soft_wrap=True)
    if backed_up and not keys_path(settings.data).exists():
        text = (
            f"Their keys were not destroyed: {keys_path(settings.data)} is not there, and with a copy of it a backup "
            "brings them back. Put the newest copy there: `assist retention run` then destroys their keys."
        )
        console.print(complete(text), soft_wrap=True)
    elif backed_up:
        text = (
            "A backup brings them back only with a copy of keys.db from before now: put the present "
            f"{keys_path(settings.data)} in the place of every copy that you keep."
        )
        console.print(text, soft_wrap=True)


@privacy_app.command("hold")
def privacy_hold(
    call: CallArgument,
    why: Annotated[str, typer.Option(help="Why, such as a case number.")],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Keep a call from being erased or purged until it is released; a further reason is added to the ones it has."""
    from assist.access.audit import open_audit, system_user
    from assist.privacy.retention import check_known
    from assist.store.rows import Hold, stamp

    why = " ".join(why.split())  # one line of `assist retention show`
    if not why:
        fail("--why is empty: say why, such as a case number", "hold-why")
    if len(why) > LONGEST_WHY:
        fail(f"--why: expected at most {LONGEST_WHY} characters, such as a case number", "hold-why")
    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        check_known(store, [call])
        audit = open_audit(store.people, settings.data)
        before = next((hold.why for hold in store.holds() if hold.call == call), "")
        reasons = before if f"; {why};" in f"; {before};" else "; ".join(filter(None, (before, why)))
        store.hold(Hold(call, system_user(), reasons, stamp())).result()
        audit.note_command("hold", call, why)
    console.print(f"{call} is on hold: {reasons}")


@privacy_app.command("release")
def privacy_release(call: CallArgument, data: DataOption = None, config: ConfigOption = None) -> None:
    """End the hold of a call."""
    from assist.access.audit import open_audit

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        reasons = next((hold.why for hold in store.holds() if hold.call == call), None)
        if reasons is None:
            fail(f"call {call} is not on hold; see `assist retention show`", "hold-unknown")
        audit = open_audit(store.people, settings.data)
        store.release(call).result()
        audit.note_command("release", call, reasons)
    console.print(f"{call} is no longer on hold: {reasons}")


@privacy_app.command("measure")
def privacy_measure(
    spoken: Annotated[int, typer.Option(help="Also read that many card numbers aloud (needs flite).")] = 0,
    unseen: Annotated[
        bool,
        typer.Option(
            "--unseen", help="With --spoken: by a voice it was not tuned on (needs festival and festvox-kdlpc16k)."
        ),
    ] = False,
) -> None:
    """How much of generated numbers the masking catches, with 95 % intervals; also read aloud, if asked."""
    from assist.evaluation.masking import measure_masking
    from assist.evaluation.masking_cases import held_out, tuned

    table = Table("Set", "Kind", "Masked whole", "95 % from", "Provisional leaks")
    for name, cases in (("tuned", tuned()), ("held out", held_out())):
        for each in measure_masking(cases):
            table.add_row(
                name, each.kind, f"{each.whole}/{each.cases}", f"{100 * each.share.low:.1f} %", str(each.partial_leaks)
            )
    console.print(table)
    if spoken:
        from assist.evaluation.spoken_masking import HELD_OUT_VOICES, VOICES, measure_spoken
        from audio.sphinx import SphinxRecogniser

        found = measure_spoken(SphinxRecogniser(decoders=1), spoken, voices=HELD_OUT_VOICES if unseen else VOICES)
        console.print(
            f"read aloud: {found.none_left}/{found.numbers} with no digit word left "
            f"(95 % from {100 * found.none_share.low:.1f} %), {found.few_left} with fewer than four; "
            f"{found.seen} of {found.said} recognised digit words left in sight; "
            f"{found.partial_leaks} provisional texts with three of them"
        )


@retention_app.command("show")
def retention_show(data: DataOption = None, config: ConfigOption = None) -> None:
    """What is kept for how long, what is due, what is on hold."""
    from assist.privacy.clock_check import clock_doubt
    from assist.privacy.retention import find_due

    settings, now = load_settings(config, data=data), datetime.now(UTC)
    with closing(store_of(settings)) as store:
        found = find_due(store, settings.keep, now, settings.data)
        doubt = clock_doubt(store, found, now)
        holds = store.holds()
    keep = settings.keep
    table = Table("Kind", "Kept for", "Due now")
    table.add_row(
        "sound",
        f"{keep.audio_days} days" if settings.recordings else "not kept (recordings = false)",
        str(len(found.recordings)),
    )
    table.add_row("words: events, transcript, quotes", f"{keep.transcript_days} days", str(len(found.words)))
    table.add_row("record and reviews", f"{keep.review_days} days", str(len(found.records)))
    table.add_row("consent row of a call", f"{keep.consent_days} days", str(len(found.gates)))
    table.add_row("audit log", f"{keep.audit_days} days", f"{found.audit} entries" if found.audit else "0")
    table.add_row("store put aside by a restore", f"{keep.transcript_days} days", str(len(found.stores)))
    console.print(table)
    if doubt is not None:
        console.print(complete(f"It waits: {doubt}"), soft_wrap=True)
    for hold in holds:
        console.print(f"on hold: {hold.call} ({hold.by}, {hold.at[:10]}): {hold.why}")


def _clock_is_right(settings: Settings) -> bool:
    """Whether somebody says so of a clock that is doubted; while they are asked nobody waits for the store."""
    from assist.privacy.clock_check import clock_doubt
    from assist.privacy.retention import find_due

    now = datetime.now(UTC)
    with closing(store_of(settings)) as store:
        doubt = clock_doubt(store, find_due(store, settings.keep, now, settings.data), now)
    return doubt is not None and _sure(complete(f"It waits: {doubt}. Is the clock right?"))


@retention_app.command("run")
def retention_run(
    yes: Annotated[bool, typer.Option("--yes", help="The clock is right: do not ask.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Take out what is due now; `assist serve` does so by itself every day. Asks where the clock is doubted."""
    from assist.access.audit import open_audit, system_user
    from assist.privacy.clock_check import begin_run
    from assist.privacy.retention import erase_due, find_due

    settings = load_settings(config, data=data)
    is_confirmed = yes or _clock_is_right(settings)
    with closing(store_of(settings)) as store:
        audit, now = open_audit(store.people, settings.data), datetime.now(UTC)
        found = find_due(store, settings.keep, now, settings.data)
        begin_run(store, audit, found, now, by=system_user(), is_confirmed=is_confirmed)
        found = erase_due(store, audit, settings.keep, settings.data, now, found)
    console.print(
        f"taken out: words of {len(found.words)} calls, {len(found.recordings)} recordings, {len(found.records)} "
        f"records, {len(found.gates)} consent rows, {found.audit} old entries of the audit log, {len(found.stores)} "
        f"stores put aside by a restore; {len(found.held)} kept on hold"
    )
