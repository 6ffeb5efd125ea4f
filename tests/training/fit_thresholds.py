"""`python -m tests.training.fit_thresholds OUT TEXT [caller]`: sets the thresholds in detectors/meanings/labels.json.

Those of the `words` network in OUT, or with `caller` of that one. (What each is for: detectors.sentence_model,
Thresholds.) They are set on data that was not trained on: held-out lines, hints of self-harm and telephone talk
(tests.training.examples), and ordinary lines of TEXT (the development half of tests/calm_talk.py, on which false
prompts are counted; the tweets among it are not trained on).

`least` and `doubt` lie half way between those with the highest F1 of rules and model together on the held-out lines,
which are by two authors only, and those that are reached as often in ordinary lines and talk as the shipped ones, which
go back to fourteen authors. Half of the held-out lines are positive, of a call's far fewer: so no customer's label may
be noted in ordinary lines and talk more often than MAX_NOTED, or acted on more often than MAX_ACTED and with a lower
precision on the held-out lines than ACTED_PRECISION; an agent's steps have a least precision, too.

To be run before `tests.training.export`, which overwrites the shipped network that it compares with.
"""

import json
import sys
from pathlib import Path

import numpy as np

from audio.events import Speaker
from detectors.meaning import COMPLAINT, SELF_HARM, UPSET
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.sentence_model import FOLDER
from detectors.signals import AGENT_STEPS
from tests.calm_talk import lines as ordinary_lines
from tests.training.examples import (
    AGENT_LABELS,
    CALLER_LABELS,
    CUSTOMER_LABELS,
    HELD_OUT_TALK,
    WORDS_LABELS,
    Example,
    held_out_examples,
    read_talk,
    read_talk_in_context,
    self_harm_examples,
)
from tests.training.train_caller import CallerTrainer
from tests.training.train_words import WordsTrainer
from tests.training.trainer import targets
from tests.training.weights import load_network

COMMON = frozenset((COMPLAINT, "de_escalation", "swearing"))
"""Labels that are often true in ordinary talk."""
LIKE_SHIPPED = COMMON | {"supervisor_demand"}
"""Reached as often as with the shipped network, whatever their F1; managers asked for are not to be missed."""
NOTE_ONLY = frozenset(("swearing", "de_escalation", *AGENT_STEPS))
"""Never acted on by the model alone: how bad a swear word is, the rules know."""
URGENT = frozenset(("personal_threat",))
"""Labels with a threshold `urgent`."""
NEVER = 99.0
"""A threshold that no score reaches ..."""
NO_DOUBT = -9.0
"""... and one that every score does."""

MAX_NOTED, MAX_ACTED = (8.0, 2.0), (0.0, 0.0)
"""False positives in 10,000 words of the ordinary lines and of the telephone talk, of a customer's label."""
MAX_NOTED_SUPERVISOR = (15.0, 1.0)
"""The same for notes of a manager asked for, of which 95 of 100 should be found ..."""
MIN_SUPERVISOR = 1.6
"""... from here on, by hand: 23 telephone conversations, whose turns are longer than lines, noted twice too many."""
MAX_MISSTEPS = 2.0
"""The same for an agent's missteps, in the telephone talk."""
ACTED_PRECISION = 0.88
"""Least precision of what is acted on, on the held-out lines."""
STEP_PRECISION = 0.8
"""Least precision of an agent's steps there; half of these lines were written as look-alikes."""
MIN_HITS = 4
"""A rate of fewer hits says nothing."""
TEMPERATURE = 0.5
"""Of the sigmoid by which a line counts as found around a threshold: of some 50 positives the best sharp threshold is
chance."""
SURE_MARGIN = 0.8
"""Added to `sure`: turns cut short or joined score higher than whole lines. With 0.8 and 1.3 the development calls and
the development half of ordinary talk came out alike, and telephone talk had no prompt more."""
CUSTOMER_AGREE = 1.5
"""`agree` of a customer's labels: of the authors' lines that keeps 77 of 100 true positives of the rules and 9 of 100
false ones. With 2 the playbooks' written calls no longer went as expected, with 1 two sets of near misses had 13 false
prompts instead of 12. All seen with version 4."""
CUE_OFFSET, MISSTEP_OFFSET = 0.3, 0.5
"""Added to the thresholds of a customer's labels and of an agent's missteps, by hand, on telephone talk and ordinary
lines."""
DOUBT_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95)
"""Of all scores: the values of `doubt` that are tried."""

MAX_SELF_HARM = (3.0, 0.3)
"""False positives of self-harm in 10,000 words of talk, noted and acted on. Acted on at 1, they made 4 false prompts
more in 6 hours of real telephone talk."""
SELF_HARM_URGENT = 3.8
"""Least `urgent` of self-harm, by hand: at 2.9 help was called 8 times in 15 h of ordinary lines."""
SELF_HARM_RULE_PRECISION = 0.9
"""Precision from which on a rule's match is confirmed (`agree`)."""
UPSET_SURE, UPSET_LEAST = 3.5, 2.0
"""By hand, on tests/data/calls/dev3, the ordinary lines and some real telephone talk, with all other detectors."""


def fit(scores, examples, calm, shipped_calm_scores, shipped):
    """The thresholds of the `words` network: label -> name -> value.

    Args:
        scores: logits of the held-out examples, shape (examples, labels).
        examples: these.
        calm: (logits, number of words) of the ordinary lines and of the telephone talk.
        shipped_calm_scores: the shipped network's logits of the same two.
        shipped: its thresholds.
    """
    target, mask = targets(examples, WORDS_LABELS)
    by_rules = _matched_by_rules(examples)
    out = {}
    for row, name in enumerate(WORDS_LABELS):
        known = mask[:, row] > 0
        score, positive, by_rule = scores[known, row], target[known, row] > 0, by_rules[known, row]
        calm_scores = [(each[:, row], words) for each, words in calm]
        shipped_scores = [each[:, row] for each in shipped_calm_scores]
        is_cue = name in CUSTOMER_LABELS and name not in COMMON

        def like_shipped(key, name=name, calm_scores=calm_scores, shipped_scores=shipped_scores):
            """The threshold that is reached as often in calm data as the shipped one by the shipped network."""
            threshold = shipped[name][key]
            hits = [int((each >= threshold).sum()) for each in shipped_scores]
            same = [reached_by(each, n) for (each, _), n in zip(calm_scores, hits, strict=True) if n >= MIN_HITS]
            return float(np.mean(same)) if same else threshold

        best, doubt = _highest_f1(score, positive, by_rule)
        least = like_shipped("least") if name in LIKE_SHIPPED else (best + like_shipped("least")) / 2
        if is_cue:
            rates = MAX_NOTED_SUPERVISOR if name == "supervisor_demand" else MAX_NOTED
            least = max(least, *(_at_rate(*each, rate) for each, rate in zip(calm_scores, rates, strict=True)))
        if name in AGENT_STEPS:
            least = max(least, (_at_precision(score, positive, STEP_PRECISION) + like_shipped("least")) / 2)
        elif name in AGENT_LABELS:
            least = max(least, _at_rate(*calm_scores[1], MAX_MISSTEPS)) + MISSTEP_OFFSET
        if name in LIKE_SHIPPED or doubt < NO_DOUBT:
            doubt = like_shipped("doubt")
        else:
            doubt = (doubt + like_shipped("doubt")) / 2
        doubt = min(least, doubt)
        agree = max(doubt, CUSTOMER_AGREE if is_cue else min(least, 0.0))
        thresholds = {"least": least, "sure": least, "doubt": doubt, "agree": agree}
        if is_cue:
            acted = [_at_rate(*each, rate) for each, rate in zip(calm_scores, MAX_ACTED, strict=True)]
            thresholds["sure"] = max(least, *acted, _at_precision(score, positive, ACTED_PRECISION)) + SURE_MARGIN
            if name in URGENT:
                thresholds["urgent"] = thresholds["sure"]
            thresholds |= {key: thresholds[key] + CUE_OFFSET for key in thresholds if key != "doubt"}
            if name == "supervisor_demand":
                thresholds["least"] = max(thresholds["least"], MIN_SUPERVISOR)
        elif name == COMPLAINT:
            thresholds["sure"] = like_shipped("sure")
        elif name in NOTE_ONLY:
            thresholds["sure"] = NEVER
        out[name] = {key: round(float(value), 2) for key, value in thresholds.items()}
        both = (score >= least) | (by_rule & (score >= doubt))
        rules_f1, both_f1 = (_soft_f1(found, positive) for found in (by_rule, both))
        print(f"{name:18} {int(positive.sum()):4} positives  F1 of rules {rules_f1:.2f}, of both {both_f1:.2f}")
    return out


def _matched_by_rules(examples):
    """Whether the phrase rules find each label: shape (examples, labels)."""
    rules = PhraseDetector(load_rules())
    out = np.zeros((len(examples), len(WORDS_LABELS)), bool)
    for n, example in enumerate(examples):
        for signal in rules.find(example.text, Speaker.AGENT if example.agent else Speaker.CUSTOMER):
            if signal.id in WORDS_LABELS:
                out[n, WORDS_LABELS.index(signal.id)] = True
    return out


def _highest_f1(score, positive, by_rule):
    """`least` and `doubt` with the highest F1 of rules and model together; `doubt` is -NEVER if it does not help."""
    _, least, doubt = max(
        (_soft_f1(np.maximum(_soft(score, at), by_rule * _soft(score, low)), positive), at, low)
        for low in (-NEVER, *np.quantile(score, DOUBT_QUANTILES))
        for at in np.unique(np.quantile(score, np.linspace(0.3, 1, 400)))
        if at >= low
    )
    return least, doubt


def _soft(score, threshold):
    """0 to 1: whether a score is over a threshold, by a sigmoid."""
    return 1 / (1 + np.exp(np.clip((threshold - score) / TEMPERATURE, -30, 30)))


def _soft_f1(found, positive):
    """F1, where `found` may be any number from 0 to 1."""
    return 2 * (found * positive).sum() / max(1, found.sum() + positive.sum())


def reached_by(scores, count):
    """The threshold that so many scores reach."""
    ordered = np.sort(scores)[::-1]
    return float(ordered[count - 1] + ordered[count]) / 2


def _at_rate(scores, words, rate):
    """The threshold above which there are so many scores in 10,000 words."""
    return float(np.sort(scores)[-1 - round(words / 10_000 * rate)])


def _at_precision(score, positive, precision):
    """The lowest threshold with this precision."""
    order = np.argsort(-score)
    precisions = np.cumsum(positive[order]) / np.arange(1, len(order) + 1)
    return float(score[order][np.flatnonzero(precisions >= precision)[-1]])


def fit_caller(out):
    """The thresholds of the `caller` network."""
    trainer, network = CallerTrainer(), load_network("caller", out)
    row = CALLER_LABELS.index(SELF_HARM)
    examples = list(self_harm_examples(held_out=True))
    score = trainer.predict(network, examples)[:, row]
    talk = [
        Example(" ".join((*context.current_turn, text)), context=context)
        for context, text in read_talk_in_context(HELD_OUT_TALK)
    ]
    talk_score = trainer.predict(network, talk)[:, row]
    noted, acted = (_at_rate(talk_score, _word_count(talk), rate) for rate in MAX_SELF_HARM)
    agree = _at_precision(score, np.array([each.labels[SELF_HARM] for each in examples]), SELF_HARM_RULE_PRECISION)
    self_harm = {
        "least": noted,
        "sure": acted,
        "doubt": noted,
        "agree": agree,
        "urgent": max(acted, SELF_HARM_URGENT),
    }
    return {
        SELF_HARM: {key: round(value, 2) for key, value in self_harm.items()},
        UPSET: {"least": UPSET_LEAST, "sure": UPSET_SURE, "doubt": NO_DOUBT, "agree": 0.0},
    }


def fit_words(out, text_folder, shipped):
    """The thresholds of the `words` network; `shipped`: those of the one in detectors/meanings."""
    trainer = WordsTrainer()
    network, shipped_network = (load_network("words", each) for each in (out, None))
    examples = list(held_out_examples())
    calm = [
        [Example(text) for text in texts] for texts in (ordinary_lines(text_folder, "dev"), read_talk(HELD_OUT_TALK))
    ]
    return fit(
        trainer.predict(network, examples),
        examples,
        [(trainer.predict(network, each), _word_count(each)) for each in calm],
        [trainer.predict(shipped_network, each) for each in calm],
        shipped,
    )


def _word_count(examples):
    return sum(len(each.text.split()) for each in examples)


if __name__ == "__main__":
    path = FOLDER / "labels.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    words, caller = config["networks"]
    if sys.argv[3:] == ["caller"]:
        caller["labels"] = fit_caller(Path(sys.argv[1]))
    else:
        words["labels"] = fit_words(Path(sys.argv[1]), Path(sys.argv[2]), words["labels"])
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
