"""`python -m tests.training.train_caller OUT TEXT NEW…`: teaches the network that hears how a caller is; OUT/caller.pt.

It reads a customer's turn with its dialogue context (detectors/dialogue_context.py). As with `tests.training.train_words`
it goes on from what is shipped or lies in OUT, and takes what it has learnt before less often than the files NEW.
"""

import torch

from detectors.dialogue_context import NO_CONTEXT
from tests.training.asr_noise import as_heard
from tests.training.examples import OF_CALLER, of_callers
from tests.training.trainer import DEVICE, School, padded, taught_further

ALONE, ELSEWHERE = 0.12, 0.4
"""Shares of turns read without what was said before, and of single lines read after some agent's words."""


class CallerSchool(School):
    """Teaches that network; told are (words, place, what holds)."""

    name, labels = "caller", OF_CALLER
    older, wanted = 0.2, 1.5

    def coded(self, told):
        """Ids, which of them are there, and which of them are the turn's."""
        rows = [self._coder(words, place) for words, place, *_ in told]
        ids, mask = padded([row.ids for row in rows])
        begins = torch.tensor([[row.text_start] for row in rows], device=DEVICE)
        return ids, mask, mask * (torch.arange(ids.shape[1], device=DEVICE) >= begins)

    def _beside(self, lines):
        """Places after some agent's words."""
        return [line.place for line in lines if line.place.other_turn]

    def _told(self, line, beside, draw):
        """In its place, in none, or after what some agent has said."""
        place = line.place
        if place is NO_CONTEXT:
            place = draw.choice(beside) if draw.random() < ELSEWHERE else NO_CONTEXT
        elif draw.random() < ALONE:
            place = NO_CONTEXT
        text = " ".join((*place.current_turn, line.text)) if place is line.place else line.text
        return as_heard(text, self._mishearing, draw).split(), place, line.holds

    def _length(self, told):
        words, place, *_ = told
        return len(words) + len(place.previous_turn) + len(place.other_turn)


if __name__ == "__main__":
    taught_further(CallerSchool, of_callers)
