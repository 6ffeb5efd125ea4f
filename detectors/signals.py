"""The types of the detectors: signals with their evidence, escalation levels, and the window of the recent past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol

from audio.events import Hypothesis, Speaker, Utterance, VoiceMeasure

CUSTOMER_WORDS = (
    "swearing",
    "derogatory",
    "influence_claim",
    "supervisor_demand",
    "cancel_threat",
    "legal_threat",
    "regulator_threat",
    "press_threat",
    "review_threat",
    "police",
    "personal_threat",
    "refund_chargeback",
    "passed_around",
    "time_pressure",
    "vulnerable",
    "giving_up",
    "de_escalation",
)
"""Stable ids of what a customer's words say by themselves; each has rules and can be labelled in a single line."""

CUSTOMER_SIGNALS = (
    *CUSTOMER_WORDS,
    "raised_voice",
    "overlap",
    "silence",
    "negative_sentiment",
    "complaint",
    "upset",
    "fast_speech",
    "monologue",
    "repeated_request",
)
"""Stable ids of all signals about the customer or the conversation, as in rules, records, exports and labels."""

AGENT_STEPS = (
    "apology",
    "empathy",
    "repeat_back",
    "question",
    "alternative",
    "ownership",
    "remedy",
    "callback_time",
    "thanks",
)
"""Stable ids of recovery steps in the agent's words."""

AGENT_MISSTEPS = ("defending", "blaming", "calm_down", "policy", "correcting", "passing_on")
"""Stable ids of what agents should not say, such as arguing or quoting policy."""

AGENT_SIGNALS = frozenset(AGENT_STEPS + AGENT_MISSTEPS)
"""All signals of the agent's words."""

SIGNAL_IDS = AGENT_SIGNALS.union(CUSTOMER_SIGNALS)


class Severity(IntEnum):
    """How much attention a signal needs."""

    NOTE = 1
    HELP = 2
    URGENT = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a signal was raised: exact words and place, or measured values."""

    start_ms: int
    end_ms: int
    quote: str = ""
    """The exact words heard, as transcribed; empty for acoustic signals."""
    utterance: str | None = None
    """Id of the utterance that the quote is from."""
    first_word: int = 0
    """Index of the first quoted word in that utterance."""
    last_word: int = -1
    """Index of the last quoted word (inclusive); -1 where no words are to be marked: there is no quote, or the quote is
    a whole utterance (as of sentiment), not a phrase in it."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """Physical values with the unit in the key: level_db, pitch_semitones, seconds, count ..."""
    summary: str = ""
    """Plain words for the screen where there is no quote, such as
    "+8 dB and +5 semitones over this caller's normal, 2.1 s"."""

    @property
    def in_words(self) -> str:
        """For people: the words that were heard, in quotation marks, or what was measured."""
        return f"“{self.quote}”" if self.quote else self.summary


@dataclass(frozen=True, slots=True)
class Signal:
    """What a detector has found, with its evidence."""

    id: str
    """One of SIGNAL_IDS."""
    rule: str
    """The rule or detector that fired, such as "influence.my-guy"."""
    version: str
    """Version of that rule file or detector."""
    speaker: Speaker
    at_ms: int
    """When it was complete in the audio (the end of its evidence)."""
    strength: float
    """0..1: confidence and intensity in one."""
    severity: Severity
    evidence: Evidence
    settled: bool = True
    """False when raised on agreed words of an utterance that is still being spoken."""

    @property
    def key(self) -> str:
        """The same for all signals of one rule on one utterance, hypothesis or settled; else for those of one start."""
        place = self.evidence.utterance or str(self.evidence.start_ms)
        return f"{self.rule}@{place}"


class Level(StrEnum):
    """The escalation level of a call."""

    CALM = "calm"
    TENSE = "tense"
    ESCALATED = "escalated"
    RECOVERING = "recovering"


CALMER = (Level.CALM, Level.RECOVERING)
"""Levels of a call that has de-escalated, or never escalated."""


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A change of the escalation level, with the signals that caused it."""

    at_ms: int
    level: Level
    before: Level
    """The same where a log begins at this level: nothing from before consent is in it."""
    score: float
    """0..100 after the change."""
    because: tuple[Signal, ...]
    """The signals with the most points first; where the level falls, the reliefs (none where time alone did it)."""


@dataclass(frozen=True, slots=True)
class Window:
    """The recent past of a call as the detectors see it; immutable."""

    now_ms: int
    utterances: tuple[Utterance | Hypothesis, ...] = ()
    """The last two minutes in order of start, both speakers; of an utterance that has not settled its hypothesis."""
    latest: Utterance | Hypothesis | None = None
    """What has just changed, or None when only time has passed. Word detectors judge this one."""
    voice: VoiceMeasure | None = None
    """A measure that has just arrived, or None."""
    speaking_since: Mapping[Speaker, int] = field(default_factory=dict)
    """Speakers talking right now, with the time (ms) they began."""
    last_speech_end: Mapping[Speaker, int] = field(default_factory=dict)
    """When each silent speaker last stopped talking (ms)."""
    held: bool = False
    """The call is on hold, paused or without consent: silence means nothing."""


class Detector(Protocol):
    """One instance per call, called with every window in order. It may keep a small state, but reads no clock."""

    name: str
    version: str

    def __call__(self, window: Window) -> Iterable[Signal]:
        """Signals found in this window. One with the key of an earlier signal replaces it."""
        ...
