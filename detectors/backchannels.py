"""Backchannels: a listener's "mhm", "okay, right", "I see". They take no turn, whoever gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from audio.events import Word

MAX_WORDS = 10
"""A longer run of such words is somebody talking."""
_PHRASES = re.compile(
    r"\b(?:i see|i understand|i hear you|i get (?:it|that|you)|go (?:on|ahead)|carry on|of course|got (?:it|you|that)"
    r"|all right|that(?: i|')s (?:right|fine|okay|ok|great|good|correct|lovely|true)|oh (?:no|dear|wow|my|god|gosh)"
    r"|no (?:problem|worries|bother)|makes sense|fair enough|thank you|sounds good|very (?:good|well)|my goodness"
    r"|i(?: a|')m (?:here|listening|with you)|not at all|good stuff|for sure|oh really)\b"
)
_WORDS = frozenset(
    """yeah yes yep yup yah aye okay ok okey right sure mm mmm mhm mmhm hm hmm uh um huh uhhuh mmhmm ah aha oh ooh er
    exactly absolutely definitely indeed certainly totally fine good great lovely perfect brilliant super excellent
    wonderful
    alright understood thanks cheers ta really true correct agreed sorry please then so well and there""".split()
)
"""No "no" and no "I know": said over somebody they are objections."""


def is_backchannel(words: Sequence[Word]) -> bool:
    """Whether the words are backchannels only; True of no words."""
    if len(words) > MAX_WORDS:
        return False
    line = " ".join(word.text for word in words).lower().replace("’", "'")
    line = re.sub(r"[^a-z' ]", " ", line.replace("-", ""))
    return all(token in _WORDS for token in _PHRASES.sub(" ", line).split())
