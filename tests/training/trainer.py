"""Fine-tuning a network, and scoring with it: what the trainers of both networks share."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from detectors.sentence_model import Tokenizer, load_vocabulary
from tests.training.asr_noise import WordConfusions
from tests.training.weights import load_network, weights_path

BATCH_SIZE, PREDICTION_BATCH_SIZE = 96, 256
LABEL_SMOOTHING = 0.02
"""Targets are this and 1 - this instead of 0 and 1 (Szegedy et al. 2016)."""
WARMUP = 0.06
"""Share of the steps in which the learning rates rise; then they fall linearly to 0."""
WEIGHT_DECAY = 0.01
"""Of the encoder."""
MAX_GRADIENT_NORM = 1.0
LENGTH_JITTER = 6
"""Batches are of examples whose lengths differ by about so many words: little padding, but other batches each epoch."""
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BFLOAT16 = DEVICE == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether the device computes in bfloat16 by itself: where a CPU only emulates it (no AVX-512), a step took 20 times as
long as in 32 bits."""


class Trainer:
    """Trains one of the networks; its subclasses say what differs between the two."""

    name: str
    """Of the network: `words` or `caller`."""
    labels: tuple[str, ...]
    """In the order of the network's outputs."""
    old_data_weight: float
    """The weights of examples that are not of new files are multiplied by it."""
    positive_weight: float
    """Of a positive label in the loss."""
    loss_scale = 1.0
    epochs = 2
    encoder_lr, head_lr = 1e-4, 1e-3
    """Highest learning rates; the heads are the pooling queries and the outputs."""

    def __init__(self, confusions=None, new=frozenset()):
        """`confusions`: WordConfusions, needed to train; `new`: names of the files not trained on yet."""
        self._confusions, self._new = confusions, new
        self._tokenizer = Tokenizer(load_vocabulary())

    def train(self, network, examples, seed):
        """Train on these examples, in a random order, and return the network."""
        rng = random.Random(seed)
        torch.manual_seed(seed)
        network = network.train().to(DEVICE)
        steps = self.epochs * -(-round(sum(example.weight for example in examples)) // BATCH_SIZE)
        optimiser = _optimiser(network, self.encoder_lr, self.head_lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min(1, (step + 1) / (WARMUP * steps)) * max(0.0, 1 - step / steps)
        )
        partners = self._partners(examples)
        for epoch in range(self.epochs):
            sample = [self._augmented(each, partners, rng) for each in examples if rng.random() < each.weight]
            for number, batch in enumerate(_batches(sample, self._length, rng)):
                optimiser.zero_grad()
                self._loss(network, batch).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
                optimiser.step()
                schedule.step()
                if number % 100 == 0:
                    print(f"epoch {epoch + 1}, batch {number} of {len(sample) // BATCH_SIZE}", flush=True)
        return network.eval()

    def predict(self, network, examples):
        """Logits, an array of shape (examples, labels); each is scored in a batch with others of like length."""
        network = network.eval().to(DEVICE)
        scores = np.zeros((len(examples), len(self.labels)), np.float32)
        order = sorted(range(len(examples)), key=lambda n: self._length(examples[n]))
        with torch.no_grad():
            for first in range(0, len(order), PREDICTION_BATCH_SIZE):
                batch = order[first : first + PREDICTION_BATCH_SIZE]
                scores[batch] = logits(network, self._inputs([examples[n] for n in batch])).cpu().numpy()
        return scores

    def _loss(self, network, batch):
        """Binary cross-entropy over the known labels (Example.labels)."""
        target, mask = (torch.tensor(each, device=DEVICE) for each in targets(batch, self.labels))
        target = target * (1 - 2 * LABEL_SMOOTHING) + LABEL_SMOOTHING
        loss = F.binary_cross_entropy_with_logits(
            logits(network, self._inputs(batch)), target, reduction="none",
            pos_weight=torch.tensor(self.positive_weight, device=DEVICE),
        )  # fmt: skip
        return (loss * mask).sum() / mask.sum() * self.loss_scale

    def _inputs(self, batch):
        """The network's arguments for a batch of examples."""
        raise NotImplementedError

    def _augmented(self, example, partners, rng):
        """The example as a recogniser may transcribe it, perhaps joined to something of `partners`."""
        raise NotImplementedError

    def _partners(self, examples):
        """What of the examples may be joined to others."""
        raise NotImplementedError

    def _length(self, example):
        """In words."""
        return len(example.text.split())


def train_from_command_line(trainer_class, read_examples):
    """`… OUT TEXT NEW…`: go on from what lies in OUT or is shipped, and write the weights to OUT."""
    out, text_folder, new = Path(sys.argv[1]), Path(sys.argv[2]), frozenset(sys.argv[3:])
    examples = [
        each if each.source in new else replace(each, weight=each.weight * trainer_class.old_data_weight)
        for each in read_examples(text_folder)
    ]
    trainer = trainer_class(WordConfusions([each.text for each in examples]), new)
    network = trainer.train(load_network(trainer.name, out), examples, seed=0)
    torch.save(network.state_dict(), weights_path(trainer.name, out))


def targets(examples, labels):
    """Targets (1 positive, 0 negative) and mask (1 known, 0 unknown): two arrays of shape (examples, labels)."""
    target, mask = (np.zeros((len(examples), len(labels)), np.float32) for _ in range(2))
    for n, example in enumerate(examples):
        for name in example.labels.keys() & set(labels):
            target[n, labels.index(name)], mask[n, labels.index(name)] = example.labels[name], 1
    return target, mask


def padded(sequences):
    """Token ids, padded with 0, and the attention mask: two tensors of shape (sequences, tokens)."""
    shape = len(sequences), max(map(len, sequences))
    ids, mask = (torch.zeros(shape, dtype=kind) for kind in (torch.long, torch.float))
    for n, sequence in enumerate(sequences):
        ids[n, : len(sequence)], mask[n, : len(sequence)] = torch.tensor(sequence), 1
    return ids.to(DEVICE), mask.to(DEVICE)


def logits(network, inputs):
    """Of a batch, as 32-bit floats."""
    with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=BFLOAT16):
        return network(*inputs)[0].float()


def _optimiser(network, encoder_lr, head_lr):
    heads = ("ask", "say", "bias")
    encoder = [value for name, value in network.named_parameters() if not name.startswith(heads)]
    head = [value for name, value in network.named_parameters() if name.startswith(heads)]
    return torch.optim.AdamW(
        [
            {"params": encoder, "lr": encoder_lr, "weight_decay": WEIGHT_DECAY},
            {"params": head, "lr": head_lr, "weight_decay": 0.0},
        ],
        fused=True,
    )


def _batches(examples, length, rng):
    """Batches of examples of like length, in a random order."""
    order = sorted(examples, key=lambda each: length(each) + rng.random() * LENGTH_JITTER)
    batches = [order[first : first + BATCH_SIZE] for first in range(0, len(order), BATCH_SIZE)]
    rng.shuffle(batches)
    return batches
