"""Every table of the ledger, once; the migrations create the same.

Times are UTC. Credits are integers. What could name a person beyond a vendor's own identifier is sealed
(`LargeBinary`) or hashed. Rows of `entry` are only ever added.
"""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from connector.core.spend import Hold
from connector.core.states import ChannelState, ReceiptState, RecordState, RequestItemState
from connector.store.utc_time import UtcTime

Json = sa.JSON(none_as_null=True)
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

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
    Column("mappings", Json, nullable=False, server_default="[]"),  # their names
    Column("state", String(12), nullable=False),  # running | finished | stopped | failed
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("report", Json),  # without personal data
    Column("plan_id", String(40)),  # the frozen plan it applies: all runs of a plan share its ceiling
    Column("undone_by", String(40)),  # the undo run that restored the values it replaced
)
Index(
    "ix_run_plan_id",
    run.c.plan_id,
    sqlite_where=run.c.plan_id.is_not(None),
    postgresql_where=run.c.plan_id.is_not(None),
)

# One flagging of a CRM record, from the selection that saw it until its flag was cleared.
record = Table(
    "record",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("crm", String(40), nullable=False),
    Column("mapping", String(40), nullable=False),
    Column("object", String(80), nullable=False),
    Column("crm_id", String(40), nullable=False),
    Column("former_ids", Text, nullable=False, server_default=""),  # before it was followed; separated by spaces
    Column("state", String(8), nullable=False),  # open | closed
    Column("run_id", String(40), nullable=False),  # the run that last took it up
    Column("plan_id", String(40)),  # the frozen plan that it is part of
    Column("identifiers", Json, nullable=False, server_default="{}"),  # kind -> value, as the record was taken up
    Column("grouping_keys", Json, nullable=False, server_default="{}"),  # kind -> value, such as an event
    Column("resolved", Json, nullable=False, server_default="{}"),  # kind -> value that a provider found, to be stamped
    Column("in_progress", sa.Boolean, nullable=False, default=False),  # this ledger wrote that status word
    # A value was written on its own, and when and whence it came is not written yet.
    Column("stamps_due", sa.Boolean, nullable=False, server_default=sa.false()),
    Column("chosen", sa.Boolean, nullable=False, server_default=sa.false()),  # by a condition or ids, without a flag
    Column("outcome", String(12)),
    Column("reason", Text, nullable=False, default=""),
    Column("attention", Text, nullable=False, default=""),  # what a person should do
    Column("parked_version", String(120)),  # CRM version and mapping digest at which it was parked
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
Index("ix_record_run", record.c.run_id, record.c.state)
Index("ix_record_plan_id", record.c.plan_id)

# One channel requested for a record.
record_channel = Table(
    "record_channel",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("record_id", Integer, sa.ForeignKey("record.id"), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("state", String(10), nullable=False),  # see core/states.py
    Column("position", Integer, nullable=False, default=0),  # which source of the mapping's `from`
    Column("purchase_id", Integer, sa.ForeignKey("purchase.id")),
    Column("outcome", String(12)),
    Column("reason", Text, nullable=False, default=""),
    Column("keep_status", sa.Boolean, nullable=False, default=False),
    # Sources that ended without a value, each as [source, result, reason].
    Column("failed_sources", Json, nullable=False, server_default="[]"),
    Column("baseline", String(64)),  # keyed hash of the field when the purchase was first intended
    Column("parked", sa.Boolean, nullable=False, server_default=sa.false()),  # its value could not be written
    Column("erase_at", UtcTime),  # its parked value was reported, and is erased then
    Column("already_filled", sa.Boolean, nullable=False, server_default=sa.false()),  # skipped for that reason
    Column("shown_outcome", String(20)),  # in the run that last took the record up
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

# One purchase of one channel for one person.
purchase = Table(
    "purchase",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("person_kind", String(40), nullable=False),  # the identifier by which the provider knows the person ...
    Column("person", Text, nullable=False),  # ... and its value
    Column("generation", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("result", String(12)),
    Column("reason", Text, nullable=False, default=""),
    Column("grouping_key", String(100)),  # purchases of one request share it, where the provider groups
    Column("mapping", String(40), nullable=False),  # whose caps it counts against
    Column("run_id", String(40), nullable=False),  # the run that last planned to buy it
    Column("place", Integer, nullable=False, default=0),  # in that run's order: who is served first when a cap ends it
    Column("price_credits", Integer, nullable=False),
    Column("charged_credits", Integer, nullable=False, server_default="0"),  # once it is final: its cost in all
    Column("attempt_id", String(40)),
    Column("task_id", Integer),
    Column(
        "hold", String(10), nullable=False, default=""
    ),  # its share of the hold: open | charged | released | presumed
    Column("free", sa.Boolean, nullable=False, default=False),  # the vendor said that this attempt does not charge it
    Column("resubmitted", Integer, nullable=False, default=0),
    Column("repeat_allowed", sa.Boolean, nullable=False, default=False),  # an operator lets a failed one be repeated
    Column("prior_attempt_id", String(40)),  # a lost attempt whose hold stays until the resubmission is answered
    Column("prior_hold", String(10), nullable=False, server_default=""),  # that attempt's share: open | presumed
    Column("prior_mapping", String(40)),  # whose caps that attempt counts against
    Column("not_before", UtcTime),
    Column("check_at", UtcTime),  # when to read the vendor's own record of the person
    Column("checks", Integer, nullable=False, default=0),
    Column("value", LargeBinary),  # sealed; erased when written or when the undo time ends
    Column("value_hash", String(64)),
    Column("state_at", UtcTime, nullable=False),
    Column("final_at", UtcTime),
    sa.UniqueConstraint(
        "provider", "account", "channel", "person", "generation", "person_kind", name="uq_purchase_generation"
    ),
)
Index("ix_purchase_run", purchase.c.run_id, purchase.c.provider, purchase.c.state, purchase.c.channel, purchase.c.place)
Index("ix_purchase_final_at", purchase.c.final_at)
Index("ix_purchase_answers", purchase.c.provider, purchase.c.account, purchase.c.channel, purchase.c.final_at)
Index("ix_purchase_task", purchase.c.task_id)
Index("ix_purchase_attempt", purchase.c.attempt_id)
Index("ix_purchase_check_at", purchase.c.provider, purchase.c.check_at)
Index(
    "ix_purchase_not_before",
    purchase.c.not_before,
    sqlite_where=purchase.c.not_before.is_not(None),
    postgresql_where=purchase.c.not_before.is_not(None),
)
Index(
    "ix_purchase_hold",
    purchase.c.hold,
    purchase.c.provider,
    purchase.c.account,
    purchase.c.price_credits,
    sqlite_where=purchase.c.hold == Hold.OPEN,
    postgresql_where=purchase.c.hold == Hold.OPEN,
)
Index(
    "ix_purchase_prior",
    purchase.c.prior_attempt_id,
    sqlite_where=purchase.c.prior_attempt_id.is_not(None),
    postgresql_where=purchase.c.prior_attempt_id.is_not(None),
)

# A value that was bought and that the CRM can never take for one record: for that record it counts as no value.
unusable_value = Table(
    "unusable_value",
    metadata,
    Column("mapping", String(40), primary_key=True),
    Column("crm_id", String(40), primary_key=True),
    Column("purchase_id", Integer, sa.ForeignKey("purchase.id"), primary_key=True),
    Column("reason", Text, nullable=False),
)

# One paid request.
attempt = Table(
    "attempt",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("owner", String(80), nullable=False),
    Column("state", String(12), nullable=False),  # submitting | submitted | refused | lost
    Column("size", Integer, nullable=False),
    Column("budget_day", String(10), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("answered_at", UtcTime),
)
Index("ix_attempt_state", attempt.c.state)

# One asynchronous job of a vendor.
task = Table(
    "task",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("provider_task_id", Text, nullable=False),
    Column("attempt_id", String(40), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("state", String(8), nullable=False),  # open | ended
    Column("polls", Integer, nullable=False, default=0),
    Column("submitted_at", UtcTime, nullable=False),
    Column("next_poll_at", UtcTime),
)
Index("ix_task_next_poll_at", task.c.provider, task.c.state, task.c.next_poll_at)

# Credits: append only.
entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("budget_day", String(10), nullable=False),  # the day of the hold, UTC; a later release gives back to it
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("mapping", String(40), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("attempt_id", String(40), nullable=False),
    Column("kind", String(8), nullable=False),  # hold | charge | release
    Column("credits", Integer, nullable=False),
)
Index("ix_entry_provider", entry.c.provider, entry.c.account, entry.c.budget_day)
Index("ix_entry_attempt", entry.c.attempt_id)

# What the vendor said its balance was.
observation = Table(
    "observation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("last_entry", Integer, nullable=False),  # newest entry when the observation began
    Column("balance", sa.BigInteger, nullable=False),
)

# Remembered answers to "who has this identifier?", nobody too.
identity_match = Table(
    "identity_match",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("account", String(80), primary_key=True),
    Column("kind", String(40), primary_key=True),
    Column("value", String(300), primary_key=True),
    Column("matched_kind", String(40)),  # the identifier by which the provider sells; none: it knows nobody
    Column("matched", Text),
    Column("grouping_keys", Json, nullable=False, server_default="[]"),
    Column("at", UtcTime, nullable=False),
)

# What a run wrote to the CRM, for undo and for `show`.
change = Table(
    "change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(40), nullable=False),
    Column("record_id", Integer, nullable=False),
    Column("object", String(80), nullable=False),
    Column("crm_id", String(40), nullable=False),
    Column(
        "fields", Json, nullable=False, server_default="{}"
    ),  # field -> keyed hash of what is written; marked for a status
    Column("before", LargeBinary),  # sealed: field -> value before
    Column("state", String(10), nullable=False),  # intended | written | rejected | undone
    Column("at", UtcTime, nullable=False),
)
Index("ix_change_run", change.c.run_id, change.c.record_id)
Index("ix_change_record", change.c.record_id)

# The outcome of each record that a run selected, as it was when the run ended.
run_record = Table(
    "run_record",
    metadata,
    Column("run_id", String(40), primary_key=True),
    Column("record_id", Integer, primary_key=True),
    Column("outcome", String(12), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attention", Text, nullable=False),
)

rate_limit = Table(
    "rate_limit",
    metadata,
    Column("key", String(120), primary_key=True),
    Column("tat", sa.BigInteger, nullable=False),  # theoretical arrival time, microseconds
    Column("at", UtcTime, nullable=False, server_default="0"),  # when it was written
    Column("per_minute", Integer, nullable=False),
)

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

# A run that one process asks another to make, because that one drives the ledger.
job = Table(
    "job",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("command", String(20), nullable=False),
    Column("mappings", Json, nullable=False, server_default="{}"),  # name -> digest of the file that is meant
    Column("chosen", Json),  # which records, where they are not the flagged ones
    Column("state", String(8), nullable=False),  # waiting | running | done
    Column("progress", Json, nullable=False, server_default="{}"),  # stage, steps and notes so far
    Column("result", Json),  # the run's report, or what went wrong
    Column("asked_at", UtcTime, nullable=False),
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
