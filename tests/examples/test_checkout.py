"""The checkout of ``examples/`` is killed wherever it can be, and charges each order once all the same."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID

import pytest

from adapters.http_client import WalletClient
from tests.examples.books import Wrong, require_agreement
from tests.examples.http_proxy import HttpProxy, Point
from tests.examples.shops import Shop, shop_at
from tests.support.proxy.rules import Cut, Stall
from tests.support.waits import until

FUNDS: Final = 1_000_000
KILLS: Final = 6
CUSTOMERS: Final = 8

# On resumption it makes a new key for what is open.
NEW_KEY_WHEN_RESUMED: Final = """
from uuid import uuid4
plain = Orders.open_ones
def open_ones(self, limit):
    for id in plain(self, limit):
        if id not in seen:
            seen.add(id)
            column = "hold_key" if self.get(id).state == "placing" else "end_key"
            self._database.execute(f"UPDATE orders SET {column} = ? WHERE id = ?", [str(uuid4()), id])
    return plain(self, limit)
seen = set()
Orders.open_ones = open_ones
"""

# It writes down what it wants when it has it.
INTENT_AFTER_THE_CALL: Final = """
from uuid import uuid4
from examples.checkout.orders import Order, State
place, get, move, wanted = Orders.place, Orders.get, Orders.move, {}
def remember(self, id, customer, amount):
    if get(self, id) is None:
        wanted.setdefault(id, Order(id, str(customer), amount, "placing", str(uuid4()), None, None))
def write_down(self, id, before, after, hold=None):
    if id in wanted:
        order = wanted.pop(id)
        place(self, id, order.customer, order.amount)
    move(self, id, before, after, hold)
Orders.place, Orders.move = remember, write_down
Orders.get = lambda self, id: wanted.get(id) or get(self, id)
"""


async def customer(wallets: WalletClient, funds: int = FUNDS) -> UUID:
    opened = (await wallets.open("EUR")).wallet.id
    await wallets.credit(opened, funds)
    return opened


async def settled(shop: Shop) -> None:
    """Return when no order is under way."""

    async def none_is_open() -> bool:
        return not any(state.endswith("ing") for state, _ in shop.rows().values())

    await until(none_is_open)


class Scene:
    """One order to be placed, one to be shipped and one to be cancelled, all at once, as often as asked for."""

    def __init__(self, shop: Shop, wallets: WalletClient, payer: UUID) -> None:
        self.shop, self.wallets, self.payer = shop, wallets, payer
        self._round = 0
        self._asking: list[asyncio.Task[str]] = []

    async def begin(self) -> dict[str, Callable[[], Awaitable[str]]]:
        """What is to be asked of the shop, by its name. Two of the orders are placed when this returns."""
        self._round += 1
        placed, shipped, cancelled = (f"{name}-{self._round}" for name in ("placed", "shipped", "cancelled"))
        await asyncio.gather(*(self.shop.place(id, self.payer, 700) for id in (shipped, cancelled)))
        return {
            "place": lambda: self.shop.place(placed, self.payer, 500),
            "ship": lambda: self.shop.end(shipped, "ship"),
            "cancel": lambda: self.shop.end(cancelled, "cancel"),
        }

    def ask(self, *wishes: Callable[[], Awaitable[str]]) -> None:
        """Ask for all of it, until each is answered, whatever happens to the shop meanwhile."""

        async def answered(wish: Callable[[], Awaitable[str]]) -> str:
            return await wish()

        self._asking = [asyncio.create_task(answered(wish)) for wish in wishes]

    async def answers(self) -> set[str]:
        """What was answered to those who asked, in the end."""
        return set(await asyncio.gather(*self._asking))

    async def agrees(self) -> None:
        await settled(self.shop)
        await require_agreement(self.shop.rows(), self.wallets, {self.payer: FUNDS})


async def kill_at(scene: Scene, way: HttpProxy, point: Point, *, late: bool = False) -> None:
    """Kill the shop with three requests at this point, and start it again. ``late``: they arrive after that."""
    wishes = await scene.begin()
    rule = way.arm(point, Stall(), times=len(wishes))
    scene.ask(*wishes.values())
    await rule.fired(len(wishes))
    await scene.shop.kill()
    if not late:
        way.cut_all()
        way.disarm(rule)
    await scene.shop.start()
    way.disarm(rule)
    assert await scene.answers() == {"held", "shipped", "cancelled"}


async def kill_before_the_outcome_is_written(scene: Scene, way: HttpProxy, name: str) -> None:
    """Kill the shop when it has heard an answer, and waits for its database to write it down."""
    wish = (await scene.begin())[name]
    rule = way.arm(Point.ANSWER, Stall())
    scene.ask(wish)
    await rule.fired()
    with scene.shop.locked():
        way.disarm(rule)

        async def waits() -> bool:
            return not await scene.shop.answers()

        await until(waits)
        await scene.shop.kill()
    await scene.shop.start()
    await scene.answers()


async def kill_before_the_intent_is_written(scene: Scene) -> None:
    wishes = await scene.begin()
    with scene.shop.locked():
        scene.ask(*wishes.values())

        async def waits() -> bool:
            return not await scene.shop.answers()

        await until(waits)
        await scene.shop.kill()
    await scene.shop.start()
    assert await scene.answers() == {"held", "shipped", "cancelled"}


async def test_killed_at_each_step_it_charges_each_order_once(
    wallets: WalletClient, api_key: str, way: HttpProxy, tmp_path: Path
) -> None:
    payer = await customer(wallets)
    async with shop_at(way.url, api_key, tmp_path) as shop:
        await shop.start()
        scene = Scene(shop, wallets, payer)
        await kill_before_the_intent_is_written(scene)
        await scene.agrees()
        await kill_at(scene, way, Point.REQUEST)
        await scene.agrees()
        await kill_at(scene, way, Point.REQUEST, late=True)
        await scene.agrees()
        await kill_at(scene, way, Point.ANSWER)
        await scene.agrees()
        for name in ("place", "ship", "cancel"):
            await kill_before_the_outcome_is_written(scene, way, name)
            await scene.agrees()
        for id, (state, _) in shop.rows().items():
            if state == "held":
                await shop.end(id, "ship")
        await scene.agrees()
        assert (await wallets.wallet(payer)).held == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(NEW_KEY_WHEN_RESUMED, "the ledger has", id="a new key when resumed"),
        pytest.param(INTENT_AFTER_THE_CALL, "'hold'.*: 2", id="the intent after the call"),
    ],
)
async def test_without_the_pattern_a_killed_shop_charges_twice_and_that_is_found(
    wallets: WalletClient, api_key: str, way: HttpProxy, tmp_path: Path, change: str, said: str
) -> None:
    payer = await customer(wallets)
    async with shop_at(way.url, api_key, tmp_path, change) as shop:
        await shop.start()
        scene = Scene(shop, wallets, payer)
        wish = (await scene.begin())["place"]
        await scene.agrees()
        rule = way.arm(Point.ANSWER, Stall())
        scene.ask(wish)
        await rule.fired()
        await shop.kill()
        way.disarm(rule)
        await shop.start()
        assert await scene.answers() == {"held"}
        with pytest.raises(Wrong, match=said):
            await scene.agrees()


async def test_killed_at_any_moment_with_connections_cut_it_charges_each_order_once(
    wallets: WalletClient, api_key: str, way: HttpProxy, tmp_path: Path
) -> None:
    random = Random(7)
    payers = [await customer(wallets), await customer(wallets), await customer(wallets, funds=50)]
    funds = dict(zip(payers, (FUNDS, FUNDS, 50), strict=True))
    for point in Point:
        way.arm(point, Cut(), times=None, probability=0.1)
    async with shop_at(way.url, api_key, tmp_path) as shop:
        await shop.start()

        kills = 0
        numbers = count()

        async def buy() -> None:
            while kills < KILLS:
                number = next(numbers)
                id, payer, amount = f"o{number}", payers[number % 3], 100 + number
                if number % 4 == 0:
                    # Whether it is held by then or not.
                    await asyncio.gather(shop.place(id, payer, amount), shop.end(id, "cancel"))
                    continue
                if await shop.place(id, payer, amount) == "held":
                    await shop.end(id, "cancel" if number % 4 == 1 else "ship")

        async with asyncio.TaskGroup() as group:
            for _ in range(CUSTOMERS):
                group.create_task(buy())
            while kills < KILLS:
                await asyncio.sleep(random.uniform(0.01, 0.15))
                await shop.kill()
                kills += 1
                await shop.start()
        await settled(shop)
        states = {state for state, _ in shop.rows().values()}
        assert states == {"shipped", "cancelled", "refused"}
        assert way.fired_counts.keys() == {"request", "answer"}
        await require_agreement(shop.rows(), wallets, funds)
        assert sum([(await wallets.wallet(payer)).held for payer in payers]) == 0


async def test_what_is_cancelled_while_nobody_knows_is_fenced_or_given_back(
    wallets: WalletClient, api_key: str, way: HttpProxy, tmp_path: Path
) -> None:
    payer = await customer(wallets)
    async with shop_at(way.url, api_key, tmp_path) as shop:
        await shop.start()
        for point, id, moved in ((Point.REQUEST, "never-heard", False), (Point.ANSWER, "heard", True)):
            rule = way.arm(point, Stall(), text="/holds")
            placing = asyncio.create_task(shop.place(id, payer, 900))
            await rule.fired()
            assert await shop.end(id, "cancel") == "cancelled"
            assert bool([hold async for hold in wallets.holds(payer)]) is moved
            way.disarm(rule)
            assert await placing == "cancelled"
        await require_agreement(shop.rows(), wallets, {payer: FUNDS})
