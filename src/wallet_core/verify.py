"""Proving a wallet or a whole tenant, over one consistent view of it. The checks themselves are in ``audit``."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from operator import itemgetter
from typing import Protocol
from uuid import UUID

import attrs

from wallet_core.audit import (
    WALLET_CHECKS,
    AuditEntry,
    AuditWallet,
    ChainAudit,
    ChainHead,
    Check,
    Findings,
    Flows,
)

WALLETS_PER_PAGE = 1000


@attrs.frozen
class AuditTotals:
    """How much the tenant has in all, by counting rows."""

    wallets: int
    entries: int
    transactions: int
    """Applied ones only."""


class AuditView(Protocol):
    """One tenant at one instant. Everything that is read through a view is of that same instant."""

    async def totals(self) -> AuditTotals:
        """Count the rows."""
        ...

    async def wallets(self, *, after: UUID | None, limit: int) -> Sequence[AuditWallet]:
        """Wallets by id, ascending, beyond ``after``."""
        ...

    async def wallet(self, wallet_id: UUID) -> AuditWallet | None:
        """One wallet."""
        ...

    def entries(self, first_versions: Mapping[str, int]) -> AsyncIterator[Sequence[AuditEntry]]:
        """The entries of these wallets from the given version on, in portions; each wallet's by version, ascending."""
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
class CheckResult:
    """How one check came out, in words."""

    check: Check
    ok: bool
    detail: str


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
    """The proof of a tenant. ``flows`` sums up everything up to now, what a checkpoint covered included."""

    wallets: int
    entries_proved: int
    flows: Flows
    results: Sequence[CheckResult]
    findings: Findings

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return not self.findings.counts


async def verify_wallet(view: AuditView, wallet: AuditWallet) -> WalletProof:
    """Prove one wallet from its first entry to its row."""
    findings, flows = Findings(), Flows()
    audit = ChainAudit(wallet, findings, flows, ChainHead())
    async for entries in view.entries({wallet.id: 1}):
        audit.feed(entries)
    audit.finish()
    return WalletProof(flows.entries, audit.head.hash, _results(WALLET_CHECKS, findings), findings)


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
        flows = Flows(Counter(since.entered), Counter(since.left), since.transactions, since.entries)
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
    _check_complete(flows, totals, findings)
    _check_conserved(flows, balances, findings)
    checks = [check for check in Check if since is not None or check is not Check.CHECKPOINT]
    return TenantProof(totals.wallets, flows.entries - proved_before, flows, _results(checks, findings), findings)


async def _prove_page(
    view: AuditView,
    audits: Mapping[str, ChainAudit],
    starts: Mapping[str, ChainHead],
    findings: Findings,
    progress: Callable[[], None],
) -> None:
    # The last entry that a checkpoint saw is read again, to see that it is still what it was.
    confirmed = {id for id, start in starts.items() if start.version == 0}
    async for entries in view.entries({id: max(1, start.version) for id, start in starts.items()}):
        for id, group in groupby(entries, key=itemgetter(0)):
            chain = list(group)
            if id not in confirmed:
                confirmed.add(id)
                chain = chain[_confirm(chain[0], starts[id], findings) :]
            audits[id].feed(chain)
        progress()
    for id in sorted(set(audits) - confirmed):
        findings.add(Check.CHECKPOINT, f"entries up to version {starts[id].version} are no longer there", id)


def _confirm(entry: AuditEntry, start: ChainHead, findings: Findings) -> int:
    """Compare the entry that a checkpoint ended with; 1 if it is that entry, so that it need not be proved again."""
    if entry.version == start.version and entry.hash == start.hash:
        return 1
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
            self._gone()
        if self._next is None or self._next[0] != wallet_id:
            return ChainHead()
        head = self._next[1]
        self._next = next(self._heads, None)
        return head

    def rest(self) -> None:
        while self._next is not None:
            self._gone()

    def _gone(self) -> None:
        if self._next is not None:
            wallet_id, head = self._next
            self._findings.add(Check.CHECKPOINT, f"the wallet is gone; it had version {head.version}", wallet_id)
        self._next = next(self._heads, None)


def _check_complete(flows: Flows, totals: AuditTotals, findings: Findings) -> None:
    if flows.entries != totals.entries:
        findings.add(Check.COMPLETE, f"{totals.entries} entries are there, {flows.entries} belong to a wallet's chain")
    if flows.transactions != totals.transactions:
        findings.add(
            Check.COMPLETE,
            f"{totals.transactions} transactions are applied, {flows.transactions} have their first entry",
        )


def _check_conserved(flows: Flows, balances: Counter[str], findings: Findings) -> None:
    for currency in sorted({*flows.entered, *flows.left, *balances}):
        net = flows.entered[currency] - flows.left[currency]
        if balances[currency] != net:
            findings.add(
                Check.CONSERVED, f"{currency}: balances sum to {balances[currency]}, entered less left is {net}"
            )


def _results(checks: Sequence[Check], findings: Findings) -> list[CheckResult]:
    results = []
    for check in checks:
        count = findings.counts[check]
        first = next((finding for finding in findings.kept if finding.check is check), None)
        where = "" if first is None or first.version is None else f"version {first.version}: "
        detail = "holds" if count == 0 else f"{count} found; first: {where}{first.detail if first else ''}"
        results.append(CheckResult(check, count == 0, detail))
    return results
