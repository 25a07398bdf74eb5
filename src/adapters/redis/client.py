"""The store on Redis: 6.2 or later, or whatever else speaks its protocol."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from adapters.redis.store import StoreAway, StoreRefused
from adapters.redis.tls import TlsConnection, refused_certificate, tls_context

CONNECTIONS_MAX: Final = 8
"""How many questions are under way at a time; those of further tenants wait, as part of the time that a call has."""

STEP_S_MAX: Final = 0.05
"""The limit of connecting, in seconds. That of a whole call is the caller's, and no longer."""

HEEDED: Final = frozenset({"connection_class", "host", "port", "path", "db", "username", "password"})
"""What a URL may say, and what begins like this:"""
TLS_PREFIX: Final = "ssl_"

PROBE_KEY: Final = b"wallet:probe"


class RedisStore:
    """``KeyValues`` on the Redis of a URL: ``redis://``, ``rediss://`` (TLS) or ``unix://``.

    Of the URL's query, ``db`` counts, and for TLS the options of ``tls.tls_context``. Raises ``ValueError`` if that
    makes no sense. Nothing that is raised later carries what Redis said, which may repeat a password.
    """

    def __init__(self, url: str, connections_max: int = CONNECTIONS_MAX) -> None:
        named: Mapping[str, Any] = {**parse_url(url)}
        options: dict[str, Any] = {
            **{name: value for name, value in named.items() if name in HEEDED},
            "max_connections": connections_max,
            "timeout": None,
            "socket_connect_timeout": STEP_S_MAX,
            # The caller's limit covers reading too, and covers all of it: this one would start anew with every read.
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_timeout": False,
            "retry_on_error": [],
            "health_check_interval": 0,
            "decode_responses": False,
            # The newer protocol begins with a question and may be answered with notes that nobody has asked for.
            "protocol": 2,
            "driver_info": None,
        }
        if urlsplit(url).scheme == "rediss":
            asked = {name: value for name, value in named.items() if name.startswith(TLS_PREFIX)}
            options |= {"connection_class": TlsConnection, "context": tls_context(asked)}
        self._client = Redis(connection_pool=BlockingConnectionPool(**options))

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[object]:
        with _translating():
            values: object = await self._client.mget(keys)
        return values if isinstance(values, list) else []

    async def put_many(self, values: Mapping[bytes, bytes], ttl_s: int) -> None:
        with _translating():
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    pipeline.set(key, value, ex=ttl_s)
                answers = await pipeline.execute(raise_on_error=False)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer

    async def ping(self) -> None:
        with _translating():
            # Connections from before may be dead without knowing it, and would fail one call each.
            await self._client.connection_pool.disconnect(inuse_connections=False)
        # A question of the kind that is asked: PING would be answered although reading is not allowed, or is no use.
        await self.get_many([PROBE_KEY])

    async def close(self) -> None:
        try:
            await self._client.aclose()
            await self._client.connection_pool.disconnect()
        except Exception:  # noqa: BLE001 - the connections are given up, whatever it is that they say to that
            return


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except ResponseError as refusal:
        raise StoreRefused(type(refusal).__name__) from refusal
    except Exception as failure:
        # Whatever a server says that makes the client stumble: it is no use.
        raise StoreAway(refused_certificate(failure) or type(failure).__name__) from failure
