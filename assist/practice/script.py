"""Scripts of practice calls, in TOML: the customer's lines, and which one follows which reply."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from assist.errors import AssistError, first_written_problem
from detectors.signals import AGENT_SIGNALS

SHIPPED = files("assist.practice") / "calls"
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Branch(_Table):
    """The line that follows; the first branch whose conditions hold is taken."""

    to: Id
    did: list[str] = Field(default_factory=list, description="any of these was heard in the reply to this line")
    has_done: list[str] = Field(default_factory=list, description="all of these were heard in the call so far")


class Line(_Table):
    """One line of the customer's."""

    id: Id
    say: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=600)]
    raised: bool = Field(False, description="said in a raised voice")
    branches: list[Branch] = Field(default_factory=list)
    end: bool = Field(False, description="the call is over after this line")


class Script(_Table):
    """One practice call."""

    id: Id
    title: str = Field(min_length=1)
    about: str = Field(description="what the trainee may know before the call, in a sentence or two")
    aim: str = Field("", description="what there is to practise")
    caller: str = "…0142"
    lines: list[Line] = Field(min_length=2, alias="line")

    def line(self, wanted: str) -> Line:
        """The line of that id."""
        return next(line for line in self.lines if line.id == wanted)

    def next_line(self, line: Line, reply: frozenset[str], so_far: frozenset[str]) -> Line | None:
        """The customer's next line; None: the call is over.

        Args:
            line: The last one.
            reply: Ids of the agent-side signals in the reply to it.
            so_far: The same of the whole call.
        """
        if line.end:
            return None
        for branch in line.branches:
            if (not branch.did or reply & set(branch.did)) and set(branch.has_done) <= so_far:
                return self.line(branch.to)
        following = self.lines.index(line) + 1
        return self.lines[following] if following < len(self.lines) else None


def list_scripts() -> list[str]:
    """Names of the shipped practice calls."""
    return sorted(entry.name.removesuffix(".toml") for entry in SHIPPED.iterdir() if entry.name.endswith(".toml"))


def load_script(name: str) -> Script:
    """A shipped practice call by name, or a TOML file.

    Raises:
        AssistError: codes practice-unknown, practice-unreadable, practice-invalid: the place and what was expected.
    """
    known = list_scripts()
    try:
        if name in known:
            text = (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")
        elif Path(name).suffix == ".toml":
            text = Path(name).read_text(encoding="utf-8-sig")
        else:
            expected = ", ".join(known)
            raise AssistError("practice-unknown", f"no practice call {name!r}: expected {expected}, or a .toml file")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise AssistError("practice-unreadable", f"{name}: {reason}") from None
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tables without an end; numbers of thousands of digits
        raise AssistError("practice-invalid", f"{name}: not valid TOML: {error}") from None
    try:
        script = Script.model_validate(table)
    except ValidationError as error:
        raise AssistError("practice-invalid", f"{name}: {first_written_problem(error, table, Script)}") from None
    if problems := problems_of(script):
        raise AssistError("practice-invalid", f"{name}: {problems[0]}")
    return script


def problems_of(script: Script) -> list[str]:
    """Problems of a script that the data model does not find, one line each."""
    ids = [line.id for line in script.lines]
    found = [
        f"line {each!r} stands twice: expected every id once" for each in sorted({i for i in ids if ids.count(i) > 1})
    ]
    for line in script.lines:
        for branch in line.branches:
            if branch.to not in ids:
                found.append(f"line {line.id}: to: no line {branch.to!r}: expected one of {', '.join(ids)}")
            for each in sorted({*branch.did, *branch.has_done} - AGENT_SIGNALS):
                found.append(f"line {line.id}: {each!r} is none of: {', '.join(sorted(AGENT_SIGNALS))}")
        if line.end and line.branches:
            found.append(f"line {line.id}: ends the call and branches: expected one of the two")
    return found or _unreachable(script)


def _unreachable(script: Script) -> list[str]:
    reached: list[Line] = [script.lines[0]]
    for line in reached:
        following = {branch.to for branch in line.branches}
        place = script.lines.index(line) + 1
        always = any(not branch.did and not branch.has_done for branch in line.branches)
        if not line.end and not always and place < len(script.lines):
            following.add(script.lines[place].id)
        reached += [script.line(each) for each in sorted(following) if script.line(each) not in reached]
    lost = [line.id for line in script.lines if line not in reached]
    found = [f"line {each}: cannot be reached from the first line" for each in lost]
    if not any(line.end for line in reached):
        found.append("no line with end = true can be reached: the call would never end")
    return found
