"""`assist doctor`: whether this installation is sound, one line each: ok, a warning, or what is bad and what to do."""

from __future__ import annotations

import asyncio
import math
import os
import re
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import numpy as np

from assist.errors import AssistError
from assist.live.writing import socket_of
from assist.privacy.consent import Consent, ConsentPolicy
from assist.privacy.control import KEY_FILE
from assist.privacy.retention import due
from assist.settings import Settings
from assist.store.checking import StoreState, check_store, encrypted
from assist.store.store import open_reader
from audio.errors import AudioError
from audio.events import SAMPLE_RATE, Chunk, Pcm, Speaker
from audio.models import Choice, choose_recogniser, verify_model
from overlay.guard import STATIC
from overlay.identity import is_loopback

LOW_BYTES = 2 << 30
LEAST_BYTES = 200 << 20
"""A day of 20 calls is about 10 MB of events; a model is up to 3 GB."""
SAMPLE_MS = (500, 5_500)
"""Of the bundled call: the agent's greeting."""
SAMPLE_WORDS = frozenset("thank you for calling this is how can i help today with your the".split())
"""Words any recogniser should find some of there."""


class Level(StrEnum):
    """How a finding is meant."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line."""

    check: str
    level: Level
    text: str
    """What was found; for a warning and worse also what to do."""


def examine(settings: Settings) -> Iterator[Finding]:
    """All checks, in the order in which they are best repaired. Nothing is changed and nothing is fetched."""
    checks: tuple[tuple[str, Callable[[Settings], Iterator[Finding]]], ...] = (
        ("data folder", _folder),
        ("disk space", _disk),
        ("encryption", _encryption),
        ("database", _database),
        ("recogniser", _recogniser),
        ("devices", _devices),
        ("pages", _pages),
        ("port", _port),
        ("clock", _clock),
        ("login", _login),
        ("consent", _consent),
        ("pause", _pause),
        ("retention", _retention),
        ("audit log", _audit),
        ("network", _network),
    )
    for name, check in checks:
        try:
            yield from check(settings)
        except Exception as error:  # one check that breaks is a finding, and the others still run
            yield Finding(name, Level.BAD, f"could not be checked: {type(error).__name__}: {str(error)[:160]}")


def _ok(check: str, text: str) -> Finding:
    return Finding(check, Level.OK, text)


def _warning(check: str, text: str) -> Finding:
    return Finding(check, Level.WARNING, text)


def _bad(check: str, text: str) -> Finding:
    return Finding(check, Level.BAD, text)


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def _folder(settings: Settings) -> Iterator[Finding]:
    data = settings.data
    if not data.exists():
        parent = _standing(data)
        if not os.access(parent, os.W_OK):
            yield _bad("data folder", f"{data} is not there and {parent} cannot be written: choose one with --data")
        else:
            yield _ok("data folder", f"{data} will be made at the first start")
        return
    if not os.access(data, os.W_OK | os.X_OK):
        yield _bad("data folder", f"{data} cannot be written: change its rights, or choose another with --data")
        return
    if sys.platform == "win32":
        yield _ok("data folder", f"{data}; check by hand that only the program's user may read it")
        return
    kept = [data, *(path for path in data.iterdir() if path.name.startswith("assist.db") or path.suffix == ".key")]
    kept += [path for path in (data / KEY_FILE,) if path.exists()]
    records = data / "records"
    kept += [records] if records.exists() else []
    mine = os.getuid()
    foreign = [path for path in kept if path.stat().st_uid not in (mine, 0)]
    # A folder nobody else may enter keeps what is in it.
    shut = data.stat().st_mode & 0o077 == 0
    open_ = [path for path in kept if path.stat().st_mode & 0o077 and not (shut and path != data)]
    if foreign:
        yield _bad("data folder", f"{foreign[0]} belongs to another user: chown it")
    elif any(path.is_file() for path in open_):
        names = ", ".join(path.name for path in open_ if path.is_file())
        yield _bad("data folder", f"{names} in {data} can be read by others: chmod 700 {data}")
    elif open_:
        yield _warning("data folder", f"others may list {open_[0]}: chmod 700 {data}")
    else:
        yield _ok("data folder", f"{data}, its owner's only")


def _disk(settings: Settings) -> Iterator[Finding]:
    place = _standing(settings.data)
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free at {place}"
    if free < LEAST_BYTES:
        yield _bad("disk space", f"{text}: make room now, calls cannot be written for long")
    elif free < LOW_BYTES:
        yield _warning("disk space", f"{text}: make room, or shorten what is kept ([keep] in the settings)")
    else:
        yield _ok("disk space", text)


def _encryption(settings: Settings) -> Iterator[Finding]:
    place = _standing(settings.data)
    found = encrypted(place)
    if found:
        yield _ok("encryption", f"{place} is on an encrypted disk (dm-crypt)")
        return
    seen = "it cannot be seen whether the disk is encrypted" if found is None else "no encryption of the disk is seen"
    yield _warning("encryption", f"{seen} under {place}: see by hand, for the database itself is not")


def _store(settings: Settings) -> StoreState:
    return check_store(settings.data / "assist.db")


def _readable(settings: Settings) -> bool:
    state = _store(settings)
    return state.schema == state.newest


def _database(settings: Settings) -> Iterator[Finding]:
    state = _store(settings)
    if state.problem:
        yield _bad("database", f"assist.db {state.problem}; put the last backup back: assist restore FILE")
    elif state.schema > state.newest:
        yield _bad("database", f"schema {state.schema} is newer than this program's {state.newest}: update the program")
    elif not state.schema:
        yield _ok("database", "none yet; it is made at the first call")
    else:
        older = f", brought to {state.newest} at the next start" if state.schema < state.newest else ""
        live = f"; {state.live} marked live" if state.live else ""
        version = f"SQLite {sqlite3.sqlite_version}"
        yield _ok("database", f"sound: {state.calls} calls{live}, schema {state.schema}{older}, {version}")


def _recogniser(settings: Settings) -> Iterator[Finding]:
    try:
        choice = choose_recogniser(settings.recogniser, settings.model, settings.models_dir, reachable=lambda: False)
    except AudioError as error:
        yield _bad("model", str(error))
        return
    if choice.kind == "whisper" and choice.path is not None:
        digest = verify_model(choice.path)
        known = (choice.path / "manifest.json").exists()
        text = f"Whisper {choice.model}, sha256 {digest[:16]}…"
        if known:
            yield _ok("model", f"{text}, as in its manifest")
        else:
            yield _warning("model", f"{text}; no manifest to check it against: assist models fetch NAME brings one")
    else:
        yield _warning("model", f"{choice.line}")
    heard = _listen(choice)
    found = sorted(SAMPLE_WORDS & set(heard))
    if len(found) >= 3:
        yield _ok("recogniser", f"understood the bundled sample ({len(heard)} words)")
    else:
        said = "nothing" if not heard else f"{len(heard)} words, hardly any of them right"
        yield _bad(
            "recogniser", f"heard {said} in the bundled sample: fetch another model (assist models fetch base.en)"
        )


def _listen(choice: Choice) -> list[str]:
    """What the recogniser hears in the bundled sample."""
    if choice.kind == "whisper" and choice.path is not None:
        from audio.whisper import WhisperRecogniser

        decoding = WhisperRecogniser(choice.path, workers=1).begin()
    else:
        from audio.sphinx import SphinxRecogniser

        decoding = SphinxRecogniser(decoders=1).begin()  # type: ignore[assignment]
    decoding.extend(asyncio.run(_sample()))
    return [word.text.casefold().strip(".,!?") for word in decoding.final()]


async def _sample() -> Pcm:
    from assist.live.runs import DEMO_SOUND
    from audio.recording import open_recording

    parts = []
    async for item in open_recording(DEMO_SOUND, agent_channel=0, speed=math.inf):
        if isinstance(item, Chunk):
            if item.end_ms > SAMPLE_MS[1]:
                break
            parts.append(item.channels[Speaker.AGENT])
    return np.concatenate(parts)[SAMPLE_MS[0] * SAMPLE_RATE // 1000 :]


def _devices(settings: Settings) -> Iterator[Finding]:
    from audio.devices import list_devices

    try:
        devices = list_devices()
    except AudioError as error:
        yield _warning("devices", f"{error} (recordings and telephone systems work without)")
        return
    microphones = [device for device in devices if not device.far_end]
    far_ends = [device for device in devices if device.far_end]
    if microphones and far_ends:
        yield _ok("devices", f"{len(microphones)} microphones, {len(far_ends)} far ends: assist devices lists them")
    else:
        missing = "microphone" if not microphones else "device that carries the customer"
        yield _warning("devices", f"no {missing}: live calls on this machine need one (assist devices; README, Sound)")


def _pages(settings: Settings) -> Iterator[Finding]:
    wanted = set()
    for page in STATIC.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        wanted |= set(re.findall(r'(?:src|href)="/static/([^"]+)"', text))
    for script in STATIC.glob("*.js"):
        wanted |= set(re.findall(r'from "\./([^"]+)"', script.read_text(encoding="utf-8")))
    missing = sorted(name for name in wanted if not (STATIC / name).is_file())
    if missing or not wanted:
        yield _bad("pages", f"{', '.join(missing) or 'all files'} missing in {STATIC}: install the program again")
    else:
        yield _ok("pages", f"{len(wanted)} files of the pages are there")


def _port(settings: Settings) -> Iterator[Finding]:
    if _server_runs(settings.data):
        yield _ok("port", f"a server runs on this data folder (port {settings.port} by the settings)")
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as listener:
            if sys.platform != "win32":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        why = error.strerror or str(error)
        yield _bad("port", f"{settings.host}:{settings.port} cannot be served ({why}): choose another with --port")
    else:
        yield _ok("port", f"{settings.host}:{settings.port} is free")


def _server_runs(data: Path) -> bool:
    path = socket_of(data)
    if path is None or not hasattr(socket, "AF_UNIX") or not path.exists():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _clock(settings: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    program = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
    latest = _store(settings).latest
    if latest and datetime.fromisoformat(latest) > now + timedelta(minutes=5):
        yield _bad("clock", f"the newest call began {latest}, after now ({now:%Y-%m-%d %H:%M} UTC): set the clock")
    elif program > now + timedelta(days=1):
        yield _bad("clock", f"it says {now:%Y-%m-%d %H:%M} UTC, before this program was installed: set the clock")
    else:
        yield _ok("clock", f"{now:%Y-%m-%d %H:%M} UTC; retention and audit go by it")


def _login(settings: Settings) -> Iterator[Finding]:
    by = settings.login.by
    if is_loopback(settings.host):
        if by == "none":
            yield _ok("login", "none: the pages are served to this machine only, and whoever uses it is believed")
        else:
            yield _ok("login", f"by {by}, served to this machine only")
    elif by == "none":
        yield _bad(
            "login", f"{settings.host} can be reached from outside and needs a login: [login] by = ..., or loopback"
        )
    elif settings.certificate is None and not settings.proxies:
        yield _bad("login", "passwords would cross the network in the clear: set certificate, or name your TLS proxy")
    else:
        yield _ok("login", f"by {by}, on {settings.host}")


def _consent(settings: Settings) -> Iterator[Finding]:
    policy, start = settings.consent_policy, settings.consent
    unknown = {
        ConsentPolicy.ONE_PARTY: "heard and kept",
        ConsentPolicy.ALL_PARTY: "heard, nothing kept",
        ConsentPolicy.STRICT: "not heard, nothing kept",
    }[policy]
    text = f"policy {policy}: while consent is unknown a call is {unknown}; live calls start as {start}"
    if start is Consent.GRANTED:
        yield _warning("consent", f"{text}. Every call counts as agreed: is there an announcement that asks?")
    elif policy is ConsentPolicy.ONE_PARTY:
        yield _warning("consent", f"{text}. Many places ask for everybody's consent: have counsel confirm")
    else:
        yield _ok("consent", text)


def _pause(settings: Settings) -> Iterator[Finding]:
    names = "masked after cues" if settings.mask_names else "not masked"
    if settings.auto_pause:
        yield _ok(
            "pause",
            f"by itself for card numbers ({settings.auto_pause_s} s at most), by key P and by API; names {names}",
        )
    else:
        yield _warning("pause", f"only by hand and API: auto_pause is off, and people forget; names {names}")


def _retention(settings: Settings) -> Iterator[Finding]:
    keep = settings.keep
    days = f"words {keep.transcript_days} days, records {keep.review_days}, consent {keep.consent_days}"
    days += f", audit log {keep.audit_days}"
    sound = f"recordings are on: sound kept {keep.audio_days} days where consent is granted, encrypted"
    text = f"{days}; {sound if settings.recordings else 'recordings are off: sound is not kept'}"
    if not _readable(settings):
        yield _ok("retention", text)
        return
    store = open_reader(settings.store_url)
    try:
        found = due(store, keep, datetime.now(UTC), settings.data)
        holds = len(store.holds())
    finally:
        store.close()
    count = len({*found.words, *found.records, *found.sounds})
    held = f"; {holds} calls on hold" if holds else ""
    if count:
        yield _warning("retention", f"{text}; {count} calls are past it: assist retention run (serve does it daily)")
    else:
        yield _ok("retention", f"{text}{held}; nothing is overdue")


def _audit(settings: Settings) -> Iterator[Finding]:
    from assist.access.audit import open_audit

    if not _readable(settings) or not (settings.data / "audit.key").exists():
        yield _ok("audit log", "empty so far")
        return
    store = open_reader(settings.store_url)
    try:
        verdict = open_audit(store.people, settings.data).verify()
    except AssistError as error:
        yield _bad("audit log", str(error))
        return
    finally:
        store.close()
    if verdict.problem:
        yield _bad("audit log", f"{verdict.problem}: somebody or something changed it; keep a copy and find out")
    else:
        yield _ok("audit log", f"{verdict.rows} entries, every seal holds")


def _network(settings: Settings) -> Iterator[Finding]:
    if os.environ.get("HF_HUB_OFFLINE") == "1" or settings.recogniser == "pocketsphinx":
        yield _ok("network", "nothing goes out")
    else:
        yield _ok("network", "nothing goes out but a model you ask for; HF_HUB_OFFLINE=1 rules that out as well")
