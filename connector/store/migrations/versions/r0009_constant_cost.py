"""Adds columns that say which records a run still has to write, and indexes of open work only.

Before, a run kept these records in memory, and some queries read all records of a run or all purchases of the ledger.

Revision 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_DROPPED = {
    "ix_purchase_run": "purchase",
    "ix_purchase_final_at": "purchase",
    "ix_purchase_check_at": "purchase",
    "ix_purchase_hold": "purchase",
    "ix_task_next_poll_at": "task",
    "ix_entry_provider": "entry",
    "ix_record_run": "record",
    "ix_record_plan_id": "record",
    "ix_change_run": "change",
}
_PARTIAL = {
    "ix_purchase_planned": (
        "purchase",
        ["run_id", "provider", "channel", "grouping_key", "place"],
        "state = 'planned'",
    ),
    "ix_purchase_check_at": ("purchase", ["provider", "check_at"], "check_at IS NOT NULL"),
    "ix_purchase_sent": ("purchase", ["provider", "state"], "state IN ('submitting', 'submitted', 'unknown')"),
    "ix_purchase_value": ("purchase", ["id"], "value IS NOT NULL"),
    "ix_purchase_held_for_nothing": ("purchase", ["id"], "hold = 'open' AND state IN ('planned', 'final')"),
    "ix_purchase_held_and_free": ("purchase", ["provider"], "hold = 'open' AND free"),
    "ix_task_open": ("task", ["provider", "next_poll_at"], "state = 'open'"),
    "ix_record_due": ("record", ["run_id", "mapping", "id"], "due"),
    "ix_record_plan_id": ("record", ["plan_id"], "plan_id IS NOT NULL"),
    "ix_running_total_changed": ("running_total", ["scope"], "credits != checked"),
    "ix_change_before": ("change", ["at"], '"before" IS NOT NULL'),
}
_COUNTS = (
    "SELECT run_record.run_id, record.mapping, count(*) FROM run_record "
    "JOIN record ON record.id = run_record.record_id GROUP BY run_record.run_id, record.mapping"
)


def upgrade() -> None:
    """Add the columns, replace the indexes, and count the records of earlier runs."""
    op.add_column("record", sa.Column("selected_by", sa.String(length=40)))
    op.add_column("record", sa.Column("tried_by", sa.String(length=40)))
    op.add_column("record", sa.Column("due", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("record", sa.Column("field_refused", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("run", sa.Column("selected", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("task", sa.Column("polled_by", sa.String(length=40)))
    op.add_column("purchase", sa.Column("tried_in", sa.String(length=40)))
    op.add_column("running_total", sa.Column("checked", sa.BigInteger(), nullable=False, server_default="0"))
    for name, table in _DROPPED.items():
        op.drop_index(name, table)
    op.create_index("ix_record_run", "record", ["run_id", "state", "mapping", "id"], unique=False)
    op.create_index("ix_run_started_at", "run", ["started_at", "id"], unique=False)
    op.create_index("ix_change_run", "change", ["run_id", "object", "crm_id"], unique=False)
    for name, (table, columns, condition) in _PARTIAL.items():
        where = sa.text(condition)
        op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)
    _count_records()
    op.execute("UPDATE running_total SET checked = credits")
    op.execute("INSERT INTO meta SELECT 'totals_checked', coalesce(max(id), 0) FROM entry")


def _count_records() -> None:
    connection = op.get_bind()
    counts: dict[str, dict[str, int]] = {}
    for run_id, mapping, count in connection.execute(sa.text(_COUNTS)):
        counts.setdefault(run_id, {})[mapping] = count
    run = sa.table("run", sa.column("id"), sa.column("selected", sa.JSON))
    for run_id, selected in counts.items():
        connection.execute(sa.update(run).where(run.c.id == run_id).values(selected=selected))
