"""`python -m tests.training.fit_thresholds OUT TEXT [caller]`: thresholds of labels (detectors/meanings/labels.json).

With `caller` those of the network that hears how a caller is; without, those of the other one. Nothing they are set on
was taught: lines by authors who are held back (tests/data/words/held), calls and hints of self-harm that are, and talk
in which nothing is to be heard: ordinary lines of TEXT (the development half of tests/calm_talk.py, which is what false
prompts are counted on; the tweets among it are not taught) and telephone talk (HELD_TALK).

`least` and `doubt` lie half way between what makes the F1 of rules and model together highest on the held-back lines,
which are those of two authors only, and what hears as much in ordinary lines and talk as what is shipped does, whose
thresholds come of fourteen authors. Half of the lines hold something, of a call's far fewer: so no customer's label is
heard more often in ordinary lines and talk than NOTED, nor acted on more often than ACTED, and only where PRECISE among
the authors' lines; so are an agent's steps ticked.

To be run before `tests.training.export`: that puts the network where the shipped one is, with which it is compared.
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
from tests.calm_talk import lines as ordinary
from tests.training.examples import (
    DATA,
    HELD_TALK,
    LABELS,
    OF_AGENT,
    OF_CALLER,
    OF_CUSTOMER,
    held,
    hints,
    in_conversation,
    talk,
)
from tests.training.train_caller import CallerSchool
from tests.training.train_words import WordsSchool
from tests.training.trainer import DEVICE, targets
from tests.training.weights import network as begun

NOTED, ACTED = (8.0, 2.0), (0.0, 0.0)
"""Hits in 10,000 words of the ordinary lines and of the telephone talk."""
ASKED = (15.0, 1.0)
"""The same for notes of a manager asked for, of which 95 of 100 should be found ..."""
ASKED_LEAST = 1.6
"""... from here on, by hand: 23 telephone conversations, whose turns are longer than lines, noted twice too many."""
MOVES = 2.0
"""The same for an agent's wrong moves, in the telephone talk."""
PRECISE = 0.88
"""Precision of what is acted on."""
TICKED = 0.8
"""Precision of an agent's steps among the authors' lines, of which half were written to be taken for one."""
AS_BEFORE = frozenset((COMPLAINT, "de_escalation", "swearing", "supervisor_demand"))
"""Heard as often as before: the first three are said in ordinary talk rightly; managers asked for are to be found."""
LEAST_HEARD = 4
"""From so few hits nobody can say how often something is heard."""
SOFT = 0.5
"""A line counts as found by degrees around a threshold: the best one for some 50 lines is else that of chance."""
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
CUES_HIGHER, MOVES_HIGHER = 0.3, 0.5
"""Added for a customer's cues and for an agent's wrong moves, by hand, on telephone talk and ordinary lines."""
URGENT = frozenset(("personal_threat",))
FREE = frozenset((COMPLAINT, "de_escalation", "swearing"))
"""Heard in ordinary talk rightly."""
NOTES = frozenset(("swearing", "de_escalation", *AGENT_STEPS))
"""Never acted on by the model alone: how bad a swear word is, the rules know."""
NEVER = 99.0
DOUBTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95)
"""Quantiles of all scores that are tried as `doubt`."""


def fitted(scores, lines, calm, before, shipped):
    """Label -> thresholds.

    `scores`: of the held-back lines, lines x labels; `calm`: scores of ordinary lines and of talk, and how many words
    they are; `before`: the scores that the shipped network gives them; `shipped`: its thresholds.
    """
    wanted, asked = targets([line.holds for line in lines], LABELS)
    ruled = _ruled(lines)
    out = {}
    for row, name in enumerate(LABELS):
        mine = asked[:, row] > 0
        score, holds, by_rule = scores[mine, row], wanted[mine, row] > 0, ruled[mine, row]
        calling, agents = name in OF_CUSTOMER and name not in FREE, name in OF_AGENT
        quiet = [(some[:, row], count) for some, count in calm]

        def like(key, row=row, name=name, quiet=quiet):
            """Heard as often as the shipped network hears it with this threshold."""
            told = shipped[name][key]
            hits = [int((some[:, row] >= told).sum()) for some in before]
            alike = [_between(now, n) for (now, _), n in zip(quiet, hits, strict=True) if n >= LEAST_HEARD]
            return float(np.mean(alike)) if alike else told

        _, best, doubt = max(
            (_soft_f1(np.maximum(_found(score, at), by_rule * _found(score, low)), holds), at, low)
            for low in (-NEVER, *np.quantile(score, DOUBTS))
            for at in np.unique(np.quantile(score, np.linspace(0.3, 1, 400)))
            if at >= low
        )
        least = like("least") if name in AS_BEFORE else (best + like("least")) / 2
        if calling:
            most = ASKED if name == "supervisor_demand" else NOTED
            least = max(least, *(_above(*each, per) for each, per in zip(quiet, most, strict=True)))
        if name in AGENT_STEPS:
            least = max(least, (_precise(score, holds, TICKED) + like("least")) / 2)
        elif agents:
            least = max(least, _above(*quiet[1], MOVES)) + MOVES_HIGHER
        doubt = min(least, like("doubt") if name in AS_BEFORE or doubt < -9 else (doubt + like("doubt")) / 2)
        agree = max(doubt, AGREED if calling else min(least, 0.0))
        told = {"least": least, "sure": least, "doubt": doubt, "agree": agree}
        if calling:
            acted = [_above(*each, per) for each, per in zip(quiet, ACTED, strict=True)]
            sure = max(least, *acted, _precise(score, holds, PRECISE))
            told["sure"] = sure + MARGIN
            if name in URGENT:
                told["urgent"] = told["sure"]
            told |= {key: told[key] + CUES_HIGHER for key in told if key != "doubt"}
            if name == "supervisor_demand":
                told["least"] = max(told["least"], ASKED_LEAST)
        elif name == COMPLAINT:
            told["sure"] = like("sure")
        elif name in NOTES:
            told["sure"] = NEVER
        out[name] = {key: round(float(value), 2) for key, value in told.items()}
        alone, both = (_soft_f1(found, holds) for found in (by_rule, (score >= least) | (by_rule & (score >= doubt))))
        print(f"{name:18} {int(holds.sum()):4} lines  F1 of rules {alone:.2f}, of both {both:.2f}")
    return out


def _between(scores, count):
    """The score that so many lie above."""
    ordered = np.sort(scores)[::-1]
    return float(ordered[count - 1] + ordered[count]) / 2


def _found(score, threshold):
    """0 to 1: how surely a score is over a threshold."""
    return 1 / (1 + np.exp(np.clip((threshold - score) / SOFT, -30, 30)))


def _ruled(lines):
    """What the phrase rules find."""
    rules = PhraseDetector(load_rules())
    out = np.zeros((len(lines), len(LABELS)), bool)
    for n, line in enumerate(lines):
        for signal in rules.find(line.text, Speaker.AGENT if line.agent else Speaker.CUSTOMER):
            out[n, LABELS.index(signal.id)] = True
    return out


def _soft_f1(found, holds):
    return 2 * (found * holds).sum() / max(1, found.sum() + holds.sum())


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
    school, network = CallerSchool(), begun("caller", out).eval().to(DEVICE)
    row = OF_CALLER.index(SELF_HARM)
    told = list(hints(held=True))
    score = school.scores(network, [(line.text.split(), line.place) for line in told])[:, row]
    holds = np.array([line.holds[SELF_HARM] for line in told])
    path = DATA / "words" / "talk" / f"{HELD_TALK}.txt"
    spoken = [([*place.current_turn, *said.split()], place) for place, said in in_conversation(path)]
    in_talk = school.scores(network, spoken)[:, row]
    spoken_words = sum(len(said) for said, _ in spoken)
    noted, acted = (_above(in_talk, spoken_words, per) for per in HINTED)
    agree = _precise(score, holds, RULE_PRECISE)
    numbers = {"least": noted, "sure": acted, "doubt": noted, "agree": agree, "urgent": max(acted, CALLED)}
    return {
        SELF_HARM: {key: round(value, 2) for key, value in numbers.items()},
        UPSET: {"least": UPSET_LEAST, "sure": UPSET_SURE, "doubt": -9.0, "agree": 0.0},
    }


def of_what_is_said(out, text, shipped):
    """Thresholds of the network that hears what is said; `shipped`: those of the one that is still beside detectors."""
    school, network, before = WordsSchool(), begun("taught", out).eval().to(DEVICE), begun("taught").eval().to(DEVICE)
    lines = list(held())
    spoken = (said for _, said in talk(DATA / "words" / "talk" / f"{HELD_TALK}.txt"))
    texts = (line.text for line in lines), ordinary(text, "dev"), spoken
    own, *quiet = ([(said.split(),) for said in some] for some in texts)
    return fitted(
        school.scores(network, own),
        lines,
        [(school.scores(network, some), sum(len(words) for (words,) in some)) for some in quiet],
        [school.scores(before, some) for some in quiet],
        shipped,
    )


if __name__ == "__main__":
    path = FOLDER / "labels.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    out = Path(sys.argv[1])
    if sys.argv[3:] == ["caller"]:
        told["networks"][1]["labels"] = of_caller(out)
    else:
        first = told["networks"][0]
        first["labels"] = of_what_is_said(out, Path(sys.argv[2]), first["labels"])
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
