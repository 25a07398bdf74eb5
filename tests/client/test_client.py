"""The client as people use it: typed results, typed errors, lists without pages."""

from datetime import timedelta
from uuid import UUID

import attrs
import httpx
import pytest

from adapters import http_client_reads
from adapters.http_client import (
    UNTOLD_HASH,
    UNTOLD_INTENT,
    KeyFenced,
    KeyReused,
    NewCeiling,
    NotFound,
    OutcomeUnknown,
    Refused,
    Rejected,
    ServiceUnavailable,
    VersionConflict,
    WalletClient,
    WalletError,
    WalletExists,
)
from tests.client.live import HURRIED, Live
from tests.support.builders import NOWHERE
from wallet_core import (
    Fence,
    HoldStatus,
    Kind,
    Posting,
    Reason,
    Rejection,
    Thing,
    Transaction,
    WalletStatus,
)
from wallet_core.ports import Unavailable


@pytest.fixture
def client(live: Live) -> WalletClient:
    return live.client()


async def funded(client: WalletClient, amount: int = 100, currency: str = "EUR") -> UUID:
    wallet_id = (await client.open(currency)).wallet.id
    await client.credit(wallet_id, amount)
    return wallet_id


# -------------------------------------------------------------------- writes


async def test_a_wallet_is_opened_as_it_is_asked_for(client: WalletClient) -> None:
    opened = await client.open("USD", id=NOWHERE, floor=-50, ceiling=1000, metadata={"a": "1"}, key="k")
    assert (opened.key, opened.replayed) == ("k", False)
    wallet = opened.wallet
    assert (wallet.id, wallet.currency, wallet.floor, wallet.ceiling) == (NOWHERE, "USD", -50, 1000)
    assert (wallet.balance, wallet.version, wallet.available, wallet.metadata) == (0, 1, 50, {"a": "1"})
    assert await client.wallet(NOWHERE) == wallet
    again = await client.open("USD", id=NOWHERE, floor=-50, ceiling=1000, metadata={"a": "1"}, key="k")
    assert again == attrs.evolve(opened, replayed=True)


async def test_money_enters_leaves_and_moves(client: WalletClient) -> None:
    alice, bob = await funded(client), await funded(client)
    done = await client.debit(alice, 30, expected_version=2, metadata={"for": "rent"})
    assert done.transaction.metadata == {"for": "rent"}
    assert done.transaction.key == done.key
    await client.transfer(alice, bob, 20, expected_versions={alice: 3, bob: 2})
    await client.post([Posting(alice, bob, 5), Posting(None, alice, 1)], expected_versions={alice: 4})
    assert [(await client.wallet(id)).balance for id in (alice, bob)] == [46, 125]


async def test_a_transaction_is_told_the_same_by_its_write_its_replay_its_id_and_its_key(client: WalletClient) -> None:
    wallet_id = await funded(client)
    done = await client.debit(wallet_id, 1, key="k")
    assert await client.debit(wallet_id, 1, key="k") == attrs.evolve(done, replayed=True)
    told = attrs.evolve(done.transaction, intent=UNTOLD_INTENT)
    assert await client.transaction(done.transaction.id) == told
    assert await client.look_up("k") == told
    assert await client.fence("k") == told


async def test_holds_are_placed_captured_and_released(client: WalletClient) -> None:
    alice, bob = await funded(client), await funded(client)
    placed = (await client.hold(alice, 50, destination=bob, expires_in_s=60, expected_version=2)).transaction.hold
    assert placed is not None
    assert placed.expires_at == placed.created_at + timedelta(seconds=60)
    part = await client.capture(placed.id, 10, final=False)
    assert part.transaction.hold is not None
    assert part.transaction.hold.remaining == 40
    await client.capture(placed.id, 15)
    assert (await client.held(placed.id)).status is HoldStatus.CAPTURED
    other = (await client.hold(alice, 5)).transaction.hold
    assert other is not None
    await client.release(other.id)
    assert [hold.status async for hold in client.holds(alice)] == [HoldStatus.RELEASED, HoldStatus.CAPTURED]
    assert [(await client.wallet(id)).balance for id in (alice, bob)] == [75, 125]


async def test_a_transaction_is_reversed_and_a_wallet_is_changed(client: WalletClient) -> None:
    wallet_id = await funded(client)
    spent = await client.debit(wallet_id, 40)
    reversal = await client.reverse(spent.transaction.id, metadata={"why": "returned"})
    assert (reversal.transaction.kind, reversal.transaction.reverses) == (Kind.REVERSAL, spent.transaction.id)
    await client.change(wallet_id, floor=-10, ceiling=NewCeiling(500), metadata={"a": "b"}, expected_version=4)
    await client.change(wallet_id, ceiling=NewCeiling(None))
    await client.change(wallet_id, status=WalletStatus.FROZEN)
    wallet = await client.wallet(wallet_id)
    assert (wallet.balance, wallet.floor, wallet.ceiling, wallet.metadata) == (100, -10, None, {"a": "b"})
    assert (wallet.status, wallet.version, wallet.head) == (WalletStatus.FROZEN, 7, UNTOLD_HASH)


# -------------------------------------------------------------------- reads


async def test_lists_go_on_over_pages(client: WalletClient, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client_reads, "PAGE_ITEMS_MAX", 3)
    wallet_id = await funded(client)
    other = await funded(client, currency="USD")
    for _ in range(8):
        await client.credit(wallet_id, 1)
    live.sent.clear()
    assert [record.entry.version async for record in client.entries(wallet_id)] == list(range(10, 0, -1))
    assert len(live.sent) == 4
    assert [done.kind async for done in client.transactions(wallet_id=wallet_id)] == [Kind.POST] * 9 + [Kind.OPEN]
    assert len([done async for done in client.transactions(kind=Kind.POST)]) == 10
    assert [wallet.id async for wallet in client.wallets(currency="EUR")] == [wallet_id]
    assert {wallet.id async for wallet in client.wallets(status=WalletStatus.ACTIVE)} == {wallet_id, other}
    assert [wallet async for wallet in client.wallets(status=WalletStatus.CLOSED)] == []


async def test_a_wallet_as_it_was(client: WalletClient) -> None:
    wallet_id = await funded(client)
    done = await client.debit(wallet_id, 30)
    assert (await client.wallet_at_version(wallet_id, 2)).balance == 100
    assert (await client.wallet_at_time(wallet_id, done.transaction.created_at)).balance == 70
    with pytest.raises(NotFound):
        await client.wallet_at_version(wallet_id, 4)


async def test_a_history_is_proved(client: WalletClient) -> None:
    wallet_id = await funded(client)
    proof = await client.verification(wallet_id)
    newest = await anext(aiter(client.entries(wallet_id)))
    assert (proof.ok, proof.entries, proof.head_hash) == (True, 2, newest.entry.hash.hex())
    assert proof.checks
    assert all(check.ok and check.name and check.detail == "holds" for check in proof.checks)


# -------------------------------------------------------------------- what goes wrong


async def test_a_rejection_says_why_and_is_remembered(client: WalletClient) -> None:
    wallet_id = await funded(client, 20)
    with pytest.raises(Rejected, match=r"insufficient-funds .*needed 21.*, key k") as rejected:
        await client.debit(wallet_id, 21, key="k")
    error = rejected.value
    assert (error.key, error.reason, error.replayed) == ("k", Reason.INSUFFICIENT_FUNDS, False)
    assert error.details == {"available": 20, "needed": 21, "wallet_id": str(wallet_id)}
    await client.credit(wallet_id, 100)
    with pytest.raises(Rejected) as again:
        await client.debit(wallet_id, 21, key="k")
    assert (again.value.replayed, again.value.details) == (True, error.details)
    decision = await client.look_up("k")
    assert isinstance(decision, Rejection)
    assert (decision.key, decision.reason, decision.details) == ("k", error.reason, error.details)
    assert await client.fence("k") == decision


async def test_a_version_conflict_is_decided_again_with_the_same_key(client: WalletClient) -> None:
    wallet_id = await funded(client)
    with pytest.raises(VersionConflict, match="has version 2, not 1") as conflict:
        await client.debit(wallet_id, 10, expected_version=1)
    assert (conflict.value.wallet_id, conflict.value.expected_version) == (wallet_id, 1)
    current = conflict.value.current_version
    done = await client.debit(wallet_id, 10, expected_version=current, key=conflict.value.key)
    assert (done.key, done.replayed) == (conflict.value.key, False)


async def test_a_key_means_one_thing_and_a_fenced_one_nothing(client: WalletClient) -> None:
    wallet_id = await funded(client)
    await client.credit(wallet_id, 1, key="k")
    with pytest.raises(KeyReused):
        await client.credit(wallet_id, 2, key="k")
    assert await client.look_up("fenced") is None
    fence = await client.fence("fenced")
    assert isinstance(fence, Fence)
    assert fence.key == "fenced"
    assert await client.look_up("fenced") == fence
    with pytest.raises(KeyFenced):
        await client.credit(wallet_id, 2, key="fenced")
    assert (await client.wallet(wallet_id)).balance == 101


@pytest.mark.parametrize("key", ["plain", '"quoted"', '"', "\\", "a+b&c=d%2F?#/", "~" * 255])
async def test_a_key_may_hold_any_visible_character(client: WalletClient, key: str) -> None:
    wallet_id = await funded(client)
    done = await client.credit(wallet_id, 1, key=key)
    assert (done.key, done.transaction.key) == (key, key)
    decision = await client.look_up(key)
    assert isinstance(decision, Transaction)
    assert decision.id == done.transaction.id


async def test_what_is_not_there_is_not_found(client: WalletClient) -> None:
    for found, thing in (
        (client.credit(NOWHERE, 1), Thing.WALLET),
        (client.release(NOWHERE), Thing.HOLD),
        (client.reverse(NOWHERE), Thing.TRANSACTION),
        (client.wallet(NOWHERE), Thing.WALLET),
        (client.held(NOWHERE), Thing.HOLD),
        (client.transaction(NOWHERE), Thing.TRANSACTION),
        (client.verification(NOWHERE), Thing.WALLET),
        (anext(aiter(client.entries(NOWHERE))), Thing.WALLET),
    ):
        with pytest.raises(NotFound) as not_found:
            await found
        assert (not_found.value.thing, not_found.value.id) == (thing, NOWHERE)


async def test_a_wallet_is_opened_under_one_key_only(client: WalletClient) -> None:
    await client.open("EUR", id=NOWHERE)
    with pytest.raises(WalletExists) as exists:
        await client.open("EUR", id=NOWHERE)
    assert exists.value.wallet_id == NOWHERE


async def test_an_api_key_that_is_none_is_refused_at_once(live: Live) -> None:
    nobody = attrs.evolve(live, api_key="nobody-s").client()
    for refused in (nobody.open("EUR"), nobody.wallet(NOWHERE), nobody.fence("k")):
        with pytest.raises(Refused, match="401 unauthenticated") as error:
            await refused
        assert error.value.problem.request_id
    assert len(live.sent) == 3


def test_a_caller_may_treat_an_absent_service_as_the_ports_do() -> None:
    assert issubclass(ServiceUnavailable, Unavailable)
    for error in (ServiceUnavailable, OutcomeUnknown, Refused, Rejected, KeyReused, NotFound):
        assert issubclass(error, WalletError)


async def test_connections_of_its_own_are_closed_and_those_brought_along_are_not(live: Live) -> None:
    async with WalletClient(f"{live.url}/", live.api_key, retries=HURRIED) as own:
        await own.open("EUR")
    assert own.wire.http.is_closed
    async with httpx.AsyncClient(verify=False) as http:
        async with WalletClient(live.url, live.api_key, http=http) as guest:
            await guest.open("EUR")
        assert not http.is_closed
