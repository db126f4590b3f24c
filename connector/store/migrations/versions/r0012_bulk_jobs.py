"""Adds jobs of updates that a CRM processes later.

Revision 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and the column that leads from a record to its job."""
    op.create_table(
        "bulk_job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("object", sa.String(length=80), nullable=False),
        sa.Column("crm_job_id", sa.String(length=80)),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bulk_job"),
    )
    op.add_column("record", sa.Column("bulk_job_id", sa.Integer()))
    carried, unfinished = sa.text("bulk_job_id IS NOT NULL"), sa.text("state != 'ended'")
    op.create_index(
        "ix_record_bulk_job_id",
        "record",
        ["bulk_job_id"],
        unique=False,
        sqlite_where=carried,
        postgresql_where=carried,
    )
    op.create_index(
        "ix_bulk_job_mapping",
        "bulk_job",
        ["mapping"],
        unique=False,
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
