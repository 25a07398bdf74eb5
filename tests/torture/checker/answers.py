"""What the checker reads in answers and intents: members that it does not name are passed over."""

from typing import Final, Literal

import msgspec
from msgspec import Raw

NOTHING: Final = Raw(b"")


class Problem(msgspec.Struct):
    """A problem, as far as it says what became of a request."""

    type: str = ""
    outcome: str = "unknown"


class Result(msgspec.Struct):
    """The answer to one command of a batch."""

    status: int
    replayed: bool
    transaction: Raw = NOTHING
    problem: Raw = NOTHING


class Results(msgspec.Struct):
    """The answer to a batch."""

    results: list[Result]


class Decided(msgspec.Struct):
    """The answer to a fence, or to a look-up of a key."""

    key: str
    outcome: Literal["applied", "rejected", "fenced"]
    transaction: Raw = NOTHING
    problem: Raw = NOTHING


class Wallet(msgspec.Struct):
    """A wallet, as far as its entries explain it."""

    version: int
    balance: int
    held: int


class Entry(msgspec.Struct):
    """An entry of a wallet."""

    version: int
    change: int
    balance_after: int
    held_after: int
    hash: str


class Entries(msgspec.Struct):
    """A page of a wallet's entries, newest first."""

    items: list[Entry]


class Hold(msgspec.Struct):
    """A hold."""

    id: str
    amount: int
    captured: int
    status: str


class Intent(msgspec.Struct):
    """What an intent has of any type."""

    idempotency_key: str
    type: str


read_problem = msgspec.json.Decoder(Problem).decode
read_results = msgspec.json.Decoder(Results).decode
read_decided = msgspec.json.Decoder(Decided).decode
read_wallet = msgspec.json.Decoder(Wallet).decode
read_entries = msgspec.json.Decoder(Entries).decode
read_hold = msgspec.json.Decoder(Hold).decode
read_intent = msgspec.json.Decoder(Intent).decode


def told_in(answer: Result | Decided) -> bytes:
    """The receipt or problem in it."""
    return bytes(answer.transaction) or bytes(answer.problem)
