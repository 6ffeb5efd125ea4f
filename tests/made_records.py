"""A site's worth of made-up records, for tests and measurements of what is counted over them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from assist.records.folding import fold
from tests.test_assist_record import CALL

CAUSES = ["missed appointment", "billing or charge", "waited too long", "passed around"]
START = datetime(2026, 6, 1, 9, tzinfo=UTC)


def made_records(many: int, *, agents: int = 40, weeks: int = 24, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Records as JSON objects, spread over weeks, agents and teams of ten; the same every time."""
    draw = random.Random(seed)
    base = fold(CALL).model_dump(mode="json")
    words = "the engineer never came and nobody called me back about the fee that you charged twice".split()
    for n in range(many):
        agent = draw.randrange(agents)
        reached = draw.choices(["calm", "tense", "escalated"], [6, 3, 1])[0]
        at_end = "recovering" if reached == "escalated" and draw.random() < 0.7 else reached
        lines = [
            {
                "id": f"u{i}",
                "speaker": "customer" if i % 2 else "agent",
                "start_ms": i * 4_000,
                "end_ms": i * 4_000 + 3_500,
                "text": (text := " ".join(draw.choices(words, k=14))),
                "words": [
                    (word, i * 4_000 + j * 250, i * 4_000 + j * 250 + 200, 0.91) for j, word in enumerate(text.split())
                ],
            }
            for i in range(40)
        ]
        yield base | {
            "call": f"k{n:06}",
            "agent": f"agent {agent}",
            "team": f"team {agent // 10}",
            "started_at": (START + timedelta(minutes=n * weeks * 10_080 // many)).isoformat(),
            "level_reached": reached,
            "level_at_end": at_end,
            "root_cause": draw.choice(["", *CAUSES]) if reached != "calm" else "",
            "signals": base["signals"] * (0 if reached == "calm" else 6),
            "prompts": base["prompts"] * (0 if reached == "calm" else 4),
            "plan": base["plan"] if reached == "escalated" else [],
            "recovery": base["recovery"] if at_end == "recovering" else [],
            "transcript": lines,
        }
