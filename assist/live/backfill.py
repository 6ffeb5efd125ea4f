"""Transcribes, after their end, calls whose speech no recogniser was there to transcribe.

1. At the end of a call its listener hands over the audio it could not transcribe (audio/listener.py); the record says
"untranscribed" for it. 2. The audio stays here, in memory only, until a recogniser is available, its time is up, the
memory limit is exceeded, or the call is erased. 3. It is decoded one utterance at a time, while no live call has
anything to decode. 4. The call's log is replayed with these words at the times they were said
(assist/live/late_words.py); masking, pauses and consent apply as in a live call. 5. Utterances, signals, promises and
level changes are appended to the log after a TranscribedLate, and the record is made and sealed again: in one
transaction, and only if the call has not been erased or resumed.

When the program ends the audio is lost and nothing else: the record still says "untranscribed".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from audio.backfill import BackfillBudget, UntranscribedUtterance, to_float
from audio.events import Pcm, Utterance, Word, shifted_words

log = logging.getLogger("assist")

Transcript = tuple[Word, ...] | None
Decode = Callable[[Pcm, tuple[str, ...], Callable[[Transcript], None]], None]
"""Decodes a whole utterance in the background and calls back (audio/scheduling.py); None: not possible, or not now."""


@dataclass(eq=False, slots=True)
class PendingCall:
    """One ended call with speech that is not transcribed yet."""

    call: str
    ended_s: float
    """When it ended, in seconds of the event loop's clock."""
    speech: list[UntranscribedUtterance]
    """Not transcribed yet, in order of time."""
    transcribed: list[Utterance]
    """In call time."""


class Backfill:
    """The queue of ended calls that wait for a recogniser. Event loop only."""

    def __init__(
        self,
        decode: Decode,
        ready: Callable[[], bool],
        add: Callable[[str, Sequence[Utterance], int], Awaitable[None]],
        *,
        phrases: tuple[str, ...] = (),
        budget: BackfillBudget,
        wait_s: int,
    ) -> None:
        """Prepare an empty queue.

        Args:
            decode: Decodes one utterance.
            ready: Whether there is a recogniser.
            add: Adds utterances of an ended call, so many seconds after its end, to its log and record.
            phrases: Bias phrases for the recogniser.
            budget: The memory limit, shared with live calls.
            wait_s: How long audio is kept after the end of its call.
        """
        self._decode, self._ready, self._add, self._phrases = decode, ready, add, phrases
        self._budget = budget
        self._wait_s = wait_s
        self._calls: list[PendingCall] = []
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.closed = False
        """Whether the program is stopping."""

    @property
    def samples(self) -> int:
        """Number of samples held now, at 16 kHz."""
        return sum(len(utterance.sound) for waiting in self._calls for utterance in waiting.speech)

    def add_call(self, call: str, speech: Sequence[UntranscribedUtterance]) -> None:
        """Queue the speech of a call that has ended and whose record is written."""
        if speech:
            self._calls.append(PendingCall(call, self._loop.time(), sorted(speech, key=lambda each: each.start_ms), []))
            self._loop.call_later(self._wait_s, self._expire)
            self._enforce_limit()
            self.start()

    def forget(self, calls: Sequence[str]) -> None:
        """Drop the audio of calls that are erased or resumed."""
        self._calls = [waiting for waiting in self._calls if waiting.call not in calls]
        self._enforce_limit()

    def start(self) -> None:
        """Start transcribing if there is a recogniser and it has not started yet."""
        if self._calls and self._ready() and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._run(), name="backfill")

    async def idle(self) -> None:
        """Wait until nothing more can be transcribed now."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Stop and drop all audio."""
        self.closed = True
        self._calls.clear()
        self._enforce_limit()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while self._calls and self._ready():
            waiting = self._calls[0]
            while waiting.speech and waiting in self._calls:
                utterance = waiting.speech[0]
                words = await self._transcribe(utterance)
                if words is None and not self._ready():
                    return
                if utterance in waiting.speech:  # not dropped meanwhile to free memory
                    waiting.speech.remove(utterance)
                    self._enforce_limit()
                if words is not None:
                    waiting.transcribed.append(_utterance(utterance, words))
            if waiting not in self._calls:
                continue
            self._calls.remove(waiting)
            if waiting.transcribed:
                try:
                    await self._add(waiting.call, waiting.transcribed, round(self._loop.time() - waiting.ended_s))
                    log.warning("call %s: %d utterances transcribed after it", waiting.call, len(waiting.transcribed))
                except Exception as error:  # the other calls go on; the record is unchanged
                    log.error("call %s could not be transcribed late: %s", waiting.call, type(error).__name__)

    async def _transcribe(self, utterance: UntranscribedUtterance) -> Transcript:
        transcript: asyncio.Future[Transcript] = self._loop.create_future()

        def resolve(words: Transcript) -> None:
            if not transcript.done():
                transcript.set_result(words)

        def on_decoded(words: Transcript) -> None:
            with contextlib.suppress(RuntimeError):  # the program has ended
                self._loop.call_soon_threadsafe(resolve, words)

        self._decode(to_float(utterance.sound), self._phrases, on_decoded)
        return await transcript

    def _expire(self) -> None:
        now_s = self._loop.time()
        self._calls = [waiting for waiting in self._calls if now_s - waiting.ended_s < self._wait_s]
        self._enforce_limit()

    def _enforce_limit(self) -> None:
        """Drop audio while the memory limit is exceeded: of the call that ended first, the agent's before others'."""
        while self._budget.set_held(self, self.samples) and self.samples:
            speech = self._calls[0].speech
            speech.pop(next((n for n, each in enumerate(speech) if each.speaker == "agent"), 0))
            if not speech:
                self._calls.pop(0)


def _utterance(speech: UntranscribedUtterance, words: tuple[Word, ...]) -> Utterance:
    return Utterance(speech.id, speech.speaker, speech.start_ms, speech.end_ms, shifted_words(words, speech.start_ms))
