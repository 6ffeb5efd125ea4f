"""axe-core in the pages of a test: fetched once from npm, pinned and checked, never part of this repository."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_cache_path
from playwright.async_api import Page

VERSION = "4.10.3"
SHA256 = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
"""Of the npm package; another one is not run."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe() -> str:
    """The script; skips the test where it is not in the cache and npm is not there or has no network."""
    kept = user_cache_path("call-assist-tests") / f"axe-core-{VERSION}.tgz"
    if not kept.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("needs npm to fetch axe-core (Debian: apt install npm)")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            pack = [npm, "pack", f"axe-core@{VERSION}", "--silent", "--fetch-retries=0", "--fetch-timeout=20000"]
            done = subprocess.run(pack, cwd=folder, capture_output=True, timeout=60)
            if done.returncode:
                pytest.skip("npm cannot fetch axe-core here (no network?)")
            (Path(folder) / kept.name).replace(kept)
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    assert found == SHA256, f"{kept} is not axe-core {VERSION}: delete it"
    with tarfile.open(kept) as package:
        script = package.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


async def violations(page: Page, *, contrast_only: bool = False) -> list[str]:
    """What axe finds wrong with the page as it is now: rule, and where."""
    only = {"type": "rule", "values": ["color-contrast"]} if contrast_only else {"type": "tag", "values": RULES}
    found: dict[str, Any] = await page.evaluate(
        "(only) => axe.run(document, {runOnly: only, resultTypes: ['violations']})", only
    )
    return [
        f"{each['id']}: {node['target']} {node.get('failureSummary', '')[:300]}"
        for each in found["violations"]
        for node in each["nodes"][:3]
    ]
