"""Builds the detectors of a call."""

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

CONVERSATION_DETECTORS: tuple[Callable[[], Detector], ...] = (
    RaisedVoice,
    Overlap,
    Silence,
    Pace,
    Monologue,
    Repetition,
    Sentiment,
)
"""Those that need no rules. Those of words come before them."""


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Which detectors a deployment has."""

    off: frozenset[str] = frozenset()
    """Names of detectors that are left out, such as "negative_sentiment" or "raised_voice"."""
    meaning: bool = True
    """Whether the sentence model is used, not the phrase rules alone."""


class ModelError(Exception):
    """The sentence model cannot be used; the text says what to do."""

    code = "meaning-model"


def build_detectors(rulebook: Rulebook, settings: DetectorSettings | None = None) -> list[Detector]:
    """New detectors for one call, whose state they keep; without `settings` all of them.

    Raises:
        ModelError: the sentence model's files are damaged or missing.
    """
    settings = settings or DetectorSettings()
    phrases = PhraseDetector(rulebook)
    words = MeaningDetector(phrases, _load_model()) if settings.meaning else phrases
    detectors: list[Detector] = [words, *(create() for create in CONVERSATION_DETECTORS)]
    return [detector for detector in detectors if detector.name not in settings.off]


def _load_model() -> SentenceModel:
    try:
        return shipped_model()
    except Exception as error:  # a damaged file may raise anything: in onnxruntime, gzip, json ...
        raise ModelError(
            f"the sentence model in {FOLDER} is damaged ({type(error).__name__}): install call-assist again, or set "
            "meaning = false in the settings to go on with the phrase rules alone"
        ) from error
