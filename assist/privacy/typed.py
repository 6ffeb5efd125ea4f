"""Card numbers in what people type at a screen: masked before it is kept or shown to others. Pure.

Other numbers stay: whoever types one into a note means it to be read. Of any numbers one in ten passes a card's check:
so only what has an issuer's beginning and length, from where a group begins to where one ends, is taken for one.
"""

from __future__ import annotations

import re
from itertools import product

_GROUPS = re.compile(r"(?<!\d)\d(?:[ \u00a0.-]?\d){13,}")
_CARD = re.compile(r"4\d{15}|4\d{18}|5\d{15}|2[2-7]\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|6\d{15}|6\d{18}")


def without_cards(text: str) -> str:
    """The text with card numbers, in groups or not, masked; what follows one (its expiry, its code) may stay."""
    return _GROUPS.sub(lambda found: _masked(found[0]), text)


def _masked(run: str) -> str:
    groups = list(re.finditer(r"\d+", run))
    for first, last in product(groups, reversed(groups)):
        digits = re.sub(r"\D", "", run[first.start() : last.end()])
        if _CARD.fullmatch(digits) and _checks(digits):
            return run[: first.start()] + "[card number]" + without_cards(run[last.end() :])
    return run


def _checks(digits: str) -> bool:
    """Whether its last digit is the one that the others ask for (Luhn)."""
    doubled = (int(digit) * (1 + n % 2) for n, digit in enumerate(reversed(digits)))
    return sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0
