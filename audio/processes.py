"""Recognition in processes of its own: a crash of native code takes a decode with it, never the program.

A `WorkerProcess` is a recogniser whose model lives in a child (audio/worker.py); a `Pool` is several of them with one
model. The scheduler decodes the utterance again that a lost process had, elsewhere, and starts the process anew.
"""

from __future__ import annotations

import contextlib
import json
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
from audio.worker import Facts, Model, Part, Reply, Request

COMMAND = (sys.executable, "-P", "-c", "from audio.worker import main; main()")
LOAD_S = 300.0
"""A model that is not loaded by then never will be: 3 GB from a slow disk take a minute."""
DIES_S = 5.0


class WorkerLost(RuntimeError):
    """The process ended, or was ended, before it answered.

    `barren`: so many of its children in a row have not answered anything. `asked`: it ended over what it was asked, and
    not before.
    """

    def __init__(self, barren: int = 0, *, asked: bool = True) -> None:
        super().__init__("the recogniser's process is gone")
        self.barren, self.asked = barren, asked


class DecodeFailed(RuntimeError):
    """The recogniser in the process raised; the process is well."""


class WorkerProcess:
    """One child and its model. Decodes `threads` utterances at a time.

    Raises:
        AudioError: the model's own; code model-memory where the child ends without a word while it loads,
            process-not-started where there can be none.
    """

    def __init__(self, model: Model, threads: int = 1, *, command: Sequence[str] = COMMAND) -> None:
        self._model, self.threads, self._command = model, threads, tuple(command)
        self._numbers = count(1)
        self._sending = threading.Lock()
        self._reviving = threading.Lock()
        self._book = threading.Lock()
        """Guards `alive` and `_waiting`."""
        self._waiting: dict[int, Future[Reply]] = {}
        self._dropped: list[int] = []
        self.alive = False
        """Whether it can be asked."""
        self._spent_s = 0.0
        """CPU time of children that are gone."""
        self._life_s = 0.0
        self.life = 0
        """Counts the children so far: what an earlier one held is lost."""
        self._barren = 0
        """Children in a row that ended before their first answer."""
        self._start()

    @property
    def pid(self) -> int:
        """Of the child there is now, or was last."""
        return self._child.pid

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its children, as of their last answers."""
        return self._spent_s + self._life_s

    def begin(self, *, phrases: Sequence[str] = ()) -> RemoteDecoding:
        """Start an utterance in this child."""
        return RemoteDecoding(self, next(self._numbers), tuple(phrases))

    def hypotheses(self, decodings: Sequence[RemoteDecoding]) -> list[tuple[Word, ...]]:
        """The words of several utterances so far, decoded together."""
        return list(self.ask("hypothesis", decodings))

    def ask(self, what: str, decodings: Sequence[RemoteDecoding]) -> tuple[tuple[Word, ...], ...]:
        """Raises WorkerLost, DecodeFailed."""
        answer: Future[Reply] = Future()
        with self._sending:
            number = next(self._numbers)
            with self._book:
                if not self.alive or any(decoding.life != self.life for decoding in decodings):
                    raise WorkerLost(self._barren, asked=False)
                self._waiting[number] = answer
            dropped, self._dropped = tuple(self._dropped), []
            assert self._child.stdin is not None
            # A child that has gone: the reader notices and closes the pipe (ValueError), then tells whoever waits.
            with contextlib.suppress(OSError, ValueError):
                Request(number, what, tuple(decoding.part() for decoding in decodings), dropped).write(
                    self._child.stdin
                )
        reply = answer.result()
        if reply.words is None:
            raise DecodeFailed(reply.error)
        return reply.words

    def drop(self, decoding: RemoteDecoding) -> None:
        """An utterance nobody asks about any more; the child hears of it with the next question."""
        if decoding.life == self.life:
            self._dropped.append(decoding.number)

    def kill(self) -> None:
        """End a child that does not answer: whoever waits for it gets WorkerLost."""
        with contextlib.suppress(OSError):
            self._child.kill()

    def revive(self) -> None:
        """A new child, unless there is a living one. Raises as the constructor."""
        with self._reviving:
            if not self.alive:
                self._start()

    def close(self) -> None:
        """End the child and wait for it."""
        if self._sending.acquire(timeout=DIES_S):
            with contextlib.suppress(OSError):
                assert self._child.stdin is not None
                self._child.stdin.close()
            self._sending.release()
        else:  # it hangs, and does not read what it is being sent
            self.kill()
        try:
            self._child.wait(DIES_S)
        except subprocess.TimeoutExpired:
            self.kill()
            self._child.wait()
        self._reading.join()

    def _start(self) -> None:
        self._spent_s, self._life_s = self.cpu_s, 0.0
        self._dropped = []
        try:
            self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:  # no file descriptor or no memory left for it, for a moment perhaps
            raise AudioError(
                "process-not-started", f"A process of the recogniser could not be started: {error.strerror}."
            ) from None
        self._ended = False
        loaded: Future[dict[str, Any]] = Future()
        self._reading = threading.Thread(target=self._read, args=(self._child, loaded), daemon=True)
        self._reading.start()
        assert self._child.stdin is not None
        wanted = {"loader": self._model.loader, "options": dict(self._model.options), "threads": self.threads}
        with contextlib.suppress(OSError, ValueError):  # it has gone already: as in `ask`
            self._child.stdin.write(json.dumps(wanted).encode() + b"\n")
            self._child.stdin.flush()
        try:
            found = loaded.result(LOAD_S)
        except (WorkerLost, TimeoutError) as error:
            self.kill()
            self._reading.join()
            ended = self._child.wait()
            how = f"ended with {ended}" if isinstance(error, WorkerLost) else f"was not ready after {LOAD_S:.0f} s"
            raise AudioError(
                "model-memory",
                f"The recogniser's process {how} while it loaded its model: most often there is too little memory. "
                "Choose a smaller model (`assist models list`), or fewer processes.",
            ) from None
        if "code" in found:
            self._reading.join()
            self._child.wait()
            raise AudioError(found["code"], found["text"])
        facts = Facts(**found)
        self.name, self.version, self.embedded = facts.name, facts.version, facts.embedded
        self.on_gpu, self.floor = facts.on_gpu, facts.floor
        with self._book:
            self.life += 1
            self.alive = not self._ended

    def _read(self, child: subprocess.Popen[bytes], loaded: Future[Any]) -> None:
        assert child.stdout is not None and child.stdin is not None
        answered = False
        with child.stdout, contextlib.suppress(OSError, ValueError):
            loaded.set_result(json.loads(child.stdout.readline()))
            while True:
                reply = Reply.read(child.stdout)
                self._life_s = reply.cpu_s
                answered = True
                with self._book:
                    answer = self._waiting.pop(reply.number)
                answer.set_result(reply)
        child.kill()
        with contextlib.suppress(OSError):
            child.stdin.close()
        child.wait()
        if not loaded.done():
            loaded.set_exception(WorkerLost())
        with self._book:
            self._ended, self.alive = True, False
            self._barren = 0 if answered else self._barren + 1
            lost, self._waiting = self._waiting, {}
        for answer in lost.values():
            answer.set_exception(WorkerLost(self._barren))


class RemoteDecoding:
    """One utterance on its way through a child; its new sound travels with the next question."""

    def __init__(self, process: WorkerProcess, number: int, phrases: tuple[str, ...]) -> None:
        self._process, self.number, self._phrases = process, number, phrases
        self.life = process.life
        self._pieces: list[Pcm] = []
        self._begun = self._over = False

    @property
    def home(self) -> WorkerProcess | None:
        """The process that has heard its beginning; None when that is gone, and with it what it knew."""
        return self._process if self._process.life == self.life and self._process.alive else None

    def part(self) -> Part:
        """What the child does not know yet."""
        pieces, self._pieces, self._begun = self._pieces, [], True
        return Part(self.number, self._phrases, np.concatenate(pieces) if pieces else np.zeros(0, np.float32))

    def batch_key(self, samples: int) -> Hashable | None:
        """Decodings with equal keys can share a batch."""
        if self._process.floor is None:
            return None
        return self._process, batch_key(samples, self._process.floor, self._phrases)

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples."""
        self._pieces.append(pcm)

    def hypothesis(self) -> tuple[Word, ...]:
        """The words so far."""
        return self._process.ask("hypothesis", [self])[0]

    def close(self) -> tuple[Word, ...]:
        """The words if nothing follows."""
        return self._process.ask("close", [self])[0]

    def final(self) -> tuple[Word, ...]:
        """The words of the whole utterance."""
        self._over = True
        return self._process.ask("final", [self])[0]

    def __del__(self) -> None:
        """Given up in the middle: the child forgets it."""
        if self._begun and not self._over:
            self._process.drop(self)


def default_processes(may_use_gpu: bool) -> int:
    """Two on a CPU, so that one goes on while the other is started again; one on a GPU."""
    from audio.whisper import gpu_present

    return 1 if may_use_gpu and gpu_present() else 2


def embedded_model(processes: int) -> Model:
    """The embedded recogniser as one of so many processes loads it: four decoders among them, two in each at least."""
    return Model("audio.sphinx:SphinxRecogniser", {"decoders": max(2, 4 // processes)})


class Pool:
    """Several children with one model each: the recogniser that a live program uses.

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
        """Of the children there are now."""
        return [process.pid for process in self.processes]

    def begin(self, *, phrases: Sequence[str] = ()) -> RemoteDecoding:
        """Start an utterance in the first child."""
        return self.processes[0].begin(phrases=phrases)

    def close(self) -> None:
        """End all children."""
        for process in self.processes:
            process.close()
