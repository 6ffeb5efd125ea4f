"""`assist doctor` on sound and on broken installations; the model, the sound and the store are real."""

import json
import os
import shutil
import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from assist.access.accounts import add_user
from assist.access.audit import open_audit
from assist.commands.main import app
from assist.doctor import hearing, judging, machine, serving
from assist.doctor.examine import examine
from assist.doctor.finding import Level
from assist.events import CallStarted
from assist.records.folding import fold
from assist.settings import LoginSettings, Settings
from assist.store.backups import restore_backup, write_backup
from assist.store.checking import is_disk_encrypted
from assist.store.keys import Keyring
from assist.store.recordings import RATE, RecordingFile, Recordings
from assist.store.store import open_store
from detectors import factory
from detectors.rulebook import Rulebook, load_rules
from detectors.sentence_model import FOLDER, SentenceModel

MODEL = Path(__file__).parent / "models" / "test-recogniser"
RULE = """
version = "1"
owner = "me"
language = "en"
[[rule]]
id = "own.blue-shed"
signal = "cancel_threat"
speaker = "customer"
severity = "help"
strength = 0.8
phrases = ["blue shed"]
fires = ["I go to the blue shed"]
silent = ["I go home"]
"""
BY_USERS = {"login": LoginSettings(by="users")}
NAMED = {"host": "0.0.0.0", "port": 8765, "hosts": ["assist.example:8765"], **BY_USERS}
PROXIED = {"host": "0.0.0.0", "login": LoginSettings(by="proxy", header="X-User", role="agent")}
CERTIFIED = {"certificate": Path("no.pem"), "certificate_key": Path("no.key")}
STARTED = CallStarted(0, "k1", "dana", "", "", "…0142", "", "test", ("agent", "customer"), {})


@pytest.fixture(autouse=True)
def no_recognising(monkeypatch):
    """The test about the recogniser brings it and the shipped rules back; they cost seconds."""
    monkeypatch.setattr(hearing, "_listen", lambda choice: ["thank", "you", "for", "calling"])
    monkeypatch.setattr(judging, "load_rules", lambda extra: load_rules(extra) if extra else Rulebook((), {}, "none"))


def settings_of(tmp_path, **more):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Settings(data=tmp_path / "data", **{"port": port, "recogniser": "whisper", "model": str(MODEL)} | more)


def with_a_call(settings, started_at):
    from dataclasses import replace

    store = open_store(settings.store_url)
    started = replace(STARTED, started_at=started_at.isoformat(timespec="seconds"))
    store.begin("k1", started.started_at, "dana")
    store.append("k1", 0, started)
    store.finish("k1", "ended", fold([started]).model_dump(mode="json")).result()
    store.close()


def levels(settings):
    return {finding.check: finding for finding in examine(settings)}


def test_a_fresh_installation_has_nothing_bad(tmp_path):
    found = levels(settings_of(tmp_path))
    assert not [finding for finding in found.values() if finding.level is Level.BAD], found
    assert not (tmp_path / "data").exists(), "nothing is changed"


def test_an_installation_in_use_has_nothing_bad(tmp_path):
    settings = settings_of(tmp_path)
    with_a_call(settings, datetime.now(UTC))
    found = levels(settings)
    assert not [finding for finding in found.values() if finding.level is Level.BAD], found
    assert "1 calls" in found["database"].text and found["data folder"].level is Level.OK


def damaged(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC))
    path = settings.data / "assist.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(path.read_bytes())
    data[4096:12288] = os.urandom(8192)
    path.write_bytes(data)


def from_the_future(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC) + timedelta(days=2))


def from_a_clock_that_had_lost_the_time(settings, tmp_path):
    with_a_call(settings, datetime(1970, 1, 1, 0, 3, tzinfo=UTC))


def a_file_in_its_place(settings, tmp_path):
    settings.data.touch()


def a_link_to_nowhere(settings, tmp_path):
    settings.data.symlink_to(tmp_path / "nowhere")


def store_left_behind(settings, tmp_path):
    settings.data.mkdir(mode=0o700)
    Keyring(settings.data / "keys.db").encrypt_text("k1", "words")


def newer(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC))
    with sqlite3.connect(settings.data / "assist.db") as connection:
        connection.execute("PRAGMA user_version=999")
    connection.close()


def readable_by_all(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC))
    settings.data.chmod(0o755)
    (settings.data / "assist.db").chmod(0o644)


def keys_readable_by_all(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC))
    settings.data.chmod(0o755)
    for name in ("keys.db", "assist.before-20261127T120000.db"):
        (settings.data / name).touch()
        (settings.data / name).chmod(0o644)


def overdue(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC) - timedelta(days=400))


def audit_changed(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC))
    store = open_store(settings.store_url)
    open_audit(store.people, settings.data).note("Q", "qa", "look", "k1").result()
    store.close()
    with sqlite3.connect(settings.data / "assist.db") as connection:
        connection.execute("UPDATE audit SET who = 'nobody'")
    connection.close()


def audit_without_its_key(settings, tmp_path):
    audit_changed(settings, tmp_path)
    (settings.data / "audit.key").unlink()


def restored_over(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC))
    store = open_store(settings.store_url)
    write_backup(store, tmp_path / "old.backup")
    store.close()
    restore_backup(tmp_path / "old.backup", settings.store_url)


def own_rules(settings, tmp_path, text=RULE):
    settings.rules.append(tmp_path / "own.toml")
    settings.rules[0].write_text(text)


def keys_cut_short(settings, tmp_path):
    settings.data.mkdir(mode=0o700)
    keys = settings.data / "keys.db"
    Keyring(keys).encrypt_text("k1", "words")
    os.truncate(keys, keys.stat().st_size - 100)


def keys_emptied(settings, tmp_path):
    keys_cut_short(settings, tmp_path)
    os.truncate(settings.data / "keys.db", 0)


def keys_begun_anew(settings, tmp_path):
    with_a_call(settings, datetime.now(UTC))
    recordings = Recordings(settings.data)
    sound = RecordingFile(recordings.path("k1"), recordings.keys, "k1", ["agent"])
    sound.append(np.zeros((RATE, 1), np.uint8))
    sound.close()
    (settings.data / "keys.db").unlink()
    recordings.keys.encrypt_text("k2", "words")


def keys_gone(settings, tmp_path):
    with closing(open_store(settings.store_url)) as store:
        open_audit(store.people, settings.data).note_command("backup", "new.backup")


def rules_of_no_use(settings, tmp_path):
    own_rules(settings, tmp_path, RULE.replace("cancel_threat", "canceling"))


def rules_that_do_not_fire(settings, tmp_path):
    own_rules(settings, tmp_path, RULE.replace('fires = ["', 'fires = ["good morning", "'))


def rules_not_looked_at(settings, tmp_path):
    own_rules(settings, tmp_path, RULE.replace("[[rule]]", "review_by = 2020-01-31\n[[rule]]"))


def nothing(settings, tmp_path):
    pass


@pytest.mark.parametrize(
    ("breaking", "more", "check", "level", "says"),
    [
        (damaged, {}, "database", "bad", "assist restore"),
        (newer, {}, "database", "bad", "update the program"),
        (from_the_future, {}, "clock", "bad", "set the clock; where it is right, that call was"),
        (from_a_clock_that_had_lost_the_time, {}, "clock", "warning", "1970-01-01T00:03:00+00:00, by a clock that had"),
        (from_a_clock_that_had_lost_the_time, {}, "retention", "ok", "nothing is overdue"),
        (a_file_in_its_place, {}, "data folder", "bad", "data is no folder: choose another"),
        (a_link_to_nowhere, {}, "data folder", "bad", "data is no folder: choose another"),
        (store_left_behind, {}, "database", "bad", "put it back, or the last backup (`assist restore FILE`), before"),
        (readable_by_all, {}, "data folder", "bad", "chmod 700"),
        (keys_readable_by_all, {}, "data folder", "bad", "assist.before-20261127T120000.db, keys.db"),
        (overdue, {}, "retention", "warning", "assist retention run"),
        (audit_changed, {}, "audit log", "bad", "was changed"),
        (audit_without_its_key, {}, "audit log", "bad", "audit.key is missing"),
        (keys_cut_short, {}, "keys", "bad", "put the newest copy of it back"),
        (keys_emptied, {}, "keys", "bad", "emptied, or its first use was cut short; put the newest copy of it back"),
        (keys_begun_anew, {}, "keys", "bad", "the keys of 1 recordings are not in it; put the newest copy of it back"),
        (keys_gone, {}, "keys", "bad", "not there, though backups were made; put the newest copy of it back"),
        (restored_over, {}, "put aside", "warning", "0 days ago"),
        (rules_of_no_use, {}, "rules", "bad", "own.blue-shed: signal: expected one of"),
        (rules_of_no_use, {}, "playbook", "warning", "before they are mended"),
        (rules_that_do_not_fire, {}, "rules", "warning", "should fire but is silent on 'good morning'"),
        (rules_not_looked_at, {}, "rules", "warning", "own.blue-shed"),
        (nothing, {"playbook": "no-such"}, "playbook", "bad", "no-such"),
        (nothing, {"authorities": {"Dana": "seniorr"}}, "authority", "warning", "those with a limit: agent, senior"),
        (nothing, {"authority": "boss"}, "authority", "warning", "authority boss"),
        (nothing, {"meaning": False}, "sentences", "ok", "phrase rules judge alone"),
        (nothing, {"host": "0.0.0.0"}, "login", "bad", "needs a login"),
        (nothing, {"hosts": ["assist.example"], "proxies": ["127.0.0.1"]}, "login", "bad", "needs a login"),
        (nothing, {"hosts": ["assist.example"]}, "login", "bad", "needs a login"),
        (
            nothing,
            PROXIED | {"proxies": ["10.0.0.1", "0.0.0.0/0"]},
            "login",
            "bad",
            "every machine in 0.0.0.0/0 is taken",
        ),
        (nothing, PROXIED | {"proxies": ["::/0"]}, "login", "bad", "may log in as anybody: name the proxy's own"),
        (nothing, PROXIED | {"proxies": ["10.0.0.0/8"]}, "login", "warning", "10.0.0.0/8"),
        (nothing, PROXIED | {"proxies": ["8.8.8.0/24"]}, "login", "warning", "8.8.8.0/24"),
        (nothing, PROXIED | {"proxies": ["10.1.0.0/16", "8.8.8.8", "fd00::/64"]}, "login", "ok", "by proxy"),
        (nothing, NAMED | {"hosts": []}, "names", "bad", "set hosts, such as assist.example:8765"),
        (nothing, NAMED | {"hosts": ["assist.example"]}, "names", "warning", "hosts has no assist.example:8765"),
        (nothing, NAMED, "names", "ok", "assist.example:8765"),
        (nothing, NAMED | {"port": 443, **CERTIFIED}, "names", "warning", "hosts has no assist.example: unless"),
        (nothing, NAMED | {"port": 443, "hosts": ["a.example:443"], **CERTIFIED}, "names", "warning", "no a.example: "),
        (nothing, NAMED | {"port": 443, "hosts": ["[fd00::1]"], **CERTIFIED}, "names", "ok", "[fd00::1]"),
        (nothing, NAMED | {"hosts": ["[fd00::1]"]}, "names", "warning", "hosts has no [fd00::1]:8765: unless"),
        (nothing, {"consent_policy": "one-party"}, "consent", "warning", "have counsel confirm"),
        (nothing, {"consent": "granted"}, "consent", "warning", "announcement"),
        (nothing, {"auto_pause": False}, "pause", "warning", "people forget"),
        (nothing, BY_USERS, "users", "bad", "assist users add"),
        (overdue, BY_USERS, "users", "bad", "assist users add"),
        (nothing, CERTIFIED, "certificate", "bad", "No such file"),
        (nothing, {"model": "base.en"}, "model", "bad", "assist models fetch"),
        (nothing, {"recogniser": "pocketsphinx", "model": None}, "model", "warning", "assist models fetch base.en"),
    ],
)
def test_what_is_broken_is_named_with_what_to_do(breaking, more, check, level, says, tmp_path):
    settings = settings_of(tmp_path, **more)
    breaking(settings, tmp_path)
    found = levels(settings)[check]
    assert (found.level, says in found.text) == (level, True), found


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize("rights", [(0o700, 0o000), (0o500, 0o400)], ids=["another's file", "read only"])
def test_what_this_user_may_not_write_is_named_and_no_backup_asked_for(rights, tmp_path, monkeypatch):
    with_a_call(settings_of(tmp_path), datetime.now(UTC))
    data = settings_of(tmp_path).data
    monkeypatch.chdir(data.parent)
    data.parent.chmod(0o755)
    (data / "assist.db").chmod(rights[1])
    data.chmod(rights[0])
    if os.getuid() == 0:
        os.chown(data, 65534, 65534)

    def look():
        settings = Settings(data=Path(data.name))
        return [
            (found.check, found.level.value, found.text)
            for found in (*machine.folder(settings), *machine.database(settings))
        ]

    found = as_nobody(look)
    data.chmod(0o700)
    assert [(check, level) for check, level, _ in found] == [("data folder", "bad"), ("database", "bad")]
    assert all("chown" in text or "rights" in text for _, _, text in found), found
    assert "restore" not in str(found)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_nothing_in_a_data_folder_that_is_shut_is_called_sound(tmp_path, monkeypatch):
    with_a_call(settings_of(tmp_path), datetime.now(UTC))
    data = settings_of(tmp_path).data
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    data.chmod(0)
    if os.getuid() == 0:
        os.chown(data, 65534, 65534)
    checks = ["database", "keys", "put aside"]
    settings = Settings(data=Path(data.name))
    found = as_nobody(lambda: [(each.check, each.level.value, each.text) for each in examine(settings)])
    found = [each for each in found if each[0] in checks]
    data.chmod(0o700)
    assert [(check, level) for check, level, _ in found] == [(check, "bad") for check in checks], found
    assert all(text.startswith("could not be looked at: data") and "Errno" not in text for _, _, text in found), found


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_a_key_that_may_only_be_read_is_enough(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    data = tmp_path / "the data"
    data.mkdir(mode=0o700)
    key = data / "audit.key"
    key.touch(mode=0o400)
    monkeypatch.chdir(tmp_path)
    if os.getuid() == 0:
        for path in (tmp_path, data, key):
            os.chown(path, 65534, 65534)

    def look():
        return [(found.level.value, found.text) for found in machine.folder(Settings(data=Path(data.name)))]

    assert as_nobody(look) == [("ok", "the data, its owner's only")]
    key.chmod(0)
    [(level, text)] = as_nobody(look)
    assert level == "bad" and text.endswith(f"chown -R {os.getuid() or 65534} 'the data' && chmod -R u+rwX 'the data'")


def as_nobody(act):
    """What somebody without root's rights gets of it."""
    if os.getuid():
        return act()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.write(theirs, json.dumps(act()).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as answer:
        said = json.loads(answer.read())
    os.waitpid(child, 0)
    return [tuple(each) for each in said]


def certified(folder, name="here", days=(-1, 90), pass_phrase=None, names=()):
    """The files of a new certificate, valid between these days from now, and of its key."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins, ends = (datetime.now(UTC) + timedelta(days=day) for day in days)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), begins, ends)
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem, own = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    sealed = BestAvailableEncryption(pass_phrase) if pass_phrase else NoEncryption()
    own.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
    own.chmod(0o600)
    return {"certificate": pem, "certificate_key": own}


@pytest.mark.parametrize(
    ("how", "level", "says"),
    [
        ({"days": (-9, -1)}, "bad", "has expired, and browsers refuse the pages: renew it"),
        ({"days": (1, 9)}, "bad", "is not valid yet, by this machine's clock"),
        ({"days": (-9, 10)}, "warning", f"ends on {datetime.now(UTC) + timedelta(days=10):%Y-%m-%d}: renew it"),
        ({"pass_phrase": b"secret"}, "bad", "here.key has a pass phrase: expected one without"),
    ],
)
def test_a_certificate_that_is_no_good_says_why(how, level, says, tmp_path):
    found = levels(settings_of(tmp_path, host="0.0.0.0", **certified(tmp_path, **how), **BY_USERS))["certificate"]
    assert (found.level, says in found.text) == (level, True), found


@pytest.mark.parametrize(
    ("hosts", "missing"),
    [
        (["assist.example:8765", "a.wild.example", "192.0.2.7", "[fd00::1]:8765"], ""),
        (["assist.example", "assist.other:8765"], "assist.other"),
        (["a.b.wild.example"], "a.b.wild.example"),
    ],
)
def test_a_certificate_that_is_made_out_to_another_name_says_to_which(hosts, missing, tmp_path):
    addresses = [x509.IPAddress(ip_address(each)) for each in ("192.0.2.7", "fd00::1")]
    files = certified(tmp_path, names=[x509.DNSName("assist.example"), x509.DNSName("*.wild.example"), *addresses])
    [found] = serving.certificate(settings_of(tmp_path, hosts=hosts, **files))
    named = "is made out to assist.example, *.wild.example, 192.0.2.7, fd00::1, not to "
    assert found.level == ("warning" if missing else "ok")
    assert (named + missing + ":" in found.text) == bool(missing), found


def test_a_certificate_with_another_ones_key_says_so(tmp_path):
    files = {**certified(tmp_path), "certificate_key": certified(tmp_path, "there")["certificate_key"]}
    found = levels(settings_of(tmp_path, host="0.0.0.0", **files, **BY_USERS))["certificate"]
    assert found.level == "bad" and "here.pem" in found.text and "there.key do not belong together" in found.text


def test_users_and_a_certificate_that_serve_would_take_are_ok(tmp_path):
    files = certified(tmp_path)
    settings = settings_of(tmp_path, host="0.0.0.0", **files, **BY_USERS)
    store = open_store(settings.store_url)
    add_user(store.people, "Root", "admin", "four unlikely words")
    store.close()
    found = levels(settings)
    assert {found[each].level for each in ("login", "users", "certificate")} == {Level.OK}, found
    files["certificate_key"].chmod(0o644)
    assert "chmod 600" in levels(settings)["certificate"].text


def test_a_port_in_use_and_a_full_disk(tmp_path, monkeypatch):
    settings = settings_of(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.port))
        taken.listen()
        assert "choose another" in levels(settings)["port"].text
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(1, 1, 50 << 20))
    assert "make room now" in levels(settings)["disk space"].text


def test_a_model_with_one_flipped_byte_is_bad(tmp_path):
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    weights = model / "model.bin"
    import hashlib

    entry = {"size": weights.stat().st_size, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    (model / "manifest.json").write_text(json.dumps({"name": "t", "files": {"model.bin": entry}}))
    assert levels(settings_of(tmp_path, model=str(model)))["model"].level is Level.OK
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    found = levels(settings_of(tmp_path, model=str(model)))["model"]
    assert found.level is Level.BAD and "wrong checksum" in found.text


def test_a_damaged_sentence_model_is_bad(tmp_path, monkeypatch):
    folder = tmp_path / "meanings"
    shutil.copytree(FOLDER, folder)
    (folder / "model.onnx").write_bytes(b"no model")
    monkeypatch.setattr(factory, "shipped_model", lambda: SentenceModel(folder))
    found = levels(settings_of(tmp_path))["sentences"]
    assert found.level is Level.BAD and "install call-assist again" in found.text


def test_a_check_that_breaks_is_a_finding_and_the_others_still_run(tmp_path, monkeypatch):
    def broken(settings):
        raise ValueError("no")

    monkeypatch.setattr(machine, "clock", broken)
    found = levels(settings_of(tmp_path))
    assert found["clock"].level is Level.BAD and "network" in found


def test_the_recogniser_is_really_tried(tmp_path, monkeypatch):
    monkeypatch.undo()
    found = levels(settings_of(tmp_path))
    assert {found[each].level for each in ("recogniser", "rules", "sentences", "playbook")} == {Level.OK}, found


def test_the_version_is_said():
    said = CliRunner().invoke(app, ["--version"])
    assert said.exit_code == 0 and said.output.startswith("call-assist ")


def test_the_command_says_it_as_lines_and_as_json_with_its_exit_code(tmp_path):
    data = ["--data", str(tmp_path / "data"), "--recogniser", "whisper", "--model", str(MODEL)]
    good = CliRunner().invoke(app, ["doctor", "--port", "0", "--json", *data])
    findings = json.loads(good.output)
    assert good.exit_code == 0 and {"check", "level", "text"} == set(findings[0])
    bad = CliRunner().invoke(app, ["doctor", "--port", "0", "--host", "0.0.0.0", *data])
    assert bad.exit_code == 1 and "1 bad" in bad.output


def test_a_disk_is_called_encrypted_where_a_layer_under_it_is(tmp_path):
    number = tmp_path.stat().st_dev
    device = tmp_path / "sys" / f"{os.major(number)}:{os.minor(number)}"
    assert is_disk_encrypted(tmp_path, tmp_path / "sys") is None
    (device / "slaves" / "vda" / "slaves").mkdir(parents=True)
    assert is_disk_encrypted(tmp_path, tmp_path / "sys") is False
    under = device / "slaves" / "vda" / "slaves" / "dm-0" / "dm"
    under.mkdir(parents=True)
    (under / "uuid").write_text("LVM-x")
    assert is_disk_encrypted(tmp_path, tmp_path / "sys") is False
    (under / "uuid").write_text("CRYPT-LUKS2-x")
    assert is_disk_encrypted(tmp_path, tmp_path / "sys") is True
