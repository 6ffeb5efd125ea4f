"""What several files of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")  # how long an example takes says how busy the machine is


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[None]:
    """One browser for all tests of the pages."""
    from tests.overlay_stage import one_browser

    with one_browser():
        yield
