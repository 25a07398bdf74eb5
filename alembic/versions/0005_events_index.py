"""The order of events as an index. A revision of its own, because it is made while others write."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = "transactions_events_idx"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # It waits for whoever is writing, and nobody waits for it, so the wait need not be short.
        op.execute("SET lock_timeout = 0")
        # An attempt that was cut short leaves an index that is maintained and of no use.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}")
        op.create_index(
            NAME,
            "transactions",
            ["tenant_id", "position", "lsn", "id"],
            postgresql_where=sa.text("outcome = 'applied' AND position >= 0"),
            postgresql_concurrently=True,
        )
        op.execute("RESET lock_timeout")
