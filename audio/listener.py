"""Listening to one call: chunks in, everything heard out. Start reading here.

Each channel is segmented into utterances (audio/segmentation.py) by its voice activity (audio/activity.py). An open
utterance is decoded every 0.5 s of speech and at every pause; the words on which two hypotheses agree, or of which one
is sure, are marked as agreed (audio/settling.py). At its end the whole utterance is decoded again, and that result is
final; where nothing was said since the last pause, the decode at that pause is used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audio.activity import FRAME, Frame, VoiceActivityDetector
from audio.agenda import Answer, Line, Task
from audio.crosstalk import Crosstalk
from audio.events import (
    SAMPLE_RATE,
    Chunk,
    CustomerAudio,
    Gap,
    Heard,
    Hypothesis,
    Pcm,
    Speaker,
    SpeechActivity,
    Trouble,
    Utterance,
    VoiceMeasure,
    shifted_words,
)
from audio.owed import Owed, Room, as_heard, held
from audio.scheduling import Scheduler
from audio.segmentation import PartialDue, SegmenterEvent, UtteranceEnd, UtteranceSegmenter, UtteranceStart
from audio.settling import Settling

BEHIND_MS = 3000
"""An answer outstanding this long is worth telling people about."""
CAUGHT_UP_MS = 1000
COVERS_DB, MURMUR_DB = 10.0, 15.0
"""The agent speaks over the customer from so far under the customer's level, or under the loudest the agent was in this
call. What is softer than both on the agent's channel (the customer's own voice out of a headset, colleagues at the next
desk) hides nothing: even an echo as loud as itself would change the customer's level by less than half a decibel."""
COVERS_FRAMES = 500 * SAMPLE_RATE // 1000 // FRAME
"""Levels are the loudest of the last 0.5 s: an echo comes late, and a leak as well."""


class Meter(Protocol):
    """What measures the customer's voice (audio/voice.py)."""

    def push(self, audio: CustomerAudio, speech: bool) -> Sequence[VoiceMeasure]:
        """Take the customer's next sound and whether it is speech."""
        ...


@dataclass(eq=False, slots=True)
class _Open:
    """An utterance between its beginning and its last words."""

    id: str
    start: int
    task: Task
    settling: Settling
    end: int = 0


@dataclass(eq=False, slots=True)
class _Channel:
    speaker: Speaker
    line: Line
    activity: VoiceActivityDetector = field(default_factory=VoiceActivityDetector)
    segmenter: UtteranceSegmenter = field(default_factory=UtteranceSegmenter)
    open: _Open | None = None
    waiting: list[_Open] = field(default_factory=list)
    """Utterances whose last words are not known yet."""
    begun: int = 0
    levels: deque[float] = field(default_factory=lambda: deque(maxlen=COVERS_FRAMES))
    """Of the newest frames, dB."""
    loudest: float = -120.0
    """Frame of this speaker so far, dB."""


class Listener:
    """The ears of one call.

    `in_step` waits for each decode before the next sound is looked at, so that a recording gives the same events at any
    speed. Otherwise nothing blocks: `wake` is called, from a worker thread, whenever `poll` would say something new; it
    must return at once.
    Utterances are the same either way.

    While there is no recogniser, what is said is a Gap "untranscribed"; the newest `backfill_ms` of speech are held in
    memory, as far as there is `room` beside what other calls hold, and transcribed when one comes. Of too much, the
    agent's oldest goes first. What is still held when the call ends, or has not been transcribed yet, is a Gap as well,
    and is handed to `owe`.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        speakers: Sequence[Speaker],
        *,
        in_step: bool = False,
        wake: Callable[[], None] | None = None,
        phrases: Sequence[str] = (),
        voice_meter: Meter | None = None,
        backfill_ms: int = 0,
        room: Room | None = None,
        owe: Callable[[Owed], None] | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._in_step = in_step
        self._wake = wake or (lambda: None)
        self._phrases = tuple(phrases)
        self._meter = voice_meter
        order = sorted(speakers, key=lambda speaker: speaker is Speaker.AGENT)  # the customer first
        self._channels = {speaker: _Channel(speaker, scheduler.open(speaker, alone=in_step)) for speaker in order}
        self._crosstalk = Crosstalk(tuple(order))
        self._answers: deque[tuple[_Channel, _Open, Answer]] = deque()
        self._now_ms = 0
        self._behind = False
        self._failing = False
        self._missing = False
        self._backfill = backfill_ms * SAMPLE_RATE // 1000
        self._room = room or Room(self._backfill)
        self._owe = owe
        self._held: list[tuple[_Channel, _Open, NDArray[np.int16]]] = []
        """What was said while there was no recogniser, oldest first."""
        self._backlog: list[tuple[_Channel, _Open]] = []
        """What was held and has been handed to the recogniser since."""
        self._finished = False

    def push(self, chunk: Chunk) -> list[Heard]:
        """Take the next sound; says everything that is ready, also from earlier sound."""
        self._now_ms = chunk.end_ms
        heard = self._presence()
        interval_factor = 0 if self._missing else 1 if self._in_step else self._scheduler.interval_factor()
        for speaker, channel in self._channels.items():
            pcm = chunk.channels.get(speaker)
            if pcm is None:
                continue
            for frame in channel.activity.push(pcm):
                heard += self._frame(channel, frame, interval_factor)
        heard += self._measure(chunk)
        return heard + self.poll()

    def poll(self) -> list[Heard]:
        """What has become ready since."""
        heard: list[Heard] = []
        while self._answers:
            heard += self._say(*self._answers.popleft())
        heard += self._late()
        return heard

    def finish(self) -> list[Heard]:
        """The call is over: blocks until its last words are final, but for those that are owed."""
        if self._finished:
            return []
        self._finished = True
        heard: list[Heard] = []
        for channel in self._channels.values():
            for frame in channel.activity.flush():
                heard += self._frame(channel, frame, 1)
            heard += self._on_segmenter_events(channel, channel.segmenter.finish())
        if self._owe is not None:
            for channel, utterance in self._backlog:
                if self._scheduler.withdraw(utterance.task):
                    self._held.append((channel, utterance, held(utterance.task.sound)))
        lines = [channel.line for channel in self._channels.values()]
        self._scheduler.wait(lines)
        heard += self.poll()
        heard += self._drop_held(0, self._owe)
        heard += self._crosstalk.finish()
        self._scheduler.shut(lines)
        return heard

    def _frame(self, channel: _Channel, frame: Frame, interval_factor: int) -> list[Heard]:
        channel.levels.append(frame.level_db)
        if channel.segmenter.speaking:
            channel.loudest = max(channel.loudest, frame.level_db)
        pending = [ms for each in self._channels.values() if (ms := _earliest(each)) is not None]
        self._crosstalk.level(channel.speaker, frame, min(pending, default=None))
        return self._on_segmenter_events(channel, channel.segmenter.push(frame, interval_factor=interval_factor))

    def _on_segmenter_events(self, channel: _Channel, events: Iterator[SegmenterEvent]) -> list[Heard]:
        heard: list[Heard] = []
        for event in events:
            if isinstance(event, UtteranceStart):
                if not event.continued:
                    heard.append(SpeechActivity(channel.speaker, _ms(event.onset), True))
                self._start_utterance(channel, event)
            elif channel.open is not None:
                final = isinstance(event, UtteranceEnd)
                utterance = channel.open
                if isinstance(event, UtteranceEnd):
                    utterance.end = event.end
                    channel.open = None
                    if event.paused:
                        heard.append(SpeechActivity(channel.speaker, _ms(event.speech_end), False))
                paused = isinstance(event, PartialDue) and event.paused
                if self._missing:
                    if final:
                        heard += self._hold(channel, utterance, event.pcm)
                    else:
                        utterance.task.sound.append(event.pcm)
                    continue
                self._scheduler.submit(utterance.task, event.pcm, final=final, paused=paused)
                if self._in_step:
                    self._scheduler.wait([channel.line])
                    heard += self.poll()
        return heard

    def _start_utterance(self, channel: _Channel, event: UtteranceStart) -> None:
        channel.begun += 1

        def deliver(answer: Answer) -> None:
            self._answers.append((channel, utterance, answer))
            self._wake()

        recogniser = self._scheduler.recogniser
        settling = Settling(trusting=recogniser is not None and not recogniser.embedded)
        task = Task(channel.line, self._phrases, deliver)
        utterance = _Open(f"{channel.speaker[0]}{channel.begun}", event.start, task, settling)
        channel.open = utterance
        channel.waiting.append(utterance)

    def _measure(self, chunk: Chunk) -> Sequence[VoiceMeasure]:
        customer, agent = self._channels.get(Speaker.CUSTOMER), self._channels.get(Speaker.AGENT)
        if self._meter is None or customer is None or agent is None:
            return ()
        theirs, ours = (max(channel.levels, default=-120.0) for channel in (customer, agent))
        loud = ours > theirs - COVERS_DB or ours > agent.loudest - MURMUR_DB
        audio = chunk.customer_audio(crosstalk=agent.segmenter.speaking and loud)
        return () if audio is None else self._meter.push(audio, customer.segmenter.speaking)

    def _say(self, channel: _Channel, utterance: _Open, answer: Answer) -> list[Heard]:
        start, words = _ms(utterance.start), answer.words
        if not answer.final:
            if words is None or utterance not in channel.waiting:
                return []
            utterance.settling.push(words, heard_ms=_ms(answer.samples), paused=answer.paused)
            agreed, tentative = utterance.settling.agreed, utterance.settling.tentative
            return [
                Hypothesis(
                    utterance.id, channel.speaker, start, shifted_words(agreed, start), shifted_words(tentative, start)
                )
            ]
        if words is None and self._scheduler.missing and utterance.task.lost < 2:  # nobody has tried it
            utterance.task.decoding, utterance.task.taken = None, 0
            return [*self._presence(), *self._hold(channel, utterance, np.zeros(0, np.float32))]
        heard: list[Heard] = []
        channel.waiting.remove(utterance)
        utterance.task.release()
        if words is None:
            heard.append(Gap(channel.speaker, start, _ms(utterance.end), "failed"))
            if not self._failing:
                text = "Words of this call are being lost: the recogniser failed twice on the same speech."
                heard.append(Trouble(self._now_ms, "transcriber-failed", text))
            self._failing = True
        elif self._failing:
            self._failing = False
            heard.append(Trouble(self._now_ms, "transcriber-failed", "The recogniser works again.", cleared=True))
        said = Utterance(utterance.id, channel.speaker, start, _ms(utterance.end), shifted_words(words or (), start))
        pending = {speaker: _earliest(other) for speaker, other in self._channels.items()}
        return heard + list(self._crosstalk.hear(said, pending))

    def _presence(self) -> list[Heard]:
        """Whether there is a recogniser, told when that changes; what waited for one is handed over."""
        missing = self._scheduler.missing
        if bool(missing) == self._missing:
            return []
        self._missing = bool(missing)
        if missing:
            return [Trouble(self._now_ms, "transcriber-missing", missing)]
        before, self._held = self._held, []
        self._room.note(self, 0)
        self._backlog = [each for each in self._backlog if each[1] in each[0].waiting]
        for channel, utterance, sound in before:
            self._backlog.append((channel, utterance))
            self._scheduler.submit(utterance.task, as_heard(sound), final=True)
            if self._in_step:
                self._scheduler.wait([channel.line])
        return [Trouble(self._now_ms, "transcriber-missing", "A recogniser is there: words are heard.", cleared=True)]

    def _hold(self, channel: _Channel, utterance: _Open, pcm: Pcm) -> list[Heard]:
        self._held.append((channel, utterance, held([*utterance.task.sound, pcm])))
        utterance.task.sound.clear()
        return self._drop_held(self._backfill)

    def _drop_held(self, most: int, owe: Callable[[Owed], None] | None = None) -> list[Heard]:
        """Let go of held sound, or hand it on, until at most so many samples are left."""
        heard: list[Heard] = []
        while self._held:
            holding = sum(len(sound) for _, _, sound in self._held)
            full = self._room.note(self, holding)
            if holding <= most and not full:
                break
            number = next((n for n, (who, _, _) in enumerate(self._held) if who.speaker is Speaker.AGENT), 0)
            channel, utterance, sound = self._held.pop(number)
            channel.waiting.remove(utterance)
            utterance.task.release()
            start, end = _ms(utterance.start), _ms(utterance.end)
            heard.append(Gap(channel.speaker, start, end, "untranscribed"))
            if utterance.settling.agreed or utterance.settling.tentative:  # what was shown of it does not stand
                heard.append(Utterance(utterance.id, channel.speaker, start, end, ()))
            if owe is not None:
                owe(Owed(utterance.id, channel.speaker, start, end, sound))
        if not self._held:
            self._room.note(self, 0)
        return heard

    def _late(self) -> list[Heard]:
        if self._in_step:
            return []
        lag = self._scheduler.lag_ms(channel.line for channel in self._channels.values())
        if not self._behind and lag >= BEHIND_MS:
            self._behind = True
            text = "Words come late: the machine is busy. Nothing is lost; fewer calls or a smaller model help."
            return [Trouble(self._now_ms, "transcriber-behind", text, lag_ms=lag)]
        if self._behind and lag < CAUGHT_UP_MS:
            self._behind = False
            return [Trouble(self._now_ms, "transcriber-behind", "Words are on time again.", cleared=True)]
        return []


def _ms(sample: int) -> int:
    return sample * 1000 // SAMPLE_RATE


def _earliest(channel: _Channel) -> int | None:
    """When the earliest utterance of this channel began whose last words are not known yet, in ms."""
    return min((_ms(utterance.start) for utterance in channel.waiting), default=None)
