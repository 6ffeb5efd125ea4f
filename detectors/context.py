"""Words as they were heard, in one plain form; and what stands before a phrase: a negation, a report, a condition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Word

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
_SPLIT_NOT = re.compile(r"(?:do|did|does|is|was|were|are|have|has|had|would|could|should|ca)n|can")
_SPLIT = {"ve": "have", "m": "am", "ll": "will", "re": "are"}
_SPLIT_AFTER = frozenset("i you we they he she it who that there".split())
_CENSORED = re.compile(
    r"[\"']?[\[(<{*](?:expletive|bleep(?:ed|ing)?|beep|censored|profanity|swear(?:ing|s)?|curse|redacted expletive)"
    r"(?: deleted)?[\])>}*][.,!?\"']*|[*#@$%&!?]*[*#@$%&][*#@$%&!?]{2,}[.,!?]*"
)
"""How transcripts take a swear word out: [expletive], (bleep), ****, #$%!."""
LONGEST_CENSORED = 40
"""No longer word is looked at for it: the time that takes grows with the square of its length."""
_BARE_NOT = re.compile(r"(do|did|does|is|was|were|are|have|has|had|would|could|should)nt")
_IS = frozenset(
    """it that he she what who there here where how this everything everyone everybody nobody someone
    somebody""".split()
)
_ENDINGS = (("n't", " not"), ("'m", " am"), ("'re", " are"), ("'ve", " have"), ("'ll", " will"), ("'d", " would"))
_MASKED = (
    (re.compile(r"f[*#@\-_]{2,}(ing|in|ed|er|s)?|f[*#@]ck(ing|ed|er|s)?"), "fuck"),
    (re.compile(r"s[h*#@]?[*#@]+t(ty|s)?"), "shit"),
    (re.compile(r"b[*#@i]+[*#@t]*ch(es)?|b\*{3,}"), "bitch"),
    (re.compile(r"(?:a[*#@s]+)h[o*]le(s)?"), "asshole"),
    (re.compile(r"c[*#@]+t(s)?|c\*{3,}"), "cunt"),
    (re.compile(r"[a-z]+[*#]{2,}[a-z]*"), "expletive"),
)
_FOR_LETTER = re.compile(r"(?<=[a-z$])[$]|[$](?=[a-z$])|(?<=[a-z])!(?=[a-z])")
"""Marks written for a letter inside a word: "bull$hit", "sh!t"."""
_NEGATION = frozenset(["not", "never", "no", "nobody", "without", "neither", "nor"])
_HALF_DAY = re.compile(r"[\d:.]*[ap]\.m\.", re.IGNORECASE)
_OPENING_QUOTES = ('"', "'", "“", "‘")
_TITLES = frozenset(["mr.", "mrs.", "ms.", "dr."])
"""The full stop of these ends no sentence."""
_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_TELLERS = (
    "he she they it manager supervisor wife husband friend lawyer colleague agent mum mom dad son daughter boss "
    "someone somebody guy lady man woman girl people you bank advisor website"
)
_TELLER = frozenset(_TELLERS.split())
_TELLING = frozenset(["said", "says", "say", "told", "tells", "saying", "telling", "suggested", "advised", "wrote"])
_CONDITION = frozenset(["if", "unless", "whether", "suppose"])
_NOW = frozenset("am want need will demand insist wish".split())
"""Somebody else's "I" would be told in the past."""
_FINITE = frozenset("is was are were has have had can could will would did does do should might must not".split())
"""One of them makes a clause whole."""
_TOLD_BEFORE = frozenset(["what", "whatever", "as", "like"])
"""Before the teller: what is told is not what comes next ("I don't care what he said")."""
_DISMISSES = frozenset(
    "care cares matter matters regardless interested bothered forget ignore mind that whatever as like".split()
)
"""Before what was told, or at its beginning: it is put aside ("that is what he said"), not about to be quoted ("you
won't believe what he said")."""
_ASKING = frozenset("do does did is are was can could would should will may what how when where why who which".split())


_SUBJECT = frozenset(["i", "we", "he", "she", "they"])
_ANY_SUBJECT = _SUBJECT.union("you it that this there nobody somebody someone everybody".split())
_JOINING = frozenset(["and", "or", "so", "then"])
_PARTING = frozenset("but because cos although though however otherwise until till unless except".split())
_HOLDS_ON = frozenset(
    """and or so then if when while whether that than as who whom what which where why how because but though
    although am is are was were do does did have has had can could will would shall should may might must not
    before after since once until till unless cos like think thought know knew believe promise promised say said mean
    suppose guess hope sure wish feel swear bet thing one person time way reason""".split()
)
"""After these a subject pronoun does not begin a clause of its own: "who I am", "if I", "can I", "not think I will"."""
SMALL_WORDS = frozenset(
    """and but so well okay ok oh ah right yes yeah yep um uh er erm hm now alright just then please look listen no nah
    mate sir love madam ma actually honestly seriously sorry hello hi hey fine like you know i mean""".split()
)
"""What may stand before a phrase that opens a clause."""
CLOSING_WORDS = frozenset(
    """please now then okay ok mate sir love madam right thanks thank you today immediately alright will
    anyway though so um uh yeah""".split()
)
"""What may stand after a phrase that closes one."""
_AFTER_IS = frozenset(
    """a an the on in at your my our one not very so really been got gone going coming too all just always never friends
    married still no here there such being dead dying tomorrow today tonight high ill pregnant disabled autistic deaf
    blind stupid useless broken""".split()
)
_FILLERS = frozenset("um uh er erm uhm hmm hm mm eh uhh umm".split())
_NUMBERS = frozenset("zero oh one two three four five six seven eight nine ten".split())
_INTERJECTED = frozenset(
    """i you we he she they it that this these there get put give let just no thanks thank please what who why how
    seriously listen look manager supervisor hang wait stop not my your""".split()
)
"""After "no" these begin something new: "no I want ..." denies nothing that follows."""
_DENIES_NOTHING = {
    "not": frozenset("hesitate afraid scared only joking kidding bluffing messing above beyond shy alone".split()),
    "no": frozenset("choice option alternative doubt wonder hesitation joke qualms problem mistake".split()),
    "never": frozenset(["mind", "hesitate"]),
}
"""After each denial, words that turn it: "I will not hesitate to sue", "no choice but to leave"."""


@dataclass(frozen=True, slots=True)
class Line:
    """Words in plain form, with the index of the heard word each came from."""

    tokens: tuple[str, ...]
    origin: tuple[int, ...]
    """For each token, the index of its word."""
    opens: frozenset[int]
    """Tokens that begin a sentence, where punctuation says so."""
    clause: tuple[int, ...]
    """For each token, where its clause begins: after a comma, before "but", before "and I", before a new subject."""
    quoted: frozenset[int] = frozenset()
    """Tokens that begin what is quoted: after a colon, behind an opening quotation mark."""

    @property
    def text(self) -> str:
        """Every token between single spaces, one before and one after."""
        return f" {' '.join(self.tokens)} "


def plain(word: str) -> list[str]:
    """One heard word as lower-case tokens: contractions opened, masks lifted, hyphens split."""
    word = word.lower().replace("’", "'")
    if len(word) <= LONGEST_CENSORED and _CENSORED.fullmatch(word):
        return ["expletive"]
    word = word.strip(' .,!?;:"()[]…“”')
    if not any(letter.isdigit() for letter in word):
        word = _FOR_LETTER.sub(lambda mark: {"$": "s", "!": "i"}[mark[0]], word)
    if any(mark in word for mark in "*#@") or word.startswith(("f--", "s--")):
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


def written(text: str) -> list[Word]:
    """The words of one written line as if heard, 300 ms each."""
    return [Word(word, 300 * n, 300 * n + 300) for n, word in enumerate(text.split())]


def line(words: Sequence[str]) -> Line:
    """Heard words in plain form; split contractions ("don t") are joined again."""
    tokens: list[str] = []
    origin: list[int] = []
    opens = {0}
    commas: set[int] = set()
    quoted: set[int] = set()
    for index, word in enumerate(words):
        after = plain(words[index + 1])[:1] if index + 1 < len(words) else []
        if word.startswith(_OPENING_QUOTES) or (index and words[index - 1].endswith(":")):
            quoted.add(len(tokens))
        for token in plain(word) + (["is"] if _is_left_out(word, after) else []):
            if tokens and token == "t" and _SPLIT_NOT.fullmatch(tokens[-1]):
                tokens[-1] = tokens[-1][:-1] if tokens[-1] != "can" else "can"
                token = "not"
            elif tokens and (full := _SPLIT.get(token)) and tokens[-1] in _SPLIT_AFTER:
                token = full
            tokens.append(token)
            origin.append(index)
        bare = word.rstrip("\"'”)]")
        if bare.endswith((".", "?", "!", "…")) and not _goes_on(bare, "".join(words[index + 1 : index + 2])):
            opens.add(len(tokens))
        elif bare.endswith((",", ";", ":", "-", "–", "—")):
            commas.add(len(tokens))
    kept = _smooth(tokens)
    place = {old: new for new, old in enumerate(kept)}
    opens, commas, quoted = (
        {place[min(k for k in kept if k >= at)] for at in each if at <= kept[-1]} if kept else set()
        for each in (opens, commas, quoted)
    )
    tokens = [tokens[index] for index in kept]
    return Line(
        tuple(tokens),
        tuple(origin[index] for index in kept),
        frozenset(opens | {0}),
        _clauses(tokens, opens | commas),
        frozenset(quoted),
    )


def _goes_on(word: str, after: str) -> bool:
    """Whether a sentence goes on behind a full stop: after "Dr."; after "a.m." unless a new one begins in capitals."""
    if word.lower() in _TITLES:
        return True
    return bool(_HALF_DAY.fullmatch(word)) and (not after[:1].isupper() or after.lower().strip(".,?!") in _DAYS)


def _is_left_out(word: str, after: Sequence[str]) -> bool:
    """Whether the 's of a noun is an "is" ("my cousin's on your board") and not a possessive."""
    noun = word.lower().replace("’", "'")
    return noun.endswith("'s") and noun[:-2] not in _IS and bool(_AFTER_IS.intersection(after))


def _smooth(tokens: Sequence[str]) -> list[int]:
    """Indices of the tokens that stay when fillers ("uh") and stuttered words ("can I can I") are left out."""
    kept: list[int] = []
    for index, token in enumerate(tokens):
        if token in _FILLERS:
            continue
        kept.append(index)
        for size in (1, 2, 3):
            said = [tokens[each] for each in kept[-2 * size :]]
            if len(said) == 2 * size and said[:size] == said[size:] and not _NUMBERS.intersection(said):
                del kept[-size:]
                break
    return kept


def _clauses(tokens: Sequence[str], marked: set[int]) -> tuple[int, ...]:
    out: list[int] = []
    start = 0
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        if (
            index in marked
            or token in _PARTING
            or (token in _JOINING and after in _ANY_SUBJECT)
            or (token in _SUBJECT and before not in _HOLDS_ON and index - start > 1)
        ):
            start = index
        out.append(start)
    return tuple(out)


def edges(heard: Line) -> tuple[list[bool], list[bool]]:
    """For each token: whether it opens its clause, and whether it closes it; small words may stand before and after."""
    size = len(heard.tokens)
    opens, closes = [True] * size, [True] * size
    for at in range(size):
        start = heard.clause[at]
        opens[at] = at == start or (opens[at - 1] and heard.tokens[at - 1] in SMALL_WORDS)
    for at in range(size - 2, -1, -1):
        after = at + 1
        closes[at] = heard.clause[after] == after or (closes[after] and heard.tokens[after] in CLOSING_WORDS)
    return opens, closes


def negated(heard: Line, at: int) -> bool:
    """An odd number of denials in the five words before `at`, in the same clause.

    Questions that begin with a denial ("why can't I", "won't you"), a "no" that answers and a denial that warns or is
    turned ("don't make me", "won't hesitate to") deny nothing.
    """
    start = max(heard.clause[at], at - 5)
    denials = 0
    for index in range(start, at):
        token, before = heard.tokens[index], heard.tokens[max(0, index - 2) : index]
        after = heard.tokens[index + 1] if index + 1 < len(heard.tokens) else ""
        asks = token == "not" and (after in ("you", "i", "we", "anyone", "anybody", "just", "only") or "why" in before)
        answers = token == "no" and after in _INTERJECTED
        turned = after in _DENIES_NOTHING.get(token, ()) or (
            token == "not" and _dares(heard.tokens[index + 1 : index + 3])
        )
        denials += token in _NEGATION and not asks and not answers and not turned
    return denials % 2 == 1


def _dares(after: Sequence[str]) -> bool:
    """What stands after a "not" that warns: "don't make me call the police", "you don't want me to"."""
    return len(after) == 2 and after[0] in ("make", "want", "force") and after[1] in ("me", "us")


def reported(heard: Line, at: int) -> bool:
    """Someone else's words: a teller and a verb of telling in the eight words before `at`.

    They must be in the same sentence, and no "and I", "but", "because" may stand between.
    """
    start = max([opening for opening in heard.opens if opening <= at], default=0)
    first = max(start, at - 8)
    for index in range(at, first, -1):
        if heard.clause[min(index, at)] == index and heard.tokens[index] in _JOINING | _PARTING:
            first = index
            break
    before = heard.tokens[first:at]
    return any(
        token in _TELLING
        and any(teller in _TELLER for teller in before[max(0, index - 3) : index])
        and not _told_out(heard, first + index, at)
        and not _told_before(heard, first + index, at)
        for index, token in enumerate(before)
    )


def _told_out(heard: Line, verb: int, at: int) -> bool:
    """Whether what was told ends before `at`, in talk without any marks: a whole clause, then what the speaker wants.

    "She said nobody could help | I want a supervisor"; but "he said it was over and I could go".
    """
    for index in range(at, verb + 2, -1):
        told = heard.tokens[verb + 1 : index]
        whole = _FINITE.intersection(told) or told[-1] in ("no", "yes")
        if _wants(heard, index) and heard.clause[index] == index and whole and not _CONDITION.intersection(told):
            return True
    return False


def _told_before(heard: Line, verb: int, at: int) -> bool:
    """Whether what was told stands before its teller, and the speaker begins anew between the verb and `at`.

    "I don't care what he said, I want a supervisor"; but "what he said was, I want" and "this is what he said, I want".
    """
    told = next(
        (index for index in range(verb - 2, max(-1, verb - 6), -1) if heard.tokens[index] in _TOLD_BEFORE), None
    )
    if (
        told is None
        or not _FINITE.union(_JOINING).isdisjoint(heard.tokens[told:verb])
        or _DISMISSES.isdisjoint(heard.tokens[max(0, told - 2) : told + 1])
        or any(heard.clause[index] == index for index in range(told + 2, verb + 1))
    ):
        return False
    for index in range(verb + 1, at + 1):
        at_once = index == verb + 1 and heard.tokens[told] in ("what", "whatever") and _wants(heard, index)
        if at_once or heard.clause[index] == index:
            return index not in heard.quoted and _FINITE.isdisjoint(heard.tokens[verb + 1 : index])
    return False


def _wants(heard: Line, at: int) -> bool:
    """Whether the speaker says from here on what they want."""
    return heard.tokens[at] in ("i", "we") and bool(_NOW.intersection(heard.tokens[at + 1 : at + 3]))


def conditional(heard: Line, at: int) -> bool:
    """An "if" in the six words before `at`, in the same clause."""
    return any(token in _CONDITION for token in _before(heard, at, 6))


def asked(heard: Line, at: int) -> bool:
    """The clause begins as a question does."""
    before = heard.tokens[heard.clause[at] : at + 1]
    words = [token for token in before if token not in SMALL_WORDS]
    return bool(words) and words[0] in _ASKING


def _before(heard: Line, at: int, most: int) -> tuple[str, ...]:
    return heard.tokens[max(heard.clause[at], at - most) : at]


POLICIES = {"negated": negated, "reported": reported, "conditional": conditional, "asked": asked}
"""What a rule may be silent on."""
