"""URLs of databases and caches, checked as far as that goes without connecting.

No message repeats a part of a URL that may hold a password. What the URL says about TLS is checked at the start: a
wrong path or a name that nobody heeds would otherwise be found when a connection is refused, or, worse, when none is.
"""

import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

POSTGRES_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
REDIS_SCHEMES: Final = ("redis", "rediss", "unix")

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SSL_MODES_THAT_VERIFY: Final = ("require", "verify-ca", "verify-full")
"""With which the driver checks the server's certificate against ``sslrootcert``, if that is given."""

REDIS_TLS_OPTIONS: Final = (
    "ssl_ca_certs",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
    "ssl_password",
)

_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%a-z]+\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")


def postgres_url(text: str) -> str:
    """The URL itself. Raises ``ValueError`` if it cannot be one of PostgreSQL."""
    parts = _url(text, POSTGRES_SCHEMES, like="postgresql://user:password@host:5432/database")
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if len(hosts) > 1 and "" in hosts:
        raise ValueError("has an empty name in its list of hosts")
    for host in hosts:
        _check_host_and_port(host)
    _check_postgres_tls(dict(parse_qsl(parts.query)))
    return text


def redis_url(text: str) -> str:
    """The URL itself. Raises ``ValueError`` if it cannot be one of Redis."""
    parts = _url(text, REDIS_SCHEMES, like="redis://:password@host:6379/0")
    _check_host_and_port(parts.netloc.rpartition("@")[2])
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("must name a socket, like unix:///path/to/redis.sock")
    _check_redis_tls(parts.scheme, dict(parse_qsl(parts.query)))
    return text


def split_url(text: str) -> SplitResult:
    """The parts of a URL, which may name several hosts. Raises ``ValueError`` if it is not well-formed.

    Python refuses an IPv6 address that is not the only host, since 3.11.4 and in what distributions have mended before.
    """
    scheme, _, rest = text.partition("://")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    return urlsplit(f"{scheme}://{rest.removeprefix(authority)}")._replace(netloc=authority)


def _url(text: str, schemes: tuple[str, ...], *, like: str) -> SplitResult:
    """The parts of a URL. No message repeats any of it."""
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"must be a URL like {like}")
    if not text.isprintable() or " " in text or "#" in text:
        raise ValueError(
            "has a character that must be percent-encoded in a URL (a space, #, or one that does not print)"
        )
    try:
        parts = split_url(text)
        if parts.query:
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError("is not a well-formed URL") from None
    return parts


def _check_host_and_port(text: str) -> None:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or not 1 <= int(match["port"] or 1) <= 65_535:
        raise ValueError(
            "has a host or port that is none; in a user name or password, / ? : @ [ ] must be percent-encoded"
        )


def _check_postgres_tls(query: dict[str, str]) -> None:
    mode = query.get("sslmode")
    if mode is not None and mode not in SSL_MODES:
        raise ValueError(f"has an sslmode that is none of {', '.join(SSL_MODES)}")
    # The driver, like libpq, would pass over it in silence, and take whatever server answers.
    if "sslrootcert" in query and mode not in SSL_MODES_THAT_VERIFY:
        raise ValueError("names an sslrootcert, which is heeded only with an sslmode: add sslmode=verify-full")
    _check_files(query, authorities=("sslrootcert", "sslcrl"), others=("sslcert", "sslkey"))


def _check_redis_tls(scheme: str, query: dict[str, str]) -> None:
    for name in sorted(query):
        if name.startswith("ssl_") and scheme != "rediss":
            raise ValueError(f"has {name}, which is heeded only in a URL that begins with rediss://")
        if name.startswith("ssl_") and name not in REDIS_TLS_OPTIONS:
            raise ValueError(f"has an option of TLS that is none of {', '.join(REDIS_TLS_OPTIONS)}")
    if query.get("ssl_cert_reqs", "required") not in ("required", "none"):
        raise ValueError("has an ssl_cert_reqs that is neither required nor none")
    _check_files(query, authorities=("ssl_ca_certs",), others=("ssl_certfile", "ssl_keyfile"))


def _check_files(query: dict[str, str], *, authorities: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Whether files that the query names are there, and those of authorities hold certificates or revocations."""
    for name in (*authorities, *others):
        path = query.get(name)
        if path is None:
            continue
        try:
            with Path(path).open("rb") as file:
                file.read(1)
            if name in authorities:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except ssl.SSLError:
            raise ValueError(f"names {path} as {name}, which holds no certificate in PEM") from None
        except OSError as error:
            raise ValueError(f"names {path} as {name}, which cannot be read: {error.strerror}") from None
