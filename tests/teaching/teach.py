"""`python -m tests.teaching.teach OUT TEXT NEW…`: teaches the network that hears what is said; OUT/taught.pt.

It goes on from what is shipped, or from OUT/taught.pt where that is there already. NEW names the files of lines that it
does not know yet (`agents-6`): these are taken in every pass, those it has learnt before OLDER of the times.
"""

import random
import sys
from dataclasses import replace
from pathlib import Path

import torch

from detectors.sentences import Coder, vocabulary
from tests.teaching.learning import BATCH, DEVICE, Learning, batches, padded, scored, targets
from tests.teaching.lines import LABELS, taught
from tests.teaching.mishearing import Mishearing, as_heard
from tests.teaching.shipped import network as begun

EPOCHS, RATE, HEAD_RATE = 2, 1e-4, 1e-3
OLDER = 0.25
WANTED = 2.0
"""Weight of a label that holds."""
JOINED = 0.25
"""Share of lines joined to a calm one."""


class School:
    """Teaches that network."""

    def __init__(self, mishearing=None):
        self._mishearing = mishearing
        self._coder = Coder(vocabulary())

    def teach(self, network, lines, seed):
        """Teach on these lines, in an order of its own."""
        draw = random.Random(seed)
        torch.manual_seed(seed)
        network = network.train().to(DEVICE)
        steps = EPOCHS * -(-round(sum(line.weight for line in lines)) // BATCH)
        learning = Learning(network, steps, RATE, HEAD_RATE, warming=0.06)
        calm = {agent: [e for e in lines if e.agent is agent and len(e.holds) > 10 and not any(e.holds.values())]
                for agent in (False, True)}  # fmt: skip
        for epoch in range(EPOCHS):
            told = [self._told(line, calm[line.agent], draw) for line in lines if draw.random() < line.weight]
            for number, chosen in enumerate(batches(told, _length, draw)):
                ids, mask = self._coded([words for words, _ in chosen])
                learning.step((ids, mask), targets([holds for _, holds in chosen], LABELS), WANTED, scale=20)
                if number % 100 == 0:
                    print(f"pass {epoch + 1}, batch {number} of {steps // EPOCHS}", flush=True)
        return network.eval()

    def scores(self, network, texts):
        """Texts x labels."""
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            return scored(network, [text.split() for text in texts], len, self._coded)

    def _told(self, line, calm, draw):
        """A line as a recogniser may give it, perhaps beside another one."""
        text, holds = line.text, line.holds
        if draw.random() < JOINED and len(text.split()) < 40 and calm:
            other = draw.choice(calm)
            text = f"{other.text} {text}" if draw.random() < 0.5 else f"{text} {other.text}"
            holds = {name: held for name, held in holds.items() if held or name in other.holds}
        return as_heard(text, self._mishearing, draw).split(), holds

    def _coded(self, told):
        """Ids, and which of them are there."""
        return padded([self._coder(words).ids for words in told])


def _length(told):
    words, _ = told
    return len(words)


def main(out, text, new):
    """Teach, and leave the weights in `out`."""
    lines = [line if line.source in new else replace(line, weight=line.weight * OLDER) for line in taught(text)]
    school = School(Mishearing([line.text for line in lines]))
    network = school.teach(begun("taught", out), lines, seed=0)
    torch.save(network.state_dict(), out / "taught.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), frozenset(sys.argv[3:]))
