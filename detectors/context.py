"""Words as they were heard, in one plain form; and what stands before a phrase: a negation, a report, a condition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FORMS = {
    "can't": "can not", "cant": "can not", "cannot": "can not", "won't": "will not", "wont": "will not",
    "ain't": "is not", "gonna": "going to", "wanna": "want to", "gotta": "got to", "lemme": "let me",
    "gimme": "give me", "im": "i am", "ive": "i have", "youre": "you are", "youve": "you have", "thats": "that is",
    "theyre": "they are", "y'all": "you all", "let's": "let us", "1": "one", "2": "two", "3": "three", "4": "four",
    "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten", "1st": "first", "2nd": "second",
    "3rd": "third", "4th": "fourth", "5th": "fifth", "6th": "sixth", "7th": "seventh", "organization": "organisation",
    "apologize": "apologise", "apologizing": "apologising", "supervisors": "supervisor", "favour": "favor",
    "goddammit": "goddamn", "goddamned": "goddamn", "fuckin": "fucking", "bullshitting": "bullshit",
}  # fmt: skip
_BARE_NOT = re.compile(r"(do|did|does|is|was|were|are|have|has|had|would|could|should)nt")
_IS = frozenset(["it", "that", "he", "she", "what", "who", "there", "here", "where", "how", "this", "everything"])
_ENDINGS = (("n't", " not"), ("'m", " am"), ("'re", " are"), ("'ve", " have"), ("'ll", " will"), ("'d", " would"))
_MASKED = (
    (re.compile(r"f[*#@\-_]{2,}(ing|in|ed|er|s)?|f[*#@]ck(ing|ed|er|s)?"), "fuck"),
    (re.compile(r"s[h*#@]?[*#@]+t(ty|s)?"), "shit"),
    (re.compile(r"b[*#@i]+[*#@t]*ch(es)?|b\*{3,}"), "bitch"),
    (re.compile(r"(?:a[*#@s]+)h[o*]le(s)?"), "asshole"),
    (re.compile(r"c[*#@]+t(s)?|c\*{3,}"), "cunt"),
)
_NEGATION = frozenset(["not", "never", "no", "nobody", "without", "neither", "nor"])
_TELLERS = (
    "he she they it manager supervisor wife husband friend lawyer colleague agent mum mom dad son daughter boss "
    "someone somebody guy lady man woman girl people you bank advisor website"
)
_TELLER = frozenset(_TELLERS.split())
_TELLING = frozenset(["said", "says", "say", "told", "tells", "saying", "telling", "suggested", "advised", "wrote"])
_CONDITION = frozenset(["if", "unless", "whether", "suppose"])
_ASKING = frozenset("do does did is are was can could would should will may what how when where why who which".split())


@dataclass(frozen=True, slots=True)
class Line:
    """Words in plain form, with the index of the heard word each came from."""

    tokens: tuple[str, ...]
    origin: tuple[int, ...]
    """For each token, the index of its word."""
    opens: frozenset[int]
    """Tokens that begin a sentence, where punctuation says so."""

    @property
    def text(self) -> str:
        """Every token between single spaces, one before and one after."""
        return f" {' '.join(self.tokens)} "


def plain(word: str) -> list[str]:
    """One heard word as lower-case tokens: contractions opened, masks lifted, hyphens split."""
    word = word.lower().replace("’", "'").strip(' .,!?;:"()[]…“”')
    if any(mark in word for mark in "*#@") or word.startswith("f--"):
        for pattern, meant in _MASKED:
            if found := pattern.fullmatch(word):
                ending = next((group for group in found.groups() if group), "")
                return [meant + ending]
    out: list[str] = []
    for piece in re.split(r"[-–—/\s]+", word):
        piece = piece.strip("'.,!?\"*")
        if piece in _FORMS:
            out += _FORMS[piece].split()
            continue
        if bare := _BARE_NOT.fullmatch(piece):
            out += [bare[1], "not"]
            continue
        for ending, full in _ENDINGS:
            if piece.endswith(ending):
                piece = piece.removesuffix(ending) + full
                break
        if piece.endswith("'s"):
            piece = piece[:-2] + (" is" if piece[:-2] in _IS else "")
        out += re.sub(r"[^a-z0-9 ]", "", piece).split()
    return out


def line(words: Sequence[str]) -> Line:
    """Heard words in plain form; split contractions ("don t") are joined again."""
    tokens: list[str] = []
    origin: list[int] = []
    opens = {0}
    for index, word in enumerate(words):
        for token in plain(word):
            if (
                token == "t"
                and tokens
                and re.fullmatch(r"(?:do|did|does|is|was|have|had|would|could|should|ca)n", tokens[-1])
            ):
                tokens[-1] = tokens[-1][:-1] if tokens[-1] != "can" else "can"
                token = "not"
            tokens.append(token)
            origin.append(index)
        if word.rstrip("\"'”)").endswith((".", "?", "!")):
            opens.add(len(tokens))
    return Line(tuple(tokens), tuple(origin), frozenset(opens))


def negated(heard: Line, at: int) -> bool:
    """A negation in the four words before `at`, in the same sentence."""
    return any(token in _NEGATION for token in _before(heard, at, 4))


def reported(heard: Line, at: int) -> bool:
    """Someone else's words: a teller and a verb of telling in the eight words before `at`."""
    before = _before(heard, at, 8)
    return any(
        token in _TELLING and any(teller in _TELLER for teller in before[max(0, index - 3) : index])
        for index, token in enumerate(before)
    )


def conditional(heard: Line, at: int) -> bool:
    """An "if" in the six words before `at`."""
    return any(token in _CONDITION for token in _before(heard, at, 6))


def asked(heard: Line, at: int) -> bool:
    """The sentence begins as a question does."""
    before = _before(heard, at, 6)
    return bool(before) and before[0] in _ASKING


def _before(heard: Line, at: int, most: int) -> tuple[str, ...]:
    start = max([opening for opening in heard.opens if opening <= at], default=0)
    return heard.tokens[max(start, at - most) : at]
