"""Dialogue context: the last words of both speakers' turns before an utterance, which a network reads with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Hypothesis, Speaker, Utterance, Word
from detectors.backchannels import is_backchannel
from detectors.phrases import MAX_PAUSE_MS
from detectors.signals import Window

MAX_CURRENT_WORDS = 16
MAX_OTHER_WORDS = 24
MAX_PREVIOUS_WORDS = 20
"""How many words of each turn are kept: its last ones."""


@dataclass(frozen=True, slots=True)
class DialogueContext:
    """The words of the three turns before an utterance, in order, without backchannels ("mhm", "okay")."""

    previous_turn: tuple[str, ...] = ()
    """The same speaker's, before the other speaker's."""
    other_turn: tuple[str, ...] = ()
    """The other speaker's."""
    current_turn: tuple[str, ...] = ()
    """The same speaker's turn so far; what lies before a pause of more than `MAX_PAUSE_MS` is left out."""


NO_CONTEXT = DialogueContext()
"""Of an utterance on its own."""


def window_context(window: Window, latest: Utterance | Hypothesis) -> DialogueContext:
    """The context of the latest utterance or hypothesis among the utterances of a window."""
    history = [
        (each.speaker, each.words)
        for each in window.utterances
        if each.id != latest.id and each.start_ms <= latest.start_ms
    ]
    return context_after(history, latest.speaker, latest.words[0].start_ms if latest.words else latest.start_ms)


def context_after(
    history: Sequence[tuple[Speaker, Sequence[Word]]], speaker: Speaker, start_ms: int | None = None
) -> DialogueContext:
    """The context of what `speaker` says next.

    Args:
        history: the utterances so far, in the order they were said.
        speaker: who speaks next.
        start_ms: when, in ms since the call began; without it the current turn is not cut at pauses.
    """
    turns: tuple[list[str], list[str], list[str]] = ([], [], [])  # from the latest to the earliest
    turn = 0
    for who, words in reversed(history):
        if is_backchannel(words):
            continue
        if (who is speaker) is (turn == 1):  # the speaker changes
            turn += 1
            if turn > 2:
                break
        if turn == 0 and start_ms is not None:
            if start_ms - words[-1].end_ms > MAX_PAUSE_MS:
                continue
            start_ms = words[0].start_ms
        turns[turn][:0] = [word.text for word in words]
    current, other, previous = turns
    return DialogueContext(
        tuple(previous[-MAX_PREVIOUS_WORDS:]), tuple(other[-MAX_OTHER_WORDS:]), tuple(current[-MAX_CURRENT_WORDS:])
    )
