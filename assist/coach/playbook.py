"""Loads playbooks from TOML: a file and its includes become one playbook, or lines that say what is wrong and where.

A file may `include` others (shipped ones by name, own ones by path) and `leave_out` parts of them; a part of its own
replaces an included one of the same id. So what all methods share (urgent plays, the abuse ladder) is written once.
The order, which decides between plays: a file's own parts, then those of its includes.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from assist.coach.checks import problems_of, problems_with_rules
from assist.coach.parts import Option, Play, Playbook, Step
from assist.errors import expectation, part_label
from detectors.rulebook import Rulebook

SHIPPED = files("assist") / "playbooks"
TEST_SUFFIX = ".test.toml"
"""A playbook's scripted test conversations are beside it: mine.toml, mine.test.toml."""
_KINDS: dict[str, type[Step] | type[Play] | type[Option]] = {"steps": Step, "plays": Play, "options": Option}
_TOP_LEVEL_KEYS = {"include", "leave_out", "id", "name", "release", "method", "about", *_KINDS}
_SHIPPED_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?")
MAX_FILE_NAME_CHARS = 300
"""Characters of a file name in a message."""


class PlaybookError(Exception):
    """A playbook cannot be used; the text names file, line or key, and what was expected."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _LocatedTable:
    """A table of a file, with line numbers (from 1; 0: unknown) of its header and keys."""

    table: dict[str, Any]
    file: str
    line: int = 0
    keys: dict[str, int] = field(default_factory=dict)

    def location(self, key: str = "") -> str:
        """FILE:LINE of a key, or of the table."""
        line = self.keys.get(key, self.line)
        return f"{self.file}:{line}" if line else self.file


@dataclass(slots=True)
class _Merged:
    """A file merged with everything it includes."""

    head: _LocatedTable
    """The file's top-level keys."""
    parts: dict[str, dict[str, _LocatedTable]]
    """Kind (see `_KINDS`) -> id -> part."""
    digest: str
    """First 8 hex digits of a SHA-256 of all texts."""
    problems: list[str]


def list_playbooks() -> list[str]:
    """Names of the shipped playbooks."""
    names = [entry.name for entry in SHIPPED.iterdir() if entry.is_file()]
    return sorted(
        name.removesuffix(".toml") for name in names if name.endswith(".toml") and not name.endswith(TEST_SUFFIX)
    )


def load_playbook(playbook: str | Path, *, options: Path | None = None) -> Playbook:
    """A shipped playbook by name, or a TOML file; the Plan B options of the file `options` replace its own.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-unreadable, playbook-invalid: the first problem, as a line.
    """
    book, problems = _load(playbook, options)
    if problems or book is None:
        raise PlaybookError("playbook-invalid", problems[0])
    return book


def check_playbook(playbook: str | Path, *, options: Path | None = None, rules: Rulebook | None = None) -> list[str]:
    """Every problem as one line that names file, line or key, and what was expected; empty when it is sound.

    With `rules` it is also checked against them: examples that do not tick their step, lines heard as a misstep.
    """
    try:
        return _load(playbook, options, rules)[1]
    except PlaybookError as error:
        return [str(error)]


def digest_of(playbook: str | Path, *, options: Path | None = None) -> str:
    """A digest of the text of a playbook and of all that it includes.

    Raises:
        PlaybookError: it, or something it includes, cannot be read.
    """
    return _merge(playbook, options).digest


def copy_playbook(base: str, out: Path) -> None:
    """A shipped playbook as a file of one's own, with its written calls beside it.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-misnamed, playbook-exists, playbook-unwritable.
    """
    if out.suffix != ".toml" or out.name.endswith(TEST_SUFFIX):
        raise PlaybookError("playbook-misnamed", f"{_printable(out)}: expected a file name such as my-team.toml")
    if base not in list_playbooks():
        raise _unknown(base, list_playbooks(), "")
    copies = {out: read_text(base)[1]}
    written_calls = SHIPPED / f"{base}{TEST_SUFFIX}"
    if written_calls.is_file():
        copies[Path(str(out).removesuffix(".toml") + TEST_SUFFIX)] = written_calls.read_text(encoding="utf-8")
    for path in copies:
        if os.path.lexists(path):
            raise PlaybookError("playbook-exists", f"{_printable(path)} is there already: choose another name")
    for path, text in copies.items():
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except (OSError, ValueError) as error:
            raise PlaybookError("playbook-unwritable", f"{_printable(path)}: {_reason(error)}") from None


def read_text(playbook: str | Path) -> tuple[str, str]:
    """The file name of a playbook, as shown to people, and its text.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-unreadable.
    """
    name = str(playbook)
    try:
        if isinstance(playbook, str) and (_SHIPPED_NAME.fullmatch(name) or not name.strip()):
            entry = SHIPPED / f"{name}.toml"
            if not entry.is_file():
                raise _unknown(name, list_playbooks())
            return f"{name}.toml", entry.read_text(encoding="utf-8")
        return _printable(name), Path(name).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        if isinstance(playbook, str) and not name.endswith(".toml"):
            raise _unknown(name, list_playbooks()) from None
        raise PlaybookError("playbook-unreadable", f"{_printable(name)}: {_reason(error)}") from None
    except UnicodeDecodeError:
        raise PlaybookError(
            "playbook-unreadable", f"{_printable(name)}: not a text file in UTF-8: save it as UTF-8"
        ) from None
    except (OSError, ValueError) as error:
        raise PlaybookError("playbook-unreadable", f"{_printable(name)}: {_reason(error)}") from None


def _unknown(name: str, known: list[str], otherwise: str = ", or a .toml file") -> PlaybookError:
    return PlaybookError("playbook-unknown", f"no playbook {name!r}: expected one of {', '.join(known)}{otherwise}")


def _printable(name: str | Path) -> str:
    """A file name for a message: one line of printable characters, shortened in the middle."""
    plain = "".join(each if each.isprintable() else "?" for each in str(name)) or "''"
    return (
        plain
        if len(plain) <= MAX_FILE_NAME_CHARS
        else f"{plain[: MAX_FILE_NAME_CHARS // 2]}…{plain[-MAX_FILE_NAME_CHARS // 2 :]}"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "no name that a file can have"


def parse(place: str, text: str) -> dict[str, Any]:
    """TOML as a table.

    Raises:
        PlaybookError: code playbook-invalid, with the file and the parser's own line and column.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tables without an end; numbers of thousands of digits
        raise PlaybookError("playbook-invalid", f"{place}: not valid TOML: {error}") from None


def _load(
    playbook: str | Path, options: Path | None, rules: Rulebook | None = None
) -> tuple[Playbook | None, list[str]]:
    merged = _merge(playbook, options)
    head, problems = merged.head, merged.problems
    parts = {kind: list(found.values()) for kind, found in merged.parts.items()}
    given = {key: value for key, value in head.table.items() if key not in ("include", "leave_out", *_KINDS)}
    given |= {kind: [located.table for located in found] for kind, found in parts.items()}
    try:
        book = Playbook.model_validate(given)
    except ValidationError as error:
        if not given.keys() & {"id", "name", "release", "method"}:
            text = "expected a playbook: id, name, release, method, steps; a part of one is named in an include"
            return None, [*problems, f"{head.file}: {text}"]
        return None, [*problems, *(_validation_message(head, parts, each) for each in error.errors(include_url=False))]
    book = book.model_copy(update={"version": f"{book.id} {book.release} ({merged.digest})"})
    found = [*problems_of(book), *(problems_with_rules(book, rules) if rules is not None else ())]
    for kind, part, key, text in found:
        located = merged.parts.get(kind, {}).get(part, head)
        where = f"{kind}.{part}" if part else ""
        problems.append(f"{located.location(key)}: {'.'.join(filter(None, (where, key)))}: {text}")
    return book, problems


def _merge(playbook: str | Path, options: Path | None) -> _Merged:
    merged = _with_includes(playbook, ())
    if options is not None:
        other = _with_includes(options, ())
        merged.parts["options"] = other.parts["options"]
        merged.problems += other.problems
        merged.digest = hashlib.sha256((merged.digest + other.digest).encode()).hexdigest()[:8]
    return merged


def _with_includes(playbook: str | Path, included_by: tuple[str, ...]) -> _Merged:
    """A file with its includes; `included_by`: the files that include it, outermost first."""
    name, text = read_text(playbook)
    place = str(Path(name).resolve()) if name == str(playbook) else name  # a shipped one has only its name
    if place in included_by:
        raise PlaybookError("playbook-round", f"include: {place} includes itself: leave one of them out")
    table = parse(name, text)
    problems = []
    parts: dict[str, dict[str, _LocatedTable]] = {kind: {} for kind in _KINDS}
    digest = hashlib.sha256(text.encode())
    head = _LocatedTable(table, name, 0, _table_lines(text.splitlines()) | _key_lines(text.splitlines(), 0))
    includes = _name_list(head, "include")
    problems += [
        f"{head.location('include')}: include: {other!r} stands twice: expected it once"
        for other in dict.fromkeys(includes)
        if includes.count(other) > 1
    ]
    for other in dict.fromkeys(includes):
        try:
            included = _with_includes(_include_path(playbook, other), (*included_by, place))
        except PlaybookError as error:
            raise _include_error(head, other, error) from None
        digest.update(included.digest.encode())
        problems += included.problems
        for kind, found in included.parts.items():
            for part, located in found.items():
                if part in parts[kind]:
                    first = parts[kind][part].file
                    problems.append(
                        f"{head.location('include')}: {kind}.{part} is in {first} and in {located.file}: "
                        f"expected it once; include one of them, or write your own here"
                    )
                parts[kind][part] = located
    for wanted in _name_list(head, "leave_out"):
        kind, _, part = wanted.partition(".")
        if parts.get(kind, {}).pop(part, None) is None:
            known = ", ".join(f"{kind}.{part}" for kind, found in parts.items() for part in found) or "no parts"
            problems.append(
                f"{head.location('leave_out')}: leave_out: {wanted!r} is not included: expected one of {known}"
            )
    own: dict[str, dict[str, _LocatedTable]] = {kind: {} for kind in _KINDS}
    for kind, located in _part_tables(head, text):
        part = part_label(located.table, len(own[kind]))
        if part in own[kind]:
            problems.append(f"{located.location('id')}: {kind}: {part!r} stands twice: expected every id once")
        own[kind][part] = located
    parts = {
        kind: own[kind] | {part: located for part, located in found.items() if part not in own[kind]}
        for kind, found in parts.items()
    }
    problems += [
        f"{head.location(key)}: {_printable(key)}: unknown key: expected one of {', '.join(sorted(_TOP_LEVEL_KEYS))}"
        for key in table
        if key not in _TOP_LEVEL_KEYS
    ]
    return _Merged(
        _LocatedTable({key: value for key, value in table.items() if key in _TOP_LEVEL_KEYS}, name, 0, head.keys),
        parts,
        digest.hexdigest()[:8],
        problems,
    )


def _name_list(head: _LocatedTable, key: str) -> list[str]:
    names = head.table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PlaybookError("playbook-invalid", f"{head.location(key)}: {key}: expected a list of names in quotes")
    return names


def _include_path(playbook: str | Path, other: str) -> str | Path:
    """A shipped file by name, or a file beside the one that includes it."""
    return other if _SHIPPED_NAME.fullmatch(other) else Path(playbook).parent / other


def _include_error(head: _LocatedTable, other: str, error: PlaybookError) -> PlaybookError:
    """The error of an included file: of a file that cannot be used as such, at the line that includes it."""
    if error.code == "playbook-invalid":
        return error
    if error.code == "playbook-round":
        whole = replace(head, file=str(Path(head.file).resolve()))  # the chain may span folders
        return PlaybookError("playbook-invalid", f"{whole.location('include')}: {error}")
    known = [*(f"shared/{name}" for name in _shared_parts()), *list_playbooks()]
    unknown = error.code == "playbook-unknown" or not other.strip()
    text = _unknown(other, known) if unknown else f"{error}; expected a file beside it, or one of {', '.join(known)}"
    return PlaybookError("playbook-invalid", f"{head.location('include')}: include: {text}")


def _shared_parts() -> list[str]:
    """Names of the shipped files that playbooks include."""
    names = [entry.name for entry in (SHIPPED / "shared").iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def _part_tables(head: _LocatedTable, text: str) -> Iterator[tuple[str, _LocatedTable]]:
    """(kind, part) of each part in the file's own text."""
    lines = text.splitlines()
    for kind in _KINDS:
        begins = re.compile(rf"\s*\[\[\s*{kind}\s*\]\]\s*(#.*)?")
        starts = [n for n, line in enumerate(lines, 1) if begins.fullmatch(line)]
        found = head.table.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise PlaybookError(
                "playbook-invalid", f"{head.location(kind)}: {kind}: expected tables that begin with [[{kind}]]"
            )
        for n, each in enumerate(found):
            start = starts[n] if n < len(starts) else 0
            yield kind, _LocatedTable(each, head.file, start, _key_lines(lines, start) if start else {})


def _key_lines(lines: list[str], start: int) -> dict[str, int]:
    """Key -> line number, from line `start` (the table's own; 0: the head of the file) to the next table."""
    found: dict[str, int] = {}
    for n, line in enumerate(lines[start:], start + 1):
        if line.lstrip().startswith("[[") or re.match(r"\s*\[[\w.-]+\]", line):
            break
        if key := re.match(r"""\s*["']?([A-Za-z_][\w-]*)["']?\s*=""", line):
            found.setdefault(key[1], n)
    return found


def _table_lines(lines: list[str]) -> dict[str, int]:
    """Name of a table -> line number of its first header."""
    heads = ((n, re.match(r"\s*\[\[?\s*([A-Za-z_][\w-]*)\s*\]", line)) for n, line in enumerate(lines, 1))
    found: dict[str, int] = {}
    for n, head in heads:
        if head is not None:
            found.setdefault(head[1], n)
    return found


def _validation_message(head: _LocatedTable, parts: dict[str, list[_LocatedTable]], error: Any) -> str:
    """A pydantic error as one line, with the location of its key."""
    loc = [str(step) for step in error["loc"]]
    located, model, path = head, None, loc
    if len(loc) > 1 and loc[0] in parts and loc[1].isdigit():
        located, model = parts[loc[0]][int(loc[1])], _KINDS[loc[0]]
        path = [loc[0], part_label(located.table, int(loc[1])), *loc[2:]]
    key = loc[2] if model is not None and len(loc) > 2 else loc[0] if model is None else ""
    return f"{located.location(key)}: {'.'.join(path)}: {expectation(error, model)}"
