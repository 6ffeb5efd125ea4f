"""What the commands run: one program with its pages, and a call (or none) in it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from assist.access.audit import Audit
from assist.access.authentication import open_authentication
from assist.coach.reloading import ReloadingPlaybook
from assist.errors import AssistError
from assist.events import CallStarted, Event
from assist.live.call_setup import unknown_authorities
from assist.live.gates import Gates
from assist.live.joining import Joining, accept_calls, join_and_resume, start_call
from assist.live.loading import load_hearing
from assist.live.page_actions import PageActions
from assist.live.service import Service
from assist.live.terminal import Terminal
from assist.privacy.clock_check import begin_run
from assist.privacy.consent import Consent
from assist.privacy.gate_key import gate_key
from assist.privacy.retention import erase_due, find_due
from assist.records.library import Library
from assist.records.page import page
from assist.records.record import read_record
from assist.screens.rooms import address_of
from assist.settings import Settings
from assist.store.lock import check_not_in_use
from assist.store.recordings import Recordings
from assist.store.store import path_from_url
from assist.store.writer import StoreReadError, read_error_line
from detectors.factory import DetectorSettings, build_detectors
from detectors.rulebook import load_rules
from overlay.app import create_app
from overlay.errors import OverlayError
from overlay.gate import GateEndpoint
from overlay.http_server import check_dates, check_port, serving
from overlay.hub import Hub
from overlay.identity import exposure

log = logging.getLogger("assist")

RETENTION_INTERVAL_S = 86_400
RETENTION_RETRY_S = 3_600
"""After a run that failed or was put off."""
RETENTION_STOP_S = 10.0
"""How long a run that has begun is waited for when the program stops."""
NOT_STORED = (
    "Nothing of this call was kept: consent to it was not given (--consent granted, or key C on the agent's page)."
)
UNANSWERED = "the running server has not answered that the call is to end; what was heard is in its store"


@contextlib.asynccontextmanager
async def running_service(
    settings: Settings, console: Console, *, any_port: bool = False, keep_trying: bool = False, joins: bool = False
) -> AsyncIterator[Service]:
    """A service with its pages served; closed in order on the way out.

    `keep_trying`: start without a recogniser where none can be loaded. `joins`: accept calls of other commands.
    """
    check_not_in_use(path_from_url(settings.store_url))  # before seconds of loading
    if not any_port:
        check_port(settings.host, settings.port)
    rulebook = load_rules(extra=settings.rules)
    build_detectors(rulebook, DetectorSettings(meaning=settings.meaning))
    playbooks = ReloadingPlaybook(settings.playbook, settings.options)
    if odd := unknown_authorities(settings, playbooks.book):
        console.print(f"Look at {odd}.", markup=False, soft_wrap=True)
    hearing = load_hearing(settings, console, keep_trying=keep_trying)
    service = Service(settings, rulebook, playbooks, Hub(), hearing)
    for call in service.open():
        console.print(f"Call {call} was cut short earlier; its record is kept, marked interrupted.", markup=False)
    try:
        authentication = open_authentication(settings, service.store.people, service.audit)
        login_name = service.setup.login_name = authentication.screens.login_name
        page_actions = PageActions(service, service.audit, login_name)
        sounds = Recordings(settings.data)
        library = Library(service.store, settings.review_form, service.audit, sounds, settings.keep, login_name)
        gate = GateEndpoint(Gates(service).do, gate_key(settings.data), settings.payment_pages)
        app = create_app(
            service.hub,
            page_actions.do,
            library,
            authentication.screens,
            page_actions.presence,
            authentication.accounts,
            authentication.logins,
            gate,
            FAILURES,
        )
        async with contextlib.AsyncExitStack() as stack:
            refresh = asyncio.create_task(authentication.keep_refreshing())
            stack.callback(refresh.cancel)
            elsewhere = console.print if any_port else None
            base = await stack.enter_async_context(serving(app, settings.host, settings.port, elsewhere=elsewhere))
            closed = await stack.enter_async_context(accept_calls(service, joins=joins))
            service.address = base
            agent, named = service.setup.login_name(settings.agent), _public_address(base, settings)
            service.screens.show_waiting(agent)
            console.print(
                f"Agent:  {named}{address_of(agent)}\nBoard:  {named}/board\nReview: {named}/review", markup=False
            )
            if not settings.hosts and exposure(settings.host, (), settings.proxies):
                console.print(
                    "Browsers elsewhere are refused until hosts in the settings says what they call this server, such "
                    f"as assist.example:{urlsplit(base).port}; behind a proxy, as it passes the name on.",
                    soft_wrap=True,
                )
            if ends := _certificate_warning(settings):
                console.print(ends, markup=False, soft_wrap=True)
            if joins and closed:
                console.print(
                    f"No call can join, and no other command write, while this runs: {closed}. Choose another than "
                    f"{settings.data} (--data).",
                    markup=False,
                    soft_wrap=True,
                )
            yield service
            await service.hang_up()
    finally:
        await service.close()


def _failure_line(error: Exception) -> str:
    """What a page is told where store or keys fail; so is the log, in a line: its traceback would be the database's."""
    line = read_error_line(error) or str(error)
    log.error("a page was answered: %s", line)
    return line


FAILURES: dict[type[Exception], Callable[[Exception], str]] = {
    AssistError: _failure_line,
    StoreReadError: _failure_line,
}


def _certificate_warning(settings: Settings) -> str:
    """One line where browsers refuse the certificate for its dates, or soon will; they say so to the agents alone."""
    if settings.certificate is None or settings.certificate_key is None:
        return ""
    try:
        return check_dates(settings.certificate, settings.certificate_key, datetime.now(UTC))
    except OverlayError as error:
        return str(error)


def _public_address(base: str, settings: Settings) -> str:
    """The address to print: one that browsers may use."""
    at = urlsplit(base)
    if settings.hosts and at.port == settings.port:  # else what the names lead to is another program
        return f"{'https' if settings.certificate or settings.proxies else 'http'}://{settings.hosts[0]}"
    this_machine = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(at.hostname or "")
    return f"{at.scheme}://{this_machine}:{at.port}" if this_machine else base


def run_demo(settings: Settings, console: Console, *, speed: float, any_port: bool, browser: bool | None) -> None:
    """The bundled sample call, from its real sound."""
    from assist.sound import DEMO_SOUND
    from audio.recording import open_recording

    async def run() -> None:
        source, show = open_recording(DEMO_SOUND, agent_channel=0, speed=speed), Terminal(console).show
        demo = settings.model_copy(update={"agent": "Dana", "team": "Billing"})
        async with running_service(demo, console, any_port=any_port) as service:
            if browser if browser is not None else _on_a_terminal():
                webbrowser.open(f"{service.address}/agent/Dana")
            in_step = math.isinf(speed)
            started = service.start(
                source, caller="…0142", consent=Consent.GRANTED, consent_by="demo", in_step=in_step, on_event=show
            )
            call = await _until_ended(service, *started)
            _write_record_files(service, call, console)
            if _on_a_terminal():
                console.print(f"Review it at {service.address}/review/{call} – Ctrl-C ends the program.", markup=False)
                await _until_stopped()
            Terminal(console).say("The pages end here; to see this call on them: `assist serve`")

    _run(run)


def run_call(settings: Settings, console: Console, request: Joining, ignored_options: Sequence[str] = ()) -> None:
    """A recorded call, or a live one on two devices; in the server that runs on this data folder, or by itself.

    `ignored_options`: options given that a running server ignores; people are told if one takes the call.
    """

    async def run() -> None:
        terminal, hang_up = Terminal(console), asyncio.Event()

        def show(event: Event) -> None:
            nonlocal ignored_options
            if isinstance(event, CallStarted) and ignored_options:
                terminal.say(
                    f"The running server hears this call with its own settings, not with {', '.join(ignored_options)}."
                )
                ignored_options = ()
            terminal.show(event)

        joining = asyncio.ensure_future(join_and_resume(settings.data, request, show, hang_up, terminal.say))

        def stop() -> None:
            if hang_up.is_set():  # asked again: the server does not answer
                joining.cancel()
            hang_up.set()

        with _on_stop(stop):
            try:
                call = await joining
            except asyncio.CancelledError:
                raise AssistError("join-lost", UNANSWERED) from None
        if call is not None:
            terminal.say(f"The running server has the record: `assist records show {call}`" if call else NOT_STORED)
            return
        source = request.source()
        async with running_service(settings, console, any_port=True) as service:
            started = await start_call(service, request, source, terminal.show)
            call = await _until_ended(service, *started)
            _write_record_files(service, call, console)

    _run(run)


def run_server(settings: Settings, console: Console) -> None:
    """The pages, and every call that joins, until stopped."""

    async def run() -> None:
        async with (
            running_service(settings, console, keep_trying=True, joins=True) as service,
            scheduled_retention(service),
        ):
            console.print("Ready. Ctrl-C stops it.")
            await _until_stopped()

    _run(run)


@contextlib.asynccontextmanager
async def scheduled_retention(service: Service) -> AsyncIterator[None]:
    """While the block runs, delete what is past its retention period: at once, then daily; RETENTION_RETRY_S after a
    run that failed, or was put off because the clock is doubted.

    On exit a run in progress is waited for, RETENTION_STOP_S at most: it writes to the store that is closed next.
    Closing ends one that waits longer, as for a full disk.
    """
    stopping = asyncio.Event()

    async def daily() -> None:
        while not stopping.is_set():
            settings, now, next_s = service.settings, datetime.now(UTC), RETENTION_INTERVAL_S
            await asyncio.to_thread(_ensure_audit_key, service.audit)
            try:
                found = await asyncio.to_thread(find_due, service.store, settings.keep, now, settings.data)
                await asyncio.to_thread(begin_run, service.store, service.audit, found, now)
                try:
                    await asyncio.to_thread(
                        erase_due, service.store, service.audit, settings.keep, settings.data, now, found
                    )
                finally:  # one step that fails keeps none of the others from being done
                    service.forget(found.words)
                    service.forget(found.records, whole=True)
            except Exception as error:  # the calls go on; `assist doctor` says what is overdue
                next_s = RETENTION_RETRY_S
                why = error if isinstance(error, AssistError) else type(error).__name__
                waits = isinstance(error, AssistError) and error.code == "clock-doubted"
                log.error("the retention run %s, the next one is in an hour: %s", "waits" if waits else "failed", why)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), next_s)

    task = asyncio.create_task(daily())
    try:
        yield
    finally:
        stopping.set()
        await asyncio.wait([task], timeout=RETENTION_STOP_S)
        _ensure_audit_key(service.audit)


def _ensure_audit_key(audit: Audit) -> None:
    """Put the audit log's key back where it is gone: without it this program does not start again."""
    try:
        if audit.restore_key_file():
            log.error("audit.key was gone from the data folder, and is put back: keep a copy of it elsewhere")
    except OSError as error:
        log.error("audit.key is gone and cannot be put back, and nothing starts without it: %s", error)


async def _until_ended(service: Service, call: str, task: asyncio.Task[str]) -> str:
    """Wait until the call is over; Ctrl-C or SIGTERM hangs up and the record is still written."""
    with _on_stop(lambda: service.calls[call].hang_up() if call in service.calls else None):
        return await task


def _write_record_files(service: Service, call: str, console: Console) -> None:
    """Write the record beside the store as JSON and HTML, for the store's owner only, and say where."""
    body = service.store.record(call)
    if body is None:
        console.print(NOT_STORED, markup=False, soft_wrap=True)
        return
    folder = service.settings.data / "records"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # one that an earlier version made
    out = folder / f"{call}.html"
    texts = {
        folder / f"{call}.json": json.dumps(body, ensure_ascii=False, indent=2),
        out: page(read_record(body)),
    }
    for path, text in texts.items():
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    console.print(f"Incident record: {out}", markup=False, soft_wrap=True)


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextlib.contextmanager
def _on_stop(stop: Callable[[], object]) -> Iterator[None]:
    loop, numbers = asyncio.get_running_loop(), [signal.SIGINT, signal.SIGTERM]
    # A terminal that is closed ends what runs in it as Ctrl-C does, but where it was started to outlive it (nohup).
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    came: set[signal.Signals] = set()

    def stopping(number: signal.Signals) -> None:
        came.add(number)
        stop()

    for number in numbers:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt instead
            loop.add_signal_handler(number, stopping, number)
    try:
        yield
    finally:
        for number in numbers:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            if number in came and number not in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # shell and system both tell that the terminal has gone


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    with _on_stop(stopped.set):
        await stopped.wait()


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asyncio.run(main())
