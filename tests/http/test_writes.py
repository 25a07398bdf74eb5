"""Each write answers as the contract says, and answers a second time with the same bytes."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from tests.http.api import Api, Json, problem_of

Request = tuple[str, str, Json]


async def _open(api: Api) -> Request:
    return "POST", "/v1/wallets", {"currency": "EUR", "metadata": {"owner": "Zoë"}}


async def _open_with_id(api: Api) -> Request:
    return "POST", "/v1/wallets", {"currency": "USD", "id": str(uuid4()), "floor": -500, "ceiling": 900}


async def _change(api: Api) -> Request:
    return "PATCH", f"/v1/wallets/{await api.new_wallet(5)}", {"status": "frozen", "ceiling": 10, "expected_version": 2}


async def _credit(api: Api) -> Request:
    return "POST", f"/v1/wallets/{await api.new_wallet()}/credits", {"amount": 7, "metadata": {"a": "b"}}


async def _debit(api: Api) -> Request:
    return "POST", f"/v1/wallets/{await api.new_wallet(10)}/debits", {"amount": 7, "expected_version": 2}


async def _post(api: Api) -> Request:
    source, destination = await api.new_wallet(10), await api.new_wallet()
    postings = [
        {"source": source, "destination": destination, "amount": 4},
        {"source": source, "amount": 1},
        {"source": None, "destination": destination, "amount": 2},
    ]
    return "POST", "/v1/transactions", {"postings": postings, "expected_versions": {source: 2, destination: 1}}


async def _reverse(api: Api) -> Request:
    wallet = await api.new_wallet()
    credited = await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 3})
    return "POST", f"/v1/transactions/{credited.json()['id']}/reversal", {"metadata": {"why": "mistake"}}


async def _hold(api: Api) -> Request:
    wallet, destination = await api.new_wallet(10), await api.new_wallet()
    return "POST", f"/v1/wallets/{wallet}/holds", {"amount": 6, "destination": destination, "expires_in": 60}


async def _capture(api: Api) -> Request:
    hold = await api.new_hold(await api.new_wallet(10), 6)
    return "POST", f"/v1/holds/{hold}/capture", {"amount": 2, "final": False}


async def _release(api: Api) -> Request:
    hold = await api.new_hold(await api.new_wallet(10), 6)
    return "POST", f"/v1/holds/{hold}/release", {}


async def _rejected(api: Api) -> Request:
    return "POST", f"/v1/wallets/{await api.new_wallet(10)}/debits", {"amount": 11}


EXPECTED_STATUS: dict[Callable[[Api], Awaitable[Request]], int] = {
    _open: 201,
    _open_with_id: 201,
    _change: 200,
    _credit: 201,
    _debit: 201,
    _post: 201,
    _reverse: 201,
    _hold: 201,
    _capture: 201,
    _release: 201,
    _rejected: 422,
}


@pytest.mark.parametrize("prepare", EXPECTED_STATUS, ids=lambda prepare: prepare.__name__.strip("_"))
async def test_a_replay_has_the_status_and_the_bytes_of_the_first_answer(
    api: Api, prepare: Callable[[Api], Awaitable[Request]]
) -> None:
    """Also where the wallet has moved on in between."""
    method, path, body = await prepare(api)
    first = await api.send(method, path, body, key="the-key")
    assert first.status_code == EXPECTED_STATUS[prepare]
    assert first.headers["idempotent-replayed"] == "false"
    for wallet in (await api.get("/v1/wallets")).json()["items"]:
        if wallet["status"] == "active":
            await api.post(f"/v1/wallets/{wallet['id']}/credits", {"amount": 1})
    again = await api.send(method, path, body, key="the-key")
    assert again.status_code == first.status_code
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers.get("location") == first.headers.get("location")


async def test_an_opened_wallet_is_shown_and_found_where_location_says(api: Api) -> None:
    opened = await api.post("/v1/wallets", {"currency": "EUR", "floor": -300, "ceiling": 900, "metadata": {"a": "b"}})
    wallet = opened.json()
    assert {name: wallet[name] for name in ("balance", "held", "available", "floor", "ceiling", "version")} == {
        "balance": 0,
        "held": 0,
        "available": 300,
        "floor": -300,
        "ceiling": 900,
        "version": 1,
    }
    assert wallet["status"] == "active"
    assert wallet["metadata"] == {"a": "b"}
    assert wallet["created_at"] == wallet["updated_at"]
    assert opened.headers["location"] == f"/v1/wallets/{wallet['id']}"
    assert (await api.get(opened.headers["location"])).json() == wallet


async def test_a_receipt_says_what_was_done(api: Api) -> None:
    wallet = await api.new_wallet(10)
    receipt = (await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 4}, key="abc")).json()
    assert receipt["kind"] == "post"
    assert receipt["idempotency_key"] == "abc"
    assert receipt["postings"] == [{"source": wallet, "destination": None, "amount": 4, "currency": "EUR"}]
    (entry,) = receipt["entries"]
    assert entry["wallet_id"] == wallet
    assert (entry["version"], entry["change"], entry["held_change"]) == (3, -4, 0)
    assert (entry["balance_after"], entry["held_after"]) == (6, 0)
    assert receipt["hold"] is None
    assert receipt["reverses"] is None


async def test_a_hold_reserves_and_a_capture_takes(api: Api) -> None:
    wallet, shop = await api.new_wallet(10), await api.new_wallet()
    placed = (await api.post(f"/v1/wallets/{wallet}/holds", {"amount": 6, "destination": shop})).json()
    hold = placed["hold"]
    assert placed["kind"] == "hold"
    assert (hold["amount"], hold["captured"], hold["remaining"], hold["status"]) == (6, 0, 6, "active")
    assert (await api.wallet(wallet))["available"] == 4
    captured = (await api.post(f"/v1/holds/{hold['id']}/capture", {"amount": 5})).json()
    assert captured["kind"] == "capture"
    assert (captured["hold"]["captured"], captured["hold"]["remaining"], captured["hold"]["status"]) == (
        5,
        0,
        "captured",
    )
    assert (await api.wallet(shop))["balance"] == 5
    assert (await api.wallet(wallet))["available"] == 5


@pytest.mark.parametrize("action", ["capture", "release"])
async def test_a_body_of_optional_members_may_be_left_out(api: Api, action: str) -> None:
    hold = await api.new_hold(await api.new_wallet(10), 6)
    answer = await api.post(f"/v1/holds/{hold}/{action}")
    assert answer.status_code == 201
    assert answer.json()["kind"] == action


async def test_a_reversal_needs_no_body_and_names_what_it_reverses(api: Api) -> None:
    wallet = await api.new_wallet()
    credited = (await api.post(f"/v1/wallets/{wallet}/credits", {"amount": 3})).json()
    reversal = (await api.post(f"/v1/transactions/{credited['id']}/reversal")).json()
    assert reversal["kind"] == "reversal"
    assert reversal["reverses"] == credited["id"]
    assert (await api.wallet(wallet))["balance"] == 0


async def test_a_ceiling_is_taken_away_by_null_and_left_alone_by_silence(api: Api) -> None:
    wallet = await api.new_wallet(ceiling=100)
    await api.patch(f"/v1/wallets/{wallet}", {"floor": -1})
    assert (await api.wallet(wallet))["ceiling"] == 100
    await api.patch(f"/v1/wallets/{wallet}", {"ceiling": None})
    assert (await api.wallet(wallet))["ceiling"] is None


@pytest.mark.parametrize("member", ["id", "ceiling"])
async def test_null_stands_for_an_optional_member_that_is_absent(api: Api, member: str) -> None:
    with_null = await api.post("/v1/wallets", {"currency": "EUR", member: None}, key="same")
    without = await api.post("/v1/wallets", {"currency": "EUR"}, key="same")
    assert with_null.status_code == 201
    assert without.content == with_null.content


async def test_expected_version_is_a_guard_and_not_part_of_the_intent(api: Api) -> None:
    """Who lost the answer, read the wallet anew and sends the key with the newer version must get the replay."""
    wallet = await api.new_wallet(10)
    path = f"/v1/wallets/{wallet}/debits"
    first = await api.post(path, {"amount": 3, "expected_version": 2}, key="guarded")
    again = await api.post(path, {"amount": 3, "expected_version": 3}, key="guarded")
    assert again.content == first.content
    conflict = await api.post(path, {"amount": 3, "expected_version": 2}, key="another")
    assert problem_of(conflict) == "version-conflict"
    assert conflict.json()["current_version"] == 3
    assert (await api.post(path, {"amount": 3, "expected_version": 3}, key="another")).status_code == 201


@pytest.mark.parametrize("quoted", ['"a b"', '"a', 'a"', '""'])
async def test_a_key_is_taken_bare_or_as_a_quoted_string(api: Api, quoted: str) -> None:
    bare = await api.post("/v1/wallets", {"currency": "EUR"}, key='say"hi\\')
    assert bare.status_code == 201
    as_string = await api.post("/v1/wallets", {"currency": "EUR"}, key='"say\\"hi\\\\"')
    assert as_string.content == bare.content
    odd = await api.post("/v1/wallets", {"currency": "EUR"}, key=quoted)
    assert problem_of(odd) == ("" if quoted == 'a"' else "idempotency-key-invalid")
