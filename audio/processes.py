"""Recognition in child processes: a crash of native code costs one decode, never the program.

A `WorkerProcess` is a recogniser whose model is loaded in a child (audio/worker.py); a `Pool` is several of them with
the same model. When a child is lost, the scheduler has its utterance decoded by another one, and restarts it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np

from audio.errors import AudioError
from audio.events import Pcm, Word
from audio.windows import batch_key
from audio.worker import DecodingInput, Model, RecogniserInfo, Reply, Request

IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
"""Before anything else is imported: it is the parent's, as in audio/worker.py."""
COMMAND = (sys.executable, "-P", "-c", f"{IGNORE_CTRL_C}; from audio.worker import main; main()")
LOAD_TIMEOUT_S = 300.0
"""Seconds to load a model: 3 GB from a slow disk take a minute."""
EXIT_TIMEOUT_S = 5.0


class WorkerLost(RuntimeError):
    """The process ended, or was killed, before it replied.

    Args:
        failed_starts: so many of its children in a row ended before their first reply.
        request_sent: the child had the request; otherwise it was gone before.
    """

    def __init__(self, failed_starts: int = 0, *, request_sent: bool = True) -> None:
        super().__init__("the recogniser's process is gone")
        self.failed_starts, self.request_sent = failed_starts, request_sent


class DecodeFailed(RuntimeError):
    """The recogniser in the process raised; the process goes on."""


class WorkerProcess:
    """A child process and its model. Decodes `threads` utterances at a time.

    Raises:
        AudioError: those of the model; code model-memory where the child ends or is not ready while it loads the
            model, process-not-started where no process can be started.
    """

    def __init__(self, model: Model, threads: int = 1, *, command: Sequence[str] = COMMAND) -> None:
        self._model, self.threads, self._command = model, threads, tuple(command)
        self._ids = count(1)
        self._send_lock = threading.Lock()
        self._restart_lock = threading.Lock()
        self._state_lock = threading.Lock()
        """Guards `alive` and `_waiting`."""
        self._waiting: dict[int, Future[Reply]] = {}
        self._dropped: list[int] = []
        self.alive = False
        """Whether it takes requests."""
        self._ended_cpu_s = 0.0
        """CPU time of children that have ended."""
        self._child_cpu_s = 0.0
        self.generation = 0
        """Number of the child: the decodings that an earlier one held are lost."""
        self._failed_starts = 0
        """Children in a row that ended before their first reply."""
        self._start()

    @property
    def pid(self) -> int:
        """Of the present child, or the last one."""
        return self._child.pid

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its children, as of their last replies."""
        return self._ended_cpu_s + self._child_cpu_s

    def begin(self, *, phrases: Sequence[str] = ()) -> RemoteDecoding:
        """Start an utterance in this child."""
        return RemoteDecoding(self, next(self._ids), tuple(phrases))

    def hypotheses(self, decodings: Sequence[RemoteDecoding]) -> list[tuple[Word, ...]]:
        """The words of several utterances so far, decoded together."""
        return list(self.request("hypothesis", decodings))

    def request(self, what: str, decodings: Sequence[RemoteDecoding]) -> tuple[tuple[Word, ...], ...]:
        """Send a request (see worker.Request) and wait for the reply. Raises WorkerLost, DecodeFailed."""
        answer: Future[Reply] = Future()
        with self._send_lock:
            number = next(self._ids)
            with self._state_lock:
                if not self.alive or any(decoding.generation != self.generation for decoding in decodings):
                    raise WorkerLost(self._failed_starts, request_sent=False)
                self._waiting[number] = answer
            dropped, self._dropped = tuple(self._dropped), []
            assert self._child.stdin is not None
            # If the child has gone, the reader notices and closes the pipe (ValueError), then sets WorkerLost here.
            with contextlib.suppress(OSError, ValueError):
                Request(number, what, tuple(decoding.take_input() for decoding in decodings), dropped).write(
                    self._child.stdin
                )
        reply = answer.result()
        if reply.words is None:
            raise DecodeFailed(reply.error)
        return reply.words

    def drop(self, decoding: RemoteDecoding) -> None:
        """Discard a decoding; the child is told with the next request."""
        if decoding.generation == self.generation:
            self._dropped.append(decoding.number)

    def kill(self) -> None:
        """Kill the child; pending requests raise WorkerLost."""
        with contextlib.suppress(OSError):
            self._child.kill()

    def restart(self) -> None:
        """Start a new child, unless there is a living one. Raises as the constructor."""
        with self._restart_lock:
            if not self.alive:
                self._start()

    def close(self) -> None:
        """End the child and wait for it."""
        if self._send_lock.acquire(timeout=EXIT_TIMEOUT_S):
            with contextlib.suppress(OSError):
                assert self._child.stdin is not None
                self._child.stdin.close()
            self._send_lock.release()
        else:  # it hangs, and does not read what it is being sent
            self.kill()
        try:
            self._child.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._child.wait()
        self._reader.join()

    def _start(self) -> None:
        self._ended_cpu_s, self._child_cpu_s = self.cpu_s, 0.0
        self._dropped = []
        try:
            self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:  # no file descriptor or no memory left for it, for a moment perhaps
            raise AudioError(
                "process-not-started", f"A process of the recogniser could not be started: {error.strerror}."
            ) from None
        self._ended = False
        loaded: Future[dict[str, Any]] = Future()
        self._reader = threading.Thread(target=self._read_replies, args=(self._child, loaded), daemon=True)
        self._reader.start()
        assert self._child.stdin is not None
        settings = {"loader": self._model.loader, "options": dict(self._model.options), "threads": self.threads}
        with contextlib.suppress(OSError, ValueError):  # it has gone already: as in `request`
            self._child.stdin.write(json.dumps(settings).encode() + b"\n")
            self._child.stdin.flush()
        try:
            found = loaded.result(LOAD_TIMEOUT_S)
        except (WorkerLost, TimeoutError) as error:
            self.kill()
            self._reader.join()
            ended = self._child.wait()
            if ended == -signal.SIGINT:
                raise AudioError(
                    "process-interrupted", "The recogniser's process was interrupted while it loaded its model."
                ) from None
            how = (
                f"ended with {ended}"
                if isinstance(error, WorkerLost)
                else f"was not ready after {LOAD_TIMEOUT_S:.0f} s"
            )
            raise AudioError(
                "model-memory",
                f"The recogniser's process {how} while it loaded its model: most often there is too little memory. "
                "Choose a smaller model (`assist models list`), or fewer processes.",
            ) from None
        if "code" in found:
            self._reader.join()
            self._child.wait()
            raise AudioError(found["code"], found["text"])
        info = RecogniserInfo(**found)
        self.name, self.version, self.embedded = info.name, info.version, info.embedded
        self.on_gpu, self.floor = info.on_gpu, info.floor
        with self._state_lock:
            self.generation += 1
            self.alive = not self._ended

    def _read_replies(self, child: subprocess.Popen[bytes], loaded: Future[Any]) -> None:
        assert child.stdout is not None and child.stdin is not None
        answered = False
        with child.stdout, contextlib.suppress(OSError, ValueError):
            loaded.set_result(json.loads(child.stdout.readline()))
            while True:
                reply = Reply.read(child.stdout)
                self._child_cpu_s = reply.cpu_s
                answered = True
                with self._state_lock:
                    answer = self._waiting.pop(reply.number)
                answer.set_result(reply)
        child.kill()
        with contextlib.suppress(OSError):
            child.stdin.close()
        child.wait()
        if not loaded.done():
            loaded.set_exception(WorkerLost())
        with self._state_lock:
            self._ended, self.alive = True, False
            self._failed_starts = 0 if answered else self._failed_starts + 1
            lost, self._waiting = self._waiting, {}
        for answer in lost.values():
            answer.set_exception(WorkerLost(self._failed_starts))


class RemoteDecoding:
    """One utterance that is decoded in a child; new audio is sent with the next request."""

    def __init__(self, process: WorkerProcess, number: int, phrases: tuple[str, ...]) -> None:
        self._process, self.number, self._phrases = process, number, phrases
        self.generation = process.generation
        self._unsent: list[Pcm] = []
        self._started = self._finished = False

    @property
    def process(self) -> WorkerProcess | None:
        """The process that holds its state; None when that child has ended."""
        return self._process if self._process.generation == self.generation and self._process.alive else None

    def take_input(self) -> DecodingInput:
        """The audio that the child does not have yet; it counts as sent."""
        pieces, self._unsent, self._started = self._unsent, [], True
        return DecodingInput(self.number, self._phrases, np.concatenate(pieces) if pieces else np.zeros(0, np.float32))

    def batch_key(self, samples: int) -> Hashable | None:
        """Decodings with equal keys can share a batch."""
        if self._process.floor is None:
            return None
        return self._process, batch_key(samples, self._process.floor, self._phrases)

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples."""
        self._unsent.append(pcm)

    def hypothesis(self) -> tuple[Word, ...]:
        """The words so far."""
        return self._process.request("hypothesis", [self])[0]

    def close(self) -> tuple[Word, ...]:
        """The words if nothing follows."""
        return self._process.request("close", [self])[0]

    def final(self) -> tuple[Word, ...]:
        """The words of the whole utterance."""
        self._finished = True
        return self._process.request("final", [self])[0]

    def __del__(self) -> None:
        """Abandoned before its end: the child discards it."""
        if self._started and not self._finished:
            self._process.drop(self)


def default_processes(may_use_gpu: bool) -> int:
    """Two on a CPU, so that one goes on while the other restarts; one on a GPU."""
    from audio.whisper import gpu_present

    return 1 if may_use_gpu and gpu_present() else 2


def embedded_model(processes: int) -> Model:
    """The embedded recogniser as one of so many processes loads it: four decoders among them, two in each at least."""
    return Model("audio.sphinx:SphinxRecogniser", {"decoders": max(2, 4 // processes)})


class Pool:
    """Several processes with the same model: the recogniser of live calls.

    Raises:
        AudioError: as WorkerProcess.
    """

    def __init__(self, model: Model, processes: int, threads: int = 1) -> None:
        with ThreadPoolExecutor(processes) as starting:
            started = [starting.submit(WorkerProcess, model, threads) for _ in range(processes)]
        failed = next((error for one in started if (error := one.exception()) is not None), None)
        self.processes = tuple(one.result() for one in started if one.exception() is None)
        if failed is not None:
            self.close()
            raise failed
        first = self.processes[0]
        self.name, self.version, self.embedded = first.name, first.version, first.embedded
        self.on_gpu = first.on_gpu

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all children so far."""
        return sum(process.cpu_s for process in self.processes)

    @property
    def pids(self) -> list[int]:
        """Of the present children."""
        return [process.pid for process in self.processes]

    def begin(self, *, phrases: Sequence[str] = ()) -> RemoteDecoding:
        """Start an utterance in the first child."""
        return self.processes[0].begin(phrases=phrases)

    def close(self) -> None:
        """End all children."""
        for process in self.processes:
            process.close()
