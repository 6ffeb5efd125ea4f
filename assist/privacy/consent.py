"""Consent to a call being listened to and kept: what each state allows under each policy. Pure.

| consent | one-party            | all-party                 | strict                    |
|---------|----------------------|---------------------------|---------------------------|
| unknown | heard, shown, kept   | heard, shown, not kept    | not heard, shown or kept  |
| granted | heard, shown, kept   | heard, shown, kept        | heard, shown, kept        |
| refused | not heard, what was kept is erased (whatever the policy)                     |||

"Not heard" means that the recogniser is given silence; "not kept" that nothing of the call is written but one row that
says that there was a call and what was said about consent. Which policy a place asks for is for its lawyers to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PAUSE_REACH_MS = 2_000
"""A pause also takes back what was said this shortly before it: the hand is slower than the first digits."""


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
    """Whether a call may be heard and kept now."""

    policy: ConsentPolicy = ConsentPolicy.ALL_PARTY
    consent: Consent = Consent.UNKNOWN
    by: str = "settings"
    """Who said so: settings, replay, demo, api, or a person's name."""

    @property
    def heard(self) -> bool:
        """Words may be recognised and shown."""
        return self.consent is Consent.GRANTED or (
            self.consent is Consent.UNKNOWN and self.policy is not ConsentPolicy.STRICT
        )

    @property
    def kept(self) -> bool:
        """Events and the record may be written."""
        return self.consent is Consent.GRANTED or (
            self.consent is Consent.UNKNOWN and self.policy is ConsentPolicy.ONE_PARTY
        )
