"""Hours of ordinary service talk as calm calls for `assist eval`, put together from public texts that stay outside.

    python -m tests.calm_talk FOLDER dev > calm.jsonl && assist eval calm.jsonl

FOLDER holds airline_tweets.csv and bitext/*.csv.

Customers' lines are tweets to airlines judged neutral or positive (Twitter US Airline Sentiment) and requests to
support (Bitext; CDLA-Sharing-1.0), the agent's are from a list below. Nobody said these lines in one call: they show
how often ordinary sentences are taken for a cue, not how calls go. Left out are requests that are a cue by themselves
(complaints, a person asked for, refunds, closing an account, swearing). A hash halves the lines: `dev` was looked at,
`heldout` was not.
"""

from __future__ import annotations

import csv
import html
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

CUES = frozenset(("complaint", "contact_human_agent", "get_refund", "delete_account"))
"""Bitext intents that are left out."""
SWEARING = "W"
"""Bitext's tag of lines with offensive language: they are a cue too."""
LEAST_SURE = 0.6
"""Annotators' agreement on a tweet being neutral or positive."""
TURNS = 14
"""Customer's lines of a call."""
AGENT = """\
Okay, let me have a look at that for you.|Right, I see.|Could you give me the reference, please?
Thank you, I've got that.|I can help you with that.|One moment please.|Yes, that's what it says here.
And what date was that?|No problem at all.|Let me just check with my colleague.|Which one would you like?
That's all done for you.|You should get an e-mail in a few minutes.|Is that the same address as before?
Alright, I'm just opening your account.|Okay, and is there anything else about it?|Yes, of course.
I'm reading through the notes now.|It says here that it left on Tuesday.|Good question, I'll find out.
Can I put that in for you now?|That would be the second option.|Fine, I've written that down.|Sure.
It takes two to three working days.|I've sent it again just now.|Do you have the number of it?|Mhm, okay."""


def lines(folder: Path, half: str) -> Iterator[str]:
    """The customers' lines of one half, each once."""
    yield from _half(_texts(folder), half)


def requests(folder: Path, half: str) -> Iterator[str]:
    """The requests to support among them."""
    yield from _half(_requests(folder), half)


def _half(texts: Iterator[str], half: str) -> Iterator[str]:
    seen: set[str] = set()
    for text in texts:
        text = _said(text)
        key = re.sub(r"\W+", " ", text.lower()).strip()
        if len(key.split()) < 3 or key in seen:
            continue
        seen.add(key)
        if half == ("dev" if crc32(key.encode()) % 2 else "heldout"):
            yield text


def _texts(folder: Path) -> Iterator[str]:
    with (folder / "airline_tweets.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.DictReader(file):
            sure = float(row["airline_sentiment_confidence"] or 0) >= LEAST_SURE
            if row["airline_sentiment"] in ("neutral", "positive") and sure:
                yield row["text"]
    yield from _requests(folder)


def _requests(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "bitext").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["intent"] not in CUES and SWEARING not in row["tags"]:
                    yield row["utterance"]


def _said(text: str) -> str:
    """A written line as it would be said: without addresses, hash signs, links and pictures."""
    text = re.sub(r"https?://\S+|@\w+", " ", html.unescape(text))
    text = re.sub(r"[^\w\s.,!?'’$%:/-]", " ", text.replace("#", " "), flags=re.ASCII)
    return " ".join(re.sub(r"\d{5,}", "four seven two", text).split())


def calls(folder: Path, half: str) -> Iterator[dict[str, object]]:
    """Calls in the format of `assist eval`, with pauses as in service calls; the same ones every time."""
    draw = random.Random(5)
    said = list(lines(folder, half))
    draw.shuffle(said)
    agent = [line for row in AGENT.splitlines() for line in row.split("|")]
    for number in range(len(said) // TURNS):
        at, pace = 5.0, draw.uniform(2.3, 3.1)
        turns: list[dict[str, object]] = [
            {"speaker": "agent", "text": "Hello, how can I help you today?", "start": 1.0}
        ]
        for text in said[number * TURNS : (number + 1) * TURNS]:
            for speaker, words in (("customer", text), ("agent", draw.choice(agent))):
                end = at + max(len(words.split()) / (pace * draw.uniform(0.9, 1.1)), 0.5)
                turns.append({"speaker": speaker, "text": words, "start": round(at, 2), "end": round(end, 2)})
                at = end + draw.uniform(0.2, 1.2)
            at += draw.choice((0.0, 0.0, 0.0, 4.0, 9.0))  # the agent looks something up
        yield {"call": f"calm-{half}-{number}", "turns": turns}


if __name__ == "__main__":
    for each in calls(Path(sys.argv[1]), sys.argv[2]):
        print(json.dumps(each))
