"""An answer in one piece has the bytes that uvicorn would have sent in several."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from entrypoints.http.cycle import OneWrite

LENGTH = (b"content-length", b"4")
BODY = {"type": "http.response.body", "body": b"body"}


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def start(*headers: tuple[bytes, bytes], status: int = 201) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


async def sent(
    kind: type[RequestResponseCycle],
    messages: Sequence[dict[str, Any]],
    method: str = "POST",
    *,
    keep_alive: bool = True,
    disconnected: bool = False,
) -> tuple[Wire, RequestResponseCycle, int]:
    """What goes over the wire for these messages, and how often the protocol is told that the answer is complete."""
    wire: Any = Wire()
    completed: list[None] = []
    scope: Any = {"type": "http", "method": method}
    cycle = kind(
        scope,
        wire,
        FlowControl(wire),
        logging.getLogger(),
        logging.getLogger(),
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: completed.append(None),
    )
    cycle.disconnected = disconnected
    for message in messages:
        await cycle.send(dict(message))  # type: ignore[arg-type] # as an application sends it
    return wire, cycle, len(completed)


ANSWERS: dict[str, tuple[Sequence[dict[str, Any]], dict[str, Any]]] = {
    "whole": ([start(LENGTH, (b"x-a", b"b")), BODY], {}),
    "empty": ([start((b"content-length", b"0")), {"type": "http.response.body"}], {}),
    "no length": ([start(), BODY], {}),
    "not modified": ([start(status=304), {"type": "http.response.body", "body": b""}], {}),
    "in pieces": ([start(LENGTH), {**BODY, "body": b"bo", "more_body": True}, {**BODY, "body": b"dy"}], {}),
    "chunked": ([start((b"transfer-encoding", b"chunked")), BODY], {}),
    "closing": ([start(LENGTH, (b"connection", b"close")), BODY], {}),
    "HEAD": ([start(LENGTH), {**BODY, "body": b""}], {"method": "HEAD"}),
    "not kept alive": ([start(LENGTH), BODY], {"keep_alive": False}),
    "gone": ([start(LENGTH), BODY], {"disconnected": True}),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_bytes_are_uvicorns(name: str) -> None:
    messages, options = ANSWERS[name]
    ours, cycle, completed = await sent(OneWrite, messages, **options)
    theirs, other, other_completed = await sent(RequestResponseCycle, messages, **options)
    assert b"".join(ours.writes) == b"".join(theirs.writes)
    assert (ours.closed, completed) == (theirs.closed, other_completed)
    assert cycle.response_complete == other.response_complete
    assert cycle.message_event.is_set() == other.message_event.is_set()


@pytest.mark.parametrize("name", ["whole", "empty"])
async def test_a_whole_answer_is_written_at_once(name: str) -> None:
    wire, cycle, completed = await sent(OneWrite, ANSWERS[name][0])
    assert (len(wire.writes), completed, cycle.response_started) == (1, 1, True)


@pytest.mark.parametrize(
    "messages",
    [
        [start((b"content-length", b"3")), BODY],
        [start((b"content-length", b"5")), BODY],
        [start(LENGTH), start(LENGTH)],
        [BODY],
        [start(LENGTH), BODY, BODY],
    ],
)
async def test_what_is_no_answer_is_refused_as_uvicorn_refuses_it(messages: Sequence[dict[str, Any]]) -> None:
    with pytest.raises(RuntimeError) as ours:
        await sent(OneWrite, messages)
    with pytest.raises(RuntimeError) as theirs:
        await sent(RequestResponseCycle, messages)
    assert str(ours.value) == str(theirs.value)


async def test_a_second_answer_is_never_written() -> None:
    """It would be taken for that to the next request."""
    wire, cycle, _ = await sent(OneWrite, ANSWERS["whole"][0])
    assert isinstance(cycle, OneWrite)
    assert not cycle.answer(201, (), [LENGTH], b"body")
    assert len(wire.writes) == 1
