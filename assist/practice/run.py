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
from assist.practice.practice import SUPERVISOR_ANSWER_MS, Practice
from assist.practice.script import Script, load_script
from assist.screens.rooms import address_of, room_of
from assist.screens.screens import Screens
from assist.settings import Settings
from assist.wording import clock
from audio.events import Chunk, Hypothesis, Speaker, SpeechActivity, Utterance
from audio.source import CallSource
from detectors.rulebook import load_rules
from overlay import doing, messages
from overlay.app import create_app
from overlay.errors import OverlayError
from overlay.http_server import serving
from overlay.hub import Hub
from overlay.identity import Identity, ScreenSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _NoRecogniser:
    """Stands for the recogniser on the page."""

    name: str = "practice"
    embedded: bool = False


@dataclass
class PracticeCall:
    """Runs a practice call with its trainee, in text or by voice, on the terminal and on the agent's page."""

    practice: Practice
    agent: str
    show: Callable[[Event], None]
    hub: Hub = field(default_factory=Hub)
    replies: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    """Typed on the page and not yet read: at most one reply to each line."""
    events: list[Event] = field(default_factory=list)
    by_voice: bool = False
    """The trainee replies into the microphone: typed replies are refused."""

    def __post_init__(self) -> None:
        outline = self.practice.playbook.outline
        self.screens = Screens(self.hub, self.practice.settings.supervisor, _NoRecogniser(), *outline)
        self.call = self.practice.started.call

    def publish(self, events: list[Event]) -> None:
        """Shows events in the terminal and on the page."""
        for event in events:
            if not isinstance(event, (Hypothesis, SpeechActivity, PromptsWaiting)):
                self.events.append(event)
            if not isinstance(event, ConsentSet):  # nothing is kept, so there is no consent to ask for
                self.screens.show(self.call, event)
                self.show(event)
        if events:
            self.screens.pulse(self.call, self.practice.now_ms, self.practice.session.escalation.score)
            self.update_page()

    def update_page(self, result: Feedback | None = None) -> None:
        """Updates the practice part of the agent's page; `result`: the call is over."""
        script = self.practice.script
        steps = result.steps if result is not None else ()
        call = self.hub.latest(room_of(self.agent), "call")
        if result is not None and isinstance(call, messages.Call):
            self.hub.show(room_of(self.agent), "call", call.model_copy(update={"state": "ended"}))
        self.hub.show(
            room_of(self.agent),
            "practice",
            messages.Practice(
                call=self.call,
                title=script.title,
                about=script.about,
                aim=script.aim,
                turn=self.practice.is_trainees_turn,
                aloud=self.by_voice,
                over=result is not None,
                steps=[
                    messages.PracticeStep(
                        title=step.title, done=step.done_ms is not None, words=step.words, could_say=step.could_say
                    )
                    for step in steps
                ],
                missteps=[f"{what}: “{words}” at {clock(ms)}" for ms, what, words in result.missteps] if result else [],
                clock=result.clock if result is not None else "",
            ),
        )

    async def do(self, who: Identity, do: doing.Do) -> None:
        """Carry out what the trainee does on the page.

        Raises:
            OverlayError: refused.
        """
        at_ms = self.practice.now_ms
        match do:
            case doing.DoSay():
                if self.by_voice:
                    raise OverlayError("refused", "Answer into the microphone.")
                if not self.practice.is_trainees_turn or not self.replies.empty():
                    raise OverlayError("refused", "The customer is speaking; it is your turn in a moment.")
                self.replies.put_nowait(do.text)
            case doing.DoPrompt() | doing.DoPlan() | doing.DoStep() if self.practice.over:
                pass  # pages send some by themselves; the feedback stays
            case doing.DoPrompt():
                self._act(Action(at_ms, who.who, "agent", do.what, do.prompt))
            case doing.DoPlan():
                option = self.practice.playbook.option(do.option)
                title = option.title if option is not None else do.option
                self._act(Action(at_ms, who.who, "agent", f"plan-{do.what}", do.option, title))
                if do.what == "asked" and not self.by_voice:  # in text no time passes until the trainee has typed
                    self.publish(self.practice.advance(at_ms + SUPERVISOR_ANSWER_MS + TICK_MS))
            case doing.DoStep():
                detail = "done" if do.done else "undone"
                self._act(Action(at_ms, who.who, "agent", "step", do.step, detail))
            case _:
                raise OverlayError("refused", "This is practice: answer the customer.")

    def _act(self, action: Action) -> None:
        if reason := self.practice.session.refusal(action):
            raise OverlayError("refused", reason)
        self.publish(self.practice.act(action))

    async def in_text(self, ask: Callable[[], Awaitable[str | None]]) -> None:
        """Runs the call in text until it ends or the trainee leaves; `ask` returns a reply, or None if they leave."""
        practice = self.practice
        self.publish(practice.begin())
        reason = "hang-up"
        while True:
            self.publish(practice.advance_to_trainee())
            if practice.over:
                break
            self.update_page()
            text = await ask()
            if text is None:
                reason = "interrupted"
                break
            self.publish(practice.reply(text))
        self.publish(practice.end(reason))

    async def aloud(
        self, source: CallSource, make_listener: Callable[..., CallListener], *, in_step: bool = False
    ) -> None:
        """Runs the call by voice: the agent's channel of `source` is the trainee's; the other one is dropped."""
        practice = self.practice
        self.by_voice = True
        loop = asyncio.get_running_loop()
        listener = make_listener(
            (Speaker.AGENT,), in_step=in_step, wake=lambda: loop.call_soon(lambda: None), phrases=()
        )
        self.publish(practice.begin())
        await _until_ctrl_c(self._listen(source, listener))
        for heard in await asyncio.to_thread(lambda: list(listener.finish())):
            self.publish(practice.hear(heard))
        self.publish(practice.end("hang-up" if practice.over else "interrupted"))

    async def _listen(self, source: CallSource, listener: CallListener) -> None:
        """Feeds the sound to the call until it is over or the source ends."""
        practice = self.practice
        async for item in source:
            if isinstance(item, Chunk):
                if Speaker.AGENT in item.channels:
                    item = replace(item, channels={Speaker.AGENT: item.channels[Speaker.AGENT]})
                for heard in (*listener.push(item), *listener.poll()):
                    self.publish(practice.hear(heard))
                self.publish(practice.advance(item.end_ms))
            else:
                self.publish(practice.hear(item))
            if practice.over:
                break


def new_practice_call(script: Script, settings: Settings, show: Callable[[Event], None]) -> PracticeCall:
    """A new practice call."""
    now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    call = f"practice-{token_hex(4)}"  # not reused: a page left open shows nothing of an earlier practice
    sides = ("agent", "customer")
    started = CallStarted(0, call, settings.agent, settings.team, "Practice", script.caller, now, script.id, sides, {})
    playbook = load_playbook(settings.playbook, options=settings.options)
    practice = Practice(script, playbook, load_rules(extra=settings.rules), started, settings)
    return PracticeCall(practice, settings.agent, show)


@contextlib.asynccontextmanager
async def page_of(practice_call: PracticeCall, settings: Settings, tell: Callable[[str], object]) -> AsyncIterator[str]:
    """Serves the agent's page of this practice call; yields its address. Another port than the settings' is told."""
    app = create_app(practice_call.hub, practice_call.do, None, ScreenSettings(agent=practice_call.agent))
    async with serving(app, "127.0.0.1", settings.port, elsewhere=tell) as base:
        yield f"{base}{address_of(practice_call.agent)}"


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
    """Runs one practice call, then shows its feedback.

    Raises:
        AssistError, PlaybookError, AudioError: the script, the playbook or the microphone cannot be used.
    """
    script = load_script(name)
    terminal = Terminal(console)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # pasted bytes may not be text, and an error would end the reading

    def show(event: Event) -> None:
        typed = not aloud and isinstance(event, Utterance) and event.speaker is Speaker.AGENT
        if not typed:
            terminal.show(event)

    async def run() -> None:
        practice_call = new_practice_call(script, settings, show)
        console.print(Text.assemble((script.title, "bold"), f" {script.about}\n", (script.aim, "dim")))
        async with contextlib.AsyncExitStack() as stack:
            if page:
                address = await stack.enter_async_context(page_of(practice_call, settings, console.print))
                console.print(f"Agent: {address}", markup=False)
            if aloud:
                await _run_aloud(practice_call, settings, console, microphone, far_end, recording)
            else:
                if page:
                    console.print("Answer on the page.", style="dim")
                await practice_call.in_text(
                    lambda: _until_ctrl_c(practice_call.replies.get()) if page else _read_answer(console)
                )
            result = feedback(practice_call.events, practice_call.practice.playbook)
            practice_call.update_page(result)
            for part in tables(result):
                console.print(part)
            if page:
                console.print("The same is on the page; Enter closes it.")
                await _read_line()

    asyncio.run(run())


async def _until_ctrl_c(what: Awaitable[T]) -> T | None:
    """The result, or None where Ctrl-C came first, which `asyncio.run` turns into a cancelled main task."""
    try:
        return await what
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        return None


async def _read_line() -> str | None:
    """The next line typed into the terminal; None at the end of input.

    Read in a daemon thread of its own, so that Ctrl-C need not wait for Enter: reading in the event loop's thread would
    miss a Ctrl-C just before it blocks, and the threads of the loop's pool are joined at the end.
    """
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def deliver(line: str) -> None:
        if not typed.done():  # cancelled meanwhile
            typed.set_result(line)

    def read() -> None:
        line = sys.stdin.readline()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(deliver, line)

    threading.Thread(target=read, name="typed", daemon=True).start()
    line = await typed
    return line.rstrip("\n") if line else None


async def _read_answer(console: Console) -> str | None:
    """The trainee's typed reply; None if they leave: end of input, or Ctrl-C."""
    console.print("You: ", end="")
    answer = await _until_ctrl_c(_read_line())
    if answer is None:
        console.print()
    return answer


async def _run_aloud(
    practice_call: PracticeCall,
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
        await practice_call.aloud(source, hearing.listener, in_step=recording is not None)
    finally:
        hearing.close()
