"""A card number is about to be said: listening pauses by itself. Pure.

Only words that ask for the digits or announce them count, not every mention of a card: a pause makes the assist deaf.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from audio.events import Hypothesis, Speaker, Utterance

_CARD = (
    r"(?:long |full |whole |sixteen digit |16 digit )?(?:card|long) number"
    r"|(?:digits|number) (?:on|across) (?:the|your) (?:front|card)"
)
_CODE = (
    r"(?:three|3|four|4|last three) (?:digits?|numbers?)[^.?!]{0,24}back"
    r"|(?:security|cvv|cvc|c v v|c v c) (?:code|number)|c ?v ?[vc]\b"
)
_ASK = (
    r"(?:what(?:'s| is| are)|give me|tell me|read(?: me| out| that)?|have|take|need|get|confirm|say|enter|start with)\b"
    r"[^.?!]{0,40}?"
)
ASKED = re.compile(rf"\b{_ASK}\b(?:{_CARD}|{_CODE})")
"""The agent asks for it."""
ANNOUNCED = re.compile(
    r"\b(?:my|the) (?:credit |debit |bank )?(?:card|long card|card's) number (?:is|starts)\b"
    r"|\b(?:security|cvv|cvc) (?:code|number) is\b|\bthree (?:digits|numbers) on the back are\b"
)
"""Somebody begins to say it."""
PAST = re.compile(r"\b(?:already|yesterday|last time|never|stole|stolen|lost|don't|not|didn't|won't|without)\b")
"""Spoken of, not about to be said."""
LAST_WORDS = 30
"""Only what was said last counts: an old question in a long utterance has been answered."""
# A question pauses once it is settled (nothing of it is lost); an announcement at once, for its digits follow.


@dataclass(frozen=True, slots=True)
class AutoPause:
    """When to pause without being told, and for how long at most."""

    longest_ms: int = 60_000

    def asks(self, heard: Utterance | Hypothesis) -> str:
        """Why to pause now, in plain words; empty where there is no reason."""
        text = " ".join(word.text.casefold().strip('.,!?;:"“”') for word in heard.words[-LAST_WORDS:])
        if PAST.search(text):
            return ""
        if heard.settled and heard.speaker is not Speaker.CUSTOMER and ASKED.search(text):
            return "a card number or its code was asked for"
        if ANNOUNCED.search(text):
            return "a card number or its code is being said"
        return ""
