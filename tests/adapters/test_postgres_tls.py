"""TLS to PostgreSQL: what ``sslmode`` and ``sslrootcert`` verify, host by host, and what is said of a refusal.

Each refusal has its counterpart: the same server, taken by a mode that verifies less.
"""

import asyncio
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from adapters.postgres.engine import create_engine
from adapters.postgres.reader import PostgresReader
from entrypoints.cli import main
from tests.support.certificates import Authority
from tests.support.proxy.postgres import through
from tests.support.tls_front import tls_front
from wallet_core.ports import Unavailable


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "ours")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder / "theirs")


def url(dsn: str, *ports: int, **options: object) -> str:
    plain = through(dsn, [*ports])
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{plain}{'&' if urlsplit(plain).query else '?'}{query}" if query else plain


async def ask(dsn: str) -> None:
    engine = create_engine(dsn)
    try:
        await PostgresReader(engine).ready()
    finally:
        await engine.dispose()


def command(dsn: str) -> Result:
    return CliRunner().invoke(main, ["db", "status"], env={"WALLET_DATABASE_URL": dsn})


def certificate_error(error: BaseException | None) -> str:
    """Why the certificate was refused, which is what the error has to come from."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__
    assert error is not None
    return error.verify_message


async def test_a_server_that_the_named_authority_vouches_for_is_used(database: str, authority: Authority) -> None:
    async with tls_front(database, authority.sign("127.0.0.1").server_context()) as front:
        await ask(url(database, front.port, sslmode="verify-full", sslrootcert=authority.file))
    assert (front.encrypted, front.plain) == (1, 0)


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca", "require"])
async def test_a_server_of_another_authority_is_away(
    database: str, authority: Authority, stranger: Authority, mode: str
) -> None:
    async with tls_front(database, authority.sign("127.0.0.1").server_context()) as front:
        with pytest.raises(Unavailable) as caught:
            await ask(url(database, front.port, sslmode=mode, sslrootcert=stranger.file))
        assert certificate_error(caught.value) == "unable to get local issuer certificate"
        assert (front.encrypted, front.plain) == (0, 0)
        # Without an authority to ask, that mode takes anybody; the others have to have one.
        if mode == "require":
            await ask(url(database, front.port, sslmode=mode))
            assert (front.encrypted, front.plain) == (1, 0)


async def test_a_server_of_another_name_is_away_for_verify_full_alone(database: str, authority: Authority) -> None:
    async with tls_front(database, authority.sign("db.example").server_context()) as front:
        with pytest.raises(Unavailable) as caught:
            await ask(url(database, front.port, sslmode="verify-full", sslrootcert=authority.file))
        assert "'127.0.0.1'" in certificate_error(caught.value)
        await ask(url(database, front.port, sslmode="verify-ca", sslrootcert=authority.file))
    assert (front.encrypted, front.plain) == (1, 0)


async def test_of_several_hosts_each_is_verified_and_the_first_that_passes_is_used(
    database: str, authority: Authority
) -> None:
    async with (
        tls_front(database, authority.sign("db.example").server_context()) as wrong,
        tls_front(database, authority.sign("127.0.0.1").server_context()) as right,
    ):
        await ask(url(database, wrong.port, right.port, sslmode="verify-full", sslrootcert=authority.file))
    assert (wrong.encrypted, right.encrypted) == (0, 1)


async def test_a_server_without_tls_is_away_if_tls_is_required(database: str) -> None:
    async with tls_front(database, None) as front:
        with pytest.raises(Unavailable) as caught:
            await ask(url(database, front.port, sslmode="require"))
        assert "rejected SSL upgrade" in str(caught.value.__cause__)
    assert (front.encrypted, front.plain) == (0, 0)


async def test_unless_told_tls_is_taken_where_it_is_offered_and_nothing_is_verified(
    database: str, stranger: Authority
) -> None:
    async with tls_front(database, stranger.sign("db.example").server_context()) as front:
        await ask(url(database, front.port))
    assert (front.encrypted, front.plain) == (1, 0)
    async with tls_front(database, None) as front:
        await ask(url(database, front.port))
    assert (front.encrypted, front.plain) == (0, 1)


async def test_a_server_that_asks_for_a_certificate_gets_it(database: str, authority: Authority) -> None:
    context = authority.sign("127.0.0.1").server_context()
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    # TLS 1.3 lets a client go on before it is refused.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    own = authority.sign("wallet.example")
    async with tls_front(database, context) as front:
        verified = {"sslmode": "verify-full", "sslrootcert": authority.file}
        await ask(url(database, front.port, **verified, sslcert=own.certificate, sslkey=own.key))
        with pytest.raises(Unavailable):
            await ask(url(database, front.port, **verified))
    assert (front.encrypted, front.plain) == (1, 0)


async def test_the_command_line_says_in_one_line_why_a_certificate_is_refused(
    database: str, authority: Authority, stranger: Authority
) -> None:
    async with tls_front(database, authority.sign("127.0.0.1").server_context()) as front:
        given = url(database, front.port, sslmode="verify-full", sslrootcert=stranger.file)
        failed = await asyncio.to_thread(command, given)
        given = url(database, front.port, sslmode="verify-full", sslrootcert=authority.file)
        passed = await asyncio.to_thread(command, given)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == (
        "wallet: the database cannot be used: its certificate is refused: unable to get local issuer certificate"
        " (WALLET_DATABASE_URL)\n"
    )
    assert (passed.exit_code, passed.stdout.partition(":")[0]) == (0, "current")
