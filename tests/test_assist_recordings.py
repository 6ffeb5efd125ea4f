"""Kept recordings: off by default; encrypted; silent wherever something might stand that must not be kept."""

import asyncio
import io
import os
import re
from contextlib import closing
from datetime import date
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import expect
from typer.testing import CliRunner

from assist.access.audit import open_audit
from assist.commands.main import app
from assist.doctor.keeping import retention
from assist.events import Action
from assist.live.runs import FAILURES
from assist.privacy.redaction import is_masked
from assist.privacy.retention import erase, export, find_due
from assist.records import library as library_module
from assist.records.filing import close_interrupted
from assist.records.library import Library
from assist.settings import KeepSettings, load_settings
from assist.store.keys import Keyring
from assist.store.recordings import MU_LAW_TO_PCM, RATE, RecordingFile, Recordings, encode_mu_law
from assist.store.rows import Hold, stamp
from assist.store.store import open_store
from audio.events import SAMPLE_RATE, Chunk, Speaker, Utterance
from overlay.app import create_app
from overlay.http_server import serving
from overlay.hub import Hub
from overlay.identity import Identity, ScreenSettings
from tests.overlay_stage import CHROMIUM, play
from tests.overlay_stage import stage as pages
from tests.scripted_call import SPEAKERS, on_stage, said
from tests.test_assist_retention import later, purge

AGENT, CUSTOMER = 0, 1
CARD = "four one one one one one one one one one one one one one one one"
"""16 digits, 300 ms each."""
STEP = 1 / 32
"""Half of the largest step of mu-law, as a part of the sample."""


def heard_sound(seconds):
    """What both lines carry, shape (samples, 2): never silent, different on each."""
    t = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    return np.stack([0.3 * np.sin(2760 * t) + 0.05, 0.5 * np.sin(1510 * t + t * t) + 0.05], axis=1).astype(np.float32)


async def hear(stage, seconds, script=None):
    """So many seconds of the call; `script`: second -> what is said to have been heard with its sound."""
    for _ in range(seconds):
        at = stage.source.end_ms // 1000
        stage.ears.script = (script or {}).get(at, [])
        stage.ears.turn.clear()
        sound = heard_sound(at + 1)[at * SAMPLE_RATE :]
        stage.source._sound.put_nowait(Chunk(at * 1000, {who: sound[:, n] for n, who in enumerate(SPEAKERS)}))
        stage.source.end_ms += 1000
        await stage.ears.turn.wait()
        await asyncio.sleep(0)


async def written(stage):
    """Whatever was put to the recording so far has been done."""
    await asyncio.gather(*map(asyncio.wrap_future, stage.service.calls[stage.call].recorder._writer._pending))


def act(stage, what, detail=""):
    live = stage.service.calls[stage.call]
    live.act(Action(live.session.now_ms, "Dana", "agent", what, detail=detail))


def on_a_call(tmp_path, scene, **chosen):
    async def run():
        stage = await on_stage(tmp_path, **({"consent": "granted", "auto_pause": False, "recordings": True} | chosen))
        await scene(stage)
        await stage.close()

    asyncio.run(run())


def talk(start_ms, text="i have been waiting for two weeks now", speaker=Speaker.CUSTOMER):
    return said(text, start_ms, speaker)


def played(tmp_path, call):
    """The kept sound as a player hears it, shape (samples, 2)."""
    samples, rate = soundfile.read(io.BytesIO(Recordings(tmp_path).open(call).wav()), dtype="float32")
    assert rate == RATE
    return samples


def at(sound, from_ms, to_ms, channel=CUSTOMER):
    return sound[from_ms * RATE // 1000 : to_ms * RATE // 1000, channel]


def test_a_call_is_kept_sealed_and_comes_back_as_it_was_except_for_what_is_masked(tmp_path):
    number = said(f"it is {CARD} thanks a lot", 7_000)

    async def scene(stage):
        script = {
            2: [talk(0)],
            13: [talk(7_000, "one moment let me write this down please", Speaker.AGENT), number],
            18: [talk(16_000)],
        }
        await hear(stage, 45, script)
        await written(stage)
        path = Recordings(tmp_path).path(stage.call)
        assert path.stat().st_size > 10 * RATE, "what has waited long enough is on disk while the call goes on"
        await stage.end()
        [line] = [each for each in stage.service.store.record(stage.call)["transcript"] if "[" in each["text"]]
        assert line["text"] == "it is [card number] thanks a lot"
        true, kept = heard_sound(45), played(tmp_path, stage.call)
        assert len(kept) == 45 * RATE
        for channel, from_ms, to_ms in ((CUSTOMER, 0, 2_350), (AGENT, 7_000, 7_300), (CUSTOMER, 16_000, 18_350)):
            difference = np.abs(at(kept, from_ms, to_ms, channel) - at(true, from_ms, to_ms, channel))
            assert np.all(difference <= STEP * np.abs(at(true, from_ms, to_ms, channel)) + 0.001)
        first, last = number.words[2].start_ms, number.words[17].end_ms
        for channel in (AGENT, CUSTOMER):
            assert not at(kept, first - 250, last + 250, channel).any(), "on both lines: one may be heard on the other"
        assert at(kept, 7_000, first - 260, AGENT).any()
        assert not at(kept, 19_000, 45_000).any(), "sound without words is not kept"
        on_disk = path.read_bytes()
        assert os.name == "nt" or (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        canary = at(true, 500, 510)
        codes = encode_mu_law(canary).tobytes()
        assert codes in encode_mu_law(at(true, 0, 2_000)).tobytes(), "the pattern is one that would be found"
        both = Recordings(tmp_path).open(stage.call).samples()[8_000:8_160].tobytes()
        assert both in Recordings(tmp_path).open(stage.call).wav()
        for plain in (codes, both, canary.tobytes(), (canary * 32767).astype("<i2").tobytes(), b"\xff" * 32):
            assert plain not in on_disk

    on_a_call(tmp_path, scene)


def test_words_close_to_a_number_may_be_misheard_digits_and_are_silence(tmp_path):
    number = said(
        "you asked me for it and so my card number is four one one one one one one one one one marmalade jam", 0
    )

    async def scene(stage):
        await hear(stage, 9, {8: [number]})
        await stage.end()
        [line] = stage.service.store.record(stage.call)["transcript"]
        assert line["text"] == "you asked me for it and so my card number is [card number] marmalade jam"
        kept = played(tmp_path, stage.call)
        first = number.words[11].start_ms
        assert not kept[(first - 2_000) * RATE // 1000 :].any() and at(kept, 0, first - 2_010).any()

    on_a_call(tmp_path, scene)


def test_nothing_is_kept_unless_it_is_switched_on(tmp_path):
    async def scene(stage):
        await hear(stage, 35, {2: [talk(0)]})
        await stage.end()
        assert stage.service.store.record(stage.call) and not (tmp_path / "recordings").exists()
        with pytest.raises(Exception, match="No sound was kept"):
            await Library(stage.service.store, (), None, Recordings(tmp_path)).sound(None, stage.call)

    on_a_call(tmp_path, scene, recordings=False)


@pytest.mark.parametrize("policy", ["one-party", "all-party", "strict"])
def test_unknown_consent_is_no_consent_to_a_recording_whatever_the_policy(policy, tmp_path):
    async def scene(stage):
        await hear(stage, 35, {2: [talk(0)]})
        act(stage, "consent", "granted")
        await hear(stage, 3, {37: [talk(35_100)]})
        await stage.end()
        kept = played(tmp_path, stage.call)
        assert not kept[: 35 * RATE].any() and at(kept, 35_100, 37_000).any()

    on_a_call(tmp_path, scene, consent="unknown", consent_policy=policy)


def test_a_refusal_deletes_the_recording_at_once_and_with_its_key(tmp_path):
    async def scene(stage):
        await hear(stage, 35, {2: [talk(0)]})
        await written(stage)
        path = Recordings(tmp_path).path(stage.call)
        before = path.read_bytes()
        act(stage, "consent", "refused")
        await written(stage)
        assert not path.exists()
        await stage.written()
        path.write_bytes(before)
        assert Recordings(tmp_path).open(stage.call) is None, "a copy cannot be opened any more"
        path.unlink()
        await hear(stage, 35, {37: [talk(35_100)]})
        await stage.end()
        assert not path.exists()

    on_a_call(tmp_path, scene)


def test_a_refusal_of_a_call_on_hold_ends_the_hearing_and_what_is_there_goes_when_it_is_released(tmp_path):
    async def scene(stage):
        store, path = stage.service.store, Recordings(tmp_path).path(stage.call)
        await hear(stage, 35, {2: [talk(0)]})
        await stage.written()
        await written(stage)
        before = store.raw_events(stage.call)
        await asyncio.to_thread(store.hold(Hold(stage.call, "legal", "case 7", stamp())).result)
        act(stage, "consent", "refused")
        await stage.written()
        await written(stage)
        await hear(stage, 2, {36: [talk(35_100)]})
        assert stage.ears.silent_ms == 2_000
        await stage.end()
        *kept, (_, what, _) = store.raw_events(stage.call)
        assert kept == before and what == "Action" and store.record(stage.call) is None
        assert at(played(tmp_path, stage.call), 0, 2_000).any()
        assert [(row.entry.what, row.entry.target) for row in store.people.audit()] == [("refused-on-hold", stage.call)]
        assert close_interrupted(store) == [] and store.raw_events(stage.call)[:-1] == before
        assert find_due(store, KeepSettings(), later(0), tmp_path).held == (stage.call,)
        await asyncio.to_thread(store.release(stage.call).result)
        assert (await asyncio.to_thread(purge, store, KeepSettings(), tmp_path, later(0))).records == (stage.call,)
        assert store.raw_events(stage.call) == [] and not path.exists()

    on_a_call(tmp_path, scene)


def test_a_pause_by_hand_is_silence_with_the_two_seconds_before_it(tmp_path):
    async def scene(stage):
        await hear(stage, 6, {2: [talk(0)], 5: [talk(3_000)]})
        act(stage, "pause")
        await hear(stage, 4, {8: [talk(6_500)]})
        act(stage, "resume")
        await hear(stage, 4, {13: [talk(10_500)]})
        await stage.end()
        kept = played(tmp_path, stage.call)
        assert at(kept, 0, 2_500).any() and at(kept, 3_000, 3_900).any() and at(kept, 10_500, 12_000).any()
        assert not kept[4 * RATE : 10 * RATE].any()

    on_a_call(tmp_path, scene)


def test_speech_whose_words_do_not_come_in_time_or_at_all_is_silence(tmp_path):
    async def scene(stage):
        nothing = Utterance("c2", Speaker.CUSTOMER, 3_000, 5_000, ())
        await hear(stage, 40, {2: [talk(0)], 6: [nothing], 39: [talk(7_000)]})
        await stage.end()
        kept = played(tmp_path, stage.call)
        assert at(kept, 0, 2_500).any() and not at(kept, 3_000, 40_000).any()

    on_a_call(tmp_path, scene)


def test_a_call_cut_short_keeps_its_whole_seconds_and_what_was_torn_is_dropped(tmp_path):
    speech = encode_mu_law(heard_sound(1))
    recordings = Recordings(tmp_path)
    file = RecordingFile(recordings.path("k1"), recordings.keys, "k1", SPEAKERS)
    for _ in range(3):
        file.append(speech)
    file.close()
    whole = recordings.path("k1").read_bytes()
    recordings.path("k1").write_bytes(whole[:-100])
    assert np.array_equal(recordings.open("k1").samples(), np.concatenate([speech, speech]))
    again = RecordingFile(recordings.path("k1"), recordings.keys, "k1", SPEAKERS)
    assert again.frames == 2
    again.append(speech)
    again.close()
    mended = recordings.path("k1").read_bytes()
    assert len(mended) == len(whole) and mended != whole, "no nonce is used twice"
    assert np.array_equal(recordings.open("k1").samples(), np.concatenate([speech] * 3))


def test_an_admin_is_told_whether_sound_is_kept_and_for_how_long(tmp_path):
    open_store(f"sqlite:///{tmp_path / 'assist.db'}").close()
    on = tmp_path / "on.toml"
    on.write_text("recordings = true\n[keep]\naudio_days = 33\n")
    run = lambda *line: CliRunner().invoke(app, [*line, "--data", str(tmp_path)]).output  # noqa: E731
    assert "33 days" in run("retention", "show", "--config", str(on))
    off = tmp_path / "off.toml"
    off.write_text("")
    assert "not kept" in run("retention", "show", "--config", str(off))
    for config, says in ((on, "recordings are on: sound kept 33 days"), (off, "recordings are off: sound is not kept")):
        [found] = retention(load_settings(config, data=tmp_path))
        assert says in found.text


def test_seconds_that_are_swapped_moved_to_another_call_or_changed_are_not_played(tmp_path):
    recordings = Recordings(tmp_path)
    for call in ("k1", "k2"):
        file = RecordingFile(recordings.path(call), recordings.keys, call, SPEAKERS)
        for second in np.split(encode_mu_law(heard_sound(2)), 2):
            file.append(second)
        file.close()
    line, _, sealed = recordings.path("k1").read_bytes().partition(b"\n")
    half = len(sealed) // 2
    recordings.path("k1").write_bytes(line + b"\n" + sealed[half:] + sealed[:half])
    assert recordings.open("k1") is None
    changed = bytes([sealed[0] ^ 1]) + sealed[1:]
    recordings.path("k1").write_bytes(line + b"\n" + changed)
    kept = MU_LAW_TO_PCM[recordings.open("k1").samples()]
    assert not kept[:RATE].any() and kept[RATE:].any()
    recordings.path("k2").write_bytes(line + b"\n" + sealed)
    assert recordings.open("k2") is None


def test_a_recording_goes_after_its_days_with_its_call_and_with_its_key(tmp_path):
    async def scene(stage):
        await hear(stage, 4, {2: [talk(0)]})
        await stage.end()
        await asyncio.to_thread(check, stage.service.store, stage.call)

    def check(store, call):
        recordings, keep = Recordings(tmp_path), KeepSettings()
        path = recordings.path(call)
        sealed = path.read_bytes()
        export(store, [call], tmp_path / "all.zip", tmp_path)
        assert f"{call}/sound.wav".encode() in (tmp_path / "all.zip").read_bytes()
        assert find_due(store, keep, later(89), tmp_path).recordings == ()
        assert purge(store, keep, tmp_path, later(91)).recordings == (call,) and not path.exists()
        assert store.record(call)["transcript"], "the words stay longer"
        path.write_bytes(sealed)
        with closing(open_store(f"sqlite:///{tmp_path / 'anew' / 'assist.db'}")) as anew:
            assert find_due(anew, keep, later(89), tmp_path).recordings == (), "the store may come back from a backup"
            assert find_due(anew, keep, later(91), tmp_path).recordings == (call,)
        assert find_due(store, KeepSettings(audio_days=300), later(181), tmp_path).recordings == (call,), (
            "not after the words"
        )
        other = recordings.path("left-over")
        other.write_bytes(sealed)
        assert purge(store, keep, tmp_path, later(1)).recordings == ("left-over",) and not other.exists()
        erase(store, tmp_path, [call])
        assert not path.exists()
        path.write_bytes(sealed)
        assert recordings.open(call) is None, "its key is gone with it"
        assert purge(store, keep, tmp_path, later(1)).recordings == (call,)

    on_a_call(tmp_path, scene)


def test_a_disk_that_refuses_ends_the_recording_and_not_the_call(tmp_path):
    (tmp_path / "recordings").write_text("in the way")

    async def scene(stage):
        await hear(stage, 35, {2: [talk(0)]})
        await stage.end()
        record = stage.service.store.record(stage.call)
        assert len(record["transcript"]) == 1
        assert [trouble["code"] for trouble in record["troubles"]] == ["recording-failed"]

    on_a_call(tmp_path, scene)


def test_reviewers_get_it_in_parts_and_as_a_waveform(tmp_path):
    async def scene(stage):
        await hear(stage, 4, {2: [talk(0)]})
        await stage.end()
        library = Library(stage.service.store, (), None, Recordings(tmp_path), KeepSettings())
        served = create_app(Hub(), None, library, ScreenSettings())
        async with serving(served, port=0) as base, httpx.AsyncClient(base_url=base) as client:
            address = f"/api/records/{stage.call}"
            view = (await client.get(address)).json()["recording"]
            assert view["duration_ms"] == 4_000 and view["kept_until"] > later(88).date().isoformat()
            assert max(view["peaks"]["customer"][:600]) > 0.4 and not any(view["peaks"]["customer"][760:])
            assert not any(view["peaks"]["agent"])
            whole = await client.get(f"{address}/sound")
            part = await client.get(f"{address}/sound", headers={"Range": "bytes=58-1057"})
            assert (whole.status_code, part.status_code, whole.headers["content-type"]) == (200, 206, "audio/wav")
            assert part.content == whole.content[58:1058] and len(whole.content) == 58 + 4 * RATE * 2
            for asked, status in (
                (f"{'9' * 5000}-", 416),
                (f"-{'9' * 5000}", 206),
                (f"{'0' * 5000}-{'9' * 5000}", 206),
            ):
                odd = await client.get(f"{address}/sound", headers={"Range": f"bytes={asked}"})
                assert odd.status_code == status and (status == 416 or odd.content == whole.content)
            Keyring.beside(tmp_path / "assist.db").destroy([stage.call])
            gone = await client.get(f"{address}/sound")
            assert gone.status_code == 404 and gone.json()["code"] == "sound-missing"
            assert (await client.get(address)).json()["recording"] is None

    on_a_call(tmp_path, scene)


def test_a_store_or_keys_that_cannot_be_read_are_told_in_one_line_and_without_the_keys_the_record_opens(
    tmp_path, caplog
):
    async def scene(stage):
        await hear(stage, 4, {2: [talk(0)]})
        await stage.end()
        library = Library(stage.service.store, (), None, Recordings(tmp_path), KeepSettings())
        app = create_app(Hub(), None, library, failures=FAILURES)
        async with serving(app, port=0) as base, httpx.AsyncClient(base_url=base) as client:
            address = f"/api/records/{stage.call}"
            (tmp_path / "keys.db").write_bytes(b"no keys at all, but a text that is long enough to be looked at")
            answer = await client.get(address)
            assert (answer.status_code, answer.json()["recording"]) == (200, None)
            refused = await client.get(f"{address}/sound")
            assert refused.status_code == 503 and "put the newest copy of it back" in refused.json()["text"]
            (tmp_path / "assist.db").rename(tmp_path / "moved.db")
            refused = await client.get("/api/records?words=marmalade")
            told = "the store cannot be read: unable to open database file"
            assert (refused.status_code, refused.json()["text"]) == (503, told)
            (tmp_path / "moved.db").rename(tmp_path / "assist.db")
            assert (await client.get("/api/records?words=marmalade")).status_code == 200
        assert [record.name for record in caplog.records if record.exc_info] == [] and told in caplog.text

    on_a_call(tmp_path, scene)


def test_who_asks_for_the_sound_is_noted_once_for_all_its_parts_and_again_on_another_day(tmp_path, monkeypatch):
    async def scene(stage):
        await hear(stage, 4, {2: [talk(0)]})
        await stage.end()
        people = stage.service.store.people
        library = Library(stage.service.store, (), open_audit(people, tmp_path), Recordings(tmp_path), KeepSettings())
        for day in (24, 25):
            monkeypatch.setattr(library_module, "date", SimpleNamespace(today=lambda day=day: date(2026, 11, day)))
            for _ in range(3):
                await library.sound(Identity("Quinn", "qa"), stage.call)
        noted = [(row.entry.who, row.entry.target) for row in people.audit() if row.entry.what == "sound"]
        assert noted == [("Quinn", stage.call)] * 2

    on_a_call(tmp_path, scene)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")
@pytest.mark.usefixtures("shared_browser")
def test_the_review_page_plays_what_was_kept(tmp_path):
    made = []

    async def call(stage):
        await hear(stage, 10, {4: [talk(2_000)]})
        await stage.end()
        made.append(stage.call)

    on_a_call(tmp_path, call)

    async def scene():
        store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
        library = Library(store, (), None, Recordings(tmp_path))
        async with pages(records=library) as here:
            page = await here.page(f"/review/{made[0]}", width=1440, height=900)
            await page.locator(".w", has_text="waiting").first.click()
            await expect(page.locator(".player .second").first).to_have_text(re.compile("0:04$"))
            assert await page.evaluate("document.querySelector('audio').duration") == 10
            assert here.complaints == []
        store.close()

    play(scene)


def test_any_part_is_the_same_part_of_the_whole_and_the_peaks_are_those_of_all_of_it(tmp_path):
    recordings, chance = Recordings(tmp_path), np.random.default_rng(1)
    file = RecordingFile(recordings.path("k1"), recordings.keys, "k1", SPEAKERS)
    samples = chance.integers(0, 256, (3 * RATE, 2), np.uint8)
    for second in np.split(samples, 3):
        file.append(second)
    file.close()
    sound = recordings.open("k1")
    whole = sound.wav()
    assert len(whole) == sound.size and np.array_equal(sound.samples(), samples)
    edges = [0, 1, 57, 58, 59, 58 + 2 * RATE, 57 + 4 * RATE, len(whole) - 1, len(whole), len(whole) + 9]
    for start, end in [(start, end) for start in edges for end in edges] + chance.integers(0, 96_100, (60, 2)).tolist():
        assert sound.wav(start, end) == whole[start:end], (start, end)
    for duration_ms in (0, 1, 999, 1_000, 1_001, 2_345, 3_000, 9_000):
        length = min(duration_ms * RATE // 1000, len(samples))
        step = max(1, -(-length // 7))
        loud = np.abs(MU_LAW_TO_PCM[samples[:length]].astype(np.float32)) / 32768
        for n, found in enumerate(sound.peaks(duration_ms, 7).values()):
            wanted = [float(loud[at : at + step, n].max()) for at in range(0, length, step)]
            assert found == pytest.approx(wanted, abs=6e-4), duration_ms


@given(st.lists(st.floats(-1, 1, width=32), min_size=1))
def test_mu_law_is_within_half_a_step(samples):
    pcm = np.array(samples, np.float32)
    decoded = MU_LAW_TO_PCM[encode_mu_law(pcm)] / 32767
    assert np.all(np.abs(decoded - pcm) <= STEP * 1.1 * np.abs(pcm) + 0.02 * (np.abs(pcm) > 0.98) + 0.0002)


def test_what_stands_in_brackets_is_masked():
    [word] = said("[laughter]", 0).words
    assert is_masked(word), "a recogniser's own brackets are silenced too"
    assert not any(is_masked(word) for word in said("number 4 card-number (number) []", 0).words)


def test_the_sound_of_a_name_that_no_file_can_have_is_not_there_and_no_error_of_the_server(tmp_path):
    async def scene():
        store = open_store(f"sqlite:///{tmp_path / 'assist.db'}")
        app = create_app(Hub(), lambda who, do: None, Library(store, (), None, Recordings(tmp_path)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            for name in ("a%00b", "a" * 300, "%FF"):
                answer = await client.get(f"/api/records/{name}/sound")
                assert (answer.status_code, answer.json()["code"]) == (404, "sound-missing"), name
        store.close()

    play(scene)
