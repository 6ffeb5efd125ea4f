"""Listening to one call: chunks of audio in, events out (`Heard`). Start reading here.

Each channel is segmented into utterances (audio/segmentation.py) by its voice activity (audio/activity.py). An open
utterance is decoded every 0.5 s of speech and at every pause; the words on which two hypotheses agree, or of which one
is certain, are marked as agreed (audio/local_agreement.py). At its end the whole utterance is decoded again, and that
result is final; where nothing was said since the last pause, the decode at that pause is used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audio.activity import FRAME, Frame, VoiceActivityDetector
from audio.backfill import BackfillBudget, UntranscribedUtterance, to_float, to_int16
from audio.crosstalk import Crosstalk
from audio.decode_queue import ChannelQueue, DecodeResult, UtteranceTask
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
    Word,
    shifted_words,
)
from audio.local_agreement import LocalAgreement
from audio.scheduling import Scheduler
from audio.segmentation import PartialDue, SegmenterEvent, UtteranceEnd, UtteranceSegmenter, UtteranceStart

BEHIND_MS = 3000
"""A decode unfinished for so long is reported as trouble (transcriber-behind) ..."""
CAUGHT_UP_MS = 1000
"""... until none is older than this."""
OVERLAP_DB, BLEED_DB = 10.0, 15.0
"""The customer's voice is not measured while the agent's level is less than the first below the customer's, or less
than the second below the agent's highest in this call. Softer sound on the agent's channel (the customer's own voice
out of a headset, colleagues at the next desk) does no harm: even an echo as loud as itself would change the customer's
level by less than half a decibel. Nor is it the agent who speaks, where it is further below the customer's than the
first while the customer speaks: an agent said to speak is shown no prompt."""
LEVEL_FRAMES = 500 * SAMPLE_RATE // 1000 // FRAME
"""A channel's level is the highest of the last 0.5 s: echoes and leaks arrive late."""


class Meter(Protocol):
    """Measures the customer's voice (audio/voice.py)."""

    def push(self, audio: CustomerAudio, speech: bool) -> Sequence[VoiceMeasure]:
        """Take the customer's next audio and whether it is speech."""
        ...


@dataclass(eq=False, slots=True)
class _Utterance:
    """An utterance that is not final yet."""

    id: str
    start: int
    """Its first sample."""
    task: UtteranceTask
    agreement: LocalAgreement
    agreed_count: int = 0
    """Words handed out as agreed; those that may be the other party's wait until the utterance is final."""
    end: int = 0
    """The sample after its last one, once it has ended."""


@dataclass(eq=False, slots=True)
class _Channel:
    speaker: Speaker
    queue: ChannelQueue
    late: ChannelQueue
    """For what was held while there was no recogniser: it does not keep what is said now waiting."""
    activity: VoiceActivityDetector = field(default_factory=VoiceActivityDetector)
    segmenter: UtteranceSegmenter = field(default_factory=UtteranceSegmenter)
    utterance: _Utterance | None = None
    """The open one."""
    pending: list[_Utterance] = field(default_factory=list)
    """Utterances that are not final yet, the open one included."""
    utterance_count: int = 0
    levels_db: deque[float] = field(default_factory=lambda: deque(maxlen=LEVEL_FRAMES))
    """Of the newest frames, dBFS."""
    loudest_db: float = -120.0
    """The highest level of a frame within speech so far, dBFS."""
    active: bool = False
    """Whether its party was said to speak."""
    speech_end: int = 0
    """The sample after the last frame of its own party's speech."""

    @property
    def level_db(self) -> float:
        """The highest of the newest frames, dBFS."""
        return max(self.levels_db, default=-120.0)


class Listener:
    """Turns the audio of one call into events: speech activity, hypotheses, utterances, voice measures, trouble.

    While there is no recogniser, the newest speech is held in memory and transcribed when there is one. What does not
    fit becomes a Gap "untranscribed", the agent's oldest utterance first. So does what is still held, or waits to be
    decoded, when the call ends.

    Args:
        scheduler: decodes the utterances.
        speakers: of the chunks.
        in_step: wait for each decode before the next audio is looked at, so that a recording gives the same events at
            any speed. Otherwise only `finish` blocks. Utterances are the same either way.
        wake: called from a worker thread when `poll` has something new; must return at once.
        phrases: words worth expecting, for the recogniser.
        voice_meter: measures the customer's voice; None: it is not measured.
        backfill_ms: speech held while there is no recogniser.
        budget: the limit that all calls share; None: `backfill_ms` alone.
        on_untranscribed: takes what has not been transcribed when the call ends.
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
        budget: BackfillBudget | None = None,
        on_untranscribed: Callable[[UntranscribedUtterance], None] | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._in_step = in_step
        self._wake = wake or (lambda: None)
        self._phrases = tuple(phrases)
        self._meter = voice_meter
        order = sorted(speakers, key=lambda speaker: speaker is Speaker.AGENT)  # the customer first
        self._channels = {
            speaker: _Channel(
                speaker,
                scheduler.open_channel(speaker, unbatched=in_step),
                scheduler.open_channel(speaker, unbatched=in_step, late=True),
            )
            for speaker in order
        }
        self._crosstalk = Crosstalk(tuple(order))
        self._results: deque[tuple[_Channel, _Utterance, DecodeResult]] = deque()
        self._now_ms = 0
        self._behind = False
        self._failing = False
        self._missing = False
        self._backfill_samples = backfill_ms * SAMPLE_RATE // 1000
        self._budget = budget or BackfillBudget(self._backfill_samples)
        self._on_untranscribed = on_untranscribed
        self._held_back: list[tuple[_Channel, _Utterance, NDArray[np.int16]]] = []
        """Utterances that ended while there was no recogniser, oldest first."""
        self._backlog: list[tuple[_Channel, _Utterance]] = []
        """Utterances that were held and have been submitted since."""
        self._finished = False

    def push(self, chunk: Chunk) -> list[Heard]:
        """Take the next audio; returns all new events, those of earlier audio included."""
        self._now_ms = chunk.end_ms
        heard = self._check_recogniser()
        interval_factor = 0 if self._missing else 1 if self._in_step else self._scheduler.interval_factor()
        for speaker, channel in self._channels.items():
            pcm = chunk.channels.get(speaker)
            if pcm is None:
                continue
            for frame in channel.activity.push(pcm):
                heard += self._push_frame(channel, frame, interval_factor)
        heard += self._measure_voice(chunk)
        return heard + self.poll()

    def poll(self) -> list[Heard]:
        """The events that have become ready since."""
        heard: list[Heard] = []
        while self._results:
            heard += self._on_result(*self._results.popleft())
        heard += self._check_lag()
        return heard

    def finish(self) -> list[Heard]:
        """The call is over: blocks until every utterance is final, or has been handed to `on_untranscribed`."""
        if self._finished:
            return []
        self._finished = True
        heard: list[Heard] = []
        for channel in self._channels.values():
            for frame in channel.activity.flush():
                heard += self._push_frame(channel, frame, 1)
            heard += self._on_segmenter_events(channel, channel.segmenter.finish())
        if self._on_untranscribed is not None:
            for channel, utterance in self._backlog:
                if self._scheduler.withdraw(utterance.task):
                    self._held_back.append((channel, utterance, to_int16(utterance.task.sound)))
        queues = [queue for channel in self._channels.values() for queue in (channel.queue, channel.late)]
        self._scheduler.wait(queues)
        heard += self.poll()
        heard += self._release_held(0, self._on_untranscribed)
        heard += self._crosstalk.finish()
        self._scheduler.close_channels(queues)
        return heard

    def _push_frame(self, channel: _Channel, frame: Frame, interval_factor: int) -> list[Heard]:
        channel.levels_db.append(frame.level_db)
        if channel.segmenter.speaking:
            channel.loudest_db = max(channel.loudest_db, frame.level_db)
        pending = [ms for each in self._channels.values() if (ms := _first_pending_ms(each)) is not None]
        self._crosstalk.push_level(channel.speaker, frame, min(pending, default=None))
        heard = self._on_segmenter_events(channel, channel.segmenter.push(frame, interval_factor=interval_factor))
        return heard + self._update_activity(channel)

    def _is_customers_voice(self, channel: _Channel) -> bool:
        """Whether what is on the agent's channel now is the customer's voice, out of a headset."""
        customer = self._channels.get(Speaker.CUSTOMER)
        if customer is None or channel.speaker is not Speaker.AGENT or not customer.segmenter.speaking:
            return False
        return channel.level_db < customer.level_db - OVERLAP_DB

    def _update_activity(self, channel: _Channel) -> list[SpeechActivity]:
        """Whether the party speaks, where that changes within an utterance: its own voice ends or begins in a leak."""
        is_others = self._is_customers_voice(channel)
        if channel.segmenter.frame_is_speech and not is_others:
            channel.speech_end = channel.segmenter.samples
            if not channel.active:
                return [self._changed_activity(channel, channel.speech_end)]
        elif channel.active and is_others:
            return [self._changed_activity(channel, channel.speech_end)]
        return []

    def _changed_activity(self, channel: _Channel, at: int) -> SpeechActivity:
        channel.active = not channel.active
        return SpeechActivity(channel.speaker, _ms(at), channel.active)

    def _on_segmenter_events(self, channel: _Channel, events: Iterator[SegmenterEvent]) -> list[Heard]:
        heard: list[Heard] = []
        for event in events:
            if isinstance(event, UtteranceStart):
                if not event.continued and not self._is_customers_voice(channel):
                    heard.append(self._changed_activity(channel, event.onset))
                self._start_utterance(channel, event)
            elif channel.utterance is not None:
                final = isinstance(event, UtteranceEnd)
                utterance = channel.utterance
                if isinstance(event, UtteranceEnd):
                    utterance.end = event.end
                    channel.utterance = None
                    if event.paused and channel.active:
                        heard.append(self._changed_activity(channel, event.speech_end))
                paused = isinstance(event, PartialDue) and event.paused
                if self._missing:
                    if final:
                        heard += self._hold_back(channel, utterance, event.pcm)
                    else:
                        utterance.task.sound.append(event.pcm)
                    continue
                self._scheduler.submit(utterance.task, event.pcm, final=final, paused=paused)
                if self._in_step:
                    self._scheduler.wait([channel.queue])
                    heard += self.poll()
        return heard

    def _start_utterance(self, channel: _Channel, event: UtteranceStart) -> None:
        channel.utterance_count += 1

        def deliver(result: DecodeResult) -> None:
            self._results.append((channel, utterance, result))
            self._wake()

        recogniser = self._scheduler.recogniser
        agreement = LocalAgreement(trust_probabilities=recogniser is not None and not recogniser.embedded)
        task = UtteranceTask(channel.queue, self._phrases, deliver)
        utterance = _Utterance(f"{channel.speaker[0]}{channel.utterance_count}", event.start, task, agreement)
        channel.utterance = utterance
        channel.pending.append(utterance)

    def _measure_voice(self, chunk: Chunk) -> Sequence[VoiceMeasure]:
        customer, agent = self._channels.get(Speaker.CUSTOMER), self._channels.get(Speaker.AGENT)
        if self._meter is None or customer is None or agent is None:
            return ()
        ours = agent.level_db
        loud = ours > customer.level_db - OVERLAP_DB or ours > agent.loudest_db - BLEED_DB
        audio = chunk.customer_audio(crosstalk=agent.segmenter.speaking and loud)
        return () if audio is None else self._meter.push(audio, customer.segmenter.speaking)

    def _on_result(self, channel: _Channel, utterance: _Utterance, result: DecodeResult) -> list[Heard]:
        if result.final:
            return self._on_final(channel, utterance, result.words)
        if result.words is None or utterance not in channel.pending:
            return []
        start, agreement = _ms(utterance.start), utterance.agreement
        agreement.push(result.words, audio_ms=_ms(result.samples), paused=result.paused)
        if not self._crosstalk.may_be_leak(channel.speaker, start, start + _ms(result.samples)):
            utterance.agreed_count = len(agreement.agreed)
        words, count = shifted_words((*agreement.agreed, *agreement.tentative), start), utterance.agreed_count
        return [Hypothesis(utterance.id, channel.speaker, start, words[:count], words[count:])]

    def _on_final(self, channel: _Channel, utterance: _Utterance, words: tuple[Word, ...] | None) -> list[Heard]:
        if words is None and self._scheduler.missing and not utterance.task.given_up:  # no recogniser has tried it
            utterance.task.decoding, utterance.task.pieces_fed = None, 0
            return [*self._check_recogniser(), *self._hold_back(channel, utterance, np.zeros(0, np.float32))]
        start, end = _ms(utterance.start), _ms(utterance.end)
        heard: list[Heard] = []
        channel.pending.remove(utterance)
        utterance.task.release()
        if words is None:
            heard.append(Gap(channel.speaker, start, end, "failed"))
            if not self._failing:
                text = "Words of this call are being lost: the recogniser failed again and again on the same speech."
                heard.append(Trouble(self._now_ms, "transcriber-failed", text))
            self._failing = True
        elif self._failing:
            self._failing = False
            heard.append(Trouble(self._now_ms, "transcriber-failed", "The recogniser works again.", cleared=True))
        final = Utterance(utterance.id, channel.speaker, start, end, shifted_words(words or (), start))
        pending = {
            speaker: [(_ms(each.start), _ms(each.end) if each.end else None) for each in other.pending]
            for speaker, other in self._channels.items()
        }
        late = utterance.task.channel is channel.late
        return heard + list(self._crosstalk.push_utterance(final, pending, late=late))

    def _check_recogniser(self) -> list[Heard]:
        """Trouble when the recogniser has gone or has come; held utterances are then submitted."""
        missing = self._scheduler.missing
        if bool(missing) == self._missing:
            return []
        self._missing = bool(missing)
        if missing:
            return [Trouble(self._now_ms, "transcriber-missing", missing)]
        held, self._held_back = self._held_back, []
        self._budget.set_held(self, 0)
        self._backlog = [each for each in self._backlog if each[1] in each[0].pending]
        for channel, utterance, sound in held:
            self._backlog.append((channel, utterance))
            utterance.task.channel = channel.late
            self._scheduler.submit(utterance.task, to_float(sound), final=True)
            if self._in_step:
                self._scheduler.wait([channel.late])
        return [Trouble(self._now_ms, "transcriber-missing", "A recogniser is there: words are heard.", cleared=True)]

    def _hold_back(self, channel: _Channel, utterance: _Utterance, pcm: Pcm) -> list[Heard]:
        self._held_back.append((channel, utterance, to_int16([*utterance.task.sound, pcm])))
        utterance.task.sound.clear()
        return self._release_held(self._backfill_samples)

    def _release_held(
        self, max_samples: int, on_untranscribed: Callable[[UntranscribedUtterance], None] | None = None
    ) -> list[Heard]:
        """Give up held utterances until at most `max_samples` are left and the budget is kept."""
        heard: list[Heard] = []
        while self._held_back:
            holding = sum(len(sound) for _, _, sound in self._held_back)
            full = self._budget.set_held(self, holding)
            if holding <= max_samples and not full:
                break
            number = next((n for n, (who, _, _) in enumerate(self._held_back) if who.speaker is Speaker.AGENT), 0)
            channel, utterance, sound = self._held_back.pop(number)
            channel.pending.remove(utterance)
            utterance.task.release()
            start, end = _ms(utterance.start), _ms(utterance.end)
            heard.append(Gap(channel.speaker, start, end, "untranscribed"))
            if utterance.agreement.agreed or utterance.agreement.tentative:  # withdraws its hypotheses
                heard.append(Utterance(utterance.id, channel.speaker, start, end, ()))
            if on_untranscribed is not None:
                on_untranscribed(UntranscribedUtterance(utterance.id, channel.speaker, start, end, sound))
        if not self._held_back:
            self._budget.set_held(self, 0)
        return heard

    def _check_lag(self) -> list[Heard]:
        if self._in_step:
            return []
        lag = self._scheduler.lag_ms(channel.queue for channel in self._channels.values())
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


def _first_pending_ms(channel: _Channel) -> int | None:
    """Start of the channel's earliest utterance that is not final yet."""
    return min((_ms(utterance.start) for utterance in channel.pending), default=None)
