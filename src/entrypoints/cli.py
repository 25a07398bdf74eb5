"""The command line. An error is one line on standard error, and an exit code that is not 0."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Final, NoReturn, TypeVar
from uuid import UUID

import click

from entrypoints import bootstrap
from entrypoints.bootstrap import BootstrapError, Prepared
from entrypoints.http import server
from entrypoints.settings import SettingError, Settings
from entrypoints.torture_command import torture
from entrypoints.verify_command import verify

SETTINGS_HELP: Final = """\b
Settings are environment variables:
  WALLET_DATABASE_URL        PostgreSQL 15 or later; unset: one of its own, under the data folder
  WALLET_AUTO_MIGRATE        bring the schema up to date at start (default: on with its own PostgreSQL)
  WALLET_DATA_DIR            where its own PostgreSQL keeps its data (default: .wallet)
  WALLET_REDIS_URL           Redis; unset: no cache
  WALLET_HOST, WALLET_PORT   where to listen (default: 127.0.0.1, 8080)
  WALLET_WORKERS             server processes (default: 1)
  WALLET_REQUEST_TIMEOUT_MS  how long a request waits for its answer (default: 5000)
  WALLET_BOOTSTRAP_API_KEY   a key with all scopes on the tenant "default", made at start
  WALLET_LAB                 the failure lab (default: on with its own PostgreSQL on a loopback address)
Each URL and the key may be in a file that WALLET_DATABASE_URL_FILE, WALLET_REDIS_URL_FILE or
WALLET_BOOTSTRAP_API_KEY_FILE names.
"""

T = TypeVar("T")


@click.group(epilog=SETTINGS_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="wallet-service")
def main() -> None:
    """Wallets that credit and debit exactly once, on PostgreSQL, over HTTP."""


@main.command(epilog=SETTINGS_HELP)
def serve() -> None:
    """Start the service, and stop it with Ctrl-C or SIGTERM.

    Without WALLET_DATABASE_URL it brings its own PostgreSQL, makes an API key, and prints a link that carries it.
    """
    with _errors_in_one_line():
        settings = _settings()
        # From here on, so that whatever has been started by then is stopped again.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave)
        listener = _bind(settings)
        with listener, bootstrap.prepared(settings) as prepared:
            port = listener.getsockname()[1]
            server.serve(
                partial(bootstrap.application, settings, prepared.database_url),
                listener,
                workers=settings.workers,
                request_timeout_s=settings.request_timeout_ms / 1000,
                announce=partial(_announce, settings, port, prepared),
            )
            _ignore_signals()


main.add_command(verify)
main.add_command(torture)


@main.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the schema up to date. Does nothing if it is."""
    with _errors_in_one_line(), bootstrap.administered(_settings()) as url, bootstrap.explained():
        status = asyncio.run(bootstrap.upgrade(url))
    click.echo(f"The schema is {status.current}.")


@db.command()
def status() -> None:
    """Show the schema's version, and the one that is needed. Exits with 1 if they differ."""
    with _errors_in_one_line(), bootstrap.administered(_settings()) as url, bootstrap.explained():
        found = asyncio.run(bootstrap.schema_status(url))
    click.echo(f"{found.state.value}: the database has {found.current or 'no schema'}, this service needs {found.head}")
    if found.current != found.head:
        sys.exit(1)


@main.group()
def keys() -> None:
    """API keys. A key names a tenant, and what may be done in it."""


@keys.command()
@click.option("--tenant", default=bootstrap.DEFAULT_TENANT, show_default=True, help="Whose wallets the key opens.")
@click.option("--name", default="key", show_default=True, help="For people, to tell keys apart.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(bootstrap.SCOPES),
    default=("read", "write"),
    show_default=True,
    help="What the key may do; may be repeated.",
)
@click.option("--create-tenant", is_flag=True, help="Make the tenant if it does not exist.")
def create(tenant: str, name: str, scopes: tuple[str, ...], create_tenant: bool) -> None:
    """Make an API key, and print it: once, since only a hash of it is kept."""

    async def run(admin: bootstrap.Admin) -> tuple[UUID, str]:
        if not create_tenant and tenant != bootstrap.DEFAULT_TENANT and not await admin.list_keys(tenant):
            raise BootstrapError(f"there is no tenant {tenant!r}; --create-tenant makes it")
        return await admin.create_key(tenant, name, scopes)

    id, secret = _administer(run)
    click.echo(secret)
    click.echo(f"Key {id} of tenant {tenant!r}. It is shown this once.", err=True)


@keys.command("list")
@click.option("--tenant", help="Only this tenant's.")
def list_(tenant: str | None) -> None:
    """List API keys. Their secrets are not known any more."""

    async def run(admin: bootstrap.Admin) -> list[tuple[str, ...]]:
        return [
            (
                str(key.id),
                key.tenant,
                key.name,
                ",".join(scope for scope in bootstrap.SCOPES if scope in key.scopes),
                f"{key.created_at:%Y-%m-%d %H:%M}",
                "active" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d %H:%M}",
            )
            for key in await admin.list_keys(tenant)
        ]

    rows = [("ID", "TENANT", "NAME", "SCOPES", "CREATED", "STATE"), *_administer(run)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@keys.command()
@click.argument("key_id", type=click.UUID)
def revoke(key_id: UUID) -> None:
    """Revoke an API key, by its id (see `wallet keys list`). A running service honours it for a few seconds more."""
    key = _administer(lambda admin: admin.revoke_key(key_id))
    if key is None:
        _fail(f"there is no key {key_id}")
    click.echo(f"Key {key.id} ({key.name!r}, of tenant {key.tenant!r}) is revoked.")


def _administer(work: Callable[[bootstrap.Admin], Awaitable[T]]) -> T:
    """Do an administrator's work on the database of the settings."""

    async def run(url: str) -> T:
        async with bootstrap.administration(url) as admin:
            return await work(admin)

    with _errors_in_one_line(), bootstrap.administered(_settings()) as url, bootstrap.explained():
        return asyncio.run(run(url))


def _settings() -> Settings:
    return Settings.from_environment(os.environ)


def _bind(settings: Settings) -> socket.socket:
    try:
        return server.bind(settings.host, settings.port)
    except OSError as error:
        raise BootstrapError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from error


def _announce(settings: Settings, port: int, prepared: Prepared) -> None:
    """Say where the service is, once it answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    # After the fragment sign: the key stays in the browser, and is in no server's log.
    link = f"{origin}/#key={prepared.api_key}" if prepared.api_key else f"{origin}/"
    key = prepared.api_key or "<key>"
    where = "" if settings.database_url else f" Its data is in {settings.data_dir}."
    click.echo(
        f"""
Wallet Service is ready.{where} Ctrl-C stops it.

  {link}

  curl {origin}/v1/wallets -H 'Authorization: Bearer {key}' -H 'Idempotency-Key: first' \\
    -H 'Content-Type: application/json' -d '{{"currency": "EUR"}}'
"""
    )
    if prepared.api_key is None:
        click.echo("  A key is what WALLET_BOOTSTRAP_API_KEY says, or what `wallet keys create` makes.\n")


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """End the process by the ordinary way out, which stops what was started."""
    _ignore_signals()
    sys.exit(0)


def _ignore_signals() -> None:
    """The end has begun: whoever asks for it again must not interrupt it, and leave the database running."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    try:
        yield
    except (SettingError, BootstrapError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    click.echo(f"wallet: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
