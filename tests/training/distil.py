"""`python -m tests.training.distil NETWORK OUT TEXT NEW…`: trains a network (`words`, `caller`) on the files NEW only.

The other examples are taken too, less often, with the scores of the network before training as their targets
(learning without forgetting, Li & Hoiem 2016): it learns new ways of saying things, and the thresholds stay valid for
all else. OUT and TEXT as in `tests.training.train_words`.
"""

import sys
from copy import deepcopy
from dataclasses import replace

import torch
import torch.nn.functional as F

from tests.training.examples import caller_examples, words_examples
from tests.training.train_caller import CallerTrainer
from tests.training.train_words import WordsTrainer
from tests.training.trainer import DEVICE, LABEL_SMOOTHING, Trainer, logits, targets, train_from_command_line


class DistillingTrainer(Trainer):
    """Trains on the labels of new examples, and on the earlier network's probabilities where no label is known."""

    old_data_weight = 0.06
    encoder_lr, head_lr = 6e-5, 6e-4

    def train(self, network, examples, seed):
        """Train; the network as it is now is the teacher."""
        self._teacher = deepcopy(network).eval().to(DEVICE)
        return super().train(network, examples, seed)

    def _augmented(self, example, partners, rng):
        augmented = super()._augmented(example, partners, rng)
        return augmented if example.source in self._new else replace(augmented, labels={})

    def _loss(self, network, batch):
        inputs = self._inputs(batch)
        target, mask = (torch.tensor(each, device=DEVICE) for each in targets(batch, self.labels))
        weights = torch.where(target > 0, self.positive_weight, 1.0)
        target = target.clamp(LABEL_SMOOTHING, 1 - LABEL_SMOOTHING)
        with torch.no_grad():
            target = torch.where(mask > 0, target, logits(self._teacher, inputs).sigmoid())
        loss = F.binary_cross_entropy_with_logits(logits(network, inputs), target, reduction="none")
        return (loss * weights).mean() * self.loss_scale


class DistillingCallerTrainer(DistillingTrainer, CallerTrainer):
    """Of the `caller` network."""


class DistillingWordsTrainer(DistillingTrainer, WordsTrainer):
    """Of the `words` network."""


TRAINERS = {"words": (DistillingWordsTrainer, words_examples), "caller": (DistillingCallerTrainer, caller_examples)}

if __name__ == "__main__":
    train_from_command_line(*TRAINERS[sys.argv.pop(1)])
