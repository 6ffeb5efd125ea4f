"""The child process around one recogniser: `main`, started and supervised by audio/processes.py.

It reads its standard input: a line of JSON with the Model, then one for each Request, followed by the request's audio
(float32, native order). It writes lines of JSON: first RecogniserInfo, or the code and text of an AudioError, then a
Reply for each request. It ends when its input does, so it never outlives its parent.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np

from audio.errors import AudioError
from audio.events import Pcm, Word
from audio.memory import disable_core_dumps
from audio.recogniser import Decoding, Recogniser


@dataclass(frozen=True, slots=True)
class Model:
    """What loads a recogniser, in any process: "module:callable" and its keyword arguments."""

    loader: str
    options: Mapping[str, str | int | None]

    def load(self) -> Recogniser:
        """Raises AudioError: the recogniser's own."""
        module, name = self.loader.split(":")
        recogniser: Recogniser = getattr(importlib.import_module(module), name)(**self.options)
        return recogniser


@dataclass(frozen=True, slots=True)
class DecodingInput:
    """New audio of one decoding, which is begun if its number is new."""

    number: int
    phrases: tuple[str, ...]
    sound: Pcm


@dataclass(frozen=True, slots=True)
class Request:
    """Asks for the words of one decoding, or of several as one batch."""

    number: int
    what: str
    """hypothesis (of one or several), close, final: the method of the decoding to call."""
    parts: tuple[DecodingInput, ...]
    dropped: tuple[int, ...]
    """Numbers of decodings to discard."""

    def write(self, to: IO[bytes]) -> None:
        """Raises OSError."""
        parts = [(part.number, part.phrases, len(part.sound)) for part in self.parts]
        to.write(_line([self.number, self.what, parts, self.dropped]))
        for part in self.parts:
            to.write(np.ascontiguousarray(part.sound, np.float32).tobytes())
        to.flush()

    @classmethod
    def read(cls, source: IO[bytes]) -> Request:
        """Raises ValueError at the end, or where it is cut short."""
        number, what, parts, dropped = json.loads(source.readline())
        read = tuple(DecodingInput(at, tuple(phrases), _sound(source, samples)) for at, phrases, samples in parts)
        return cls(number, what, read, tuple(dropped))


@dataclass(frozen=True, slots=True)
class RecogniserInfo:
    """The first reply: what was loaded."""

    name: str
    version: str
    embedded: bool
    on_gpu: bool
    floor: int | None
    """Shortest encoder window in frames; None: decodings cannot be batched."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to one request."""

    number: int
    words: tuple[tuple[Word, ...], ...] | None
    """Of each part; None where the recogniser raised."""
    error: str
    cpu_s: float
    """CPU time of this process so far."""

    def write(self, to: IO[bytes]) -> None:
        """Raises OSError."""
        words = None
        if self.words is not None:
            words = [
                [(word.text, word.start_ms, word.end_ms, word.probability) for word in part] for part in self.words
            ]
        to.write(_line([self.number, words, self.error, self.cpu_s]))
        to.flush()

    @classmethod
    def read(cls, source: IO[bytes]) -> Reply:
        """Raises ValueError at the end, or where it is cut short."""
        number, words, error, cpu_s = json.loads(source.readline())
        if words is not None:
            words = tuple(tuple(Word(*word) for word in part) for part in words)
        return cls(number, words, error, cpu_s)


def main() -> None:
    """Load the recogniser, then serve requests until the input ends."""
    disable_core_dumps()
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):  # left to the parent, which may still need final words
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    requests: IO[bytes] = sys.stdin.buffer
    replies: IO[bytes] = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get among the replies
    line = requests.readline()
    if not line:  # the parent has gone
        return
    settings = json.loads(line)
    try:
        recogniser = Model(settings["loader"], settings["options"]).load()
    except AudioError as error:
        replies.write(_line({"code": error.code, "text": str(error)}))
        replies.flush()
        return
    try:
        replies.write(_line(asdict(recogniser_info(recogniser))))
        replies.flush()
    except OSError:  # the parent has gone meanwhile
        os._exit(0)
    handler = _RequestHandler(recogniser, replies)
    with ThreadPoolExecutor(settings["threads"]) as pool:
        while True:
            try:
                request = Request.read(requests)
            except (OSError, ValueError):
                os._exit(0)  # at once: nobody waits for what is still being decoded
            pool.submit(handler.handle, request)


def recogniser_info(recogniser: Recogniser) -> RecogniserInfo:
    """What the parent needs to know of a recogniser."""
    on_gpu, floor = getattr(recogniser, "on_gpu", False), getattr(recogniser, "floor", None)
    return RecogniserInfo(recogniser.name, recogniser.version, recogniser.embedded, on_gpu, floor)


class _RequestHandler:
    def __init__(self, recogniser: Recogniser, replies: IO[bytes]) -> None:
        self._recogniser, self._replies = recogniser, replies
        self._decodings: dict[int, Decoding] = {}
        self._lock = threading.Lock()

    def handle(self, request: Request) -> None:
        """Serve one request. Never raises: an exception of the recogniser is replied by its type."""
        words, error = None, ""
        try:
            words = self._words(request)
        except Exception as raised:
            error = type(raised).__name__
            for part in request.parts:
                self._decodings.pop(part.number, None)
        with self._lock:
            Reply(request.number, words, error, time.process_time()).write(self._replies)

    def _words(self, request: Request) -> tuple[tuple[Word, ...], ...]:
        for number in request.dropped:
            self._decodings.pop(number, None)
        decodings: list[Any] = []
        for part in request.parts:
            decoding = self._decodings.get(part.number)
            if decoding is None:
                decoding = self._decodings[part.number] = self._recogniser.begin(phrases=part.phrases)
            if len(part.sound):
                decoding.extend(part.sound)
            decodings.append(decoding)
        if len(decodings) > 1:
            batch: Callable[..., list[tuple[Word, ...]]] = self._recogniser.hypotheses  # type: ignore[attr-defined]
            return tuple(batch(decodings))
        (decoding,) = decodings
        if request.what == "final":
            self._decodings.pop(request.parts[0].number, None)
            return (decoding.final(),)
        if request.what == "close":
            return (getattr(decoding, "close", decoding.hypothesis)(),)
        return (decoding.hypothesis(),)


def _line(content: object) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _sound(source: IO[bytes], samples: int) -> Pcm:
    data = source.read(4 * samples)
    if len(data) != 4 * samples:
        raise ValueError("cut short")
    return np.frombuffer(data, np.float32)
