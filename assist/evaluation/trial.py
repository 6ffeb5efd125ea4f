"""Tests of a playbook on scripted conversations, with the real rules, detectors, level and coach.

The script is beside the playbook (mine.toml, mine.test.toml). Words are given times at an ordinary pace, ticks come as
in a live call; signals measured from sound (a raised voice) are written as `hears`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assist.coach.coach import AgentProfile, Coach
from assist.coach.parts import Playbook
from assist.coach.planb import Caller
from assist.coach.playbook import SHIPPED, TEST_SUFFIX, PlaybookError, parse, read_text
from assist.errors import first_written_problem
from assist.events import (
    Action,
    CallStarted,
    Event,
    FollowUpNoted,
    HandOffNoted,
    PlanMoved,
    PlanOffered,
    PromptEnded,
    PromptShown,
    Recovery,
    SignalRaised,
    StepTicked,
)
from assist.live.session import TICK_MS, Session
from audio.events import Speaker, SpeechActivity, Utterance, Word
from detectors.escalation import Escalation
from detectors.factory import build_detectors
from detectors.replay import ReplayDetector
from detectors.rulebook import Rulebook
from detectors.signals import SIGNAL_IDS, Evidence, Level, LevelChange, Severity, Signal

WORD_MS = 330
"""About three words a second: telephone talk."""
SETTLED_MS = 500
"""From the last word until the utterance settles."""


DOES = (
    "seen", "used", "dismissed", "wrong", "plan-asked", "plan-offered", "plan-accepted", "plan-refused", "step", "help",
    "pause", "resume",
)  # fmt: skip
"""What a written call may have done at the agent's screen."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(_Part):
    """What must come of a turn, until the next one begins. Ids are those of the playbook."""

    prompt: str = Field("", description="id of the play, or step-ID, or offer-ID, whose prompt is shown")
    no_prompt: bool = Field(False, description="no prompt is shown")
    acted: str = Field("", description="id whose prompt ends because it was acted on")
    steps: list[str] = Field(default_factory=list, description="steps that are ticked")
    level: Level | None = Field(None, description="the level at the end of the turn")
    signals: list[str] = Field(default_factory=list, description="signals that are heard")
    options: list[str] = Field(default_factory=list, description="Plan B options on screen at the end of the turn")
    offered: str = Field("", description="option that was heard being offered")
    accepted: str = Field("", description="option that was heard being accepted")
    promise: str = Field("", description="a promise is noted that is due then, as said")
    hand_off: str = Field("", description="a hand-off to this place is noted")
    clock: str = Field("", description="the recovery clock: started, met, missed, stopped")


class Turn(_Part):
    """Somebody says something, or does something at the agent's screen, or time passes."""

    who: Literal["agent", "customer"] = "customer"
    says: str = ""
    hears: list[str] = Field(default_factory=list, description="signals measured from sound while it is said")
    does: str = Field("", description='before any words, at the screen: "plan-offered late-fee", "used", "dismissed"')
    after_s: float = Field(0.6, ge=0, le=600, description="seconds of silence before it")
    expect: Expected = Field(default_factory=Expected)

    @model_validator(mode="after")
    def _happens(self) -> Turn:
        if self.says and not self.says.strip():
            raise ValueError("says: empty: expected some text")
        if self.hears and not self.says:
            raise ValueError("hears: a signal is heard while something is said: expected says as well")
        if self.does and self.does.split(" ")[0] not in DOES:
            raise ValueError(f"does: {self.does!r} is nothing that is done at a screen: expected {', '.join(DOES)}")
        return self


class Conversation(_Part):
    """One written call."""

    name: str = Field(min_length=1)
    role: str = "agent"
    experienced: bool = False
    value: str = Field("", description="the customer's value")
    turns: list[Turn] = Field(min_length=1)


class _Script(_Part):
    calls: list[Conversation] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One turn and its events."""

    turn: Turn
    events: tuple[Event, ...]
    misses: tuple[str, ...]
    """Expectations that were not met, one line each."""


def load_conversations(playbook: str | Path, script: Path | None = None) -> tuple[str, list[Conversation]]:
    """The scripted conversations of a playbook, from the file beside it or the one given; with the file's name.

    Raises:
        PlaybookError: codes playbook-untested (there is none), playbook-invalid (it cannot be used).
    """
    script_name = f"{str(playbook).removesuffix('.toml')}{TEST_SUFFIX}"
    try:
        place, text = read_text(script) if script is not None else _read_script(str(playbook), script_name)
    except PlaybookError:
        if os.path.lexists(script or script_name):
            raise
        raise PlaybookError(
            "playbook-untested",
            f"no scripted conversations of {playbook}: expected {script or script_name}",
        ) from None
    table = parse(place, text)
    try:
        found = _Script.model_validate(table).calls
    except ValidationError as error:
        raise PlaybookError("playbook-invalid", f"{place}: {first_written_problem(error, table, _Script)}") from None
    unknown = {name for call in found for turn in call.turns for name in turn.hears} - SIGNAL_IDS
    if unknown:
        known = ", ".join(sorted(SIGNAL_IDS))
        raise PlaybookError("playbook-invalid", f"{place}: hears: {min(unknown)!r}: expected one of {known}")
    return place, found


def _read_script(playbook: str, script_name: str) -> tuple[str, str]:
    shipped = SHIPPED / f"{playbook}{TEST_SUFFIX}"
    if "/" not in playbook and shipped.is_file():
        return script_name, shipped.read_text(encoding="utf-8")
    return read_text(Path(script_name))


def run_conversation(book: Playbook, rules: Rulebook, call: Conversation) -> list[Outcome]:
    """Run one conversation through rules, detectors, level and coach."""
    simulation = _Simulation(book, rules, call)
    return [simulation.run_turn(turn, number) for number, turn in enumerate(call.turns)]


class _Simulation:
    def __init__(self, book: Playbook, rules: Rulebook, call: Conversation) -> None:
        began = datetime.fromisoformat("2026-11-24T10:00:00+00:00")
        started = CallStarted(
            0, "scripted", "Dana", "", "", "", began.isoformat(), "script", ("agent", "customer"), {}, call.value
        )
        self.sounds = ReplayDetector([])
        """Raises the signals that the script gives as measured from sound."""
        profile = AgentProfile("Dana", call.role, call.experienced)
        coach = Coach(book, profile, caller=Caller(call.value), began=began)
        self.session = Session(started, [self.sounds, *build_detectors(rules)], Escalation(), coach)
        self.now_ms = 0
        self.level = Level.CALM
        self.refused = ""
        """Why what was done in this turn is refused; empty where it is not."""
        self.options: list[str] = []
        self.prompts: dict[str, str] = {}
        """Prompt id -> play, of all that were shown."""
        self.shown = ""

    def run_turn(self, turn: Turn, number: int) -> Outcome:
        events = list(self._turn_events(turn, number))
        for event in events:
            match event:
                case LevelChange():
                    self.level = event.level
                case PlanOffered():
                    self.options = [option.id for option in event.options]
                case PromptShown():
                    self.prompts[event.id], self.shown = event.play, event.id
                case _:
                    pass
        return Outcome(turn, tuple(events), tuple(self._misses(turn.expect, events)))

    def _turn_events(self, turn: Turn, number: int) -> Iterator[Event]:
        yield from self._advance(round(turn.after_s * 1000))
        self.refused = ""
        if turn.does:
            what, _, target = turn.does.partition(" ")
            action = Action(self.now_ms, "Dana", "agent", what, target or self.shown)
            self.refused = self.session.coach.refusal(action)
            yield from self.session.act(action)
        if not turn.says:
            return
        speaker, start = Speaker(turn.who), self.now_ms
        texts = turn.says.split()
        words = tuple(
            Word(text, start + WORD_MS * n, start + WORD_MS * n + WORD_MS - 60) for n, text in enumerate(texts)
        )
        yield from self.session.hear(SpeechActivity(speaker, start, True))
        yield from self._advance(WORD_MS * len(words))
        self.sounds.signals += [_acoustic_signal(name, self.now_ms) for name in turn.hears]
        yield from self.session.hear(SpeechActivity(speaker, self.now_ms, False))
        yield from self._advance(SETTLED_MS)
        said = Utterance(f"{speaker.value[0]}{number}", speaker, start, start + WORD_MS * len(words), words)
        yield from self.session.hear(said)
        yield from self._advance(TICK_MS)

    def _advance(self, milliseconds: int) -> Iterator[Event]:
        until = self.now_ms + milliseconds
        while self.now_ms + TICK_MS <= until:
            self.now_ms += TICK_MS
            yield from self.session.tick(self.now_ms)
        self.now_ms = until

    def _misses(self, expect: Expected, events: list[Event]) -> Iterator[str]:
        shown = [event.play for event in events if isinstance(event, PromptShown)]
        acted = [self.prompts[e.id] for e in events if isinstance(e, PromptEnded) and e.how == "acted"]
        moved = [(event.what, event.option) for event in events if isinstance(event, PlanMoved)]
        compared: dict[str, tuple[list[str], list[str]]] = {
            "prompt": ([expect.prompt], shown),
            "prompt acted on": ([expect.acted], acted),
            "step": (expect.steps, [event.step for event in events if isinstance(event, StepTicked) and event.done]),
            "signal": (expect.signals, [event.signal.id for event in events if isinstance(event, SignalRaised)]),
            "level": ([expect.level or ""], [self.level]),
            "option on screen": (expect.options, self.options),
            "option offered": ([expect.offered], [option for what, option in moved if what == "offered"]),
            "option accepted": ([expect.accepted], [option for what, option in moved if what == "accepted"]),
            "promise due": ([expect.promise], [event.due for event in events if isinstance(event, FollowUpNoted)]),
            "hand-off to": ([expect.hand_off], [event.to for event in events if isinstance(event, HandOffNoted)]),
            "clock": ([expect.clock], [event.what for event in events if isinstance(event, Recovery)]),
        }
        for what, (expected, found) in compared.items():
            for each in expected:
                if each and each not in found:
                    yield f"{what}: expected {each}, there was {', '.join(found) or 'none'}"
        if self.refused:
            yield f"does: {self.refused}"
        if expect.no_prompt and shown:
            yield f"prompt: expected none, there was {', '.join(shown)}"


def turn_report(outcome: Outcome) -> Iterator[str]:
    """What was said in a turn and the events it gave, as lines."""
    turn = outcome.turn
    yield f"{turn.who}: {turn.says}" if turn.says else f"({turn.does or f'{turn.after_s:g} s pass'})"
    for event in outcome.events:
        match event:
            case SignalRaised(signal=signal) if signal.settled:
                yield f"    heard {signal.id} “{signal.evidence.quote or signal.evidence.summary}”"
            case LevelChange():
                yield f"    level {event.level} ({event.score:.0f})"
            case PromptShown():
                yield f"    ▶ {event.play}: [{event.title}] “{event.say}”"
            case PromptEnded():
                yield f"    {event.id} {event.how}{f': “{event.words}”' if event.words else ''}"
            case StepTicked():
                yield f"    ✓ {event.step} “{event.words}”"
            case PlanOffered():
                yield f"    plan B: {', '.join(option.title for option in event.options) or 'taken away'}"
            case PlanMoved():
                yield f"    {event.option} {event.what} “{event.words}”"
            case FollowUpNoted():
                yield f"    promise: {event.what}, due {event.due or 'no time named'} {event.due_at}"
            case HandOffNoted():
                yield f"    hand-off to {event.to}: {' / '.join(text for _, text in event.said)}"
            case Recovery():
                yield f"    clock {event.what}"
            case _:
                pass


def _acoustic_signal(name: str, at_ms: int) -> Signal:
    evidence = Evidence(at_ms - 1_000, at_ms, summary="written in the script", measured={"seconds": 1.0})
    return Signal(name, f"script.{name}", "1", Speaker.CUSTOMER, at_ms, 0.9, Severity.NOTE, evidence)
