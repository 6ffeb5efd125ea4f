"""Feedback after a practice call: steps done or left out, missteps, prompts. No score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table

from assist.coach.checks import AGENT_PLACEHOLDER
from assist.coach.parts import Playbook
from assist.events import (
    CallEnded,
    CallStarted,
    Event,
    PromptEnded,
    PromptShown,
    Recovery,
    SignalRaised,
    SignalWithdrawn,
    StepTicked,
)
from assist.wording import clock, label
from audio.events import Speaker
from detectors.signals import AGENT_MISSTEPS, Level, LevelChange, Signal


@dataclass(frozen=True, slots=True)
class StepResult:
    """A step of the method in the call."""

    title: str
    done_ms: int | None
    words: str
    """The trainee's words that did it; empty where it was left out or ticked by hand."""
    could_say: str
    """Of a step left out: a line that would have done it."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """Shown to the trainee only, and not stored."""

    steps: tuple[StepResult, ...]
    missteps: tuple[tuple[int, str, str], ...]
    """(call time in ms, label, words)."""
    clock: str
    """The recovery clock in words."""
    prompts: tuple[tuple[int, str, str, str], ...]
    """(call time in ms, title, line, what the trainee did)."""
    levels: tuple[tuple[int, Level], ...]
    """(call time in ms, level) of each change."""


def feedback(events: Sequence[Event], playbook: Playbook) -> Feedback:
    """Fold the events of a practice call."""
    ticked: dict[str, StepTicked] = {}
    ends: dict[str, PromptEnded] = {}
    agent = next((event.agent for event in events if isinstance(event, CallStarted)), "")
    for event in events:
        if isinstance(event, StepTicked):
            if event.done:
                ticked.setdefault(event.step, event)
            else:
                ticked.pop(event.step, None)
        elif isinstance(event, PromptEnded):
            ends[event.id] = event
    steps = []
    for step in playbook.steps:
        tick = ticked.get(step.id)
        done = tick.at_ms if tick else None
        could_say = "" if tick or not step.say else step.say[0].replace(AGENT_PLACEHOLDER, agent)
        steps.append(StepResult(step.title, done, tick.words if tick else "", could_say))
    prompts = []
    for event in events:
        if isinstance(event, PromptShown):
            end = ends.get(event.id)
            how = {"acted": f"said: “{end.words}”", "used": "used"}.get(end.how, "not used") if end else "not used"
            prompts.append((event.at_ms, event.title, event.say, how))
    levels = tuple((event.at_ms, event.level) for event in events if isinstance(event, LevelChange))
    return Feedback(tuple(steps), _missteps(events), _recovery_texts(events), tuple(prompts), levels)


def _missteps(events: Sequence[Event]) -> tuple[tuple[int, str, str], ...]:
    """(call time in ms, label, words) in order; overlapping signals of one id count once."""
    found: dict[str, Signal] = {}
    for event in events:
        if isinstance(event, SignalWithdrawn):
            found.pop(event.key, None)
        elif isinstance(event, SignalRaised):
            found[event.signal.key] = event.signal
    distinct: list[Signal] = []
    missteps = [each for each in found.values() if each.id in AGENT_MISSTEPS and each.speaker is Speaker.AGENT]
    for signal in sorted(missteps, key=lambda each: (each.at_ms, each.key)):
        if distinct and distinct[-1].id == signal.id and signal.evidence.start_ms < distinct[-1].evidence.end_ms:
            distinct[-1] = max(distinct[-1], signal, key=lambda each: len(each.evidence.quote))
        else:
            distinct.append(signal)
    return tuple((each.at_ms, label(each.id), each.evidence.quote) for each in distinct)


def _recovery_texts(events: Sequence[Event]) -> str:
    runs: list[tuple[Recovery, Recovery | None]] = []
    """Each start of the clock with its outcome."""
    ended = max((event.at_ms for event in events if isinstance(event, CallEnded)), default=0)
    for event in events:
        if isinstance(event, Recovery):
            if event.what == "started":
                runs.append((event, None))
            elif event.what == "stopped" and event.at_ms < ended:
                runs.pop()  # it had not escalated after all
            elif runs and runs[-1][1] is None:
                runs[-1] = (runs[-1][0], event)
    if not runs:
        return "the call did not escalate, so the 60-second clock never started"
    return "; ".join(_recovery_text(clock(started.at_ms), end) for started, end in runs)


def _recovery_text(escalated: str, end: Recovery | None) -> str:
    if end is not None and end.what == "met":
        what = "a remedy accepted" if end.by == "remedy" else "calmer"
        return f"{what} {end.took_ms / 1000:.0f} s after it escalated at {escalated} (goal {end.limit_ms // 1000} s)"
    if end is not None and end.what == "missed":
        return f"not calmer within {end.limit_ms // 1000} s of {escalated}, when it escalated"
    return f"the call escalated at {escalated} and ended before it was calmer"


def tables(result: Feedback) -> list[RenderableType]:
    """The feedback as it is printed in the terminal."""
    steps = Table("Step", "At", "Your words", "What could be said", title="The method", title_justify="left")
    for step in result.steps:
        if step.done_ms is None:
            steps.add_row(step.title, "–", "", f"“{step.could_say}”" if step.could_say else "")
        else:
            steps.add_row(f"✓ {step.title}", clock(step.done_ms), f"“{step.words}”" if step.words else "by hand", "")
    shown: list[RenderableType] = [steps, f"Recovery: {result.clock}."]
    if result.missteps:
        table = Table("At", "Heard", "Words", title="Tends to make it worse", title_justify="left")
        for at_ms, what, words in result.missteps:
            table.add_row(clock(at_ms), what, f"“{words}”")
        shown.append(table)
    if result.prompts:
        table = Table("At", "Prompt", "Line", "You", title="What the overlay suggested", title_justify="left")
        for at_ms, title, say, how in result.prompts:
            table.add_row(clock(at_ms), title, f"“{say}”", how)
        shown.append(table)
    levels = ", ".join(f"{clock(at_ms)} {level}" for at_ms, level in result.levels) or "calm throughout"
    shown.append(f"Level: {levels}. This is about the steps, not about you: nothing of it is kept.")
    return shown
