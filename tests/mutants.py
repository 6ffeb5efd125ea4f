"""Seeded bugs: each fault test must fail on the bug that it is there for. `python -m tests.mutants [NAME ...]`.

tests/mutants.toml lists them: a file, the exact text that is replaced, what by, and the tests of which at least one
must fail. Every mutant is run in a copy of the project; the project itself is never changed. The tests are run on the
sound copy first: a test that fails there proves nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIST = Path(__file__).parent / "mutants.toml"
COPIED = ("assist", "audio", "detectors", "overlay", "tests", "pyproject.toml", "README.md")
LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class Mutant:
    """One seeded bug."""

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


def listed() -> list[Mutant]:
    """All mutants of the list; a text that does not stand exactly once in its file is an error."""
    found = []
    for name, entry in tomllib.loads(LIST.read_text(encoding="utf-8")).items():
        mutant = Mutant(name, entry["file"], entry["find"], entry["replace"], tuple(entry["tests"]))
        times = (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.find)
        if times != 1:
            raise SystemExit(f"{name}: its text stands {times} times in {mutant.file}: expected once")
        found.append(mutant)
    return found


def run(folder: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The tests, in a copy."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "slow or not slow", *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(command, 1, str(late.stdout or ""), f"no end within {LIMIT_S} s")


def main() -> int:
    """Run the named mutants (default: all); 0 when each was caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="mutants to run; default: all")
    wanted = parser.parse_args().names
    mutants = [mutant for mutant in listed() if not wanted or mutant.name in wanted]
    survived, unsound = [], []
    sound: dict[tuple[str, ...], bool] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for each in COPIED:
            source = ROOT / each
            ignore = shutil.ignore_patterns("__pycache__", "screenshots")
            shutil.copytree(source, folder / each, ignore=ignore) if source.is_dir() else shutil.copy(source, folder)
        for mutant in mutants:
            if mutant.tests not in sound:
                sound[mutant.tests] = run(folder, mutant.tests).returncode == 0
            if not sound[mutant.tests]:
                unsound.append(mutant.name)
                print(f"unsound  {mutant.name}: its tests fail without it", flush=True)
                continue
            file = folder / mutant.file
            before = file.read_text(encoding="utf-8")
            file.write_text(before.replace(mutant.find, mutant.replace), encoding="utf-8")
            answer = run(folder, mutant.tests)
            file.write_text(before, encoding="utf-8")
            if answer.returncode == 0:
                survived.append(mutant.name)
            print(f"{'SURVIVED' if answer.returncode == 0 else 'caught  '} {mutant.name}", flush=True)
    caught = len(mutants) - len(survived) - len(unsound)
    print(f"{len(mutants)} seeded, {caught} caught, {len(survived)} survived, {len(unsound)} with unsound tests")
    return 1 if survived or unsound else 0


if __name__ == "__main__":
    sys.exit(main())
