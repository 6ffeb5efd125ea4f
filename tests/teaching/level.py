"""`python -m tests.teaching.level OUT`: OUT/taught.pt with its scores shifted to the thresholds of what is shipped.

Lines half of which are look-alikes teach a network to hear everything less often. Each label's score is shifted so that
as many lines of the authors held back are heard as with the network that is shipped, and a customer's in no more
telephone talk (HELD_TALK) than with that one, but for one line: what it gains is in which lines it hears, not in how
many.
To be run before `tests.teaching.export`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from detectors.sentences import FOLDER
from tests.teaching.lines import DATA, HELD_TALK, LABELS, NEVER_IN_TALK, held, talk
from tests.teaching.shipped import network as begun
from tests.teaching.teach import WordsSchool

JUST = 1e-4


def shifts(before, after, asked, talk_before, talk_after, least):
    """What to add to each label's score: lines x labels each, `asked` where somebody has looked for it."""
    for row, label in enumerate(LABELS):
        there = asked[:, row]
        heard = int((before[there, row] >= least[label]).sum())
        shift = least[label] - np.sort(after[there, row])[-heard] + JUST
        if label in NEVER_IN_TALK[0]:
            most = int((talk_before[:, row] >= least[label]).sum()) + 1
            shift = min(shift, max(0.0, least[label] - np.sort(talk_after[:, row])[-most - 1] - JUST))
        yield float(shift)


def level(out):
    """Write the weights again."""
    school, shipped, network = WordsSchool(), begun("taught"), begun("taught", out)
    lines = [(line.text.split(), line.holds) for line in held()]
    said = [(text.split(), {}) for _, text in talk(DATA / "words" / "talk" / f"{HELD_TALK}.txt")]
    asked = np.array([[label in holds for label in LABELS] for _, holds in lines])
    told = json.loads((FOLDER / "labels.json").read_text(encoding="utf-8"))["networks"]
    least = {label: values["least"] for each in told for label, values in each["labels"].items()}
    scores = [school.scores(each.eval(), some) for some in (lines, said) for each in (shipped, network)]
    shift = [*shifts(scores[0], scores[1], asked, scores[2], scores[3], least)]
    with torch.no_grad():
        network.bias += torch.tensor(shift)
    torch.save(network.state_dict(), out / "taught.pt")
    print(*(f"{label} {value:+.2f}" for label, value in zip(LABELS, shift, strict=True)))


if __name__ == "__main__":
    level(Path(sys.argv[1]))
