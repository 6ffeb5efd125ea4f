"""The recovery clock: from escalation to a remedy accepted or the level coming down, against a goal of 60 seconds."""

from __future__ import annotations

from assist.events import CallEnded, Event, Recovery
from detectors.signals import Level, LevelChange

RECOVERY_MS = 60_000
"""Tschohl's goal for turning a customer round, from the moment the call escalates."""


class RecoveryClock:
    """One call's clock; it may run more than once."""

    def __init__(self) -> None:
        self._started_ms: int | None = None
        self._missed = False
        self._stopped_by_remedy: tuple[int, bool] | None = None
        """When the run that an accepted remedy has stopped was started, and whether its goal was missed by then."""
        self._logged: tuple[int, bool] | None = None
        """By the log of a call that is being resumed: when it was started, and whether the goal was missed."""

    def start(self, now_ms: int) -> list[Recovery]:
        """The call has escalated."""
        if self._started_ms is not None:
            return []
        self._started_ms, self._missed, self._stopped_by_remedy = now_ms, False, None
        return [Recovery(now_ms, "started", RECOVERY_MS)]

    def state_events(self, now_ms: int) -> list[Recovery]:
        """Events that start a log with the present state."""
        if self._started_ms is None:
            return []
        took_ms = now_ms - self._started_ms
        missed = [Recovery(now_ms, "missed", RECOVERY_MS, took_ms)] if self._missed else []
        return [Recovery(now_ms, "started", RECOVERY_MS, took_ms), *missed]

    def recovered(self, now_ms: int, by: str = "") -> list[Recovery]:
        """A remedy was accepted (`by`: "remedy"), or the level came down."""
        return self._stop(now_ms, "missed" if self._missed else "met", by)

    def resume(self, now_ms: int) -> list[Recovery]:
        """The remedy that has stopped it was not accepted after all: the clock runs on."""
        if self._stopped_by_remedy is None:
            return []
        (self._started_ms, self._missed), self._stopped_by_remedy = self._stopped_by_remedy, None
        return self.state_events(now_ms)

    def cancel(self, now_ms: int) -> list[Recovery]:
        """The call is over, or had not escalated after all (signals were withdrawn)."""
        return self._stop(now_ms, "stopped")

    def tick(self, now_ms: int) -> list[Recovery]:
        """Time has passed: the goal may be missed, once."""
        if self._started_ms is None or self._missed or now_ms - self._started_ms <= RECOVERY_MS:
            return []
        self._missed = True
        return [Recovery(now_ms, "missed", RECOVERY_MS, now_ms - self._started_ms)]

    def restore(self, event: Event) -> None:
        """An interrupted call is resumed: the clock has the state of its log, whatever its words give now.

        One that only the interruption has stopped runs on.
        """
        match event:
            case LevelChange() if event.level is not Level.ESCALATED:
                self._logged = None
            case Recovery(what="started"):
                self._logged = event.at_ms - event.took_ms, False
            case Recovery() if event.by:
                self._logged = None
            case Recovery(what="missed") if self._logged is not None:
                self._logged = self._logged[0], True
            case CallEnded():
                self._started_ms, self._missed = self._logged or (None, False)

    def _stop(self, now_ms: int, what: str, by: str = "") -> list[Recovery]:
        if self._started_ms is None:
            return []
        since, self._started_ms = self._started_ms, None
        self._stopped_by_remedy = (since, self._missed) if by == "remedy" else None
        return [Recovery(now_ms, what, RECOVERY_MS, now_ms - since, by)]
