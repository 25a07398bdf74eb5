"""TLS to Redis: who is connected to is verified, unless the URL says not to."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.redis.client import CONNECTIONS_MAX, RedisStore
from adapters.redis.store import StoreAway
from tests.support.certificates import Authority, Signed
from tests.support.redis import free_port, redis_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "ours")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder / "theirs")


@contextmanager
def tls_redis(authority: Authority, shown: Signed, *, asks_clients: str = "no") -> Iterator[int]:
    """A server that shows this certificate; the port on which it does."""
    port = free_port()
    files = ("--tls-cert-file", shown.certificate, "--tls-key-file", shown.key, "--tls-ca-cert-file", authority.file)
    with redis_server("--tls-port", str(port), "--tls-auth-clients", asks_clients, *map(str, files)):
        yield port


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    """Of a server with the right certificate."""
    with tls_redis(authority, authority.sign("127.0.0.1")) as port:
        yield port


async def ask(url: str) -> None:
    store = RedisStore(url)
    try:
        await store.put_many({b"a": b"1"}, 60)
        assert await store.get_many([b"a"]) == [b"1"]
    finally:
        await store.close()


async def test_a_server_that_the_named_authority_vouches_for_is_used(port: int, authority: Authority) -> None:
    await ask(f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.file}")


async def test_a_server_of_another_authority_is_refused_and_it_is_said_why(port: int, stranger: Authority) -> None:
    with pytest.raises(
        StoreAway, match=r"^its certificate is refused: (self-signed certificate|unable to get local issuer)"
    ):
        await ask(f"rediss://127.0.0.1:{port}?ssl_ca_certs={stranger.file}")


async def test_a_server_of_another_name_is_refused_and_it_is_said_why(authority: Authority) -> None:
    with tls_redis(authority, authority.sign("cache.example")) as port:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.file}"
        with pytest.raises(StoreAway, match=r"^its certificate is refused: IP address mismatch, .* '127\.0\.0\.1'"):
            await ask(url)
        with pytest.raises(StoreAway, match=r"^its certificate is refused: Hostname mismatch, .* 'localhost'"):
            await ask(url.replace("127.0.0.1", "localhost"))
        await ask(f"{url}&ssl_check_hostname=false")


async def test_without_an_authority_the_systems_are_asked(
    port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreAway, match="certificate is refused"):
        await ask(f"rediss://127.0.0.1:{port}")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    await ask(f"rediss://127.0.0.1:{port}")


async def test_where_an_authority_is_named_those_of_the_system_do_not_count(
    port: int, authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with pytest.raises(StoreAway, match="certificate is refused"):
        await ask(f"rediss://127.0.0.1:{port}?ssl_ca_certs={stranger.file}")


async def test_only_a_url_that_says_so_trusts_anybody(port: int) -> None:
    await ask(f"rediss://127.0.0.1:{port}?ssl_cert_reqs=none")


async def test_a_server_without_tls_is_away(authority: Authority) -> None:
    with redis_server() as server, pytest.raises(StoreAway):
        await ask(f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={authority.file}")


async def test_a_server_that_asks_for_a_certificate_gets_it(authority: Authority) -> None:
    own = authority.sign("wallet.example")
    with tls_redis(authority, authority.sign("127.0.0.1"), asks_clients="yes") as port:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.file}"
        await ask(f"{url}&ssl_certfile={own.certificate}&ssl_keyfile={own.key}")
        with pytest.raises(StoreAway):
            await ask(url)


async def test_connecting_reads_no_certificates(
    port: int, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a system take 26 ms to read, which nothing else of the process would go on in, at each connection."""
    store = RedisStore(f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.file}")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("certificates are read while requests wait")

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", refuse)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", refuse)
    for _ in range(CONNECTIONS_MAX):
        await store.ping()
    await store.close()


@pytest.mark.parametrize(
    "query", ["ssl_ca_certs=/no/such", "ssl_certfile=/no/such", "ssl_ca_certs=/etc/passwd", "ssl_what=1"]
)
def test_a_url_with_which_tls_cannot_be_set_up_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"^the Redis URL's options of TLS cannot be used: .+"):
        RedisStore(f"rediss://:s3cret@127.0.0.1?{query}")
