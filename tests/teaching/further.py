"""`python -m tests.teaching.further OUT TEXT NEW…`: teaches the caller's network the files NEW only; OUT/caller.pt.

Whatever else it has learnt from is read as well, less often, and held to what the network said of it before: a new way
of being upset is learnt, and the thresholds of all else stay true. From what is shipped or lies in OUT.
"""

import random
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from detectors.meaning import UPSET
from tests.teaching.caller import CallerSchool
from tests.teaching.learning import BATCH, DEVICE, EPOCHS, SMOOTH, Learning, batches
from tests.teaching.lines import OF_CALLER, of_callers
from tests.teaching.mishearing import Mishearing
from tests.teaching.shipped import network as begun

ROW = OF_CALLER.index(UPSET)
OLDER = 0.06
"""Share of all else that is read in a pass."""
RATE, HEAD_RATE = 6e-5, 6e-4
WANTED = 1.5
"""Weight of what is learnt anew."""


def teach(lines, new, out, seed=0):
    """The network, taught the lines of these files, and held to what it was in all others."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    school = CallerSchool(Mishearing([line.text for line in lines]))
    network, before = begun("caller", out).train().to(DEVICE), begun("caller", out).eval().to(DEVICE)
    lines = [line if line.source in new else replace(line, weight=line.weight * OLDER) for line in lines]
    steps = EPOCHS * -(-round(sum(line.weight for line in lines)) // BATCH)
    learning = Learning(network, steps, RATE, HEAD_RATE, warming=0.06)
    beside = school._beside(lines)
    for epoch in range(EPOCHS):
        told = [(*school._told(line, beside, draw)[:2], line) for line in lines if draw.random() < line.weight]
        for number, some in enumerate(batches(told, school._length, draw)):
            given = school.coded(some)
            with torch.no_grad(), torch.autocast(DEVICE, dtype=torch.bfloat16):
                held = before(*given)[0].float().sigmoid()
            weights = torch.ones_like(held)
            for at, line in enumerate(line for *_, line in some):
                if line.source in new:
                    held[at, ROW] = SMOOTH + (1 - 2 * SMOOTH) * line.holds[UPSET]
                    weights[at, ROW] = WANTED
            with torch.autocast(DEVICE, dtype=torch.bfloat16):
                scores, _ = network(*given)
            loss = F.binary_cross_entropy_with_logits(scores.float(), held, reduction="none")
            learning.take((loss * weights).mean())
            if number % 20 == 0:
                print(f"pass {epoch + 1}, batch {number} of {len(told) // BATCH}", flush=True)
    return network.eval()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    taught = teach([*of_callers(Path(sys.argv[2]))], frozenset(sys.argv[3:]), folder)
    torch.save(taught.state_dict(), folder / "caller.pt")
