"""Adds the sums of condensed records, the values that they received, and the time when a run was condensed.

Revision 0011, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, the column, and the indexes by which old rows are found."""
    op.create_table(
        "monthly_sum",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("month", "mapping", "channel", "outcome", name="pk_monthly_sum"),
    )
    op.create_table(
        "received_value",
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("crm_id", sa.String(length=40), nullable=False),
        sa.Column("purchase_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name="fk_received_value_purchase_id"),
        sa.PrimaryKeyConstraint("mapping", "crm_id", "purchase_id", name="pk_received_value"),
    )
    op.add_column("run", sa.Column("condensed_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_run_started_at", "run", ["started_at", "id"], unique=False)
    op.create_index(
        "ix_run_detailed",
        "run",
        ["started_at"],
        unique=False,
        sqlite_where=sa.text("condensed_at IS NULL"),
        postgresql_where=sa.text("condensed_at IS NULL"),
    )
    op.create_index(
        "ix_record_closed_at",
        "record",
        ["closed_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'closed'"),
        postgresql_where=sa.text("state = 'closed'"),
    )
    op.create_index("ix_run_record_record", "run_record", ["record_id"], unique=False)
