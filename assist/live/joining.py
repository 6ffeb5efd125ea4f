"""Calls of other commands in a running server: `listen` and `replay` hand theirs over, to share its model and board.

The protocol, on a Unix socket in the data folder (mode 0600: whoever may read the store may connect, nobody else): one
line of JSON is the request; the answers are the call's events, one a line, until the call ends. Closing the socket
hangs up. Other commands send their writes by the same socket (assist/live/writing.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from assist.errors import AssistError
from assist.events import SCREEN_ONLY, CallStarted, Event
from assist.live.resuming import RESUME_S
from assist.live.service import Service
from assist.live.writing import MAX_LINE_BYTES, WRITE_PREFIX, handle_write, socket_path
from assist.privacy.consent import Consent
from assist.store.codec import decode, encode
from audio.errors import AudioError
from audio.events import Speaker
from audio.source import CallSource

SINGLE_CALL = (
    "another assist program hears one call by itself on this data folder and takes no others: wait until it ends, or "
    "run `assist serve`, which takes many"
)
SERVER_LOST = "the running server went away in mid-call; what was heard is in its store"

_source_threads = ThreadPoolExecutor(4, thread_name_prefix="joining")
"""Opens call sources: a slow device or a long recording must not delay live calls, nor may a sound server that hangs
block the threads that write records."""


class Joining(BaseModel):
    """The request to the running server: a recording, or two devices, and what is known of the call."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    recording: Path | None = None
    speed: float = Field(1.0, gt=0)
    agent_channel: int = Field(0, ge=0, le=1)
    mono: Speaker = Speaker.UNKNOWN
    microphone: str | None = None
    far_end: str | None = None
    agent: str | None = None
    queue: str = Field("", max_length=120)
    caller: str = ""
    value: str = Field("", max_length=40)
    """The customer's value, as the phone system or CRM names it."""
    resume: str | None = None
    """Id of the interrupted call to resume."""
    consent: Consent | None = Field(
        None, description="at the start; None: as the settings say, for a recording granted (who replays it has it)"
    )

    @property
    def initial_consent(self) -> Consent | None:
        """Consent at the start of the call; None: as the settings say."""
        return Consent.GRANTED if self.consent is None and self.recording is not None else self.consent

    @property
    def consent_by(self) -> str:
        """Where `initial_consent` comes from."""
        return "command line" if self.consent is not None else "replay" if self.recording is not None else "settings"

    def source(self) -> CallSource:
        """Open the call source.

        Raises:
            AudioError: the recording cannot be read, or a device is missing.
        """
        if self.recording is not None:
            from audio.recording import open_recording

            return open_recording(self.recording, agent_channel=self.agent_channel, speed=self.speed, mono=self.mono)
        from audio.live import open_devices

        return open_devices(agent=self.microphone, customer=self.far_end)


async def start_call(
    service: Service, request: Joining, source: CallSource, on_event: Callable[[Event], None]
) -> tuple[str, asyncio.Task[str]]:
    """Start or resume the requested call; returns its id, and the task that ends when its record is written.

    Raises:
        AssistError: as `Service.start` and `Service.resume`.
    """
    if request.resume is not None:
        return await service.resume(
            request.resume,
            source,
            agent=request.agent,
            queue=request.queue,
            caller=request.caller,
            value=request.value,
            on_event=on_event,
        )
    return service.start(
        source,
        agent=request.agent,
        queue=request.queue,
        caller=request.caller,
        value=request.value,
        consent=request.initial_consent,
        consent_by=request.consent_by,
        in_step=math.isinf(request.speed),
        replay=request.recording is not None,
        on_event=on_event,
    )


@contextlib.asynccontextmanager
async def accept_calls(service: Service, *, joins: bool = True) -> AsyncIterator[str]:
    """While the block runs, accept calls and writes of other commands; yields why that is impossible, else "".

    `joins`: whether calls are accepted; a program that runs a single call accepts writes only.
    """
    path = socket_path(service.settings.data)
    if path is None or not hasattr(asyncio, "start_unix_server"):
        yield "the path of the data folder is too long for a socket in it" if path is None else ""
        return
    server = None
    try:
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(
            lambda r, w: _serve_connection(service, r, w, joins), path=str(path), limit=MAX_LINE_BYTES
        )
        path.chmod(0o600)
    except OSError as error:  # a file system without sockets, as of a memory stick or a network
        if server is not None:
            server.close()
        yield f"no socket can be made in the data folder ({error.strerror or error})"
        return
    try:
        yield ""
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def join(
    data: Path, request: Joining, on_event: Callable[[Event], None], hang_up: asyncio.Event | None = None
) -> str | None:
    """Hand a call to the server that runs on this data folder, until it ends; None where no server runs.

    Returns the record's id, empty where nothing was stored. `hang_up`, once set, ends the call; its last events still
    go to `on_event`.

    Raises:
        AssistError: code join-refused with the server's own line, or join-lost when it went away in mid-call.
    """
    path = socket_path(data)
    if path is None or not path.exists():
        return None
    try:
        payload = request.model_dump_json().encode() + b"\n"
    except ValueError:
        raise AssistError("join-refused", "a running server can only be told names in UTF-8: rename the file") from None
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE_BYTES)
    except OSError:
        return None
    hanging_up = asyncio.create_task(_hang_up(writer, hang_up)) if hang_up is not None else None
    try:
        writer.write(payload)
        await writer.drain()
        while (line := await reader.readline()).endswith(b"\n"):  # else the server was killed while it wrote the line
            answer: dict[str, Any] = json.loads(line)
            if "refused" in answer:
                raise AssistError("join-refused", answer["refused"])
            if "ended" in answer:
                return str(answer["ended"])
            on_event(decode(answer["type"], answer["body"]))
        raise AssistError("join-lost", SERVER_LOST)
    except ConnectionError:
        raise AssistError("join-lost", SERVER_LOST) from None
    finally:
        if hanging_up is not None:
            hanging_up.cancel()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _hang_up(writer: asyncio.StreamWriter, hang_up: asyncio.Event) -> None:
    await hang_up.wait()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def join_and_resume(
    data: Path,
    request: Joining,
    on_event: Callable[[Event], None],
    hang_up: asyncio.Event | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> str | None:
    """As `join`; if the server goes away in mid-call and is back within RESUME_S, resume the call there.

    A recording is not resumed: how much of it was processed is unknown. `notify` is given a line when the wait begins.

    Raises:
        AssistError: codes join-refused, join-lost.
    """
    call = ""
    hang_up = hang_up or asyncio.Event()

    def watch(event: Event) -> None:
        nonlocal call
        if isinstance(event, CallStarted):
            call = event.call
        on_event(event)

    try:
        return await join(data, request, watch, hang_up)
    except AssistError as error:
        if error.code != "join-lost" or not call or request.recording is not None:
            raise
        lost = error
    notify(
        f"The running server went away: nothing is heard now. The call goes on when it is back within {RESUME_S} s "
        "(`assist serve`); Ctrl-C ends it."
    )
    for _ in range(RESUME_S):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hang_up.wait(), 1.0)
            break
        try:
            ended = await join(data, request.model_copy(update={"resume": call}), watch, hang_up)
        except AssistError as error:
            if error.code != "join-lost":
                raise
            continue
        if ended is not None:
            return ended
    raise lost


async def _serve_connection(
    service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, joins: bool
) -> None:
    """Serve one connection: a write request, or a call until it ends."""

    def send(answer: dict[str, Any]) -> None:
        writer.write(json.dumps(answer).encode() + b"\n")

    def notify(event: Event) -> None:
        if not isinstance(event, SCREEN_ONLY):
            name, body = encode(event)
            send({"type": name, "body": body})

    try:
        line = await reader.readline()
        if line.startswith(WRITE_PREFIX):
            send(await handle_write(service, line))
        elif joins:
            request = Joining.model_validate_json(line)
            loop = asyncio.get_running_loop()
            call, task = await start_call(
                service, request, await loop.run_in_executor(_source_threads, request.source), notify
            )
            send({"ended": await _until_ended(service, call, task, reader)})
        else:
            send({"refused": SINGLE_CALL})
        await writer.drain()
    except (AssistError, AudioError) as error:
        send({"refused": str(error)})
    except ValueError as error:
        send({"refused": f"not understood: {str(error).splitlines()[0]}"})
    except OSError:
        pass  # the command has gone; the call is recorded all the same
    finally:
        writer.close()


async def _until_ended(service: Service, call: str, task: asyncio.Task[str], reader: asyncio.StreamReader) -> str:
    """Wait until the call ends; hang up if its command disconnects. Returns its id, empty where not stored.

    Raises:
        AssistError: code call-failed, without the error's own text: it may hold a caller's words.
    """
    call_log = service.call_logs[call]
    disconnected = asyncio.create_task(reader.read())
    try:
        await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and call in service.calls:
            service.calls[call].hang_up()
        await asyncio.wait({task})
    finally:
        disconnected.cancel()
    if (failure := task.exception()) is not None:
        raise AssistError(
            "call-failed", f"call {call} failed ({type(failure).__name__}); what was heard is in the store"
        )
    return call if call_log.has_stored else ""
