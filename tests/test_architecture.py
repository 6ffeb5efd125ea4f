"""The house stays in order: who imports whom, one door per outside library, no clocks in the pure files."""

import ast
import sys
from functools import cache
from graphlib import TopologicalSorter
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
    "cryptography": "assist/store/",
    "faster_whisper": "audio/",
    "ctranslate2": "audio/",
    "pocketsphinx": "audio/",
    "sounddevice": "audio/",
    "pulsectl": "audio/",
    "soundfile": "audio/",
    "soxr": "audio/",
    "huggingface_hub": "audio/",
    "vaderSentiment": "detectors/",
    "sqlalchemy": "assist/store/",
    "starlette": "overlay/",
    "argon2": "assist/access/",
    "uvicorn": "overlay/",
    "typer": "assist/commands/",
}
"""One file of that place may import the library; the store, the commands and the endpoints do so in each of
their files. CTranslate2 has two: models run in whisper.py, random ones are written in its format by shapes.py.
"""
TWO_MODELS = {
    "onnxruntime": ["audio/", "detectors/sentence_model.py"],
    "tokenizers": ["audio/", "detectors/sentence_model.py"],
}
"""One for each of two models: of what is heard, and, optional, of what a sentence means."""
WHOLE = {"sqlalchemy", "starlette", "typer", "ctranslate2"}
PURE = [
    "detectors/*.py",
    "assist/live/session.py",
    "assist/coach/*.py",
    "assist/records/alert_history.py",
    "assist/records/folding.py",
    "assist/records/icalendar.py",
    "assist/records/plan_uses.py",
    "assist/records/record.py",
    "assist/events.py",
    "audio/events.py",
    "assist/screens/advice.py",
    "assist/screens/alert_routing.py",
    "assist/screens/call_pages.py",
    "assist/screens/call_alerts.py",
    "assist/screens/health.py",
    "assist/screens/screens.py",
    "assist/screens/transcript.py",
    "overlay/contract.py",
    "overlay/doing.py",
    "overlay/messages.py",
    "overlay/records.py",
    "overlay/access.py",
]
CLOCKS = {"time", "random", "asyncio", "socket", "threading"}


@cache
def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_the_right_way(path):
    package = path.relative_to(ROOT).parts[0]
    siblings = {name.split(".")[0] for name in imports(path)} & set(PACKAGES) - {package}
    assert siblings <= MAY_IMPORT[package], f"{path.name} imports {siblings - MAY_IMPORT[package]}"
    if package == "detectors":
        from_audio = {".".join(name.split(".")[:2]) for name in imports(path) if name.split(".")[0] == "audio"}
        assert from_audio <= {"audio.events"}, "detectors know only the plain types of audio"


def test_no_two_files_import_each_other_not_even_by_way_of_others():
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    TopologicalSorter({name: imports(path) & modules.keys() for name, path in modules.items()}).prepare()


def test_the_rooms_of_the_roof_know_each_other_one_way_only():
    rooms = {}
    for path in FILES:
        room, *inside = path.relative_to(ROOT / "assist").parts if path.is_relative_to(ROOT / "assist") else ("",)
        if inside:
            known = {name.split(".")[1] for name in imports(path) if name.startswith("assist.")}
            rooms.setdefault(room, set()).update(known - {room})
    TopologicalSorter({room: known & rooms.keys() for room, known in rooms.items()}).prepare()


@pytest.mark.parametrize("library", DOORS)
def test_each_outside_library_has_one_door(library):
    users = [
        str(path.relative_to(ROOT)) for path in FILES if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert all(user.startswith(DOORS[library]) for user in users), f"{library} is imported by {users}"
    assert library in WHOLE or len(users) <= 1, f"{library} is imported by {users}"


@pytest.mark.parametrize("library", TWO_MODELS)
def test_a_library_of_two_models_has_a_door_for_each(library):
    users = [
        str(path.relative_to(ROOT)) for path in FILES if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert len(users) == len(TWO_MODELS[library])
    assert all(user.startswith(door) for user, door in zip(sorted(users), TWO_MODELS[library], strict=True))


def test_pure_files_read_no_clock():
    for pattern in PURE:
        paths = list(ROOT.glob(pattern))
        assert paths, f"{pattern} names no file"
        for path in paths:
            roots = {name.split(".")[0] for name in imports(path)}
            assert not roots & CLOCKS, f"{path.relative_to(ROOT)} imports {roots & CLOCKS}"
            source = path.read_text(encoding="utf-8")
            for call in (".now(", ".today(", "utcnow("):
                assert call not in source, f"{path.relative_to(ROOT)} reads the wall clock"


def test_packages_hold_a_docstring_only():
    for path in FILES:
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert len(tree.body) == 1 and ast.get_docstring(tree), path


def test_importing_the_types_loads_no_model():
    import subprocess

    heavy = ("faster_whisper", "pocketsphinx", "vaderSentiment", "sounddevice")
    code = f"import sys, audio.events, detectors.signals; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert answer.stdout.strip() == "[]"


def test_tests_stay_flat():
    for package in PACKAGES:
        assert not (ROOT / "tests" / package).exists(), f"tests/{package} would shadow the package {package}"
