"""The way to the wallets: a service at a URL, or a whole one in this process.

Beside the composition root this is the only module that names adapters, and it names the HTTP client only. Who
calls a service need not install one, nor wait until it is imported.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import attrs
import httpx

from adapters.http_client import (
    Done,
    InvalidCommand,
    KeyFenced,
    KeyReused,
    NotFound,
    NotUnderstood,
    OutcomeUnknown,
    Refused,
    Rejected,
    Retries,
    ServiceUnavailable,
    VersionConflict,
    WalletClient,
    WalletError,
    WalletExists,
)
from adapters.http_client_told import decision, entry_record, hold, transaction, wallet
from entrypoints.settings import SettingError, one_of_a_caller

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from litestar.types import ASGIApp

__all__ = [
    "Done",
    "InvalidCommand",
    "KeyFenced",
    "KeyReused",
    "NotFound",
    "NotUnderstood",
    "OutcomeUnknown",
    "Place",
    "PlaceError",
    "Refused",
    "Rejected",
    "ServiceUnavailable",
    "VersionConflict",
    "WalletClient",
    "WalletError",
    "WalletExists",
    "at",
    "decision",
    "entry_record",
    "hold",
    "place",
    "transaction",
    "wallet",
]

IN_PROCESS: Final = "http://in-process"
"""A URL for what needs one, where nothing is sent over a network."""

DATA_DIR: Final = ".wallet"
CLUSTER: Final = "postgres"

T = TypeVar("T")
Work = Callable[[WalletClient], Awaitable[T]]


class PlaceError(Exception):
    """There is no way to the wallets. The message is one line, for whoever asked."""


@attrs.frozen
class Place:
    """Where the wallets are, and the key that opens them. Without a URL, in this process."""

    url: str | None
    api_key: str | None = attrs.field(repr=False)
    timeout_s: float

    @property
    def retries(self) -> Retries:
        """How long to insist."""
        return Retries(deadline_s=self.timeout_s, attempt_s=min(10.0, self.timeout_s))


def place(environ: Mapping[str, str], url: str | None, api_key: str | None, *, local: bool, timeout_s: float) -> Place:
    """The place that options and environment say. Raises ``PlaceError`` where they say none."""
    try:
        api_key = api_key or one_of_a_caller(environ, "WALLET_API_KEY")
        if local:
            return Place(None, api_key, timeout_s)
        url = url or one_of_a_caller(environ, "WALLET_URL")
        if url is None and has_data(environ):
            return Place(None, api_key, timeout_s)
    except SettingError as error:
        raise PlaceError(str(error)) from error
    if url is None:
        raise PlaceError(
            "where are the wallets? Give --url or WALLET_URL, or --local for a database of its own in this folder"
        )
    if not url.startswith(("http://", "https://")):
        raise PlaceError(f"--url has to begin with http:// or https://, and {url!r} does not")
    if api_key is None:
        raise PlaceError("an API key is needed: set WALLET_API_KEY, or WALLET_API_KEY_FILE, or give --key")
    return Place(url, api_key, timeout_s)


def has_data(environ: Mapping[str, str]) -> bool:
    """Whether there is an embedded database, and no other one is set."""
    if any(name in environ for name in ("WALLET_DATABASE_URL", "WALLET_DATABASE_URL_FILE")):
        return False
    return (Path(environ.get("WALLET_DATA_DIR", DATA_DIR)) / CLUSTER / "PG_VERSION").exists()


def at(place: Place, environ: Mapping[str, str], work: Work[T]) -> T:
    """Do this work with the wallets. Raises what it raises, and ``PlaceError`` where they cannot be got at."""
    if place.url is not None:
        return asyncio.run(_over_http(place, work))
    try:
        # Imported here: it is the whole service.
        from entrypoints import bootstrap, composition
        from entrypoints.settings import Settings
    except ImportError as error:
        raise PlaceError(f"wallets in this process need the service: install wallet-service[all] ({error})") from error
    try:
        settings = Settings.from_environment(environ)
        with bootstrap.beside_a_service(settings) as prepared:
            api_key = place.api_key or prepared.api_key or settings.bootstrap_api_key
            if api_key is None:
                raise PlaceError("an API key is needed: set WALLET_API_KEY, or WALLET_API_KEY_FILE, or give --key")
            service = composition.in_process(settings, prepared.database_url)
            return asyncio.run(_in_process(attrs.evolve(place, api_key=api_key), service, work))
    except (SettingError, bootstrap.BootstrapError) as error:
        raise PlaceError(str(error)) from error


async def _over_http(place: Place, work: Work[T]) -> T:
    try:
        async with WalletClient(place.url or "", place.api_key or "", retries=place.retries) as client:
            return await work(client)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise PlaceError(f"{place.url} cannot be asked: {error}") from error


async def _in_process(place: Place, service: "AbstractAsyncContextManager[ASGIApp]", work: Work[T]) -> T:
    """The same client, whose requests the service in this process answers: the same ledger, and no network."""
    async with (
        service as app,
        httpx.AsyncClient(transport=httpx.ASGITransport(cast(Any, app))) as http,
    ):
        return await work(WalletClient(IN_PROCESS, place.api_key or "", retries=place.retries, http=http))
