"""A practice call with a person in it: in the terminal, on the agent's page, or aloud. Nothing of it is stored."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from assist.coach.playbook import load_playbook
from assist.events import Action, CallStarted, ConsentSet, Event, PromptsWaiting
from assist.live.call import CallListener
from assist.live.session import TICK_MS
from assist.live.terminal import Terminal
from assist.practice.feedback import Feedback, feedback, tables
from assist.practice.practice import ANSWER_MS, Practice
from assist.practice.script import Script, load_script
from assist.screens.rooms import address_of, room_of
from assist.screens.screens import Screens
from assist.settings import Settings
from assist.wording import clock
from audio.events import Chunk, Hypothesis, Speaker, SpeechActivity, Utterance
from audio.source import CallSource
from detectors.rulebook import load_rules
from overlay import doing, messages
from overlay.errors import OverlayError
from overlay.hub import Hub
from overlay.identity import Identity, ScreenSettings
from overlay.listening import serving
from overlay.server import create_app

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Typed:
    """What the pages say is hearing."""

    name: str = "practice"
    embedded: bool = False


@dataclass
class Room:
    """One trainee's practice call and everybody who watches it."""

    practice: Practice
    agent: str
    show: Callable[[Event], None]
    hub: Hub = field(default_factory=Hub)
    replies: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    """What the trainee has typed on the page and nobody has read yet: at most one answer to one line."""
    events: list[Event] = field(default_factory=list)
    spoken: bool = False
    """The trainee answers into the microphone; nobody reads what is typed."""

    def __post_init__(self) -> None:
        outline = self.practice.playbook.outline
        self.screens = Screens(self.hub, self.practice.settings.supervisor, _Typed(), *outline)
        self.call = self.practice.started.call

    def publish(self, events: list[Event]) -> None:
        """Let the terminal and the page see it."""
        for event in events:
            if not isinstance(event, (Hypothesis, SpeechActivity, PromptsWaiting)):
                self.events.append(event)
            if not isinstance(event, ConsentSet):  # there is nobody to ask: nothing is kept
                self.screens.show(self.call, event)
                self.show(event)
        if events:
            self.screens.pulse(self.call, self.practice.now_ms, self.practice.session.escalation.score)
            self.draw()

    def draw(self, told: Feedback | None = None) -> None:
        """The practice part of the agent's page."""
        script = self.practice.script
        steps = told.steps if told is not None else ()
        call = self.hub.latest(room_of(self.agent), "call")
        if told is not None and isinstance(call, messages.Call):
            self.hub.show(room_of(self.agent), "call", call.model_copy(update={"state": "ended"}))
        self.hub.show(
            room_of(self.agent),
            "practice",
            messages.Practice(
                call=self.call,
                title=script.title,
                about=script.about,
                aim=script.aim,
                turn=self.practice.listening,
                aloud=self.spoken,
                over=told is not None,
                steps=[
                    messages.PracticeStep(
                        title=step.title, done=step.done_ms is not None, words=step.words, could_say=step.could_say
                    )
                    for step in steps
                ],
                missteps=[f"{what}: “{words}” at {clock(ms)}" for ms, what, words in told.missteps] if told else [],
                clock=told.clock if told is not None else "",
            ),
        )

    async def desk(self, who: Identity, do: doing.Do) -> None:
        """What the trainee does on the page."""
        at_ms = self.practice.now_ms
        match do:
            case doing.DoSay():
                if self.spoken:
                    raise OverlayError("refused", "Answer into the microphone.")
                if not self.practice.listening or not self.replies.empty():
                    raise OverlayError("refused", "The customer is speaking; it is your turn in a moment.")
                self.replies.put_nowait(do.text)
            case doing.DoPrompt() | doing.DoPlan() | doing.DoStep() if self.practice.over:
                pass  # also what a page sends by itself: the feedback stays
            case doing.DoPrompt():
                self._act(Action(at_ms, who.who, "agent", do.what, do.prompt))
            case doing.DoPlan():
                option = self.practice.playbook.option(do.option)
                title = option.title if option is not None else do.option
                self._act(Action(at_ms, who.who, "agent", f"plan-{do.what}", do.option, title))
                if do.what == "asked" and not self.spoken:  # else time would stand until the trainee has typed
                    self.publish(self.practice.advance(at_ms + ANSWER_MS + TICK_MS))
            case doing.DoStep():
                detail = "done" if do.done else "undone"
                self._act(Action(at_ms, who.who, "agent", "step", do.step, detail))
            case _:
                raise OverlayError("refused", "This is practice: answer the customer.")

    def _act(self, action: Action) -> None:
        if reason := self.practice.session.refuses(action):
            raise OverlayError("refused", reason)
        self.publish(self.practice.act(action))

    async def in_text(self, ask: Callable[[], Awaitable[str | None]]) -> None:
        """Play it in text until it is over or the trainee leaves; `ask` gives their answer, None when they leave."""
        practice = self.practice
        self.publish(practice.begin())
        reason = "hang-up"
        while True:
            self.publish(practice.until_their_turn())
            if practice.over:
                break
            self.draw()
            text = await ask()
            if text is None:
                reason = "interrupted"
                break
            self.publish(practice.reply(text))
        self.publish(practice.end(reason))

    async def aloud(self, source: CallSource, ears_of: Callable[..., CallListener], *, in_step: bool = False) -> None:
        """Play it aloud: the agent's channel of `source` is the trainee's voice; the other one is not heard."""
        practice = self.practice
        self.spoken = True
        loop = asyncio.get_running_loop()
        ears = ears_of((Speaker.AGENT,), in_step=in_step, wake=lambda: loop.call_soon(lambda: None), phrases=())
        self.publish(practice.begin())
        await _until_ctrl_c(self._listen(source, ears))
        for heard in await asyncio.to_thread(lambda: list(ears.finish())):
            self.publish(practice.hear(heard))
        self.publish(practice.end("hang-up" if practice.over else "interrupted"))

    async def _listen(self, source: CallSource, ears: CallListener) -> None:
        """Until the customer has said all they will, or the source ends."""
        practice = self.practice
        async for item in source:
            if isinstance(item, Chunk):
                if Speaker.AGENT in item.channels:
                    item = replace(item, channels={Speaker.AGENT: item.channels[Speaker.AGENT]})
                for heard in (*ears.push(item), *ears.poll()):
                    self.publish(practice.hear(heard))
                self.publish(practice.advance(item.end_ms))
            else:
                self.publish(practice.hear(item))
            if practice.over:
                break


def room_for(script: Script, settings: Settings, show: Callable[[Event], None]) -> Room:
    """A practice call that has not begun."""
    now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    call = f"practice-{token_hex(4)}"  # a page that stays for the next practice keeps nothing of this one
    sides = ("agent", "customer")
    started = CallStarted(0, call, settings.agent, settings.team, "Practice", script.caller, now, script.id, sides, {})
    playbook = load_playbook(settings.playbook, options=settings.options)
    practice = Practice(script, playbook, load_rules(extra=settings.rules), started, settings)
    return Room(practice, settings.agent, show)


@contextlib.asynccontextmanager
async def page_of(room: Room, settings: Settings) -> AsyncIterator[str]:
    """The agent's page for this practice call; yields its address."""
    app = create_app(room.hub, room.desk, None, ScreenSettings(agent=room.agent))
    async with contextlib.AsyncExitStack() as stack:
        try:
            base = await stack.enter_async_context(serving(app, "127.0.0.1", settings.port))
        except OverlayError as error:
            if error.code != "port-in-use":
                raise
            base = await stack.enter_async_context(serving(app, "127.0.0.1", 0))
        yield f"{base}{address_of(room.agent)}"


def run_practice(
    settings: Settings,
    console: Console,
    name: str,
    *,
    page: bool,
    aloud: bool,
    microphone: str | None = None,
    far_end: str | None = None,
    recording: Path | None = None,
) -> None:
    """One practice call from beginning to feedback.

    Raises:
        AssistError, PlaybookError, AudioError: the script, the playbook or the microphone cannot be used.
    """
    script = load_script(name)
    terminal = Terminal(console)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # what is pasted may be no text, and nobody reads after an error

    def show(event: Event) -> None:
        typed = not aloud and isinstance(event, Utterance) and event.speaker is Speaker.AGENT
        if not typed:
            terminal.show(event)

    async def run() -> None:
        room = room_for(script, settings, show)
        console.print(Text.assemble((script.title, "bold"), f" {script.about}\n", (script.aim, "dim")))
        async with contextlib.AsyncExitStack() as stack:
            if page:
                address = await stack.enter_async_context(page_of(room, settings))
                console.print(f"Agent: {address}", markup=False)
            if aloud:
                await _aloud(room, settings, console, microphone, far_end, recording)
            else:
                if page:
                    console.print("Answer on the page.", style="dim")
                await room.in_text(lambda: _until_ctrl_c(room.replies.get()) if page else _answer(console))
            told = feedback(room.events, room.practice.playbook)
            room.draw(told)
            for part in tables(told):
                console.print(part)
            if page:
                console.print("The same is on the page; Enter closes it.")
                await _line()

    asyncio.run(run())


async def _until_ctrl_c(what: Awaitable[T]) -> T | None:
    """Its result, or None where Ctrl-C came first: `asyncio.run` makes of it a cancelled main task."""
    try:
        return await what
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return None


async def _line() -> str | None:
    """The next line typed into the terminal; None at the end of input.

    A thread of its own, which nobody waits for, so that Ctrl-C need not wait for Enter: what reads in the event loop's
    thread misses one that comes just before it begins to wait, and a thread of the loop's pool is waited for.
    """
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def told(line: str) -> None:
        if not typed.done():  # given up
            typed.set_result(line)

    def read() -> None:
        line = sys.stdin.readline()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(told, line)

    threading.Thread(target=read, name="typed", daemon=True).start()
    line = await typed
    return line.rstrip("\n") if line else None


async def _answer(console: Console) -> str | None:
    """What the trainee types; None when they leave: end of input, or Ctrl-C."""
    console.print("You: ", end="")
    answer = await _until_ctrl_c(_line())
    if answer is None:
        console.print()
    return answer


async def _aloud(
    room: Room,
    settings: Settings,
    console: Console,
    microphone: str | None,
    far_end: str | None,
    recording: Path | None,
) -> None:
    from assist.live.loading import load_hearing

    if recording is not None:
        from audio.recording import open_recording

        source: CallSource = open_recording(recording, speed=float("inf"), mono=Speaker.AGENT)
    else:
        from audio.live import open_devices

        source = open_devices(agent=microphone, customer=far_end)
    hearing = load_hearing(settings, console)
    try:
        await room.aloud(source, hearing.listener, in_step=recording is not None)
    finally:
        hearing.close()
