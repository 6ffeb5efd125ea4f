"""Real telephone talk as calm calls for `assist eval`: conversations of FOLDER, which stay outside.

    python -m tests.telephone_talk FOLDER > talk.jsonl && assist eval talk.jsonl

FOLDER holds a text file for each conversation of two people, a line `A|text` or `B|text` for each thing said (a third
field is left out), as the Switchboard Dialog Act corpus has them (Jurafsky, Shriberg, Biasca 1997): strangers who talk
about films, recycling, crime or children. Nobody of them is served, nothing is wrong between them: whatever is noticed
is false, but for a swear word or thanks. Each conversation comes twice, either speaker once as the customer.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

LONG = 25
"""A turn of so many words has ended; what the speaker says then is the next one."""
WORD_S, PAUSE_S = 0.3, 0.3


def turns_of(path: Path) -> list[tuple[str, str]]:
    """(speaker, text) of one conversation, what somebody says in a row put together."""
    found: list[tuple[str, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        who, _, rest = line.partition("|")
        text = " ".join(re.sub(r"\*.*$", "", rest.split("|")[0]).split())
        if not re.search(r"[A-Za-z]", text):
            continue
        if found and found[-1][0] == who and len(found[-1][1].split()) < LONG:
            found[-1] = who, f"{found[-1][1]} {text}"
        else:
            found.append((who, text))
    return found


def calls(folder: Path) -> Iterator[dict[str, object]]:
    """Calls in the format of `assist eval`."""
    for path in sorted(folder.glob("*.txt")):
        said = turns_of(path)
        for customer in "AB":
            at, turns = 0.0, []
            for who, text in said:
                end = at + WORD_S * len(text.split())
                speaker = "customer" if who == customer else "agent"
                turns.append({"speaker": speaker, "text": text, "start": round(at, 2), "end": round(end, 2)})
                at = end + PAUSE_S
            yield {"call": f"{path.stem}-{customer}", "turns": turns}


if __name__ == "__main__":
    for each in calls(Path(sys.argv[1])):
        print(json.dumps(each))
