"""A copy of everything, and back: `assist backup`, `assist restore`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import ConfigOption, DataOption, app, console, store_of
from assist.errors import AssistError
from assist.settings import load_settings


@app.command()
def backup(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.")],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Copy the store to one file, also while calls are live."""
    from assist.store.backups import write_backup

    with closing(store_of(load_settings(config, data=data))) as store:
        size = write_backup(store, out)
    console.print(f"written: {out} ({size / 1e6:.1f} MB); put it back with: assist restore {out}")


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="A file that assist backup wrote.")],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Put a backup in the place of the store; the store that is there is kept beside it under another name."""
    from assist.access.audit import open_audit
    from assist.store.backups import restore_backup

    settings = load_settings(config, data=data)
    kept = restore_backup(backup, settings.store_url)
    console.print(f"restored from {backup}")
    with closing(store_of(settings)) as store:
        try:
            open_audit(store.people, settings.data).by_command("restore", backup.name)
        except AssistError as error:  # on another machine: the key of the log is still to be put beside the store
            console.print(f"The audit log does not say so: {error}", soft_wrap=True)
    if kept is not None:
        text = (
            f"The former store is {kept}: erasure does not reach it, and retention removes it only after "
            f"{settings.keep.transcript_days} days; delete it when you are sure."
        )
        console.print(text, soft_wrap=True)
