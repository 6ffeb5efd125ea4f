"""Rules as data: what to listen for, read from TOML, compiled, and checked against the examples in the same file."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio.events import Speaker
from detectors.context import plain
from detectors.signals import SIGNAL_IDS, Severity

SHIPPED = Path(__file__).parent / "rules"
GAP_WORDS = 3
"""What "..." stands for: at most so many words."""

_POLICIES = ("negated", "reported", "conditional", "asked")
_KEYS = {
    "id",
    "signal",
    "speaker",
    "severity",
    "strength",
    "phrases",
    "unless",
    "cool_down_s",
    "silent_when",
    "fires",
    "silent",
}
_HEAD = {"version", "owner", "language", "rule"}
_PARTS = re.compile(r"\s*(\.\.\.|\(|\)|\||\[|\]|\{[a-z_]+\}|\^|\$|[^\s()|\[\]{}^$]+)")


class RuleError(Exception):
    """A rule file that cannot be used; the text names file, line and key, and what was expected."""

    code = "rule-invalid"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to listen for."""

    id: str
    signal: str
    speaker: Speaker
    severity: Severity
    strength: float
    phrases: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    anchors: tuple[frozenset[str], ...]
    """For each pattern, words of which one must have been heard; empty: any words will do."""
    unless: tuple[re.Pattern[str], ...]
    silent_when: frozenset[str]
    """Of negated, reported, conditional, asked."""
    cool_down_ms: int
    fires: tuple[str, ...]
    silent: tuple[str, ...]
    version: str
    source: str
    """File and line, for people."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules in force."""

    rules: tuple[Rule, ...]
    version: str
    """First 12 hex digits of SHA-256 over the files."""

    def check(self) -> list[str]:
        """Every example that does not do what it should, one line each; empty when all is well."""
        from detectors.phrases import PhraseDetector

        judge = PhraseDetector(self)
        problems = []
        for rule in self.rules:
            for wanted, examples in ((True, rule.fires), (False, rule.silent)):
                for text in examples:
                    if any(signal.rule == rule.id for signal in judge.find(text, rule.speaker)) != wanted:
                        says = "should fire but is silent" if wanted else "should be silent but fires"
                        problems.append(f"{rule.source}: {rule.id}: {says} on {text!r}")
        return problems

    def phrases(self) -> Sequence[str]:
        """Words worth expecting: the plain phrases of the customer's rules, without alternatives or gaps."""
        return tuple(
            dict.fromkeys(
                phrase
                for rule in self.rules
                if rule.speaker is Speaker.CUSTOMER
                for phrase in rule.phrases
                if re.fullmatch(r"[a-z' ]+", phrase)
            )
        )

    def literals(self) -> frozenset[str]:
        """Every word that some pattern needs."""
        return frozenset(word for rule in self.rules for anchors in rule.anchors for word in anchors)


def load_rules(paths: Sequence[Path] | Path | None = None, *, extra: Sequence[Path] | Path | None = None) -> Rulebook:
    """The rules of the given files or folders (default: those shipped), and those of `extra` after them."""
    files = _files(paths if paths else SHIPPED) + _files(extra or ())
    classes = _classes(SHIPPED / "classes.toml")
    for file in files:
        if file.name == "classes.toml":
            classes |= _classes(file)
    digest = hashlib.sha256()
    rules: list[Rule] = []
    seen: dict[str, str] = {}
    for file in [SHIPPED / "classes.toml", *files]:
        digest.update(_text(file).encode())
        if file.name == "classes.toml":
            continue
        for rule in _rules(file, classes):
            if rule.id in seen:
                raise RuleError(
                    f"{rule.source}: id: {rule.id!r} is taken by {seen[rule.id]}; expected an id of its own"
                )
            seen[rule.id] = rule.source
            rules.append(rule)
    return Rulebook(tuple(rules), digest.hexdigest()[:12])


def _files(paths: Sequence[Path] | Path) -> list[Path]:
    out: list[Path] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        out += sorted(Path(path).glob("*.toml")) if Path(path).is_dir() else [Path(path)]
    return out


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{file}: cannot be read ({error}); expected a rule file in UTF-8") from None


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"{file}: not TOML: {error}") from None


def _classes(file: Path) -> dict[str, str]:
    found = {}
    for name, words in _toml(file).items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise RuleError(f"{file}: {name}: expected a list of words")
        found[name] = "(" + "|".join(words) + ")"
    return found


def _rules(file: Path, classes: Mapping[str, str]) -> list[Rule]:
    data = _toml(file)
    for name in data.keys() - _HEAD:
        raise RuleError(f"{file}: {name}: unknown; expected one of {', '.join(sorted(_HEAD))}")
    for name in ("version", "owner", "language"):
        if not isinstance(data.get(name), str):
            raise RuleError(f"{file}: {name}: expected a text at the head of the file")
    if not isinstance(data.get("rule"), list):
        raise RuleError(f"{file}: rule: expected at least one [[rule]]")
    starts = [n for n, text in enumerate(_text(file).splitlines(), 1) if text.strip() == "[[rule]]"]
    places = starts + [starts[-1] if starts else 1] * len(data["rule"])
    return [
        _rule(raw, f"{file.name}:{place}", data["version"], classes)
        for raw, place in zip(data["rule"], places, strict=False)
    ]


def _rule(raw: dict[str, Any], source: str, version: str, classes: Mapping[str, str]) -> Rule:
    def wrong(name: str, expected: str) -> RuleError:
        return RuleError(f"{source}: {raw.get('id', 'rule')}: {name}: expected {expected}")

    for name in raw.keys() - _KEYS:
        raise wrong(name, f"one of {', '.join(sorted(_KEYS))}")
    if not isinstance(raw.get("id"), str):
        raise wrong("id", "a text such as 'influence.my-guy'")
    if raw.get("signal") not in SIGNAL_IDS:
        raise wrong("signal", f"one of {', '.join(sorted(SIGNAL_IDS))}")
    if raw.get("speaker", "customer") not in ("customer", "agent"):
        raise wrong("speaker", "customer or agent")
    if raw.get("severity", "note") not in ("note", "help", "urgent"):
        raise wrong("severity", "note, help or urgent")
    strength = raw.get("strength", 0.8)
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 < strength <= 1:
        raise wrong("strength", "a number above 0, at most 1")
    cool = raw.get("cool_down_s", 0)
    if isinstance(cool, bool) or not isinstance(cool, int) or cool < 0:
        raise wrong("cool_down_s", "whole seconds, 0 or more")
    for name in ("phrases", "unless", "silent_when", "fires", "silent"):
        if not isinstance(raw.get(name, []), list) or not all(isinstance(text, str) for text in raw.get(name, [])):
            raise wrong(name, "a list of texts")
    for name in ("phrases", "fires"):
        if not raw.get(name):
            raise wrong(name, "at least one text")
    for name in raw.get("silent_when", []):
        if name not in _POLICIES:
            raise wrong("silent_when", f"only {', '.join(_POLICIES)}")
    compiled = []
    for name in ("phrases", "unless"):
        for phrase in raw.get(name, []):
            try:
                compiled.append((name, *compile_phrase(phrase, classes)))
            except ValueError as error:
                raise wrong(name, f"a phrase pattern; {phrase!r}: {error}") from None
    return Rule(
        id=raw["id"],
        signal=raw["signal"],
        speaker=Speaker(raw.get("speaker", "customer")),
        severity=Severity[raw.get("severity", "note").upper()],
        strength=float(strength),
        phrases=tuple(raw["phrases"]),
        patterns=tuple(pattern for name, pattern, _ in compiled if name == "phrases"),
        anchors=tuple(anchors for name, _, anchors in compiled if name == "phrases"),
        unless=tuple(pattern for name, pattern, _ in compiled if name == "unless"),
        silent_when=frozenset(raw.get("silent_when", [])),
        cool_down_ms=cool * 1000,
        fires=tuple(raw["fires"]),
        silent=tuple(raw.get("silent", [])),
        version=version,
        source=source,
    )


def compile_phrase(phrase: str, classes: Mapping[str, str]) -> tuple[re.Pattern[str], frozenset[str]]:
    """A phrase pattern as a regular expression over " word word word ", and its anchor words.

    Words stand for themselves; `word*` for any ending; `*` for any word; (a|b c) for alternatives; [a] for what may be
    missing; `...` for
    up to three words; {name} for a class; ^ and $ for the ends of what was said. Errors: ValueError in plain words.
    """
    for name in re.findall(r"\{([a-z_]+)\}", phrase):
        if name not in classes:
            raise ValueError(f"no class {{{name}}} in classes.toml")
    phrase = re.sub(r"\{([a-z_]+)\}", lambda found: classes[found[1]], phrase)
    parts = _PARTS.findall(phrase)
    if "".join(parts) != re.sub(r"\s", "", phrase):
        raise ValueError("a { or } has no partner")
    out: list[str] = []
    open_: list[str] = []
    outside: list[frozenset[str]] = []
    group: list[set[str]] = []
    for part in parts:
        if part in "([" and part:
            open_.append(part)
            out.append("(?:")
            if len(open_) == 1:
                group = [set()]
        elif part in ")]":
            if not open_ or open_.pop() != {")": "(", "]": "["}[part]:
                raise ValueError(f"{part} has no partner")
            out.append(")" if part == ")" else ")?")
            if not open_ and part == ")" and all(group):
                outside.append(frozenset(word for words in group for word in words))
        elif part == "|":
            if not open_:
                raise ValueError("| stands outside ( )")
            out.append("|")
            if len(open_) == 1:
                group.append(set())
        elif part == "...":
            out.append(rf"(?: \S+){{0,{GAP_WORDS}}}?")
        elif part == "^":
            out.append(r"\A(?: (?:and|but|so|well|okay|ok|oh|right|yes|yeah|um|uh|now|alright))*")
        elif part == "$":
            out.append(r"(?= $)")
        else:
            if part == "*":
                out.append(r" \S+")
                continue
            words = plain(part.rstrip("*"))
            if not words:
                raise ValueError(f"{part!r} is no word")
            star = part.endswith("*")
            out.append("".join(f" {word}" for word in words) + (r"\w*" if star else ""))
            if open_ and "[" not in open_:
                group[-1] |= {"*"} if star else set(words)
            elif not open_ and not star:
                outside.append(frozenset(words[:1]))
    if open_:
        raise ValueError(f"{open_[-1]} is not closed")
    usable = [words for words in outside if words and "*" not in words]
    anchors = (
        min(usable, key=lambda words: (-max(map(len, words)) if len(words) == 1 else 0, len(words)))
        if usable
        else frozenset()
    )
    return re.compile("".join(out) + "(?= )"), anchors
