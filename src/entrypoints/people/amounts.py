"""Amounts as people write and read them. Digits only ever pass through text and integers, never through a float.

Strict, because a misread separator is a hundredfold error: a point parts the decimals, nothing parts the thousands, and
more decimals than the currency has are refused instead of rounded. What is printed can be written again.
"""

import re
from functools import cache
from typing import Final

import attrs

from wallet_core.money import AMOUNT_MAX, is_currency

_NUMBER: Final = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?")
DIGITS_MAX: Final = 40
"""Longer texts are no amounts, and turning endless digits into a number takes long."""


class AmountError(ValueError):
    """The text is no amount. The message is one line, for whoever wrote it."""


@attrs.frozen
class Written:
    """An amount as it was written, before it is known what it is an amount of. ``currency`` if it was named."""

    number: str
    currency: str | None


@cache
def digits_of(currency: str) -> int:
    """How many decimals a currency has (ISO 4217). What ISO does not know is counted in whole units."""
    # Imported when it is wanted: reading the table takes a while, and completion need not wait for it.
    from iso4217 import Currency

    try:
        return Currency(currency).exponent or 0
    except ValueError:
        return 0


def written(words: tuple[str, ...]) -> Written:
    """The amount in these words: ``12.50``, ``12.50 EUR``. Raises ``AmountError``."""
    parts = " ".join(words).split()
    if len(parts) > 1 and is_currency(parts[-1]):
        *parts, currency = parts
        return Written(" ".join(parts), currency)
    return Written(" ".join(parts), None)


def parse(amount: Written, currency: str, *, minor: bool = False, signed: bool = False) -> int:
    """An amount of this currency in its smallest unit. Raises ``AmountError``.

    ``minor``: it was written in the smallest unit. ``signed``: it may be 0, or less.
    """
    if amount.currency is not None and amount.currency != currency:
        raise AmountError(f"the amount is in {amount.currency}, and the wallet in {currency}")
    digits = 0 if minor else digits_of(currency)
    found = _NUMBER.fullmatch(amount.number)
    if found is None or len(amount.number) > DIGITS_MAX:
        raise AmountError(f"{_shown(amount.number)} is no amount: {_advice(amount.number, digits)}")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    if sign and not signed:
        raise AmountError(f"write {amount.number} without a sign: the command says which way it goes")
    if len(fraction) > digits:
        unit = "the smallest unit" if minor else currency
        has = f"has {digits} decimals" if digits else "has no decimals"
        raise AmountError(f"{amount.number} has {len(fraction)} decimals, and {unit} {has}")
    value = int(whole + fraction.ljust(digits, "0"))
    if value == 0 and not signed:
        raise AmountError("the amount has to be more than 0")
    if value > AMOUNT_MAX:
        raise AmountError(f"{amount.number} is too much: the most is {text(AMOUNT_MAX, currency, minor=minor)}")
    return -value if sign == "-" else value


def text(amount: int, currency: str, *, minor: bool = False, signed: bool = False) -> str:
    """An amount as people read it, with its currency; in the smallest unit and without one if ``minor``.

    ``signed`` puts a plus before a gain.
    """
    sign = "-" if amount < 0 else "+" if signed and amount > 0 else ""
    if minor:
        return f"{sign}{abs(amount)}"
    digits = digits_of(currency)
    number = str(abs(amount)).rjust(digits + 1, "0")
    point = len(number) - digits
    return f"{sign}{number[:point]}{'.' if digits else ''}{number[point:]} {currency}"


def _advice(number: str, digits: int) -> str:
    example = "1234" + ("." + "56".ljust(digits, "0")[:digits] if digits else "")
    if "," in number or " " in number or "'" in number or "_" in number:
        return f"write it like {example}, with a point before the decimals, and nothing between the thousands"
    return f"write it like {example}"


def _shown(number: str) -> str:
    return ascii(number if len(number) <= DIGITS_MAX else number[:DIGITS_MAX] + "...")
