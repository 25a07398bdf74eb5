"""Commands carried out over HTTP: sent, and sent again with the same keys, until what became of each is settled.

An attempt whose answer never came may have been carried out, or be on its way still. So a later answer that is not
remembered under the key (there is no such wallet; the API key was revoked) settles nothing about it: the outcome stays
unknown. Only what would be as true for the earlier attempt does.
"""

from collections.abc import Sequence
from typing import Final, assert_never
from uuid import UUID

import attrs

from adapters import http_client_told as told
from adapters.http_client_requests import request_of
from adapters.http_client_told import REASONS, Unreadable
from adapters.http_client_wire import BATCH_PATH, Answer, Members, NoAnswer, Problem, Reply, Request, Wire
from wallet_core.commands import Command, FenceKey, OpenWallet
from wallet_core.model import Decision, Fence, Transaction, Wallet
from wallet_core.outcomes import (
    Applied,
    Contention,
    DatabaseUnavailable,
    Fenced,
    KeyFenced,
    KeyReused,
    NotFound,
    Outcome,
    Overloaded,
    Rejected,
    Replayed,
    Thing,
    Unknown,
    VersionConflict,
    WalletExists,
)

THING_OF_SLUG: Final = {f"{thing.value}-not-found": thing for thing in Thing}


@attrs.frozen
class Judgement:
    """What an attempt says of a command. ``outcome`` is None where the request was refused: ``refused`` says why."""

    outcome: Outcome | None
    why: str = ""
    refused: Problem | None = None
    opened: Wallet | None = None
    """What the answer to ``OpenWallet`` is; the outcome's transaction is only what follows from it."""


@attrs.define
class Intent:
    """A command, and what is known of it so far."""

    command: Command
    last: Judgement = attrs.field(init=False, default=Judgement(Unknown()))
    again: bool = attrs.field(init=False, default=True)
    retry_after_s: float = attrs.field(init=False, default=0.0)
    _in_doubt: bool = attrs.field(init=False, default=False)

    def hear(self, reply: Reply) -> None:
        """Take in what came of an attempt."""
        try:
            self.last = judge(self.command, reply)
        except (Unreadable, ValueError) as error:
            reply = NoAnswer(f"the answer cannot be read: {error}", in_doubt=True)
            self.last = judge(self.command, reply)
        self.again = reply.again
        self.retry_after_s = reply.retry_after_s
        if not isinstance(reply, Answer):
            self._in_doubt = self._in_doubt or reply.in_doubt

    @property
    def ending(self) -> Judgement:
        """What it came to, all attempts considered."""
        if self._in_doubt and not _holds_for_all(self.last.outcome):
            return attrs.evolve(self.last, outcome=Unknown(), refused=None)
        return self.last


@attrs.frozen
class _Round:
    again: bool
    retry_after_s: float


async def carry_out(wire: Wire, api_key: str, commands: Sequence[Command]) -> list[Judgement]:
    """What became of each of the commands, which go into one request (``portions``)."""
    intents = [Intent(command) for command in commands]

    async def attempt(timeout_s: float) -> _Round:
        # What was decided is not asked for again; what was not keeps its order.
        waiting = [intent for intent in intents if intent.again]
        request = request_of([intent.command for intent in waiting])
        reply = await wire.send(api_key, request, timeout_s)
        for intent, each in zip(waiting, _parted(request, reply, len(waiting)), strict=True):
            intent.hear(each)
        waiting = [intent for intent in intents if intent.again]
        return _Round(bool(waiting), max((intent.retry_after_s for intent in waiting), default=0.0))

    await wire.retries.insist(attempt)
    return [intent.ending for intent in intents]


def judge(command: Command, reply: Reply) -> Judgement:
    """What a reply says of the command it answers. Raises ``Unreadable`` or ``ValueError``."""
    match reply:
        case Answer(members, replayed):
            if isinstance(command, FenceKey):
                return Judgement(_fenced(told.read(told.decision, members)))
            if isinstance(command, OpenWallet) and "postings" not in members:
                opened = told.read(told.wallet, members)
                return Judgement(_done(told.opening(command, opened), replayed=replayed), opened=opened)
            intent = command.intent()
            return Judgement(_done(told.read(lambda m: told.transaction(m, intent), members), replayed=replayed))
        case NoAnswer(why, in_doubt):
            return Judgement(Unknown() if in_doubt else DatabaseUnavailable(), why)
        case Problem():
            outcome = _outcome(command, reply)
            return Judgement(outcome, str(reply), reply if outcome is None else None)
        case _:
            assert_never(reply)


def _outcome(command: Command, problem: Problem) -> Outcome | None:
    """The outcome that the service told as this problem; None if it is none, and the request itself is at fault."""
    details = problem.details
    match problem.slug:
        case reason if reason in REASONS and not isinstance(command, FenceKey):
            rejection = told.rejection(problem, command.key, command.kind, command.intent())
            return Replayed(rejection) if problem.replayed else Rejected(rejection)
        case "idempotency-key-reused":
            return KeyReused(command.key)
        case "idempotency-key-fenced":
            return KeyFenced(command.key)
        case slug if (thing := THING_OF_SLUG.get(slug)) is not None:
            return NotFound(thing, told.read(lambda m: UUID(m[f"{thing.value}_id"]), details))
        case "wallet-exists":
            return WalletExists(told.read(lambda m: UUID(m["wallet_id"]), details))
        case "version-conflict":
            return told.read(
                lambda m: VersionConflict(UUID(m["wallet_id"]), int(m["expected_version"]), int(m["current_version"])),
                details,
            )
        case "contention":
            return Contention()
        case _ if problem.in_doubt:
            return Unknown()
        case "database-unavailable":
            return DatabaseUnavailable()
        case _ if problem.again:
            # ``overloaded``, ``rate-limited``, and what a later version of the service may add: nothing was started.
            return Overloaded()
        case _:
            return None


def _holds_for_all(outcome: Outcome | None) -> bool:
    """Whether an outcome is one that an earlier attempt, still under way, must come to as well."""
    match outcome:
        case Applied() | Rejected() | Replayed() | Fenced() | KeyReused() | KeyFenced() | WalletExists():
            # Decided under the key, for good; and a wallet that is there stays there.
            return True
        case VersionConflict(_, expected_version, current_version):
            # A version only ever grows: one that is past will not come again, and one that is to come may.
            return expected_version < current_version
        case NotFound() | Contention() | Overloaded() | DatabaseUnavailable() | Unknown() | None:
            return False
        case _:
            assert_never(outcome)


def _done(transaction: Transaction, *, replayed: bool) -> Outcome:
    return Replayed(transaction) if replayed else Applied(transaction)


def _fenced(decision: Decision) -> Outcome:
    return Fenced(decision) if isinstance(decision, Fence) else Replayed(decision)


def _parted(request: Request, reply: Reply, amount: int) -> list[Reply]:
    """The reply to each command of a request."""
    if request.path != BATCH_PATH or not isinstance(reply, Answer):
        return [reply] * amount
    try:
        results = [_result(result) for result in reply.members["results"]]
    except (LookupError, TypeError, ValueError, AttributeError):
        results = []
    if len(results) != amount:
        return [NoAnswer("the results of the batch cannot be read", in_doubt=True)] * amount
    return results


def _result(members: Members) -> Reply:
    replayed = members["replayed"] is True
    if "problem" in members:
        return Problem.of(members["problem"], replayed=replayed)
    return Answer(members["transaction"], replayed)
