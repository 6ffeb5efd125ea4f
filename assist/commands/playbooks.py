"""Playbooks: list, show, new, check, diff, test."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from assist.commands.app import ConfigOption, console, fail, group, listing
from assist.hints import quoted
from assist.settings import Settings, load_settings

playbook_app = group("playbook", "Playbooks: list, show, copy, check, compare, try on written calls.")

OptionsOption = Annotated[Path | None, typer.Option("--options", help="Plan B options instead of the playbook's own.")]
OptionsInForceOption = Annotated[
    Path | None,
    typer.Option("--options", help="Plan B options instead of those in the settings, or the playbook's own."),
]
RulesBesidesOption = Annotated[
    list[Path] | None,
    typer.Option("--rules", help="Rule files besides those in the settings."),
]
PlaybooksArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Playbook names or files; default: all shipped, and the one in the settings."),
]


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
    playbook: PlaybooksArgument = None,
    rules: RulesBesidesOption = None,
    options: OptionsInForceOption = None,
    config: ConfigOption = None,
) -> None:
    """Check playbooks and rules: keys, limits, reachable steps, and the examples inside every file."""
    from assist.coach.playbook import check_playbook
    from detectors.examples import failing_examples
    from detectors.rulebook import load_rules

    settings = load_settings(config)
    rulebook = load_rules(extra=[*settings.rules, *(rules or [])] or None)
    chosen = _chosen(playbook, options, settings)
    problems = [line for name, given in chosen for line in check_playbook(name, options=given, rules=rulebook)]
    problems += failing_examples(rulebook)
    for line in dict.fromkeys(problems):
        console.print(line, soft_wrap=True)
    if problems:
        fail(f"{len(problems)} problem(s) found; the running playbook stays in force", "playbook-invalid")
    for rule in rulebook.overdue(date.today()):
        console.print(f"{rule.source}: {rule.id}: review was due on {rule.review_by} ({rule.owner})")
    checked = ", ".join(f"{name} with {given}" if given else name for name, given in chosen)
    entries = len(rulebook.rules) + len(rulebook.exceptions)
    text = f"playbooks ok: {checked}; rules ok ({entries} rules and exceptions, version {rulebook.version})"
    if own := len(rulebook.own):
        text += f"; {own} are your own: a server that runs takes changed rules in when it is started again"
    console.print(text, soft_wrap=True)


def _chosen(
    named: list[str] | None, options: Path | None, settings: Settings, *, in_force: bool = True
) -> list[tuple[str, Path | None]]:
    """Playbooks, each with the options that replace its own (None: none do).

    Without names: first, with `in_force`, the one that calls are judged with; then all shipped ones as they are.
    """
    from assist.coach.playbook import list_playbooks

    replacing = options or settings.options
    if named:
        return [(name, replacing) for name in named]
    shipped = [(name, options) for name in list_playbooks()]
    return list(dict.fromkeys([*([(settings.playbook, replacing)] if in_force else []), *shipped]))


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
    playbook: PlaybooksArgument = None,
    script: Annotated[Path | None, typer.Option(help="Written calls; default: NAME.test.toml beside it.")] = None,
    rules: RulesBesidesOption = None,
    options: OptionsInForceOption = None,
    show: Annotated[bool, typer.Option("--show", help="Also show what was said and what came of it.")] = False,
    config: ConfigOption = None,
) -> None:
    """Try playbooks on their written calls: what is prompted, ticked, offered, promised at each turn."""
    from assist.coach.playbook import list_playbooks, load_playbook
    from assist.evaluation.trial import load_conversations, run_conversation, turn_report
    from detectors.rulebook import load_rules

    settings = load_settings(config)
    rulebook = load_rules(extra=[*settings.rules, *(rules or [])] or None)
    own = settings.playbook not in list_playbooks()  # the written calls of a shipped one are about its own options
    chosen = _chosen(playbook, options, settings, in_force=own)
    calls = turns = misses = 0
    for name, given in chosen:
        book = load_playbook(name, options=given)
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
    tried = ", ".join(name for name, _ in chosen)
    console.print(f"{calls} written calls, {turns} turns: all as expected ({tried})", soft_wrap=True)
