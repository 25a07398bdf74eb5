"""The benchmark: its ratios, its picture, and that a service which is fast but wrong fails it."""

import asyncio

import asyncpg
import pytest

from adapters.ids import UuidV7
from adapters.postgres.unit_of_work import PostgresStore
from benchmarks.database import database as embedded_database
from benchmarks.fill import fill
from benchmarks.http_loads import mixed
from benchmarks.ledger import Ledger, State, open_ledger, prepared_ledger, wallet_id, writing_engine
from benchmarks.meter import Costs
from benchmarks.plot import svg
from benchmarks.rows import SPREAD, SPREAD_ALONE, Report, Row
from benchmarks.service import on_database, serving
from benchmarks.stage import Stage
from benchmarks.tables import markdown
from benchmarks.targets import document
from benchmarks.truth import Told, Untrue, contradiction, witnessed
from tests.verification.scene import prove
from wallet_core import Applied, BatchLedger, credit

WALLETS = 40


def _row(key: str, per_second: float, p50_ms: float = 1.0, alone: str | None = None) -> Row:
    return Row(key, key, per_second, p50_ms, 2.0, Costs(), SPREAD, alone)


def _report(*rows: Row) -> Report:
    return Report(rows=list(rows))


def test_a_ratio_is_to_the_mean_of_the_yardstick_before_and_after() -> None:
    report = _report(
        _row(SPREAD, 9000), _row(SPREAD, 1000), _row("credits", 3000), _row("more", 1500), _row(SPREAD, 2000)
    )
    assert [report.ratio(place) for place in (2, 3)] == [2.0, 1.0]
    assert [report.ratio(place) for place in (0, 1, 4)] == [1.0, 1.0, 1.0]


def test_what_was_measured_again_is_one_line_with_the_lowest_and_highest() -> None:
    results = document(_report(_row(SPREAD, 9000), _row("credits", 3000), _row(SPREAD, 1000)))
    lines = [line for line in markdown(results).splitlines() if line.startswith(f"| {SPREAD}")]
    assert len(lines) == 1
    assert "(1,000 to 9,000, measured 2 times) | 5,000 | 1.00 |" in lines[0]


def test_without_a_yardstick_there_is_no_ratio() -> None:
    report = _report(_row("credits", 3000, alone=SPREAD_ALONE))
    assert report.ratio(0) is None
    assert report.latency_ratio(0) is None


@pytest.mark.parametrize(
    ("ratio", "reached"), [(1.9, "aim"), (2.0, "aim"), (2.1, "floor"), (3.0, "floor"), (3.1, "missed")]
)
def test_a_latency_reaches_its_target_from_above(ratio: float, reached: str) -> None:
    report = _report(_row(SPREAD_ALONE, 10, p50_ms=1.0), _row("credits-spread-1", 1, p50_ms=ratio, alone=SPREAD_ALONE))
    assert [target["reached"] for target in document(report)["targets"]] == [reached]


@pytest.mark.parametrize(("rate", "reached"), [(15, "aim"), (14, "floor"), (10, "floor"), (9, "missed")])
def test_a_rate_reaches_its_target_from_below(rate: float, reached: str) -> None:
    report = _report(_row(SPREAD, 10), _row("credits-spread-64", rate))
    assert [target["reached"] for target in document(report)["targets"]] == [reached]


def test_the_same_results_give_the_same_picture() -> None:
    results = document(_report(_row(SPREAD, 10), _row("credits-spread-64", 12), _row("growth-0", 5)))
    picture = svg(results)
    assert picture == svg(results)
    assert "credits-spread-64" in picture
    assert "dc:date" not in picture


@pytest.mark.parametrize(
    ("told", "grown"),
    [
        pytest.param(Told(5), State(5, 5, 5), id="all of it"),
        pytest.param(Told(5, open_max=2), State(7, 7, 7), id="and two that were under way"),
        pytest.param(Told(5, replays=2, credits_only=False), State(3, 4, 0), id="two replays and a transfer"),
    ],
)
def test_what_can_be_true_is_believed(told: Told, grown: State) -> None:
    assert contradiction(told, grown) is None


@pytest.mark.parametrize(
    ("told", "grown"),
    [
        pytest.param(Told(5, open_max=2), State(4, 4, 4), id="lost"),
        pytest.param(Told(5, open_max=2), State(8, 8, 8), id="doubled"),
        pytest.param(Told(5), State(5, 5, 4), id="recorded, but not credited"),
        pytest.param(Told(5), State(5, 6, 5), id="an entry without a transaction"),
        pytest.param(Told(5, replays=1, credits_only=False), State(3, 3, 0), id="a replay that hides a loss"),
        pytest.param(Told(5, credits_only=False), State(5, 4, 0), id="a transaction without an entry"),
        pytest.param(Told(0), State(1, 1, 1), id="a read that writes"),
    ],
)
def test_what_cannot_be_true_is_found(told: Told, grown: State) -> None:
    assert contradiction(told, grown) is not None


@pytest.fixture
def ledger(database: str) -> Ledger:
    return asyncio.run(open_ledger(database, WALLETS))


async def _credit(ledger: Ledger, keys: range) -> None:
    engine = writing_engine(ledger.dsn)
    commands = [credit(f"credit-{key}", wallet_id(1), 1) for key in keys]
    outcomes = await BatchLedger(PostgresStore(engine), UuidV7()).execute(ledger.tenant, commands)
    assert all(isinstance(outcome, Applied) for outcome in outcomes)
    await engine.dispose()


def _credit_and_tell(ledger: Ledger, keys: range, told: int, beside: str | None = None) -> None:
    """Credit once under each key, say that it was so often, and do something beside that nobody says."""
    with witnessed(ledger) as witness:
        asyncio.run(_credit(ledger, keys))
        if beside is not None:
            asyncio.run(_execute(ledger.dsn, beside))
        witness.tell(Told(told))


def test_a_ledger_without_what_was_told_is_found_out(ledger: Ledger) -> None:
    _credit_and_tell(ledger, range(3), told=3)
    with pytest.raises(Untrue, match="4 were told"):
        _credit_and_tell(ledger, range(3, 6), told=4)


def test_money_from_nowhere_is_found_out(ledger: Ledger) -> None:
    with pytest.raises(Untrue, match="balances by 43"):
        _credit_and_tell(ledger, range(3), told=3, beside="UPDATE wallets SET balance = balance + 1")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


def test_a_filled_ledger_is_proved_and_can_be_written_to(ledger: Ledger) -> None:
    asyncio.run(_credit(ledger, range(2)))
    before = ledger.last_id()
    written = fill(ledger, 5 * WALLETS)
    assert ledger.state(before).transactions == written == 5 * WALLETS
    asyncio.run(_credit(ledger, range(2, 4)))
    assert not asyncio.run(prove(ledger.dsn, ledger.tenant)).findings.counts
    assert asyncio.run(_broken_indexes(ledger.dsn)) == []


async def _broken_indexes(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT (indisvalid AND indisready)"
    )
    await connection.close()
    return [row[0] for row in rows]


def test_loads_over_http_write_what_they_tell() -> None:
    """All kinds of writes, and credits by two threads that each have a place to send them to, for a second each."""
    with embedded_database() as server:
        ledger = prepared_ledger(server, "ledger", WALLETS)
        stage = Stage(server, ledger, Report(), seconds=1)
        with serving(on_database(ledger.dsn)) as service:
            rows = [*mixed(stage, service)]
            load = stage.load("contended.lua", 2)
            rows.append(stage.row("contended", "contended", [service, service], load, effect="contended credits"))
    assert stage.report.failures == []
    assert all(row.per_second > 0 and row.wal_bytes_each for row in rows)
    assert all((row.costs.service_cpu or 0) > 1 and row.costs.postgres_cpu > 1 for row in rows)
