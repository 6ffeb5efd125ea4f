"""One practice call: the customer's written lines and the trainee's answers, judged as a real call is. Pure.

Time is an argument, as in a session: with a microphone it is the sound's, in text every word takes 300 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from assist.coach.coach import Coach
from assist.coach.parts import Playbook
from assist.events import Action, AlertRaised, CallStarted, Event, SignalRaised, SignalWithdrawn
from assist.live.outset import profile_of
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
"""How long a written word takes to say: 200 words a minute, an upset caller's pace."""
PAUSE_MS = 700
"""Between two people's turns."""
TURN_MS = 1_500
"""Aloud: so long after the trainee's last words it is the customer's turn."""
SUPERVISOR = "Practice supervisor"
"""Who answers what the trainee asks for; no real name, for nobody was asked."""
ANSWER_MS = 5_000
"""... with a yes, so long after: what there is to practise is to ask, and what is said to the customer meanwhile."""
RAISED_MS = 1_400
"""So long after it begins a raised voice is heard as one: the median of live calls (README)."""
MOST_TURNS = 40
"""A call that goes round in circles ends here."""


@dataclass
class Practice:
    """Feed it in the order of call time; every method returns what happened because of it."""

    script: Script
    playbook: Playbook
    rulebook: Rulebook
    started: CallStarted
    settings: Settings = field(default_factory=Settings)
    """Whether the sentence model judges too, whose limits count in the trainee's calls, how many prompts they want."""
    said: list[tuple[str, Line]] = field(default_factory=list)
    """(utterance id, line) of every line the customer has said."""
    over: bool = False
    now_ms: int = 0

    def __post_init__(self) -> None:
        self._raised = ReplayDetector([])
        detectors = build_detectors(
            self.rulebook, DetectorSettings(off=frozenset({"raised_voice", "silence"}), meaning=self.settings.meaning)
        )
        coach = Coach(
            self.playbook,
            profile_of(self.settings, self.started.agent),
            began=datetime.fromisoformat(self.started.started_at),
            practising=True,
        )
        self.session = Session(self.started, [*detectors, self._raised], Escalation(), coach)
        self.line: Line | None = None
        """The customer's newest line."""
        self._coming: tuple[int, Line] | None = None
        self._speaking_until = 0
        self._begun = False
        """The line that comes is being said."""
        self._asked: list[tuple[int, str]] = []
        """When each open request of the trainee is answered, and its alert."""
        self._reply: dict[str, str] = {}
        """Key -> id of what was heard in the answer to the newest line."""
        self._so_far: dict[str, str] = {}
        self._replied_ms: int | None = None
        self._talking = False
        self._number = 0

    @property
    def listening(self) -> bool:
        """It is the trainee's turn."""
        return not self.over and self._coming is None and self.now_ms >= self._speaking_until

    def begin(self) -> list[Event]:
        """The call begins; the customer's first line is on its way."""
        self._coming = (PAUSE_MS, self.script.lines[0])
        return self.session.begin()

    def advance(self, now_ms: int) -> list[Event]:
        """Time has passed: the customer speaks when it is their turn."""
        events: list[Event] = []
        for tick in range(self.now_ms - self.now_ms % TICK_MS + TICK_MS, now_ms + 1, TICK_MS):
            self.now_ms = tick
            if self._coming is not None and tick >= self._coming[0]:
                events += self._speak(*self._coming)
            events += self._told(self.session.tick(tick)) + self._answers()
            quiet = self._replied_ms is not None and tick - self._replied_ms >= TURN_MS
            if quiet and not self._talking and self.listening:
                self._turn()
        self.now_ms = max(self.now_ms, now_ms)
        return events

    def until_their_turn(self) -> list[Event]:
        """Text: let the customer say their line to its end."""
        events: list[Event] = []
        while not self.listening and not self.over:
            events += self.advance(self.now_ms + TICK_MS)
        return events

    def reply(self, text: str) -> list[Event]:
        """Text: the trainee's answer, as if it had been said."""
        words = text.split()
        if not words or not self.listening:
            return []
        start = self.now_ms + PAUSE_MS
        utterance = self._utterance(Speaker.AGENT, words, start)
        events = self.advance(start)
        events += self.session.hear(SpeechActivity(Speaker.AGENT, start, True))
        events += self.advance(utterance.end_ms)
        events += self.session.hear(SpeechActivity(Speaker.AGENT, utterance.end_ms, False))
        events += self._told(self.session.hear(utterance))
        self._turn()
        return events

    def hear(self, heard: Heard) -> list[Event]:
        """Aloud: what the recogniser heard on the trainee's microphone."""
        if isinstance(heard, SpeechActivity) and heard.speaker is Speaker.AGENT:
            self._talking = heard.speaking
        words = heard.words if isinstance(heard, (Utterance, Hypothesis)) else ()
        # An answer may begin while the customer still speaks; it is one where it goes on after them.
        if words and self._speaking_until <= words[-1].start_ms and self._coming is None:
            self._replied_ms = self.now_ms
        return self._told(self.session.hear(heard))

    def act(self, action: Action) -> list[Event]:
        """Aloud or in text: something done at the overlay."""
        events = self._told(self.session.act(action))
        for event in events:
            if isinstance(event, AlertRaised) and event.kind == "ask":
                self._asked.append((event.at_ms + ANSWER_MS, event.id))
        return events

    def end(self, reason: str) -> list[Event]:
        """The call is over."""
        self.over = True
        return self.session.end(self.now_ms, reason, {})

    def _answers(self) -> list[Event]:
        """What the trainee has asked a supervisor for, where the answer's time has come."""
        due = [alert for at_ms, alert in self._asked if at_ms <= self.now_ms]
        self._asked = self._asked[len(due) :]
        answers = [Action(self.now_ms, SUPERVISOR, "supervisor", "plan-answered", alert, "allowed") for alert in due]
        return [event for answer in answers for event in self.act(answer)]

    def _turn(self) -> None:
        """The customer takes in what was said and answers."""
        self._replied_ms = None
        if self.line is None:
            return
        following = self._following(self.line)
        if following is None or len(self.said) >= MOST_TURNS:
            self.over = True
        else:
            self._coming = (self.now_ms + PAUSE_MS, following)

    def _following(self, line: Line) -> Line | None:
        return self.script.after(line, frozenset(self._reply.values()), frozenset(self._so_far.values()))

    def _speak(self, start_ms: int, line: Line) -> list[Event]:
        """The words are heard as they are said; they settle at the line's end."""
        utterance = self._utterance(Speaker.CUSTOMER, line.say.split(), start_ms)
        events: list[Event] = []
        if not self._begun:
            self._begun = True
            events += self.session.hear(SpeechActivity(Speaker.CUSTOMER, start_ms, True))
            if line.raised:
                self._raised.signals.append(_raised(start_ms, min(start_ms + RAISED_MS, utterance.end_ms)))
        if self.now_ms < utterance.end_ms:
            said = tuple(word for word in utterance.words if word.end_ms <= self.now_ms)
            heard = Hypothesis(utterance.id, utterance.speaker, start_ms, said, ())
            return events + self._told(self.session.hear(heard))
        self._coming, self._begun = None, False
        self._speaking_until = utterance.end_ms
        self._reply.clear()
        self.line = line
        self.said.append((utterance.id, line))
        events += self.session.hear(SpeechActivity(Speaker.CUSTOMER, utterance.end_ms, False))
        events += self._told(self.session.hear(utterance))
        if line.end:
            self.over = True
        return events

    def _utterance(self, speaker: Speaker, words: list[str], start_ms: int) -> Utterance:
        if speaker is Speaker.CUSTOMER:
            name = f"c{len(self.said) + 1}"
        else:
            self._number += 1
            name = f"a{self._number}"
        spoken = tuple(
            Word(word, start_ms + WORD_MS * i, start_ms + WORD_MS * (i + 1) - 20) for i, word in enumerate(words)
        )
        return Utterance(name, speaker, start_ms, start_ms + WORD_MS * len(words), spoken)

    def _told(self, events: list[Event]) -> list[Event]:
        """Notes what the trainee was heard doing; it answers the line after which it was said, however late."""
        for event in events:
            if isinstance(event, SignalWithdrawn):
                self._reply.pop(event.key, None)
                self._so_far.pop(event.key, None)
            elif isinstance(event, SignalRaised) and _is_theirs(event.signal):
                self._so_far[event.signal.key] = event.signal.id
                if event.signal.at_ms > self._speaking_until and not self._begun:
                    self._reply[event.signal.key] = event.signal.id
        if self._coming is not None and self.line is not None and not self._begun:
            self._coming = self._coming[0], self._following(self.line) or self._coming[1]
        return events


def _raised(start_ms: int, heard_ms: int) -> Signal:
    evidence = Evidence(start_ms, heard_ms, summary="a raised voice, as the script has it")
    return Signal("raised_voice", "practice.raised", "1", Speaker.CUSTOMER, heard_ms, 0.9, Severity.HELP, evidence)


def _is_theirs(signal: Signal) -> bool:
    return signal.id in AGENT_SIGNALS and signal.speaker is Speaker.AGENT
