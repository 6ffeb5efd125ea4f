"""Files that a command is asked to write."""

from __future__ import annotations

from pathlib import Path

from assist.errors import AssistError


def write_file(out: Path, text: str, *, make_folder: bool = False) -> None:
    """Write a file that an option names, its line ends as they are; `make_folder`: its folder need not be there yet.

    Raises:
        AssistError: code export-failed.
    """
    try:
        if make_folder:
            out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        reason = error.strerror or str(error)
        raise AssistError(
            "export-failed", f"cannot write {out}: {reason}; name a file in a folder you may write"
        ) from None
