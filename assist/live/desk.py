"""What people do at their screens, taken to the call it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assist.access.audit import Audit
from assist.coach.parts import Playbook
from assist.events import Action
from assist.live.call import LiveCall
from assist.live.service import Service
from assist.privacy.typed import without_cards
from assist.records.record import read_record
from assist.records.wrapup import changes, form
from assist.store.rows import Review, stamp
from overlay import doing, messages
from overlay.errors import OverlayError
from overlay.identity import Identity
from overlay.records import unknown_record


class Desk:
    """The one callback of the pages."""

    def __init__(self, service: Service, audit: Audit | None = None, known: Callable[[str], str] = str) -> None:
        self._service = service
        self._audit = audit
        self._known = known
        """The name under which somebody logs in: an earlier call may bear it in another spelling."""
        self._readers: dict[str, list[Identity]] = {}
        """By agent: who else has that agent's page open, once for each page. They read every call on it along."""
        self._boards: dict[str, list[tuple[Identity, LiveCall | None]]] = {}
        """By call: who reads it along from a board, and the run of it whose agent was told. A page stays with a call
        that is cut short, and sees what is said when it goes on."""
        self._begun: set[str] = set()
        """Live calls whose readers have been told."""
        service.begun = self._read_from_the_start

    async def do(self, who: Identity, what: doing.Do) -> None:
        """Carry out one message of a page.

        Raises:
            OverlayError: refused, record-unknown; shown on the page, when the call is over or not this agent's.
        """
        live = self._service.calls.get(what.call)
        if live is not None and who.role == "agent" and self._known(live.session.started.agent) != who.who:
            live = None  # as if it were not there
        if live is None and isinstance(what, doing.DoWrapUp):
            agent, kept = await asyncio.to_thread(self._wrap_up, who, what)
            self._service.screens.wrapped_up(agent, kept)
            return
        if live is None and isinstance(what, doing.DoNote) and (name := self._notes_as(who, what.call)):
            note = Review(stamp(), name, "comment", "", without_cards(what.text))
            await asyncio.wrap_future(self._service.store.review(what.call, note))
            return
        late = self._service.after.late
        if live is None and isinstance(what, doing.DoAlert) and late.has(what.call):
            if what.what != "seen":
                self._service.duty.do(who.who, what.what, what.call, what.alert)
            done, target, detail = self._read(what, self._service.playbooks.book)
            late.act(what.call, Action(late.now_ms(what.call), who.who, who.role, done, target, without_cards(detail)))
            return
        if isinstance(what, doing.DoWatch):
            self._read_from_a_board(who, what, live)
            if live is None and not what.on:
                return
        if live is None:
            raise OverlayError("refused", "That call is over; use its record instead.")
        done, target, detail = self._read(what, live.session.coach.playbook)
        action = Action(live.session.now_ms, who.who, who.role, done, target, without_cards(detail))
        if reason := live.session.refuses(action):
            raise OverlayError("refused", reason)
        if isinstance(what, doing.DoAlert) and what.what != "seen":
            self._service.duty.do(who.who, what.what, what.call, what.alert)
        elif isinstance(what, doing.DoAnswer):
            self._service.duty.do(who.who, "answer", what.call, what.alert)
        live.act(action)

    def _notes_as(self, who: Identity, call: str) -> str:
        """Under which name this person notes on the call's record; empty where there is none, or it is not theirs."""
        body = self._service.store.record(call)
        return "" if body is None else self._name(who, body["agent"])

    def _name(self, who: Identity, agent: str) -> str:
        """As this call of theirs spells it; empty for an agent whose call it is not."""
        theirs = self._known(agent) == who.who
        return agent if theirs else "" if who.role == "agent" else who.who

    def _wrap_up(self, who: Identity, said: doing.DoWrapUp) -> tuple[str, messages.WrapUp]:
        """Keep what has changed; the agent whose call it was, and the wrap-up as it now stands."""
        store = self._service.store
        body = store.record(said.call)
        record = read_record(body) if body is not None else None
        if record is None or not (name := self._name(who, record.agent)):
            raise unknown_record()
        reviews = store.reviews(said.call)
        before = form(record, reviews, self._service.settings)
        changed = changes(said, before, reviews, name, stamp())
        for receipt in [store.review(said.call, review) for review in changed]:
            receipt.result()
        now = form(record, store.reviews(said.call), self._service.settings)
        return record.agent, now.model_copy(update={"kept": True})

    def presence(self, who: Identity, room: str, here: bool) -> None:
        """A page has come to a room or left it.

        Supervisors are on duty while a board is open; somebody else at an agent's page reads that agent's calls along.
        """
        if room == "board":
            (self._service.duty.arrive if here else self._service.duty.leave)(who.who)
            return
        agent = room.removeprefix("agent/")
        shown = self._service.hub.latest(room, "call")
        if here and shown is None:
            self._service.screens.waiting(agent)
        if who.who == agent:
            return
        readers = self._readers.setdefault(agent, [])
        (readers.append if here else readers.remove)(who)
        if not readers:
            del self._readers[agent]
        for call in self._begun & self._service.calls.keys():
            if self._service.calls[call].session.started.agent == agent:
                self._read_along(who, call, here)
        if here and isinstance(shown, messages.Call) and shown.call and shown.call not in self._service.calls:
            self._note(who, "look", shown.call)

    def _read_from_a_board(self, who: Identity, what: doing.DoWatch, live: LiveCall | None) -> None:
        """A board begins or stops reading a call, which may be over or cut short (`live`: it goes on)."""
        readers = self._boards.setdefault(what.call, [])
        if what.on:
            readers.append((who, live))
            self._note(who, "read-along" if live is not None else "look", what.call)
        elif here := [each for each in readers if each[0] == who]:
            readers.remove(here[0])
        if not readers:
            del self._boards[what.call]

    def _read_from_the_start(self, call: str) -> None:
        """A call has begun, or goes on after it was cut short."""
        self._begun = self._begun & self._service.calls.keys() | {call}
        live = self._service.calls.get(call)
        if live is None:
            return
        boards = self._boards.get(call, [])
        untold = [who for who, told in boards if told is not live]
        boards[:] = [(who, live) for who, _ in boards]
        for who in (*self._readers.get(live.session.started.agent, []), *untold):
            self._read_along(who, call, True)

    def _read_along(self, who: Identity, call: str, on: bool) -> None:
        """Somebody else reads an agent's page: the agent is told, as of a supervisor who does so from the board."""
        if on:
            self._note(who, "read-along", call)
        live = self._service.calls[call]
        live.act(Action(live.session.now_ms, who.who, who.role, "watch" if on else "unwatch"))

    def _note(self, who: Identity, what: str, call: str) -> None:
        if self._audit is not None:
            self._audit.note(who.who, who.role, what, call)

    def _read(self, what: doing.Do, playbook: Playbook) -> tuple[str, str, str]:
        """What is done, to what, and with which words."""
        match what:
            case doing.DoPrompt():
                return what.what, what.prompt, ""
            case doing.DoPlan():
                option = playbook.option(what.option)
                return f"plan-{what.what}", what.option, option.title if option is not None else what.option
            case doing.DoStep():
                return "step", what.step, "done" if what.done else "undone"
            case doing.DoHelp():
                return "help", "", ""
            case doing.DoPause():
                return "pause" if what.on else "resume", "", ""
            case doing.DoConsent():
                return "consent", "", what.consent
            case doing.DoNote():
                return "note", "", what.text
            case doing.DoAlert():
                ending = f"{what.how}\n{what.note}".strip() if what.what == "resolve" else ""
                return {"seen": "alert-seen"}.get(what.what, what.what), what.alert, ending
            case doing.DoAnswer():
                return "plan-answered", what.alert, f"{'allowed' if what.allow else 'denied'} {what.text}".strip()
            case doing.DoTell():
                return "message", "", what.text
            case doing.DoWatch():
                return "watch" if what.on else "unwatch", "", ""
            case doing.DoSay():
                raise OverlayError("refused", "This is a real call: answer the customer aloud.")
            case doing.DoWrapUp():
                raise OverlayError("refused", "The call is still on; wrap it up when it has ended.")
