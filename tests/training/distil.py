"""`python -m tests.training.distil NETWORK OUT TEXT NEW…`: teaches a network (`words`, `caller`) the files NEW only.

Whatever else it has learnt from is read as well, less often, and held to what the network said of it before: new ways
of saying things are learnt, and the thresholds of all else stay true. From what is shipped or lies in OUT, where the
weights are left as `tests.training.train_words` and `tests.training.train_caller` leave them.
"""

import sys
from copy import deepcopy

import torch
import torch.nn.functional as F

from tests.training.examples import of_callers, taught
from tests.training.train_caller import CallerSchool
from tests.training.train_words import WordsSchool
from tests.training.trainer import DEVICE, SMOOTH, School, taught_further


class FurtherSchool(School):
    """Teaches what holds in the new lines; of all other lines told is that nobody has looked for anything."""

    older = 0.06
    rate, head_rate = 6e-5, 6e-4

    def teach(self, network, lines, seed):
        """Beside the network as it was."""
        self._before = deepcopy(network).eval().to(DEVICE)
        return super().teach(network, lines, seed)

    def _told(self, line, beside, draw):
        *told, holds = super()._told(line, beside, draw)
        return *told, holds if line.source in self._new else {}

    def _learn(self, learning, chosen):
        """What holds in the new lines, and of all else what was said of it before."""
        given = self.coded(chosen)
        with torch.no_grad(), torch.autocast(DEVICE, dtype=torch.bfloat16):
            wanted = self._before(*given)[0].float().sigmoid()
        weights = torch.ones_like(wanted)
        for at, (*_, holds) in enumerate(chosen):
            for row, label in enumerate(self.labels):
                if label in holds:
                    wanted[at, row] = SMOOTH + (1 - 2 * SMOOTH) * holds[label]
                    weights[at, row] = self.wanted if holds[label] else 1.0
        loss = F.binary_cross_entropy_with_logits(learning.scores(given), wanted, reduction="none")
        learning.take((loss * weights).mean() * self.scale)


class FurtherCaller(FurtherSchool, CallerSchool):
    """Of the network that hears how a caller is."""


class FurtherWords(FurtherSchool, WordsSchool):
    """Of the network that hears what is said."""


SCHOOLS = {"words": (FurtherWords, taught), "caller": (FurtherCaller, of_callers)}

if __name__ == "__main__":
    taught_further(*SCHOOLS[sys.argv.pop(1)])
