"""`python -m tests.training.calibrate OUT`: OUT/taught.pt with its scores shifted to the thresholds of what is shipped.

Lines half of which are look-alikes teach a network to hear everything less often. Each label's score is shifted so that
as many lines of the authors held back are heard as with the network that is shipped, and a customer's in no more
telephone talk (HELD_TALK) than with that one, but for one line: what it gains is in which lines it hears, not in how
many. What was scored low before, and is still, must not be taken for more by the shift: `doubt` rises with it, and
`sure` to where as many of these lines are acted on as before (detectors/meanings/labels.json).
To be run before `tests.training.export`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from detectors.sentence_model import FOLDER
from tests.training.examples import DATA, HELD_TALK, LABELS, NEVER_IN_TALK, held, talk
from tests.training.train_words import WordsSchool
from tests.training.weights import network as begun

JUST = 1e-4
NEVER = 50
"""A label whose `sure` is beyond this is never acted on."""
FEWEST = 2
"""From fewer lines that are acted on nobody can say how often that is."""


def shift_of(label, least, before, after, talk_before, talk_after):
    """What to add to a label's score; scores of lines in which somebody has looked for it, and of talk."""
    heard = int((before >= least).sum())
    shift = least - np.sort(after)[-heard] + JUST
    if label in NEVER_IN_TALK[0]:
        most = int((talk_before >= least).sum()) + 1
        shift = min(shift, max(0.0, least - np.sort(talk_after)[-most - 1] - JUST))
    return float(shift)


def follow(told, shift, before, after):
    """A label's thresholds behind its shifted score; `after`: with the shift."""
    if shift > 0 and told["doubt"] < told["agree"]:
        told["doubt"] = round(min(told["doubt"] + shift, told["agree"], told["least"]), 2)
    acted = int((before >= told["sure"]).sum())
    if told["sure"] < NEVER and acted >= FEWEST:
        sure = round(max(told["sure"], float(np.sort(after)[-acted - 1 : len(after) - acted + 1].mean())), 2)
        told |= {name: sure for name in ("sure", "urgent") if told.get(name) == told["sure"]}


def level(out):
    """Write the weights and the thresholds again."""
    school, shipped, network = WordsSchool(), begun("taught"), begun("taught", out)
    lines = [(line.text.split(), line.holds) for line in held()]
    said = [(text.split(), {}) for _, text in talk(DATA / "words" / "talk" / f"{HELD_TALK}.txt")]
    before, after = ([school.scores(each.eval(), some) for some in (lines, said)] for each in (shipped, network))
    path = FOLDER / "labels.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    thresholds = {label: values for each in told["networks"] for label, values in each["labels"].items()}
    with torch.no_grad():
        for row, label in enumerate(LABELS):
            asked = [label in holds for _, holds in lines]
            was, now = before[0][asked, row], after[0][asked, row]
            shift = shift_of(label, thresholds[label]["least"], was, now, before[1][:, row], after[1][:, row])
            follow(thresholds[label], shift, was, now + shift)
            network.bias[row] += shift
            print(f"{label} {shift:+.2f} {thresholds[label]}")
    torch.save(network.state_dict(), out / "taught.pt")
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    level(Path(sys.argv[1]))
