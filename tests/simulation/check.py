"""What has to be true at the end of every schedule, whatever went wrong in it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from uuid import UUID

from tests.concurrency.contents import Contents
from tests.concurrency.history import NOT_APPLIED, Call, check_history
from tests.concurrency.proof import prove
from tests.concurrency.violations import Deadlocked, DoubleEffect, Phantom, Unexplained, WrongOrder
from tests.simulation.coverage import EXPIRED
from tests.simulation.server import Server
from tests.simulation.tables import Tables
from tests.simulation.world import World
from wallet_core import Applied, Fenced, KeyFenced, KeyReused, Rejected, Replayed

_FIRST_HAND = (Applied, Rejected, Fenced)
_SAYS_NO = (*NOT_APPLIED, KeyReused, KeyFenced)


def check_tenant(world: World) -> None:
    """Raise the ``Violation`` that a tenant's calls and rows show, if they show any."""
    contents = world.server.tables[world.tenant].contents()
    prove(contents)
    check_history(world.calls, contents, world.looks)
    outcomes = {row.idempotency_key: row.outcome for row in contents.transactions}
    _check_origins(world.calls, outcomes)
    for keys in world.attempts:
        if sum(outcomes.get(key) == "applied" for key in keys) > 1:
            raise DoubleEffect(f"what was wanted once was done under each of the keys {keys}")
    _check_times(contents)
    _check_events(world.server.tables[world.tenant])
    if any(hold.status == "expired" for hold in contents.holds):
        world.server.log.cover(EXPIRED)


def check_server(server: Server) -> None:
    """Raise the ``Violation`` that the transactions show, if they show any."""
    if server.locks.deadlocks:
        raise Deadlocked(server.locks.deadlocks[0])
    if server.locks.order.behind:
        raise WrongOrder(f"committed where readers have been before: {server.locks.order.behind[0]}")
    if server.locks.holders:
        raise Unexplained(f"after all has ended somebody still has {list(server.locks.holders)}")


def _check_origins(calls: Sequence[Call], outcomes: Mapping[str, str]) -> None:
    """Whatever was decided was decided for a call that was told so, or that was never told anything."""
    by_key: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_key[call.key].append(call)
    for key, same_key in by_key.items():
        told = [call.outcome for call in same_key]
        if key in outcomes and all(isinstance(outcome, (*_SAYS_NO, Replayed)) for outcome in told):
            raise Phantom(f"{key} was decided, and everybody was told that it was not they: {told}")


def _check_events(tables: Tables) -> None:
    """Among the events, the transactions of a wallet are in the order of its versions."""
    in_order = sorted(tables.transactions.values(), key=itemgetter("position", "lsn", "id"))
    places = {row["id"]: place for place, row in enumerate(in_order)}
    last: dict[UUID, int] = {}
    for wallet_id, version in sorted(tables.entries):
        for entry in tables.entries[wallet_id, version]:
            place = places[entry["transaction_id"]]
            if place <= last.get(wallet_id, -1):
                raise WrongOrder(f"version {version} of {wallet_id} comes before the one before it")
            last[wallet_id] = place


def _check_times(contents: Contents) -> None:
    created_at = {row.id: row.created_at for row in contents.transactions}
    last: dict[UUID, datetime] = {}
    for entry in contents.entries:
        time = created_at[entry.transaction_id]
        if time < last.get(entry.wallet_id, time):
            raise WrongOrder(f"{entry} is of an earlier time than the one before it")
        last[entry.wallet_id] = time
