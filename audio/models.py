"""The models on this machine: known names, finding, fetching with checksums, verifying before loading, choosing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from audio import hub
from audio.errors import AudioError

KNOWN_MODELS = {
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "tiny": "Systran/faster-whisper-tiny",
    "base.en": "Systran/faster-whisper-base.en",
    "base": "Systran/faster-whisper-base",
    "small.en": "Systran/faster-whisper-small.en",
    "small": "Systran/faster-whisper-small",
    "medium.en": "Systran/faster-whisper-medium.en",
    "medium": "Systran/faster-whisper-medium",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}
"""Names people use, and where the hub keeps each; the table of faster-whisper 1.2.1."""

DEFAULT_MODEL = "base.en"
PREFERRED_MODELS = (DEFAULT_MODEL, "small.en", "distil-small.en", "base", "small", "tiny.en", "tiny")
"""Chosen by default, best first; larger ones fall behind live speech on most machines without a GPU."""
REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json")
VOCABULARY_FILES = ("vocabulary.json", "vocabulary.txt")
"""A model has one of these."""
DOWNLOADED_FILES = (*REQUIRED_FILES, *VOCABULARY_FILES, "preprocessor_config.json")
MANIFEST_FILE = "manifest.json"
DIGESTS_FILE = ".verified.json"
"""Beside the model: file -> [inode, modification time, size, SHA-256] when it was last read."""
READ_BYTES = 1 << 20
_digest_cache: dict[Path, dict[str, list[object]]] = {}
"""The same, by folder, for this process."""

Progress = Callable[[str, int, int], None]
"""Called with (file, bytes so far of all files, bytes of all files)."""


def find_model(name_or_folder: str, *, models_dir: Path) -> Path | None:
    """The folder of a model on this machine, or None for a known name that is not here yet.

    A name is looked for in `models_dir`, then among those that other programs of this user fetched from the hub.
    Raises AudioError: model-unknown; model-missing for a folder that is not there.
    """
    if name_or_folder in KNOWN_MODELS:
        here = models_dir / name_or_folder
        return here if (here / "model.bin").is_file() else hub.cached(KNOWN_MODELS[name_or_folder])
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        return folder
    if folder.name != name_or_folder:
        raise AudioError(
            "model-missing",
            f"There is no folder {folder}; expected a model's folder or one of: {', '.join(KNOWN_MODELS)}.",
        )
    raise AudioError(
        "model-unknown",
        f"No model is called {name_or_folder}; expected a model's folder or one of: {', '.join(KNOWN_MODELS)}.",
    )


def fetch_model(name: str, models_dir: Path, progress: Progress | None = None) -> Path:
    """Download a known model, check it against the hub's checksums, and only then put it in its place.

    A broken download goes on where it stopped when asked again.
    Raises AudioError: model-unknown, no-network, model-fetch-failed, model-corrupt.
    """
    if name not in KNOWN_MODELS:
        raise AudioError("model-unknown", f"No model is called {name}; expected one of: {', '.join(KNOWN_MODELS)}.")
    model = hub.describe(KNOWN_MODELS[name])
    files = [file for file in model.files if file.name in DOWNLOADED_FILES]
    total, done = sum(file.size for file in files), 0
    part = models_dir / f".{name}.part"
    entries: dict[str, dict[str, object]] = {}
    try:
        part.mkdir(parents=True, exist_ok=True)
        for file in files:
            seen = done

            def on_bytes(count: int, file: hub.HubFile = file) -> None:
                nonlocal seen
                seen += count
                if progress:
                    progress(file.name, seen, total)

            path = hub.download(model, file.name, part, on_bytes)
            done += file.size
            if progress:
                progress(file.name, done, total)
            sha256, sha1 = _digests(path)
            if sha256 != file.sha256 if file.sha256 else sha1 != file.git_sha1:
                path.unlink()
                raise AudioError(
                    "model-corrupt",
                    f"{file.name} of {name} arrived damaged (wrong checksum): run `assist models fetch {name}` again.",
                )
            entries[file.name] = {"size": path.stat().st_size, "sha256": sha256}
        manifest = {"name": name, "repo": model.repo, "revision": model.revision, "files": entries}
        (part / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        verify_model(part)
        shutil.rmtree(part / ".cache", ignore_errors=True)
        target = models_dir / name
        if target.exists():
            shutil.rmtree(target)
        os.replace(part, target)
    except OSError as error:
        raise AudioError(
            "model-fetch-failed",
            f"{models_dir} cannot keep the model: {error.strerror or error}. Free or change the folder.",
        ) from None
    return target


def verify_model(folder: Path) -> str:
    """Check a model before it is loaded; returns the SHA-256 of its weights, which names it for good.

    Files are compared with the manifest that `fetch_model` wrote; a folder without one is checked for its structure
    only. Read through once, then again only when a file's inode, time or size changes.
    Raises AudioError: model-corrupt, model-wrong-family.
    """
    fix = f"Fetch it again: `assist models fetch {folder.name if folder.name in KNOWN_MODELS else DEFAULT_MODEL}`."
    try:
        missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
        if not any((folder / name).is_file() for name in VOCABULARY_FILES):
            missing.append(VOCABULARY_FILES[0])
        if missing:
            raise AudioError("model-corrupt", f"{folder} is no whole model: {', '.join(missing)} missing. {fix}")
        _check_config(folder / "config.json", fix)
        with (folder / "model.bin").open("rb") as weights:
            _check_weights(weights, folder, fix)
        entries = _manifest_digests(folder, fix)
        digests = _cached_digests(folder, {"model.bin", *entries}, keep=bool(entries))
        for name, expected in entries.items():
            if digests.get(name) != expected:
                raise AudioError("model-corrupt", f"{folder / name} is damaged or missing (wrong checksum). {fix}")
    except OSError as error:
        raise AudioError("model-corrupt", f"{folder} cannot be read: {error.strerror or error}. {fix}") from None
    return digests["model.bin"]


def _check_config(path: Path, fix: str) -> None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise AudioError("model-corrupt", f"{path} is not JSON. {fix}") from None
    if not isinstance(config, dict) or "suppress_ids" not in config:
        raise AudioError("model-wrong-family", f"{path} does not describe a Whisper model for CTranslate2. {fix}")


def _check_weights(weights: BinaryIO, folder: Path, fix: str) -> None:
    """Walk through a CTranslate2 file (binary versions 4 to 6): its family, and whether it is all there.

    Version, specification and revision, then each variable: name, dimensions, type, size, bytes; then aliases.
    """
    incomplete = AudioError("model-corrupt", f"{folder / 'model.bin'} is damaged or incomplete. {fix}")

    def number(code: str) -> int:
        data = weights.read(struct.calcsize(code))
        if len(data) != struct.calcsize(code):
            raise incomplete
        return int(struct.unpack(code, data)[0])

    def name() -> bytes:
        return weights.read(number("<H")).rstrip(b"\0")

    size = os.fstat(weights.fileno()).st_size
    version, family = number("<I"), name()
    if not family.endswith(b"Spec"):
        raise incomplete
    if family != b"WhisperSpec":
        raise AudioError("model-wrong-family", f"{folder} holds another kind of model, not Whisper. {fix}")
    number("<I")
    if version not in (4, 5, 6):
        return  # laid out otherwise: the loader judges it
    for _ in range(number("<I")):
        name()
        weights.seek(4 * number("<B"), os.SEEK_CUR)
        number("<B")
        weights.seek(number("<I"), os.SEEK_CUR)
        if weights.tell() > size:
            raise incomplete


def _manifest_digests(folder: Path, fix: str) -> dict[str, str]:
    """File and SHA-256 of each file in the manifest; empty without one."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {Path(name).name: str(entry["sha256"]) for name, entry in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AudioError("model-corrupt", f"{path} is damaged. {fix}") from None


def _cached_digests(folder: Path, names: set[str], *, keep: bool) -> dict[str, str]:
    """SHA-256 of each file that is there; a file that has not changed since is not read again.

    `keep` writes them beside the model for the next start; nothing is written into a folder of the person's own.
    """
    known = _digest_cache.get(folder, {})
    if keep and not known:
        with contextlib.suppress(OSError, ValueError):
            read = json.loads((folder / DIGESTS_FILE).read_text(encoding="utf-8"))
            known = read if isinstance(read, dict) else {}
    fresh: dict[str, list[object]] = {}
    for name in sorted(names):
        path = folder / name
        if path.is_file():
            state = path.stat()
            fingerprint = [state.st_ino, state.st_mtime_ns, state.st_size]
            kept = known.get(name)
            if isinstance(kept, list) and len(kept) == 4 and kept[:3] == fingerprint:
                fresh[name] = kept
            else:
                fresh[name] = [*fingerprint, _digests(path)[0]]
    if keep and fresh != known:
        with contextlib.suppress(OSError):  # a folder that may not be written to is read through each time
            (folder / DIGESTS_FILE).write_text(json.dumps(fresh), encoding="utf-8")
    _digest_cache[folder] = fresh
    return {name: str(values[3]) for name, values in fresh.items()}


def _digests(path: Path) -> tuple[str, str]:
    """SHA-256, and the SHA-1 git gives a file."""
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            sha256.update(data)
            sha1.update(data)
    return sha256.hexdigest(), sha1.hexdigest()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which recogniser is used, and the sentence that says so."""

    kind: Literal["whisper", "pocketsphinx"]
    path: Path | None
    """The model's folder; None for pocketsphinx and while it has to be downloaded."""
    line: str
    """One sentence for the terminal and the page."""
    model: str | None = None
    """The model's name, or its folder's."""

    @property
    def needs_download(self) -> bool:
        """Call `fetch_model(choice.model, ...)` first."""
        return self.kind == "whisper" and self.path is None


def choose_recogniser(
    which: Literal["auto", "whisper", "pocketsphinx"],
    model: str | None,
    models_dir: Path,
    *,
    reachable: Callable[[], bool] = hub.can_download,
) -> Choice:
    """Whisper when a model is on disk or can be downloaded, otherwise the built-in recogniser; or as told.

    A model found is verified. Raises AudioError: model-unknown, model-missing, model-corrupt, model-wrong-family;
    no-network when Whisper was asked for by name and cannot be had.
    """
    better = f"For the better one run: `assist models fetch {model if model in KNOWN_MODELS else DEFAULT_MODEL}`"
    if which == "pocketsphinx":
        return Choice("pocketsphinx", None, f"Listening with the built-in PocketSphinx, as asked. {better}")
    name = model or DEFAULT_MODEL
    damaged = ""
    for candidate in (model,) if model else PREFERRED_MODELS:
        path = find_model(candidate, models_dir=models_dir)
        if path is None:
            continue
        try:
            verify_model(path)
        except AudioError as error:
            if model or which == "whisper":
                raise
            damaged = damaged or str(error)
            continue
        label = candidate if candidate in KNOWN_MODELS else path.name
        return Choice("whisper", path, f"Listening with Whisper {label} from {path}", label)
    if reachable():
        return Choice("whisper", None, f"Downloading Whisper {name} once; it stays in {models_dir}", name)
    if which == "whisper":
        raise AudioError(
            "no-network",
            f"Whisper {name} is not on this machine and {hub.address()} cannot be reached: run `assist models fetch "
            f"{name}` where there is a network, or choose --recogniser pocketsphinx.",
        )
    reason = damaged or f"Whisper {name} is not on this machine and cannot be downloaded now."
    return Choice(
        "pocketsphinx", None, f"Listening with the built-in PocketSphinx, which mishears more: {reason} {better}"
    )
