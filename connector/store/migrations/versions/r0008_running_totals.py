"""Adds running totals of the entries, and an index for the entries after an observation.

Revision 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_USED = "CASE kind WHEN 'hold' THEN credits WHEN 'release' THEN -credits ELSE 0 END"
_OPEN = "CASE kind WHEN 'hold' THEN credits ELSE -credits END"


def upgrade() -> None:
    """Create the table and compute the totals from the entries."""
    op.create_table(
        "running_total",
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("account", sa.String(length=80), nullable=False),
        sa.Column("scope", sa.String(length=60), nullable=False),
        sa.Column("mapping", sa.String(length=40), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "account", "scope", "mapping", name="pk_running_total"),
    )
    op.create_index("ix_entry_newest", "entry", ["provider", "account", "id"], unique=False)
    scopes = {
        "'held'": _OPEN,
        "'day:' || budget_day": _USED,
        "'month:' || substr(budget_day, 1, 7)": _USED,
        "'run:' || run_id": _USED,
    }
    for scope, credits_ in scopes.items():
        op.execute(
            f"INSERT INTO running_total SELECT provider, account, {scope}, mapping, sum({credits_}) FROM entry "  # noqa: S608
            f"GROUP BY 1, 2, 3, 4 HAVING sum({credits_}) != 0"
        )
