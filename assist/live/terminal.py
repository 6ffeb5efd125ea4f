"""A call line by line in the terminal, for those without a browser."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from assist.events import (
    Action,
    AlertRaised,
    CallEnded,
    CallStarted,
    ConsentSet,
    Event,
    FollowUpNoted,
    HandOffNoted,
    PlanMoved,
    PlanOffered,
    PlanOption,
    PromptEnded,
    PromptShown,
    Recovery,
    SignalRaised,
    SignalWithdrawn,
    StepTicked,
    TranscribedLate,
)
from assist.hints import complete
from assist.privacy.consent import Consent, ConsentPolicy, Gate
from assist.wording import clock, label
from audio.events import Gap, Speaker, Trouble, Utterance
from detectors.signals import Level, LevelChange, Severity

COLOURS = {Level.CALM: "green", Level.TENSE: "yellow", Level.ESCALATED: "red", Level.RECOVERING: "blue"}
ICONS = {Level.CALM: "●", Level.TENSE: "◆", Level.ESCALATED: "▲", Level.RECOVERING: "▼"}


class Terminal:
    """Prints what a person would want to follow; provisional words stay off it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._prompt = ""
        self._rows: tuple[PlanOption, ...] = ()
        """As printed last: what consent has told again for the log is not printed again."""

    def show(self, event: Event) -> None:
        """Print one event, or nothing where it says nothing to a reader."""
        match event:
            case CallStarted():
                about = filter(None, (event.source, event.versions.get("recogniser", "")))
                said = "".join(f" · {escape(each)}" for each in about)
                self._line(0, "", f"[bold]Call with {escape(event.agent)}[/]{said}")
            case ConsentSet():
                gate = Gate(ConsentPolicy(event.policy), Consent(event.consent))
                heard = "heard" if gate.may_transcribe else "not heard"
                what = "kept" if gate.may_store else f"{heard}, nothing is kept"
                self._line(event.at_ms, "consent", f"[dim]{event.consent} ({escape(event.by)}): {what}[/]")
            case Action(what="pause" | "resume"):
                why = f": {escape(event.detail)}" if event.detail else ""
                self._line(event.at_ms, event.what, f"[dim]by {escape(event.who)}{why}[/]")
            case Utterance() if event.words:
                who = {Speaker.AGENT: "Agent ", Speaker.CUSTOMER: "Caller", Speaker.UNKNOWN: "Voice "}[event.speaker]
                style = "cyan" if event.speaker is Speaker.AGENT else "white"
                self._line(event.start_ms, who, f"[{style}]{escape(event.text)}[/]")
            case SignalRaised(signal=signal) if signal.settled:
                dim = "dim" if signal.severity is Severity.NOTE else "yellow"
                self._line(
                    signal.at_ms,
                    "  heard",
                    f"[{dim}]{label(signal.id)}[/]: {escape(signal.evidence.in_words)} [dim]({escape(signal.rule)})[/]",
                )
            case SignalWithdrawn():
                self._line(event.at_ms, "  heard", f"[dim]withdrawn: {escape(event.key)}[/]")
            case LevelChange() if event.level is not event.before:
                colour = COLOURS[event.level]
                self._line(event.at_ms, "  level", f"[bold {colour}]{ICONS[event.level]} {event.level.capitalize()}[/]")
            case PromptShown() if event.id != self._prompt:
                self._prompt = event.id
                avoid = f" [dim]({escape(event.avoid)})[/]" if event.avoid else ""
                self._line(
                    event.at_ms, "▶ say", f"[bold]{escape(event.title)}[/] [bold]“{escape(event.say)}”[/]{avoid}"
                )
            case PromptEnded():
                words = f": “{event.words}”" if event.words else ""
                self._line(event.at_ms, "  prompt", f"[dim]{event.how}{escape(words)}[/]")
            case PlanOffered() if event.options != self._rows:
                self._rows = event.options
                options = "  ".join(
                    f"[bold]{n}[/] {escape(option.title)} [dim]({escape(option.worth)})[/]"
                    for n, option in enumerate(event.options, 1)
                )
                if options:
                    self._line(event.at_ms, "  plan B", options)
            case PlanMoved() if event.by != "consent":
                words = f" “{escape(event.words)}”" if event.words else f" ({escape(event.by)})"
                self._line(event.at_ms, "  plan B", f"{escape(event.title)} {event.what}{words}")
            case HandOffNoted():
                self._line(event.at_ms, "  hand-off", f"to {escape(event.to)}; the customer has said:")
                for at_ms, text in event.said:
                    self._line(at_ms, "", f"[dim]“{escape(text)}”[/]")
            case StepTicked() if event.done:
                self._line(
                    event.at_ms, "  ✓ step", f"[green]{label(event.step)}[/] “{escape(event.words or event.by)}”"
                )
            case Recovery() if event.what != "started" or not event.took_ms:
                took = f" after {event.took_ms / 1000:.0f} s" if event.took_ms else ""
                took += ", a remedy accepted" if event.by == "remedy" else ""
                self._line(
                    event.at_ms, "  clock", f"[blue]recovery {event.what}{took}[/] (goal {event.limit_ms // 1000} s)"
                )
            case FollowUpNoted():
                due = escape(event.due) or "no time named"
                self._line(event.at_ms, "  promise", f"{escape(event.what)} · due {due} · {escape(event.owner)}")
            case AlertRaised():
                self._line(event.at_ms, "! alert", f"[red]supervisors: {escape(event.reason)}[/]")
            case Trouble():
                style = "dim" if event.cleared else "magenta"
                self._line(event.at_ms, "  trouble", f"[{style}]{escape(event.text)}[/]")
            case Gap():
                what = "of sound never came" if event.why == "lost" else f"of speech {event.why}"
                self._line(event.start_ms, "  gap", f"{event.end_ms - event.start_ms} ms {what}")
            case TranscribedLate():
                after = f"{-(-event.after_s // 60)} min after the call"
                self._line(event.at_ms, "  late", f"[bold]Transcribed {after}[/], nobody was prompted:")
            case CallEnded():
                self._line(event.at_ms, "", f"[bold]Call ended[/] ({event.reason})")
            case _:
                pass

    def say(self, line: str) -> None:
        """Print a line of the program's own."""
        self.console.print(complete(line), markup=False, soft_wrap=True)

    def _line(self, at_ms: int, what: str, markup: str) -> None:
        line = Text.assemble((f"{clock(at_ms)} ", "dim"), (f"{what:<10}", "dim"))
        line.append_text(Text.from_markup(markup))
        self.console.print(line)
