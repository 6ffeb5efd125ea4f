"""Lines as a recogniser may give them: words mistaken for others that sound like them (by the sounds of the CMU
dictionary), lost or filled in, no punctuation."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pocketsphinx
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

WORD_MISHEARD = 0.12
"""Share of the words of a line that is misheard: recognisers get 5 to 20 % of telephone speech wrong."""
LEAST_SEEN = 3
"""Only words seen so often are put in another's place."""
NEAREST = 6
PLAIN, LOSSY, LOST, FILLED, MISHEARD = 0.6, 0.3, 0.06, 0.1, 0.2
"""Shares of lines without punctuation, with words lost (and of their words), with fillers, with words misheard."""
FILLERS = ("um", "uh", "like", "you know", "i mean", "er", "so", "well")


class Mishearing:
    """What may be heard for what, among the words of some lines."""

    def __init__(self, texts):
        seen = Counter(word for text in texts for word in text.lower().replace("’", "'").split())
        sounds = _pronunciations()
        words = [word for word, count in seen.most_common() if count >= LEAST_SEEN and word in sounds]
        told = [sounds[word] for word in words]
        # One edit in up to four sounds, two in longer words.
        apart = cdist(told, told, scorer=Levenshtein.distance, score_cutoff=2, dtype=np.uint8)
        self._near = {}
        for n, word in enumerate(words):
            most = 1 if len(told[n]) <= 4 else 2
            close = [int(m) for m in np.flatnonzero(apart[n] <= most) if m != n]
            close.sort(key=lambda m: (apart[n][m], m))
            if close:
                self._near[word] = [words[m] for m in close[:NEAREST]]

    def __call__(self, text, draw):
        """The text with some of its words misheard."""
        return " ".join(
            draw.choice(self._near[word]) if word in self._near and draw.random() < WORD_MISHEARD else word
            for word in text.split()
        )


def as_heard(text, mishearing, draw):
    """A text as a recogniser may give it."""
    text = text.lower().replace("’", "'")
    if draw.random() < PLAIN:
        text = " ".join(re.sub(r"[^a-z0-9' ]+", " ", text).split())
    lot = draw.random()
    if lot < LOSSY:
        text = " ".join([word for word in text.split() if draw.random() > LOST] or text.split())
    if lot < FILLED:
        words = text.split()
        words.insert(draw.randrange(len(words) + 1), draw.choice(FILLERS))
        text = " ".join(words)
    if draw.random() < MISHEARD:
        text = mishearing(text, draw)
    return text


def _pronunciations():
    """Word -> its sounds, one character each (ARPAbet, as CMUdict writes them); its first pronunciation only."""
    place = {}
    out = {}
    path = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    for line in path.read_text(encoding="utf-8").splitlines():
        word, sounds = line.split(" ", 1)
        if "(" not in word:
            out[word] = "".join(chr(0x100 + place.setdefault(each, len(place))) for each in sounds.split())
    return out
