"""Automatic pause: detects that a card number is about to be said. Pure.

Only words that ask for the digits or announce them count, not every mention of a card: nothing is heard in a pause.
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
_REQUEST = (
    r"(?:what(?:'s| is| are)|give me|tell me|read(?: me| out| that)?|have|take|need|get|confirm|say|enter|start with)\b"
    r"[^.?!]{0,40}?"
)
CARD_ASKED_FOR = re.compile(rf"\b{_REQUEST}\b(?:{_CARD}|{_CODE})")
"""The agent asks for a card number or its code."""
CARD_ANNOUNCED = re.compile(
    r"\b(?:my|the) (?:credit |debit |bank )?(?:card|long card|card's) number (?:is|starts)\b"
    r"|\b(?:security|cvv|cvc) (?:code|number) is\b|\bthree (?:digits|numbers) on the back are\b"
)
"""Somebody begins to say one."""
NOT_NOW = re.compile(r"\b(?:already|yesterday|last time|never|stole|stolen|lost|don't|not|didn't|won't|without)\b")
"""A card is mentioned, but its number is not about to be said."""
LAST_WORDS = 30
"""Only the last words of an utterance count: an earlier question in it has been answered."""


@dataclass(frozen=True, slots=True)
class AutoPause:
    """When to pause automatically, and for how long at most."""

    max_pause_ms: int = 60_000

    def reason_to_pause(self, heard: Utterance | Hypothesis) -> str:
        """Why to pause now, as a phrase for people; empty: do not pause.

        A question pauses when it has settled, so that none of it is lost; an announcement at once, as digits follow it.
        """
        text = " ".join(word.text.casefold().strip('.,!?;:"“”') for word in heard.words[-LAST_WORDS:])
        if NOT_NOW.search(text):
            return ""
        if heard.settled and heard.speaker is not Speaker.CUSTOMER and CARD_ASKED_FOR.search(text):
            return "a card number or its code was asked for"
        if CARD_ANNOUNCED.search(text):
            return "a card number or its code is being said"
        return ""
