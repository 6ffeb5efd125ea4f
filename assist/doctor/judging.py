"""The checks of what judges a call and says what to do: rules, sentence model, playbook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

from assist.coach.playbook import check_playbook, list_playbooks, load_playbook
from assist.doctor.finding import Finding, bad, ok, warning
from assist.hints import quoted
from assist.live.call_setup import unknown_authorities
from assist.settings import Settings
from detectors.examples import failing_examples
from detectors.factory import DetectorSettings, ModelError, build_detectors
from detectors.rulebook import Rulebook, RuleError, load_rules
from detectors.sentence_model import shipped_model


def rules(settings: Settings) -> Iterator[Finding]:
    """The rules in force load; a deployment's own do what their examples say and were looked at in time.

    The shipped ones are tried before they are shipped: their examples would cost seconds here.
    """
    try:
        rulebook = load_rules(extra=settings.rules)
    except RuleError as error:
        yield bad("rules", f"{error}: until it is mended no call is heard")
        return
    text = f"{len(rulebook.rules)} rules, version {rulebook.version}"
    own = replace(rulebook, rules=tuple(rule for rule in rulebook.rules if not rule.shipped))
    problems, overdue = failing_examples(own), own.overdue(date.today())
    if problems:
        yield warning("rules", f"{text}; {_first(settings, problems)}: mend the rule or its example")
    elif overdue:
        rule = overdue[0]
        late = f"{len(overdue)} past their review, first {rule.id} ({rule.source}, {rule.owner}, {rule.review_by})"
        yield warning("rules", f"{text}; {late}: look at them, then set review_by anew")
    else:
        yield ok("rules", f"{text}: they load")


def sentences(settings: Settings) -> Iterator[Finding]:
    """The sentence model loads and reads."""
    if not settings.meaning:
        yield ok("sentences", "the sentence model is off (meaning = false): the phrase rules judge alone")
        return
    try:
        build_detectors(Rulebook((), {}, ""), DetectorSettings())
    except ModelError as error:
        yield bad("sentences", str(error))
        return
    model = shipped_model()
    for network in model.networks:
        network(["hello"])
    yield ok("sentences", f"the sentence model loads and reads: version {model.version}, {len(model.labels)} signals")


def playbook(settings: Settings) -> Iterator[Finding]:
    """The playbook in force loads; one of a deployment's own, or with its own rules, also fits the rules in force."""
    problems = check_playbook(settings.playbook, options=settings.options)
    if problems:
        yield bad("playbook", f"{_first(settings, problems)}: until it is mended no call is heard")
        return
    book = load_playbook(settings.playbook, options=settings.options)
    if odd := unknown_authorities(settings, book):
        yield warning("authority", odd)
    text = f"{book.name}, version {book.version}"
    if settings.playbook in list_playbooks() and not (settings.options or settings.rules):
        yield ok("playbook", f"{text}: it loads")
        return
    try:
        problems = check_playbook(settings.playbook, options=settings.options, rules=load_rules(extra=settings.rules))
    except RuleError:
        yield warning("playbook", f"{text}; whether it fits the rules cannot be told before they are mended")
        return
    if problems:
        yield warning("playbook", f"{text}; {_first(settings, problems)}: mend it, then {_check(settings)}")
    else:
        yield ok("playbook", f"{text}, fits the rules")


def _first(settings: Settings, problems: list[str]) -> str:
    return problems[0] + (f" (and {len(problems) - 1} more: {_check(settings)})" if len(problems) > 1 else "")


def _check(settings: Settings) -> str:
    """The command that checks what these settings have in force."""
    words = [settings.playbook]
    words += ["--options", str(settings.options)] if settings.options else []
    return f"`assist playbook check {' '.join(map(quoted, words))}`"
