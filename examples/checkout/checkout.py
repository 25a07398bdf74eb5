"""The pattern: the intent and its key are on disk before the first call, the outcome after it. In between anything may
happen: whoever comes later calls again, with the same key."""

import asyncio
import logging
from typing import Final
from uuid import UUID

import attrs

from adapters.http_client import NotFound, Rejected, WalletClient, WalletError
from examples.checkout.orders import OPEN, Order, Orders, State
from wallet_core import Transaction

log = logging.getLogger("checkout")

AT_ONCE_MAX: Final = 50
"""How many orders are resumed side by side."""


@attrs.frozen
class Checkout:
    """Orders that are paid from the customers' wallets into the shop's."""

    orders: Orders
    wallets: WalletClient
    shop: UUID

    async def resume(self) -> None:
        """Carry on with what is open: what a crash left, and what the wallet service could not do yet."""
        await asyncio.gather(*map(self.carry_on, self.orders.open_ones(AT_ONCE_MAX)))

    async def carry_on(self, id: str) -> None:
        """Ask the wallet service until the order is settled, or it cannot be reached. Twice at once does no harm."""
        try:
            while (order := self.orders.get(id)) is not None and order.state in OPEN:
                await self._step(order)
        except WalletError as error:
            # Not done, or nobody knows: the order stays open, with its key.
            log.warning("order %s: %s", id, error)

    async def _step(self, order: Order) -> None:
        match order.state:
            case State.PLACING:
                await self._hold(order)
            case State.ABANDONING:
                await self._abandon(order)
            case State.SHIPPING:
                await self._end(order, State.SHIPPED)
            case State.CANCELLING:
                await self._end(order, State.CANCELLED)
            case State.HELD | State.SHIPPED | State.CANCELLED | State.REFUSED:
                raise ValueError(f"there is nothing to do for order {order.id}, which is {order.state}")

    async def _hold(self, order: Order) -> None:
        note = {"order": order.id}
        try:
            done = await self.wallets.hold(
                order.customer, order.amount, destination=self.shop, metadata=note, key=order.hold_key
            )
        except Rejected:
            self.orders.move(order.id, order.state, State.REFUSED)
        except NotFound:
            # No such wallet now; but an attempt of before a crash might still arrive when there is one.
            self.orders.move(order.id, order.state, State.ABANDONING)
        else:
            self.orders.move(order.id, order.state, State.HELD, _hold_of(done.transaction))

    async def _abandon(self, order: Order) -> None:
        match await self.wallets.fence(order.hold_key):
            case Transaction() as transaction:
                # It did happen. Now that this is known, it can be undone.
                self.orders.move(order.id, order.state, State.CANCELLING, _hold_of(transaction))
            case _:
                # It did not, and it never will.
                self.orders.move(order.id, order.state, State.CANCELLED)

    async def _end(self, order: Order, settled: State) -> None:
        if order.hold is None or order.end_key is None:
            raise ValueError(f"order {order.id} is {order.state} without a hold and a key")
        ask = self.wallets.capture if settled is State.SHIPPED else self.wallets.release
        try:
            await ask(order.hold, key=order.end_key)
        except Rejected as rejected:
            # A frozen wallet, perhaps. This key is spent; whoever tries again does it under a new one.
            log.warning("order %s: %s", order.id, rejected)
            self.orders.move(order.id, order.state, State.HELD)
        else:
            self.orders.move(order.id, order.state, settled)


def _hold_of(transaction: Transaction) -> UUID:
    if transaction.hold is None:
        raise ValueError(f"transaction {transaction.id} holds nothing")
    return transaction.hold.id
