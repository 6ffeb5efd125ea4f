"""One model, many calls: the worker threads that decode what the agenda (audio/agenda.py) puts first, supervised."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from audio.agenda import BATCH, GPU_BATCH, HUNG_MS, Agenda, Answer, Job, Line, Task
from audio.events import Pcm, Speaker, Word
from audio.recogniser import Recogniser

log = logging.getLogger(__name__)


class Scheduler:
    """The workers around one recogniser, shared by all calls. Close it when the last call is over.

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
        self._shift = 0
        """Workers of an earlier shift go home after their decode."""
        self._hanging = 0
        """Workers of this shift that were given up and have not come back."""
        self.replaced = 0
        """Workers given up because a decode hung."""
        self.recogniser: Recogniser | None = None
        self.missing = missing
        """Why there is no recogniser, one plain line; empty while there is one."""
        if recogniser is not None:
            self.adopt(recogniser)
        threading.Thread(target=self._supervise, name="recogniser-supervisor", daemon=True).start()

    def adopt(self, recogniser: Recogniser) -> None:
        """Use this recogniser from now on, with workers of its own."""
        with self._change:
            self.recogniser, self.missing = recogniser, ""
            self._agenda.batch = GPU_BATCH if getattr(recogniser, "on_gpu", False) else BATCH
            self._shift, self._hanging = self._shift + 1, 0
            self._change.notify_all()
        for _ in range(self._workers):
            self._hire()

    def now_ms(self) -> int:
        """Milliseconds of the scheduler's own clock; only differences mean anything."""
        return int(self._clock() * 1000)

    def open(self, speaker: Speaker) -> Line:
        """A channel joins."""
        with self._change:
            return self._agenda.open(speaker)

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
            if self.recogniser is None or task.hung >= 2:
                task.deliver(Answer(final, paused, task.samples, None))
                return
            self._agenda.submit(task, self.now_ms(), final=final, paused=paused)
            self._change.notify_all()

    def stretch(self) -> int:
        """How many times rarer hops should come: 1, 2, 4; 0 for finals only."""
        with self._change:
            return self._agenda.stretch(self.now_ms())

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

    def inspect(self) -> None:
        """Give up decodes that hang: their workers are replaced, their jobs put back once.

        A hung decode keeps its thread, and its share of the model, for good. So when two more hang than there are
        workers (one utterance, tried twice, leaves two), the recogniser is given up until another is adopted.
        """
        with self._change:
            hung = self._agenda.hung(self.now_ms())
            for job in hung:
                job.abandoned = True
                job.task.hung += 1
                self._failed(job)
            batches = {job.batch for job in hung}
            self._hanging += len(batches)
            self.replaced += len(batches)
            given_up = bool(batches) and self._hanging >= self._workers + 2
            if given_up:
                self.recogniser = None
                self.missing = "The recogniser has stopped answering and is loaded anew; until then no words are heard."
                self._shift += 1
                for job in self._agenda.clear():
                    job.task.deliver(Answer(job.final, job.paused, job.samples, None))
                self._change.notify_all()
        for _ in batches:
            log.error("a decode has not come back for %d s; its worker is replaced", HUNG_MS // 1000)
            if not given_up:
                self._hire()

    def _hire(self) -> None:
        threading.Thread(target=self._work, args=(self._shift,), name="recogniser-worker", daemon=True).start()

    def _supervise(self) -> None:
        while True:
            with self._change:
                if self._change.wait_for(lambda: self._closed, timeout=1.0):
                    return
            self.inspect()

    def _work(self, shift: int) -> None:
        while True:
            with self._change:
                jobs: list[Job] = []
                while self._on_duty(shift) and not (jobs := self._agenda.take(self.now_ms())):
                    self._change.wait()
                recogniser = self.recogniser
            if not jobs or recogniser is None:
                return
            try:
                answers = self._decode(recogniser, jobs)
            except Exception as error:  # whatever a recogniser raises must not take other calls down
                log.error("a decode failed: %s", type(error).__name__)
                for job in jobs:
                    self._failed(job)
            else:
                for job, words in zip(jobs, answers, strict=True):
                    self._answer(job, words)
            if any(job.abandoned for job in jobs):  # replaced long ago
                with self._change:
                    self._hanging -= shift == self._shift
                return

    def _on_duty(self, shift: int) -> bool:
        return not self._closed and shift == self._shift and self.recogniser is not None

    def _decode(self, recogniser: Recogniser, jobs: list[Job]) -> list[tuple[Word, ...]]:
        decodings: list[Any] = []
        for job in jobs:
            task = job.task
            decoding = task.decoding
            if decoding is None:
                decoding = recogniser.begin(phrases=task.phrases)
                taken = 0
            else:
                taken = task.taken
            for pcm in task.sound[taken : job.pieces]:
                decoding.extend(pcm)
            if not job.abandoned:
                task.decoding, task.taken = decoding, max(taken, job.pieces)
            decodings.append(decoding)
        if len(jobs) > 1:
            together: list[tuple[Word, ...]] = recogniser.hypotheses(decodings)  # type: ignore[attr-defined]
            return together
        (job,) = jobs
        if job.final:
            return [decodings[0].final()]
        close = getattr(decodings[0], "close", None) if job.paused else None
        return [close() if close is not None else decodings[0].hypothesis()]

    def _answer(self, job: Job, words: tuple[Word, ...] | None) -> None:
        with self._change:
            if job in self._agenda.running:
                job.task.deliver(Answer(job.final, job.paused, job.samples, words))
                self._agenda.done(job)
                self._change.notify_all()

    def _failed(self, job: Job) -> None:
        with self._change:
            if job not in self._agenda.running:
                return  # given up before
            if job.tries >= 2 or job.task.hung >= 2:
                job.task.deliver(Answer(job.final, job.paused, job.samples, None))
            self._agenda.done(job)
            self._agenda.again(job)
            if job.task.hung >= 2:
                for other in self._agenda.forget(job.task):
                    other.task.deliver(Answer(other.final, other.paused, other.samples, None))
            self._change.notify_all()
