"""Which words of a growing utterance are settled: LocalAgreement (Liu et al. 2020, arXiv 2005.11185, section 3.2).

A word is agreed when two successive hypotheses begin alike up to it. Words are compared without case and punctuation:
recognisers change those until the sentence is over. A word that lies well before the end of the sound, in one unbroken
run of words the recogniser is sure of, need not be heard twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from audio.events import Word


def plain(text: str) -> str:
    """A word without case and surrounding or inner punctuation ("Account," and "account" are one)."""
    return "".join(letter for letter in text.casefold() if letter.isalnum()) or text.casefold()


SURE, BEFORE_END_MS, FOLLOWED_MS = 0.9, 400, 200
"""A word this probable is agreed at once if it ended so long before the end of the sound; if another word follows it,
half as long is enough."""
SURE_PAUSED = 0.7
"""The same where the sound ends in a pause, so that no word can be cut off."""
OLD_MS = 1200
"""A word that ended so long ago is agreed as it was heard last: what follows must not wait for it.

Set on 2 x 120 s of synthetic two-channel talk (clean and telephone, the test recogniser): words are agreed on 446 ms
after their end (median; 95 % within 1080), and 4.2 % of them are corrected by the final text. Without these rules and
with 0.6 s between hypotheses: 597 (1365) and 4.0 %. On other sentences 490 (1123), 2.9 %, against 663 (1244), 1.9 %."""


class Settling:
    """The hypotheses of one utterance, newest last."""

    def __init__(self, *, trusting: bool = False) -> None:
        self._trusting = trusting
        """Whether probabilities mean enough to agree on a word heard once."""
        self._before: tuple[Word, ...] = ()
        self.agreed: tuple[Word, ...] = ()
        """Grows only; the final decoding may still say otherwise."""
        self.tentative: tuple[Word, ...] = ()

    def push(self, words: Sequence[Word], *, heard_ms: int = 0, paused: bool = False) -> None:
        """Take the next hypothesis for the same utterance.

        `heard_ms` of it had been heard (on the words' clock); `paused`: its end is silence, so no word is cut off.
        """
        after = self._beyond(words)
        count = 0
        for old, new in zip(self._beyond(self._before), after, strict=False):
            if plain(old.text) != plain(new.text):
                break
            count += 1
        while self._trusting and count < len(after) and _sure(after[count], after[count + 1 :], heard_ms, paused):
            count += 1
        self.agreed += tuple(after[:count])
        self.tentative = tuple(after[count:])
        self._before = tuple(words)

    def _beyond(self, words: Sequence[Word]) -> Sequence[Word]:
        """The words past those that stand for the agreed ones: the beginning with the smallest edit distance to them.

        By words, not by times: a short word's time can be off by its own length.
        """
        ours = [plain(word.text) for word in words]
        costs = list(range(len(ours) + 1))
        for row, agreed in enumerate((plain(word.text) for word in self.agreed), start=1):
            above, costs = costs, [row]
            for column, text in enumerate(ours, start=1):
                costs.append(min(above[column] + 1, costs[-1] + 1, above[column - 1] + (text != agreed)))
        known = len(self.agreed)
        best = min(range(len(costs)), key=lambda column: (costs[column], abs(column - known)))
        return words[best:]


def _sure(word: Word, following: Sequence[Word], heard_ms: int, paused: bool) -> bool:
    ago = heard_ms - word.end_ms
    if paused:
        return word.probability >= SURE_PAUSED or ago >= OLD_MS
    needed = FOLLOWED_MS if following else BEFORE_END_MS
    return (word.probability >= SURE and ago >= needed) or ago >= OLD_MS
