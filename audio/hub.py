"""The model hub: what it holds, fetching a file, and whether it can be reached. The only importer of huggingface_hub.

The address is https://huggingface.co, or HF_ENDPOINT; HF_HUB_OFFLINE=1 keeps this program off the network.
"""

from __future__ import annotations

import errno
import os
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audio.errors import AudioError

INFO_TIMEOUT_S = 10.0
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a model as the hub describes it."""

    name: str
    size: int
    """Bytes."""
    sha256: str | None
    """Given for large files (LFS)."""
    git_sha1: str | None
    """Given for all others: the SHA-1 of "blob", the size and the content, as git computes it."""


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model at one revision."""

    repo: str
    revision: str
    files: tuple[HubFile, ...]


def offline() -> bool:
    """Whether the person said that the hub must not be asked."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")


def address() -> str:
    """The hub's address."""
    return os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or "https://huggingface.co"


def can_download(timeout_s: float = 1.5) -> bool:
    """Whether the hub answers within this time, name lookup included. One attempt, no retries."""
    if offline():
        return False
    answered: list[bool] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(f"{address()}/api/models/Systran/faster-whisper-base.en")
            with urllib.request.urlopen(request, timeout=timeout_s) as reply:
                answered.append(reply.status == 200 and "json" in reply.headers.get("Content-Type", ""))
        except (OSError, ValueError):
            answered.append(False)

    # A thread, because a name lookup has no timeout of its own and may hang for half a minute.
    asking = threading.Thread(target=ask, daemon=True, name="hub-probe")
    asking.start()
    asking.join(timeout_s)
    return bool(answered and answered[0])


def describe(repo: str) -> HubModel:
    """What the hub holds. Raises AudioError no-network or model-fetch-failed."""
    if offline():
        raise AudioError("no-network", "HF_HUB_OFFLINE is set, so nothing is downloaded: unset it to fetch models.")
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=address()).model_info(repo, files_metadata=True, timeout=INFO_TIMEOUT_S)
    except Exception as error:
        raise _one_line(error, repo) from None
    files = tuple(
        HubFile(sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None, sibling.blob_id)
        for sibling in info.siblings or ()
    )
    return HubModel(repo, info.sha or "main", files)


def download(model: HubModel, name: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Fetch one file into a folder, going on where a broken download stopped; `on_bytes` hears of each piece."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    class Report(tqdm):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]
            on_bytes(int(str(options.get("initial") or 0)))

        def update(self, n: float | None = 1) -> None:
            on_bytes(int(n or 0))

    try:
        path = hf_hub_download(
            model.repo, name, revision=model.revision, local_dir=folder, endpoint=address(), tqdm_class=Report
        )
    except Exception as error:
        raise _one_line(error, model.repo) from None
    return Path(path)


def cached(repo: str) -> Path | None:
    """The folder of a model that another program of this user has fetched already."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, "model.bin")
    return Path(found).parent if isinstance(found, str) else None


def _one_line(error: Exception, repo: str) -> AudioError:
    """Libraries below raise dozens of types here (HTTP, TLS, proxy, disk): each becomes one line that says which."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EPERM):
        return AudioError(
            "model-fetch-failed", f"The model cannot be stored: {error.strerror}. Free or change the folder."
        )
    reply = getattr(error, "response", None)
    status = getattr(reply, "status_code", None)
    if status is not None:
        return AudioError(
            "model-fetch-failed", f"{address()} answered {status} for {repo}: try later, or copy the folder by hand."
        )
    return AudioError(
        "no-network",
        f"{address()} cannot be reached ({type(error).__name__}): check the network, or copy the model by hand.",
    )
