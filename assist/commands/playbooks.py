"""Playbooks: list, check, new, diff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from assist.commands.app import (
    console,
    fail,
    group,
)

playbook_app = group("playbook", "Playbooks: list, check, show what differs.")


@playbook_app.command("list")
def playbook_list() -> None:
    """The shipped playbooks."""
    from assist.coach.playbook import list_playbooks, load_playbook

    table = Table("Name", "Method", "Version")
    for name in list_playbooks():
        book = load_playbook(name)
        table.add_row(name, book.name, book.version)
    console.print(table)


@playbook_app.command("check")
def playbook_check(
    playbook: Annotated[list[str] | None, typer.Argument(help="Playbook names or files; default: all shipped.")] = None,
    rules: Annotated[list[Path] | None, typer.Option("--rules", help="Rule files to check as well.")] = None,
) -> None:
    """Check playbooks and rules: keys, limits, reachable steps, and the examples inside every rule file."""
    from assist.coach.playbook import check_playbook, list_playbooks
    from detectors.rulebook import load_rules

    problems = [line for name in (playbook or list_playbooks()) for line in check_playbook(name)]
    rulebook = load_rules(rules or None)
    problems += rulebook.check()
    for line in problems:
        console.print(line, markup=False)
    if problems:
        fail(f"{len(problems)} problem(s) found; the running playbook stays in force", "playbook-invalid")
    console.print(f"playbooks ok; rules ok ({len(rulebook.rules)} rules, version {rulebook.version})")


@playbook_app.command("new")
def playbook_new(
    base: Annotated[str, typer.Argument(help="A shipped playbook to start from (assist playbook list).")],
    out: Annotated[Path, typer.Argument(help="The new TOML file.")],
) -> None:
    """Copy a shipped playbook, comments and all, to edit."""
    from assist.coach.playbook import copy_playbook

    copy_playbook(base, out)
    console.print(f"written: {out}; edit it, then: assist playbook check {out}", markup=False)


@playbook_app.command("diff")
def playbook_diff(before: str, after: str) -> None:
    """What differs between two playbooks: steps, plays, options, lines."""
    from assist.coach.differences import diff_playbooks
    from assist.coach.playbook import load_playbook

    lines = diff_playbooks(load_playbook(before), load_playbook(after))
    for line in lines:
        console.print(line, markup=False)
    if not lines:
        console.print("no difference")
