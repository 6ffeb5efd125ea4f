"""`python -m tests.training.calibrate OUT`: shifts the biases of OUT/words.pt so that the shipped thresholds fit it.

Training on lines of which half are look-alikes lowers all scores. Each label's bias is shifted so that as many held-out
lines reach `least` as with the shipped network, and a customer's label at most one line more of telephone talk
(HELD_OUT_TALK): what a network gains is in which lines it finds, not in how many. What had low scores, and still has,
must not pass for more by the shift: `doubt` rises with it, and `sure` to where as many held-out lines are acted on as
before (detectors/meanings/labels.json).

To be run before `tests.training.export`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from detectors.sentence_model import FOLDER
from tests.training.examples import (
    ABSENT_IN_TALK,
    HELD_OUT_TALK,
    WORDS_LABELS,
    Example,
    held_out_examples,
    read_talk,
)
from tests.training.fit_thresholds import reached_by
from tests.training.train_words import WordsTrainer
from tests.training.trainer import targets
from tests.training.weights import load_network, weights_path

EPSILON = 1e-4
"""So far beside a threshold a score is put."""
MIN_ACTED = 2
"""A rate of fewer lines that are acted on says nothing."""


def shift_for(label, least, before, after, talk_before, talk_after):
    """What to add to a label's bias.

    Args:
        label: its name.
        least: its threshold.
        before: the shipped network's scores of the held-out lines in which the label is known.
        after: the new network's.
        talk_before: the shipped network's scores of telephone talk.
        talk_after: the new network's.
    """
    hits = int((before >= least).sum())
    shift = least - np.sort(after)[-hits] + EPSILON
    if label in ABSENT_IN_TALK[False]:
        max_hits = int((talk_before >= least).sum()) + 1
        shift = min(shift, max(0.0, least - np.sort(talk_after)[-max_hits - 1] - EPSILON))
    return float(shift)


def shift_thresholds(thresholds, shift, before, after):
    """A label's thresholds for its shifted score; `before` and `after`: scores as above, `after` with the shift."""
    out = dict(thresholds)
    if shift > 0 and out["doubt"] < out["agree"]:
        out["doubt"] = round(min(out["doubt"] + shift, out["agree"], out["least"]), 2)
    acted = int((before >= out["sure"]).sum())
    if acted >= MIN_ACTED:
        sure = round(max(out["sure"], reached_by(after, acted)), 2)
        out |= {name: sure for name in ("sure", "urgent") if out.get(name) == out["sure"]}
    return out


def calibrate(out):
    """Write the weights and the thresholds again."""
    trainer, shipped, network = WordsTrainer(), load_network("words"), load_network("words", out)
    held_out = list(held_out_examples())
    talk = [Example(text) for text in read_talk(HELD_OUT_TALK)]
    before, talk_before = (trainer.predict(shipped, each) for each in (held_out, talk))
    after, talk_after = (trainer.predict(network, each) for each in (held_out, talk))
    _, mask = targets(held_out, WORDS_LABELS)
    path = FOLDER / "labels.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    thresholds = config["networks"][0]["labels"]
    with torch.no_grad():
        for row, label in enumerate(WORDS_LABELS):
            known = mask[:, row] > 0
            was, now = before[known, row], after[known, row]
            shift = shift_for(label, thresholds[label]["least"], was, now, talk_before[:, row], talk_after[:, row])
            thresholds[label] = shift_thresholds(thresholds[label], shift, was, now + shift)
            network.bias[row] += shift
            print(f"{label} {shift:+.2f} {thresholds[label]}")
    torch.save(network.state_dict(), weights_path("words", out))
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    calibrate(Path(sys.argv[1]))
