"""Calls that join a running server: `listen` and `replay` hand theirs over, so that one model and one board serve all.

A Unix socket in the data folder (mode 0600): whoever may read the store may join a call to it, nobody else. One line of
JSON asks; the answers are the call's events, one per line, until the call ends. Closing the socket hangs up. By it
other commands also have the program write for them (assist/live/writing.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from assist.errors import AssistError
from assist.events import SCREEN_ONLY, CallStarted, Event
from assist.live.resuming import RESUME_S
from assist.live.service import Service
from assist.live.writing import BEGINS, LINE_BYTES, socket_of, write
from assist.privacy.consent import Consent
from assist.store.codec import decode, encode
from audio.errors import AudioError
from audio.events import Speaker
from audio.source import CallSource

ALONE = (
    "another assist program hears one call by itself on this data folder and takes no others: wait until it ends, or "
    "run `assist serve`, which takes many"
)
LOST = "the running server went away in mid-call; what was heard is in its store"

_opening = ThreadPoolExecutor(4, thread_name_prefix="joining")
"""Calls that go on must not wait for the device of another, or until a long recording has been looked through; nor may
a sound server that hangs take the threads in which records are written."""


class Joining(BaseModel):
    """What is asked of the running server: a recording, or two devices."""

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
    """The customer's, as the phone system or CRM names it."""
    resume: str | None = None
    """Id of the call to go on with, which was cut short."""
    consent: Consent | None = Field(
        None, description="at the start; None: as the settings say, for a recording granted (who replays it has it)"
    )

    @property
    def agreed(self) -> Consent | None:
        """What is known about consent at the start; None leaves it to the settings."""
        return Consent.GRANTED if self.consent is None and self.recording is not None else self.consent

    @property
    def agreed_by(self) -> str:
        """Who says so."""
        return "command line" if self.consent is not None else "replay" if self.recording is not None else "settings"

    def source(self) -> CallSource:
        """The call source that is asked for.

        Raises:
            AudioError: the recording cannot be read, or a device is missing.
        """
        if self.recording is not None:
            from audio.recording import open_recording

            return open_recording(self.recording, agent_channel=self.agent_channel, speed=self.speed, mono=self.mono)
        from audio.live import open_devices

        return open_devices(agent=self.microphone, customer=self.far_end)


def begin(
    service: Service, asked: Joining, source: CallSource, on_event: Callable[[Event], None], *, in_step: bool = False
) -> tuple[str, asyncio.Task[str]]:
    """Start the call that is asked for, or go on with it: its id, and the task that ends with its record.

    Raises:
        AssistError: as `Service.start` and `Service.resume`.
    """
    if asked.resume is not None:
        return service.resume(asked.resume, source, agent=asked.agent, on_event=on_event)
    return service.start(
        source,
        agent=asked.agent,
        queue=asked.queue,
        caller=asked.caller,
        value=asked.value,
        consent=asked.agreed,
        consent_by=asked.agreed_by,
        in_step=in_step,
        replay=asked.recording is not None,
        on_event=on_event,
    )


@contextlib.asynccontextmanager
async def open_to_calls(service: Service, *, joins: bool = True) -> AsyncIterator[str]:
    """While the block runs, take calls handed over by other commands, and write what they ask; yields why that cannot
    be, empty where it can.

    `joins`: a program that hears one call and ends with it takes no others.
    """
    path = socket_of(service.settings.data)
    if path is None or not hasattr(asyncio, "start_unix_server"):
        yield "the path of the data folder is too long for a socket in it" if path is None else ""
        return
    server = None
    try:
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(
            lambda r, w: _take(service, r, w, joins), path=str(path), limit=LINE_BYTES
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
    data: Path, asked: Joining, show: Callable[[Event], None], hang_up: asyncio.Event | None = None
) -> str | None:
    """Hand a call to the server that runs on this data folder; its record's id, or None where no server runs.

    The id is empty where nothing was kept. `hang_up`, once set, ends the call; what is still said of it is shown.

    Raises:
        AssistError: code join-refused with the server's own line, or join-lost when it went away in mid-call.
    """
    path = socket_of(data)
    if path is None or not path.exists():
        return None
    try:
        asking = asked.model_dump_json().encode() + b"\n"
    except ValueError:
        raise AssistError("join-refused", "a running server can only be told names in UTF-8: rename the file") from None
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=LINE_BYTES)
    except OSError:
        return None
    hanging_up = asyncio.create_task(_hang_up(writer, hang_up)) if hang_up is not None else None
    try:
        writer.write(asking)
        await writer.drain()
        while (line := await reader.readline()).endswith(b"\n"):  # else the server was killed within it
            answer: dict[str, Any] = json.loads(line)
            if "refused" in answer:
                raise AssistError("join-refused", answer["refused"])
            if "ended" in answer:
                return str(answer["ended"])
            show(decode(answer["type"], answer["body"]))
        raise AssistError("join-lost", LOST)
    except ConnectionError:
        raise AssistError("join-lost", LOST) from None
    finally:
        if hanging_up is not None:
            hanging_up.cancel()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _hang_up(writer: asyncio.StreamWriter, asked: asyncio.Event) -> None:
    await asked.wait()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def join_and_stay(
    data: Path,
    asked: Joining,
    show: Callable[[Event], None],
    hang_up: asyncio.Event | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> str | None:
    """The same, and where the server goes away in mid-call and comes back in time, go on with the call there.

    A recording does not go on: nobody can say how much of it was heard. `tell` is given a line when the wait begins.

    Raises:
        AssistError: codes join-refused, join-lost.
    """
    call = ""
    hang_up = hang_up or asyncio.Event()

    def watch(event: Event) -> None:
        nonlocal call
        if isinstance(event, CallStarted):
            call = event.call
        show(event)

    try:
        return await join(data, asked, watch, hang_up)
    except AssistError as error:
        if error.code != "join-lost" or not call or asked.recording is not None:
            raise
        lost = error
    tell(
        f"The running server went away: nothing is heard now. The call goes on when it is back within {RESUME_S} s "
        "(`assist serve`); Ctrl-C ends it."
    )
    for _ in range(RESUME_S):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hang_up.wait(), 1.0)
            break
        try:
            ended = await join(data, asked.model_copy(update={"resume": call}), watch, hang_up)
        except AssistError as error:
            if error.code != "join-lost":
                raise
            continue
        if ended is not None:
            return ended
    raise lost


async def _take(service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, joins: bool) -> None:
    """Answer one connection: write what a command asks, or take its call until that ends."""

    def say(answer: dict[str, Any]) -> None:
        writer.write(json.dumps(answer).encode() + b"\n")

    def tell(event: Event) -> None:
        if not isinstance(event, SCREEN_ONLY):
            name, body = encode(event)
            say({"type": name, "body": body})

    try:
        line = await reader.readline()
        if line.startswith(BEGINS):
            say(await write(service, line))
        elif joins:
            asked = Joining.model_validate_json(line)
            loop = asyncio.get_running_loop()
            call, task = begin(service, asked, await loop.run_in_executor(_opening, asked.source), tell)
            say({"ended": await _to_its_end(service, call, task, reader)})
        else:
            say({"refused": ALONE})
        await writer.drain()
    except (AssistError, AudioError) as error:
        say({"refused": str(error)})
    except ValueError as error:
        say({"refused": f"not understood: {str(error).splitlines()[0]}"})
    except OSError:
        pass  # the command has gone; the call is recorded all the same
    finally:
        writer.close()


async def _to_its_end(service: Service, call: str, task: asyncio.Task[str], reader: asyncio.StreamReader) -> str:
    """Wait until the call is over, hung up where its command goes away; its record's id, empty where none was kept.

    Raises:
        AssistError: code call-failed. What the failure says of itself may hold a caller's words.
    """
    keeper = service.keepers[call]
    gone = asyncio.create_task(reader.read())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and call in service.calls:
            service.calls[call].hang_up()
        await asyncio.wait({task})
    finally:
        gone.cancel()
    if (failure := task.exception()) is not None:
        raise AssistError(
            "call-failed", f"call {call} failed ({type(failure).__name__}); what was heard is in the store"
        )
    return call if keeper.kept else ""
