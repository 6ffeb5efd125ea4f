"""Nothing leaves this machine while a call is on; what is installed and loaded is what was pinned."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from audio import models
from audio.errors import AudioError
from audio.models import verify_model
from tests.audit_lock import Verdict, verdict
from tests.call_parts import write_parts

ROOT = Path(__file__).parent.parent
CALL = ROOT / "tests" / "data" / "spoken-call.flac"
MODEL = ROOT / "tests" / "models" / "test-recogniser"
WATCHED = """
import sys, json
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind"):
        where = arguments[0] if event.startswith("socket.get") else arguments[1]
        seen.append([event, str(where[0] if isinstance(where, tuple) else where)])
sys.addaudithook(hook)
from assist.commands.main import main
out, sys.argv = sys.argv[1], ["assist", *sys.argv[2:]]
try:
    main()
except SystemExit as end:
    code = end.code
else:
    code = 0
open(out, "w").write(json.dumps(seen))
sys.exit(code)
"""


def watched(tmp_path, *line):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
    env.pop("HF_HUB_OFFLINE", None)
    out = tmp_path / "seen.json"
    command = [sys.executable, "-c", WATCHED, str(out), *map(str, line)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=240, env=env)
    assert answer.returncode == 0, answer.stderr
    return [(event, where) for event, where in json.loads(out.read_text())]


def left_by_onnxruntime(tmp_path, *line):
    """What the native library leaves in the user's cache; it keeps quiet where it sees a CI or a test run."""
    cache = tmp_path / "cache"
    kept = ("PATH", "LANG", "SYSTEMROOT", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    env |= {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([sys.executable, *map(str, line)], capture_output=True, text=True, timeout=240, env=env)
    assert done.returncode == 0, done.stderr
    return [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name.lower()]


@pytest.mark.parametrize("package", ["audio.activity", "detectors.sentence_model"])
def test_the_libraries_that_run_the_networks_tell_their_maker_nothing(tmp_path, package):
    assert left_by_onnxruntime(tmp_path, "-c", f"import {package}, onnxruntime") == []


def test_the_watch_would_see_what_onnxruntime_leaves_for_its_maker(tmp_path):
    if not left_by_onnxruntime(tmp_path, "-c", "import onnxruntime"):
        pytest.skip("this build of onnxruntime has no telemetry, or leaves no trace of it")


def local(where):
    return where in ("127.0.0.1", "::1", "localhost", "None", "") or where.startswith("/")


def test_a_whole_call_with_its_pages_up_reaches_no_address_beyond_this_machine(tmp_path):
    call = write_parts(tmp_path / "call.wav", CALL, (0, 8))
    seen = watched(
        tmp_path, "replay", call, "--speed", "max", "--port", "0", "--data", tmp_path / "data",
        "--recogniser", "whisper", "--model", MODEL,
    )  # fmt: skip
    assert ("socket.bind", "127.0.0.1") in seen, "the pages were up, and the watch sees sockets"
    assert [each for each in seen if not local(each[1])] == []
    [record] = (tmp_path / "data" / "records").glob("*.json")
    assert {line["speaker"] for line in json.loads(record.read_text())["transcript"]} == {"agent", "customer"}


def test_the_watch_would_see_a_socket_that_goes_out(tmp_path):
    code = WATCHED.replace("    main()\n", "    import socket; socket.socket().connect_ex(('192.0.2.1', 9))\n")
    out = tmp_path / "seen.json"
    subprocess.run(
        [sys.executable, "-c", "import socket\nsocket.setdefaulttimeout(0.01)\n" + code, str(out)], check=True
    )
    assert not all(local(where) for _, where in json.loads(out.read_text()))


def test_a_model_with_one_flipped_byte_is_refused_and_an_untouched_one_is_read_through_once(tmp_path, monkeypatch):
    import hashlib

    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    files = {p.name: {"sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for p in model.iterdir() if p.is_file()}
    (model / "manifest.json").write_text(json.dumps({"name": "t", "files": files}))
    verify_model(model)
    read = []
    real = models._digests
    monkeypatch.setattr(models, "_digests", lambda path: read.append(path.name) or real(path))
    verify_model(model)
    assert read == [], "same inode, time and size: not read again"
    for name in ("model.bin", "tokenizer.json"):
        path = model / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(AudioError, match="wrong checksum|damaged"):
            verify_model(model)
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    assert verify_model(model) == files["model.bin"]["sha256"]


def test_nothing_is_loaded_that_can_hold_code():
    sources = [
        path for package in ("assist", "audio", "detectors", "overlay") for path in (ROOT / package).rglob("*.py")
    ]
    loading = re.compile(r"\bpickle\b|\btorch\.load|\bjoblib\b|\bmarshal\b|shell=True")
    assert [path.name for path in sources if loading.search(path.read_text(encoding="utf-8"))] == []


def locked():
    """Name -> version of the lock file, each with its hashes."""
    found = {}
    for block in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text()):
        name, version = re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", block).groups()
        assert "--hash=sha256:" in block, f"{name} has no hash"
        found[canonicalize_name(name)] = version
    return found


def test_the_lock_file_pins_every_dependency_with_hashes_and_is_in_step_with_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = locked()
    for wanted in map(Requirement, project["dependencies"]):
        version = pins.get(canonicalize_name(wanted.name))
        assert version and wanted.specifier.contains(version), f"{wanted}: locked {version}; make the lock file again"


def test_an_audit_that_audited_nothing_is_no_result():
    def report(**parts):
        found = {"vulns": [{"id": "PYSEC-1"}]}, {"vulns": []}, {"skip_reason": "not found on PyPI"}
        kinds = dict(zip(("bad", "sound", "skipped"), found, strict=True))
        return {"dependencies": [{"name": name, "version": "1", **kinds[kind]} for name, kind in parts.items()]}

    known, nothing = report(jinja2="bad"), report(jinja2="skipped")
    both = report(a="sound", b="sound")
    assert verdict(known, both) == Verdict(0, "2 of 2 parts audited, no known vulnerability")
    assert verdict(known, report(a="sound", b="bad")) == Verdict(1, "2 of 2 parts audited, 1 known: b 1 PYSEC-1")
    for control, found, why in (
        (nothing, report(a="skipped", b="skipped"), "it answers nothing"),  # as where the index is a bare mirror
        (report(jinja2="sound"), both, "it answers nothing"),
        (None, both, "no vulnerability database can be reached (no route)"),
        (known, None, "no vulnerability database can be reached (no route)"),
        (known, report(a="sound", b="skipped"), "1 of 2 parts audited; the database does not know b"),
        (known, {"dependencies": []}, "0 of 0"),
    ):
        answer = verdict(control, found, "no route")
        assert answer.code == 2 and answer.line.startswith("NOT AUDITED") and why in answer.line
