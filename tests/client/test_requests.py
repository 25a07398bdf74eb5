"""What the client asks for is what the service understands; in order, and no more often than is needed."""

from collections.abc import Sequence
from uuid import UUID

import attrs
import pytest

from adapters.http_client import HttpLedger, Refused, Retries, Wire
from adapters.http_client_told import UNTOLD_HASH, UNTOLD_ID
from adapters.ids import UuidV7
from adapters.memory import MemoryStore
from tests.client.scripted import Script
from tests.client.stand import client_of
from tests.client.test_outcomes import COMMAND, RECEIPT, REJECTION
from tests.http.api import TENANT
from tests.http.problem_scenarios import Always
from tests.support.builders import A, B
from tests.support.ids import id_number
from wallet_core import (
    Applied,
    BatchLedger,
    CaptureHold,
    ChangeWallet,
    Command,
    Contention,
    DatabaseUnavailable,
    FenceKey,
    KeyReused,
    NewCeiling,
    NotFound,
    OpenWallet,
    Outcome,
    Overloaded,
    PlaceHold,
    Post,
    Posting,
    Rejected,
    ReleaseHold,
    Replayed,
    Reverse,
    Thing,
    Unknown,
    WalletStatus,
    credit,
    debit,
)

# -------------------------------------------------------------------- what the service makes of what is sent


class Spy:
    """A ledger that keeps what it is asked, and refuses it all."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Command]] = []

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        self.batches.append(commands)
        return [NotFound(Thing.WALLET, A)] * len(commands)


STRANGE = {"quotes": "\"'\\", "\ufb33": "\u2028\U0001f4b6", "": "", "controls": "\x01\x1f\x7f"}
COMMANDS: Sequence[Command] = [
    OpenWallet("k1", "EUR"),
    OpenWallet("k2", "X9Z", B, -7, 2**53 - 1, STRANGE),
    credit("k3", A, 5, expected_version=2, metadata=STRANGE),
    debit("~" * 255, A, 2**53 - 1),
    Post("k5", [Posting(A, B, 1), Posting(None, A, 2), Posting(B, None, 3)], {A: 4, B: 5}, STRANGE),
    Post("k6", [Posting(None, A, 1), Posting(None, B, 1)]),
    PlaceHold("k7", A, 5, B, 31_536_000, 6, STRANGE),
    PlaceHold('"k8"', A, 5),
    CaptureHold("k9", A, 3, final=False),
    CaptureHold("k10\\", A),
    ReleaseHold("k11", A),
    Reverse("k12", A, STRANGE),
    ChangeWallet("k13", A, WalletStatus.FROZEN, -5, NewCeiling(1000), STRANGE, 7),
    ChangeWallet("k14", A, ceiling=NewCeiling(None)),
    ChangeWallet("k15", A, metadata={}),
]
LONG = Post("long", [Posting(id_number(n), id_number(n + 1), 2**53 - 1) for n in range(100)], {}, {"a": "\x01" * 4000})


@pytest.mark.parametrize(
    "command", [*COMMANDS, LONG], ids=lambda command: f"{type(command).__name__} {command.key[:9]}"
)
async def test_the_service_is_asked_for_exactly_the_command(command: Command) -> None:
    spy = Spy()
    async with client_of(spy) as client:
        await client.execute(TENANT, [command])
    ((asked,),) = spy.batches
    assert asked == command or (asked, asked.intent()) == (_comparable(command), command.intent())  # type: ignore[union-attr]


def _comparable(command: Command) -> Command:
    """With postings as the service has them, in a list, and versions whatever they are kept in."""
    return attrs.evolve(command, postings=list(command.postings)) if isinstance(command, Post) else command


async def test_what_stands_together_goes_together_and_in_order() -> None:
    spy = Spy()
    async with client_of(spy) as client:
        told = await client.execute(TENANT, [*COMMANDS, FenceKey("f"), *COMMANDS[2:5]])
    assert len(told) == len(COMMANDS) + 4
    assert [[command.key for command in batch] for batch in spy.batches] == [
        ["k1"],
        ["k2"],
        [command.key for command in COMMANDS[2:12]],
        ["k13"],
        ["k14"],
        ["k15"],
        ["f"],
        [command.key for command in COMMANDS[2:5]],
    ]


async def test_a_thousand_commands_and_a_megabyte_are_the_most_that_one_request_has() -> None:
    spy = Spy()
    many = [credit(f"k{number}", A, 1) for number in range(2001)]
    long = [attrs.evolve(LONG, key=f"long{number}") for number in range(60)]
    async with client_of(spy) as client:
        assert len(await client.execute(TENANT, many)) == 2001
        assert [len(batch) for batch in spy.batches] == [1000, 1000, 1]
        spy.batches.clear()
        assert len(await client.execute(TENANT, long)) == 60
    assert sum(len(batch) for batch in spy.batches) == 60
    assert len(spy.batches) > 1


# -------------------------------------------------------------------- what is not settled


class Turns:
    """A ledger whose batches come to one outcome after the other."""

    def __init__(self, *outcomes: Sequence[Outcome] | Outcome) -> None:
        self.outcomes = list(outcomes)
        self.batches: list[list[str]] = []

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        self.batches.append([command.key for command in commands])
        turn = self.outcomes.pop(0)
        return list(turn) if isinstance(turn, Sequence) else [turn] * len(commands)


async def test_of_a_batch_only_what_is_not_settled_is_sent_again() -> None:
    turns = Turns(
        [Applied(RECEIPT), Contention(), Rejected(REJECTION), Contention()], [KeyReused("b"), Applied(RECEIPT)]
    )
    commands = [credit(key, A, 5) for key in "abcd"]
    async with client_of(turns) as client:
        told = await client.execute(TENANT, commands)
    assert turns.batches == [["a", "b", "c", "d"], ["b", "d"]]
    assert [type(outcome) for outcome in told] == [Applied, KeyReused, Rejected, Applied]


@pytest.mark.parametrize(
    ("first", "rest"),
    [(Unknown(), DatabaseUnavailable()), (Overloaded(), Overloaded()), (Contention(), Contention())],
)
async def test_what_comes_after_something_unsettled_is_not_sent(first: Outcome, rest: Outcome) -> None:
    """It would overtake it."""
    always = Always(first)
    async with client_of(always) as client:
        told = await client.execute(TENANT, [ChangeWallet("k1", A, floor=0), *COMMANDS[2:4], FenceKey("k")])
    assert list(told) == [first, rest, rest, rest]


async def test_a_request_that_is_at_fault_raises() -> None:
    async with client_of(Spy()) as client:
        nobody = HttpLedger(client.wire, {TENANT: "nobody's"})
        with pytest.raises(Refused, match="unauthenticated"):
            await nobody.execute(TENANT, [COMMAND])
        reader = HttpLedger(client.wire, {TENANT: "reader"})
        with pytest.raises(Refused, match="forbidden"):
            await reader.execute(TENANT, [COMMAND])


async def test_an_opened_wallet_s_transaction_is_whole_or_at_least_not_made_up() -> None:
    """Without leave to read, the client knows the wallet, and not its transaction's id and hash."""
    store = MemoryStore()
    commands = [OpenWallet("k", "EUR", metadata={"a": "b"})]
    async with client_of(BatchLedger(store, UuidV7()), store) as client:
        (whole,) = await client.execute(TENANT, commands)
        (again,) = await HttpLedger(client.wire, {TENANT: "writer"}).execute(TENANT, commands)
    assert isinstance(whole, Applied)
    assert whole.transaction == await store.decision(TENANT, "k")
    assert isinstance(again, Replayed)
    entry = attrs.evolve(whole.transaction.entries[0], hash=UNTOLD_HASH)
    assert again.decision == attrs.evolve(whole.transaction, id=UNTOLD_ID, entries=(entry,))


def test_a_credential_is_in_no_repr() -> None:
    ledger = HttpLedger(Wire(Script([]).http(), "http://wallet", Retries()), {TENANT: "secret"})
    assert "secret" not in repr(ledger)
