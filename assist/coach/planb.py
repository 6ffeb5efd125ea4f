"""Plan B: chooses the playbook's options that this agent sees now, best first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from assist.coach.parts import Option
from assist.events import PlanOption

MAX_ROWS = 3
"""Options on the agent's page."""
MAX_ROWS_OVER_LIMIT = 1
"""Rows among them that need a supervisor: the front line first gives what it may grant itself (Tschohl)."""
MIN_OFFERS = 5
"""From so many offers on a row says "accepted 4 times in 5 here"."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known about the customer on the line."""

    value: str = ""
    """As the phone system or CRM names it, such as "gold"; empty when unknown."""
    used: Mapping[str, int] = field(default_factory=dict)
    """Option id -> times this caller had it within the option's `per_days`."""


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the options are chosen by, besides their own conditions."""

    role: str
    heard: Collection[str] = ()
    """Signal ids of this call."""
    about: Collection[str] = ()
    """Ids of options of which the customer has said one of the `reasons`."""
    answered: Collection[str] = ()
    """Ids of options that the customer has accepted or refused in this call, or a supervisor denied."""
    allowed: Mapping[str, str] = field(default_factory=dict)
    """Option id -> who has allowed it in this call."""
    accepted_here: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Option id -> (times accepted, times offered) at this site."""
    caller: Caller = field(default_factory=Caller)
    today: str = ""
    """ISO date, for options that expire; empty: none does."""


def choose_options(options: Sequence[Option], facts: CallFacts) -> tuple[PlanOption, ...]:
    """At most `MAX_ROWS` options: those that the agent may grant, then one to ask a supervisor for; each best first."""
    usable = sorted((option for option in options if is_applicable(option, facts)), key=lambda each: _rank(each, facts))
    mine = [option for option in usable if may_grant(option, facts)]
    over = [option for option in usable if not may_grant(option, facts)][:MAX_ROWS_OVER_LIMIT]
    rows = [*mine[: MAX_ROWS - len(over)], *over]
    return tuple(as_row(option, facts) for option in rows)


def is_applicable(option: Option, facts: CallFacts) -> bool:
    """Whether the option's conditions hold now."""
    return (
        option.id not in facts.answered
        and not (option.expires and facts.today and str(option.expires) < facts.today)
        and (not option.signals or any(signal in facts.heard for signal in option.signals))
        and (not option.reasons or option.id in facts.about)
        and (not option.customers or facts.caller.value in option.customers)
        and (not option.per_customer or facts.caller.used.get(option.id, 0) < option.per_customer)
    )


def may_grant(option: Option, facts: CallFacts) -> bool:
    """Whether the agent may grant it alone: its cost is within the role's limit, or a supervisor has allowed it."""
    return option.id in facts.allowed or option.cost <= option.limits.get(facts.role, -1.0)


def as_row(option: Option, facts: CallFacts) -> PlanOption:
    """The option as a row of the agent's page."""
    accepted, offers = facts.accepted_here.get(option.id, (0, 0))
    worth = f"accepted {accepted} times in {offers} here" if offers >= MIN_OFFERS else option.worth
    if option.id in facts.allowed:
        worth = f"{facts.allowed[option.id]} says yes"
    authority = "yours" if may_grant(option, facts) else "ask"
    return PlanOption(option.id, option.title, worth, authority, option.cost, option.bring_in)


def _rank(option: Option, facts: CallFacts) -> tuple[float, ...]:
    accepted, offers = facts.accepted_here.get(option.id, (0, 0))
    fitting = bool(option.reasons) + any(signal in facts.heard for signal in option.signals)
    # Laplace's rule of succession: an option that was never offered has an acceptance rate of 1/2.
    return (option.id not in facts.allowed, -fitting, -(accepted + 1) / (offers + 2), -(option.value - option.cost))
