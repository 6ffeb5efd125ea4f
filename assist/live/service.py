"""Composition root: owns the store, the model, the pages and the live calls; calls become tasks here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from assist.coach.coach import AgentProfile, Coach
from assist.coach.history import CALLS, History
from assist.coach.parts import Playbook
from assist.coach.planb import Caller
from assist.coach.shelf import Shelf
from assist.errors import AssistError
from assist.events import Action, AlertMoved, CallEnded, CallStarted, Event, SignalRaised, TranscribedLate
from assist.live.arrears import Arrears, add_after, add_late
from assist.live.call import Ears, LiveCall
from assist.live.keeping import Keeper
from assist.live.resuming import rebuild
from assist.live.session import AUTOMATIC, Session
from assist.privacy.autopause import AutoPause
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from assist.privacy.recordings import Tape
from assist.records.folding import fold
from assist.records.record import IncidentRecord
from assist.records.seal import seal
from assist.records.wrapup import form
from assist.screens.alerts import Rules
from assist.screens.duty import Duty
from assist.screens.late import LateAlerts
from assist.screens.screens import Screens
from assist.settings import Settings
from assist.store.codec import decode
from assist.store.searching import RecordQuery
from assist.store.sounds import Recordings
from assist.store.store import Store, open_store
from audio.events import Gap, Pcm, Trouble, Utterance, Word
from audio.owed import Room
from audio.recogniser import Recogniser
from audio.source import CallSource
from detectors.escalation import Escalation
from detectors.roster import RosterSettings, build
from detectors.rulebook import Rulebook
from detectors.signals import Level, LevelChange
from overlay.hub import Hub

log = logging.getLogger("assist")

RESUME_S = 120
"""A call that was cut short longer ago is over."""
UNKEPT_S = 12 * 3600
"""When a call that was not kept was cut short, nobody can say; one that began longer ago is over."""


@dataclass(slots=True)
class Hearing:
    """The recogniser as the service needs it; another may take its place while calls go on."""

    line: str
    """What is being used and how to get better, for the terminal and the pages."""
    name: str
    version: str
    embedded: bool
    listener: Callable[..., Ears]
    """(speakers, in_step, wake, phrases, tone, owe) -> a listener of its own for one call; tone: measure the voice;
    owe: takes the speech whose words are not known when the call ends."""
    close: Callable[[], None]
    recogniser: Callable[[], Recogniser | None] = lambda: None
    """What listens now."""
    later: Callable[[Pcm, tuple[str, ...], Callable[[tuple[Word, ...] | None], None]], None] = lambda *_: None
    """Have a whole utterance decoded where no live call has anything to decode (audio/scheduling.py)."""
    room: Room = field(default_factory=lambda: Room(0))
    """For speech that waits for a recogniser."""
    arrived: Callable[[], None] = lambda: None
    """Called, from any thread, when a recogniser has come where there was none."""

    def take(self, recogniser: Recogniser, line: str) -> None:
        """This recogniser listens from now on."""
        self.line, self.name, self.version = line, recogniser.name, recogniser.version
        self.embedded = recogniser.embedded


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
    screens: Screens = field(init=False)
    duty: Duty = field(init=False)
    arrears: Arrears = field(init=False)
    late: LateAlerts = field(init=False)
    history: History = field(default_factory=History)
    """What Plan B came to in the finished calls."""
    calls: dict[str, LiveCall] = field(default_factory=dict)
    keepers: dict[str, Keeper] = field(default_factory=dict)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _amending: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the log of an ended call grows."""

    def open(self) -> list[str]:
        """Open the store; close calls that an earlier run left open. Returns their ids. Call it on the event loop."""
        loop = asyncio.get_running_loop()

        def on_trouble(line: str | None) -> None:
            loop.call_soon_threadsafe(self._store_trouble, line)

        self.store = open_store(self.settings.store_url, on_trouble)
        self.screens = Screens(
            self.hub,
            self.settings.supervisor,
            self.hearing,
            *_method(self.playbooks.book),
            round(self.settings.alerts.turn_s * 1000),
        )
        alerts = self.settings.alerts
        self.duty = Duty(Rules(alerts.turn_s, alerts.budget, tuple(alerts.order)), self.hub, self._moved)
        interrupted = []
        for stored in self.store.calls("live"):
            events = self.store.events(stored.call)
            if not events or not isinstance(events[0][1], CallStarted):  # cut short before its first event was kept
                self.store.erase([stored.call]).result()
                continue
            last_n, last = events[-1]
            if not isinstance(last, CallEnded):
                at_ms = max(getattr(event, "at_ms", getattr(event, "end_ms", 0)) for _, event in events)
                self.store.append(stored.call, last_n + 1, CallEnded(at_ms, "interrupted")).result()
            record = self._fold(stored.call)
            self.store.finish(stored.call, "interrupted", record.model_dump(mode="json")).result()
            interrupted.append(stored.call)
        self.history.take(self.store.digests(RecordQuery(limit=CALLS)))
        self.arrears = Arrears(
            lambda *asked: self.hearing.later(*asked),
            lambda: self.hearing.recogniser() is not None,
            self._add_late,
            phrases=self._phrases,
            room=self.hearing.room,
            wait_s=self.settings.backfill_wait_s,
        )

        def arrived() -> None:
            with contextlib.suppress(RuntimeError):  # the program has ended
                loop.call_soon_threadsafe(self.arrears.go)

        self.hearing.arrived = arrived
        self.late = LateAlerts(self.hub, self.duty, self.screens.turn_ms, self._keep_after)
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
        listener: Callable[[Event], None] | None = None,
    ) -> tuple[str, asyncio.Task[str]]:
        """Begin listening to a call, with the playbook as its file says now.

        The task ends with the call's record written, and gives the call's id. `value` is the customer's, as the phone
        system or CRM names it. `consent` is what is known about it at the start, and `consent_by` who says so; without
        it the settings decide. `listener` is told every event as well (a terminal, a bench); it runs on the event loop
        and must be quick.

        Raises:
            AssistError: code store-behind.
        """
        if self.store.behind:
            raise AssistError("store-behind", "nothing can be written to disk now: no new call begins until it can")
        playbook, problem = self.playbooks.take()
        self.screens.method, self.screens.steps = _method(playbook)
        began = datetime.now(UTC).astimezone()
        call = f"{began:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        started = self._started(call, began, source, agent or self.settings.agent)
        started = replace(started, team=started.team if team is None else team, queue=queue, caller=caller, value=value)
        session = self._session(started)
        session.gate = Gate(self.settings.consent_policy, consent or self.settings.consent, consent_by)
        live = LiveCall(session, lambda number, event: self._publish(call, number, event, listener))
        task = self._begin(call, live, source, in_step=in_step)
        if problem:
            loop = asyncio.get_running_loop()
            loop.call_soon(live.trouble, Trouble(0, "playbook-kept", problem))
        return call, task

    def resume(
        self,
        call: str,
        source: CallSource,
        *,
        agent: str | None = None,
        listener: Callable[[Event], None] | None = None,
        now: datetime | None = None,
    ) -> tuple[str, asyncio.Task[str]]:
        """Go on with a call that was cut short at most RESUME_S ago: its log is read, its time runs on.

        Of a call that was not kept there is no log; what was latched of it (consent, a pause) still holds, and whose it
        is must be said (`agent`).

        Raises:
            AssistError: codes resume-unknown, resume-not-cut-short, resume-late.
        """
        logged = self.store.events(call)
        events = [event for _, event in logged]
        latched = self.store.gate(call) if not events and call not in self.calls else None
        if latched is not None and not Gate(ConsentPolicy(latched.policy), Consent(latched.consent)).kept:
            return self._resume_unkept(call, source, agent, listener, now)
        if not events or not isinstance(events[0], CallStarted):
            raise AssistError("resume-unknown", f"no call {call!r} in this store; see `assist records list`")
        started, last = events[0], events[-1]
        if call in self.calls or not isinstance(last, CallEnded) or last.reason != "interrupted":
            raise AssistError("resume-not-cut-short", f"call {call} was not cut short: there is nothing to go on with")
        away = (now or datetime.now(UTC)) - datetime.fromisoformat(started.started_at)
        offset_ms = max(last.at_ms, round(away.total_seconds() * 1000))
        if offset_ms - last.at_ms > RESUME_S * 1000:
            raise AssistError("resume-late", f"call {call} was cut short more than {RESUME_S} s ago: begin a new one")
        session = self._session(started)
        rebuild(session, events)
        session.now_ms = offset_ms
        cuts = sum(isinstance(event, CallEnded) for event in events)
        live = LiveCall(
            session,
            lambda number, event: self._publish(call, number, event, listener),
            number=logged[-1][0] + 1,
            offset_ms=offset_ms,
            cuts=cuts,
        )
        self.store.reopen(call)
        self.arrears.forget([call])
        for event in events:
            live.ledger.take(event)
            self.screens.show(call, event)
        task = self._begin(call, live, source, in_step=False)
        for speaker in source.speakers:
            live.gap(Gap(speaker, last.at_ms, offset_ms))
        lost_s = round((offset_ms - last.at_ms) / 1000)
        live.trouble(Trouble(offset_ms, "call-resumed", f"Listening again; the {lost_s} s before were not heard."))
        self._still_paused(live)
        return call, task

    def _resume_unkept(
        self,
        call: str,
        source: CallSource,
        agent: str | None,
        listener: Callable[[Event], None] | None,
        now: datetime | None,
    ) -> tuple[str, asyncio.Task[str]]:
        began = datetime.strptime(call[:15], "%Y%m%d-%H%M%S").astimezone()
        offset_ms = max(0, round(((now or datetime.now(UTC)) - began).total_seconds() * 1000))
        if offset_ms > UNKEPT_S * 1000:
            raise AssistError("resume-late", f"call {call} began more than {UNKEPT_S // 3600} h ago: begin a new one")
        session = self._session(self._started(call, began, source, agent or self.settings.agent))
        session.now_ms = offset_ms
        live = LiveCall(
            session,
            lambda number, event: self._publish(call, number, event, listener),
            offset_ms=offset_ms,
            cuts=1,
        )
        task = self._begin(call, live, source, in_step=False)

        def begun() -> None:
            for speaker in source.speakers:
                live.gap(Gap(speaker, 0, offset_ms))
            self._still_paused(live)

        asyncio.get_running_loop().call_soon(begun)
        return call, task

    def _still_paused(self, live: LiveCall) -> None:
        """A call that was paused when it was cut short: pages and accounts are told that it still is."""
        if live.session.paused_since is not None:
            text = "the call was paused when the program was cut short"
            live.act(Action(live.session.now_ms, AUTOMATIC, "system", "pause", detail=text))

    def _started(self, call: str, began: datetime, source: CallSource, agent: str) -> CallStarted:
        return CallStarted(
            at_ms=0,
            call=call,
            agent=agent,
            team=self.settings.team,
            queue="",
            caller="",
            started_at=began.isoformat(timespec="seconds"),
            source=source.name,
            speakers=tuple(source.speakers),
            versions={
                "assist": version("call-assist"),
                "playbook": self.playbooks.book.version,
                "rules": self.rulebook.version,
                "recogniser": self.hearing.name,
                "model": self.hearing.version[:24],
            },
        )

    def _session(self, started: CallStarted) -> Session:
        playbook, began = self.playbooks.book, datetime.fromisoformat(started.started_at)
        settings, agent = self.settings, started.agent
        authority = settings.authorities.get(agent, settings.authority)
        profile = AgentProfile(agent, authority, settings.experienced or agent in settings.experienced_agents)
        used = self.history.used_by(started.caller, playbook.options, began.date())
        caller = Caller(started.value, used)
        coach = Coach(playbook, profile, self.history.accepted_here(), caller, began)
        session = Session(started, build(self.rulebook, RosterSettings(meaning=settings.meaning)), Escalation(), coach)
        session.redactor.names = settings.mask_names
        session.auto_pause = AutoPause(settings.auto_pause_s * 1000) if settings.auto_pause else None
        return session

    def _begin(self, call: str, live: LiveCall, source: CallSource, *, in_step: bool) -> asyncio.Task[str]:
        """Give the call its ears and its task."""
        loop = asyncio.get_running_loop()
        session = live.session
        ears = self.hearing.listener(
            source.speakers,
            in_step=in_step,
            wake=lambda: loop.call_soon_threadsafe(live.wake),
            phrases=self._phrases,
            owe=live.owe,
            tone=session.started.queue not in self.settings.internal_queues,
        )
        live.pulse = lambda: self.screens.pulse(call, session.now_ms, session.escalation.score)
        if self.settings.recordings:
            live.tape = Tape(Recordings(self.settings.data), call, tuple(source.speakers))
        keeper = Keeper(self.store, call)
        keeper.restore(session)
        self.calls[call], self.keepers[call] = live, keeper
        task = asyncio.create_task(self._live(call, live, source, ears), name=f"call {call}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def act(self, call: str, action: Action) -> bool:
        """A person did something about a live call; False when there is no such call."""
        live = self.calls.get(call)
        if live is None:
            return False
        live.act(action)
        return True

    @property
    def live(self) -> tuple[str, ...]:
        """Calls that go on now."""
        return tuple(self.calls)

    async def hang_up(self) -> None:
        """End every call and wait for the records."""
        for live in list(self.calls.values()):
            live.hang_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Hang up, then let go of the store and the model."""
        await self.hang_up()
        await self.arrears.close()
        self.duty.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.store.close)
        self.hearing.close()

    async def _live(self, call: str, live: LiveCall, source: CallSource, ears: Ears) -> str:
        """One guarded call: whatever happens to it, its record is written and no other call is touched."""
        try:
            await live.run(source, ears)
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
            self.duty.ended(call)
            self.screens.ended(call, form(record, [], self.settings) if record is not None else None)
            if record is not None:
                self.arrears.take(call, live.owed)
        return call

    def _write_record(self, call: str) -> IncidentRecord:
        self.store.flush().result()
        record = self._fold(call)
        self.store.finish(call, "ended", record.model_dump(mode="json")).result()
        return record

    def forget(self, calls: Sequence[str]) -> None:
        """These calls are being erased: nothing of them stays in memory."""
        self.arrears.forget(calls)
        self.late.forget(calls)

    async def _add_late(self, call: str, said: Sequence[Utterance], after_s: int) -> None:
        """Words of an ended call have come."""
        heard = {"recogniser": self.hearing.name, "model": self.hearing.version[:24], "rules": self.rulebook.version}
        async with self._amending:
            added = await add_late(self.store, self._session, call, said, after_s, heard, lambda: self.arrears.closed)
        if added and isinstance(added[0], CallStarted):
            end_ms = max(event.at_ms for event in added if isinstance(event, TranscribedLate))
            levels = [event.level for event in added if isinstance(event, LevelChange)]
            found = [event for event in added if isinstance(event, SignalRaised)]
            self.late.heard(added[0], levels[-1] if levels else Level.CALM, end_ms + after_s * 1000, found)

    def _keep_after(self, call: str, event: Event) -> None:
        async def keep() -> None:
            async with self._amending:
                await add_after(self.store, call, event)

        task = asyncio.create_task(keep())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def _phrases(self) -> tuple[str, ...]:
        return (self.settings.expect,) if self.settings.expect else ()

    def _fold(self, call: str) -> IncidentRecord:
        """The record of a call from its stored log, sealed over it."""
        rows = self.store.log(call)
        record = fold(decode(name, body) for _, name, body in rows)
        return record.model_copy(update={"seal": seal(call, rows)})

    def _publish(self, call: str, number: int | None, event: Event, listener: Callable[[Event], None] | None) -> None:
        latched = self.keepers[call].take(number, event) if number is not None else None
        if latched is None:
            self.screens.show(call, event)
        else:  # a pause or a word about consent is acknowledged on the pages when it is on disk
            loop = asyncio.get_running_loop()
            latched.add_done_callback(lambda _: loop.call_soon_threadsafe(self.screens.show, call, event))
        self.duty.take(call, event)
        if listener is not None:
            listener(event)

    def _moved(self, call: str, make: Callable[[int], AlertMoved]) -> None:
        live = self.calls.get(call)
        if live is not None:
            live.moved(make)
        else:
            self.late.moved(call, make)

    def _store_trouble(self, line: str | None) -> None:
        for live in self.calls.values():
            at_ms = live.session.now_ms
            text = line or "writing to disk works again; everything is there"
            live.trouble(Trouble(at_ms, "store-failed", text, cleared=line is None))


def _method(playbook: Playbook) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The method's name and its steps (id, title), as the agent's page shows them."""
    return playbook.method, tuple((step.id, step.title) for step in playbook.steps)
