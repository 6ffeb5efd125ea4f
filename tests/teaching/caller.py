"""`python -m tests.teaching.caller OUT TEXT`: teaches the network that hears how a caller is; OUT/caller.pt.

It reads a customer's turn with what both sides said just before (detectors/exchange.py). It begins as the network that
`tests.teaching.teach` has left in OUT, or as OUT/caller.pt where that is there already.
"""

import gzip
import random
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import BertWordPieceTokenizer

from detectors.exchange import NOWHERE
from detectors.meaning import COMPLAINT, SELF_HARM, UPSET
from detectors.sentences import FOLDER, MOST_TOKENS
from tests.teaching.lines import LABELS, OF_CALLER, of_callers
from tests.teaching.mishearing import Mishearing
from tests.teaching.network import Network
from tests.teaching.teach import DEVICE, SMOOTH, as_heard

BEGUN = {SELF_HARM: "vulnerable", UPSET: COMPLAINT}
"""The nearest label of the other network."""
EPOCHS, BATCH, RATE, HEAD_RATE = 3, 96, 3e-5, 3e-4
WANTED = 1.5
"""Weight of what holds."""
ALONE, ELSEWHERE = 0.12, 0.4
"""Shares of turns read without what was said before, and of single lines read after some agent's words."""


class CallerSchool:
    """Teaches that network on a vocabulary."""

    def __init__(self, words, mishearing=None):
        self._mishearing = mishearing
        self._tokenizer = BertWordPieceTokenizer({word: n for n, word in enumerate(words)})
        self._tokenizer.enable_truncation(MOST_TOKENS)

    def teach(self, network, lines, seed):
        """Teach on these lines."""
        draw = random.Random(seed)
        torch.manual_seed(seed)
        network = network.train().to(DEVICE)
        heads = ("ask", "say", "bias")
        encoder = [value for name, value in network.named_parameters() if not name.startswith(heads)]
        head = [value for name, value in network.named_parameters() if name.startswith(heads)]
        optimiser = torch.optim.AdamW(
            [{"params": encoder, "lr": RATE, "weight_decay": 0.01}, {"params": head, "lr": HEAD_RATE}],
            weight_decay=0.0,
            fused=True,
        )
        steps = EPOCHS * -(-round(sum(line.weight for line in lines)) // BATCH)
        pace = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1, (step + 1) / (0.06 * steps)) * max(0.0, 1 - step / steps)
        )
        agents = [line.place for line in lines if line.place.other]
        for epoch in range(EPOCHS):
            told = [self._told(line, agents, draw) for line in lines if draw.random() < line.weight]
            for number, chosen in enumerate(_batches(told, draw)):
                wanted = torch.tensor([[float(holds.get(label, 0)) for label in OF_CALLER] for _, _, holds in chosen])
                asked = torch.tensor([[float(label in holds) for label in OF_CALLER] for _, _, holds in chosen])
                with torch.autocast(DEVICE, dtype=torch.bfloat16):
                    scores, _ = network(*self.coded([(words, place) for words, place, _ in chosen]))
                loss = F.binary_cross_entropy_with_logits(
                    scores.float(), (wanted * (1 - 2 * SMOOTH) + SMOOTH).to(DEVICE), reduction="none",
                    pos_weight=torch.tensor(WANTED, device=DEVICE),
                )  # fmt: skip
                optimiser.zero_grad()
                asked = asked.to(DEVICE)
                ((loss * asked).sum() / asked.sum()).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                pace.step()
                if number % 100 == 0:
                    print(f"epoch {epoch}, batch {number} of {len(told) // BATCH}", flush=True)
        return network.eval()

    def scores(self, network, told):
        """(words, place) each to a score for each label."""
        out = torch.zeros(len(told), len(OF_CALLER))
        order = sorted(range(len(told)), key=lambda n: _length(told[n]))
        with torch.no_grad(), torch.autocast(DEVICE, dtype=torch.bfloat16):
            for at in range(0, len(order), 256):
                some = order[at : at + 256]
                out[some] = network(*self.coded([told[n] for n in some]))[0].float().cpu()
        return out.numpy()

    def coded(self, told):
        """Ids, which of them are there, and which of them are the turn's."""
        rows, begins = zip(*(self._row(words, place) for words, place in told), strict=True)
        ids, mask, said = (torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long) for _ in range(3))
        for n, (row, first) in enumerate(zip(rows, begins, strict=True)):
            ids[n, : len(row)] = torch.tensor(row)
            mask[n, : len(row)] = 1
            said[n, first : len(row)] = 1
        return ids.to(DEVICE), mask.to(DEVICE), said.to(DEVICE)

    def _row(self, words, place):
        """As detectors.sentences.Network reads it: ids, and where the words begin."""
        start, *text = self._code(words)
        before = [start]
        for said in filter(None, (place.before, place.other)):
            before += self._code(said)[1:]
        return before + text, len(before)

    def _code(self, words):
        return self._tokenizer.encode([word.replace("’", "'") for word in words], is_pretokenized=True).ids

    def _told(self, line, agents, draw):
        """A line as a recogniser may give it, in its place, in none, or after what some agent has said."""
        place = line.place
        if place is NOWHERE:
            place = draw.choice(agents) if draw.random() < ELSEWHERE else NOWHERE
        elif draw.random() < ALONE:
            place = NOWHERE
        text = " ".join((*place.turn, line.text)) if line.place is not NOWHERE else line.text
        return as_heard(text, self._mishearing, draw).split(), place, line.holds


def _length(told):
    words, place, *_ = told
    return len(words) + len(place.before) + len(place.other)


def _batches(told, draw):
    """Turns of like length together, in any order."""
    order = sorted(told, key=lambda each: _length(each) + draw.random() * 6)
    batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    draw.shuffle(batches)
    return batches


def beginning(out, words):
    """The network to teach: that of an earlier run, or the other one with its nearest labels."""
    network = Network(len(words), len(OF_CALLER))
    if (out / "caller.pt").exists():
        network.load_state_dict(torch.load(out / "caller.pt"))
        return network
    weights = dict(torch.load(out / "taught.pt"))
    rows = [LABELS.index(BEGUN[label]) for label in OF_CALLER]
    for name in ("ask.weight", "say.weight", "bias"):
        weights[name] = weights[name][rows]
    network.load_state_dict(weights)
    return network


def main(out, text):
    """Teach, and leave the weights in `out`."""
    lines = list(of_callers(text))
    words = gzip.decompress((FOLDER / "vocab.txt.gz").read_bytes()).decode().split("\n")
    school = CallerSchool(words, Mishearing([line.text for line in lines]))
    network = school.teach(beginning(out, words), lines, seed=0)
    torch.save(network.state_dict(), out / "caller.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
