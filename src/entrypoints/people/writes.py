"""The commands that move money, and those that prepare it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from entrypoints.people import amounts, shapes
from entrypoints.people.amounts import Written
from entrypoints.people.desk import Command, Desk, new_key, with_wallets
from entrypoints.people.receipts import receipt, wallet_lines
from entrypoints.people.words import Amount, Id, Span, WalletId, metadata

if TYPE_CHECKING:
    from entrypoints.people.access import Done, WalletClient

METADATA = click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="To be kept with it; may be repeated.")
KEY = click.option(
    "--idempotency-key",
    "--key-id",
    "key",
    metavar="KEY",
    help="Of a command that is repeated: it is done once for each key. [default: a new one]",
)
VERSION = click.option(
    "--expected-version", type=click.IntRange(min=1), metavar="N", help="Only if the wallet still has this version."
)
AMOUNT = click.argument("amount", nargs=-1, required=True, metavar="AMOUNT [CURRENCY]")

Write = Callable[[], Awaitable["Done"]]


def _written(desk: Desk, verb: str, work: "Callable[[WalletClient], Awaitable[Done]]") -> None:
    done = desk.carry_out(work)
    again = " (this key was done before; nothing moved now)" if done.replayed else ""
    desk.show(shapes.transaction(done.transaction), [f"{verb}{again}.", *receipt(done.transaction, desk)])


@click.command("open", cls=Command)
@click.argument("currency")
@click.option("--id", "wallet_id", type=Id(), help="The wallet's id. [default: the service chooses]")
@click.option("--floor", type=Amount(), default="0", help="The lowest balance: 0, or below for an overdraft.")
@click.option("--ceiling", type=Amount(), help="The highest balance. [default: none]")
@METADATA
@KEY
@with_wallets
def open_(
    desk: Desk,
    currency: str,
    wallet_id: UUID | None,
    floor: Written,
    ceiling: Written | None,
    metadata: tuple[str, ...],
    key: str | None,
) -> None:
    """Open a wallet in a currency, such as EUR or POINTS."""
    key, kept = key or new_key(), _metadata(metadata)

    async def work(client: "WalletClient") -> Any:
        desk.currency = currency
        lowest = desk.parse(floor, signed=True)
        highest = None if ceiling is None else desk.parse(ceiling, signed=True)
        return await client.open(
            currency, id=wallet_id, floor=lowest, ceiling=highest, metadata=kept, key=desk.sending(key)
        )

    opened = desk.carry_out(work)
    desk.show(shapes.wallet(opened.wallet), wallet_lines(opened.wallet, desk))


@click.command(cls=Command)
@click.argument("wallet", type=WalletId())
@AMOUNT
@VERSION
@METADATA
@KEY
@with_wallets
def credit(
    desk: Desk,
    wallet: UUID,
    amount: tuple[str, ...],
    expected_version: int | None,
    metadata: tuple[str, ...],
    key: str | None,
) -> None:
    """Put money into a wallet from outside: wallet credit WALLET 12.50 EUR."""
    _enter_or_leave(desk, "credit", wallet, amount, expected_version, metadata, key)


@click.command(cls=Command)
@click.argument("wallet", type=WalletId())
@AMOUNT
@VERSION
@METADATA
@KEY
@with_wallets
def debit(
    desk: Desk,
    wallet: UUID,
    amount: tuple[str, ...],
    expected_version: int | None,
    metadata: tuple[str, ...],
    key: str | None,
) -> None:
    """Take money out of a wallet: wallet debit WALLET 12.50 EUR."""
    _enter_or_leave(desk, "debit", wallet, amount, expected_version, metadata, key)


def _enter_or_leave(
    desk: Desk,
    way: str,
    wallet: UUID,
    amount: tuple[str, ...],
    expected_version: int | None,
    metadata: tuple[str, ...],
    key: str | None,
) -> None:
    key, kept, given = key or new_key(), _metadata(metadata), amounts.written(amount)

    async def work(client: "WalletClient") -> "Done":
        await desk.learn_currency(client, wallet, given)
        move = client.credit if way == "credit" else client.debit
        value = desk.parse(given)
        return await move(wallet, value, expected_version=expected_version, metadata=kept, key=desk.sending(key))

    _written(desk, f"{way}ed", work)


@click.command(cls=Command)
@click.argument("source", type=WalletId())
@click.argument("destination", type=WalletId())
@AMOUNT
@METADATA
@KEY
@with_wallets
def transfer(
    desk: Desk,
    source: UUID,
    destination: UUID,
    amount: tuple[str, ...],
    metadata: tuple[str, ...],
    key: str | None,
) -> None:
    """Move money from one wallet to another: wallet transfer SOURCE DESTINATION 12.50 EUR."""
    key, kept, given = key or new_key(), _metadata(metadata), amounts.written(amount)

    async def work(client: "WalletClient") -> "Done":
        await desk.learn_currency(client, source, given)
        value = desk.parse(given)
        return await client.transfer(source, destination, value, metadata=kept, key=desk.sending(key))

    _written(desk, "transferred", work)


@click.command(cls=Command)
@click.argument("wallet", type=WalletId())
@AMOUNT
@click.option("--destination", type=WalletId(), metavar="WALLET", help="Where a capture puts it. [default: outside]")
@click.option("--expires-in", type=Span(), metavar="SPAN", help="15m, 2h, 7d: after that it is released by itself.")
@VERSION
@METADATA
@KEY
@with_wallets
def hold(
    desk: Desk,
    wallet: UUID,
    amount: tuple[str, ...],
    destination: UUID | None,
    expires_in: int | None,
    expected_version: int | None,
    metadata: tuple[str, ...],
    key: str | None,
) -> None:
    """Set money aside, to be captured or released later: wallet hold WALLET 12.50 EUR."""
    key, kept, given = key or new_key(), _metadata(metadata), amounts.written(amount)

    async def work(client: "WalletClient") -> "Done":
        await desk.learn_currency(client, wallet, given)
        value = desk.parse(given)
        return await client.hold(
            wallet,
            value,
            destination=destination,
            expires_in_s=expires_in,
            expected_version=expected_version,
            metadata=kept,
            key=desk.sending(key),
        )

    _written(desk, "held", work)


@click.command(cls=Command)
@click.argument("hold", type=Id())
@click.argument("amount", nargs=-1, metavar="[AMOUNT [CURRENCY]]")
@click.option("--more-to-come", is_flag=True, help="Keep the rest held. [default: it is released]")
@KEY
@with_wallets
def capture(desk: Desk, hold: UUID, amount: tuple[str, ...], more_to_come: bool, key: str | None) -> None:
    """Take what a hold set aside: all of it, or an amount."""
    key, given = key or new_key(), amounts.written(amount) if amount else None

    async def work(client: "WalletClient") -> "Done":
        await _learn_currency_of_hold(desk, client, hold, given)
        value = None if given is None else desk.parse(given)
        return await client.capture(hold, value, final=not more_to_come, key=desk.sending(key))

    _written(desk, "captured", work)


@click.command(cls=Command)
@click.argument("hold", type=Id())
@KEY
@with_wallets
def release(desk: Desk, hold: UUID, key: str | None) -> None:
    """Give back what a hold set aside."""
    key = key or new_key()

    async def work(client: "WalletClient") -> "Done":
        await _learn_currency_of_hold(desk, client, hold, None)
        return await client.release(hold, key=desk.sending(key))

    _written(desk, "released", work)


@click.command(cls=Command)
@click.argument("transaction", type=Id())
@METADATA
@KEY
@with_wallets
def reverse(desk: Desk, transaction: UUID, metadata: tuple[str, ...], key: str | None) -> None:
    """Move back what a transaction moved. Once per transaction."""
    key, kept = key or new_key(), _metadata(metadata)

    async def work(client: "WalletClient") -> "Done":
        return await client.reverse(transaction, metadata=kept, key=desk.sending(key))

    _written(desk, "reversed", work)


async def _learn_currency_of_hold(desk: Desk, client: "WalletClient", hold: UUID, amount: Written | None) -> None:
    if amount is None and (desk.minor or desk.as_json):
        return
    await desk.learn_currency(client, (await client.held(hold)).wallet_id, amount)


_metadata = metadata
