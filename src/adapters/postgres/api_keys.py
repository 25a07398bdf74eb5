"""Who a caller is: the look-up of API keys, behind a small memory."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

import attrs
from sqlalchemy import Float, LargeBinary, Select, cast, extract, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.errors import reading
from adapters.postgres.key_records import sha256_of
from adapters.postgres.schema import api_keys, tenants
from adapters.postgres.session import Columns, open_session
from adapters.postgres.statements import each, rows_of
from wallet_core.ports import Principal, Unavailable

TTL_S: Final = 5.0
"""How long an answer is remembered, and so how long a revoked key may still be honoured, in seconds. Nothing is
remembered for longer while the database is away: nobody could say then whether a key is still good."""

ANSWERS_MAX: Final = 10_000
"""How many answers of each kind, known and unknown, are remembered."""

ASKED_MAX: Final = 1000
"""How many keys may wait to be looked up; callers with others are told that the database is away."""

LOOK_UP_KEYS_MAX: Final = 200
"""How many keys one statement looks up."""


def _find() -> Select[Any]:
    wanted, c = rows_of({"sha256": LargeBinary()}), api_keys.c
    # By the database's clock, so that a key ends at the same moment for all processes, and by how long it has left, so
    # that theirs does not matter.
    left_s = cast(extract("epoch", c.expires_at - func.now()), Float)
    active = (
        select(
            c.secret_sha256,
            c.tenant_id,
            c.id,
            c.scopes,
            c.rate_limit_per_s,
            left_s.label("left_s"),
            tenants.c.suspended_at.is_not(None).label("suspended"),
        )
        .join_from(api_keys, tenants, tenants.c.id == c.tenant_id)
        .where(
            c.secret_sha256 == wanted.c.sha256,
            c.revoked_at.is_(None),
            or_(c.expires_at.is_(None), c.expires_at > func.now()),
        )
    )
    found = each(active, "found")
    return select(found).select_from(wanted.join(found, true()))


_FIND = _find()


class ApiKeys:
    """An ``Authenticator`` over the table of keys. See ``ports.Authenticator``.

    Answers, of both kinds, are remembered for ``ttl_s`` seconds, and until the key expires. What is asked for while a
    look-up is under way is looked up by the next one, all together: however many keys are tried, one connection is busy
    with them. Keys that were good the last time come first, and wait in a room of their own: a flood of wrong keys does
    not keep them out. ``clock`` gives seconds that never run backwards.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        ttl_s: float = TTL_S,
        answers_max: int = ANSWERS_MAX,
        asked_max: int = ASKED_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._ttl_s = ttl_s
        self._asked_max = asked_max
        self._clock = clock
        # Apart, so that a flood of wrong keys does not push the right ones out.
        self._known = _Memory(answers_max)
        self._unknown = _Memory(answers_max)
        self._asked: dict[bytes, asyncio.Future[Principal | None]] = {}
        self._asked_again: dict[bytes, asyncio.Future[Principal | None]] = {}
        self._run: asyncio.Task[None] | None = None

    def known(self, secret: str) -> Principal | None:
        answer = self._known.get(sha256_of(secret), self._clock())
        return None if answer is None else answer.principal

    async def find(self, secret: str) -> Principal | None:
        sha256 = sha256_of(secret)
        now = self._clock()
        answer = self._known.get(sha256, now) or self._unknown.get(sha256, now)
        if answer is not None:
            return answer.principal
        asked = self._asked_again.get(sha256) or self._asked.get(sha256)
        if asked is None:
            waiting = self._asked_again if sha256 in self._known else self._asked
            # Those that were good cannot be too many: they are among those that are remembered.
            if waiting is self._asked and len(waiting) >= self._asked_max:
                raise Unavailable
            asked = waiting[sha256] = asyncio.get_running_loop().create_future()
            # When all callers gave up, nobody looks at an error, and asyncio would report that as a bug.
            asked.add_done_callback(lambda future: future.exception())
            if self._run is None:
                self._run = asyncio.create_task(self._look_up_all())
        # A caller who gives up must not take the answer away from the others.
        return await asyncio.shield(asked)

    async def _look_up_all(self) -> None:
        while asked := list(islice(chain(self._asked_again, self._asked), LOOK_UP_KEYS_MAX)):
            try:
                found = await self._look_up(asked)
            except Exception as error:  # noqa: BLE001 - not hidden: every caller that still waits raises it
                for sha256 in asked:
                    self._answered(sha256).set_exception(error)
            else:
                for sha256 in asked:
                    self._answered(sha256).set_result(found.get(sha256))
        # No await between the last look at what is asked and here: a new caller finds either this task or none.
        self._run = None

    def _answered(self, sha256: bytes) -> "asyncio.Future[Principal | None]":
        waiting = self._asked_again if sha256 in self._asked_again else self._asked
        return waiting.pop(sha256)

    async def _look_up(self, asked: Sequence[bytes]) -> Mapping[bytes, Principal]:
        # Times run from before the question, so that they cover the time that the answer takes.
        began = self._clock()
        with reading():
            # One statement needs no transaction, and is one round trip without.
            async with open_session(self._engine) as session:
                rows = await session.fetch(_FIND, {"x_sha256": asked})
        # A secret that more than one tenant has names none.
        times = Counter(row["secret_sha256"] for row in rows)
        found = {row["secret_sha256"]: row for row in rows if times[row["secret_sha256"]] == 1}
        principals = {sha256: _principal(row) for sha256, row in found.items()}
        for sha256 in asked:
            if sha256 in found:
                left_s = found[sha256]["left_s"]
                until = began + (self._ttl_s if left_s is None else min(left_s, self._ttl_s))
                self._known.put(sha256, _Answer(principals[sha256], until))
            else:
                self._known.drop(sha256)
                self._unknown.put(sha256, _Answer(None, began + self._ttl_s))
        return principals


def _principal(row: Columns) -> Principal:
    suspended = row["suspended"]
    scopes = frozenset[str]() if suspended else frozenset(row["scopes"])
    return Principal(row["tenant_id"], row["id"], scopes, row["rate_limit_per_s"], suspended)


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

    def __contains__(self, sha256: bytes) -> bool:
        """Whether there is an answer, however old."""
        return sha256 in self._answers

    def drop(self, sha256: bytes) -> None:
        self._answers.pop(sha256, None)

    def put(self, sha256: bytes, answer: _Answer) -> None:
        self._answers.pop(sha256, None)
        if len(self._answers) >= self._answers_max:
            del self._answers[next(iter(self._answers))]
        self._answers[sha256] = answer
