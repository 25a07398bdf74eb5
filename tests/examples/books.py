"""What the shop believes, held against what the ledger has."""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

from adapters.http_client import WalletClient
from examples.checkout.__main__ import SHOP
from wallet_core import Kind


class Wrong(AssertionError):
    """The books do not agree."""


async def require_agreement(
    orders: Mapping[str, tuple[str, int]], wallets: WalletClient, funds: Mapping[UUID, int]
) -> None:
    """Raise ``Wrong`` unless the ledger has each order once, and money is only where the shop's orders say it is.

    ``orders``: state and amount, by id. ``funds``: what each customer had in the beginning.
    """
    holds: dict[UUID, str] = {}
    ends: dict[str, Counter[Kind]] = {id: Counter() for id in orders}
    transactions = [transaction async for transaction in wallets.transactions()]
    for transaction in reversed(transactions):
        if transaction.hold is None:
            continue
        if transaction.kind is Kind.HOLD:
            holds[transaction.hold.id] = dict(transaction.metadata)["order"]
        ends.setdefault(holds[transaction.hold.id], Counter())[transaction.kind] += 1
    for id, kinds in ends.items():
        if id not in orders:
            raise Wrong(f"money is held for order {id}, of which the shop knows nothing")
        state, _ = orders[id]
        expected: dict[str, list[Counter[Kind]]] = {
            "held": [Counter({Kind.HOLD: 1})],
            "shipped": [Counter({Kind.HOLD: 1, Kind.CAPTURE: 1})],
            "cancelled": [Counter({Kind.HOLD: 1, Kind.RELEASE: 1}), Counter()],
            "refused": [Counter()],
        }
        if kinds not in expected[state]:
            raise Wrong(f"order {id} is {state}, and the ledger has {dict(kinds)} of it")
    amounts: Counter[str] = Counter()
    for state, amount in orders.values():
        amounts[state] += amount
    customers = [await wallets.wallet(id) for id in funds]
    shop = await wallets.wallet(SHOP)
    found = {
        "shop": (shop.balance, shop.held),
        "customers": (sum(each.balance for each in customers), sum(each.held for each in customers)),
    }
    shipped = amounts["shipped"]
    said = {"shop": (shipped, 0), "customers": (sum(funds.values()) - shipped, amounts["held"])}
    if found != said:
        raise Wrong(f"the ledger has {found}, and by the shop's orders it should be {said}")
    if not all([(await wallets.verification(id)).ok for id in (SHOP, *funds)]):
        raise Wrong("the ledger does not hold")
