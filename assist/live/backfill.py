"""Speech of calls that have ended which no recogniser was there to transcribe: it gets its words when one comes.

The path: 1. at the end of a call its listener hands over what it still holds (audio/listener.py); the record says
"untranscribed" of it, as of now. 2. The sound stays here, in memory only, until a recogniser is there, its time is up,
too much of it is held, or the call is erased. 3. One utterance at a time is decoded, where no live call has anything to
decode. 4. The call's log is judged again with these words at the times they were said (assist/live/late_words.py):
masked, paused and refused as live ones. 5. Words, findings, promises and the level's course are added to the log behind
a TranscribedLate, and the record is folded and sealed again; both at once, and only where the call is still there.

Whatever ends the program loses the sound and nothing else: the record goes on saying "untranscribed".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from audio.events import Pcm, Utterance, Word, shifted_words
from audio.owed import Owed, Room, as_heard

log = logging.getLogger("assist")

Words = tuple[Word, ...] | None
Decode = Callable[[Pcm, tuple[str, ...], Callable[[Words], None]], None]
"""Have a whole utterance decoded in the background (audio/scheduling.py); None: it cannot be, or not now."""


@dataclass(eq=False, slots=True)
class Ended:
    """One ended call and what it is owed."""

    call: str
    ended_s: float
    """On the event loop's clock."""
    owed: list[Owed]
    said: list[Utterance]
    """What has been transcribed since, in call time."""


class Arrears:
    """The speech of all ended calls that waits for a recogniser. Event loop only."""

    def __init__(
        self,
        decode: Decode,
        ready: Callable[[], bool],
        add: Callable[[str, Sequence[Utterance], int], Awaitable[None]],
        *,
        phrases: tuple[str, ...] = (),
        room: Room,
        wait_s: int,
    ) -> None:
        """`ready` says whether there is a recogniser; `add` puts what an ended call said into its log and record.

        What is held shares its `room` with live calls, and stays at most `wait_s` seconds after its call's end.
        """
        self._decode, self._ready, self._add, self._phrases = decode, ready, add, phrases
        self._room = room
        self._wait_s = wait_s
        self._calls: list[Ended] = []
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.closed = False
        """Whether the program ends."""

    @property
    def samples(self) -> int:
        """Of sound held now."""
        return sum(len(owed.sound) for ended in self._calls for owed in ended.owed)

    def take(self, call: str, owed: Sequence[Owed]) -> None:
        """A call has ended, its record is written, and it still owes the words of this."""
        if owed:
            self._calls.append(Ended(call, self._loop.time(), sorted(owed, key=lambda each: each.start_ms), []))
            self._loop.call_later(self._wait_s, self._expire)
            self._fit()
            self.go()

    def forget(self, calls: Sequence[str]) -> None:
        """These calls are erased, or live again: their sound is let go of."""
        self._calls = [ended for ended in self._calls if ended.call not in calls]
        self._fit()

    def go(self) -> None:
        """There may be a recogniser now: go on."""
        if self._calls and self._ready() and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._work(), name="arrears")

    async def idle(self) -> None:
        """Wait until nothing more can be done now."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Let go of everything."""
        self.closed = True
        self._calls.clear()
        self._fit()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while self._calls and self._ready():
            ended = self._calls[0]
            while ended.owed and ended in self._calls:
                owed = ended.owed[0]
                words = await self._words_of(owed)
                if words is None and not self._ready():
                    return
                if owed in ended.owed:  # not let go of meanwhile for want of room
                    ended.owed.remove(owed)
                    self._fit()
                if words is not None:
                    ended.said.append(_utterance(owed, words))
            if ended not in self._calls:
                continue
            self._calls.remove(ended)
            if ended.said:
                try:
                    await self._add(ended.call, ended.said, round(self._loop.time() - ended.ended_s))
                    log.warning("call %s: %d utterances transcribed after it", ended.call, len(ended.said))
                except Exception as error:  # the others go on; the record still says what it said
                    log.error("call %s could not be transcribed late: %s", ended.call, type(error).__name__)

    async def _words_of(self, owed: Owed) -> Words:
        answer: asyncio.Future[Words] = self._loop.create_future()

        def tell(words: Words) -> None:
            if not answer.done():
                answer.set_result(words)

        def told(words: Words) -> None:
            with contextlib.suppress(RuntimeError):  # the program has ended
                self._loop.call_soon_threadsafe(tell, words)

        self._decode(as_heard(owed.sound), self._phrases, told)
        return await answer

    def _expire(self) -> None:
        now_s = self._loop.time()
        self._calls = [ended for ended in self._calls if now_s - ended.ended_s < self._wait_s]
        self._fit()

    def _fit(self) -> None:
        """Of too much, the longest ended call's goes first, and of that the agent's."""
        while self._room.note(self, self.samples) and self.samples:
            owed = self._calls[0].owed
            owed.pop(next((n for n, each in enumerate(owed) if each.speaker == "agent"), 0))
            if not owed:
                self._calls.pop(0)


def _utterance(owed: Owed, words: tuple[Word, ...]) -> Utterance:
    return Utterance(owed.id, owed.speaker, owed.start_ms, owed.end_ms, shifted_words(words, owed.start_ms))
