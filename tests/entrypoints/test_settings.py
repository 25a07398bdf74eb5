"""Every setting: its default, what it takes, and the line that it stops the start with."""

import inspect
import os
from pathlib import Path

import attrs
import pytest

from entrypoints import settings
from entrypoints.settings import FILE_SUFFIX, KNOWN, SECRET_FILE_BYTES_MAX, SECRETS, SettingError, Settings

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
        metrics=0,
        log_format="text",
        log_level="warning",
        access_log=0.0,
        slow_request_ms=1000,
        rate_limit=None,
        rate_limit_burst_ms=1000,
        cors_origins=(),
        hsts=False,
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
def test_the_lab_and_metrics_are_on_by_default_only_where_no_one_else_can_reach_them(host: str, lab: bool) -> None:
    given = Settings.from_environment({"WALLET_HOST": host})
    assert given.lab is lab
    assert (given.metrics is not None) is lab


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
        ("WALLET_RATE_LIMIT", "1000000", "rate_limit", 1_000_000),
        ("WALLET_RATE_LIMIT_BURST_MS", "250", "rate_limit_burst_ms", 250),
        ("WALLET_CORS_ORIGINS", "https://shop.example", "cors_origins", ("https://shop.example",)),
        (
            "WALLET_CORS_ORIGINS",
            "http://localhost:5173, https://a.b-c.example:8443,http://[::1]:81,http://10.0.0.1:8080",
            "cors_origins",
            ("http://localhost:5173", "https://a.b-c.example:8443", "http://[::1]:81", "http://10.0.0.1:8080"),
        ),
        ("WALLET_HSTS", "on", "hsts", True),
        ("WALLET_METRICS", "off", "metrics", None),
        ("WALLET_METRICS", "1", "metrics", 0),
        ("WALLET_METRICS", "9464", "metrics", 9464),
        ("WALLET_METRICS", "65535", "metrics", 65_535),
        ("WALLET_LOG_FORMAT", "JSON", "log_format", "json"),
        ("WALLET_LOG_LEVEL", "info", "log_level", "info"),
        ("WALLET_ACCESS_LOG", "on", "access_log", 1.0),
        ("WALLET_ACCESS_LOG", "off", "access_log", 0.0),
        ("WALLET_ACCESS_LOG", "0.01", "access_log", 0.01),
        ("WALLET_SLOW_REQUEST_MS", "250", "slow_request_ms", 250),
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
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@[::1/x", "host or port that is none"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@a,,b/x", "empty name"),
        ("WALLET_DATABASE_URL", "postgresql://u:s3cret@db/x?sslmode", "well-formed"),
        ("WALLET_AUTO_MIGRATE", "maybe", "must be on or off, not 'maybe'"),
        ("WALLET_DATA_DIR", "a\0b", "must be a path"),
        ("WALLET_REDIS_URL", "http://:s3cret@cache", "must be a URL like redis://"),
        ("WALLET_REDIS_URL", "redis://:s3cret@cache:port", "host or port"),
        ("WALLET_REDIS_URL", "unix://", "must name a socket"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslmode=verify", "an sslmode that is none of disable, allow, prefer"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslrootcert=/etc/passwd", "add sslmode=verify-full"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslrootcert=/etc/passwd&sslmode=prefer", "add sslmode=verify-full"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslrootcert=/etc/passwd&sslmode=verify-full", "no certificate in PEM"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslrootcert=/no/such&sslmode=verify-ca", "/no/such as sslrootcert, which"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslcrl=/no/such", "cannot be read: No such file"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslcert=/no/such", "cannot be read: No such file"),
        ("WALLET_DATABASE_URL", f"{POSTGRES}?sslkey=/etc", "cannot be read: Is a directory"),
        (
            "WALLET_REDIS_URL",
            "redis://:s3cret@cache?ssl_ca_certs=/ca.pem",
            "heeded only in a URL that begins with redi",
        ),
        (
            "WALLET_REDIS_URL",
            "rediss://:s3cret@cache?ssl_ca_cert=/ca.pem",
            "option of TLS that is none of ssl_ca_certs",
        ),
        ("WALLET_REDIS_URL", "rediss://:s3cret@cache?ssl_ca_certs=/no/such", "as ssl_ca_certs, which cannot be read"),
        ("WALLET_REDIS_URL", "rediss://:s3cret@cache?ssl_ca_certs=/etc/passwd", "holds no certificate in PEM"),
        ("WALLET_REDIS_URL", "rediss://:s3cret@cache?ssl_keyfile=/no/such", "cannot be read"),
        ("WALLET_REDIS_URL", "rediss://:s3cret@cache?ssl_cert_reqs=optional", "neither required nor none"),
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
        ("WALLET_RATE_LIMIT", "0", "from 1 to 1000000"),
        ("WALLET_RATE_LIMIT", "1.5", "from 1 to 1000000"),
        ("WALLET_RATE_LIMIT_BURST_MS", "60001", "from 1 to 60000"),
        ("WALLET_CORS_ORIGINS", "*", "must be origins like https://shop.example"),
        ("WALLET_CORS_ORIGINS", "shop.example", "must be origins like"),
        ("WALLET_CORS_ORIGINS", "https://shop.example/", "must be origins like"),
        ("WALLET_CORS_ORIGINS", "https://Shop.example", "must be origins like"),
        ("WALLET_CORS_ORIGINS", "https://shop.example,", "must be origins like"),
        ("WALLET_CORS_ORIGINS", "https://shop.example:443", "must leave out the port"),
        ("WALLET_CORS_ORIGINS", ",".join(["https://a"] * 51), "at most 50 origins"),
        ("WALLET_HSTS", "31536000", "must be on or off"),
        ("WALLET_METRICS", "65536", "must be on, off, or a port up to 65535"),
        ("WALLET_METRICS", "127.0.0.1:9464", "must be on, off, or a port"),
        ("WALLET_LOG_FORMAT", "xml", "must be one of text, json, not 'xml'"),
        ("WALLET_LOG_LEVEL", "loud", "must be one of debug, info, warning, error"),
        ("WALLET_ACCESS_LOG", "1.5", "a share of the requests such as 0.01"),
        ("WALLET_ACCESS_LOG", "1e-2", "a share of the requests"),
        ("WALLET_SLOW_REQUEST_MS", "0", "from 1 to 600000"),
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
    named = {name.removesuffix(FILE_SUFFIX) for name in settings.KNOWN}
    assert [name for name in sorted(named) if f'"{name}"' not in source] == []


SECRET_VALUES = {
    "WALLET_DATABASE_URL": POSTGRES,
    "WALLET_REDIS_URL": "rediss://:s3cret@cache",
    "WALLET_BOOTSTRAP_API_KEY": "s3cret" * 5,
}


def test_whatever_is_kept_out_of_the_repr_may_be_in_a_file() -> None:
    hidden = {f"WALLET_{field.name.upper()}" for field in attrs.fields(Settings) if not field.repr}
    assert hidden == set(SECRETS) == set(SECRET_VALUES)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_be_in_a_file(tmp_path: Path, name: str, end: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(f"{SECRET_VALUES[name]}{end}".encode())
    given = Settings.from_environment({f"{name}_FILE": str(file)})
    assert given == Settings.from_environment({name: SECRET_VALUES[name]})


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(SettingError) as caught:
        Settings.from_environment(environ)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    message = str(caught.value)
    assert "s3cret" not in message
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_and_its_file_are_not_both_taken(tmp_path: Path, name: str) -> None:
    message = refusal({name: SECRET_VALUES[name], f"{name}_FILE": str(tmp_path)})
    assert message == f"{name} and {name}_FILE are both set; unset one of them"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "which is empty"),
        (b" \n", "which is empty"),
        (b"s3cret\xff", "which holds no text in UTF-8"),
        (b"s3cret" * SECRET_FILE_BYTES_MAX, "which is longer than 65536 bytes"),
        (b"s3cret of no use\n\n", " must be "),
        (POSTGRES.encode() + b"\n\n", " must be "),
    ],
)
@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_holds_no_such_secret_is_named_and_not_quoted(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    message = refusal({f"{name}_FILE": str(file)})
    assert message.startswith(f"{name}_FILE ")
    assert str(file) in message
    assert says in message or "percent-encoded" in message


@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    missing = tmp_path / "missing"
    assert refusal({f"{name}_FILE": str(missing)}) == (
        f"{name}_FILE names {missing}, which cannot be read: No such file or directory"
    )
    assert refusal({f"{name}_FILE": str(tmp_path)}).endswith("cannot be read: Is a directory")


@pytest.mark.parametrize("text", [POSTGRES, "s3cret-key-in-the-wrong-place", "s3cret/file", "/s3cret\n", "/s3cret\0"])
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_place_of_its_files_path_is_not_shown(name: str, text: str) -> None:
    assert refusal({f"{name}_FILE": text}) == f"{name}_FILE must be the absolute path of a file that holds the secret"


@pytest.mark.parametrize("name", sorted({*KNOWN} - {*SECRETS} - {f"{name}_FILE" for name in SECRETS}))
def test_what_is_no_secret_is_in_no_file(name: str) -> None:
    assert refusal({f"{name}_FILE": os.devnull}).startswith(f"{name}_FILE is not a setting; did you mean ")
