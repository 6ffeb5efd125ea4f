"""Whether a phrase is asserted by its speaker, by the words before it: not negated, reported, conditional or asked."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.normalisation import CLAUSE_OPENERS, COORDINATORS, DISCOURSE_MARKERS, NormalisedText

_NEGATION = frozenset(["not", "never", "no", "nobody", "without", "neither", "nor"])
_REPORTER_WORDS = (
    "he she they it manager supervisor wife husband friend lawyer colleague agent mum mom dad son daughter boss "
    "someone somebody guy lady man woman girl people you bank advisor website"
)
_REPORTERS = frozenset(_REPORTER_WORDS.split())
_REPORTING_VERBS = frozenset(
    ["said", "says", "say", "told", "tells", "saying", "telling", "suggested", "advised", "wrote"]
)
_CONDITIONALS = frozenset(["if", "unless", "whether", "suppose"])
_WISH_VERBS = frozenset("am want need will demand insist wish".split())
"""In the present tense: reported wishes of somebody else are in the past."""
_FINITE_VERBS = frozenset("is was are were has have had can could will would did does do should might must not".split())
"""A clause with one of them is complete."""
_FRONTING = frozenset(["what", "whatever", "as", "like"])
"""Before the reporter: what is reported stands before the verb, not after it ("I don't care what he said")."""
_DISMISSES = frozenset(
    "care cares matter matters regardless interested bothered forget ignore mind that whatever as like".split()
)
"""Before a fronted report, or at its beginning: it is dismissed ("that is what he said"), not about to be quoted ("you
won't believe what he said")."""
_QUESTION_STARTS = frozenset(
    "do does did is are was can could would should will may what how when where why who which".split()
)
_AFTER_ANSWERING_NO = frozenset(
    """i you we he she they it that this these there get put give let just no thanks thank please what who why how
    seriously listen look manager supervisor hang wait stop not my your""".split()
)
"""Before these a "no" is an answer: "no I want ..." negates nothing."""
_NOT_NEGATING = {
    "not": frozenset("hesitate afraid scared only joking kidding bluffing messing above beyond shy alone".split()),
    "no": frozenset("choice option alternative doubt wonder hesitation joke qualms problem mistake".split()),
    "never": frozenset(["mind", "hesitate"]),
}
"""Words after which a negation negates nothing later: "I will not hesitate to sue", "no choice but to leave"."""


def negated(text: NormalisedText, at: int) -> bool:
    """Whether an odd number of negations is in the five tokens before the one at `at`, in the same clause.

    Not counted: negated questions ("why can't I", "won't you"), a "no" that answers, warnings ("don't make me") and
    what `_NOT_NEGATING` lists ("won't hesitate to").
    """
    start = max(text.clause_starts[at], at - 5)
    negations = 0
    for index in range(start, at):
        token, before = text.tokens[index], text.tokens[max(0, index - 2) : index]
        after = text.tokens[index + 1] if index + 1 < len(text.tokens) else ""
        is_question = token == "not" and (
            after in ("you", "i", "we", "anyone", "anybody", "just", "only") or "why" in before
        )
        is_answer = token == "no" and after in _AFTER_ANSWERING_NO
        is_neutral = after in _NOT_NEGATING.get(token, ()) or (
            token == "not" and _is_warning(text.tokens[index + 1 : index + 3])
        )
        negations += token in _NEGATION and not is_question and not is_answer and not is_neutral
    return negations % 2 == 1


def _is_warning(after: Sequence[str]) -> bool:
    """Whether the two tokens after a "not" make it a warning: "don't make me call ...", "you don't want me to"."""
    return len(after) == 2 and after[0] in ("make", "want", "force") and after[1] in ("me", "us")


def reported(text: NormalisedText, at: int) -> bool:
    """Whether this is reported speech: a reporter and a reporting verb in the eight tokens before `at`.

    They must be in the same sentence, and no "and I", "but", "because" may be between.
    """
    start = max([index for index in text.sentence_starts if index <= at], default=0)
    first = max(start, at - 8)
    for index in range(at, first, -1):
        if text.clause_starts[min(index, at)] == index and text.tokens[index] in COORDINATORS | CLAUSE_OPENERS:
            first = index
            break
    before = text.tokens[first:at]
    return any(
        token in _REPORTING_VERBS
        and any(reporter in _REPORTERS for reporter in before[max(0, index - 3) : index])
        and not _report_ends(text, first + index, at)
        and not _is_report_fronted(text, first + index, at)
        for index, token in enumerate(before)
    )


def _report_ends(text: NormalisedText, verb: int, at: int) -> bool:
    """Whether the report after the verb ends before `at` without punctuation: a complete clause, then a wish.

    "She said nobody could help | I want a supervisor"; but "he said it was over and I could go".
    """
    for index in range(at, verb + 2, -1):
        report = text.tokens[verb + 1 : index]
        is_complete = _FINITE_VERBS.intersection(report) or report[-1] in ("no", "yes")
        if (
            _states_wish(text, index)
            and text.clause_starts[index] == index
            and is_complete
            and not _CONDITIONALS.intersection(report)
        ):
            return True
    return False


def _is_report_fronted(text: NormalisedText, verb: int, at: int) -> bool:
    """Whether what is reported stands before the verb, and the speaker begins a clause between the verb and `at`.

    "I don't care what he said, I want a supervisor"; but "what he said was, I want" and "this is what he said, I want".
    """
    front = next((index for index in range(verb - 2, max(-1, verb - 6), -1) if text.tokens[index] in _FRONTING), None)
    if (
        front is None
        or not _FINITE_VERBS.union(COORDINATORS).isdisjoint(text.tokens[front:verb])
        or _DISMISSES.isdisjoint(text.tokens[max(0, front - 2) : front + 1])
        or any(text.clause_starts[index] == index for index in range(front + 2, verb + 1))
    ):
        return False
    for index in range(verb + 1, at + 1):
        at_once = index == verb + 1 and text.tokens[front] in ("what", "whatever") and _states_wish(text, index)
        if at_once or text.clause_starts[index] == index:
            return index not in text.quote_starts and _FINITE_VERBS.isdisjoint(text.tokens[verb + 1 : index])
    return False


def _states_wish(text: NormalisedText, at: int) -> bool:
    """Whether a wish of the speaker's begins at this token."""
    return text.tokens[at] in ("i", "we") and bool(_WISH_VERBS.intersection(text.tokens[at + 1 : at + 3]))


def conditional(text: NormalisedText, at: int) -> bool:
    """Whether an "if" is in the six tokens before `at`, in the same clause."""
    return not _CONDITIONALS.isdisjoint(text.tokens[max(text.clause_starts[at], at - 6) : at])


def asked(text: NormalisedText, at: int) -> bool:
    """Whether the clause begins as a question does."""
    before = text.tokens[text.clause_starts[at] : at + 1]
    words = [token for token in before if token not in DISCOURSE_MARKERS]
    return bool(words) and words[0] in _QUESTION_STARTS


ASSERTION_CHECKS = {"negated": negated, "reported": reported, "conditional": conditional, "asked": asked}
"""What `silent_when` of a rule may name, and the function that checks it on a text and the index of a token."""
