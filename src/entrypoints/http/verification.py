"""The proof of one wallet's whole history, on request."""

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from litestar.types import HTTPScope
from msgspec import Meta, Struct

from entrypoints.http import problem_types as types
from entrypoints.http import shapes
from entrypoints.http.answers import JSON, Answer
from entrypoints.http.problems import refusal
from entrypoints.http.requests import path_id, query_parameters
from entrypoints.http.service import Service
from wallet_core import verify
from wallet_core.findings import Check, CheckResult
from wallet_core.outcomes import Thing
from wallet_core.verify import AuditSource, WalletProof

DESCRIPTION: Final = (
    "Works every number and hash of the wallet's history out again, as it is at one instant. That takes about 10 µs an "
    "entry; what does not fit into the time of a request, `wallet verify --wallet` proves."
)


class WalletCheck(Struct):
    """How one check came out."""

    name: Check
    ok: bool
    detail: Annotated[str, Meta(description="`holds`, or what does not, and where first")]


class WalletVerification(Struct):
    """Whether a wallet's history holds. ``head_hash`` is the hash of its last entry."""

    ok: bool
    entries: int
    head_hash: Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{64}$"})]
    checks: list[WalletCheck]


async def verify_wallet(service: Service, tenant: UUID, scope: HTTPScope) -> Answer:
    """The proof of a wallet."""
    query_parameters(scope, ())
    wallet_id = path_id(scope, Thing.WALLET)
    proof = await service.read(_prove(service.audit, tenant, wallet_id))
    if proof is None:
        raise refusal(types.WALLET_NOT_FOUND, wallet_id=str(wallet_id))
    answer = WalletVerification(proof.ok, proof.entries, proof.head, _checks(proof.results))
    return Answer(200, (JSON,), shapes.encode(answer))


async def _prove(audit: AuditSource, tenant: UUID, wallet_id: UUID) -> WalletProof | None:
    async with audit.view(tenant) as view:
        wallet = await view.wallet(wallet_id)
        return None if wallet is None else await verify.verify_wallet(view, wallet)


def _checks(results: Sequence[CheckResult]) -> list[WalletCheck]:
    return [WalletCheck(result.check, result.ok, result.detail) for result in results]
