"""Users, and the log of who looked at what."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Annotated

import typer

from assist.commands.app import ConfigOption, DataOption, app, console, fail, group, listing, store_of
from assist.settings import load_settings

users_app = group("users", "People who may log in: add, list, remove, passwd, role.")
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]
UserArgument = Annotated[str, typer.Argument(help="A user's name (assist users list).")]
ROLES = "agent, supervisor, qa or admin."


@users_app.command("add")
def users_add(
    name: Annotated[str, typer.Argument(help="An agent's name is the one their calls carry (--agent).")],
    role: Annotated[str, typer.Option(help=ROLES)],
    password_stdin: StdinOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Add a user; the password is asked for."""
    from assist.access.accounts import add_user, new_user_name
    from assist.access.audit import open_audit

    settings = load_settings(config, data=data)
    with closing(store_of(settings, begins=True)) as store:
        audit = open_audit(store.people, settings.data)
        name = new_user_name(store.people, name, role)
        add_user(store.people, name, role, _password(password_stdin))
        audit.note_command("user-added", name, role)
    console.print(f"{name} can log in as {role}")


@users_app.command("list")
def users_list(data: DataOption = None, config: ConfigOption = None) -> None:
    """Everyone who may log in."""
    with closing(store_of(load_settings(config, data=data))) as store:
        table = listing("Name", "Role", "Changed")
        for user in store.people.users():
            table.add_row(user.name, user.role, user.changed_at)
    console.print(table)


@users_app.command("remove")
def users_remove(name: UserArgument, data: DataOption = None, config: ConfigOption = None) -> None:
    """Take a user out; their open pages are closed within seconds."""
    from assist.access.accounts import remove_user
    from assist.access.audit import open_audit

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        audit = open_audit(store.people, settings.data)
        name = remove_user(store.people, name)
        audit.note_command("user-removed", name)
    console.print(f"{name} can no longer log in")


@users_app.command("passwd")
def users_passwd(
    name: UserArgument, password_stdin: StdinOption = False, data: DataOption = None, config: ConfigOption = None
) -> None:
    """Give a user another password; their open pages are closed within seconds."""
    from assist.access.accounts import find_user, set_password
    from assist.access.audit import open_audit

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        audit = open_audit(store.people, settings.data)
        name = find_user(store.people, name).name
        set_password(store.people, name, _password(password_stdin))
        audit.note_command("user-password", name)
    console.print(f"{name} has another password")


@users_app.command("role")
def users_role(
    name: UserArgument,
    role: Annotated[str, typer.Argument(help=ROLES)],
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Give a user another role; their open pages are closed within seconds."""
    from assist.access.accounts import set_role
    from assist.access.audit import open_audit

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        audit = open_audit(store.people, settings.data)
        set_role(store.people, name, role)
        audit.note_command("user-role", name, role)
    console.print(f"{name} is {role} now")


@app.command()
def audit(
    limit: Annotated[int, typer.Option(min=1, help="Show the newest so many entries.")] = 50,
    verify: Annotated[bool, typer.Option("--verify", help="Check every seal of the whole log as well.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Who looked at what and changed what: the newest entries of the audit log, in order of time."""
    from assist.access.audit import open_audit
    from overlay.identity import printable

    settings = load_settings(config, data=data)
    with closing(store_of(settings)) as store:
        log = open_audit(store.people, settings.data)
        table = listing("No.", "When (UTC)", "Who", "Role", "What", "Of", "")
        for row in store.people.audit(newest=limit):
            entry = row.entry
            said = (entry.who, entry.role, entry.what, entry.target, entry.detail)
            table.add_row(str(row.n), entry.at[:19], *map(printable, said))
        verdict = log.verify() if verify else None
    console.print(table)
    if verdict is None:
        return
    if verdict.problem:
        fail(f"the audit log does not hold: {verdict.problem}", "audit-broken")
    console.print(f"{verdict.rows} entries, every seal holds; head {verdict.head[:16]} (note it elsewhere)")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        try:
            return sys.stdin.buffer.readline().decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            fail("the password cannot be read: expected it in UTF-8 on the first line", "password-unreadable")
    try:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    except typer.Abort:  # Ctrl-C, or nobody is there to type
        fail("no password was given: expected it typed twice, or --password-stdin", "password-missing")
