"""From commands to requests. What is sent of a command is exactly its intent and its guards, so that the service makes
the same command of it."""

from collections.abc import Sequence
from typing import Any, Final, assert_never
from uuid import UUID

from adapters.http_client_wire import BATCH_PATH, Request
from wallet_core.commands import (
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    OpenWallet,
    PlaceHold,
    Post,
    ReleaseHold,
    Reverse,
)
from wallet_core.model import Metadata, Posting

BODY_BYTES_MAX: Final = 16 * 1024
BATCH_BODY_BYTES_MAX: Final = 1024 * 1024
BATCH_COMMANDS_MAX: Final = 1000
BATCH_ENVELOPE_BYTES: Final = len('{"commands":[]}')

Body = dict[str, Any]


def portions(commands: Sequence[Command]) -> list[list[Command]]:
    """The commands in order, parted into what goes into one request each.

    A batch takes what posts, holds, captures, releases and reverses. Opening, changing and fencing have no place in
    one, so each is a request of its own.
    """
    parts: list[list[Command]] = []
    size = BATCH_BODY_BYTES_MAX
    for command in commands:
        if isinstance(command, OpenWallet | ChangeWallet | FenceKey):
            parts.append([command])
            size = BATCH_BODY_BYTES_MAX
            continue
        member_bytes = len(Request("POST", BATCH_PATH, _batch_member(command)).content() or b"") + 1
        if size + member_bytes > BATCH_BODY_BYTES_MAX or len(parts[-1]) == BATCH_COMMANDS_MAX:
            parts.append([])
            size = BATCH_ENVELOPE_BYTES
        parts[-1].append(command)
        size += member_bytes
    return parts


def request_of(commands: Sequence[Command]) -> Request:
    """The request for one of the ``portions``."""
    if len(commands) == 1:
        (command,) = commands
        single = _single(command)
        # A batch has room for what is valid and yet too long for a request of its own: a hundred postings are.
        if len(single.content() or b"") <= BODY_BYTES_MAX or isinstance(command, OpenWallet | ChangeWallet | FenceKey):
            return single
    return Request("POST", BATCH_PATH, {"commands": [_batch_member(command) for command in commands]})


def _single(command: Command) -> Request:
    match command:
        case OpenWallet():
            return Request("POST", "/v1/wallets", _opening(command), command.key)
        case ChangeWallet():
            return Request("PATCH", f"/v1/wallets/{command.wallet_id}", _change(command), command.key)
        case Post():
            path, body = _post(command)
            return Request("POST", path, body, command.key)
        case PlaceHold():
            return Request("POST", f"/v1/wallets/{command.wallet_id}/holds", _hold(command), command.key)
        case CaptureHold():
            return Request("POST", f"/v1/holds/{command.hold_id}/capture", _capture(command), command.key)
        case ReleaseHold():
            return Request("POST", f"/v1/holds/{command.hold_id}/release", {}, command.key)
        case Reverse():
            path = f"/v1/transactions/{command.transaction_id}/reversal"
            return Request("POST", path, _metadata(command.metadata), command.key)
        case FenceKey():
            return Request("POST", "/v1/fences", {"key": command.key})
        case _:
            assert_never(command)


def _batch_member(command: Command) -> Body:
    match command:
        case Post():
            type_, body = "post", _postings(command)
        case PlaceHold():
            type_, body = "hold", {"wallet_id": str(command.wallet_id), **_hold(command)}
        case CaptureHold():
            type_, body = "capture", {"hold_id": str(command.hold_id), **_capture(command)}
        case ReleaseHold():
            type_, body = "release", {"hold_id": str(command.hold_id)}
        case Reverse():
            body = {"transaction_id": str(command.transaction_id), **_metadata(command.metadata)}
            type_ = "reversal"
        case OpenWallet() | ChangeWallet() | FenceKey():
            raise ValueError(f"a batch takes no {type(command).__name__}")
        case _:
            assert_never(command)
    return {"type": type_, "idempotency_key": command.key, **body}


def _opening(command: OpenWallet) -> Body:
    return {
        "currency": command.currency,
        **_given(id=_text(command.id), ceiling=command.ceiling),
        "floor": command.floor,
        **_metadata(command.metadata),
    }


def _change(command: ChangeWallet) -> Body:
    body = _given(
        status=None if command.status is None else command.status.value,
        floor=command.floor,
        metadata=None if command.metadata is None else dict(command.metadata),
        expected_version=command.expected_version,
    )
    # Null takes a ceiling away, and absence leaves it alone.
    return body if command.ceiling is None else {**body, "ceiling": command.ceiling.ceiling}


def _post(command: Post) -> tuple[str, Body]:
    """A credit and a debit have paths of their own, and mean the same as the posting that they are."""
    match command.postings:
        case [Posting(source=None, destination=UUID() as wallet_id, amount=amount)]:
            kind = "credits"
        case [Posting(source=UUID() as wallet_id, destination=None, amount=amount)]:
            kind = "debits"
        case _:
            return "/v1/transactions", _postings(command)
    guard = _given(expected_version=command.expected_versions.get(wallet_id))
    return f"/v1/wallets/{wallet_id}/{kind}", {"amount": amount, **guard, **_metadata(command.metadata)}


def _postings(command: Post) -> Body:
    postings = [
        {"source": _text(posting.source), "destination": _text(posting.destination), "amount": posting.amount}
        for posting in command.postings
    ]
    guards = {str(id): version for id, version in command.expected_versions.items()}
    return {"postings": postings, **_given(expected_versions=guards or None), **_metadata(command.metadata)}


def _hold(command: PlaceHold) -> Body:
    return {
        "amount": command.amount,
        **_given(
            destination=_text(command.destination),
            expires_in=command.expires_in_s,
            expected_version=command.expected_version,
        ),
        **_metadata(command.metadata),
    }


def _capture(command: CaptureHold) -> Body:
    return {**_given(amount=command.amount), "final": command.final}


def _metadata(metadata: Metadata) -> Body:
    return {"metadata": dict(metadata)} if metadata else {}


def _given(**members: Any) -> Body:
    return {name: value for name, value in members.items() if value is not None}


def _text(id: UUID | None) -> str | None:
    return None if id is None else str(id)
