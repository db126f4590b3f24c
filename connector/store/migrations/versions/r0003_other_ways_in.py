"""Adds requests of the CRM's automation, delegated runs ("errand"), workers, and callback receipts ("hint").

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables. On PostgreSQL also add those of Procrastinate, which delivers jobs to several workers."""
    op.create_table(
        "request",
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request")),
    )
    op.create_index("ix_request_accepted_at", "request", ["accepted_at"], unique=False)
    op.create_table(
        "ask",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String(length=120), nullable=False),
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("crm_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["request.id"], name=op.f("fk_ask_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ask")),
    )
    op.create_index("ix_ask_request", "ask", ["request_id"], unique=False)
    op.create_index(
        "ix_ask_due", "ask", ["mapping", "not_before"], unique=False, sqlite_where=sa.text("state != 'done'"),
        postgresql_where=sa.text("state != 'done'"),
    )  # fmt: skip
    op.create_table(
        "errand",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("command", sa.String(length=20), nullable=False),
        sa.Column("mappings", sa.Text(), nullable=False),
        sa.Column("chosen", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_errand")),
    )
    op.create_index("ix_errand_state", "errand", ["state"], unique=False)
    op.create_table(
        "worker",
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("mappings", sa.Text(), nullable=False),
        sa.Column("beat_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_worker")),
    )
    op.create_table(
        "hint",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.String(length=40), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hint")),
        sa.UniqueConstraint("attempt_id", "vendor_id", name=op.f("uq_hint_attempt_id_vendor_id")),
    )
    op.create_index(
        "ix_hint_state", "hint", ["state"], unique=False, sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )  # fmt: skip
    if op.get_bind().dialect.name == "postgresql":
        from procrastinate.schema import SchemaManager

        driver = op.get_bind().connection.driver_connection
        if driver is None:
            raise RuntimeError("the migration has no connection")
        driver.execute(SchemaManager.get_schema())
