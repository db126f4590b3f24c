"""Adds the lost attempt of a repeated purchase, a parked mark for each channel, and the plan of a run.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns. An unlock's hold for a lost attempt becomes an open hold of the unlock's mapping."""
    op.add_column("unlock", sa.Column("prior_hold", sa.String(length=10), nullable=False, server_default=""))
    op.add_column("unlock", sa.Column("prior_mapping", sa.String(length=40), nullable=True))
    op.execute("UPDATE unlock SET prior_hold = 'open', prior_mapping = mapping WHERE prior_attempt_id IS NOT NULL")
    op.add_column("want", sa.Column("parked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE want SET parked = true WHERE state = 'ready' AND outcome IS NULL AND record_id IN "
        "(SELECT id FROM record WHERE state = 'open' AND parked_version IS NOT NULL)"
    )
    op.add_column("record", sa.Column("chosen", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("run", sa.Column("plan_id", sa.String(length=40), nullable=True))
    op.create_index(
        "ix_run_plan_id", "run", ["plan_id"], unique=False, sqlite_where=sa.text("plan_id IS NOT NULL"),
        postgresql_where=sa.text("plan_id IS NOT NULL"),
    )  # fmt: skip
