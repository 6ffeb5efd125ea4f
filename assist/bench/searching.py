"""`assist bench search`: how soon a search of the review page is answered with many records kept.

The records are made up (folded from made-up events, so that they have the real shape) in a store of their own; the
searches go through the same library as the review page's.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.progress import track
from rich.table import Table

from assist.bench.figures import at_share
from assist.events import CallEnded, CallStarted, Event, SignalRaised
from assist.records.folding import fold
from assist.records.library import Library
from assist.store.paths import store_path
from assist.store.rows import Review
from assist.store.store import open_store
from audio.events import Speaker, Utterance, Word
from detectors.signals import CUSTOMER_SIGNALS, Evidence, Level, LevelChange, Severity, Signal
from overlay.identity import Identity
from overlay.records import Filters

WHO = Identity("Quinn", "qa")
WORDS = (
    "account address again already always anybody appointment bill broken cancel card change charge customer day "
    "delivery engineer explain fee fault friday help hours invoice late letter line manager minute missed money month "
    "monday never number office order paid parcel person phone price promised refund remember replace said service "
    "somebody sorry speak supervisor technician thanks three tomorrow twice van visit waited week wrong yesterday"
).split()
TEAMS = ("Billing", "Claims", "Delivery", "Service")
CAUSES = ("missed appointment", "late delivery", "wrong bill", "fault", "")
TODAY = date.today()
ROUNDS = 20
"""Times that each search is asked."""
SEARCHES = {
    "newest": Filters(),
    "last 30 days, one team": Filters(days=30, team="Claims"),
    "between two days": Filters(since=TODAY - timedelta(days=60), until=TODAY - timedelta(days=30)),
    "escalated, worst first": Filters(level="escalated", order="worst"),
    "a signal": Filters(signal="legal_threat"),
    "an outcome": Filters(outcome="recovered"),
    "a root cause": Filters(root_cause="missed"),
    "not reviewed": Filters(marks="unreviewed"),
    "contested": Filters(marks="contested"),
    "something marked wrong": Filters(marks="wrong"),
    "two words said one after the other": Filters(words="missed appointment"),
    "a word in every call": Filters(words="the"),
    "everything at once, a further page": Filters(
        words="bill", team="Billing", days=300, signal="swearing", after=f"0 {TODAY - timedelta(days=100)} bench"
    ),
}


@dataclass
class SearchFigures:
    """Answer times in ms by search."""

    records: int
    searches: dict[str, list[float]] = field(default_factory=dict)
    found: dict[str, str] = field(default_factory=dict)

    def table(self) -> Table:
        """For the terminal."""
        table = Table(f"Search of {self.records} records", "Found", "Median", "95 %")
        for name, times in [*self.searches.items(), ("all of them", sum(self.searches.values(), []))]:
            table.add_row(name, self.found.get(name, ""), *(at_share(times, share) for share in (0.5, 0.95)))
        return table


def measure_search(records: int) -> SearchFigures:
    """Fill a store and search it."""
    figures = SearchFigures(records)
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{store_path(Path(folder))}")
        chance = random.Random(1)
        for n in track(range(records), "making records", transient=True):
            record = fold(_events(n, chance)).model_dump(mode="json")
            store.begin(record["call"], record["started_at"], record["agent"])
            receipt = store.finish(record["call"], "ended", record)
            for review in _reviews(chance):
                store.review(record["call"], review)
            if n % 500 == 499:
                receipt.result()
        store.flush().result()
        library = Library(store)

        async def search() -> None:
            for _ in range(ROUNDS):
                for name, filters in SEARCHES.items():
                    began = time.perf_counter()
                    found = await library.search(WHO, filters)
                    figures.searches.setdefault(name, []).append(1000 * (time.perf_counter() - began))
                    figures.found[name] = "not counted" if found.total is None else str(found.total)

        asyncio.run(search())
        store.close()
    return figures


def _events(n: int, chance: random.Random) -> Iterator[Event]:
    began = datetime.now(UTC) - timedelta(minutes=50 * n)
    call, team = f"bench-{n}", TEAMS[n % len(TEAMS)]
    yield CallStarted(0, call, f"Agent {n % 60}", team, "", "", began.isoformat(timespec="seconds"), "bench",
                      ("agent", "customer"), {})  # fmt: skip
    said = []
    for line in range(40):
        spoken = ["the", *chance.choices(WORDS, k=12)]
        words = tuple(Word(text, line * 5000 + 300 * i, line * 5000 + 300 * i + 250) for i, text in enumerate(spoken))
        speaker = Speaker.AGENT if line % 2 else Speaker.CUSTOMER
        said.append(Utterance(f"u{line}", speaker, words[0].start_ms, words[-1].end_ms, words))
        yield said[-1]
    for utterance in chance.sample(said[::2], chance.randrange(6)):
        name = chance.choice(CUSTOMER_SIGNALS)
        quote = " ".join(word.text for word in utterance.words[:4])
        evidence = Evidence(utterance.start_ms, utterance.end_ms, quote, utterance.id, 0, 3)
        signal = Signal(name, f"{name}.bench", "1", utterance.speaker, utterance.end_ms, 0.8, Severity.HELP, evidence)
        yield SignalRaised(utterance.end_ms, signal)
    if chance.random() < 0.3:
        after = Level.RECOVERING if chance.random() < 0.7 else Level.TENSE
        yield LevelChange(60_000, Level.ESCALATED, Level.CALM, 80.0, ())
        yield LevelChange(120_000, after, Level.ESCALATED, 40.0, ())
    yield CallEnded(200_000, "hang-up")


def _reviews(chance: random.Random) -> Iterator[Review]:
    at = "2026-01-01T00:00:00+00:00"
    yield Review(at, "Quinn", "looked")
    if chance.random() < 0.3:
        yield Review(at, "Quinn", "prompt", "p1", chance.choice(("right", "wrong")))
        yield Review(at, "Quinn", "root-cause", "", chance.choice(CAUSES) or "other")
    if chance.random() < 0.02:
        yield Review(at, "Dana", "contest", "", "It came after I had said it.")
