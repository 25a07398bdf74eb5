"""Amounts and currencies. An amount is an integer of the currency's smallest unit (minor units), never a float."""

import re
from typing import NewType

AMOUNT_MAX = 2**53 - 1
"""The largest amount, and the bound of a balance on both sides: the integers that every JSON client represents
exactly (RFC 8259, section 6; RFC 7493, section 2.2)."""

Currency = NewType("Currency", str)
"""A currency or unit code: 3 to 12 of ``A-Z 0-9``, starting with a letter. ISO 4217 codes fit, and so do others."""

CURRENCY_PATTERN = re.compile(r"[A-Z][A-Z0-9]{2,11}")


def is_currency(code: str) -> bool:
    """Whether the text is a well-formed currency code."""
    return CURRENCY_PATTERN.fullmatch(code) is not None
