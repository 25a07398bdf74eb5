"""Reads answer what is committed, as it is and as it was."""

from datetime import UTC, datetime, timedelta

import pytest

from entrypoints.http.reads import parse_time
from tests.http.api import UNKNOWN_ID, Api, problem_of


async def test_a_wallet_as_it_was_by_version(api: Api) -> None:
    wallet = await api.new_wallet(10)
    await api.new_hold(wallet, 4)
    states = [(await api.get(f"/v1/wallets/{wallet}?version={version}")).json() for version in (1, 2, 3)]
    assert [(state["balance"], state["held"], state["version"]) for state in states] == [
        (0, 0, 1),
        (10, 0, 2),
        (10, 4, 3),
    ]
    assert set(states[0]) == {"id", "currency", "balance", "held", "version", "at"}


async def test_a_wallet_as_it_was_by_time(api: Api) -> None:
    wallet = await api.new_wallet(10)
    before = api.clock.now
    api.clock.now += timedelta(hours=1)
    await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 4})
    for at in (before.isoformat(), before.isoformat().replace("+00:00", "Z"), "2026-01-31T13:30:00%2B01:00"):
        assert (await api.get(f"/v1/wallets/{wallet}?at={at}")).json()["balance"] == 10
    assert (await api.get(f"/v1/wallets/{wallet}?at=9999-12-31T23:59:59Z")).json()["balance"] == 6
    assert problem_of(await api.get(f"/v1/wallets/{wallet}?at=2025-01-01T00:00:00Z")) == "not-found"


@pytest.mark.parametrize(
    "query",
    [
        "version=0",
        "version=-1",
        "version=%2B1",
        "version=1.0",
        "version=1_0",
        "version=",
        "version=%ff",
        "version=99999999999999999",
        "version=1&version=2",
        "version=1&at=2026-01-31T12:00:00Z",
        "at=yesterday",
        "at=2026-01-31",
        "at=2026-01-31T12:00:00",
        "at=2026-13-31T12:00:00Z",
        "at=0001-01-01T00:00:00%2B02:00",
        "Version=1",
        "size=1",
    ],
)
async def test_a_bad_question_is_malformed(api: Api, query: str) -> None:
    answer = await api.get(f"/v1/wallets/{await api.new_wallet()}?{query}")
    assert (answer.status_code, problem_of(answer)) == (400, "malformed-request")


async def test_a_version_that_is_yet_to_come_is_not_found(api: Api) -> None:
    assert problem_of(await api.get(f"/v1/wallets/{await api.new_wallet()}?version=2")) == "not-found"
    assert problem_of(await api.get(f"/v1/wallets/{UNKNOWN_ID}?version=1")) == "wallet-not-found"


async def test_the_etag_is_the_version_and_saves_reading_the_same_again(api: Api) -> None:
    wallet = await api.new_wallet(10)
    path = f"/v1/wallets/{wallet}"
    assert (await api.get(path)).headers["etag"] == '"2"'
    for known in ('"2"', 'W/"2"', '"1", "2"', '"1",W/"2" , "3"', "*"):
        unchanged = await api.get(path, headers={"if-none-match": known})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == '"2"'
    for other in ('"1"', '"22"', "2", '"2', ""):
        assert (await api.get(path, headers={"if-none-match": other})).status_code == 200
    await api.post(f"{path}/credits", {"amount": 1})
    changed = await api.get(path, headers={"if-none-match": '"2"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"3"')


async def test_a_hold_that_lapses_changes_what_is_available_and_is_never_not_modified(api: Api) -> None:
    """No entry writes the lapse down, so the version stays; a 304 would pass the old availability for the new."""
    wallet = await api.new_wallet(10)
    hold = await api.new_hold(wallet, 4, expires_in=60)
    path = f"/v1/wallets/{wallet}"
    known = {"if-none-match": (await api.get(path)).headers["etag"]}
    assert (await api.get(path, headers=known)).status_code == 304
    api.clock.now += timedelta(seconds=61)
    lapsed = await api.get(path, headers=known)
    assert lapsed.status_code == 200
    assert (lapsed.json()["version"], lapsed.json()["available"]) == (3, 10)
    assert lapsed.headers["etag"] == '"3"'
    shown = (await api.get(f"/v1/holds/{hold}")).json()
    assert (shown["status"], shown["remaining"]) == ("expired", 0)


async def test_a_receipt_never_changes(api: Api) -> None:
    wallet = await api.new_wallet(10)
    placed = await api.post(f"/v1/wallets/{wallet}/holds", {"amount": 4})
    await api.post(f"/v1/holds/{placed.json()['hold']['id']}/release")
    assert (await api.get(f"/v1/transactions/{placed.json()['id']}")).content == placed.content


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/v1/wallets/{}", "wallet-not-found"),
        ("/v1/wallets/{}/entries", "wallet-not-found"),
        ("/v1/wallets/{}/holds", "wallet-not-found"),
        ("/v1/holds/{}", "hold-not-found"),
        ("/v1/transactions/{}", "transaction-not-found"),
    ],
)
@pytest.mark.parametrize("id", [UNKNOWN_ID, "1", UNKNOWN_ID.replace("-", "")])
async def test_what_is_not_there_is_not_found(api: Api, path: str, slug: str, id: str) -> None:
    assert problem_of(await api.get(path.format(id))) == slug


async def test_a_key_tells_what_was_decided_under_it(api: Api) -> None:
    wallet = await api.new_wallet(1)
    applied = await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 1}, key="a+b")
    found = (await api.get("/v1/idempotency-keys?key=a+b")).json()
    assert found == {"key": "a+b", "outcome": "applied", "transaction": applied.json()}
    assert (await api.get("/v1/idempotency-keys?key=a%2Bb")).json() == found
    rejected = await api.post(f"/v1/wallets/{wallet}/debits", {"amount": 1}, key="c")
    assert (await api.get("/v1/idempotency-keys?key=c")).json() == {
        "key": "c",
        "outcome": "rejected",
        "problem": rejected.json(),
    }


async def test_a_key_under_which_a_wallet_was_opened_tells_the_transaction(api: Api) -> None:
    opened = await api.post("/v1/wallets", {"currency": "EUR"}, key="open")
    found = (await api.get("/v1/idempotency-keys?key=open")).json()
    assert found["transaction"]["kind"] == "open"
    assert found["transaction"]["entries"][0]["wallet_id"] == opened.json()["id"]


@pytest.mark.parametrize(
    "query", ["", "?key=", "?key=a%20b", "?key=%C3%A4", f"?key={'x' * 256}", "?key=a&key=b", "?keys=a"]
)
async def test_what_is_no_key_cannot_be_looked_up(api: Api, query: str) -> None:
    assert problem_of(await api.get(f"/v1/idempotency-keys{query}")) == "malformed-request"


async def test_a_key_without_a_decision_is_not_found(api: Api) -> None:
    await api.post(f"/v1/wallets/{UNKNOWN_ID}/credits", {"amount": 1}, key="tried")
    assert problem_of(await api.get("/v1/idempotency-keys?key=tried")) == "not-found"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00.5z", datetime(2026, 1, 31, 12, microsecond=500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789+02:30", datetime(2026, 1, 31, 9, 30, microsecond=123_456, tzinfo=UTC)),
        ("2026-01-31 12:00:00Z", None),
        ("2026-01-31T12:00Z", None),
        ("2026-01-31T24:00:00Z", None),
        ("２026-01-31T12:00:00Z", None),
    ],
)
def test_a_time_is_one_of_rfc_3339(text: str, moment: datetime | None) -> None:
    assert parse_time(text) == moment
