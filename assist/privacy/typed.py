"""Card numbers in what people type at a screen: masked before it is kept or shown to others. Pure.

Other numbers stay: whoever types one into a note means it to be read.
"""

from __future__ import annotations

import re

_DIGITS = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,}")
_LENGTHS = {"2": (16,), "3": (14, 15, 16), "4": (13, 16, 19), "5": (16,), "6": (16, 19)}
"""First digit of a card -> how many it may have."""


def without_cards(text: str) -> str:
    """The text with card numbers, in groups or not, masked; what follows one (its expiry, its code) may stay."""
    return _DIGITS.sub(lambda found: _masked(found[0]), text)


def _masked(run: str) -> str:
    places = [place for place, character in enumerate(run) if character.isdigit()]
    digits = "".join(run[place] for place in places)
    for first, place in enumerate(places):
        if place and run[place - 1].isdigit():  # a card begins where a group does
            continue
        for many in _LENGTHS.get(digits[first], ()):
            if len(digits) >= first + many and _checks(digits[first : first + many]):
                after = places[first + many - 1] + 1
                return run[:place] + "[card number]" + without_cards(run[after:])
    return run


def _checks(digits: str) -> bool:
    """Whether its last digit is the one that the others ask for (Luhn)."""
    doubled = (int(digit) * (1 + n % 2) for n, digit in enumerate(reversed(digits)))
    return sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0
