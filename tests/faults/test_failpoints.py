"""The failpoints, over the ledger in memory: what a request asks for happens to its batch, and to no other."""

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import pytest

from adapters.failpoints import FAULTS_MAX, Asked, Failpoints
from adapters.faults import FaultyKeyValues, FaultyLedger, FaultyStore
from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from adapters.redis.store import StoreAway
from wallet_core import Applied, BatchLedger, Command, GroupCommit, OpenWallet, Outcome, Replayed, credit
from wallet_core.ledger import CONNECTION_ATTEMPTS_MAX
from wallet_core.outcomes import DatabaseUnavailable, Unknown

TENANT = uuid4()
WALLET = uuid4()


class Lab:
    """A ledger with its failpoints, and one wallet in it."""

    def __init__(self, *, crashes: bool = False) -> None:
        self.failpoints = Failpoints(crashes=crashes)
        self.store = MemoryStore()
        group = GroupCommit(BatchLedger(FaultyStore(self.store, self.failpoints), UuidV7(), jitter=lambda: 0.0))
        self.ledger = FaultyLedger(group, self.failpoints)

    async def send(self, header: str | None, *commands: Command) -> tuple[Sequence[Outcome], Asked | None]:
        """As a request does: in a context of its own."""

        async def request() -> tuple[Sequence[Outcome], Asked | None]:
            asked = None if header is None else self.failpoints.ask(header)
            return await self.ledger.execute(TENANT, commands), asked

        return await asyncio.create_task(request(), context=contextvars.copy_context())

    async def open(self) -> None:
        await self.send(None, OpenWallet("open", "EUR", WALLET))

    async def balance(self) -> int:
        wallet = await self.store.wallet(TENANT, WALLET)
        assert wallet is not None
        return wallet.balance


@pytest.fixture
async def lab() -> Lab:
    lab = Lab()
    await lab.open()
    return lab


@pytest.mark.parametrize("point", ["before-load", "after-load", "before-append", "before-commit", "after-commit"])
async def test_a_connection_that_fails_once_is_made_up_for(lab: Lab, point: str) -> None:
    (outcome,), asked = await lab.send(f"{point}=error", credit("k", WALLET, 5))
    assert isinstance(outcome, Applied)
    assert asked is not None
    assert asked.fired == [f"{point}=error"]
    assert await lab.balance() == 5


@pytest.mark.parametrize(
    ("point", "told", "balance"),
    [
        ("after-load", DatabaseUnavailable(), 0),
        ("before-append", DatabaseUnavailable(), 0),
        ("before-commit", Unknown(), 0),
    ],
)
async def test_a_connection_that_keeps_failing_is_told(lab: Lab, point: str, told: Outcome, balance: int) -> None:
    (outcome,), asked = await lab.send(f"{point}=error*{CONNECTION_ATTEMPTS_MAX}", credit("k", WALLET, 5))
    assert outcome == told
    assert asked is not None
    assert len(asked.fired) == CONNECTION_ATTEMPTS_MAX
    assert await lab.balance() == balance


async def test_a_fault_strikes_only_the_batch_of_its_request(lab: Lab) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    ((delayed,), asked), ((prompt,), _) = await asyncio.gather(
        lab.send("before-queue=delay:300", credit("slow", WALLET, 1)), lab.send(None, credit("fast", WALLET, 2))
    )
    assert isinstance(delayed, Applied)
    assert isinstance(prompt, Applied)
    assert delayed.transaction.entries[0].version > prompt.transaction.entries[0].version
    assert loop.time() - began >= 0.3
    assert asked is not None
    assert asked.fired == ["before-queue=delay"]


async def test_who_shares_a_batch_shares_its_fate_and_nobody_else(lab: Lab) -> None:
    failing = f"before-commit=error*{CONNECTION_ATTEMPTS_MAX}"
    first = asyncio.create_task(lab.send("before-load=delay:50", credit("c", WALLET, 1)))
    await asyncio.sleep(0.01)
    ((shared,), _), ((harmed,), _) = await asyncio.gather(
        lab.send(None, credit("d", WALLET, 1)), lab.send(failing, credit("e", WALLET, 1))
    )
    assert (shared, harmed) == (Unknown(), Unknown())
    assert isinstance((await first)[0][0], Applied)
    ((later,), _) = await lab.send(None, credit("d", WALLET, 1))
    assert isinstance(later, Applied)


async def test_nothing_stays_armed_when_the_request_is_over(lab: Lab) -> None:
    await lab.send("after-commit=error*100", credit("k", WALLET, 5))
    (outcome,), _ = await lab.send(None, credit("k", WALLET, 5))
    assert isinstance(outcome, Replayed)
    assert lab.failpoints.asking(TENANT, ["k"]) == []


async def test_an_answer_is_dropped_after_it_came_about(lab: Lab) -> None:
    (outcome,), asked = await lab.send("before-answer=drop", credit("k", WALLET, 5))
    assert isinstance(outcome, Applied)
    assert asked is not None
    assert (asked.dropped, await lab.balance()) == (True, 5)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nowhere=error",
        "before-load",
        "before-load=drop",
        "before-load=delay",
        "before-load=error:5",
        "before-load=delay:30001",
        "before-load=error*0",
        "before-load=error*101",
        "before-load=crash",
        "cache=error",
        ", ".join(["before-load=error"] * (FAULTS_MAX + 1)),
    ],
)
def test_what_cannot_be_done_cannot_be_asked_for(header: str) -> None:
    with pytest.raises(ValueError, match=r"must|takes|needs|delays|asks"):
        Failpoints().ask(header)


def test_a_process_may_only_be_killed_where_another_takes_its_place() -> None:
    assert "crash" not in Failpoints().actions()["after-commit"]
    assert "crash" in Failpoints(crashes=True).actions()["after-commit"]
    Failpoints(crashes=True).ask("after-commit=crash")


class KeptValues:
    """A store of values in memory."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[object]:
        return [self.values.get(key) for key in keys]

    async def put_many(self, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        self.values.update(values)

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


def cache_key(tenant: UUID, key: str) -> bytes:
    return f"wallet:history:{tenant}:{key}".encode()


@pytest.mark.parametrize("action", ["down", "hung", "lying"])
async def test_the_cache_fails_the_keys_of_whoever_asked_and_no_others(action: str) -> None:
    failpoints, kept = Failpoints(), KeptValues()
    store = FaultyKeyValues(kept, failpoints)
    truth = {cache_key(TENANT, key): b'{"amount":%d}' % place for place, key in enumerate(("a:b", "c", "d"))}
    await store.put_many(truth, 1)
    asked = failpoints.ask(f"cache={action}*100")
    with failpoints.armed(asked, TENANT, ["a:b"]):
        assert await store.get_many([cache_key(TENANT, "c")]) == [b'{"amount":1}']
        assert await store.get_many([cache_key(uuid4(), "a:b")]) == [None]
        match action:
            case "lying":
                for _ in range(8):
                    told = await store.get_many(list(truth))
                    assert any(one != other for one, other in zip(told, truth.values(), strict=True))
            case "down":
                with pytest.raises(StoreAway):
                    await store.get_many(list(truth))
            case _:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(store.get_many(list(truth)), 0.1)
    assert await store.get_many(list(truth)) == list(truth.values())
