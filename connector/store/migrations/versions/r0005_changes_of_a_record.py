"""The changes of one record, over all runs, are found by an index.

Revision 0005, after 0004.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_change_record", "change", ["record_id"], unique=False)
