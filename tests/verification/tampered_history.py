"""Tampering with the order and number of things; and putting nonsense in their place."""

from tests.verification.scene import ALICE, ALSO_ACTIVE, CAROL, LONELY
from tests.verification.tampering import Tampering, entry, of, row_of, said
from wallet_core.findings import Check

HISTORY = [
    Tampering(
        "a missing entry",
        [f"DELETE FROM entries WHERE {entry(LONELY, 3)}"],
        {Check.VERSIONS, Check.BALANCES, Check.CHAIN, Check.COMPLETE, Check.CONSERVED},
        (LONELY, 4),
    ),
    Tampering(
        "a transaction gone with its entry, and the gap closed",
        [
            f"DELETE FROM entries WHERE {entry(LONELY, 3)}",
            f"DELETE FROM transactions WHERE {of('lonely-2')}",
            f"UPDATE entries SET version = 3, balance_after = balance_after + 10 WHERE {entry(LONELY, 4)}",
            said("lonely-3", "result", f'["{LONELY}",4]', f'["{LONELY}",3]'),
            f"UPDATE wallets SET version = 3, balance = balance + 10 WHERE {row_of(LONELY)}",
        ],
        {Check.CHAIN},
        (LONELY, 3),
    ),
    Tampering(
        "a tail cut off, and the wallet as if it had never been",
        [
            (
                f"UPDATE wallets SET (version, balance, head, updated_at) ="
                f" (SELECT version, balance_after, hash, created_at FROM entries WHERE {entry(LONELY, 3)})"
                f" WHERE {row_of(LONELY)}"
            ),
            f"DELETE FROM entries WHERE {entry(LONELY, 4)}",
        ],
        {Check.COMPLETE},
        (LONELY, 4),
    ),
    Tampering(
        "a tail cut off that moved nothing, of a transaction whose other entry is there",
        [
            (
                f"UPDATE wallets SET (version, head, updated_at) ="
                f" (SELECT version, hash, created_at FROM entries WHERE {entry(CAROL, 3)}) WHERE {row_of(CAROL)}"
            ),
            f"DELETE FROM entries WHERE {entry(CAROL, 4)}",
        ],
        {Check.COMPLETE},
        (CAROL, 4),
    ),
    Tampering(
        "two entries that swapped places",
        [
            f"UPDATE entries SET version = 99 WHERE {entry(LONELY, 2)}",
            f"UPDATE entries SET version = 2 WHERE {entry(LONELY, 4)}",
            f"UPDATE entries SET version = 4 WHERE {entry(LONELY, 99)}",
        ],
        {Check.BALANCES, Check.CHAIN, Check.RECEIPTS, Check.HEAD, Check.COMPLETE, Check.CONSERVED},
        (LONELY, 2),
    ),
    Tampering(
        "two entries that swapped places, with all that would tell them apart but the hashes",
        [
            f"UPDATE entries SET version = 99, balance_after = 24 WHERE {entry(LONELY, 2)}",
            f"UPDATE entries SET version = 2, balance_after = 4 WHERE {entry(LONELY, 4)}",
            f"UPDATE entries SET version = 4 WHERE {entry(LONELY, 99)}",
            f"UPDATE entries SET balance_after = -6 WHERE {entry(LONELY, 3)}",
            said("lonely-1", "result", f'["{LONELY}",2]', f'["{LONELY}",4]'),
            said("lonely-3", "result", f'["{LONELY}",4]', f'["{LONELY}",2]'),
            f"UPDATE wallets SET head = (SELECT hash FROM entries WHERE {entry(LONELY, 4)}) WHERE {row_of(LONELY)}",
        ],
        {Check.CHAIN, Check.LIMITS},
        (LONELY, 2),
    ),
    Tampering(
        "an entry put down to another transaction",
        [
            (
                f"UPDATE entries SET transaction_id = (SELECT id FROM transactions WHERE {of('lonely-3')})"
                f" WHERE {entry(LONELY, 2)}"
            )
        ],
        {Check.CHAIN, Check.RECEIPTS, Check.COMPLETE, Check.CONSERVED},
        (LONELY, 2),
    ),
    Tampering(
        "an entry more than there was",
        [
            (
                "INSERT INTO transactions SELECT tenant_id, gen_random_uuid(), created_at, NULL, 'forged', outcome,"
                f" kind, intent, replace(result::text, ',4]', ',5]')::json FROM transactions WHERE {of('lonely-3')}"
            ),
            (
                "INSERT INTO entries SELECT tenant_id, wallet_id, 5,"
                f" (SELECT id FROM transactions WHERE {of('forged')}), change, 0, balance_after + change, 0,"
                f" created_at, sha256(hash) FROM entries WHERE {entry(LONELY, 4)}"
            ),
            (
                "UPDATE wallets SET (version, balance, head) ="
                f" (SELECT version, balance_after, hash FROM entries WHERE {entry(LONELY, 5)}) WHERE {row_of(LONELY)}"
            ),
        ],
        {Check.CHAIN},
        (LONELY, 5),
    ),
    Tampering(
        "an entry more, for money that was there already",
        [
            (
                "INSERT INTO entries SELECT tenant_id, wallet_id, 5, transaction_id, 0, 0, balance_after, 0,"
                f" created_at, sha256(hash) FROM entries WHERE {entry(LONELY, 4)}"
            ),
            (
                "UPDATE wallets SET (version, head) ="
                f" (SELECT version, hash FROM entries WHERE {entry(LONELY, 5)}) WHERE {row_of(LONELY)}"
            ),
        ],
        {Check.CHAIN, Check.RECEIPTS, Check.COMPLETE},
        (LONELY, 5),
    ),
    Tampering(
        "an applied transaction that has no entry",
        [
            (
                "INSERT INTO transactions SELECT tenant_id, gen_random_uuid(), created_at, NULL, 'forged', outcome,"
                f" kind, intent, replace(result::text, ',4]', ',5]')::json FROM transactions WHERE {of('lonely-3')}"
            ),
        ],
        {Check.COMPLETE},
        (LONELY, 5),
    ),
    Tampering(
        "a rejection that is said to have been applied",
        [f"UPDATE transactions SET outcome = 'applied' WHERE {of('too-much')}"],
        {Check.COMPLETE},
        (None, None),
    ),
    Tampering(
        "a wallet gone, but not its entries",
        [f"DELETE FROM wallets WHERE {row_of(LONELY)}"],
        {Check.COMPLETE},
        (LONELY, None),
        before=["ALTER TABLE entries DROP CONSTRAINT entries_tenant_id_wallet_id_fkey"],
    ),
    Tampering(
        "a wallet that was never opened",
        [
            (
                "INSERT INTO wallets SELECT tenant_id, gen_random_uuid(), version, balance, held, floor, ceiling,"
                f" created_at, updated_at, currency, status, head, metadata FROM wallets WHERE {row_of(LONELY)}"
            )
        ],
        {Check.HEAD, Check.CONSERVED},
        (None, None),
    ),
    Tampering(
        "a wallet without the entry that opened it",
        [f"DELETE FROM entries WHERE {entry(LONELY, 1)}"],
        {Check.VERSIONS, Check.CHAIN, Check.COMPLETE},
        (LONELY, 1),
    ),
    Tampering(
        "a transaction gone, but not its entry",
        [f"DELETE FROM transactions WHERE {of('lonely-2')}"],
        {Check.VERSIONS, Check.BALANCES, Check.CHAIN, Check.COMPLETE, Check.CONSERVED},
        (LONELY, 4),
        before=["ALTER TABLE entries DROP CONSTRAINT entries_tenant_id_transaction_id_fkey"],
    ),
]

NONSENSE = [
    Tampering(
        f"a result that is {name}",
        [f"UPDATE transactions SET result = {value} WHERE {of('lonely-2')}"],
        {Check.CHAIN, Check.RECEIPTS, Check.COMPLETE, Check.CONSERVED},
        (LONELY, 3),
    )
    for name, value in [
        ("empty", "'{}'"),
        ("a number", "'1'"),
        ("a list", "'[]'"),
        ("of the wrong types", """'{"entries":[[1,2]],"postings":[{"source":null,"amount":"1"}]}'"""),
        ("of words for entries", """'{"entries":"all","postings":[]}'"""),
        ("deep", "(repeat('[', 3000) || repeat(']', 3000))::json"),
        ("in another currency of no name", "replace(result::text, '\"EUR\"', 'null')::json"),
    ]
] + [
    Tampering(
        "a capture whose intent names no hold",
        [said("capture-some", "intent", str(ALSO_ACTIVE), "------------------------------------")],
        {Check.CHAIN, Check.HOLDS},
        (ALICE, 13),
    ),
    Tampering(
        "an opening whose intent is empty",
        [f"UPDATE transactions SET intent = '{{}}' WHERE {of('open-lonely')}"],
        {Check.CHAIN, Check.RECEIPTS, Check.COMPLETE},
        (LONELY, 1),
    ),
]
