"""Every setting: its default, what it takes, and the line that it stops the start with."""

import inspect
from pathlib import Path

import pytest

from entrypoints import settings
from entrypoints.settings import KNOWN, SettingError, Settings

POSTGRES = "postgresql://wallet:s3cret@db:5432/wallet"
KEY = "a-key-of-exactly-24-char"


def test_nothing_set_gives_the_documented_defaults() -> None:
    assert Settings.from_environment({}) == Settings(
        database_url=None,
        auto_migrate=True,
        data_dir=Path(".wallet"),
        redis_url=None,
        host="127.0.0.1",
        port=8080,
        workers=1,
        request_timeout_ms=5000,
        bootstrap_api_key=None,
        lab=True,
    )


def test_a_database_of_ones_own_is_neither_migrated_nor_experimented_with_unasked() -> None:
    given = Settings.from_environment({"WALLET_DATABASE_URL": POSTGRES})
    assert (given.auto_migrate, given.lab) == (False, False)


@pytest.mark.parametrize(
    ("host", "lab"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.1.2.3", False),
        ("wallet.example", False),
    ],
)
def test_the_lab_is_on_by_default_only_where_no_one_else_can_reach_it(host: str, lab: bool) -> None:
    assert Settings.from_environment({"WALLET_HOST": host}).lab is lab


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("WALLET_DATABASE_URL", POSTGRES, "database_url", POSTGRES),
        ("WALLET_DATABASE_URL", "postgres://db/x", "database_url", "postgres://db/x"),
        ("WALLET_DATABASE_URL", "postgresql+asyncpg://db/x", "database_url", "postgresql+asyncpg://db/x"),
        (
            "WALLET_DATABASE_URL",
            "postgresql://u:p%40ss@a:5432,b,[::1]:5433/x?target_session_attrs=any",
            "database_url",
            "postgresql://u:p%40ss@a:5432,b,[::1]:5433/x?target_session_attrs=any",
        ),
        (
            "WALLET_DATABASE_URL",
            "postgresql://postgres@/wallet?host=%2Frun%2Fpg&port=5432",
            "database_url",
            "postgresql://postgres@/wallet?host=%2Frun%2Fpg&port=5432",
        ),
        ("WALLET_AUTO_MIGRATE", "off", "auto_migrate", False),
        ("WALLET_AUTO_MIGRATE", "FALSE", "auto_migrate", False),
        ("WALLET_AUTO_MIGRATE", "0", "auto_migrate", False),
        ("WALLET_AUTO_MIGRATE", "no", "auto_migrate", False),
        ("WALLET_AUTO_MIGRATE", "On", "auto_migrate", True),
        ("WALLET_AUTO_MIGRATE", "true", "auto_migrate", True),
        ("WALLET_AUTO_MIGRATE", "1", "auto_migrate", True),
        ("WALLET_AUTO_MIGRATE", "yes", "auto_migrate", True),
        ("WALLET_DATA_DIR", "/var/lib/wallet", "data_dir", Path("/var/lib/wallet")),
        ("WALLET_REDIS_URL", "redis://:pw@cache:6379/0", "redis_url", "redis://:pw@cache:6379/0"),
        ("WALLET_REDIS_URL", "rediss://cache", "redis_url", "rediss://cache"),
        ("WALLET_REDIS_URL", "unix:///run/redis.sock?db=1", "redis_url", "unix:///run/redis.sock?db=1"),
        ("WALLET_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("WALLET_HOST", "::", "host", "::"),
        ("WALLET_HOST", "wallet-1.example", "host", "wallet-1.example"),
        ("WALLET_PORT", "0", "port", 0),
        ("WALLET_PORT", "65535", "port", 65_535),
        ("WALLET_WORKERS", "1", "workers", 1),
        ("WALLET_WORKERS", "64", "workers", 64),
        ("WALLET_REQUEST_TIMEOUT_MS", "1", "request_timeout_ms", 1),
        ("WALLET_REQUEST_TIMEOUT_MS", "600000", "request_timeout_ms", 600_000),
        ("WALLET_BOOTSTRAP_API_KEY", KEY, "bootstrap_api_key", KEY),
        ("WALLET_BOOTSTRAP_API_KEY", "k" * 256, "bootstrap_api_key", "k" * 256),
        ("WALLET_LAB", "off", "lab", False),
    ],
)
def test_a_good_value_is_taken(name: str, text: str, field: str, value: object) -> None:
    assert getattr(Settings.from_environment({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("WALLET_DATABASE_URL", "mysql://u:s3cret@db/x", "must be a URL like postgresql://"),
        ("WALLET_DATABASE_URL", "db/x", "must be a URL like postgresql://"),
        ("WALLET_DATABASE_URL", "POSTGRESQL//u:s3cret@db", "must be a URL like postgresql://"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret#@db/x", "percent-encode"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret @db/x", "percent-encode"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret\n@db/x", "percent-encode"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret/@db/x", "percent-encoded"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@db:54x2/x", "host or port"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@db:0/x", "host or port"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@db:65536/x", "host or port"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@[::1/x", "well-formed"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@a,,b/x", "empty name"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@db/x?sslmode", "well-formed"),
        ("WALLET_AUTO_MIGRATE", "maybe", "must be on or off, not 'maybe'"),
        ("WALLET_DATA_DIR", "a\0b", "must be a path"),
        ("WALLET_REDIS_URL", "http://:s3cret@cache", "must be a URL like redis://"),
        ("WALLET_REDIS_URL", "redis://:s3cret@cache:port", "host or port"),
        ("WALLET_REDIS_URL", "unix://", "must name a socket"),
        ("WALLET_HOST", "[::1]", "without brackets"),
        ("WALLET_HOST", "127.0.0.1:8080", "must be a host name or IP address"),
        ("WALLET_HOST", "127.0.0.256", "must be a host name or IP address"),
        ("WALLET_HOST", "a b", "must be a host name or IP address"),
        ("WALLET_PORT", "-1", "from 0 to 65535, not '-1'"),
        ("WALLET_PORT", "65536", "from 0 to 65535"),
        ("WALLET_PORT", "8080.0", "from 0 to 65535"),
        ("WALLET_PORT", " 8080", "from 0 to 65535"),
        ("WALLET_PORT", "8_080", "from 0 to 65535"),
        ("WALLET_PORT", "٨٠٨٠", "from 0 to 65535"),
        ("WALLET_PORT", "9" * 10_000, "from 0 to 65535"),
        ("WALLET_PORT", "80\n80", "from 0 to 65535"),
        ("WALLET_WORKERS", "0", "from 1 to 64"),
        ("WALLET_WORKERS", "65", "from 1 to 64"),
        ("WALLET_REQUEST_TIMEOUT_MS", "0", "from 1 to 600000"),
        ("WALLET_REQUEST_TIMEOUT_MS", "600001", "from 1 to 600000"),
        ("WALLET_REQUEST_TIMEOUT_MS", "5s", "from 1 to 600000"),
        ("WALLET_BOOTSTRAP_API_KEY", KEY.replace("key-of", "s3cret")[:-1], "24 to 256 characters"),
        ("WALLET_BOOTSTRAP_API_KEY", "s3cret" * 50, "24 to 256 characters"),
        ("WALLET_BOOTSTRAP_API_KEY", "s3cret with spaces in its middle", "visible ASCII"),
        ("WALLET_BOOTSTRAP_API_KEY", "s3cret-with-a-line-feed-behind\n", "visible ASCII"),
        ("WALLET_LAB", "2", "must be on or off"),
        *((name, "", "is empty; unset it") for name in KNOWN),
        *((name, " ", "is empty; unset it") for name in KNOWN),
    ],
)
def test_a_bad_value_stops_the_start_with_one_line_that_names_it_and_shows_no_secret(
    name: str, text: str, says: str
) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.from_environment({name: text})
    message = str(caught.value)
    assert message.startswith(f"{name} ")
    assert says in message
    assert len(message.splitlines()) == 1
    assert len(message) < 250
    assert "s3cret" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_misspelt_setting_stops_the_start_and_is_told_the_likely_name() -> None:
    with pytest.raises(SettingError, match=r"^WALLET_DATABSE_URL is not a setting; did you mean WALLET_DATABASE_URL"):
        Settings.from_environment({"WALLET_DATABSE_URL": POSTGRES})


def test_variables_of_others_and_of_the_tests_are_none_of_its_business() -> None:
    environ = {"WALLET_TEST_DATABASE_URL": "x", "WALLET_ZZZ": "x", "WALLETS": "x", "PATH": "", "PGHOST": "db"}
    assert Settings.from_environment(environ) == Settings.from_environment({})


def test_secrets_are_not_in_the_repr() -> None:
    given = Settings.from_environment(
        {
            "WALLET_DATABASE_URL": POSTGRES,
            "WALLET_REDIS_URL": "redis://:s3cret@cache",
            "WALLET_BOOTSTRAP_API_KEY": "s3cret" * 5,
        }
    )
    assert "s3cret" not in repr(given)


def test_each_known_name_is_read() -> None:
    source = inspect.getsource(Settings.from_environment)
    assert [name for name in settings.KNOWN if f'"{name}"' not in source] == []
