"""The secret under which receipts are kept in a cache, so that nobody else can make up any."""

import os

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SECRET_BYTES = 32
SERVICE_ROLE = "wallet_service"


def upgrade() -> None:
    table = op.create_table(
        "replay_secret",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("secret", sa.LargeBinary, nullable=False, comment="seals the receipts that a cache keeps"),
        sa.PrimaryKeyConstraint("id", name=op.f("replay_secret_pkey")),
        sa.CheckConstraint("id = 1", name=op.f("replay_secret_id_check")),
        sa.CheckConstraint(f"octet_length(secret) = {SECRET_BYTES}", name=op.f("replay_secret_secret_check")),
    )
    op.bulk_insert(table, [{"id": 1, "secret": os.urandom(SECRET_BYTES)}])
    op.execute(f"GRANT SELECT ON replay_secret TO {SERVICE_ROLE}")
