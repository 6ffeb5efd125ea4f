"""A live call as a call source: the agent's and the customer's device, recorded side by side.

I/O around `Alignment`: PortAudio's threads put blocks into bounded queues. The iteration asks the sound server whether
each stream still records from the chosen device, and uses a block only if that was asked after the block had arrived:
when the server moves a stream, the agent's microphone cannot get into the customer's channel, not even for one block.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread

import numpy as np

from audio import portaudio
from audio.alignment import START_S, Alignment
from audio.devices import Device, choose_devices, list_devices
from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm, Speaker
from audio.pulse import PulseServer, PulseUnreachable
from audio.resampling import Frames, Resampler, repaired
from audio.source import Arrival

QUEUE_S = 2.0
"""Seconds of audio queued for a busy listener; older audio is dropped."""
RETRY_S = 1.0
"""Seconds between attempts to reopen a lost device."""
SERVER_TIMEOUT_S = 0.5
"""Longest wait for the sound server to say where streams record from; meanwhile blocks stay queued."""
MAX_WAIT_S = 0.25
"""Longest wait for blocks."""
CLOSE_TIMEOUT_S = 3.0
"""Longest wait for the devices to be closed: a sound server that hangs holds up its own call only."""
STREAM_LISTED_S = 0.3
"""Longest wait for Pulse to list a new stream of an ALSA device: it does so at once, or never (no device of Pulse)."""

_opening = Lock()
"""Devices are opened one at a time, of all calls: the stream that Pulse lists newly is the one just opened."""


@dataclass(frozen=True, slots=True)
class _Block:
    frames: Frames
    at: float
    dropped: int
    """Frames dropped right before it."""


class _DeviceStream:
    """One party's device: its open stream and the queue of its blocks."""

    def __init__(self, speaker: Speaker, device: Device, server: PulseServer) -> None:
        self.speaker = speaker
        self.device = device
        self.wake: Callable[[], None] = lambda: None
        """Called from PortAudio's thread when `wanted_s` is queued."""
        self.wanted_s = 0.0
        self.pulse_stream: int | None = None
        """Index of Pulse's source output; None where the device is not Pulse's, so that no server moves the stream."""
        self.source = device.pulse_source
        self._server = server
        self._input: portaudio.InputStream | None = None
        self._lock = Lock()
        self._first_block = Event()
        self.clear()

    def clear(self) -> None:
        """Empty the queue."""
        with self._lock:
            self._blocks: deque[_Block] = deque()
            self._queued_frames = 0
        self._resampler = Resampler(self.device.open_rate, 1)

    def open(self) -> None:
        """Start to record, and check from which source. Raises AudioError device-failed, device-missing."""
        with _opening:
            self._open()

    def _open(self) -> None:
        self.close()
        self.clear()
        self._first_block.clear()
        known = self._recorded() or {}
        if self.device.pulse_source and not self._source_exists():
            raise AudioError("device-missing", f"The sound system has no {self.device.name} now: connect it again.")
        self._input = portaudio.InputStream(
            self.device.opens,
            rate=self.device.open_rate,
            channels=self.device.open_channels,
            on_block=self._on_block,
            pulse_source=self.device.pulse_source,
        )
        self.pulse_stream = None
        give_up_at = time.monotonic() + (START_S if self.device.pulse_source else STREAM_LISTED_S)
        while time.monotonic() < give_up_at and (recorded := self._recorded()) is not None:
            number = next((number for number in recorded if number not in known), None)
            if number is not None:
                self.pulse_stream = number
                self.source = self.source or recorded[number]
                if recorded[number] == self.source:
                    return
                break
            time.sleep(0.01)
        if self.pulse_stream is not None or self.device.pulse_source:
            self.close()
            refused = f"The sound system does not let this program record {self.device.name}"
            raise AudioError("device-failed", f"{refused}: allow it in the sound settings, or choose another device.")

    def close(self) -> None:
        """Stop recording."""
        stream, self._input = self._input, None
        if stream is not None:
            stream.close()

    @property
    def queued_s(self) -> float:
        """Seconds of audio in the queue."""
        return self._queued_frames / self.device.open_rate

    def take(self, until: float) -> list[_Block]:
        """Take the blocks that had arrived by `until` out of the queue."""
        blocks = []
        with self._lock:
            while self._blocks and self._blocks[0].at <= until:
                blocks.append(self._blocks.popleft())
                self._queued_frames -= len(blocks[-1].frames)
        return blocks

    def delivers(self) -> bool:
        """Wait for the first block after opening; False if none comes."""
        return self._first_block.wait(START_S)

    def resampled(self, block: _Block) -> Pcm:
        """A block, mixed down and resampled to 16 kHz."""
        frames = repaired(block.frames)[0].mean(axis=1, keepdims=True, dtype=np.float32)
        return self._resampler.push(frames)[:, 0]

    def _on_block(self, frames: Frames, at: float) -> None:
        with self._lock:
            self._blocks.append(_Block(frames, at, 0))
            self._queued_frames += len(frames)
            while self.queued_s > QUEUE_S and len(self._blocks) > 1:
                oldest = self._blocks.popleft()
                self._queued_frames -= len(oldest.frames)
                self._blocks[0] = replace(self._blocks[0], dropped=oldest.dropped + len(oldest.frames))
            enough = self.queued_s >= self.wanted_s
        self._first_block.set()
        if enough:
            self.wake()

    def _recorded(self) -> dict[int, str] | None:
        try:
            return self._server.own_streams()
        except PulseUnreachable:
            return None

    def _source_exists(self) -> bool:
        try:
            return any(source.name == self.device.pulse_source for source in self._server.sources())
        except PulseUnreachable:
            return False


class LiveDevices:
    """A live call on two devices. Iterate once; `close` ends it."""

    speakers = (Speaker.AGENT, Speaker.CUSTOMER)

    def __init__(self, agent: Device, customer: Device) -> None:
        """Open both devices. Raises AudioError device-failed, device-same."""
        self.name = f"{agent.name} + {customer.name}"
        self._server = PulseServer()
        self._streams = (
            _DeviceStream(Speaker.AGENT, agent, self._server),
            _DeviceStream(Speaker.CUSTOMER, customer, self._server),
        )
        # One thread for the queries to the sound server, one for each device that is reopened.
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="devices")
        self._query: asyncio.Future[tuple[float, dict[int, str]]] | None = None
        self._reopening: dict[_DeviceStream, asyncio.Task[None]] = {}
        self._closed = asyncio.Event()
        self._wake = asyncio.Event()
        try:
            for stream in self._streams:
                stream.open()
            if self._streams[0].source and self._streams[0].source == self._streams[1].source:
                raise AudioError(
                    "device-same",
                    f"{agent.name} and {customer.name} are the same sound source: choose another far end.",
                )
        except AudioError:
            self._close_streams()
            raise

    async def __aiter__(self) -> AsyncIterator[Arrival]:
        """Chunks, gaps and trouble as they come, until `close`."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop may end before the stream
                loop.call_soon_threadsafe(self._wake.set)

        # The call begins now: what was recorded while a model was being loaded is not part of it.
        self._alignment = Alignment(self.speakers, opened_at=time.monotonic())
        for stream in self._streams:
            stream.clear()
            stream.wake = wake
        try:
            while not self._closed.is_set():
                await self._wait_for_blocks()
                await self._take_verified_blocks()
                for arrival in self._alignment.poll(time.monotonic()):
                    yield arrival
                self._reopen_lost()
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop recording; the iteration ends."""
        self._closed.set()
        self._wake.set()
        tasks = [task for task in self._reopening.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def shut() -> None:
            self._close_streams()
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(over.set)

        Thread(target=shut, name="devices-closing", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await over.wait()

    def __del__(self) -> None:
        """A call that was refused is never iterated, and so not closed by the iteration."""
        self._close_streams()

    def _close_streams(self) -> None:
        for stream in self._streams:
            stream.close()
        self._server.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _wait_for_blocks(self) -> None:
        """Wait until every live stream has the rest of a chunk, or the chunk is overdue."""
        now = time.monotonic()
        until = min(self._alignment.next_due(now), now + MAX_WAIT_S)
        for stream in self._streams:
            stream.wanted_s = self._alignment.wanted_s(stream.speaker)
        while not self._closed.is_set():
            self._wake.clear()
            expected = [stream for stream in self._streams if stream.wanted_s]
            if expected and all(stream.queued_s >= stream.wanted_s for stream in expected):
                return
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await self._wake.wait()
            except TimeoutError:
                return

    async def _take_verified_blocks(self) -> None:
        """Push the blocks that arrived before the server was asked, of streams that record from their chosen source."""
        guarded = any(stream.pulse_stream is not None for stream in self._streams)
        answer = await self._query_sources() if guarded else None
        now = time.monotonic()
        for stream in self._streams:
            if stream in self._reopening:
                continue
            until = now
            if stream.pulse_stream is not None:
                if answer is None:
                    continue
                until, recorded = answer
                source = recorded.get(stream.pulse_stream)
                if source != stream.source:
                    self._alignment.mute(stream.speaker, "audio-swapped" if source else "audio-lost")
                    continue
            for block in stream.take(until):
                self._alignment.unmute(stream.speaker, now)
                dropped = block.dropped * SAMPLE_RATE // stream.device.open_rate
                self._alignment.push(stream.speaker, stream.resampled(block), block.at, dropped=dropped)

    async def _query_sources(self) -> tuple[float, dict[int, str]] | None:
        """(time asked, stream index -> source name); None while the server has not answered."""
        if self._query is None:
            self._query = asyncio.get_running_loop().run_in_executor(
                self._threads, self._query_server, time.monotonic()
            )
        done, _ = await asyncio.wait([self._query], timeout=SERVER_TIMEOUT_S)
        if not done:
            return None
        answer, self._query = self._query.result(), None
        return answer

    def _query_server(self, asked_at: float) -> tuple[float, dict[int, str]]:
        try:
            numbers = tuple(stream.pulse_stream for stream in self._streams if stream.pulse_stream is not None)
            return asked_at, self._server.sources_of(numbers)
        except PulseUnreachable:
            return asked_at, {}

    def _reopen_lost(self) -> None:
        lost = self._alignment.lost(time.monotonic())
        for stream in self._streams:
            if stream.speaker in lost and stream not in self._reopening:
                self._alignment.mute(stream.speaker, self._alignment.muted(stream.speaker) or "audio-lost")
                self._reopening[stream] = asyncio.get_running_loop().create_task(self._reopen(stream))

    async def _reopen(self, stream: _DeviceStream) -> None:
        """Reopen a lost device, with retries until blocks come."""
        loop = asyncio.get_running_loop()
        try:
            while not await loop.run_in_executor(self._threads, self._try_reopen, stream):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._closed.wait()
                        return
        finally:
            del self._reopening[stream]

    def _try_reopen(self, stream: _DeviceStream) -> bool:
        if self._closed.is_set():
            return True
        stream.close()
        portaudio.restart_if_idle()
        try:
            stream.open()
        except AudioError:
            return False
        finally:
            if self._closed.is_set():  # `close` came meanwhile
                self._close_streams()
        return self._closed.is_set() or stream.delivers()


def open_devices(agent: str | None = None, customer: str | None = None) -> LiveDevices:
    """Open both parties' devices, each by name, part of a name or number; None takes the likely one.

    Raises AudioError: portaudio-missing, device-missing, device-ambiguous, device-no-far-end, device-same,
    device-failed.
    """
    portaudio.restart_if_idle()  # it lists what there was when it was started
    microphone, far_end = choose_devices(list_devices(), agent=agent, customer=customer)
    return LiveDevices(microphone, far_end)
