"""Adds the index by which a callback and a repeat find the task of a request.

Revision 0012, after 0011.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_task_attempt", "task", ["attempt_id"])
