"""`python -m tests.teaching.fit OUT TEXT [caller]`: each label's thresholds (detectors/meanings/labels.json).

With `caller` those of the network that hears how a caller is, whose hints of self-harm are set on lines it has not
learnt from; without, those of the other one:

`least` and `doubt` make the F1 of rules and model together highest on the authors' lines (OUT/scores.npz), each scored
by a network that had seen nothing of that author. Half of those lines hold something, of a call's far fewer. So no
customer's label is heard more often in calm talk than NOTED, nor acted on more often than ACTED, and only where PRECISE
among the authors' lines; so are an agent's steps ticked. Calm talk is lines said in calm calls (out of fold), ordinary
lines of TEXT (the development half of tests/calm_talk.py, which is what false prompts are counted on; the tweets among
it are not taught) and telephone talk that was not taught (HELD_TALK), the latter two as the network that is shipped
hears them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from audio.events import Speaker
from detectors.meaning import COMPLAINT, SELF_HARM, UPSET
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.sentences import FOLDER
from detectors.signals import AGENT_STEPS
from tests.calm_talk import lines as ordinary
from tests.teaching.caller import CallerSchool, beginning
from tests.teaching.learning import DEVICE, targets
from tests.teaching.lines import (
    DATA,
    HELD_TALK,
    LABELS,
    OF_AGENT,
    OF_CALLER,
    OF_CUSTOMER,
    hints,
    in_conversation,
    talk,
    taught,
)
from tests.teaching.teach import School

NOTED, ACTED = (10.0, 8.0, 2.0), (3.0, 0.0, 0.0)
"""Hits in 10,000 words of the calls, of the ordinary lines and of the telephone talk."""
ASKED = (25.0, 15.0, 1.0)
"""The same for notes of a manager asked for, of which 95 of 100 should be found."""
MOVES = 2.0
"""The same for an agent's wrong moves, in the telephone talk."""
PRECISE, CLEAR = 0.88, 0.82
"""Precision of what is acted on; of a plain complaint."""
TICKED = 0.8
"""Precision of an agent's steps among the authors' lines, of which half were written to be taken for one."""
LOWER = 0.5
"""The shipped network (version 5) has learnt from more lines that hold nothing than those whose scores these are, and
scores lower: on an author whom none of them had seen, its F1 was best with thresholds so much lower."""
MARGIN = 0.8
"""Added to `sure`: turns cut short or joined score higher than whole lines. With 0.8 and 1.3 the
development calls and the development half of ordinary talk came out alike, and telephone talk had no prompt more."""
AGREED = 1.5
"""From here on a customer's rule is taken at its word: of the authors' lines that keeps 77 of 100 that are right and 9
of 100 others. With 2 the playbooks' written calls no longer went as expected, with 1 two sets of near misses had 13
false prompts instead of 12. All seen with version 4."""
HINTED = (3.0, 0.3)
"""Hints of self-harm in 10,000 words of talk in which there are none: noted, and acted on. Acted on at 1, they made 4
false prompts more in 6 hours of real telephone talk."""
CALLED = 3.8
"""Help is called from this score on, by hand: at 2.9 it was called 8 times in 15 h of ordinary lines."""
RULE_PRECISE = 0.9
"""A rule that finds one is taken at its word where of such lines so many are right; else it is noted."""
UPSET_SURE, UPSET_LEAST = 3.5, 2.0
"""Chosen by hand on tests/data/calls/dev3, the ordinary lines and some real telephone talk, with everything else that
judges."""
URGENT = frozenset(("personal_threat",))
FREE = frozenset((COMPLAINT, "de_escalation", "swearing"))
"""Heard in ordinary talk rightly."""
NOTES = frozenset(("swearing", "de_escalation", *AGENT_STEPS))
"""Never acted on by the model alone: how bad a swear word is, the rules know."""
NEVER = 99.0
KEPT = 0.92
"""So much of what is urgent and the rules find rightly stays so; the rest is noted or dropped."""
DOUBTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95)
"""Quantiles of all scores that are tried as `doubt`."""


def fitted(scores, lines, in_ordinary, in_talk):
    """Label -> thresholds.

    `scores`: lines x labels, out of fold; of ordinary lines and of talk: scores, and how many words.
    """
    wanted, asked = targets([line.holds for line in lines], LABELS)
    known = ~np.isnan(scores[:, 0])
    ruled = _ruled(lines, known)
    calm = known & np.array([line.calm and not line.agent for line in lines])
    words = np.array([len(line.text.split()) for line in lines])
    out = {}
    for row, name in enumerate(LABELS):
        mine = known & (asked[:, row] > 0)
        score, holds, by_rule = scores[mine, row], wanted[mine, row] > 0, ruled[mine, row]
        _, free, doubt = max(
            (_f1((score >= at) | (by_rule & (score >= low)), holds), at, low)
            for low in (NEVER * -1, *np.quantile(score, DOUBTS))
            for at in np.unique(np.quantile(score, np.linspace(0.3, 1, 400)))
            if at >= low
        )
        free -= LOWER
        doubt = min(free, doubt - LOWER if name in OF_AGENT else doubt)
        least = sure = free
        urgent = None
        calling = name in OF_CUSTOMER and name not in FREE
        if calling:
            quiet = calm & (asked[:, row] > 0) & (wanted[:, row] == 0)
            calls = scores[quiet, row], words[quiet].sum()
            for n, (some, count) in enumerate(
                (calls, *((each[0][:, row], each[1]) for each in (in_ordinary, in_talk)))
            ):
                least = max(least, _above(some, count, (ASKED if name == "supervisor_demand" else NOTED)[n]))
                sure = max(sure, least, _above(some, count, ACTED[n]))
            sure = max(sure, _precise(score, holds, PRECISE))
            if name in URGENT:
                urgent = sure
            sure += MARGIN
        if name == COMPLAINT:
            sure = _precise(score, holds, CLEAR)
        if name in AGENT_STEPS:
            least = max(least, _precise(score, holds, TICKED) - LOWER)
        elif not calling and name in OF_AGENT:
            least = max(least, _above(in_talk[0][:, row], in_talk[1], MOVES))
            sure = max(sure, least)
        if name in NOTES:
            sure = NEVER
        agree = max(doubt, AGREED if calling else min(free, 0.0))
        if name in URGENT:
            agree = max(doubt, float(np.quantile(score[by_rule & holds], 1 - KEPT)))
        told = {"least": least, "sure": sure, "doubt": doubt, "agree": agree}
        out[name] = {key: round(float(value), 2) for key, value in told.items()}
        if urgent is not None:
            out[name]["urgent"] = round(float(max(urgent, sure)), 2)
        found = (score >= least) | (by_rule & (score >= doubt))
        alone, both = _f1(by_rule, holds), _f1(found, holds)
        print(f"{name:18} {int(holds.sum()):4} lines  F1 of rules {alone:.2f}, of both {both:.2f}")
    return out


def _ruled(lines, known):
    """What the phrase rules find."""
    rules = PhraseDetector(load_rules())
    out = np.zeros((len(lines), len(LABELS)), bool)
    for n in np.flatnonzero(known):
        for signal in rules.find(lines[n].text, Speaker.AGENT if lines[n].agent else Speaker.CUSTOMER):
            out[n, LABELS.index(signal.id)] = True
    return out


def _f1(found, holds):
    return 2 * (found & holds).sum() / max(1, found.sum() + holds.sum())


def _above(scores, words, per):
    """The score that so many per 10,000 words lie above."""
    return float(np.sort(scores)[-1 - round(words / 10_000 * per)])


def _precise(score, holds, least):
    """The lowest score from which on lines are right this often."""
    order = np.argsort(-score)
    right = np.cumsum(holds[order]) / np.arange(1, len(order) + 1)
    return float(score[order][np.flatnonzero(right >= least)[-1]])


def of_caller(out):
    """Thresholds of the network that hears how a caller is; `upset` by hand, see there."""
    school, network = CallerSchool(), beginning(out).eval().to(DEVICE)
    row = OF_CALLER.index(SELF_HARM)
    told = list(hints(held=True))
    score = school.scores(network, [(line.text.split(), line.place) for line in told])[:, row]
    holds = np.array([line.holds[SELF_HARM] for line in told])
    path = DATA / "words" / "talk" / f"{HELD_TALK}.txt"
    spoken = [([*place.turn, *said.split()], place) for place, said in in_conversation(path)]
    in_talk = school.scores(network, spoken)[:, row]
    spoken_words = sum(len(said) for said, _ in spoken)
    noted, acted = (_above(in_talk, spoken_words, per) for per in HINTED)
    agree = _precise(score, holds, RULE_PRECISE)
    numbers = {"least": noted, "sure": acted, "doubt": noted, "agree": agree, "urgent": max(acted, CALLED)}
    return {
        SELF_HARM: {key: round(value, 2) for key, value in numbers.items()},
        UPSET: {"least": UPSET_LEAST, "sure": UPSET_SURE, "doubt": -9.0, "agree": 0.0},
    }


def main(out, text):
    """Thresholds of the network in `out` that hears what is said."""
    known = taught(text)
    school = School(known)
    network = school.fresh()
    network.load_state_dict(torch.load(out / "taught.pt"))
    network.eval()
    spoken = [said for _, said in talk(DATA / "words" / "talk" / f"{HELD_TALK}.txt")]
    calm = [
        (school.scores(network, said), sum(len(each.split()) for each in said))
        for said in (list(ordinary(text, "dev")), spoken)
    ]
    return fitted(np.load(out / "scores.npz")["scores"], known, *calm)


if __name__ == "__main__":
    path = FOLDER / "labels.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    if sys.argv[3:] == ["caller"]:
        told["networks"][1]["labels"] = of_caller(Path(sys.argv[1]))
    else:
        told["networks"][0]["labels"] = main(Path(sys.argv[1]), Path(sys.argv[2]))
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
