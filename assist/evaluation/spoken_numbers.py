"""Numbers as people say and recognisers write them: generates them in many spoken forms, and finds digits in words."""

from __future__ import annotations

import random

_UNITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def random_digits(rng: random.Random, length: int) -> str:
    """`length` random digits."""
    return "".join(str(rng.randrange(10)) for _ in range(length))


def luhn(rng: random.Random, prefix: str, length: int) -> str:
    """A number of `length` digits with a check digit by the Luhn algorithm (ISO/IEC 7812-1)."""
    body = prefix + random_digits(rng, length - len(prefix) - 1)
    total = 0
    for i, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if i % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def card(rng: random.Random) -> str:
    """A card number of one of the common lengths."""
    prefix, length = rng.choice([("4", 16), ("4", 16), ("51", 16), ("55", 16), ("37", 15), ("6011", 16)])
    return luhn(rng, prefix, length)


def digits(number: str, zero: str = "zero") -> str:
    """A number spoken digit by digit."""
    return " ".join(zero if d == "0" else _UNITS[int(d)] for d in number)


def doubled(number: str, *, three: str = "triple") -> str:
    """With "double five" and "triple one" where digits repeat."""
    out, i = [], 0
    while i < len(number):
        run = len(number[i:]) - len(number[i:].lstrip(number[i]))
        run = min(run, 3)
        name = _UNITS[int(number[i])] if number[i] != "0" else "oh"
        out += [{1: "", 2: "double", 3: three}[run], name] if run > 1 else [name]
        i += run
    return " ".join(out)


def pairs(number: str) -> str:
    """Two digits at a time: "forty one eleven"."""
    out = []
    for i in range(0, len(number) - 1, 2):
        tens, unit = int(number[i]), int(number[i + 1])
        if tens == 0:
            out += ["oh", _UNITS[unit]]
        elif tens == 1:
            out.append(_TEENS[unit])
        else:
            out += [_TENS[tens - 2], *([_UNITS[unit]] if unit else [])]
    return " ".join(out) + (f" {_UNITS[int(number[-1])]}" if len(number) % 2 else "")


def thousands(number: str) -> str:
    """Four digits at a time as quantities: "four thousand one hundred eleven"."""
    out = []
    for i in range(0, len(number), 4):
        group = number[i : i + 4]
        if len(group) < 4 or group[0] == "0":
            out.append(digits(group))
            continue
        out += [_UNITS[int(group[0])], "thousand"]
        if group[1] != "0":
            out += [_UNITS[int(group[1])], "hundred"]
        rest = int(group[2:])
        if rest:
            out.append(pairs(group[2:]) if rest >= 10 else _UNITS[rest])
    return " ".join(out)


def groups(number: str) -> list[str]:
    """The number in groups of four."""
    return [number[i : i + 4] for i in range(0, len(number), 4)]


def ordinal(day: int) -> str:
    """A day of the month: "twenty-first"."""
    names = (
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
        " fifteenth sixteenth seventeenth eighteenth nineteenth"
    ).split()
    if day <= 19:
        return names[day - 1]
    return "twentieth" if day == 20 else f"twenty-{names[day - 21]}"


def hyphenated(spoken: str) -> str:
    """Spoken pairs as some recognisers write them: "forty-one eleven"."""
    out: list[str] = []
    for word in spoken.split():
        if out and out[-1] in _TENS and word in _UNITS[1:]:
            out[-1] += f"-{word}"
        else:
            out.append(word)
    return " ".join(out)


_DIGIT_WORDS = frozenset([*_UNITS, *_TEENS, *_TENS, "oh", "nought", "hundred", "thousand"])


def has_digits(word: str) -> bool:
    """Whether a word says digits, spoken or written."""
    return digits_in(word) > 0


def digits_in(word: str) -> int:
    """How many digits a word says: each written one, two of a teen, one of any other number word in it."""
    plain = word.strip(".,").casefold()
    written = sum(c.isdigit() for c in plain)
    parts = plain.split("-")
    if written or not all(part in _DIGIT_WORDS for part in parts):
        return written
    return sum(2 if part in _TEENS else 1 for part in parts)
