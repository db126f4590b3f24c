"""Runs, their records, and their writes to the CRM."""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from connector.core.states import BulkJobState, ChannelState, RecordState
from connector.store.tables.base import Json, metadata
from connector.store.utc_time import UtcTime

meta = Table(
    "meta",
    metadata,
    Column("key", String(60), primary_key=True),
    Column("value", Text, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("command", String(20), nullable=False),
    Column("mappings", Json, nullable=False, server_default="[]"),  # names
    Column("state", String(12), nullable=False),  # running | finished | stopped | failed
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("selected", Json, nullable=False, server_default="{}"),  # mapping -> number of records
    Column("report", Json),  # without personal data
    Column("plan_id", String(40)),  # the frozen plan that it applies; all runs of a plan share its ceiling
    Column("undone_by", String(40)),  # the run that undid it
    Column("condensed_at", UtcTime),  # when its details were condensed; its report keeps the sums
)
Index("ix_run_started_at", run.c.started_at, run.c.id)
Index(
    "ix_run_detailed",
    run.c.started_at,
    sqlite_where=run.c.condensed_at.is_(None),
    postgresql_where=run.c.condensed_at.is_(None),
)
Index(
    "ix_run_plan_id",
    run.c.plan_id,
    sqlite_where=run.c.plan_id.is_not(None),
    postgresql_where=run.c.plan_id.is_not(None),
)

# One enrichment of a CRM record, from its selection until its flag is cleared.
record = Table(
    "record",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("crm", String(40), nullable=False),
    Column("mapping", String(40), nullable=False),
    Column("object", String(80), nullable=False),
    Column("crm_id", String(40), nullable=False),
    Column("former_ids", Text, nullable=False, server_default=""),  # before a conversion or merge; separated by spaces
    Column("state", String(8), nullable=False),  # open | closed
    Column("run_id", String(40), nullable=False),  # the run that last selected or adopted it
    Column("selected_by", String(40)),  # the run that last selected it, by its flag or by choice
    Column("tried_by", String(40)),  # the run that last tried to write it, or found that it cannot be written yet
    Column("plan_id", String(40)),  # the frozen plan that it belongs to
    Column("identifiers", Json, nullable=False, server_default="{}"),  # kind -> value, as the record was read
    Column("grouping_keys", Json, nullable=False, server_default="{}"),  # kind -> value, such as an event
    Column("resolved", Json, nullable=False, server_default="{}"),  # kind -> value that a provider found, to be stamped
    Column("in_progress", sa.Boolean, nullable=False, default=False),  # this ledger wrote the status "in progress"
    Column("due", sa.Boolean, nullable=False, server_default=sa.false()),  # to be written: no channel is unfinished
    Column(
        "field_refused", sa.Boolean, nullable=False, server_default=sa.false()
    ),  # the CRM refused a field in the end
    Column("bulk_job_id", Integer),  # the job that carries, or carried, its last update in this run
    # A value was written on its own, and its stamps (time and source) are not written yet.
    Column("stamps_due", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("chosen", sa.Boolean, nullable=False, server_default=sa.false()),  # by a condition or ids, without a flag
    Column("outcome", String(12)),
    Column("reason", Text, nullable=False, default=""),
    Column("attention", Text, nullable=False, default=""),  # the advice to a person
    Column("parked_version", String(120)),  # the CRM version and mapping digest when it was parked
    Column("opened_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
)
Index("ix_record_crm_id", record.c.crm_id, record.c.mapping)
Index(
    "uq_record_open",
    record.c.mapping,
    record.c.crm_id,
    unique=True,
    sqlite_where=record.c.state == RecordState.OPEN,
    postgresql_where=record.c.state == RecordState.OPEN,
)
Index("ix_record_run", record.c.run_id, record.c.state, record.c.mapping, record.c.id)
Index(
    "ix_record_due",
    record.c.run_id,
    record.c.mapping,
    record.c.id,
    sqlite_where=record.c.due,
    postgresql_where=record.c.due,
)
Index(
    "ix_record_plan_id",
    record.c.plan_id,
    sqlite_where=record.c.plan_id.is_not(None),
    postgresql_where=record.c.plan_id.is_not(None),
)
Index(
    "ix_record_closed_at",
    record.c.closed_at,
    record.c.id,
    sqlite_where=record.c.state == RecordState.CLOSED,
    postgresql_where=record.c.state == RecordState.CLOSED,
)

Index(
    "ix_record_bulk_job_id",
    record.c.bulk_job_id,
    sqlite_where=record.c.bulk_job_id.is_not(None),
    postgresql_where=record.c.bulk_job_id.is_not(None),
)

# A job of updates that a CRM processes later.
bulk_job = Table(
    "bulk_job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(40), nullable=False),
    Column("mapping", String(40), nullable=False),
    Column("object", String(80), nullable=False),
    Column("crm_job_id", String(80)),
    Column("state", String(8), nullable=False),  # planned | created | ended
    Column("size", Integer, nullable=False),  # records
    Column("at", UtcTime, nullable=False),
)
_IS_UNFINISHED = bulk_job.c.state != BulkJobState.ENDED
Index("ix_bulk_job_mapping", bulk_job.c.mapping, sqlite_where=_IS_UNFINISHED, postgresql_where=_IS_UNFINISHED)

# One channel requested for a record.
record_channel = Table(
    "record_channel",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("record_id", Integer, sa.ForeignKey("record.id"), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("state", String(10), nullable=False),  # see core/states.py
    Column("position", Integer, nullable=False, default=0),  # the index of the source in the mapping's `from`
    Column("purchase_id", Integer, sa.ForeignKey("purchase.id")),
    Column("outcome", String(12)),
    Column("reason", Text, nullable=False, default=""),
    Column("keep_status", sa.Boolean, nullable=False, default=False),
    # Sources that ended without a value, each as [source, result, reason].
    Column("failed_sources", Json, nullable=False, server_default="[]"),
    Column("baseline", String(64)),  # the keyed hash of the field when the purchase was first planned
    Column("parked", sa.Boolean, nullable=False, server_default=sa.false()),  # its value could not be written
    Column("erase_at", UtcTime),  # when its parked value, which has been reported, is erased
    Column("already_filled", sa.Boolean, nullable=False, server_default=sa.false()),  # skipped for that reason
    Column("shown_outcome", String(20)),  # in the run that last selected or adopted the record
    Column("shown_reason", Text, nullable=False, server_default=""),
)
Index("ix_record_channel_record", record_channel.c.record_id)
Index("ix_record_channel_purchase", record_channel.c.purchase_id)
Index(
    "ix_record_channel_resolving",
    record_channel.c.state,
    sqlite_where=record_channel.c.state == ChannelState.RESOLVING,
    postgresql_where=record_channel.c.state == ChannelState.RESOLVING,
)
Index(
    "ix_record_channel_parked",
    record_channel.c.erase_at,
    sqlite_where=sa.text("parked = 1"),  # as SQLite's statements have it
    postgresql_where=record_channel.c.parked,
)
Index(
    "ix_record_channel_erase_at",
    record_channel.c.erase_at,
    sqlite_where=record_channel.c.erase_at.is_not(None),
    postgresql_where=record_channel.c.erase_at.is_not(None),
)

# A write of a run to one CRM record, for undo and for `show`.
change = Table(
    "change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(40), nullable=False),
    Column("record_id", Integer, nullable=False),
    Column("object", String(80), nullable=False),
    Column("crm_id", String(40), nullable=False),
    # field -> keyed hash of the written value, with a prefix for status fields
    Column("fields", Json, nullable=False, server_default="{}"),
    Column("before", LargeBinary),  # sealed: field -> value before
    Column("state", String(10), nullable=False),  # intended | written | rejected | undone
    Column("at", UtcTime, nullable=False),
)
Index("ix_change_run", change.c.run_id, change.c.object, change.c.crm_id)
Index("ix_change_record", change.c.record_id)
Index(
    "ix_change_before",
    change.c.at,
    sqlite_where=change.c.before.is_not(None),
    postgresql_where=change.c.before.is_not(None),
)

# The outcome of a record when a run ended.
run_record = Table(
    "run_record",
    metadata,
    Column("run_id", String(40), primary_key=True),
    Column("record_id", Integer, primary_key=True),
    Column("outcome", String(12), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attention", Text, nullable=False),
)
Index("ix_run_record_record", run_record.c.record_id)

# Condensed records (`store/retention.py`), by the month in which they were closed.
monthly_sum = Table(
    "monthly_sum",
    metadata,
    Column("month", String(7), primary_key=True),
    Column("mapping", String(40), primary_key=True),
    Column("channel", String(20), primary_key=True),  # empty for whole records
    Column("outcome", String(12), primary_key=True),  # empty for records that were closed without one
    Column("count", Integer, nullable=False),
)

# The purchases whose value a condensed record has received: it is not written to the record again.
received_value = Table(
    "received_value",
    metadata,
    Column("mapping", String(40), primary_key=True),
    Column("crm_id", String(40), primary_key=True),
    Column("purchase_id", Integer, sa.ForeignKey("purchase.id"), primary_key=True),
)
