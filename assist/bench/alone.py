"""Work done in a process of its own: its memory and CPU time are then its own too."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from assist.errors import AssistError
from audio.errors import AudioError

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Work(Protocol[T_co]):
    """A function of a module (it travels by name), told whom to tell how far it is."""

    def __call__(self, *arguments: Any, progress: Callable[[float], None]) -> T_co:
        """Do it."""
        ...


def alone(work: Work[T], *arguments: Any, progress: Callable[[float], None] = lambda share: None) -> T:
    """The work's answer, from a fresh process.

    Raises what the work raises of AssistError and AudioError; AssistError bench-died where the process ended early.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_do, args=(there,), daemon=True)
    with _leaving_ctrl_c_to_this_process():
        process.start()
    there.close()
    try:
        here.send((work, arguments))  # not at the start: a long recording is taken only once the process is up
        while True:
            kind, value = here.recv()
            if kind == "progress":
                progress(value)
            elif kind == "answer":
                answer: T = value
                return answer
            else:
                raise (AudioError if kind == "audio" else AssistError)(*value)
    except (EOFError, ConnectionError):
        process.join()
        raise AssistError(
            "bench-died", f"The measuring process ended early (exit code {process.exitcode}): is there enough memory?"
        ) from None
    except KeyboardInterrupt:
        process.kill()
        raise
    finally:
        here.close()
        process.join(timeout=10)
        process.kill()


@contextlib.contextmanager
def _leaving_ctrl_c_to_this_process() -> Iterator[None]:
    """A terminal tells Ctrl-C to every process in it: those begun meanwhile ignore it, and so do theirs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _do(there: Connection) -> None:
    work: Work[Any]
    work, arguments = there.recv()
    try:
        answer = work(*arguments, progress=lambda share: there.send(("progress", share)))
    except AudioError as error:
        there.send(("audio", (error.code, str(error))))
    except AssistError as error:
        there.send(("assist", (error.code, str(error))))
    else:
        there.send(("answer", answer))
