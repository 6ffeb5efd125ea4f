"""The model store against a small hub on this machine that speaks the real one's API."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from audio.errors import AudioError
from audio.hub import can_download
from audio.models import (
    DEFAULT_MODEL,
    KNOWN_MODELS,
    choose_recogniser,
    fetch_model,
    find_model,
    verify_model,
)


def weights(spec: str = "WhisperSpec", variables: int = 3) -> bytes:
    """A CTranslate2 file: header, float32 variables of 64 KiB, no aliases."""

    def name(text: str) -> bytes:
        return (len(text) + 1).to_bytes(2, "little") + text.encode() + b"\0"

    def number(value: int) -> bytes:
        return value.to_bytes(4, "little")

    body = number(6) + name(spec) + number(3) + number(variables)
    for i in range(variables):
        data = hashlib.sha256(bytes([i])).digest() * 2048
        body += name(f"encoder/v{i}") + b"\1" + number(len(data) // 4) + b"\0" + number(len(data)) + data
    return body + number(0)


CONFIG = json.dumps({"suppress_ids": [1], "alignment_heads": [[1, 1]], "lang_ids": [2]}).encode()
FILES = {
    "model.bin": weights(),
    "config.json": CONFIG,
    "tokenizer.json": b'{"a": 1}',
    "vocabulary.txt": b"a\nb\n",
    "README.md": b"not wanted",
}


@dataclass
class Hub:
    """What the served hub holds, and how it fails."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    sent: dict[str, bytes] = field(default_factory=dict)
    """Sent in the place of the true content."""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    state = Hub()
    revision = "0123456789abcdef0123456789abcdef01234567"

    class Served(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(self.command == "GET")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

        def reply(self, with_body: bool) -> None:
            state.asked.append(self.path)
            name = self.path.rsplit("/", 1)[-1]
            headers = {"X-Repo-Commit": revision}
            if self.path.startswith("/api/models/"):
                body = json.dumps(self.info()).encode()
                headers["Content-Type"] = "application/json"
            else:
                body = state.sent.get(name, state.files.get(name, b""))
                headers["ETag"] = f'"{hashlib.sha256(state.files.get(name, b"")).hexdigest()}"'
                headers["Content-Type"] = "application/octet-stream"
            self.send_response(state.status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def info(self) -> dict[str, object]:
            siblings = []
            for name, body in state.files.items():
                entry: dict[str, object] = {"rfilename": name, "size": len(body)}
                entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
                if name == "model.bin":
                    entry["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}
                siblings.append(entry)
            return {"id": "Systran/x", "sha": revision, "siblings": siblings}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def no_other_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing that other programs of the person running the tests have fetched."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address at which nothing answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def folder(path: Path, **replaced: bytes | None) -> Path:
    """A model's folder by hand, without a manifest."""
    path.mkdir(parents=True)
    for name, body in {**FILES, **{key.replace("_", "."): value for key, value in replaced.items()}}.items():
        if body is not None:
            (path / name).write_bytes(body)
    return path


def refused(code: str, call, *arguments, **options) -> str:
    with pytest.raises(AudioError) as caught:
        call(*arguments, **options)
    line = str(caught.value)
    assert caught.value.code == code, line
    assert "\n" not in line
    return line


def test_a_model_is_fetched_checked_and_found(hub: Hub, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = fetch_model("base.en", tmp_path, lambda *now: told.append(now))
    wanted = {name: body for name, body in FILES.items() if name != "README.md"}
    assert path == tmp_path / "base.en" == find_model("base.en", models_dir=tmp_path)
    assert {p.name for p in path.iterdir()} == {*wanted, "manifest.json", ".verified.json"}
    assert all((path / name).read_bytes() == body for name, body in wanted.items())
    assert verify_model(path) == hashlib.sha256(FILES["model.bin"]).hexdigest()
    total = sum(map(len, wanted.values()))
    assert told[-1][1:] == (total, total)
    assert [now[1] for now in told] == sorted(now[1] for now in told)
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["files"]["config.json"] == {"size": len(CONFIG), "sha256": hashlib.sha256(CONFIG).hexdigest()}
    assert not (tmp_path / ".base.en.part").exists()


@pytest.mark.parametrize("name", ["model.bin", "config.json"])
def test_a_file_that_arrives_damaged_is_refused_and_a_second_try_heals(hub: Hub, tmp_path: Path, name: str) -> None:
    body = bytearray(FILES[name])
    body[-3] ^= 1
    hub.sent[name] = bytes(body)
    assert name in refused("model-corrupt", fetch_model, "base.en", tmp_path)
    assert find_model("base.en", models_dir=tmp_path) is None
    hub.sent.clear()
    assert verify_model(fetch_model("base.en", tmp_path))


def test_fetching_again_replaces_a_damaged_model(hub: Hub, tmp_path: Path) -> None:
    path = fetch_model("base.en", tmp_path)
    (path / "config.json").write_bytes(b"{}")
    fetch_model("base.en", tmp_path)
    assert (path / "config.json").read_bytes() == CONFIG


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_hub_that_refuses(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.status = status
    assert str(status) in refused("model-fetch-failed", fetch_model, "base.en", tmp_path)


def test_no_network(no_hub: None, tmp_path: Path) -> None:
    refused("no-network", fetch_model, "base.en", tmp_path)
    assert can_download() is False


def test_offline_by_order(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_download() is True
    asked = len(hub.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert can_download() is False
    refused("no-network", fetch_model, "base.en", tmp_path)
    assert len(hub.asked) == asked


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is taken and nothing comes: without a bound of its own this test would hang."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        assert can_download(timeout_s=0.05) is False


def test_a_page_that_wants_a_login_is_no_hub(hub: Hub) -> None:
    hub.status = 302
    assert can_download() is False


def test_a_folder_that_cannot_keep_the_model(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    refused("model-fetch-failed", fetch_model, "base.en", tmp_path / "taken")


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    for call in (lambda: find_model("huge", models_dir=tmp_path), lambda: fetch_model("huge", tmp_path)):
        line = refused("model-unknown", call)
        assert all(name in line for name in KNOWN_MODELS)
    refused("model-missing", find_model, str(tmp_path / "nowhere"), models_dir=tmp_path)
    refused("model-unknown", choose_recogniser, "auto", "huge", tmp_path, reachable=lambda: True)


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    own = folder(tmp_path / "own")
    assert find_model(str(own), models_dir=tmp_path) == own
    assert verify_model(own) == hashlib.sha256(FILES["model.bin"]).hexdigest()
    assert {path.name for path in own.iterdir()} == set(FILES)  # nothing is written into it


@pytest.mark.parametrize(
    ("replaced", "code"),
    [
        ({"model_bin": None}, "model-corrupt"),
        ({"config_json": None}, "model-corrupt"),
        ({"tokenizer_json": None}, "model-corrupt"),
        ({"vocabulary_txt": None}, "model-corrupt"),
        ({"model_bin": b""}, "model-corrupt"),
        ({"model_bin": b"hello this is text" * 100}, "model-corrupt"),
        ({"model_bin": weights()[:-70_000]}, "model-corrupt"),
        ({"model_bin": weights("TransformerSpec")}, "model-wrong-family"),
        ({"config_json": b"{"}, "model-corrupt"),
        ({"config_json": b"\xff\xfe"}, "model-corrupt"),
        ({"config_json": b'{"model_type": "llama"}'}, "model-wrong-family"),
        ({"config_json": b"[]"}, "model-wrong-family"),
        ({"manifest_json": b"{}"}, "model-corrupt"),
        ({"manifest_json": b'{"files": {"model.bin": {"sha256": "00"}}}'}, "model-corrupt"),
        ({"manifest_json": b'{"files": {"gone.bin": {"sha256": "00"}}}'}, "model-corrupt"),
    ],
)
def test_a_folder_that_is_no_model_is_named_before_loading(tmp_path: Path, replaced: dict, code: str) -> None:
    line = refused(code, verify_model, folder(tmp_path / "own", **replaced))
    assert "assist models fetch" in line


def test_a_change_after_fetching_is_noticed_and_no_change_is_not_read_again(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch_model("base.en", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("audio.models._digests", lambda path: pytest.fail(f"read {path} again"))
        verify_model(path)
        patch.setattr("audio.models._digest_cache", {})  # the next start of the program
        verify_model(path)
    body = bytearray(FILES["model.bin"])
    body[5000] ^= 1
    (path / "model.bin").write_bytes(body)
    assert "model.bin" in refused("model-corrupt", verify_model, path)


def test_auto_takes_what_is_on_disk_without_asking_the_network(hub: Hub, tmp_path: Path) -> None:
    fetch_model("tiny.en", tmp_path)
    choice = choose_recogniser("auto", None, tmp_path, reachable=lambda: pytest.fail("asked the network"))
    assert (choice.kind, choice.path, choice.model) == ("whisper", tmp_path / "tiny.en", "tiny.en")
    fetch_model("base.en", tmp_path)
    assert choose_recogniser("auto", None, tmp_path).model == "base.en"
    assert not choose_recogniser("whisper", None, tmp_path).needs_download


def test_auto_downloads_when_it_can(tmp_path: Path) -> None:
    choice = choose_recogniser("auto", None, tmp_path, reachable=lambda: True)
    assert (choice.kind, choice.path, choice.model, choice.needs_download) == ("whisper", None, DEFAULT_MODEL, True)
    assert choose_recogniser("auto", "small.en", tmp_path, reachable=lambda: True).model == "small.en"


def test_auto_falls_back_and_says_how_to_get_better(tmp_path: Path) -> None:
    choice = choose_recogniser("auto", None, tmp_path, reachable=lambda: False)
    assert (choice.kind, choice.path, choice.needs_download) == ("pocketsphinx", None, False)
    assert "PocketSphinx" in choice.line
    assert "assist models fetch base.en" in choice.line
    assert (
        "assist models fetch small.en" in choose_recogniser("auto", "small.en", tmp_path, reachable=lambda: False).line
    )


def test_auto_starts_although_a_model_on_disk_is_damaged(hub: Hub, tmp_path: Path) -> None:
    path = fetch_model("base.en", tmp_path)
    (path / "tokenizer.json").write_bytes(b"{}")
    choice = choose_recogniser("auto", None, tmp_path, reachable=lambda: False)
    assert choice.kind == "pocketsphinx"
    assert "tokenizer.json is damaged" in choice.line
    refused("model-corrupt", choose_recogniser, "whisper", None, tmp_path, reachable=lambda: False)
    refused("model-corrupt", choose_recogniser, "auto", "base.en", tmp_path, reachable=lambda: False)


def test_whisper_by_order_without_a_model_or_network(tmp_path: Path) -> None:
    assert "pocketsphinx" in refused(
        "no-network", choose_recogniser, "whisper", None, tmp_path, reachable=lambda: False
    )


def test_pocketsphinx_by_order_needs_nothing(tmp_path: Path) -> None:
    choice = choose_recogniser("pocketsphinx", None, tmp_path, reachable=lambda: pytest.fail("asked the network"))
    assert choice.kind == "pocketsphinx"


def test_models_of_other_programs_are_found(tmp_path: Path) -> None:
    snapshot = tmp_path / "cache" / "models--Systran--faster-whisper-base.en" / "snapshots" / "abc"
    folder(snapshot)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    assert find_model("base.en", models_dir=tmp_path / "models") == snapshot


TEST_MODEL = Path(__file__).parent.parent / ".." / "shared" / "models" / "model"


@pytest.mark.skipif(not TEST_MODEL.exists(), reason="the tiny test model is not beside this checkout")
def test_a_real_model_is_accepted_and_a_torn_copy_is_not(tmp_path: Path) -> None:
    own = tmp_path / "model"
    shutil.copytree(TEST_MODEL, own)
    own.chmod(0o755)
    for path in own.iterdir():
        path.chmod(0o644)
    assert len(verify_model(own)) == 64
    whole = (own / "model.bin").read_bytes()
    (own / "model.bin").write_bytes(whole[: len(whole) - 1000])
    refused("model-corrupt", verify_model, own)
