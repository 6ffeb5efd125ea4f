"""Progress of the method: which steps are done, by the agent's words or by hand, and which is next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from assist.coach.matching import matched_words
from assist.coach.parts import Playbook, Step
from assist.events import StepTicked
from audio.events import Utterance
from detectors.signals import Level, Signal


class Progress:
    """The steps of one call."""

    def __init__(self, playbook: Playbook) -> None:
        self._playbook = playbook
        self._done: set[str] = set()

    def tick_heard(self, now_ms: int, signals: Sequence[Signal], utterance: Utterance | None) -> list[StepTicked]:
        """Steps done by these settled signals of the agent and by the agent's utterance."""
        ticked = []
        for step in self._playbook.steps:
            if step.id in self._done:
                continue
            words = next((each.evidence.quote for each in signals if each.settled and each.id in step.ticked_by), "")
            if not words and utterance is not None:
                words = matched_words(step.words, utterance)
            if words:
                ticked.append(self._tick(now_ms, step.id, "words", words))
        return ticked

    def tick_said(self, now_ms: int, step: str, words: str) -> list[StepTicked]:
        """The line that was suggested for this step has been said."""
        if step in self._done or self._playbook.step(step) is None:
            return []
        return [self._tick(now_ms, step, "words", words)]

    def is_done(self, step: str) -> bool:
        """Whether it is ticked."""
        return step in self._done

    def set_by_hand(self, now_ms: int, step: str, *, done: bool) -> list[StepTicked]:
        """A person ticked a step, or took its tick back."""
        if self._playbook.step(step) is None:
            return []
        if done:
            return [self._tick(now_ms, step, "hand", "")]
        self._done.discard(step)
        return [StepTicked(now_ms, step, False, "hand")]

    def next_step(self, level: Level, recent: Collection[str]) -> Step | None:
        """The next open step that can be prompted at this level; one that fits a `recent` signal id goes first."""
        open_steps = [
            step
            for step in self._playbook.steps
            if step.id not in self._done and step.say and level in step.levels and self._done.issuperset(step.after)
        ]
        return next((step for step in open_steps if set(step.fits) & set(recent)), next(iter(open_steps), None))

    def _tick(self, now_ms: int, step: str, by: str, words: str) -> StepTicked:
        self._done.add(step)
        return StepTicked(now_ms, step, True, by, words)
