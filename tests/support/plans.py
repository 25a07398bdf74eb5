"""The plans that the service's own prepared statements have, on its own connections.

PostgreSQL keeps the statements that a driver prepares under names, and runs them by those names for SQL's EXECUTE as
well. So the very statements that a ledger or a reader ran are explained, with the parameters they ran with, in the
session they ran in: with its role, its settings, and by then its generic plan, if the server has come to prefer that.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from struct import unpack_from
from typing import Any, Final, cast
from uuid import UUID

import asyncpg
import attrs
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from adapters.postgres.pipeline import Answer, Pipeline, Statement
from adapters.postgres.schema import metadata
from adapters.postgres.session import PIPELINE

Node = Mapping[str, Any]

BY_INDEX: Final = frozenset({"Index Scan", "Index Only Scan"})
OF_PARAMETERS: Final = frozenset({"Function Scan", "ProjectSet", "Result", "CTE Scan"})
"""Nodes that read no table."""
STEPS: Final = frozenset(
    {"Aggregate", "Append", "Hash", "Hash Join", "Limit", "LockRows", "ModifyTable", "Nested Loop", "Subquery Scan"}
)
"""Nodes that combine what others have read, and keep no more of it than a batch or a page."""


_TABLES: Final = re.compile(rf"\b({'|'.join(metadata.tables)})\b")


@attrs.frozen
class Explained:
    """A statement, and the plan it was run by. ``generic_plans``: how often its generic plan had been used by then."""

    statement: str
    plan: Node
    generic_plans: int

    def nodes(self) -> Iterator[Node]:
        """All nodes of the plan, from the top."""
        return _nodes(self.plan)

    @property
    def buffers(self) -> int:
        """How many pages were touched, in memory or not, in the run that explained it."""
        return int(self.plan["Shared Hit Blocks"]) + int(self.plan["Shared Read Blocks"])

    @property
    def rows_touched(self) -> int:
        """How many rows of tables were looked at, whether or not they were then used."""
        scans = (node for node in self.nodes() if node["Node Type"] not in OF_PARAMETERS | STEPS)
        return sum(
            round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
            for node in scans
        )

    @property
    def writes(self) -> bool:
        """Whether it changes rows."""
        return bool(self.plan["Node Type"] == "ModifyTable")

    def __str__(self) -> str:
        lines = "\n".join(_lines(self.plan, 0))
        return f"{self.statement}\n{lines}\n{self.buffers} buffers, {self.generic_plans} times by a generic plan"


class Recorder:
    """Notes the statements that run on an engine of one connection, with their latest parameters.

    It has to be made before the engine connects. All ways of running them are seen: through SQLAlchemy's connection,
    on the driver's, and ahead of it.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._noted: dict[str, Sequence[Any]] = {}
        self._explaining = False
        event.listen(engine.sync_engine, "before_cursor_execute", self._note)
        event.listen(engine.sync_engine, "connect", self._listen)

    async def explain(self) -> list[Explained]:
        """Run everything once more that was noted since the last time, explaining it, in a transaction that is then
        rolled back."""
        async with self._engine.connect() as connection:
            pooled = await connection.get_raw_connection()
            session = cast(asyncpg.Connection, pooled.driver_connection)
            prepared = {
                row["statement"]: row
                for row in await session.fetch(
                    "SELECT name, statement, parameter_types::text[] AS types, generic_plans"
                    " FROM pg_prepared_statements"
                )
            }
            # The driver asks the catalogs for types in the same way.
            noted = [statement for statement in self._noted if statement in prepared and _TABLES.search(statement)]
            self._explaining = True
            transaction = session.transaction()
            await transaction.start()
            try:
                return [await _explain(session, prepared[statement], self._noted[statement]) for statement in noted]
            finally:
                await transaction.rollback()
                self._explaining = False
                self._noted.clear()

    def _listen(self, pooled: Any, record: ConnectionPoolEntry) -> None:
        pooled.driver_connection.add_query_logger(self._log)
        record.info[PIPELINE] = _NotedPipeline(pooled.driver_connection, self._noted)

    def _log(self, query: asyncpg.connection.LoggedQuery) -> None:
        if not self._explaining:
            self._noted[query.query] = query.args

    def _note(
        self, connection: object, cursor: object, statement: str, parameters: Sequence[Any], *others: object
    ) -> None:
        self._noted[statement] = parameters


class _NotedPipeline(Pipeline):
    def __init__(self, driver: asyncpg.Connection, noted: dict[str, Sequence[Any]]) -> None:
        super().__init__(driver, sends_ahead=True)
        self._noted = noted

    async def run(self, statements: Iterable[Statement], answer: Answer) -> list[int]:
        listed = list(statements)
        self._noted.update((sql, _decoded(arguments)) for sql, arguments in listed)
        return await super().run(listed, answer)


def _decoded(sent: bytes) -> list[Any]:
    """The arguments of a statement, from what is sent of them. See ``adapters.postgres.binary``."""
    (amount,) = unpack_from(">h", sent, 4)
    values: list[Any] = []
    at = 6
    for _ in range(amount):
        value, at = _next(sent, at)
        values.append(UUID(bytes=value) if len(value) == UUID_SIZE else _array(value))
    return values


def _next(sent: bytes, at: int) -> tuple[Any, int]:
    (size,) = unpack_from(">i", sent, at)
    return (None, at + 4) if size < 0 else (sent[at + 4 : at + 4 + size], at + 4 + size)


def _array(sent: bytes) -> list[Any]:
    dimensions, _, oid = unpack_from(">iii", sent)
    values: list[Any] = []
    at = 20
    for _ in range(unpack_from(">i", sent, 12)[0] if dimensions else 0):
        value, at = _next(sent, at)
        values.append(None if value is None else _ELEMENTS[oid](value))
    return values


def _int8(value: bytes) -> int:
    return int.from_bytes(value, signed=True)


UUID_SIZE: Final = 16
_ELEMENTS: Final[Mapping[int, Callable[[bytes], Any]]] = {
    17: bytes,
    20: _int8,
    25: bytes.decode,
    114: bytes.decode,
    1184: lambda value: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=_int8(value)),
    2950: lambda value: UUID(bytes=value),
}


async def _explain(session: asyncpg.Connection, prepared: asyncpg.Record, parameters: Sequence[Any]) -> Explained:
    arguments = [
        # The server itself writes the parameter as a literal, in the type that the statement takes it in.
        await session.fetchval(f"SELECT quote_nullable(CAST($1 AS {type_})::text)", parameter)
        for type_, parameter in zip(prepared["types"], parameters, strict=True)
    ]
    call = f'"{prepared["name"]}"' + (f"({', '.join(arguments)})" if arguments else "")
    found = json.loads(await session.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE {call}"))
    return Explained(prepared["statement"], found[0]["Plan"], prepared["generic_plans"])


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _lines(node: Node, depth: int) -> Iterator[str]:
    told = ("Index Name", "Relation Name", "Index Cond", "Filter", "Join Filter", "Hash Cond", "Rows Removed by Filter")
    details = ", ".join(f"{name}: {node[name]}" for name in told if name in node)
    yield f"{'  ' * depth}{node['Node Type']} × {node['Actual Loops']} → {node['Actual Rows']} ({details})"
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)
