"""A service that answers as a test has written it down, and a clock that only waiting moves."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import httpx

from adapters.http_client import Retries, WalletClient
from entrypoints.http import shapes
from entrypoints.http.problems import ALL, Problem
from tests.support.builders import past
from tests.support.ids import id_number
from wallet_core import Posting, Transaction

WALLET: Final = id_number(0xA)
URL: Final = "http://wallet.test"

Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]

REQUEST = httpx.Request("POST", URL)
MEMBERS: dict[str, dict[str, Any]] = {
    "wallet-not-found": {"wallet_id": str(WALLET)},
    "hold-not-found": {"hold_id": str(WALLET)},
    "transaction-not-found": {"transaction_id": str(WALLET)},
    "wallet-exists": {"wallet_id": str(WALLET)},
    "version-conflict": {"wallet_id": str(WALLET), "expected_version": 3, "current_version": 4},
    "forbidden": {"scope": "write"},
    "payload-too-large": {"bytes_max": 16_384},
    "malformed-request": {"errors": [{"field": "amount", "message": "must be an integer"}]},
}
LOST = [
    httpx.ReadTimeout("no answer", request=REQUEST),
    httpx.ReadError("reset", request=REQUEST),
    httpx.WriteError("reset", request=REQUEST),
    httpx.RemoteProtocolError("Server disconnected without sending a response.", request=REQUEST),
]
NOT_SENT = [
    httpx.ConnectError("refused", request=REQUEST),
    httpx.ConnectTimeout("no connection", request=REQUEST),
    httpx.PoolTimeout("no connection is free", request=REQUEST),
]


def problem(slug: str, retry_after: str | None = None, *, replayed: bool = False, **members: Any) -> httpx.Response:
    """The answer of the real service to this problem, by its own table."""
    outcome = members.pop("outcome", None)
    content = json.dumps(Problem(ALL[slug], members, outcome=outcome).json_members("/v1/somewhere"))
    headers = {"content-type": "application/problem+json", "idempotent-replayed": str(replayed).lower()}
    if retry_after is not None:
        headers["retry-after"] = retry_after
    return httpx.Response(ALL[slug].status, headers=headers, content=content)


def refusal(slug: str) -> httpx.Response:
    """The problem with the members that it carries."""
    members: dict[str, Any] = {name: name for name in ALL[slug].carries}
    return problem(slug, **members | MEMBERS.get(slug, {}))


def applied(transaction: Transaction | None = None, *, replayed: bool = False) -> httpx.Response:
    """The answer of the real service to a write that is done."""
    done = transaction or past(Posting(None, WALLET, 5))
    headers = {"content-type": "application/json", "idempotent-replayed": str(replayed).lower()}
    return httpx.Response(201, headers=headers, content=shapes.encode(shapes.transaction(done)))


@attrs.define
class Script:
    """Gives one reply to each request, the last one again and again, and keeps what was asked."""

    replies: Sequence[Reply]
    asked: list[httpx.Request] = attrs.field(factory=list)
    now: float = 0.0
    waits: list[float] = attrs.field(factory=list)
    attempt_s: float = 0.0
    """How long each attempt takes on the clock."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        reply = self.replies[min(len(self.asked), len(self.replies) - 1)]
        self.asked.append(request)
        self.now += self.attempt_s
        if isinstance(reply, Exception):
            raise reply
        return (
            reply(request)
            if callable(reply)
            else httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def client(self, **retries: float) -> WalletClient:
        """A client of this service, with this clock."""
        insisting = Retries(now=lambda: self.now, sleep=self.sleep, **retries)
        return WalletClient(URL, "key", retries=insisting, http=self.http())

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self), verify=False)

    @property
    def keys(self) -> list[str]:
        """The idempotency keys of the requests, in order."""
        return [request.headers["idempotency-key"] for request in self.asked]
