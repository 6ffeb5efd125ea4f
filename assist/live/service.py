"""Composition root: owns the store, the model, the pages and the live calls; calls become tasks here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from assist.access.audit import Audit, open_audit
from assist.coach.history import History, first_day
from assist.coach.reloading import ReloadingPlaybook
from assist.errors import AssistError
from assist.events import Action, AlertMoved, CallEnded, CallStarted, Event
from assist.live.call import CallListener, LiveCall
from assist.live.call_log import CallLog
from assist.live.call_setup import CallSetup, new_call_id, started_at_of
from assist.live.hearing import Hearing
from assist.live.post_call import PostCall
from assist.live.resuming import HeldSound, last_end, rebuild, resume_offset_ms, unstored_resume_offset_ms
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from assist.privacy.recorder import CallRecorder
from assist.privacy.retention import held_calls
from assist.records.filing import close_interrupted, file_record
from assist.records.record import IncidentRecord
from assist.records.wrapup import wrap_up_form
from assist.screens.alert_routing import RoutingRules
from assist.screens.duty import Duty
from assist.screens.screens import Screens
from assist.settings import Settings
from assist.store.recordings import Recordings
from assist.store.searching import RecordQuery
from assist.store.store import Store, open_store
from audio.events import Gap, Trouble
from audio.source import CallSource
from detectors.rulebook import Rulebook
from overlay.hub import Hub
from overlay.identity import casefolded

log = logging.getLogger("assist")

_resume_thread = ThreadPoolExecutor(1, thread_name_prefix="resuming")
"""Reads and replays the logs of calls that are resumed, one at a time: the live calls need the processor."""
T = TypeVar("T")


@dataclass
class Service:
    """The running program."""

    settings: Settings
    rulebook: Rulebook
    playbooks: ReloadingPlaybook
    hub: Hub
    hearing: Hearing
    address: str = ""
    """Where the pages are served."""
    store: Store = field(init=False)
    audit: Audit = field(init=False)
    """Opened once: losing its key file while the program runs stops neither the audit log nor retention."""
    screens: Screens = field(init=False)
    duty: Duty = field(init=False)
    setup: CallSetup = field(init=False)
    post_call: PostCall = field(init=False)
    history: History = field(default_factory=History)
    """Outcomes of Plan B offers in finished calls."""
    calls: dict[str, LiveCall] = field(default_factory=dict)
    call_logs: dict[str, CallLog] = field(default_factory=dict)
    stopping: bool = False
    """The program is stopping: no call may start or be resumed."""
    on_call_begun: Callable[[str], None] = lambda call: None
    """Called with the id of a call that has begun or is resumed, once its pages show it."""
    _reserved: set[str] = field(default_factory=set)
    """Calls that are not live, but whose record is being written, or whose log is being read to resume them."""
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def open(self) -> list[str]:
        """Open the store; close calls that an earlier run left open. Returns their ids. Call it on the event loop.

        Raises:
            AssistError: as `open_store` and `open_audit`.
        """
        loop = asyncio.get_running_loop()

        def on_trouble(line: str | None) -> None:
            loop.call_soon_threadsafe(self._store_trouble, line)

        settings, alerts = self.settings, self.settings.alerts
        self.store = open_store(settings.store_url, on_trouble)
        try:
            self.audit = open_audit(self.store.people, settings.data)
        except AssistError:
            self.store.close()
            raise
        turn_ms = round(alerts.turn_s * 1000)
        self.screens = Screens(self.hub, settings.supervisor, self.hearing, *self.playbooks.book.outline, turn_ms)
        self.duty = Duty(RoutingRules(alerts.turn_s, alerts.budget, tuple(alerts.order)), self.hub, self._alert_moved)
        interrupted = close_interrupted(self.store)
        since = first_day(self.playbooks.book.options, datetime.now().astimezone().date())
        self.history.take(self.store.digests(RecordQuery(since=since.isoformat(), offered=True, limit=None)))
        self.setup = CallSetup(settings, self.rulebook, self.playbooks, self.history)
        self.post_call = PostCall(
            self.store, self.hub, self.duty, self.setup, lambda: self.hearing, self._phrases, turn_ms
        )
        return interrupted

    def start(
        self,
        source: CallSource,
        *,
        agent: str | None = None,
        team: str | None = None,
        queue: str = "",
        caller: str = "",
        value: str = "",
        consent: Consent | None = None,
        consent_by: str = "settings",
        in_step: bool = False,
        replay: bool = False,
        on_event: Callable[[Event], None] | None = None,
    ) -> tuple[str, asyncio.Task[str]]:
        """Start a call, with the playbook read anew from its file.

        The task ends with the call's record written, and gives the call's id. `value` is the customer's, as the phone
        system or CRM names it. `consent` is what is known about it at the start, and `consent_by` who says so; without
        it the settings decide. `replay`: the call is a recording, and leaves the agent's page to a live call.
        `on_event` is given every event as well (a terminal, a bench); it runs on the event loop
        and must be quick.

        Raises:
            AssistError: codes store-behind, ending.
        """
        self._refuse_when_stopping()
        if self.store.backlog_full:
            raise AssistError("store-behind", "nothing can be written to disk now: no new call begins until it can")
        playbook, problem = self.playbooks.current()
        self.screens.method, self.screens.steps = playbook.outline
        began = datetime.now(UTC).astimezone()
        call = new_call_id(began)
        started = self.setup.call_started(
            call, began, source, self.hearing, agent=agent, team=team, queue=queue, caller=caller, value=value
        )
        session = self.setup.new_session(started)
        session.gate = Gate(self.settings.consent_policy, consent or self.settings.consent, consent_by)
        live = LiveCall(session, partial(self._publish, call, on_event), in_step=in_step)
        if replay:
            self.screens.replays.add(call)
        task = self._begin(call, live, source)
        if problem:
            loop = asyncio.get_running_loop()
            loop.call_soon(live.report_trouble, Trouble(0, "playbook-kept", problem))
        return call, task

    async def resume(
        self,
        call: str,
        source: CallSource,
        *,
        agent: str | None = None,
        queue: str = "",
        caller: str = "",
        value: str = "",
        on_event: Callable[[Event], None] | None = None,
        now: datetime | None = None,
    ) -> tuple[str, asyncio.Task[str]]:
        """Resume a call that was interrupted at most RESUME_S ago: its log is replayed, call time runs on.

        The sound is taken from now on, also while the log is replayed, and other calls are not kept waiting.

        A call that was not stored has no log; its stored gate (consent, a pause) still holds, and what is known of it
        must be said again: its agent, queue, caller and value.

        Raises:
            AssistError: codes resume-unknown, resume-busy, resume-not-cut-short, resume-late, ending.
        """
        self._refuse_when_stopping()
        if call in self._reserved:
            raise AssistError("resume-busy", f"call {call} is just ending or being resumed: try again in a moment")
        if call in self.calls:
            raise _not_cut_short(call)
        now = now or datetime.now(UTC)
        self._reserved.add(call)
        sound = HeldSound(source)
        try:
            logged = await self._in_resume_thread(self.store.events, call)
            if logged:
                return call, await self._resume_stored(call, sound, logged, on_event, now)
            gate = self.store.gate(call)
            if gate is None or Gate(ConsentPolicy(gate.policy), Consent(gate.consent)).may_store:
                raise _unknown(call)
            began = started_at_of(call)
            offset_ms = unstored_resume_offset_ms(call, began, now)
            if gate.ended:
                raise _not_cut_short(call)
            started = self.setup.call_started(
                call, began, sound, self.hearing, agent=agent, queue=queue, caller=caller, value=value
            )
            return call, self._resume_unkept(started, sound, offset_ms, on_event)
        except BaseException:
            await sound.close()
            raise
        finally:
            self._reserved.discard(call)

    async def _in_resume_thread(self, do: Callable[..., T], *given: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(_resume_thread, do, *given)

    async def _resume_stored(
        self,
        call: str,
        source: CallSource,
        logged: Sequence[tuple[int, Event]],
        on_event: Callable[[Event], None] | None,
        now: datetime,
    ) -> asyncio.Task[str]:
        events = [event for _, event in logged]
        started, last = events[0], last_end(events)
        if not isinstance(started, CallStarted):
            raise _unknown(call)
        if last is None or last.reason != "interrupted":
            raise _not_cut_short(call)
        offset_ms = resume_offset_ms(started, last, now)
        session = self.setup.new_session(started)
        await self._in_resume_thread(rebuild, session, events)
        self._refuse_when_stopping()
        session.now_ms = offset_ms
        interruptions = sum(isinstance(event, CallEnded) for event in events)
        live = LiveCall(
            session,
            partial(self._publish, call, on_event),
            next_number=logged[-1][0] + 1,
            offset_ms=offset_ms,
            interruptions=interruptions,
        )
        self.store.reopen(call)
        self.post_call.forget([call])
        for event in events:
            live.ledger.add(event)
        for alert in self.screens.resume(call, events):
            self.duty.restore(alert)
        task = self._begin(call, live, source)
        for speaker in source.speakers:
            live.report_gap(Gap(speaker, last.at_ms, offset_ms))
        live.report_resumed(self.setup.versions(self.hearing))
        lost_s = round((offset_ms - last.at_ms) / 1000)
        text = f"Listening again; the {lost_s} s before were not heard."
        live.report_trouble(Trouble(offset_ms, "call-resumed", text))
        self._report_still_paused(live)
        return task

    def _refuse_when_stopping(self) -> None:
        if self.stopping:
            raise AssistError("ending", "the program stops: begin the call when it runs again")

    def _resume_unkept(
        self,
        started: CallStarted,
        source: CallSource,
        offset_ms: int,
        on_event: Callable[[Event], None] | None,
    ) -> asyncio.Task[str]:
        session = self.setup.new_session(started)
        session.now_ms = offset_ms
        live = LiveCall(
            session,
            partial(self._publish, started.call, on_event),
            offset_ms=offset_ms,
            interruptions=1,
        )
        task = self._begin(started.call, live, source)

        def begun() -> None:
            for speaker in source.speakers:
                live.report_gap(Gap(speaker, 0, offset_ms))
            self._report_still_paused(live)

        asyncio.get_running_loop().call_soon(begun)
        return task

    def _report_still_paused(self, live: LiveCall) -> None:
        """Publish the pause of a call that was paused when it was interrupted, for pages and time accounting."""
        if live.session.paused_since is not None:
            text = "the call was paused when the program was cut short"
            by = self.call_logs[live.session.started.call].paused_by
            live.act(Action(live.session.now_ms, by, "system", "pause", detail=text))

    def _begin(self, call: str, live: LiveCall, source: CallSource) -> asyncio.Task[str]:
        """Give the call its listener, recording, log and task."""
        loop = asyncio.get_running_loop()
        session = live.session
        listener = self.hearing.listener(
            source.speakers,
            in_step=live.in_step,
            wake=lambda: loop.call_soon_threadsafe(live.wake),
            phrases=self._phrases,
            on_untranscribed=live.add_untranscribed,
            tone=casefolded(session.started.queue) not in map(casefolded, self.settings.internal_queues),
        )
        live.pulse = lambda: self.screens.pulse(call, session.now_ms, session.escalation.score)
        if self.settings.recordings:
            live.recorder = CallRecorder(
                Recordings(self.settings.data),
                call,
                tuple(source.speakers),
                lambda: call in held_calls(self.store),
            )
        call_log = CallLog(self.store, call)
        call_log.restore(session)
        self.calls[call], self.call_logs[call] = live, call_log
        task = asyncio.create_task(self._run_call(call, live, source, listener), name=f"call {call}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        loop.call_soon(self.on_call_begun, call)  # after the task's first step
        return task

    @property
    def live_calls(self) -> tuple[str, ...]:
        """Ids of the live calls, and of those that are just ending or being resumed."""
        return (*self.calls, *self._reserved)

    async def hang_up(self) -> None:
        """End every call and wait for the records; no other call may start."""
        self.stopping = True
        for live in list(self.calls.values()):
            live.hang_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.post_call.flush()

    async def close(self) -> None:
        """Hang up, then close the store and the recogniser."""
        await self.hang_up()
        await self.post_call.backfill.close()
        self.duty.close()
        await self.post_call.flush()
        await asyncio.to_thread(self.store.close)
        self.hearing.close()

    async def _run_call(self, call: str, live: LiveCall, source: CallSource, listener: CallListener) -> str:
        """Run one call: whatever happens in it, its record is written and no other call is affected."""
        record = None
        try:
            await live.run(source, listener)
        except Exception as error:
            # The error's own text may hold what a caller said; its type and place do not.
            log.error("call %s failed: %s", call, type(error).__name__)
            raise
        finally:
            self._reserved.add(call)
            del self.calls[call]
            call_log = self.call_logs.pop(call)
            try:
                self._keep_urgent_alerts(live)  # first: no turn is lost while a disk is slow
                if call_log.has_stored:
                    record = await self.post_call.file(call, partial(self._write_record, call))
                elif live.end_reason != "interrupted":
                    await asyncio.wrap_future(call_log.end())
            finally:
                self._reserved.discard(call)
                self.screens.ended(call, wrap_up_form(record, [], self.settings) if record is not None else None)
            if record is not None:
                self.history.take([record.model_dump()])
                self.post_call.backfill.add_call(call, live.untranscribed)
            else:  # refused after it was interrupted, perhaps
                self.history.forget([call])
        return call

    def _keep_urgent_alerts(self, live: LiveCall) -> None:
        """The call has ended: what is urgent rings on, until a supervisor has settled it."""
        session = live.session
        call = session.started.call
        still_open, alerts = self.duty.ended(call), self.screens.alerts_of(call)
        if alerts is None:
            self.duty.forget(call)
        else:
            self.post_call.late.outlive(alerts, still_open, session.now_ms, session.quotes)

    def _write_record(self, call: str) -> IncidentRecord | None:
        self.store.flush().result()
        return file_record(self.store, call, "ended")

    def forget(self, calls: Sequence[str], *, whole: bool = False) -> None:
        """Drop the words of calls that are being erased from memory; `whole`: the outcomes of their offers, too."""
        self.post_call.forget(calls)
        self.screens.forget(calls)
        if whole:
            self.history.forget(calls)

    @property
    def _phrases(self) -> tuple[str, ...]:
        return (self.settings.expect,) if self.settings.expect else ()

    def _publish(self, call: str, on_event: Callable[[Event], None] | None, number: int | None, event: Event) -> None:
        call_log = self.call_logs[call]
        receipt = call_log.write(number, event) if number is not None else None
        if receipt is None:
            self.screens.show(call, event)
        else:
            # The pages show a pause or a change of consent only when it is on disk, with all events that followed from
            # it: `call_log.receipt` is read in the next step of the loop, as these may have replaced it.
            loop = asyncio.get_running_loop()

            def written(done: Future[None]) -> None:
                loop.call_soon_threadsafe(self.screens.show, call, event)
                if (error := done.exception()) is not None:
                    loop.call_soon_threadsafe(self._not_erased, call, error)

            loop.call_soon(lambda: (call_log.receipt or receipt).add_done_callback(written))
        self.duty.take(call, event)
        if on_event is not None:
            on_event(event)

    def _alert_moved(self, call: str, make: Callable[[int], AlertMoved]) -> None:
        live = self.calls.get(call)
        if live is not None:
            live.alert_moved(make)
        else:
            self.post_call.late.moved(call, make)

    def _not_erased(self, call: str, error: BaseException) -> None:
        text = f"what a pause or a refused consent takes out may still be on disk: {error}"
        log.error("call %s: %s", call, text)
        if isinstance(error, AssistError) and error.code == "on-hold":
            self.audit.note("", "program", "refused-on-hold", call)
        if (live := self.calls.get(call)) is not None:
            live.report_trouble(Trouble(live.session.now_ms, "not-erased", text))

    def _store_trouble(self, line: str | None) -> None:
        for live in self.calls.values():
            at_ms = live.session.now_ms
            text = line or "writing to disk works again; everything is there"
            live.report_trouble(Trouble(at_ms, "store-failed", text, cleared=line is None))


def _unknown(call: str) -> AssistError:
    return AssistError("resume-unknown", f"no call {call!r} in this store; see `assist records list`")


def _not_cut_short(call: str) -> AssistError:
    return AssistError("resume-not-cut-short", f"call {call} was not cut short: there is nothing to go on with")
