"""Masks card numbers in what people type at a screen, before it is stored or shown to others. Pure.

Other numbers stay: whoever types one into a note means it to be read. One in ten of all numbers passes the Luhn check,
so a card number must also have an issuer's prefix and length, and begin and end with a group of digits.
"""

from __future__ import annotations

import re

_DIGIT_GROUPS = re.compile(r"(?<!\d)\d(?:[\s.,/\u2010-\u2015-]{0,3}\d){13,}")
_DATE_OR_AMOUNT = re.compile(
    r"(?<!\d)(?:0?[1-9]|[12]\d|3[01])([/.-])(?:0?[1-9]|1[0-2])\1(?:19|20)\d\d(?!\d)|(?<!\d)\d{1,3},\d{3}(?!\d)"
)
_CARD_NUMBER = re.compile(r"4\d{15}|4\d{18}|5\d{15}|2[2-7]\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|6\d{15}|6\d{18}")
MAX_CARD_DIGITS = 19


def mask_card_numbers(text: str) -> str:
    """Replace card numbers, in groups or not, by "[card number]"; what follows one (expiry, code) may stay."""
    return _DIGIT_GROUPS.sub(lambda found: _mask_first(found[0]), text)


def _mask_first(run: str) -> str:
    groups = list(re.finditer(r"\d+", run))
    pairs = ((first, last) for n, first in enumerate(groups) for last in reversed(groups[n : n + MAX_CARD_DIGITS]))
    for first, last in pairs:
        typed = run[first.start() : last.end()]
        digits = re.sub(r"\D", "", typed)
        if _CARD_NUMBER.fullmatch(digits) and _passes_luhn(digits) and not _DATE_OR_AMOUNT.search(typed):
            return run[: first.start()] + "[card number]" + mask_card_numbers(run[last.end() :])
    return run


def _passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (Luhn, ISO/IEC 7812-1)."""
    doubled = (int(digit) * (1 + n % 2) for n, digit in enumerate(reversed(digits)))
    return sum(sum(divmod(value, 10)) for value in doubled) % 10 == 0
