"""Adds the figures of runs, the final cost of purchases, undone runs, and values that fit no CRM field.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns. The cost of a purchase that is already charged is its price."""
    op.add_column("want", sa.Column("already_filled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("want", sa.Column("shown_outcome", sa.String(length=20), nullable=True))
    op.add_column("want", sa.Column("shown_reason", sa.Text(), nullable=False, server_default=""))
    op.add_column("record", sa.Column("stamps_due", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("unlock", sa.Column("charged_credits", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE unlock SET charged_credits = price_credits WHERE state = 'final' AND hold = 'charged'")
    op.create_index("ix_unlock_answers", "unlock", ["provider", "account", "channel", "final_at"], unique=False)
    op.add_column("run", sa.Column("undone_by", sa.String(length=40), nullable=True))
    op.create_table(
        "unusable_value",
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("crm_id", sa.String(length=40), nullable=False),
        sa.Column("unlock_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["unlock_id"], ["unlock.id"], name=op.f("fk_unusable_value_unlock_id")),
        sa.PrimaryKeyConstraint("mapping", "crm_id", "unlock_id", name=op.f("pk_unusable_value")),
    )
