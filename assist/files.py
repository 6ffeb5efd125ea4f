"""Files that a command is asked to write, and secrets in the data folder."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex

from assist.errors import AssistError

PAGE_BEGINS = "<!doctype html>"
"""So begins every page of this program."""


def _private(path: str, flags: int) -> int:
    """Opens a file that is its owner's only if it is new."""
    return os.open(path, flags, 0o600)


def make_secret(path: Path, secret: bytes) -> None:
    """Write a new file that its owner alone may read, whole or not at all; one that is there by now stays as it is.

    Raises:
        OSError: there is no room for it, or it may not be written there.
    """
    part = beside(path)
    try:
        with open(part, "xb", opener=_private) as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_file(out: Path, text: str | Iterable[str], *, make_folder: bool = False) -> None:
    """Write a file that an option names, its line ends as they are; `make_folder`: its folder need not be there yet.

    `text` may come in parts; where not all of them come, what stood in the file before stays.

    A new one is its owner's only: what was said in calls may stand in it.

    Raises:
        AssistError: code export-failed.
    """
    parts = [text] if isinstance(text, str) else text
    try:
        if make_folder:
            out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not out.is_file():  # a device is written as it comes
            _write(out, parts)
        else:
            _replace(out.resolve(), parts)
    except OSError as error:
        raise _unwritten(out, error) from None


def check_file(out: Path | None, *begins: str) -> None:
    """Whether a file that an option names (None: none) can be written, before what stands in it takes minutes.

    A file that is there already is only written over where it begins as one of `begins`, as what is written does: any
    other is somebody's work, and may be what the command reads.

    Raises:
        AssistError: code export-failed.
    """
    if out is None:
        return
    try:
        if out.is_file() and not _may_be_replaced(out, begins):
            expected = " or ".join(map(repr, begins))
            raise AssistError(
                "export-failed",
                f"{out} is there and does not begin as what is written there would ({expected}): it is left as it is; "
                "name another file",
            )
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if out.is_file() or not out.exists():
            part = beside(out.resolve())
            _write(part, ())
            part.unlink()
    except OSError as error:
        raise _unwritten(out, error) from None


def _may_be_replaced(out: Path, begins: Iterable[str]) -> bool:
    with open(out, "rb") as file:
        start = file.read(256)
    return not start or start.startswith(tuple(each.encode() for each in begins))


def _unwritten(out: Path, error: OSError) -> AssistError:
    reason = error.strerror or str(error)
    return AssistError("export-failed", f"cannot write {out}: {reason}; name a file in a folder you may write")


def _replace(path: Path, parts: Iterable[str]) -> None:
    """Whole or not at all, with the rights of the file that was there."""
    part = beside(path)
    try:
        _write(part, parts)
        if path.exists():
            shutil.copymode(path, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, parts: Iterable[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:
        file.writelines(parts)


def beside(path: Path) -> Path:
    """A name in the same folder that nothing has, for what becomes that file when it is whole."""
    return path.with_name(f"{path.name}.{token_hex(8)}")
