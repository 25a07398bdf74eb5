"""A ledger with a cache answers as one without, asks the cache once, and the database only for what is left."""

from collections.abc import Sequence
from uuid import UUID

import attrs
import pytest

from adapters.memory import MemoryStore
from tests.cache.fakes import MemoryReplayCache, Spy
from tests.support.builders import NOWHERE, A, B
from tests.support.faults import Fault, FaultyStore
from tests.support.ids import CountingIds, id_number
from wallet_core import (
    Applied,
    BatchLedger,
    Command,
    DatabaseUnavailable,
    Fenced,
    FenceKey,
    KeyFenced,
    KeyReused,
    NotFound,
    OpenWallet,
    Outcome,
    Rejected,
    Replayed,
    Thing,
    Unknown,
    VersionConflict,
    credit,
    debit,
)
from wallet_core.ports import CommitUnknown, History, Store, Unavailable
from wallet_core.replays import CachedLedger

TENANT, OTHER_TENANT = id_number(1), id_number(2)
NEXT = History("h2", b"s" * 32)


class Service:
    """One ledger with its cache."""

    def __init__(self, store: Store | None = None) -> None:
        self.cache = MemoryReplayCache()
        self.database = Spy(BatchLedger(store or MemoryStore(), CountingIds(), jitter=lambda: 0.0))
        self.ledger = CachedLedger(self.database, self.cache)

    async def do(self, *commands: Command, tenant: UUID = TENANT) -> Sequence[Outcome]:
        return await self.ledger.execute(tenant, commands)

    def asked_of_the_database(self) -> list[list[str]]:
        """The keys of each batch since this was asked last."""
        asked = [[command.key for command in batch] for batch in self.database.batches]
        self.database.batches.clear()
        return asked


@pytest.fixture
async def service() -> Service:
    """With a wallet of 100, and nothing noted down yet."""
    made = Service()
    await made.do(OpenWallet("open", "EUR", id=A), credit("fund", A, 100))
    made.asked_of_the_database()
    made.cache.asked.clear()
    return made


async def test_a_replay_that_the_cache_knows_never_gets_to_the_database(service: Service) -> None:
    (first,) = await service.do(credit("k", A, 5))
    assert isinstance(first, Applied)
    assert service.asked_of_the_database() == [["k"]]
    assert await service.do(credit("k", A, 5)) == [Replayed(first.transaction)]
    assert service.asked_of_the_database() == []


async def test_a_rejection_is_replayed_too(service: Service) -> None:
    (first,) = await service.do(debit("k", A, 500))
    assert isinstance(first, Rejected)
    await service.do(credit("more", A, 900))
    service.asked_of_the_database()
    assert await service.do(debit("k", A, 500)) == [Replayed(first.rejection)]
    assert service.asked_of_the_database() == []


async def test_a_batch_asks_once_for_each_of_its_keys_but_fences(service: Service) -> None:
    await service.do(credit("k1", A, 1), credit("k2", A, 1), FenceKey("k3"), credit("k1", A, 1))
    assert service.cache.asked == [["k1", "k2"]]
    await service.do(FenceKey("k4"))
    assert len(service.cache.asked) == 1


async def test_what_is_left_goes_on_as_one_batch_in_order_and_the_answers_come_back_in_theirs(service: Service) -> None:
    known = await service.do(credit("k1", A, 1), credit("k2", A, 2))
    service.asked_of_the_database()
    outcomes = await service.do(
        credit("n1", A, 3), credit("k2", A, 2), debit("n2", A, 500), credit("k1", A, 1), credit("n3", A, 4)
    )
    assert service.asked_of_the_database() == [["n1", "n2", "n3"]]
    assert outcomes[1:4:2] == [Replayed(known[1].transaction), Replayed(known[0].transaction)]  # type: ignore[union-attr]
    assert [type(outcome) for outcome in outcomes] == [Applied, Replayed, Rejected, Replayed, Applied]
    assert [outcomes[place].transaction.key for place in (0, 4)] == ["n1", "n3"]  # type: ignore[union-attr]


async def test_another_intent_under_a_known_key_is_for_the_database_to_refuse(service: Service) -> None:
    await service.do(credit("k", A, 5))
    service.asked_of_the_database()
    outcomes = await service.do(credit("k", A, 5), credit("k", A, 6))
    assert [type(outcome) for outcome in outcomes] == [Replayed, KeyReused]
    assert service.asked_of_the_database() == [["k"]]


async def test_a_fence_always_asks_the_database(service: Service) -> None:
    (first,) = await service.do(credit("k", A, 5))
    assert isinstance(first, Applied)
    service.asked_of_the_database()
    assert await service.do(FenceKey("k")) == [Replayed(first.transaction)]
    assert isinstance((await service.do(FenceKey("new")))[0], Fenced)
    assert await service.do(credit("new", A, 1)) == [KeyFenced("new")]
    assert service.asked_of_the_database() == [["k"], ["new"], ["new"]]


async def test_one_key_twice_in_a_batch_is_applied_once_and_then_known(service: Service) -> None:
    first, second = await service.do(credit("k", A, 5), credit("k", A, 5))
    assert isinstance(first, Applied)
    assert second == Replayed(first.transaction)
    assert await service.do(credit("k", A, 5), credit("k", A, 5)) == [second, second]


async def test_a_guard_is_no_part_of_the_intent(service: Service) -> None:
    (first,) = await service.do(credit("k", A, 5, expected_version=2))
    assert isinstance(first, Applied)
    assert await service.do(credit("k", A, 5, expected_version=99)) == [Replayed(first.transaction)]


async def test_another_tenant_is_told_nothing(service: Service) -> None:
    await service.do(credit("k", A, 5))
    assert await service.do(credit("k", A, 5), tenant=OTHER_TENANT) == [NotFound(Thing.WALLET, A)]


async def test_what_was_not_decided_is_not_remembered(service: Service) -> None:
    asked: list[Command] = [credit("k1", NOWHERE, 1), credit("k2", A, 1, expected_version=99), FenceKey("k3")]
    assert [type(outcome) for outcome in await service.do(*asked)] == [NotFound, VersionConflict, Fenced]
    assert await service.cache.find(TENANT, ["k1", "k2", "k3"], service.cache.known or NEXT) == {}
    await service.do(OpenWallet("b", "EUR", id=NOWHERE))
    assert [type(outcome) for outcome in await service.do(*asked[:1])] == [Applied]


async def test_a_replay_that_the_database_gave_is_remembered(service: Service) -> None:
    first = await service.do(credit("k", A, 5))
    service.cache._decisions.clear()
    again = await service.do(credit("k", A, 5))
    service.asked_of_the_database()
    assert await service.do(credit("k", A, 5)) == again != first
    assert service.asked_of_the_database() == []


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("commit", CommitUnknown(), kept=True), Unknown()),
        (Fault("commit", CommitUnknown()), Unknown()),
        (Fault("load", Unavailable()), DatabaseUnavailable()),
    ],
)
async def test_what_is_not_known_to_be_committed_is_not_remembered(fault: Fault, outcome: Outcome) -> None:
    memory = MemoryStore()
    opened = Service(memory)
    await opened.do(OpenWallet("open", "EUR", id=B))
    faults = [attrs.evolve(fault), *[Fault("begin", Unavailable())] * 5]
    service = Service(FaultyStore(memory, faults))
    assert await service.do(credit("k", B, 5)) == [outcome]
    assert service.cache._decisions == {}


async def test_while_the_history_is_unknown_the_cache_is_left_alone(service: Service) -> None:
    await service.do(credit("k", A, 5))
    service.asked_of_the_database()
    known = service.cache.known
    assert known is not None
    service.cache.known = None
    service.cache.asked.clear()
    assert [type(outcome) for outcome in await service.do(credit("k", A, 5), credit("n", A, 1))] == [Replayed, Applied]
    assert service.cache.asked == []
    assert service.asked_of_the_database() == [["k", "n"]]
    service.cache.known = known
    assert await service.cache.find(TENANT, ["n"], known) == {}


async def test_what_was_decided_while_the_history_changed_is_remembered_in_neither(service: Service) -> None:
    """It may have been committed before the database was restored, and be gone: told in the new history it would be a
    contradiction. That the history from before the batch is passed on is what prevents it."""
    before = service.cache.known
    assert before is not None
    service.database.then = lambda: setattr(service.cache, "known", NEXT)
    assert isinstance((await service.do(credit("k", A, 5)))[0], Applied)
    assert await service.cache.find(TENANT, ["k"], NEXT) == {}
    service.cache.known = before
    assert await service.cache.find(TENANT, ["k"], before) == {}
