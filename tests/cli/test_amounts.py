"""Amounts as people write and read them."""

import pytest

from entrypoints.people.amounts import AmountError, digits_of, parse, text, written
from wallet_core.money import AMOUNT_MAX


def read(words: str, currency: str, *, minor: bool = False, signed: bool = False) -> int:
    return parse(written(tuple(words.split())), currency, minor=minor, signed=signed)


@pytest.mark.parametrize(
    ("words", "currency", "amount"),
    [
        ("12", "EUR", 1200),
        ("12.5", "EUR", 1250),
        ("12.50 EUR", "EUR", 1250),
        ("0.05", "EUR", 5),
        ("007.10", "EUR", 710),
        ("1500", "JPY", 1500),
        ("1500 JPY", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("0.0001", "CLF", 1),
        ("3", "POINTS", 3),
        ("90071992547409.91", "EUR", AMOUNT_MAX),
    ],
)
def test_an_amount_is_read_in_the_currencys_smallest_unit(words: str, currency: str, amount: int) -> None:
    assert read(words, currency) == amount


@pytest.mark.parametrize(
    ("words", "currency", "why"),
    [
        ("1,000", "EUR", "nothing between the thousands"),
        ("12,50", "EUR", "a point before the decimals"),
        ("1 000", "EUR", "nothing between the thousands"),
        ("1_000", "EUR", "nothing between the thousands"),
        ("1'000", "CHF", "nothing between the thousands"),
        ("1.000,00", "EUR", "nothing between the thousands"),
        ("12.500", "EUR", "has 3 decimals, and EUR has 2 decimals"),
        ("1.5", "JPY", "has 1 decimals, and JPY has no decimals"),
        ("1.5", "POINTS", "POINTS has no decimals"),
        ("12 USD", "EUR", "the amount is in USD, and the wallet in EUR"),
        ("12EUR", "EUR", "write it like 1234.56"),
        ("EUR 12", "EUR", "write it like 1234.56"),
        ("€12", "EUR", "write it like 1234.56"),
        (".5", "EUR", "write it like 1234.56"),
        ("5.", "EUR", "write it like 1234.56"),
        ("1e3", "EUR", "write it like 1234.56"),
        ("0x10", "EUR", "write it like 1234.56"),
        ("١٢", "EUR", "write it like 1234.56"),
        ("nan", "EUR", "write it like 1234.56"),
        ("-5", "EUR", "without a sign"),
        ("+5", "EUR", "without a sign"),
        ("0", "EUR", "more than 0"),
        ("0.00", "EUR", "more than 0"),
        ("90071992547409.92", "EUR", "the most is 90071992547409.91 EUR"),
        ("9" * 100_000, "EUR", "is no amount"),
    ],
)
def test_what_could_be_meant_otherwise_is_refused_and_not_guessed(words: str, currency: str, why: str) -> None:
    with pytest.raises(AmountError) as refused:
        read(words, currency)
    assert why in str(refused.value)
    assert len(str(refused.value)) < 200


def test_limits_may_have_a_sign() -> None:
    assert read("-100.5", "EUR", signed=True) == -10050
    assert read("0", "EUR", signed=True) == 0


def test_smallest_units_are_whole() -> None:
    assert read("1250", "EUR", minor=True) == 1250
    with pytest.raises(AmountError, match="the smallest unit has no decimals"):
        read("12.5", "EUR", minor=True)


@pytest.mark.parametrize(("currency", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("IQD", 3), ("CLF", 4),
                                                  ("XAU", 0), ("POINTS", 0), ("BTC", 0)])  # fmt: skip
def test_digits_are_those_of_iso_4217_and_none_where_it_knows_nothing(currency: str, digits: int) -> None:
    assert digits_of(currency) == digits


def test_what_is_printed_can_be_written_again() -> None:
    for currency in ("EUR", "JPY", "KWD", "CLF", "POINTS"):
        for amount in (1, 9, 10, 99, 100, 101, 123_456_789, AMOUNT_MAX):
            assert read(text(amount, currency), currency) == amount
            assert read(text(amount, currency, minor=True), currency, minor=True) == amount


def test_amounts_are_printed_with_all_digits_and_a_sign_where_it_says_something() -> None:
    assert text(5, "EUR") == "0.05 EUR"
    assert text(-5, "EUR") == "-0.05 EUR"
    assert text(1250, "EUR", signed=True) == "+12.50 EUR"
    assert text(0, "EUR", signed=True) == "0.00 EUR"
    assert text(AMOUNT_MAX * 2, "EUR") == "180143985094819.82 EUR"
    assert text(-7, "EUR", minor=True) == "-7"
