"""What the last weeks came to, for the review page's plots: counts of calls, never about a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from assist.store.rows import Review, last_said, verdicts
from detectors.signals import CALMER
from overlay.records import Trends, Week

DONE = ("used", "acted")
"""How a prompt ended that was of use."""
MOST_CAUSES = 10
MOST_SIGNALS = 12
NOT_SAID = "not said"


def monday(day: date) -> date:
    """The Monday of that day's week."""
    return day - timedelta(days=day.weekday())


def trends(
    records: Iterable[Mapping[str, Any]], said: Mapping[str, Sequence[Review]], today: date, weeks: int
) -> Trends:
    """Count incident records (as JSON objects) week by week.

    Args:
        records: Incident records; those of other weeks are left out.
        said: Call -> what was said about it afterwards.
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
        last, marks = last_said(reviews), verdicts(record["prompts"], reviews)
        reached = record["level_reached"]
        count["calls"] += 1
        if reached in ("tense", "escalated"):
            count[reached] += 1
            signals.update({signal["id"] for signal in record["signals"] if signal["speaker"] != "agent"})
        if reached == "escalated":
            count["turned"] += record["level_at_end"] in CALMER
            count["within_60"] += any(run["result"] == "met" for run in record["recovery"])
            causes[last.get(("root-cause", "")) or record["root_cause"] or NOT_SAID] += 1
        for prompt in record["prompts"]:
            count["prompts"] += 1
            count["used"] += prompt["how"] in DONE
            count["wrong"] += marks.get(("prompt", prompt["id"])) == "wrong"
    return Trends(
        weeks=[Week(starts=day.isoformat(), **count) for day, count in counts.items()],
        root_causes=causes.most_common(MOST_CAUSES),
        signals=signals.most_common(MOST_SIGNALS),
    )
