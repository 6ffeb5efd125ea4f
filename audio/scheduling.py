"""One recogniser, many calls: the worker threads that run the jobs of the queue (audio/decode_queue.py), supervised.

A worker has a backend: the recogniser, loaded in this process, or one process of a pool (audio/processes.py). Such a
process may crash or hang: what it decoded is decoded once more, by another one, and the process is restarted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from audio.decode_queue import (
    MAX_ATTEMPTS,
    MAX_BATCH,
    MAX_CRASHES,
    MAX_GPU_BATCH,
    ChannelQueue,
    DecodeJob,
    DecodeQueue,
    DecodeResult,
    UtteranceTask,
)
from audio.errors import AudioError
from audio.events import Pcm, Speaker, Word
from audio.processes import Pool, WorkerLost, WorkerProcess
from audio.recogniser import Recogniser

log = logging.getLogger(__name__)

MIN_RESTART_DELAY_S, MAX_RESTART_DELAY_S = 1.0, 60.0
"""Seconds between attempts to start a process that cannot be started or never replies: doubled after each."""
MAX_FAILED_STARTS = MAX_CRASHES + 1
"""After so many in a row that ended before their first reply a process counts as down: more than one utterance that is
given up can cost."""


class Scheduler:
    """The workers of one recogniser, shared by all calls. Close it when the last call is over.

    Args:
        recogniser: None while there is none; then `missing` says why, and nothing is decoded until `adopt`.
        workers: threads that decode with a recogniser of this process; a Pool brings its own number.
        missing: why there is no recogniser.
        clock: seconds, monotonic.
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
        self._queue = DecodeQueue()
        self._change = threading.Condition()
        self._closed = False
        self._workers = max(1, workers)
        self._down: set[WorkerProcess] = set()
        """Processes that cannot be started at present."""
        self.crashes = 0
        """Processes that crashed, or were ended because a decode hung."""
        self.recogniser: Recogniser | None = None
        self.missing = missing
        """Why there is no recogniser, one plain line; empty while there is one."""
        if recogniser is not None:
            self.adopt(recogniser)
        threading.Thread(target=self._supervise, name="recogniser-supervisor", daemon=True).start()

    def adopt(self, recogniser: Recogniser) -> None:
        """Use this recogniser from now on, with workers of its own; it is closed with the scheduler."""
        backends: list[Recogniser] = [recogniser] * self._workers
        if isinstance(recogniser, Pool):
            backends = [process for process in recogniser.processes for _ in range(process.threads)]
        with self._change:
            self.recogniser, self.missing = recogniser, ""
            self._queue.max_batch = MAX_GPU_BATCH if getattr(recogniser, "on_gpu", False) else MAX_BATCH
            self._down.clear()
            self._change.notify_all()
        for backend in backends:
            threading.Thread(
                target=self._work, args=(recogniser, backend), name="recogniser-worker", daemon=True
            ).start()

    def now_ms(self) -> int:
        """Milliseconds of the scheduler's own clock; only differences mean anything."""
        return int(self._clock() * 1000)

    def open_channel(self, speaker: Speaker, *, unbatched: bool = False, late: bool = False) -> ChannelQueue:
        """Add a channel.

        `unbatched`: its words must not depend on what other channels have waiting. `late`: for speech of before.
        """
        with self._change:
            return self._queue.open_channel(speaker, unbatched=unbatched, late=late)

    def close_channels(self, channels: Iterable[ChannelQueue]) -> None:
        """Remove channels with the jobs that still wait in them."""
        with self._change:
            for channel in channels:
                self._queue.close_channel(channel)

    def submit(self, task: UtteranceTask, pcm: Pcm, *, final: bool, paused: bool = False) -> None:
        """Add audio to an utterance and have it decoded so far; `final`: it is complete; `paused`: it ends in a pause.

        The task's `deliver` is called with the result, from a worker; at once, without words, where there is no
        recogniser or the task has been given up.
        """
        with self._change:
            if len(pcm):
                task.sound.append(pcm)
            if self.recogniser is None or task.given_up:
                task.deliver(DecodeResult(final, paused, task.samples, None))
                return
            self._queue.submit(task, self.now_ms(), final=final, paused=paused)
            self._change.notify_all()

    def decode_in_background(
        self, pcm: Pcm, phrases: tuple[str, ...], deliver: Callable[[tuple[Word, ...] | None], None]
    ) -> None:
        """Decode a whole utterance when no live call has anything to decode.

        `deliver` is called with its words, from a worker; with None where it failed, or there is no recogniser.
        """
        self.submit(
            UtteranceTask(self._queue.background, phrases, lambda result: deliver(result.words)), pcm, final=True
        )

    def withdraw(self, task: UtteranceTask) -> bool:
        """Cancel the waiting jobs of a task; returns whether its final was among them."""
        with self._change:
            return any(job.final for job in self._queue.cancel(task))

    def interval_factor(self) -> int:
        """Factor by which the interval between partial decodes should grow: 1, 2, 4; 0: none, finals only."""
        with self._change:
            return self._queue.interval_factor(self.now_ms())

    def lag_ms(self, channels: Iterable[ChannelQueue]) -> int:
        """Age of the oldest unfinished job of these channels; 0 without one."""
        with self._change:
            submitted = [ms for channel in channels if (ms := channel.oldest_submitted_ms()) is not None]
            return self.now_ms() - min(submitted) if submitted else 0

    def wait(self, channels: Sequence[ChannelQueue]) -> None:
        """Block until no job of these channels waits or runs, and all results have been delivered."""
        with self._change:
            self._change.wait_for(lambda: self._closed or all(channel.idle for channel in channels))

    def close(self) -> None:
        """Stop the workers; waiting jobs are not decoded."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            recogniser = self.recogniser
        if isinstance(recogniser, Pool):
            recogniser.close()

    def end_hung_processes(self) -> None:
        """Kill the processes in which a decode has timed out; they are then handled as crashed.

        A decode that hangs in this process cannot be ended.
        """
        with self._change:
            hung = {job.backend for job in self._queue.hung(self.now_ms())}
        for backend in hung:
            if isinstance(backend, WorkerProcess):
                log.error("a decode does not come back; its process is ended")
                backend.kill()

    def _supervise(self) -> None:
        while True:
            with self._change:
                if self._change.wait_for(lambda: self._closed, timeout=1.0):
                    return
            self.end_hung_processes()

    def _work(self, recogniser: Recogniser, backend: Recogniser) -> None:
        while True:
            with self._change:
                jobs: list[DecodeJob] = []
                while self._is_current(recogniser) and not (jobs := self._queue.take(self.now_ms(), backend)):
                    self._change.wait()
            if not jobs:
                return
            try:
                results = self._decode(backend, jobs)
            except WorkerLost as loss:
                if not self._is_current(recogniser):
                    return
                with self._change:
                    self.crashes += 1
                for job in jobs:
                    job.process_ended(request_sent=loss.request_sent)
                    self._on_failure(job)
                if isinstance(backend, WorkerProcess):
                    self._restart(recogniser, backend, loss)
            except Exception as error:  # whatever a recogniser raises must not take other calls down
                log.error("a decode failed: %s", error if str(error).isidentifier() else type(error).__name__)
                for job in jobs:
                    self._on_failure(job)
            else:
                for job, words in zip(jobs, results, strict=True):
                    self._on_result(job, words)

    def _is_current(self, recogniser: Recogniser) -> bool:
        return not self._closed and self.recogniser is recogniser

    def _restart(self, recogniser: Recogniser, backend: WorkerProcess, loss: WorkerLost) -> None:
        """Restart a process, after growing delays while it fails to start; with all down there is no recogniser."""
        starts = loss.failed_starts
        delay = 0.0 if starts < 2 else min(MIN_RESTART_DELAY_S * 2 ** (starts - 2), MAX_RESTART_DELAY_S)
        reason = "its processes end before they answer" if starts >= MAX_FAILED_STARTS else ""
        log.error("a process of the recogniser is gone; it is started again")
        while True:
            with self._change:
                if reason:
                    self._down.add(backend)
                    self._give_up_if_all_are_down(reason)
                if self._change.wait_for(lambda: not self._is_current(recogniser), timeout=delay):
                    return
            try:
                backend.restart()
            except AudioError as error:
                log.error("%s", error)
                reason, delay = str(error), min(max(MIN_RESTART_DELAY_S, 2 * delay), MAX_RESTART_DELAY_S)
                continue
            with self._change:
                self._down.discard(backend)
                if self._is_current(recogniser):
                    return
            backend.close()
            return

    def _give_up_if_all_are_down(self, reason: str) -> None:
        recogniser = self.recogniser
        if not isinstance(recogniser, Pool) or not self._down.issuperset(recogniser.processes):
            return
        self.recogniser = None
        self.missing = f"The recogniser is loaded anew; until then no words are heard: {reason}"
        for job in self._queue.clear():
            job.deliver(None)
        self._change.notify_all()

    def _decode(self, backend: Recogniser, jobs: list[DecodeJob]) -> list[tuple[Word, ...]]:
        decodings: list[Any] = []
        for job in jobs:
            task = job.task
            if task.decoding is None or getattr(task.decoding, "process", backend) is not backend:
                task.decoding, task.pieces_fed = backend.begin(phrases=task.phrases), 0
            for pcm in task.sound[task.pieces_fed : job.pieces]:
                task.decoding.extend(pcm)
            task.pieces_fed = max(task.pieces_fed, job.pieces)
            decodings.append(task.decoding)
        if len(jobs) > 1:
            batch: list[tuple[Word, ...]] = backend.hypotheses(decodings)  # type: ignore[attr-defined]
            return batch
        (job,) = jobs
        if job.final:
            return [decodings[0].final()]
        close = getattr(decodings[0], "close", None) if job.paused else None
        return [close() if close is not None else decodings[0].hypothesis()]

    def _on_result(self, job: DecodeJob, words: tuple[Word, ...] | None) -> None:
        with self._change:
            if job in self._queue.running:
                job.task.crashes = 0
                job.deliver(words)
                self._queue.finish(job, self.now_ms())
                self._change.notify_all()

    def _on_failure(self, job: DecodeJob) -> None:
        with self._change:
            if job not in self._queue.running:
                return  # given up before
            if job.attempts >= MAX_ATTEMPTS or job.task.given_up:
                job.deliver(None)
            self._queue.finish(job)
            self._queue.requeue(job)
            if job.task.given_up:
                for other in self._queue.cancel(job.task):
                    other.deliver(None)
            self._change.notify_all()
