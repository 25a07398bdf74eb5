"""The writes. Each is one command: decode, carry out, answer. All of them go the same way."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import attrs
from litestar.types import HTTPScope, Receive
from msgspec import Struct

from entrypoints.http import bodies
from entrypoints.http import problem_types as types
from entrypoints.http.answers import Answer, ReplyFrom, judge, problem_answer, write_answer
from entrypoints.http.decode import checked, parse_json, shaped
from entrypoints.http.problems import Problem
from entrypoints.http.requests import BODY_BYTES_MAX, check_body, check_media_type, idempotency_key, path_id, received
from entrypoints.http.service import Service
from wallet_core.commands import Command
from wallet_core.outcomes import Outcome, Thing


@attrs.frozen
class Write:
    """One kind of write: the shape of its body, the command it asks for, and what the path names, if anything.

    ``command`` takes the body, the idempotency key, and the path's id where there is one.
    """

    body: type[Struct]
    command: Callable[..., Command]
    names: Thing | None = None
    body_optional: bool = False


WRITES: Final[Mapping[str, Write]] = {
    "openWallet": Write(bodies.OpenWalletBody, bodies.open_wallet),
    "changeWallet": Write(bodies.ChangeWalletBody, bodies.change_wallet, Thing.WALLET),
    "creditWallet": Write(bodies.AmountBody, bodies.credit_wallet, Thing.WALLET),
    "debitWallet": Write(bodies.AmountBody, bodies.debit_wallet, Thing.WALLET),
    "postTransaction": Write(bodies.PostBody, bodies.post),
    "reverseTransaction": Write(bodies.ReversalBody, bodies.reverse, Thing.TRANSACTION, body_optional=True),
    "placeHold": Write(bodies.HoldBody, bodies.place_hold, Thing.WALLET),
    "captureHold": Write(bodies.CaptureBody, bodies.capture_hold, Thing.HOLD, body_optional=True),
    "releaseHold": Write(bodies.ReleaseBody, bodies.release_hold, Thing.HOLD, body_optional=True),
}
"""By operation id."""


async def write(write: Write, service: Service, tenant: UUID, scope: HTTPScope, receive: Receive) -> Answer:
    """Carry out one write. Raises ``Refused``."""
    data = await received(scope, receive, BODY_BYTES_MAX, service.timeout_s)
    (outcome,) = await service.execute(tenant, (_command(write, scope, data),))
    return write_answer(judge(outcome), scope)


def begin(write: Write, service: Service, tenant: UUID, scope: HTTPScope, data: bytes, reply: ReplyFrom) -> None:
    """The same with a body that is there, without waiting for anything. ``reply`` gets what makes the answer, once
    there is one, and raises what a bug in the ledger raised. Raises ``Refused``."""
    check_media_type(scope)
    check_body(scope, data)

    def told(work: "asyncio.Future[Sequence[Outcome]] | None") -> None:
        def answer() -> Answer:
            if work is None:
                return problem_answer(Problem(types.OUTCOME_UNKNOWN), scope)
            (outcome,) = work.result()
            return write_answer(judge(outcome), scope)

        reply(answer)

    service.begin(tenant, _command(write, scope, data), told)


def _command(write: Write, scope: HTTPScope, data: bytes) -> Command:
    key = idempotency_key(scope)
    body = shaped({} if write.body_optional and not data else parse_json(data), write.body)
    named = () if write.names is None else (path_id(scope, write.names),)
    return checked(lambda: write.command(body, key, *named))
