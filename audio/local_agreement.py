"""Which words of an unfinished utterance are agreed: LocalAgreement-2 (Liu et al. 2020, arXiv 2005.11185, section 3.2).

A word is agreed when two successive hypotheses have the same words up to it. Words are compared without case and
punctuation: recognisers change those until the sentence is over. A word well before the end of the audio, after agreed
words only, is agreed at once where the recogniser is certain of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from audio.events import Word
from audio.normalisation import normalised

CERTAIN, CERTAIN_AGE_MS, FOLLOWED_AGE_MS = 0.9, 400, 200
"""A word this probable is agreed at once if it ended so long before the end of the audio; if another word follows it,
half as long is enough."""
CERTAIN_PAUSED = 0.7
"""The probability needed where the audio ends in a pause, so that no word can be cut off."""
MAX_TENTATIVE_MS = 1200
"""A word that ended so long ago is agreed as in the latest hypothesis: those after it must not wait for it.

Set on 2 x 120 s of synthetic two-channel talk (clean and telephone, the test recogniser): words are agreed on 446 ms
after their end (median; 95 % within 1080), and 4.2 % of them are corrected by the final text. Without these rules and
with 0.6 s between hypotheses: 597 (1365) and 4.0 %. On other sentences 490 (1123), 2.9 %, against 663 (1244), 1.9 %."""


class LocalAgreement:
    """The agreed and the tentative words of one utterance."""

    def __init__(self, *, trust_probabilities: bool = False) -> None:
        self._trust_probabilities = trust_probabilities
        """Whether probabilities are reliable enough to agree on a word of one hypothesis."""
        self._previous: tuple[Word, ...] = ()
        self.agreed: tuple[Word, ...] = ()
        """Only grows; the final decode may still differ."""
        self.tentative: tuple[Word, ...] = ()

    def push(self, words: Sequence[Word], *, audio_ms: int = 0, paused: bool = False) -> None:
        """Take the next hypothesis of the utterance.

        Args:
            words: of the whole utterance so far; times in milliseconds since its start.
            audio_ms: length of the audio decoded.
            paused: it ends in a pause, so no word is cut off.
        """
        after = self._after_agreed(words)
        count = 0
        for old, new in zip(self._after_agreed(self._previous), after, strict=False):
            if normalised(old.text) != normalised(new.text):
                break
            count += 1
        while (
            self._trust_probabilities
            and count < len(after)
            and _is_certain(after[count], after[count + 1 :], audio_ms, paused)
        ):
            count += 1
        self.agreed += tuple(after[:count])
        self.tentative = tuple(after[count:])
        self._previous = tuple(words)

    def _after_agreed(self, words: Sequence[Word]) -> Sequence[Word]:
        """The words after those that correspond to the agreed ones: the prefix with the least edit distance to them.

        Aligned by words, not by times: a short word's time can be off by its own length.
        """
        ours = [normalised(word.text) for word in words]
        costs = list(range(len(ours) + 1))
        for row, agreed in enumerate((normalised(word.text) for word in self.agreed), start=1):
            above, costs = costs, [row]
            for column, text in enumerate(ours, start=1):
                costs.append(min(above[column] + 1, costs[-1] + 1, above[column - 1] + (text != agreed)))
        known = len(self.agreed)
        best = min(range(len(costs)), key=lambda column: (costs[column], abs(column - known)))
        return words[best:]


def _is_certain(word: Word, following: Sequence[Word], audio_ms: int, paused: bool) -> bool:
    age_ms = audio_ms - word.end_ms
    if paused:
        return word.probability >= CERTAIN_PAUSED or age_ms >= MAX_TENTATIVE_MS
    needed_ms = FOLLOWED_AGE_MS if following else CERTAIN_AGE_MS
    return (word.probability >= CERTAIN and age_ms >= needed_ms) or age_ms >= MAX_TENTATIVE_MS
