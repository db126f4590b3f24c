"""Adds what retention needs, monthly sums of the entries, and indexes for rows that are few among many.

Revision 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, the column, and the indexes by which old rows are found."""
    op.create_table(
        "monthly_sum",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("month", "mapping", "channel", "outcome", name="pk_monthly_sum"),
    )
    op.create_table(
        "received_value",
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("crm_id", sa.String(length=40), nullable=False),
        sa.Column("purchase_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["purchase_id"], ["purchase.id"], name="fk_received_value_purchase_id"),
        sa.PrimaryKeyConstraint("mapping", "crm_id", "purchase_id", name="pk_received_value"),
    )
    op.create_table(
        "monthly_spend",
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("month", "provider", "mapping", "kind", name="pk_monthly_spend"),
    )
    op.execute(
        "INSERT INTO monthly_spend SELECT substr(budget_day, 1, 7), provider, mapping, kind, sum(credits) FROM entry "
        "GROUP BY 1, 2, 3, 4 HAVING sum(credits) != 0"
    )
    op.add_column("run", sa.Column("condensed_at", sa.BigInteger(), nullable=True))
    _create_partial("ix_run_detailed", "run", ["started_at"], "condensed_at IS NULL")
    _create_partial("ix_record_closed_at", "record", ["closed_at", "id"], "state = 'closed'")
    op.create_index("ix_run_record_record", "run_record", ["record_id"], unique=False)
    cost = ["provider", "channel", "result", "charged_credits", "state"]
    _create_partial("ix_purchase_cost", "purchase", cost, "charged_credits > 0")
    _create_partial("ix_record_channel_parked", "record_channel", ["erase_at"], "parked = 1", "parked")
    _create_partial("ix_record_channel_erase_at", "record_channel", ["erase_at"], "erase_at IS NOT NULL")


def _create_partial(name: str, table: str, columns: list[str], where: str, on_postgres: str = "") -> None:
    op.create_index(
        name, table, columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(on_postgres or where)
    )
