"""A playbook as text for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assist.coach.parts import Option, Playbook


def playbook_lines(book: Playbook) -> Iterator[str]:
    """The whole of a playbook, with what it includes."""
    yield f"{book.name} – {book.version}"
    if book.about:
        yield book.about
    yield ""
    yield f"STEPS OF {book.method}"
    for number, step in enumerate(book.steps, 1):
        yield f"{number} {step.title} – {step.looks_like}" if step.looks_like else f"{number} {step.title}"
        yield from _prompt_lines(step.prompt, step.say, step.avoid)
    yield ""
    yield "WHEN THIS IS HEARD"
    for play in book.plays:
        served = book.served(play)
        serves = f" → {served.title}" if served is not None else ""
        often = f", from the {play.at_least}. time on" if play.at_least > 1 else ""
        after = f", after {', '.join(play.after)}" if play.after else ""
        yield f"{', '.join(play.signals)} ({', '.join(play.levels)}{often}{after}){serves}"
        yield from _prompt_lines(play.title, play.say, play.avoid)
    yield ""
    yield "PLAN B"
    yield from (_option_line(option) for option in book.options)


def _prompt_lines(title: str, say: Sequence[str], avoid: str) -> Iterator[str]:
    if title:
        yield f"  [{title}]"
    yield from (f"  “{line}”" for line in say)
    if avoid:
        yield f"  not now: {avoid}"


def _option_line(option: Option) -> str:
    limits = ", ".join(f"{role} up to {limit:g}" for role, limit in option.limits.items())
    when = [f"heard: {', '.join(option.signals)}"] if option.signals else []
    when += [f"about: {', '.join(option.reasons)}"] if option.reasons else []
    when += [f"customers: {', '.join(option.customers)}"] if option.customers else []
    when += [f"at most {option.per_customer} in {option.per_days} days"] if option.per_customer else []
    when += [f"until {option.expires}"] if option.expires else []
    return f"{option.title} – {option.worth}; costs {option.cost:g} ({limits}){'; ' if when else ''}{'; '.join(when)}"
