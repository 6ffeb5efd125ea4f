"""The house stays in order: who imports whom, one door per outside library, no clocks in the pure files."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("assist", "audio", "detectors", "overlay")
MAKERS = {ROOT / "assist" / "demo" / "make_demo_call.py"}
"""Scripts that made committed data: not part of the program."""
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path not in MAKERS)
MAY_IMPORT = {
    "audio": set(),
    "overlay": set(),
    "detectors": {"audio"},
    "assist": {"audio", "detectors", "overlay"},
}
DOORS = {
    "faster_whisper": 1,
    "ctranslate2": 1,
    "pocketsphinx": 1,
    "sounddevice": 1,
    "pulsectl": 1,
    "soundfile": 1,
    "soxr": 1,
    "onnxruntime": 1,
    "huggingface_hub": 1,
    "vaderSentiment": 1,
    "sqlalchemy": 1,
    "starlette": 1,
    "uvicorn": 1,
    "typer": 1,
}
"""At most so many files may import the library."""
PURE = [
    "detectors/*.py",
    "assist/session.py",
    "assist/coach.py",
    "assist/steps.py",
    "assist/planb.py",
    "assist/playbook.py",
    "assist/record.py",
    "assist/events.py",
    "audio/events.py",
]
CLOCKS = {"time", "random", "asyncio", "socket", "threading"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_the_right_way(path):
    package = path.relative_to(ROOT).parts[0]
    siblings = {name.split(".")[0] for name in imports(path)} & set(PACKAGES) - {package}
    assert siblings <= MAY_IMPORT[package], f"{path.name} imports {siblings - MAY_IMPORT[package]}"
    if package == "detectors":
        from_audio = {name for name in imports(path) if name.split(".")[0] == "audio"}
        assert from_audio <= {"audio.events"}, "detectors know only the plain types of audio"


@pytest.mark.parametrize("library", DOORS)
def test_each_outside_library_has_one_door(library):
    users = [
        str(path.relative_to(ROOT)) for path in FILES if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert len(users) <= DOORS[library], f"{library} is imported by {users}"


def test_pure_files_read_no_clock():
    for pattern in PURE:
        for path in ROOT.glob(pattern):
            roots = {name.split(".")[0] for name in imports(path)}
            assert not roots & CLOCKS, f"{path.relative_to(ROOT)} imports {roots & CLOCKS}"
            source = path.read_text(encoding="utf-8")
            for call in (".now(", ".today(", "utcnow("):
                assert call not in source, f"{path.relative_to(ROOT)} reads the wall clock"


def test_packages_hold_a_docstring_only():
    for package in PACKAGES:
        tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
        assert len(tree.body) == 1 and ast.get_docstring(tree)


def test_importing_the_types_loads_no_model():
    import subprocess

    heavy = ("faster_whisper", "pocketsphinx", "vaderSentiment", "sounddevice")
    code = f"import sys, audio.events, detectors.signals; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"


def test_tests_stay_flat():
    for package in PACKAGES:
        assert not (ROOT / "tests" / package).exists(), f"tests/{package} would shadow the package {package}"
