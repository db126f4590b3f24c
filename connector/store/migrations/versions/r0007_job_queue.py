"""Adds schedules, requests and next polls to the queue of delegated runs.

Revision 0007, after 0006.
"""

import time
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JOB = sa.table(
    "job",
    *map(sa.column, ("id", "kind", "due_at", "command", "state", "asked_at")),
    sa.column("mappings", sa.JSON),
)
_META = sa.table("meta", sa.column("key"), sa.column("value"))


def upgrade() -> None:
    """Widen the table and insert each mapping's jobs. Schedules continue from their last sync."""
    with op.batch_alter_table("job") as batch:
        batch.alter_column(
            "id", type_=sa.String(length=60), existing_type=sa.String(length=40), existing_nullable=False
        )
        batch.add_column(sa.Column("kind", sa.String(length=10), nullable=False, server_default="run"))
        batch.add_column(sa.Column("due_at", sa.BigInteger()))
        batch.add_column(sa.Column("not_before", sa.BigInteger()))
        batch.add_column(sa.Column("backoff_s", sa.Float()))
        batch.add_column(sa.Column("schedule", sa.String(length=120)))
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE job SET due_at = asked_at"))
    now = time.time_ns() // 1000
    ticks = connection.execute(sa.select(_META.c.key, _META.c.value).where(_META.c.key.like("tick:%"))).all()
    for key, value in ticks:
        last = round(datetime.fromisoformat(value).timestamp() * 1_000_000)
        _stand(connection, "schedule", key.removeprefix("tick:"), last, last)
    for (mapping,) in connection.execute(sa.text("SELECT DISTINCT mapping FROM record WHERE state = 'open'")).all():
        _stand(connection, "poll", mapping, now, now)
    waiting = "SELECT mapping, min(not_before) FROM request_item WHERE state != 'done' GROUP BY mapping"
    for mapping, due in connection.execute(sa.text(waiting)).all():
        _stand(connection, "requests", mapping, due, now)
    connection.execute(sa.delete(_META).where(sa.or_(_META.c.key.like("tick:%"), _META.c.key.like("look:%"))))


def _stand(connection: sa.Connection, kind: str, mapping: str, due_at: int, asked_at: int) -> None:
    row = {"id": f"{kind}:{mapping}", "kind": kind, "mappings": {mapping: ""}, "command": "", "state": "waiting"}
    connection.execute(sa.insert(_JOB).values(**row, due_at=due_at, asked_at=asked_at))
