"""Composition root: owns the store, the model, the pages and the live calls; calls become tasks here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from assist.access.audit import Audit, open_audit
from assist.coach.history import CALLS, History
from assist.coach.shelf import Shelf
from assist.errors import AssistError
from assist.events import Action, AlertMoved, CallEnded, CallStarted, Event
from assist.live.afterwards import Afterwards
from assist.live.call import CallListener, LiveCall
from assist.live.hearing import Hearing
from assist.live.keeping import Keeper
from assist.live.outset import Outset, began_at, new_id
from assist.live.resuming import rebuild, restore_level, resume_offset_ms, unstored_resume_offset_ms
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from assist.privacy.recordings import Tape
from assist.records.filing import close_interrupted, file_record
from assist.records.record import IncidentRecord
from assist.records.wrapup import form
from assist.screens.alerts import Rules
from assist.screens.duty import Duty
from assist.screens.screens import Screens
from assist.settings import Settings
from assist.store.searching import RecordQuery
from assist.store.sounds import Recordings
from assist.store.store import Store, open_store
from audio.events import Gap, Trouble
from audio.source import CallSource
from detectors.rulebook import Rulebook
from overlay.hub import Hub
from overlay.identity import folded

log = logging.getLogger("assist")


@dataclass
class Service:
    """Everything of one running program."""

    settings: Settings
    rulebook: Rulebook
    playbooks: Shelf
    hub: Hub
    hearing: Hearing
    address: str = ""
    """Where the pages are served."""
    store: Store = field(init=False)
    audit: Audit = field(init=False)
    """Opened once: a key that is lost while the program runs stops neither the audit log nor retention."""
    screens: Screens = field(init=False)
    duty: Duty = field(init=False)
    outset: Outset = field(init=False)
    after: Afterwards = field(init=False)
    history: History = field(default_factory=History)
    """What Plan B came to in the finished calls."""
    calls: dict[str, LiveCall] = field(default_factory=dict)
    keepers: dict[str, Keeper] = field(default_factory=dict)
    ending: bool = False
    """The program stops: no call begins or goes on any more."""
    begun: Callable[[str], None] = lambda call: None
    """Told when a call has begun, or goes on, and its pages show it."""
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
        self.duty = Duty(Rules(alerts.turn_s, alerts.budget, tuple(alerts.order)), self.hub, self._moved)
        interrupted = close_interrupted(self.store)
        self.history.take(self.store.digests(RecordQuery(limit=CALLS)))
        self.outset = Outset(settings, self.rulebook, self.playbooks, self.history)
        self.after = Afterwards(
            self.store, self.hub, self.duty, self.outset, lambda: self.hearing, self._phrases, turn_ms
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
        """Begin listening to a call, with the playbook as its file says now.

        The task ends with the call's record written, and gives the call's id. `value` is the customer's, as the phone
        system or CRM names it. `consent` is what is known about it at the start, and `consent_by` who says so; without
        it the settings decide. `replay`: it was recorded, and leaves the agent's page to a call that goes on there.
        `on_event` is given every event as well (a terminal, a bench); it runs on the event loop
        and must be quick.

        Raises:
            AssistError: codes store-behind, ending.
        """
        self._refuse_at_the_end()
        if self.store.behind:
            raise AssistError("store-behind", "nothing can be written to disk now: no new call begins until it can")
        playbook, problem = self.playbooks.take()
        self.screens.method, self.screens.steps = playbook.outline
        began = datetime.now(UTC).astimezone()
        call = new_id(began)
        started = self.outset.started(
            call, began, source, self.hearing, agent=agent, team=team, queue=queue, caller=caller, value=value
        )
        session = self.outset.session(started)
        session.gate = Gate(self.settings.consent_policy, consent or self.settings.consent, consent_by)
        live = LiveCall(session, partial(self._publish, call, on_event))
        if replay:
            self.screens.replays.add(call)
        task = self._begin(call, live, source, in_step=in_step)
        if problem:
            loop = asyncio.get_running_loop()
            loop.call_soon(live.report_trouble, Trouble(0, "playbook-kept", problem))
        return call, task

    def resume(
        self,
        call: str,
        source: CallSource,
        *,
        agent: str | None = None,
        on_event: Callable[[Event], None] | None = None,
        now: datetime | None = None,
    ) -> tuple[str, asyncio.Task[str]]:
        """Go on with a call that was cut short at most RESUME_S ago: its log is read, its time runs on.

        Of a call that was not kept there is no log; what was latched of it (consent, a pause) still holds, and whose it
        is must be said (`agent`).

        Raises:
            AssistError: codes resume-unknown, resume-not-cut-short, resume-late, ending.
        """
        self._refuse_at_the_end()
        logged = self.store.events(call)
        events = [event for _, event in logged]
        latched = self.store.gate(call) if not events and call not in self.calls else None
        if latched is not None and not Gate(ConsentPolicy(latched.policy), Consent(latched.consent)).kept:
            return self._resume_unkept(call, source, agent, on_event, now)
        if not events or not isinstance(events[0], CallStarted):
            raise AssistError("resume-unknown", f"no call {call!r} in this store; see `assist records list`")
        started, last = events[0], events[-1]
        if call in self.calls or not isinstance(last, CallEnded) or last.reason != "interrupted":
            raise AssistError("resume-not-cut-short", f"call {call} was not cut short: there is nothing to go on with")
        offset_ms = resume_offset_ms(started, last, now or datetime.now(UTC))
        session = self.outset.session(started)
        rebuild(session, events)
        restore_level(session, events)
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
        self.after.arrears.forget([call])
        for event in events:
            live.ledger.add(event)
        for alert in self.screens.resume(call, events):
            self.duty.restore(alert)
        task = self._begin(call, live, source, in_step=False)
        for speaker in source.speakers:
            live.report_gap(Gap(speaker, last.at_ms, offset_ms))
        lost_s = round((offset_ms - last.at_ms) / 1000)
        text = f"Listening again; the {lost_s} s before were not heard."
        live.report_trouble(Trouble(offset_ms, "call-resumed", text))
        self._still_paused(live)
        return call, task

    def _refuse_at_the_end(self) -> None:
        if self.ending:
            raise AssistError("ending", "the program stops: begin the call when it runs again")

    def _resume_unkept(
        self,
        call: str,
        source: CallSource,
        agent: str | None,
        on_event: Callable[[Event], None] | None,
        now: datetime | None,
    ) -> tuple[str, asyncio.Task[str]]:
        began = began_at(call)
        offset_ms = unstored_resume_offset_ms(call, began, now or datetime.now(UTC))
        session = self.outset.session(self.outset.started(call, began, source, self.hearing, agent=agent))
        session.now_ms = offset_ms
        live = LiveCall(
            session,
            partial(self._publish, call, on_event),
            offset_ms=offset_ms,
            interruptions=1,
        )
        task = self._begin(call, live, source, in_step=False)

        def begun() -> None:
            for speaker in source.speakers:
                live.report_gap(Gap(speaker, 0, offset_ms))
            self._still_paused(live)

        asyncio.get_running_loop().call_soon(begun)
        return call, task

    def _still_paused(self, live: LiveCall) -> None:
        """A call that was paused when it was cut short: pages and accounts are told that it still is."""
        if live.session.paused_since is not None:
            text = "the call was paused when the program was cut short"
            by = self.keepers[live.session.started.call].paused_by
            live.act(Action(live.session.now_ms, by, "system", "pause", detail=text))

    def _begin(self, call: str, live: LiveCall, source: CallSource, *, in_step: bool) -> asyncio.Task[str]:
        """Give the call its ears and its task."""
        loop = asyncio.get_running_loop()
        session = live.session
        listener = self.hearing.listener(
            source.speakers,
            in_step=in_step,
            wake=lambda: loop.call_soon_threadsafe(live.wake),
            phrases=self._phrases,
            owe=live.add_untranscribed,
            tone=folded(session.started.queue) not in map(folded, self.settings.internal_queues),
        )
        live.pulse = lambda: self.screens.pulse(call, session.now_ms, session.escalation.score)
        if self.settings.recordings:
            live.tape = Tape(Recordings(self.settings.data), call, tuple(source.speakers))
        keeper = Keeper(self.store, call)
        keeper.restore(session)
        self.calls[call], self.keepers[call] = live, keeper
        task = asyncio.create_task(self._live(call, live, source, listener), name=f"call {call}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        loop.call_soon(self.begun, call)  # after the task's first step
        return task

    @property
    def live(self) -> tuple[str, ...]:
        """Calls that go on now."""
        return tuple(self.calls)

    async def hang_up(self) -> None:
        """End every call and wait for the records; no other begins."""
        self.ending = True
        for live in list(self.calls.values()):
            live.hang_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.after.written()

    async def close(self) -> None:
        """Hang up, then let go of the store and the model."""
        await self.hang_up()
        await self.after.arrears.close()
        self.duty.close()
        await self.after.written()
        await asyncio.to_thread(self.store.close)
        self.hearing.close()

    async def _live(self, call: str, live: LiveCall, source: CallSource, listener: CallListener) -> str:
        """One guarded call: whatever happens to it, its record is written and no other call is touched."""
        try:
            await live.run(source, listener)
        except Exception as error:
            # The error's own text may hold what a caller said; its type and place do not.
            log.error("call %s failed: %s", call, type(error).__name__)
            raise
        finally:
            self.calls.pop(call, None)
            kept = self.keepers.pop(call).kept
            record = await asyncio.shield(asyncio.to_thread(self._write_record, call)) if kept else None
            if record is not None:
                self.history.take([record.model_dump()])
            else:  # refused after it was cut short, perhaps
                self.history.forget([call])
            self.duty.ended(call)
            self.screens.ended(call, form(record, [], self.settings) if record is not None else None)
            if record is not None:
                self.after.arrears.take(call, live.untranscribed)
        return call

    def _write_record(self, call: str) -> IncidentRecord:
        self.store.flush().result()
        return file_record(self.store, call, "ended")

    def forget(self, calls: Sequence[str], *, whole: bool = False) -> None:
        """The words of these calls are being erased: none of them stays in memory; `whole`: nor what came of them."""
        self.after.forget(calls)
        self.screens.forget(calls)
        if whole:
            self.history.forget(calls)

    @property
    def _phrases(self) -> tuple[str, ...]:
        return (self.settings.expect,) if self.settings.expect else ()

    def _publish(self, call: str, on_event: Callable[[Event], None] | None, number: int | None, event: Event) -> None:
        keeper = self.keepers[call]
        latched = keeper.take(number, event) if number is not None else None
        if latched is None:
            self.screens.show(call, event)
        else:
            # A pause or a word about consent is acknowledged on the pages when it is on disk, and with it everything
            # that was published because of it.
            loop = asyncio.get_running_loop()

            def written(receipt: Future[None]) -> None:
                loop.call_soon_threadsafe(self.screens.show, call, event)
                if (error := receipt.exception()) is not None:
                    loop.call_soon_threadsafe(self._not_erased, call, error)

            loop.call_soon(lambda: (keeper.latched or latched).add_done_callback(written))
        self.duty.take(call, event)
        if on_event is not None:
            on_event(event)

    def _moved(self, call: str, make: Callable[[int], AlertMoved]) -> None:
        live = self.calls.get(call)
        if live is not None:
            live.alert_moved(make)
        else:
            self.after.late.moved(call, make)

    def _not_erased(self, call: str, error: BaseException) -> None:
        text = f"what a pause or a refused consent takes out may still be on disk: {error}"
        log.error("call %s: %s", call, text)
        if (live := self.calls.get(call)) is not None:
            live.report_trouble(Trouble(live.session.now_ms, "not-erased", text))

    def _store_trouble(self, line: str | None) -> None:
        for live in self.calls.values():
            at_ms = live.session.now_ms
            text = line or "writing to disk works again; everything is there"
            live.report_trouble(Trouble(at_ms, "store-failed", text, cleared=line is None))
