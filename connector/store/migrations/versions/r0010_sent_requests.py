"""Adds the number of requests sent under each vendor key, which displays show beside the allowed rate.

Revision 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; requests are counted from now on."""
    with op.batch_alter_table("rate_limit") as batch:
        batch.add_column(sa.Column("sent", sa.BigInteger(), nullable=False, server_default="0"))
