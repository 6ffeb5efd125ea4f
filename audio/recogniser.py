"""The protocol of recognisers: audio of one utterance in, words out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from audio.events import Pcm, Word


class Decoding(Protocol):
    """One utterance being recognised. Its methods are called by one worker at a time, in order.

    Word times are milliseconds since the first sample given to `extend`. A decoding may have more:
    `close()`, called instead of `hypothesis` when the speaker pauses, where `final` can reuse its result;
    `batch_key(samples)`, equal for decodings that the recogniser's `hypotheses(decodings)` can decode as one batch;
    `process`, the only backend that can continue it.
    """

    def extend(self, pcm: Pcm) -> None:
        """Take the next samples of the utterance (16 kHz float32)."""
        ...

    def hypothesis(self) -> tuple[Word, ...]:
        """The words of the audio so far; may be costly."""
        ...

    def final(self) -> tuple[Word, ...]:
        """The best words for the whole utterance. Ends the decoding and frees its memory."""
        ...


class Recogniser(Protocol):
    """A loaded model, shared by all channels and calls; safe to use from several threads."""

    name: str
    """For people and records, such as "faster-whisper base.en (CPU, int8)"."""
    version: str
    """Identifies the exact weights, for the incident record."""
    embedded: bool
    """True for the recogniser that needs no download and makes more errors."""

    def begin(self, *, phrases: Sequence[str] = ()) -> Decoding:
        """Start an utterance; `phrases` are words worth expecting (playbook and rules)."""
        ...
