"""Monologues: the customer has talked for long, nearly uninterrupted: they do not feel heard, or nobody answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audio.events import Hypothesis, Speaker, Utterance
from detectors.backchannels import is_backchannel
from detectors.signals import Evidence, Severity, Signal, Window


@dataclass(slots=True)
class Monologue:
    """Fires when the customer's run of speech, broken by backchannels only, passes `min_ms`."""

    min_ms: int = 45_000
    backchannel_words: int = 3
    """The agent's turns of at most this many words, or of backchannels only ("yeah, okay, I see"), do not end it."""
    pause_ms: int = 6_000
    """A pause of both sides this long ends it."""
    min_talk_share: float = 0.6
    """The customer speaks for at least this share of the run."""
    name: str = "monologue"
    version: str = "2"
    _run_start_ms: int = -1
    _talk_ms: int = 0
    _end_ms: int = -1
    """End of the newest settled utterance counted."""

    def __call__(self, window: Window) -> Iterable[Signal]:
        """The signal of the present run of speech once it is long enough; the same key until it ends."""
        latest = window.latest
        if latest is None or not latest.words:
            return
        if latest.speaker is Speaker.AGENT:
            if len(latest.words) > self.backchannel_words and not is_backchannel(latest.words):
                self._run_start_ms = -1
            return
        if latest.speaker is not Speaker.CUSTOMER:
            return
        start, end = latest.words[0].start_ms, latest.words[-1].end_ms
        if self._run_start_ms < 0 or start - self._end_ms > self.pause_ms:
            self._run_start_ms, self._talk_ms, self._end_ms = start, 0, start
        talk_ms = self._talk_ms + _talk_ms(latest)
        if latest.settled:
            self._talk_ms, self._end_ms = talk_ms, end
        run_ms = end - self._run_start_ms
        if run_ms < self.min_ms or talk_ms < self.min_talk_share * run_ms:
            return
        yield Signal(
            id="monologue",
            rule="monologue.long",
            version=self.version,
            speaker=Speaker.CUSTOMER,
            at_ms=end,
            strength=min(1.0, 0.5 * run_ms / self.min_ms),
            severity=Severity.NOTE,
            evidence=Evidence(
                self._run_start_ms,
                end,
                measured={"seconds": round(run_ms / 1000, 1)},
                summary=f"Has been talking for {run_ms // 1000} s nearly without a break",
            ),
        )


def _talk_ms(utterance: Utterance | Hypothesis) -> int:
    return utterance.words[-1].end_ms - utterance.words[0].start_ms
