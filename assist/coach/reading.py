"""A playbook, and a written call through it, as lines for people to read."""

from __future__ import annotations

from collections.abc import Iterator

from assist.coach.parts import Option, Playbook
from assist.coach.trial import Outcome
from assist.events import (
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
from detectors.signals import LevelChange


def lines_of(book: Playbook) -> Iterator[str]:
    """The whole of a playbook, with what it includes."""
    yield f"{book.name} – {book.version}"
    if book.about:
        yield book.about
    yield ""
    yield f"STEPS OF {book.method}"
    for number, step in enumerate(book.steps, 1):
        yield f"{number} {step.title} – {step.looks_like}" if step.looks_like else f"{number} {step.title}"
        if step.prompt:
            yield f"  [{step.prompt}]"
        yield from (f"  “{line}”" for line in step.say)
        if step.avoid:
            yield f"  not now: {step.avoid}"
    yield ""
    yield "WHEN THIS IS HEARD"
    for play in book.plays:
        served = book.served(play)
        serves = f" → {served.title}" if served is not None else ""
        often = f", from the {play.at_least}. time on" if play.at_least > 1 else ""
        after = f", after {', '.join(play.after)}" if play.after else ""
        yield f"{', '.join(play.signals)} ({', '.join(play.levels)}{often}{after}){serves}"
        yield f"  [{play.title}]"
        yield from (f"  “{line}”" for line in play.say)
        if play.avoid:
            yield f"  not now: {play.avoid}"
    yield ""
    yield "PLAN B"
    yield from (_option(option) for option in book.options)


def _option(option: Option) -> str:
    limits = ", ".join(f"{role} up to {limit:g}" for role, limit in option.limits.items())
    when = [f"heard: {', '.join(option.signals)}"] if option.signals else []
    when += [f"about: {', '.join(option.reasons)}"] if option.reasons else []
    when += [f"customers: {', '.join(option.customers)}"] if option.customers else []
    when += [f"at most {option.per_customer} in {option.per_days} days"] if option.per_customer else []
    when += [f"until {option.expires}"] if option.expires else []
    return f"{option.title} – {option.worth}; costs {option.cost:g} ({limits}){'; ' if when else ''}{'; '.join(when)}"


def course_of(outcome: Outcome) -> Iterator[str]:
    """What was said in a turn, and what came of it."""
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
