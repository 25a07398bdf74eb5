"""Connections to PostgreSQL: a bounded pool, whose sessions are all set up alike, whatever the server's defaults."""

import asyncio
import os
import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from adapters.postgres.pipeline import can_bound_transactions
from adapters.postgres.session import BOUNDED, PATIENCE, Bounded
from adapters.postgres.silence import Patience, notice_dead_peers

Isolation = Literal["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT"]

TRANSACTION_TIMEOUT: Final = "transaction_timeout"

SCHEMES: Final = ("postgresql://", "postgres://", "postgresql+asyncpg://")

# What is known of a connection of the pool: when it was made, and the timer that bounds its setting up.
_MADE_AT: Final = "wallet_made_at"
_SET_UP: Final = "wallet_set_up"

INDEX_ONLY_PLANS: Final[Mapping[str, str]] = {
    "enable_bitmapscan": "off",
    "enable_material": "off",
    "enable_memoize": "off",
    "enable_mergejoin": "off",
    # A look-up row by row is a nested loop whatever this says. An update joins what it found with what it sets, and a
    # nested loop would compare each with each.
    "enable_nestloop": "off",
    "enable_seqscan": "off",
    # A page of a list comes in the order of an index, however small a sort is expected to be.
    "enable_sort": "off",
    # With the way fixed, costs decide only whether a plan is kept. At the usual ones the server plans anew for every
    # batch of one, which takes it longer (0.25 ms) than carrying the plan out.
    "random_page_cost": "0",
    "seq_page_cost": "0",
}
"""Planner settings under which batches and reads find their rows by index, also in a table that was never analysed, or
has grown since it was."""


def create_engine(
    dsn: str,
    *,
    pool_size: int = 4,
    pool_timeout_ms: int = 5_000,
    connect_timeout_ms: int = 5_000,
    statement_timeout_ms: int = 10_000,
    lock_timeout_ms: int = 5_000,
    idle_in_transaction_timeout_ms: int = 10_000,
    role: str | None = None,
    isolation: Isolation = "READ COMMITTED",
    application_name: str = "wallet-service",
    planner: Mapping[str, str] | None = None,
    json_as_text: bool = True,
    patience: Patience | None = None,
) -> AsyncEngine:
    """An engine with a pool of at most `pool_size` connections; it connects when it is first used.

    `dsn` is a libpq URL. It may name several hosts: they are tried in order, `connect_timeout_ms` each, and the first
    that takes writes is used, unless the URL says otherwise with ``target_session_attrs``.
    Times are milliseconds; 0 switches a limit of the server off. Waiting for a free connection longer than
    `pool_timeout_ms` raises `sqlalchemy.exc.TimeoutError`. `role` is taken at connect (``SET ROLE``).
    `planner` sets further server settings, such as `INDEX_ONLY_PLANS`.

    JSON columns carry text: what is bound is stored byte for byte, and read back as the same `str`.
    SQLAlchemy's reflection reads catalogs through JSON, and needs `json_as_text` to be off.

    Every wait of a ``session.Session`` is bounded. The server's own limits speak first; where they do not, the answer
    to a statement is waited for ``silence.ANSWER_MARGIN_S`` longer than `statement_timeout_ms`, and the connection is
    then closed. That goes for COMMIT as well, which the server does not limit. Nothing is ever cancelled for it.
    PostgreSQL 17 and later end a transaction after as long as a statement and a pause may take together, and all of its
    writes may go unanswered for as long. Where either has no limit, on older servers, and where the URL sets
    ``transaction_timeout``, each statement that writes is waited for (``pipeline``).
    What a limit in the URL says is the server's business; here the parameters count. `patience` is for engines that
    share what they find out about connections which are of no use any more.
    """
    patience = patience or Patience.beyond(statement_timeout_ms)
    settings = {
        "application_name": application_name,
        "timezone": "UTC",
        # What was acknowledged survives, also where the server's default trades that for speed.
        "synchronous_commit": "on",
        # A doubt about a COMMIT comes as a warning.
        "client_min_messages": "warning",
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(idle_in_transaction_timeout_ms),
        # Compiling a plan takes longer than any of these statements runs.
        "jit": "off",
        **(planner or {}),
    }
    if isolation != "AUTOCOMMIT":
        # For the transactions that sessions begin themselves (``session.Session``).
        settings["default_transaction_isolation"] = isolation.lower()
    if role is not None:
        settings["role"] = role
    hosts = dsn_of_each_host(dsn)
    are_limited = bool(statement_timeout_ms and idle_in_transaction_timeout_ms)
    bounded = Bounded((statement_timeout_ms + idle_in_transaction_timeout_ms) / 1000 if are_limited else 0)

    async def connect() -> asyncpg.Connection:
        driver = await _connect_to_first(hosts, settings, bounded, connect_timeout_ms / 1000)
        notice_dead_peers(driver, patience.answer_s)
        return driver

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        isolation_level=isolation,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_ms / 1000,
        # A dead connection is noticed when it is used, if not before; asking each one before each use would cost
        # every batch a round trip.
        pool_pre_ping=False,
        json_serializer=_unchanged if json_as_text else None,
        json_deserializer=_unchanged if json_as_text else None,
        execution_options={PATIENCE: patience, BOUNDED: bounded},
    )
    _bound_the_pool(engine, patience, connect_timeout_ms / 1000)
    return engine


def libpq_dsn(dsn: str) -> str:
    """The URL as libpq and asyncpg spell it, without the name of a driver in its scheme.

    Raises `ValueError`, whose message repeats nothing of the URL, when it is not a PostgreSQL URL.
    """
    for scheme in SCHEMES:
        if dsn.startswith(scheme):
            return "postgresql://" + dsn.removeprefix(scheme)
    raise ValueError("not a PostgreSQL URL (postgresql://user:password@host:port/database)")


def dsn_of_each_host(dsn: str) -> list[str]:
    """One URL for each host that the URL names, in its order, with all else equal.

    The driver's connect timeout covers its whole list of hosts, so that a first host which is switched off (it does
    not refuse, it is silent) would use up the time of the standby that should have answered.
    """
    rest = libpq_dsn(dsn).removeprefix("postgresql://")
    # Python refuses an authority in which an IPv6 address is not the only host.
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    parts = urlsplit(f"postgresql://{rest.removeprefix(authority)}")
    user, at, netloc_hosts = authority.rpartition("@")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if netloc_hosts or "host" not in query:
        return [_url(user + at + host, parts.path, query) for host in netloc_hosts.split(",")]
    hosts = query.pop("host").split(",")
    ports = query.pop("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ValueError("the PostgreSQL URL names a different number of hosts and ports")
    return [
        _url(authority, parts.path, {**query, "host": host, **({"port": port} if port else {})})
        for host, port in zip(hosts, ports, strict=True)
    ]


def _url(netloc: str, path: str, query: Mapping[str, str]) -> str:
    # The standard library's `urlunsplit` drops the slashes before an empty authority, and the driver needs them.
    return f"postgresql://{netloc}{path}" + (f"?{urlencode(query)}" if query else "")


async def _connect_to_first(
    hosts: list[str], settings: dict[str, str], bounded: Bounded, timeout: float
) -> asyncpg.Connection:
    """A connection to the first host that accepts one; raises the last host's error when none does."""
    error: Exception = ValueError("the PostgreSQL URL names no host")
    for host in hosts:
        asked = {name for name, _ in parse_qsl(urlsplit(host).query)}
        left_to_us = "target_session_attrs" not in asked and "PGTARGETSESSIONATTRS" not in os.environ
        try:
            driver = await asyncpg.connect(
                host,
                timeout=timeout,
                target_session_attrs=SessionAttribute.read_write if left_to_us else None,
                # The URL may set what it likes, but not leave the role that may not rewrite the ledger.
                server_settings={name: text for name, text in settings.items() if name not in asked or name == "role"},
            )
            if TRANSACTION_TIMEOUT not in asked and can_bound_transactions(driver):
                # Not with the other settings: an older server would refuse the connection for it.
                await _bound_transactions(driver, bounded, timeout)
            return driver
        except asyncpg.TargetServerAttributeNotMatched:
            # SQLAlchemy would report it as an error of the program, but such a server is one to wait for.
            error = ConnectionError("the database server takes no writes, or is not what target_session_attrs asks for")
        except (OSError, asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError) as failure:
            error = failure
    raise error


async def _bound_transactions(driver: asyncpg.Connection, bounded: Bounded, timeout: float) -> None:
    try:
        await driver.execute(f"SET {TRANSACTION_TIMEOUT} = {round(bounded.transaction_s * 1000)}", timeout=timeout)
    except BaseException:
        # Nobody else knows of the connection yet.
        driver.terminate()
        raise
    if bounded.transaction_s:
        bounded.connections.add(driver)


def _bound_the_pool(engine: AsyncEngine, patience: Patience, set_up_s_max: float) -> None:
    """Have the pool wait for no connection that does not answer: not when it is new, nor at rest, nor at its end."""

    def limit_set_up(pooled: Any, record: ConnectionPoolEntry) -> None:
        # What SQLAlchemy asks of a new connection has no limit.
        loop = asyncio.get_running_loop()
        record.info[_MADE_AT] = loop.time()
        record.info[_SET_UP] = loop.call_later(set_up_s_max, pooled.driver_connection.terminate)

    def end_set_up(record: ConnectionPoolEntry) -> None:
        timer: asyncio.TimerHandle | None = record.info.pop(_SET_UP, None)
        if timer is not None:
            timer.cancel()

    def refuse_closed_or_distrusted(pooled: Any, record: ConnectionPoolEntry, _: object) -> None:
        end_set_up(record)
        # The driver knows of a connection that was closed, by a restart of the server say.
        if pooled.driver_connection.is_closed() or not patience.trusts(record.info[_MADE_AT]):
            raise DisconnectionError

    def close_at_once(pooled: Any, record: ConnectionPoolEntry) -> None:
        # A parting word is sent, and no answer to it is waited for.
        end_set_up(record)
        pooled.driver_connection.terminate()

    event.listen(engine.sync_engine, "connect", limit_set_up, insert=True)
    event.listen(engine.sync_engine, "checkout", refuse_closed_or_distrusted)
    event.listen(engine.sync_engine, "close", close_at_once)


def _unchanged(text: str) -> str:
    return text
