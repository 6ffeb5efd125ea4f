"""Carries out what people do on the pages: turns each message into an Action of the call it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from assist.access.audit import Audit
from assist.coach.parts import Playbook
from assist.events import Action
from assist.live.call import LiveCall
from assist.live.service import Service
from assist.privacy.typed_text import mask_card_numbers
from assist.records.record import read_record
from assist.records.wrapup import new_reviews, wrap_up_form
from assist.store.rows import Review, stamp
from overlay import doing, messages
from overlay.errors import OverlayError
from overlay.identity import Identity
from overlay.records import unknown_record


class PageActions:
    """The callback of the pages; it also tells agents who reads their calls along."""

    def __init__(self, service: Service, audit: Audit | None = None, login_name: Callable[[str], str] = str) -> None:
        self._service = service
        self._audit = audit
        self._login_name = login_name
        """Spelling of a name -> the name that person logs in with: an earlier call may spell it otherwise."""
        self._page_viewers: dict[str, list[Identity]] = {}
        """Agent -> others who have that agent's page open, once for each page: they read all calls on it along."""
        self._board_viewers: dict[str, list[tuple[Identity, LiveCall | None]]] = {}
        """Call -> who reads it along from a board, and the LiveCall whose agent was told (None: not told yet). A page
        stays with a call that is interrupted, and shows it again when it is resumed."""
        self._announced: set[str] = set()
        """Live calls whose agents have been told of their viewers."""
        service.on_call_begun = self._announce_viewers

    async def do(self, who: Identity, what: doing.Do) -> None:
        """Carry out one message of a page.

        Raises:
            OverlayError: refused, record-unknown; shown on the page, when the call is over or not this agent's.
        """
        live = self._service.calls.get(what.call)
        if live is not None and who.role == "agent" and self._login_name(live.session.started.agent) != who.who:
            live = None  # another agent's call: as if there were none
        if live is None and await self._do_after_call(who, what):
            return
        if isinstance(what, doing.DoWatch):
            self._board_view_changed(who, what, live)
            if live is None and not what.on:
                return
        if live is None:
            raise OverlayError("refused", "That call is over; use its record instead.")
        done, target, detail = self._action_of(what, live.session.coach.playbook)
        action = Action(live.session.now_ms, who.who, who.role, done, target, mask_card_numbers(detail))
        if reason := live.session.refusal(action):
            raise OverlayError("refused", reason)
        if isinstance(what, doing.DoAlert) and what.what != "seen":
            self._service.duty.do(who.who, what.what, what.call, what.alert)
        elif isinstance(what, doing.DoAnswer):
            self._service.duty.do(who.who, "answer", what.call, what.alert)
        live.act(action)

    async def _do_after_call(self, who: Identity, what: doing.Do) -> bool:
        """Carry out what can be done after a call: wrap-up, note, late alert; False where it is none of these."""
        if isinstance(what, doing.DoWrapUp):
            agent, kept = await asyncio.to_thread(self._wrap_up, who, what)
            self._service.screens.wrapped_up(agent, kept)
            return True
        if isinstance(what, doing.DoNote) and (name := self._author_on_record(who, what.call)):
            note = Review(stamp(), name, "comment", "", mask_card_numbers(what.text))
            await asyncio.wrap_future(self._service.store.review(what.call, note))
            return True
        late = self._service.post_call.late
        if isinstance(what, doing.DoAlert) and late.has(what.call):
            if what.what != "seen":
                self._service.duty.do(who.who, what.what, what.call, what.alert)
            done, target, detail = self._action_of(what, self._service.playbooks.book)
            late.act(
                what.call, Action(late.now_ms(what.call), who.who, who.role, done, target, mask_card_numbers(detail))
            )
            return True
        return False

    def _author_on_record(self, who: Identity, call: str) -> str:
        """The name this person's note on the call's record gets; empty: no record, or of another agent's call."""
        body = self._service.store.record(call)
        return "" if body is None else self._name_on_record(who, body["agent"])

    def _name_on_record(self, who: Identity, agent: str) -> str:
        """An agent's name as their call spells it, empty for another agent's call; everybody else's name as it is."""
        theirs = self._login_name(agent) == who.who
        return agent if theirs else "" if who.role == "agent" else who.who

    def _wrap_up(self, who: Identity, said: doing.DoWrapUp) -> tuple[str, messages.WrapUp]:
        """Store what has changed in a wrap-up; returns the call's agent and the new wrap-up. Blocks."""
        store = self._service.store
        body = store.record(said.call)
        record = read_record(body) if body is not None else None
        if record is None or not (name := self._name_on_record(who, record.agent)):
            raise unknown_record()
        reviews = store.reviews(said.call)
        before = wrap_up_form(record, reviews, self._service.settings)
        changed = new_reviews(said, before, reviews, name, stamp())
        for receipt in [store.review(said.call, review) for review in changed]:
            receipt.result()
        now = wrap_up_form(record, store.reviews(said.call), self._service.settings)
        return record.agent, now.model_copy(update={"kept": True})

    def presence(self, who: Identity, room: str, here: bool) -> None:
        """A page was opened or closed.

        Supervisors are on duty while a board is open; others on an agent's page read that agent's calls along.
        """
        if room == "board":
            (self._service.duty.arrive if here else self._service.duty.leave)(who.who)
            return
        agent = room.removeprefix("agent/")
        shown = self._service.hub.latest(room, "call")
        if here and shown is None:
            self._service.screens.show_waiting(agent)
        if who.who == agent:
            return
        viewers = self._page_viewers.setdefault(agent, [])
        (viewers.append if here else viewers.remove)(who)
        if not viewers:
            del self._page_viewers[agent]
        for call in self._announced & self._service.calls.keys():
            if self._service.calls[call].session.started.agent == agent:
                self._tell_agent(who, call, here)
        if here and isinstance(shown, messages.Call) and shown.call and shown.call not in self._service.calls:
            self._audit_note(who, "look", shown.call)

    def _board_view_changed(self, who: Identity, what: doing.DoWatch, live: LiveCall | None) -> None:
        """A board starts or stops reading a call along; `live` is None where it is over or interrupted."""
        viewers = self._board_viewers.setdefault(what.call, [])
        if what.on:
            viewers.append((who, live))
            self._audit_note(who, "read-along" if live is not None else "look", what.call)
        elif here := [each for each in viewers if each[0] == who]:
            viewers.remove(here[0])
        if not viewers:
            del self._board_viewers[what.call]

    def _announce_viewers(self, call: str) -> None:
        """Tell the agent of a call that has begun, or is resumed, who reads it along."""
        self._announced = self._announced & self._service.calls.keys() | {call}
        live = self._service.calls.get(call)
        if live is None:
            return
        boards = self._board_viewers.get(call, [])
        new_viewers = [who for who, told in boards if told is not live]
        boards[:] = [(who, live) for who, _ in boards]
        for who in (*self._page_viewers.get(live.session.started.agent, []), *new_viewers):
            self._tell_agent(who, call, True)

    def _tell_agent(self, who: Identity, call: str, on: bool) -> None:
        """Tell the agent that somebody reads the call along, or has stopped to."""
        if on:
            self._audit_note(who, "read-along", call)
        live = self._service.calls[call]
        live.act(Action(live.session.now_ms, who.who, who.role, "watch" if on else "unwatch"))

    def _audit_note(self, who: Identity, what: str, call: str) -> None:
        if self._audit is not None:
            self._audit.note(who.who, who.role, what, call)

    def _action_of(self, what: doing.Do, playbook: Playbook) -> tuple[str, str, str]:
        """The fields `what`, `target` and `detail` of the Action that a message stands for."""
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
