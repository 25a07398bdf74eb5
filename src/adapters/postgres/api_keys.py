"""Who a caller is: the look-up of an API key, behind a small memory."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import attrs
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.admin import sha256_of
from adapters.postgres.errors import translating
from adapters.postgres.schema import api_keys
from adapters.postgres.session import open_session
from wallet_core.ports import Principal, StaleSnapshot, Unavailable

TTL_S: Final = 5.0
"""How long an answer is remembered, and so how long a revoked key may still be honoured, in seconds."""
ANSWERS_MAX: Final = 10_000
"""How many answers of each kind, known and unknown, are remembered."""

# Two rows tell that more than one tenant has the secret, which then names none.
_FIND = (
    select(api_keys.c.tenant_id, api_keys.c.id, api_keys.c.scopes)
    .where(api_keys.c.secret_sha256 == bindparam("sha256"), api_keys.c.revoked_at.is_(None))
    .limit(2)
)


class ApiKeys:
    """An ``Authenticator`` over the table of keys. See ``ports.Authenticator``.

    Answers, of both kinds, are remembered for ``ttl_s`` seconds. Of several callers who ask for the same key at once,
    one asks the database. ``clock`` gives seconds that never run backwards.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        ttl_s: float = TTL_S,
        answers_max: int = ANSWERS_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._ttl_s = ttl_s
        self._clock = clock
        # Apart, so that a flood of wrong keys does not push the right ones out.
        self._known = _Memory(answers_max)
        self._unknown = _Memory(answers_max)
        self._asking: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def find(self, secret: str) -> Principal | None:
        sha256 = sha256_of(secret)
        now = self._clock()
        answer = self._known.get(sha256, now) or self._unknown.get(sha256, now)
        if answer is not None:
            return answer.principal
        asking = self._asking.get(sha256)
        if asking is None:
            asking = asyncio.create_task(self._ask(sha256))
            self._asking[sha256] = asking
            asking.add_done_callback(lambda task: self._asked(sha256, task))
        # A caller who gives up must not take the answer away from the others.
        return await asyncio.shield(asking)

    async def _ask(self, sha256: bytes) -> Principal | None:
        # The time limit runs from before the question, so that it covers the time that the answer takes.
        until = self._clock() + self._ttl_s
        try:
            with translating():
                # One statement needs no transaction, and is one round trip without.
                async with open_session(self._engine) as session:
                    rows = await session.fetch(_FIND, {"sha256": sha256})
        except StaleSnapshot as error:
            raise Unavailable from error
        principal = None
        if len(rows) == 1:
            row = rows[0]
            principal = Principal(tenant=row["tenant_id"], key_id=row["id"], scopes=frozenset(row["scopes"]))
        memory = self._unknown if principal is None else self._known
        memory.put(sha256, _Answer(principal, until))
        return principal

    def _asked(self, sha256: bytes, task: asyncio.Task[Principal | None]) -> None:
        del self._asking[sha256]
        # When all callers gave up, nobody looks at the error, and asyncio would report that as a bug.
        if not task.cancelled():
            task.exception()


@attrs.frozen
class _Answer:
    principal: Principal | None
    until: float


class _Memory:
    """Answers by hash of the secret, the oldest first; the oldest gives way when there are too many."""

    def __init__(self, answers_max: int) -> None:
        self._answers_max = answers_max
        self._answers: dict[bytes, _Answer] = {}

    def get(self, sha256: bytes, now: float) -> _Answer | None:
        answer = self._answers.get(sha256)
        return answer if answer is not None and now < answer.until else None

    def put(self, sha256: bytes, answer: _Answer) -> None:
        self._answers.pop(sha256, None)
        if len(self._answers) >= self._answers_max:
            del self._answers[next(iter(self._answers))]
        self._answers[sha256] = answer
