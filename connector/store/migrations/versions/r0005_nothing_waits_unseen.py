"""The plan that a record is part of, its former ids, and when a parked value is erased.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns; open records of an applied plan are part of it."""
    op.add_column("record", sa.Column("former_ids", sa.Text(), nullable=False, server_default=""))
    op.add_column("record", sa.Column("plan_id", sa.String(length=40), nullable=True))
    op.create_index("ix_record_plan_id", "record", ["plan_id"], unique=False)
    op.add_column("want", sa.Column("erase_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE record SET plan_id = (SELECT run.plan_id FROM run WHERE run.id = record.run_id) "
        "WHERE state = 'open' AND run_id IN (SELECT id FROM run WHERE command = 'apply')"
    )
