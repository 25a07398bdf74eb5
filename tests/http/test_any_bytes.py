"""Bytes that are no JSON, or hardly, are answered like any other mistake. What JSON may hold, tests/fuzz tries."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrypoints.http.operation import Operation
from entrypoints.http.operations import OPERATIONS
from tests.http.api import UNKNOWN_ID, Api, running_api

WRITES: Final = [operation for operation in OPERATIONS if operation.body is not None]


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[asyncio.AbstractEventLoop, Api]]:
    """One service for all examples, and the loop that it lives in: making it takes longer than asking it."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        running = runner.run(stack.enter_async_context(running_api()))
        yield runner.get_loop(), running
        runner.run(stack.aclose())


@pytest.mark.parametrize("operation", WRITES, ids=lambda operation: operation.id)
@settings(max_examples=30)
@given(
    content=st.binary(max_size=60)
    | st.text(alphabet='{}[]":,0123456789.eE-+truefalsn \\u', max_size=60).map(str.encode)
)
def test_any_bytes_are_answered(
    api: tuple[asyncio.AbstractEventLoop, Api], operation: Operation, content: bytes
) -> None:
    loop, client = api
    path = operation.path.replace("{id}", UNKNOWN_ID)
    # The client of the tests checks the answer against the document.
    answer = loop.run_until_complete(
        client.send(operation.method, path, content=content, key=client.new_key() if operation.keyed else None)
    )
    # Where no body is needed, ``{}`` may come about by chance: nothing is there that could be written to.
    assert answer.status_code in ((400,) if operation.body_required else (400, 404))


def test_nothing_was_written(api: tuple[asyncio.AbstractEventLoop, Api]) -> None:
    loop, client = api
    assert loop.run_until_complete(client.get("/v1/transactions")).json()["items"] == []
