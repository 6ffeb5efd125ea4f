"""Users, the audit log and the way in, with the real store, the real hashing and the real command."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from errno import ENOSPC
from pathlib import Path
from typing import Literal

import httpx
import pytest
from rich.console import Console
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from starlette.datastructures import Headers
from typer.testing import CliRunner

from assist.access import authentication
from assist.access.accounts import Accounts, Logins, add_user, remove_user, set_password, set_role
from assist.access.audit import Audit, open_audit, seals_of, system_user, verify
from assist.access.authentication import Authentication, open_authentication
from assist.access.proxy import identify_by_header
from assist.coach.playbook import SHIPPED, load_playbook
from assist.commands.main import app
from assist.errors import AssistError
from assist.files import make_secret
from assist.live.call_setup import agent_profile
from assist.live.runs import running_service
from assist.privacy.consent import Consent
from assist.privacy.gate_key import gate_key
from assist.records.library import Library
from assist.settings import KeepSettings, LoginSettings, Settings, load_settings
from assist.store.people import AuditEntry, AuditRow
from assist.store.recordings import Recordings
from assist.store.rows import Hold, Review, stamp
from assist.store.sqlite import SqliteStore
from assist.store.store import Store, open_store
from overlay.access import Access
from overlay.app import create_app
from overlay.hub import Hub
from overlay.identity import Identity, ScreenSettings
from overlay.sessions import IDLE_S, Sessions
from tests.fault_rig import Sound
from tests.made_records import made_records
from tests.test_assist_retention import purge

MODEL = Path(__file__).parent / "models" / "test-recogniser"
PASSWORD = "four unlikely words"


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    yield made
    made.close()


def authentication_of(settings: Settings, store: Store) -> Authentication:
    return open_authentication(settings, store.people, open_audit(store.people, settings.data))


def code_of(act) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(AssistError) as refused:
        act()
    assert "\n" not in str(refused.value)
    return refused.value.code


def test_users_are_added_known_by_any_spelling_of_their_name_changed_and_removed(store: Store) -> None:
    add_user(store.people, "Zoë", "agent", PASSWORD)
    accounts = Accounts(store.people)
    added = accounts.look_up("zoe\u0308 ")
    assert added is not None and added[0] == Identity("Zoë", "agent")
    assert accounts.verify("ZOË", PASSWORD)
    assert not accounts.verify("Zoë", PASSWORD + " ") and not accounts.verify("nobody", PASSWORD)
    set_role(store.people, "zoë", "qa")
    set_password(store.people, "zoë", "another long password")
    assert accounts.look_up("Zoë") == added  # until the next refresh
    accounts.refresh()
    changed = accounts.look_up("Zoë")
    assert changed is not None and changed[0] == Identity("Zoë", "qa") and changed[1] != added[1]
    assert accounts.verify("Zoë", "another long password") and not accounts.verify("Zoë", PASSWORD)
    assert remove_user(store.people, "ZOË") == "Zoë"
    accounts.refresh()
    assert accounts.empty and accounts.look_up("Zoë") is None


def test_what_is_no_user_no_role_and_no_password_is_refused_in_one_line(store: Store) -> None:
    people = store.people
    add_user(people, "Dana", "agent", PASSWORD)
    assert code_of(lambda: add_user(people, "dana", "agent", PASSWORD)) == "user-exists"
    assert code_of(lambda: add_user(people, " ", "agent", PASSWORD)) == "user-invalid"
    assert code_of(lambda: add_user(people, "Tom", "boss", PASSWORD)) == "role-invalid"
    for weak in ("", "short", "aaaaaaaaaaaaaaaa"):
        assert code_of(lambda weak=weak: add_user(people, "Tom", "agent", weak)) == "password-weak"
    assert code_of(lambda: add_user(people, "Tom Tom Tommy", "agent", "tom tom tommy")) == "password-weak"
    assert code_of(lambda: set_role(people, "Tom", "qa")) == "user-unknown"
    assert [user.password.split("$")[1] for user in people.users()] == ["argon2id"]


def test_a_restart_logs_nobody_out_and_removing_a_user_does(store: Store) -> None:
    add_user(store.people, "Dana", "agent", PASSWORD)
    token = Sessions(Accounts(store.people), Logins(store.people)).begin("Dana")
    assert token
    store.flush().result()
    restarted = Sessions(Accounts(store.people), Logins(store.people))
    assert restarted.who(token) == Identity("Dana", "agent")
    remove_user(store.people, "Dana")
    assert Sessions(Accounts(store.people), Logins(store.people)).who(token) is None
    assert store.people.logins() == []


def test_a_login_of_somebody_removed_is_none_of_the_next_user_of_that_name(store: Store) -> None:
    add_user(store.people, "Dana", "agent", PASSWORD)
    accounts = Accounts(store.people)
    sessions = Sessions(accounts, Logins(store.people))
    token = sessions.begin("Dana")
    assert token
    remove_user(store.people, "Dana")
    add_user(store.people, "Dana", "admin", "another long password")
    accounts.refresh()
    assert sessions.who(token) is None


def test_sessions_nobody_comes_back_with_go_at_the_next_login_and_at_a_restart(store: Store) -> None:
    add_user(store.people, "Dana", "agent", PASSWORD)
    now = [0.0]

    def kept() -> list[str]:
        store.flush().result()
        return [login.key for login in store.people.logins()]

    sessions = Sessions(Accounts(store.people), Logins(store.people), lambda: now[0])
    sessions.begin("Dana")
    now[0] += IDLE_S
    token = sessions.begin("Dana")
    assert token and kept() == [sessions.key(token)]
    [login] = store.people.logins()
    store.people.save_login(replace(login, active_at=login.active_at - IDLE_S)).result()
    Sessions(Accounts(store.people), Logins(store.people))
    assert kept() == []


def test_after_a_read_that_failed_the_server_still_learns_of_changes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user(store.people, "Dana", "agent", PASSWORD)
    entrance = authentication_of(Settings(data=tmp_path, login=LoginSettings(by="users")), store)
    accounts, database, away = entrance.accounts, tmp_path / "assist.db", tmp_path / "away.db"
    assert accounts is not None
    refresh = accounts.refresh
    monkeypatch.setattr(authentication, "REFRESH_S", 0.0)

    async def scene() -> None:
        loop, happened = asyncio.get_running_loop(), asyncio.Queue[bool]()

        def watched() -> None:
            try:
                refresh()
            except OperationalError:
                loop.call_soon_threadsafe(happened.put_nowait, False)
                raise
            loop.call_soon_threadsafe(happened.put_nowait, True)

        async def until(read: bool) -> None:
            while await happened.get() is not read:
                pass

        monkeypatch.setattr(accounts, "refresh", watched)
        following = asyncio.create_task(entrance.keep_refreshing())
        database.rename(away)
        async with asyncio.timeout(20):
            await until(read=False)
            away.rename(database)
            await until(read=True)
            await asyncio.to_thread(remove_user, store.people, "Dana")
            while accounts.look_up("Dana") is not None:
                await until(read=True)
        following.cancel()

    asyncio.run(scene())


def filled(store: Store, data: Path, count: int) -> tuple[Audit, list[AuditRow]]:
    audit = open_audit(store.people, data)
    receipts = [audit.note(f"p{n % 7}", "qa", "look", f"call-{n % 13}", "ü“”" * (n % 2)) for n in range(count)]
    receipts[-1].result()
    return audit, list(store.people.audit())


def test_a_thousand_changes_to_the_audit_log_are_all_found(store: Store, tmp_path: Path) -> None:
    audit, rows = filled(store, tmp_path, 40)
    head, key = store.people.audit_head(), (tmp_path / "audit.key").read_bytes()
    assert audit.verify().problem == "" and audit.verify().rows == 40
    chance = random.Random(7)
    for _ in range(1_000):
        changed = list(rows)
        place = chance.randrange(len(rows))
        match chance.choice(("flip", "delete", "swap", "double", "cut", "move", "forge")):
            case "flip":  # one bit of one character of one field
                row = changed[place]
                name = chance.choice(("at", "who", "role", "what", "target", "detail", "seal", "n"))
                if name == "n":
                    changed[place] = AuditRow(row.n ^ 1 << chance.randrange(8), row.entry, row.seal)
                else:
                    text = row.seal if name == "seal" else getattr(row.entry, name)
                    at = chance.randrange(len(text)) if text else 0
                    text = text[:at] + chr(ord(text[at]) ^ 1 << chance.randrange(7)) + text[at + 1 :] if text else "x"
                    fields = {
                        each: getattr(row.entry, each) for each in ("at", "who", "role", "what", "target", "detail")
                    }
                    if name == "seal":
                        changed[place] = AuditRow(row.n, row.entry, text)
                    else:
                        changed[place] = AuditRow(row.n, AuditEntry(**(fields | {name: text})), row.seal)
            case "delete":
                del changed[place]
            case "swap":
                other = (place + 1 + chance.randrange(len(rows) - 1)) % len(rows)
                changed[place], changed[other] = changed[other], changed[place]
            case "double":
                changed.insert(place, changed[place])
            case "cut":
                changed = changed[:place]
            case "move":  # renumbered so that the gap does not show
                del changed[place]
                changed = [AuditRow(n + 1, row.entry, row.seal) for n, row in enumerate(changed)]
            case _:  # sealed with another key
                forged = AuditEntry("2026-11-26T00:00:00+00:00", "nobody", "", "look")
                before = changed[place - 1].seal if place else ""
                changed[place] = AuditRow(place + 1, forged, seals_of(bytes(32)).row(before, place + 1, forged))
        assert verify(changed, head, key).problem, place
    other = [AuditRow(n, AuditEntry("", "x", "", "look"), "") for n in range(1, 41)]
    for n, row in enumerate(other):  # another log sealed with the same key: its rows are at home nowhere else
        other[n] = AuditRow(row.n, row.entry, seals_of(key).row(other[n - 1].seal if n else "", row.n, row.entry))
    assert all(verify(rows[:n] + other[n : n + 1] + rows[n + 1 :], head, key).problem for n in range(40))
    assert verify(rows, None, key).problem and verify([], head, key).problem
    assert verify(rows, (40, "0" * 64), key).problem == "the head of the log was changed"


def test_what_a_command_does_to_many_calls_is_noted_a_thousand_in_one_transaction(store: SqliteStore, tmp_path: Path):
    written: list[object] = []
    event.listen(store._engine, "commit", written.append)
    audit, calls = open_audit(store.people, tmp_path), [f"k{n}" for n in range(2_500)]
    audit.note("Q", "qa", "look", "k0").result()
    audit.note_command_for_each("export", calls)
    audit.note_command_for_each("export", [])
    assert len(written) == 4
    entries = [row.entry for row in store.people.audit()][1:]
    assert [entry.target for entry in entries] == calls and {entry.what for entry in entries} == {"export"}
    assert audit.verify().rows == 2_501 and not audit.verify().problem


def test_the_log_loses_its_oldest_entries_and_is_still_a_chain_that_cannot_be_shortened_by_hand(
    store: SqliteStore, tmp_path: Path
) -> None:
    audit, _ = filled(store, tmp_path, 20)
    key = (tmp_path / "audit.key").read_bytes()
    times = [row.entry.at for row in store.people.audit()]
    for days, gone, held in ((399, 0, ()), (401, 11, ("call-11",)), (401, 19, ())):  # the newest entry always stays
        if held:
            store.hold(Hold("call-11", "legal", "case 7", "2026-01-01")).result()
        purge(store, KeepSettings(), tmp_path, datetime.fromisoformat(max(times)) + timedelta(days=days))
        assert [row.n for row in store.people.audit()] == list(range(gone + 1, 21)), (days, held)
        assert audit.verify().problem == "" and audit.verify().rows == 20
        for call in held:
            store.release(call).result()
    audit.note("Q", "qa", "look", "k9").result()
    rows, head, cut = list(store.people.audit()), store.people.audit_head(), store.people.audit_cut()
    assert verify(rows, head, key, cut).problem == "" and cut is not None
    assert "missing" in verify(rows[1:], head, key, cut).problem
    for forged in (None, (20, rows[0].seal, cut[2]), (19, "0" * 64, cut[2]), (18, cut[1], cut[2])):
        assert verify(rows[1:] if forged and forged[0] == 20 else rows, head, key, forged).problem
    assert verify([], head, key, (21, rows[-1].seal, cut[2])).problem


def test_a_wrong_clock_keeps_no_old_entry_and_takes_no_new_one_and_what_a_hold_keeps_is_not_due(
    store: SqliteStore, tmp_path: Path
) -> None:
    now, audit, keep = datetime.now(UTC), open_audit(store.people, tmp_path), KeepSettings()

    def note(*dated: tuple[int, str]) -> None:
        times = [((now + timedelta(days=days)).isoformat(timespec="milliseconds"), call) for days, call in dated]
        audit.append([AuditEntry(at, "Q", "qa", "look", call) for at, call in times]).result()

    def left() -> list[int]:
        assert audit.verify().problem == ""
        return [row.n for row in store.people.audit()]

    note((-900, "k1"), (1_100, "k1"), (-700, "k1"), (1_200, "k1"), (-300, "k1"), (-200, "k1"))
    assert purge(store, keep, tmp_path, now).audit == 3 and left() == [4, 5, 6], "nobody knows the age of 4 yet"
    store.hold(Hold("k2", "legal", "case 7", stamp())).result()
    note((-800, "k1"), (-800, "k2"), (-800, "k1"))
    assert purge(store, keep, tmp_path, now).audit == 0 and left() == [4, 5, 6, 7, 8, 9]
    for removed in (4, 0):
        assert purge(store, keep, tmp_path, now + timedelta(days=250)).audit == removed and left() == [8, 9]


def test_a_row_changed_in_the_database_file_is_found_by_the_command(store: SqliteStore, tmp_path: Path) -> None:
    filled(store, tmp_path, 5)
    store.close()
    with sqlite3.connect(tmp_path / "assist.db") as connection:
        connection.execute("UPDATE audit SET who = 'somebody else' WHERE n = 3")
    told = command("audit", "--verify", "--data", str(tmp_path))
    assert told.returncode == 1 and "entry 3 was changed" in told.stderr


def test_an_entry_that_would_command_the_terminal_is_shown_without_its_commands(store: Store, tmp_path: Path) -> None:
    open_audit(store.people, tmp_path).note("x\x1b[2J\r│ 1 │ all quiet", "", "login-failed").result()
    store.close()
    told = command("audit", "--data", str(tmp_path)).stdout
    assert "x�[2J�│ 1 │ all quiet" in told and "\x1b" not in told


def test_the_log_goes_on_over_restarts_and_not_without_its_key(tmp_path: Path) -> None:
    for _ in range(2):
        store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
        filled(store, tmp_path, 3)
        store.close()
    store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    assert open_audit(store.people, tmp_path).verify().rows == 6
    key = tmp_path / "audit.key"
    assert key.stat().st_mode & 0o777 == 0o600
    good = key.read_bytes()
    key.chmod(0o644)
    assert code_of(lambda: open_audit(store.people, tmp_path)) == "key-readable"
    key.chmod(0o600)
    for bad in (b"", bytes(32), good[:16]):
        key.write_bytes(bad)
        assert code_of(lambda: open_audit(store.people, tmp_path)) == "key-weak"
    key.unlink()
    assert code_of(lambda: open_audit(store.people, tmp_path)) == "key-missing"
    store.close()


def test_what_an_agent_writes_of_a_call_does_not_command_the_terminal_of_whoever_lists_calls(tmp_path: Path) -> None:
    made = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    [record] = made_records(1)
    call = record["call"]
    record |= {"level_reached": "escalated", "started_at": datetime.now().astimezone().isoformat(timespec="seconds")}
    made.begin(call, record["started_at"], record["agent"])
    made.finish(call, "ended", record).result()
    words = "\x1b]0;owned\x07\x9b2J\u202esolved"
    for kind in ("outcome", "root-cause"):
        made.review(call, Review("2026-11-24", record["agent"], kind, "", words)).result()
    made.close()
    for command in (["records", "list"], ["report"]):
        told = CliRunner().invoke(app, [*command, "--data", str(tmp_path)])
        assert told.exit_code == 0 and "owned" in told.stdout
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", told.stdout)


def test_a_disk_that_was_full_at_the_first_start_leaves_no_empty_key_behind(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert code_of(lambda: open_audit(store.people, tmp_path)) == "data-folder"
        assert code_of(lambda: gate_key(tmp_path)) == "data-folder"
    open_audit(store.people, tmp_path).note_command("settings")
    assert not open_audit(store.people, tmp_path).verify().problem
    assert gate_key(tmp_path) == gate_key(tmp_path) != ""
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(("audit.key.", "gate-key."))]


def test_of_a_key_that_is_made_many_times_at_once_one_stays(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as makers:
        for n in range(20):
            path = tmp_path / f"{n}.key"

            def make(secret: bytes, path: Path = path) -> bytes:
                make_secret(path, secret)
                return path.read_bytes()

            assert len(set(makers.map(make, [bytes([byte]) * 32 for byte in range(8)]))) == 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".key"}


def test_keys_and_locks_that_cannot_be_read_are_one_line_and_name_the_file(tmp_path: Path) -> None:
    for name in ("audit.key", "gate-key", "assist.db.lock"):  # folders: a mode is no hindrance to root
        (tmp_path / name).mkdir(mode=0o700)
    with pytest.raises(AssistError, match=r"assist\.db\.lock: ") as refused:
        open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    assert refused.value.code == "data-folder"
    (tmp_path / "assist.db.lock").rmdir()
    made = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
    with pytest.raises(AssistError, match=r"audit\.key: "):
        open_audit(made.people, tmp_path)
    made.close()
    with pytest.raises(AssistError, match="gate-key: "):
        gate_key(tmp_path)


def test_the_way_in_is_refused_where_it_would_let_nobody_in_or_anybody(store: Store, tmp_path: Path) -> None:
    users = Settings(data=tmp_path, login=LoginSettings(by="users"))
    with pytest.raises(AssistError, match="`assist users add NAME --role admin`$") as empty:
        authentication_of(users, store)
    assert empty.value.code == "login-empty"
    add_user(store.people, "Root", "admin", PASSWORD)
    assert authentication_of(users, store).accounts is not None
    file = tmp_path / "assist.toml"
    for text in (
        '[login]\nby = "proxy"',
        '[login]\nby = "proxy"\nheader = "X-User"',
        'certificate = "a.pem"',
        'proxies = ["everywhere"]',
        'hosts = ["https://assist.example:8765"]',
        'hosts = ["Assist.Example"]',
        'payment_pages = ["pay.example"]',
        'payment_pages = ["https://pay.example/"]',
        'payment_pages = ["https://Pay.example"]',
        '[[review_form]]\nid = "a"\ntext = "One"\n[[review_form]]\nid = "a"\ntext = "Two"',
        'proxies = ["127.0.0.1"]\n[login]\nby = "proxy"\nheader = "X-User"\nroles_header = "X-Groups"',
        'proxies = ["127.0.0.1"]\n[login]\nby = "proxy"\nheader = "X-User"\nroles = { lead = "admin" }',
        '[login]\nby = "proxy"\nheader = "X-User"\nrole = "boss"',
        'data = "a\\u0000b"',
        'rules = ["a.toml", "a\\u0000b"]',
        'options = "a\\u0000b"',
        'certificate = "a.pem"\ncertificate_key = "a\\u0000b"',
    ):
        file.write_text(text)
        assert code_of(lambda: load_settings(file)) == "settings-invalid"
    assert code_of(lambda: load_settings(Path("a\0b"))) == "settings-invalid"
    file.write_text("")
    for odd in ("a\0b", os.fsdecode(b"\xff")):
        with pytest.raises(AssistError, match="^--data .*: no name that a file can have") as refused:
            load_settings(file, data=Path(odd))
    file.write_text('agent = "Dana"\npayment_pages = ["https://pay.example:8443", "app://desk"]', encoding="utf-8-sig")
    assert load_settings(file).agent == "Dana", "as Windows' Notepad writes it"
    file.write_text('hosst = "x"\nauthority = 3\n[keep]\ntranscript_day = 3')
    with pytest.raises(AssistError) as refused:
        load_settings(file, port=80_800)
    told = str(refused.value)
    assert told.startswith("--port 80800: Input should be less than or equal to 65535; ") and told.count(str(file)) == 1
    assert "hosst: no such key (known: data, host, port, " in told and "(whose Plan B limits count here: " in told
    assert "keep.transcript_day: no such key (known in [keep]: transcript_days, audio_days, " in told
    file.write_text('host = "[::1]"\n[[keep]]\n[login]\nport = 8700')
    with pytest.raises(AssistError) as refused:
        load_settings(file)
    assert "keep: expected a table of keys" in str(refused.value)
    assert "roles, role; port stands above the first [table])" in str(refused.value)
    file.write_text(
        'proxies = ["10.0.0.0/24"]\nhost = "[::1]"\n[login]\nby = "proxy"\nheader = "X-User"\nrole = "agent"'
    )
    assert load_settings(file).host == "::1"
    assert load_settings(file, agent=" Zoe\u0308 ").agent == "Zo\u00eb", "as a user of that name is kept"
    assert code_of(lambda: load_settings(file, agent=" ")) == "settings-invalid"
    file.write_text('authority = "agent"\nexperienced_agents = ["Zoe\u0308"]\nauthorities = {"Zoe\u0308 " = "senior"}')
    zoe = agent_profile(load_settings(file), load_settings(file, agent="Zoe\u0308").agent)
    assert (zoe.role, zoe.experienced) == ("senior", True)
    zoe = agent_profile(load_settings(file), "ZOË")
    assert (zoe.role, zoe.experienced) == ("senior", True), "of a user whose name is spelled otherwise than here"
    file.write_text('proxies = ["10.0.0.0/24"]\n[login]\nby = "proxy"\nheader = "X-User"\nrole = "agent"')
    assert authentication_of(load_settings(file, data=tmp_path), store).screens.identify is not None


def test_paths_in_the_settings_file_start_from_its_folder_wherever_the_program_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, home, elsewhere = tmp_path / "etc", tmp_path / "home", tmp_path / "elsewhere"
    for folder in (place, home, elsewhere):
        folder.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    (place / "my.toml").write_text((SHIPPED / "default.toml").read_text(encoding="utf-8"), encoding="utf-8")
    file = place / "assist.toml"
    file.write_text(
        'data = "calls"\nplaybook = "my.toml"\noptions = "~/options.toml"\nrules = ["mine.toml", "/site/rules.toml"]\n'
        'certificate = "a.pem"\ncertificate_key = "keys/a.pem"\nmodel = "models/ours"'
    )
    for written in (file, Path("../etc/assist.toml")):
        found = load_settings(written)
        assert found.data.resolve() == place / "calls" and found.options == home / "options.toml"
        assert [each.resolve() for each in found.rules] == [place / "mine.toml", Path("/site/rules.toml")]
        assert load_playbook(found.playbook).steps
        assert found.certificate is not None and found.certificate.resolve() == place / "a.pem"
        assert found.certificate_key is not None and found.certificate_key.resolve() == place / "keys" / "a.pem"
        assert found.model is not None and Path(found.model).resolve() == place / "models" / "ours"
    typed = load_settings(file, data=Path("calls"), playbook="my.toml")
    assert typed.data == Path("calls") and typed.playbook == "my.toml"
    file.write_text('data = "~/calls"\nplaybook = "six-steps"\nmodel = "base.en"')
    named = load_settings(file)
    assert (named.data, named.playbook, named.model) == (home / "calls", "six-steps", "base.en")


def test_a_header_counts_from_the_declared_proxy_only_and_roles_follow_the_table() -> None:
    identify = identify_by_header(
        "X-User", "X-Groups", {"leads": "supervisor", "floor": "agent"}, None, ["10.0.0.0/24"]
    )
    given = {"x-user": "Dana", "x-groups": "everyone, floor"}
    assert identify(given, "10.0.0.7") == Identity("Dana", "agent")
    assert identify(given | {"x-groups": "floor,leads"}, "10.0.0.7") == Identity("Dana", "supervisor")
    for headers, peer in (
        (given, "10.0.1.7"),
        (given, "127.0.0.1"),
        (given, ""),
        (given | {"x-groups": "leadsfloor"}, "10.0.0.7"),
        (given | {"x-user": ""}, "10.0.0.7"),
        (given | {"x-user": "a\nb"}, "10.0.0.7"),
    ):
        assert identify(headers, peer) is None


def test_a_proxys_name_in_capitals_or_small_letters_is_the_one_their_calls_carry(store: Store, tmp_path: Path) -> None:
    for call, began, agent in (("k1", "2026-01", "MARIA"), ("k2", "2026-02", "Maria"), ("k3", "2026-02", "Jo")):
        store.begin(call, began, agent).result()
    store.people.save_view("Quinn", "mine", "{}").result()
    login = LoginSettings(by="proxy", header="X-User", role="agent")
    subject = authentication_of(Settings(data=tmp_path, login=login, proxies=["127.0.0.1"]), store)
    assert subject.screens.identify is not None
    for sent, known in (
        ("maria", "Maria"), ("MARIA", "Maria"), ("quinn", "Quinn"), ("Strasse", "Strasse"), ("Straße", "Straße"),
        ("Mária", "Mária"), ("ZOË", "ZOË"), ("Zoe\u0308", "ZOË"), ("Jo ", "Jo"),
    ):  # fmt: skip
        assert subject.screens.identify({"x-user": sent}, "127.0.0.1") == Identity(known, "agent"), sent
        assert subject.screens.login_name(sent) == known, "a call that begins now is theirs"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Zoë".encode(), "Zoë"),
        ("Nicolò à".encode(), "Nicolò à"),  # its last byte is a space to latin-1
        ("Zoe\u0308".encode(), "Zoë"),  # as agents in the settings are spelled
        ("王伟".encode(), "王伟"),
        ("Zoë".encode("latin-1"), "Zoë"),
        ("Z\x85oe".encode(), None),
    ],
)
def test_a_name_that_a_proxy_passes_on_is_read_as_it_was_written(written: bytes, read: str | None) -> None:
    identify = identify_by_header("X-User", "X-Groups", {"équipe": "agent"}, None, ["10.0.0.0/24"])
    headers = Headers(raw=[(b"x-user", written), (b"x-groups", "équipe".encode())])
    assert identify(headers, "10.0.0.7") == (Identity(read, "agent") if read else None)


def test_a_record_of_another_agent_is_told_from_none_by_no_answer(store: Store, tmp_path: Path) -> None:
    [record] = made_records(1)
    store.begin("k000000", record["started_at"], "Dana")
    store.finish("k000000", "ended", record | {"agent": "Dana"}).result()
    tom = ScreenSettings(identify=lambda headers, peer: Identity("Tom", "agent"))
    library = Library(store, (), open_audit(store.people, tmp_path), Recordings(tmp_path))

    async def nothing(who: Identity, what: object) -> None: ...

    async def scene() -> None:
        transport = httpx.ASGITransport(create_app(Hub(), nothing, library, tom))
        here = "http://127.0.0.1"
        async with httpx.AsyncClient(transport=transport, base_url=here, headers={"origin": here}) as client:
            for part in ("", "/html", "/export", "/notes"):
                told = set()
                for name in ("k000000", "nope"):
                    place, note = f"/api/records/{name}{part}", {"kind": "comment", "text": "mine"}
                    asked = client.post(place, json=note) if part == "/notes" else client.get(place)
                    answer = await asked
                    told.add((answer.status_code, answer.text))
                [(status, _)] = told
                assert status == 404, part
        assert not list(store.people.audit()) and not store.reviews("k000000")

    asyncio.run(scene())


@pytest.mark.parametrize(
    "line",
    [
        ("users", "add", "Tom", "--role", "agent", "--password-stdin"),
        ("users", "role", "Dana", "admin"),
        ("users", "passwd", "Dana", "--password-stdin"),
        ("users", "remove", "Dana"),
        ("privacy", "erase", "k000000", "--yes"),
        ("privacy", "export", "k000000", "--out"),
        ("privacy", "hold", "k000000", "--why", "case 7"),
        ("privacy", "release", "k000001"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_noted_is_not_done(line: tuple[str, ...], store: Store, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tests.made_records import made_records

    for record in made_records(2):
        store.begin(record["call"], record["started_at"], record["agent"])
        store.finish(record["call"], "ended", record)
    store.hold(Hold("k000001", "Root", "case 6", "2026-11-24")).result()
    add_user(store.people, "Dana", "agent", PASSWORD)
    filled(store, tmp_path, 1)
    (tmp_path / "audit.key").unlink()
    stands = lambda: (store.people.users(), store.calls(), store.holds())  # noqa: E731
    before = stands()
    store.close()
    out = tmp_path / "out.zip"
    more = (str(out),) if line[-1] == "--out" else ()
    told = CliRunner().invoke(app, [*line, *more, "--data", str(tmp_path)], input="another long password\n")
    assert isinstance(told.exception, AssistError) and told.exception.code == "key-missing"
    assert stands() == before and not out.exists()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (("add", "Dana", "--role", "agent"), "user-exists"),
        (("add", "Tom", "--role", "boss"), "role-invalid"),
        (("add", " ", "--role", "agent"), "user-invalid"),
        (("passwd", "Tom"), "user-unknown"),
    ],
)
def test_no_password_is_asked_for_in_vain(line: tuple[str, ...], code: str, store: Store, tmp_path: Path) -> None:
    add_user(store.people, "Dana", "agent", PASSWORD)
    store.close()
    told = CliRunner().invoke(app, ["users", *line, "--data", str(tmp_path)], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert isinstance(told.exception, AssistError) and told.exception.code == code and "Password" not in told.output


def test_where_nobody_types_a_password_it_is_said_how_else_to_give_it(tmp_path: Path) -> None:
    told = command("users", "add", "Dana", "--role", "agent", "--data", str(tmp_path))
    assert told.returncode == 1 and "expected it typed twice, or --password-stdin" in told.stderr


@pytest.mark.parametrize(
    "line", [b"\xef\xbb\xbfZo\xc3\xab Horse 4242\r\n", b"Zo\xc3\xab Horse 4242"], ids=["Windows", "bare"]
)
def test_a_password_from_a_file_is_its_first_line_whoever_wrote_it(line: bytes, tmp_path: Path) -> None:
    add = ["users", "add", "Eva", "--role", "admin", "--password-stdin", "--data", str(tmp_path)]
    assert CliRunner().invoke(app, add, input=line).exit_code == 0
    with closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        assert Accounts(store.people).verify("Eva", "Zo\xeb Horse 4242")


def test_a_password_in_another_encoding_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    add = ["users", "add", "Eva", "--role", "admin", "--password-stdin", "--data", str(tmp_path)]
    for line in ("Zo\xeb Horse 4242\n".encode("latin-1"), "Zo\xeb Horse 4242\r\n".encode("utf-16")):
        told = CliRunner().invoke(app, add, input=line)
        assert told.exit_code == 1 and "expected it in UTF-8" in told.output and "[password-unreadable]" in told.output


def test_a_user_of_this_system_is_noted_as_who_they_are_or_by_number_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "Maria")
    assert system_user() != "Maria"
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)  # as in a container that runs under any user id
    line = ["users", "add", "Dana", "--role", "agent", "--password-stdin", "--data", str(tmp_path)]
    assert CliRunner().invoke(app, line, input=PASSWORD + "\n").exit_code == 0
    assert "uid 4242424" in CliRunner().invoke(app, ["audit", "--data", str(tmp_path)], env={"COLUMNS": "160"}).output
    assert CliRunner().invoke(app, ["followups", "--data", str(tmp_path)]).exit_code == 0


def test_settings_that_differ_from_the_last_start_are_in_the_audit_log(store: Store, tmp_path: Path) -> None:
    for settings in (Settings(data=tmp_path), Settings(data=tmp_path), Settings(data=tmp_path, team="Billing")):
        authentication_of(settings, store)
        store.flush().result()
    assert [row.entry.what for row in store.people.audit()] == ["settings", "settings"]


def command(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-m", "assist", *arguments]
    env = os.environ | {"COLUMNS": "160"}
    return subprocess.run(run, input=stdin, capture_output=True, text=True, env=env, start_new_session=True)


def test_users_on_the_command_line_and_what_they_leave_in_the_audit_log(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    added = command("users", "add", "Dana", "--role", "agent", "--password-stdin", *data, stdin=PASSWORD + "\n")
    assert added.returncode == 0 and "Dana can log in as agent" in added.stdout

    def here(*line: str) -> str:
        answer = CliRunner().invoke(app, [*line, *data])
        assert answer.exit_code == 0, answer.output
        return answer.output

    here("users", "role", "Dana", "supervisor")
    listed = here("users", "list")
    assert "Dana" in listed and "supervisor" in listed
    refused = command("users", "remove", "Tom", *data)
    assert refused.returncode == 1 and "there is no user Tom" in refused.stderr
    told = here("audit", "--verify").replace("\n", " ")
    assert "user-added" in told and "user-role" in told and "2 entries, every seal holds" in told
    assert PASSWORD not in (tmp_path / "assist.db").read_bytes().decode("latin-1")


@pytest.mark.parametrize("by", ["users", "proxy"])
def test_an_admin_opens_an_agents_page_however_its_address_spells_the_name(
    store: Store, tmp_path: Path, by: Literal["users", "proxy"]
) -> None:
    add_user(store.people, "Zoë", "agent", PASSWORD)
    store.begin("k1", "2026-01", "Zoë").result()
    settings = Settings(data=tmp_path, login=LoginSettings(by=by, header="X-User", role="agent"), proxies=["127.0.0.1"])
    subject = authentication_of(settings, store)
    access = Access(subject.screens, Sessions(subject.accounts) if subject.accounts is not None else None)
    rooms = [access.admit(Identity("Root", "admin"), "agent", who).room for who in ("ZOE\u0308", "Dana", "")]
    assert rooms == ["agent/Zoë", "agent/Dana", "agent/Root"]


def test_a_call_is_the_users_however_its_command_spells_the_name(store: Store, tmp_path: Path) -> None:
    add_user(store.people, "Zoë", "agent", PASSWORD)
    store.close()
    settings = Settings(
        data=tmp_path, port=0, agent="ZOË", consent=Consent.GRANTED, login=LoginSettings(by="users"),
        recogniser="whisper", model=str(MODEL),
    )  # fmt: skip

    async def heard(*names: str | None) -> list[str]:
        async with running_service(settings, Console(quiet=True)) as service:
            agents = []
            for named in names:
                call, over = service.start(Sound(3), agent=named)
                await over
                agents.append(str(service.store.record(call)["agent"]))  # type: ignore[index]
            return agents

    assert asyncio.run(heard("zoe\u0308", None, "Dana")) == ["Zoë", "Zoë", "Dana"]
