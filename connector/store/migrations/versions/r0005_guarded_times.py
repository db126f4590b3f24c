"""When request permits were written, and an index of postponed purchases.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column and an index."""
    op.add_column("rate_limit", sa.Column("at", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(
        "ix_unlock_not_before",
        "unlock",
        ["not_before"],
        unique=False,
        sqlite_where=sa.text("not_before IS NOT NULL"),
        postgresql_where=sa.text("not_before IS NOT NULL"),
    )
