"""`python -m tests.teaching.further OUT TEXT NEW…`: teaches the caller's network the files NEW only; OUT/caller.pt.

Whatever else it has learnt from is read as well, less often, and held to what the network said of it before: a new way
of being upset is learnt, and the thresholds of all else stay true. From what is shipped or lies in OUT.
"""

from copy import deepcopy

import torch
import torch.nn.functional as F

from tests.teaching.caller import CallerSchool
from tests.teaching.learning import DEVICE, SMOOTH, taught_further
from tests.teaching.lines import of_callers


class FurtherSchool(CallerSchool):
    """Teaches what holds in the new lines; told are (words, place, what holds: nothing of a line that is not new)."""

    older = 0.06
    rate, head_rate = 6e-5, 6e-4

    def teach(self, network, lines, seed):
        """Beside the network as it was."""
        self._before = deepcopy(network).eval().to(DEVICE)
        return super().teach(network, lines, seed)

    def _told(self, line, beside, draw):
        words, place, holds = super()._told(line, beside, draw)
        return words, place, holds if line.source in self._new else {}

    def _learn(self, learning, chosen):
        """What holds in the new lines, and of all else what was said of it before."""
        given = self.coded(chosen)
        with torch.no_grad(), torch.autocast(DEVICE, dtype=torch.bfloat16):
            held = self._before(*given)[0].float().sigmoid()
        weights = torch.ones_like(held)
        for at, (*_, holds) in enumerate(chosen):
            for row, label in enumerate(self.labels):
                if label in holds:
                    held[at, row] = SMOOTH + (1 - 2 * SMOOTH) * holds[label]
                    weights[at, row] = self.wanted
        loss = F.binary_cross_entropy_with_logits(learning.scores(given), held, reduction="none")
        learning.take((loss * weights).mean())


if __name__ == "__main__":
    taught_further(FurtherSchool, of_callers)
