"""From an outcome to an answer: one exhaustive match, for single writes, for batches and for fences."""

from collections.abc import Callable, Sequence
from typing import Final, assert_never

import attrs
from litestar.types import HTTPScope, Receive, Scope, Send

from entrypoints.http import problem_types as types
from entrypoints.http import shapes
from entrypoints.http.problems import Member, Problem, rejection_problem
from wallet_core.model import Decision, Fence, Kind, Rejection, Transaction
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
    Unknown,
    VersionConflict,
    WalletExists,
)

Headers = Sequence[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
PROBLEM_JSON: Final = (b"content-type", b"application/problem+json")
REPLAYED: Final = (b"idempotent-replayed", b"true")
NOT_REPLAYED: Final = (b"idempotent-replayed", b"false")
REPLAYED_JSON: Final = (JSON, REPLAYED)
NEW_JSON: Final = (JSON, NOT_REPLAYED)
WRITE_METHODS: Final = frozenset({"POST", "PATCH"})


# These are made for each request and are not frozen: that triples the time (0.2 µs) that it takes to make one.
@attrs.define
class Answer:
    """A complete response, ready to be sent: an ASGI application."""

    status: int
    headers: Headers
    """Those that other answers have as well."""
    body: bytes
    own: Headers = ()
    """Those that no other answer has."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.head()})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})

    def head(self) -> list[tuple[bytes, bytes]]:
        """All of its headers."""
        return [*self.headers, *self.own_head()]

    def own_head(self) -> Headers:
        """Those that no other answer has, with the length of its body."""
        # A 304 has no body, and a length would be that of the body it stands for (RFC 9110, section 15.4.5).
        length = () if self.status == 304 else ((b"content-length", b"%d" % len(self.body)),)
        return (*self.own, *length)


Reply = Callable[[Answer], None]
"""Sends an answer."""

Make = Callable[[], Answer]
"""Makes an answer, or raises what a bug has raised."""

ReplyFrom = Callable[[Make], None]
"""Sends the answer that this makes, or one to the bug."""


@attrs.define
class Judgement:
    """What a command came to, and whether it had come to that before."""

    result: Transaction | Problem
    replayed: bool = False


def judge(outcome: Outcome) -> Judgement:
    """What to tell the client of an outcome."""
    match outcome:
        case Applied(transaction):
            return Judgement(transaction)
        case Rejected(rejection):
            return Judgement(rejection_problem(rejection))
        case Replayed(decision):
            return Judgement(_told(decision), replayed=True)
        case Fenced() | KeyFenced():
            return Judgement(Problem(types.KEY_FENCED))
        case KeyReused():
            return Judgement(Problem(types.KEY_REUSED))
        case NotFound(thing, id):
            return Judgement(Problem(types.OF_MISSING[thing], {f"{thing.value}_id": str(id)}))
        case WalletExists(wallet_id):
            return Judgement(Problem(types.WALLET_EXISTS, {"wallet_id": str(wallet_id)}))
        case VersionConflict(wallet_id, expected_version, current_version):
            members: dict[str, Member] = {
                "wallet_id": str(wallet_id),
                "expected_version": expected_version,
                "current_version": current_version,
            }
            return Judgement(Problem(types.VERSION_CONFLICT, members))
        case Contention():
            return Judgement(Problem(types.CONTENTION))
        case Overloaded():
            return Judgement(Problem(types.OVERLOADED))
        case DatabaseUnavailable():
            return Judgement(Problem(types.DATABASE_UNAVAILABLE))
        case Unknown():
            return Judgement(Problem(types.DATABASE_UNAVAILABLE, outcome="unknown"))
        case _:
            assert_never(outcome)


def success_status(kind: Kind) -> int:
    """Everything makes something new, but a change."""
    return 200 if kind is Kind.CHANGE else 201


def write_answer(judgement: Judgement, scope: HTTPScope) -> Answer:
    """The answer to a single write."""
    result = judgement.result
    if isinstance(result, Problem):
        return problem_answer(result, scope, replayed=judgement.replayed)
    headers = REPLAYED_JSON if judgement.replayed else NEW_JSON
    if judgement.replayed:
        scope.setdefault("state", {})["outcome"] = "replayed"
    if result.kind is Kind.OPEN:
        wallet = shapes.opened_wallet(result)
        location = (b"location", f"/v1/wallets/{wallet.id}".encode())
        return Answer(201, headers, shapes.encode(wallet), (location,))
    return Answer(success_status(result.kind), headers, shapes.encode(shapes.transaction(result)))


def problem_answer(problem: Problem, scope: HTTPScope, *, replayed: bool = False) -> Answer:
    """A problem as the answer to a request. It is left in the scope's state too, for the log."""
    scope.setdefault("state", {}).update(problem=problem.type.slug, outcome=problem.outcome or problem.type.outcome)
    headers = [PROBLEM_JSON, *problem.headers]
    if problem.type.retry_after:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    if scope["method"] in WRITE_METHODS and scope["path"].startswith("/v1/"):
        headers.append(REPLAYED if replayed else NOT_REPLAYED)
    return Answer(problem.type.status, headers, shapes.encode(problem.json_members(path_of(scope))))


def decided(key: str, decision: Decision, path: str) -> shapes.Decided:
    """What the database remembers under a key, for whoever asks or fences."""
    match decision:
        case Transaction():
            return shapes.Decided(key, "applied", transaction=shapes.transaction(decision))
        case Rejection():
            return shapes.Decided(key, "rejected", problem=rejection_problem(decision).json_members(path))
        case Fence():
            return shapes.Decided(key, "fenced", problem=Problem(types.KEY_FENCED).json_members(path))
        case _:
            assert_never(decision)


def path_of(scope: HTTPScope) -> str:
    """The request's path as it was sent, without the query: percent-encoded, so that it is a URI reference."""
    return scope["raw_path"].decode("ascii", "replace")


def _told(decision: Transaction | Rejection) -> Transaction | Problem:
    return decision if isinstance(decision, Transaction) else rejection_problem(decision)
