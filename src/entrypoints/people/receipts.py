"""Wallets and transactions as people read them."""

from entrypoints.people.desk import Desk
from entrypoints.people.tables import pairs, printable, table, time
from wallet_core.model import Hold, Transaction, Wallet


def receipt(transaction: Transaction, desk: Desk) -> list[str]:
    """What a transaction did, wallet by wallet, and how to refer to it."""
    currency = transaction.moves[0].currency if transaction.moves else None
    amount, change = desk.amount_in(currency), desk.change_in(currency)
    rows = [
        (
            str(entry.wallet_id),
            str(entry.version),
            change(entry.change),
            amount(entry.balance_after),
            amount(entry.held_after),
        )
        for entry in transaction.entries
    ]
    named = [("transaction", str(transaction.id)), ("key", printable(transaction.key))]
    if transaction.hold is not None:
        named.insert(1, ("hold", _hold(transaction.hold, desk, currency)))
    return [*table(("WALLET", "VERSION", "CHANGE", "BALANCE", "HELD"), rows, right=(1, 2, 3, 4)), *pairs(named)]


def wallet_lines(wallet: Wallet, desk: Desk) -> list[str]:
    """A wallet as it is."""
    amount = desk.amount_in(wallet.currency)
    said = [
        ("wallet", str(wallet.id)),
        ("status", wallet.status.value),
        ("balance", amount(wallet.balance)),
        ("held", amount(wallet.held)),
        ("available", amount(wallet.available)),
        ("floor", amount(wallet.floor)),
        ("ceiling", "none" if wallet.ceiling is None else amount(wallet.ceiling)),
        ("version", str(wallet.version)),
        ("opened", time(wallet.created_at)),
        ("changed", time(wallet.updated_at)),
    ]
    if desk.minor:
        said.insert(1, ("currency", wallet.currency))
    return pairs(said + [(f"metadata {printable(name)}", printable(text)) for name, text in wallet.metadata.items()])


def hold_lines(holds: list[Hold], desk: Desk, currency: str) -> list[str]:
    """Holds, one a line."""
    amount = desk.amount_in(currency)
    rows = [
        (
            str(hold.id),
            hold.status.value,
            amount(hold.amount),
            amount(hold.captured),
            amount(hold.remaining),
            "never" if hold.expires_at is None else time(hold.expires_at),
        )
        for hold in holds
    ]
    return table(("HOLD", "STATUS", "AMOUNT", "CAPTURED", "REMAINING", "EXPIRES"), rows, right=(2, 3, 4))


def _hold(hold: Hold, desk: Desk, currency: str | None) -> str:
    amount = desk.amount_in(currency)
    ends = "" if hold.expires_at is None else f", until {time(hold.expires_at)}"
    return f"{hold.id} ({hold.status.value}, {amount(hold.remaining)} of {amount(hold.amount)} left{ends})"
