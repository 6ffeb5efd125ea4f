"""Signals that stood on sound which is not there any more, or never was: given when they were heard."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.signals import Signal, Window


@dataclass
class AsHeard:
    """A detector that knows its signals beforehand: from the log of a stored call, or from a script."""

    signals: list[Signal]
    name: str = "as-heard"
    version: str = "1"

    def __call__(self, window: Window) -> list[Signal]:
        """Those whose time has come."""
        ready = [signal for signal in self.signals if signal.at_ms <= window.now_ms]
        self.signals = [signal for signal in self.signals if signal.at_ms > window.now_ms]
        return ready
