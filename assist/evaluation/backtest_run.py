"""The back-test command: stored calls or recordings, tables for the terminal, an HTML page."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from assist.access.audit import open_audit
from assist.errors import AssistError
from assist.evaluation.backtest import CallChanges, Configuration, compare
from assist.events import Event
from assist.files import PAGE_BEGINS, check_file, write_file
from assist.privacy.consent import Consent
from assist.records.export import parse_day, records_between
from assist.records.sheet import html_page, section
from assist.settings import Settings
from assist.store.rows import Review, verdicts
from assist.store.searching import RecordQuery
from assist.store.sqlite import temporary_folder
from assist.store.store import Store, path_from_url
from assist.wording import clock, label
from audio.events import Speaker
from audio.source import CallSource
from detectors.rulebook import load_rules

KINDS = ("gained", "lost", "moved", "reworded", "kept")
Marks = dict[str, str]


def stored_calls(store: Store, calls: Sequence[str], query: RecordQuery) -> list[tuple[str, list[Event], Marks]]:
    """(call, its log, marks of its prompts) of these calls, or of all that match the query; the oldest first.

    Raises:
        AssistError: code record-unknown.
    """
    names = list(calls) or [digest["call"] for digest in reversed(list(store.digests(query)))]
    said = store.reviews_by_call(None if not calls else names)
    found = []
    for name in names:
        events = [event for _, event in store.events(name)]
        if events:
            found.append((name, events, _marks(store, name, said.get(name, []))))
        elif calls:
            raise AssistError("record-unknown", f"no log of call {name!r} in this store; see `assist records list`")
    return found


def _marks(store: Store, call: str, reviews: Sequence[Review]) -> Marks:
    record = store.record(call) or {}
    marks = verdicts(record.get("prompts", ()), reviews)
    return {target: mark for (kind, target), mark in marks.items() if kind == "prompt"}


def transcribed_calls(
    settings: Settings, sources: Sequence[CallSource], console: Console
) -> list[tuple[str, list[Event], Marks]]:
    """The same from recordings, transcribed into a temporary store beside the real one.

    No pages show it: with logins in the settings nobody could log in there, and without them everybody would see it.
    """
    from assist.coach.reloading import ReloadingPlaybook
    from assist.live.loading import load_hearing
    from assist.live.service import Service
    from overlay.hub import Hub

    async def hear(folder: Path) -> list[tuple[str, list[Event], Marks]]:
        found = []
        quiet = settings.model_copy(update={"data": folder, "recordings": False})
        hearing = load_hearing(settings, Console(quiet=True))  # with the models that are there
        service = Service(
            quiet,
            load_rules(extra=settings.rules),
            ReloadingPlaybook(settings.playbook, settings.options),
            Hub(),
            hearing,
        )
        service.open()
        try:
            for source in sources:
                call, task = service.start(source, in_step=True, consent=Consent.GRANTED, consent_by="back-test")
                await task
                log = [event for _, event in service.store.events(call)]
                empty: Marks = {}
                found.append((source.name, log, empty))
        finally:
            await service.close()
        return found

    console.print(f"Listening to {len(sources)} recording(s) …", style="dim")
    with temporary_folder(path_from_url(settings.store_url)) as folder:
        return asyncio.run(hear(folder))


def run_backtest(
    settings: Settings,
    store: Store,
    console: Console,
    what: Sequence[str],
    *,
    old: Configuration,
    new: Configuration,
    query: RecordQuery,
    html: Path | None,
) -> list[CallChanges]:
    """Replay the calls with both configurations, print the differences and write the page; this is logged in the audit.

    Raises:
        AssistError: codes record-unknown, backtest-empty, export-failed.
        AudioError: a recording (what has an ending is one) cannot be read.
    """
    from audio.recording import open_recording

    check_file(html, PAGE_BEGINS)
    what = list(dict.fromkeys(what))
    recordings = [Path(each) for each in what if Path(each).suffix]
    calls = [each for each in what if not Path(each).suffix]
    sources = [open_recording(each, agent_channel=0, speed=float("inf")) for each in recordings]
    stored = stored_calls(store, calls, query) if calls or not recordings else []
    cut = [text for each in sources if (text := each.unread())]
    notes = [*cut, *_mono_notes(sources), *(_omission_notes(store, query, len(stored)) if not what else ())]
    names = [*(source.name for source in sources), *(name for name, _, _ in stored)]
    open_audit(store.people, settings.data).note_command_for_each("backtest", names)
    for note in notes:
        console.print(note, markup=False)
    found = [*(transcribed_calls(settings, sources, console) if sources else []), *stored]
    if not found:
        raise AssistError("backtest-empty", "no stored call fits: name calls, recordings, or an earlier --since")
    results = [
        compare(name, events, old, new, marks)
        for name, events, marks in track(found, "Judging", console=console, transient=True)
    ]
    unplaced = sum(each.unplaced_marks for each in results)
    if unplaced:
        notes.append(f"Of the prompts that people have marked, {unplaced:,} came in neither run: they are in no row")
        console.print(notes[-1], markup=False)
    console.print(f"old: {old.playbook.version}, rules {old.rulebook.version}", markup=False)
    console.print(f"new: {new.playbook.version}, rules {new.rulebook.version}", markup=False)
    for table in tables(results):
        console.print(table)
    if html is not None:
        write_file(html, page(results, old, new, notes))
        console.print(f"written: {html}", markup=False)
    return results


def _omission_notes(store: Store, query: RecordQuery, read: int) -> list[str]:
    """Notes on stored calls that match and were not read."""
    fit = store.count(query)
    newest = min(fit, query.limit or fit)
    notes = [f"Of {fit:,} calls that fit, the newest {newest:,} are judged (--limit)"] if fit > newest else []
    if newest > read:
        notes.append(f"Of {newest - read:,} calls only the record is kept and not the words: they are left out")
    return notes


def _mono_notes(sources: Sequence[CallSource]) -> list[str]:
    """A note on recordings without a channel for each party."""
    mixed = [source.name for source in sources if Speaker.UNKNOWN in source.speakers]
    names = ", ".join(mixed)
    return [f"Agent and customer are on one channel, and not told apart: {names}"] if mixed else []


def totals(results: Sequence[CallChanges]) -> list[tuple[str, ...]]:
    """Per kind: prompts, of these marked right and wrong."""
    return [
        (kind, *(str(sum(each.count(kind, mark) for each in results)) for mark in (None, "right", "wrong")))
        for kind in KINDS
    ]


def _details(each: CallChanges) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for change in each.changes:
        if change.what == "kept":
            continue
        when = clock(change.at_ms)
        if change.what == "moved" and change.before_ms is not None:
            when = f"{clock(change.before_ms)} → {when}"
        rows.append((when, change.what, change.play, change.title, change.mark))
    return rows


def _signals(results: Sequence[CallChanges]) -> list[tuple[str, ...]]:
    gained, lost = Counter[str](), Counter[str]()
    for each in results:
        gained.update(each.signals_gained)
        lost.update(each.signals_lost)
    return [(label(name), f"+{gained[name]}", f"-{lost[name]}") for name in sorted(gained | lost)]


TOTALS_HEAD = ("Prompts", "All", "Marked right", "Marked wrong")
CALL_HEAD = ("At", "What", "Play", "Title", "Marked")


def tables(results: Sequence[CallChanges]) -> list[Table]:
    """Per call what changes, then the totals."""
    shown = []
    for each in results:
        if rows := _details(each):
            shown.append(_table(f"Call {each.call}", CALL_HEAD, rows))
    if signals := _signals(results):
        shown.append(_table("Signals", ("Signal", "Gained", "Lost"), signals))
    same = sum(not _details(each) for each in results)
    shown.append(_table(f"{len(results)} calls, {same} of them unchanged", TOTALS_HEAD, totals(results)))
    return shown


def _table(title: str, head: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(*head, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def page(results: Sequence[CallChanges], old: Configuration, new: Configuration, notes: Sequence[str] = ()) -> str:
    """The same as one page; everything is escaped."""
    parts = [
        "<h1>Back-test</h1>",
        f'<p class="second">old: {escape(old.playbook.version)}, rules {escape(old.rulebook.version)}</p>',
        f'<p class="second">new: {escape(new.playbook.version)}, rules {escape(new.rulebook.version)}</p>',
        *(f'<p class="second">{escape(note)}</p>' for note in notes),
        section("All calls", TOTALS_HEAD, totals(results)),
        section("Signals", ("Signal", "Gained", "Lost"), _signals(results)),
    ]
    parts += [section(f"Call {each.call}", CALL_HEAD, _details(each)) for each in results]
    return html_page("Back-test", "".join(parts))


def calls_between(since: str, until: str, limit: int) -> RecordQuery:
    """The stored calls of these days.

    Raises:
        AssistError: code day-invalid.
    """
    return records_between(parse_day(since, "--since"), parse_day(until, "--until"), limit=limit)
