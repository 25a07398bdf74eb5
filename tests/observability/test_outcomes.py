"""Every outcome is counted, once, as what it was told to be."""

import re

import pytest

from adapters.metrics.catalogue import FAILED, OUTCOMES
from tests.observability.conftest import Observed
from tests.observability.scrape import scraped_when
from tests.observability.traffic import FAULT, observed

OF_CROWDS = {"contention", "overloaded", FAILED}
"""Outcomes that one caller does not come to: see ``test_recorder``."""


def test_every_outcome_is_counted_as_often_as_it_was_answered(seen: Observed) -> None:
    counted = seen.scrape.counts("wallet_writes_total", "outcome")
    expected = dict(seen.traffic.outcomes)
    assert set(expected) == {*OUTCOMES.values(), FAILED} - OF_CROWDS
    # Whether a replay is still read from the database depends on the moment; that it is one does not.
    expected["replayed"] += seen.cached
    assert counted == expected


def test_replays_are_told_apart_by_where_they_come_from(seen: Observed) -> None:
    by_source = seen.scrape.counts("wallet_replays_total", "source")
    assert by_source["cache"] >= 1
    assert sum(by_source.values()) == seen.traffic.outcomes["replayed"] + seen.cached
    # A hit may be of the same key with another intent, which only the database may judge.
    assert seen.scrape("wallet_cache_lookups_total", result="hit") >= by_source["cache"]
    assert seen.scrape.total("wallet_cache_state") == 1


def test_rejections_are_counted_by_rule(seen: Observed) -> None:
    assert seen.scrape.counts("wallet_rejections_total", "reason") == seen.traffic.reasons
    assert len(seen.traffic.reasons) == 3


def test_a_batch_is_seen_with_its_size_its_steps_and_what_it_lost(seen: Observed) -> None:
    scrape, sent = seen.scrape, seen.traffic.outcomes.total() + seen.cached
    assert scrape("wallet_batch_commands_sum") == sent
    assert scrape("wallet_batch_commands_count") == scrape("wallet_queue_wait_seconds_count") == sent
    assert scrape("wallet_batch_duration_seconds_count") == sent
    # Three attempts each for what was unavailable and what is unknown, and one for what was found out.
    assert scrape("wallet_database_failures_total", at="before_commit") == 3
    assert scrape("wallet_database_failures_total", at="commit") == 4
    assert scrape("wallet_doubts_settled_total") == 1
    decided = scrape("wallet_batch_step_duration_seconds_count", step="decide")
    assert scrape("wallet_batch_attempts_total", kind="plain") == decided + 3
    committed = scrape("wallet_batch_step_duration_seconds_count", step="commit")
    written = seen.traffic.outcomes["applied"] + seen.traffic.outcomes["rejected"] + seen.traffic.outcomes["fenced"]
    # The COMMIT without an answer was passed by nobody.
    assert committed == written - 1
    assert scrape("wallet_batch_step_duration_seconds_sum", step="commit") > 0


def test_requests_are_counted_by_route_and_status_and_problems_by_name(seen: Observed) -> None:
    scrape, traffic = seen.scrape, seen.traffic
    expected = dict(traffic.answers)
    expected["POST", "/v1/wallets", "201"] += seen.cached
    for (method, route, status), times in expected.items():
        assert scrape("wallet_http_requests_total", method=method, route=route, status=status) == times
    assert scrape("wallet_http_requests_total", method="GET", route="/v1/wallets", status="200") == 1
    assert scrape("wallet_http_requests_total", method="GET", route="/v1/wallets", status="401") == 1
    assert scrape("wallet_http_requests_total", method="other", route="other", status="404") == 1
    assert scrape("wallet_http_requests_total", method="GET", route="/health/live", status="200") == 1
    answered = scrape.total("wallet_http_requests_total")
    assert scrape.total("wallet_http_request_duration_seconds_count") == answered
    told = dict(traffic.problems) | {"not-found": 1, "unauthenticated": 1}
    assert scrape.counts("wallet_http_problems_total", "problem") == told


def test_the_state_of_things_is_shown(seen: Observed) -> None:
    scrape = seen.scrape
    assert scrape("wallet_workers") == scrape("wallet_worker_starts_total") == 1
    assert scrape("wallet_queue_commands") == scrape("wallet_batches_in_flight") == 0
    assert scrape("wallet_queue_commands_max") == 10_000
    assert scrape("wallet_database_connections", pool="write", state="idle") == 1
    assert scrape("wallet_database_connections", pool="write", state="in_use") == 0
    assert scrape("wallet_database_connections_max", pool="write") == 4
    assert scrape("process_resident_memory_bytes", worker="0") > 10_000_000
    assert scrape("process_cpu_seconds_total", worker="0") > 0
    assert scrape("process_open_fds", worker="0") > 3
    assert scrape("wallet_event_loop_lag_seconds_count") >= 0
    assert scrape.total("wallet_build_info") == 1


def test_no_label_is_a_tenant_a_key_or_a_wallet(seen: Observed) -> None:
    values = {value for _, labels in seen.scrape.samples for _, value in labels}
    told = {route for _, route, _ in seen.traffic.answers}
    assert told <= values
    assert not [value for value in values if re.search(r"key-\d|credit-\d|[0-9a-f]{8}-", value)]
    assert len(seen.scrape.samples) < 1000


async def test_an_answer_that_took_too_long_is_counted_as_unknown_and_the_write_as_what_it_became(
    seen: Observed,
) -> None:
    async with observed(seen.dsn, WALLET_LAB="on", WALLET_REQUEST_TIMEOUT_MS="300") as client:
        late = {"idempotency-key": "late", FAULT: "before-commit=delay:500"}
        answer = await client.post("/v1/wallets", json={"currency": "EUR"}, headers=late)
        assert answer.status_code == 504
        scrape = await scraped_when(client, lambda scrape: scrape("wallet_writes_total", outcome="applied") > 0)
    assert scrape("wallet_http_requests_total", method="POST", route="/v1/wallets", status="504") == 1
    assert scrape.counts("wallet_http_problems_total", "problem") == {"outcome-unknown": 1}
    assert scrape.counts("wallet_writes_total", "outcome") == {"applied": 1}


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({}, 200),
        ({"WALLET_METRICS": "off"}, 404),
        ({"WALLET_HOST": "0.0.0.0"}, 404),
        ({"WALLET_HOST": "0.0.0.0", "WALLET_METRICS": "on"}, 200),
        ({"WALLET_METRICS": "9464"}, 404),
    ],
)
async def test_metrics_are_where_the_setting_has_them_and_need_no_key(
    seen: Observed, settings: dict[str, str], status: int
) -> None:
    async with observed(seen.dsn, **settings) as client:
        del client.headers["authorization"]
        assert (await client.get("/metrics")).status_code == status
        assert (await client.get("/health/live")).status_code == 200
