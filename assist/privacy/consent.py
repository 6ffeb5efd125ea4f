"""Consent to a call being transcribed and stored: what each state allows under each policy. Pure.

| consent | one-party            | all-party                 | strict                    |
|---------|----------------------|---------------------------|---------------------------|
| unknown | heard, shown, kept   | heard, shown, not kept    | not heard, shown or kept  |
| granted | heard, shown, kept   | heard, shown, kept        | heard, shown, kept        |
| refused | not heard, what was kept is erased (whatever the policy)                     |||

"Not heard": the recogniser gets silence. "Not kept": nothing of the call is written but one row that says that there
was a call and what is known about consent. Which policy the law requires is for a site's lawyers to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

PAUSE_LOOKBACK_MS = 2_000
"""A pause by hand also erases what was said so shortly before it: the hand is slower than the first digits."""
UTTERANCE_LEAD_MS = 240
"""An utterance begins at most so long before its first sound: pre-roll and a frame (audio/segmentation.py), 232 ms."""


def heard_again_from_ms(paused_ms: int, resumed_ms: int) -> int:
    """The start from which on an utterance holds no word from before the end of a pause, ms of call time.

    Whoever speaks as a pause ends is led in by the silence that the pause has put in place of its sound.
    """
    return max(paused_ms, resumed_ms - UTTERANCE_LEAD_MS)


class Consent(StrEnum):
    """What is known about the parties' consent."""

    UNKNOWN = "unknown"
    GRANTED = "granted"
    REFUSED = "refused"


class ConsentPolicy(StrEnum):
    """What a site may do while consent is unknown."""

    ONE_PARTY = "one-party"
    ALL_PARTY = "all-party"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a call may be transcribed and stored now."""

    policy: ConsentPolicy = ConsentPolicy.ALL_PARTY
    consent: Consent = Consent.UNKNOWN
    by: str = "settings"
    """Who said so: settings, replay, demo, api, or a person's name."""

    @property
    def may_transcribe(self) -> bool:
        """Words may be recognised and shown ("heard" in the table)."""
        return self.consent is Consent.GRANTED or (
            self.consent is Consent.UNKNOWN and self.policy is not ConsentPolicy.STRICT
        )

    @property
    def may_store(self) -> bool:
        """Events and the record may be written ("kept" in the table)."""
        return self.consent is Consent.GRANTED or (
            self.consent is Consent.UNKNOWN and self.policy is ConsentPolicy.ONE_PARTY
        )


def unkept_ranges(steps: Iterable[tuple[int, Gate]]) -> list[tuple[int, int | None]]:
    """(from, to) in ms of call time of what is not kept for want of consent; to None: until the end.

    `steps`: (since when, gate) in order. Before the first one nothing was kept: a log begins with the one that lets it
    be kept. Without any, all is.
    """
    ranges: list[tuple[int, int | None]] = []
    since: int | None = None
    for number, (at_ms, gate) in enumerate(steps):
        if number == 0:
            since = 0
        if not gate.may_store:
            since = at_ms if since is None else since
        elif since is not None:
            ranges.append((since, at_ms))
            since = None
    return [*ranges, (since, None)] if since is not None else ranges
