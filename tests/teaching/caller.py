"""`python -m tests.teaching.caller OUT TEXT NEW…`: teaches the network that hears how a caller is; OUT/caller.pt.

It reads a customer's turn with what both sides said just before (detectors/exchange.py). As with `tests.teaching.teach`
it goes on from what is shipped or lies in OUT, and takes what it has learnt before less often than the files NEW.
"""

import random
import sys
from dataclasses import replace
from pathlib import Path

import torch

from detectors.exchange import NOWHERE
from detectors.sentences import Coder, vocabulary
from tests.teaching.learning import BATCH, DEVICE, Learning, batches, padded, scored, targets
from tests.teaching.lines import OF_CALLER, of_callers
from tests.teaching.mishearing import Mishearing, as_heard
from tests.teaching.shipped import network as begun

EPOCHS, RATE, HEAD_RATE = 2, 1e-4, 1e-3
OLDER = 0.2
WANTED = 1.5
"""Weight of what holds."""
ALONE, ELSEWHERE = 0.12, 0.4
"""Shares of turns read without what was said before, and of single lines read after some agent's words."""


class CallerSchool:
    """Teaches that network."""

    def __init__(self, mishearing=None):
        self._mishearing = mishearing
        self._coder = Coder(vocabulary())

    def teach(self, network, lines, seed):
        """Teach on these lines."""
        draw = random.Random(seed)
        torch.manual_seed(seed)
        network = network.train().to(DEVICE)
        steps = EPOCHS * -(-round(sum(line.weight for line in lines)) // BATCH)
        learning = Learning(network, steps, RATE, HEAD_RATE, warming=0.06)
        agents = [line.place for line in lines if line.place.other]
        for epoch in range(EPOCHS):
            told = [self._told(line, agents, draw) for line in lines if draw.random() < line.weight]
            for number, chosen in enumerate(batches(told, _length, draw)):
                learning.step(self.coded(chosen), targets([holds for *_, holds in chosen], OF_CALLER), WANTED)
                if number % 100 == 0:
                    print(f"epoch {epoch}, batch {number} of {len(told) // BATCH}", flush=True)
        return network.eval()

    def scores(self, network, told):
        """(words, place) each to a score for each label."""
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            return scored(network, told, _length, self.coded)

    def coded(self, told):
        """Ids, which of them are there, and which of them are the turn's."""
        rows = [self._coder(words, place) for words, place, *_ in told]
        ids, mask = padded([row.ids for row in rows])
        begins = torch.tensor([[row.begins] for row in rows], device=DEVICE)
        return ids, mask, mask * (torch.arange(ids.shape[1], device=DEVICE) >= begins)

    def _told(self, line, agents, draw):
        """A line as a recogniser may give it, in its place, in none, or after what some agent has said."""
        place = line.place
        if place is NOWHERE:
            place = draw.choice(agents) if draw.random() < ELSEWHERE else NOWHERE
        elif draw.random() < ALONE:
            place = NOWHERE
        text = " ".join((*place.turn, line.text)) if place is line.place else line.text
        return as_heard(text, self._mishearing, draw).split(), place, line.holds


def _length(told):
    words, place, *_ = told
    return len(words) + len(place.before) + len(place.other)


def main(out, text, new):
    """Teach, and leave the weights in `out`."""
    lines = [line if line.source in new else replace(line, weight=line.weight * OLDER) for line in of_callers(text)]
    school = CallerSchool(Mishearing([line.text for line in lines]))
    network = school.teach(begun("caller", out), lines, seed=0)
    torch.save(network.state_dict(), out / "caller.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), frozenset(sys.argv[3:]))
