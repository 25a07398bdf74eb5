"""Tampering with what stays in its place: amounts, words, wallets, holds."""

from tests.verification.scene import ACTIVE, ALICE, ALSO_ACTIVE, BOB, CAPTURED, CAROL, DOLLARS, LONELY, RELEASED
from tests.verification.tampering import Tampering, entries_of, entry, of, row_of, said
from wallet_core.findings import Check

AMOUNTS = [
    Tampering(
        "the amount of an entry",
        [f"UPDATE entries SET change = 1100 WHERE {entry(ALICE, 2)}"],
        {Check.BALANCES, Check.CHAIN, Check.RECEIPTS},
        (ALICE, 2),
    ),
    Tampering(
        "an amount, in entry, later balances, receipt and wallet alike",
        [
            f"UPDATE entries SET change = change + 100 WHERE {entry(LONELY, 2)}",
            f"UPDATE entries SET balance_after = balance_after + 100 WHERE {entries_of(LONELY)} AND version >= 2",
            f"UPDATE wallets SET balance = balance + 100 WHERE {row_of(LONELY)}",
            said("lonely-1", "result", '"amount":30', '"amount":130'),
            said("lonely-1", "intent", '"amount":30', '"amount":130'),
        ],
        {Check.CHAIN},
        (LONELY, 2),
    ),
    Tampering(
        "a running balance",
        [f"UPDATE entries SET balance_after = 841 WHERE {entry(ALICE, 5)}"],
        {Check.BALANCES, Check.CHAIN},
        (ALICE, 5),
    ),
    Tampering(
        "a held amount in an entry",
        [f"UPDATE entries SET held_change = 24, held_after = 164 WHERE {entry(ALICE, 9)}"],
        {Check.BALANCES, Check.CHAIN, Check.RECEIPTS},
        (ALICE, 9),
    ),
    Tampering(
        "who was paid",
        [said("rent", "result", str(BOB), str(CAROL)), said("rent", "intent", str(BOB), str(CAROL))],
        {Check.CHAIN, Check.RECEIPTS},
        (BOB, 3),
    ),
]

WORDS = [
    Tampering(
        "metadata of a transaction",
        [said("pay-alice", "intent", '"invoice":"7"', '"invoice":"8"')],
        {Check.CHAIN},
        (ALICE, 2),
    ),
    Tampering(
        "the idempotency key",
        [f"UPDATE transactions SET idempotency_key = 'another' WHERE {of('withdraw')}"],
        {Check.CHAIN},
        (ALICE, 3),
    ),
    Tampering(
        "the kind",
        [f"UPDATE transactions SET kind = 'post' WHERE {of('change-alice')}"],
        {Check.CHAIN, Check.TERMS},
        (ALICE, 18),
    ),
    Tampering(
        "the time, of transaction and entry alike",
        [
            f"UPDATE transactions SET created_at = created_at + interval '1 microsecond' WHERE {of('pay-alice')}",
            f"UPDATE entries SET created_at = created_at + interval '1 microsecond' WHERE {entry(ALICE, 2)}",
        ],
        {Check.CHAIN},
        (ALICE, 2),
    ),
    Tampering(
        "the time of an entry",
        [f"UPDATE entries SET created_at = created_at + interval '1 microsecond' WHERE {entry(ALICE, 3)}"],
        {Check.RECEIPTS},
        (ALICE, 3),
    ),
    Tampering(
        "a time that is none",
        [f"UPDATE transactions SET created_at = 'infinity' WHERE {of('withdraw')}"],
        {Check.CHAIN, Check.RECEIPTS},
        (ALICE, 3),
    ),
    Tampering(
        "that a transaction was reversed, so that it can be once more",
        [f"UPDATE transactions SET reverses = NULL WHERE {of('unrent')}"],
        {Check.RECEIPTS},
        (ALICE, 16),
    ),
    Tampering(
        "what a transaction reversed",
        [f"UPDATE transactions SET reverses = (SELECT id FROM transactions WHERE {of('split')}) WHERE {of('unrent')}"],
        {Check.RECEIPTS},
        (ALICE, 16),
    ),
    Tampering(
        "that one was applied and another rejected",
        [
            f"UPDATE transactions SET outcome = 'rejected' WHERE {of('pay-alice')}",
            f"UPDATE transactions SET outcome = 'applied' WHERE {of('too-much')}",
        ],
        {Check.RECEIPTS},
        (ALICE, 2),
    ),
]

ROWS = [
    Tampering(
        "a balance",
        [f"UPDATE wallets SET balance = balance + 1 WHERE {row_of(ALICE)}"],
        {Check.HEAD, Check.CONSERVED},
        (ALICE, None),
    ),
    Tampering(
        "two balances, to the same sum",
        [
            f"UPDATE wallets SET balance = balance + 10 WHERE {row_of(ALICE)}",
            f"UPDATE wallets SET balance = balance - 10 WHERE {row_of(BOB)}",
        ],
        {Check.HEAD},
        (BOB, None),
    ),
    Tampering(
        "a held amount",
        [f"UPDATE wallets SET held = held - 5 WHERE {row_of(ALICE)}"],
        {Check.HEAD},
        (ALICE, None),
    ),
    Tampering(
        "the version",
        [f"UPDATE wallets SET version = version + 1 WHERE {row_of(ALICE)}"],
        {Check.HEAD},
        (ALICE, None),
    ),
    Tampering(
        "the head",
        [f"UPDATE wallets SET head = sha256('') WHERE {row_of(ALICE)}"],
        {Check.HEAD},
        (ALICE, None),
    ),
    Tampering(
        "the time of the last change",
        [f"UPDATE wallets SET updated_at = 'infinity' WHERE {row_of(ALICE)}"],
        {Check.HEAD},
        (ALICE, None),
    ),
    *(
        Tampering(
            f"the {column} of a wallet",
            [f"UPDATE wallets SET {column} = {value} WHERE {row_of(wallet_id)}"],
            found,
            (wallet_id, None),
        )
        for wallet_id, column, value, found in [
            (ALICE, "floor", "-1000000", {Check.TERMS}),
            (BOB, "ceiling", "NULL", {Check.TERMS}),
            (DOLLARS, "status", "'active'", {Check.TERMS}),
            (DOLLARS, "currency", "'EUR'", {Check.TERMS, Check.CONSERVED}),
            (ALICE, "created_at", "created_at - interval '1 day'", {Check.TERMS}),
            (ALICE, "metadata", """'{"owner":"Mallory"}'""", {Check.TERMS}),
        ]
    ),
    Tampering(
        "a balance below the floor",
        [f"UPDATE wallets SET balance = -51 WHERE {row_of(ALICE)}"],
        {Check.HEAD, Check.LIMITS, Check.CONSERVED},
        (ALICE, None),
        before=["ALTER TABLE wallets DROP CONSTRAINT wallets_floor_check"],
    ),
]

HOLDS = [
    Tampering(
        "the amount of a hold",
        [f"UPDATE holds SET amount = amount - 5 WHERE {row_of(ACTIVE)}"],
        {Check.HOLDS},
        (ALICE, 9),
    ),
    Tampering(
        "the amounts of two holds, to the same sum",
        [
            f"UPDATE holds SET amount = amount - 5 WHERE {row_of(ACTIVE)}",
            f"UPDATE holds SET amount = amount + 5 WHERE {row_of(ALSO_ACTIVE)}",
        ],
        {Check.HOLDS},
        (ALICE, 10),
    ),
    Tampering(
        "the state of a hold, and what its wallet holds",
        [
            f"UPDATE holds SET status = 'released' WHERE {row_of(ACTIVE)}",
            f"UPDATE wallets SET held = held - 25 WHERE {row_of(ALICE)}",
        ],
        {Check.HEAD, Check.HOLDS},
        (ALICE, None),
    ),
    Tampering(
        "the state of one hold, and of another to the same sum",
        [
            f"UPDATE holds SET status = 'active', amount = 30, captured = 5 WHERE {row_of(CAPTURED)}",
            f"UPDATE holds SET status = 'released' WHERE {row_of(ACTIVE)}",
        ],
        {Check.HOLDS},
        (ALICE, 12),
    ),
    Tampering(
        "that a hold was released",
        [f"UPDATE holds SET status = 'captured', captured = amount WHERE {row_of(RELEASED)}"],
        {Check.HOLDS},
        (BOB, 9),
    ),
    Tampering(
        "whom a hold is for",
        [f"UPDATE holds SET destination = '{BOB}' WHERE {row_of(ACTIVE)}"],
        {Check.HOLDS},
        (ALICE, 9),
    ),
    Tampering(
        "when a hold expires",
        [f"UPDATE holds SET expires_at = NULL WHERE {row_of(ACTIVE)}"],
        {Check.HOLDS},
        (ALICE, 9),
    ),
    Tampering(
        "how much of an active hold was captured",
        [f"UPDATE holds SET captured = captured + 1 WHERE {row_of(ALSO_ACTIVE)}"],
        {Check.HOLDS},
        (ALICE, None),
    ),
    Tampering(
        "whose hold it is",
        [f"UPDATE holds SET wallet_id = '{CAROL}' WHERE {row_of(ALSO_ACTIVE)}"],
        {Check.HOLDS},
        (ALICE, 10),
    ),
    Tampering(
        "a hold that is gone",
        [f"DELETE FROM holds WHERE {row_of(RELEASED)}"],
        {Check.HOLDS},
        (BOB, 7),
    ),
    Tampering(
        "a hold that nobody placed, in the place of one that was",
        [
            (
                f"INSERT INTO holds SELECT tenant_id, (SELECT id FROM transactions WHERE {of('rent')}), wallet_id,"
                f" '{BOB}', amount, captured, expires_at, created_at, status FROM holds WHERE {row_of(ACTIVE)}"
            ),
            f"UPDATE holds SET status = 'released' WHERE {row_of(ACTIVE)}",
        ],
        {Check.HOLDS},
        (ALICE, None),
    ),
]
