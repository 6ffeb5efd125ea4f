"""How times and names are written for people: the same on pages, in records and in the terminal."""

from __future__ import annotations


def clock(ms: int) -> str:
    """Call time as mm:ss (h:mm:ss from an hour on)."""
    seconds = ms // 1000
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60:02d}:{rest % 60:02d}"


def amount(cost: float) -> str:
    """A cost, to the hundredth where it is not whole."""
    return f"{cost:.2f}".removesuffix(".00")


def label(identifier: str) -> str:
    """A signal id for people: "influence_claim" -> "Influence claim"."""
    return identifier.replace("_", " ").capitalize()
