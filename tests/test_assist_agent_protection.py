"""No agent is ever judged by voice: no path by type, no call at run time, no place to keep it."""

import asyncio
import inspect
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from assist.live.loading import hearing_with
from assist.records.record import IncidentRecord
from assist.settings import Settings
from assist.store.schema import METADATA
from audio import voice
from audio.events import Chunk, CustomerAudio, Speaker, VoiceMeasure
from audio.scheduling import Scheduler
from overlay.contract import schema
from tests.scripted_call import Source, open_service

SPEECH = Path(__file__).parent / "data" / "spoken-call.flac"
STATIC = Path(__file__).parent.parent / "overlay" / "static"
AGENT, CUSTOMER, UNKNOWN = Speaker.AGENT, Speaker.CUSTOMER, Speaker.UNKNOWN


class Deaf:
    """A recogniser that hears no words: voice activity and tone do not need them."""

    name, version, embedded = "deaf", "0", False

    def begin(self, *, phrases=()):
        return self

    def extend(self, pcm):
        pass

    def hypothesis(self):
        return ()

    final = hypothesis


def speech():
    """Five seconds of one loud voice, and as much silence."""
    sound, _ = soundfile.read(SPEECH, dtype="float32")
    one = sound[:, 1][np.abs(sound[:, 1]) > 0.002]
    loud = np.tile(one, math.ceil(80_000 / len(one)))[:80_000]
    return (loud * (0.9 / np.abs(loud).max())).astype(np.float32), np.zeros(80_000, np.float32)


class Spy:
    def __init__(self, monkeypatch):
        self.meters, self.pushed, self.measures = 0, [], []
        real = voice.VoiceMeter

        class Meter(real):
            def __init__(meter):
                self.meters += 1
                super().__init__()

            def push(meter, audio, speech=True):
                self.pushed.append(audio)
                found = super().push(audio, speech)
                self.measures += found
                return found

        monkeypatch.setattr("assist.live.loading.VoiceMeter", Meter)


def play(tmp_path, channels, *, queue="", **settings):
    """A call of these channels through the real service, listener and store; its stored events."""

    async def run():
        service, _ = open_service(tmp_path, consent="granted", **settings)
        service.hearing = hearing_with(Scheduler(Deaf(), 1), "")
        source = Source()
        source.speakers = tuple(channels)
        for start in range(0, 80_000, 1_600):
            pcm = {who: sound[start : start + 1_600] for who, sound in channels.items()}
            source._sound.put_nowait(Chunk(start // 16, pcm))
        source.stop()
        call, task = service.start(source, queue=queue, in_step=True)
        await task
        log = service.store.raw_events(call)
        await service.close()
        return log

    return asyncio.run(run())


def test_a_loud_customer_is_measured(tmp_path, monkeypatch):
    spy = Spy(monkeypatch)
    loud, silence = speech()
    play(tmp_path, {AGENT: silence, CUSTOMER: loud})
    assert spy.meters == 1 and spy.measures, "or the tests below would prove nothing"


def test_a_loud_agent_is_not(tmp_path, monkeypatch):
    spy = Spy(monkeypatch)
    loud, silence = speech()
    log = play(tmp_path, {AGENT: loud, CUSTOMER: silence})
    assert all(isinstance(audio, CustomerAudio) and not audio.pcm.any() for audio in spy.pushed)
    assert spy.measures == [] and "raised_voice" not in json.dumps(log)


def test_an_agent_heard_faintly_on_the_customers_channel_is_not(tmp_path, monkeypatch):
    spy = Spy(monkeypatch)
    loud, _ = speech()
    log = play(tmp_path, {AGENT: loud, CUSTOMER: loud * 0.1})  # -20 dB
    assert spy.measures == [] and "raised_voice" not in json.dumps(log)


@pytest.mark.parametrize(
    ("speakers", "queue"),
    [
        ((UNKNOWN,), ""),
        ((AGENT,), ""),
        ((CUSTOMER,), ""),
        ((AGENT, UNKNOWN), ""),
        ((AGENT, CUSTOMER), "IT help desk"),
        ((AGENT, CUSTOMER), "it Help Desk "),
    ],
    ids=["mono", "agent alone", "customer alone", "consult leg", "internal queue", "internal queue, typed otherwise"],
)
def test_nobody_is_measured_where_the_other_voice_may_not_be_a_customers(speakers, queue, tmp_path, monkeypatch):
    spy = Spy(monkeypatch)
    loud, _ = speech()
    log = play(tmp_path, dict.fromkeys(speakers, loud), queue=queue, internal_queues=["IT help desk"])
    assert (spy.meters, spy.pushed) == (0, []) and "raised_voice" not in json.dumps(log)


def test_by_type_only_the_customers_sound_reaches_the_measures():
    parameter = inspect.signature(voice.VoiceMeter.push).parameters["audio"]
    assert parameter.annotation in (CustomerAudio, "CustomerAudio")
    made = [path for path in Path(voice.__file__).parent.glob("*.py") if "CustomerAudio(" in path.read_text()]
    assert [path.name for path in made] == ["events.py"], "it is made in one place, from a clean customer channel"
    assert "speaker" not in {field for field in VoiceMeasure.__dataclass_fields__}


JUDGING = re.compile(
    r"emotion|mood|voice_?print|embedding|leader_?board|ranking"
    r"|agent_?(?:score|sentiment|rating|rank|tone|stress|grade|performance)|(?:tone|stress|anger)_?of_?agent",
    re.IGNORECASE,
)


def names(node):
    """Every property name of a JSON schema."""
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for value in node.values():
            yield from names(value)
    elif isinstance(node, list):
        for value in node:
            yield from names(value)


def test_there_is_no_place_to_keep_or_show_a_judgement_of_an_agent_or_a_voiceprint():
    places = {f"{table.name}.{column.name}" for table in METADATA.tables.values() for column in table.columns}
    for each in (schema(), IncidentRecord.model_json_schema(), Settings.model_json_schema()):
        places |= set(names(each))
    assert len(places) > 150
    assert {place for place in places if JUDGING.search(place)} == set()
    assert JUDGING.search("agent_score") and JUDGING.search("voiceprint")
    shown = {path.name for path in STATIC.glob("*") if JUDGING.search(path.read_text(encoding="utf-8"))}
    assert shown == set(), "no page shows one"
