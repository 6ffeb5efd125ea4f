"""Who has paused a call, and what of it its pauses take back. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from assist.privacy.consent import PAUSE_LOOKBACK_MS, heard_again_from_ms

AUTO_PAUSE_USER = "call-assist"
"""Named as the person in the actions of an automatic pause."""
API = "api"
"""Named as the person in the actions of a script or a payment page."""


@dataclass
class Pauses:
    """The pauses of a call. Of several over one another the strongest holds: a person's, then a page's, then an
    automatic one. Whoever resumes ends those that are no stronger than theirs.
    """

    since_ms: int | None = None
    """Call time at which listening was paused; None while listening."""
    by: str = ""
    """Who holds it; empty while listening."""
    _from_ms: int = 0
    """Words that ended later are taken back by the current pause."""
    _past: list[tuple[int, int, int]] = field(default_factory=list)
    """(words that ended later, paused, utterances that began earlier) in ms of call time: what past ones took."""

    def restore(self, since_ms: int | None, by: str) -> None:
        """The pause in which the call was interrupted, if any."""
        self.since_ms = None
        if since_ms is not None:
            self.begin(since_ms, by)

    def begin(self, at_ms: int, by: str) -> int | None:
        """Somebody pauses. Returns from when on words are taken back now; None where they have been already."""
        from_ms = at_ms - (0 if by == AUTO_PAUSE_USER else PAUSE_LOOKBACK_MS)
        if self.since_ms is None:
            self.since_ms, self.by, self._from_ms = at_ms, by, from_ms
            return from_ms
        if _strength(by) > _strength(self.by):
            self.by = by
        if from_ms >= self._from_ms:
            return None
        self._from_ms = from_ms
        return from_ms

    def may_end(self, by: str) -> bool:
        """Whether listening goes on when this one resumes."""
        return _strength(by) >= _strength(self.by)

    def end(self, at_ms: int) -> None:
        """Listening goes on."""
        if self.since_ms is not None:
            self._past.append((self._from_ms, self.since_ms, heard_again_from_ms(self.since_ms, at_ms)))
        self.since_ms, self.by = None, ""

    def taker(self, start_ms: int, end_ms: int) -> int | None:
        """When the pause began that takes what was said then, however late its words come; None: no pause does."""
        if self.since_ms is not None and end_ms > self._from_ms:
            return self.since_ms
        taken = (since for from_ms, since, until in self._past if start_ms < until and end_ms > from_ms)
        return next(taken, None)


def _strength(by: str) -> int:
    return {"": 0, AUTO_PAUSE_USER: 1, API: 2}.get(by, 3)
