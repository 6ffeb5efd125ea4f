"""The checks of hearing: the recogniser, tried on a sample, and the sound devices."""

from __future__ import annotations

from collections.abc import Iterator

from assist.doctor.finding import Finding, bad, ok, warning
from assist.settings import Settings
from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Pcm, Speaker
from audio.models import Choice, choose_recogniser, verify_model

SAMPLE_MS = (500, 5_500)
"""Of the bundled call: the agent's greeting."""
SAMPLE_WORDS = frozenset("thank you for calling this is how can i help today with your the".split())
"""Words any recogniser should find some of there."""


def recogniser(settings: Settings) -> Iterator[Finding]:
    """The model is the one that was fetched, and it understands the bundled sample."""
    try:
        choice = choose_recogniser(settings.recogniser, settings.model, settings.models_dir, reachable=lambda: False)
    except AudioError as error:
        yield bad("model", str(error))
        return
    if choice.kind == "whisper" and choice.path is not None:
        digest = verify_model(choice.path)
        known = (choice.path / "manifest.json").exists()
        text = f"Whisper {choice.model}, sha256 {digest[:16]}…"
        if known:
            yield ok("model", f"{text}, as in its manifest")
        else:
            yield warning("model", f"{text}; no manifest to check it against: `assist models fetch NAME` brings one")
    else:
        yield warning("model", f"{choice.line}")
    heard = _listen(choice)
    found = sorted(SAMPLE_WORDS & set(heard))
    if len(found) >= 3:
        yield ok("recogniser", f"understood the bundled sample ({len(heard)} words)")
    else:
        said = "nothing" if not heard else f"{len(heard)} words, hardly any of them right"
        yield bad(
            "recogniser", f"heard {said} in the bundled sample: fetch another model (`assist models fetch base.en`)"
        )


def devices(settings: Settings) -> Iterator[Finding]:
    """There are devices for a live call."""
    from audio.devices import list_devices

    try:
        devices = list_devices()
    except AudioError as error:
        yield warning("devices", f"{error} (replaying recordings works without)")
        return
    microphones = [device for device in devices if not device.far_end]
    far_ends = [device for device in devices if device.far_end]
    if microphones and far_ends:
        yield ok("devices", f"{len(microphones)} microphones, {len(far_ends)} far ends: `assist devices` lists them")
    else:
        missing = "microphone" if not microphones else "device that carries the customer"
        yield warning("devices", f"no {missing}: live calls on this machine need one (`assist devices`; README, Sound)")


def _listen(choice: Choice) -> list[str]:
    """What the recogniser hears in the bundled sample."""
    if choice.kind == "whisper" and choice.path is not None:
        from audio.whisper import WhisperRecogniser

        decoding = WhisperRecogniser(choice.path, workers=1).begin()
    else:
        from audio.sphinx import SphinxRecogniser

        decoding = SphinxRecogniser(decoders=1).begin()  # type: ignore[assignment]
    decoding.extend(_sample())
    return [word.text.casefold().strip(".,!?") for word in decoding.final()]


def _sample() -> Pcm:
    from assist.sound import DEMO_SOUND, whole

    begin, end = (ms * SAMPLE_RATE // 1000 for ms in SAMPLE_MS)
    return whole(DEMO_SOUND)[Speaker.AGENT][begin:end]
