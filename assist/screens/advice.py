"""What the coach gives the agent of one call, as the agent's page shows it: prompt, Plan B, steps, recovery clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assist.coach.prompting import DWELL_MS
from assist.events import PlanMoved, PlanOffered, PromptEnded, PromptShown, PromptsWaiting, Recovery, StepTicked
from assist.screens.call_alerts import TIERS
from assist.screens.rooms import Rooms
from assist.wording import label
from detectors.signals import Signal
from overlay import messages


@dataclass
class Advice:
    """Shown to the agent alone; the board's row names the prompt and option in use."""

    rooms: Rooms
    method: str
    steps: tuple[tuple[str, str], ...]
    """(step id, title), in order."""
    supervisor: str
    """Who is asked for an option that names nobody else."""
    clock: messages.Clock | None = None
    _prompt: PromptShown | None = None
    _options: tuple[messages.PlanOption, ...] = ()
    _option_states: dict[str, str] = field(default_factory=dict)
    """Option id -> its state, in the order of the last change."""
    _option_titles: dict[str, str] = field(default_factory=dict)
    """Option id -> title, of all options that changed, shown still or not."""
    _done_steps: set[str] = field(default_factory=set)
    _ticked_words: tuple[str, str] = ("", "")
    """The agent's words that ticked the last step, and its title."""
    _answers: dict[str, str] = field(default_factory=dict)
    """Alert id -> words of a supervisor with the answer to a request."""

    @property
    def in_use(self) -> str:
        """The prompt on screen, for the board."""
        return self._prompt.title if self._prompt is not None else ""

    def shows(self, prompt: PromptShown) -> bool:
        """Whether it is on screen."""
        return self._prompt is not None and self._prompt.id == prompt.id

    @property
    def plan(self) -> str:
        """The option that was accepted last, or offered last and is still shown, with its state; for the board."""
        on_screen = {option.id for option in self._options}
        for option, state in reversed(self._option_states.items()):
            if state == "accepted" or (state == "offered" and option in on_screen):
                return f"{self._option_titles[option]}, {state}"
        return ""

    def shown(self, prompt: PromptShown, signals: Mapping[str, Signal]) -> None:
        """A prompt is shown; `signals`: those of the call by key."""
        self._prompt = prompt
        names = [label(signals[key].id) for key in prompt.signals if key in signals]
        self.rooms.show_to_agent(
            "prompt",
            messages.Prompt.model_validate(
                {
                    "id": prompt.id,
                    "label": ", ".join(dict.fromkeys(names[:2])),
                    "title": prompt.title,
                    "say": prompt.say,
                    "why": list(prompt.why),
                    "tier": TIERS[prompt.tier],
                    "avoid": prompt.avoid,
                    "shown_at_ms": prompt.at_ms,
                    "dwell_ms": DWELL_MS.get(prompt.tier, 0),
                }
            ),
        )
        self.show_steps()

    def ended(self, event: PromptEnded) -> bool:
        """A prompt ends; returns whether it was the one on screen."""
        if self._prompt is None or self._prompt.id != event.id:
            return False
        self._prompt = None
        self.rooms.drop_from_agent("prompt")
        return True

    def waiting(self, event: PromptsWaiting) -> None:
        """The prompts that wait have changed."""
        if event.titles:
            self.rooms.show_to_agent("next", messages.Next(titles=list(event.titles[:2])))
        else:
            self.rooms.drop_from_agent("next")

    def offered(self, event: PlanOffered) -> None:
        """The options of Plan B have changed; none: it leaves the screen."""
        self._options = tuple(
            messages.PlanOption(
                id=option.id,
                title=option.title,
                worth=option.worth,
                authority="yours" if option.authority == "yours" else "ask",
                who="" if option.authority == "yours" else self._who_is_asked(option.bring_in),
            )
            for option in event.options[:3]
        )
        self._show_plan()

    def moved(self, event: PlanMoved) -> None:
        """An option's state changed by what was heard, by a supervisor's answer, or because a request expired."""
        answer = {
            "allowed": f"{event.by}: yes, give it ({event.title})",
            "denied": f"{event.by}: not this time ({event.title})",
            "expired": f"No answer ({event.title}): offer what you may give yourself, or ask again",
        }.get(event.what)
        if answer is not None:
            who = "" if event.what == "expired" else event.by
            text = ". ".join(filter(None, (answer, self._answers.pop(event.alert, ""))))
            notice = messages.Notice(kind="answer", text=text, who=who, at_ms=event.at_ms)
            self.rooms.show_to_agent(f"notice/answer/{event.option}", notice)
        self.option_changed(event.option, event.title, "" if event.what == "expired" else event.what)

    def answered(self, alert: str, words: str) -> None:
        """Keep a supervisor's words with the answer to a request; the answer itself comes as a PlanMoved."""
        self._answers[alert] = words

    def option_changed(self, option: str, title: str, state: str) -> None:
        """An option was offered, asked for, or answered."""
        self._option_states.pop(option, None)
        self._option_states[option] = state
        self._option_titles[option] = title
        self._show_plan()

    def ticked(self, event: StepTicked) -> None:
        """A step of the method was ticked or unticked."""
        (self._done_steps.add if event.done else self._done_steps.discard)(event.step)
        if event.done and event.words:
            self._ticked_words = (event.words, dict(self.steps).get(event.step, label(event.step)))
        self.show_steps()

    def forget_ticked_words(self) -> None:
        """Words were taken back: no longer show those that ticked the last step."""
        if self._ticked_words != ("", ""):
            self._ticked_words = ("", "")
            self.show_steps()

    def recovery(self, event: Recovery) -> None:
        """The recovery clock starts or ends."""
        if event.what == "started":
            self.clock = messages.Clock(
                running=True,
                limit_ms=event.limit_ms,
                started_at_ms=event.at_ms - event.took_ms,
                at_ms=event.at_ms,
            )
        elif self.clock is not None:
            result = self.clock.result or event.what
            self.clock = messages.Clock.model_validate(
                self.clock.model_dump() | {"running": False, "result": result, "at_ms": event.at_ms, "by": event.by}
            )
        if self.clock is not None:
            self.rooms.show_to_agent("clock", self.clock)

    def show_steps(self) -> None:
        """Show the method's steps, with the current one marked."""
        undone = [step for step, _ in self.steps if step not in self._done_steps]
        wanted = self._prompt.step if self._prompt is not None and self._prompt.step in undone else ""
        current = wanted or (undone[0] if undone else "")
        steps = [
            messages.Step(id=step, title=title, done=step in self._done_steps, current=step == current)
            for step, title in self.steps[:8]
        ]
        words, ticked = self._ticked_words
        self.rooms.show_to_agent("steps", messages.Steps(method=self.method, steps=steps, words=words, ticked=ticked))

    def _who_is_asked(self, bring_in: str) -> str:
        return self.supervisor if bring_in in ("", "supervisor") else bring_in

    def _show_plan(self) -> None:
        if not self._options:
            self.rooms.drop_from_agent("plan")
            return
        options = [
            option.model_copy(update={"state": self._option_states.get(option.id, "")}) for option in self._options
        ]
        self.rooms.show_to_agent("plan", messages.Plan(options=options))
