"""Calls under fault: where every millisecond went, sound that stops coming, dead channels, pages that fail, load."""

import asyncio
import gc
import json
import math
import os
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from assist.errors import AssistError
from assist.events import Action, CallStarted, ConsentSet
from assist.live.joining import Joining, accept_calls, join_and_resume, start_call
from assist.live.writing import socket_path
from assist.privacy.consent import Consent
from assist.records.accounting import CATEGORIES, Ledger, time_totals
from assist.store.codec import encode
from audio.channels import GATED_MS, SILENT_MS, ChannelWatch
from audio.events import Chunk, Gap, Speaker, Trouble, Utterance
from audio.recording import open_recording
from overlay.hub import Hub
from tests.fault_rig import BOTH, SILENCE, Ears, Sound, service
from tests.scripted_call import Source, on_stage, said

STARTED = CallStarted(0, "k1", "Dana", "", "", "", "2026-11-26T10:00:00+00:00", "t", ("agent", "customer"), {})


def speech(start, end, speaker=Speaker.CUSTOMER):
    return Utterance(f"c{start}", speaker, start, end, ())


def action(at, what):
    return Action(at, "Dana", "agent", what)


@st.composite
def histories(draw):
    """A call's log as far as it says where time went, and how long the call was."""
    events, at = [STARTED], 0
    paused = False
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(0, 900))
        length = draw(st.integers(0, 1500))
        who = draw(st.sampled_from(BOTH))
        match draw(st.sampled_from(["speech", "lost", "failed", "untranscribed", "pause", "granted", "refused"])):
            case "speech":
                events.append(speech(at, at + length, who))
            case "pause":
                events.append(action(at, "resume" if paused else "pause"))
                paused = not paused
            case ("granted" | "refused") as consent:
                events.append(ConsentSet(at, consent, "Dana", "all-party"))
            case why:
                events.append(Gap(who, at, at + length, why))
    return events, at + draw(st.integers(0, 2000))


def painted_by_the_millisecond(events, end_ms):
    """The slow and obvious way: one label for each millisecond of each channel."""
    cells = {who: ["silence"] * end_ms for who in ("agent", "customer")}

    def paint(who, start, end, what):
        for ms in range(max(0, start), min(end, end_ms)):
            if cells[who][ms] == "silence" or CATEGORIES.index(what) < CATEGORIES.index(cells[who][ms]):
                cells[who][ms] = what

    since = {"paused": None, "withheld": 0 if any(isinstance(event, ConsentSet) for event in events) else None}
    for event in events:
        match event:
            case Utterance():
                paint(event.speaker, event.start_ms, event.end_ms, "speech")
            case Gap():
                paint(event.speaker, event.start_ms, event.end_ms, event.why)
            case Action(what="pause") if since["paused"] is None:
                since["paused"] = event.at_ms
            case ConsentSet(consent="refused") if since["withheld"] is None:
                since["withheld"] = event.at_ms
            case Action(what="resume") | ConsentSet(consent="granted"):
                what = "paused" if isinstance(event, Action) else "withheld"
                if since[what] is not None:
                    for who in cells:
                        paint(who, since[what], event.at_ms, what)
                since[what] = None
    for what, at in since.items():
        if at is not None:
            for who in cells:
                paint(who, at, end_ms, what)
    return {(who, what): cells[who].count(what) for who in cells for what in (*CATEGORIES, "silence")}


@given(histories())
def test_every_millisecond_of_every_channel_has_one_account(history):
    events, end_ms = history
    sums = time_totals(events, end_ms)
    wanted = painted_by_the_millisecond(events, end_ms)
    assert {key: sums.get(f"{key[0]}.{key[1]}", 0) for key in wanted} == wanted
    for who in ("agent", "customer"):
        assert sum(ms for key, ms in sums.items() if key.startswith(f"{who}.")) == end_ms


def test_an_account_can_be_asked_for_in_the_middle_of_a_pause():
    ledger = Ledger()
    for event in (STARTED, action(1_000, "pause")):
        ledger.add(event)
    assert ledger.totals(3_000)["customer.paused"] == 2_000
    assert ledger.totals(5_000) == {
        "agent.paused": 4_000, "agent.speech": 0, "agent.silence": 1_000,
        "customer.paused": 4_000, "customer.speech": 0, "customer.silence": 1_000,
    }  # fmt: skip


class Torn(Hub):
    """A board on which no row can be drawn."""

    def show(self, room, key, message):
        if key.startswith("row/"):
            raise RuntimeError("i want to speak to your manager")
        super().show(room, key, message)


def test_a_page_that_cannot_be_drawn_costs_a_call_neither_its_end_nor_an_event(tmp_path, caplog):
    async def run(hub):
        one = service(tmp_path / type(hub).__name__)
        one.hub = hub
        one.open()
        call, task = one.start(Sound(200), agent="Dana")
        await task
        logged, record = one.store.events(call), one.store.record(call)
        await one.close()
        assert [n for n, _ in logged] == list(range(len(logged)))
        return [event for _, event in logged[1:]], record["ended"]

    torn, whole = asyncio.run(run(Torn())), asyncio.run(run(Hub()))
    assert torn == whole and torn[1] == "end-of-recording"
    assert "pages were not drawn: RuntimeError" in caplog.text and "your manager" not in caplog.text


def test_an_event_after_one_that_could_not_be_told_has_a_number_of_its_own(tmp_path):
    def listener(event):
        if isinstance(event, Action) and event.detail == "first":
            raise RuntimeError

    async def run():
        one = service(tmp_path)
        one.open()
        call, task = one.start(Sound(), agent="Dana", on_event=listener)
        await asyncio.sleep(0)
        live = one.calls[call]
        with pytest.raises(RuntimeError):
            live.act(Action(0, "Dana", "agent", "note", detail="first"))
        live.act(Action(0, "Dana", "agent", "note", detail="second"))
        live.hang_up()
        await task
        said = [event.detail for _, event in one.store.events(call) if isinstance(event, Action)]
        await one.close()
        return said

    assert asyncio.run(run()) == ["first", "second"]


def test_what_happens_before_the_first_step_of_a_call_comes_after_its_beginning(tmp_path):
    async def run():
        one = service(tmp_path)
        one.open()
        call, task = one.start(Sound(), agent="Dana")
        one.calls[call].act(Action(0, "Dana", "agent", "note", detail="early"))
        one.calls[call].hang_up()
        await task
        logged, record = one.store.events(call), one.store.record(call)
        await one.close()
        return [type(event) for _, event in logged[:3]], record["ended"]

    assert asyncio.run(run()) == ([CallStarted, ConsentSet, Action], "hang-up")


def test_a_live_call_has_the_agents_page_again_when_a_later_one_of_the_same_agent_is_over(tmp_path):
    async def run():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        hub = stage.service.hub

        def page():
            shown = {key: json.loads(body) for key, body in hub.snapshot("agent/Dana").items()}
            return {key: body | {"at_ms": 0} for key, body in shown.items()}

        await stage.hear(said("i want to speak to your manager right now", 0))
        await stage.written()
        before = page()
        assert {"prompt", "plan", "steps", "consent", "line/c0"} <= before.keys()
        assert "heard/1" in hub.snapshot(f"call/{stage.call}")
        later, over = stage.service.start(Source(), agent="Dana", consent=Consent.GRANTED)
        await asyncio.sleep(0)
        assert page()["call"]["call"] == later and "prompt" not in page()
        await stage.hear(said("i will sue you", 1_500), ms=5_000)
        stage.service.calls[later].hang_up()
        await over
        after = page()
        assert after["call"] == before["call"] and {"line/c0", "line/c1500", "prompt"} <= after.keys()
        assert not {key for key in after if key.startswith(("wrapup", "ended", "heard/", "told"))}
        told = after["notice/message/1"]["text"]
        assert told.startswith("Your other call is over. Calm at the end, ") and "its record, under Review" in told
        live = hub.latest("agent/Dana", "call")
        assert live.at_ms > 0, "the page's clock is the call's"
        await stage.end()
        assert page()["ended"]["record"] == stage.call
        await stage.close()

    asyncio.run(run())


class Stalling(Sound):
    """Sound that stops coming after three chunks, and comes again when it is told to."""

    def __init__(self):
        super().__init__()
        self.go_on = asyncio.Event()

    async def __aiter__(self):
        for n in range(3):
            yield Chunk(n * 100, {who: SILENCE for who in BOTH})
        await self.go_on.wait()
        self.go_on.clear()
        yield Chunk(300, {who: SILENCE for who in BOTH})
        await self.go_on.wait()


def test_sound_that_stops_coming_is_told_and_at_last_given_up(tmp_path):
    async def run():
        one = service(tmp_path)
        one.open()
        source, told = Stalling(), []

        def hear(event):
            if isinstance(event, Trouble):
                told.append((event.code, event.cleared))
                if told == [("audio-stalled", False)]:
                    source.go_on.set()

        call, task = one.start(source, on_event=hear)
        live = one.calls[call]
        live.stalled_s, live.sound_timeout_s = 0.02, 0.2
        await task
        record = one.store.record(call)
        await one.close()
        return told, record

    told, record = asyncio.run(run())
    assert told == [("audio-stalled", False), ("audio-stalled", True), ("audio-stalled", False)]
    assert record["ended"] == "interrupted"


def test_time_in_which_the_program_itself_stands_still_is_no_silence(tmp_path, monkeypatch):
    monkeypatch.setattr("assist.live.call.TURN_S", 0.01)

    async def scene():
        stage = await on_stage(tmp_path, consent="granted", meaning=False)
        live = stage.service.calls[stage.call]
        live.stalled_s, live.sound_timeout_s = 0.1, 0.2
        await stage.hear()
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, stage.source.play, 1000)
        loop.call_later(0.02, stage.source.stop)
        loop.call_soon(time.sleep, 0.3)
        await stage.task
        assert stage.service.store.record(stage.call)["ended"] == "end-of-recording"
        assert not [event for event in stage.heard if isinstance(event, Trouble)]
        await stage.close()

    asyncio.run(scene())


class Waiting(Ears):
    """Its last words are known when the program has gone on."""

    def __init__(self, waited):
        super().__init__()
        self._loop, self._waited = asyncio.get_running_loop(), waited

    def _wait(self):
        went_on = threading.Event()
        self._loop.call_soon_threadsafe(self._loop.run_in_executor, None, went_on.set)
        self._waited.append(went_on.wait(2))
        return []

    def finish(self):
        return self._wait()


class InStep(Waiting):
    """So are all others."""

    def push(self, chunk):
        return self._wait()


def test_calls_that_wait_for_their_last_words_leave_the_pages_their_threads(tmp_path):
    async def scene():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        one, waited = service(tmp_path), []
        one.hearing.listener = lambda *_, **__: Waiting(waited)
        one.open()
        await asyncio.gather(*(one.start(Sound(1))[1] for _ in range(2)))
        await one.close()
        assert waited == [True, True]

    asyncio.run(scene())


def test_a_replay_as_fast_as_it_is_heard_waits_for_its_words_in_a_server_too_and_lets_it_go_on(tmp_path):
    async def scene():
        one, waited, how = service(tmp_path), [], []
        one.hearing.listener = lambda *_, **asked: how.append(asked["in_step"]) or InStep(waited)
        one.open()
        for speed in (1.0, math.inf):
            asked = Joining(recording=tmp_path / "earlier.wav", speed=speed)
            _, task = await start_call(one, asked, Sound(1), lambda event: None)
            await task
        await one.close()
        assert how == [False, True] and waited[2:] == [True, True]

    asyncio.run(scene())


def chunks(seconds, agent, customer):
    """Ten a second; each side a function of the second -> RMS level."""
    rng = np.random.default_rng(3)
    for n in range(seconds * 10):
        sound = {
            who: (level(n / 10) * rng.standard_normal(1600)).astype(np.float32)
            for who, level in ((Speaker.AGENT, agent), (Speaker.CUSTOMER, customer))
        }
        yield Chunk(n * 100, sound)


def watched(*parts):
    watch = ChannelWatch()
    return [(trouble.at_ms, trouble.code, trouble.cleared) for chunk in chunks(*parts) for trouble in watch.push(chunk)]


def test_a_channel_without_any_sound_while_the_other_side_speaks_is_told_within_twelve_seconds():
    [(at_ms, code, cleared)] = watched(20, lambda _: 0.1, lambda second: 0.0 if second >= 3 else 0.01)
    assert code == "channel-silent:customer" and not cleared
    assert 3_000 + SILENT_MS <= at_ms <= 3_000 + SILENT_MS + 2_000


def test_an_idle_line_of_a_law_that_has_no_zero_is_a_dead_channel(tmp_path):
    sound = np.zeros((8_000 * 13, 2))
    sound[:, 0] = 0.1 * np.random.default_rng(1).standard_normal(len(sound))
    soundfile.write(tmp_path / "call.wav", sound, 8_000, subtype="ALAW")
    watch = ChannelWatch()

    async def troubles():
        source = open_recording(tmp_path / "call.wav", speed=math.inf)
        return [trouble async for chunk in source for trouble in watch.push(chunk)]

    told = asyncio.run(troubles())[0]
    assert told.code == "channel-silent:customer" and not told.cleared


def test_a_channel_that_comes_back_is_told():
    found = watched(30, lambda second: 0.0 if 2 <= second < 20 else 0.01, lambda _: 0.1)
    assert [(code, cleared) for _, code, cleared in found] == [
        ("channel-silent:agent", False), ("channel-silent:agent", True)
    ]  # fmt: skip


def test_an_offset_is_nobody_who_speaks():
    watch = ChannelWatch()
    for chunk in chunks(30, lambda _: 0.001, lambda _: 0.0):
        offset = {**chunk.channels, Speaker.AGENT: chunk.channels[Speaker.AGENT] + np.float32(0.1)}
        assert watch.push(Chunk(chunk.start_ms, offset)) == []


def test_a_line_that_sends_nothing_while_nobody_speaks_may_be_silent_for_a_minute():
    def customer(second):  # 8 s in turn, in words of 0.7 s with nothing between them; from 100 s on nothing at all
        return 0.05 if second < 100 and second % 20 < 8 and second % 1 < 0.7 else 0.0

    found = watched(200, lambda second: 0.1 if second % 20 >= 8 else 0.001, customer)
    assert [(code, cleared) for _, code, cleared in found] == [("channel-silent:customer", False)]
    assert 87_700 + GATED_MS <= found[0][0] <= 87_700 + GATED_MS + 2_000


def test_a_quiet_line_a_silent_call_and_hold_music_are_no_dead_channel():
    quiet = 10 ** (-75 / 20)  # the noise of a good line
    assert watched(120, lambda _: 0.1, lambda _: quiet) == []
    assert watched(120, lambda _: 0.0, lambda _: 0.0) == []
    assert watched(120, lambda second: 0.2 if second % 40 < 30 else 0.01, lambda second: 0.1 * (second % 9 < 6)) == []


class Broken(Sound):
    async def __aiter__(self):
        yield Chunk(0, {who: SILENCE for who in BOTH})
        raise RuntimeError("the gateway sent nonsense")


def test_one_call_that_fails_touches_no_other(tmp_path):
    async def run():
        one = service(tmp_path)
        one.open()
        bad, failing = one.start(Broken(), agent="Bo")
        good, fine = one.start(Sound(50), agent="Dana")
        with pytest.raises(RuntimeError):
            await failing
        await fine
        records = one.store.record(bad), one.store.record(good)
        await one.close()
        return records

    bad, good = asyncio.run(run())
    assert bad["ended"] == "failed" and good["ended"] == "end-of-recording"
    assert len(good["transcript"]) == 10


def test_a_call_that_fails_in_the_server_is_told_to_its_command_in_one_line_without_what_was_said(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(Joining, "source", lambda asked: Broken())

    async def run():
        one = service(tmp_path)
        one.open()
        problems = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with accept_calls(one):
            with pytest.raises(AssistError, match=r"call .* failed \(RuntimeError\); what was heard") as caught:
                await join_and_resume(tmp_path, Joining(microphone="1"), lambda event: None)
        await one.close()
        return caught.value, problems

    told, problems = asyncio.run(run())
    assert told.code == "join-refused" and "nonsense" not in str(told) and problems == []


def test_a_call_that_comes_while_the_server_stops_is_refused_and_not_begun_to_be_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(Joining, "source", lambda asked: Sound(3))
    heard = []

    async def run():
        one = service(tmp_path)
        one.open()
        async with accept_calls(one):
            await one.hang_up()
            with pytest.raises(AssistError, match="the program stops: begin the call when it runs again"):
                await join_and_resume(tmp_path, Joining(microphone="1"), heard.append)
        await one.close()

    asyncio.run(run())
    assert heard == []


def test_calls_that_go_on_and_their_records_do_not_wait_for_the_devices_of_one_that_joins(tmp_path, monkeypatch):
    others, went_on = [], threading.Event()

    def source(asked):
        others[0].call_soon_threadsafe(others[0].run_in_executor, None, went_on.set)
        return Sound(1) if went_on.wait(5) else Broken()

    monkeypatch.setattr(Joining, "source", source)

    async def run():
        others.append(asyncio.get_running_loop())
        others[0].set_default_executor(ThreadPoolExecutor(1))
        one = service(tmp_path)
        one.open()
        async with accept_calls(one):
            await join_and_resume(tmp_path, Joining(microphone="1"), lambda event: None)
        await one.close()

    asyncio.run(run())


@pytest.mark.parametrize("last", [b"", b'{"type": "Utter'])
def test_while_the_server_is_away_its_command_says_that_nothing_is_heard_and_ctrl_c_ends_the_wait(last, tmp_path):
    async def dies(reader, writer):
        if last:
            await reader.readline()  # else what it was asked goes unread: the line is reset, not closed
        name, body = encode(STARTED)
        writer.write(json.dumps({"type": name, "body": body}).encode() + b"\n" + last)
        writer.close()

    async def run():
        hang_up, said = asyncio.Event(), []

        def tell(line):
            said.append(line)
            hang_up.set()

        async with await asyncio.start_unix_server(dies, socket_path(tmp_path)):
            with pytest.raises(AssistError, match="went away in mid-call") as lost:
                await join_and_resume(tmp_path, Joining(microphone="1"), lambda event: None, hang_up, tell)
        return lost.value.code, said

    code, (line,) = asyncio.run(run())
    assert code == "join-lost" and "nothing is heard now. The call goes on when it is back within 120 s" in line


@pytest.mark.slow
def test_a_hundred_calls_of_plumbing_lose_nothing_and_cost_little(tmp_path):
    """100 calls x 2 channels x 100 ms for 60 s of call time each, as fast as it goes."""

    async def run():
        one = service(tmp_path, every=30)
        one.open()
        cpu = time.process_time()
        tasks = [one.start(Sound(600), agent=f"agent {n}") for n in range(100)]
        await asyncio.gather(*(task for _, task in tasks))
        cpu = time.process_time() - cpu
        for call, _ in tasks:
            numbers = [n for n, _ in one.store.events(call)]
            assert numbers == list(range(len(numbers)))
            assert len(one.store.record(call)["transcript"]) == 20
        await one.close()
        return cpu

    cpu = asyncio.run(run())
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"100 calls of 60 s: {cpu:.1f} CPU-s = {100 * cpu / 60:.0f} % of one core in real time, {mib:.0f} MiB")


@pytest.mark.slow
def test_the_memory_of_a_twelve_hour_call_is_flat(tmp_path):
    """12 h of call time through session, coach, log and screens; resident memory after each hour."""
    sizes = []

    def resident_mib():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)

    class Hours(Sound):
        async def __aiter__(self):
            for n in range(12 * 36_000):
                yield Chunk(n * 100, {who: SILENCE for who in BOTH})
                if n % 100 == 0:
                    await asyncio.sleep(0)
                if n % 36_000 == 0:
                    sizes.append(resident_mib())

    async def run():
        one = service(tmp_path, every=50)
        one.open()
        _, task = one.start(Hours())
        await task
        await one.close()

    asyncio.run(run())
    slope = float(
        np.median([(b - a) / (j - i) for i, a in enumerate(sizes) for j, b in enumerate(sizes) if 1 <= i < j])
    )
    print(f"12 h call: {sizes[1]:.0f} MiB after 1 h, {sizes[-1]:.0f} MiB after 11 h; {slope:.2f} MiB an hour")
    assert slope <= 0.5
