"""What the last weeks came to, for the review page's plots: counts of calls, never about a person. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from detectors.signals import CALMER
from overlay.records import Trends, Week

DONE = ("used", "acted")
"""How a prompt ended that was of use."""
MOST_CAUSES = 10
MOST_SIGNALS = 12
NOT_SAID = "not said"


@dataclass(frozen=True, slots=True)
class Said:
    """What reviewers have said about one call."""

    root_cause: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Prompt id -> right or wrong."""


def monday(day: date) -> date:
    """The Monday of that day's week."""
    return day - timedelta(days=day.weekday())


def trends(records: Iterable[Mapping[str, Any]], said: Mapping[str, Said], today: date, weeks: int) -> Trends:
    """Count incident records (as JSON objects) week by week.

    Args:
        records: Incident records; those of other weeks are left out.
        said: Call -> what reviewers have said about it.
        today: A day of the last week.
        weeks: How many weeks, 1 and more.
    """
    last = monday(today)
    counts = {last - timedelta(weeks=n): Counter[str]() for n in reversed(range(weeks))}
    causes, signals = Counter[str](), Counter[str]()
    for record in records:
        count = counts.get(monday(date.fromisoformat(record["started_at"][:10])))
        if count is None:
            continue
        heard = said.get(record["call"], Said())
        reached = record["level_reached"]
        count["calls"] += 1
        if reached in ("tense", "escalated"):
            count[reached] += 1
            signals.update({signal["id"] for signal in record["signals"] if signal["speaker"] != "agent"})
        if reached == "escalated":
            count["turned"] += record["level_at_end"] in CALMER
            count["within_60"] += any(run["result"] == "met" for run in record["recovery"])
            causes[heard.root_cause or record["root_cause"] or NOT_SAID] += 1
        for prompt in record["prompts"]:
            count["prompts"] += 1
            count["used"] += prompt["how"] in DONE
            count["wrong"] += heard.prompts.get(prompt["id"], prompt["how"]) == "wrong"
    return Trends(
        weeks=[Week(starts=day.isoformat(), **count) for day, count in counts.items()],
        root_causes=causes.most_common(MOST_CAUSES),
        signals=signals.most_common(MOST_SIGNALS),
    )
