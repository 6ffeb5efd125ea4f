"""One model, many calls: the workers that decode what the agenda (audio/agenda.py) puts first, supervised.

A worker is a thread of this program. It decodes here, or has a process of the recogniser (audio/processes.py) decode;
such a process may crash or hang: its utterance is decoded once more, elsewhere, and the process is started anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from audio.agenda import BATCH, GPU_BATCH, Agenda, Answer, Job, Line, Task
from audio.errors import AudioError
from audio.events import Pcm, Speaker, Word
from audio.processes import Pool, WorkerLost, WorkerProcess
from audio.recogniser import Recogniser

log = logging.getLogger(__name__)

FIRST_S, LONGEST_S = 1.0, 60.0
"""Seconds between tries to start a process that cannot be started or never answers: doubled after each."""
BARREN = 3
"""Children in a row that ended before their first answer, after which a process counts as down."""


class Scheduler:
    """The workers around one recogniser, shared by all calls. Close it when the last call is over.

    `workers` threads decode with a recogniser of this process; a Pool brings its own number.
    Without a recogniser `missing` says why: nothing can be asked for until one is adopted.
    """

    def __init__(
        self,
        recogniser: Recogniser | None,
        workers: int = 1,
        *,
        missing: str = "There is no recogniser.",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._agenda = Agenda()
        self._change = threading.Condition()
        self._closed = False
        self._workers = max(1, workers)
        self._down: set[WorkerProcess] = set()
        """Processes that cannot be started at present."""
        self.lost = 0
        """Processes that crashed, or were ended because a decode hung."""
        self.recogniser: Recogniser | None = None
        self.missing = missing
        """Why there is no recogniser, one plain line; empty while there is one."""
        if recogniser is not None:
            self.adopt(recogniser)
        threading.Thread(target=self._supervise, name="recogniser-supervisor", daemon=True).start()

    def adopt(self, recogniser: Recogniser) -> None:
        """Use this recogniser from now on, with workers of its own; it is closed with the scheduler."""
        seats: list[Recogniser] = [recogniser] * self._workers
        if isinstance(recogniser, Pool):
            seats = [process for process in recogniser.processes for _ in range(process.threads)]
        with self._change:
            self.recogniser, self.missing = recogniser, ""
            self._agenda.batch = GPU_BATCH if getattr(recogniser, "on_gpu", False) else BATCH
            self._down.clear()
            self._change.notify_all()
        for seat in seats:
            threading.Thread(target=self._work, args=(recogniser, seat), name="recogniser-worker", daemon=True).start()

    def now_ms(self) -> int:
        """Milliseconds of the scheduler's own clock; only differences mean anything."""
        return int(self._clock() * 1000)

    def open(self, speaker: Speaker, *, alone: bool = False) -> Line:
        """A channel joins; `alone`: its words must not depend on what else waits."""
        with self._change:
            return self._agenda.open(speaker, alone=alone)

    def shut(self, lines: Iterable[Line]) -> None:
        """Channels leave."""
        with self._change:
            for line in lines:
                self._agenda.shut(line)

    def submit(self, task: Task, pcm: Pcm, *, final: bool, paused: bool = False) -> None:
        """More sound of an utterance, and the wish for its words so far, or its last words."""
        with self._change:
            if len(pcm):
                task.sound.append(pcm)
            if self.recogniser is None or task.lost >= 2:
                task.deliver(Answer(final, paused, task.samples, None))
                return
            self._agenda.submit(task, self.now_ms(), final=final, paused=paused)
            self._change.notify_all()

    def later(self, pcm: Pcm, phrases: tuple[str, ...], told: Callable[[tuple[Word, ...] | None], None]) -> None:
        """Have a whole utterance decoded when no live call has anything to decode.

        `told` is called with its words, from a worker; with None where they cannot be had, or there is no recogniser.
        """
        self.submit(Task(self._agenda.later, phrases, lambda answer: told(answer.words)), pcm, final=True)

    def withdraw(self, task: Task) -> bool:
        """Ask no more for the words of this task; False where its last words are known or being decoded."""
        with self._change:
            return any(job.final for job in self._agenda.forget(task))

    def interval_factor(self) -> int:
        """How many times rarer hops should come: 1, 2, 4; 0 for finals only."""
        with self._change:
            return self._agenda.interval_factor(self.now_ms())

    def lag_ms(self, lines: Iterable[Line]) -> int:
        """How long the oldest unanswered wish of these channels has waited."""
        with self._change:
            asked = [ms for line in lines if (ms := line.oldest_ms()) is not None]
            return self.now_ms() - min(asked) if asked else 0

    def wait(self, lines: Sequence[Line]) -> None:
        """Return when nothing of these channels waits or runs, and everything has been delivered."""
        with self._change:
            self._change.wait_for(lambda: self._closed or all(line.idle for line in lines))

    def close(self) -> None:
        """Stop the workers; what still waits is not decoded."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            recogniser = self.recogniser
        if isinstance(recogniser, Pool):
            recogniser.close()

    def inspect(self) -> None:
        """End the processes in which a decode hangs: the rest is as if they had crashed.

        What hangs in this program's own process cannot be ended.
        """
        with self._change:
            hung = {job.seat for job in self._agenda.hung(self.now_ms())}
        for seat in hung:
            if isinstance(seat, WorkerProcess):
                log.error("a decode does not come back; its process is ended")
                seat.kill()

    def _supervise(self) -> None:
        while True:
            with self._change:
                if self._change.wait_for(lambda: self._closed, timeout=1.0):
                    return
            self.inspect()

    def _work(self, recogniser: Recogniser, seat: Recogniser) -> None:
        while True:
            with self._change:
                jobs: list[Job] = []
                while self._on_duty(recogniser) and not (jobs := self._agenda.take(self.now_ms(), seat)):
                    self._change.wait()
            if not jobs:
                return
            try:
                answers = self._decode(seat, jobs)
            except WorkerLost as loss:
                if not self._on_duty(recogniser):
                    return
                with self._change:
                    self.lost += 1
                for job in jobs:
                    if loss.asked:
                        job.task.lost += 1
                    else:
                        job.tries -= 1
                    self._failed(job)
                if isinstance(seat, WorkerProcess):
                    self._revive(recogniser, seat, loss)
            except Exception as error:  # whatever a recogniser raises must not take other calls down
                log.error("a decode failed: %s", error if str(error).isidentifier() else type(error).__name__)
                for job in jobs:
                    self._failed(job)
            else:
                for job, words in zip(jobs, answers, strict=True):
                    self._answer(job, words)

    def _on_duty(self, recogniser: Recogniser) -> bool:
        return not self._closed and self.recogniser is recogniser

    def _revive(self, recogniser: Recogniser, seat: WorkerProcess, loss: WorkerLost) -> None:
        """Start a lost process again; one that never answers, ever later. All of them down: the recogniser is gone."""
        delay = 0.0 if loss.barren < 2 else min(FIRST_S * 2 ** (loss.barren - 2), LONGEST_S)
        why = "its processes end before they answer" if loss.barren >= BARREN else ""
        log.error("a process of the recogniser is gone; it is started again")
        while True:
            with self._change:
                if why:
                    self._down.add(seat)
                    self._give_up_if_all_are_down(why)
                if self._change.wait_for(lambda: not self._on_duty(recogniser), timeout=delay):
                    return
            try:
                seat.revive()
            except AudioError as error:
                log.error("%s", error)
                why, delay = str(error), min(max(FIRST_S, 2 * delay), LONGEST_S)
                continue
            with self._change:
                self._down.discard(seat)
                if self._on_duty(recogniser):
                    return
            seat.close()
            return

    def _give_up_if_all_are_down(self, why: str) -> None:
        recogniser = self.recogniser
        if not isinstance(recogniser, Pool) or not self._down.issuperset(recogniser.processes):
            return
        self.recogniser = None
        self.missing = f"The recogniser is loaded anew; until then no words are heard: {why}"
        for job in self._agenda.clear():
            job.tell(None)
        self._change.notify_all()

    def _decode(self, seat: Recogniser, jobs: list[Job]) -> list[tuple[Word, ...]]:
        decodings: list[Any] = []
        for job in jobs:
            task = job.task
            if task.decoding is None or getattr(task.decoding, "home", seat) is not seat:
                task.decoding, task.taken = seat.begin(phrases=task.phrases), 0
            for pcm in task.sound[task.taken : job.pieces]:
                task.decoding.extend(pcm)
            task.taken = max(task.taken, job.pieces)
            decodings.append(task.decoding)
        if len(jobs) > 1:
            together: list[tuple[Word, ...]] = seat.hypotheses(decodings)  # type: ignore[attr-defined]
            return together
        (job,) = jobs
        if job.final:
            return [decodings[0].final()]
        close = getattr(decodings[0], "close", None) if job.paused else None
        return [close() if close is not None else decodings[0].hypothesis()]

    def _answer(self, job: Job, words: tuple[Word, ...] | None) -> None:
        with self._change:
            if job in self._agenda.running:
                job.task.lost = 0
                job.tell(words)
                self._agenda.done(job, self.now_ms())
                self._change.notify_all()

    def _failed(self, job: Job) -> None:
        with self._change:
            if job not in self._agenda.running:
                return  # given up before
            if job.tries >= 2 or job.task.lost >= 2:
                job.tell(None)
            self._agenda.done(job)
            self._agenda.again(job)
            if job.task.lost >= 2:
                for other in self._agenda.forget(job.task):
                    other.tell(None)
            self._change.notify_all()
