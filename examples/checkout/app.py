"""The shop over HTTP. 200: this is how the order is; 202: it is under way, ask again."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Litestar, Response, get, post, put
from litestar.exceptions import ClientException, NotFoundException

from adapters.http_client import WalletClient
from examples.checkout.checkout import Checkout
from examples.checkout.orders import OPEN, Order, Orders, State

log = logging.getLogger("checkout")

RESUME_S: Final = 1.0


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What a customer wants: ``amount`` in minor units, from the wallet ``customer``."""

    customer: UUID
    amount: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


def create_app(orders: Orders, wallets: WalletClient, shop: UUID) -> Litestar:
    """The shop. It resumes what is open when it starts, and every second."""
    checkout = Checkout(orders, wallets, shop)

    def found(order_id: str) -> Order:
        if (order := orders.get(order_id)) is None:
            raise NotFoundException("there is no such order")
        return order

    def told(order_id: str) -> Response[dict[str, str]]:
        order = found(order_id)
        return Response({"id": order.id, "state": order.state}, status_code=202 if order.state in OPEN else 200)

    @put("/orders/{order_id:str}")
    async def place(order_id: str, data: NewOrder) -> Response[dict[str, str]]:
        orders.place(order_id, data.customer, data.amount)
        order = found(order_id)
        if (order.customer, order.amount) != (data.customer, data.amount):
            raise ClientException("this id is another order's", status_code=409)
        await checkout.carry_on(order_id)
        return told(order_id)

    @post("/orders/{order_id:str}/ship")
    async def ship(order_id: str) -> Response[dict[str, str]]:
        orders.move(order_id, State.HELD, State.SHIPPING)
        await checkout.carry_on(order_id)
        return told(order_id)

    @post("/orders/{order_id:str}/cancel")
    async def cancel(order_id: str) -> Response[dict[str, str]]:
        # Nobody has to wait until it is known whether the money is held.
        orders.move(order_id, State.PLACING, State.ABANDONING)
        orders.move(order_id, State.HELD, State.CANCELLING)
        await checkout.carry_on(order_id)
        return told(order_id)

    @get("/orders/{order_id:str}")
    async def show(order_id: str) -> Response[dict[str, str]]:
        return told(order_id)

    async def resume() -> None:
        while True:
            try:
                await checkout.resume()
            except sqlite3.Error:
                log.exception("the orders cannot be read or written")
            await asyncio.sleep(RESUME_S)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with wallets:
            resuming = asyncio.create_task(resume())
            yield
            resuming.cancel()

    return Litestar([place, ship, cancel, show], lifespan=[lifespan], openapi_config=None, logging_config=None)
