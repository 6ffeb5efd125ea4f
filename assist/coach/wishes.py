"""What the playbook wants said, as wishes for the prompt place: by a play, a step, or an option taken up. Pure."""

from __future__ import annotations

from assist.coach.parts import Option, Play, Playbook, Step
from assist.coach.promises import is_call
from assist.coach.prompting import Wish
from detectors.signals import Severity, Signal


def from_play(
    playbook: Playbook, play: Play, signals: tuple[Signal, ...], tier: Severity, since_ms: int, place: int, opening: int
) -> Wish:
    """The answer to these signals; `place`: of the play in the playbook; `opening`: of its line, where that varies."""
    served = playbook.served(play)
    first = opening % len(play.say) if play.vary else 0
    acted = frozenset(play.acted_by) | frozenset(served.ticked_by if play.step and served is not None else ())
    return Wish(
        play.id,
        served.id if served is not None else "",
        play.title,
        (*play.say[first:], *play.say[:first]),
        tier,
        signals,
        since_ms,
        acted,
        tuple(play.words),
        play.avoid,
        place,
    )


def from_step(step: Step, now_ms: int) -> Wish:
    """The method's next step."""
    return Wish(
        f"step-{step.id}",
        step.id,
        step.prompt,
        tuple(step.say),
        Severity.HELP,
        (),
        now_ms,
        frozenset(step.ticked_by),
        tuple(step.words),
        step.avoid,
    )


def from_option(playbook: Playbook, option: Option, now_ms: int) -> Wish:
    """The line that offers an option which the agent has taken up."""
    serving = next((step for step in playbook.steps if "remedy" in step.ticked_by), None)
    acted = frozenset({"callback_time"} if option.timed else {"remedy"})
    return Wish(
        f"offer-{option.id}",
        serving.id if serving is not None else "",
        "Offer it plainly, then wait",
        tuple(option.say),
        Severity.HELP,
        (),
        now_ms,
        acted,
        tuple(option.words),
        called_for=True,
    )


def after_option(option: Option, now_ms: int, *, called_for: bool) -> Wish:
    """What is left to say once the customer has taken an option."""
    return Wish(
        then_topic(option),
        "",
        "Name the day and hour" if option.timed else "Say what happens now",
        tuple(option.then),
        Severity.HELP,
        (),
        now_ms,
        frozenset({"callback_time"} if is_call(option.title) else ()),
        called_for=called_for,
    )


def then_topic(option: Option) -> str:
    """The topic of what is left to say once the customer has taken this option."""
    return f"then-{option.id}"
