"""The settings, read once from the environment. A bad value stops the start with a line that names the variable."""

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

import attrs

from entrypoints.urls import postgres_url, redis_url

PREFIX: Final = "WALLET_"
PREFIX_OF_TESTS: Final = "WALLET_TEST_"

SECRETS: Final = ("WALLET_DATABASE_URL", "WALLET_REDIS_URL", "WALLET_BOOTSTRAP_API_KEY")
"""What holds credentials. Each may be in a file instead, whose path is in the variable with this behind its name:"""
FILE_SUFFIX: Final = "_FILE"

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
    "WALLET_METRICS",
    "WALLET_LOG_FORMAT",
    "WALLET_LOG_LEVEL",
    "WALLET_ACCESS_LOG",
    "WALLET_SLOW_REQUEST_MS",
    "WALLET_RATE_LIMIT",
    "WALLET_RATE_LIMIT_BURST_MS",
    "WALLET_CORS_ORIGINS",
    "WALLET_HSTS",
    *(f"{name}{FILE_SUFFIX}" for name in SECRETS),
)

OF_CALLERS: Final = ("WALLET_URL", "WALLET_API_KEY", "WALLET_API_KEY_FILE")
"""What the commands that call a service go by. A service may see them, and does not heed them."""

WORKERS_MAX: Final = 64
REQUEST_TIMEOUT_MS_MAX: Final = 600_000
PORT_MAX: Final = 65_535
RATE_LIMIT_MAX: Final = 1_000_000
RATE_LIMIT_BURST_MS_MAX: Final = 60_000
CORS_ORIGINS_MAX: Final = 50
LOG_FORMATS: Final = ("text", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
BOOTSTRAP_API_KEY_LENGTH_MIN: Final = 24
BOOTSTRAP_API_KEY_LENGTH_MAX: Final = 256
SECRET_FILE_BYTES_MAX: Final = 65_536

_SHOWN_MAX = 60
_BOOLEANS: Final = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*|\[[0-9a-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?")

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
    metrics: int | None
    """The port that ``/metrics`` answers on; 0 for the API's, None for nowhere."""
    log_format: str
    log_level: str
    access_log: float
    """The share of requests that are logged although nothing is wrong with them."""
    slow_request_ms: int
    rate_limit: int | None
    """Requests a second of one API key that has no limit of its own; None is any number."""
    rate_limit_burst_ms: int
    """What may come at once, as the time in which it would come otherwise."""
    cors_origins: tuple[str, ...]
    """Whose pages may call the API from a browser, besides its own."""
    hsts: bool
    """Whether browsers are told to come by TLS only."""
    metrics_dir: Path | None = None
    """Where several workers have their numbers. No variable: it is made at the start."""

    @property
    def ports(self) -> Sequence[int]:
        """Where to listen."""
        return (self.port, self.metrics) if self.metrics else (self.port,)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """The settings that these variables give. Raises `SettingError` for the first that is bad or misspelt."""
        _refuse_unknown(environ)
        read = _Reader(environ)
        database_url = read.one("WALLET_DATABASE_URL", postgres_url, default=None)
        host = read.one("WALLET_HOST", _host, default="127.0.0.1")
        embedded = database_url is None
        return cls(
            database_url=database_url,
            auto_migrate=read.one("WALLET_AUTO_MIGRATE", _boolean, default=embedded),
            data_dir=read.one("WALLET_DATA_DIR", _path, default=Path(".wallet")),
            redis_url=read.one("WALLET_REDIS_URL", redis_url, default=None),
            host=host,
            port=read.one("WALLET_PORT", _integer(0, PORT_MAX), default=8080),
            workers=read.one("WALLET_WORKERS", _integer(1, WORKERS_MAX), default=1),
            request_timeout_ms=read.one("WALLET_REQUEST_TIMEOUT_MS", _integer(1, REQUEST_TIMEOUT_MS_MAX), default=5000),
            bootstrap_api_key=read.one("WALLET_BOOTSTRAP_API_KEY", _bootstrap_api_key, default=None),
            # The lab breaks things on purpose, so nobody beyond this machine gets it unasked.
            lab=read.one("WALLET_LAB", _boolean, default=embedded and is_loopback(host)),
            # Figures of the business are nobody else's either.
            metrics=read.one("WALLET_METRICS", _metrics, default=0 if is_loopback(host) else None),
            log_format=read.one("WALLET_LOG_FORMAT", _one_of(LOG_FORMATS), default="text"),
            log_level=read.one("WALLET_LOG_LEVEL", _one_of(LOG_LEVELS), default="warning"),
            access_log=read.one("WALLET_ACCESS_LOG", _share, default=0.0),
            slow_request_ms=read.one("WALLET_SLOW_REQUEST_MS", _integer(1, REQUEST_TIMEOUT_MS_MAX), default=1000),
            rate_limit=read.one("WALLET_RATE_LIMIT", _integer(1, RATE_LIMIT_MAX), default=None),
            rate_limit_burst_ms=read.one(
                "WALLET_RATE_LIMIT_BURST_MS", _integer(1, RATE_LIMIT_BURST_MS_MAX), default=1000
            ),
            cors_origins=read.one("WALLET_CORS_ORIGINS", _origins, default=()),
            hsts=read.one("WALLET_HSTS", _boolean, default=False),
        )


def one_of_a_caller(environ: Mapping[str, str], name: str) -> str | None:
    """What one of the variables `OF_CALLERS` holds, or the file that the secret is in. Raises `SettingError`."""
    return _Reader(environ).one(name, str, default=None)


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
        if name.startswith(PREFIX) and not name.startswith(PREFIX_OF_TESTS) and name not in (*KNOWN, *OF_CALLERS):
            # Compared without the prefix, which alone would make all names look alike.
            known = [each.removeprefix(PREFIX) for each in KNOWN]
            wanted = name.removeprefix(PREFIX)
            # A setting that is no secret is in no file.
            plain = wanted.removesuffix(FILE_SUFFIX)
            close = [plain] if plain in known else difflib.get_close_matches(wanted, known, n=1)
            if close:
                raise SettingError(f"{name} is not a setting; did you mean {PREFIX}{close[0]}?")


@attrs.frozen
class _Reader:
    environ: Mapping[str, str]

    def one(self, name: str, parse: Callable[[str], T], *, default: T) -> T:
        source, text = name, self._given(name)
        file = f"{name}{FILE_SUFFIX}"
        path = self._given(file) if name in SECRETS or file in OF_CALLERS else None
        if path is not None:
            if text is not None:
                raise SettingError(f"{name} and {file} are both set; unset one of them")
            source, text = f"{file} ({path})", _content(file, path)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError as error:
            # The cause may quote the value, password and all, in a traceback.
            raise SettingError(f"{source} {error}") from None

    def _given(self, name: str) -> str | None:
        text = self.environ.get(name)
        # A variable that was meant to be filled from elsewhere and came out empty must not select the default, which
        # for the database is another database.
        if text is not None and not text.strip():
            raise SettingError(f"{name} is empty; unset it to get the default")
        return text


def _content(name: str, path: str) -> str:
    """The secret in a file, without the line feed that ends it. No message repeats any of it."""
    # Nothing of the value is shown before it is known for a path: it may be the secret itself, set in the wrong place.
    if not path.startswith("/") or not path.isprintable():
        raise SettingError(f"{name} must be the absolute path of a file that holds the secret")
    try:
        with Path(path).open("rb") as file:
            content = file.read(SECRET_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingError(f"{name} names {path}, which cannot be read: {error.strerror}") from None
    if len(content) > SECRET_FILE_BYTES_MAX:
        raise SettingError(f"{name} names {path}, which is longer than {SECRET_FILE_BYTES_MAX} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SettingError(f"{name} names {path}, which holds no text in UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise SettingError(f"{name} names {path}, which is empty")
    return text


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


def _metrics(text: str) -> int | None:
    if text.lower() in _BOOLEANS:
        return 0 if _BOOLEANS[text.lower()] else None
    if re.fullmatch("[0-9]{1,5}", text) and 1 < int(text) <= PORT_MAX:
        return int(text)
    raise ValueError(f"must be on, off, or a port up to {PORT_MAX}, not {_shown(text)}")


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() in words:
            return text.lower()
        raise ValueError(f"must be one of {', '.join(words)}, not {_shown(text)}")

    return parse


def _share(text: str) -> float:
    if text.lower() in ("on", "off"):
        return float(text.lower() == "on")
    if re.fullmatch(r"0(\.[0-9]{1,6})?|1(\.0{1,6})?", text):
        return float(text)
    raise ValueError(f"must be on, off, or a share of the requests such as 0.01, not {_shown(text)}")


def _origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them (RFC 6454, section 6.2): in any other spelling they would match nothing."""
    origins = tuple(part.strip(" ") for part in text.split(","))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"must be origins like https://shop.example, separated by commas, not {_shown(origin)}")
        if origin.endswith({"http": ":80", "https": ":443"}[origin.partition(":")[0]]):
            raise ValueError(f"must leave out the port that goes without saying, in {_shown(origin)}")
    if len(origins) > CORS_ORIGINS_MAX:
        raise ValueError(f"must be at most {CORS_ORIGINS_MAX} origins, not {len(origins)}")
    return origins


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
