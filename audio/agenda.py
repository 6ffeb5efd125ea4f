"""Which utterance is decoded next: earliest deadline first. Reads no clock and holds no thread.

One job per line (a channel of a call) at a time; a newer hop replaces the waiting one; finals are never dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from itertools import count

from audio.events import Pcm, Speaker, Word
from audio.recogniser import Decoding

HOP_DUE_MS = 1200
FINAL_DUE_MS = 500
AGENT_LATER_MS = 500
"""The customer's words are due this much before the agent's."""
AGENT_WAITS_MS = 20_000
"""So long the agent's last words give way to the customer's when the machine is behind."""
BATCH = 4
"""Most utterances decoded together on a CPU; past 4 greedy decoding gains little."""
GPU_BATCH = 16
THROTTLE_MS = 400
"""Lateness behind deadlines from which hops come half as often; from 4 times that a quarter, from 10 times none."""
LATER_MS = 1_000_000_000
"""What nobody waits for is due at some far time: it makes nothing late."""
HUNG_MS = (10_000, 30_000)
"""A decode is given up after ten times the slowest of the last 50, but never before the first of these, and always
after the second: 12 s of speech takes a small model about 5 s in a full window."""


@dataclass(eq=False, slots=True)
class Line:
    """One channel of one call, as the agenda sees it."""

    speaker: Speaker
    alone: bool = False
    """Nothing of it shares a batch: on some processors (AVX2 without AVX-512) word times, and at last words, depend on
    how many are decoded together, and so on what happens to wait at the same moment."""
    finals: deque[Job] = field(default_factory=deque)
    hop: Job | None = None
    running: Job | None = None

    @property
    def next(self) -> Job | None:
        """What it wants decoded next."""
        if self.running is not None:
            return None
        return self.finals[0] if self.finals else self.hop

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self.finals and self.hop is None and self.running is None

    def oldest_ms(self) -> int | None:
        """When the oldest unanswered job was asked for."""
        jobs = [job for job in (self.running, *self.finals, self.hop) if job is not None]
        return min((job.asked_ms for job in jobs), default=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one decode that was asked for."""

    final: bool
    """Whether these are the utterance's last words."""
    paused: bool
    """Whether its speaker had paused: the words were said to their end."""
    samples: int
    """Length of the sound they are about."""
    words: tuple[Word, ...] | None
    """None where both tries failed."""


@dataclass(eq=False, slots=True)
class Task:
    """One utterance being recognised: its sound so far and the decoding that has taken part of it.

    The sound is kept until the end (12 s at most), so that a decoding that failed can be started again.
    """

    line: Line
    phrases: tuple[str, ...]
    deliver: Callable[[Answer], None]
    """Called from a worker."""
    sound: list[Pcm] = field(default_factory=list)
    decoding: Decoding | None = None
    taken: int = 0
    """Pieces of sound the decoding has."""
    lost: int = 0
    """Processes lost over it since its last answer; after the second nothing more is asked."""

    @property
    def samples(self) -> int:
        """Length of the sound so far."""
        return sum(len(pcm) for pcm in self.sound)

    def release(self) -> None:
        """Nobody asks about it any more: let go of its sound, its decoding and whoever waited for it.

        Left to the collector of cycles, which comes once in half an hour of talk, ended utterances pile up.
        """
        self.sound, self.decoding, self.deliver = [], None, _nobody


@dataclass(eq=False, slots=True)
class Job:
    """One decode asked for."""

    task: Task
    final: bool
    asked_ms: int
    due_ms: int
    number: int
    pieces: int
    """How much of the task's sound it is about."""
    samples: int = 0
    """The same in samples."""
    paused: bool = False
    tries: int = 0
    started_ms: int = 0
    seat: object = None
    """Who decodes it."""

    def tell(self, words: tuple[Word, ...] | None) -> None:
        """Give whoever asked the answer."""
        self.task.deliver(Answer(self.final, self.paused, self.samples, words))


class Agenda:
    """The order of work. Every method takes the time in milliseconds; nothing here blocks."""

    def __init__(self, *, batch: int = BATCH) -> None:
        self._lines: list[Line] = []
        self.later = Line(Speaker.UNKNOWN)
        """Speech of calls that are over: one utterance at a time, and only where nothing of a live call waits."""
        self._numbers = count()
        self.batch = batch
        """Most jobs taken together."""
        self._late_ms = 0.0
        self._late_at_ms = 0
        self._took_ms: deque[int] = deque(maxlen=50)
        self.running: list[Job] = []

    def open(self, speaker: Speaker, *, alone: bool = False) -> Line:
        """A channel joins; `alone`: nothing of it shares a batch."""
        line = Line(speaker, alone)
        self._lines.append(line)
        return line

    def shut(self, line: Line) -> None:
        """A channel leaves, with whatever it still wanted."""
        if line in self._lines:
            self._lines.remove(line)

    def submit(self, task: Task, now_ms: int, *, final: bool, paused: bool = False) -> None:
        """Ask for the words of a task's sound so far, or for its last words; `paused`: its speaker has paused."""
        due = now_ms + (FINAL_DUE_MS if final else HOP_DUE_MS)
        if task.line.speaker is Speaker.AGENT:
            due += AGENT_LATER_MS
        if task.line is self.later:
            due += LATER_MS
        job = Job(task, final, now_ms, due, next(self._numbers), len(task.sound), task.samples, paused)
        line, waiting = task.line, task.line.hop
        if final:
            line.finals.append(job)
            if waiting is not None and waiting.task is task:
                line.hop = None
            return
        if waiting is not None and waiting.task is task:  # the newer covers the older, and inherits its place
            job.asked_ms, job.due_ms, job.tries = waiting.asked_ms, waiting.due_ms, waiting.tries
        line.hop = job

    def take(self, now_ms: int, seat: object = None) -> list[Job]:
        """The most urgent job for this seat, with others that can share its batch; empty when there is nothing to do.

        A seat's own are the utterances whose beginning it has heard, and those that nobody has. With none of them
        waiting it takes last words from a busy seat: the whole utterance is decoded for them in any case. What an
        earlier failure has touched is decoded alone, so that a second one takes nothing else with it. What nobody waits
        for comes when there is nothing else to do.
        """
        here = [job for job in self.running if job.seat is seat]
        waiting = [job for line in self._lines if (job := line.next) is not None]
        own = [job for job in waiting if _home(job) in (None, seat)]
        waiting = own or [job for job in waiting if job.final]
        if not waiting and (job := self.later.next) is not None:
            waiting = [job]
        waiting.sort(key=lambda job: (_rank(job, now_ms), job.due_ms, job.number))
        if not waiting or any(job.task.lost for job in here) or (waiting[0].task.lost and here):
            return []
        head = waiting[0]
        jobs = [head]
        key = _batch_key(head)
        if key is not None:
            jobs += [job for job in waiting[1:] if _batch_key(job) == key][: self.batch - 1]
        self._note_lateness(max(0, now_ms - head.due_ms), now_ms)
        for job in jobs:
            line = job.task.line
            if job.final:
                line.finals.popleft()
            else:
                line.hop = None
            line.running = job
            job.started_ms, job.seat = now_ms, seat
            job.tries += 1
            self.running.append(job)
        return jobs

    def done(self, job: Job, now_ms: int | None = None) -> None:
        """A job is given up, or answered at `now_ms`."""
        self.running.remove(job)
        job.task.line.running = None
        if now_ms is not None:
            self._took_ms.append(now_ms - job.started_ms)

    def again(self, job: Job) -> None:
        """After `done` of a decode that failed: put it back at its place, once, to begin anew."""
        line = job.task.line
        job.task.decoding, job.task.taken = None, 0
        if job.tries >= 2 or job.task.lost >= 2:
            return
        retry = replace(job, started_ms=0, seat=None)
        if job.final:
            line.finals.appendleft(retry)
        elif line.hop is None and not line.finals:
            line.hop = retry

    def forget(self, task: Task) -> list[Job]:
        """Take away what waits for this task."""
        line = task.line
        jobs = [job for job in (*line.finals, line.hop) if job is not None and job.task is task]
        line.finals = deque(job for job in line.finals if job.task is not task)
        if line.hop is not None and line.hop.task is task:
            line.hop = None
        return jobs

    def clear(self) -> list[Job]:
        """Take away everything, waiting and running: nobody is left to do it."""
        lines = [*self._lines, self.later]
        jobs = [*self.running, *(job for line in lines for job in (*line.finals, line.hop) if job is not None)]
        self.running = []
        for line in lines:
            line.finals.clear()
            line.hop = line.running = None
        return jobs

    def hung(self, now_ms: int) -> list[Job]:
        """Jobs that have run too long."""
        least, most = HUNG_MS
        allowed = min(most, max(least, 10 * max(self._took_ms))) if self._took_ms else most
        return [job for job in self.running if now_ms - job.started_ms >= allowed]

    def interval_factor(self, now_ms: int) -> int:
        """How many times rarer hops should come: 1, 2, 4; 0 for finals only."""
        waiting = [job for line in self._lines if (job := line.next) is not None]
        late = max(self._faded(now_ms), *(now_ms - job.due_ms for job in waiting), 0.0)
        return 1 if late < THROTTLE_MS else 2 if late < 4 * THROTTLE_MS else 4 if late < 10 * THROTTLE_MS else 0

    def _note_lateness(self, late_ms: int, now_ms: int) -> None:
        self._late_ms = max(late_ms, self._faded(now_ms))
        self._late_at_ms = now_ms

    def _faded(self, now_ms: int) -> float:
        """Recent lateness, halved every 2 s: hops come back step by step after a rush."""
        return float(self._late_ms * 0.5 ** ((now_ms - self._late_at_ms) / 2000))


def _nobody(answer: Answer) -> None:
    """Nobody is told."""


def _rank(job: Job, now_ms: int) -> int:
    """A final that is late goes before any hop: hops lose their worth as they wait, finals do not.

    Of those the customer's go first, but the agent's do not wait for ever.
    """
    late_ms = now_ms - job.due_ms
    if not job.final or late_ms <= 0:
        return 2
    return 1 if job.task.line.speaker is Speaker.AGENT and late_ms < AGENT_WAITS_MS else 0


def _home(job: Job) -> object:
    """The seat that has heard the beginning of it, where only one can go on."""
    return getattr(job.task.decoding, "home", None)


def _batch_key(job: Job) -> Hashable | None:
    """What jobs decoded together must share; None for a job that goes alone."""
    key = getattr(job.task.decoding, "batch_key", None)
    if job.final or job.paused or job.tries or job.task.line.alone or key is None:
        return None
    found: Hashable = key(job.task.samples)
    return found
