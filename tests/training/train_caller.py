"""`python -m tests.training.train_caller OUT TEXT NEW…`: trains the `caller` network, which scores how the caller is.

It reads a customer's turn with its dialogue context. OUT, TEXT and NEW as in `tests.training.train_words`; it writes
OUT/caller.pt.
"""

from dataclasses import replace

import torch

from detectors.dialogue_context import NO_CONTEXT
from tests.training.asr_noise import add_asr_noise
from tests.training.examples import CALLER_LABELS, caller_examples
from tests.training.trainer import DEVICE, Trainer, padded, train_from_command_line

CONTEXT_DROPOUT = 0.12
"""Share of turns with a context that lose it."""
RANDOM_CONTEXT = 0.4
"""Share of lines without a context that get some other turn's."""


class CallerTrainer(Trainer):
    """Of the `caller` network."""

    name, labels = "caller", CALLER_LABELS
    old_data_weight, positive_weight = 0.2, 1.5

    def _inputs(self, batch):
        """Token ids, attention mask, pooling mask."""
        encodings = [self._tokenizer(example.text.split(), example.context) for example in batch]
        ids, mask = padded([each.ids for each in encodings])
        text_start = torch.tensor([[each.text_start] for each in encodings], device=DEVICE)
        return ids, mask, mask * (torch.arange(ids.shape[1], device=DEVICE) >= text_start)

    def _partners(self, examples):
        """Contexts in which an agent has spoken."""
        return [each.context for each in examples if each.context.other_turn]

    def _augmented(self, example, partners, rng):
        text, context = example.text, example.context
        if context is NO_CONTEXT:
            if rng.random() < RANDOM_CONTEXT:
                context = rng.choice(partners)
        elif rng.random() < CONTEXT_DROPOUT:
            context = NO_CONTEXT
        else:
            text = " ".join((*context.current_turn, text))
        return replace(example, text=add_asr_noise(text, self._confusions, rng), context=context)

    def _length(self, example):
        context = example.context
        return super()._length(example) + len(context.previous_turn) + len(context.other_turn)


if __name__ == "__main__":
    train_from_command_line(CallerTrainer, caller_examples)
