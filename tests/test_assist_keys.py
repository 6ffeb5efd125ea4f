"""A call that was erased does not come back from an old backup: its words were under a key that is gone."""

import os
import queue
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from assist.access.accounts import Accounts, add_user, remove_user, set_password
from assist.access.audit import open_audit
from assist.commands.main import app
from assist.errors import AssistError
from assist.events import CallStarted
from assist.privacy.retention import erase, erase_due, find_due, without_words
from assist.records.folding import fold
from assist.settings import KeepSettings
from assist.store import backups, sqlite
from assist.store.backups import restore_backup, write_backup
from assist.store.checking import check_store
from assist.store.keys import Keyring
from assist.store.lock import StoreLock
from assist.store.rows import Hold, Review, StoredGate, stamp
from assist.store.searching import RecordQuery
from assist.store.store import open_reader, open_store, path_from_url
from assist.store.writer import MAX_BATCH
from audio.events import Speaker, Utterance, Word
from tests.fault_rig import in_a_child
from tests.scripted_call import hits
from tests.test_assist_doctor import as_nobody

CANARY, OTHER = "quicksilver", "tangerine"


def with_a_call(store, call, word):
    started = CallStarted(0, call, "dana", "", "", "", "2026-11-24T10:00:00+00:00", "t", ("customer",), {})
    said = Utterance("c1", Speaker.CUSTOMER, 0, 900, (Word("my", 0, 300), Word(word, 300, 900)))
    store.begin(call, started.started_at, "dana")
    for n, event in enumerate((started, said)):
        store.append(call, n, event)
    store.finish(call, "ended", fold([started, said]).model_dump(mode="json"))
    store.review(call, Review("2026-11-25", "Q", "comment", "", f"about {word}")).result()


def rows(folder):
    with closing(sqlite3.connect(folder / "data" / "assist.db")) as connection:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("calls", "events", "records", "digests", "reviews", "spoken")
        ]


@pytest.fixture
def store(tmp_path):
    (tmp_path / "data").mkdir()
    store = open_store(f"sqlite:///{tmp_path / 'data' / 'assist.db'}")
    with_a_call(store, "k1", CANARY)
    with_a_call(store, "k2", OTHER)
    write_backup(store, tmp_path / "old.backup")
    yield store
    store.close()


def test_a_backup_holds_nobodys_words_in_the_clear_and_comes_back_whole(tmp_path, store):
    assert not {name for name, _ in hits(tmp_path, CANARY, OTHER)} & {"old.backup", "keys.db"}
    (tmp_path / "new.backup.part").write_text("somebody's own")
    write_backup(store, tmp_path / "new.backup")
    assert (tmp_path / "new.backup.part").read_text() == "somebody's own"
    store.close()
    before = rows(tmp_path)
    restore_backup(tmp_path / "old.backup", f"sqlite:///{tmp_path / 'data' / 'assist.db'}")
    assert rows(tmp_path) == before


def test_an_old_backup_does_not_bring_an_erased_call_back(tmp_path, store):
    store.erase(["k1"]).result()
    store.close()
    (tmp_path / "data" / "assist.db").unlink()
    restore_backup(tmp_path / "old.backup", f"sqlite:///{tmp_path / 'data' / 'assist.db'}")
    assert not hits(tmp_path, CANARY)
    again = open_store(f"sqlite:///{tmp_path / 'data' / 'assist.db'}")
    assert [call.call for call in again.calls()] == ["k2"]
    assert again.record("k1") is None and again.reviews("k1") == []
    assert len(again.records(RecordQuery(words=OTHER))) == 1 and len(again.events("k2")) == 2
    again.close()


def test_nor_does_an_older_copy_of_the_keys_that_was_put_back_and_the_command_says_what_it_takes(tmp_path, store):
    data, url = tmp_path / "data", f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    keys = Keyring.beside(data / "assist.db")
    run = lambda *line: CliRunner().invoke(app, [*line, "--data", str(data)])  # noqa: E731
    older = shutil.copy(data / "keys.db", tmp_path)
    store.close()
    assert run("backup", str(tmp_path / "new.backup")).exit_code == 0
    assert "in the place of every copy" in run("privacy", "erase", "k1", "--yes").stdout
    shutil.copy(older, data / "keys.db")
    with closing(open_store(url)) as again:
        found = find_due(again, KeepSettings(), datetime.now(UTC), data)
        assert (found.words, found.records) == ((), ("k1",)) and keys.calls() == {"k1", "k2"}
        erase_due(again, open_audit(again.people, data), KeepSettings(), data, datetime.now(UTC), found)
        assert keys.calls() == {"k2"}
    shutil.copy(older, data / "keys.db")
    assert "1 call(s) of it stay out" in run("restore", str(tmp_path / "old.backup")).stdout
    assert keys.calls() == {"k2"} and [call for call, *_ in rows(tmp_path)[0]] == ["k2"]
    assert not hits(data, CANARY)
    (data / "keys.db").unlink()
    assert "were not destroyed" in run("privacy", "erase", "k2", "--yes").stdout


def test_a_store_put_aside_does_not_bring_back_what_was_refused_since_and_loses_nothing_that_is_only_not_there(
    tmp_path, store
):
    data, url = tmp_path / "data", f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    with_a_call(store, "k3", "marmalade")
    store.set_gate("k3", StoredGate("all-party", "granted", "dana", at=stamp())).result()
    store.close()
    former = restore_backup(tmp_path / "old.backup", url).former
    with closing(open_store(url)) as again:
        again.set_gate("k1", StoredGate("all-party", "refused", "dana", at=stamp())).result()
        again.erase(["k1"]).result()
    assert restore_backup(former, url).erased == 1
    assert [call for call, *_ in rows(tmp_path)[0]] == ["k2", "k3"]
    assert {name for name, _ in hits(data, CANARY)} == {former.name}


def test_nor_does_one_that_was_being_made_while_the_call_was_erased(tmp_path, store, monkeypatch):
    sealing = sqlite.encrypt_copy

    def erased_before(copy, keys):
        store.erase(["k1"]).result()
        sealing(copy, keys)

    monkeypatch.setattr(sqlite, "encrypt_copy", erased_before)
    write_backup(store, tmp_path / "new.backup")
    store.close()
    restore_backup(tmp_path / "new.backup", f"sqlite:///{tmp_path / 'data' / 'assist.db'}")
    assert not hits(tmp_path, CANARY)
    assert [call for call, *_ in rows(tmp_path)[0]] == ["k2"]


def test_nor_words_whose_time_had_come_and_a_later_backup_has_a_key_of_its_own(tmp_path, store):
    store.erase_words("k1", without_words(store.record("k1"))).result()
    write_backup(store, tmp_path / "new.backup")
    keys = Keyring.beside(tmp_path / "data" / "assist.db")
    for name, readable in (("old", False), ("new", True)):
        with closing(sqlite3.connect(tmp_path / f"{name}.backup")) as copy:
            [[body]] = copy.execute("SELECT body FROM records WHERE call = 'k1'").fetchall()
        assert (keys.decrypt_text("k1", body) is not None) == readable


def test_a_call_that_began_while_a_backup_was_being_made_is_not_in_it(tmp_path, store, monkeypatch):
    fetching = sqlite.load_keys

    def begun_after(path, keys):
        fetching(path, keys)
        with_a_call(store, "k3", "marmalade")

    monkeypatch.setattr(sqlite, "load_keys", begun_after)
    write_backup(store, tmp_path / "new.backup")
    with closing(sqlite3.connect(tmp_path / "new.backup")) as copy:
        assert [call for (call,) in copy.execute("SELECT call FROM calls ORDER BY 1")] == ["k1", "k2"]
    assert {name for name, _ in hits(tmp_path, "marmalade")} <= {"assist.db", "assist.db-wal"}


def test_a_backup_that_fails_leaves_nobodys_words_and_none_were_ever_on_its_disk(tmp_path, store, monkeypatch):
    away = tmp_path / "away"
    away.mkdir()

    def full(copy, keys):
        assert CANARY.encode() in copy.read_bytes() and copy.parent == tmp_path / "data"
        assert copy.stat().st_mode & 0o077 == 0
        assert list(away.iterdir()) == []
        raise AssistError("backup-failed", "the disk is full")

    monkeypatch.setattr(sqlite, "encrypt_copy", full)
    with pytest.raises(AssistError, match="the disk is full"):
        write_backup(store, away / "new.backup")
    assert list(away.iterdir()) == []
    assert {name for name, _ in hits(tmp_path, CANARY)} <= {"assist.db", "assist.db-wal"}


def test_a_copy_that_would_take_the_room_of_live_calls_is_refused(tmp_path, store, monkeypatch):
    monkeypatch.setattr(sqlite, "COPY_MARGIN_BYTES", 1 << 60)
    with pytest.raises(AssistError, match="make room"):
        write_backup(store, tmp_path / "new.backup")
    assert not list(tmp_path.glob("new.backup*"))


@pytest.mark.parametrize("earlier", ["", "new.backup", "data/assist.db"])
def test_a_restore_keeps_what_was_decided_since_the_backup(earlier, tmp_path, store):
    url = f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    agreed, refused = (StoredGate("all-party", consent, "dana", at=stamp()) for consent in ("granted", "refused"))
    for call in ("k1", "k2"):
        store.set_gate(call, agreed).result()
    released, held = Hold("k1", "legal", "case 7", stamp()), Hold("k2", "legal", "case 8", stamp())
    for each in (released, Hold("k0", "legal", "case 6", stamp())):
        store.hold(each).result()
    write_backup(store, tmp_path / "new.backup")
    for call in ("k0", "k1"):
        store.release(call).result()
    open_audit(store.people, tmp_path / "data").note_command("release", "k0")
    store.hold(held).result()
    store.set_gate("k2", refused).result()
    store.set_gate("k3", refused).result()
    store.close()
    if earlier:  # the file of a version that did not know when a call was over
        with closing(sqlite3.connect(tmp_path / earlier)) as file:
            file.executescript("ALTER TABLE gates DROP COLUMN ended; PRAGMA user_version=1")
    restore_backup(tmp_path / "new.backup", url)
    again = open_store(url)
    assert again.holds() == [released, held], "k0's release is in the audit log; else one more is safe"
    assert [again.gate(call) for call in ("k1", "k2", "k3")] == [agreed, refused, refused]
    again.close()


def test_a_restore_keeps_the_record_of_a_call_whose_words_went_since_the_backup(tmp_path, store):
    url = f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    store.erase_words("k1", without_words(store.record("k1"))).result()
    store.erase(["k2"]).result()
    kept, said = store.record("k1"), store.reviews("k1")
    store.close()
    assert restore_backup(tmp_path / "old.backup", url).left_out == 1
    again = open_store(url)
    assert [call.call for call in again.calls()] == ["k1"]
    assert (again.record("k1"), again.reviews("k1"), again.events("k1")) == (kept, said, [])
    assert [digest["call"] for digest in again.digests(RecordQuery())] == ["k1"]
    again.close()


def test_a_restore_lets_nobody_in_who_was_taken_out_since_and_forgets_no_entry_of_the_audit_log(tmp_path, store):
    data, url = tmp_path / "data", f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    log = open_audit(store.people, data)
    for name in ("Mallory", "Root"):
        add_user(store.people, name, "admin", "four unlikely words")
        log.note_command("user-added", name)
    write_backup(store, tmp_path / "new.backup")
    remove_user(store.people, "Mallory")
    set_password(store.people, "Root", "another long password")
    log.note_command("user-removed", "Mallory")
    store.close()
    assert CliRunner().invoke(app, ["restore", str(tmp_path / "new.backup"), "--data", str(data)]).exit_code == 0
    again = open_store(url)
    people = Accounts(again.people)
    assert people.look_up("Mallory") is None and people.verify("Root", "another long password")
    noted = [(row.entry.what, row.entry.target) for row in again.people.audit()]
    assert noted[2:] == [("user-removed", "Mallory"), ("restore", "new.backup")]
    assert not open_audit(again.people, data).verify().problem
    again.close()


def test_a_restore_over_a_store_begun_anew_takes_the_people_of_the_backup(tmp_path, store):
    data, other = tmp_path / "data", tmp_path / "other"
    log = open_audit(store.people, data)
    add_user(store.people, "Root", "admin", "four unlikely words")
    log.note_command("user-added", "Root")
    write_backup(store, tmp_path / "new.backup")
    store.close()
    anew = open_store(f"sqlite:///{other / 'assist.db'}")
    open_audit(anew.people, other).note_command("settings")
    anew.close()
    for name in ("keys.db", "audit.key"):
        copyfile(data / name, other / name)
    restore_backup(tmp_path / "new.backup", f"sqlite:///{other / 'assist.db'}")
    again = open_store(f"sqlite:///{other / 'assist.db'}")
    assert [user.name for user in again.people.users()] == ["Root"]
    assert not open_audit(again.people, other).verify().problem
    again.close()


def test_a_restore_over_a_damaged_store_says_that_the_people_are_those_of_the_backup(tmp_path, store):
    data = tmp_path / "data"
    log = open_audit(store.people, data)
    add_user(store.people, "Mallory", "admin", "four unlikely words")
    log.note_command("user-added", "Mallory")
    write_backup(store, tmp_path / "new.backup")
    remove_user(store.people, "Mallory")
    store.close()
    line = ["restore", str(tmp_path / "new.backup"), "--data", str(data)]
    assert "as in the backup" not in CliRunner().invoke(app, line).stdout
    (data / "assist.db").write_bytes(b"damaged" * 5000)
    assert "as in the backup" in CliRunner().invoke(app, line).stdout
    again = open_store(f"sqlite:///{data / 'assist.db'}")
    assert [user.name for user in again.people.users()] == ["Mallory"]
    again.close()


def test_a_backup_from_before_anybody_could_log_in_takes_nobody_out(tmp_path, store):
    data, url = tmp_path / "data", f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    write_backup(store, tmp_path / "new.backup")
    log = open_audit(store.people, data)
    add_user(store.people, "Root", "admin", "four unlikely words")
    log.note_command("user-added", "Root")
    store.close()
    restore_backup(tmp_path / "new.backup", url)
    again = open_store(url)
    assert Accounts(again.people).verify("Root", "four unlikely words")
    assert [row.entry.what for row in again.people.audit()] == ["user-added"]
    assert not open_audit(again.people, data).verify().problem
    again.close()


def test_a_restore_beside_another_audit_key_says_so_and_writes_nothing_under_it(tmp_path, store):
    data, other = tmp_path / "data", tmp_path / "other"
    open_audit(store.people, data).note_command("settings")
    write_backup(store, tmp_path / "new.backup")
    anew = open_store(f"sqlite:///{other / 'assist.db'}")
    open_audit(anew.people, other).note_command("settings")
    anew.close()
    line = ["restore", str(tmp_path / "new.backup"), "--data", str(other)]
    answer = CliRunner().invoke(app, line)
    told = answer.stdout
    assert (
        answer.exit_code == 1
        and "entry 1 was changed" in told
        and "audit.key is not its key" in told
        and "--without-audit-log" in told
    )
    copyfile(data / "audit.key", other / "audit.key")
    assert "audit" not in CliRunner().invoke(app, line).stdout
    again = open_store(f"sqlite:///{other / 'assist.db'}")
    assert [row.entry.what for row in again.people.audit()] == ["settings", "restore"]
    assert not open_audit(again.people, other).verify().problem
    again.close()


def test_on_another_machine_a_restore_says_what_is_missing_and_the_audit_log_can_begin_anew(tmp_path, store):
    open_audit(store.people, tmp_path / "data").note_command("settings")
    write_backup(store, tmp_path / "new.backup")
    other = tmp_path / "other"
    line = ["restore", str(tmp_path / "new.backup"), "--data", str(other)]
    answer = CliRunner().invoke(app, line)
    assert answer.exit_code == 1 and "2 call(s) of it are left out" in answer.stdout, "serve would not start"
    copyfile(tmp_path / "data" / "keys.db", other / "keys.db")
    told = CliRunner().invoke(app, line).stdout
    assert "left out" not in told and "audit.key is missing" in told
    answer = CliRunner().invoke(app, [*line, "--without-audit-log"])
    assert answer.exit_code == 0 and "audit.key" not in answer.stdout
    again = open_store(f"sqlite:///{other / 'assist.db'}")
    assert {call.call for call in again.calls()} == {"k1", "k2"}
    assert [row.entry.what for row in again.people.audit()] == ["restore"]
    assert not open_audit(again.people, other).verify().problem
    again.close()


def test_what_a_killed_backup_or_restore_left_beside_the_store_goes_when_it_is_opened(tmp_path, store):
    url, data = f"sqlite:///{tmp_path / 'data' / 'assist.db'}", tmp_path / "data"
    store.close()
    for name in ("assist.db.copying-17", "assist.db.restoring", "assist.db.restoring-journal"):
        (data / name).write_text(f"my {CANARY}")
    open_store(url).close()
    assert {name for name, _ in hits(tmp_path, CANARY)} == {"assist.db"}
    (data / "keys.db").write_text("no keys")
    with pytest.raises(AssistError, match=r"keys\.db"):
        restore_backup(tmp_path / "old.backup", url)
    assert not list(data.glob("*.restoring*"))


def dies_with_calls_written(url, many, _):
    store = open_store(url)
    for n in range(3, 3 + many):
        with_a_call(store, f"k{n}", CANARY)
    os._exit(9)


def dies_before_the_backup_takes_its_place(backup, url, _):
    def replace(source, target):
        if Path(target) == path_from_url(url):
            os._exit(9)
        os.rename(source, target)

    backups.os.replace = replace
    restore_backup(backup, url)


def dies_before_the_copy_is_sealed(url, out, _):
    sqlite.encrypt_copy = lambda copy, keys: os._exit(9)
    write_backup(open_reader(url), out)


def in_a_child_that_dies(work, *args):
    child, pipe = in_a_child(work, *args)
    child.join()
    os.close(pipe)
    assert child.exitcode == 9


def test_the_log_of_a_store_that_was_taken_away_does_not_get_into_the_one_that_comes(tmp_path, store):
    url, data = f"sqlite:///{tmp_path / 'data' / 'assist.db'}", tmp_path / "data"
    store.close()
    in_a_child_that_dies(dies_with_calls_written, url, 1)
    assert (data / "assist.db-wal").stat().st_size > 0
    (data / "assist.db").unlink()
    assert restore_backup(tmp_path / "old.backup", url).former is None
    again = open_store(url)
    assert {call.call for call in again.calls()} == {"k1", "k2"}
    again.close()
    assert check_store(data / "assist.db").problem == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_restore_is_refused_where_what_was_written_last_cannot_be_folded_into_the_store(tmp_path, store):
    import resource

    url, data = f"sqlite:///{tmp_path / 'data' / 'assist.db'}", tmp_path / "data"
    store.close()
    in_a_child_that_dies(dies_with_calls_written, url, 40)
    log = (data / "assist.db-wal").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = (data / "assist.db").stat().st_size  # for the backup, not for what is in the log
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(AssistError, match="cannot write"):
            restore_backup(tmp_path / "old.backup", url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (data / "assist.db-wal").read_bytes() == log
    again = open_store(url)
    assert len(again.calls()) == 42
    again.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize(
    ("rights", "says"), [((0o700, 0), "Permission denied"), ((0o500, 0o600), "nothing may be written in")]
)
def test_a_store_that_this_user_may_not_read_or_write_is_not_taken_for_a_damaged_one(store, tmp_path, rights, says):
    store.hold(Hold("k1", "A", "a claim", stamp())).result()
    store.close()
    with TemporaryDirectory() as place:
        data = Path(shutil.copytree(tmp_path, Path(place) / "copy")) / "data"
        for path in (Path(place), data.parent, *data.parent.iterdir(), *data.iterdir()):
            os.chown(path, *(65534, 65534) if os.getuid() == 0 else (-1, -1))
        (data / "assist.db").chmod(rights[1])
        data.chmod(rights[0])

        def refused():
            url = f"sqlite:///{data / 'assist.db'}"
            try:
                open_store(url).close() if rights[1] else restore_backup(data.parent / "old.backup", url)
            except AssistError as error:
                return [(error.code, str(error))]
            return [("done", "")]

        [(_, text)] = as_nobody(refused)
        assert says in text and not list(data.glob("*.before-*"))
        data.chmod(0o700)


def test_a_restore_that_is_killed_leaves_a_store_in_its_place(tmp_path, store):
    url = f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    store.review("k1", Review("2026-11-26", "Q", "comment", "", "later")).result()
    store.close()
    in_a_child_that_dies(dies_before_the_backup_takes_its_place, tmp_path / "old.backup", url)
    again = open_store(url)
    assert [review.text for review in again.reviews("k1")][-1] == "later"
    again.close()


def test_no_store_that_was_put_aside_takes_the_place_of_another(tmp_path, store):
    url, data, now = f"sqlite:///{tmp_path / 'data' / 'assist.db'}", tmp_path / "data", datetime.now(UTC)
    store.close()
    others = [data / f"assist.before-{now + timedelta(seconds=n):{backups.FORMER_TIME_FORMAT}}.db" for n in range(120)]
    for other in others:
        other.write_text("another")
    former = restore_backup(tmp_path / "old.backup", url).former
    assert former.exists() and former not in others
    assert {other.read_text() for other in others} == {"another"}


def test_an_erasure_takes_what_a_killed_backup_left_of_the_call_while_the_server_runs(tmp_path, store):
    url, data, out = f"sqlite:///{tmp_path / 'data' / 'assist.db'}", tmp_path / "data", tmp_path / "new.backup"
    in_a_child_that_dies(dies_before_the_copy_is_sealed, url, out)
    assert ("assist.db.copying", CANARY) in hits(data, CANARY)
    erase(store, data, ["k1"])
    assert not hits(tmp_path, CANARY) and not out.exists()


def test_a_backup_that_is_being_made_keeps_its_copy_and_no_second_one_begins(tmp_path, store):
    making = tmp_path / "data" / "assist.db.copying"
    making.write_text("a part")
    with closing(StoreLock(making, lock_folder=False)):
        erase(store, tmp_path / "data", ["k1"])
        with pytest.raises(AssistError, match="another backup"):
            write_backup(store, tmp_path / "new.backup")
        assert making.read_text() == "a part"
    assert write_backup(store, tmp_path / "new.backup")


def test_a_backup_is_in_the_audit_log_before_anything_is_out_and_is_made_where_the_log_cannot_go_on(tmp_path, store):
    data = tmp_path / "data"
    taken = ["backup", "--data", str(data)]
    store.close()
    assert CliRunner().invoke(app, [*taken, str(tmp_path / "new.backup")]).exit_code == 0
    kept = open_reader(f"sqlite:///{tmp_path / 'new.backup'}")
    assert [(row.entry.what, row.entry.target, row.entry.role) for row in kept.people.audit()] == [
        ("backup", "new.backup", "command")
    ]
    kept.close()
    (data / "audit.key").unlink()
    result = CliRunner().invoke(app, [*taken, str(tmp_path / "newer.backup")])
    assert result.exit_code == 0 and "not in the audit log" in result.stdout and "audit.key is missing" in result.stdout


def test_a_store_that_was_put_aside_comes_back_whole_whatever_reviewers_wrote(tmp_path, store):
    url = f"sqlite:///{tmp_path / 'data' / 'assist.db'}"
    for text in ("~ 5 minutes late", "~hello", "~good"):
        store.review("k1", Review("2026-11-26", "Q", "comment", "", text)).result()
    store.close()
    before = rows(tmp_path)
    former = restore_backup(tmp_path / "old.backup", url).former
    assert restore_backup(former, url).left_out == 0
    assert rows(tmp_path) == before


def test_an_erasure_that_damaged_keys_hold_up_says_so_and_is_done_when_they_are_put_back(tmp_path):
    told, data = queue.SimpleQueue(), tmp_path / "data"
    data.mkdir()
    store = open_store(f"sqlite:///{data / 'assist.db'}", told.put)
    with_a_call(store, "k1", CANARY)
    write_backup(store, tmp_path / "new.backup")
    copy = shutil.copy(data / "keys.db", tmp_path)
    os.truncate(data / "keys.db", 100)
    erased = store.erase(["k1"])
    said = told.get(timeout=30)
    assert "keys.db: " in said and "put the newest copy of it back" in said and "restore" not in said
    with_a_call(store, "k2", OTHER)
    store.set_gate("k2", StoredGate("all-party", "granted", "dana", 5, "dana", stamp())).result(10)
    assert store.record("k2") and store.record("k1") and not erased.done(), "nothing else waits"
    shutil.copy(copy, data / "keys.db")
    erased.result(30)
    assert told.get(timeout=30) is None
    store.close()
    assert not hits(data, CANARY)
    assert restore_backup(tmp_path / "new.backup", f"sqlite:///{data / 'assist.db'}").left_out == 1


def test_what_damaged_keys_hold_up_takes_nothing_with_it_when_the_store_is_closed(tmp_path, store):
    told = queue.SimpleQueue()
    store._writer._on_trouble = told.put
    os.truncate(tmp_path / "data" / "keys.db", 100)
    erased = store.erase(["k1"])
    assert "keys.db: " in told.get(timeout=30)
    written = [store.review("k2", Review("2026-11-26", "Q", "comment", "", f"{n}")) for n in range(MAX_BATCH + 10)]
    store.close()
    assert "put the newest copy of it back" in str(erased.exception(30))
    assert all(receipt.exception(30) is None for receipt in written)
    with closing(open_reader(f"sqlite:///{tmp_path / 'data' / 'assist.db'}")) as kept:
        assert kept.raw_events("k1") and len(kept.reviews("k2")) == len(written) + 1


def test_without_the_keys_a_backup_is_nothing(tmp_path, store):
    store.close()
    (tmp_path / "data" / "keys.db").unlink()
    restore_backup(tmp_path / "old.backup", f"sqlite:///{tmp_path / 'data' / 'assist.db'}")
    assert rows(tmp_path)[:5] == [[], [], [], [], []]


def test_a_sealed_text_is_its_calls_own_and_no_byte_of_it_can_be_changed(tmp_path):
    keys = Keyring(tmp_path / "keys.db")
    sealed = keys.encrypt_text("k1", "words")
    assert Keyring(tmp_path / "keys.db").decrypt_text("k1", sealed) == "words"
    keys.encrypt_text("k2", "x")
    assert keys.decrypt_text("k2", sealed) is None
    swapped = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    assert keys.decrypt_text("k1", swapped) is None
    assert (tmp_path / "keys.db").stat().st_mode & 0o077 == 0
    keys.destroy(["k1"])
    assert keys.decrypt_text("k1", sealed) is None and keys.decrypt_text("k1", "plain") == "plain"
