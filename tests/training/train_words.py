"""`python -m tests.training.train_words OUT TEXT NEW…`: teaches the network that hears what is said; OUT/taught.pt.

It goes on from what is shipped, or from OUT/taught.pt where that is there already. NEW names the files of lines that it
does not know yet (`agents-6`): these are taken in every pass, those it has learnt before less often.
"""

from tests.training.asr_noise import as_heard
from tests.training.examples import LABELS, taught
from tests.training.trainer import School, padded, taught_further

JOINED = 0.25
"""Share of lines joined to a calm one."""


class WordsSchool(School):
    """Teaches that network; told are (words, what holds)."""

    name, labels = "taught", LABELS
    older, wanted, scale = 0.25, 2.0, 20

    def coded(self, told):
        """Ids, and which of them are there."""
        return padded([self._coder(words).ids for words, *_ in told])

    def _beside(self, lines):
        """Calm lines of customers and of agents."""
        calm = [line for line in lines if len(line.holds) > 10 and not any(line.holds.values())]
        return {agent: [line for line in calm if line.agent is agent] for agent in (False, True)}

    def _told(self, line, beside, draw):
        """Perhaps beside a calm line."""
        text, holds, calm = line.text, line.holds, beside[line.agent]
        if draw.random() < JOINED and len(text.split()) < 40 and calm:
            other = draw.choice(calm)
            text = f"{other.text} {text}" if draw.random() < 0.5 else f"{text} {other.text}"
            holds = {name: held for name, held in holds.items() if held or name in other.holds}
        return as_heard(text, self._mishearing, draw).split(), holds


if __name__ == "__main__":
    taught_further(WordsSchool, taught)
