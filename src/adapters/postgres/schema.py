"""The tables, as SQLAlchemy Core metadata. Migrations produce exactly this, and CI compares the two.

Every key, unique constraint and foreign key of the ledger starts with ``tenant_id``, so that the same schema shards
by tenant. The constraints repeat the rules of the core on purpose: the database refuses what the core must never do.
"""

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from wallet_core.money import AMOUNT_MAX

SERVICE_ROLE = "wallet_service"
"""The role that the service runs as. It may not change or delete what has been written to the ledger."""

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

RATE_LIMIT_MAX = 1_000_000
"""Requests a second that one key may be limited to."""

_TIME = DateTime(timezone=True)


def _in_range(column: str) -> str:
    """SQL: the column's value is one that every JSON client represents exactly."""
    return f"{column} BETWEEN -{AMOUNT_MAX} AND {AMOUNT_MAX}"


# A tenant's id is derived from its name (`tenant_id_of`), so that the primary key alone keeps names unique, also where
# the table is sharded by id.
tenants = Table(
    "tenants",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("suspended_at", _TIME),
    PrimaryKeyConstraint("id"),
    CheckConstraint("name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'", name="name"),
    CheckConstraint("suspended_at >= created_at", name="suspended_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("revoked_at", _TIME),
    Column("expires_at", _TIME),
    Column("rate_limit_per_s", Integer),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "secret_sha256"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
    CheckConstraint("octet_length(secret_sha256) = 32", name="secret_sha256"),
    CheckConstraint("scopes <@ ARRAY['read', 'write', 'admin']::text[] AND cardinality(scopes) > 0", name="scopes"),
    CheckConstraint("expires_at > created_at", name="expires_at"),
    CheckConstraint(f"rate_limit_per_s BETWEEN 1 AND {RATE_LIMIT_MAX}", name="rate_limit_per_s"),
)
Index("api_keys_secret_sha256_idx", api_keys.c.secret_sha256)

# A trigger refuses to change or delete what is here, the owner's changes too.
audit_log = Table(
    "audit_log",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("actor", Text, nullable=False, comment="who says to have done it"),
    Column("database_user", Text, nullable=False, comment="who the database knows has done it"),
    Column("action", Text, nullable=False),
    Column("subject", Uuid, nullable=False, comment="the key or the tenant"),
    Column("details", JSON, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
    CheckConstraint("length(actor) BETWEEN 1 AND 200", name="actor"),
    CheckConstraint("action ~ '^(key|tenant)[.][a-z-]{1,40}$'", name="action"),
)

wallets = Table(
    "wallets",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("ceiling", BigInteger),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("head", LargeBinary, nullable=False, comment="hash of the wallet's last entry"),
    Column("metadata", JSON, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint(_in_range("balance"), name="balance_range"),
    CheckConstraint(f"held BETWEEN 0 AND {AMOUNT_MAX}", name="held_range"),
    CheckConstraint(f"floor BETWEEN -{AMOUNT_MAX} AND 0", name="floor_range"),
    CheckConstraint(f"ceiling BETWEEN 0 AND {AMOUNT_MAX}", name="ceiling_range"),
    CheckConstraint("balance - held >= floor", name="floor"),
    CheckConstraint("balance <= ceiling", name="ceiling"),
    CheckConstraint("currency ~ '^[A-Z][A-Z0-9]{2,11}$'", name="currency"),
    CheckConstraint("status IN ('active', 'frozen', 'closed')", name="status"),
    CheckConstraint("status <> 'closed' OR (balance = 0 AND held = 0)", name="closed_is_empty"),
    CheckConstraint("updated_at >= created_at", name="time"),
    CheckConstraint("octet_length(head) = 32", name="head"),
    # Room on each page for the next versions of its rows, so that an update stays on the page and touches no index.
    postgresql_with={"fillfactor": "70"},
)

transactions = Table(
    "transactions",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("reverses", Uuid),
    Column("idempotency_key", Text(collation="C"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("intent", JSON, nullable=False, comment="canonical JSON of the command; the fingerprint is its SHA-256"),
    Column("result", JSON, nullable=False, comment="canonical JSON of what was decided"),
    # The order of events: see `statements.POSITION`. The default is for writers that do not know of it.
    Column(
        "position",
        BigInteger,
        nullable=False,
        server_default=text(
            "GREATEST(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)"
        ),
    ),
    Column("lsn", BigInteger, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "idempotency_key"),
    # None to tenants: an insert selects its tenant from that table, and the trigger would cost each row another 15 %.
    ForeignKeyConstraint(["tenant_id", "reverses"], ["transactions.tenant_id", "transactions.id"]),
    CheckConstraint("octet_length(idempotency_key) BETWEEN 1 AND 255", name="idempotency_key"),
    CheckConstraint("outcome IN ('applied', 'rejected', 'fenced')", name="outcome"),
    CheckConstraint(
        "kind IN ('open', 'post', 'hold', 'capture', 'release', 'expiry', 'reversal', 'change', 'fence')", name="kind"
    ),
    CheckConstraint("(outcome = 'fenced') = (kind = 'fence')", name="fence"),
    CheckConstraint("reverses IS NULL OR (kind = 'reversal' AND outcome = 'applied')", name="reverses"),
)

Index(
    "transactions_reverses_key",
    transactions.c.tenant_id,
    transactions.c.reverses,
    unique=True,
    # Hardly any transaction is a reversal, and the others need not pay for an index.
    postgresql_where=text("reverses IS NOT NULL"),
)
Index(
    "transactions_kind_idx",
    transactions.c.tenant_id,
    transactions.c.kind,
    transactions.c.id,
    # Postings are so many that a list of them needs no index of its own, and they are what must be fast to write.
    postgresql_where=text("outcome = 'applied' AND kind <> 'post'"),
)
Index(
    "transactions_events_idx",
    transactions.c.tenant_id,
    transactions.c.position,
    transactions.c.lsn,
    transactions.c.id,
    # All positions are. Only who asks for that gets this index: for others, who look for an id, the planner would take
    # it instead of the primary key, and skip from position to position.
    postgresql_where=text("outcome = 'applied' AND position >= 0"),
)

entries = Table(
    "entries",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("wallet_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("transaction_id", Uuid, nullable=False),
    Column("change", BigInteger, nullable=False),
    Column("held_change", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("held_after", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant_id", "wallet_id", "version"),
    ForeignKeyConstraint(["tenant_id", "wallet_id"], ["wallets.tenant_id", "wallets.id"]),
    ForeignKeyConstraint(["tenant_id", "transaction_id"], ["transactions.tenant_id", "transactions.id"]),
    CheckConstraint("version >= 1", name="version"),
    CheckConstraint(_in_range("change"), name="change_range"),
    CheckConstraint(_in_range("held_change"), name="held_change_range"),
    CheckConstraint(_in_range("balance_after"), name="balance_after_range"),
    CheckConstraint(f"held_after BETWEEN 0 AND {AMOUNT_MAX}", name="held_after_range"),
    CheckConstraint("octet_length(hash) = 32", name="hash"),
)

holds = Table(
    "holds",
    metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("wallet_id", Uuid, nullable=False),
    Column("destination", Uuid),
    Column("amount", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("expires_at", _TIME),
    Column("created_at", _TIME, nullable=False),
    Column("status", Text, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    ForeignKeyConstraint(["tenant_id", "wallet_id"], ["wallets.tenant_id", "wallets.id"]),
    ForeignKeyConstraint(["tenant_id", "destination"], ["wallets.tenant_id", "wallets.id"]),
    ForeignKeyConstraint(["tenant_id", "id"], ["transactions.tenant_id", "transactions.id"]),
    CheckConstraint(f"amount BETWEEN 1 AND {AMOUNT_MAX}", name="amount"),
    CheckConstraint("captured BETWEEN 0 AND amount", name="captured"),
    CheckConstraint("status IN ('active', 'captured', 'released', 'expired')", name="status"),
    CheckConstraint("status <> 'active' OR captured < amount", name="active"),
    CheckConstraint("destination <> wallet_id", name="destination"),
    CheckConstraint("expires_at > created_at", name="expires_at"),
)
Index(
    "holds_due_idx",
    holds.c.tenant_id,
    holds.c.wallet_id,
    holds.c.expires_at,
    postgresql_where=text("status = 'active' AND expires_at IS NOT NULL"),
)
Index("holds_wallet_idx", holds.c.tenant_id, holds.c.wallet_id, holds.c.id)

# One row, made by the migration. Whoever can write to the cache, but not read this, can make no receipt up.
replay_secret = Table(
    "replay_secret",
    metadata,
    Column("id", SmallInteger, nullable=False, autoincrement=False),
    Column("secret", LargeBinary, nullable=False, comment="seals the receipts that a cache keeps"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="id"),
    CheckConstraint("octet_length(secret) = 32", name="secret"),
)

# One row, made by the migration. Positions are counted from the base, which is raised where the database was loaded
# into a server whose transaction ids are lower than those that it comes from.
event_clock = Table(
    "event_clock",
    metadata,
    Column("id", SmallInteger, nullable=False, autoincrement=False),
    Column("base", BigInteger, nullable=False, comment="what transaction ids are counted from"),
    PrimaryKeyConstraint("id"),
    CheckConstraint("id = 1", name="id"),
    CheckConstraint("base >= 0", name="base"),
)
