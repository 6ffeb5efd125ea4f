"""The benches: what they measure, in short runs; no figure of this machine is judged here."""

import asyncio
import io
import json
import os
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner
from websockets.asyncio.server import serve

from assist.bench.alone import alone
from assist.bench.endurance import Endurance, endure
from assist.bench.figures import at_share
from assist.bench.listening import Comparison, Row, compare, verdicts
from assist.bench.material import load_material
from assist.bench.peers.peer import Feed
from assist.bench.peers.running import PEERS, peers_named, python_of, serving, variable
from assist.bench.peers.whisper_live import WhisperLive
from assist.bench.peers.whisper_live_kit import WhisperLiveKit
from assist.bench.peers.wyoming import WyomingFasterWhisper
from assist.bench.recogniser_setup import RecogniserSetup
from assist.bench.tables import capacity_line, listen_table
from assist.commands.main import app
from assist.errors import AssistError
from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Speaker
from audio.measuring import Load
from audio.scoring import score

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "tests" / "models" / "test-recogniser"
CALL = ROOT / "tests" / "data" / "spoken-call.flac"
WORDS = CALL.with_suffix(".json")
QUIET = Console(quiet=True)


def run(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)], env={"COLUMNS": "120"})


@pytest.mark.slow
def test_a_real_run_at_two_loads_in_a_table_and_as_json(tmp_path, monkeypatch):
    for peer in PEERS:
        monkeypatch.delenv(variable(peer), raising=False)
    out = tmp_path / "figures.json"
    options = (
        "--reference",
        WORDS,
        "--model",
        MODEL,
        "--window",
        3,
        "--seconds",
        4.0,
        "--json",
        out,
        "--device",
        "cpu",
    )
    answer = run("listen", CALL, "--calls", "1,2", *options, "--peers")
    assert answer.exit_code == 0, answer.output
    assert "WhisperLive is not installed: pip install whisper-live" in re.sub(r"\s+", " ", answer.output)
    found = json.loads(out.read_text())
    assert [(row["system"], row["calls"]) for row in found["rows"]] == [("call-assist", 1), ("call-assist", 2)]
    for row in found["rows"]:
        assert row["words"] == 9 * row["calls"] and row["error_rate"] < 0.2
        assert row["shown_ms"][0] <= row["settled_ms"][0] <= row["settled_ms"][1]
        assert row["cpu_per_audio"] > 0 and 50 < row["peak_mib"] < 2000
    assert found["reference"] == "the words spoken, with their true times"


def test_without_true_words_the_models_own_transcript_is_the_reference_and_the_table_says_so():
    material = load_material(CALL, seconds=2.2)
    assert material.words is None
    found = compare(QUIET, material, RecogniserSetup(MODEL, 1, "cpu", 300), [1])
    assert [word.text for word in found.material.words][:3] == ["Thank", "you", "for"]
    assert abs(found.material.words[1].start_ms - 1083) < 300
    assert "this model's own transcript" in str(listen_table(found).caption)


def test_the_sample_call_has_its_words_with_times():
    material = load_material()
    lines = json.loads((ROOT / "assist" / "demo" / "lines.json").read_text())
    assert material.seconds > 60 and set(material.sound) == {Speaker.AGENT, Speaker.CUSTOMER}
    for line in lines:
        inside = [
            word.text
            for word in material.words
            if word.speaker == line["speaker"] and line["start_ms"] <= word.start_ms < line["end_ms"]
        ]
        assert inside == line["text"].split()
    cut = load_material(seconds=10)
    assert cut.seconds == 10 and max(word.end_ms for word in cut.words) <= 10_000


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("listen", "--calls", "0"), "expected numbers from 1"),
        (("listen", "--calls", "a"), "expected numbers from 1"),
        (("capacity", "--limit", "0"), "expected numbers above 0"),
    ],
)
def test_bad_options_are_one_line(arguments, said):
    answer = run(*arguments)
    assert answer.exit_code == 1 and said in answer.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen", "--seconds", -70),
        ("capacity", "--seconds", 0),
        ("endurance", "--hours", 0),
        ("endurance", "--hours", -1),
    ],
)
def test_lengths_that_are_none_are_refused(arguments):
    answer = run(*arguments)
    assert answer.exit_code == 2 and "should be greater than or equal to" in answer.stderr


@pytest.mark.parametrize(
    "call, code",
    [
        (lambda: load_material(Path("no-such.wav")), "audio-missing"),
        (lambda: load_material(CALL, Path("no-such.json")), "reference-invalid"),
        (lambda: load_material(CALL, CALL), "reference-invalid"),
        (lambda: load_material(CALL, MODEL / "config.json"), "reference-invalid"),
        (lambda: peers_named(["nobody=/usr/bin/python3"]), "peer-unknown"),
        (lambda: peers_named(["whisper_live"]), "peer-unknown"),
        (lambda: python_of(WhisperLive(), {"whisper_live": Path("/no/such/python")}), "peer-unusable"),
        (lambda: python_of(WhisperLive(), {"whisper_live": Path(sys.executable)}), "peer-unusable"),
        (
            lambda: compare(QUIET, load_material(CALL, WORDS), RecogniserSetup(None, 1), [1], peers={}),
            "peers-need-whisper",
        ),
    ],
)
def test_every_bad_input_has_its_code(call, code):
    with pytest.raises((AssistError, AudioError)) as raised:
        call()
    assert raised.value.code == code and "\n" not in str(raised.value)


def fails(kind, *, progress):
    if kind == "exit":
        sys.exit(3)
    if kind == "ctrl-c":
        os.kill(os.getpid(), signal.SIGINT)
    raise AudioError("model-corrupt", kind)


@pytest.mark.usefixtures("on_a_terminal")
def test_a_process_of_its_own_hands_its_errors_back():
    with pytest.raises(AudioError, match="broken") as raised:
        alone(fails, "broken")
    assert raised.value.code == "model-corrupt"
    with pytest.raises(AudioError, match="ctrl-c"):
        alone(fails, "ctrl-c")
    with pytest.raises(AssistError, match="exit code 3") as died:
        alone(fails, "exit")
    assert died.value.code == "bench-died"


def load(calls, *, cpu, late, errors=0.0, peak=100.0):
    return Load(calls, 100, errors, (100, 200), (late // 2, late), 0, cpu, 0.5, peak)


def verdict_of(*rows):
    found = Comparison(load_material(CALL, WORDS), RecogniserSetup(MODEL, 2))
    found.rows = [Row(system, each) for system, each in rows]
    return verdicts(found)


def test_the_verdict_takes_the_best_streaming_peer_in_each_figure():
    (line,) = verdict_of(
        ("call-assist", load(2, cpu=0.1, late=1000)),
        ("WhisperLive", load(2, cpu=1.0, late=4000)),
        ("WhisperLiveKit", load(2, cpu=0.5, late=8000, errors=0.3)),
        ("wyoming-faster-whisper", load(2, cpu=0.05, late=3000)),
    )
    assert "CPU 0.20 of WhisperLiveKit" in line and "settled (95 %) 0.25 of WhisperLive," in line
    assert "0.0 % against 0.0 % of WhisperLive" in line


def test_who_hears_no_word_rightly_is_not_the_soonest():
    deaf, good = load(1, cpu=0.1, late=0, errors=1.0), load(1, cpu=0.5, late=900)
    (line,) = verdict_of(("call-assist", deaf), ("WhisperLive", good))
    assert "settled (95 %) –, word errors 100.0 %" in line
    (line,) = verdict_of(("call-assist", good), ("WhisperLive", deaf), ("WhisperLiveKit", deaf))
    assert "settled (95 %) –, " in line
    found = Comparison(load_material(CALL, WORDS), RecogniserSetup(MODEL, 2))
    found.rows = [Row("call-assist", replace(deaf, shown_ms=(0, 0)))]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(listen_table(found))
    assert re.search(r"call-assist +1 +– +– +100\.0 %", console.export_text())


def test_the_table_of_loads_hides_nothing_in_80_columns():
    found = Comparison(load_material(CALL, WORDS), RecogniserSetup(MODEL, 2))
    names = ("call-assist", "WhisperLive", "WhisperLiveKit", "wyoming-faster-whisper")
    found.rows = [Row(name, load(48, cpu=0.104, late=12_340, peak=5_300.0)) for name in names]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(listen_table(found))
    text = console.export_text()
    for name in names[:3]:
        assert re.search(rf"{name} +48 +0\.10/0\.20 +6\.17/12\.34 +0\.0 % +0\.104 +0\.\d\d +5300", text)
    assert "…" not in text and "wyoming-faster" in text


def test_the_cost_of_a_peer_that_fell_behind_is_not_compared():
    one, two = verdict_of(
        ("call-assist", load(1, cpu=0.1, late=1000)),
        ("call-assist", load(2, cpu=0.1, late=1000)),
        ("WhisperLive", load(1, cpu=1.0, late=4000)),
        ("WhisperLive", load(2, cpu=0.2, late=4000, errors=0.5)),
        ("WhisperLiveKit", load(1, cpu=2.0, late=4000)),
        ("WhisperLiveKit", load(2, cpu=0.3, late=9000)),
    )
    assert "CPU 0.10 of WhisperLive" in one
    assert "none keeps up" in two and "CPU" not in two


def test_the_capacity_is_told_in_one_sentence():
    fast, slow = load(4, cpu=0.1, late=900), load(5, cpu=0.1, late=1100)
    assert capacity_line([fast, slow], 1000) == (
        "This machine carries 4 calls at once with 95 % of words settled within 1 s."
    )
    assert "at least 4 calls" in capacity_line([fast], 1000)
    assert "does not carry one" in capacity_line([slow], 1000)


@pytest.mark.slow
def test_capacity_and_shapes_as_commands():
    answer = run("capacity", CALL, "--reference", WORDS, "--model", MODEL, "--seconds", 2, "--most", 1, "--limit", 9)
    assert answer.exit_code == 0 and "at least 1 call at once" in answer.output, answer.output
    answer = run("shapes", "tiny", "--seconds", 2, "--limit", 0, "--window", 3)
    assert answer.exit_code == 0 and "Random weights" in answer.output and "tiny" in answer.output, answer.output
    answer = run("shapes", "huge")
    assert isinstance(answer.exception, AssistError) and answer.exception.code == "shape-unknown"


def test_a_long_call_is_played_over_and_over():
    material = load_material(CALL, WORDS, seconds=8)
    found = endure(QUIET, material, RecogniserSetup(MODEL, 1, "cpu", 300), hours=65 / 3600, pause_s=16)
    assert found.utterances >= 3 * 2 and len(found.samples) == 2 and found.cpu_s > 0
    steady = Endurance("x", tuple((at / 10, 100.0 + (5 - at if at < 5 else 0)) for at in range(31)), 1, 1.0)
    assert abs(steady.slope) < 1e-6, "what happens in the first fifth is left out"
    growing = Endurance("x", tuple((at / 10, 100.0 + at / 5) for at in range(31)), 1, 1.0)
    assert abs(growing.slope - 2.0) < 1e-6


def test_how_late_is_told_as_a_share_of_all():
    assert at_share([30.0, 10.0, 20.0], 0.5) == "20 ms"
    assert at_share([30.0, 10.0, 20.0], 0.95) == "29 ms"
    assert at_share([], 0.5) == "–"


@pytest.mark.slow
def test_memory_is_flat_over_a_long_call():
    """Two hours of dense talk."""
    found = endure(QUIET, load_material(CALL, WORDS), RecogniserSetup(MODEL, 2, "cpu", 300), hours=2, pause_s=0)
    assert found.slope < 2.0, found.samples


# The peers' wire formats, against servers that speak them with given answers.

SOUND = np.full(SAMPLE_RATE // 2, 0.1, np.float32)


async def heard(peer, port, pcm=SOUND, since_s=0.0):
    feed = Feed(pcm, time.monotonic() - since_s)
    return feed, list(await peer.hear(port, feed))


def test_whisper_live_segments_stay_when_they_leave_the_last_ten():
    async def server(line):
        hello = json.loads(await line.recv())
        assert hello["task"] == "transcribe" and hello["language"] == "en"
        await line.send(json.dumps({"uid": hello["uid"], "message": "SERVER_READY"}))
        got = 0
        while (message := await line.recv()) != b"END_OF_AUDIO":
            got += len(message) // 4
        assert got == len(SOUND)
        first = {"start": "0.0", "end": "1.0", "text": " my account", "completed": True}
        second = {"start": "1.0", "end": "2.0", "text": " please", "completed": False}
        await line.send(json.dumps({"uid": "x", "segments": [first, second]}))
        await line.send(json.dumps({"uid": "x", "segments": [second | {"text": " please help"}]}))

    async def go():
        async with serve(server, "127.0.0.1", 0) as running:
            return await heard(WhisperLive(), running.sockets[0].getsockname()[1])

    feed, text = asyncio.run(go())
    assert [state[1:] for state in feed.states] == [
        (("my", "account"), ("please",)),
        (("my", "account"), ("please", "help")),
    ]
    assert text == ["my", "account", "please", "help"]


def test_whisper_live_kit_lines_and_buffer():
    async def server(line):
        got = 0
        while message := await line.recv():
            got += len(message) // 2
        assert got == len(SOUND)
        silent, said = {"speaker": -2, "text": None}, {"speaker": 1, "text": " my account"}
        await line.send(json.dumps({"lines": [said, silent], "buffer_transcription": " please"}))
        await line.send(json.dumps({"type": "ready_to_stop"}))

    async def go():
        async with serve(server, "127.0.0.1", 0) as running:
            return await heard(WhisperLiveKit(), running.sockets[0].getsockname()[1])

    feed, text = asyncio.run(go())
    assert [state[1:] for state in feed.states] == [(("my", "account"), ("please",))]
    assert text == ["my", "account", "please"]


def test_wyoming_gets_whole_utterances():
    lengths = []

    async def server(reader, writer):
        samples = 0
        while True:
            header = json.loads(await reader.readline())
            samples += len(await reader.readexactly(header.get("payload_length", 0))) // 2
            if header["type"] == "audio-stop":
                break
        lengths.append(samples)
        data = json.dumps({"text": f"line {len(lengths)}"}).encode()
        writer.write(json.dumps({"type": "transcript", "data_length": len(data)}).encode() + b"\n" + data)
        await writer.drain()
        writer.close()

    material = load_material(CALL, WORDS, seconds=8.5)

    async def go():
        async with await asyncio.start_server(server, "127.0.0.1", 0) as running:
            port = running.sockets[0].getsockname()[1]
            return await heard(WyomingFasterWhisper(), port, material.sound[Speaker.CUSTOMER], since_s=9.0)

    feed, text = asyncio.run(go())
    assert text == ["line 1"] and feed.states[-1].settled == ("line", "1")
    assert 2.0 < lengths[0] / SAMPLE_RATE < 4.0
    assert score([], feed.states).errors == 2


class Small:
    """A peer whose server is a few lines of Python."""

    name, package, module, streaming, settings = "Small", "small", "small", True, ""

    def __init__(self, code):
        self.code = code

    def server(self, model, port, folder):
        return ["-c", self.code, str(port)]


def test_a_peers_server_tells_its_cost_and_why_it_stopped():
    listens = (
        "import socket, sys, time\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nprint('x' * 99999)\n"
    )
    with serving(Small(listens + "time.sleep(60)"), Path(sys.executable), MODEL) as server:
        cpu, peak = server.cost()
        assert 0 < cpu < 60 and 5 < peak < 500 and server.cost()[0] >= cpu
    with (
        pytest.raises(AssistError, match="no such model") as raised,
        serving(Small("raise SystemExit('no such model')"), Path(sys.executable), MODEL),
    ):
        pass
    assert raised.value.code == "peer-failed"
