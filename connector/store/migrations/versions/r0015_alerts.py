"""Adds the causes of alerts, and the index of a run's requests.

Revision 0015, after 0014.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the index."""
    op.create_table(
        "alert",
        sa.Column("cause", sa.String(length=300), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("sent_day", sa.String(length=10)),
        sa.Column("over_day", sa.String(length=10)),
        sa.Column("claimed_until", sa.BigInteger()),
        sa.PrimaryKeyConstraint("cause", name="pk_alert"),
    )
    op.create_index("ix_attempt_run", "attempt", ["run_id", "created_at"])
