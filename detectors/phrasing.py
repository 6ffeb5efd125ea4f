"""The pattern language of the rule files, compiled to regular expressions over marked tokens.

`(a | b)` one of, `[a]` optional, `...` up to three words, `....` up to eight, `*` any word, `charge*` any ending, `#`
digits, `{name}` a class of classes.toml, `^` at the start of a clause (small words may stand before), `$` at the end
of one. At least one word of a phrase must be said: one that may be empty is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from detectors.normalisation import NormalisedText, clause_edges, normalise_word

GAP_WORDS = 3
"""What "..." stands for: at most so many words."""
WIDE_GAP_WORDS = 8
"""What "...." stands for."""

OPENS = "<"
"""Stands before a token that opens a clause (small words may come before it)."""
CLOSES = ">"
"""Stands after a token that closes one."""
_OPENS, _CLOSES = f"{OPENS}?", f"{CLOSES}?"
_PARTS = re.compile(r"\s*(\.{4}|\.{3}|\(|\)|\||\[|\]|\{[a-z_]+\}|\^|\$|[^\s()|\[\]{}^$]+)")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One pattern. Its expressions are compiled when first asked for: few are ever needed in one call."""

    exact_source: str
    loose_source: str | None
    """With the misheard forms of its words as well; None where there are none."""
    anchors: frozenset[str]
    """Words of which one must have been heard; empty: any words will do."""
    loose_anchors: frozenset[str]
    gapped: bool
    """It holds a gap, which must not run over the end of a sentence."""

    @property
    def exact(self) -> re.Pattern[str]:
        """For words as they were heard."""
        return _expression(self.exact_source)

    @property
    def loose(self) -> re.Pattern[str] | None:
        """For misheard ones, where there are any."""
        return None if self.loose_source is None else _expression(self.loose_source)


@cache
def _expression(source: str) -> re.Pattern[str]:
    return re.compile(source)


def compile_phrase(phrase: str, classes: Mapping[str, str], misheard: Mapping[str, tuple[str, ...]]) -> Phrase:
    """Compile one pattern; `misheard` gives, for a word, what recognisers write instead.

    Raises:
        ValueError: with what is wrong.
    """
    phrase = _filled(phrase, classes)
    parts = _PARTS.findall(phrase)
    if "".join(parts) != re.sub(r"\s", "", phrase):
        raise ValueError("a { or } has no partner")
    exact, anchors, words = _compiled(parts, {})
    loose, loose_anchors = None, anchors
    if words & misheard.keys():
        loose, loose_anchors, _ = _compiled(parts, misheard)
    return Phrase(exact, loose, anchors, loose_anchors, bool({"...", "...."}.intersection(parts)))


def marked(text: NormalisedText) -> str:
    """Every token between single spaces, with marks on those that open or close a clause."""
    opens, closes = clause_edges(text)
    tokens = (
        f"{OPENS if opening else ''}{token}{CLOSES if closing else ''}"
        for token, opening, closing in zip(text.tokens, opens, closes, strict=True)
    )
    return f" {' '.join(tokens)} "


def _filled(phrase: str, classes: Mapping[str, str]) -> str:
    for _ in range(4):
        for name in re.findall(r"\{([a-z_]+)\}", phrase):
            if name not in classes:
                raise ValueError(f"no class {{{name}}} in classes.toml")
        phrase = re.sub(r"\{([a-z_]+)\}", lambda found: classes[found[1]], phrase)
    if re.search(r"\{[a-z_]+\}", phrase):
        raise ValueError("classes within classes run deeper than four")
    return phrase


def _compiled(parts: list[str], misheard: Mapping[str, tuple[str, ...]]) -> tuple[str, frozenset[str], frozenset[str]]:
    """Source of the expression, anchors, and every word of it."""
    out: list[str] = []
    open_: list[str] = []
    outside: list[frozenset[str]] = []
    group: list[set[str]] = []
    every: set[str] = set()
    needs = [[False]]
    """Whether each alternative needs a word: of the whole, and of every ( and [ that is open."""
    for part in parts:
        if part in ("(", "["):
            open_.append(part)
            out.append("(?:")
            needs.append([False])
            if len(open_) == 1:
                group = [set()]
        elif part in (")", "]"):
            if not open_ or open_.pop() != {")": "(", "]": "["}[part]:
                raise ValueError(f"{part} has no partner")
            out.append(")" if part == ")" else ")?")
            inner = needs.pop()
            needs[-1][-1] |= part == ")" and all(inner)
            if not open_ and part == ")" and all(group):
                outside.append(frozenset(word for words in group for word in words))
        elif part == "|":
            if not open_:
                raise ValueError("| stands outside ( )")
            out.append("|")
            needs[-1].append(False)
            if len(open_) == 1:
                group.append(set())
        elif part in ("...", "...."):
            out.append(rf"(?: \S+){{0,{GAP_WORDS if part == '...' else WIDE_GAP_WORDS}}}?")
        elif part in ("^", "$"):
            out.append(f"(?= {OPENS})" if part == "^" else f"(?<={CLOSES})")
            if open_ and "[" not in open_:
                group[-1].add("*")
        elif part in ("*", "#"):
            out.append(r" \S+" if part == "*" else _token(r"\d+"))
            needs[-1][-1] = True
            if open_ and "[" not in open_:
                group[-1].add("*")
        else:
            words = _words(part.rstrip("*"))
            if not words:
                raise ValueError(f"{part!r} is no word")
            star = part.endswith("*")
            every.update(words)
            needs[-1][-1] = True
            heard = {word: (word, *misheard.get(word, ())) for word in words}
            out += [_any_of(forms, r"\w*" if star and word == words[-1] else "") for word, forms in heard.items()]
            first = frozenset(form.split()[0] for forms in heard.values() for form in forms)
            if open_ and "[" not in open_:
                group[-1] |= {"*"} if star else first
            elif not open_ and not star:
                outside.append(frozenset(form.split()[0] for form in heard[words[0]]))
    if open_:
        raise ValueError(f"{open_[-1]} is not closed")
    if needs != [[True]]:
        raise ValueError("it needs no word: expected at least one that must be said")
    usable = [words for words in outside if words and "*" not in words]
    anchors = min(usable, key=_commonness) if usable else frozenset()
    return "".join(out) + "(?= )", anchors, frozenset(every)


@cache
def _words(part: str) -> tuple[str, ...]:
    """The plain tokens of a word of a pattern; rules repeat them tens of thousands of times."""
    return tuple(normalise_word(part))


@cache
def _any_of(forms: tuple[str, ...], ending: str) -> str:
    several = ["".join(_token(token) for token in form.split()) for form in forms]
    several = [f"{one.removesuffix(_CLOSES)}{ending}{_CLOSES}" for one in several]
    return several[0] if len(several) == 1 else f"(?:{'|'.join(several)})"


def _token(token: str) -> str:
    return f" {_OPENS}{token}{_CLOSES}"


def _commonness(words: frozenset[str]) -> tuple[int, int]:
    """Prefer one long word, then a small set."""
    return (-max(map(len, words)) if len(words) == 1 else 0, len(words))
