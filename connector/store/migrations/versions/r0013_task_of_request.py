"""Adds the index by which a callback and a repeat find the task of a request.

Revision 0013, after 0012.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_task_attempt", "task", ["attempt_id"])
