"""The transcript of one call as its pages show it, also when words are taken back."""

from __future__ import annotations

from dataclasses import dataclass, field

from assist.events import HandOffNoted
from assist.screens.rooms import READERS_KEYS, Rooms
from assist.wording import label
from audio.events import Hypothesis, Utterance
from detectors.signals import Severity, Signal
from overlay import messages

MAX_LINES = 60
"""Utterances kept, to be shown again when a signal is found in them."""


@dataclass
class Transcript:
    """The lines with the words of signals marked, the list of signals, and the hand-off."""

    rooms: Rooms
    signals: dict[str, Signal] = field(default_factory=dict)
    """Signal key -> signal that was not withdrawn."""
    _lines: dict[str, Utterance | Hypothesis] = field(default_factory=dict)
    _signal_count: int = 0
    _signal_numbers: dict[str, list[int]] = field(default_factory=dict)
    """Signal key -> its numbers in the list of signals."""
    _hand_off: messages.Told | None = None

    def update_line(self, line: Utterance | Hypothesis) -> bool:
        """A line has grown or settled; returns whether settled words of it were taken back."""
        before = self._lines.get(line.id)
        taken_back = before is not None and before.settled and len(line.words) < len(before.words)
        if taken_back:
            self._shorten_hand_off(line.start_ms)
        if line.settled and not line.words:
            self._lines.pop(line.id, None)
            self.rooms.drop(f"line/{line.id}")
            return taken_back
        self._lines[line.id] = line
        while len(self._lines) > MAX_LINES:
            del self._lines[next(iter(self._lines))]
        self._show_line(line.id)
        return taken_back

    def add_signal(self, signal: Signal) -> None:
        """A signal was found in the call."""
        self.signals[signal.key] = signal
        self._signal_count += 1
        self._signal_numbers.setdefault(signal.key, []).append(self._signal_count)
        heard = messages.Heard(
            at_ms=signal.at_ms,
            label=label(signal.id),
            evidence=signal.evidence.in_words,
            rule=f"{signal.rule} v{signal.version}",
        )
        self.rooms.hub.show(self.rooms.call_room, f"heard/{self._signal_count}", heard)
        self._show_line(signal.evidence.utterance)

    def remove_signal(self, key: str) -> Signal | None:
        """The words of a signal were taken back: no longer mark or list them. Returns the signal, None if unknown."""
        signal = self.signals.pop(key, None)
        if signal is not None:
            self._show_line(signal.evidence.utterance)
            for number in self._signal_numbers.pop(key, ()):
                self.rooms.hub.drop(self.rooms.call_room, f"heard/{number}")
        return signal

    def show_hand_off(self, event: HandOffNoted) -> None:
        """Show whoever takes over what the customer has said already."""
        heard = [label(name) for name in event.signals]
        self._hand_off = messages.Told(said=list(event.said), done=list(event.done), heard=heard, at_ms=event.at_ms)
        self.rooms.hub.show(self.rooms.call_room, "told", self._hand_off)

    def clear(self) -> None:
        """There is no consent: remove all words from the pages."""
        for room in self.rooms.current:
            for key in self.rooms.hub.snapshot(room):
                if key.startswith(("line/", *READERS_KEYS)):
                    self.rooms.hub.drop(room, key)
        self._lines.clear()
        self._hand_off = None

    def _shorten_hand_off(self, since_ms: int) -> None:
        """Remove what was said since `since_ms` from the hand-off: it was taken back."""
        if self._hand_off is not None:
            said = [line for line in self._hand_off.said if line[0] < since_ms]
            # A promise may be among what was taken back.
            done = self._hand_off.done if self._hand_off.at_ms < since_ms else []
            self._hand_off = self._hand_off.model_copy(update={"said": said, "done": done})
            self.rooms.hub.show(self.rooms.call_room, "told", self._hand_off)

    def _show_line(self, utterance: str | None) -> None:
        line = self._lines.get(utterance or "")
        if line is None:
            return
        words = [word.text for word in line.words]
        starts = [sum(len(word) + 1 for word in words[:n]) for n in range(len(words))]
        marks = [
            (starts[signal.evidence.first_word], starts[last] + len(words[last]))
            for signal in self.signals.values()
            if signal.evidence.utterance == line.id
            and signal.severity >= Severity.HELP
            and signal.evidence.first_word <= (last := min(signal.evidence.last_word, len(words) - 1))
        ]
        shown = messages.Line(
            speaker=line.speaker.value,
            start_ms=line.start_ms,
            settled=" ".join(words),
            tentative="" if isinstance(line, Utterance) else " ".join(word.text for word in line.tentative),
            marks=sorted(set(marks)),
            final=line.settled,
        )
        self.rooms.show(f"line/{line.id}", shown)
