"""A tenant's ledger as a file: whole, proved, and once."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.postgres.admin import Admin, tenant_id_of
from adapters.postgres.engine import INDEX_ONLY_PLANS, create_engine
from adapters.postgres.schema import SERVICE_ROLE
from adapters.postgres.unit_of_work import PostgresStore
from tests.cli.ledgers import Lines, amount, content, edited, exported, on, place, rows, transaction
from tests.databases import Databases, execute
from tests.databases import run as wait_for
from tests.support.ids import CountingIds
from tests.verification.scene import ALICE, NAME, OTHER_NAME, TENANT, go_on
from wallet_core import BatchLedger, Command, FenceKey, OpenWallet, Outcome, Replayed, credit, debit


@pytest.fixture(scope="module")
def text(scene: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The scene, exported."""
    return exported(scene, tmp_path_factory.mktemp("scene") / "ledger.jsonl").read_bytes()


@pytest.fixture(scope="module")
def empty(databases: Databases) -> Iterator[str]:
    """A database in which nothing is ever written, by what is refused in time."""
    dsn = databases.create()
    yield dsn
    databases.drop(dsn)


def test_a_ledger_comes_out_as_it_went_in(scene: str, database: str, file: Path, tmp_path: Path) -> None:
    exported(scene, file)
    done = on(database, "import", file)
    assert (done.code, done.output) == (0, ""), done
    assert rows(database) == rows(scene)
    assert content(exported(database, tmp_path / "again.jsonl")) == content(file)
    proved = on(database, "verify")
    assert proved.code == 0
    assert "tenant default, 7 wallets: 42 entries proved" in proved.output
    assert on(database, "verify", "--tenant", OTHER_NAME).code == 2, "other tenants stay where they are"


def test_its_first_and_last_line_say_what_it_is(scene: str, file: Path) -> None:
    first, *_, last = (json.loads(line) for line in exported(scene, file).read_text().splitlines())
    assert first == {"format": "wallet export 1", "tenant": {"id": str(TENANT), "name": NAME}}
    there = rows(scene)
    applied = sum(row["outcome"] == "applied" for row in there["transactions"])
    assert {name: last["end"][name] for name in ("transactions", "decisions", "entries", "wallets", "holds")} == {
        "transactions": applied,
        "decisions": len(there["transactions"]) - applied,
        "entries": len(there["entries"]),
        "wallets": len(there["wallets"]),
        "holds": len(there["holds"]),
    }


def test_it_may_go_to_standard_output(scene: str, file: Path) -> None:
    told = on(scene, "export", "--quiet")
    assert (told.code, told.errors) == (0, "")
    out = file.with_name("told.jsonl")
    out.write_text(told.output)
    assert content(out) == content(exported(scene, file))


def test_keys_are_kept_so_that_a_late_retry_does_nothing(scene: str, database: str, file: Path) -> None:
    assert on(database, "import", exported(scene, file)).code == 0
    late: list[Command] = [
        credit("pay-alice", ALICE, 1000, metadata={"invoice": "7"}),
        FenceKey("fenced"),
        credit("fenced", ALICE, 1),
    ]
    told = wait_for(execute_on(database, late))
    assert isinstance(told[0], Replayed)
    assert [type(outcome).__name__ for outcome in told[1:]] == ["Fenced", "KeyFenced"]
    rejected = wait_for(execute_on(database, [debit("too-much", transaction_wallet(file, "too-much"), 10_000)]))
    assert isinstance(rejected[0], Replayed)
    assert rows(database) == rows(scene)


def test_doing_it_twice_changes_nothing(scene: str, database: str, file: Path) -> None:
    exported(scene, file)
    assert on(database, "import", file).code == 0
    there = rows(database)
    again = on(database, "import", file)
    assert again.code == 0
    assert f"{len(there['transactions'])} decisions were there, 0 written" in again.errors
    assert rows(database) == there


def test_it_may_go_to_a_tenant_of_another_name(own_scene: str, file: Path) -> None:
    exported(own_scene, file)
    assert on(own_scene, "import", file, "--tenant", "copy").code == 0
    assert rows(own_scene, "copy") == rows(own_scene)
    assert on(own_scene, "verify", "--tenant", "copy").code == 0


def test_events_of_it_come_in_the_order_of_the_source(own_scene: str, database: str, file: Path) -> None:
    """Also where ids have another order, as those of two processes may."""
    wait_for(execute(own_scene, "UPDATE transactions SET lsn = lsn - 1 WHERE idempotency_key = 'pay-bob'"))
    order = wait_for(events(own_scene))
    assert order.index("pay-bob") + 1 == order.index("pay-alice")
    assert on(database, "import", exported(own_scene, file)).code == 0
    assert wait_for(events(database)) == order


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[:-1], id="without its last character"),
        pytest.param(lambda text: text[: text.rindex(b"\n", 0, -1) + 1], id="without its last line"),
        pytest.param(lambda text: text[: len(text) // 2], id="half of it"),
        pytest.param(lambda text: b"", id="nothing of it"),
        pytest.param(lambda text: text.replace(b'"amount":1000', b'"amount":1001', 1), id="another digit"),
        pytest.param(lambda text: text[:5000] + bytes([text[5000] ^ 1]) + text[5001:], id="another bit"),
        pytest.param(lambda text: b"".join(_swapped(text.splitlines(keepends=True))), id="two lines changed places"),
        pytest.param(lambda text: b"".join(_without(text.splitlines(keepends=True))), id="a line is missing"),
        pytest.param(lambda text: text + text.splitlines(keepends=True)[-1], id="its end twice"),
        pytest.param(lambda text: text.replace(b"export 1", b"export 2", 1), id="another format"),
    ],
)
def test_a_damaged_file_is_refused_before_anything_is_written(
    empty: str, text: bytes, file: Path, damage: Callable[[bytes], bytes]
) -> None:
    file.write_bytes(damage(text))
    refused = on(empty, "import", file, "--tenant", "damaged")
    assert refused.code == 1
    assert len(refused.errors.splitlines()) == 1
    assert "damaged" not in wait_for(tenants(empty))


def _set(key: str, /, **members: object) -> Callable[[Lines], object]:
    return lambda lines: transaction(lines, key).update(members)


def _swap_lines(lines: Lines, one: str, other: str) -> None:
    here, there = place(lines, one), place(lines, other)
    lines[here], lines[there] = lines[there], lines[here]


EDITS: dict[str, Callable[[Lines], Any]] = {
    "an amount": lambda lines: transaction(lines, "pay-alice")["result"]["postings"][0].update(amount=2000),
    "an entry's change": lambda lines: transaction(lines, "pay-alice")["entries"][0].update(change=2000),
    "an entry's balance": lambda lines: transaction(lines, "pay-alice")["entries"][0].update(balance_after=2000),
    "a hash": lambda lines: transaction(lines, "pay-alice")["entries"][0].update(hash="00" * 32),
    "a key": _set("pay-alice", key="another"),
    "a time": _set("pay-alice", created_at="2026-01-31T12:00:00.000000Z"),
    "a kind": _set("pay-alice", kind="reversal"),
    "what is reversed": _set("unrent", reverses=None),
    "an outcome": _set("pay-alice", outcome="rejected", entries=[]),
    "an entry is gone": lambda lines: transaction(lines, "rent")["entries"].pop(),
    "an entry twice": lambda lines: transaction(lines, "rent")["entries"].append(
        transaction(lines, "rent")["entries"][0]
    ),
    "a transaction is gone": lambda lines: lines.pop(place(lines, "pay-alice")),
    "the last transaction of a wallet is gone": lambda lines: lines.pop(place(lines, "close")),
    "a transaction twice": lambda lines: lines.insert(3, lines[2]),
    "a hold's amount": lambda lines: transaction(lines, "hold-active")["result"]["hold"].update(amount=26),
    "a rejection with an entry": lambda lines: transaction(lines, "too-much").update(
        entries=transaction(lines, "pay-bob")["entries"]
    ),
    "a member more": _set("pay-alice", note="x"),
    "no id": _set("pay-alice", id="nonsense"),
}


LATER = ("the last transaction of a wallet is gone", "a rejection with an entry")
"""Edits that show behind the portion of the applied transactions."""


@pytest.mark.parametrize("edit", [edit for edit in EDITS if edit not in LATER])
def test_an_edited_file_is_refused_before_the_portion_is_written_though_its_digests_are_made_anew(
    empty: str, text: bytes, file: Path, edit: str
) -> None:
    file.write_bytes(text)
    refused = on(empty, "import", edited(file, EDITS[edit]))
    assert refused.code in (1, 4), refused
    assert len(refused.errors.splitlines()) == 1
    assert amount(empty) == 0


@pytest.mark.parametrize("edit", LATER)
def test_what_comes_before_an_edit_that_shows_later_holds(database: str, text: bytes, file: Path, edit: str) -> None:
    file.write_bytes(text)
    refused = on(database, "import", edited(file, EDITS[edit]))
    assert refused.code in (1, 4), refused
    assert len(refused.errors.splitlines()) == 1
    # A part of the ledger, from which the whole file would go on.
    assert on(database, "verify").code == 0
    assert 0 < amount(database) <= 38


def test_what_is_edited_in_wallets_and_holds_is_found_and_not_believed(scene: str, database: str, file: Path) -> None:
    def richer(lines: Lines) -> None:
        next(line for line in lines if line.get("wallet", {}).get("id") == str(ALICE))["wallet"]["balance"] += 1

    edited(exported(scene, file), richer)
    refused = on(database, "import", file)
    assert refused.code == 4
    assert "the wallet in line" in refused.line
    assert rows(database) == rows(scene)


def test_lines_that_were_written_the_other_way_round_find_their_turn(scene: str, database: str, file: Path) -> None:
    """A ledger from before there was an order of events is exported by id, which now and then differs from history."""
    edited(exported(scene, file), lambda lines: _swap_lines(lines, "pay-alice", "rent"))
    assert on(database, "import", file).code == 0
    assert rows(database) == rows(scene)


def test_a_tenant_with_another_ledger_is_refused_and_left_alone(scene: str, database: str, file: Path) -> None:
    exported(scene, file)
    wait_for(ensure(database))
    wait_for(go_on(database, OpenWallet("theirs", "EUR")))
    there = rows(database)
    refused = on(database, "import", file)
    assert refused.code == 4
    assert "it is not a part of the same ledger" in refused.line
    assert rows(database) == there


def test_a_tenant_that_was_used_since_is_refused_and_left_alone(scene: str, database: str, file: Path) -> None:
    exported(scene, file)
    assert on(database, "import", file).code == 0
    wait_for(go_on(database, credit("since", ALICE, 1)))
    there = rows(database)
    refused = on(database, "import", file)
    assert refused.code == 4
    assert "decisions that are not in the file" in refused.line
    assert rows(database) == there


def test_the_first_difference_is_named(scene: str, database: str, file: Path) -> None:
    exported(scene, file)
    assert on(database, "import", file).code == 0
    edited(file, lambda lines: transaction(lines, "too-much")["result"].update(reason="wallet-closed"))
    number = 1 + place([json.loads(line) for line in file.read_text().splitlines()], "too-much")
    refused = on(database, "import", file)
    assert refused.code == 4
    assert f"(key 'too-much') in line {number} is not what the tenant has" in refused.line


def test_a_ledger_that_does_not_hold_is_not_exported(own_scene: str, file: Path) -> None:
    wait_for(execute(own_scene, "UPDATE entries SET change = change + 1 WHERE version = 3"))
    refused = on(own_scene, "export", "--output", file)
    assert refused.code == 1
    assert "wallet verify tells all" in refused.line
    assert not file.exists()


def test_what_cannot_be_exported_or_read_is_one_line(scene: str, file: Path) -> None:
    assert "no tenant 'nobody'" in on(scene, "export", "--tenant", "nobody").line
    file.write_text("")
    assert "is there already" in on(scene, "export", "--output", file).line
    assert on("postgresql://postgres@127.0.0.1:1/wallet", "export").code == 6
    assert "Not a directory" in on(scene, "export", "--output", file / "x").line


def test_it_needs_no_more_than_the_service_may_do(scene: str, databases: Databases, file: Path) -> None:
    """A role that may only take the service's moves ledgers between tenants that are there."""
    exported(scene, file)
    dsn = databases.create()
    try:
        wait_for(ensure(dsn))
        role, parts = f"mover_{uuid4().hex}", urlsplit(dsn)
        wait_for(execute(dsn, f"CREATE ROLE {role} LOGIN PASSWORD 'moving' IN ROLE {SERVICE_ROLE}"))
        try:
            host = parts.netloc.rpartition("@")[2]
            limited = f"postgresql://{role}:moving@{host}{parts.path}?{parts.query}"
            done = on(limited, "import", file)
            assert done.code == 0, done
            assert rows(dsn) == rows(scene)
        finally:
            wait_for(execute(dsn, f"DROP ROLE {role}"))
    finally:
        databases.drop(dsn)


async def execute_on(dsn: str, commands: list[Command]) -> list[Outcome]:
    engine = create_engine(dsn, pool_size=1, role=SERVICE_ROLE, planner=INDEX_ONLY_PLANS)
    try:
        return list(await BatchLedger(PostgresStore(engine), CountingIds()).execute(TENANT, commands))
    finally:
        await engine.dispose()


async def ensure(dsn: str) -> None:
    engine = create_engine(dsn, pool_size=1)
    try:
        assert await Admin(engine).ensure_tenant(NAME) == tenant_id_of(NAME)
    finally:
        await engine.dispose()


def transaction_wallet(file: Path, key: str) -> Any:
    """The wallet that a debit was to leave."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return UUID(transaction(lines, key)["intent"]["postings"][0]["source"])


async def tenants(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["name"] for row in await connection.fetch("SELECT name FROM tenants")]
    finally:
        await connection.close()


async def events(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        query = (
            "SELECT idempotency_key FROM transactions WHERE tenant_id = $1 AND outcome = 'applied'"
            " ORDER BY position, lsn, id"
        )
        return [row["idempotency_key"] for row in await connection.fetch(query, TENANT)]
    finally:
        await connection.close()


def _swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def _without(lines: list[bytes]) -> list[bytes]:
    return [*lines[:5], *lines[6:]]
