"""What lists and counts need of an incident record: a small part of it, in the record's own shape. Pure.

Ten thousand records are a quarter of a gigabyte of JSON, their digests ten megabytes: lists, trends and reports read
these. Kept beside the record and made again from it whenever it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WHOLE = (
    "call",
    "started_at",
    "duration_ms",
    "agent",
    "team",
    "caller",
    "ended",
    "level_reached",
    "level_at_end",
    "outcome",
    "root_cause",
    "contested",
)
PARTS = {
    "recovery": ("result", "took_ms"),
    "prompts": ("id", "play", "step", "title", "how"),
    "plan": ("id", "title", "cost", "offered_ms", "answer", "calmed_after_ms"),
    "steps": ("step",),
    "follow_ups": ("id", "what", "due", "day", "at", "owner", "done"),
}


def digest_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The digest of a record as JSON values; of each signal id and speaker one entry, with how often it was heard."""
    digest = {key: record[key] for key in WHOLE if key in record}
    for key, fields in PARTS.items():
        digest[key] = [{name: part[name] for name in fields if name in part} for part in record.get(key, ())]
    heard: dict[tuple[str, str], int] = {}
    for signal in record["signals"]:
        place = signal["id"], signal.get("speaker", "")
        heard[place] = heard.get(place, 0) + 1
    digest["signals"] = [{"id": name, "speaker": who, "times": times} for (name, who), times in heard.items()]
    return digest
