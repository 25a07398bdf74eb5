"""Bad input is refused with the field at fault, and changes nothing."""

import json

import httpx
import pytest

from tests.http.api import UNKNOWN_ID, Api, Json, problem_of
from wallet_core.model import Kind
from wallet_core.money import AMOUNT_MAX

DEEP = b'{"amount": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

CREDIT_BODIES: dict[str, tuple[bytes, str]] = {
    "a fraction": (b'{"amount": 12.0}', "amount"),
    "an exponent": (b'{"amount": 1e2}', "amount"),
    "a string": (b'{"amount": "12"}', "amount"),
    "a boolean": (b'{"amount": true}', "amount"),
    "null": (b'{"amount": null}', "amount"),
    "a list": (b'{"amount": [1]}', "amount"),
    "zero": (b'{"amount": 0}', "amount"),
    "minus zero": (b'{"amount": -0}', "amount"),
    "negative": (b'{"amount": -1}', "amount"),
    "too large": (f'{{"amount": {AMOUNT_MAX + 1}}}'.encode(), "amount"),
    "far too large": (b'{"amount": 1' + b"0" * 300 + b"}", "amount"),
    "too many digits to read": (b'{"amount": 1' + b"0" * 5000 + b"}", ""),
    "not a number": (b'{"amount": NaN}', "amount"),
    "infinite": (b'{"amount": -Infinity}', "amount"),
    "missing": (b"{}", "amount"),
    "twice": (b'{"amount": 1, "amount": 1}', ""),
    "twice, by an escape": (b'{"amount": 1, "\\u0061mount": 1}', ""),
    "twice further down": (b'{"amount": 1, "metadata": {"a": "1", "a": "2"}}', "metadata"),
    "an unknown field": (b'{"amount": 1, "ammount": 1}', "ammount"),
    "an unknown field of no text": (b'{"amount": 1, "\\ud800": 1}', ""),
    "a version of zero": (b'{"amount": 1, "expected_version": 0}', "expected_version"),
    "a version as text": (b'{"amount": 1, "expected_version": "2"}', "expected_version"),
    "metadata of null": (b'{"amount": 1, "metadata": null}', "metadata"),
    "metadata of numbers": (b'{"amount": 1, "metadata": {"a": 1}}', "metadata"),
    "metadata with a zero": (b'{"amount": 1, "metadata": {"a": "\\u0000"}}', "metadata"),
    "metadata of no text": (b'{"amount": 1, "metadata": {"a": "\\udc00"}}', "metadata"),
    "metadata of too many": (
        json.dumps({"amount": 1, "metadata": dict.fromkeys("abcdefghijklmnopq", "")}).encode(),
        "metadata",
    ),
    "metadata too long": (json.dumps({"amount": 1, "metadata": {"a": "x" * 4096}}).encode(), "metadata"),
    "a list at the top": (b"[]", ""),
    "a number at the top": (b"1", ""),
    "null at the top": (b"null", ""),
    "nothing": (b"", ""),
    "white space": (b"  ", ""),
    "a comma too many": (b'{"amount": 1,}', ""),
    "single quotes": (b"{'amount': 1}", ""),
    "two documents": (b'{"amount": 1}{}', ""),
    "a cut-off document": (b'{"amount": 1', ""),
    "a comment": (b'{"amount": 1 /* one */}', ""),
    "bad UTF-8": (b'{"amount": 1, "metadata": {"a": "\xff"}}', ""),
    "UTF-16": ('{"amount": 1}'.encode("utf-16"), ""),
    "a byte order mark": (b'\xef\xbb\xbf{"amount": 1}', ""),
    "deep nesting": (DEEP[:16_000], ""),
    "balanced deep nesting": (b'{"amount": ' + b"[" * 8000 + b"]" * 8000 + b"}", ""),
}


def errors_of(response: httpx.Response) -> list[Json]:
    errors: list[Json] = response.json()["errors"]
    return errors


async def assert_nothing_was_written(api: Api) -> None:
    kinds = {item["kind"] for item in (await api.get("/v1/transactions?limit=500")).json()["items"]}
    assert kinds <= {Kind.OPEN.value}


@pytest.mark.parametrize("name", CREDIT_BODIES)
async def test_a_bad_body_is_malformed_and_names_the_field(api: Api, name: str) -> None:
    body, field = CREDIT_BODIES[name]
    wallet = await api.new_wallet()
    answer = await api.post(f"/v1/wallets/{wallet}/credits", content=body)
    assert answer.status_code == 400
    assert problem_of(answer) == "malformed-request"
    assert [error["field"] for error in errors_of(answer)] == [field]
    assert answer.json()["outcome"] == "not_applied"
    assert answer.json()["retry"] == "never"
    await assert_nothing_was_written(api)


A = UNKNOWN_ID
B = "0190a0a0-0000-7000-8000-000000000001"
OTHER_BODIES: list[tuple[str, str, Json, str]] = [
    ("POST", "/v1/wallets", {"currency": "eur"}, "currency"),
    ("POST", "/v1/wallets", {"currency": "EU"}, "currency"),
    ("POST", "/v1/wallets", {"currency": "EUR\n"}, "currency"),
    ("POST", "/v1/wallets", {"currency": 978}, "currency"),
    ("POST", "/v1/wallets", {}, "currency"),
    ("POST", "/v1/wallets", {"currency": "EUR", "id": A.replace("-", "")}, "id"),
    ("POST", "/v1/wallets", {"currency": "EUR", "id": f"{{{A}}}"}, "id"),
    ("POST", "/v1/wallets", {"currency": "EUR", "id": A + "\n"}, "id"),
    ("POST", "/v1/wallets", {"currency": "EUR", "id": "wallet"}, "id"),
    ("POST", "/v1/wallets", {"currency": "EUR", "floor": 1}, "floor"),
    ("POST", "/v1/wallets", {"currency": "EUR", "floor": None}, "floor"),
    ("POST", "/v1/wallets", {"currency": "EUR", "floor": -AMOUNT_MAX - 1}, "floor"),
    ("POST", "/v1/wallets", {"currency": "EUR", "ceiling": -1}, "ceiling"),
    ("PATCH", f"/v1/wallets/{A}", {}, ""),
    ("PATCH", f"/v1/wallets/{A}", {"expected_version": 1}, ""),
    ("PATCH", f"/v1/wallets/{A}", {"status": None}, "status"),
    ("PATCH", f"/v1/wallets/{A}", {"status": "open"}, "status"),
    ("PATCH", f"/v1/wallets/{A}", {"floor": None}, "floor"),
    ("PATCH", f"/v1/wallets/{A}", {"metadata": None}, "metadata"),
    ("PATCH", f"/v1/wallets/{A}", {"currency": "USD"}, "currency"),
    ("POST", "/v1/transactions", {"postings": []}, "postings"),
    ("POST", "/v1/transactions", {"postings": [{"amount": 1, "source": A}] * 101}, "postings"),
    ("POST", "/v1/transactions", {"postings": [{"amount": 1}]}, "postings[0]"),
    ("POST", "/v1/transactions", {"postings": [{"amount": 1, "source": A, "destination": A}]}, "postings[0]"),
    (
        "POST",
        "/v1/transactions",
        {"postings": [{"amount": 1, "source": A}, {"amount": 0, "source": A}]},
        "postings[1].amount",
    ),
    ("POST", "/v1/transactions", {"postings": [{"amount": 1, "source": "me"}]}, "postings[0].source"),
    ("POST", "/v1/transactions", {"postings": [{"amount": 1, "source": A, "currency": "EUR"}]}, "postings[0].currency"),
    (
        "POST",
        "/v1/transactions",
        {"postings": [{"amount": 1, "source": A}], "expected_versions": {B: 1}},
        "expected_versions",
    ),
    (
        "POST",
        "/v1/transactions",
        {"postings": [{"amount": 1, "source": A}], "expected_versions": {"b": 1}},
        "expected_versions",
    ),
    (
        "POST",
        "/v1/transactions",
        {"postings": [{"amount": 1, "source": A}], "expected_versions": {A: 1, A.upper(): 1}},
        "expected_versions",
    ),
    ("POST", f"/v1/wallets/{A}/holds", {"amount": 1, "destination": A}, "destination"),
    ("POST", f"/v1/wallets/{A}/holds", {"amount": 1, "expires_in": 0}, "expires_in"),
    ("POST", f"/v1/wallets/{A}/holds", {"amount": 1, "expires_in": 31_536_001}, "expires_in"),
    ("POST", f"/v1/holds/{A}/capture", {"amount": 0}, "amount"),
    ("POST", f"/v1/holds/{A}/capture", {"final": None}, "final"),
    ("POST", f"/v1/holds/{A}/capture", {"final": 1}, "final"),
    ("POST", f"/v1/holds/{A}/release", {"amount": 1}, "amount"),
    ("POST", f"/v1/transactions/{A}/reversal", {"amount": 1}, "amount"),
]


@pytest.mark.parametrize(("method", "path", "body", "field"), OTHER_BODIES)
async def test_each_field_has_its_bounds(api: Api, method: str, path: str, body: Json, field: str) -> None:
    answer = await api.send(method, path, body, key="k")
    assert (answer.status_code, problem_of(answer)) == (400, "malformed-request"), answer.text
    assert [error["field"] for error in errors_of(answer)] == [field]
    await assert_nothing_was_written(api)


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/v1/wallets/{}/credits", "wallet-not-found"),
        ("/v1/wallets/{}/debits", "wallet-not-found"),
        ("/v1/wallets/{}/holds", "wallet-not-found"),
        ("/v1/holds/{}/capture", "hold-not-found"),
        ("/v1/transactions/{}/reversal", "transaction-not-found"),
    ],
)
@pytest.mark.parametrize(
    "id", [UNKNOWN_ID, "1", "wallet", UNKNOWN_ID.replace("-", ""), f"{{{UNKNOWN_ID}}}", f"{UNKNOWN_ID}%0A"]
)
async def test_what_is_no_id_names_nothing(api: Api, path: str, slug: str, id: str) -> None:
    body = {"amount": 1} if "wallets" in path else {}
    answer = await api.post(path.format(id), body)
    assert (answer.status_code, problem_of(answer)) == (404, slug)


async def test_an_id_is_taken_in_any_case(api: Api) -> None:
    wallet = await api.new_wallet()
    assert (await api.post(f"/v1/wallets/{wallet.upper()}/credits", {"amount": 1})).status_code == 201
    assert (await api.get(f"/v1/wallets/{wallet.upper()}")).json()["balance"] == 1


async def test_a_write_takes_no_query_parameters(api: Api) -> None:
    """A guard in the wrong place that is passed over in silence would guard nothing."""
    wallet = await api.new_wallet()
    answer = await api.post(f"/v1/wallets/{wallet}/credits?expected_version=7", {"amount": 1})
    assert [error["field"] for error in errors_of(answer)] == ["expected_version"]
