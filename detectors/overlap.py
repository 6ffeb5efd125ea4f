"""The customer talks over the agent, again and again: counted interruptions and seconds of double talk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audio.events import Hypothesis, Speaker, Utterance
from detectors.backchannels import is_backchannel
from detectors.signals import Evidence, Severity, Signal, Window

_Span = tuple[int, int]


@dataclass(slots=True)
class Overlap:
    """Fires when the customer has broken in on the agent several times within a minute.

    An interruption starts while the agent is well into a turn, is more than a listener's "mhm, okay", and leaves both
    talking for a while. The times of the words are used, not voice activity alone: an echo of the agent on the
    customer's channel gives activity but no words. Single overlaps are ordinary (some 40 % of turns in telephone talk
    start before the other's has ended, most by less than half a second: Heldner & Edlund 2010), hence the limits.
    """

    memory_ms: int = 60_000
    count: int = 3
    least_ms: int = 700
    """Double talk shorter than this is the ordinary overrun at a change of turns."""
    into_turn_ms: int = 500
    """The agent has been talking at least this long."""
    least_words: int = 3
    """Fewer are taken for a backchannel; so are more of them ("yeah, okay, right, sure")."""
    name: str = "overlap"
    version: str = "3"
    _episode_ms: int = -1
    _last_ms: int = -1

    def __call__(self, window: Window) -> Iterable[Signal]:
        """Judge when a customer's or an agent's utterance has settled."""
        latest = window.latest
        if latest is None or not latest.settled or not latest.words:
            return
        agent = [_span(each) for each in window.utterances if each.speaker is Speaker.AGENT and each.words]
        seen: dict[str, _Span] = {}
        for utterance in window.utterances:
            if self._takes_the_word(utterance):
                start, end = _span(utterance)
                for agent_start, agent_end in agent:
                    shared = min(end, agent_end) - start
                    if start - agent_start >= self.into_turn_ms and shared >= self.least_ms:
                        seen[utterance.id] = (start, start + shared)
        horizon = window.now_ms - self.memory_ms
        spans = sorted(span for span in seen.values() if span[1] > horizon)
        if len(spans) < self.count:
            return
        newest = max(end for _, end in spans)
        if newest <= self._last_ms:
            return
        if self._episode_ms < 0 or newest - self._last_ms > self.memory_ms // 2:
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
            strength=min(1.0, 0.5 + 0.1 * (len(spans) - self.count) + 0.05 * seconds),
            severity=Severity.NOTE,
            evidence=Evidence(
                self._episode_ms,
                newest,
                measured={"count": float(len(spans)), "seconds": round(seconds, 1)},
                summary=f"Talked over the agent {len(spans)} times in {within:.0f} s ({seconds:.1f} s of double talk)",
            ),
        )

    def _takes_the_word(self, utterance: Utterance | Hypothesis) -> bool:
        """Once it has settled: until then it may be the agent's echo."""
        words = utterance.words
        ours = utterance.settled and utterance.speaker is Speaker.CUSTOMER
        return ours and len(words) >= self.least_words and not is_backchannel(words)


def _span(utterance: Utterance | Hypothesis) -> _Span:
    return utterance.words[0].start_ms, utterance.words[-1].end_ms
