"""A live call as a call source: the agent's and the customer's device, recorded side by side.

A thin shell around `Alignment`: PortAudio's threads put blocks into bounded queues; whoever iterates takes them out,
asks the sound server whether each stream still records from the device that was chosen, and only then lets them in.
A block is used only if that question was asked after it had arrived: the agent's microphone cannot get into the
customer's channel, not even for one block, when the server moves a stream.
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
from audio.resampling import Frames, Resampling, repaired
from audio.source import Arrival

QUEUE_S = 2.0
"""Sound that waits for a busy listener; older sound is dropped."""
RETRY_S = 1.0
"""Between attempts to open a lost device again."""
ANSWER_S = 0.5
"""Longest wait for the sound server to say where streams record from; what arrives meanwhile is kept back."""
LONGEST_WAIT_S = 0.25
"""The listener looks up at least this often although no block arrives."""
CLOSES_S = 3.0
"""Longest wait for the devices to be closed: a sound server that hangs holds up its own call only."""
NAMED_S = 0.3
"""Pulse lists a stream at once; an ALSA device that is none of Pulse's is never listed."""

_opening = Lock()
"""One device at a time, of all calls: that a stream is new tells which of Pulse's it is."""


@dataclass(frozen=True, slots=True)
class _Block:
    frames: Frames
    at: float
    dropped: int
    """Frames lost right before it."""


class _Line:
    """One party's device: its open stream and the blocks that wait."""

    def __init__(self, speaker: Speaker, device: Device, server: PulseServer) -> None:
        self.speaker = speaker
        self.device = device
        self.wake: Callable[[], None] = lambda: None
        """Called from PortAudio's thread when as much waits as was asked for."""
        self.wanted_s = 0.0
        self.stream_number: int | None = None
        """Of Pulse; None where the device is none of Pulse's, so that nobody can move the stream."""
        self.source = device.pulse_source
        self._server = server
        self._stream: portaudio.InputStream | None = None
        self._lock = Lock()
        self._heard = Event()
        self.forget()

    def forget(self) -> None:
        """Throw away what waits."""
        with self._lock:
            self._blocks: deque[_Block] = deque()
            self._waiting = 0
        self._resampling = Resampling(self.device.open_rate, 1)

    def open(self) -> None:
        """Record, and make sure from what. Raises AudioError device-failed, device-missing."""
        with _opening:
            self._open()

    def _open(self) -> None:
        self.close()
        self.forget()
        self._heard.clear()
        known = self._recorded() or {}
        if self.device.pulse_source and not self._is_there():
            raise AudioError("device-missing", f"The sound system has no {self.device.name} now: connect it again.")
        self._stream = portaudio.InputStream(
            self.device.opens,
            rate=self.device.open_rate,
            channels=self.device.open_channels,
            on_block=self._take_in,
            pulse_source=self.device.pulse_source,
        )
        self.stream_number = None
        give_up_at = time.monotonic() + (START_S if self.device.pulse_source else NAMED_S)
        while time.monotonic() < give_up_at and (recorded := self._recorded()) is not None:
            number = next((number for number in recorded if number not in known), None)
            if number is not None:
                self.stream_number = number
                self.source = self.source or recorded[number]
                if recorded[number] == self.source:
                    return
                break
            time.sleep(0.01)
        if self.stream_number is not None or self.device.pulse_source:
            self.close()
            refused = f"The sound system does not let this program record {self.device.name}"
            raise AudioError("device-failed", f"{refused}: allow it in the sound settings, or choose another device.")

    def close(self) -> None:
        """Stop recording."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    @property
    def waiting_s(self) -> float:
        """Seconds of sound in the queue."""
        return self._waiting / self.device.open_rate

    def take(self, until: float) -> list[_Block]:
        """The blocks that had arrived by then."""
        blocks = []
        with self._lock:
            while self._blocks and self._blocks[0].at <= until:
                blocks.append(self._blocks.popleft())
                self._waiting -= len(blocks[-1].frames)
        return blocks

    def delivers(self) -> bool:
        """Wait for the first block after opening; False if none comes."""
        return self._heard.wait(START_S)

    def at_16_khz(self, block: _Block) -> Pcm:
        """A block's sound, mixed down and resampled."""
        frames = repaired(block.frames)[0].mean(axis=1, keepdims=True, dtype=np.float32)
        return self._resampling.push(frames)[:, 0]

    def _take_in(self, frames: Frames, at: float) -> None:
        with self._lock:
            self._blocks.append(_Block(frames, at, 0))
            self._waiting += len(frames)
            while self.waiting_s > QUEUE_S and len(self._blocks) > 1:
                oldest = self._blocks.popleft()
                self._waiting -= len(oldest.frames)
                self._blocks[0] = replace(self._blocks[0], dropped=oldest.dropped + len(oldest.frames))
            enough = self.waiting_s >= self.wanted_s
        self._heard.set()
        if enough:
            self.wake()

    def _recorded(self) -> dict[int, str] | None:
        try:
            return self._server.recorded()
        except PulseUnreachable:
            return None

    def _is_there(self) -> bool:
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
        self._lines = (_Line(Speaker.AGENT, agent, self._server), _Line(Speaker.CUSTOMER, customer, self._server))
        # One for the sound server's answers, one for each device that is opened again.
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="devices")
        self._asking: asyncio.Future[tuple[float, dict[int, str]]] | None = None
        self._reopening: dict[_Line, asyncio.Task[None]] = {}
        self._closed = asyncio.Event()
        self._woken = asyncio.Event()
        try:
            for line in self._lines:
                line.open()
            if self._lines[0].source and self._lines[0].source == self._lines[1].source:
                raise AudioError(
                    "device-same",
                    f"{agent.name} and {customer.name} are the same sound source: choose another far end.",
                )
        except AudioError:
            self._shut()
            raise

    async def __aiter__(self) -> AsyncIterator[Arrival]:
        """Chunks, gaps and troubles as they come, until `close`."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop may end before the stream
                loop.call_soon_threadsafe(self._woken.set)

        # The call begins now: what was recorded while a model was being loaded is not part of it.
        self._alignment = Alignment(self.speakers, opened_at=time.monotonic())
        for line in self._lines:
            line.forget()
            line.wake = wake
        try:
            while not self._closed.is_set():
                await self._enough()
                await self._let_in()
                for arrival in self._alignment.poll(time.monotonic()):
                    yield arrival
                self._reopen_lost()
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop recording; the iteration ends."""
        self._closed.set()
        self._woken.set()
        tasks = [task for task in self._reopening.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def shut() -> None:
            self._shut()
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(over.set)

        Thread(target=shut, name="devices-closing", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSES_S):
                await over.wait()

    def __del__(self) -> None:
        """A call that was refused: nobody iterates, so nobody closes."""
        self._shut()

    def _shut(self) -> None:
        for line in self._lines:
            line.close()
        self._server.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _enough(self) -> None:
        """Wait until every line that is expected to deliver has the rest of a chunk, or the chunk is overdue."""
        now = time.monotonic()
        until = min(self._alignment.next_due(now), now + LONGEST_WAIT_S)
        for line in self._lines:
            line.wanted_s = self._alignment.wanted_s(line.speaker)
        while not self._closed.is_set():
            self._woken.clear()
            expected = [line for line in self._lines if line.wanted_s]
            if expected and all(line.waiting_s >= line.wanted_s for line in expected):
                return
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await self._woken.wait()
            except TimeoutError:
                return

    async def _let_in(self) -> None:
        """Ask from where we record, and use the blocks that had arrived before if it is what was chosen."""
        guarded = any(line.stream_number is not None for line in self._lines)
        answer = await self._ask() if guarded else None
        now = time.monotonic()
        for line in self._lines:
            if line in self._reopening:
                continue
            until = now
            if line.stream_number is not None:
                if answer is None:
                    continue
                until, recorded = answer
                source = recorded.get(line.stream_number)
                if source != line.source:
                    self._alignment.mute(line.speaker, "audio-swapped" if source else "audio-lost")
                    continue
            for block in line.take(until):
                self._alignment.unmute(line.speaker, now)
                dropped = block.dropped * SAMPLE_RATE // line.device.open_rate
                self._alignment.push(line.speaker, line.at_16_khz(block), block.at, dropped=dropped)

    async def _ask(self) -> tuple[float, dict[int, str]] | None:
        """When was asked, and where each of our streams recorded from; None while the server has not answered."""
        if self._asking is None:
            self._asking = asyncio.get_running_loop().run_in_executor(self._threads, self._recorded, time.monotonic())
        done, _ = await asyncio.wait([self._asking], timeout=ANSWER_S)
        if not done:
            return None
        answer, self._asking = self._asking.result(), None
        return answer

    def _recorded(self, asked_at: float) -> tuple[float, dict[int, str]]:
        try:
            numbers = tuple(line.stream_number for line in self._lines if line.stream_number is not None)
            return asked_at, self._server.sources_of(numbers)
        except PulseUnreachable:
            return asked_at, {}

    def _reopen_lost(self) -> None:
        lost = self._alignment.lost(time.monotonic())
        for line in self._lines:
            if line.speaker in lost and line not in self._reopening:
                self._alignment.mute(line.speaker, self._alignment.muted(line.speaker) or "audio-lost")
                self._reopening[line] = asyncio.get_running_loop().create_task(self._reopen(line))

    async def _reopen(self, line: _Line) -> None:
        """Open a lost device again, for as long as it takes; ends when blocks come."""
        loop = asyncio.get_running_loop()
        try:
            while not await loop.run_in_executor(self._threads, self._opened_again, line):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._closed.wait()
                        return
        finally:
            del self._reopening[line]

    def _opened_again(self, line: _Line) -> bool:
        if self._closed.is_set():
            return True
        line.close()
        portaudio.restart_if_idle()
        try:
            line.open()
        except AudioError:
            return False
        finally:
            if self._closed.is_set():  # while it was being opened: `close` did not find it
                self._shut()
        return self._closed.is_set() or line.delivers()


def open_devices(agent: str | None = None, customer: str | None = None) -> LiveDevices:
    """Open both parties' devices, each by name, part of a name or number; None takes the likely one.

    Raises AudioError: portaudio-missing, device-missing, device-ambiguous, device-no-far-end, device-same,
    device-failed.
    """
    portaudio.restart_if_idle()  # it lists what there was when it was started
    microphone, far_end = choose_devices(list_devices(), agent=agent, customer=customer)
    return LiveDevices(microphone, far_end)
