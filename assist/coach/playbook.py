"""A playbook: a method with its steps, the plays that answer signals, and the Plan B options. TOML, validated."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detectors.signals import AGENT_STEPS, SIGNAL_IDS, Level, Severity

SHIPPED = files("assist") / "playbooks"
TITLE_WORDS = 6
SAY_WORDS = 20
"""Half a second of attention (market study 6d): title <= 6 words, line to say <= 20 words."""
_PLACEHOLDER = re.compile(r"{(\w*)}")
_KNOWN = {"agent"}
_TIERS = {"note": Severity.NOTE, "help": Severity.HELP, "urgent": Severity.URGENT}

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]


class PlaybookError(Exception):
    """A playbook cannot be used; the text names file, line or key, and what was expected."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Part):
    """One step of the method."""

    id: Id
    title: str = Field(min_length=1, max_length=24, description="as it stands on the agent's screen")
    looks_like: str = Field("", description="what doing it sounds like, in the agent's words")
    ticked_by: list[str] = Field(default_factory=list, description="agent-side signals that tick it")
    prompt: str = Field("", description="title of its prompt, at most six words; empty: the step is never prompted")
    say: list[str] = Field(default_factory=list, description="lines to say, several so that it stays sincere")
    avoid: str = ""


class Play(_Part):
    """An answer to signals at certain levels."""

    id: Id
    signals: list[str] = Field(min_length=1)
    levels: list[Level] = Field(default_factory=lambda: [Level.TENSE, Level.ESCALATED])
    step: str = Field("", description="the step it serves; its words tick it and end the prompt")
    acted_by: list[str] = Field(default_factory=list, description="agent-side signals that end it as acted on")
    tier: Literal["note", "help", "urgent"] = "help"
    title: str = Field(min_length=1)
    say: list[str] = Field(min_length=1)
    avoid: str = ""
    most: int = Field(3, ge=1, le=10, description="times in one call")

    @property
    def severity(self) -> Severity:
        """The tier as the number the rest of the program uses."""
        return _TIERS[self.tier]


class Option(_Part):
    """One Plan B option: something of value to give, who may give it, and when."""

    id: Id
    title: str = Field(min_length=1, max_length=40)
    worth: str = Field(description='what it is worth to the customer, such as "worth £12 to them"')
    value: float = Field(ge=0, description="to the customer, in the site's currency")
    cost: float = Field(ge=0, description="to the organisation")
    limits: dict[str, float] = Field(description="role -> highest cost it may grant alone; a role not named must ask")
    signals: list[str] = Field(default_factory=list, description="offered first when these were heard")
    bring_in: str = Field("", description="who is brought in, such as supervisor")
    per_call: int = Field(1, ge=1, le=5)
    expires: str = Field("", description="ISO date after which it is no longer offered")


class Playbook(_Part):
    """The whole of it."""

    id: Id
    name: str
    release: str = Field(description="the team's own version, such as 1.4")
    method: str = Field(description="as it stands above the steps on the agent's screen")
    steps: list[Step] = Field(min_length=1, max_length=8)
    plays: list[Play]
    options: list[Option] = Field(default_factory=list)
    version: str = ""

    def option(self, wanted: str) -> Option | None:
        """The Plan B option of that id."""
        return next((option for option in self.options if option.id == wanted), None)


def list_playbooks() -> list[str]:
    """Names of the shipped playbooks."""
    names = (entry.name for entry in SHIPPED.iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml") and name != "options.toml")


def load_playbook(playbook: str | Path, *, options: Path | None = None) -> Playbook:
    """A shipped playbook by name, or a TOML file; with the Plan B options of `options` or the shipped examples.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-unreadable, playbook-invalid: the first problem, as a line.
    """
    book, problems = _load(playbook, options)
    if problems or book is None:
        raise PlaybookError("playbook-invalid", problems[0])
    return book


def check_playbook(playbook: str | Path, *, options: Path | None = None) -> list[str]:
    """Every problem as one line that names file, line or key, and what was expected; empty when it is sound."""
    try:
        return _load(playbook, options)[1]
    except PlaybookError as error:
        return [str(error)]


def copy_playbook(base: str, out: Path) -> None:
    """A shipped playbook as a file of one's own.

    Raises:
        PlaybookError: codes playbook-unknown, playbook-exists, playbook-unwritable.
    """
    _, text = _read(base)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise PlaybookError("playbook-exists", f"{out} is there already: choose another name") from None
    except OSError as error:
        raise PlaybookError("playbook-unwritable", f"{out}: {error.strerror}") from None


def diff_playbooks(before: Playbook, after: Playbook) -> list[str]:
    """What differs, one line each: parts gone or new, and every field that changed."""
    lines = []
    for kind in ("steps", "plays", "options"):
        old = {part.id: part for part in getattr(before, kind)}
        new = {part.id: part for part in getattr(after, kind)}
        lines += [f"- {kind}.{each}" for each in old if each not in new]
        lines += [f"+ {kind}.{each}" for each in new if each not in old]
        for each in old.keys() & new.keys():
            fields = type(old[each]).model_fields
            changed = [f for f in fields if getattr(old[each], f) != getattr(new[each], f)]
            lines += [f"~ {kind}.{each}.{f}: {getattr(old[each], f)} -> {getattr(new[each], f)}" for f in changed]
    return sorted(lines, key=lambda line: line[2:])


def _load(playbook: str | Path, options: Path | None) -> tuple[Playbook | None, list[str]]:
    place, text = _read(playbook)
    given = _parsed(place, text)
    digest = text
    if options is not None or "options" not in given:
        options_place, options_text = _read(options or "options")
        given["options"] = _parsed(options_place, options_text).get("options", [])
        digest += options_text
    try:
        book = Playbook.model_validate(given)
    except ValidationError as error:
        return None, [_line(place, text, each) for each in error.errors(include_url=False)]
    fingerprint = hashlib.sha256(digest.encode()).hexdigest()[:8]
    book = book.model_copy(update={"version": f"{book.id} {book.release} ({fingerprint})"})
    return book, [f"{place}: {problem}" for problem in _problems(book)]


def _read(playbook: str | Path) -> tuple[str, str]:
    name = str(playbook)
    if isinstance(playbook, str) and re.fullmatch(r"[a-z0-9-]+", name):
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


def _parsed(place: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlaybookError("playbook-invalid", f"{place}: not valid TOML: {error}") from None


def _line(place: str, text: str, error: Any) -> str:
    """One problem as pydantic found it, with the line of the table it stands in."""
    path = [str(part) for part in error["loc"]]
    where = place
    if len(path) > 1 and path[1].isdigit():
        tables = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() == f"[[{path[0]}]]"]
        if int(path[1]) < len(tables):
            where = f"{place}:{tables[int(path[1])]}"
    return f"{where}: {'.'.join(path)}: {error['msg']}"


def _problems(book: Playbook) -> list[str]:
    found: list[str] = []
    for kind, parts in (("steps", book.steps), ("plays", book.plays), ("options", book.options)):
        ids = [part.id for part in parts]
        found += [f"{kind}: {each!r} stands twice: expected every id once" for each in sorted(_twice(ids))]
    steps = {step.id for step in book.steps}
    said: list[str] = []
    for step in book.steps:
        where = f"steps.{step.id}"
        found += _unknown(where, step.ticked_by, frozenset(AGENT_STEPS), "agent steps")
        if not step.ticked_by and not step.say:
            found.append(f"{where}: cannot be reached: expected ticked_by (agent steps) or lines to say")
        if step.say and not step.prompt:
            found.append(f"{where}: has lines to say but no prompt: expected a title of at most {TITLE_WORDS} words")
        found += _words(where, step.prompt, step.say)
        said += step.say
    for play in book.plays:
        where = f"plays.{play.id}"
        found += _unknown(where, play.signals, SIGNAL_IDS, "signals")
        found += _unknown(where, play.acted_by, frozenset(AGENT_STEPS), "agent steps")
        if play.step and play.step not in steps:
            found.append(f"{where}.step: no step {play.step!r}: expected one of {', '.join(sorted(steps))}")
        if Level.CALM in play.levels and play.tier != "urgent" and len(play.levels) == 1:
            found.append(f"{where}.levels: a calm call gets no card: expected tense, escalated or recovering as well")
        found += _words(where, play.title, play.say)
        said += play.say
    found += [f"the line {line!r} stands twice: expected every line once" for line in sorted(_twice(said))]
    for option in book.options:
        where = f"options.{option.id}"
        found += _unknown(where, option.signals, SIGNAL_IDS, "signals")
        if not option.limits:
            found.append(f"{where}.limits: nobody may grant it: expected a role, such as {{supervisor = 100}}")
        elif max(option.limits.values()) < option.cost:
            found.append(f"{where}.cost: {option.cost:g} is over every limit: raise one, or make it cost less")
        if option.expires and not re.fullmatch(r"\d{4}-\d\d-\d\d", option.expires):
            found.append(f"{where}.expires: {option.expires!r}: expected a date such as 2027-01-31")
    return found


def _twice(values: list[str]) -> set[str]:
    return {value for value in values if values.count(value) > 1}


def _unknown(where: str, given: list[str], known: frozenset[str], what: str) -> list[str]:
    return [
        f"{where}: {each!r} is none of the {what}: {', '.join(sorted(known))}" for each in given if each not in known
    ]


def _words(where: str, title: str, lines: list[str]) -> list[str]:
    found = []
    if len(title.split()) > TITLE_WORDS:
        found.append(f"{where}: title {title!r} has {len(title.split())} words: expected at most {TITLE_WORDS}")
    for line in lines:
        if len(line.split()) > SAY_WORDS:
            found.append(f"{where}.say: {line!r} has {len(line.split())} words: expected at most {SAY_WORDS}")
        for name in set(_PLACEHOLDER.findall(line)) - _KNOWN:
            found.append(f"{where}.say: {{{name}}} is no placeholder: expected {{agent}}")
        if "!" in line:
            found.append(f"{where}.say: {line!r}: expected no exclamation mark")
    return found
