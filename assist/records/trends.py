"""Weekly counts of calls for the review page's plots, never about a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from assist.store.rows import Review, latest_texts, verdicts
from detectors.signals import CALMER
from overlay.records import Trends, Week

USEFUL_ENDINGS = ("used", "acted")
"""Endings (`how`) of prompts that were of use."""
MAX_CAUSES = 10
MAX_SIGNALS = 12
UNKNOWN_CAUSE = "not said"


def monday(day: date) -> date:
    """The Monday of that day's week."""
    return day - timedelta(days=day.weekday())


def trends(
    records: Iterable[Mapping[str, Any]], said: Mapping[str, Sequence[Review]], today: date, weeks: int
) -> Trends:
    """Count incident records (as JSON objects) week by week.

    Args:
        records: Incident records; those of other weeks are left out.
        said: Call -> its reviews.
        today: A day of the last week.
        weeks: How many weeks, 1 and more.
    """
    newest = monday(today)
    counts = {newest - timedelta(weeks=n): Counter[str]() for n in reversed(range(weeks))}
    causes, signals = Counter[str](), Counter[str]()
    for record in records:
        count = counts.get(monday(date.fromisoformat(record["started_at"][:10])))
        if count is None:
            continue
        reviews = said.get(record["call"], ())
        last, marks = latest_texts(reviews), verdicts(record["prompts"], reviews)
        reached = record["level_reached"]
        count["calls"] += 1
        if reached in ("tense", "escalated"):
            count[reached] += 1
            signals.update({signal["id"] for signal in record["signals"] if signal["speaker"] != "agent"})
        if reached == "escalated":
            count["turned"] += record["level_at_end"] in CALMER
            count["within_60"] += any(run["result"] == "met" for run in record["recovery"])
            causes[last.get(("root-cause", "")) or record["root_cause"] or UNKNOWN_CAUSE] += 1
        for prompt in record["prompts"]:
            count["prompts"] += 1
            count["used"] += prompt["how"] in USEFUL_ENDINGS
            count["wrong"] += marks.get(("prompt", prompt["id"])) == "wrong"
    return Trends(
        weeks=[Week(starts=day.isoformat(), **count) for day, count in counts.items()],
        root_causes=causes.most_common(MAX_CAUSES),
        signals=signals.most_common(MAX_SIGNALS),
    )
