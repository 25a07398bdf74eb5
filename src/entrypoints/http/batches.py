"""Batches and fences: writes whose idempotency keys are in the body."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final, cast, get_args
from uuid import UUID

from litestar.types import HTTPScope, Receive
from msgspec import Meta, Struct

from entrypoints.http import bodies, shapes
from entrypoints.http.answers import (
    JSON,
    NOT_REPLAYED,
    REPLAYED,
    Answer,
    Judgement,
    decided,
    judge,
    path_of,
    success_status,
    write_answer,
)
from entrypoints.http.bodies import Id, Key
from entrypoints.http.decode import as_uuid, checked, parse_json, shaped
from entrypoints.http.problems import Problem, Refused, malformed
from entrypoints.http.requests import BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, received
from entrypoints.http.service import Service
from wallet_core.checks import InvalidCommand
from wallet_core.commands import Command, FenceKey
from wallet_core.outcomes import DatabaseUnavailable, Fenced, Overloaded, Replayed, Unknown

COMMANDS_MAX: Final = 1000

STEP_COMMANDS_MAX: Final = 100
"""How many commands are read, or answered, in one go. Between two steps other requests and the database are heard."""

BEFALLS_ALL: Final = (Overloaded, DatabaseUnavailable, Unknown)
"""What befalls the commands of a request all alike, and is therefore the answer to the request."""


class CreditCommand(bodies.AmountBody, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="credit"):
    """As ``POST /v1/wallets/{id}/credits``."""

    idempotency_key: Key
    wallet_id: Id


class DebitCommand(bodies.AmountBody, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="debit"):
    """As ``POST /v1/wallets/{id}/debits``."""

    idempotency_key: Key
    wallet_id: Id


class PostCommand(bodies.PostBody, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="post"):
    """As ``POST /v1/transactions``."""

    idempotency_key: Key


class HoldCommand(bodies.HoldBody, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="hold"):
    """As ``POST /v1/wallets/{id}/holds``."""

    idempotency_key: Key
    wallet_id: Id


class CaptureCommand(bodies.CaptureBody, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="capture"):
    """As ``POST /v1/holds/{id}/capture``."""

    idempotency_key: Key
    hold_id: Id


class ReleaseCommand(bodies.ReleaseBody, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="release"):
    """As ``POST /v1/holds/{id}/release``."""

    idempotency_key: Key
    hold_id: Id


class ReversalCommand(bodies.ReversalBody, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag="reversal"):
    """As ``POST /v1/transactions/{id}/reversal``."""

    idempotency_key: Key
    transaction_id: Id


BatchCommand = (
    CreditCommand | DebitCommand | PostCommand | HoldCommand | CaptureCommand | ReleaseCommand | ReversalCommand
)


_SHAPES: Final[Mapping[str, type[BatchCommand]]] = {
    str(shape.__struct_config__.tag): shape for shape in get_args(BatchCommand)
}


class BatchBody(Struct, forbid_unknown_fields=True):
    """Commands that are decided in order, each on its own."""

    commands: Annotated[list[BatchCommand], Meta(min_length=1, max_length=COMMANDS_MAX)]


class _Envelope(Struct, forbid_unknown_fields=True):
    """A batch whose commands are not looked at yet: one that is malformed must not take the others down."""

    commands: Annotated[list[Any], Meta(min_length=1, max_length=COMMANDS_MAX)]


async def run_batch(service: Service, tenant: UUID, scope: HTTPScope, receive: Receive) -> Answer:
    """Carry out the commands of a batch, in one go. Raises ``Refused``."""
    data = await received(scope, receive, BATCH_BODY_BYTES_MAX, service.timeout_s)
    documents = shaped(parse_json(data), _Envelope).commands
    service.charge(scope, len(documents) - 1)
    judgements: list[Judgement | None] = []
    commands: list[Command] = []
    for number, document in enumerate(documents, 1):
        if number % STEP_COMMANDS_MAX == 0:
            await asyncio.sleep(0)
        try:
            commands.append(_command(document))
            judgements.append(None)
        except Refused as refused:
            judgements.append(Judgement(refused.problem))
    outcomes = await service.execute(tenant, commands) if commands else ()
    for outcome in outcomes:
        if isinstance(outcome, BEFALLS_ALL):
            return write_answer(judge(outcome), scope)
    judged = map(judge, outcomes)
    path = path_of(scope)
    results: list[shapes.BatchResult] = []
    for number, judgement in enumerate(judgements, 1):
        if number % STEP_COMMANDS_MAX == 0:
            await asyncio.sleep(0)
        results.append(_result(judgement or next(judged), path))
    replayed = REPLAYED if all(result.replayed for result in results) else NOT_REPLAYED
    return Answer(200, (JSON, replayed), shapes.encode(shapes.BatchResults(results)))


async def fence(service: Service, tenant: UUID, scope: HTTPScope, receive: Receive) -> Answer:
    """Make sure that nothing more can happen under a key, and tell what did. Raises ``Refused``."""
    data = await received(scope, receive, BODY_BYTES_MAX, service.timeout_s)
    body = shaped(parse_json(data), bodies.FenceBody)
    try:
        command = FenceKey(body.key)
    except InvalidCommand as invalid:
        raise malformed("key", invalid.message) from None
    (outcome,) = await service.execute(tenant, (command,))
    match outcome:
        case Fenced(decision) | Replayed(decision):
            return Answer(200, (JSON, NOT_REPLAYED), shapes.encode(decided(body.key, decision, path_of(scope))))
        case _:
            return write_answer(judge(outcome), scope)


def _command(document: object) -> Command:
    """The command that one member of a batch asks for. Raises ``Refused``."""
    return checked(lambda: _made(shaped(document, _shape_of(document))))


def _shape_of(document: object) -> type[BatchCommand]:
    """The shape that the document says it has; for one that says nothing of the kind, all of them, which tells why.

    The validator keeps what it finds out about a class, and finds it out again each time for a union: in 15 µs.
    """
    tag = document.get("type") if isinstance(document, dict) else None
    shape = _SHAPES.get(tag) if isinstance(tag, str) else None
    return cast("type[BatchCommand]", BatchCommand) if shape is None else shape


def _made(item: BatchCommand) -> Command:
    key = item.idempotency_key
    match item:
        case CreditCommand():
            return bodies.credit_wallet(item, key, as_uuid(item.wallet_id))
        case DebitCommand():
            return bodies.debit_wallet(item, key, as_uuid(item.wallet_id))
        case PostCommand():
            return bodies.post(item, key)
        case HoldCommand():
            return bodies.place_hold(item, key, as_uuid(item.wallet_id))
        case CaptureCommand():
            return bodies.capture_hold(item, key, as_uuid(item.hold_id))
        case ReleaseCommand():
            return bodies.release_hold(item, key, as_uuid(item.hold_id))
        case ReversalCommand():
            return bodies.reverse(item, key, as_uuid(item.transaction_id))


def _result(judgement: Judgement, path: str) -> shapes.BatchResult:
    result = judgement.result
    if isinstance(result, Problem):
        return shapes.BatchResult(result.type.status, judgement.replayed, problem=result.json_members(path))
    return shapes.BatchResult(success_status(result.kind), judgement.replayed, transaction=shapes.transaction(result))
