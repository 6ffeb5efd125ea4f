"""Checks of a well-formed playbook: texts too long for a prompt, unreachable steps, unknown names, limits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from assist.coach.matching import matched_words, phrase_regex
from assist.coach.parts import Option, Play, Playbook, Step
from audio.events import Speaker, Utterance, Word
from detectors.phrases import PhraseDetector
from detectors.rulebook import Rulebook
from detectors.signals import AGENT_MISSTEPS, AGENT_STEPS, SIGNAL_IDS, Level

MAX_TITLE_WORDS = 6
MAX_LINE_WORDS = 20
"""What is read at a glance while somebody talks. Chosen, not measured."""
MAX_TITLE_CHARACTERS = 60
MAX_LINE_CHARACTERS = 200
"""... however long the words are."""
AGENT_PLACEHOLDER = "{agent}"
"""In a line to say, stands for the agent's name."""

Problem = tuple[str, str, str, str]
"""(kind of part: steps, plays, options, or empty; its id; the key; what is wrong and what was expected)."""


def problems_of(book: Playbook) -> Iterator[Problem]:
    """Problems that the data model does not find, as they concern several keys or parts."""
    steps = {step.id: step.after for step in book.steps}
    plays = {play.id: play.after for play in book.plays}
    for step in book.steps:
        yield from (("steps", step.id, key, text) for key, text in _step_problems(step, steps))
    for play in book.plays:
        yield from (("plays", play.id, key, text) for key, text in _play_problems(play, steps, plays))
    for option in book.options:
        yield from (("options", option.id, key, text) for key, text in _option_problems(option))
    seen: dict[str, str] = {}
    for kind, part in [("steps", step) for step in book.steps] + [("plays", play) for play in book.plays]:
        for line in part.say:
            if line in seen:
                yield (
                    kind,
                    part.id,
                    "say",
                    f"the line {line!r} stands twice (also in {seen[line]}): expected every line once",
                )
            seen[line] = f"{kind}.{part.id}"


def problems_with_rules(book: Playbook, rulebook: Rulebook) -> Iterator[Problem]:
    """Problems with the detection rules: examples that do not tick their step, lines heard as a misstep."""
    detector = PhraseDetector(rulebook)
    for step in book.steps:
        for example in step.examples:
            heard = {signal.id for signal in detector.find(example, Speaker.AGENT)}
            if not heard & set(step.ticked_by) and not matched_words(step.words, as_utterance(example)):
                wanted = ", ".join([*step.ticked_by, *step.words])
                yield "steps", step.id, "examples", f"{example!r} does not tick it: expected {wanted}"
    for kind, part in [("steps", step) for step in book.steps] + [("plays", play) for play in book.plays]:
        for line in part.say:
            for signal in detector.find(line, Speaker.AGENT):
                if signal.id in AGENT_MISSTEPS:
                    text = f"{line!r} would be heard as {signal.id} ({signal.evidence.quote!r}): say it another way"
                    yield kind, part.id, "say", text


def as_utterance(text: str, speaker: Speaker = Speaker.AGENT) -> Utterance:
    """A written line as an utterance, at 300 ms a word."""
    words = tuple(Word(word, 300 * n, 300 * n + 280) for n, word in enumerate(text.split()))
    return Utterance("written", speaker, 0, 300 * len(words), words)


def _step_problems(step: Step, after: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    yield from _unknown_names("ticked_by", step.ticked_by, frozenset(AGENT_STEPS), "agent steps")
    yield from _unknown_names("fits", step.fits, SIGNAL_IDS, "signals")
    yield from _bad_phrases("words", step.words)
    yield from _order_problems("after", step.id, after, "steps")
    if not step.ticked_by and not step.words and not step.say:
        yield "", "cannot be reached: expected ticked_by (agent steps), words, or lines to say"
    if step.levels == [Level.CALM]:
        yield "levels", "cannot be reached: a calm call gets no card; expected tense, escalated or recovering as well"
    if step.say and not step.prompt:
        yield "prompt", f"has lines to say but no prompt: expected a title of at most {MAX_TITLE_WORDS} words"
    yield from _prompt_problems("prompt", step.prompt, step.say, step.avoid)


def _play_problems(
    play: Play, steps: Mapping[str, Sequence[str]], plays: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    yield from _unknown_names("signals", play.signals, SIGNAL_IDS, "signals")
    yield from _unknown_names("acted_by", play.acted_by, frozenset(AGENT_STEPS), "agent steps")
    yield from _bad_phrases("words", play.words)
    yield from _order_problems("after", play.id, plays, "plays")
    if play.step and play.step not in steps:
        yield "step", f"no step {play.step!r}: expected one of {', '.join(sorted(steps))}"
    if play.levels == [Level.CALM] and play.tier != "urgent":
        yield "levels", "cannot be reached: a calm call gets no card; expected tense, escalated or recovering as well"
    if play.least == "urgent" and play.tier != "urgent":
        yield "least", 'answers only urgent signals, but its tier is not urgent: expected tier = "urgent"'
    yield from _prompt_problems("title", play.title, play.say, play.avoid)


def _option_problems(option: Option) -> Iterator[tuple[str, str]]:
    yield from _unknown_names("signals", option.signals, SIGNAL_IDS, "signals")
    yield from _bad_phrases("reasons", option.reasons)
    yield from _bad_phrases("words", option.words)
    yield from _line_problems("say", option.say)
    yield from _line_problems("then", option.then)
    if not option.limits:
        yield "limits", "nobody may grant it: expected a role, such as { supervisor = 100 }"
    elif max(option.limits.values()) < option.cost:
        most = max(option.limits.values())
        yield "cost", f"{option.cost:g} is over every limit ({most:g} at most): raise one, or make it cost less"


def _order_problems(key: str, own: str, after: Mapping[str, Sequence[str]], what: str) -> Iterator[tuple[str, str]]:
    for other in after[own]:
        if other not in after:
            yield key, f"no {what.rstrip('s')} {other!r}: expected one of {', '.join(sorted(after))}"
    reached, waiting = set(), list(after[own])
    while waiting:
        other = waiting.pop()
        if other == own:
            yield key, f"cannot be reached: {own!r} waits for itself: expected an order that begins somewhere"
            return
        if other not in reached:
            reached.add(other)
            waiting += after.get(other, ())


def _bad_phrases(key: str, phrases: Sequence[str]) -> Iterator[tuple[str, str]]:
    for phrase in phrases:
        try:
            phrase_regex(phrase)
        except ValueError as error:
            yield key, f"{phrase!r} is no phrase: {error}; expected words, (a|b), [may be missing], word* or ..."


def _unknown_names(key: str, given: Sequence[str], known: frozenset[str], what: str) -> Iterator[tuple[str, str]]:
    for each in given:
        if each not in known:
            near = difflib.get_close_matches(each, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            yield key, f"{each!r} is none of the {what}: {hint}expected one of {', '.join(sorted(known))}"


def _prompt_problems(key: str, title: str, lines: Sequence[str], avoid: str) -> Iterator[tuple[str, str]]:
    if len(title.split()) > MAX_TITLE_WORDS:
        yield key, f"title {title!r} has {len(title.split())} words: expected at most {MAX_TITLE_WORDS}"
    yield from _text_problems(key, title, MAX_TITLE_CHARACTERS)
    yield from _text_problems("avoid", avoid, MAX_LINE_CHARACTERS)
    yield from _line_problems("say", lines)
    for line in lines:
        if avoid and avoid.casefold() in line.casefold():
            yield "avoid", f"{avoid!r} is what not to say, but {line!r} says it: change one of them"


def _line_problems(key: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        yield from _text_problems(key, line, MAX_LINE_CHARACTERS)
        if len(line.split()) > MAX_LINE_WORDS:
            yield key, f"{line!r} has {len(line.split())} words: expected at most {MAX_LINE_WORDS}"
        if odd := re.search(r"{\w*}?|}", line.replace(AGENT_PLACEHOLDER, "")):
            yield key, f"{odd[0]} is no placeholder: expected {AGENT_PLACEHOLDER}"
        if "!" in line:
            yield key, f"{line!r}: expected no exclamation mark"


def _text_problems(key: str, text: str, most: int) -> Iterator[tuple[str, str]]:
    if text and not any(each.isalnum() for each in text):
        yield key, f"{text!r} has no words: expected some that can be read"
    if len(text) > most:
        yield key, f"{text[:30]!r} ... has {len(text):,} characters: expected at most {most}"
