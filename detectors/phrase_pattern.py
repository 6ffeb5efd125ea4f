"""The pattern language of the rule files, compiled to regular expressions over tokens with clause marks.

`(a | b)` one of, `[a]` optional, `...` up to three words, `....` up to eight, `*` any word, `charge*` any ending, `#`
digits, `{name}` a class of classes.toml, `^` at the start of a clause, `$` at the end of one
(see `normalisation.clause_edges`). A phrase must need at least one word: one that may be empty is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from detectors.normalisation import NormalisedText, clause_edges, normalise_word

GAP_WORDS = 3
"""The most words that "..." matches ..."""
WIDE_GAP_WORDS = 8
"""... and that "...." matches."""

CLAUSE_START = "<"
"""Mark before a token at the start of a clause."""
CLAUSE_END = ">"
"""Mark after a token at the end of one."""
_START, _END = f"{CLAUSE_START}?", f"{CLAUSE_END}?"
_ELEMENTS = re.compile(r"\s*(\.{4}|\.{3}|\(|\)|\||\[|\]|\{[a-z_]+\}|\^|\$|[^\s()|\[\]{}^$]+)")


@dataclass(frozen=True, slots=True)
class PhrasePattern:
    """One phrase of a rule. Its regular expressions are compiled when first used: one call needs few of them."""

    exact_source: str
    misheard_source: str | None
    """With the listed misheard forms of its words as well; None where none are listed."""
    anchor_sets: tuple[frozenset[str], ...]
    """Sets of tokens: of each set one is in every match. The best for an index first; none where none is known."""
    misheard_anchor_sets: tuple[frozenset[str], ...]
    has_gap: bool
    """It has a gap ("..."), which must not span the end of a sentence."""

    @property
    def anchors(self) -> frozenset[str]:
        """The first of `anchor_sets`; empty where there is none."""
        return next(iter(self.anchor_sets), frozenset())

    @property
    def exact(self) -> re.Pattern[str]:
        """Matches words as recognised."""
        return _compile_regex(self.exact_source)

    @property
    def misheard(self) -> re.Pattern[str] | None:
        """Matches listed misheard forms as well."""
        return None if self.misheard_source is None else _compile_regex(self.misheard_source)


@cache
def _compile_regex(source: str) -> re.Pattern[str]:
    return re.compile(source)


def compile_phrase(phrase: str, classes: Mapping[str, str], misheard: Mapping[str, tuple[str, ...]]) -> PhrasePattern:
    """Compile one phrase.

    Args:
        phrase: in the pattern language.
        classes: name of a word class -> its pattern.
        misheard: word -> the forms that recognisers write instead, in tokens separated by single spaces.

    Raises:
        ValueError: the phrase is no valid pattern; the text says why.
    """
    phrase = _expand_classes(phrase, classes)
    elements = _ELEMENTS.findall(phrase)
    if "".join(elements) != re.sub(r"\s", "", phrase):
        raise ValueError("a { or } has no partner")
    exact, anchor_sets, words = _compile(elements, {})
    misheard_source, misheard_anchor_sets = None, anchor_sets
    if words & misheard.keys():
        misheard_source, misheard_anchor_sets, _ = _compile(elements, misheard)
    return PhrasePattern(
        exact, misheard_source, anchor_sets, misheard_anchor_sets, bool({"...", "...."}.intersection(elements))
    )


def mark_clauses(text: NormalisedText) -> str:
    """`text.text` with `CLAUSE_START` and `CLAUSE_END` on the tokens at the edges of clauses."""
    opens, closes = clause_edges(text)
    tokens = (
        f"{CLAUSE_START if opening else ''}{token}{CLAUSE_END if closing else ''}"
        for token, opening, closing in zip(text.tokens, opens, closes, strict=True)
    )
    return f" {' '.join(tokens)} "


def _expand_classes(phrase: str, classes: Mapping[str, str]) -> str:
    for _ in range(4):
        for name in re.findall(r"\{([a-z_]+)\}", phrase):
            if name not in classes:
                raise ValueError(f"no class {{{name}}} in classes.toml")
        phrase = re.sub(r"\{([a-z_]+)\}", lambda found: classes[found[1]], phrase)
    if re.search(r"\{[a-z_]+\}", phrase):
        raise ValueError("classes within classes run deeper than four")
    return phrase


def _compile(
    elements: list[str], misheard: Mapping[str, tuple[str, ...]]
) -> tuple[str, tuple[frozenset[str], ...], frozenset[str]]:
    """The source of the regular expression, the sets of anchors, and all words of the phrase."""
    regex: list[str] = []
    open_brackets: list[str] = []
    anchor_sets: list[frozenset[str]] = []
    """Of each word outside brackets, and of each outermost ( ): the tokens one of which it needs."""
    alternatives: list[set[str]] = []
    """Of each alternative in the outermost bracket that is open: such tokens; "*" for any."""
    all_words: set[str] = set()
    needs_word = [[False]]
    """For the whole phrase and for every open bracket: whether each alternative so far needs a word."""
    for element in elements:
        if element in ("(", "["):
            open_brackets.append(element)
            regex.append("(?:")
            needs_word.append([False])
            if len(open_brackets) == 1:
                alternatives = [set()]
        elif element in (")", "]"):
            if not open_brackets or open_brackets.pop() != {")": "(", "]": "["}[element]:
                raise ValueError(f"{element} has no partner")
            regex.append(")" if element == ")" else ")?")
            branches = needs_word.pop()
            needs_word[-1][-1] |= element == ")" and all(branches)
            if not open_brackets and element == ")" and all(alternatives):
                anchor_sets.append(frozenset(word for words in alternatives for word in words))
        elif element == "|":
            if not open_brackets:
                raise ValueError("| stands outside ( )")
            regex.append("|")
            needs_word[-1].append(False)
            if len(open_brackets) == 1:
                alternatives.append(set())
        elif element in ("...", "...."):
            regex.append(rf"(?: \S+){{0,{GAP_WORDS if element == '...' else WIDE_GAP_WORDS}}}?")
        elif element in ("^", "$"):
            regex.append(f"(?= {CLAUSE_START})" if element == "^" else f"(?<={CLAUSE_END})")
            if open_brackets and "[" not in open_brackets:
                alternatives[-1].add("*")
        elif element in ("*", "#"):
            regex.append(r" \S+" if element == "*" else _token_regex(r"\d+"))
            needs_word[-1][-1] = True
            if open_brackets and "[" not in open_brackets:
                alternatives[-1].add("*")
        else:
            if ".." in element:
                raise ValueError(f"{element!r}: dots without spaces around them are no gap; expected 'one ... other'")
            if "\\" in element:
                raise ValueError(f"{element!r}: this is no regular expression; expected words as they are said")
            words = _tokens_of(element.rstrip("*"))
            if not words:
                raise ValueError(f"{element!r} is no word")
            any_ending = element.endswith("*")
            all_words.update(words)
            needs_word[-1][-1] = True
            forms_of = {word: (word, *misheard.get(word, ())) for word in words}
            regex += [
                _one_of(forms, r"\w*" if any_ending and word == words[-1] else "") for word, forms in forms_of.items()
            ]
            first_tokens = frozenset(form.split()[0] for forms in forms_of.values() for form in forms)
            if open_brackets and "[" not in open_brackets:
                alternatives[-1] |= {"*"} if any_ending else first_tokens
            elif not open_brackets and not any_ending:
                anchor_sets.append(frozenset(form.split()[0] for form in forms_of[words[0]]))
    if open_brackets:
        raise ValueError(f"{open_brackets[-1]} is not closed")
    if needs_word != [[True]]:
        raise ValueError("it needs no word: expected at least one that must be said")
    usable = (words for words in anchor_sets if words and "*" not in words)
    return "".join(regex) + "(?= )", tuple(sorted(usable, key=_anchor_rank)), frozenset(all_words)


@cache
def _tokens_of(part: str) -> tuple[str, ...]:
    """The normalised tokens of a word; cached, as rules repeat words tens of thousands of times."""
    return tuple(normalise_word(part))


@cache
def _one_of(forms: tuple[str, ...], ending: str) -> str:
    several = ["".join(_token_regex(token) for token in form.split()) for form in forms]
    several = [f"{one.removesuffix(_END)}{ending}{_END}" for one in several]
    return several[0] if len(several) == 1 else f"(?:{'|'.join(several)})"


def _token_regex(token: str) -> str:
    return f" {_START}{token}{_END}"


def _anchor_rank(words: frozenset[str]) -> tuple[int, int]:
    """Sort key of a set of anchors, best first: a single long word, else the smallest set."""
    return (-max(map(len, words)) if len(words) == 1 else 0, len(words))
