"""The redactor on generated numbers and on ordinary talk, with the figures it must reach."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from assist.evaluation import masking
from assist.evaluation.masking import measure_false_masking, measure_masking
from assist.evaluation.masking_cases import SECRET, Case, held_out, tuned
from assist.live.page_actions import PageActions
from assist.privacy.consent import Consent
from assist.privacy.redaction import Redactor
from assist.privacy.typed_text import mask_card_numbers
from audio.events import Speaker, Utterance
from overlay.app import create_app
from overlay.doing import DoNote
from overlay.http_server import serving
from overlay.identity import Identity, ScreenSettings
from tests.scripted_call import hits, on_stage, said, saying

CALLS = Path(__file__).parent / "data" / "calls"
LEAST = {"card": 0.999, "security code": 0.999, "social security": 0.99, "telephone": 0.99}


@pytest.mark.parametrize("cases", [tuned, held_out], ids=["tuned", "held out"])
def test_numbers_are_masked_whole_and_no_partial_shows_three_digits_of_one(cases):
    for found in measure_masking(cases()):
        assert found.whole >= LEAST.get(found.kind, 0.99) * found.cases, found
        assert found.partial_leaks == 0, found


class ShowsTheNewest(Redactor):
    """Lets the two newest words through while they are provisional."""

    def redact_hypothesis(self, heard):
        super().redact_hypothesis(heard)
        return replace(heard, agreed=(), tentative=heard.tentative)


def test_the_measure_counts_digits_in_sight_and_not_the_words_that_bear_them(monkeypatch):
    """Two groups of a card are eight digits, a code of four is one word: a redactor that shows them is found out."""
    monkeypatch.setattr(masking, "Redactor", ShowsTheNewest)
    for number, leaks in (("4929 1827", 3), ("4539", 2), ("078-05-1120", 2), ("seventeen eleven", 1), ("41 7", 1)):
        words = " ".join(f"{SECRET}{word}" for word in number.split())
        [found] = measure_masking([Case("card", "as written", ((Speaker.CUSTOMER, f"it is {words} thanks"),))])
        assert found.partial_leaks == leaks, number
    [mail] = measure_masking(
        [Case("e-mail", "as said", ((Speaker.CUSTOMER, f"it is {SECRET}jane {SECRET}at thanks"),))]
    )
    assert mail.partial_leaks == 0, "two of its words"


def test_another_draw_of_the_same_forms_is_masked_as_well():
    for found in measure_masking(held_out(seed=78)):
        assert found.whole == found.cases, found


def calm_talk():
    for path in sorted(CALLS.glob("*/*.json")):
        call = json.loads(path.read_text())
        yield [(Speaker(turn["speaker"]), turn["text"]) for turn in call["turns"]]


def test_at_most_one_word_in_two_hundred_of_ordinary_talk_is_masked_for_nothing():
    private = ("third of may", "grant at", "eight eight one", "four seven one")  # what is rightly masked in these calls
    talk = [[turn for turn in call if not any(each in turn[1].casefold() for each in private)] for call in calm_talk()]
    found = measure_false_masking(talk)
    assert found.words > 2_500 and found.masked <= 0.005 * found.words, found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my name is Rosalind Okafor and I called before", "my name is [name] and I called before"),
        ("hello this is Mark", "hello this is [name]"),
        ("the surname is O'Hara", "the surname is [name]"),
        ("this is ridiculous", "this is ridiculous"),
        ("my name is not on the letter", "my name is not on the letter"),
    ],
)
def test_names_after_a_cue_are_masked_where_that_is_set(text, expected):
    spoken = said(text, 0)
    assert Redactor(names=True).redact_utterance(spoken).text == expected
    assert Redactor().redact_utterance(spoken).text == text


def test_the_agent_who_reads_a_number_back_is_masked_too():
    redactor = Redactor()
    redactor.redact_utterance(
        said("it is four one one one two two two two three three three three four four four four", 0)
    )
    back = redactor.redact_utterance(
        said("so that was three three three three and four four in the end", 8_000, Speaker.AGENT)
    )
    assert back.text.startswith("so that was [") and "three" not in back.text


def test_the_agent_who_reads_every_pair_back_with_a_word_beside_it_is_masked_from_the_second_one_on():
    redactor, kept = Redactor(), []
    for n, pair in enumerate(["four five", "three nine", "one four", "eight eight", "zero three"]):
        redactor.redact_utterance(said(pair, n * 4_000))
        kept.append(redactor.redact_utterance(said(f"{pair}, got it", n * 4_000 + 2_000, Speaker.AGENT)).text)
    assert kept == ["four five, got it", *["[number] got it"] * 4]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("4111111111111111", "[card number]"),
        ("order 12 4111 1111 1111 1111 12 27 end", "order 12 [card number] 12 27 end"),
        ("amex 3782 822463 10005 and 5555-5555-5555-4444", "amex [card number] and [card number]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("20261128-231814-4111aa00: 0049 151 2345 6789", "20261128-231814-4111aa00: 0049 151 2345 6789"),
        ("2026-11-28 14-00 to 15-00, 34 EUR", "2026-11-28 14-00 to 15-00, 34 EUR"),
        ("4000\u00a00000\u00a00000\u00a00002 or 5555.5555.5555.4444", "[card number] or [card number]"),
        ("4000000000003000003 12/27", "[card number] 12/27"),
        ("4539  1488  0343  6467", "[card number]"),
        ("4539, 1488, 0343, 6467 and 4539/1488/0343/6467", "[card number] and [card number]"),
        ("4539 \u2013 1488\u20130343\t6467", "[card number]"),
        ("4539\n1488\r\n0343\n6467\n12/27", "[card number]\n12/27"),
        ("4539    1488 0343 6467", "4539    1488 0343 6467"),
        ("away 23/12/2026 - 09/01/2027", "away 23/12/2026 - 09/01/2027"),
        ("4,500, 4,600, 4,700, 4,802", "4,500, 4,600, 4,700, 4,802"),
        ("IMEI 353456789012348", "IMEI 353456789012348"),
        ("2026-11-28 2026-11-20", "2026-11-28 2026-11-20"),
        ("order 411111111111111123, EAN 4222222222008", "order 411111111111111123, EAN 4222222222008"),
    ],
)  # fmt: skip
def test_of_what_is_typed_only_card_numbers_are_masked(text, kept):
    assert mask_card_numbers(text) == kept


def test_a_long_note_of_single_digits_is_read_at_once():
    began = time.thread_time()
    mask_card_numbers("4 " * 1_000)
    assert time.thread_time() - began < 1


def test_what_is_typed_while_the_call_goes_on_holds_no_card_number_either(tmp_path):
    async def scene():
        stage = await on_stage(tmp_path, start={"consent": Consent.GRANTED})
        note = DoNote.model_validate({"do": "note", "call": stage.call, "text": "pays with 4111 1111 1111 1111"})
        await PageActions(stage.service).do(Identity("Dana", "agent"), note)
        await stage.end()
        assert stage.service.store.record(stage.call)["notes"][0]["text"] == "pays with [card number]"
        assert not hits(tmp_path, "4111 1111")
        await stage.close()

    asyncio.run(scene())


def test_no_digit_of_a_card_reaches_a_page_while_it_is_being_said(tmp_path):
    """At the websocket, as a page gets it: every provisional text while a card number grows word by word."""
    import httpx
    import websockets

    spoken = "yes it is four one one one double two three four five six seven eight nine oh one two thanks"
    words = spoken.split()

    async def scene():
        stage = await on_stage(tmp_path, consent="granted", auto_pause=False)
        sent = []
        app = create_app(stage.service.hub, lambda who, do: asyncio.sleep(0), None, ScreenSettings())
        async with serving(app, port=0) as base, httpx.AsyncClient(base_url=base) as client:
            answer = await client.post("/api/ticket", json={"page": "agent", "who": "Dana"}, headers={"Origin": base})
            url = base.replace("http", "ws") + "/live"
            async with websockets.connect(url, origin=base) as page:
                await page.send(json.dumps({"ticket": answer.json()["ticket"]}))

                async def read():
                    async for text in page:
                        sent.append(text)
                        if "thanks" in text:
                            return

                reading = asyncio.create_task(read())
                for n in range(1, len(words) + 1):
                    await stage.hear(saying(" ".join(words[:n]), 0), ms=100)
                    await asyncio.sleep(0)
                whole = said(spoken, 0)
                await stage.hear(Utterance(whole.id, whole.speaker, 0, whole.end_ms, whole.words), ms=100)
                async with asyncio.timeout(10):
                    await reading
        await stage.end()
        await stage.close()
        return "".join(sent)

    wire = asyncio.run(scene())
    assert "[card number] thanks" in wire and '"settled":"yes it is' in wire
    for word in "one double two three four five six seven eight nine oh".split():
        assert f" {word} " not in wire.replace('"', " "), word
