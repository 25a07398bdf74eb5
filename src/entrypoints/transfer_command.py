"""``wallet export`` and ``wallet import``: a tenant's whole ledger as a file. See ``docs/command-line.md``."""

import asyncio
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NoReturn
from uuid import UUID

import click

from entrypoints import bootstrap
from entrypoints.bootstrap import BootstrapError, DatabaseUnusable
from entrypoints.people import exit_codes
from entrypoints.settings import SettingError, Settings
from entrypoints.transfer_export import (
    NotProved,
    NotWritten,
    prove,
    settle,
    still_the_beginning,
    what_is_kept,
    write_ledger,
)
from entrypoints.transfer_format import End, FormatError, header_line
from entrypoints.transfer_import import Differs, Importing, whole
from wallet_core.ports import CommitUnknown
from wallet_core.verify import verify_tenant

PART: Final = ".part"
AGAIN: Final = "the same command goes on from there"

EXIT_CODES: Final = """\b
Exit codes: 0 done; 1 refused; 4 the tenant is not what the file says; 6 the database cannot be used; 130 interrupted.
"""

Progress = Callable[[int, int], None]


class TransferError(Exception):
    """It cannot be done like this. The message is for whoever asked."""


@click.command("export", epilog=EXIT_CODES)
@click.option("--tenant", metavar="NAME", default=bootstrap.DEFAULT_TENANT, show_default=True, help="Whose ledger.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to. Until it is whole it is FILE.part, which the same command goes on with. [default: standard output]",
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def export(tenant: str, output: Path | None, quiet: bool) -> None:
    """Write a tenant's ledger down, as it is at one instant: JSON, one object a line.

    The ledger is proved first. Writers are not held up.
    """
    with _failing():
        if output is None:
            with bootstrap.administered(_settings()) as url, bootstrap.explained():
                asyncio.run(_export(url, tenant, sys.stdout.buffer, None, quiet=quiet))
            return
        if output.exists():
            raise TransferError(f"{output} is there already; remove it, or name another file")
        part = output.with_name(f"{output.name}{PART}")
        with _alone(part) as file:
            with bootstrap.administered(_settings()) as url, bootstrap.explained():
                asyncio.run(_export(url, tenant, file, part, quiet=quiet))
            settle(file, part, output)


@click.command("import", epilog=EXIT_CODES)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--tenant", metavar="NAME", help="Into which tenant. [default: the one it was exported from]")
@click.option("--quiet", is_flag=True, help="Say nothing but errors.")
def import_(file: Path, tenant: str | None, quiet: bool) -> None:
    """Read a tenant's ledger from a file that `wallet export` wrote, and prove it.

    The tenant is made if it is not there, and has to be empty, or hold a part of the same ledger: then the rest is
    added. Doing it twice changes nothing.
    """
    with _failing():
        header, end = whole(file)
        settings = _settings()
        with bootstrap.administered(settings) as url, bootstrap.explained():
            if settings.auto_migrate:
                asyncio.run(bootstrap.upgrade(url))
            asyncio.run(_import(url, tenant or header.tenant.name, file, end, quiet=quiet))


async def _export(url: str, name: str, file: IO[bytes], part: Path | None, *, quiet: bool) -> None:
    tenant = await _tenant(url, name)
    if tenant is None:
        raise TransferError(f"there is no tenant {name!r}")
    async with bootstrap.transfer(url) as transfer, transfer.snapshot(tenant) as reading:
        began = time.monotonic()
        with _progress(f"proving {name}", quiet=quiet) as progress:
            proof = await prove(reading, progress)
        proved = time.monotonic()
        kept = None if part is None else what_is_kept(part, header_line(tenant, name))
        if kept is not None and not await still_the_beginning(reading, kept):
            kept = None
        if part is not None:
            file.truncate(0 if kept is None else kept.size)
            file.seek(0, os.SEEK_END)
        entries_before = 0 if kept is None else kept.entries
        with _progress(f"writing {name}", quiet=quiet) as progress:
            writer = await write_ledger(reading, tenant, name, file, kept, progress)
        entries, written_s = writer.entries - entries_before, time.monotonic() - proved
        if not quiet:
            kept_said = "" if kept is None else f"; {kept.entries:,} were in {part} already"
            click.echo(
                f"tenant {name}: {proof.entries_proved:,} entries proved in {proved - began:.1f} s, "
                f"{_rate(entries, written_s)} written{kept_said}",
                err=True,
            )


async def _import(url: str, name: str, path: Path, end: End, *, quiet: bool) -> None:
    tenant = await _tenant(url, name)
    if tenant is None:
        async with bootstrap.administration(url) as admin:
            tenant = await admin.ensure_tenant(name)
    began = time.monotonic()
    async with bootstrap.transfer(url) as transfer, transfer.reading(tenant) as reading:

        async def write(rows: Any) -> None:
            await transfer.write(tenant, bootstrap.Writing(**rows))

        importing = Importing(reading, write, (await reading.counts())["decisions"])
        try:
            with path.open("rb") as file, _progress(f"reading {path.name}", quiet=quiet) as progress:
                await importing.run(file, os.fstat(file.fileno()).st_size, progress)
        except bootstrap.TornTransfer as error:
            raise Differs("somebody else writes to the tenant; nothing of this portion was kept") from error
        except CommitUnknown as error:
            raise DatabaseUnusable(f"the connection was lost at a COMMIT; {AGAIN}") from error
        written_s = time.monotonic() - began
        _compare(await reading.counts(), end)
        with _progress(f"proving {name}", quiet=quiet) as progress:
            async with transfer.snapshot(tenant) as snapshot:
                proof = await verify_tenant(snapshot.view, progress=progress)
    if not proof.ok:
        first = proof.findings.kept[0]
        raise Differs(f"the ledger does not hold after it: {first.check.value}: {first}")
    if not quiet:
        click.echo(
            f"tenant {name}: {importing.matched:,} decisions were there, {importing.written:,} written with "
            f"{_rate(importing.entries_written, written_s)}; {proof.entries_proved:,} entries proved in "
            f"{time.monotonic() - began - written_s:.1f} s",
            err=True,
        )


def _compare(counts: Any, end: End) -> None:
    """Nothing may be there but what the file has."""
    there = {
        "transactions": counts["transactions"],
        "decisions": counts["decisions"] - counts["transactions"],
        "entries": counts["entries"],
        "wallets": counts["wallets"],
        "holds": counts["holds"],
    }
    for kind, amount in there.items():
        if amount != (expected := getattr(end, kind)):
            raise Differs(f"the tenant has {amount:,} {kind} now, and the file {expected:,}")


async def _tenant(url: str, name: str) -> UUID | None:
    async with bootstrap.verification(url) as audit:
        return (await audit.tenants()).get(name)


def _rate(entries: int, seconds: float) -> str:
    return f"{entries:,} entries in {seconds:.1f} s ({entries / max(seconds, 0.001):,.0f} a second)"


@contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The unfinished file, for one export at a time."""
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TransferError(f"another export writes {part} now") from None
        yield file


@contextmanager
def _progress(label: str, *, quiet: bool) -> Iterator[Progress]:
    """A bar on standard error, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield advance


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (TransferError, NotProved, NotWritten, FormatError) as error:
        _leave(exit_codes.REFUSED, str(error))
    except Differs as error:
        _leave(exit_codes.CONFLICT, str(error))
    except (SettingError, BootstrapError) as error:
        away = isinstance(error, DatabaseUnusable) or isinstance(error.__cause__, DatabaseUnusable)
        _leave(exit_codes.UNAVAILABLE if away else exit_codes.REFUSED, str(error))
    except OSError as error:
        _leave(exit_codes.REFUSED, f"{error.filename or 'the file'}: {error.strerror or error}")
    except KeyboardInterrupt:
        _leave(exit_codes.INTERRUPTED, f"interrupted; {AGAIN}")


def _leave(code: int, message: str) -> NoReturn:
    click.echo(f"wallet: {' '.join(message.split())}", err=True)
    sys.exit(code)


def _settings() -> Settings:
    return Settings.from_environment(os.environ)
