"""`python -m tests.training.train_words OUT TEXT NEW…`: trains the `words` network, which scores what is said.

It goes on from OUT/words.pt, or from what is shipped where that is not there, and writes OUT/words.pt. NEW are files of
lines that it has not been trained on (`agents-6`): every epoch takes all of them, and a sample of the older examples.
"""

from dataclasses import replace

from tests.training.asr_noise import add_asr_noise
from tests.training.examples import WORDS_LABELS, words_examples
from tests.training.trainer import Trainer, padded, train_from_command_line

JOINED_SHARE = 0.25
"""Share of examples joined to a calm one: turns hold more than one sentence."""
MAX_JOINED_WORDS = 40
"""No longer text is joined."""
CALM_LABELS = 10
"""A calm example is negative for all its labels, and has more of them known."""


class WordsTrainer(Trainer):
    """Of the `words` network; it reads each text by itself."""

    name, labels = "words", WORDS_LABELS
    old_data_weight, positive_weight, loss_scale = 0.25, 2.0, 20

    def _inputs(self, batch):
        """Token ids, attention mask."""
        return padded([self._tokenizer(example.text.split()).ids for example in batch])

    def _partners(self, examples):
        """Calm examples of customers (False) and of agents (True)."""
        calm = [each for each in examples if len(each.labels) > CALM_LABELS and not any(each.labels.values())]
        return {agent: [each for each in calm if each.agent is agent] for agent in (False, True)}

    def _augmented(self, example, partners, rng):
        text, labels, calm = example.text, example.labels, partners[example.agent]
        if rng.random() < JOINED_SHARE and len(text.split()) < MAX_JOINED_WORDS and calm:
            other = rng.choice(calm)
            text = f"{other.text} {text}" if rng.random() < 0.5 else f"{text} {other.text}"
            labels = {name: holds for name, holds in labels.items() if holds or name in other.labels}
        return replace(example, text=add_asr_noise(text, self._confusions, rng), labels=labels)


if __name__ == "__main__":
    train_from_command_line(WordsTrainer, words_examples)
