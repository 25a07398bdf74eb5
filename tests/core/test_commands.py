"""A malformed command cannot be made: it says which field is wrong before anything is decided."""

from collections.abc import Callable
from uuid import UUID

import pytest

from tests.support.builders import A, B
from wallet_core import (
    AMOUNT_MAX,
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    InvalidCommand,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    Post,
    Posting,
    ReleaseHold,
    Reverse,
    WalletStatus,
    credit,
    debit,
    transfer,
)
from wallet_core.checks import EXPIRES_IN_S_MAX, KEY_LENGTH_MAX, POSTINGS_MAX
from wallet_core.model import Metadata

# One way to make each kind of command, given a key.
BY_KEY: list[Callable[[str], Command]] = [
    lambda key: OpenWallet(key, "EUR"),
    lambda key: credit(key, A, 1),
    lambda key: PlaceHold(key, A, 1),
    lambda key: CaptureHold(key, A),
    lambda key: ReleaseHold(key, A),
    lambda key: Reverse(key, A),
    lambda key: ChangeWallet(key, A, floor=0),
    FenceKey,
]
each_kind = pytest.mark.parametrize("make", BY_KEY, ids=lambda make: type(make("k")).__name__)

BY_METADATA: list[Callable[[Metadata], Command]] = [
    lambda metadata: OpenWallet("k", "EUR", metadata=metadata),
    lambda metadata: transfer("k", A, B, 1, metadata=metadata),
    lambda metadata: credit("k", A, 1, metadata=metadata),
    lambda metadata: debit("k", A, 1, metadata=metadata),
    lambda metadata: PlaceHold("k", A, 1, metadata=metadata),
    lambda metadata: Reverse("k", A, metadata=metadata),
    lambda metadata: ChangeWallet("k", A, metadata=metadata),
]

# One way to make each kind of command that carries an amount, and the path of that amount.
BY_AMOUNT: list[tuple[str, Callable[[int], Command]]] = [
    ("postings[0].amount", lambda amount: credit("k", A, amount)),
    ("postings[0].amount", lambda amount: debit("k", A, amount)),
    ("postings[0].amount", lambda amount: transfer("k", A, B, amount)),
    ("postings[1].amount", lambda amount: Post("k", [Posting(None, A, 1), Posting(A, None, amount)])),
    ("amount", lambda amount: PlaceHold("k", A, amount)),
    ("amount", lambda amount: CaptureHold("k", A, amount)),
]

BY_VERSION: list[tuple[str, Callable[[int], Command]]] = [
    (f"expected_versions.{A}", lambda version: credit("k", A, 1, expected_version=version)),
    (f"expected_versions.{B}", lambda version: transfer("k", A, B, 1, expected_versions={B: version})),
    ("expected_version", lambda version: PlaceHold("k", A, 1, expected_version=version)),
    ("expected_version", lambda version: ChangeWallet("k", A, floor=0, expected_version=version)),
]


def refused_field(make: Callable[[], object]) -> str:
    with pytest.raises(InvalidCommand) as caught:
        make()
    assert str(caught.value) == f"{caught.value.field}: {caught.value.message}"
    return caught.value.field


@each_kind
@pytest.mark.parametrize("key", ["!", "~", "k" * KEY_LENGTH_MAX, '"quoted"', "a/b?c=d&e"])
def test_a_key_is_any_visible_ascii(make: Callable[[str], Command], key: str) -> None:
    assert make(key).key == key


@each_kind
@pytest.mark.parametrize(
    "key", ["", "k" * (KEY_LENGTH_MAX + 1), "a b", " k", "k\n", "\t", "\x00", "\x7f", "é", "\u200b", f"expiry {A}"]
)
def test_a_key_is_nothing_but_visible_ascii(make: Callable[[str], Command], key: str) -> None:
    """Keys that the ledger derives for itself hold a space, so nobody else can use them."""
    assert refused_field(lambda: make(key)) == "idempotency_key"


@pytest.mark.parametrize(("field", "make"), BY_AMOUNT)
def test_an_amount_is_1_to_the_largest_exact_integer(field: str, make: Callable[[int], Command]) -> None:
    for amount in (1, AMOUNT_MAX):
        make(amount)
    for amount in (0, -1, AMOUNT_MAX + 1):
        with pytest.raises(InvalidCommand) as caught:
            make(amount)
        assert caught.value.field == field


@pytest.mark.parametrize(("field", "make"), BY_AMOUNT)
@pytest.mark.parametrize("amount", [True, 1.0, "1"])
def test_an_amount_is_an_integer_and_nothing_like_one(
    field: str, make: Callable[[object], Command], amount: object
) -> None:
    assert refused_field(lambda: make(amount)) == field


@pytest.mark.parametrize(("field", "make"), BY_VERSION)
def test_an_expected_version_is_a_positive_integer(field: str, make: Callable[[object], Command]) -> None:
    make(1)
    for version in (0, -1, AMOUNT_MAX + 1, True, 1.0, "1"):
        with pytest.raises(InvalidCommand) as caught:
            make(version)
        assert caught.value.field == field


@pytest.mark.parametrize("make", BY_METADATA)
def test_metadata_is_at_most_16_strings_and_4096_bytes(make: Callable[[object], Command]) -> None:
    good: list[object] = [
        {},
        {"": ""},
        {str(number): "" for number in range(16)},
        {"k": "v" * 4095},
        {"é": "ü" * 2047},
        {'"\\\n': "\U0001f4b6\ue000"},
    ]
    for metadata in good:
        make(metadata)
    bad: list[object] = [
        {str(number): "" for number in range(17)},
        {"k": "v" * 4096},
        {"é": "ü" * 2048},
        {"k": 1},
        {1: "v"},
        {"k": None},
        {"k": "\0"},
        {"\0": "v"},
        {"k": "\ud800"},
        {"\udfff": "v"},
    ]
    for metadata in bad:
        with pytest.raises(InvalidCommand) as caught:
            make(metadata)
        assert caught.value.field == "metadata"


@pytest.mark.parametrize("currency", ["EUR", "USD", "XBT8", "A23", "POINTS", "ABCDEFGHIJKL"])
def test_a_currency_is_3_to_12_capitals_and_digits(currency: str) -> None:
    OpenWallet("k", currency)


@pytest.mark.parametrize("currency", ["", "EU", "eur", "EURo", "1UR", "EU R", "EUR\n", "ABCDEFGHIJKLM", "ÉUR", "EU-R"])
def test_a_currency_is_nothing_else(currency: str) -> None:
    assert refused_field(lambda: OpenWallet("k", currency)) == "currency"


@pytest.mark.parametrize("floor", [0, -1, -AMOUNT_MAX])
def test_a_floor_is_zero_or_an_overdraft(floor: int) -> None:
    OpenWallet("k", "EUR", floor=floor)
    ChangeWallet("k", A, floor=floor)


@pytest.mark.parametrize("floor", [1, -AMOUNT_MAX - 1, -1.0, "0", False])
def test_a_floor_is_nothing_else(floor: int) -> None:
    assert refused_field(lambda: OpenWallet("k", "EUR", floor=floor)) == "floor"
    assert refused_field(lambda: ChangeWallet("k", A, floor=floor)) == "floor"


@pytest.mark.parametrize("ceiling", [None, 0, 1, AMOUNT_MAX])
def test_a_ceiling_is_none_or_not_negative(ceiling: int | None) -> None:
    OpenWallet("k", "EUR", ceiling=ceiling)
    ChangeWallet("k", A, ceiling=NewCeiling(ceiling))


@pytest.mark.parametrize("ceiling", [-1, AMOUNT_MAX + 1, 1.0, "0", True])
def test_a_ceiling_is_nothing_else(ceiling: int) -> None:
    assert refused_field(lambda: OpenWallet("k", "EUR", ceiling=ceiling)) == "ceiling"
    assert refused_field(lambda: ChangeWallet("k", A, ceiling=NewCeiling(ceiling))) == "ceiling"


@pytest.mark.parametrize("seconds", [1, EXPIRES_IN_S_MAX])
def test_a_hold_may_expire_within_a_year(seconds: int) -> None:
    PlaceHold("k", A, 1, expires_in_s=seconds)


@pytest.mark.parametrize("seconds", [0, -1, EXPIRES_IN_S_MAX + 1, 1.5, "1", True])
def test_a_hold_may_expire_at_no_other_time(seconds: int) -> None:
    assert refused_field(lambda: PlaceHold("k", A, 1, expires_in_s=seconds)) == "expires_in"


def test_a_hold_is_for_another_wallet() -> None:
    assert refused_field(lambda: PlaceHold("k", A, 1, destination=A)) == "destination"


def test_there_are_1_to_100_postings() -> None:
    Post("k", [Posting(None, A, 1)] * POSTINGS_MAX)
    assert refused_field(lambda: Post("k", [])) == "postings"
    assert refused_field(lambda: Post("k", [Posting(None, A, 1)] * (POSTINGS_MAX + 1))) == "postings"


@pytest.mark.parametrize("end", [None, A], ids=["no wallet", "one wallet twice"])
def test_a_posting_has_two_different_ends(end: UUID | None) -> None:
    assert refused_field(lambda: Post("k", [Posting(None, A, 1), Posting(end, end, 1)])) == "postings[1]"


def test_only_wallets_that_a_posting_names_have_an_expected_version() -> None:
    assert refused_field(lambda: transfer("k", A, B, 1, expected_versions={UUID(int=5): 1})) == "expected_versions"


def test_a_change_changes_something() -> None:
    assert refused_field(lambda: ChangeWallet("k", A)) == ""
    assert refused_field(lambda: ChangeWallet("k", A, expected_version=1)) == ""
    for status in WalletStatus:
        ChangeWallet("k", A, status)


@each_kind
def test_a_command_is_frozen(make: Callable[[str], Command]) -> None:
    with pytest.raises(AttributeError):
        make("k").key = "other"  # type: ignore[misc] # what is tried here is what the types forbid
