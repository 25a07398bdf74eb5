"""The command line. An error is one line on standard error, and an exit code that is not 0."""

import asyncio
import signal
import socket
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final, NoReturn

import attrs
import click

from entrypoints import bootstrap, composition, logs
from entrypoints.administer import current_settings, errors_in_one_line
from entrypoints.bootstrap import BootstrapError, Prepared
from entrypoints.http import server
from entrypoints.http.buckets import Buckets
from entrypoints.http.security_headers import HSTS
from entrypoints.keys_command import keys
from entrypoints.settings import Settings
from entrypoints.tenants_command import audit, tenants
from entrypoints.torture_command import torture
from entrypoints.transfer_command import export, import_
from entrypoints.verify_command import verify
from entrypoints.wallet import PEOPLE, people_command

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
  WALLET_METRICS             /metrics for Prometheus: on, off, or a port of its own (default: on on a loopback address)
  WALLET_LOG_FORMAT          text or json (default: text)
  WALLET_LOG_LEVEL           debug, info, warning or error (default: warning)
  WALLET_ACCESS_LOG          log requests: on, off, or a share of them; failures and slow ones always are (default: off)
  WALLET_SLOW_REQUEST_MS     what is slow (default: 1000)
  WALLET_RATE_LIMIT          requests a second of each API key, each command of a batch one (default: any number)
  WALLET_RATE_LIMIT_BURST_MS how much of that may come at once, as a time (default: 1000)
  WALLET_CORS_ORIGINS        whose pages may call the API from a browser, such as https://shop.example (default: none)
  WALLET_HSTS                tell browsers to come by TLS only; for a service that has TLS in front (default: off)
Each URL and the key may be in a file that WALLET_DATABASE_URL_FILE, WALLET_REDIS_URL_FILE or
WALLET_BOOTSTRAP_API_KEY_FILE names.
"""


@click.group(epilog=SETTINGS_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="wallet-service")
def main() -> None:
    """Wallets that credit and debit exactly once, on PostgreSQL, over HTTP."""


@main.command(epilog=SETTINGS_HELP)
def serve() -> None:
    """Start the service, and stop it with Ctrl-C or SIGTERM.

    Without WALLET_DATABASE_URL it brings its own PostgreSQL, makes an API key, and prints a link that carries it.
    """
    with errors_in_one_line():
        settings = current_settings()
        # From here on, so that whatever has been started by then is stopped again.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _leave)
        logs.start(settings)
        with ExitStack() as stack:
            stack.callback(logs.end)
            listeners = [stack.enter_context(_bind(settings.host, port)) for port in settings.ports]
            prepared = stack.enter_context(bootstrap.prepared(settings))
            if settings.metrics is not None and settings.workers > 1:
                folder = stack.enter_context(TemporaryDirectory(prefix="wallet-metrics-"))
                settings = attrs.evolve(settings, metrics_dir=Path(folder))
            port = listeners[0].getsockname()[1]
            server.serve(
                partial(
                    composition.application, settings, prepared.database_url, buckets=stack.enter_context(Buckets())
                ),
                listeners,
                start_logs=partial(logs.start, settings),
                workers=settings.workers,
                request_timeout_s=settings.request_timeout_ms / 1000,
                announce=partial(_announce, settings, port, prepared),
                headers=(HSTS,) if settings.hsts else (),
            )
            _ignore_signals()


main.add_command(verify)
main.add_command(torture)
main.add_command(export)
main.add_command(import_)
for name in PEOPLE:
    main.add_command(people_command(name), name)
main.add_command(keys)
main.add_command(tenants)
main.add_command(audit)


@main.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the schema up to date. Does nothing if it is."""
    with errors_in_one_line(), bootstrap.administered(current_settings()) as url, bootstrap.explained():
        status = asyncio.run(bootstrap.upgrade(url))
    click.echo(f"The schema is {status.current}.")


@db.command()
def status() -> None:
    """Show the schema's version, and the one that is needed. Exits with 1 if they differ."""
    with errors_in_one_line(), bootstrap.administered(current_settings()) as url, bootstrap.explained():
        found = asyncio.run(bootstrap.schema_status(url))
    click.echo(f"{found.state.value}: the database has {found.current or 'no schema'}, this service needs {found.head}")
    if found.current != found.head:
        sys.exit(1)


def _bind(host: str, port: int) -> socket.socket:
    try:
        return server.bind(host, port)
    except OSError as error:
        raise BootstrapError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _announce(settings: Settings, port: int, prepared: Prepared) -> None:
    """Say where the service is, once it answers."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - compared with
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


if __name__ == "__main__":
    main()
