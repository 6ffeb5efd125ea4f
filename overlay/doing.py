"""Page to server: what people do on the pages (overlay/contract.py has the whole contract)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from overlay.records import TYPED, Text

Name = Annotated[str, Field(min_length=1, max_length=120)]
"""An id or a person's name as pages may send it."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Do(_Said):
    call: Name
    n: int = Field(0, ge=0, description="the page's own number of this action, named where it is refused; 0: none")


class DoPrompt(_Do):
    """The agent has seen or answered a prompt. `seen`: it was drawn on a visible page."""

    do: Literal["prompt"]
    prompt: Name
    what: Literal["seen", "used", "dismissed", "wrong"]


class DoPlan(_Do):
    """A Plan B option: offered to the customer, asked of the supervisor, and the customer's answer."""

    do: Literal["plan"]
    option: Name
    what: Literal["offered", "asked", "accepted", "refused"]


class DoStep(_Do):
    """A step ticked, or unticked, by hand."""

    do: Literal["step"]
    step: Name
    done: bool


class DoHelp(_Do):
    """The agent asks for a supervisor."""

    do: Literal["help"]


class DoPause(_Do):
    """The agent pauses listening (a card number) or resumes it."""

    do: Literal["pause"]
    on: bool


class DoConsent(_Do):
    """The agent says what the customer has said about consent; refused erases what was kept."""

    do: Literal["consent"]
    consent: Literal["granted", "refused"]


class DoNote(_Do):
    """The agent's note on a call that is live or has just ended."""

    do: Literal["note"]
    text: Text


class DoSay(_Do):
    """Practice: the trainee's answer to the customer, in text."""

    do: Literal["say"]
    text: Annotated[str, Field(min_length=1, max_length=600), TYPED]


def _real_day(text: str) -> str:
    if text:
        date.fromisoformat(text)
    return text


class WrapUpFollowUpSet(_Said):
    """What the agent says about one follow-up; None: left as it is."""

    id: Name
    done: bool | None = None
    day: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$"), AfterValidator(_real_day)] | None = Field(
        None, description="ISO date"
    )


class DoWrapUp(_Do):
    """The agent keeps the wrap-up of a call that has ended: what was changed on the page.

    None: left as it is, which may be what somebody else has said since the page was drawn.
    """

    do: Literal["wrap-up"]
    outcome: Annotated[str, Field(max_length=120), TYPED] | None = Field(None, description="empty: as it was heard")
    root_cause: Annotated[str, Field(max_length=120), TYPED] | None = Field(None, description="empty: as it was heard")
    note: Annotated[str, Field(max_length=2000), TYPED] | None = Field(
        None, description="empty: none, also where one was kept before"
    )
    contested: Annotated[str, Field(max_length=2000), TYPED] | None = Field(
        None, description="why; empty: not contested"
    )
    follow_ups: list[WrapUpFollowUpSet] = Field(default=[], max_length=50)


class DoAlert(_Do):
    """Supervisor: an alert was seen (drawn on a visible page), is claimed, given back, resolved (and how).

    Refused in one line where somebody else has it.
    """

    do: Literal["alert"]
    alert: Name
    what: Literal["seen", "claim", "release", "resolve"]
    how: Literal["", "settled", "took over", "nothing needed"] = Field("", description="resolve only")
    note: Annotated[str, Field(max_length=500), TYPED] = Field(
        "", description="resolve only: a few words for the record"
    )


class DoAnswer(_Do):
    """Supervisor: answer to a request for an option over the agent's limit; resolves it."""

    do: Literal["answer"]
    alert: Name
    allow: bool
    text: Annotated[str, Field(max_length=280), TYPED] = Field(
        "", description="a few words to the agent with the answer"
    )


class DoTell(_Do):
    """Supervisor: a message to the agent's screen."""

    do: Literal["tell"]
    text: Annotated[str, Field(min_length=1, max_length=280), TYPED]


class DoWatch(_Do):
    """Supervisor: begins or stops reading along; `on: false` is also sent for a page that goes away."""

    do: Literal["watch"]
    on: bool


_AnyDo = (
    DoPrompt
    | DoPlan
    | DoStep
    | DoHelp
    | DoPause
    | DoConsent
    | DoNote
    | DoWrapUp
    | DoSay
    | DoAlert
    | DoAnswer
    | DoTell
    | DoWatch
)
Do = Annotated[_AnyDo, Field(discriminator="do")]
AGENT_ACTIONS = (DoPrompt, DoPlan, DoStep, DoHelp, DoPause, DoConsent, DoNote, DoWrapUp, DoSay)
SUPERVISOR_ACTIONS = (DoAlert, DoAnswer, DoTell, DoWatch)
DO: TypeAdapter[_AnyDo] = TypeAdapter(Do)
