"""What was said just before, by both sides: where in the call a caller's words stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors.nods import is_nod
from detectors.phrases import STRADDLE_MS
from detectors.signals import Window

TURN_WORDS = 16
"""So many words of what the speaker said since the other one spoke, and without a long pause, are read along ..."""
OTHER_WORDS = 24
"""... of what the other said before that ..."""
BEFORE_WORDS = 20
"""... and of what the speaker had said before: the last ones of each."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """The words before an utterance, in the order they were said; of each side the last few, and no nods."""

    before: tuple[str, ...] = ()
    """The speaker's, before the other one spoke."""
    other: tuple[str, ...] = ()
    """The other's."""
    turn: tuple[str, ...] = ()
    """The speaker's since then, cut by short pauses only: what was said longer ago is over."""


NOWHERE = Exchange()
"""A line by itself."""


def exchange(window: Window, latest: Utterance | Hypothesis) -> Exchange:
    """What was said before the latest words."""
    earlier = [
        (each.speaker, each.words)
        for each in window.utterances
        if each.id != latest.id and each.start_ms <= latest.start_ms
    ]
    return before_turn(earlier, latest.speaker, latest.words[0].start_ms if latest.words else latest.start_ms)


def before_turn(
    earlier: Sequence[tuple[Speaker, Sequence[Word]]], speaker: Speaker, begins_ms: int | None = None
) -> Exchange:
    """The same of what was said, in order, before this speaker goes on, at once or at this time."""
    sides: tuple[list[str], list[str], list[str]] = ([], [], [])
    place = 0
    for who, words in reversed(earlier):
        if is_nod(words):
            continue
        if (who is speaker) is (place == 1):  # the side changes
            place += 1
            if place > 2:
                break
        if place == 0 and begins_ms is not None:
            if begins_ms - words[-1].end_ms > STRADDLE_MS:
                continue
            begins_ms = words[0].start_ms
        sides[place][:0] = [word.text for word in words]
    turn, other, before = sides
    return Exchange(tuple(before[-BEFORE_WORDS:]), tuple(other[-OTHER_WORDS:]), tuple(turn[-TURN_WORDS:]))
