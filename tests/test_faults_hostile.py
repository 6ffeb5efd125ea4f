"""Whatever comes in from outside: nonsense at the joining socket, in what pages send, in recordings and in TOML files.

Each of them may be refused in one line; none of them may raise anything else, end a call, or reach another one.
"""

import asyncio
import contextlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from assist.coach.playbook import PlaybookError, load_playbook
from assist.errors import AssistError
from assist.live.joining import MAX_LINE_BYTES, accept_calls
from assist.live.page_actions import PageActions
from assist.practice.script import load_script
from assist.settings import load_settings
from audio.errors import AudioError
from audio.recording import open_recording
from detectors.rulebook import RuleError, load_rules
from overlay.doing import DO
from overlay.errors import OverlayError
from overlay.identity import Identity
from tests import fuzz, fuzz_targets
from tests.fault_rig import Sound, service

FILES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

HOSTILE_LINES = [
    b"",
    b"\n",
    b"{}\n",
    b"[" * 100_000 + b"\n",
    b'{"recording": "/etc/passwd"}\n',
    b'{"recording": "/nowhere/call.wav"}\n',
    b'{"speed": NaN}\n',
    b'{"speed": -1}\n',
    b'{"agent_channel": 99999999999999999999}\n',
    b'{"resume": "../../etc/passwd"}\n',
    b'{"unknown": 1}\n',
    b"\xff\xfe\x00\n",
    b'{"recording": "\\ud800"}\n',
    b"x" * (MAX_LINE_BYTES + 10) + b"\n",
    b'{"write": 3}\n',
    b'{"write": "erase", "calls": [[]]}\n',
    b'{"write": "erase", "calls": []}\n',
    b'{"write": "hold", "hold": {"call": "k1"}}\n',
    b'{"write"\n',
    b'{"microphone": "\\u0000", "far_end": "x"}\n',
]


def test_hostile_lines_at_the_joining_socket_are_refused_and_the_live_call_goes_on(tmp_path):
    async def run():
        one = service(tmp_path)
        one.open()
        go_on = asyncio.Event()
        call, task = one.start(Sound(40, breath=go_on.wait), agent="Dana")
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        answers = []
        async with accept_calls(one):
            for line in HOSTILE_LINES:
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "serve.sock"), limit=MAX_LINE_BYTES)
                with contextlib.suppress(OSError):
                    writer.write(line)
                    writer.write_eof()
                    await writer.drain()
                    answers.append(await reader.read())
                writer.close()
            assert list(one.calls) == [call]
        go_on.set()
        await task
        record = one.store.record(call)
        await one.close()
        return answers, problems, record

    answers, problems, record = asyncio.run(run())
    assert problems == []
    assert record["ended"] == "end-of-recording" and len(record["transcript"]) == 8
    for answer in answers:
        assert answer == b"" or set(json.loads(answer)) == {"refused"}
    assert sum(bool(answer) for answer in answers) >= 10


IDS = st.sampled_from(["p1", "p99", "", "a1", "c1", "listen", "\x00", "x" * 120, "🧨", "'; DROP TABLE calls; --"])
TEXTS = st.one_of(st.text(max_size=300), st.just("<script>alert(1)</script>"))
ANSWERS = st.sampled_from(["seen", "used", "dismissed", "wrong", "offered", "asked", "accepted", "refused", "claim"])
DOES = st.one_of(
    st.builds(lambda what, target: {"do": "prompt", "prompt": target, "what": what}, ANSWERS, IDS),
    st.builds(lambda what, target: {"do": "plan", "option": target, "what": what}, ANSWERS, IDS),
    st.builds(lambda what, target: {"do": "alert", "alert": target, "what": what}, ANSWERS, IDS),
    st.builds(lambda yes, target: {"do": "step", "step": target, "done": yes}, st.booleans(), IDS),
    st.builds(lambda yes, target: {"do": "answer", "alert": target, "allow": yes}, st.booleans(), IDS),
    st.builds(lambda what, yes: {"do": what, "on": yes}, st.sampled_from(["pause", "watch"]), st.booleans()),
    st.builds(lambda what, text: {"do": what, "text": text}, st.sampled_from(["note", "tell"]), TEXTS),
    st.just({"do": "help"}),
    st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.integers(), st.text(max_size=8))),
)
WHO = st.sampled_from(
    [Identity("Dana", "agent"), Identity("Eve", "agent"), Identity("Maria", "supervisor"), Identity("Q", "qa")]
)


@settings(max_examples=20)
@given(steps=st.lists(st.tuples(WHO, DOES), max_size=25))
def test_whatever_people_and_pages_do_the_call_goes_on_and_ends_with_its_record(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("actions")

    async def run():
        one = service(folder, every=20)
        one.open()
        actions = PageActions(one)
        breath = asyncio.Event()
        call, task = one.start(Sound(40, breath=breath.wait), agent="Dana")
        await asyncio.sleep(0)
        for who, did in steps:
            try:
                message = DO.validate_python({**did, "call": call})
            except ValueError:
                continue
            with contextlib.suppress(OverlayError):
                await actions.do(who, message)
        breath.set()
        await task
        record = one.store.record(call)
        numbers = [n for n, _ in one.store.events(call)]
        await one.close()
        return record, numbers

    record, numbers = asyncio.run(run())
    assert numbers == sorted(set(numbers))
    assert record["ended"] == "end-of-recording"
    parts = [ms for key, ms in record["accounted_ms"].items() if key.startswith("customer.")]
    assert sum(parts) == 4_000


@FILES
@given(
    body=st.binary(max_size=2_000),
    head=st.sampled_from([b"", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"fLaC", b"OggS", b"ID3"]),
)
def test_bytes_that_are_no_recording_are_refused_in_one_line(tmp_path, body, head):
    path = tmp_path / "call.wav"
    path.write_bytes(head + body)

    async def read():
        async for _ in open_recording(path, speed=1e9):
            pass

    try:
        asyncio.run(read())
    except AudioError as error:
        assert len(str(error).splitlines()) == 1


BAD_RULE = "id = 'a'\nsignal = 'swearing'\nphrases = ['(']\nfires = ['x']"
TOML = st.one_of(
    st.text(max_size=400),
    st.sampled_from(["id = 1", "[[steps]]\nid = 'x'", "steps = 3", "plays = [[[]]]", "[[rule]]\nid = {}", "rule = []"]),
    st.sampled_from(["port = 99999", "host = 3", "unknown = true", "agent = ''"]),
    st.just(f"version = '1'\nowner = 'x'\nlanguage = 'en'\n[[rule]]\n{BAD_RULE}"),
)


@FILES
@given(text=TOML)
@example(text="\x00")
@example(text="a = " + "[" * 5_000)
@example(text="port = " + "9" * 5_000)
def test_any_text_as_a_playbook_rules_or_settings_is_one_clear_refusal(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with contextlib.suppress(PlaybookError):
        load_playbook(path)
    with contextlib.suppress(RuleError):
        load_rules(path)
    with contextlib.suppress(AssistError):
        load_settings(path)
    with contextlib.suppress(AssistError):
        load_script(str(path))


@pytest.mark.parametrize("name", ["nowhere.toml", "."])
def test_a_playbook_that_cannot_be_read_is_one_clear_line(tmp_path, name):
    with pytest.raises(PlaybookError) as error:
        load_playbook(tmp_path / name)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_what_fuzzing_has_found_and_begins_with_is_read_as_promised(target):
    assert fuzz_targets.replay(target) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_a_minute_of_fuzzing_finds_nothing(target):
    pytest.importorskip("atheris", reason="needs atheris: pip install atheris")
    inputs, found = fuzz.run(target, 60)
    print(f"\n{target}: {inputs} inputs")
    assert inputs and not found, found
