"""What the core needs of the outside. Adapters implement these; the contract tests hold every adapter to them."""

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

import attrs

from wallet_core.commands import Command
from wallet_core.model import Decision, Entry, Hold, Kind, Rejection, Transaction, Wallet, WalletStatus
from wallet_core.money import Currency
from wallet_core.outcomes import Outcome

DUE_HOLDS_MAX = 500
"""How many due holds of one wallet are decided about in one unit of work. If there are more, they expire in units of
work of their own, before anything else is decided on that wallet."""


class StaleSnapshot(Exception):
    """Another writer got there first: what was loaded is no longer so. Nothing of the batch was kept; load again."""


class Unavailable(Exception):
    """The database cannot be reached or does not answer in time. Nothing of the batch was kept."""


class CommitUnknown(Exception):
    """COMMIT was sent and its answer never came. All of the batch is kept, or nothing."""


@attrs.frozen
class Names:
    """What a batch names, without duplicates, and therefore what has to be loaded before it can be decided."""

    keys: Sequence[str]
    wallets: Sequence[UUID]
    holds: Sequence[UUID]
    transactions: Sequence[UUID]


@attrs.frozen
class Snapshot:
    """What the database holds of the things that a batch names.

    ``wallets``: the named ones, those of named holds (with their destinations), and those that the named transactions
    touched. ``holds``: the named ones, and of every wallet in ``wallets`` the due ones, or, if there are more than
    ``DUE_HOLDS_MAX``, one more than that, the oldest; wallets and holds are of one instant.
    ``transactions``: the named ones, if applied. ``reversed``: which of them have a reversal. ``decisions``: by key,
    read no earlier than the wallets, so that "not decided" was still true when the wallets were seen.
    """

    now: datetime
    wallets: Mapping[UUID, Wallet]
    holds: Mapping[UUID, Hold]
    transactions: Mapping[UUID, Transaction]
    reversed: AbstractSet[UUID]
    decisions: Mapping[str, Decision]


@attrs.frozen
class Changes:
    """What a batch writes: new decisions in order (transactions carry their entries), and the last state of each
    wallet and hold that changed. ``updated_wallets`` maps to the version that was loaded: the guard."""

    decisions: Sequence[Decision]
    opened_wallets: Sequence[Wallet]
    updated_wallets: Sequence[tuple[int, Wallet]]
    placed_holds: Sequence[Hold]
    updated_holds: Sequence[Hold]
    results: Mapping[UUID, str] = attrs.field(factory=dict)
    """What transactions came to, by their ids, as the canonical JSON that was hashed (``canonical.result_json``)."""

    def __bool__(self) -> bool:
        return bool(self.decisions)


class UnitOfWork(Protocol):
    """One attempt at one batch of one tenant: load, then append, then commit, each at most once, in this order; and
    prepare before append, if there is time.

    Leaving its context without ``commit`` keeps nothing. All methods raise ``Unavailable`` when the database is away;
    with ``append`` and ``commit``, ``StaleSnapshot`` when another writer was faster.
    """

    async def load(self, names: Names, *, lock: bool = False) -> Snapshot:
        """Read what the batch names. Takes no locks, unless with ``lock``: then whoever is writing to the wallets is
        waited for first, and everyone else is kept from it until the end of this."""
        ...

    def prepare(self, changes: Changes) -> bool:
        """Put together some of what ``append``, which is to get the same changes, will send, so that less is left to do
        then. Returns whether there may be more. The database hears nothing of it."""
        ...

    async def append(self, changes: Changes) -> None:
        """Write the changes, each under its guard: a key is new, a wallet still has the version that was loaded, an
        opened wallet is new, a transaction is reversed for the first time. If any guard fails nothing may be kept, and
        ``StaleSnapshot`` is raised. May wait for a concurrent writer of the same key or wallet."""
        ...

    async def commit(self) -> None:
        """Keep it all, durably, or nothing. Raises ``CommitUnknown`` if the answer is lost. Must not be cancelled."""
        ...


class Store(Protocol):
    """Where the ledger is kept."""

    def begin(self, tenant: UUID) -> AbstractAsyncContextManager[UnitOfWork]:
        """A new unit of work. Units of work may run side by side, in any number of processes."""
        ...


class Ids(Protocol):
    """The source of new ids: UUIDv7 (RFC 9562), ascending within one call and between the calls of a process."""

    def __call__(self, now: datetime) -> Iterator[UUID]:
        """An endless supply of unique ids that sort by ``now``, the time of the database."""
        ...


class Ledger(Protocol):
    """Carries out commands. One command is a batch of one; there is no other way to write."""

    def execute(self, tenant: UUID, commands: Sequence[Command]) -> Awaitable[Sequence[Outcome]]:
        """Decide each command on its own, in order, each seeing the effects of those before it.

        Returns one outcome per command, only after all that was applied or rejected is durable. Never raises for what
        a caller may expect: a full queue, an absent database and a lost answer are outcomes too.
        """
        ...


@attrs.frozen
class History:
    """Which past the database has. ``name`` changes whenever what was committed may have been taken back: the database
    was restored from a copy, or a standby without the last commits took over. ``secret`` is told to nobody but those
    who may read the database."""

    name: str
    secret: bytes = attrs.field(repr=False)


class ReplayCache(Protocol):
    """Remembers committed decisions, so that a replay need not ask the database. It may forget any of them at any time,
    and is never the authority: without it, every answer is the same.

    Nothing is raised, whatever state the cache is in, and no call waits for longer than a few hundredths of a second.
    """

    def history(self) -> History | None:
        """The history of the database, to be asked for before a batch; None while it is not known. Costs nothing."""
        ...

    async def find(self, tenant: UUID, keys: Sequence[str], history: History) -> Mapping[str, Transaction | Rejection]:
        """What it holds of the decisions under these keys. Each was committed to the database in this history, which
        the database still had when this returns: what is damaged, of another tenant, key or history, is not there."""
        ...

    def remember(self, tenant: UUID, decisions: Sequence[Transaction | Rejection], history: History) -> None:
        """Take note of committed decisions. Returns at once; the note may get lost. ``history`` is that from before the
        batch: if it has changed since, nobody knows in which one they were committed, and nothing is noted."""
        ...


@attrs.frozen
class EntryRecord:
    """An entry together with what its transaction says of it."""

    entry: Entry
    transaction_id: UUID
    kind: Kind
    created_at: datetime


@attrs.frozen
class PastWallet:
    """A wallet as an entry of its history left it. ``at`` is the time of that entry."""

    id: UUID
    currency: Currency
    balance: int
    held: int
    version: int
    at: datetime


class Reader(Protocol):
    """Reads what is committed. Lists are in pages: ``before`` is the last item of the page before (exclusive),
    ``limit`` the most items to return; a list is stable while others write. Raises ``Unavailable``.

    A hold whose time has passed is shown as expired, and its amount as no longer held, whether or not a write has
    put that down yet.
    """

    async def wallet(self, tenant: UUID, wallet_id: UUID) -> Wallet | None:
        """The wallet as it is now."""
        ...

    async def wallet_at_version(self, tenant: UUID, wallet_id: UUID, version: int) -> PastWallet | None:
        """The wallet as its entry of this version left it."""
        ...

    async def wallet_at_time(self, tenant: UUID, wallet_id: UUID, at: datetime) -> PastWallet | None:
        """The wallet as its last entry at or before this time left it; None before it was opened."""
        ...

    async def wallets(
        self, tenant: UUID, *, before: UUID | None, limit: int, currency: str | None, status: WalletStatus | None
    ) -> Sequence[Wallet]:
        """The tenant's wallets, by id, descending."""
        ...

    async def entries(self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int) -> Sequence[EntryRecord]:
        """A wallet's entries by version, descending. ``before`` is a version."""
        ...

    async def transaction(self, tenant: UUID, transaction_id: UUID) -> Transaction | None:
        """An applied transaction."""
        ...

    async def transactions(
        self, tenant: UUID, *, before: UUID | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        """The tenant's applied transactions by id, descending: newest first."""
        ...

    async def wallet_transactions(
        self, tenant: UUID, wallet_id: UUID, *, before: int | None, limit: int, kind: Kind | None
    ) -> Sequence[Transaction]:
        """The applied transactions that touched a wallet, by the wallet's version, descending. ``before`` is one."""
        ...

    async def hold(self, tenant: UUID, hold_id: UUID) -> Hold | None:
        """A hold."""
        ...

    async def holds(self, tenant: UUID, wallet_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Hold]:
        """The holds placed on a wallet by id, descending: newest first."""
        ...

    async def decision(self, tenant: UUID, key: str) -> Decision | None:
        """What was decided under a key."""
        ...

    async def ready(self) -> None:
        """Return if the database answers and may be written to. Raises ``Unavailable`` if not."""
        ...


@attrs.frozen
class Principal:
    """Who asks: the tenant comes from the credential, and from nowhere else.

    ``rate_limit_per_s``: how often this credential may be used, where it has a limit of its own. ``suspended``: the
    tenant is, and then there are no scopes.
    """

    tenant: UUID
    key_id: UUID
    scopes: frozenset[str]
    rate_limit_per_s: int | None = None
    suspended: bool = False


class Authenticator(Protocol):
    """Knows the credentials."""

    def known(self, secret: str) -> Principal | None:
        """The principal, if that is known without asking anyone. None says nothing."""
        ...

    async def find(self, secret: str) -> Principal | None:
        """The principal whose credential this is, unless it was revoked or has expired. Raises ``Unavailable``."""
        ...
