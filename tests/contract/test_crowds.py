"""Very many holds that have lapsed at once are written down in portions, and cost no write what it could not pay."""

from tests.support.builders import A
from tests.support.stores import World
from wallet_core import Applied, Kind, PlaceHold, debit
from wallet_core.ports import DUE_HOLDS_MAX

LAPSED = 2 * DUE_HOLDS_MAX + 200


async def test_a_crowd_of_lapsed_holds_expires_in_portions_before_the_next_write(world: World) -> None:
    await world.open(A, balance=LAPSED)
    held = await world.an_hour_ago.do(*(PlaceHold(f"hold-{n}", A, 1, expires_in_s=60) for n in range(LAPSED)))
    assert all(isinstance(outcome, Applied) for outcome in held)

    loaded = await world.load(wallets=[A])
    assert len(loaded.holds) == DUE_HOLDS_MAX + 1

    spent = await world.apply(debit("all", A, LAPSED))
    assert (spent.entries[0].balance_after, spent.entries[0].held_after) == (0, 0)
    records = await world.reader.entries(world.tenant, A, before=None, limit=2 * LAPSED + 10)
    kinds = [record.kind for record in records]
    assert kinds.count(Kind.EXPIRY) == LAPSED
    assert [record.entry.version for record in records] == list(range(len(records), 0, -1))
