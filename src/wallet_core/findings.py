"""What a proof checks, and what it finds wrong: counted by check, the first ones kept in words, with their place."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

import attrs

FINDINGS_MAX = 100
"""How many findings are kept in words, besides the first of each check; all are counted."""


class Check(StrEnum):
    """What is checked. The first eight are about one wallet, the others about a tenant."""

    VERSIONS = "versions-contiguous"
    BALANCES = "running-balances"
    CHAIN = "hash-chain"
    RECEIPTS = "entries-match-receipts"
    HEAD = "wallet-matches-last-entry"
    TERMS = "wallet-matches-its-changes"
    HOLDS = "holds-match-history"
    LIMITS = "limits-kept"
    COMPLETE = "nothing-unaccounted"
    CONSERVED = "money-conserved"
    CHECKPOINT = "checkpoint-kept"


WALLET_CHECKS = (
    Check.VERSIONS,
    Check.BALANCES,
    Check.CHAIN,
    Check.RECEIPTS,
    Check.HEAD,
    Check.TERMS,
    Check.HOLDS,
    Check.LIMITS,
)


@attrs.frozen
class Finding:
    """Something that does not hold, and where."""

    check: Check
    detail: str
    wallet_id: str | None = None
    version: int | None = None

    def __str__(self) -> str:
        wallet = "" if self.wallet_id is None else f"wallet {self.wallet_id}"
        version = "" if self.version is None else f"version {self.version}"
        where = " ".join(part for part in (wallet, version) if part)
        return f"{where}: {self.detail}" if where else self.detail


@attrs.frozen
class CheckResult:
    """How one check came out, in words."""

    check: Check
    ok: bool
    detail: str


@attrs.define
class Findings:
    """What was found wrong, over any number of wallets."""

    counts: Counter[Check] = attrs.field(factory=Counter)
    kept: list[Finding] = attrs.field(factory=list)

    def add(self, check: Check, detail: str, wallet_id: str | None = None, version: int | None = None) -> None:
        """Note a finding."""
        self.counts[check] += 1
        if len(self.kept) < FINDINGS_MAX or self.counts[check] == 1:
            self.kept.append(Finding(check, detail, wallet_id, version))

    def results(self, checks: Sequence[Check]) -> list[CheckResult]:
        """How these checks came out."""
        return [self._result(check) for check in checks]

    def _result(self, check: Check) -> CheckResult:
        if not self.counts[check]:
            return CheckResult(check, ok=True, detail="holds")
        first = next(finding for finding in self.kept if finding.check is check)
        return CheckResult(check, ok=False, detail=f"{self.counts[check]} found; first: {first}")
