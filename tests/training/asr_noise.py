"""Data augmentation: texts as a recogniser may transcribe them, with words confused, lost or filled in, no punctuation.

A word is confused with words of the training data that sound like it, by the pronunciations of the CMU dictionary.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pocketsphinx
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

PLAIN_SHARE = 0.6
"""Share of texts without punctuation."""
DELETION_SHARE, WORD_DELETION = 0.3, 0.06
"""Share of texts with deletions, and of their words that are deleted."""
FILLER_SHARE = 0.1
"""Share of texts with a filler inserted; they are among those with deletions."""
FILLERS = ("um", "uh", "like", "you know", "i mean", "er", "so", "well")
SUBSTITUTION_SHARE, WORD_SUBSTITUTION = 0.2, 0.12
"""Share of texts with substitutions, and of their words that are substituted: recognisers get 5 to 20 % of telephone
speech wrong."""
MIN_COUNT = 3
"""Only words seen so often are substituted or take another's place."""
MAX_CANDIDATES = 6


class WordConfusions:
    """For each word of some texts those that it may be confused with: the nearest in pronunciation."""

    def __init__(self, texts):
        counts = Counter(word for text in texts for word in text.lower().replace("’", "'").split())
        pronunciations = _pronunciations()
        words = [word for word, count in counts.most_common() if count >= MIN_COUNT and word in pronunciations]
        phones = [pronunciations[word] for word in words]
        distances = cdist(phones, phones, scorer=Levenshtein.distance, score_cutoff=2, dtype=np.uint8)
        self._candidates = {}
        for n, word in enumerate(words):
            max_distance = 1 if len(phones[n]) <= 4 else 2
            near = [int(m) for m in np.flatnonzero(distances[n] <= max_distance) if m != n]
            near.sort(key=lambda m: (distances[n][m], m))
            if near:
                self._candidates[word] = [words[m] for m in near[:MAX_CANDIDATES]]

    def substitute(self, text, rng):
        """The text with some of its words confused."""
        return " ".join(
            rng.choice(self._candidates[word])
            if word in self._candidates and rng.random() < WORD_SUBSTITUTION
            else word
            for word in text.split()
        )


def add_asr_noise(text, confusions, rng):
    """A text as a recogniser may transcribe it, in lower case."""
    text = text.lower().replace("’", "'")
    if rng.random() < PLAIN_SHARE:
        text = " ".join(re.sub(r"[^a-z0-9' ]+", " ", text).split())
    lot = rng.random()
    if lot < DELETION_SHARE:
        text = " ".join([word for word in text.split() if rng.random() > WORD_DELETION] or text.split())
    if lot < FILLER_SHARE:
        words = text.split()
        words.insert(rng.randrange(len(words) + 1), rng.choice(FILLERS))
        text = " ".join(words)
    if rng.random() < SUBSTITUTION_SHARE:
        text = confusions.substitute(text, rng)
    return text


def _pronunciations():
    """Word -> its first pronunciation in CMUdict, one character for each ARPAbet phone."""
    phone_ids = {}
    out = {}
    path = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    for line in path.read_text(encoding="utf-8").splitlines():
        word, phones = line.split(" ", 1)
        if "(" not in word:
            out[word] = "".join(chr(0x100 + phone_ids.setdefault(each, len(phone_ids))) for each in phones.split())
    return out
