"""Recordings under fault: a killed program, a hanging disk; and what they cost in a call and when they are played."""

import asyncio
import os
import threading
import time
from datetime import datetime, timedelta

import numpy as np
import pytest

from assist.events import Action
from assist.privacy.recorder import DELAY_MS, MAX_QUEUED_FRAMES
from assist.store.keys import Keyring
from assist.store.recordings import MU_LAW_TO_PCM, RATE, RecordingFile, Recordings, encode_mu_law
from audio.events import Chunk, Speaker
from tests.fault_rig import BOTH, acknowledging, in_a_child, killed_after, service


def level(n):
    """What chunk n of a run sounds like; never silent, and the same for no two near each other."""
    return 0.1 + 0.05 * (n % 17)


class Talking:
    """A call source that is never silent."""

    name, speakers = "talking", BOTH

    def __init__(self, chunks=None, mark=None):
        self._chunks, self._mark = chunks, mark
        self.marked = asyncio.Event()
        """Set when so many chunks have been taken."""

    async def __aiter__(self):
        n = 0
        while self._chunks is None or n < self._chunks:
            if n == self._mark:
                self.marked.set()
            pcm = np.tile(np.float32([1, -1]) * np.float32(level(n)), 800)
            yield Chunk(n * 100, {Speaker.AGENT: pcm, Speaker.CUSTOMER: pcm})
            n += 1
            await asyncio.sleep(0)


def record(folder, pipe):
    """A recorded call without end; a line for every acknowledged event."""

    async def run():
        one = service(folder, recordings=True)
        one.open()
        acknowledging(one, lambda call, n: os.write(pipe, f"{call} {n}\n".encode()))
        await one.start(Talking(), agent="Dana")[1]

    asyncio.run(run())


def record_and_pause(folder, pipe):
    """A recorded call that is paused after a minute; a line when that is in the notes."""

    async def run():
        one = service(folder, every=50, recordings=True)
        one.open()
        sound = Talking(mark=600)
        call, task = one.start(sound, agent="Dana")
        await sound.marked.wait()
        one.calls[call].act(Action(60_000, "Dana", "agent", "pause"))
        await asyncio.wrap_future(one.call_logs[call].receipt)
        os.write(pipe, f"{call}\n".encode())
        await task

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_loses_no_more_than_the_last_half_minute_of_sound_and_the_call_goes_on_in_its_own_time(tmp_path):
    call = killed_after(*in_a_child(record, tmp_path), 400)[0].split()[0]
    frames = Recordings(tmp_path).open(call).frames

    async def resume():
        one = service(tmp_path, recordings=True)
        assert one.open() == [call]
        events = [event for _, event in one.store.events(call)]
        last_ms = events[-1].at_ms
        assert frames > 10 and last_ms - DELAY_MS - 5_000 < frames * 1_000 <= last_ms
        began = datetime.fromisoformat(events[0].started_at)
        offset_ms = -(-last_ms // 1_000) * 1_000 + 7_000
        _, task = await one.resume(call, Talking(400), now=began + timedelta(milliseconds=offset_ms))
        await task
        await one.close()
        return offset_ms

    offset_ms = asyncio.run(resume())
    sound = Recordings(tmp_path).open(call)
    kept = MU_LAW_TO_PCM[sound.samples()].astype(np.float32).reshape(-1, RATE // 10, 2) / 32767
    assert len(kept) == offset_ms // 100 + 400 and not kept[:, :, 0].any(), "the agent said nothing"
    for n, chunk in enumerate(kept[:, :, 1]):
        since = n - offset_ms // 100
        heard = n < frames * 10 or since >= 0
        said = (n if since < 0 else since) % 5 == 4  # the rig's ears say a line of the customer in every fifth chunk
        if heard and said:
            assert np.allclose(np.abs(chunk), level(n if since < 0 else since), atol=0.02), n
        else:
            assert not chunk.any(), n


def test_a_call_killed_while_paused_keeps_no_sound_until_somebody_lets_it_go_on(tmp_path):
    [call] = killed_after(*in_a_child(record_and_pause, tmp_path), 1)

    async def resume():
        one = service(tmp_path, every=50, recordings=True)
        one.open()
        events = [event for _, event in one.store.events(call)]
        began = datetime.fromisoformat(events[0].started_at)
        _, task = await one.resume(call, Talking(600), now=began + timedelta(milliseconds=events[-1].at_ms + 1_000))
        assert one.calls[call].session.suspended
        await task
        await one.close()
        return events[-1].at_ms

    cut_ms = asyncio.run(resume())
    kept = Recordings(tmp_path).open(call)
    assert kept is None or not MU_LAW_TO_PCM[kept.samples(cut_ms // 1_000)].any()


def test_keys_sealing_and_writing_never_run_on_the_event_loop(tmp_path, monkeypatch):
    threads = {}

    def watched(owner, name):
        inner = getattr(owner, name)

        def watch(*arguments, **named):
            threads.setdefault(name, set()).add(threading.current_thread())
            return inner(*arguments, **named)

        monkeypatch.setattr(owner, name, watch)

    async def run():
        one = service(tmp_path, every=50, recordings=True)
        one.open()
        for owner, *names in ((Keyring, "encrypt", "_database"), (RecordingFile, "append", "close"), (os, "fsync")):
            for name in names:
                watched(owner, name)
        await one.start(Talking(500), agent="Dana")[1]
        sound = Talking(500, mark=400)
        call, task = one.start(sound, agent="Dana")
        await sound.marked.wait()
        one.calls[call].act(Action(0, "Dana", "agent", "consent", detail="refused"))
        await task
        await one.close()

    asyncio.run(run())
    assert threads.keys() == {"encrypt", "_database", "append", "close", "fsync"}
    assert all(threading.main_thread() not in seen for seen in threads.values())


def test_a_disk_that_hangs_holds_up_no_call_and_what_waits_for_it_is_bounded(tmp_path, monkeypatch):
    held = threading.Event()
    append = RecordingFile.append
    monkeypatch.setattr(RecordingFile, "append", lambda *arguments: held.wait() and append(*arguments))

    async def run():
        one = service(tmp_path, every=50, recordings=True)
        one.open()
        sound = Talking(1_100, mark=1_000)
        call, task = one.start(sound, agent="Dana")
        live = one.calls[call]
        await sound.marked.wait()
        waiting = len(live.recorder._frames), len(live.recorder._writer._pending)
        held.set()
        assert waiting[0] <= DELAY_MS // 1_000 + 2 and waiting[1] <= MAX_QUEUED_FRAMES + 1
        await task
        record = one.store.record(call)
        assert [each["code"] for each in record["troubles"]] == ["recording-failed"]
        assert "too slow" in record["troubles"][0]["text"] and record["transcript"]
        await one.close()

    asyncio.run(run())


@pytest.mark.slow
def test_an_hour_of_sound_is_played_by_its_parts(tmp_path):
    recordings = Recordings(tmp_path)
    file = RecordingFile(recordings.path("k1"), recordings.keys, "k1", BOTH)
    second = encode_mu_law(np.random.default_rng(1).normal(0, 0.1, (RATE, 2)).astype(np.float32))
    began = time.process_time()
    for _ in range(3_600):
        file.append(second)
    file.close()
    sealed = time.process_time() - began

    def cost(work):
        began = time.process_time()
        work()
        return 1000 * (time.process_time() - began)

    places = np.random.default_rng(2).integers(0, 110_000_000, 50)
    parts = sorted(cost(lambda at=int(at): recordings.open("k1").wav(at, at + 65_536)) for at in places)
    whole, peaks = cost(lambda: recordings.open("k1").wav()), cost(lambda: recordings.open("k1").peaks(3_600_000))
    print(
        f"\nsealing and writing an hour {sealed:.2f} CPU-s; a part of 64 KiB {parts[25]:.1f} ms (median, most "
        f"{parts[-1]:.1f}); all of it {whole:.0f} ms; its waveform {peaks:.0f} ms"
    )
    assert parts[25] < whole / 20
