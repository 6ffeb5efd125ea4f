"""Overlapping speech: the customer repeatedly interrupts the agent; interruptions and seconds of double talk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audio.events import Hypothesis, Speaker, Utterance
from detectors.backchannels import is_backchannel
from detectors.signals import Evidence, Severity, Signal, Window

_Span = tuple[int, int]


@dataclass(slots=True)
class Overlap:
    """Fires when the customer has interrupted the agent `min_count` times within `window_ms`.

    An interruption starts `into_turn_ms` into a turn of the agent's, is more than a backchannel, and leaves both
    talking for `min_overlap_ms`. The times of the words are used, not voice activity alone: an echo of the agent on the
    customer's channel gives activity but no words. Single overlaps are ordinary (some 40 % of turns in telephone talk
    start before the other's has ended, most by less than half a second: Heldner & Edlund 2010), hence the limits.
    """

    window_ms: int = 60_000
    min_count: int = 3
    min_overlap_ms: int = 700
    """Shorter double talk is common at a change of turns."""
    into_turn_ms: int = 500
    """The agent has been talking at least so long."""
    continues_ms: int = 1_000
    """Speech that goes on after so short a pause, over the agent who began in it, interrupts nobody: long speech is cut
    into utterances at pauses of 0.2 s."""
    min_words: int = 3
    """Fewer are taken for a backchannel; so are more of them ("yeah, okay, right, sure")."""
    name: str = "overlap"
    version: str = "4"
    _episode_ms: int = -1
    _last_ms: int = -1

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The signal of a settled utterance, of either speaker, with which an interruption is complete."""
        latest = window.latest
        if latest is None or not latest.settled or not latest.words:
            return
        agent = [_span(each) for each in window.utterances if each.speaker is Speaker.AGENT and each.words]
        interruptions: dict[str, _Span] = {}
        before_ms = -self.continues_ms
        for utterance in window.utterances:
            if utterance.speaker is not Speaker.CUSTOMER or not utterance.words:
                continue
            start, end = _span(utterance)
            if self._may_interrupt(utterance):
                for agent_start, agent_end in agent:
                    shared = min(end, agent_end) - start
                    continues = start - before_ms < self.continues_ms and agent_start < before_ms
                    if not continues and start - agent_start >= self.into_turn_ms and shared >= self.min_overlap_ms:
                        interruptions[utterance.id] = (start, start + shared)
            before_ms = max(before_ms, end)
        horizon = window.now_ms - self.window_ms
        spans = sorted(span for span in interruptions.values() if span[1] > horizon)
        if len(spans) < self.min_count:
            return
        newest = max(end for _, end in spans)
        if newest <= self._last_ms:
            return
        if self._episode_ms < 0 or newest - self._last_ms > self.window_ms // 2:
            self._episode_ms = spans[0][0]
        self._last_ms = newest
        seconds = sum(end - start for start, end in spans) / 1000
        within = (newest - spans[0][0]) / 1000
        yield Signal(
            id="overlap",
            rule="overlap.talking-over",
            version=self.version,
            speaker=Speaker.CUSTOMER,
            at_ms=newest,
            strength=min(1.0, 0.5 + 0.1 * (len(spans) - self.min_count) + 0.05 * seconds),
            severity=Severity.NOTE,
            evidence=Evidence(
                self._episode_ms,
                newest,
                measured={"count": float(len(spans)), "seconds": round(seconds, 1)},
                summary=f"Talked over the agent {len(spans)} times in {within:.0f} s ({seconds:.1f} s of double talk)",
            ),
        )

    def _may_interrupt(self, utterance: Utterance | Hypothesis) -> bool:
        """Whether the customer says more than a backchannel; a hypothesis may be the agent's echo."""
        words = utterance.words
        return utterance.settled and len(words) >= self.min_words and not is_backchannel(words)


def _span(utterance: Utterance | Hypothesis) -> _Span:
    return utterance.words[0].start_ms, utterance.words[-1].end_ms
