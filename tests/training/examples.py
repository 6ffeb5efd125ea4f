"""The training and held-out examples: lines of speech, each with its known labels.

Written for this project by authors who had seen neither rules nor other lines of it:

- tests/data/words/taught/*.txt, `who|labels|text` (c: customer, a: agent; `-`: no label): every label is known, but
  `?label` is not. `heard-*` are some of these lines as a recogniser transcribed them. Those of `turns-*` follow each
  other in calls; each is an example once more joined to what the same speaker said just before.
- tests/data/words/talk/*.txt, `A|text`: telephone talk of people who do not serve each other, negative for all that
  cannot be in it (ABSENT_IN_TALK).
- tests/data/words/upset/*.txt, `who|degree|text`: calls (`ordinary-*`: single turns). The degree is how upset with the
  firm a customer is in that turn: 0 not, 1 a grumble, 2 so that somebody should know, 3 rage.
- tests/data/words/stock, STOCK_FILES: ordinary lines, and what sounds like them.
- tests/data/words/self-harm/*.txt, `h|text` (a hint of it) and `-|text` (only sounds like one); outright/*.txt, the
  same of being upset: turns that say it outright, without context, and look-alikes of the same words.

Further examples are the project's other labelled lines and those of the rules, at half weight and with the annotated
labels only; the turns of three sets of written calls; and as ordinary business half of Bitext's requests
(CDLA-Sharing-1.0; not kept here).

Left out is what is only measured: the other files of stock, tests/data/words/independent/b* to k*,
tests/data/calls/heldout3, independent and dev3. Held out, to set thresholds, are tests/data/words/held and
HELD_OUT_FILES.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from assist.evaluation.cases import read_cases
from audio.events import Speaker
from detectors.dialogue_context import NO_CONTEXT, DialogueContext, context_after
from detectors.meaning import COMPLAINT, SELF_HARM, UPSET
from detectors.normalisation import timed_words
from detectors.rulebook import load_rules
from detectors.signals import AGENT_SIGNALS, AGENT_STEPS
from tests.calm_talk import requests

DATA = Path(__file__).parent.parent / "data"
WORDS = DATA / "words"
LABELLED_FOLDERS = ("dev", "dev2", "dev3", "heldout", "heldout2", "blind")
CALL_FOLDERS = ("dev", "dev2", "heldout2")
STOCK_FILES = ("us", "look-alikes-1", "look-alikes-2")

AGENT_LABELS = tuple(sorted(AGENT_SIGNALS))
CUSTOMER_LABELS = (
    *sorted({rule.signal for rule in load_rules().rules} - AGENT_SIGNALS - {UPSET}),
    SELF_HARM,
    COMPLAINT,
    UPSET,
)
ANNOTATED_LABELS = frozenset(CUSTOMER_LABELS) - {SELF_HARM, COMPLAINT, UPSET}
"""What the annotators of customers' lines were asked for, where a file does not say."""
UNKNOWN_IN_CALM_CALLS = {"swearing", "de_escalation", COMPLAINT}
"""Friendly swearing, thanks and mild displeasure were not annotated there."""
CALLER_LABELS = (SELF_HARM, UPSET)
"""Outputs of the `caller` network (caller.onnx), in order ..."""
WORDS_LABELS = (*(name for name in CUSTOMER_LABELS if name not in CALLER_LABELS), *AGENT_LABELS)
"""... and of the `words` network (model.onnx)."""
ABSENT_IN_TALK = {
    False: tuple(name for name in CUSTOMER_LABELS if name not in ("swearing", "de_escalation")),
    True: tuple(name for name in AGENT_LABELS if name not in AGENT_STEPS),
}
"""Labels of customers (False) and of agents (True) that are negative in talk between people who do not serve each
other: people do ask, thank and swear there."""

TALK_WEIGHT = {False: 0.5, True: 0.25}
"""Weight of a line of telephone talk as a customer's (False), as an agent's (True) ..."""
TALK_IN_CONTEXT_WEIGHT = 0.8
"""... and as a turn with its context."""
GRUMBLE, UPSET_FROM = 1, 2
"""Degrees: from UPSET_FROM on the label `upset` is positive."""
GRUMBLE_WEIGHT = 0.6
"""A grumble is a negative near the boundary."""
NEGATIVE_WEIGHT = 0.3
"""Weight of lines without context that are negative for all CALLER_LABELS, for the `caller` network."""

HELD_OUT_TALK = WORDS / "talk" / "talk-7.txt"
HELD_OUT_SELF_HARM = "self-harm-3"
HELD_OUT_FILES = frozenset((HELD_OUT_TALK.stem, HELD_OUT_SELF_HARM, "upset-7", "upset-12", "outright-2"))
"""Not trained on; `upset-7` and `outright-2` are only measured, not used for thresholds either."""


@dataclass(frozen=True)
class Example:
    """One line of speech."""

    text: str
    agent: bool = False
    source: str = ""
    """Author or file: what is held out together."""
    labels: dict[str, bool] = field(default_factory=dict)
    """The known labels: positive or negative. A label that is not in it is unknown, and masked in the loss."""
    weight: float = 1.0
    """Probability that an epoch takes it."""
    context: DialogueContext = NO_CONTEXT
    """For the `caller` network."""


def words_examples(text_folder):
    """The training examples of the `words` network; `text_folder` holds Bitext."""
    return [
        *_authored(),
        *talk_examples(),
        *_annotated(),
        *_stock(),
        *_rule_examples(),
        *_call_turns(),
        *_requests(text_folder),
    ]


def caller_examples(text_folder):
    """The training examples of the `caller` network: turns with their context, and lines without any."""
    lines = [each for each in (*_authored(), *_annotated(), *_requests(text_folder)) if not each.agent]
    yield from (*upset_examples(), *_talk_in_context(), *self_harm_examples(), *outright_examples())
    for line in lines:
        labels = {name: line.labels[name] for name in CALLER_LABELS if name in line.labels}
        if labels:
            yield replace(line, labels=labels, weight=1.0 if any(labels.values()) else NEGATIVE_WEIGHT)


def held_out_examples():
    """Lines with every label, for the thresholds of the `words` network."""
    for path in sorted((WORDS / "held").glob("*.txt")):
        yield from _read_labelled(path)


def talk_examples():
    """Telephone talk, each line as a customer's and as an agent's."""
    for path in training_files("talk"):
        for text in read_talk(path):
            for agent in (False, True):
                labels = dict.fromkeys(ABSENT_IN_TALK[agent], False)
                yield Example(text, agent, path.stem, labels, weight=TALK_WEIGHT[agent])


def upset_examples():
    """Customers' turns of graded calls."""
    for path in training_files("upset"):
        for context, degree, text in read_graded_calls(path):
            weight = GRUMBLE_WEIGHT if degree == GRUMBLE else 1.0
            yield Example(text, False, path.stem, {UPSET: degree >= UPSET_FROM}, weight, context)


def self_harm_examples(*, held_out=False):
    """Hints of self-harm and look-alikes, to train on or held out."""
    return _with_lookalikes("self-harm", SELF_HARM, held_out)


def outright_examples(*, held_out=False):
    """What says outright that somebody is upset with the firm, and look-alikes, to train on or held out."""
    return _with_lookalikes("outright", UPSET, held_out)


def read_talk(path):
    """The lines of a file of telephone talk, every other one joined to what the same speaker said before it."""
    before: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        who, _, text = line.partition("|")
        if not text:
            before = {}  # another conversation
            continue
        yield f"{before[who]} {text}" if who in before and number % 2 else text
        before[who] = text


def read_talk_in_context(path):
    """(context, text) of each turn in a file of telephone talk."""
    for conversation in path.read_text(encoding="utf-8").strip().split("\n\n"):
        yield from _with_context([line.split("|", 1) for line in conversation.splitlines()], ("A", "B"))


def read_graded_calls(path):
    """(context, degree, text) of each customer's turn in a file of graded calls, or of single turns."""
    separator = "\n" if path.stem.startswith("ordinary") else "\n\n"
    for call in path.read_text(encoding="utf-8").strip().split(separator):
        lines = [line.split("|") for line in call.splitlines()]
        degrees = [int(degree) for who, degree, _ in lines if who == "c"]
        turns = _with_context([(who, text) for who, _, text in lines], ("c",))
        for degree, (context, text) in zip(degrees, turns, strict=True):
            yield context, degree, text


def _with_context(turns, wanted):
    """(context, text) of the turns of those wanted in a call, which is (who, text) of every turn."""
    history = []
    for who, text in turns:
        speaker = Speaker.AGENT if who in ("a", "B") else Speaker.CUSTOMER
        if who in wanted:
            yield context_after(history, speaker), text
        history.append((speaker, timed_words(text)))


def training_files(folder):
    """The files of a folder of tests/data/words that are not held out."""
    return [path for path in sorted((WORDS / folder).glob("*.txt")) if path.stem not in HELD_OUT_FILES]


def _authored():
    for path in sorted((WORDS / "taught").glob("*.txt")):
        before: dict[bool, Example] = {}
        for line in _read_labelled(path):
            yield line
            if path.stem.startswith("turns"):
                if line.agent in before:
                    earlier = before[line.agent]
                    known = line.labels.keys() & earlier.labels.keys()
                    labels = {name: line.labels[name] or earlier.labels[name] for name in known}
                    yield replace(earlier, text=f"{earlier.text} {line.text}", labels=labels, weight=0.5)
                before[line.agent] = line


def _read_labelled(path):
    """One file of `who|labels|text`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        who, labels, text = line.split("|")
        given = set(labels.split(","))
        given |= {label.replace(SELF_HARM, "vulnerable") for label in given}
        known = [label for label in (CUSTOMER_LABELS if who == "c" else AGENT_LABELS) if f"?{label}" not in given]
        if given != {"-"} and UPSET not in given and UPSET in known:
            known.remove(UPSET)  # whoever wants or threatens something may be upset or not
        yield Example(text, who == "a", path.stem, {name: name in given for name in known})


def _talk_in_context():
    for path in training_files("talk"):
        for context, text in read_talk_in_context(path):
            labels = dict.fromkeys(CALLER_LABELS, False)
            yield Example(text, False, path.stem, labels, TALK_IN_CONTEXT_WEIGHT, context)


def _with_lookalikes(folder, label, held_out):
    """Files of `h|text` (positive) and `-|text` (negative)."""
    for path in sorted((WORDS / folder).glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines() if (path.stem in HELD_OUT_FILES) is held_out else ():
            kind, text = line.split("|")
            yield Example(text, False, path.stem, {label: kind == "h"})


def _annotated():
    """The labelled lines of `assist eval` that may be trained on."""
    for folder in (*LABELLED_FOLDERS, "independent"):
        for path in sorted((WORDS / folder).glob("a*.jsonl" if folder == "independent" else "*.jsonl")):
            for case in read_cases(path):
                agent = case.speaker == "agent"
                known = set(AGENT_LABELS if agent else ANNOTATED_LABELS)
                if case.judged is not None:
                    known &= {*case.judged, *case.labels}
                labels = {name: name in case.labels for name in known - set(case.unsure)}
                if "vulnerable" in labels and (not labels["vulnerable"] or "self-harm" in path.name):
                    labels[SELF_HARM] = labels["vulnerable"]
                source, weight = ("a", 1.0) if folder == "independent" else ("old", 0.5)
                yield Example(case.text, agent, source, labels, weight)


def _stock():
    """The labelled lines of stock/ that may be trained on: all labels but those of CALLER_LABELS and COMPLAINT."""
    for name in STOCK_FILES:
        for case in read_cases(WORDS / "stock" / f"{name}.jsonl"):
            agent = case.speaker == "agent"
            known = AGENT_LABELS if agent else ANNOTATED_LABELS
            yield Example(case.text, agent, f"stock-{name}", {each: each in case.labels for each in known})


def _rule_examples():
    for rule in load_rules().rules:
        names = [rule.signal, SELF_HARM] if rule.id == "vulnerable.self-harm" else [rule.signal]
        for text in rule.fires:
            yield Example(text, rule.speaker == "agent", "rules", dict.fromkeys(names, True), weight=0.5)
        for text in rule.silent:
            yield Example(text, rule.speaker == "agent", "rules", {names[-1]: False}, weight=0.5)


def _call_turns():
    """Turns of written calls: all customers' ones, and of agents' those with a label."""
    for folder in CALL_FOLDERS:
        for path in sorted((DATA / "calls" / folder).glob("*.json*")):
            raw = path.read_text(encoding="utf-8")
            for call in map(json.loads, raw.splitlines() if path.suffix == ".jsonl" else [raw]):
                calm = call.get("escalates_at") is None
                for turn in call["turns"]:
                    given, agent = set(turn.get("labels") or ()), turn["speaker"] == "agent"
                    if agent:
                        labels = dict.fromkeys(given & AGENT_SIGNALS, True)
                    elif calm and not given:
                        labels = dict.fromkeys(set(CUSTOMER_LABELS) - UNKNOWN_IN_CALM_CALLS, False)
                    else:
                        labels = {name: name in given for name in ANNOTATED_LABELS}
                    if labels:
                        yield Example(turn["text"], agent, "calls", labels)


def _requests(text_folder):
    labels = dict.fromkeys(set(CUSTOMER_LABELS) - {"de_escalation", COMPLAINT}, False)
    for request in dict.fromkeys(requests(text_folder, "dev")):
        yield Example(request, False, "requests", labels, weight=0.3)
