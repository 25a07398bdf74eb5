"""A client of the wallet service: each intent is carried out once, however often it has to be sent.

``WalletClient`` is for people: it returns what was done, and raises what was not. ``HttpLedger`` and ``HttpReader``
implement the core's ports, for code that takes a ledger from wherever it comes. See ``docs/client.md``.

An intent's idempotency key is made once, before the first attempt, and kept over all of them. Nothing here ever makes
another key for the same intent: that would be a second payment.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self
from uuid import UUID, uuid4

import attrs
import httpx

from adapters.http_client_errors import (
    KeyFenced,
    KeyReused,
    NotFound,
    NotUnderstood,
    OutcomeUnknown,
    Refused,
    Rejected,
    ServiceUnavailable,
    VersionConflict,
    WalletError,
    WalletExists,
    error_of,
)
from adapters.http_client_intents import Judgement, carry_out
from adapters.http_client_ledger import HttpLedger
from adapters.http_client_reader import HttpReader
from adapters.http_client_reads import Reads
from adapters.http_client_retries import Retries
from adapters.http_client_told import UNTOLD_HASH, UNTOLD_ID, UNTOLD_INTENT, UNTOLD_KIND, UNTOLD_TIME, Verification
from adapters.http_client_wire import CONNECTIONS_MAX, Problem, Wire
from wallet_core import outcomes
from wallet_core.checks import InvalidCommand
from wallet_core.commands import (
    NO_METADATA,
    CaptureHold,
    ChangeWallet,
    Command,
    FenceKey,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    Post,
    ReleaseHold,
    Reverse,
    credit,
    debit,
    transfer,
)
from wallet_core.model import Decision, Metadata, Posting, Transaction, Wallet, WalletStatus

__all__ = [
    "UNTOLD_HASH",
    "UNTOLD_ID",
    "UNTOLD_INTENT",
    "UNTOLD_KIND",
    "UNTOLD_TIME",
    "Done",
    "HttpLedger",
    "HttpReader",
    "InvalidCommand",
    "KeyFenced",
    "KeyReused",
    "NewCeiling",
    "NotFound",
    "NotUnderstood",
    "Opened",
    "OutcomeUnknown",
    "Problem",
    "Refused",
    "Rejected",
    "Retries",
    "ServiceUnavailable",
    "Verification",
    "VersionConflict",
    "WalletClient",
    "WalletError",
    "WalletExists",
    "Wire",
    "connect",
]

IDLE_S_MAX: Final = 30.0
"""How long a connection that nobody uses is kept. Less than the service keeps it (75 s), so that a request is hardly
ever sent on one that is being closed at that moment."""


@attrs.frozen
class Done:
    """A write that is in the ledger. ``replayed``: it was there before this call's last attempt, under the same key."""

    key: str
    transaction: Transaction
    replayed: bool


@attrs.frozen
class Opened:
    """A wallet that was opened, as it was then."""

    key: str
    wallet: Wallet
    replayed: bool


def connect(base_url: str, retries: Retries | None = None, http: httpx.AsyncClient | None = None) -> Wire:
    """A way to the service at this URL, with connections that are kept: to be closed with ``aclose`` of its ``http``.

    Bring ``http`` for what httpx can do: certificates, proxies, hooks. Times are ``retries``', and the limit of its
    connections, if it has one, should be ``CONNECTIONS_MAX`` or more.
    """
    # It is the wire that bounds how many are in use.
    limits = httpx.Limits(max_keepalive_connections=CONNECTIONS_MAX, keepalive_expiry=IDLE_S_MAX)
    return Wire(http or httpx.AsyncClient(limits=limits), base_url.rstrip("/"), retries or Retries())


class WalletClient(Reads):
    """The wallets of one tenant. What may be asked of them is in ``Reads``.

    Every write takes a ``key``, and makes one (a random UUID) if there is none. Bring your own, kept where your order
    or payment is kept, if the write has to be one and the same after a crash of your own process.

    Amounts are integers of the smallest unit. A write returns what was done, or raises: ``Rejected``,
    ``VersionConflict``, ``KeyReused``, ``KeyFenced``, ``NotFound``, ``WalletExists``; ``ServiceUnavailable`` and
    ``OutcomeUnknown`` at the deadline; ``Refused``; and, before anything is sent, ``InvalidCommand``. A cancelled call
    leaves open what became of it, as ``OutcomeUnknown`` does.
    """

    def __init__(
        self, base_url: str, api_key: str, *, retries: Retries | None = None, http: httpx.AsyncClient | None = None
    ) -> None:
        super().__init__(connect(base_url, retries, http), api_key)
        self._owns_http = http is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless they were brought along."""
        if self._owns_http:
            await self.wire.http.aclose()

    async def open(
        self,
        currency: str,
        *,
        id: UUID | None = None,
        floor: int = 0,
        ceiling: int | None = None,
        metadata: Metadata = NO_METADATA,
        key: str | None = None,
    ) -> Opened:
        """Open a wallet. ``floor`` below 0 allows an overdraft."""
        command = OpenWallet(key or _new_key(), currency, id, floor, ceiling, metadata)
        judgement = await self._send(command)
        if judgement.opened is None:
            raise error_of(command.key, judgement)
        return Opened(command.key, judgement.opened, isinstance(judgement.outcome, outcomes.Replayed))

    async def credit(
        self,
        wallet_id: UUID,
        amount: int,
        *,
        expected_version: int | None = None,
        metadata: Metadata = NO_METADATA,
        key: str | None = None,
    ) -> Done:
        """Money enters a wallet from outside."""
        made = credit(key or _new_key(), wallet_id, amount, expected_version=expected_version, metadata=metadata)
        return await self._write(made)

    async def debit(
        self,
        wallet_id: UUID,
        amount: int,
        *,
        expected_version: int | None = None,
        metadata: Metadata = NO_METADATA,
        key: str | None = None,
    ) -> Done:
        """Money leaves a wallet to the outside."""
        made = debit(key or _new_key(), wallet_id, amount, expected_version=expected_version, metadata=metadata)
        return await self._write(made)

    async def transfer(
        self,
        source: UUID,
        destination: UUID,
        amount: int,
        *,
        expected_versions: Mapping[UUID, int] | None = None,
        metadata: Metadata = NO_METADATA,
        key: str | None = None,
    ) -> Done:
        """Money moves from one wallet to another of the same currency."""
        made = transfer(
            key or _new_key(), source, destination, amount, expected_versions=expected_versions, metadata=metadata
        )
        return await self._write(made)

    async def post(
        self,
        postings: Sequence[Posting],
        *,
        expected_versions: Mapping[UUID, int] | None = None,
        metadata: Metadata = NO_METADATA,
        key: str | None = None,
    ) -> Done:
        """Up to 100 postings, all or nothing."""
        return await self._write(Post(key or _new_key(), postings, expected_versions or {}, metadata))

    async def hold(
        self,
        wallet_id: UUID,
        amount: int,
        *,
        destination: UUID | None = None,
        expires_in_s: int | None = None,
        expected_version: int | None = None,
        metadata: Metadata = NO_METADATA,
        key: str | None = None,
    ) -> Done:
        """Set an amount aside. The hold is ``done.transaction.hold``."""
        made = PlaceHold(key or _new_key(), wallet_id, amount, destination, expires_in_s, expected_version, metadata)
        return await self._write(made)

    async def capture(
        self, hold_id: UUID, amount: int | None = None, *, final: bool = True, key: str | None = None
    ) -> Done:
        """Take a held amount: all that remains, or ``amount`` of it. If ``final``, the rest is released."""
        return await self._write(CaptureHold(key or _new_key(), hold_id, amount, final))

    async def release(self, hold_id: UUID, *, key: str | None = None) -> Done:
        """Give back what a hold still reserves."""
        return await self._write(ReleaseHold(key or _new_key(), hold_id))

    async def reverse(self, transaction_id: UUID, *, metadata: Metadata = NO_METADATA, key: str | None = None) -> Done:
        """Move back what a transaction moved. Once per transaction."""
        return await self._write(Reverse(key or _new_key(), transaction_id, metadata))

    async def change(
        self,
        wallet_id: UUID,
        *,
        status: WalletStatus | None = None,
        floor: int | None = None,
        ceiling: NewCeiling | None = None,
        metadata: Metadata | None = None,
        expected_version: int | None = None,
        key: str | None = None,
    ) -> Done:
        """Change a wallet. What is None stays as it is; ``NewCeiling(None)`` takes the ceiling away."""
        made = ChangeWallet(key or _new_key(), wallet_id, status, floor, ceiling, metadata, expected_version)
        return await self._write(made)

    async def fence(self, key: str) -> Decision:
        """Make sure that nothing more can happen under a key: what was decided, or a ``Fence`` if nothing was."""
        judgement = await self._send(FenceKey(key))
        match judgement.outcome:
            case outcomes.Fenced(fence):
                return fence
            case outcomes.Replayed(decision):
                return decision
            case _:
                raise error_of(key, judgement)

    async def _send(self, command: Command) -> Judgement:
        (judgement,) = await carry_out(self.wire, self.api_key, [command])
        return judgement

    async def _write(self, command: Command) -> Done:
        judgement = await self._send(command)
        match judgement.outcome:
            case outcomes.Applied(transaction):
                return Done(command.key, transaction, replayed=False)
            case outcomes.Replayed(Transaction() as transaction):
                return Done(command.key, transaction, replayed=True)
            case _:
                raise error_of(command.key, judgement)


def _new_key() -> str:
    return str(uuid4())
