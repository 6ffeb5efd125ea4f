"""The `assist` command: every module of commands put under one application."""

from __future__ import annotations

import errno

from assist.commands import (
    backups,
    calls,
    doctor,
    measuring,
    models,
    people,
    playbooks,
    practice,
    privacy,
    records,
    reports,
    schemas,
    settings,
)
from assist.commands.app import app, console, fail
from assist.errors import AssistError

COMMANDS = (
    calls,
    models,
    records,
    reports,
    playbooks,
    practice,
    people,
    privacy,
    measuring,
    backups,
    doctor,
    settings,
    schemas,
)
"""Importing one adds its commands to the application."""


def main() -> None:
    """Run the command; every expected error is one line on stderr and exit code 1."""
    from assist.coach.playbook import PlaybookError
    from audio.errors import AudioError
    from audio.memory import disable_core_dumps
    from detectors.factory import ModelError
    from detectors.rulebook import RuleError
    from overlay.errors import OverlayError

    disable_core_dumps()
    try:
        app()
    except (AssistError, AudioError, ModelError, PlaybookError, RuleError, OverlayError) as error:
        fail(str(error), getattr(error, "code", ""))
    except OSError as error:
        if error.filename is None:
            if error.errno == errno.ENOENT:
                fail("the folder that this is started in is not there any more: change to another", "file")
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
                raise
            console.on_broken_pipe()  # else what is left of it would fail once more at the end
            fail(f"not all of it could be written: {error.strerror}: make room, and ask again", "output")
        fail(f"{error.filename}: {error.strerror}: expected what this user may use, in a folder that is there", "file")
    except Exception as error:
        from assist.store.writer import read_error_line

        if not (line := read_error_line(error)):
            raise
        fail(line, "store-failed")
