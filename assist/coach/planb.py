"""Plan B: which of the playbook's options to put before this agent now, best first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from assist.coach.playbook import Option
from assist.events import PlanOption

ON_SCREEN = 3


def offered(
    options: Sequence[Option],
    role: str,
    heard: Collection[str],
    *,
    answered: Collection[str] = (),
    accepted_here: Mapping[str, tuple[int, int]] | None = None,
    today: str = "",
) -> tuple[PlanOption, ...]:
    """At most three options: those the agent may grant first, then those that fit what was heard and worked here.

    Args:
        options: the playbook's.
        role: the agent's role; an option whose cost is over the role's limit asks a supervisor.
        heard: signal ids of this call.
        answered: options the customer has already answered in this call.
        accepted_here: option id -> (times accepted, times offered) at this site.
        today: ISO date; options that have expired by then are left out.
    """
    history = accepted_here or {}

    def rank(option: Option) -> tuple[float, ...]:
        accepted, offers = history.get(option.id, (0, 0))
        fits = sum(signal in heard for signal in option.signals)
        # Laplace's rule: an option never offered counts as accepted every second time.
        return (not _may(option, role), -min(fits, 1), -(accepted + 1) / (offers + 2), -(option.value - option.cost))

    usable = [
        option
        for option in options
        if option.id not in answered
        and not (option.expires and today and option.expires < today)
        and (not option.signals or any(signal in heard for signal in option.signals))
    ]
    return tuple(
        PlanOption(
            option.id, option.title, _worth(option, history), "yours" if _may(option, role) else "ask", option.cost
        )
        for option in sorted(usable, key=rank)[:ON_SCREEN]
    )


def _may(option: Option, role: str) -> bool:
    return option.cost <= option.limits.get(role, -1.0)


def _worth(option: Option, history: Mapping[str, tuple[int, int]]) -> str:
    accepted, offers = history.get(option.id, (0, 0))
    return f"accepted {accepted} times in {offers} here" if offers >= 5 else option.worth
