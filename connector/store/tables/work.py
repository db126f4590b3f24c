"""Requests of the CRM's automation, the queue of jobs, the workers, and callback receipts."""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Integer, String, Table, Text

from connector.core.states import ReceiptState, RequestItemState
from connector.store.tables.base import Json, metadata
from connector.store.utc_time import UtcTime

# A request of the CRM's automation, with its own id or that of a notification.
request = Table(
    "request",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("digest", String(64), nullable=False),  # of the body: the same id with another body is a conflict
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

# The queue. A delegated run has its own row until it is purged. Each mapping has at most one standing job of each other
# kind; its id is the kind and the mapping's name, and its time is set again after each execution.
job = Table(
    "job",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("kind", String(10), nullable=False, server_default="run"),  # see core/states.py
    Column("due_at", UtcTime),  # NULL while it waits for an event
    Column("not_before", UtcTime),  # the earliest next poll after polls without a result
    Column("backoff_s", sa.Float),  # the last wait after such a poll
    Column("schedule", String(120)),  # the cron expression from which `due_at` was computed
    Column("command", String(20), nullable=False),
    Column("mappings", Json, nullable=False, server_default="{}"),  # name -> digest of the mapping file
    Column("chosen", Json),  # the selected records; NULL for the flagged ones
    Column("state", String(8), nullable=False),  # waiting | running | done
    Column("progress", Json, nullable=False, server_default="{}"),  # stage, steps and notes so far
    Column("result", Json),  # the run's report, or its error
    Column("asked_at", UtcTime, nullable=False),  # when it was queued; for a schedule, when its last sync began
)
Index("ix_job_state", job.c.state)

# A process that works on queued jobs.
worker = Table(
    "worker",
    metadata,
    Column("owner", String(80), primary_key=True),
    Column("kind", String(10), nullable=False),  # serve | worker
    Column("mappings", Json, nullable=False, server_default="{}"),  # name -> digest
    Column("beat_at", UtcTime, nullable=False),
)

# A cause of alerts. It stays after its end, so that it is not announced again on the same day.
alert = Table(
    "alert",
    metadata,
    Column("cause", String(300), primary_key=True),
    Column("title", Text, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("is_open", sa.Boolean, nullable=False),
    Column("sent_day", String(10)),  # of the last message that it holds
    Column("over_day", String(10)),  # of the last message that it is over
    Column("claimed_until", UtcTime),  # a process sends a message
)

# The receipt of a callback about a paid request; it has no effect until the vendor's own answer confirms it.
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
