"""Adds the indexes of the task of a request, and of open tasks that no later run has polled.

Revision 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the indexes."""
    op.create_index("ix_task_attempt", "task", ["attempt_id"])
    columns, is_open = ["provider", "polled_by", "next_poll_at"], sa.text("state = 'open'")
    op.create_index("ix_task_unpolled", "task", columns, sqlite_where=is_open, postgresql_where=is_open)
