"""One practice call: the customer's scripted lines and the trainee's replies, judged as a real call is. Pure.

Time is an argument, as in a session: by voice it is that of the sound, in text every word takes `WORD_MS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from assist.coach.coach import Coach
from assist.coach.parts import Playbook
from assist.events import Action, AlertRaised, CallStarted, Event, SignalRaised, SignalWithdrawn
from assist.live.call_setup import agent_profile
from assist.live.session import TICK_MS, Session
from assist.practice.script import Line, Script
from assist.settings import Settings
from audio.events import Heard, Hypothesis, Speaker, SpeechActivity, Utterance, Word
from detectors.escalation import Escalation
from detectors.factory import DetectorSettings, build_detectors
from detectors.replay import ReplayDetector
from detectors.rulebook import Rulebook
from detectors.signals import AGENT_SIGNALS, Evidence, Severity, Signal

WORD_MS = 300
"""Duration of a written word: 200 words a minute, an upset caller's pace."""
TURN_GAP_MS = 700
"""Silence between two turns."""
END_OF_TURN_MS = 1_500
"""By voice: the trainee's turn ends so long after the last recognised words."""
SUPERVISOR = "Practice supervisor"
"""Named as the person who allows what the trainee asks for; not a real name, as nobody was asked."""
SUPERVISOR_ANSWER_MS = 5_000
"""Every request is allowed after this: what is practised is asking, and what to say to the customer meanwhile."""
RAISED_VOICE_DELAY_MS = 1_400
"""From the start of a raised voice to its signal: the median of live calls (README)."""
MAX_TURNS = 40
"""The call ends after so many lines of the customer's, as scripts may loop."""


@dataclass
class Practice:
    """Feed it in the order of call time; methods return the events they have caused."""

    script: Script
    playbook: Playbook
    rulebook: Rulebook
    started: CallStarted
    settings: Settings = field(default_factory=Settings)
    """Used for the sentence model, the trainee's role and the number of prompts."""
    said: list[tuple[str, Line]] = field(default_factory=list)
    """(utterance id, line) of every line the customer has said."""
    over: bool = False
    now_ms: int = 0

    def __post_init__(self) -> None:
        self._scripted_signals = ReplayDetector([])
        detectors = build_detectors(
            self.rulebook, DetectorSettings(off=frozenset({"raised_voice", "silence"}), meaning=self.settings.meaning)
        )
        coach = Coach(
            self.playbook,
            agent_profile(self.settings, self.started.agent),
            began=datetime.fromisoformat(self.started.started_at),
            practising=True,
        )
        self.session = Session(self.started, [*detectors, self._scripted_signals], Escalation(), coach)
        self.line: Line | None = None
        """The customer's last line."""
        self._next_line: tuple[int, Line] | None = None
        """(start in call time, line); None in the trainee's turn."""
        self._customer_until_ms = 0
        """End of the customer's last line."""
        self._line_begun = False
        """Whether the next line is being said."""
        self._open_requests: list[tuple[int, str]] = []
        """(call time of the answer, alert id) of the trainee's open requests."""
        self._reply_signals: dict[str, str] = {}
        """Signal key -> id, of the trainee's signals in the reply to the last line ..."""
        self._call_signals: dict[str, str] = {}
        """... and in the whole call."""
        self._replied_ms: int | None = None
        """By voice: call time of the last words of the reply; None: no reply yet."""
        self._trainee_speaking = False
        self._reply_count = 0

    @property
    def is_trainees_turn(self) -> bool:
        """Whether the trainee is to speak."""
        return not self.over and self._next_line is None and self.now_ms >= self._customer_until_ms

    def begin(self) -> list[Event]:
        """The call begins; the customer's first line comes next."""
        self._next_line = (TURN_GAP_MS, self.script.lines[0])
        return self.session.begin()

    def advance(self, now_ms: int) -> list[Event]:
        """Time has passed: the customer speaks if it is their turn."""
        events: list[Event] = []
        for tick in range(self.now_ms - self.now_ms % TICK_MS + TICK_MS, now_ms + 1, TICK_MS):
            self.now_ms = tick
            if self._next_line is not None and tick >= self._next_line[0]:
                events += self._say_line(*self._next_line)
            events += self._note_signals(self.session.tick(tick)) + self._supervisor_answers()
            quiet = self._replied_ms is not None and tick - self._replied_ms >= END_OF_TURN_MS
            if quiet and not self._trainee_speaking and self.is_trainees_turn:
                self._end_turn()
        self.now_ms = max(self.now_ms, now_ms)
        return events

    def advance_to_trainee(self) -> list[Event]:
        """In text: advances to the end of the customer's line."""
        events: list[Event] = []
        while not self.is_trainees_turn and not self.over:
            events += self.advance(self.now_ms + TICK_MS)
        return events

    def reply(self, text: str) -> list[Event]:
        """In text: the trainee's reply, as if it had been said."""
        words = text.split()
        if not words or not self.is_trainees_turn:
            return []
        start = self.now_ms + TURN_GAP_MS
        utterance = self._utterance(Speaker.AGENT, words, start)
        events = self.advance(start)
        events += self.session.hear(SpeechActivity(Speaker.AGENT, start, True))
        events += self.advance(utterance.end_ms)
        events += self.session.hear(SpeechActivity(Speaker.AGENT, utterance.end_ms, False))
        events += self._note_signals(self.session.hear(utterance))
        self._end_turn()
        return events

    def hear(self, heard: Heard) -> list[Event]:
        """By voice: what the recogniser heard on the trainee's microphone."""
        if isinstance(heard, SpeechActivity) and heard.speaker is Speaker.AGENT:
            self._trainee_speaking = heard.speaking
        words = heard.words if isinstance(heard, (Utterance, Hypothesis)) else ()
        # A reply may overlap the customer's line; it counts where it goes on after its end.
        if words and self._customer_until_ms <= words[-1].start_ms and self._next_line is None:
            self._replied_ms = self.now_ms
        return self._note_signals(self.session.hear(heard))

    def act(self, action: Action) -> list[Event]:
        """The trainee has done something on the page."""
        events = self._note_signals(self.session.act(action))
        for event in events:
            if isinstance(event, AlertRaised) and event.kind == "ask":
                self._open_requests.append((event.at_ms + SUPERVISOR_ANSWER_MS, event.id))
        return events

    def end(self, reason: str) -> list[Event]:
        """The call is over."""
        self.over = True
        return self.session.end(self.now_ms, reason, {})

    def _supervisor_answers(self) -> list[Event]:
        """Allows the trainee's requests that are due."""
        due = [alert for at_ms, alert in self._open_requests if at_ms <= self.now_ms]
        self._open_requests = self._open_requests[len(due) :]
        answers = [Action(self.now_ms, SUPERVISOR, "supervisor", "plan-answered", alert, "allowed") for alert in due]
        return [event for answer in answers for event in self.act(answer)]

    def _end_turn(self) -> None:
        """The trainee's turn ends: the customer's next line follows, or the call is over."""
        self._replied_ms = None
        if self.line is None:
            return
        following = self._line_after(self.line)
        if following is None or len(self.said) >= MAX_TURNS:
            self.over = True
        else:
            self._next_line = (self.now_ms + TURN_GAP_MS, following)

    def _line_after(self, line: Line) -> Line | None:
        return self.script.next_line(
            line, frozenset(self._reply_signals.values()), frozenset(self._call_signals.values())
        )

    def _say_line(self, start_ms: int, line: Line) -> list[Event]:
        """The customer's line as far as it is said: hypotheses until its end, then the settled utterance."""
        utterance = self._utterance(Speaker.CUSTOMER, line.say.split(), start_ms)
        events: list[Event] = []
        if not self._line_begun:
            self._line_begun = True
            events += self.session.hear(SpeechActivity(Speaker.CUSTOMER, start_ms, True))
            if line.raised:
                self._scripted_signals.signals.append(
                    _raised_voice(start_ms, min(start_ms + RAISED_VOICE_DELAY_MS, utterance.end_ms))
                )
        if self.now_ms < utterance.end_ms:
            said = tuple(word for word in utterance.words if word.end_ms <= self.now_ms)
            heard = Hypothesis(utterance.id, utterance.speaker, start_ms, said, ())
            return events + self._note_signals(self.session.hear(heard))
        self._next_line, self._line_begun = None, False
        self._customer_until_ms = utterance.end_ms
        self._reply_signals.clear()
        self.line = line
        self.said.append((utterance.id, line))
        events += self.session.hear(SpeechActivity(Speaker.CUSTOMER, utterance.end_ms, False))
        events += self._note_signals(self.session.hear(utterance))
        if line.end:
            self.over = True
        return events

    def _utterance(self, speaker: Speaker, words: list[str], start_ms: int) -> Utterance:
        if speaker is Speaker.CUSTOMER:
            name = f"c{len(self.said) + 1}"
        else:
            self._reply_count += 1
            name = f"a{self._reply_count}"
        spoken = tuple(
            Word(word, start_ms + WORD_MS * i, start_ms + WORD_MS * (i + 1) - 20) for i, word in enumerate(words)
        )
        return Utterance(name, speaker, start_ms, start_ms + WORD_MS * len(words), spoken)

    def _note_signals(self, events: list[Event]) -> list[Event]:
        """Notes the trainee's signals, which decide the next line; returns the events.

        A signal belongs to the reply to the line after which its words were said, however late it comes.
        """
        for event in events:
            if isinstance(event, SignalWithdrawn):
                self._reply_signals.pop(event.key, None)
                self._call_signals.pop(event.key, None)
            elif isinstance(event, SignalRaised) and _is_trainees(event.signal):
                self._call_signals[event.signal.key] = event.signal.id
                if event.signal.at_ms > self._customer_until_ms and not self._line_begun:
                    self._reply_signals[event.signal.key] = event.signal.id
        if self._next_line is not None and self.line is not None and not self._line_begun:
            self._next_line = self._next_line[0], self._line_after(self.line) or self._next_line[1]
        return events


def _raised_voice(start_ms: int, heard_ms: int) -> Signal:
    evidence = Evidence(start_ms, heard_ms, summary="a raised voice, as the script has it")
    return Signal("raised_voice", "practice.raised", "1", Speaker.CUSTOMER, heard_ms, 0.9, Severity.HELP, evidence)


def _is_trainees(signal: Signal) -> bool:
    return signal.id in AGENT_SIGNALS and signal.speaker is Speaker.AGENT
