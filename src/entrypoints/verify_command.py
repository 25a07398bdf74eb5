"""``wallet verify``: proves what is in the database. Exits with 0 if it holds, 1 if not, 2 if that cannot be told."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn
from uuid import UUID

import attrs
import click

from entrypoints import bootstrap
from entrypoints.bootstrap import BootstrapError, CheckpointError
from entrypoints.settings import SettingError, Settings
from wallet_core.findings import CheckResult, Findings
from wallet_core.verify import verify_tenant, verify_wallet

NOT_PROVED: Final = 1
UNKNOWN: Final = 2
INTERRUPTED: Final = 130

EPILOG: Final = """\b
Exit codes: 0 everything holds; 1 something does not; 2 that could not be found out.

Without --tenant all tenants are proved, one after the other, each as it is at one instant; writers are not held up.

A checkpoint makes a cut-off tail, a deleted wallet or a history written anew visible. Keep it where whoever can change
the database cannot. With --since only what came after it is proved, and rows are compared with it; prove everything now
and then. Both options together extend a checkpoint. They are for one tenant.
"""


class _NothingToProve(Exception):
    """What is to be proved is not there. The message is for whoever asked."""


@attrs.frozen
class _Report:
    """What there is to say of a proof."""

    of: str
    entries: int
    seconds: float
    results: Sequence[CheckResult]
    findings: Findings

    @property
    def ok(self) -> bool:
        return not self.findings.counts


@click.command(epilog=EPILOG)
@click.option("--tenant", metavar="NAME", help="Only this tenant.")
@click.option("--wallet", "wallet_id", type=click.UUID, metavar="ID", help="Only this wallet.")
@click.option("--since", type=click.Path(path_type=Path), metavar="FILE", help="Go on from this checkpoint.")
@click.option("--checkpoint", type=click.Path(path_type=Path), metavar="FILE", help="Leave a checkpoint, if all holds.")
def verify(tenant: str | None, wallet_id: UUID | None, since: Path | None, checkpoint: Path | None) -> None:
    """Prove the ledger: hashes, running balances, holds, limits, sums. Says what is wrong, and where."""
    if wallet_id is not None and (since or checkpoint):
        raise click.UsageError("--since and --checkpoint are for a whole tenant, not for one wallet")
    with _failing_with(UNKNOWN), bootstrap.administered(Settings.from_environment(os.environ)) as url:
        tenants = _tenants(url, tenant)
        if len(tenants) > 1 and (since or checkpoint):
            raise click.UsageError("there are several tenants: --since and --checkpoint need --tenant")
        reports = (
            _of_wallet(url, tenants, wallet_id)
            if wallet_id is not None
            else (_of_tenant(url, name, id, since, checkpoint) for name, id in tenants.items())
        )
        proved = [_tell(report) for report in reports]
        if not tenants:
            click.echo("There is no tenant yet, and so nothing to prove.")
    if not all(proved):
        sys.exit(NOT_PROVED)


def _tenants(url: str, name: str | None) -> dict[str, UUID]:
    async def find() -> dict[str, UUID]:
        async with bootstrap.verification(url) as audit:
            return dict(await audit.tenants())

    with bootstrap.explained():
        tenants = asyncio.run(find())
    if name is None:
        return tenants
    if name not in tenants:
        raise _NothingToProve(f"there is no tenant {name!r}")
    return {name: tenants[name]}


def _of_tenant(url: str, name: str, tenant: UUID, since: Path | None, checkpoint: Path | None) -> _Report:
    async def prove() -> _Report:
        with ExitStack() as stack:
            seen = None if since is None else stack.enter_context(bootstrap.read_checkpoint(since, tenant))
            writer = None if checkpoint is None else stack.enter_context(bootstrap.write_checkpoint(checkpoint))
            progress = stack.enter_context(_progress(f"tenant {name}"))
            remember: dict[str, Any] = {} if writer is None else {"proved": writer.add}
            async with bootstrap.verification(url) as audit, audit.view(tenant) as view:
                began = time.monotonic()
                proof = await verify_tenant(view, since=seen, progress=progress, **remember)
                seconds = time.monotonic() - began
            if writer is not None and proof.ok:
                writer.keep(tenant, name, proof)
        of = f"tenant {name}, {proof.wallets:,} wallets"
        return _Report(of, proof.entries_proved, seconds, proof.results, proof.findings)

    with bootstrap.explained():
        return asyncio.run(prove())


def _of_wallet(url: str, tenants: dict[str, UUID], wallet_id: UUID) -> list[_Report]:
    """The wallet, in each tenant that has one of this id: ids are unique within a tenant."""

    async def prove() -> list[_Report]:
        found: list[_Report] = []
        async with bootstrap.verification(url) as audit:
            for name, tenant in tenants.items():
                async with audit.view(tenant) as view:
                    wallet = await view.wallet(wallet_id)
                    if wallet is None:
                        continue
                    with _progress(f"wallet {wallet_id}") as progress:
                        began = time.monotonic()
                        proof = await verify_wallet(view, wallet, progress)
                        seconds = time.monotonic() - began
                    of = f"wallet {wallet_id} of tenant {name}"
                    found.append(_Report(of, proof.entries, seconds, proof.results, proof.findings))
        return found

    with bootstrap.explained():
        reports = asyncio.run(prove())
    if not reports:
        raise _NothingToProve(
            f"there is no wallet {wallet_id}" + (f" in tenant {next(iter(tenants))}" if tenants else "")
        )
    return reports


def _tell(report: _Report) -> bool:
    """Print a report. Returns whether all that it is about holds."""
    rate = f", {report.entries / report.seconds:,.0f} a second" if report.entries and report.seconds else ""
    click.echo(f"{report.of}: {report.entries:,} entries proved{rate}")
    for result in report.results:
        state = click.style("ok", fg="green") if result.ok else click.style("failed", fg="red", bold=True)
        count = "" if result.ok else f" ({report.findings.counts[result.check]:,})"
        click.echo(f"  {result.check.value:<28}{state}{count}")
    for finding in report.findings.kept:
        click.echo(_printable(f"  {finding.check.value}: {finding}"))
    not_shown = report.findings.counts.total() - len(report.findings.kept)
    if not_shown:
        click.echo(f"  and {not_shown:,} more")
    return report.ok


def _printable(text: str) -> str:
    """What was tampered with may hold anything, and a terminal would do as it is told."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True) as bar:

        def advance(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield advance


@contextmanager
def _failing_with(code: int) -> Iterator[None]:
    try:
        yield
    except (SettingError, BootstrapError, CheckpointError, _NothingToProve) as error:
        _leave(code, f"wallet: {error}")
    except KeyboardInterrupt:
        # Not 1, which says that something was found.
        _leave(INTERRUPTED, "")


def _leave(code: int, message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
