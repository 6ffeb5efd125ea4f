"""How a network learns and is asked: what the teaching of both networks shares."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from detectors.sentence_model import Tokenizer, load_vocabulary
from tests.training.asr_noise import Mishearing
from tests.training.weights import network as begun

EPOCHS, BATCH = 2, 96
SMOOTH = 0.02
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class School:
    """Teaches one network; what is its own stands in the classes of both."""

    name: str
    """Of the weights it leaves in OUT."""
    labels: tuple[str, ...]
    """In the order of its scores."""
    older: float
    """Lines that are not new are taken so much less often."""
    wanted: float
    """Weight of a label that holds."""
    scale = 1.0
    """Of the loss."""
    rate, head_rate = 1e-4, 1e-3

    def __init__(self, mishearing=None, new=frozenset()):
        self._mishearing, self._new = mishearing, new
        self._coder = Tokenizer(load_vocabulary())

    def teach(self, network, lines, seed):
        """Teach on these lines, in an order of its own."""
        draw = random.Random(seed)
        torch.manual_seed(seed)
        network = network.train().to(DEVICE)
        steps = EPOCHS * -(-round(sum(line.weight for line in lines)) // BATCH)
        learning = Learning(network, steps, self.rate, self.head_rate, warming=0.06)
        beside = self._beside(lines)
        for epoch in range(EPOCHS):
            told = [self._told(line, beside, draw) for line in lines if draw.random() < line.weight]
            for number, chosen in enumerate(batches(told, self._length, draw)):
                self._learn(learning, chosen)
                if number % 100 == 0:
                    print(f"pass {epoch + 1}, batch {number} of {len(told) // BATCH}", flush=True)
        return network.eval()

    def _learn(self, learning, chosen):
        """From one batch of what is told."""
        holds = targets([each[-1] for each in chosen], self.labels)
        learning.step(self.coded(chosen), holds, self.wanted, self.scale)

    def scores(self, network, told):
        """What is told to a score for each label."""
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            return scored(network, told, self._length, self.coded)

    def coded(self, told):
        """Ids, which of them are there, and what else the network is given."""
        raise NotImplementedError

    def _told(self, line, beside, draw):
        """A line as a recogniser may give it: its words, what else is told of it, and what holds."""
        raise NotImplementedError

    def _beside(self, lines):
        """What lines are put beside."""
        raise NotImplementedError

    def _length(self, told):
        return len(told[0])


def taught_further(school, read):
    """Teach on from what is shipped or lies in OUT: the command line of both schools."""
    out, text, new = Path(sys.argv[1]), Path(sys.argv[2]), frozenset(sys.argv[3:])
    lines = [line if line.source in new else replace(line, weight=line.weight * school.older) for line in read(text)]
    network = school(Mishearing([line.text for line in lines]), new).teach(begun(school.name, out), lines, seed=0)
    torch.save(network.state_dict(), out / f"{school.name}.pt")


class Learning:
    """What makes a network learn: slower in the encoder than in the heads, ever slower after the first steps."""

    def __init__(self, network, steps, rate, head_rate, warming):
        """`warming`: share of the steps in which the rates rise."""
        heads = ("ask", "say", "bias")
        encoder = [value for name, value in network.named_parameters() if not name.startswith(heads)]
        head = [value for name, value in network.named_parameters() if name.startswith(heads)]
        self._network = network
        self._optimiser = torch.optim.AdamW(
            [{"params": encoder, "lr": rate, "weight_decay": 0.01}, {"params": head, "lr": head_rate}],
            weight_decay=0.0,
            fused=True,
        )
        self._pace = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: min(1, (step + 1) / (warming * steps)) * max(0.0, 1 - step / steps)
        )

    def step(self, told, wanted_asked, weight, scale=1.0):
        """Learn from one batch: what the network is given, what holds in it and what was looked for.

        `weight`: of a label that holds.
        """
        wanted, asked = (torch.tensor(each, device=DEVICE) for each in wanted_asked)
        loss = F.binary_cross_entropy_with_logits(
            self.scores(told), wanted * (1 - 2 * SMOOTH) + SMOOTH, reduction="none",
            pos_weight=torch.tensor(weight, device=DEVICE),
        )  # fmt: skip
        self.take((loss * asked).sum() / asked.sum() * scale)

    def scores(self, told):
        """What the network says of one batch now."""
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            return self._network(*told)[0].float()

    def take(self, loss):
        """Learn from this loss."""
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimiser.step()
        self._pace.step()


def batches(told, length, draw):
    """What is told of like length together, in any order."""
    order = sorted(told, key=lambda each: length(each) + draw.random() * 6)
    some = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    draw.shuffle(some)
    return some


def padded(rows):
    """Lists of tokens as ids, and which of them are there."""
    ids, mask = (torch.zeros(len(rows), max(map(len, rows)), dtype=kind) for kind in (torch.long, torch.float))
    for n, row in enumerate(rows):
        ids[n, : len(row)], mask[n, : len(row)] = torch.tensor(row), 1
    return ids.to(DEVICE), mask.to(DEVICE)


def scored(network, told, length, coded):
    """Scores of each of what is told, read beside others of like length."""
    out = np.zeros((len(told), len(network.bias)), np.float32)
    order = sorted(range(len(told)), key=lambda n: length(told[n]))
    with torch.no_grad():
        for at in range(0, len(order), 256):
            some = order[at : at + 256]
            out[some] = network(*coded([told[n] for n in some]))[0].float().cpu().numpy()
    return out


def targets(holds, labels):
    """What holds, and what somebody has looked for: lines x labels each."""
    wanted, asked = (np.zeros((len(holds), len(labels)), np.float32) for _ in range(2))
    for n, each in enumerate(holds):
        for name in each.keys() & set(labels):
            wanted[n, labels.index(name)], asked[n, labels.index(name)] = each[name], 1
    return wanted, asked
