"""Every outcome that the service's ledger can have is the outcome that the client's ledger has, whether the service
tells it of a single write, in a batch, or of a fence."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import attrs
import pytest

from adapters.http_client_told import UNTOLD_HASH, UNTOLD_ID, UNTOLD_INTENT, UNTOLD_KIND, UNTOLD_TIME, as_told
from tests.client.stand import client_of
from tests.core.reason_rows import ROWS, Row
from tests.http.api import TENANT
from tests.http.problem_scenarios import Always
from tests.support.builders import A, outcome_of, past
from tests.support.ids import id_number
from tests.support.time import NOON
from wallet_core import (
    Applied,
    Contention,
    DatabaseUnavailable,
    Fence,
    Fenced,
    FenceKey,
    KeyFenced,
    KeyReused,
    Kind,
    NotFound,
    Outcome,
    Overloaded,
    Posting,
    Reason,
    Rejected,
    Rejection,
    Replayed,
    Thing,
    Transaction,
    Unknown,
    VersionConflict,
    WalletExists,
    credit,
)

COMMAND = credit("k", A, 5)
RECEIPT = attrs.evolve(past(Posting(None, A, 5)), key="k", intent=COMMAND.intent())
REJECTION = Rejection(
    id_number(7),
    Kind.POST,
    "k",
    COMMAND.intent(),
    Reason.WALLET_CLOSED,
    {"status": "closed", "wallet_id": str(A)},
    NOON,
)
FENCE = Fence(id_number(8), "k", NOON)

OUTCOMES: Sequence[Outcome] = [
    Applied(RECEIPT),
    Replayed(RECEIPT),
    Rejected(REJECTION),
    Replayed(REJECTION),
    KeyReused("k"),
    KeyFenced("k"),
    NotFound(Thing.WALLET, A),
    NotFound(Thing.HOLD, A),
    NotFound(Thing.TRANSACTION, A),
    WalletExists(A),
    VersionConflict(A, 3, 4),
    Contention(),
    Overloaded(),
    DatabaseUnavailable(),
    Unknown(),
]


def name(outcome: Outcome) -> str:
    return type(outcome).__name__


def as_told_of(outcome: Outcome) -> Outcome:
    """What a client can know of an outcome of its command."""
    match outcome:
        case Rejected(rejection):
            return Rejected(attrs.evolve(rejection, id=UNTOLD_ID, created_at=UNTOLD_TIME))
        case Replayed(Rejection() as rejection):
            return Replayed(attrs.evolve(rejection, id=UNTOLD_ID, created_at=UNTOLD_TIME))
        case _:
            return outcome


@pytest.mark.parametrize("outcome", OUTCOMES, ids=name)
async def test_an_outcome_comes_back_from_a_single_write_as_what_it_was(outcome: Outcome) -> None:
    async with client_of(Always(outcome)) as client:
        (told,) = await client.execute(TENANT, [COMMAND])
    assert told == as_told_of(outcome)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=name)
async def test_an_outcome_comes_back_from_a_batch_as_what_it_was(outcome: Outcome) -> None:
    async with client_of(Always(outcome)) as client:
        told = await client.execute(TENANT, [COMMAND, COMMAND])
    assert list(told) == [as_told_of(outcome)] * 2


def test_no_outcome_is_left_out() -> None:
    assert {type(outcome) for outcome in OUTCOMES} | {Fenced} == set(get_args(Outcome))


@pytest.mark.parametrize(
    "decision", [RECEIPT, REJECTION, Fence(id_number(8), "k", NOON)], ids=["applied", "rejected", "fenced"]
)
async def test_a_fence_tells_what_was_decided(decision: Transaction | Rejection | Fence) -> None:
    given = Fenced(decision) if isinstance(decision, Fence) else Replayed(decision)
    async with client_of(Always(given)) as client:
        (told,) = await client.execute(TENANT, [FenceKey("k")])
    match decision:
        case Transaction():
            assert told == Replayed(as_told(decision))
        case Rejection():
            known = attrs.evolve(decision, id=UNTOLD_ID, kind=UNTOLD_KIND, intent=UNTOLD_INTENT, created_at=UNTOLD_TIME)
            assert told == Replayed(known)
        case Fence():
            assert told == Fenced(Fence(UNTOLD_ID, "k", UNTOLD_TIME))


@pytest.mark.parametrize(
    "outcome",
    [Contention(), Overloaded(), DatabaseUnavailable(), Unknown()],
    ids=name,
)
async def test_a_fence_that_is_not_settled_is_told_as_that(outcome: Outcome) -> None:
    async with client_of(Always(outcome)) as client:
        assert list(await client.execute(TENANT, [FenceKey("k")])) == [outcome]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_rejection_for_every_reason_comes_back_with_what_was_compared(row: Row) -> None:
    """The API has other names and another order for what was compared."""
    given = outcome_of(row.given, row.command)
    assert isinstance(given, Rejected)
    async with client_of(Always(given)) as client:
        (told,) = await client.execute(TENANT, [row.command])
    assert told == as_told_of(given)
    assert isinstance(told, Rejected)
    assert list(told.rejection.details.items()) == list(given.rejection.details.items())


def test_there_is_a_row_for_every_reason() -> None:
    assert {row.reason for row in ROWS} == set(Reason)


def test_what_is_not_told_has_a_value_that_no_real_one_has() -> None:
    assert UNTOLD_KIND not in list(Kind)
    assert UNTOLD_ID.version is None
    assert datetime(1, 1, 1, tzinfo=UTC) == UNTOLD_TIME
    assert (UNTOLD_INTENT, UNTOLD_HASH) == ("", b"")
