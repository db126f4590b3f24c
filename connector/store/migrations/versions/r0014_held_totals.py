"""Adds the index of the totals of held credits, so that displays of them read no totals of past runs.

Revision 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    is_held = sa.text("scope = 'held'")
    op.create_index("ix_total_held", "running_total", ["provider"], sqlite_where=is_held, postgresql_where=is_held)
