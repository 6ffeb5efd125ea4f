"""What was said in one call as its pages show it, and how it is taken back."""

from __future__ import annotations

from dataclasses import dataclass, field

from assist.events import HandOffNoted
from assist.screens.rooms import Rooms
from assist.wording import label
from audio.events import Hypothesis, Utterance
from detectors.signals import Severity, Signal
from overlay import messages

LINES = 60
"""So many utterances are remembered, to be drawn again when something is heard in them."""


@dataclass
class Transcript:
    """The lines with the words that signals stand on marked, the list of what was heard, and the hand-off."""

    rooms: Rooms
    signals: dict[str, Signal] = field(default_factory=dict)
    """By key: what was heard and stands."""
    _lines: dict[str, Utterance | Hypothesis] = field(default_factory=dict)
    _heard: int = 0
    _places: dict[str, list[int]] = field(default_factory=dict)
    """Signal key -> its numbers among what was heard."""
    _told: messages.Told | None = None

    def said(self, said: Utterance | Hypothesis) -> bool:
        """A line goes on or has settled; whether settled words of it were taken back."""
        before = self._lines.get(said.id)
        taken_back = before is not None and before.settled and len(said.words) < len(before.words)
        if taken_back:
            self._untell(said.start_ms)
        if said.settled and not said.words:
            self._lines.pop(said.id, None)
            self.rooms.drop(f"line/{said.id}")
            return taken_back
        self._lines[said.id] = said
        while len(self._lines) > LINES:
            del self._lines[next(iter(self._lines))]
        self._draw(said.id)
        return taken_back

    def raised(self, signal: Signal) -> None:
        """Something was heard in it."""
        self.signals[signal.key] = signal
        self._heard += 1
        self._places.setdefault(signal.key, []).append(self._heard)
        heard = messages.Heard(
            at_ms=signal.at_ms,
            label=label(signal.id),
            evidence=signal.evidence.in_words,
            rule=f"{signal.rule} v{signal.version}",
        )
        self.rooms.hub.show(self.rooms.call, f"heard/{self._heard}", heard)
        self._draw(signal.evidence.utterance)

    def withdrawn(self, key: str) -> Signal | None:
        """The words under a signal were taken back: nothing here marks or lists them. The signal, if it stood."""
        signal = self.signals.pop(key, None)
        if signal is not None:
            self._draw(signal.evidence.utterance)
            for place in self._places.pop(key, ()):
                self.rooms.hub.drop(self.rooms.call, f"heard/{place}")
        return signal

    def told(self, event: HandOffNoted) -> None:
        """Somebody takes over: what they need not ask again."""
        heard = [label(name) for name in event.signals]
        self._told = messages.Told(said=list(event.said), done=list(event.done), heard=heard, at_ms=event.at_ms)
        self.rooms.hub.show(self.rooms.call, "told", self._told)

    def clear(self) -> None:
        """There is no consent: no words stay on the pages."""
        for room in self.rooms.all:
            for key in self.rooms.hub.snapshot(room):
                if key == "told" or key.startswith(("line/", "heard/")):
                    self.rooms.hub.drop(room, key)
        self._lines.clear()
        self._told = None

    def _untell(self, since_ms: int) -> None:
        """Whoever takes over does not read what was taken back."""
        if self._told is not None:
            said = [line for line in self._told.said if line[0] < since_ms]
            done = self._told.done if self._told.at_ms < since_ms else []  # a promise may be among what was taken back
            self._told = self._told.model_copy(update={"said": said, "done": done})
            self.rooms.hub.show(self.rooms.call, "told", self._told)

    def _draw(self, utterance: str | None) -> None:
        said = self._lines.get(utterance or "")
        if said is None:
            return
        words = [word.text for word in said.words]
        starts = [sum(len(word) + 1 for word in words[:n]) for n in range(len(words))]
        marks = [
            (starts[signal.evidence.first_word], starts[last] + len(words[last]))
            for signal in self.signals.values()
            if signal.evidence.utterance == said.id
            and signal.severity >= Severity.HELP
            and signal.evidence.first_word <= (last := min(signal.evidence.last_word, len(words) - 1))
        ]
        line = messages.Line(
            speaker=said.speaker.value,
            start_ms=said.start_ms,
            settled=" ".join(words),
            tentative="" if isinstance(said, Utterance) else " ".join(word.text for word in said.tentative),
            marks=sorted(set(marks)),
            final=said.settled,
        )
        self.rooms.show(f"line/{said.id}", line)
