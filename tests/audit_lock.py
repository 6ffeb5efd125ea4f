"""Whether a known vulnerability stands in requirements.lock: `python -m tests.audit_lock` (pip install pip-audit).

pip-audit asks a vulnerability database about every part. Where the index is a mirror without that database, it skips
all of them and still ends with "No known vulnerabilities found" and exit code 0. Here that is no result: a control, a
version known for years to be vulnerable, must be found first, and every part must have been answered for.

    --service osv|pypi   the database to ask; --osv-url URL for a copy of OSV's of your own

Exit code 0: all parts audited, none known to be vulnerable. 1: some are, each named. 2: not audited, and why.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "requirements.lock"
CONTROL = "jinja2==2.4.1"
"""PYSEC-2014-8 and later ones."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an audit."""

    code: int
    line: str


def verdict(control: dict[str, Any] | None, report: dict[str, Any] | None, error: str = "") -> Verdict:
    """What two reports of pip-audit (its JSON; None: it gave none) come to: of the control, and of the lock file."""
    if control is None or report is None:
        return Verdict(
            2, f"NOT AUDITED: no vulnerability database can be reached ({error or 'pip-audit gave no report'})"
        )
    if not any(each.get("vulns") for each in control["dependencies"]):
        return Verdict(
            2,
            f"NOT AUDITED: the database that was asked does not know {CONTROL}, which is vulnerable: it answers "
            "nothing (a package mirror without such data?); try --service osv where api.osv.dev can be reached",
        )
    parts = report["dependencies"]
    holes = [(each["name"], each["version"], hole["id"]) for each in parts for hole in each.get("vulns", ())]
    skipped = [each["name"] for each in parts if "skip_reason" in each]
    audited = f"{len(parts) - len(skipped)} of {len(parts)} parts audited"
    if holes:
        return Verdict(1, f"{audited}, {len(holes)} known: " + ", ".join(" ".join(hole) for hole in holes))
    if skipped or not parts:
        return Verdict(2, f"NOT AUDITED in full: {audited}; the database does not know {', '.join(skipped) or 'any'}")
    return Verdict(0, f"{audited}, no known vulnerability")


def audit(options: list[str], requirements: Path) -> tuple[dict[str, Any] | None, str]:
    """pip-audit's report on a requirements file, or None and its last line."""
    program = shutil.which("pip-audit") or str(Path(sys.executable).with_name("pip-audit"))
    command = [program, "-r", str(requirements), "--disable-pip", "--no-deps", "-f", "json", *options]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except FileNotFoundError:
        return None, "pip-audit is not here: pip install pip-audit"
    try:
        return json.loads(answer.stdout), ""
    except ValueError:
        return None, (answer.stderr.strip().splitlines() or [""])[-1][:200]


def main() -> int:
    """Audit and say it in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--service", default="pypi", choices=("pypi", "osv"))
    parser.add_argument("--osv-url")
    wanted = parser.parse_args()
    options = ["-s", "osv" if wanted.osv_url else wanted.service]
    options += ["--osv-url", wanted.osv_url] if wanted.osv_url else []
    with tempfile.TemporaryDirectory() as folder:
        control = Path(folder) / "control.txt"
        control.write_text(CONTROL + "\n")
        known, error = audit(options, control)
        report, other = audit(options, LOCK)
    found = verdict(known, report, error or other)
    print(found.line)
    return found.code


if __name__ == "__main__":
    sys.exit(main())
