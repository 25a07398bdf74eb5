"""The canonical bytes: written out literally, and reproduced by a second implementation of the specification."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import second_implementation as second
from tests.support.builders import EUR
from wallet_core import (
    CaptureHold,
    ChangeWallet,
    Command,
    Entry,
    FenceKey,
    Hold,
    HoldStatus,
    Kind,
    Move,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    Post,
    Posting,
    ReleaseHold,
    Reverse,
    Transaction,
    WalletStatus,
    transfer,
)
from wallet_core.canonical import (
    canonical_json,
    canonical_metadata,
    entry_hash,
    fingerprint,
    hash_of,
    result_json,
    time_text,
    transaction_digest,
)

W1 = UUID("018d5f3c-0000-7000-8000-000000000001")
W2 = UUID("018d5f3c-0000-7000-8000-000000000002")
T = UUID("018d5f3c-0000-7000-8000-0000000000aa")

INTENTS: list[tuple[Command, str]] = [
    (
        OpenWallet("k", "EUR"),
        '{"ceiling":null,"currency":"EUR","floor":0,"id":null,"kind":"open","metadata":{}}',
    ),
    (
        OpenWallet("k", "EUR", id=W1, floor=-100, ceiling=9007199254740991, metadata={"b": "2", "a": "1"}),
        (
            '{"ceiling":9007199254740991,"currency":"EUR","floor":-100,"id":"018d5f3c-0000-7000-8000-000000000001",'
            '"kind":"open","metadata":{"a":"1","b":"2"}}'
        ),
    ),
    (
        transfer("k", W1, W2, 500, expected_versions={W1: 3}, metadata={"note": "rent"}),
        (
            '{"kind":"post","metadata":{"note":"rent"},"postings":[{"amount":500,'
            '"destination":"018d5f3c-0000-7000-8000-000000000002","source":"018d5f3c-0000-7000-8000-000000000001"}]}'
        ),
    ),
    (
        Post("k", [Posting(None, W1, 7), Posting(W1, None, 6)]),
        (
            '{"kind":"post","metadata":{},"postings":['
            '{"amount":7,"destination":"018d5f3c-0000-7000-8000-000000000001","source":null},'
            '{"amount":6,"destination":null,"source":"018d5f3c-0000-7000-8000-000000000001"}]}'
        ),
    ),
    (
        PlaceHold("k", W1, 500, expected_version=3),
        (
            '{"amount":500,"destination":null,"expires_in":null,"kind":"hold","metadata":{},'
            '"wallet":"018d5f3c-0000-7000-8000-000000000001"}'
        ),
    ),
    (
        PlaceHold("k", W1, 500, destination=W2, expires_in_s=60),
        (
            '{"amount":500,"destination":"018d5f3c-0000-7000-8000-000000000002","expires_in":60,"kind":"hold",'
            '"metadata":{},"wallet":"018d5f3c-0000-7000-8000-000000000001"}'
        ),
    ),
    (
        CaptureHold("k", T),
        '{"amount":null,"final":true,"hold":"018d5f3c-0000-7000-8000-0000000000aa","kind":"capture"}',
    ),
    (
        CaptureHold("k", T, 5, final=False),
        '{"amount":5,"final":false,"hold":"018d5f3c-0000-7000-8000-0000000000aa","kind":"capture"}',
    ),
    (ReleaseHold("k", T), '{"hold":"018d5f3c-0000-7000-8000-0000000000aa","kind":"release"}'),
    (
        Reverse("k", T, metadata={"why": "mistake"}),
        '{"kind":"reversal","metadata":{"why":"mistake"},"transaction":"018d5f3c-0000-7000-8000-0000000000aa"}',
    ),
    (
        ChangeWallet("k", W1, WalletStatus.FROZEN, expected_version=3),
        '{"kind":"change","status":"frozen","wallet":"018d5f3c-0000-7000-8000-000000000001"}',
    ),
    (
        ChangeWallet("k", W1, WalletStatus.ACTIVE, -5, NewCeiling(None), {"a": "1"}),
        (
            '{"ceiling":null,"floor":-5,"kind":"change","metadata":{"a":"1"},"status":"active",'
            '"wallet":"018d5f3c-0000-7000-8000-000000000001"}'
        ),
    ),
    (
        ChangeWallet("k", W1, ceiling=NewCeiling(5), metadata={}),
        '{"ceiling":5,"kind":"change","metadata":{},"wallet":"018d5f3c-0000-7000-8000-000000000001"}',
    ),
]


@pytest.mark.parametrize(("command", "expected"), INTENTS, ids=[type(command).__name__ for command, _ in INTENTS])
def test_the_intent_of_a_command_is_this_canonical_json(command: Command, expected: str) -> None:
    assert not isinstance(command, FenceKey)
    assert command.intent() == expected
    assert second.intent(command) == expected
    assert second.jcs(json.loads(expected)) == expected


def test_every_kind_of_command_with_an_intent_has_a_vector() -> None:
    assert {type(command) for command, _ in INTENTS} | {FenceKey} == set(Command.__args__)


def test_an_intent_does_not_depend_on_the_key_or_on_the_order_of_metadata() -> None:
    one = transfer("k1", W1, W2, 5, metadata={"a": "1", "b": "2"})
    two = transfer("k2", W1, W2, 5, metadata={"b": "2", "a": "1"})
    assert one.intent() == two.intent()


def test_the_fingerprint_is_the_sha_256_of_the_intent() -> None:
    intent = transfer("invoice-7", W1, W2, 500, metadata={"note": "rent"}).intent()
    assert fingerprint(intent).hex() == "08f173c48ae962f04714575eb9ce4dca32ef1eedaf8fda51a02166e064a83e86"


# -------------------------------------------------------------------- JSON, by RFC 8785


def test_keys_are_sorted_by_utf_16_code_units() -> None:
    """The example of RFC 8785, section 3.2.3: an emoji sorts before U+FB33, though its code point is the larger."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    in_order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(canonical_metadata(dict.fromkeys(names, ""))) == in_order
    assert (
        OpenWallet("k", "EUR", metadata=dict.fromkeys(names, ""))
        .intent()
        .endswith('"metadata":{"\\r":"","1":"","\u0080":"","\u00f6":"","\u20ac":"","\U0001f600":"","\ufb33":""}}')
    )


def test_a_prefix_sorts_before_what_it_begins() -> None:
    assert list(canonical_metadata({"ab": "", "a": "", "": "", "B": ""})) == ["", "B", "a", "ab"]


def test_only_what_must_be_escaped_is_and_shortly_where_that_is_possible() -> None:
    """RFC 8785, section 3.2.2.2."""
    assert canonical_json({"k": '\b\t\n\f\r"\\/\x01\x1f\x7f\u2028é\U0001f4b6'}) == (
        '{"k":"\\b\\t\\n\\f\\r\\"\\\\/\\u0001\\u001f\x7f\u2028é\U0001f4b6"}'
    )


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(st.dictionaries(texts, texts, max_size=16))
def test_any_metadata_has_the_same_bytes_in_the_second_implementation(metadata: dict[str, str]) -> None:
    expected = second.jcs(dict(metadata))
    assert canonical_json({**canonical_metadata(metadata)}) == expected
    command = Reverse("k", T, metadata=metadata)
    assert command.intent() == second.intent(command)
    assert json.loads(command.intent())["metadata"] == metadata


# -------------------------------------------------------------------- times


def test_a_time_has_six_digits_of_a_second_and_is_in_utc() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert time_text(noon) == "2026-01-31T12:00:00.000000Z"
    assert time_text(noon.replace(microsecond=1)) == "2026-01-31T12:00:00.000001Z"
    assert time_text(noon.astimezone(timezone(timedelta(hours=-5)))) == "2026-01-31T12:00:00.000000Z"


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the bound has no zone
def test_any_time_has_the_same_text_in_the_second_implementation(moment: datetime) -> None:
    assert time_text(moment) == second.time(moment)


# -------------------------------------------------------------------- transactions and entries

TRANSFER = Transaction(
    id=T,
    kind=Kind.POST,
    key="invoice-7",
    intent=transfer("invoice-7", W1, W2, 500, metadata={"note": "rent"}).intent(),
    moves=(Move(W1, W2, 500, EUR),),
    entries=(Entry(W1, 3, -500, 0, 1000, 0, bytes(32)), Entry(W2, 1, 500, 0, 500, 0, bytes(32))),
    hold=None,
    reverses=None,
    metadata={"note": "rent"},
    created_at=datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC),
)
TRANSFER_RESULT = (
    '{"entries":[["018d5f3c-0000-7000-8000-000000000001",3],["018d5f3c-0000-7000-8000-000000000002",1]],'
    '"postings":[{"amount":500,"currency":"EUR","destination":"018d5f3c-0000-7000-8000-000000000002",'
    '"source":"018d5f3c-0000-7000-8000-000000000001"}]}'
)
HOLD = Hold(T, W1, W2, 500, 200, HoldStatus.ACTIVE, datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC))
HOLD_RESULT = (
    '{"entries":[["018d5f3c-0000-7000-8000-000000000001",4]],"hold":{"amount":500,"captured":200,'
    '"created_at":"2026-01-31T00:00:00.000000Z","destination":"018d5f3c-0000-7000-8000-000000000002",'
    '"expires_at":"2026-02-01T00:00:00.000000Z","id":"018d5f3c-0000-7000-8000-0000000000aa","status":"active",'
    '"wallet_id":"018d5f3c-0000-7000-8000-000000000001"},"postings":[]}'
)
TRANSFER_DIGEST = "1829654e7a449aa39d3f858e51b840d99f8c70832bd5fae9d3dc796d656d164c"
FIRST_HASH = "776221a610607ac302a868bbbcffd96e29cf2a84f0d749506d3de89024806ff3"
THIRD_HASH = "1eff8fcf14e1d7cc6f8fafd16efd58effeac0091fe70274137997eaff498de60"


def result_of(transaction: Transaction) -> str:
    versions = [(entry.wallet_id, entry.version) for entry in transaction.entries]
    return result_json(transaction.moves, versions, transaction.hold)


def digest_of(transaction: Transaction) -> bytes:
    return transaction_digest(
        transaction.id,
        transaction.key,
        transaction.kind,
        transaction.created_at,
        transaction.intent,
        result_of(transaction),
    )


def test_the_result_of_a_transaction_is_this_canonical_json() -> None:
    assert result_of(TRANSFER) == second.result(TRANSFER) == TRANSFER_RESULT


def test_the_result_of_a_hold_carries_the_hold() -> None:
    placed = attrs.evolve(TRANSFER, moves=(), entries=(Entry(W1, 4, 0, 500, 0, 500, bytes(32)),), hold=HOLD)
    assert result_of(placed) == second.result(placed) == HOLD_RESULT
    for_ever = attrs.evolve(placed, hold=attrs.evolve(HOLD, expires_at=None, destination=None))
    assert result_of(for_ever) == second.result(for_ever)
    assert '"destination":null,"expires_at":null' in result_of(for_ever)


def test_the_digest_of_a_transaction_is_this() -> None:
    assert digest_of(TRANSFER).hex() == second.digest(TRANSFER).hex() == TRANSFER_DIGEST


def test_the_hash_of_an_entry_is_this() -> None:
    digest = bytes.fromhex(TRANSFER_DIGEST)
    third, first = TRANSFER.entries
    assert hash_of(first, bytes(32), digest).hex() == second.entry_hash(bytes(32), first, digest).hex() == FIRST_HASH
    previous = bytes.fromhex("11" * 32)
    assert hash_of(third, previous, digest).hex() == second.entry_hash(previous, third, digest).hex() == THIRD_HASH
    assert entry_hash(previous, W1, 3, -500, 0, 1000, 0, digest).hex() == THIRD_HASH


CHANGED: list[Transaction] = [
    attrs.evolve(TRANSFER, id=W1),
    attrs.evolve(TRANSFER, key="invoice-8"),
    attrs.evolve(TRANSFER, kind=Kind.REVERSAL),
    attrs.evolve(TRANSFER, created_at=TRANSFER.created_at + timedelta(microseconds=1)),
    attrs.evolve(TRANSFER, intent=transfer("k", W1, W2, 500).intent()),
    attrs.evolve(TRANSFER, moves=(Move(W1, W2, 501, EUR),)),
    attrs.evolve(TRANSFER, entries=TRANSFER.entries[:1]),
    attrs.evolve(TRANSFER, hold=HOLD),
]


@pytest.mark.parametrize("changed", CHANGED)
def test_the_digest_changes_with_anything_that_a_transaction_says(changed: Transaction) -> None:
    assert digest_of(changed) == second.digest(changed)
    assert digest_of(changed) != digest_of(TRANSFER)


ENTRY = Entry(W1, 3, -500, 0, 1000, 0, bytes(32))
CHANGED_ENTRIES = [
    attrs.evolve(ENTRY, wallet_id=W2),
    attrs.evolve(ENTRY, version=4),
    attrs.evolve(ENTRY, change=-501),
    attrs.evolve(ENTRY, held_change=1),
    attrs.evolve(ENTRY, balance_after=1001),
    attrs.evolve(ENTRY, held_after=1),
]


@pytest.mark.parametrize("changed", CHANGED_ENTRIES)
def test_the_hash_changes_with_anything_that_an_entry_says(changed: Entry) -> None:
    digest = digest_of(TRANSFER)
    assert hash_of(changed, bytes(32), digest) == second.entry_hash(bytes(32), changed, digest)
    assert hash_of(changed, bytes(32), digest) != hash_of(ENTRY, bytes(32), digest)


def test_the_hash_changes_with_the_hash_before_it_and_with_the_transaction() -> None:
    digest = digest_of(TRANSFER)
    assert hash_of(ENTRY, bytes([1]) * 32, digest) != hash_of(ENTRY, bytes(32), digest)
    assert hash_of(ENTRY, bytes(32), bytes(32)) != hash_of(ENTRY, bytes(32), digest)
