"""Text normalisation: words as recognised or written become lower-case tokens, in sentences and clauses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Word

_EXPANSIONS = {
    "can't": "can not", "cant": "can not", "cannot": "can not", "won't": "will not", "wont": "will not",
    "ain't": "is not", "gonna": "going to", "wanna": "want to", "gotta": "got to", "lemme": "let me",
    "gimme": "give me", "im": "i am", "ive": "i have", "youre": "you are", "youve": "you have", "thats": "that is",
    "theyre": "they are", "y'all": "you all", "let's": "let us", "1": "one", "2": "two", "3": "three", "4": "four",
    "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten", "1st": "first", "2nd": "second",
    "3rd": "third", "4th": "fourth", "5th": "fifth", "6th": "sixth", "7th": "seventh", "organization": "organisation",
    "apologize": "apologise", "apologizing": "apologising", "supervisors": "supervisor", "favour": "favor",
    "goddammit": "goddamn", "goddamned": "goddamn", "fuckin": "fucking", "bullshitting": "bullshit",
}  # fmt: skip
_SPLIT_NEGATION = re.compile(r"(?:do|did|does|is|was|were|are|have|has|had|would|could|should|ca)n|can")
_SPLIT_CONTRACTIONS = {"ve": "have", "m": "am", "ll": "will", "re": "are"}
_CONTRACTING_SUBJECTS = frozenset("i you we they he she it who that there".split())
_CENSORED = re.compile(
    r"[\"']?[\[(<{*](?:expletive|bleep(?:ed|ing)?|beep|censored|profanity|swear(?:ing|s)?|curse|redacted expletive)"
    r"(?: deleted)?[\])>}*][.,!?\"']*|[*#@$%&!?]*[*#@$%&][*#@$%&!?]{2,}[.,!?]*"
)
"""How transcripts censor a swear word: [expletive], (bleep), ****, #$%!."""
MAX_CENSORED_LENGTH = 40
"""Longer words are not matched against `_CENSORED`: the time it takes grows with the square of their length."""
_NEGATION_WITHOUT_APOSTROPHE = re.compile(r"(do|did|does|is|was|were|are|have|has|had|would|could|should)nt")
_CONTRACTING_WITH_IS = frozenset(
    """it that he she what who there here where how this everything everyone everybody nobody someone
    somebody""".split()
)
_CONTRACTIONS = (("n't", " not"), ("'m", " am"), ("'re", " are"), ("'ve", " have"), ("'ll", " will"), ("'d", " would"))
_MASKED_SWEARING = (
    (re.compile(r"f[*#@\-_]{2,}(ing|in|ed|er|s)?|f[*#@]ck(ing|ed|er|s)?"), "fuck"),
    (re.compile(r"s[h*#@]?[*#@]+t(ty|s)?"), "shit"),
    (re.compile(r"b[*#@i]+[*#@t]*ch(es)?|b\*{3,}"), "bitch"),
    (re.compile(r"(?:a[*#@s]+)h[o*]le(s)?"), "asshole"),
    (re.compile(r"c[*#@]+t(s)?|c\*{3,}"), "cunt"),
    (re.compile(r"[a-z]+[*#]{2,}[a-z]*"), "expletive"),
)
_SYMBOL_FOR_LETTER = re.compile(r"(?<=[a-z$])[$]|[$](?=[a-z$])|(?<=[a-z])!(?=[a-z])")
"""Symbols for a letter inside a word: "bull$hit", "sh!t"."""
_AMOUNT = re.compile(r"([£$€])(\d[\d,.]*)")
_CURRENCIES = {"£": "pounds", "$": "dollars", "€": "euros"}
_AM_PM = re.compile(r"[\d:.]*[ap]\.m\.", re.IGNORECASE)
_OPENING_QUOTES = ('"', "'", "“", "‘")
_TITLES = frozenset(["mr.", "mrs.", "ms.", "dr."])
"""Their full stop ends no sentence."""
_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_SUBJECT_PRONOUNS = frozenset(["i", "we", "he", "she", "they"])
_ALL_SUBJECTS = _SUBJECT_PRONOUNS.union("you it that this there nobody somebody someone everybody".split())
COORDINATORS = frozenset(["and", "or", "so", "then"])
CLAUSE_OPENERS = frozenset("but because cos although though however otherwise until till unless except".split())
_NO_CLAUSE_AFTER = frozenset(
    """and or so then if when while whether that than as who whom what which where why how because but though
    although am is are was were do does did have has had can could will would shall should may might must not
    before after since once until till unless cos like think thought know knew believe promise promised say said mean
    suppose guess hope sure wish feel swear bet thing one person time way reason""".split()
)
"""After these a subject pronoun does not begin a clause of its own: "who I am", "if I", "can I", "not think I will"."""
_DETERMINERS = frozenset("my our your his her their the this that".split())
_CLAUSE_VERBS = frozenset("is was are were has have does do did will keeps keep kept".split())
"""One of these soon after "and my internet" tells that a clause of its own has begun."""
DISCOURSE_MARKERS = frozenset(
    """and but so well okay ok oh ah right yes yeah yep um uh er erm hm now alright just then please look listen no nah
    mate sir love madam ma actually honestly seriously sorry hello hi hey fine like you know i mean""".split()
)
"""These may precede a phrase at the start of a clause ..."""
CLOSING_WORDS = frozenset(
    """please now then okay ok mate sir love madam right thanks thank you today immediately alright will
    anyway though so um uh yeah""".split()
)
"""... and these may follow one at its end."""
_AFTER_IS = frozenset(
    """a an the on in at your my our one not very so really been got gone going coming too all just always never friends
    married still no here there such being dead dying tomorrow today tonight high ill pregnant disabled autistic deaf
    blind stupid useless broken""".split()
)
_FILLERS = frozenset("um uh er erm uhm hmm hm mm eh uhh umm".split())
_FILLER_PHRASES = frozenset((("you", "know"), ("i", "mean")))
_NEVER_LAST = frozenset("to a an the my your our their his her its with of for about at from by like".split())
"""After these a sentence must go on: "you know" is a filler there ("to, you know, cancel")."""
_PREPOSITIONS = frozenset("on with by at about from in of call calling get getting want ringing tell telling".split())
_NOUN_STARTS = frozenset("a an another my your our the some somebody someone".split())
_LIKED = frozenset("it that this them you him her the my your a an being having what how".split())
_NUMBERS = frozenset("zero oh one two three four five six seven eight nine ten".split())


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """Words as normalised tokens, each with the index of its word. A word gives any number of tokens, or none."""

    tokens: tuple[str, ...]
    word_indices: tuple[int, ...]
    """For each token the index of its word."""
    sentence_starts: frozenset[int]
    """Indices of tokens that begin a sentence: 0, and those after punctuation."""
    clause_starts: tuple[int, ...]
    """For each token the index of the one that begins its clause. A clause begins after a comma, before "but", before
    "and I", before a new subject."""
    quote_starts: frozenset[int] = frozenset()
    """Indices of tokens that begin a quotation: after a colon, or with an opening quotation mark."""

    @property
    def text(self) -> str:
        """The tokens separated by single spaces, with one before the first and one after the last."""
        return f" {' '.join(self.tokens)} "


def normalise_word(word: str) -> list[str]:
    """One word as lower-case tokens: contractions expanded, masked swearing restored, hyphens split."""
    word = word.lower().replace("’", "'")
    if len(word) <= MAX_CENSORED_LENGTH and _CENSORED.fullmatch(word):
        return ["expletive"]
    word = word.strip(' .,!?;:"()[]…“”')
    if amount := _AMOUNT.fullmatch(word):  # as it is said: "£200" is two hundred pounds
        return [re.sub(r"[,.]", "", amount[2]), _CURRENCIES[amount[1]]]
    if not any(letter.isdigit() for letter in word):
        word = _SYMBOL_FOR_LETTER.sub(lambda mark: {"$": "s", "!": "i"}[mark[0]], word)
    if any(mark in word for mark in "*#@") or word.startswith(("f--", "s--")):
        for pattern, meant in _MASKED_SWEARING:
            if found := pattern.fullmatch(word):
                ending = next((group for group in found.groups() if group), "")
                return [meant + ending]
    out: list[str] = []
    for piece in re.split(r"[-–—/\s]+", word):
        piece = piece.strip("'.,!?\"*")
        if piece in _EXPANSIONS:
            out += _EXPANSIONS[piece].split()
            continue
        if bare := _NEGATION_WITHOUT_APOSTROPHE.fullmatch(piece):
            out += [bare[1], "not"]
            continue
        for ending, full in _CONTRACTIONS:
            if piece.endswith(ending):
                piece = piece.removesuffix(ending) + full
                break
        if piece.endswith("'s"):
            piece = piece[:-2] + (" is" if piece[:-2] in _CONTRACTING_WITH_IS else "")
        out += re.sub(r"[^a-z0-9 ]", "", piece).split()
    return out


def timed_words(text: str) -> list[Word]:
    """The words of a written text, with times as if each lasted 300 ms."""
    return [Word(word, 300 * n, 300 * n + 300) for n, word in enumerate(text.split())]


def normalise(words: Sequence[str]) -> NormalisedText:
    """Normalise consecutive words; fillers, repetitions and words cut off are left out, "don t" is joined."""
    tokens: list[str] = []
    word_indices: list[int] = []
    sentence_starts = {0}
    commas: set[int] = set()
    quote_starts: set[int] = set()
    for index, word in enumerate(words):
        if _is_cut_off(word, words[index + 1 : index + 3]):
            continue
        after = normalise_word(words[index + 1])[:1] if index + 1 < len(words) else []
        if word.startswith(_OPENING_QUOTES) or (index and words[index - 1].endswith(":")):
            quote_starts.add(len(tokens))
        for token in normalise_word(word) + (["is"] if _is_contracted_is(word, after) else []):
            if tokens and token == "t" and _SPLIT_NEGATION.fullmatch(tokens[-1]):
                tokens[-1] = tokens[-1][:-1] if tokens[-1] != "can" else "can"
                token = "not"
            elif tokens and (full := _SPLIT_CONTRACTIONS.get(token)) and tokens[-1] in _CONTRACTING_SUBJECTS:
                token = full
            tokens.append(token)
            word_indices.append(index)
        bare = word.rstrip("\"'”)]")
        if bare.endswith((".", "?", "!", "…")) and not _is_abbreviation(bare, "".join(words[index + 1 : index + 2])):
            sentence_starts.add(len(tokens))
        elif bare.endswith((",", ";", ":", "-", "–", "—")):
            commas.add(len(tokens))
    kept = _fluent(tokens)
    new_index = {old: new for new, old in enumerate(kept)}
    sentence_starts, commas, quote_starts = (
        {new_index[min(k for k in kept if k >= at)] for at in each if at <= kept[-1]} if kept else set()
        for each in (sentence_starts, commas, quote_starts)
    )
    tokens = [tokens[index] for index in kept]
    return NormalisedText(
        tuple(tokens),
        tuple(word_indices[index] for index in kept),
        frozenset(sentence_starts | {0}),
        _clause_starts(tokens, sentence_starts | commas),
        frozenset(quote_starts),
    )


def _is_abbreviation(word: str, after: str) -> bool:
    """Whether a full stop ends no sentence: after "Dr."; after "a.m." unless a new one begins in capitals."""
    if word.lower() in _TITLES:
        return True
    return bool(_AM_PM.fullmatch(word)) and (not after[:1].isupper() or after.lower().strip(".,?!") in _DAYS)


def _is_contracted_is(word: str, after: Sequence[str]) -> bool:
    """Whether the 's of a noun is an "is" ("my cousin's on your board") and not a possessive."""
    noun = word.lower().replace("’", "'")
    return noun.endswith("'s") and noun[:-2] not in _CONTRACTING_WITH_IS and bool(_AFTER_IS.intersection(after))


def _fluent(tokens: Sequence[str]) -> list[int]:
    """Indices of the tokens without disfluencies: fillers ("uh", "you know", "like") and repetitions ("can I can")."""
    kept: list[int] = []
    for index, token in enumerate(tokens):
        if token in _FILLERS:
            continue
        if token == "like" and kept and _is_filler(tokens, kept[-1], index):
            continue
        kept.append(index)
        if tuple(tokens[each] for each in kept[-2:]) in _FILLER_PHRASES and len(kept) > 2:
            before = tokens[kept[-3]]
            if before in _NEVER_LAST:
                del kept[-3 if before == "like" else -2 :]
                continue
        for size in (1, 2, 3):
            said = [tokens[each] for each in kept[-2 * size :]]
            if len(said) == 2 * size and said[:size] == said[size:] and not _NUMBERS.intersection(said):
                del kept[-size:]
                break
    return kept


def _is_filler(tokens: Sequence[str], before: int, at: int) -> bool:
    """Whether this "like" is one: "on like Facebook", "get like a lawyer", "to like cancel", "like five times"."""
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if not after or after in _SUBJECT_PRONOUNS:
        return False
    if tokens[before] in _PREPOSITIONS:
        return after in _NOUN_STARTS or after not in _LIKED
    if tokens[before] == "to":
        is_going = before > 0 and tokens[before - 1] == "going"
        return after not in _LIKED if is_going else after in _NOUN_STARTS - {"my", "your", "our", "the"}
    return tokens[before] in ("this", "it", "myself", "been") and after in _NUMBERS


def _is_cut_off(word: str, after: Sequence[str]) -> bool:
    """Whether a word breaks off and one of the next two says it whole: "sol- solicitor", "my sol- my solicitor"."""
    begun = word.lower().rstrip("-–—")
    return begun != word.lower() and begun.isalpha() and any(each.lower().startswith(begun) for each in after[:2])


def _clause_starts(tokens: Sequence[str], after_punctuation: set[int]) -> tuple[int, ...]:
    out: list[int] = []
    start = 0
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        if (
            index in after_punctuation
            or token in CLAUSE_OPENERS
            or (token in COORDINATORS and (after in _ALL_SUBJECTS or _begins_subject(tokens, index + 1)))
            or (token in _SUBJECT_PRONOUNS and before not in _NO_CLAUSE_AFTER and index - start > 1)
        ):
            start = index
        out.append(start)
    return tuple(out)


def _begins_subject(tokens: Sequence[str], at: int) -> bool:
    """Whether a noun with a verb after it begins here: "my internet is"."""
    return not _DETERMINERS.isdisjoint(tokens[at : at + 1]) and not _CLAUSE_VERBS.isdisjoint(tokens[at + 2 : at + 4])


def clause_edges(text: NormalisedText) -> tuple[list[bool], list[bool]]:
    """For each token whether it is at the start of its clause, and whether at its end.

    `DISCOURSE_MARKERS` may precede one at the start, `CLOSING_WORDS` follow one at the end.
    """
    size = len(text.tokens)
    opens, closes = [True] * size, [True] * size
    for at in range(size):
        start = text.clause_starts[at]
        opens[at] = at == start or (opens[at - 1] and text.tokens[at - 1] in DISCOURSE_MARKERS)
    for at in range(size - 2, -1, -1):
        after = at + 1
        closes[at] = text.clause_starts[after] == after or (closes[after] and text.tokens[after] in CLOSING_WORDS)
    return opens, closes
