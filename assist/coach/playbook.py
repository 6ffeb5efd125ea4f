"""Playbooks from TOML: a file and what it includes become one playbook, or lines that say what is wrong and where.

A file may `include` others (shipped ones by name, own ones by path) and `leave_out` parts of them; a part of its own
with the id of an included one takes its place. So what all methods share (urgent plays, the abuse ladder) stands once.
What stands first goes first where several plays answer: a file's own parts, then those of its includes in their order.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from assist.coach.checks import problems_of, problems_with_rules
from assist.coach.parts import Option, Play, Playbook, Step
from detectors.rulebook import Rulebook

SHIPPED = files("assist") / "playbooks"
TESTS = ".test.toml"
"""A playbook's scripted conversations stand beside it: mine.toml, mine.test.toml."""
_KINDS: dict[str, type[Step] | type[Play] | type[Option]] = {"steps": Step, "plays": Play, "options": Option}
_HEAD = {"include", "leave_out", "id", "name", "release", "method", "about", *_KINDS}
_NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)?")


class PlaybookError(Exception):
    """A playbook cannot be used; the text names file, line or key, and what was expected."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Placed:
    """A table of a file, with the lines its keys stand on."""

    table: dict[str, Any]
    file: str
    line: int = 0
    keys: dict[str, int] = field(default_factory=dict)

    def place(self, key: str = "") -> str:
        line = self.keys.get(key, self.line)
        return f"{self.file}:{line}" if line else self.file


@dataclass(slots=True)
class _Gathered:
    """A file with everything it includes."""

    head: _Placed
    parts: dict[str, dict[str, _Placed]]
    digest: str
    problems: list[str]


def list_playbooks() -> list[str]:
    """Names of the shipped playbooks."""
    names = [entry.name for entry in SHIPPED.iterdir() if entry.is_file()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml") and not name.endswith(TESTS))


def load_playbook(playbook: str | Path, *, options: Path | None = None) -> Playbook:
    """A shipped playbook by name, or a TOML file; `options` takes the place of the Plan B options it has.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-unreadable, playbook-invalid: the first problem, as a line.
    """
    book, problems = _load(playbook, options)
    if problems or book is None:
        raise PlaybookError("playbook-invalid", problems[0])
    return book


def check_playbook(playbook: str | Path, *, options: Path | None = None, rules: Rulebook | None = None) -> list[str]:
    """Every problem as one line that names file, line or key, and what was expected; empty when it is sound.

    With `rules` also what only they can tell: examples that do not tick their step, lines heard as a misstep.
    """
    try:
        return _load(playbook, options, rules)[1]
    except PlaybookError as error:
        return [str(error)]


def digest_of(playbook: str | Path, *, options: Path | None = None) -> str:
    """A fingerprint of the text of a playbook and of all it includes; changes when any of it does.

    Raises:
        PlaybookError: it, or something it includes, cannot be read.
    """
    return _gather(playbook, options).digest


def copy_playbook(base: str, out: Path) -> None:
    """A shipped playbook as a file of one's own, with its written calls beside it.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-exists, playbook-unwritable.
    """
    copies = {out: read_text(base)[1]}
    written_calls = SHIPPED / f"{base}{TESTS}"
    if written_calls.is_file():
        copies[Path(str(out).removesuffix(".toml") + TESTS)] = written_calls.read_text(encoding="utf-8")
    for path, text in copies.items():
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise PlaybookError("playbook-exists", f"{path} is there already: choose another name") from None
        except OSError as error:
            raise PlaybookError("playbook-unwritable", f"{path}: {error.strerror}") from None


def read_text(playbook: str | Path) -> tuple[str, str]:
    """The name of a shipped playbook's or other file, for people, and its text.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-unreadable.
    """
    name = str(playbook)
    if isinstance(playbook, str) and _NAME.fullmatch(name):
        entry = SHIPPED / f"{name}.toml"
        if not entry.is_file():
            known = ", ".join(list_playbooks())
            raise PlaybookError("playbook-unknown", f"no playbook {name!r}: expected one of {known}, or a .toml file")
        return f"{name}.toml", entry.read_text(encoding="utf-8")
    try:
        return name, Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise PlaybookError("playbook-unreadable", f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PlaybookError("playbook-unreadable", f"{name}: not a text file in UTF-8") from None


def parse(place: str, text: str) -> dict[str, Any]:
    """TOML as a table.

    Raises:
        PlaybookError: code playbook-invalid, with the file and the parser's own line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlaybookError("playbook-invalid", f"{place}: not valid TOML: {error}") from None


def _load(
    playbook: str | Path, options: Path | None, rules: Rulebook | None = None
) -> tuple[Playbook | None, list[str]]:
    gathered = _gather(playbook, options)
    head, problems = gathered.head, gathered.problems
    parts = {kind: list(found.values()) for kind, found in gathered.parts.items()}
    given = {key: value for key, value in head.table.items() if key not in ("include", "leave_out", *_KINDS)}
    given |= {kind: [placed.table for placed in found] for kind, found in parts.items()}
    try:
        book = Playbook.model_validate(given)
    except ValidationError as error:
        return None, [*problems, *(_line(head, parts, each) for each in error.errors(include_url=False))]
    book = book.model_copy(update={"version": f"{book.id} {book.release} ({gathered.digest})"})
    found = [*problems_of(book), *(problems_with_rules(book, rules) if rules is not None else ())]
    for kind, part, key, text in found:
        placed = gathered.parts.get(kind, {}).get(part, head)
        where = f"{kind}.{part}" if part else ""
        problems.append(f"{placed.place(key)}: {'.'.join(filter(None, (where, key)))}: {text}")
    return book, problems


def _gather(playbook: str | Path, options: Path | None) -> _Gathered:
    gathered = _with_includes(playbook, ())
    if options is not None:
        other = _with_includes(options, ())
        gathered.parts["options"] = other.parts["options"]
        gathered.problems += other.problems
        gathered.digest = hashlib.sha256((gathered.digest + other.digest).encode()).hexdigest()[:8]
    return gathered


def _with_includes(playbook: str | Path, above: tuple[str, ...]) -> _Gathered:
    name, text = read_text(playbook)
    place = str(Path(name).resolve()) if name == str(playbook) else name  # a shipped one has only its name
    if place in above:
        raise PlaybookError("playbook-invalid", f"{above[-1]}: include: {place} includes itself: leave one of them out")
    table = parse(name, text)
    problems = []
    parts: dict[str, dict[str, _Placed]] = {kind: {} for kind in _KINDS}
    digest = hashlib.sha256(text.encode())
    head = _Placed(table, name, 0, _key_lines(text.splitlines(), 0))
    for other in _names(head, "include"):
        included = _with_includes(_included(name, other), (*above, place))
        digest.update(included.digest.encode())
        problems += included.problems
        for kind, found in included.parts.items():
            for part, placed in found.items():
                if part in parts[kind]:
                    first = parts[kind][part].file
                    problems.append(
                        f"{head.place('include')}: {kind}.{part} is in {first} and in {placed.file}: "
                        f"expected it once; include one of them, or write your own here"
                    )
                parts[kind][part] = placed
    for wanted in _names(head, "leave_out"):
        kind, _, part = wanted.partition(".")
        if parts.get(kind, {}).pop(part, None) is None:
            known = ", ".join(f"{kind}.{part}" for kind, found in parts.items() for part in found) or "no parts"
            problems.append(
                f"{head.place('leave_out')}: leave_out: {wanted!r} is not included: expected one of {known}"
            )
    own: dict[str, set[str]] = {kind: set() for kind in _KINDS}
    mine: dict[str, dict[str, _Placed]] = {kind: {} for kind in _KINDS}
    for kind, placed in _tables(name, text, table):
        part = str(placed.table.get("id", f"{kind} {len(own[kind]) + 1}"))
        if part in own[kind]:
            problems.append(f"{placed.place('id')}: {kind}: {part!r} stands twice: expected every id once")
        own[kind].add(part)
        mine[kind][part] = placed
    parts = {
        kind: mine[kind] | {part: placed for part, placed in found.items() if part not in own[kind]}
        for kind, found in parts.items()
    }
    problems += [
        f"{head.place(key)}: {key}: unknown key: expected one of {', '.join(sorted(_HEAD))}"
        for key in table
        if key not in _HEAD
    ]
    return _Gathered(
        _Placed({key: value for key, value in table.items() if key in _HEAD}, name, 0, head.keys),
        parts,
        digest.hexdigest()[:8],
        problems,
    )


def _names(head: _Placed, key: str) -> list[str]:
    names = head.table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PlaybookError("playbook-invalid", f"{head.place(key)}: {key}: expected a list of names in quotes")
    return names


def _included(name: str, other: str) -> str | Path:
    """A shipped file by name, or a file beside the one that includes it."""
    return other if _NAME.fullmatch(other) else Path(name).parent / other


def _tables(name: str, text: str, table: dict[str, Any]) -> Iterator[tuple[str, _Placed]]:
    lines = text.splitlines()
    for kind in _KINDS:
        begins = re.compile(rf"\s*\[\[\s*{kind}\s*\]\]\s*(#.*)?")
        starts = [n for n, line in enumerate(lines, 1) if begins.fullmatch(line)]
        found = table.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise PlaybookError("playbook-invalid", f"{name}: {kind}: expected tables that begin with [[{kind}]]")
        for n, each in enumerate(found):
            start = starts[n] if n < len(starts) else 0
            yield kind, _Placed(each, name, start, _key_lines(lines, start) if start else {})


def _key_lines(lines: list[str], start: int) -> dict[str, int]:
    """Key -> line number, from line `start` (the table's own; 0: the head of the file) to the next table."""
    found: dict[str, int] = {}
    for n, line in enumerate(lines[start:], start + 1):
        if line.startswith("["):
            break
        if key := re.match(r"([A-Za-z_][\w-]*)\s*=", line):
            found.setdefault(key[1], n)
    return found


def _line(head: _Placed, parts: dict[str, list[_Placed]], error: Any) -> str:
    """One problem as pydantic found it, at the line of its key."""
    loc = [str(step) for step in error["loc"]]
    placed, model, path = head, None, loc
    if len(loc) > 1 and loc[0] in parts and loc[1].isdigit():
        placed, model = parts[loc[0]][int(loc[1])], _KINDS[loc[0]]
        path = [loc[0], str(placed.table.get("id", loc[1])), *loc[2:]]
    key = loc[2] if model is not None and len(loc) > 2 else loc[0] if model is None else ""
    text = error["msg"]
    if error["type"] == "extra_forbidden" and model is not None:
        text = f"unknown key: expected one of {', '.join(model.model_fields)}"
    elif error["type"] == "missing":
        text = "missing: expected it here"
    return f"{placed.place(key)}: {'.'.join(path)}: {text}"
