"""A receipt is believed if this service put it there, under this key and in this history; nothing else is."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from adapters.redis import receipts
from adapters.redis.receipts import FORMAT, RECEIPT_BYTES_MAX, SEAL_BYTES, sealed, store_key, unsealed
from tests.cache.decisions import every_kind
from tests.support.ids import id_number
from wallet_core.model import Rejection, Transaction
from wallet_core.ports import History

TENANT, OTHER_TENANT = id_number(1), id_number(2)
HISTORY = History("h1", b"s" * 32)
DECISION = every_kind()[3]
PLACE = store_key(HISTORY, TENANT, DECISION.key)


def kept(decision: Transaction | Rejection = DECISION) -> bytes:
    value = sealed(decision, store_key(HISTORY, TENANT, decision.key), HISTORY)
    assert value is not None
    return value


def with_right_seal(body: bytes) -> bytes:
    return FORMAT + receipts._seal(body, PLACE, HISTORY) + body


@pytest.mark.parametrize("decision", every_kind(), ids=lambda decision: decision.key)
def test_a_decision_comes_back_as_it_was(decision: Transaction | Rejection) -> None:
    place = store_key(HISTORY, TENANT, decision.key)
    back = unsealed(kept(decision), place, decision.key, HISTORY)
    assert back == decision
    assert repr(back) == repr(decision)


def test_the_key_of_the_store_ends_with_tenant_and_key() -> None:
    assert b"wallet:h1:%s:credit" % str(TENANT).encode() == PLACE


def test_a_change_of_any_byte_is_noticed() -> None:
    value = kept()
    for place in range(len(value)):
        for bit in (1, 0x80):
            changed = bytearray(value)
            changed[place] ^= bit
            assert unsealed(bytes(changed), PLACE, DECISION.key, HISTORY) is None


def test_a_receipt_cut_short_or_made_longer_is_none() -> None:
    value = kept()
    assert [unsealed(value[:length], PLACE, DECISION.key, HISTORY) for length in range(len(value))] == [None] * len(
        value
    )
    assert unsealed(value + b" ", PLACE, DECISION.key, HISTORY) is None


@pytest.mark.parametrize(
    ("tenant", "key", "history"),
    [
        (OTHER_TENANT, DECISION.key, HISTORY),
        (TENANT, "post", HISTORY),
        (TENANT, DECISION.key, attrs.evolve(HISTORY, name="h2")),
        (TENANT, DECISION.key, attrs.evolve(HISTORY, secret=b"t" * 32)),
    ],
)
def test_a_receipt_is_none_anywhere_else(tenant: Any, key: str, history: History) -> None:
    assert unsealed(kept(), store_key(history, tenant, key), key, history) is None


def test_what_passes_from_the_key_to_the_value_is_noticed() -> None:
    """One seal covers where a receipt is kept and what it says, and tells where the one ends."""
    body = kept()[len(FORMAT) + SEAL_BYTES :]
    seal = receipts._seal(body[1:], PLACE + body[:1], HISTORY)
    assert unsealed(FORMAT + seal + body, PLACE, DECISION.key, HISTORY) is None


@pytest.mark.parametrize(
    "value", [None, 17, "text", [kept()], b"", FORMAT, bytearray(kept()), kept().decode("latin-1")]
)
def test_what_is_not_even_bytes_is_none(value: object) -> None:
    assert unsealed(value, PLACE, DECISION.key, HISTORY) is None


def bodies() -> Iterator[bytes]:
    """What a release with an error could have put there under the right seal."""
    body: dict[str, Any] = json.loads(kept()[len(FORMAT) + SEAL_BYTES :])
    yield from (b"", b"{", b"null", b"17", b"[]", b"{}", b'"x"', b"\xff", b"[" * 5000)
    yield from (json.dumps({name: value for name, value in body.items() if name != left}).encode() for left in body)
    yield from (json.dumps({**body, name: []}).encode() for name in body if name != "entries")
    changed: list[Callable[[], dict[str, Any]]] = [
        lambda: {**body, "idempotency_key": "other"},
        lambda: {**body, "outcome": "fenced"},
        lambda: {**body, "kind": "gift"},
        lambda: {**body, "created_at": "noon"},
        lambda: {**body, "created_at": "2024-01-31"},
        lambda: {**body, "entries": []},
        lambda: {**body, "entries": [body["entries"][0][:-1]]},
        lambda: {**body, "entries": [[*body["entries"][0][:1], True, *body["entries"][0][2:]]]},
        lambda: {**body, "entries": [[*body["entries"][0][:2], "5", *body["entries"][0][3:]]]},
    ]
    yield from (json.dumps(change()).encode() for change in changed)


@pytest.mark.parametrize("body", list(bodies()), ids=lambda body: body[:20].decode("latin-1"))
def test_nonsense_under_the_right_seal_is_none(body: bytes) -> None:
    assert unsealed(with_right_seal(body), PLACE, DECISION.key, HISTORY) is None


def test_what_is_too_large_is_neither_kept_nor_read() -> None:
    assert isinstance(DECISION, Transaction)
    room = RECEIPT_BYTES_MAX - len(kept(attrs.evolve(DECISION, intent="")))
    largest = attrs.evolve(DECISION, intent="x" * room)
    value = sealed(largest, PLACE, HISTORY)
    assert value is not None
    assert len(value) == RECEIPT_BYTES_MAX
    assert sealed(attrs.evolve(DECISION, intent="x" * (room + 1)), PLACE, HISTORY) is None
    padded = with_right_seal(kept()[len(FORMAT) + SEAL_BYTES :].rstrip(b"}") + b" " * RECEIPT_BYTES_MAX + b"}")
    assert unsealed(padded, PLACE, DECISION.key, HISTORY) is None
    assert len(kept()) < 1100
