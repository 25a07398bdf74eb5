"""Checking a portion of an export before it is written: each entry's hash follows from the ledger as it is.

The checks are those of ``wallet verify`` (``wallet_core.audit``), from where the wallets stand now. What comes out is
what the portion makes of wallets and holds: they are not taken from the file, but follow from the transactions.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from entrypoints.transfer_format import FormatError, Transaction
from wallet_core.audit import AuditWallet, ChainAudit, ChainHead, Flows
from wallet_core.canonical import time_text
from wallet_core.findings import Findings
from wallet_core.model import Kind
from wallet_core.receipts import Terms, Unreadable, read_members

APPLIED: Final = "applied"
_ABOUT_HOLDS: Final = frozenset({Kind.HOLD, Kind.CAPTURE, Kind.RELEASE, Kind.EXPIRY})
_NEVER: Final = ""


@attrs.frozen
class Standing:
    """Where a wallet stands: the end of its chain, what no hash covers the value of, and the version in its row."""

    head: ChainHead
    metadata: str
    loaded_version: int
    """0 if it has no row yet."""


@attrs.frozen
class Proved:
    """A portion whose chains hold: its transactions, and the wallets and holds as they are after it."""

    transactions: Sequence[Transaction]
    wallets: Mapping[str, Standing]
    holds: Mapping[str, Mapping[str, Any]]
    placed: frozenset[str]
    entries: int


def standing(row: Any) -> Standing:
    """Where a wallet stands by its row."""
    metadata: str = row["metadata"]
    terms = Terms(
        row["currency"],
        row["floor"],
        row["ceiling"],
        row["status"],
        hashlib.sha256(metadata.encode()).hexdigest(),
        time_text(row["created_at"]),
    )
    head = ChainHead(
        row["version"], row["balance"], row["held"], row["head"].hex(), time_text(row["updated_at"]), 0, terms
    )
    return Standing(head, metadata, row["version"])


def in_turn(
    transactions: Iterable[Transaction], standings: Mapping[str, Standing]
) -> tuple[list[Transaction], list[Transaction]]:
    """The transactions whose entries are next in their wallets, in an order in which they can be; and all others.

    Exports made of a ledger from before there was an order of events may have a few the other way round.
    """
    versions = {id: standing.head.version for id, standing in standings.items()}
    taken: list[Transaction] = []
    left = list(transactions)
    while left:
        waiting: list[Transaction] = []
        for transaction in left:
            entries = transaction.entries
            if all(versions.get(entry.wallet_id, 0) + 1 == entry.version for entry in entries):
                for entry in entries:
                    versions[entry.wallet_id] = entry.version
                taken.append(transaction)
            else:
                waiting.append(transaction)
        if len(waiting) == len(left):
            break
        left = waiting
    return taken, left


def prove(transactions: Sequence[Transaction], standings: Mapping[str, Standing]) -> Proved:
    """Prove transactions that are in their turn. Raises ``FormatError`` with the first finding."""
    chains: dict[str, list[tuple[Any, ...]]] = {}
    currencies: dict[str, str] = {}
    metadata: dict[str, str] = {}
    holds: dict[str, Mapping[str, Any]] = {}
    placed: list[str] = []
    applied = 0
    try:
        for transaction in transactions:
            if transaction.outcome != APPLIED:
                _check_decision(transaction)
                continue
            applied += 1
            kind, intent, result = transaction.kind, _text(transaction.intent), _text(transaction.result)
            hold = None
            reverses = None
            if kind in _ABOUT_HOLDS:
                members = read_members(result)["hold"]
                hold = json.dumps(members)
                holds[members["id"]] = members
                if kind == Kind.HOLD:
                    placed.append(members["id"])
            elif kind == Kind.REVERSAL:
                reverses = read_members(intent)["transaction"]
            elif kind == Kind.OPEN:
                (entry,) = transaction.entries
                opening = read_members(intent)
                currencies[entry.wallet_id] = opening["currency"]
                metadata[entry.wallet_id] = _metadata(opening)
            elif kind == Kind.CHANGE and "metadata" in (change := read_members(intent)):
                metadata[transaction.entries[0].wallet_id] = _metadata(change)
            agrees = transaction.reverses == reverses
            for entry in transaction.entries:
                chains.setdefault(entry.wallet_id, []).append(
                    (
                        entry.wallet_id,
                        entry.version,
                        entry.change,
                        entry.held_change,
                        entry.balance_after,
                        entry.held_after,
                        entry.hash,
                        agrees,
                        transaction.id,
                        transaction.key,
                        kind,
                        transaction.created_at,
                        intent,
                        result,
                        hold,
                    )
                )
    except (Unreadable, LookupError, TypeError, ValueError) as error:
        raise FormatError(f"transaction {transaction.id} cannot be read") from error
    findings, flows = Findings(), Flows()
    wallets: dict[str, Standing] = {}
    for wallet_id, chain in chains.items():
        known = standings.get(wallet_id)
        terms = None if known is None else known.head.terms
        currency = currencies.get(wallet_id, "") if terms is None else terms.currency
        audit = ChainAudit(_wallet(wallet_id, currency), findings, flows, ChainHead() if known is None else known.head)
        audit.feed(chain)  # type: ignore[arg-type] # a row has the members of an AuditEntry in their order
        text = metadata.get(wallet_id)
        wallets[wallet_id] = Standing(
            audit.head,
            text if text is not None else "{}" if known is None else known.metadata,
            0 if known is None else known.loaded_version,
        )
    if findings.kept:
        finding = findings.kept[0]
        raise FormatError(f"{finding} ({finding.check.value})")
    if flows.named != flows.entries or flows.transactions != applied:
        raise FormatError(
            f"{flows.transactions} of {applied} transactions name {flows.named} entries, and {flows.entries} are there"
        )
    return Proved(transactions, wallets, holds, frozenset(placed), flows.entries)


def rows_of(proved: Proved) -> dict[str, dict[str, list[Any]]]:
    """The rows of a portion, as ``adapters.postgres.transfer.Writing`` takes them."""
    made = proved.transactions
    of_entries = [(entry, each) for each in made for entry in each.entries]
    times: dict[str, datetime] = {}

    def moment(text: str) -> datetime:
        if text not in times:
            times[text] = datetime.fromisoformat(text)
            # What is stored is read back in this form, and the hash covers the form.
            if time_text(times[text]) != text:
                raise ValueError(f"{text} is no canonical time")
        return times[text]

    # By id, as batches write them.
    wallets = sorted(proved.wallets.items())
    holds = sorted(proved.holds.items())
    placed = [hold for id, hold in holds if id in proved.placed]
    changed = [hold for id, hold in holds if id not in proved.placed]
    updated = [(id, wallet) for id, wallet in wallets if wallet.loaded_version]
    opened = [(id, wallet) for id, wallet in wallets if not wallet.loaded_version]
    return {
        "opened_wallets": {
            **_wallet_columns(opened, moment),
            "currency": [_terms(wallet).currency for _, wallet in opened],
            "created_at": [moment(_terms(wallet).created_at) for _, wallet in opened],
        },
        "updated_wallets": {
            **_wallet_columns(updated, moment),
            "loaded_version": [wallet.loaded_version for _, wallet in updated],
        },
        "transactions": {
            "id": [each.id for each in made],
            "created_at": [moment(each.created_at) for each in made],
            "reverses": [each.reverses for each in made],
            "idempotency_key": [each.key for each in made],
            "outcome": [each.outcome for each in made],
            "kind": [each.kind for each in made],
            "intent": [_text(each.intent) for each in made],
            "result": [_text(each.result) for each in made],
        },
        "entries": {
            "wallet_id": [entry.wallet_id for entry, _ in of_entries],
            "version": [entry.version for entry, _ in of_entries],
            "transaction_id": [each.id for _, each in of_entries],
            "change": [entry.change for entry, _ in of_entries],
            "held_change": [entry.held_change for entry, _ in of_entries],
            "balance_after": [entry.balance_after for entry, _ in of_entries],
            "held_after": [entry.held_after for entry, _ in of_entries],
            "created_at": [moment(each.created_at) for _, each in of_entries],
            "hash": [bytes.fromhex(entry.hash) for entry, _ in of_entries],
        },
        "placed_holds": {
            "id": [hold["id"] for hold in placed],
            "wallet_id": [hold["wallet_id"] for hold in placed],
            "destination": [hold["destination"] for hold in placed],
            "amount": [hold["amount"] for hold in placed],
            "captured": [hold["captured"] for hold in placed],
            "expires_at": [None if hold["expires_at"] is None else moment(hold["expires_at"]) for hold in placed],
            "created_at": [moment(hold["created_at"]) for hold in placed],
            "status": [hold["status"] for hold in placed],
        },
        "updated_holds": {
            "id": [hold["id"] for hold in changed],
            "captured": [hold["captured"] for hold in changed],
            "status": [hold["status"] for hold in changed],
        },
    }


def after(proved: Proved) -> dict[str, Standing]:
    """Where the wallets of a portion stand once it is written."""
    return {id: attrs.evolve(standing, loaded_version=standing.head.version) for id, standing in proved.wallets.items()}


def _wallet_columns(wallets: Sequence[tuple[str, Standing]], moment: Any) -> dict[str, list[Any]]:
    return {
        "id": [id for id, _ in wallets],
        "version": [wallet.head.version for _, wallet in wallets],
        "balance": [wallet.head.balance for _, wallet in wallets],
        "held": [wallet.head.held for _, wallet in wallets],
        "floor": [_terms(wallet).floor for _, wallet in wallets],
        "ceiling": [_terms(wallet).ceiling for _, wallet in wallets],
        "updated_at": [moment(wallet.head.time) for _, wallet in wallets],
        "status": [_terms(wallet).status for _, wallet in wallets],
        "head": [bytes.fromhex(wallet.head.hash) for _, wallet in wallets],
        "metadata": [wallet.metadata for _, wallet in wallets],
    }


def _terms(wallet: Standing) -> Terms:
    if wallet.head.terms is None:
        raise FormatError("a wallet is not opened by its first entry")
    return wallet.head.terms


def _check_decision(transaction: Transaction) -> None:
    """A rejection or a fence moves nothing. No hash covers it but the file's own."""
    fenced = transaction.outcome == "fenced"
    if transaction.entries or transaction.reverses is not None or transaction.outcome not in ("rejected", "fenced"):
        raise FormatError(f"transaction {transaction.id} is {transaction.outcome!r}, and has entries or reverses one")
    members = read_members(_text(transaction.intent))
    if members["kind"] != transaction.kind or (transaction.kind == "fence") != fenced:
        raise FormatError(f"transaction {transaction.id} is of the kind {transaction.kind!r}, and its intent is not")


def _metadata(members: Mapping[str, Any]) -> str:
    # In canonical order already: the hash covers the text that it comes from.
    return json.dumps(members["metadata"], ensure_ascii=False, separators=(",", ":"))


def _wallet(id: str, currency: str) -> AuditWallet:
    """The wallet as far as the proof of its entries needs it."""
    return AuditWallet(id, currency, 0, 0, 0, None, "", 0, "", "{}", _NEVER, _NEVER, 0, 0)


def _text(raw: Any) -> str:
    return bytes(raw).decode()
