"""What the database must hold after all calls are answered: what the answers say, and nothing else."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import asyncpg
import attrs

from adapters.postgres.admin import tenant_id_of
from tests.fuzz.calls import Call, Json
from tests.verification.scene import prove

TENANT: Final = tenant_id_of("default")

TRANSACTIONS: Final = "SELECT idempotency_key, outcome FROM transactions WHERE tenant_id = $1 AND kind <> 'expiry'"
BALANCES: Final = "SELECT currency, sum(balance)::bigint FROM wallets WHERE tenant_id = $1 GROUP BY currency"
OF_OTHERS: Final = "SELECT count(*) FROM transactions WHERE tenant_id <> $1"


@attrs.frozen
class Rows:
    """What the database holds: outcomes by idempotency key, the sum of balances by currency."""

    outcomes: Mapping[str, str]
    balances: Mapping[str, int]
    of_others: int


NOTHING: Final = Rows({}, {}, 0)


async def rows(dsn: str) -> Rows:
    connection = await asyncpg.connect(dsn)
    try:
        outcomes = await connection.fetch(TRANSACTIONS, TENANT)
        balances = await connection.fetch(BALANCES, TENANT)
        of_others = await connection.fetchval(OF_OTHERS, TENANT)
    finally:
        await connection.close()
    return Rows({row[0]: row[1] for row in outcomes}, {row[0]: row[1] for row in balances}, of_others)


async def contradictions(dsn: str, calls: Sequence[Call], before: Rows = NOTHING) -> Sequence[str]:
    """In what the database and the answers differ, and what the proof of the whole tenant finds."""
    proof = await prove(dsn, TENANT)
    return [*(str(finding) for finding in proof.findings.kept), *differences(calls, before, await rows(dsn))]


def differences(calls: Sequence[Call], before: Rows, after: Rows) -> Iterator[str]:
    """Both ways: what was acknowledged is there, and what was refused is not."""
    told = dict(decisions(calls))
    for key in after.outcomes.keys() - before.outcomes.keys() - told.keys():
        sent = "; ".join(str(call) for call in calls if key in _keys_sent(call)) or "nobody sent it"
        yield f"{key!r} is kept as {after.outcomes[key]}, which no answer said: {sent}"
    for key, outcome in told.items():
        if after.outcomes.get(key) != outcome:
            yield f"{key!r} was answered as {outcome}, and is kept as {after.outcomes.get(key)}"
    flows = _flows(calls)
    for currency in flows.keys() | after.balances.keys():
        change = after.balances.get(currency, 0) - before.balances.get(currency, 0)
        if change != flows[currency]:
            yield f"the balances in {currency} changed by {change}, and by the answers {flows[currency]} came in"
    if after.of_others != before.of_others:
        yield "there are transactions of another tenant"


def decisions(calls: Sequence[Call]) -> Iterator[tuple[str, str]]:
    """What the answers say of each key."""
    for call in calls:
        if call.method not in ("POST", "PATCH"):
            continue
        if call.path == "/v1/batches" and call.status == 200:
            for command, result in zip(call.sent["commands"], call.answered["results"], strict=True):
                if decision := _decision(result["status"], result.get("problem")):
                    yield command["idempotency_key"], decision
        elif call.path == "/v1/fences" and call.status == 200:
            yield call.answered["key"], call.answered["outcome"]
        elif call.key is not None and (decision := _decision(call.status, call.answered)):
            yield call.key, decision


def _decision(status: int, answer: Json) -> str | None:
    if 200 <= status < 300:
        return "applied"
    return "rejected" if status == 422 and answer["outcome"] == "rejected" else None


def _flows(calls: Sequence[Call]) -> Counter[str]:
    """What came from outside less what left, per currency, by the receipts in the answers."""
    flows: Counter[str] = Counter()
    for receipt in (receipt for call in calls for receipt in _new_receipts(call)):
        for posting in receipt["postings"]:
            if posting["source"] is None:
                flows[posting["currency"]] += posting["amount"]
            if posting["destination"] is None:
                flows[posting["currency"]] -= posting["amount"]
    return flows


def _new_receipts(call: Call) -> Iterator[Json]:
    """Those of an answer that are not told again."""
    if call.method not in ("POST", "PATCH") or not 200 <= call.status < 300:
        return
    if call.path == "/v1/batches":
        for result in call.answered["results"]:
            if "transaction" in result and not result["replayed"]:
                yield result["transaction"]
    elif "postings" in call.answered and call.response.headers["Idempotent-Replayed"] == "false":
        yield call.answered


def _keys_sent(call: Call) -> set[str | None]:
    keys = {call.key}
    if isinstance(call.sent, dict) and isinstance(call.sent.get("commands"), list):
        keys |= {str(each.get("idempotency_key")) for each in call.sent["commands"] if isinstance(each, dict)}
    return keys
