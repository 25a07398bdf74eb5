"""Runs the migrations: on the connection that `adapters.postgres.migrate` hands over, or for the command `alembic`."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection

from adapters.postgres.engine import create_engine
from adapters.postgres.schema import metadata

URL_VARIABLE = "WALLET_DATABASE_URL"


def run_migrations(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_for_command_line() -> None:
    dsn = os.environ.get(URL_VARIABLE)
    if dsn is None:
        raise SystemExit(f"alembic needs {URL_VARIABLE}: the database that new revisions are compared with")
    engine = create_engine(dsn, pool_size=1, statement_timeout_ms=0, json_as_text=False)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run_migrations)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("migrations read the database (roles, server version), so they do not run as a printed script")

given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_for_command_line())
else:
    run_migrations(given)
