"""The canonical bytes a second time, written from their specification and not from the code: canonical JSON by
RFC 8785, the intent of each command, the digest of a transaction, the hash of an entry.

It takes nothing from ``wallet_core.canonical``, so that the two can only agree by both being right.
"""

import hashlib
from datetime import UTC, datetime

from wallet_core.commands import CaptureHold, ChangeWallet, Command, OpenWallet, PlaceHold, Post, ReleaseHold, Reverse
from wallet_core.model import Entry, Transaction

Json = str | int | bool | None | list["Json"] | dict[str, "Json"]

_SHORT_ESCAPES = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def jcs(value: Json) -> str:
    """JSON by RFC 8785, section 3.2; of the numbers only integers, which the ledger confines itself to."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return '"' + "".join(_escaped(character) for character in value) + '"'
        case list():
            return "[" + ",".join(jcs(item) for item in value) + "]"
        case dict():
            return "{" + ",".join(f"{jcs(name)}:{jcs(value[name])}" for name in sorted(value, key=_utf16)) + "}"


def _escaped(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    return f"\\u{ord(character):04x}" if ord(character) < 0x20 else character


def _utf16(name: str) -> list[int]:
    """The code units by RFC 2781, section 2.1: two for a character beyond the basic plane."""
    units: list[int] = []
    for character in name:
        code = ord(character)
        if code < 0x10000:
            units.append(code)
        else:
            units += [0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF)]
    return units


def _id(id: object) -> str | None:
    return None if id is None else str(id)


def intent(command: Command) -> str:
    """What a command asks for, without its key and without the versions that it expects."""
    members: dict[str, Json]
    match command:
        case OpenWallet():
            members = {"kind": "open", "id": _id(command.id), "currency": command.currency}
            members |= {"floor": command.floor, "ceiling": command.ceiling, "metadata": dict(command.metadata)}
        case Post():
            postings: list[Json] = [
                {"source": _id(posting.source), "destination": _id(posting.destination), "amount": posting.amount}
                for posting in command.postings
            ]
            members = {"kind": "post", "postings": postings, "metadata": dict(command.metadata)}
        case PlaceHold():
            members = {"kind": "hold", "wallet": str(command.wallet_id), "amount": command.amount}
            members |= {"destination": _id(command.destination), "expires_in": command.expires_in_s}
            members |= {"metadata": dict(command.metadata)}
        case CaptureHold():
            members = {"kind": "capture", "hold": str(command.hold_id)}
            members |= {"amount": command.amount, "final": command.final}
        case ReleaseHold():
            members = {"kind": "release", "hold": str(command.hold_id)}
        case Reverse():
            members = {"kind": "reversal", "transaction": str(command.transaction_id)}
            members |= {"metadata": dict(command.metadata)}
        case ChangeWallet():
            members = {"kind": "change", "wallet": str(command.wallet_id)}
            if command.status is not None:
                members["status"] = command.status.value
            if command.floor is not None:
                members["floor"] = command.floor
            if command.ceiling is not None:
                members["ceiling"] = command.ceiling.ceiling
            if command.metadata is not None:
                members["metadata"] = dict(command.metadata)
        case _:
            raise TypeError(f"{command} has no intent")
    return jcs(members)


def time(moment: datetime) -> str:
    """RFC 3339, in UTC, with six digits of a second."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}Z"


def result(transaction: Transaction) -> str:
    """What an applied command came to."""
    entries: list[Json] = [[str(entry.wallet_id), entry.version] for entry in transaction.entries]
    postings: list[Json] = [
        {
            "source": _id(move.source),
            "destination": _id(move.destination),
            "amount": move.amount,
            "currency": move.currency,
        }
        for move in transaction.moves
    ]
    members: dict[str, Json] = {"entries": entries, "postings": postings}
    if transaction.hold is not None:
        hold = transaction.hold
        members["hold"] = {
            "id": str(hold.id),
            "wallet_id": str(hold.wallet_id),
            "destination": _id(hold.destination),
            "amount": hold.amount,
            "captured": hold.captured,
            "status": hold.status.value,
            "expires_at": None if hold.expires_at is None else time(hold.expires_at),
            "created_at": time(hold.created_at),
        }
    return jcs(members)


def digest(transaction: Transaction) -> bytes:
    """SHA-256 over the lines of a transaction."""
    lines = [
        "wallet transaction 1",
        str(transaction.id),
        transaction.key,
        transaction.kind.value,
        time(transaction.created_at),
        transaction.intent,
        result(transaction),
    ]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).digest()


def entry_hash(previous: bytes, entry: Entry, digest: bytes) -> bytes:
    """SHA-256 over the lines of an entry."""
    numbers = (entry.version, entry.change, entry.held_change, entry.balance_after, entry.held_after)
    lines = ["wallet entry 1", previous.hex(), str(entry.wallet_id), *map(str, numbers), digest.hex()]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).digest()
