"""Plan B: which of the playbook's options to put before this agent now, best first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from assist.coach.parts import Option
from assist.events import PlanOption

ON_SCREEN = 3
OVER_LIMIT = 1
"""Rows of those three that may ask a supervisor: the front line gives what it may first (Tschohl)."""
TELLING = 5
"""Offers from which "accepted 4 times in 5 here" says something."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known about who is on the line."""

    value: str = ""
    """As the phone system or CRM names it, such as "gold"; empty when unknown."""
    used: Mapping[str, int] = field(default_factory=dict)
    """Option id -> times this caller had it within the option's `per_days`."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the options are chosen by."""

    role: str
    heard: Collection[str] = ()
    """Signal ids of this call."""
    about: Collection[str] = ()
    """Ids of options whose reasons the customer has spoken of."""
    answered: Collection[str] = ()
    """Options that are through in this call: accepted, refused by the customer, denied by a supervisor."""
    allowed: Mapping[str, str] = field(default_factory=dict)
    """Option id -> who has allowed it in this call."""
    accepted_here: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Option id -> (times accepted, times offered) at this site."""
    caller: Caller = field(default_factory=Caller)
    today: str = ""
    """ISO date; options that have expired by then are left out. Empty: none has."""


def offered(options: Sequence[Option], moment: Moment) -> tuple[PlanOption, ...]:
    """At most three options: those the agent may grant now, then at most one to ask for; each kind best first."""
    usable = sorted((option for option in options if fits(option, moment)), key=lambda each: _rank(each, moment))
    mine = [option for option in usable if may_grant(option, moment)]
    over = [option for option in usable if not may_grant(option, moment)][:OVER_LIMIT]
    rows = [*mine[: ON_SCREEN - len(over)], *over]
    return tuple(as_row(option, moment) for option in rows)


def fits(option: Option, moment: Moment) -> bool:
    """Whether the option's conditions hold now."""
    return (
        option.id not in moment.answered
        and not (option.expires and moment.today and str(option.expires) < moment.today)
        and (not option.signals or any(signal in moment.heard for signal in option.signals))
        and (not option.reasons or option.id in moment.about)
        and (not option.customers or moment.caller.value in option.customers)
        and (not option.per_customer or moment.caller.used.get(option.id, 0) < option.per_customer)
    )


def may_grant(option: Option, moment: Moment) -> bool:
    """Whether the agent may grant it alone: its cost is within the role's limit, or a supervisor has allowed it."""
    return option.id in moment.allowed or option.cost <= option.limits.get(moment.role, -1.0)


def as_row(option: Option, moment: Moment) -> PlanOption:
    """The option as it stands on the agent's screen."""
    accepted, offers = moment.accepted_here.get(option.id, (0, 0))
    worth = f"accepted {accepted} times in {offers} here" if offers >= TELLING else option.worth
    if option.id in moment.allowed:
        worth = f"{moment.allowed[option.id]} says yes"
    authority = "yours" if may_grant(option, moment) else "ask"
    return PlanOption(option.id, option.title, worth, authority, option.cost, option.bring_in)


def _rank(option: Option, moment: Moment) -> tuple[float, ...]:
    accepted, offers = moment.accepted_here.get(option.id, (0, 0))
    fitting = bool(option.reasons) + any(signal in moment.heard for signal in option.signals)
    # Laplace's rule: an option never offered counts as accepted every second time.
    return (option.id not in moment.allowed, -fitting, -(accepted + 1) / (offers + 2), -(option.value - option.cost))
