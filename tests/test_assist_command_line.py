"""The commands as people run them: real processes, real sound, real store, real recogniser."""

import asyncio
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import httpx
import numpy as np
import pytest
import soundfile
from rich.console import Console

from assist.__main__ import main as begin
from assist.access.accounts import add_user
from assist.commands.main import main
from assist.errors import AssistError
from assist.hints import COMMAND
from assist.live.runs import running_service
from assist.live.writing import socket_path
from assist.settings import load_settings
from assist.store.store import open_reader, open_store
from tests.call_parts import write_parts

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "assist" / "demo" / "call.ogg"
MODEL = ROOT / "tests" / "models" / "test-recogniser"
AGENT = "Dana [/B]"
"""Brackets in what is printed are brackets."""
CALM_THEN_RAISED = ((12.6, 20.6), (31.6, 44))
"""Parts of the sample call, in seconds."""
WHISPER = ("--recogniser", "whisper", "--model", MODEL)
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "COLUMNS": "200", "NO_COLOR": "1"}


def assist(*arguments, home, **environment):
    """Run the program; a traceback is never an answer."""
    answer = subprocess.run(
        [sys.executable, "-m", "assist", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**ENV, "HOME": str(home), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", **environment},
    )
    assert "Traceback" not in answer.stderr + answer.stdout, answer.stderr
    return answer


@pytest.fixture
def told(monkeypatch, capsys, tmp_path):
    """Run the command in this process, where a process of its own has nothing to show; as `assist` answers."""

    def run(*arguments):
        capsys.readouterr()
        for name, value in {**ENV, "HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}.items():
            if name != "HF_HUB_OFFLINE":  # read once, when the library is imported: it would hold for later tests
                monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["assist", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        said, error = capsys.readouterr()
        assert "Traceback" not in said + error, error
        return subprocess.CompletedProcess(arguments, int(left.value.code or 0), said, error)

    return run


def fast(recording, data):
    """The line of a recorded call that is heard as fast as it goes."""
    return "replay", recording, "--speed", "max", "--port", "0", "--data", data, *WHISPER


def parts(folder, *spans):
    """Parts of the sample call."""
    return write_parts(folder / "parts.wav", DEMO, *spans)


def silence(folder, seconds):
    return written(folder / "silence.wav", np.zeros((round(16_000 * seconds), 2), np.float32), 16_000)


def record_in(data):
    [path] = (data / "records").glob("*.json")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def demonstrated(tmp_path_factory):
    """The whole sample call."""
    home = tmp_path_factory.mktemp("home")
    data = home / "data"
    answer = assist("demo", "--speed", "max", "--port", "0", "--data", data, *WHISPER, home=home)
    assert answer.returncode == 0, answer.stderr
    return data, answer, record_in(data)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """As much of the sample call as makes a raised voice."""
    home = tmp_path_factory.mktemp("home")
    answer = assist(*fast(parts(home, *CALM_THEN_RAISED), home / "data"), "--agent", AGENT, home=home)
    assert answer.returncode == 0, answer.stderr
    return home, answer, record_in(home / "data")


def test_a_recorded_call_becomes_prompts_and_a_record(demonstrated):
    _, answer, record = demonstrated
    assert {"supervisor_demand", "raised_voice"} <= {each["id"] for each in record["signals"]}
    levels = [step["level"] for step in record["levels"]]
    assert levels[0] == "tense" and "escalated" in levels and levels[-1] in ("recovering", "calm")
    assert record["prompts"] and all(prompt["how"] for prompt in record["prompts"])
    assert record["agent"] == "Dana" and record["ended"] == "end-of-recording"
    assert record["outcome"] == "recovered"
    assert re.search(r"Incident record: .*\.html", answer.stdout)


def test_a_call_that_is_replayed_says_where_its_record_is(replayed):
    home, answer, record = replayed
    assert record["agent"] == AGENT and f"Call with {AGENT}" in answer.stdout
    assert f"Incident record: {home / 'data' / 'records' / record['call']}.html" in answer.stdout


def test_in_a_call_of_an_internal_queue_no_voice_is_measured(replayed, told, tmp_path):
    config = tmp_path / "assist.toml"
    config.write_text('internal_queues = ["IT help desk"]\n', encoding="utf-8")
    answer = told(*fast(parts(tmp_path, *CALM_THEN_RAISED), tmp_path), "--config", config, "--queue", "IT help desk")
    assert answer.returncode == 0, answer.stderr
    record = record_in(tmp_path)
    found, elsewhere = ({each["id"] for each in one["signals"]} for one in (record, replayed[2]))
    assert record["queue"] == "IT help desk" and "raised_voice" in elsewhere
    assert "raised_voice" not in found and elsewhere - {"raised_voice"} <= found


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_record_files_are_their_owners_only(replayed):
    home, _, _ = replayed
    folder = home / "data" / "records"
    assert [path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())] == [0o700, 0o600, 0o600]


def test_the_record_matches_what_was_said_and_when(demonstrated):
    _, _, record = demonstrated
    script = json.loads((ROOT / "assist" / "demo" / "lines.json").read_text())
    lines = script["lines"] if isinstance(script, dict) else script
    demand = next(line for line in lines if "manager" in line["text"])
    [heard] = [each for each in record["signals"] if each["id"] == "supervisor_demand"][:1]
    assert demand["start_ms"] - 500 <= heard["start_ms"] <= heard["end_ms"] <= demand["end_ms"] + 700
    raised = [line for line in lines if line.get("raised", 0) >= 0.7]
    [tone] = [each for each in record["signals"] if each["id"] == "raised_voice"][:1]
    assert raised[0]["start_ms"] <= tone["at_ms"] <= raised[-1]["end_ms"] + 1_000
    assert tone["speaker"] == "customer" and tone["measured"]["level_db"] > 3


def test_every_millisecond_is_accounted_for(demonstrated):
    _, _, record = demonstrated
    for who in ("agent", "customer"):
        total = sum(ms for key, ms in record["accounted_ms"].items() if key.startswith(f"{who}."))
        assert abs(total - soundfile.info(DEMO).duration * 1000) <= 20


def test_records_are_listed_shown_and_exported(demonstrated, replayed, told, tmp_path):
    data, _, record = demonstrated
    home, _, replay = replayed
    call = record["call"]
    listed = told("records", "list", "--data", data).stdout
    assert call in listed and "escalated" in listed and "recovered" in listed
    narrow = assist("records", "list", "--data", home / "data", home=home, COLUMNS="80")
    assert all(f" {part} " in narrow.stdout for part in AGENT.split())
    assert f" {replay['call']} " in narrow.stdout and "…" not in narrow.stdout, "the id is what others ask for"
    shown = told("records", "show", call, "--data", data)
    assert "Supervisor demand" in shown.stdout and "Call ended" in shown.stdout
    for name in ("r.json", "r.html"):
        assert told("records", "export", call, "--out", tmp_path / name, "--data", data).returncode == 0
    assert json.loads((tmp_path / "r.json").read_text())["call"] == call
    assert "<mark>" in (tmp_path / "r.html").read_text()


def test_the_demo_says_where_its_call_is_seen_once_its_pages_are_gone(demonstrated):
    data, answer, _ = demonstrated
    assert answer.stdout.rstrip().endswith(f"to see this call on them: `assist serve --data {data}`")


def test_the_same_recording_gives_the_same_record(replayed, told, tmp_path):
    _, _, once = replayed
    assert told(*fast(parts(tmp_path, *CALM_THEN_RAISED), tmp_path), "--agent", AGENT).returncode == 0
    again = record_in(tmp_path)
    of_this_call = {"call", "started_at", "seal", "consent", "follow_ups"}
    assert once["transcript"] and once["signals"] and once["levels"] and once["prompts"]
    for record in (once, again):
        for prompt in record["prompts"]:
            assert prompt.pop("say")  # of a play that varies, it goes by the minute in which the call began
    for key in once.keys() - of_this_call:
        assert once[key] == again[key], key


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("records", "show", "no[/pe] [bold]"), "no call 'no[/pe] [bold]'"),
        (("records", "export", "nope"), "no record of call 'nope'"),
        (("records", "list", "--data", "mistyped"), "there is no folder mistyped"),
        (("backup", "copy.db", "--data", "tests"), "there is no store in tests"),
        (("records", "list", "--data", ""), "it is empty: expected a path"),
        (("records", "export", "k1", "--since", "2026-11-01"), "name calls, or say which by --since"),
        (("records", "export", "--since", "2026-11-02", "--until", "2026-11-01"), "is after the last day 2026-11-01"),
        (("replay", "missing.wav"), "missing.wav"),
        (("replay", "README.md"), "README.md"),
        (("replay", str(DEMO), "--speed", "-1"), "expected a number above 0, or max"),
        (("replay", str(DEMO), "--mono", "both"), "expected one of agent, customer, unknown"),
        (("replay", str(DEMO), "--queue", "x" * 121), "--queue: String should have at most 120 characters"),
        (("listen", "--value", "x" * 41), "--value: String should have at most 40 characters"),
        (("replay", str(DEMO), "--recogniser", "whisper", "--model", "gigantic"), "gigantic"),
        (("replay", str(DEMO), "--recogniser", "parrot"), "--recogniser parrot: Input should be 'auto'"),
        (("practice", "no-such"), "expected charged-twice, missed-visit, passed-around"),
        (("serve", "--port", "80800"), "assist: --port 80800: Input should be less than or equal to 65535"),
        (("replay", str(DEMO), "--playbook", "no-such-book"), "expected one of default"),
        (("listen", "--microphone", "no such device", "--far-end", "none such"), "device"),
        (("models", "fetch", "gigantic"), "gigantic"),
        (("eval", "README.md"), "README.md"),
        (("privacy", "hold", "k1", "--why", " "), "--why is empty: say why"),
        (("backup", "README.md/x"), "README.md/x: Not a directory"),
    ],
    ids=lambda value: " ".join(map(str, value[:2])) if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_clear_line(arguments, says, told, tmp_path):
    data = () if "--data" in arguments else ("--data", tmp_path)
    open_store(f"sqlite:///{tmp_path / 'assist.db'}").close()
    answer = told(*arguments, *data)
    assert answer.returncode != 0
    assert says in answer.stderr, answer.stderr
    if answer.returncode == 1:
        assert len(answer.stderr.strip().splitlines()) == 1, answer.stderr


def test_ctrl_c_while_the_program_is_being_loaded_ends_it_quietly(monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    loading = ModuleType("assist.commands.main")
    loading.__getattr__ = interrupted
    monkeypatch.setitem(sys.modules, loading.__name__, loading)
    with pytest.raises(SystemExit) as left:
        begin()
    assert left.value.code == 130


def test_a_command_that_is_named_works_as_it_is_printed(told, tmp_path):
    data, config = tmp_path / "two words", tmp_path / "assist.toml"
    config.write_text('playbook = "mine.toml"')
    (tmp_path / "mine.toml").write_text('name = "Mine"')
    open_store(f"sqlite:///{data / 'assist.db'}").close()
    both = ("--data", data, "--config", config)
    named = f"--data '{data}' --config {config}"
    assert f"see `assist records list {named}`" in told("records", "show", "k1", *both).stderr
    here = os.path.relpath(data)
    assert f"--data '{here}'`" in told("records", "show", "k1", "--data", here).stderr
    saved = told("backup", tmp_path / "my backup", *both).stdout
    assert f"`assist restore '{tmp_path}/my backup' {named}`" in saved
    looked = told("doctor", *both).stdout
    assert f"`assist models fetch base.en {named}`" in looked
    assert f"`assist playbook check {tmp_path}/mine.toml --config {config}`" in looked, "it takes no data folder"


def test_every_command_that_is_named_is_one():
    from typer.main import get_command

    from assist.commands.main import app

    found = {
        command.groups()
        for package in ("assist", "audio", "detectors", "overlay")
        for path in (ROOT / package).rglob("*.py")
        for command in COMMAND.finditer(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 10
    commands = get_command(app).commands
    for first, second in found:
        assert first in commands and (second is None or second in commands[first].commands), (first, second)


def written(path, pcm, rate, **how):
    soundfile.write(path, pcm, rate, **how)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda p: written(p / "seven.wav", np.zeros((7 * 16_000, 2), np.float32), 16_000),
        lambda p: written(p / "mulaw.wav", np.zeros((16_000, 2), np.float32), 8_000, subtype="ULAW"),
        lambda p: written(p / "cd.flac", np.zeros((44_100 * 2, 2), np.float32), 44_100),
        lambda p: written(p / "nan.wav", np.full((16_000, 2), np.nan, np.float32), 16_000, subtype="FLOAT"),
        lambda p: written(p / "mono.wav", np.zeros(16_000, np.float32), 16_000),
    ],
    ids=["seven seconds", "8 kHz mu-law", "44.1 kHz", "not a number", "mono"],
)
def test_odd_sound_still_makes_a_record(make, told, tmp_path):
    answer = told(*fast(make(tmp_path), tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert record_in(tmp_path)["transcript"] == []


def test_an_empty_file_is_one_clear_line(told, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    answer = told(*fast(tmp_path / "empty.wav", tmp_path))
    assert answer.returncode == 1 and "empty.wav" in answer.stderr and len(answer.stderr.splitlines()) == 1


def test_a_data_folder_that_cannot_be_written_is_one_clear_line(told, tmp_path):
    (tmp_path / "file").write_text("")
    answer = told("serve", "--data", tmp_path / "file" / "data", "--port", "0", "--recogniser", "pocketsphinx")
    assert answer.returncode == 1 and "choose a writable folder" in answer.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_a_settings_file_that_this_user_may_not_look_for_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / ".config").mkdir(mode=0)
    root = os.geteuid() == 0
    if root:  # whom no rights stop
        os.seteuid(65534)
    try:
        with pytest.raises(AssistError, match="Permission denied: expected a settings file that this user may read"):
            load_settings()
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="Windows always has such a folder")
def test_a_user_without_a_home_folder_needs_no_more_than_the_data_folders_name(tmp_path, monkeypatch):
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)  # as in a container that runs under any user id
    assert load_settings(data=tmp_path).data == tmp_path
    with pytest.raises(AssistError, match="no home folder.*: name the data folder with --data"):
        load_settings()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that somebody is in")
def test_a_folder_that_is_gone_from_under_the_command_is_one_clear_line(told, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    answer = told("replay", "call.wav", "--data", tmp_path)
    assert answer.returncode == 1 and "is not there any more: change to another" in answer.stderr


def test_a_port_in_use_is_one_clear_line(told, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = told("serve", "--data", tmp_path, "--port", port, "--recogniser", "pocketsphinx")
    assert answer.returncode == 1 and answer.stdout == "", "told before seconds of loading"
    assert f"Port {port} is in use" in answer.stderr and len(answer.stderr.strip().splitlines()) == 1


@contextlib.contextmanager
def begun(command, *arguments, data, **environment):
    """A program with the test recogniser that goes on while the test does."""
    with subprocess.Popen(
        [sys.executable, "-m", "assist", command, *map(str, arguments), "--data", str(data)]
        + ["--recogniser", "whisper", "--model", str(MODEL)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**ENV, "HOME": str(data), "PYTHONUNBUFFERED": "1", **environment},
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def until(process, text):
    return next(line for line in process.stdout if text in line)


def test_a_call_killed_in_the_middle_is_there_after_a_restart(told, tmp_path):
    where_it_turns = parts(tmp_path, (28.9, 48))
    with begun("replay", where_it_turns, "--speed", "20", "--port", "0", data=tmp_path) as process:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "Escalated" in line:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    heard = [line for line in seen if "Caller" in line]
    assert heard
    # The next program on this data folder finds the call, closes it, and keeps its record.
    answer = told(*fast(silence(tmp_path, 0.5), tmp_path))
    assert "cut short earlier" in answer.stdout, answer.stdout
    call = re.search(r"Call (\S+) was cut short", answer.stdout)[1]
    assert call in told("records", "list", "--data", tmp_path).stdout
    exported = json.loads(told("records", "export", call, "--data", tmp_path).stdout)
    assert exported["ended"] == "interrupted"
    assert len(exported["transcript"]) >= len(heard)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The data folder of a server that runs while these tests do."""
    data = tmp_path_factory.mktemp("served")
    with begun("serve", "--port", "0", data=data) as server:
        until(server, "Ready")
        yield data


def test_a_call_joins_a_running_server(served, told, tmp_path):
    answer = told(*fast(silence(tmp_path, 1), served), "--queue", "Returns")
    assert "The running server has the record" in answer.stdout
    call = re.search(r"records show (\S+)", answer.stdout)[1]
    assert json.loads(told("records", "export", call, "--data", served).stdout)["queue"] == "Returns"


def test_ctrl_c_hangs_a_call_up_that_has_joined_a_server_and_says_what_came_of_it(served, told, tmp_path):
    (tmp_path / "dana.toml").write_text('agent = "Dana"')
    of_dana = ("--config", tmp_path / "dana.toml", "--playbook", "jerk")
    with begun("replay", DEMO, *of_dana, data=served) as call:
        says = "The running server hears this call with its own settings, not with --recogniser, --model, --playbook."
        assert says in until(call, "running server")
        assert "Call with Dana" in until(call, "Call with")
        call.send_signal(signal.SIGINT)
        said = call.communicate(timeout=60)[0]
    assert call.returncode == 0 and "Call ended (hang-up)" in said and "Traceback" not in said
    name = re.search(r"records show (\S+)", said)[1]
    record = json.loads(told("records", "export", name, "--data", served).stdout)
    assert record["ended"] == "hang-up" and record["agent"] == "Dana"


def test_a_second_ctrl_c_leaves_a_server_that_does_not_answer(tmp_path):
    with socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(str(socket_path(tmp_path)))
        frozen.listen()
        with (
            begun("replay", DEMO, data=tmp_path) as call,
            frozen.accept()[0] as server,
            server.makefile("rb") as asked,
        ):
            asked.readline()
            call.send_signal(signal.SIGINT)
            assert asked.read() == b"", "it is asked to hang up"
            call.send_signal(signal.SIGINT)
            said = call.communicate(timeout=30)[0]
        assert call.returncode == 1 and "has not answered that the call is to end" in said and "Traceback" not in said


def serving_here(config, data, look):
    """What a server of this process says; `look` awaits what it has to answer."""
    said = io.StringIO()

    async def scene():
        settings = load_settings(config, data=data, recogniser="whisper", model=str(MODEL))
        async with running_service(settings, Console(file=said, width=200), joins=True):
            await look(said.getvalue())

    asyncio.run(scene())
    return said.getvalue()


@pytest.mark.parametrize(
    ("named", "tells"), [("", "http://127.0.0.1:{port}"), ('hosts = ["assist.example"]\n', "https://assist.example")]
)
def test_the_address_that_serve_tells_is_one_that_it_answers_to(named, tells, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = tmp_path / "assist.toml"
    file.write_text(f'host = "0.0.0.0"\nport = {port}\n{named}proxies = ["10.0.0.1"]\n[login]\nby = "users"')
    with contextlib.closing(open_store(f"sqlite:///{tmp_path / 'assist.db'}")) as store:
        add_user(store.people, "Root", "admin", "four unlikely words")

    async def look(said):
        address = re.search(r"Board:  (\S+)/board", said)[1]
        assert address == tells.format(port=port)
        async with httpx.AsyncClient() as browser:
            host = {"Host": address.split("/")[2]}
            assert (await browser.get(f"http://127.0.0.1:{port}/login", headers=host)).status_code == 200

    said = serving_here(file, tmp_path, look)
    assert ("Browsers elsewhere are refused until hosts" in said) == (not named)


def test_serve_says_what_is_odd_in_the_settings_and_where_no_call_can_join_it(tmp_path):
    folder = tmp_path / "a-long-way-down" / ("x" * 100)
    (tmp_path / "assist.toml").write_text('authority = "seniorr"\nport = 0')
    said = serving_here(tmp_path / "assist.toml", folder, lambda said: asyncio.sleep(0))
    assert re.search("Look at authority seniorr in the settings.*no option of the playbook has a limit", said)
    assert re.search("No call can join.*too long for a socket", said)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a POSIX signal")
@pytest.mark.usefixtures("on_a_terminal")
def test_a_terminal_that_is_closed_hangs_up_properly(tmp_path):
    with begun("replay", DEMO, data=tmp_path) as call:
        until(call, "Call with")
        call.send_signal(signal.SIGHUP)
        call.stdout.close()
        assert call.wait(timeout=60) == 0
    assert record_in(tmp_path)["ended"] == "hang-up"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a POSIX signal")
@pytest.mark.usefixtures("on_a_terminal")
def test_a_server_whose_terminal_is_closed_ends_properly_though_shell_and_system_both_say_so(tmp_path):
    with begun("serve", "--port", "0", data=tmp_path) as server:
        until(server, "Ready")
        with begun("replay", DEMO, data=tmp_path) as call:
            until(call, "Call with")
            server.send_signal(signal.SIGHUP)
            until(call, "Call ended")
            server.send_signal(signal.SIGHUP)
            said = call.communicate(timeout=60)[0]
        assert call.returncode == 0 and "records show" in said
        assert server.wait(timeout=60) == 0


def test_a_call_goes_on_when_nobody_reads_its_lines_any_more(tmp_path):
    with begun("replay", silence(tmp_path, 2), data=tmp_path) as call:
        until(call, "Call with")
        call.stdout.close()
        assert call.wait(timeout=120) == 0
    assert record_in(tmp_path)["ended"] == "end-of-recording"


@pytest.mark.parametrize("out", ["| true", "> /dev/full"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a Linux device")
def test_a_call_is_heard_and_recorded_where_not_even_its_first_line_can_be_printed(out, tmp_path):
    line = [sys.executable, "-m", "assist", *fast(silence(tmp_path, 0.5), tmp_path)]
    command = f"exec 3>&1; {{ {shlex.join(map(str, line))}; echo $? >&3; }} {out}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env={**ENV, "HOME": str(tmp_path)})
    assert (ended.stdout, ended.stderr) == ("0\n", "")
    assert record_in(tmp_path)["ended"] == "end-of-recording"


@pytest.mark.parametrize("what", ["list", "export"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a Linux device")
def test_a_list_or_an_export_that_does_not_fit_on_the_disk_is_one_clear_line(what, replayed):
    home, _, _ = replayed
    line = shlex.join(map(str, [sys.executable, "-m", "assist", "records", what, "--data", home / "data"]))
    ended = subprocess.run(
        ["sh", "-c", f"{line} > /dev/full"], capture_output=True, text=True, env={**ENV, "HOME": str(home)}
    )
    assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "not all of it could be written: No space left on device" in ended.stderr


def test_what_a_command_does_is_done_to_its_end_where_nobody_reads_what_it_says(replayed, told, tmp_path):
    home, _, _ = replayed
    saved, data = tmp_path / "saved.backup", tmp_path / "data"
    assert told("backup", saved, "--data", home / "data").returncode == 0
    data.mkdir(mode=0o700)
    for name in ("keys.db", "audit.key"):
        shutil.copy(home / "data" / name, data)
    line = shlex.join(map(str, [sys.executable, "-m", "assist", "restore", saved, "--data", data]))
    ended = subprocess.run(
        ["sh", "-c", f"{line} | true"], capture_output=True, text=True, env={**ENV, "HOME": str(home)}
    )
    assert ended.stderr == ""
    assert "restore" in told("audit", "--data", data).stdout, "the audit log says that it was done"


def test_a_call_that_has_joined_goes_on_where_nobody_reads_even_its_first_line(served, tmp_path):
    with begun("replay", silence(tmp_path, 2), "--queue", "Unread", data=served) as call:
        call.stdout.close()
        assert call.wait(timeout=120) == 0
    with contextlib.closing(open_reader(f"sqlite:///{served / 'assist.db'}")) as store:
        records = [store.record(each.call) for each in store.calls()]
    assert [each["ended"] for each in records if each["queue"] == "Unread"] == ["end-of-recording"]


def test_what_an_output_has_no_letters_for_ends_no_call(told, tmp_path, monkeypatch):
    def on(encoding, *arguments):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
        with monkeypatch.context() as printing:
            printing.setattr(sys, "stdout", out)
            assert told(*arguments).returncode == 0
        return out.buffer.getvalue()

    said = on("ascii", *fast(silence(tmp_path, 0.5), tmp_path), "--agent", "Zo\u00eb")
    assert b"Call with Zo? ? silence.wav" in said
    assert b"Zo?" in on("ascii", "records", "list", "--data", tmp_path)
    given = on("latin-1", "records", "export", "--data", tmp_path)
    assert json.loads(given)["agent"] == "Zo\u00eb", "JSON is UTF-8 whatever the terminal"


def test_a_server_without_a_model_takes_calls_says_so_hears_them_once_it_is_there_and_ends_properly(told, tmp_path):
    (tmp_path / "assist.toml").write_text("backfill_s = 300")
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    weights = (model / "model.bin").read_bytes()
    (model / "model.bin").write_bytes(weights[:1000])
    server = subprocess.Popen(
        [sys.executable, "-m", "assist", "serve", "--port", "0", "--data", str(tmp_path)]
        + ["--recogniser", "whisper", "--model", str(model), "--config", str(tmp_path / "assist.toml")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENV, "HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None and server.stderr is not None
    said = []
    for line in server.stdout:
        said.append(line)
        if line.startswith("Ready"):
            break
    assert "damaged or incomplete" in said[0] and "calls are taken all the same" in said[0]

    def record(call):
        return json.loads(told("records", "export", call, "--data", tmp_path).stdout)

    recording = parts(tmp_path, (0, 12.5))

    def call():
        answer = told("replay", recording, "--speed", "20", "--data", tmp_path)
        return re.search(r"records show (\S+)", answer.stdout)[1]

    first = call()
    without = record(first)
    assert without["transcript"] == [] and without["accounted_ms"]["customer.untranscribed"] > 5_000
    (model / "model.bin").write_bytes(weights)
    assert "Listening with Whisper" in server.stderr.readline()
    assert f"call {first}: 2 utterances transcribed after it" in server.stderr.readline()
    heard = record(call())["transcript"]
    late = record(first)["transcript"]
    assert [line["start_ms"] for line in late] == [line["start_ms"] for line in heard] != []
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=30) == 0
    server.stdout.close()
    server.stderr.close()
    assert "Call ended (end-of-recording)" in told("records", "show", first, "--data", tmp_path).stdout


def test_playbooks_can_be_copied_compared_and_checked(told, tmp_path):
    mine = tmp_path / "mine.toml"
    assert told("playbook", "new", "default", mine).returncode == 0
    assert told("playbook", "diff", "default", mine).stdout.strip() == "no difference"
    assert "all as expected" in told("playbook", "test", mine).stdout
    mine.write_text(mine.read_text().replace('fits = ["monologue"', 'fits = ["monolog"'))
    answer = told("playbook", "check", mine)
    assert answer.returncode == 1
    assert "steps.empathize.fits: 'monolog' is none of the signals: did you mean monologue?" in answer.stdout
