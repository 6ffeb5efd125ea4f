"""The queue of decodes, of all calls: earliest deadline first. Reads no clock and holds no thread.

Each channel of a call has at most one job running. A partial decode (of an utterance that is still being spoken) is
replaced by a newer one while it waits; a final decode (of a whole utterance) is never dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from itertools import count

from audio.events import Pcm, Speaker, Word
from audio.recogniser import Decoding

PARTIAL_DUE_MS = 1200
FINAL_DUE_MS = 500
"""Deadlines of decodes of the customer's speech, from when they are submitted."""
AGENT_EXTRA_MS = 500
"""Deadlines of the agent's are so much later."""
AGENT_MAX_LATENESS_MS = 20_000
"""Late finals of the customer go before those of the agent that are less late than this."""
MAX_BATCH = 4
"""Utterances decoded together on a CPU; past 4 greedy decoding gains little."""
MAX_GPU_BATCH = 16
THROTTLE_MS = 400
"""Lateness behind deadlines from which partial decodes come half as often; from 4 times that a quarter, from 10 times
none."""
LATE_DELAY_MS = 1_000_000_000
"""Added to the deadlines of what was said long ago, so that it never counts as late."""
DECODE_TIMEOUT_MS = (10_000, 30_000)
"""Least and greatest timeout of a decode; between them it is ten times the slowest of the last 50. 12 s of speech takes
a small model about 5 s in a full window."""
MAX_ATTEMPTS = 2
"""So often a decode is tried that the recogniser answers with an error."""
MAX_CRASHES = 3
"""An utterance over which so many processes in a row have ended is given up: two may have ended for another reason."""


@dataclass(eq=False, slots=True)
class ChannelQueue:
    """The jobs of one channel of one call."""

    speaker: Speaker
    unbatched: bool = False
    """Its jobs never share a batch: on some processors (AVX2 without AVX-512) word times, and at last words, depend on
    the size of the batch, and so on what else happens to wait at the same moment."""
    late: bool = False
    """Of speech from when there was no recogniser: what is said now goes before it."""
    finals: deque[DecodeJob] = field(default_factory=deque)
    partial: DecodeJob | None = None
    running: DecodeJob | None = None

    @property
    def next(self) -> DecodeJob | None:
        """The job to run next; None while one is running."""
        if self.running is not None:
            return None
        return self.finals[0] if self.finals else self.partial

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self.finals and self.partial is None and self.running is None

    def oldest_submitted_ms(self) -> int | None:
        """When the oldest unfinished job was submitted, ms; None without one."""
        jobs = [job for job in (self.running, *self.finals, self.partial) if job is not None]
        return min((job.submitted_ms for job in jobs), default=None)


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """The result of one job."""

    final: bool
    """Of the whole utterance."""
    paused: bool
    """The audio ended in a pause: no word was cut off."""
    samples: int
    """Length of the audio decoded."""
    words: tuple[Word, ...] | None
    """None where every attempt failed."""


@dataclass(eq=False, slots=True)
class UtteranceTask:
    """One utterance being recognised: its audio so far, and the decoding that has been fed a part of it.

    The audio is kept until the end (12 s at most), so that a failed decoding can be started again.
    """

    channel: ChannelQueue
    phrases: tuple[str, ...]
    deliver: Callable[[DecodeResult], None]
    """Called from a worker thread."""
    sound: list[Pcm] = field(default_factory=list)
    decoding: Decoding | None = None
    pieces_fed: int = 0
    """Pieces of `sound` that `decoding` has been given."""
    crashes: int = 0
    """Processes that ended while they decoded it, since its last result."""

    @property
    def given_up(self) -> bool:
        """It has ended too many processes."""
        return self.crashes >= MAX_CRASHES

    @property
    def samples(self) -> int:
        """Length of the audio so far."""
        return sum(len(pcm) for pcm in self.sound)

    def release(self) -> None:
        """Drop the references to its audio, its decoding and the receiver of its results.

        They form a reference cycle. Left to the garbage collector, which comes once in half an hour of talk, ended
        utterances pile up.
        """
        self.sound, self.decoding, self.deliver = [], None, _ignore


@dataclass(eq=False, slots=True)
class DecodeJob:
    """One decode of an utterance's audio so far."""

    task: UtteranceTask
    final: bool
    submitted_ms: int
    due_ms: int
    number: int
    pieces: int
    """How much of the task's `sound` is decoded."""
    samples: int = 0
    """The same in samples."""
    paused: bool = False
    attempts: int = 0
    started_ms: int = 0
    backend: object = None
    """The recogniser or process that decodes it."""

    def deliver(self, words: tuple[Word, ...] | None) -> None:
        """Call the task's `deliver` with the result."""
        self.task.deliver(DecodeResult(self.final, self.paused, self.samples, words))

    def process_ended(self, *, request_sent: bool) -> None:
        """Its process has ended, with this request or before it had it. No attempt: `UtteranceTask.crashes` counts."""
        self.attempts -= 1
        self.task.crashes += request_sent


class DecodeQueue:
    """The jobs of all channels, waiting and running. Times are given in milliseconds; no method blocks."""

    def __init__(self, *, max_batch: int = MAX_BATCH) -> None:
        self._channels: list[ChannelQueue] = []
        self._late: list[ChannelQueue] = []
        """Late channels: one utterance of all of them at a time, oldest first, and only where nothing else waits."""
        self.background = ChannelQueue(Speaker.UNKNOWN, late=True)
        """Speech of calls that are over: as late channels, and after them."""
        self._numbers = count()
        self.max_batch = max_batch
        """Most jobs taken together."""
        self._lateness_ms = 0.0
        self._lateness_at_ms = 0
        self._durations_ms: deque[int] = deque(maxlen=50)
        self.running: list[DecodeJob] = []

    def open_channel(self, speaker: Speaker, *, unbatched: bool = False, late: bool = False) -> ChannelQueue:
        """Add a channel; see `ChannelQueue`."""
        channel = ChannelQueue(speaker, unbatched, late)
        (self._late if late else self._channels).append(channel)
        return channel

    def close_channel(self, channel: ChannelQueue) -> None:
        """Remove a channel with the jobs that still wait in it."""
        for channels in (self._channels, self._late):
            if channel in channels:
                channels.remove(channel)

    def submit(self, task: UtteranceTask, now_ms: int, *, final: bool, paused: bool = False) -> None:
        """Add a job: decode a task's audio so far.

        Args:
            task: the utterance.
            now_ms: the time.
            final: it is the whole utterance.
            paused: it ends in a pause.
        """
        due = now_ms + (FINAL_DUE_MS if final else PARTIAL_DUE_MS)
        if task.channel.late:
            due += LATE_DELAY_MS
        elif task.channel.speaker is Speaker.AGENT:
            due += AGENT_EXTRA_MS
        job = DecodeJob(task, final, now_ms, due, next(self._numbers), len(task.sound), task.samples, paused)
        channel, waiting = task.channel, task.channel.partial
        if final:
            channel.finals.append(job)
            if waiting is not None and waiting.task is task:
                channel.partial = None
            return
        if waiting is not None and waiting.task is task:  # the newer replaces the older, at its place in the queue
            job.submitted_ms, job.due_ms, job.attempts = waiting.submitted_ms, waiting.due_ms, waiting.attempts
        channel.partial = job

    def take(self, now_ms: int, backend: object = None) -> list[DecodeJob]:
        """The most urgent job for this backend, with others that can share its batch; empty when there is none.

        A backend decodes the utterances that it has begun to decode, and those that none has. With none of these
        waiting it takes finals that belong to a busy one: for them the whole utterance is decoded in any case. A task
        over which a process has crashed is decoded alone, so that a second crash costs no other task. Late channels,
        and then the background, come last.
        """
        here = [job for job in self.running if job.backend is backend]
        waiting = [job for channel in self._channels if (job := channel.next) is not None]
        own = [job for job in waiting if _bound_backend(job) in (None, backend)]
        waiting = own or [job for job in waiting if job.final]
        if not waiting and not any(job.task.channel.late for job in self.running):
            late = [job for channel in self._late if (job := channel.next) is not None]
            waiting = late or [job for job in (self.background.next,) if job is not None]
        waiting.sort(key=lambda job: (_priority(job, now_ms), job.due_ms, job.number))
        if not waiting or any(job.task.crashes for job in here) or (waiting[0].task.crashes and here):
            return []
        head = waiting[0]
        jobs = [head]
        key = _batch_key(head)
        if key is not None:
            jobs += [job for job in waiting[1:] if _batch_key(job) == key][: self.max_batch - 1]
        self._record_lateness(max(0, now_ms - head.due_ms), now_ms)
        for job in jobs:
            channel = job.task.channel
            if job.final:
                channel.finals.popleft()
            else:
                channel.partial = None
            channel.running = job
            job.started_ms, job.backend = now_ms, backend
            job.attempts += 1
            self.running.append(job)
        return jobs

    def finish(self, job: DecodeJob, now_ms: int | None = None) -> None:
        """A running job has failed, or has a result since `now_ms`."""
        self.running.remove(job)
        job.task.channel.running = None
        if now_ms is not None:
            self._durations_ms.append(now_ms - job.started_ms)

    def requeue(self, job: DecodeJob) -> None:
        """After `finish` of a failed job: put it back at its place for another attempt, from the beginning."""
        channel = job.task.channel
        job.task.decoding, job.task.pieces_fed = None, 0
        if job.attempts >= MAX_ATTEMPTS or job.task.given_up:
            return
        retry = replace(job, started_ms=0, backend=None)
        if job.final:
            channel.finals.appendleft(retry)
        elif channel.partial is None and not channel.finals:
            channel.partial = retry

    def cancel(self, task: UtteranceTask) -> list[DecodeJob]:
        """Remove and return the waiting jobs of a task."""
        channel = task.channel
        jobs = [job for job in (*channel.finals, channel.partial) if job is not None and job.task is task]
        channel.finals = deque(job for job in channel.finals if job.task is not task)
        if channel.partial is not None and channel.partial.task is task:
            channel.partial = None
        return jobs

    def clear(self) -> list[DecodeJob]:
        """Remove and return all jobs, waiting and running."""
        channels = [*self._channels, *self._late, self.background]
        jobs = [
            *self.running,
            *(job for channel in channels for job in (*channel.finals, channel.partial) if job is not None),
        ]
        self.running = []
        for channel in channels:
            channel.finals.clear()
            channel.partial = channel.running = None
        return jobs

    def hung(self, now_ms: int) -> list[DecodeJob]:
        """Running jobs past their timeout (see `DECODE_TIMEOUT_MS`)."""
        least, most = DECODE_TIMEOUT_MS
        allowed = min(most, max(least, 10 * max(self._durations_ms))) if self._durations_ms else most
        return [job for job in self.running if now_ms - job.started_ms >= allowed]

    def interval_factor(self, now_ms: int) -> int:
        """Factor by which the interval between partial decodes should grow: 1, 2, 4; 0: none, finals only."""
        waiting = [job for channel in self._channels if (job := channel.next) is not None]
        late = max(self._decayed_lateness_ms(now_ms), *(now_ms - job.due_ms for job in waiting), 0.0)
        return 1 if late < THROTTLE_MS else 2 if late < 4 * THROTTLE_MS else 4 if late < 10 * THROTTLE_MS else 0

    def _record_lateness(self, late_ms: int, now_ms: int) -> None:
        self._lateness_ms = max(late_ms, self._decayed_lateness_ms(now_ms))
        self._lateness_at_ms = now_ms

    def _decayed_lateness_ms(self, now_ms: int) -> float:
        """Recent lateness, halved every 2 s: partial decodes come back step by step after a peak of load."""
        return float(self._lateness_ms * 0.5 ** ((now_ms - self._lateness_at_ms) / 2000))


def _ignore(result: DecodeResult) -> None:
    """The receiver of a released task."""


def _priority(job: DecodeJob, now_ms: int) -> int:
    """Lower goes first. Late finals go before all else: partial decodes lose their worth as they wait, finals do not.

    Of late finals the customer's go first, but the agent's do not wait for ever (see `AGENT_MAX_LATENESS_MS`).
    """
    late_ms = now_ms - job.due_ms
    if not job.final or late_ms <= 0:
        return 2
    return 1 if job.task.channel.speaker is Speaker.AGENT and late_ms < AGENT_MAX_LATENESS_MS else 0


def _bound_backend(job: DecodeJob) -> object:
    """The process that holds the state of its decoding; None where any backend can decode it."""
    return getattr(job.task.decoding, "process", None)


def _batch_key(job: DecodeJob) -> Hashable | None:
    """Jobs with equal keys can be decoded as one batch; None for a job that is decoded alone."""
    key = getattr(job.task.decoding, "batch_key", None)
    if job.final or job.paused or job.attempts or job.task.channel.unbatched or key is None:
        return None
    found: Hashable = key(job.task.samples)
    return found
