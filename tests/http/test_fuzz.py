"""Whatever is sent, the answer is one that the document knows, and never a failure of the service."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrypoints.http.operation import Operation
from entrypoints.http.operations import OPERATIONS
from tests.http.api import UNKNOWN_ID, Api, Json, running_api
from wallet_core.model import Kind

NAMES: Final = (
    "amount",
    "ceiling",
    "commands",
    "currency",
    "destination",
    "expected_version",
    "expected_versions",
    "expires_in",
    "final",
    "floor",
    "hold_id",
    "id",
    "idempotency_key",
    "key",
    "metadata",
    "postings",
    "source",
    "status",
    "transaction_id",
    "type",
    "wallet_id",
)
VALUES: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from([UNKNOWN_ID, "EUR", "active", "closed", "credit", "post", "hold", "release", "reversal", "k"]),
)
DOCUMENTS: Final = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner),
    max_leaves=12,
)
WRITES: Final = [operation for operation in OPERATIONS if operation.body is not None]
READS: Final = [operation for operation in OPERATIONS if operation.body is None]
HARMLESS: Final = {"openWallet", "runBatch", "fenceKey"}
"""What may succeed on a ledger in which nothing is that could be written to."""


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[asyncio.AbstractEventLoop, Api]]:
    """One service for all examples, and the loop that it lives in: making it takes longer than asking it."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        running = runner.run(stack.enter_async_context(running_api()))
        yield runner.get_loop(), running
        runner.run(stack.aclose())


Running = tuple[asyncio.AbstractEventLoop, Api]


def send(api: Running, operation: Operation, content: bytes, id: str = UNKNOWN_ID) -> int:
    """Send a body. The client of the tests checks the answer against the document."""
    loop, client = api
    path = operation.path.replace("{id}", id)
    answer = loop.run_until_complete(
        client.send(operation.method, path, content=content, key=client.new_key() if operation.keyed else None)
    )
    return answer.status_code


@pytest.mark.parametrize("operation", WRITES, ids=lambda operation: operation.id)
@settings(max_examples=60)
@given(document=DOCUMENTS | st.dictionaries(st.sampled_from(NAMES), DOCUMENTS))
def test_any_document_is_answered(api: Running, operation: Operation, document: Json) -> None:
    status = send(api, operation, json.dumps(document).encode())
    assert status < 500
    assert status >= 400 or operation.id in HARMLESS


@pytest.mark.parametrize("operation", WRITES, ids=lambda operation: operation.id)
@settings(max_examples=30)
@given(
    content=st.binary(max_size=60)
    | st.text(alphabet='{}[]":,0123456789.eE-+truefalsn \\u', max_size=60).map(str.encode)
)
def test_any_bytes_are_answered(api: Running, operation: Operation, content: bytes) -> None:
    assert 400 <= send(api, operation, content) < 500 or operation.id in HARMLESS or not content


@pytest.mark.parametrize("operation", READS, ids=lambda operation: operation.id)
@settings(max_examples=60)
@given(
    parameters=st.dictionaries(
        st.sampled_from(["limit", "cursor", "version", "at", "kind", "status", "currency", "wallet_id", "key"])
        | st.text(max_size=5),
        st.text(max_size=30) | st.integers(-1, 600).map(str) | st.datetimes().map(lambda time: f"{time.isoformat()}Z"),
        max_size=3,
    )
)
def test_any_question_is_answered(api: Running, operation: Operation, parameters: dict[str, str]) -> None:
    loop, client = api
    path = operation.path.replace("{id}", UNKNOWN_ID)
    encoded = str(client.client.build_request("GET", path, params=parameters).url.raw_path, "ascii")
    answer = loop.run_until_complete(client.get(encoded))
    assert answer.status_code < 500


def test_nothing_was_moved(api: Running) -> None:
    loop, client = api
    page = loop.run_until_complete(client.get("/v1/transactions?limit=500")).json()
    assert {transaction["kind"] for transaction in page["items"]} <= {Kind.OPEN.value}
