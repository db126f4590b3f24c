"""Requests of the CRM's automation, the queue of jobs, the processes that work, and callbacks."""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Integer, String, Table, Text

from connector.core.states import ReceiptState, RequestItemState
from connector.store.tables.base import Json, metadata
from connector.store.utc_time import UtcTime

# What the CRM's automation asked for: one request, by its own id or by that of a notification.
request = Table(
    "request",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("digest", String(64), nullable=False),  # of what was asked: the same id with another body is a conflict
    Column("accepted_at", UtcTime, nullable=False),
)
Index("ix_request_accepted_at", request.c.accepted_at)

# One record of a request.
request_item = Table(
    "request_item",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("request_id", String(120), sa.ForeignKey("request.id"), nullable=False),
    Column("mapping", String(40), nullable=False),
    Column("crm_id", String(40), nullable=False),
    Column("state", String(8), nullable=False),  # waiting | working | done
    Column("outcome", String(12), nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
    Column("run_id", String(40)),
    Column("not_before", UtcTime, nullable=False),
)
Index("ix_request_item_request", request_item.c.request_id)
Index(
    "ix_request_item_due",
    request_item.c.mapping,
    request_item.c.not_before,
    sqlite_where=request_item.c.state != RequestItemState.DONE,
    postgresql_where=request_item.c.state != RequestItemState.DONE,
)

# The queue. A delegated run has a row of its own until it is purged; each mapping has at most one standing job of each
# other kind, whose id is the kind and the mapping's name, and whose time is set anew after each turn.
job = Table(
    "job",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("kind", String(10), nullable=False, server_default="run"),  # see core/states.py
    Column("due_at", UtcTime),  # none: it waits for an event
    Column("not_before", UtcTime),  # of polls that brought nothing: they become rarer
    Column("backoff_s", sa.Float),  # the last wait between two such polls
    Column("schedule", String(120)),  # the cron expression that its time was computed from
    Column("command", String(20), nullable=False),
    Column("mappings", Json, nullable=False, server_default="{}"),  # name -> digest of the file that is meant
    Column("chosen", Json),  # which records, where they are not the flagged ones
    Column("state", String(8), nullable=False),  # waiting | running | done
    Column("progress", Json, nullable=False, server_default="{}"),  # stage, steps and notes so far
    Column("result", Json),  # the run's report, or what went wrong
    Column("asked_at", UtcTime, nullable=False),  # of a schedule: when its last sync began
)
Index("ix_job_state", job.c.state)

# A process that does work for others.
worker = Table(
    "worker",
    metadata,
    Column("owner", String(80), primary_key=True),
    Column("kind", String(10), nullable=False),  # serve | worker
    Column("mappings", Json, nullable=False, server_default="{}"),  # name -> digest
    Column("beat_at", UtcTime, nullable=False),
)

# The receipt of a callback about a paid request; it counts for nothing until the vendor's own answer confirms it.
callback_receipt = Table(
    "callback_receipt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("attempt_id", String(40), nullable=False),
    Column("provider_task_id", Text, nullable=False),
    Column("state", String(8), nullable=False),  # waiting | used | refused
    Column("received_at", UtcTime, nullable=False),
    sa.UniqueConstraint("attempt_id", "provider_task_id"),
)
Index(
    "ix_callback_receipt_state",
    callback_receipt.c.state,
    sqlite_where=callback_receipt.c.state == ReceiptState.WAITING,
    postgresql_where=callback_receipt.c.state == ReceiptState.WAITING,
)
