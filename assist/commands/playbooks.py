"""Playbooks: list, show, new, check, diff, test."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import ConfigOption, console, fail, group, listing
from assist.hints import quoted
from assist.settings import load_settings

playbook_app = group("playbook", "Playbooks: list, show, copy, check, compare, try on written calls.")

OptionsOption = Annotated[Path | None, typer.Option("--options", help="Plan B options instead of the playbook's own.")]


@playbook_app.command("list")
def playbook_list() -> None:
    """The shipped playbooks."""
    from assist.coach.playbook import list_playbooks, load_playbook

    table = listing("Name", "Method", "Version", "When to choose it")
    for name in list_playbooks():
        book = load_playbook(name)
        table.add_row(name, book.name, book.version, book.about)
    console.print(table)


@playbook_app.command("show")
def playbook_show(
    playbook: Annotated[str, typer.Argument(help="A playbook's name or file.")], options: OptionsOption = None
) -> None:
    """One playbook as a person reads it: steps, what is said when, what can be given."""
    from assist.coach.listing import playbook_lines
    from assist.coach.playbook import load_playbook

    for line in playbook_lines(load_playbook(playbook, options=options)):
        console.print(line, soft_wrap=True)


@playbook_app.command("check")
def playbook_check(
    playbook: Annotated[list[str] | None, typer.Argument(help="Playbook names or files; default: all shipped.")] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", help="Rule files besides those in the settings."),
    ] = None,
    options: OptionsOption = None,
    config: ConfigOption = None,
) -> None:
    """Check playbooks and rules: keys, limits, reachable steps, and the examples inside every file."""
    from assist.coach.playbook import check_playbook, list_playbooks
    from detectors.examples import failing_examples
    from detectors.rulebook import load_rules

    rulebook = load_rules(extra=[*load_settings(config).rules, *(rules or [])] or None)
    names = playbook or list_playbooks()
    problems = [line for name in names for line in check_playbook(name, options=options, rules=rulebook)]
    problems += failing_examples(rulebook)
    for line in dict.fromkeys(problems):
        console.print(line, soft_wrap=True)
    if problems:
        fail(f"{len(problems)} problem(s) found; the running playbook stays in force", "playbook-invalid")
    for rule in rulebook.overdue(date.today()):
        console.print(f"{rule.source}: {rule.id}: review was due on {rule.review_by} ({rule.owner})")
    console.print(f"playbooks ok; rules ok ({len(rulebook.rules)} rules, version {rulebook.version})")


@playbook_app.command("new")
def playbook_new(
    base: Annotated[str, typer.Argument(help="A shipped playbook to start from (assist playbook list).")],
    out: Annotated[Path, typer.Argument(help="The new TOML file.")],
) -> None:
    """Copy a shipped playbook, comments, written calls and all, to edit."""
    from assist.coach.playbook import copy_playbook

    copy_playbook(base, out)
    console.print(f"written: {out}; edit it, then: `assist playbook check {quoted(out)}`", soft_wrap=True)


@playbook_app.command("diff")
def playbook_diff(before: str, after: str) -> None:
    """What differs between two playbooks, with what they include: steps, plays, options, lines."""
    from assist.coach.differences import diff_playbooks
    from assist.coach.playbook import load_playbook

    lines = diff_playbooks(load_playbook(before), load_playbook(after))
    for line in lines:
        console.print(line, soft_wrap=True)
    if not lines:
        console.print("no difference")


@playbook_app.command("test")
def playbook_test(
    playbook: Annotated[list[str] | None, typer.Argument(help="Playbook names or files; default: all shipped.")] = None,
    script: Annotated[Path | None, typer.Option(help="Written calls; default: NAME.test.toml beside it.")] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", help="Rule files besides those in the settings."),
    ] = None,
    options: OptionsOption = None,
    show: Annotated[bool, typer.Option("--show", help="Also show what was said and what came of it.")] = False,
    config: ConfigOption = None,
) -> None:
    """Try playbooks on their written calls: what is prompted, ticked, offered, promised at each turn."""
    from assist.coach.playbook import list_playbooks, load_playbook
    from assist.evaluation.trial import load_conversations, run_conversation, turn_report
    from detectors.rulebook import load_rules

    rulebook = load_rules(extra=[*load_settings(config).rules, *(rules or [])] or None)
    calls = turns = misses = 0
    for name in playbook or list_playbooks():
        book = load_playbook(name, options=options)
        place, written = load_conversations(name, script)
        for call in written:
            calls += 1
            if show:
                console.print(f"{place}: {call.name}", style="bold")
            for number, outcome in enumerate(run_conversation(book, rulebook, call), 1):
                turns += 1
                misses += len(outcome.misses)
                for line in turn_report(outcome) if show else ():
                    console.print(line, soft_wrap=True)
                for miss in outcome.misses:
                    said = outcome.turn.says or outcome.turn.does or "waiting"
                    console.print(f"{place}: {call.name}: turn {number} ({said}): {miss}", soft_wrap=True)
    if misses:
        fail(f"{misses} of the expectations in {calls} written calls did not come", "playbook-test")
    console.print(f"{calls} written calls, {turns} turns: all as expected")
