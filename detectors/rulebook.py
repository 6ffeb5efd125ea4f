"""The phrase rules: read from TOML files, checked, compiled and indexed."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from audio.events import Speaker
from detectors.assertion import ASSERTION_CHECKS
from detectors.normalisation import normalise_word
from detectors.phonetic import PhoneticCorrector
from detectors.phrase_index import PhraseIndex
from detectors.phrase_pattern import PhrasePattern, compile_phrase
from detectors.signals import SIGNAL_IDS, Severity

SHIPPED = Path(__file__).parent / "rules"
_EXCEPTION_KEYS = {"id", "signal", "speaker", "phrases", "owner", "review_by", "fires", "silent"}
_RULE_KEYS = _EXCEPTION_KEYS | {
    "severity",
    "strength",
    "unless",
    "hinges_on",
    "cool_down_s",
    "silent_when",
    "certain",
}
_FILE_KEYS = {"version", "owner", "language", "review_by", "rule", "exception"}
_HEAD_EXAMPLE = {"version": "1", "owner": "Quality team", "language": "en"}
"""What every file says of its rules, with an example."""
_HEADERS = {name: re.compile(rf"\s*\[\[\s*{name}\s*\]\]\s*(#.*)?") for name in ("rule", "exception")}
_WORD_CHARACTER = re.compile(r"[\w#*]")
"""Every word of a list has one: a phrase with an empty word would match too much."""
_WORD_LISTS = ("classes.toml", "misheard.toml")


ExceptionPatterns = Mapping[tuple[str, Speaker], tuple[PhrasePattern, ...]]
"""(signal, speaker) -> the phrases of its exceptions."""


class RuleError(Exception):
    """A rule file is not valid; the text names file, line and key, and what was expected."""

    code = "rule-invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a rule and an exception have in common: phrases of one speaker, and one signal."""

    id: str
    signal: str
    speaker: Speaker
    patterns: tuple[PhrasePattern, ...]
    """Its phrases, compiled."""
    fires: tuple[str, ...]
    """Example lines that the signal must be heard in."""
    silent: tuple[str, ...]
    """Example lines that it must not be heard in."""
    owner: str
    """Who answers for it."""
    review_by: date | None
    """When somebody should look at it again."""
    source: str
    """File and line, for people."""
    shipped: bool
    """Part of this package, not one of a deployment's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Entry):
    """One rule: phrases of one speaker that raise one signal."""

    severity: Severity
    strength: float
    phrases: tuple[str, ...]
    """As they are written in the file."""
    unless: tuple[PhrasePattern, ...]
    """Exceptions: a match that overlaps one, or is in the same clause, does not count."""
    hinges_on: tuple[PhrasePattern, ...]
    """Words that decide it: a match is a note only where the recogniser doubts one of them, urgent rules excepted."""
    silent_when: frozenset[str]
    """Of detectors.assertion.ASSERTION_CHECKS."""
    cool_down_ms: int
    version: str
    certain: bool
    """The sentence model may not reject it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalException(Entry):
    """Clauses in which a speaker's words are no signal, neither of the rules nor of the sentence model.

    A shipped one silences shipped rules and the sentence model, not the rules of a deployment.
    """


@dataclass(frozen=True)
class Rulebook:
    """All rules in force, with their indices; shared by all calls."""

    rules: tuple[Rule, ...]
    misheard: Mapping[str, tuple[str, ...]]
    """Word -> the forms that recognisers are known to write instead, in tokens separated by single spaces."""
    version: str
    """First 12 hex digits of SHA-256 over the files."""
    exceptions: tuple[SignalException, ...] = ()

    @cached_property
    def exception_patterns(self) -> ExceptionPatterns:
        """Of all exceptions."""
        return _exception_patterns(self.exceptions)

    @cached_property
    def own_exception_patterns(self) -> ExceptionPatterns:
        """Of a deployment's own exceptions, which alone hold for its own rules."""
        return _exception_patterns(each for each in self.exceptions if not each.shipped)

    @cached_property
    def index(self) -> PhraseIndex:
        """Of all patterns."""
        return PhraseIndex([rule.patterns for rule in self.rules], misheard=False)

    @cached_property
    def misheard_index(self) -> PhraseIndex:
        """Of the patterns with listed misheard forms."""
        return PhraseIndex([rule.patterns for rule in self.rules], misheard=True)

    @cached_property
    def corrector(self) -> PhoneticCorrector:
        """Corrects misheard words that are not listed, to the anchors of all rules but those for swearing and insults.

        Everyday words sound like swear words ("shouting", "shutting", "screening"); how recognisers write these is
        listed in misheard.toml.
        """
        rules = (rule for rule in self.rules if rule.signal not in ("swearing", "derogatory"))
        return PhoneticCorrector(
            frozenset(word for rule in rules for pattern in rule.patterns for word in pattern.anchors)
        )

    @cached_property
    def hinges(self) -> tuple[PhrasePattern, ...]:
        """What rules hinge on, each once."""
        return tuple(dict.fromkeys(hinge for rule in self.rules for hinge in rule.hinges_on))

    @property
    def own(self) -> list[Entry]:
        """Rules and exceptions of a deployment's own files."""
        entries: tuple[Entry, ...] = (*self.rules, *self.exceptions)
        return [each for each in entries if not each.shipped]

    def overdue(self, today: date) -> list[Entry]:
        """Rules and exceptions whose review date has passed."""
        entries: tuple[Entry, ...] = (*self.rules, *self.exceptions)
        return [each for each in entries if each.review_by is not None and each.review_by < today]


def _exception_patterns(exceptions: Iterable[SignalException]) -> ExceptionPatterns:
    found: dict[tuple[str, Speaker], tuple[PhrasePattern, ...]] = {}
    for each in exceptions:
        found[each.signal, each.speaker] = found.get((each.signal, each.speaker), ()) + each.patterns
    return found


def load_rules(paths: Sequence[Path] | Path | None = None, *, extra: Sequence[Path] | Path | None = None) -> Rulebook:
    """The rules of the given files or folders (default: those shipped), and those of `extra` after them.

    A `classes.toml` (named lists of words) or `misheard.toml` (what recognisers write for a word) in a folder adds to
    the shipped one, word by word. A file that is named twice is read once.

    Raises:
        RuleError: a file cannot be read, is not valid, or has an id that another has.
    """
    files = [SHIPPED / name for name in _WORD_LISTS] + _files(paths if paths else SHIPPED) + _files(extra or ())
    once = {file.resolve(): file for file in files}
    return _parse_files(tuple((file, _read(file)) for file in once.values()))


@lru_cache(maxsize=8)
def _parse_files(files: tuple[tuple[Path, str], ...]) -> Rulebook:
    """The rules of these files, given as (path, content); cached, as all calls share them."""
    word_lists: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in _WORD_LISTS}
    digest = hashlib.sha256()
    for name in _WORD_LISTS:
        for file, text in dict.fromkeys(each for each in files if each[0].name == name):
            for key, more in _parse_word_lists(file, text).items():
                word_lists[name][key] = word_lists[name].get(key, ()) + more
            digest.update(text.encode())
    classes = {name: f"({'|'.join(members)})" for name, members in word_lists["classes.toml"].items()}
    misheard = {word: _normalised_forms(forms) for word, forms in word_lists["misheard.toml"].items()}
    rules: list[Rule] = []
    exceptions: list[SignalException] = []
    seen: dict[str, str] = {}
    for file, text in files:
        if file.name in _WORD_LISTS:
            continue
        digest.update(text.encode())
        rules_of_file, exceptions_of_file = _parse_rule_file(file, text, classes, misheard)
        entries: tuple[Entry, ...] = (*rules_of_file, *exceptions_of_file)
        for each in entries:
            if each.id in seen:
                raise RuleError(
                    f"{each.source}: id: {each.id!r} is taken by {seen[each.id]}; expected an id of its own"
                )
            seen[each.id] = f"the shipped {each.source}" if each.shipped else each.source
        rules += rules_of_file
        exceptions += exceptions_of_file
    return Rulebook(tuple(rules), misheard, digest.hexdigest()[:12], tuple(exceptions))


def _files(paths: Sequence[Path] | Path) -> list[Path]:
    out: list[Path] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        if not Path(path).is_dir():
            out.append(Path(path))
            continue
        found = sorted(each for each in Path(path).glob("*") if each.suffix.lower() == ".toml")
        if not found:
            raise RuleError(f"{path}: no rules in this folder: expected NAME.toml in it, not in one below")
        out += found
    return out


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{file}: cannot be read ({error}); expected a rule file in UTF-8") from None


def _parse_toml(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tables without an end; numbers of thousands of digits
        raise RuleError(f"{file}: not TOML: {error}") from None


def _parse_word_lists(file: Path, text: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, words in _parse_toml(file, text).items():
        if (
            not isinstance(words, list)
            or not words
            or not all(isinstance(w, str) and _WORD_CHARACTER.search(w) for w in words)
            or (file.name == "misheard.toml" and not all(_normalised_forms(words)))
        ):
            raise RuleError(f"{file}:{_line_of(text, name)}: {name}: expected a list of words")
        found[name] = tuple(words)
    return found


def _normalised_forms(forms: Sequence[str]) -> tuple[str, ...]:
    return tuple(" ".join(token for word in form.split() for token in normalise_word(word)) for form in forms)


def _line_of(text: str, key: str, start: int = 1) -> int:
    """The number of the line with a key, from line `start` to the next table; `start` where there is none."""
    for number, line in enumerate(text.splitlines()[start - 1 :], start):
        if number > start and any(header.fullmatch(line) for header in _HEADERS.values()):
            break
        if re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
            return number
    return start


def _parse_rule_file(
    file: Path, text: str, classes: Mapping[str, str], misheard: Mapping[str, tuple[str, ...]]
) -> tuple[list[Rule], list[SignalException]]:
    data = _parse_toml(file, text)

    def wrong(name: str, expected: str) -> RuleError:
        return RuleError(f"{file}:{_line_of(text, name)}: {name}: {expected}")

    for name in data.keys() - _FILE_KEYS:
        raise wrong(name, f"unknown; expected one of {', '.join(sorted(_FILE_KEYS))}")
    if lacking := [name for name in _HEAD_EXAMPLE if not isinstance(data.get(name), str)]:
        example = ", ".join(f'{name} = "{_HEAD_EXAMPLE[name]}"' for name in lacking)
        raise wrong(lacking[0], f"expected texts at the head of the file, such as {example}")
    if type(data.get("review_by", date.min)) is not date:
        raise wrong("review_by", "expected a date such as 2027-01-31")
    if not data.keys() & _HEADERS.keys():
        raise wrong("rule", "expected at least one [[rule]] or [[exception]]")
    tables: dict[str, list[tuple[dict[str, Any], int]]] = {}
    for name, header in _HEADERS.items():
        raws = data.get(name, [])
        if not isinstance(raws, list) or not all(isinstance(raw, dict) for raw in raws):
            raise wrong(name, f"expected tables headed [[{name}]]")
        starts = [n for n, line in enumerate(text.splitlines(), 1) if header.fullmatch(line)]
        tables[name] = list(zip(raws, starts + [starts[-1] if starts else 1] * len(raws), strict=False))
    return (
        [_parse_rule(raw, file, text, line, data, classes, misheard) for raw, line in tables["rule"]],
        [_parse_exception(raw, file, text, line, data, classes) for raw, line in tables["exception"]],
    )


def _parse_rule(
    raw: dict[str, Any],
    file: Path,
    text: str,
    line: int,
    head: Mapping[str, Any],
    classes: Mapping[str, str],
    misheard: Mapping[str, tuple[str, ...]],
) -> Rule:
    wrong = _refusals(raw, "rule", file, text, line)
    _check_rule(raw, wrong)
    compiled = {
        name: _compile_phrases(raw, name, classes, misheard if name == "phrases" else {}, wrong)
        for name in ("phrases", "unless", "hinges_on")
    }
    return Rule(
        **_common_fields(raw, file, line, head),
        patterns=compiled["phrases"],
        severity=Severity[raw.get("severity", "note").upper()],
        strength=float(raw.get("strength", 0.8)),
        phrases=tuple(raw["phrases"]),
        unless=compiled["unless"],
        hinges_on=compiled["hinges_on"],
        silent_when=frozenset(raw.get("silent_when", [])),
        cool_down_ms=raw.get("cool_down_s", 0) * 1000,
        version=head["version"],
        certain=raw.get("certain", False),
    )


def _parse_exception(
    raw: dict[str, Any], file: Path, text: str, line: int, head: Mapping[str, Any], classes: Mapping[str, str]
) -> SignalException:
    wrong = _refusals(raw, "exception", file, text, line)
    _check_common(raw, wrong, known=_EXCEPTION_KEYS, needed=("phrases", "silent"))
    return SignalException(
        **_common_fields(raw, file, line, head), patterns=_compile_phrases(raw, "phrases", classes, {}, wrong)
    )


def _common_fields(raw: Mapping[str, Any], file: Path, line: int, head: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an `Entry` but its patterns, of a checked table that begins at this line."""
    return {
        "id": raw["id"],
        "signal": raw["signal"],
        "speaker": Speaker(raw.get("speaker", "customer")),
        "fires": tuple(raw.get("fires", [])),
        "silent": tuple(raw.get("silent", [])),
        "owner": raw.get("owner", head["owner"]),
        "review_by": raw.get("review_by", head.get("review_by")),
        "source": f"{file.name}:{line}",
        "shipped": file.parent == SHIPPED,
    }


def _refusals(raw: Mapping[str, Any], kind: str, file: Path, text: str, line: int) -> Callable[[str, str], RuleError]:
    """What makes an error of a key and what was expected of it, for the table that begins at this line."""

    def wrong(name: str, expected: str) -> RuleError:
        return RuleError(
            f"{file.name}:{_line_of(text, name, line)}: {raw.get('id', kind)}: {name}: expected {expected}"
        )

    return wrong


def _compile_phrases(
    raw: Mapping[str, Any],
    name: str,
    classes: Mapping[str, str],
    misheard: Mapping[str, tuple[str, ...]],
    wrong: Callable[[str, str], RuleError],
) -> tuple[PhrasePattern, ...]:
    patterns = []
    for phrase in raw.get(name, []):
        try:
            patterns.append(compile_phrase(phrase, classes, misheard))
        except ValueError as error:
            raise wrong(name, f"a phrase pattern; {phrase!r}: {error}") from None
    return tuple(patterns)


def _check_rule(raw: Mapping[str, Any], wrong: Callable[[str, str], RuleError]) -> None:
    """Raise what is wrong with a rule as read; its phrases are checked when they are compiled."""
    _check_common(raw, wrong, known=_RULE_KEYS, needed=("phrases", "fires"))
    if raw.get("severity", "note") not in ("note", "help", "urgent"):
        raise wrong("severity", "note, help or urgent")
    strength = raw.get("strength", 0.8)
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 < strength <= 1:
        raise wrong("strength", "a number above 0, at most 1")
    cool = raw.get("cool_down_s", 0)
    if isinstance(cool, bool) or not isinstance(cool, int) or cool < 0:
        raise wrong("cool_down_s", "whole seconds, 0 or more")
    if not isinstance(raw.get("certain", False), bool):
        raise wrong("certain", "true or false")
    for name in raw.get("silent_when", []):
        if name not in ASSERTION_CHECKS:
            raise wrong("silent_when", f"only {', '.join(ASSERTION_CHECKS)}")


def _check_common(
    raw: Mapping[str, Any], wrong: Callable[[str, str], RuleError], *, known: Set[str], needed: Sequence[str]
) -> None:
    """Raise what is wrong with the keys that rules and exceptions share.

    Args:
        raw: the table as read.
        wrong: makes the error.
        known: the keys it may have.
        needed: lists that must not be empty.
    """
    for name in raw.keys() - known:
        raise wrong(name, f"one of {', '.join(sorted(known))}")
    if not isinstance(raw.get("id"), str):
        raise wrong("id", "a text such as 'influence.my-guy'")
    if not isinstance(raw.get("signal"), str) or raw["signal"] not in SIGNAL_IDS:
        raise wrong("signal", f"one of {', '.join(sorted(SIGNAL_IDS))}")
    if raw.get("speaker", "customer") not in ("customer", "agent"):
        raise wrong("speaker", "customer or agent")
    if not isinstance(raw.get("owner", ""), str):
        raise wrong("owner", "a name")
    if type(raw.get("review_by", date.min)) is not date:
        raise wrong("review_by", "a date such as 2027-01-31")
    for name in ("phrases", "unless", "hinges_on", "silent_when", "fires", "silent"):
        if not isinstance(raw.get(name, []), list) or not all(isinstance(text, str) for text in raw.get(name, [])):
            raise wrong(name, "a list of texts")
    for name in needed:
        if not raw.get(name):
            raise wrong(name, "at least one text")
