"""Which detectors judge a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from detectors.meaning import MeaningDetector
from detectors.monologue import Monologue
from detectors.overlap import Overlap
from detectors.pace import Pace
from detectors.phrases import PhraseDetector
from detectors.raised_voice import RaisedVoice
from detectors.repetition import Repetition
from detectors.rulebook import Rulebook
from detectors.sentence_model import FOLDER, SentenceModel, shipped_model
from detectors.sentiment import Sentiment
from detectors.signals import Detector
from detectors.silence import Silence

OF_THE_CONVERSATION: tuple[Callable[[], Detector], ...] = (
    RaisedVoice,
    Overlap,
    Silence,
    Pace,
    Monologue,
    Repetition,
    Sentiment,
)
"""Everything that needs no rules; the words come first."""


@dataclass(frozen=True, slots=True)
class RosterSettings:
    """What a deployment leaves out."""

    off: frozenset[str] = frozenset()
    """Names of detectors, such as "negative_sentiment" or "raised_voice"."""
    meaning: bool = True
    """Judge words by the sentence model too, not by the phrase rules alone."""


class ModelError(Exception):
    """The sentence model cannot be used; the text says what to do."""

    code = "meaning-model"


def build(rulebook: Rulebook, settings: RosterSettings | None = None) -> list[Detector]:
    """Fresh detectors for one call: each keeps the state of its own call only.

    Raises:
        ModelError: the sentence model's files are damaged or missing.
    """
    settings = settings or RosterSettings()
    phrases = PhraseDetector(rulebook)
    words = MeaningDetector(phrases, _model()) if settings.meaning else phrases
    everyone: list[Detector] = [words, *(make() for make in OF_THE_CONVERSATION)]
    return [detector for detector in everyone if detector.name not in settings.off]


def _model() -> SentenceModel:
    try:
        return shipped_model()
    except Exception as error:  # of the runtime, of a file, of what stands in it: whatever a damaged file gives
        raise ModelError(
            f"the sentence model in {FOLDER} is damaged ({type(error).__name__}): install call-assist again, or set "
            "meaning = false in the settings to go on with the phrase rules alone"
        ) from error
