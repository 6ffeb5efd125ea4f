"""Signals that are not detected in a window but known: of a stored call, whose sound is gone, or of a script."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.signals import Signal, Window


@dataclass
class ReplayDetector:
    """Gives known signals when their time has come, each once."""

    signals: list[Signal]
    """Those to come, in any order; more may be added."""
    name: str = "as-heard"
    version: str = "1"

    def __call__(self, window: Window) -> list[Signal]:
        """Those with `at_ms` up to the window's time that were not given yet."""
        due = [signal for signal in self.signals if signal.at_ms <= window.now_ms]
        self.signals = [signal for signal in self.signals if signal.at_ms > window.now_ms]
        return due
