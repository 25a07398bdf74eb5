"""Where each transaction stands in the order of events, and the clock that goes on where a restored database starts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERVICE_ROLE = "wallet_service"
POSITION = "GREATEST(pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)"


def upgrade() -> None:
    table = op.create_table(
        "event_clock",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("base", sa.BigInteger, nullable=False, comment="what transaction ids are counted from"),
        sa.PrimaryKeyConstraint("id", name=op.f("event_clock_pkey")),
        sa.CheckConstraint("id = 1", name=op.f("event_clock_id_check")),
        sa.CheckConstraint("base >= 0", name=op.f("event_clock_base_check")),
    )
    op.bulk_insert(table, [{"id": 1, "base": 0}])
    op.execute(f"GRANT SELECT ON event_clock TO {SERVICE_ROLE}")
    # A constant first, which the rows that are there need not be rewritten for: they come before all others, by id.
    for name in ("position", "lsn"):
        op.add_column("transactions", sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0")))
    # For instances of the release before, which go on writing while this one is rolled out. An expression like this
    # cannot read the clock, whose base is 0 then. Where two positions are equal, ids decide.
    op.alter_column("transactions", "position", server_default=sa.text(POSITION))
