"""What the redactor masks: hits and misses on secrets (assist/evaluation/masking_cases.py), false masking on talk.

The cases come from the hand that wrote the redactor, so their figures are an upper bound for real calls, and they hold
words as said: what a recogniser mishears is measured by reading them aloud (assist/evaluation/spoken_masking.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assist.evaluation.figures import Figure, wilson
from assist.evaluation.masking_cases import SECRET, Case
from assist.evaluation.spoken_numbers import digits_in
from assist.privacy.redaction import Redactor
from audio.events import Hypothesis, Speaker, Utterance, Word

WORD_MS = 350
TURN_GAP_MS = 800


@dataclass(frozen=True, slots=True)
class MaskingFigures:
    """Figures of one kind of secret, such as card numbers."""

    kind: str
    cases: int
    whole: int
    """Cases of which no secret word was left."""
    share: Figure
    partial_leaks: int
    """Provisional texts that showed three or more secret digits, or words of an e-mail address."""
    forms: dict[str, tuple[int, int]]
    """Form -> (whole, cases)."""


@dataclass(frozen=True, slots=True)
class FalseMaskingFigures:
    """How much of ordinary talk was masked."""

    utterances: int
    words: int
    masked: int
    share: Figure
    ms_per_utterance: float


def measure_masking(cases: Iterable[Case]) -> list[MaskingFigures]:
    """Run every case through a new redactor; figures by kind."""
    found: dict[str, list[tuple[str, bool, int]]] = {}
    for case in cases:
        whole, partial = _run_case(case)
        found.setdefault(case.kind, []).append((case.form, whole, partial))
    measured = []
    for kind, results in found.items():
        forms: dict[str, tuple[int, int]] = {}
        for form, whole, _ in results:
            had = forms.get(form, (0, 0))
            forms[form] = (had[0] + whole, had[1] + 1)
        count = sum(whole for _, whole, _ in results)
        share = wilson(count, len(results))
        measured.append(MaskingFigures(kind, len(results), count, share, sum(leak for _, _, leak in results), forms))
    return measured


def measure_false_masking(calls: Iterable[Sequence[tuple[Speaker, str]]]) -> FalseMaskingFigures:
    """How much of ordinary talk (calls without secrets) is masked, and the CPU time per utterance."""
    utterances = words = masked = 0
    cpu_s = 0.0
    for call in calls:
        redactor, at = Redactor(), 0
        for n, (speaker, text) in enumerate(call):
            said = _utterance(f"u{n}", speaker, text, at)
            started = time.thread_time()
            kept = redactor.redact_utterance(said)
            cpu_s += time.thread_time() - started
            visible = {word.start_ms for word in kept.words if not word.text.startswith("[")}
            utterances += 1
            words += len(said.words)
            masked += sum(word.start_ms not in visible for word in said.words)
            at = said.end_ms + TURN_GAP_MS
    return FalseMaskingFigures(
        utterances, words, masked, wilson(masked, max(1, words)), 1000 * cpu_s / max(1, utterances)
    )


def _utterance(name: str, speaker: Speaker, text: str, at_ms: int) -> Utterance:
    spoken = [
        Word(word.removeprefix(SECRET), at_ms + WORD_MS * i, at_ms + WORD_MS * i + 300)
        for i, word in enumerate(text.split())
    ]
    return Utterance(name, speaker, at_ms, at_ms + WORD_MS * len(spoken), tuple(spoken))


def _run_case(case: Case) -> tuple[bool, int]:
    """Whether no secret word was left, and how many provisional texts showed three or more secret digits."""
    redactor, at, visible, leaks = Redactor(), 0, 0, 0
    for n, (speaker, text) in enumerate(case.turns):
        said = _utterance(f"u{n}", speaker, text, at)
        hidden = [(at + WORD_MS * i, word[1:]) for i, word in enumerate(text.split()) if word.startswith(SECRET)]
        secret = dict.fromkeys((start for start, _ in hidden), 1)
        figures = {start: 1 if case.kind == "e-mail" else digits_in(word) for start, word in hidden}
        for shown in range(1, len(said.words) + 1):
            cut = max(0, shown - 2)
            partial = Hypothesis(said.id, speaker, at, said.words[:cut], said.words[cut:shown])
            seen = redactor.redact_hypothesis(partial)
            leaks += _visible(seen.agreed + seen.tentative, figures) >= 3
        visible += _visible(redactor.redact_utterance(said).words, secret)
        at = said.end_ms + TURN_GAP_MS
    return visible == 0, leaks


def _visible(words: Sequence[Word], secret: Mapping[int, int]) -> int:
    """Sum of the weights of the secret words that are not masked; `secret`: start of a word in ms -> weight."""
    return sum(secret.get(word.start_ms, 0) for word in words if not word.text.startswith("["))
