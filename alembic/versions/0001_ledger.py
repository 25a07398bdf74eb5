"""The ledger's tables, and the role that may write to them but not rewrite them."""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

AMOUNT_MAX = 2**53 - 1
TIME = sa.DateTime(timezone=True)
SERVICE_ROLE = "wallet_service"

DUPLICATE_OBJECT = "42710"
UNIQUE_VIOLATION = "23505"
INSUFFICIENT_PRIVILEGE = "42501"


def upgrade() -> None:
    # The role comes first, so that a user who may not create it learns that before anything else is done.
    ensure_service_role(op.get_bind())
    create_tenants()
    create_api_keys()
    create_wallets()
    create_transactions()
    create_entries()
    create_holds()
    grant_to_service_role(op.get_bind())


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"{table}_{name}_check"))


def create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tenants_pkey")),
        check("tenants", "name", "name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'"),
    )


def create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("api_keys_pkey")),
        sa.UniqueConstraint("tenant_id", "secret_sha256", name=op.f("api_keys_tenant_id_secret_sha256_key")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("api_keys_tenant_id_fkey")),
        check("api_keys", "secret_sha256", "octet_length(secret_sha256) = 32"),
        check(
            "api_keys",
            "scopes",
            "scopes <@ ARRAY['read', 'write', 'admin']::text[] AND cardinality(scopes) > 0",
        ),
    )
    op.create_index(op.f("api_keys_secret_sha256_idx"), "api_keys", ["secret_sha256"])


def create_wallets() -> None:
    op.create_table(
        "wallets",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("balance", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("ceiling", sa.BigInteger),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("head", sa.LargeBinary, nullable=False, comment="hash of the wallet's last entry"),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("wallets_pkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("wallets_tenant_id_fkey")),
        check("wallets", "version", "version >= 1"),
        check("wallets", "balance_range", f"balance BETWEEN -{AMOUNT_MAX} AND {AMOUNT_MAX}"),
        check("wallets", "held_range", f"held BETWEEN 0 AND {AMOUNT_MAX}"),
        check("wallets", "floor_range", f"floor BETWEEN -{AMOUNT_MAX} AND 0"),
        check("wallets", "ceiling_range", f"ceiling BETWEEN 0 AND {AMOUNT_MAX}"),
        check("wallets", "floor", "balance - held >= floor"),
        check("wallets", "ceiling", "balance <= ceiling"),
        check("wallets", "currency", "currency ~ '^[A-Z][A-Z0-9]{2,11}$'"),
        check("wallets", "status", "status IN ('active', 'frozen', 'closed')"),
        check("wallets", "closed_is_empty", "status <> 'closed' OR (balance = 0 AND held = 0)"),
        check("wallets", "time", "updated_at >= created_at"),
        check("wallets", "head", "octet_length(head) = 32"),
        postgresql_with={"fillfactor": "70"},
    )


def create_transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("reverses", sa.Uuid),
        sa.Column("idempotency_key", sa.Text(collation="C"), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column(
            "intent",
            sa.JSON,
            nullable=False,
            comment="canonical JSON of the command; the fingerprint is its SHA-256",
        ),
        sa.Column("result", sa.JSON, nullable=False, comment="canonical JSON of what was decided"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("transactions_pkey")),
        sa.UniqueConstraint("tenant_id", "idempotency_key", name=op.f("transactions_tenant_id_idempotency_key_key")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "reverses"],
            ["transactions.tenant_id", "transactions.id"],
            name=op.f("transactions_tenant_id_reverses_fkey"),
        ),
        check("transactions", "idempotency_key", "octet_length(idempotency_key) BETWEEN 1 AND 255"),
        check("transactions", "outcome", "outcome IN ('applied', 'rejected', 'fenced')"),
        check(
            "transactions",
            "kind",
            "kind IN ('open', 'post', 'hold', 'capture', 'release', 'expiry', 'reversal', 'change', 'fence')",
        ),
        check("transactions", "fence", "(outcome = 'fenced') = (kind = 'fence')"),
        check("transactions", "reverses", "reverses IS NULL OR (kind = 'reversal' AND outcome = 'applied')"),
    )
    op.create_index(
        "transactions_reverses_key",
        "transactions",
        ["tenant_id", "reverses"],
        unique=True,
        postgresql_where=sa.text("reverses IS NOT NULL"),
    )
    op.create_index(
        "transactions_kind_idx",
        "transactions",
        ["tenant_id", "kind", "id"],
        postgresql_where=sa.text("outcome = 'applied' AND kind <> 'post'"),
    )


def create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("wallet_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("transaction_id", sa.Uuid, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("held_change", sa.BigInteger, nullable=False),
        sa.Column("balance_after", sa.BigInteger, nullable=False),
        sa.Column("held_after", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "wallet_id", "version", name=op.f("entries_pkey")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "wallet_id"],
            ["wallets.tenant_id", "wallets.id"],
            name=op.f("entries_tenant_id_wallet_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "transaction_id"],
            ["transactions.tenant_id", "transactions.id"],
            name=op.f("entries_tenant_id_transaction_id_fkey"),
        ),
        check("entries", "version", "version >= 1"),
        check("entries", "change_range", f"change BETWEEN -{AMOUNT_MAX} AND {AMOUNT_MAX}"),
        check("entries", "held_change_range", f"held_change BETWEEN -{AMOUNT_MAX} AND {AMOUNT_MAX}"),
        check("entries", "balance_after_range", f"balance_after BETWEEN -{AMOUNT_MAX} AND {AMOUNT_MAX}"),
        check("entries", "held_after_range", f"held_after BETWEEN 0 AND {AMOUNT_MAX}"),
        check("entries", "hash", "octet_length(hash) = 32"),
    )


def create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("wallet_id", sa.Uuid, nullable=False),
        sa.Column("destination", sa.Uuid),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("captured", sa.BigInteger, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("holds_pkey")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "wallet_id"],
            ["wallets.tenant_id", "wallets.id"],
            name=op.f("holds_tenant_id_wallet_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "destination"],
            ["wallets.tenant_id", "wallets.id"],
            name=op.f("holds_tenant_id_destination_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "id"],
            ["transactions.tenant_id", "transactions.id"],
            name=op.f("holds_tenant_id_id_fkey"),
        ),
        check("holds", "amount", f"amount BETWEEN 1 AND {AMOUNT_MAX}"),
        check("holds", "captured", "captured BETWEEN 0 AND amount"),
        check("holds", "status", "status IN ('active', 'captured', 'released', 'expired')"),
        check("holds", "active", "status <> 'active' OR captured < amount"),
        check("holds", "destination", "destination <> wallet_id"),
        check("holds", "expires_at", "expires_at > created_at"),
    )
    op.create_index(
        op.f("holds_due_idx"),
        "holds",
        ["tenant_id", "wallet_id", "expires_at"],
        postgresql_where=sa.text("status = 'active' AND expires_at IS NOT NULL"),
    )
    op.create_index(op.f("holds_wallet_idx"), "holds", ["tenant_id", "wallet_id", "id"])


def ensure_service_role(connection: sa.Connection) -> None:
    """Make the role unless it is there, and the migrating user a member of it, so that the service may take it."""
    created = f"CREATE ROLE {SERVICE_ROLE} NOLOGIN"
    user = connection.scalar(sa.text("SELECT quote_ident(current_user)"))
    granted = f"GRANT {SERVICE_ROLE} TO {user}"
    if not connection.scalar(sa.text("SELECT true FROM pg_roles WHERE rolname = :role"), {"role": SERVICE_ROLE}):
        # Roles belong to the server, not to one database: the migration of another database may create it just now.
        attempt(connection, created, advice=[created, granted], tolerated={DUPLICATE_OBJECT, UNIQUE_VIOLATION})
    # Since PostgreSQL 16 whoever creates a role administers it without being able to take it.
    version = connection.scalar(sa.text("SELECT current_setting('server_version_num')::int"))
    privilege = "SET" if version >= 160000 else "MEMBER"
    member = sa.text("SELECT pg_has_role(current_user, :role, :privilege)")
    if not connection.scalar(member, {"role": SERVICE_ROLE, "privilege": privilege}):
        attempt(connection, granted, advice=[granted], tolerated={DUPLICATE_OBJECT, UNIQUE_VIOLATION})


def attempt(connection: sa.Connection, statement: str, *, advice: list[str], tolerated: set[str]) -> None:
    """Run a statement that may fail without harm; one that the user has no right to is a matter for administrators."""
    try:
        with connection.begin_nested():
            connection.execute(sa.text(statement))
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", None)
        if sqlstate == INSUFFICIENT_PRIVILEGE:
            raise CommandError(
                f"the database user may not set up the role {SERVICE_ROLE}; "
                f"an administrator has to run this once, then migrate again: {'; '.join(advice)};"
            ) from error
        if sqlstate not in tolerated:
            raise


def grant_to_service_role(connection: sa.Connection) -> None:
    """What is written to the ledger stays: nothing may be deleted, and transactions and entries not even changed."""
    schema = connection.scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {SERVICE_ROLE}")
    op.execute(
        f"GRANT SELECT ON alembic_version, tenants, api_keys, wallets, transactions, entries, holds TO {SERVICE_ROLE}"
    )
    op.execute(f"GRANT INSERT ON transactions, entries TO {SERVICE_ROLE}")
    op.execute(f"GRANT INSERT, UPDATE ON wallets, holds TO {SERVICE_ROLE}")
