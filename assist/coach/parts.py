"""The playbook's data model: steps of a method, plays that answer signals, Plan B options."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from detectors.signals import Level, Severity

_TIERS = {"note": Severity.NOTE, "help": Severity.HELP, "urgent": Severity.URGENT}

_UNPRINTABLE = frozenset(("Cc", "Cs", "Cn"))
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Change the direction of the text that follows them."""

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]


def _one_line(text: str) -> str:
    """The text on one line: breaks and tabs become spaces; no-break spaces and joiners are kept."""
    line = re.sub(r"[\t\n\v\f\r\x85\u2028\u2029]+", " ", text).strip()
    if text and (
        not line or any(unicodedata.category(each) in _UNPRINTABLE or each in _BIDI_CONTROLS for each in line)
    ):
        raise ValueError("expected one line of text that can be read")
    return line


Name = Annotated[str, AfterValidator(_one_line)]
"""Text that a page or a table shows on one line."""
Line = Annotated[str, Field(min_length=1), AfterValidator(_one_line)]
"""One line to say."""
Phrases = list[Annotated[str, Field(min_length=1)]]
"""Phrase patterns, written as in the rule files (detectors/rules): words, (a|b), [may be missing], word*, ..."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Table):
    """One step of the method."""

    id: Id
    title: Name = Field(min_length=1, max_length=24, description="as it stands on the agent's screen")
    looks_like: str = Field("", description="what doing it sounds like, for people")
    ticked_by: list[str] = Field(default_factory=list, description="agent-side signals that tick it")
    words: Phrases = Field(default_factory=list, description="phrases in the agent's words that tick it as well")
    examples: list[str] = Field(default_factory=list, description="agent's lines that must tick it; checked")
    after: list[str] = Field(default_factory=list, description="steps to be done before this one is prompted")
    fits: list[str] = Field(default_factory=list, description="signals: just after one of them this step goes first")
    levels: list[Level] = Field(
        default_factory=lambda: [Level.ESCALATED], min_length=1, description="where its own prompt may come"
    )
    prompt: Name = Field("", description="title of its prompt, at most six words; empty: the step is never prompted")
    say: list[Line] = Field(default_factory=list, description="lines to say, several so that it stays sincere")
    avoid: Name = Field("", description="what not to say now")


class Play(_Table):
    """A prompt that answers signals at certain levels."""

    id: Id
    signals: list[str] = Field(min_length=1)
    levels: list[Level] = Field(default_factory=lambda: [Level.TENSE, Level.ESCALATED], min_length=1)
    step: str = Field("", description="the step it serves; empty: the first one that its acted_by signals tick")
    acted_by: list[str] = Field(default_factory=list, description="agent-side signals that end it as acted on")
    words: Phrases = Field(default_factory=list, description="phrases in the agent's words that end it as acted on")
    least: Literal["note", "help", "urgent"] = Field("note", description="only for signals of at least this severity")
    at_least: int = Field(1, ge=1, le=10, description="comes only when its signals were heard in so many utterances")
    after: list[str] = Field(default_factory=list, description="plays that must have been given (acted on or used)")
    tier: Literal["note", "help", "urgent"] = "help"
    title: Name = Field(min_length=1)
    say: list[Line] = Field(min_length=1)
    avoid: Name = ""
    most: int = Field(3, ge=1, le=10, description="times in one call")
    vary: bool = Field(False, description="which line comes first differs from call to call; for what comes often")
    alone: bool = Field(False, description="once shown, no step, no Plan B and no other play below urgent comes")

    @property
    def severity(self) -> Severity:
        """`tier` as a severity."""
        return _TIERS[self.tier]

    @property
    def min_severity(self) -> Severity:
        """`least` as a severity."""
        return _TIERS[self.least]


class Option(_Table):
    """One Plan B option: something of value to the customer, who may grant it, and when."""

    id: Id
    title: Name = Field(min_length=1, max_length=40)
    worth: Name = Field(description='what it is worth to the customer, such as "worth £12 to them"')
    value: float = Field(ge=0, description="to the customer, in the site's currency")
    cost: float = Field(ge=0, description="to the organisation")
    limits: dict[str, Annotated[float, Field(ge=0)]] = Field(
        description="role -> highest cost it may grant alone; a role not named must ask"
    )
    signals: list[str] = Field(default_factory=list, description="offered only when one of these was heard")
    reasons: Phrases = Field(
        default_factory=list, description="offered only when the customer said one of these: what the matter is about"
    )
    customers: list[str] = Field(
        default_factory=list, description="offered only to customers of these values, as the phone system names them"
    )
    per_customer: int = Field(0, ge=0, description="times one customer may have it in per_days; 0: no limit")
    per_days: int = Field(90, ge=1)
    expires: date | None = Field(None, description="the last day on which it is offered")
    bring_in: Name = Field("", description="who is brought in, such as supervisor or security; empty: the supervisor")
    timed: bool = Field(False, description="it needs a day and an hour: a callback at a set time")
    say: list[Line] = Field(default_factory=list, description="lines that offer it, shown when the agent takes it up")
    then: list[Line] = Field(
        default_factory=list, description="lines for when it was accepted; of a timed one where no time was named yet"
    )
    words: Phrases = Field(default_factory=list, description="phrases in the agent's words that offer it")


class Playbook(_Table):
    """A playbook, with all that it includes."""

    id: Id
    name: Name = Field(min_length=1)
    release: Name = Field(min_length=1, description="the team's own version, such as 1.4")
    method: Name = Field(min_length=1, max_length=40, description="as it stands above the steps on the agent's screen")
    about: str = Field("", description="when to choose it, in a sentence or two")
    steps: list[Step] = Field(min_length=1, max_length=8)
    plays: list[Play] = Field(default_factory=list)
    options: list[Option] = Field(default_factory=list)
    version: str = ""

    @property
    def outline(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The method's name and its steps (id, title), as the agent's page shows them."""
        return self.method, tuple((step.id, step.title) for step in self.steps)

    def option(self, wanted: str) -> Option | None:
        """The Plan B option of that id."""
        return next((option for option in self.options if option.id == wanted), None)

    def step(self, wanted: str) -> Step | None:
        """The step of that id."""
        return next((step for step in self.steps if step.id == wanted), None)

    def ladder_depth(self, play: Play) -> int:
        """How many plays must have been acted on one after the other before this one (see `Play.after`)."""
        before = [other for other in self.plays if other.id in play.after]
        return max((1 + self.ladder_depth(other) for other in before), default=0)

    def served(self, play: Play) -> Step | None:
        """The step a play serves: the one it names, or else the first one that its `acted_by` signals tick."""
        if play.step:
            return self.step(play.step)
        return next((step for step in self.steps if set(step.ticked_by) & set(play.acted_by)), None)
