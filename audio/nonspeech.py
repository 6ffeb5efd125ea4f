"""Hallucinations on audio without speech: the words a recogniser gives for tones, music, noise and silence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audio.events import CHUNK, SAMPLE_RATE, Chunk, Pcm, Speaker, Utterance
from audio.listener import Listener
from audio.recogniser import Recogniser
from audio.scheduling import Scheduler


@dataclass(frozen=True, slots=True)
class NonspeechResult:
    """What was recognised in one recording without speech."""

    name: str
    seconds: float
    detected_s: float
    """Seconds that voice activity detection took for speech."""
    words: int

    @property
    def per_minute(self) -> float:
        """Words per minute of audio."""
        return self.words * 60 / self.seconds if self.seconds else 0.0


def decode_nonspeech(
    recogniser: Recogniser,
    sounds: Mapping[str, Pcm],
    *,
    progress: Callable[[float], None] = lambda share: None,
) -> list[NonspeechResult]:
    """Listen to recordings without speech, each as a call with the customer's channel only; every word is invented."""
    scheduler = Scheduler(recogniser, 1)
    found = []
    for number, (name, pcm) in enumerate(sounds.items()):
        listener = Listener(scheduler, (Speaker.CUSTOMER,), in_step=True)
        heard = []
        for at in range(0, len(pcm), CHUNK):
            heard += listener.push(Chunk(at * 1000 // SAMPLE_RATE, {Speaker.CUSTOMER: pcm[at : at + CHUNK]}))
        heard += listener.finish()
        said = [item for item in heard if isinstance(item, Utterance)]
        words = sum(len(item.words) for item in said)
        detected_s = sum(item.end_ms - item.start_ms for item in said) / 1000
        found.append(NonspeechResult(name, len(pcm) / SAMPLE_RATE, detected_s, words))
        progress((number + 1) / len(sounds))
    scheduler.close()
    return found
