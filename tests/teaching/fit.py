"""`python -m tests.teaching.fit OUT TEXT`: thresholds of each label, from OUT/scores.npz; detectors/meanings/labels.json.

`least` and `doubt` make the F1 of rules and model together on the authors' lines highest, each scored by a network that
had seen nothing of that author. Half of those lines hold something, of a call's far fewer: so no label is heard more
than NOTED times in 10,000 words of calm talk, and `sure` allows no more than ACTED. Calm talk is the customers' turns of
written calm calls and lines that only sound like trouble (out of fold), and ordinary lines of TEXT (the development half
of tests/calm_talk.py, by the folds' networks; not taught). Of the agent's side only NOTED's written turns exist.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from audio.events import Speaker
from detectors.meaning import COMPLAINT, SELF_HARM
from detectors.phrases import PhraseDetector
from detectors.rulebook import load_rules
from detectors.sentences import FOLDER
from tests.calm_talk import lines as ordinary
from tests.teaching.lines import LABELS, OF_CUSTOMER, taught
from tests.teaching.teach import FOLDS, School, targets

NOTED, ACTED = 4.0, 1.0
"""Hits in 10,000 words of calm talk."""
FREE = frozenset((COMPLAINT, "de_escalation"))
"""Heard in ordinary talk rightly: thanks, mild displeasure."""
DOUBTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95)
"""Quantiles of all scores that are tried as `doubt`."""


def fitted(scores, lines, calm_scores, calm_words):
    """Label -> thresholds."""
    rules = PhraseDetector(load_rules())
    wanted, asked = targets([line.holds for line in lines])
    known = ~np.isnan(scores[:, 0])
    by_rule = np.zeros(wanted.shape, bool)
    for n in np.flatnonzero(known):
        for signal in rules.find(lines[n].text, Speaker.AGENT if lines[n].agent else Speaker.CUSTOMER):
            by_rule[n, LABELS.index(signal.id)] = True
            if signal.rule == "vulnerable.self-harm":
                by_rule[n, LABELS.index(SELF_HARM)] = True
    calm = known & np.array([line.calm and not line.agent for line in lines])
    words = np.array([len(line.text.split()) for line in lines])
    out, total = {}, np.zeros(3)
    for row, name in enumerate(LABELS):
        mine = known & (asked[:, row] > 0)
        score, holds, ruled = scores[mine, row], wanted[mine, row] > 0, by_rule[mine, row]
        f1, least, doubt = max(
            (_f1((score >= at) | (ruled & (score >= low)), holds), at, low)
            for low in (-99.0, *np.quantile(score, DOUBTS))
            for at in np.unique(np.quantile(score, np.linspace(0.3, 1, 300)))
            if at >= low
        )
        sure = least
        if name in OF_CUSTOMER and name not in FREE:
            quiet = calm & (asked[:, row] > 0) & (wanted[:, row] == 0)
            for some, count in ((scores[quiet, row], words[quiet].sum()), (calm_scores[:, row], calm_words)):
                least = max(least, _above(some, count, NOTED))
                sure = max(sure, least, _above(some, count, ACTED))
        found = (score >= least) | (ruled & (score >= doubt))
        clear = score >= sure
        out[name] = {"least": round(float(least), 2), "sure": round(float(sure), 2), "doubt": round(float(doubt), 2)}
        if name not in (SELF_HARM, COMPLAINT):
            total += (found & holds).sum(), (found & ~holds).sum(), (~found & holds).sum()
        print(
            f"{name:18} {int(holds.sum()):4}  rules {_f1(ruled, holds):.2f}  both, free {f1:.2f}"
            f"  F1 {_f1(found, holds):.2f} P {(found & holds).sum() / max(1, found.sum()):.2f}"
            f" R {(found & holds).sum() / holds.sum():.2f}  sure P {(clear & holds).sum() / max(1, clear.sum()):.2f}"
            f" R {(clear & holds).sum() / holds.sum():.2f}  {out[name]}"
        )
    print("all: found %d, false %d, missed %d, F1 %.3f" % (*total, 2 * total[0] / (2 * total[0] + total[1] + total[2])))
    return out


def _f1(found, holds):
    return 2 * (found & holds).sum() / max(1, found.sum() + holds.sum())


def _above(scores, words, per):
    """The score that so many per 10,000 words lie above."""
    return float(np.sort(scores)[-1 - max(1, round(words / 10_000 * per))])


if __name__ == "__main__":
    out, known = Path(sys.argv[1]), taught()
    calm = list(ordinary(Path(sys.argv[2]), "dev"))
    school = School(known)
    networks = []
    for number in range(len(FOLDS)):
        network = school.fresh()
        network.load_state_dict(torch.load(out / f"fold{number}.pt"))
        networks.append(school.scores(network.eval(), calm))
    told = fitted(
        np.load(out / "scores.npz")["scores"], known, sum(networks) / len(networks), sum(len(e.split()) for e in calm)
    )
    text = json.dumps({"version": "2", "labels": told}, indent=1)
    (FOLDER / "labels.json").write_text(text + "\n", encoding="utf-8")
