"""Keys, media types and sizes that are refused, and in which order faults are told."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.api import UNKNOWN_ID, Api, problem_of, running_api
from tests.http.test_bad_input import assert_nothing_was_written, errors_of


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256, "a\tb", '"x', '"ä"', "a\x7f"])
async def test_a_bad_key_is_refused(api: Api, key: str) -> None:
    headers = [(b"idempotency-key", key.encode()), (b"authorization", b"Bearer all")]
    answer = await api.client.post("/v1/wallets", json={"currency": "EUR"}, headers=headers)
    assert problem_of(answer) == "idempotency-key-invalid"
    assert errors_of(answer)[0]["field"] == "Idempotency-Key"
    await assert_nothing_was_written(api)


async def test_a_key_is_sent_exactly_once(api: Api) -> None:
    headers = [("idempotency-key", "a"), ("idempotency-key", "a"), ("authorization", "Bearer all")]
    twice = await api.client.post("/v1/wallets", json={"currency": "EUR"}, headers=headers)
    assert problem_of(twice) == "idempotency-key-invalid"
    never = await api.send("POST", "/v1/wallets", {"currency": "EUR"})
    assert problem_of(never) == "idempotency-key-missing"


@pytest.mark.parametrize("key", ["x" * 255, "!", "~", "%41", "a,b;c=d"])
async def test_any_visible_ascii_is_a_key(api: Api, key: str) -> None:
    answer = await api.send("POST", "/v1/wallets", {"currency": "EUR"}, key=key)
    assert answer.status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/jsonp"},
        {"content-type": ""},
        {"content-encoding": "gzip"},
        {"content-encoding": "identity, br"},
    ],
)
async def test_a_body_that_is_no_plain_json_is_refused(api: Api, headers: dict[str, str]) -> None:
    answer = await api.send("POST", "/v1/wallets", {"currency": "EUR"}, key="k", headers=headers)
    assert (answer.status_code, problem_of(answer)) == (415, "unsupported-media-type")
    await assert_nothing_was_written(api)


async def test_a_body_without_a_media_type_is_refused(api: Api) -> None:
    headers = {"authorization": "Bearer all", "idempotency-key": "k"}
    answer = await api.client.post("/v1/wallets", content=b'{"currency": "EUR"}', headers=headers)
    assert problem_of(answer) == "unsupported-media-type"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
async def test_plain_json_is_taken_however_it_is_spelt(api: Api, content_type: str) -> None:
    headers = {"content-type": content_type, "content-encoding": "identity"}
    assert (await api.post("/v1/wallets", {"currency": "EUR"}, headers=headers)).status_code == 201


@pytest.mark.parametrize(("path", "bytes_max"), [("/v1/wallets", 16 * 1024), ("/v1/batches", 1024 * 1024)])
@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_is_as_long_as_it_may_be_and_no_longer(
    api: Api, path: str, bytes_max: int, declared: bool
) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // 1024):
            yield b" " * 1024
        yield b" " * (size % 1024)

    async def send(size: int) -> httpx.Response:
        headers = {"authorization": "Bearer all", "idempotency-key": "k", "content-type": "application/json"}
        content = b" " * size if declared else chunks(size)
        return await api.client.post(path, content=content, headers=headers)

    assert problem_of(await send(bytes_max)) == "malformed-request"
    too_large = await send(bytes_max + 1)
    assert (too_large.status_code, problem_of(too_large)) == (413, "payload-too-large")
    assert too_large.json()["bytes_max"] == bytes_max


async def test_a_body_that_never_comes_is_not_waited_for(api: Api) -> None:
    async with running_api(timeout_s=0.05) as impatient:

        async def stalled() -> AsyncIterator[bytes]:
            yield b'{"currency": '
            await asyncio.sleep(30)
            yield b'"EUR"}'

        headers = {"authorization": "Bearer all", "idempotency-key": "k", "content-type": "application/json"}
        answer = await impatient.client.post("/v1/wallets", content=stalled(), headers=headers)
        assert problem_of(answer) == "malformed-request"


async def test_what_is_wrong_first_is_told_first(api: Api) -> None:
    """Route, method, key, scope, media type, size, idempotency key, body: in this order."""
    path = f"/v1/wallets/{UNKNOWN_ID}/credits"
    text = {"content-type": "text/plain"}
    big, bad = b" " * 20_000, b"{"
    answers = [
        await api.send("POST", "/v1/nowhere", content=big, headers=text, api_key=None),
        await api.send("PUT", path, content=big, headers=text, api_key=None),
        await api.send("POST", path, content=big, headers=text, api_key=None),
        await api.send("POST", path, content=big, headers=text, api_key="reader"),
        await api.send("POST", path, content=big, headers=text),
        await api.send("POST", path, content=big),
        await api.send("POST", path, content=bad),
        await api.send("POST", path, content=bad, key="k"),
        await api.send("POST", path, content=b'{"amount": 1}', key="k"),
    ]
    assert [problem_of(answer) for answer in answers] == [
        "not-found",
        "method-not-allowed",
        "unauthenticated",
        "forbidden",
        "unsupported-media-type",
        "payload-too-large",
        "idempotency-key-missing",
        "malformed-request",
        "wallet-not-found",
    ]
