"""What the sentence model is taught with: lines of speech, each with the labels that hold.

tests/data/words/taught/*.txt is `who|labels|text` (c: customer, a: agent; `-` for no label), every label given; of
`?label` nobody knows. They were written for this project by authors who had seen neither rules nor other lines of it;
`heard-*` are some of their lines as a recogniser heard them; those of `turns-*` follow each other in calls, and are
taught once more with what the same speaker said just before. tests/data/words/talk/*.txt is telephone talk of people
who do not serve each other, `A|text`, written for this project too: in none of it is anything that a customer's cue or
an agent's wrong move could be. tests/data/words/upset/*.txt is calls (`ordinary-*`: single turns), `who|degree|text`:
how upset with the firm a customer is in each turn (0 not, 1 a grumble, 2 so that somebody should know, 3 rage).
tests/data/words/self-harm/*.txt is `h|text` (a hint of it) and `-|text` (sounds like one only), and so is
outright/*.txt of being upset: turns that say it outright, read by themselves, and what has the same words. Then come
the project's other labelled lines and rule examples at half weight (only the labels somebody looked for), the turns of
three sets of written calls, and as ordinary business a half of Bitext's requests (CDLA-Sharing-1.0; not kept here).
Left out is all that only measures: tests/data/words/independent/b* to i*, tests/data/calls/heldout3 and independent;
tests/data/calls/dev3; and tests/data/words/held and HELD_BACK, on which thresholds are set.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from assist.evaluation.cases import read_cases
from audio.events import Speaker
from detectors.context import written
from detectors.dialogue_context import NO_CONTEXT, DialogueContext, context_after
from detectors.meaning import COMPLAINT, SELF_HARM, UPSET
from detectors.rulebook import load_rules
from detectors.signals import AGENT_SIGNALS, AGENT_STEPS
from tests.calm_talk import requests

DATA = Path(__file__).parent.parent / "data"
SMALL = ("dev", "dev2", "dev3", "heldout", "heldout2", "blind")
CALLS = ("dev", "dev2", "heldout2")
OF_AGENT = tuple(sorted(AGENT_SIGNALS))
OF_CUSTOMER = (
    *sorted({rule.signal for rule in load_rules().rules} - AGENT_SIGNALS),
    SELF_HARM,
    COMPLAINT,
    UPSET,
)
SOUGHT = frozenset(OF_CUSTOMER) - {SELF_HARM, COMPLAINT, UPSET}
"""What whoever labels a customer's line looks for."""
UNLABELLED = {"swearing", "de_escalation", COMPLAINT}
"""Nobody has marked friendly swearing, thanks and mild displeasure in the calm calls."""
OF_CALLER = (SELF_HARM, UPSET)
"""How a caller is, in the order of the scores of caller.onnx ..."""
LABELS = (*(name for name in OF_CUSTOMER if name not in OF_CALLER), *OF_AGENT)
"""... and all else, in that of model.onnx."""
NEVER_IN_TALK = (
    tuple(name for name in OF_CUSTOMER if name not in ("swearing", "de_escalation")),
    tuple(name for name in OF_AGENT if name not in AGENT_STEPS),
)
"""What of a customer's and of an agent's cannot be in talk between people who do not serve each other: people do ask,
thank and swear there."""
TALK_WEIGHTS = 0.5, 0.25
"""How often a line of telephone talk is taken in an epoch, as a customer's and as an agent's ..."""
PLACED_WEIGHT = 0.8
"""... and where what was said before it is read, too."""
GRUMBLE, UPSET_FROM, GRUMBLE_WEIGHT = 1, 2, 0.6
"""Degrees of being upset; a grumble is none, but near."""
HELD_TALK = "talk-7"
"""Not taught: thresholds are set on what the network hears in it."""
HELD_HARM = "self-harm-3"
"""The same, for hints of self-harm."""
HELD_BACK = frozenset((HELD_TALK, HELD_HARM, "upset-7", "upset-12", "outright-2"))
"""Not taught; of the calls one author is measured only, some others are set aside for thresholds."""
OTHER_WEIGHT = 0.3
"""Single lines in which nothing of OF_CALLER is, where that is what is taught."""


@dataclass(frozen=True)
class Line:
    text: str
    agent: bool
    source: str
    """Author or file: what is held out together."""
    holds: dict[str, bool]
    """Labels somebody has looked for."""
    weight: float = 1.0
    """How often it is taken in an epoch."""
    place: DialogueContext = NO_CONTEXT
    """What was said before it, where that is taught, too."""


def taught(text):
    """All lines for the network that hears what is said; `text`: the folder that holds Bitext."""
    return [*_authored(), *in_talk(), *_judged(), *_examples(), *_calls(), *_requests(text)]


def of_callers(text):
    """All lines for the network that hears how a caller is: turns in their places, and lines by themselves."""
    alone = [line for line in (*_authored(), *_judged(), *_requests(text)) if not line.agent]
    yield from (*in_calls(), *_in_talk_placed(), *hints(), *outright())
    for line in alone:
        holds = {name: line.holds[name] for name in OF_CALLER if name in line.holds}
        if holds:
            yield replace(line, holds=holds, weight=1.0 if any(holds.values()) else OTHER_WEIGHT)


def talk(path):
    """One file of telephone talk: (speaker, text), every other line with what the same speaker said before it."""
    before: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        who, _, text = line.partition("|")
        if not text:
            before = {}  # another conversation
            continue
        yield who, f"{before[who]} {text}" if who in before and number % 2 else text
        before[who] = text


def _authored():
    for path in sorted((DATA / "words" / "taught").glob("*.txt")):
        before: dict[bool, Line] = {}
        for said in _read(path):
            yield said
            if path.stem.startswith("turns"):
                if said.agent in before:
                    earlier = before[said.agent]
                    known = said.holds.keys() & earlier.holds.keys()
                    both = {name: said.holds[name] or earlier.holds[name] for name in known}
                    yield replace(earlier, text=f"{earlier.text} {said.text}", holds=both, weight=0.5)
                before[said.agent] = said


def _read(path):
    """One file of `who|labels|text`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        who, labels, text = line.split("|")
        told = set(labels.split(","))
        told |= {label.replace(SELF_HARM, "vulnerable") for label in told}
        asked = [label for label in (OF_CUSTOMER if who == "c" else OF_AGENT) if f"?{label}" not in told]
        if told != {"-"} and UPSET in asked:
            asked.remove(UPSET)  # whoever wants or threatens something may be upset or not
        yield Line(text, who == "a", path.stem, {name: name in told for name in asked})


def held():
    """Lines that are not taught: thresholds are set on them."""
    for path in sorted((DATA / "words" / "held").glob("*.txt")):
        yield from _read(path)


def in_talk():
    """Said as a customer and as an agent; every other line with what the same speaker said before."""
    for path in sorted((DATA / "words" / "talk").glob("*.txt")):
        for _, text in talk(path) if path.stem not in HELD_BACK else ():
            for agent in (False, True):
                yield Line(
                    text, agent, path.stem, dict.fromkeys(NEVER_IN_TALK[agent], False), weight=TALK_WEIGHTS[agent]
                )


def _in_talk_placed():
    for path in sorted((DATA / "words" / "talk").glob("*.txt")):
        for place, text in in_conversation(path) if path.stem not in HELD_BACK else ():
            yield Line(text, False, path.stem, dict.fromkeys(OF_CALLER, False), weight=PLACED_WEIGHT, place=place)


def graded(path):
    """One file of graded calls, or of single turns: (place, degree, text) of each customer's turn."""
    apart = "\n" if path.stem.startswith("ordinary") else "\n\n"
    for call in path.read_text(encoding="utf-8").strip().split(apart):
        told = [line.split("|") for line in call.splitlines()]
        placed = turns([(who, text) for who, _, text in told])
        for (who, degree, _), (place, text) in zip(told, placed, strict=True):
            if who == "c":
                yield place, int(degree), text


def turns(call):
    """(place, text) of each turn of a call of (speaker, text)."""
    said = []
    for who, text in call:
        speaker = Speaker.AGENT if who in ("a", "B") else Speaker.CUSTOMER
        yield context_after(said, speaker), text
        said.append((speaker, written(text)))


def in_conversation(path):
    """One file of telephone talk: (place, text) of each turn."""
    for call in path.read_text(encoding="utf-8").strip().split("\n\n"):
        yield from turns([line.split("|", 1) for line in call.splitlines()])


def in_calls():
    """How upset customers are in each turn of a call."""
    for path in sorted((DATA / "words" / "upset").glob("*.txt")):
        for place, degree, text in graded(path) if path.stem not in HELD_BACK else ():
            weight = GRUMBLE_WEIGHT if degree == GRUMBLE else 1.0
            yield Line(text, False, path.stem, {UPSET: degree >= UPSET_FROM}, weight=weight, place=place)


def hints(*, held=False):
    """Hints of self-harm and what only sounds like one; those that are taught, or those held back."""
    return _or_alike("self-harm", SELF_HARM, held)


def outright(*, held=False):
    """That they are upset with the firm, said outright, and what only sounds like it; taught, or held back."""
    return _or_alike("outright", UPSET, held)


def _or_alike(folder, label, held):
    """Files of `h|text` (it holds) and `-|text`."""
    for path in sorted((DATA / "words" / folder).glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines() if (path.stem in HELD_BACK) is held else ():
            kind, text = line.split("|")
            yield Line(text, False, path.stem, {label: kind == "h"})


def _judged():
    for folder in (*SMALL, "independent"):
        for path in sorted((DATA / "words" / folder).glob("a*.jsonl" if folder == "independent" else "*.jsonl")):
            for case in read_cases(path):
                agent = case.speaker == "agent"
                asked = set(OF_AGENT if agent else SOUGHT)
                if case.judged is not None:
                    asked &= {*case.judged, *case.labels}
                holds = {name: name in case.labels for name in asked - set(case.unsure)}
                if "vulnerable" in holds and (not holds["vulnerable"] or "self-harm" in path.name):
                    holds[SELF_HARM] = holds["vulnerable"]
                yield Line(case.text, agent, "a" if folder == "independent" else "old", holds,
                           weight=1.0 if folder == "independent" else 0.5)  # fmt: skip


def _examples():
    for rule in load_rules().rules:
        names = [rule.signal, SELF_HARM] if rule.id == "vulnerable.self-harm" else [rule.signal]
        for text in rule.fires:
            yield Line(text, rule.speaker == "agent", "rules", dict.fromkeys(names, True), weight=0.5)
        for text in rule.silent:
            yield Line(text, rule.speaker == "agent", "rules", {names[-1]: False}, weight=0.5)


def _calls():
    """Customers' turns, and those agents' turns somebody has labelled."""
    for folder in CALLS:
        for path in sorted((DATA / "calls" / folder).glob("*.json*")):
            raw = path.read_text(encoding="utf-8")
            for call in map(json.loads, raw.splitlines() if path.suffix == ".jsonl" else [raw]):
                calm = call.get("escalates_at") is None
                for turn in call["turns"]:
                    held, agent = set(turn.get("labels") or ()), turn["speaker"] == "agent"
                    if agent:
                        holds = dict.fromkeys(held & AGENT_SIGNALS, True)
                    elif calm and not held:
                        holds = dict.fromkeys(set(OF_CUSTOMER) - UNLABELLED, False)
                    else:
                        holds = {name: name in held for name in SOUGHT}
                    if holds:
                        yield Line(turn["text"], agent, "calls", holds)


def _requests(text):
    seen = set()
    for request in requests(text, "dev"):
        if request not in seen:
            seen.add(request)
            holds = dict.fromkeys(set(OF_CUSTOMER) - {"de_escalation", COMPLAINT}, False)
            yield Line(request, False, "requests", holds, weight=0.3)
