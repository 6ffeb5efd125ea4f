"""`python -m tests.training.train_head LABEL OUT TEXT NEW…`: trains one output of the `words` network alone.

For a label whose meaning has become narrower or wider: the encoder ranks lines well enough already, so the query of the
label's attention and its linear output are fitted to the files NEW, and to all older lines that the label does not hold
of. Older lines that it held of are left out, as it may not any more. No other score changes. Arguments else as in
`tests.training.train_words`.
"""

import sys
from dataclasses import replace

from tests.training.examples import words_examples
from tests.training.train_words import WordsTrainer
from tests.training.trainer import train_from_command_line


class HeadTrainer(WordsTrainer):
    """Of one label of the `words` network."""

    old_data_weight, head_lr, epochs = 0.05, 3e-3, 6

    def train(self, network, examples, seed):
        """As the base class, with the encoder as it is."""
        network.requires_grad_(False)
        for each in (network.ask.weight, network.say.weight, network.bias):
            each.requires_grad_(True)
        return super().train(network, examples, seed)

    def _partners(self, examples):
        """Examples that the label does not hold of."""
        return {agent: [each for each in examples if each.agent is agent and not any(each.labels.values())]
                for agent in (False, True)}  # fmt: skip


def examples_of(label, text_folder, new):
    """The examples whose `label` is known, with no other label, without the positive ones that are not of files NEW."""
    for each in words_examples(text_folder):
        if label in each.labels and (each.source in new or not each.labels[label]):
            yield replace(each, labels={label: each.labels[label]})


if __name__ == "__main__":
    label, new = sys.argv.pop(1), frozenset(sys.argv[3:])
    train_from_command_line(HeadTrainer, lambda text_folder: examples_of(label, text_folder, new))
