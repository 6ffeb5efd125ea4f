"""Made-up talk in which numbers and addresses are said that must be masked.

Two sets of different construction. `tuned` follows the forms the redactor was written beside; `held_out` builds its
sentences and its spoken numbers another way (thousands, "treble", corrections, groups echoed by the agent, code words
between digits). Both come from the same hand.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from assist.evaluation.spoken_numbers import (
    card,
    digits,
    doubled,
    groups,
    hyphenated,
    ordinal,
    pairs,
    random_digits,
    thousands,
)
from audio.events import Speaker

SECRET = "~"
"""Marks a word of a case that must not be seen."""

A, C = Speaker.AGENT, Speaker.CUSTOMER


@dataclass(frozen=True, slots=True)
class Case:
    """Some turns of talk; words marked with SECRET must not be seen."""

    kind: str
    form: str
    turns: tuple[tuple[Speaker, str], ...]


def tuned() -> Iterator[Case]:
    """780 cards in 13 forms, 120 security codes, social-security and phone numbers each, 60 addresses and births."""
    rng = random.Random(1)
    before = ["", "sure it's", "my card number is", "okay so", "yeah the number is", "it's a visa"]
    after = ["", "thanks", "is that okay", "did you get that", "expires next year"]
    ask = [(), ((A, "can I take the long card number please"),), ((A, "whenever you are ready"),)]

    def cased(form: str, *turns: str) -> Case:
        b, a = rng.choice(before), rng.choice(after)
        said = [*turns]
        said[0] = f"{b} {said[0]}".strip()
        said[-1] = f"{said[-1]} {a}".strip()
        spoken: list[tuple[Speaker, str]] = [*rng.choice(ask)]
        for n, text in enumerate(said):
            if n:
                spoken.append((A, rng.choice(["uh-huh", "okay", "got that", "yes"])))
            spoken.append((C, text))
        return Case("card", form, tuple(spoken))

    for _ in range(60):
        number = card(rng)
        four = groups(number)
        yield cased("plain digits", _secret(number))
        yield cased("spaced digits", _secret(" ".join(four)))
        yield cased("hyphens", _secret("-".join(four)))
        yield cased("commas", _secret(", ".join(four)))
        yield cased("single digits", _secret(" ".join(number)))
        yield cased("words", _secret(digits(number)))
        yield cased("words with oh", _secret(digits(number, "oh")))
        yield cased("double and triple", _secret(doubled(number)))
        yield cased("pairs", _secret(pairs(number)))
        fillers = [rng.choice(["uh", "um", "then", "and", "dash"]) for _ in four]
        yield cased("fillers", " ".join(f"{_secret(digits(g))} {f}" for g, f in zip(four, fillers, strict=True)))
        yield cased("two segments", *(_secret(digits(part)) for part in (number[:8], number[8:])))
        yield cased("four segments", *(_secret(digits(part)) for part in four))
        expiry = f"{rng.randrange(1, 13):02d}{rng.randrange(26, 32)}"
        yield cased("with its expiry", _secret(f"{digits(number)} {digits(expiry)}"))
    yield from _tuned_kinds(rng)


def _tuned_kinds(rng: random.Random) -> Iterator[Case]:
    for n in range(120):
        code = random_digits(rng, 4 if n % 5 == 0 else 3)
        spoken = _secret([digits(code), digits(code, "oh"), " ".join(code), code][n % 4])
        question = rng.choice(["and the three digits on the back", "what's the security code", "and the CVV please"])
        turns = [
            ((A, question), (C, f"{rng.choice(['', 'it is', 'yeah', 'that would be'])} {spoken}".strip())),
            ((C, f"the security code is {spoken}"),),
            ((A, question), (C, "hang on"), (C, f"{spoken} {rng.choice(['', 'okay', 'I think'])}".strip())),
        ][n % 3]
        yield Case("security code", f"form {n % 3}", turns)
    for n in range(120):
        number = random_digits(rng, 9)
        three = [number[:3], number[3:5], number[5:]]
        spoken = [
            _secret(digits(number)),
            _secret("-".join(three)),
            " dash ".join(_secret(digits(part)) for part in three),
            _secret(number),
        ][n % 4]
        yield Case(
            "social security", f"form {n % 4}", ((C, f"{rng.choice(['my social is', 'it is', ''])} {spoken}".strip()),)
        )
    for n in range(120):
        number = rng.choice("23456789") + random_digits(rng, 9)
        three = [number[:3], number[3:6], number[6:]]
        spoken = [
            _secret(" ".join(digits(part, "oh") for part in three)),
            _secret(f"({three[0]}) {three[1]}-{three[2]}"),
            _secret("-".join(three)),
            _secret(doubled(number)),
        ][n % 4]
        yield Case(
            "telephone",
            f"form {n % 4}",
            ((C, f"{rng.choice(['call me on', 'my number is', ''])} {spoken} please".strip()),),
        )
    names = ["jane", "mark", "li", "omar", "priya", "sam"]
    for n in range(60):
        first, last = rng.choice(names), rng.choice(["smith", "jones", "okafor", "lee", "berg"])
        host, end = rng.choice(["example", "gmail", "outlook", "proton"]), rng.choice(["com", "org", "co uk"])
        if n % 3 == 0:
            yield Case("e-mail", "written", ((C, f"it's {SECRET}{first}.{last}@{host}.com"),))
        else:
            dots = " dot ".join(end.split())
            text = _secret(f"{first} {'dot ' if n % 3 == 1 else 'underscore '}{last} at {host} dot {dots}")
            yield Case("e-mail", "spoken", ((C, f"my email address is {text}"),))
    months = "January February March April May June July August September October November December".split()
    for n in range(60):
        day, month, year = rng.randrange(1, 29), rng.randrange(12), rng.randrange(1940, 2005)
        spoken = [
            f"{months[month]} {ordinal(day)} {pairs(str(year))}",
            f"the {ordinal(day)} of {months[month]} {pairs(str(year))}",
            f"{month + 1}/{day}/{year}",
            f"{digits(str(day))} {digits(str(month + 1))} {pairs(str(year)[2:])}",
        ][n % 4]
        marked = " ".join(w if w in ("the", "of") else SECRET + w for w in spoken.split())
        yield Case("date of birth", f"form {n % 4}", ((A, "and your date of birth"), (C, marked)))


def held_out(seed: int = 2) -> Iterator[Case]:
    """300 cards in 10 forms, 60 codes, bank, social-security and telephone numbers each, 40 addresses, 40 births."""
    rng = random.Random(seed)
    for kind in (
        _held_out_cards,
        _held_out_codes,
        _held_out_banks,
        _held_out_social_security,
        _held_out_telephones,
        _held_out_addresses,
        _held_out_births,
    ):
        yield from kind(rng)


def _held_out_cards(rng: random.Random) -> Iterator[Case]:
    openings = [
        "right so if you want to write this down",
        "I have it in front of me one second",
        "let me get my purse",
        "the one I pay with ends differently but",
        "okay ready when you are here goes",
        "",
    ]
    closings = ["", "that's the whole thing", "and it's in my husband's name", "you should have that on file though"]

    def one(form: str, text: str) -> Case:
        return Case("card", form, ((C, f"{rng.choice(openings)} {text} {rng.choice(closings)}".strip()),))

    for _ in range(30):
        number = card(rng)
        four = groups(number)
        yield one("quantities", _secret(thousands(number)))
        yield one("treble and nought", _secret(doubled(number, three="treble").replace("oh", "nought")))
        yield one("hyphenated tens", _secret(hyphenated(pairs(number))))
        yield one("mixed writing", _secret(f"{four[0]} {digits(four[1])} {' '.join(four[2])} {pairs(four[3])}"))
        yield one("dots", _secret(".".join(four)))
        uneven = [number[:6], number[6:11], number[11:]]
        yield one("uneven groups", " and then ".join(_secret(digits(part)) for part in uneven))
        echoed: list[tuple[Speaker, str]] = [(A, "go ahead with the card whenever you like")]
        for part in four:
            echoed += [
                (C, _secret(digits(part))),
                (A, f"{_secret(digits(part))} {rng.choice(['yes', 'got it', ''])}".strip()),
            ]
        yield Case("card", "echoed by the agent", tuple(echoed))
        wrong = str((int(number[5]) + 1) % 10)
        yield one(
            "corrected",
            f"{_secret(digits(number[:5]))} {_secret(digits(wrong))} no sorry {_secret(digits(number[5:]))}",
        )
        yield Case(
            "card",
            "slow, with talk between",
            (
                (C, f"so it begins with {_secret(digits(number[:4]))}"),
                (A, "yes go on"),
                (C, f"{_secret(digits(number[4:8]))} {_secret(digits(number[8:12]))}"),
                (C, f"and then {_secret(digits(number[12:]))} I believe"),
            ),
        )
        yield one("letters said for oh", _secret(digits(number).replace("zero", "o")))


def _held_out_codes(rng: random.Random) -> Iterator[Case]:
    for n in range(60):
        code = random_digits(rng, 3)
        turns = [
            (
                (A, "could you flip the card over for me and tell me the last three digits"),
                (C, f"erm {_secret(digits(code))}"),
            ),
            (
                (A, "and the CVC"),
                (C, "where do I find that"),
                (A, "on the signature strip"),
                (C, _secret(digits(code, "oh"))),
            ),
            ((C, f"and on the back of the card it says {_secret(' '.join(code))}"),),
        ][n % 3]
        yield Case("security code", f"form {n % 3}", turns)


def _held_out_banks(rng: random.Random) -> Iterator[Case]:
    for n in range(60):
        account, sort = (
            random_digits(rng, 8),
            random_digits(rng, 6),
        )
        pair = " ".join(digits(sort[i : i + 2]) for i in (0, 2, 4))
        turns = [
            (
                (A, "what account number would you like it paid to"),
                (C, f"that is {_secret(digits(account))} at Barclays"),
            ),
            ((C, f"the sort code is {_secret(pair)} and the account {_secret(digits(account))}"),),
            ((C, f"routing number {_secret(digits(account + '1'))}"),),
        ][n % 3]
        yield Case("bank", f"form {n % 3}", turns)


def _held_out_social_security(rng: random.Random) -> Iterator[Case]:
    for n in range(60):
        number = random_digits(rng, 9)
        turns = [
            ((A, "I need the last four of your social"), (C, f"sure {_secret(digits(number[5:]))}")),
            ((C, f"social security {_secret(pairs(number))}"),),
            (
                (
                    C,
                    "so that's "
                    + " and ".join(_secret(digits(part)) for part in (number[:3], number[3:5], number[5:])),
                ),
            ),
        ][n % 3]
        yield Case("social security", f"form {n % 3}", turns)


def _held_out_telephones(rng: random.Random) -> Iterator[Case]:
    for n in range(60):
        number = "07" + random_digits(rng, 9)
        turns = [
            ((C, f"you can reach me on {_secret(doubled(number, three='treble'))} any time after five"),),
            (
                (A, "which number is best"),
                (C, f"{_secret(digits(number[:5], 'oh'))}"),
                (C, f"{_secret(digits(number[5:], 'oh'))}"),
            ),
            ((C, f"plus {_secret(pairs('44' + number[1:]))} mobile"),),
        ][n % 3]
        yield Case("telephone", f"form {n % 3}", turns)


def _held_out_addresses(rng: random.Random) -> Iterator[Case]:
    for n in range(40):
        name, number = rng.choice(["kate", "tom", "ravi", "nina"]), str(rng.randrange(10, 99))
        text = [
            f"{name} {number} at icloud dot com",
            f"{name}.b{number}@mail.example.org",
            f"{name} dot b at example dot co dot uk",
        ][n % 3]
        yield Case("e-mail", f"form {n % 3}", ((C, f"send it to {_secret(text)} would you"),))


def _held_out_births(rng: random.Random) -> Iterator[Case]:
    for n in range(40):
        day, year = rng.randrange(1, 29), rng.randrange(1945, 2004)
        month = rng.choice("January February April July September December".split())
        turns = [
            ((C, f"I was born in {SECRET}{year}"),),
            ((A, "can you confirm your birthday"), (C, f"{SECRET}{month} the {SECRET}{ordinal(day)} {SECRET}{year}")),
        ][n % 2]
        yield Case("date of birth", f"form {n % 2}", turns)


def _secret(text: str) -> str:
    return " ".join(SECRET + word for word in text.split())
