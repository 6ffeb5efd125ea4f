"""Prompt candidates from the playbook: for a play, a step, or a Plan B option. Pure."""

from __future__ import annotations

from assist.coach.parts import Option, Play, Playbook, Step
from assist.coach.promises import is_call
from assist.coach.prompting import PromptCandidate
from detectors.signals import Severity, Signal


def candidate_for_play(
    playbook: Playbook,
    play: Play,
    signals: tuple[Signal, ...],
    tier: Severity,
    since_ms: int,
    index: int,
    variation: int,
) -> PromptCandidate:
    """The play as the answer to these signals.

    Args:
        playbook: of the call.
        play: one of its plays.
        signals: what it answers.
        tier: urgency; may be above the play's own.
        since_ms: call time since when it could be shown.
        index: of the play in the playbook.
        variation: any number; plays that vary begin with the line that it selects.
    """
    served = playbook.served(play)
    first = variation % len(play.say) if play.vary else 0
    acted = frozenset(play.acted_by) | frozenset(served.ticked_by if play.step and served is not None else ())
    return PromptCandidate(
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
        index,
    )


def candidate_for_step(step: Step, now_ms: int) -> PromptCandidate:
    """The method's next step."""
    return PromptCandidate(
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


def candidate_for_offer(playbook: Playbook, option: Option, now_ms: int) -> PromptCandidate:
    """The line that offers an option, for an agent who has chosen to offer it."""
    serving = next((step for step in playbook.steps if "remedy" in step.ticked_by), None)
    acted = frozenset({"callback_time"} if option.timed else {"remedy"})
    return PromptCandidate(
        f"offer-{option.id}",
        serving.id if serving is not None else "",
        "Offer it plainly, then wait",
        tuple(option.say),
        Severity.HELP,
        (),
        now_ms,
        acted,
        tuple(option.words),
        requested=True,
    )


def candidate_for_accepted(option: Option, now_ms: int, *, requested: bool) -> PromptCandidate:
    """What is left to say once the customer has accepted an option."""
    return PromptCandidate(
        then_topic(option),
        "",
        "Name the day and hour" if option.timed else "Say what happens now",
        tuple(option.then),
        Severity.HELP,
        (),
        now_ms,
        frozenset({"callback_time"} if is_call(option.title) else ()),
        requested=requested,
    )


def then_topic(option: Option) -> str:
    """The topic of `candidate_for_accepted`."""
    return f"then-{option.id}"
