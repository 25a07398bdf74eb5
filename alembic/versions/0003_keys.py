"""When keys expire and how often they may call, which tenants are suspended, and who administered them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
RATE_LIMIT_MAX = 1_000_000


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("expires_at", TIME))
    op.add_column("api_keys", sa.Column("rate_limit_per_s", sa.Integer))
    op.create_check_constraint(op.f("api_keys_expires_at_check"), "api_keys", "expires_at > created_at")
    op.create_check_constraint(
        op.f("api_keys_rate_limit_per_s_check"), "api_keys", f"rate_limit_per_s BETWEEN 1 AND {RATE_LIMIT_MAX}"
    )
    op.add_column("tenants", sa.Column("suspended_at", TIME))
    op.create_check_constraint(op.f("tenants_suspended_at_check"), "tenants", "suspended_at >= created_at")
    create_audit_log()
    refuse_changes_to_audit_log()


def create_audit_log() -> None:
    # Nothing is granted to the service's role: administrators are the owner, and the service has no use for this.
    op.create_table(
        "audit_log",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False, comment="who says to have done it"),
        sa.Column("database_user", sa.Text, nullable=False, comment="who the database knows has done it"),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Uuid, nullable=False, comment="the key or the tenant"),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("audit_log_pkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("audit_log_tenant_id_fkey")),
        sa.CheckConstraint("length(actor) BETWEEN 1 AND 200", name=op.f("audit_log_actor_check")),
        sa.CheckConstraint("action ~ '^(key|tenant)[.][a-z-]{1,40}$'", name=op.f("audit_log_action_check")),
    )


def refuse_changes_to_audit_log() -> None:
    """A trigger refuses also the owner, whom no privilege stops. It is far from the path of a write to the ledger."""
    op.execute("""
        CREATE FUNCTION refuse_to_change_audit_log() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege'; END $$
    """)
    op.execute("""
        CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_audit_log()
    """)
