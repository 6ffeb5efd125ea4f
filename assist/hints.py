"""Commands that people are told to give, written so that they work as printed for whoever is told.

In a line of the program's own a command to give stands in backticks: `assist records list`. Whatever prints such a line
completes it with the installation that this command line named (--data, --config), where the command takes these. What
a page shows is read elsewhere than where the program was started: there these paths are whole.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

COMMAND = re.compile(r"`assist ([a-z]+)(?: ([a-z]+))?[^`]*")

_given: dict[str, str] = {}
_takes: dict[str, Collection[str]] = {}


def begin(takes: dict[str, Collection[str]]) -> None:
    """A command line begins; `takes`: the options of every command, by its words."""
    _given.clear()
    _takes.clear()
    _takes.update(takes)


def named(option: str, value: object) -> None:
    """The installation that the command works on was named by this option."""
    _given[option] = str(value)


def complete(text: str, *, on_a_page: bool = False) -> str:
    """A line with the commands in it complete."""
    options = {option: Path(given).resolve() if on_a_page else given for option, given in _given.items()}

    def whole(found: re.Match[str]) -> str:
        group, word = found.groups()
        name = f"{group} {word}" if f"{group} {word}" in _takes else group
        return found[0] + "".join(f" {key} {quoted(at)}" for key, at in options.items() if key in _takes.get(name, ()))

    return COMMAND.sub(whole, text)


def quoted(word: object) -> str:
    """A word of a command as this machine's shell takes it."""
    return subprocess.list2cmdline([str(word)]) if sys.platform == "win32" else shlex.quote(str(word))
