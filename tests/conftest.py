"""What several files of tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")  # how long an example takes says how busy the machine is


@pytest.fixture
def on_a_terminal() -> Iterator[None]:
    """Programs begin as on a terminal, also where these tests run in the background or outlive theirs (nohup)."""
    defaults = {signal.SIGINT: signal.default_int_handler}
    if hasattr(signal, "SIGHUP"):
        defaults[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[None]:
    """One browser for all tests of the pages."""
    from tests.overlay_stage import one_browser

    with one_browser():
        yield
