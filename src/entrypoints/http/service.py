"""What the handlers stand on: the core's ports, and the limits within which they are waited for."""

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import attrs
from litestar.types import HTTPScope

from entrypoints.http import problem_types as types
from entrypoints.http.deadlines import Deadlines
from entrypoints.http.problems import Problem, Refused, refusal
from entrypoints.http.rate_limits import RateLimits
from entrypoints.http.requests import header_values
from wallet_core.begun import within
from wallet_core.commands import Command
from wallet_core.events_feed import EventFeed
from wallet_core.outcomes import Outcome
from wallet_core.ports import Authenticator, Ledger, Principal, Reader, Unavailable
from wallet_core.verify import AuditSource

READS_MAX: Final = 1000
"""How many reads may be under way or wait for a connection; more are turned away at once."""

READY_S_MAX: Final = 2.0
"""How long readiness may take to find out, in seconds."""

CREDENTIAL_LENGTH_MAX: Final = 256
BEARER: Final = b"bearer "
CHALLENGE: Final = (b"www-authenticate", b"Bearer")

T = TypeVar("T")

logger = logging.getLogger("wallet.http")


@attrs.define
class Service:
    """The ports behind the API. ``timeout_s`` is how long a request waits for its answer.

    ``is_full`` tells that the ledger would turn a write away, so that it is turned away before its body is looked at.
    """

    ledger: Ledger
    reader: Reader
    audit: AuditSource
    authenticator: Authenticator
    timeout_s: float
    reads_max: int = READS_MAX
    is_full: Callable[[], bool] = attrs.field(kw_only=True, default=lambda: False)
    events: EventFeed | None = attrs.field(kw_only=True, default=None)
    limits: RateLimits | None = attrs.field(kw_only=True, default=None)
    _reading: int = attrs.field(default=0, init=False)
    _deadlines: Deadlines = attrs.field(init=False)
    _abandoned: set["asyncio.Future[Sequence[Outcome]]"] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._deadlines = Deadlines(self.timeout_s)

    async def authenticate(self, scope: HTTPScope, needed: str) -> Principal:
        """Who asks. Raises ``Refused`` unless a valid key with the needed scope comes with the request, it is not used
        more often than it may be, and there is room for a write."""
        return self._admitted(await self._principal(scope), needed)

    def recognize(self, scope: HTTPScope, needed: str) -> Principal | None:
        """The same, at once; None if the key has to be looked up first."""
        principal = self.authenticator.known(_secret(scope))
        return None if principal is None else self._admitted(principal, needed)

    def _admitted(self, principal: Principal, needed: str) -> Principal:
        if self.limits is not None and (wait_s := self.limits.wait_s(principal)):
            raise Refused(Problem(types.RATE_LIMITED, retry_after_s=math.ceil(wait_s)))
        _require_scope(principal, needed)
        if needed == "write" and self.is_full():
            raise refusal(types.OVERLOADED)
        return principal

    def charge(self, scope: HTTPScope, requests: int) -> None:
        """Count a request, which has been let in, as so many more: the next ones wait for as long as these take."""
        if self.limits is not None and (principal := scope["state"].get("principal")) is not None:
            self.limits.charge(principal, requests)

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Have the commands carried out, and wait for that; past the limit the work goes on without us.

        Raises ``Refused`` with ``outcome-unknown`` past the limit, and whatever a bug in the ledger raises.
        """
        # Not awaited itself: neither the limit nor whoever cancels this request may cancel what could be in its COMMIT.
        work = asyncio.ensure_future(self.ledger.execute(tenant, commands))
        # By hand, because ``asyncio.wait`` takes twice as long for it.
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        work.add_done_callback(partial(_wake, ended))
        limit = loop.call_later(self.timeout_s, _wake, ended)
        try:
            await ended
        except asyncio.CancelledError:
            # So the server treats requests that its own end overtakes. Nobody knows what becomes of this one.
            logger.warning("a write was left to itself, because its request was cancelled")
        finally:
            limit.cancel()
        if work.done():
            return work.result()
        self._abandon(work)
        raise Refused(Problem(types.OUTCOME_UNKNOWN))

    @property
    def reading(self) -> int:
        """How many reads are under way, or wait for a connection."""
        return self._reading

    def begin(
        self, tenant: UUID, command: Command, tell: Callable[["asyncio.Future[Sequence[Outcome]] | None"], None]
    ) -> None:
        """Have one command carried out, and ``tell`` what came of it, or None past the limit: the work goes on then."""
        work = asyncio.ensure_future(self.ledger.execute(tenant, (command,)))

        def past() -> None:
            if work.done():
                # It is about to be told. The loop may look at its clock before it gets to that.
                return
            work.remove_done_callback(done)
            self._abandon(work)
            tell(None)

        def done(work: "asyncio.Future[Sequence[Outcome]]") -> None:
            limit.cancel()
            tell(work)

        limit = self._deadlines.set(past)
        work.add_done_callback(done)

    async def check_key(self, scope: HTTPScope, needed: str) -> None:
        """Raise ``Refused`` unless the key is still good that an answer which takes long was asked for with."""
        _require_scope(await self._principal(scope), needed)

    async def _principal(self, scope: HTTPScope) -> Principal:
        principal = await self._in_time(self.authenticator.find(_secret(scope)))
        if principal is None:
            raise _unauthenticated()
        return principal

    async def read(self, answer: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer that changes nothing. Raises ``Refused`` if too many read, or the database is away."""
        if self._reading >= self.reads_max:
            answer.close()
            raise refusal(types.OVERLOADED)
        self._reading += 1
        try:
            return await self._in_time(answer)
        finally:
            self._reading -= 1

    async def ready(self) -> bool:
        """Whether the database answers and takes writes."""
        try:
            async with asyncio.timeout(min(self.timeout_s, READY_S_MAX)):
                await self.reader.ready()
        except (Unavailable, TimeoutError):
            return False
        return True

    async def _in_time(self, answer: Coroutine[Any, Any, T]) -> T:
        try:
            return await within(self.timeout_s, answer)
        except (Unavailable, TimeoutError):
            raise refusal(types.DATABASE_UNAVAILABLE) from None

    def _abandon(self, work: "asyncio.Future[Sequence[Outcome]]") -> None:
        self._abandoned.add(work)
        work.add_done_callback(self._forget)

    def _forget(self, work: "asyncio.Future[Sequence[Outcome]]") -> None:
        self._abandoned.discard(work)
        if not work.cancelled() and (bug := work.exception()) is not None:
            logger.error("a write that nobody waited for any more failed", exc_info=bug)


def _wake(sleeper: "asyncio.Future[None]", _: object = None) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


def _secret(scope: HTTPScope) -> str:
    secret = _bearer(scope)
    if secret is None:
        raise _unauthenticated()
    return secret


def _bearer(scope: HTTPScope) -> str | None:
    """The credential of RFC 6750, section 2.1."""
    values = header_values(scope, b"authorization")
    if len(values) != 1 or values[0][: len(BEARER)].lower() != BEARER:
        return None
    credential = values[0][len(BEARER) :].strip(b" ")
    if not credential or len(credential) > CREDENTIAL_LENGTH_MAX or not credential.isascii():
        return None
    return credential.decode()


def _require_scope(principal: Principal, needed: str) -> None:
    if needed not in principal.scopes:
        raise refusal(types.TENANT_SUSPENDED) if principal.suspended else refusal(types.FORBIDDEN, scope=needed)


def _unauthenticated() -> Refused:
    return Refused(Problem(types.UNAUTHENTICATED, headers=(CHALLENGE,)))
