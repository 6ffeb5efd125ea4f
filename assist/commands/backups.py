"""A copy of everything, and back: `assist backup`, `assist restore`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import ConfigOption, DataOption, app, console, store_of
from assist.errors import AssistError
from assist.hints import complete, quoted
from assist.settings import load_settings


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Copy the store to one file, also while calls are live."""
    from assist.access.audit import open_audit
    from assist.store.backups import write_backup

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        try:
            open_audit(store.people, settings.data).note_command("backup", out.name)
        except AssistError as error:  # where its key is lost, the way out begins with a backup
            console.print(f"This backup is not in the audit log: {error}", soft_wrap=True)
        size = write_backup(store, out)
    back = complete(f"`assist restore {quoted(out)}`")
    console.print(f"written: {out} ({size / 1e6:.1f} MB); put it back with: {back}", soft_wrap=True)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="A file that assist backup wrote.")],
    without_audit_log: Annotated[
        bool,
        typer.Option("--without-audit-log", help="Begin the audit log anew: the audit.key of the backup's is lost."),
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Put a backup in the place of the store; the store that is there is kept beside it under another name.

    On another machine put keys.db and audit.key of the data folder in the new one first.
    """
    from assist.access.audit import open_audit
    from assist.store.backups import restore_backup
    from assist.store.paths import audit_key_path, keys_path

    settings = load_settings(config, data=data)
    restored = restore_backup(backup, settings.store_url, audit_log=not without_audit_log)
    console.print(f"restored from {backup}")
    ready = True
    with closing(store_of(settings)) as store:
        try:
            log = open_audit(store.people, settings.data)
            if problem := log.verify().problem:
                raise AssistError("audit-broken", f"{problem}, or {audit_key_path(settings.data)} is not its key")
            log.note_command("restore", backup.name, "without its audit log" if without_audit_log else "")
        except AssistError as error:
            ready = False
            text = (
                f"The audit log cannot go on: {error}; put the right audit.key there before anything starts, and "
                f"restore again; where it is lost: remove any audit.key there, then "
                f"`assist restore {quoted(backup)} --without-audit-log`"
            )
            console.print(complete(text), soft_wrap=True)
    if restored.people_of_backup:
        text = (
            "Who may log in is as in the backup, for the store that was there is damaged or no later state of it: "
            "see `assist users list`, and take out again whoever should not be in it. If keys.db is a copy from before "
            "an erasure, that call may be back: erase it again."
        )
        console.print(complete(text), soft_wrap=True)
    if restored.left_out:
        text = (
            f"{restored.left_out} call(s) of it are left out, for their keys are not in {keys_path(settings.data)}: "
            "erased since, or that is not the file it was made with; then put the right one there and restore again."
        )
        console.print(text, soft_wrap=True)
    if restored.erased:
        console.print(f"{restored.erased} call(s) of it stay out: they were erased since.", soft_wrap=True)
    if restored.former is not None:
        text = (
            f"The former store is {restored.former}: erasure does not reach it, and retention removes it only after "
            f"{settings.keep.transcript_days} days; delete it when you are sure."
        )
        console.print(text, soft_wrap=True)
    if not ready:
        raise typer.Exit(1)
