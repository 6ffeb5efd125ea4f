"""What the fuzzer feeds (tests/fuzz.py), and what must hold whatever it feeds. Every target takes bytes."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from assist.errors import AssistError
from assist.live.joining import Joining
from assist.live.writing import WRITE_REQUEST
from assist.privacy.redaction import Redactor
from assist.store.codec import decode
from assist.store.keys import Keyring
from assist.store.recordings import FORMAT, RATE, Recordings
from audio.events import Hypothesis, Speaker, Utterance, Word
from overlay.doing import DO
from overlay.gate import GateRequest
from overlay.records import Answer, Filters, Marking, RecordNote

CORPUS = Path(__file__).parent / "data" / "fuzz"
PARSERS: tuple[Callable[[bytes], object], ...] = (
    DO.validate_json,
    WRITE_REQUEST.validate_json,
    Joining.model_validate_json,
    GateRequest.model_validate_json,
    Filters.model_validate_json,
    Marking.model_validate_json,
    RecordNote.model_validate_json,
    Answer.model_validate_json,
)
_LONG = re.compile(r"(?:\d[ -]?){13,}", re.ASCII)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def control(data: bytes) -> None:
    """What pages, other commands and payment pages send: the first byte picks the parser."""
    try:
        PARSERS[(data or b"\0")[0] % len(PARSERS)](data[1:])
    except ValueError as error:  # pydantic's ValidationError is one
        assert str(error)


def stored(data: bytes) -> None:
    """A row of the event log as it might stand on a damaged disk: its type, a line end, its JSON."""
    name, _, body = data.decode("utf-8", "replace").partition("\n")
    try:
        decode(name, body)
    except AssistError as error:
        assert "\n" not in str(error)


def frames(data: bytes) -> None:
    """A recording file: whatever stands in it, a player gets sound of the length that was promised, or nothing."""
    recordings = Recordings(Path(_folder().name))
    path = recordings.path("k1")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if data[:1] != b"+" else FORMAT.encode() + data[1:])
    sound = recordings.open("k1")
    if sound is not None:
        assert len(sound.wav()) == sound.size and len(sound.samples()) == sound.frames * RATE
        assert sound.wav(40, 60) == sound.wav()[40:60] and sound.peaks(2_000)


def words(data: bytes) -> None:
    """Recognised words, an utterance a line: no 13 digits in a row are kept, none shown while they are being said."""
    redactor, at = Redactor(names=True), 0
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n")[:20]):
        said = tuple(Word(text, at + 300 * n, at + 300 * n + 250) for n, text in enumerate(line.split()[:60]))
        if not said:
            continue
        cut = len(said) // 2
        shown = redactor.redact_hypothesis(Hypothesis(f"u{number}", Speaker.CUSTOMER, at, said[:cut], said[cut:]))
        kept = redactor.redact_utterance(Utterance(f"u{number}", Speaker.CUSTOMER, at, said[-1].end_ms, said))
        for left in (shown.agreed + shown.tentative, kept.words):
            assert not _LONG.search(" ".join(word.text for word in left)), line
            assert all(before.start_ms <= after.start_ms for before, after in zip(left, left[1:], strict=False))
        at = said[-1].end_ms + 800


TARGETS: dict[str, Callable[[bytes], None]] = {target.__name__: target for target in (control, stored, frames, words)}


def replay(target: str) -> int:
    """Play the kept corpus of a target through it; how many inputs there were."""
    inputs = sorted((CORPUS / target).iterdir())
    for path in inputs:
        TARGETS[target](path.read_bytes())
    return len(inputs)


def whole_recording() -> bytes:
    """A recording of two seconds that opens: where the fuzzer of frames begins."""
    line = FORMAT.encode() + b"agent,customer\n"
    keys = Keyring.beside(Path(_folder().name) / "assist.db")
    return line + b"".join(keys.encrypt("k1", bytes(2 * RATE), b"k1\n" + line + str(n).encode()) for n in range(2))
