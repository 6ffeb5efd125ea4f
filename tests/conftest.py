"""What several files of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[None]:
    """One browser for all tests of the pages."""
    from tests.overlay_stage import one_browser

    with one_browser():
        yield
