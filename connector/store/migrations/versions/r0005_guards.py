"""Adds plans and former ids of records, deletion times of values, write times of permits, and large balances.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and widen the balance. Open records of an applied plan get the plan's id."""
    op.add_column("record", sa.Column("former_ids", sa.Text(), nullable=False, server_default=""))
    op.add_column("record", sa.Column("plan_id", sa.String(length=40), nullable=True))
    op.create_index("ix_record_plan_id", "record", ["plan_id"], unique=False)
    op.add_column("want", sa.Column("erase_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE record SET plan_id = (SELECT run.plan_id FROM run WHERE run.id = record.run_id) "
        "WHERE state = 'open' AND run_id IN (SELECT id FROM run WHERE command = 'apply')"
    )
    with op.batch_alter_table("observation") as batch:  # SQLite stores every integer with 64 bits
        batch.alter_column("balance", existing_type=sa.Integer(), type_=sa.BigInteger(), existing_nullable=False)
    op.add_column("rate_limit", sa.Column("at", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(
        "ix_unlock_not_before",
        "unlock",
        ["not_before"],
        unique=False,
        sqlite_where=sa.text("not_before IS NOT NULL"),
        postgresql_where=sa.text("not_before IS NOT NULL"),
    )
    op.create_index("ix_change_record", "change", ["record_id"], unique=False)
