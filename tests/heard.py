"""Written lines as they would be heard, and events by their kind."""

from audio.events import Word


def words(text, at_ms=0, probability=1.0):
    """A word every 300 ms, with a short gap after each."""
    return tuple(Word(word, at_ms + 300 * n, at_ms + 300 * n + 250, probability) for n, word in enumerate(text.split()))


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]
