"""The commands that look, and those that settle what became of a key."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import attrs
import click

from entrypoints.people import exit_codes
from entrypoints.people.desk import Command, Desk, fail, with_wallets
from entrypoints.people.receipts import hold_lines, receipt, wallet_lines
from entrypoints.people.tables import printable, table, time
from entrypoints.people.words import Moment, WalletId
from wallet_core.model import Decision, HoldStatus, Rejection, Transaction, WalletStatus

if TYPE_CHECKING:
    from entrypoints.people.access import WalletClient

ROWS_DEFAULT = 50
ROWS_PER_PAGE = 200
HOLDS_SHOWN_MAX = 20

LIMIT = click.option(
    "--limit", type=click.IntRange(min=1), default=ROWS_DEFAULT, show_default=True, help="How many at most."
)
CURSOR = click.option("--cursor", help="Go on where an earlier answer ended.")


@click.command(cls=Command)
@click.argument("wallet", type=WalletId())
@with_wallets
def show(desk: Desk, wallet: UUID) -> None:
    """Show a wallet, and what is held in it."""

    async def work(client: "WalletClient") -> Any:
        members = await client.get(f"/v1/wallets/{wallet}", dict)
        page = await client.page(f"/v1/wallets/{wallet}/holds", limit=ROWS_PER_PAGE, cursor=None, filters={})
        return members, [hold for hold in page.items if hold["status"] == HoldStatus.ACTIVE]

    from entrypoints.people import access

    members, held = desk.carry_out(work)
    found, holds = access.wallet(members), [access.hold(each) for each in held]
    lines = wallet_lines(found, desk)
    if holds:
        lines += ["", *hold_lines(holds[:HOLDS_SHOWN_MAX], desk, found.currency)]
    if len(holds) > HOLDS_SHOWN_MAX:
        lines.append(f"and {len(holds) - HOLDS_SHOWN_MAX} more")
    desk.show({**members, "holds": held}, lines)


@click.command("list", cls=Command)
@click.option("--currency", help="Only those in this one.")
@click.option("--status", type=click.Choice([status.value for status in WalletStatus]), help="Only those.")
@LIMIT
@CURSOR
@with_wallets
def list_(desk: Desk, currency: str | None, status: str | None, limit: int, cursor: str | None) -> None:
    """List wallets, newest first."""
    filters = {name: text for name, text in (("currency", currency), ("status", status)) if text is not None}

    from entrypoints.people import access

    def row(members: Mapping[str, Any]) -> tuple[str, ...]:
        wallet = access.wallet(members)
        amount = desk.amount_in(wallet.currency)
        return str(wallet.id), wallet.status.value, amount(wallet.balance), amount(wallet.held), str(wallet.version)

    async def work(client: "WalletClient") -> None:
        listing = _Listing(desk, ("WALLET", "STATUS", "BALANCE", "HELD", "VERSION"), (2, 3, 4))
        await listing.print(_pages(client, "/v1/wallets", limit, cursor, filters), row)

    desk.carry_out(work)


@click.command(cls=Command)
@click.argument("wallet", type=WalletId())
@click.option("--since", type=Moment(), metavar="TIME", help="Only what came then or later: 2026-01-31, or 2h.")
@LIMIT
@CURSOR
@with_wallets
def history(desk: Desk, wallet: UUID, since: datetime | None, limit: int, cursor: str | None) -> None:
    """Show what happened to a wallet, newest first."""
    from entrypoints.people import access

    def row(members: Mapping[str, Any]) -> tuple[str, ...]:
        record = access.entry_record(members)
        entry, amount, change = record.entry, desk.amount_in(None), desk.change_in(None)
        return (
            str(entry.version),
            time(record.created_at),
            record.kind.value,
            change(entry.change),
            amount(entry.balance_after),
            amount(entry.held_after),
            str(record.transaction_id),
        )

    async def work(client: "WalletClient") -> None:
        await desk.learn_currency(client, wallet)
        header = ("VERSION", "TIME", "KIND", "CHANGE", "BALANCE", "HELD", "TRANSACTION")
        pages = _pages(client, f"/v1/wallets/{wallet}/entries", limit, cursor, {})
        await _Listing(desk, header, (0, 3, 4, 5)).print(_since(pages, since), row)

    desk.carry_out(work)


@click.command(cls=Command)
@click.argument("key")
@with_wallets
def decision(desk: Desk, key: str) -> None:
    """Find out what became of an idempotency key.

    Exits with 0 if it was done, 3 if it was rejected, 4 if the key is fenced, and 5 if nothing is decided: then an
    attempt that is still under way may yet be carried out.
    """

    async def work(client: "WalletClient") -> Any:
        return await _decided(client, key)

    members = desk.carry_out(work)
    if members is None:
        fail(
            exit_codes.UNKNOWN,
            f"nothing is decided under {key}. An attempt that is under way may still be; to rule it out: "
            f"wallet fence {key}",
        )
    code = _tell(desk, members)
    if code:
        click.get_current_context().exit(code)


@click.command(cls=Command)
@click.argument("key")
@with_wallets
def fence(desk: Desk, key: str) -> None:
    """Make sure that nothing more can happen under an idempotency key, and learn what did."""

    async def work(client: "WalletClient") -> Any:
        fenced = await client.fence(key)
        # What was decided never changes, so it can be asked for in the API's own words.
        return fenced, await _decided(client, key)

    _, members = desk.carry_out(work)
    _tell(desk, members)


async def _decided(client: "WalletClient", key: str) -> Any:
    from entrypoints.people import access

    try:
        return await client.get("/v1/idempotency-keys", dict, key=key)
    except access.NotFound:
        return None


def _tell(desk: Desk, members: Mapping[str, Any]) -> int:
    """Print what was decided under a key. Returns the exit code that says the same."""
    from entrypoints.people import access

    decided: Decision = access.decision(members)
    key = printable(members["key"])
    match decided:
        case Transaction():
            lines, code = [f"{key} was done.", *receipt(decided, desk)], exit_codes.DONE
        case Rejection():
            detail = printable(str(members["problem"].get("detail", "")))
            lines, code = [f"{key} was rejected, {decided.reason.value}: {detail}"], exit_codes.REJECTED
        case _:
            lines, code = [f"{key} is fenced: nothing was done under it, and nothing will be."], exit_codes.CONFLICT
    desk.show(members, lines)
    return code


@attrs.frozen
class _Part:
    """A page of a list, or a part of one; and the cursor that leads on, if anything does."""

    items: list[Mapping[str, Any]]
    next_cursor: str | None


async def _pages(
    client: "WalletClient", path: str, limit: int, cursor: str | None, filters: Mapping[str, str]
) -> AsyncIterator[_Part]:
    """Up to ``limit`` items of a list, each page when it is needed."""
    while limit > 0:
        page = await client.page(path, limit=min(limit, ROWS_PER_PAGE), cursor=cursor, filters=filters)
        yield _Part(list(page.items), page.next_cursor)
        limit -= len(page.items)
        cursor = page.next_cursor
        if cursor is None:
            return


async def _since(pages: AsyncIterator[_Part], since: datetime | None) -> AsyncIterator[_Part]:
    """The pages up to where they become older than this."""
    async for part in pages:
        young = [item for item in part.items if since is None or datetime.fromisoformat(item["created_at"]) >= since]
        if len(young) < len(part.items):
            yield _Part(young, None)
            return
        yield part


@attrs.define
class _Listing:
    """Rows as they come: a long list is not waited for."""

    desk: Desk
    header: tuple[str, ...]
    right: tuple[int, ...]

    async def print(self, parts: AsyncIterator[_Part], row: Any) -> None:
        kept: list[Mapping[str, Any]] = []
        first, cursor = True, None
        async for part in parts:
            cursor = part.next_cursor
            if self.desk.as_json:
                kept += part.items
                continue
            lines = table(self.header, [row(item) for item in part.items], right=self.right)
            for line in lines if first else lines[1:]:
                click.echo(line)
            first = False
        if self.desk.as_json:
            self.desk.show({"items": kept, "next_cursor": cursor}, [])
        elif cursor is not None:
            click.echo(f"There is more: --cursor {cursor}", err=True)
