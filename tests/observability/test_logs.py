"""Logs: one line for each thing, in either format; none of them with a secret; and nobody who waits for them."""

import io
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import attrs
import pytest
from litestar.types import HTTPScope

from adapters.memory import MemoryStore
from entrypoints import logs
from entrypoints.http.app import create_app
from entrypoints.http.service import Service
from entrypoints.http.watch import RequestLog, watching
from entrypoints.logs import FIELDS, HIDE, Formatter, Logs, fingerprint, secrets_of
from entrypoints.settings import Settings
from tests.http.api import KEYS, KnownKeys, client_of
from wallet_core.commands import Command
from wallet_core.outcomes import Outcome

PASSWORD: Final = "pa55word-of-the-database"
ENVIRONMENT: Final = {
    "WALLET_DATABASE_URL": f"postgresql://wallet:{PASSWORD}%21@db/wallet",
    "WALLET_REDIS_URL": "redis://:redis-pa55word@cache/0",
    "WALLET_BOOTSTRAP_API_KEY": "bootstrap-api-key-of-the-tests",
}
SECRETS: Final = (f"{PASSWORD}!", "redis-pa55word", "bootstrap-api-key-of-the-tests")


@contextmanager
def written(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Iterator[io.StringIO]:
    """What a process with these settings writes, once this has ended. Its loggers are as they were, afterwards."""
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("wallet", "uvicorn")]
    before = root.handlers[:], [logger.level for logger in ours]
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    process = Logs(Settings.from_environment({**ENVIRONMENT, **settings}))
    try:
        yield out
    finally:
        process.end()
        root.handlers[:] = before[0]
        for logger, level in zip(ours, before[1], strict=True):
            logger.setLevel(level)


def raised(error: Exception) -> Any:
    """What a log gets of an error that was raised because of another."""
    try:
        try:
            raise ConnectionError(f"postgresql://wallet:{PASSWORD}%21@db/wallet does not answer")
        except ConnectionError as cause:
            raise error from cause
    except type(error) as raised:
        return (type(raised), raised, raised.__traceback__)


def duplicate() -> Exception:
    """As PostgreSQL tells of a row that is there already: with what is in it."""
    return asyncpg.UniqueViolationError.new(
        {"C": "23505", "M": "duplicate key value", "D": "Key (tenant_id, idempotency_key)=(1, my-key) already exists."}
    )


@pytest.mark.parametrize("format", ["text", "json"])
def test_no_secret_is_written_whoever_logs_it(monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    with written(monkeypatch, WALLET_LOG_FORMAT=format) as out:
        log = logging.getLogger("wallet.somewhere")
        for secret in SECRETS:
            log.warning("it is %s", secret)
            log.error("failed", exc_info=raised(RuntimeError(f"with {secret}")))
            log.error("failed", extra={FIELDS: {"what": secret}})
        log.warning("Authorization: Bearer sk-live-of-somebody and basic dXNlcjpwYXNz")
        log.warning("redis://user:of-another@elsewhere/0")
        log.error("failed", exc_info=raised(duplicate()))
        log.error("failed", exc_info=raised(RuntimeError("my-key and sk-live-of-somebody")), extra={HIDE: OF_A_REQUEST})
        logging.getLogger("asyncio").error("someone else's words: %s", SECRETS[0])
    text = out.getvalue()
    assert text.count("[hidden]") >= 15
    for secret in (*SECRETS, "sk-live-of-somebody", "dXNlcjpwYXNz", "of-another", "my-key"):
        assert secret not in text
    assert "ConnectionError" in text
    assert "duplicate key value" in text


OF_A_REQUEST: Final = ["my-key", "sk-live-of-somebody"]


def test_the_settings_know_their_secrets() -> None:
    assert set(secrets_of(Settings.from_environment(ENVIRONMENT))) == {f"{PASSWORD}%21", *SECRETS}
    assert secrets_of(Settings.from_environment({})) == []
    several = Settings.from_environment({"WALLET_DATABASE_URL": f"postgresql://u:{PASSWORD}@a,[::1]:2/x"})
    assert secrets_of(several) == [PASSWORD]


def test_a_line_is_one_line_and_json_is_an_object_for_each() -> None:
    record = logging.LogRecord("wallet.http", logging.WARNING, "", 0, "a %s", ("b\n2026 ERROR forged\x1b[2J",), None)
    setattr(record, FIELDS, {"request_id": "r\n1", "status": 201})
    text = Formatter((), as_json=False).format(record)
    assert "WARNING wallet.http: a b\\x0a2026 ERROR forged\\x1b[2J request_id=r\\x0a1 status=201" in text
    assert "\n" not in text
    line = Formatter((), as_json=True).format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("time").endswith("Z")
    assert told.pop("process")
    assert told == {
        "level": "warning",
        "logger": "wallet.http",
        "message": "a b\\x0a2026 ERROR forged\\x1b[2J",
        "request_id": "r\n1",
        "status": 201,
    }


def test_whoever_logs_does_not_wait_for_the_writer_and_what_is_too_much_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pipe that nobody reads holds the writing thread up, and nothing else."""

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            held.wait()
            return super().write(text)

    held = threading.Event()
    monkeypatch.setattr(logs, "LINES_MAX", 100)
    monkeypatch.setattr(io, "StringIO", Stuck)
    with written(monkeypatch) as out:
        (handler,) = logging.getLogger().handlers
        began = time.monotonic()
        for number in range(1000):
            logging.getLogger("wallet").error("%s", number)
        assert time.monotonic() - began < 5
        assert handler.dropped >= 1000 - 100 - 1  # type: ignore[attr-defined] # it is ours
        held.set()
    assert 100 <= len(out.getvalue().splitlines()) <= 102


@attrs.define
class Failing:
    """A ledger that fails by a bug which quotes what it was about."""

    error: Exception

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        raise self.error


async def test_a_request_that_fails_is_told_with_its_id_and_without_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = "my-own-idempotency-key", "all-the-secret-api-key"
    monkeypatch.setitem(KEYS, secret, KEYS["all"])
    bug = RuntimeError(f"cannot do {key} for {secret}")
    with written(monkeypatch, WALLET_LOG_FORMAT="json") as out:
        store = MemoryStore()
        service = Service(Failing(bug), store, store, KnownKeys(), 5.0)
        app = create_app(service, watch=watching(RequestLog(slow_s=1.0), None))
        sent = {"authorization": f"Bearer {secret}", "idempotency-key": key}
        async with client_of(app) as client:
            answer = await client.post("/v1/wallets", json={"currency": "EUR"}, headers=sent)
    assert answer.status_code == 500
    failure, request = (json.loads(line) for line in out.getvalue().splitlines())
    assert key not in out.getvalue()
    assert secret not in out.getvalue()
    assert "cannot do [hidden] for [hidden]" in failure["exception"]
    assert answer.headers["x-request-id"] in failure["message"]
    assert request["duration_ms"] >= 0
    assert {name: request[name] for name in request if name not in ("time", "process", "duration_ms")} == {
        "level": "warning",
        "logger": "wallet.requests",
        "message": "POST /v1/wallets",
        "request_id": answer.headers["x-request-id"],
        "route": "POST /v1/wallets",
        "status": 500,
        "outcome": "unknown",
        "problem": "internal-error",
        "tenant": str(KEYS["all"].tenant),
        "api_key_id": str(KEYS["all"].key_id),
        "key_sha256": fingerprint(key),
    }


def scope(route: str = "POST /v1/wallets") -> HTTPScope:
    made: Any = {"method": "POST", "raw_path": b"/v1/wallets", "headers": [], "state": {"route": route}}
    return made  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("status", "seconds", "route", "share", "logged"),
    [
        (201, 0.9, "POST /v1/wallets", 0.0, 0),
        (201, 1.0, "POST /v1/wallets", 0.0, 1),
        (404, 0.1, "POST /v1/wallets", 0.0, 0),
        (500, 0.1, "POST /v1/wallets", 0.0, 1),
        (503, 0.1, "POST /v1/wallets", 0.0, 1),
        (504, 0.1, "POST /v1/wallets", 0.0, 1),
        (0, 0.1, "POST /v1/wallets", 0.0, 0),
        (201, 0.1, "POST /v1/wallets", 1.0, 1),
        (200, 60.0, "GET /v1/events", 0.0, 0),
        (503, 60.0, "GET /v1/events", 0.0, 1),
    ],
)
def test_failures_and_slow_requests_are_logged_and_others_if_asked_for(
    caplog: pytest.LogCaptureFixture, status: int, seconds: float, route: str, share: float, logged: int
) -> None:
    RequestLog(slow_s=1.0, share=share).answered(scope(route), status, seconds)
    assert len(caplog.records) == logged


def test_a_share_of_the_requests_is_drawn_by_lot(caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog(slow_s=1.0, share=0.25)
    for _ in range(4000):
        log.answered(scope(), 201, 0.001)
    assert 700 < len(caplog.records) < 1300


def test_an_outage_is_told_in_a_hundred_lines_a_second(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.5
    log = RequestLog(slow_s=1.0, clock=lambda: now)
    for _ in range(1000):
        log.answered(scope(), 503, 0.001)
    assert (len(caplog.records), log.left_out) == (100, 900)
    now = 1.5
    log.answered(scope(), 503, 0.001)
    assert len(caplog.records) == 101


def test_libraries_tell_no_statements_however_much_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with written(monkeypatch, WALLET_LOG_LEVEL="debug") as out:
        logging.getLogger("sqlalchemy.engine").info("INSERT … [('my-key', 100)]")
        logging.getLogger("wallet.cache").debug("told")
    assert [line.rpartition(" ")[2] for line in out.getvalue().splitlines()] == ["told"]
