"""What the service tells, as objects of the core's model.

The API does not tell everything that the ledger keeps. What it leaves out has, in these objects, a value that no real
one has, so that it cannot be mistaken for one:

- ``Transaction.intent`` is known only to whoever sent the command. In an answer to a command it is that command's
  (an answer is given only to the same intent); read or learned by a fence it is empty.
- ``Wallet.head`` is empty. The hash of a wallet's last entry is in ``entries``.
- ``Rejection`` has the id ``UNTOLD_ID`` and the time ``UNTOLD_TIME``; where no command was sent, its intent is empty
  and its kind is ``UNTOLD_KIND``, which equals no kind.
- ``Fence`` has its key, ``UNTOLD_ID`` and ``UNTOLD_TIME``.
- The transaction that opened a wallet has ``UNTOLD_ID`` and an empty hash in an answer to ``OpenWallet`` itself, which
  is the wallet. ``HttpLedger`` asks for it, so it is like that only if that failed.

All else is told, and equal to what the ledger has: ``as_told`` leaves out of a transaction what is not.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import attrs

from adapters.http_client_wire import Members, Problem
from wallet_core.commands import OpenWallet
from wallet_core.model import (
    Decision,
    Entry,
    Fence,
    Hold,
    HoldStatus,
    Kind,
    Move,
    Reason,
    Rejection,
    Transaction,
    Wallet,
    WalletStatus,
)
from wallet_core.money import Currency
from wallet_core.ports import EntryRecord, PastWallet

UNTOLD_ID: Final = UUID(int=0)
UNTOLD_TIME: Final = datetime.min.replace(tzinfo=UTC)
UNTOLD_INTENT: Final = ""
UNTOLD_HASH: Final = b""
UNTOLD_KIND: Final = cast(Kind, "")
"""Not one of the kinds; ``Rejection`` has no other way to say so."""

REASONS: Final = frozenset(Reason)

_RENAMED: Final = {"hold_status": "status", "wallet_status": "status"}
"""RFC 9457 has taken ``status``, so a problem calls those of holds and wallets by other names."""

T = TypeVar("T")


class Unreadable(Exception):
    """What the service told is not what the API has it tell."""


@attrs.frozen
class CheckOutcome:
    """How one check of a wallet's history came out. ``detail``: ``holds``, or what does not, and where first."""

    name: str
    ok: bool
    detail: str


@attrs.frozen
class Verification:
    """Whether a wallet's whole history holds. ``head_hash``, in hex, is the hash of its last entry."""

    ok: bool
    entries: int
    head_hash: str
    checks: tuple[CheckOutcome, ...]


def read(make: Callable[[Members], T], members: Members) -> T:
    """What the members say, as ``make`` has it. Raises ``Unreadable``."""
    try:
        return make(members)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def as_told(transaction: Transaction) -> Transaction:
    """The transaction as the API tells it."""
    return attrs.evolve(transaction, intent=UNTOLD_INTENT)


def transaction(members: Members, intent: str = UNTOLD_INTENT) -> Transaction:
    """A transaction; ``intent`` is that of the command it answers, if it answers one."""
    held = members["hold"]
    return Transaction(
        UUID(members["id"]),
        Kind(members["kind"]),
        _text(members["idempotency_key"]),
        intent,
        tuple(_move(posting) for posting in members["postings"]),
        tuple(entry(each) for each in members["entries"]),
        None if held is None else hold(held),
        _optional_id(members["reverses"]),
        _metadata(members["metadata"]),
        _time(members["created_at"]),
    )


def entry(members: Members) -> Entry:
    """An entry."""
    return Entry(
        UUID(members["wallet_id"]),
        _integer(members["version"]),
        _integer(members["change"]),
        _integer(members["held_change"]),
        _integer(members["balance_after"]),
        _integer(members["held_after"]),
        bytes.fromhex(members["hash"]),
    )


def entry_record(members: Members) -> EntryRecord:
    """An entry in the list of its wallet's."""
    return EntryRecord(
        entry(members), UUID(members["transaction_id"]), Kind(members["kind"]), _time(members["created_at"])
    )


def hold(members: Members) -> Hold:
    """A hold."""
    expires_at = members["expires_at"]
    return Hold(
        UUID(members["id"]),
        UUID(members["wallet_id"]),
        _optional_id(members["destination"]),
        _integer(members["amount"]),
        _integer(members["captured"]),
        HoldStatus(members["status"]),
        None if expires_at is None else _time(expires_at),
        _time(members["created_at"]),
    )


def wallet(members: Members) -> Wallet:
    """A wallet, without its head."""
    ceiling = members["ceiling"]
    return Wallet(
        UUID(members["id"]),
        Currency(_text(members["currency"])),
        _integer(members["balance"]),
        _integer(members["held"]),
        _integer(members["floor"]),
        None if ceiling is None else _integer(ceiling),
        WalletStatus(members["status"]),
        _integer(members["version"]),
        _metadata(members["metadata"]),
        _time(members["created_at"]),
        _time(members["updated_at"]),
        UNTOLD_HASH,
    )


def past_wallet(members: Members) -> PastWallet:
    """A wallet as it was."""
    return PastWallet(
        UUID(members["id"]),
        Currency(_text(members["currency"])),
        _integer(members["balance"]),
        _integer(members["held"]),
        _integer(members["version"]),
        _time(members["at"]),
    )


def verification(members: Members) -> Verification:
    """The proof of a wallet."""
    checks = tuple(
        CheckOutcome(_text(each["name"]), each["ok"] is True, _text(each["detail"])) for each in members["checks"]
    )
    return Verification(members["ok"] is True, _integer(members["entries"]), _text(members["head_hash"]), checks)


def opening(command: OpenWallet, opened: Wallet) -> Transaction:
    """The transaction that opened a wallet, as far as the wallet tells of it."""
    first = Entry(opened.id, opened.version, opened.balance, opened.held, opened.balance, opened.held, UNTOLD_HASH)
    return Transaction(
        UNTOLD_ID,
        Kind.OPEN,
        command.key,
        command.intent(),
        (),
        (first,),
        None,
        None,
        opened.metadata,
        opened.created_at,
    )


def rejection(problem: Problem, key: str, kind: Kind = UNTOLD_KIND, intent: str = UNTOLD_INTENT) -> Rejection:
    """What was refused under a key. Raises ``ValueError`` if the problem is no rule's."""
    told = {_RENAMED.get(name, name): value for name, value in problem.details.items()}
    details = {name: told[name] for name in sorted(told)}
    return Rejection(UNTOLD_ID, kind, key, intent, Reason(problem.slug), details, UNTOLD_TIME)


def fence(key: str) -> Fence:
    """A key under which nothing will ever happen."""
    return Fence(UNTOLD_ID, key, UNTOLD_TIME)


def decision(members: Members) -> Decision:
    """What was decided under a key, for whoever asks or fences."""
    key = _text(members["key"])
    match members["outcome"]:
        case "applied":
            return transaction(members["transaction"])
        case "rejected":
            return rejection(Problem.of(members["problem"], replayed=False), key)
        case "fenced":
            return fence(key)
        case other:
            raise ValueError(f"{other!r} is no outcome")


def _move(members: Members) -> Move:
    return Move(
        _optional_id(members["source"]),
        _optional_id(members["destination"]),
        _integer(members["amount"]),
        Currency(_text(members["currency"])),
    )


def _metadata(members: Mapping[str, str]) -> Mapping[str, str]:
    return {_text(name): _text(value) for name, value in members.items()}


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(_text(text))
    if moment.tzinfo is None:
        raise ValueError(f"{text} is a time without a zone")
    return moment.astimezone(UTC)


def _optional_id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _integer(value: Any) -> int:
    # `type`, not `isinstance`: True is no amount, and 12.0 is none either.
    if type(value) is not int:
        raise TypeError(f"{value!r} is no integer")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is no string")
    return value
