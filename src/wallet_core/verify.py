"""Proving a wallet or a whole tenant, over one consistent view of it. The checks of a wallet are in ``audit``."""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Protocol
from uuid import UUID

import attrs

from wallet_core.audit import AuditEntry, AuditWallet, ChainAudit, ChainHead, Flows
from wallet_core.findings import FINDINGS_MAX, WALLET_CHECKS, Check, CheckResult, Findings

WALLETS_PER_PAGE = 1000


@attrs.frozen
class AuditTotals:
    """How much the tenant has in all, by counting rows; and the time of the view."""

    wallets: int
    entries: int
    transactions: int
    """Applied ones only."""
    at: datetime


@attrs.frozen
class Unaccounted:
    """What has lost its counterpart: entries that applied transactions name and that are not there, by transaction,
    wallet and version (None where it names none, or nonsense); and wallets that are not there, with the number of
    entries that are."""

    missing: Sequence[tuple[str, str | None, int | None]]
    ownerless: Sequence[tuple[str, int]]


class AuditView(Protocol):
    """One tenant at one instant. Everything that is read through a view is of that same instant.

    All methods raise ``ports.Unavailable``. Only one may be under way at a time.
    """

    async def totals(self) -> AuditTotals:
        """Count the rows."""
        ...

    async def wallets(self, *, after: UUID | None, limit: int) -> Sequence[AuditWallet]:
        """Wallets by id, ascending, beyond ``after``."""
        ...

    async def wallet(self, wallet_id: UUID) -> AuditWallet | None:
        """One wallet."""
        ...

    def entries(self, first_versions: Mapping[str, int]) -> AsyncGenerator[Sequence[AuditEntry], None]:
        """The entries of these wallets from the given version on, in portions; each wallet's by version, ascending.

        An entry may be any sequence with the members of an ``AuditEntry``. To be closed before anything else is asked
        of the view.
        """
        ...

    async def unaccounted(self, limit: int) -> Unaccounted:
        """Up to ``limit`` of each. May go through everything, and is asked for only when something is amiss."""
        ...


class AuditSource(Protocol):
    """Where views come from."""

    def view(self, tenant: UUID) -> AbstractAsyncContextManager[AuditView]:
        """A consistent view, which does not hinder writers. Raises ``ports.Unavailable``."""
        ...


@attrs.frozen
class Checkpoint:
    """Where all chains of a tenant stood when they were last proved. ``heads`` is in ascending order of wallet id."""

    entered: Mapping[str, int]
    left: Mapping[str, int]
    transactions: int
    entries: int
    heads: Iterator[tuple[str, ChainHead]]


@attrs.frozen
class WalletProof:
    """The proof of one wallet's whole history."""

    entries: int
    head: str
    results: Sequence[CheckResult]
    findings: Findings

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return not self.findings.counts


@attrs.frozen
class TenantProof:
    """The proof of a tenant as it was ``at`` an instant. ``flows`` sums up everything up to then, what a checkpoint
    covered included."""

    wallets: int
    entries_proved: int
    flows: Flows
    at: datetime
    results: Sequence[CheckResult]
    findings: Findings

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return not self.findings.counts


async def verify_wallet(
    view: AuditView, wallet: AuditWallet, progress: Callable[[int, int], None] = lambda done, total: None
) -> WalletProof:
    """Prove one wallet from its first entry to its row. ``progress`` is told entries done and entries in all."""
    findings, flows = Findings(), Flows()
    audit = ChainAudit(wallet, findings, flows, ChainHead())
    async with aclosing(view.entries({wallet.id: 1})) as portions:
        async for entries in portions:
            audit.feed(entries)
            progress(flows.entries, wallet.version)
    audit.finish()
    return WalletProof(flows.entries, audit.head.hash, findings.results(WALLET_CHECKS), findings)


async def verify_tenant(
    view: AuditView,
    *,
    since: Checkpoint | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    proved: Callable[[str, ChainHead], None] = lambda wallet_id, head: None,
) -> TenantProof:
    """Prove all wallets of a tenant, and that nothing else is there.

    ``since``: start where a checkpoint ended, after making sure that what it saw is still there. ``progress`` is told
    entries done and entries in all; ``proved`` each wallet's id and the end of its chain, in ascending order of id.
    """
    findings, flows = Findings(), Flows()
    totals = await view.totals()
    if since is not None:
        flows = Flows(Counter(since.entered), Counter(since.left), since.transactions, since.entries, since.entries)
    proved_before = flows.entries
    balances: Counter[str] = Counter()
    heads = _Heads(since.heads if since is not None else iter(()), findings)
    after: UUID | None = None
    while page := await view.wallets(after=after, limit=WALLETS_PER_PAGE):
        starts = {wallet.id: heads.of(wallet.id) for wallet in page}
        audits = {wallet.id: ChainAudit(wallet, findings, flows, starts[wallet.id]) for wallet in page}
        await _prove_page(view, audits, starts, findings, lambda: progress(flows.entries, totals.entries))
        for wallet in page:
            audit = audits[wallet.id]
            audit.finish()
            balances[wallet.currency] += wallet.balance
            proved(wallet.id, audit.head)
        after = UUID(page[-1].id)
    heads.rest()
    await _check_complete(view, flows, totals, findings)
    _check_conserved(flows, balances, findings)
    checks = [check for check in Check if since is not None or check is not Check.CHECKPOINT]
    entries_proved = flows.entries - proved_before
    return TenantProof(totals.wallets, entries_proved, flows, totals.at, findings.results(checks), findings)


async def _prove_page(
    view: AuditView,
    audits: Mapping[str, ChainAudit],
    starts: Mapping[str, ChainHead],
    findings: Findings,
    progress: Callable[[], None],
) -> None:
    # The last entry that a checkpoint saw is read again, to see that it is still what it was.
    confirmed = {id for id, start in starts.items() if start.version == 0}
    async with aclosing(view.entries({id: max(1, start.version) for id, start in starts.items()})) as portions:
        async for entries in portions:
            for id, group in groupby(entries, key=itemgetter(0)):
                chain = list(group)
                if id not in confirmed:
                    confirmed.add(id)
                    chain = chain[_confirm(AuditEntry(*chain[0]), starts[id], findings) :]
                audits[id].feed(chain)
            progress()
    for id in sorted(set(audits) - confirmed):
        findings.add(Check.CHECKPOINT, f"entries up to version {starts[id].version} are no longer there", id)


def _confirm(entry: AuditEntry, start: ChainHead, findings: Findings) -> int:
    """Compare the entry that a checkpoint ended with; 1 if it is in its place, so that it need not be proved again."""
    seen = (start.version, start.balance, start.held, start.hash, start.time)
    if (entry.version, entry.balance_after, entry.held_after, entry.hash, entry.created_at) != seen:
        findings.add(Check.CHECKPOINT, "is not the entry that the checkpoint saw here", entry.wallet_id, start.version)
    return 1 if entry.version == start.version else 0


class _Heads:
    """The heads of a checkpoint, asked for in ascending order: those skipped are wallets that are gone."""

    def __init__(self, heads: Iterator[tuple[str, ChainHead]], findings: Findings) -> None:
        self._heads = heads
        self._findings = findings
        self._next = next(heads, None)

    def of(self, wallet_id: str) -> ChainHead:
        while self._next is not None and self._next[0] < wallet_id:
            self._gone(*self._next)
        if self._next is None or self._next[0] != wallet_id:
            return ChainHead()
        head = self._next[1]
        self._next = next(self._heads, None)
        return head

    def rest(self) -> None:
        while self._next is not None:
            self._gone(*self._next)

    def _gone(self, wallet_id: str, head: ChainHead) -> None:
        self._findings.add(Check.CHECKPOINT, f"the wallet is gone; it had version {head.version}", wallet_id)
        self._next = next(self._heads, None)


async def _check_complete(view: AuditView, flows: Flows, totals: AuditTotals, findings: Findings) -> None:
    before = findings.counts[Check.COMPLETE]
    if flows.transactions != totals.transactions:
        findings.add(
            Check.COMPLETE,
            f"{totals.transactions} transactions are applied, {flows.transactions} have their first entry",
        )
    if flows.named != flows.entries:
        findings.add(Check.COMPLETE, f"{flows.named} entries are named by transactions, {flows.entries} are there")
    if flows.entries != totals.entries:
        findings.add(Check.COMPLETE, f"{totals.entries} entries are there, {flows.entries} belong to a wallet's chain")
    if findings.counts[Check.COMPLETE] == before:
        return
    unaccounted = await view.unaccounted(FINDINGS_MAX)
    for transaction_id, wallet_id, version in unaccounted.missing:
        named = f"the entry that transaction {transaction_id} names is not there"
        without = f"transaction {transaction_id} is applied, and names no entry"
        findings.add(Check.COMPLETE, without if wallet_id is None else named, wallet_id, version)
    for wallet_id, entries in unaccounted.ownerless:
        findings.add(Check.COMPLETE, f"the wallet is not there, but {entries} entries of it are", wallet_id)


def _check_conserved(flows: Flows, balances: Counter[str], findings: Findings) -> None:
    for currency in sorted({*flows.entered, *flows.left, *balances}):
        net = flows.entered[currency] - flows.left[currency]
        if balances[currency] != net:
            findings.add(
                Check.CONSERVED, f"{currency}: balances sum to {balances[currency]}, entered less left is {net}"
            )
