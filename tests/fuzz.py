"""Coverage-guided fuzzing of what reads outside input: `python -m tests.fuzz [TARGET ...] --seconds 60`.

Needs atheris (`pip install atheris`; Linux). A target (tests/fuzz_targets.py) may refuse its bytes with the errors it
names; anything else that it raises, or a promise that it breaks, is a finding. What was found, and what it begins with,
stays in tests/data/fuzz/TARGET and is played through in every test run (tests/test_faults_hostile.py).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = ("control", "stored", "frames", "words")


def fuzz(target: str, seconds: int) -> None:
    """In a process of its own, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["assist", "audio", "overlay", "detectors"]):
        from tests import fuzz_targets
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    learnt = folder / "learnt"
    learnt.mkdir()
    if target == "frames":
        (learnt / "whole").write_bytes(fuzz_targets.whole_recording())
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-rss_limit_mb=2048",
    ]
    options.append("-max_len=100000" if target == "frames" else "-max_len=2000")
    kept = str(fuzz_targets.CORPUS / target)
    atheris.Setup([sys.argv[0], str(learnt), kept, *options], fuzz_targets.TARGETS[target])
    atheris.Fuzz()


def run(target: str, seconds: int) -> tuple[int | None, str]:
    """How many inputs were tried, and what was found: empty for nothing."""
    command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", str(seconds), "--alone"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    runs = re.search(r"number_of_executed_units: (\d+)", answer.stderr)
    found = answer.stdout[-1_000:] + answer.stderr[-3_000:] if answer.returncode or runs is None else ""
    return int(runs.group(1)) if runs else None, found


def main() -> int:
    """Fuzz one target after the other; 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS), metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.alone:
        fuzz(wanted.targets[0], wanted.seconds)
    worst = 0
    for target in wanted.targets:
        inputs, found = run(target, wanted.seconds)
        print(f"{target}: {inputs} inputs, {'FOUND' if found else 'nothing found'}\n{found}".rstrip(), flush=True)
        worst = 1 if found else worst
    return worst


if __name__ == "__main__":
    sys.exit(main())
