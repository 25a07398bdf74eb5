"""The settings, read once from the environment. A bad value stops the start with a line that names the variable."""

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

import attrs

PREFIX: Final = "WALLET_"
PREFIX_OF_TESTS: Final = "WALLET_TEST_"

KNOWN: Final = (
    "WALLET_DATABASE_URL",
    "WALLET_AUTO_MIGRATE",
    "WALLET_DATA_DIR",
    "WALLET_REDIS_URL",
    "WALLET_HOST",
    "WALLET_PORT",
    "WALLET_WORKERS",
    "WALLET_REQUEST_TIMEOUT_MS",
    "WALLET_BOOTSTRAP_API_KEY",
    "WALLET_LAB",
)

POSTGRES_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
REDIS_SCHEMES: Final = ("redis", "rediss", "unix")

WORKERS_MAX: Final = 64
REQUEST_TIMEOUT_MS_MAX: Final = 600_000
BOOTSTRAP_API_KEY_LENGTH_MIN: Final = 24
BOOTSTRAP_API_KEY_LENGTH_MAX: Final = 256

_SHOWN_MAX = 60
_BOOLEANS: Final = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")

T = TypeVar("T")


class SettingError(Exception):
    """A setting that cannot be used. The message is one line, begins with the variable's name, and shows no secret."""


@attrs.frozen
class Settings:
    """All settings. Their repr leaves out what may carry a password."""

    database_url: str | None = attrs.field(repr=False)
    """PostgreSQL; None is the embedded one."""
    auto_migrate: bool
    data_dir: Path
    redis_url: str | None = attrs.field(repr=False)
    """Redis; None is no cache."""
    host: str
    port: int
    """0 takes any free port."""
    workers: int
    request_timeout_ms: int
    bootstrap_api_key: str | None = attrs.field(repr=False)
    lab: bool

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """The settings that these variables give. Raises `SettingError` for the first that is bad or misspelt."""
        _refuse_unknown(environ)
        read = _Reader(environ)
        database_url = read.one("WALLET_DATABASE_URL", _postgres_url, default=None)
        host = read.one("WALLET_HOST", _host, default="127.0.0.1")
        embedded = database_url is None
        return cls(
            database_url=database_url,
            auto_migrate=read.one("WALLET_AUTO_MIGRATE", _boolean, default=embedded),
            data_dir=read.one("WALLET_DATA_DIR", _path, default=Path(".wallet")),
            redis_url=read.one("WALLET_REDIS_URL", _redis_url, default=None),
            host=host,
            port=read.one("WALLET_PORT", _integer(0, 65_535), default=8080),
            workers=read.one("WALLET_WORKERS", _integer(1, WORKERS_MAX), default=1),
            request_timeout_ms=read.one("WALLET_REQUEST_TIMEOUT_MS", _integer(1, REQUEST_TIMEOUT_MS_MAX), default=5000),
            bootstrap_api_key=read.one("WALLET_BOOTSTRAP_API_KEY", _bootstrap_api_key, default=None),
            # The lab breaks things on purpose, so nobody beyond this machine gets it unasked.
            lab=read.one("WALLET_LAB", _boolean, default=embedded and is_loopback(host)),
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    """A misspelt setting that is passed over in silence would be found in production.

    What resembles no setting is somebody else's: a container platform names its services in variables too.
    """
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(PREFIX_OF_TESTS) and name not in KNOWN:
            # Compared without the prefix, which alone would make all names look alike.
            known = [each.removeprefix(PREFIX) for each in KNOWN]
            close = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
            if close:
                raise SettingError(f"{name} is not a setting; did you mean {PREFIX}{close[0]}?")


@attrs.frozen
class _Reader:
    environ: Mapping[str, str]

    def one(self, name: str, parse: Callable[[str], T], *, default: T) -> T:
        text = self.environ.get(name)
        if text is None:
            return default
        # A variable that was meant to be filled from elsewhere and came out empty must not select the default, which
        # for the database is another database.
        if not text.strip():
            raise SettingError(f"{name} is empty; unset it to get the default")
        try:
            return parse(text)
        except ValueError as error:
            # The cause may quote the value, password and all, in a traceback.
            raise SettingError(f"{name} {error}") from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…")


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError(f"must be on or off, not {_shown(text)}") from None


def _integer(smallest: int, largest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # int() alone would take "1_000", " 8080" and digits of other scripts; the length keeps it from endless digits.
        if re.fullmatch("[0-9]{1,20}", text) and smallest <= int(text) <= largest:
            return int(text)
        raise ValueError(f"must be a whole number from {smallest} to {largest}, not {_shown(text)}")

    return parse


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("must be a path, without zero bytes")
    return Path(text)


def _host(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # What looks like an IPv4 address and is none would otherwise be asked of the name server.
        if not _HOST_NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
            raise ValueError(f"must be a host name or IP address (without brackets), not {_shown(text)}") from None
    return text


def _bootstrap_api_key(text: str) -> str:
    if not re.fullmatch("[!-~]+", text):
        raise ValueError("must be visible ASCII characters without spaces, since it travels in a header")
    if not BOOTSTRAP_API_KEY_LENGTH_MIN <= len(text) <= BOOTSTRAP_API_KEY_LENGTH_MAX:
        raise ValueError(
            f"must have {BOOTSTRAP_API_KEY_LENGTH_MIN} to {BOOTSTRAP_API_KEY_LENGTH_MAX} characters, not {len(text)}"
        )
    return text


def _postgres_url(text: str) -> str:
    parts = _url(text, POSTGRES_SCHEMES, like="postgresql://user:password@host:5432/database")
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if len(hosts) > 1 and "" in hosts:
        raise ValueError("has an empty name in its list of hosts")
    for host in hosts:
        _check_host_and_port(host)
    return text


def _redis_url(text: str) -> str:
    parts = _url(text, REDIS_SCHEMES, like="redis://:password@host:6379/0")
    _check_host_and_port(parts.netloc.rpartition("@")[2])
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("must name a socket, like unix:///path/to/redis.sock")
    return text


def _url(text: str, schemes: tuple[str, ...], *, like: str) -> SplitResult:
    """The parts of a URL, checked as far as that goes without knowing its use. No message repeats any of it."""
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"must be a URL like {like}")
    if not text.isprintable() or " " in text or "#" in text:
        raise ValueError(
            "has a character that must be percent-encoded in a URL (a space, #, or one that does not print)"
        )
    try:
        parts = urlsplit(text)
        if parts.query:
            parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError("is not a well-formed URL") from None
    return parts


def _check_host_and_port(text: str) -> None:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 1 <= int(match["port"] or 1) <= 65_535:
        raise ValueError(
            "has a host or port that is none; in a user name or password, / ? : @ [ ] must be percent-encoded"
        )
