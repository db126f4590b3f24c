"""Every table of the ledger, once; the migrations create the same.

Times are UTC. Credits are integers. What could name a person beyond a vendor's own identifier is sealed
(`LargeBinary`) or hashed. Rows of `entry` are only ever added.
"""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from connector.store.utc_time import UtcTime

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
    Column("mappings", Text, nullable=False),  # JSON list of names
    Column("state", String(12), nullable=False),  # running | finished | stopped | failed
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("report", Text),  # JSON, without personal data
    Column("plan_id", String(40)),  # the frozen plan it applies: all runs of a plan share its ceiling
    Column("undone_by", String(40)),  # the undo run that restored the values it replaced
)
Index(
    "ix_run_plan_id",
    run.c.plan_id,
    sqlite_where=run.c.plan_id.is_not(None),
    postgresql_where=run.c.plan_id.is_not(None),
)

# One flagging of a CRM record, from the pull that saw it until its flag was cleared.
record = Table(
    "record",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mapping", String(40), nullable=False),
    Column("object", String(80), nullable=False),
    Column("crm_id", String(40), nullable=False),
    Column("former_ids", Text, nullable=False, server_default=""),  # before it was followed; separated by spaces
    Column("state", String(8), nullable=False),  # open | closed
    Column("run_id", String(40), nullable=False),  # the run that last took it up
    Column("plan_id", String(40)),  # the frozen plan that it is part of
    Column("personnel_id", String(20)),
    Column("event_id", String(100)),
    Column("linkedin", Text),
    Column("resolved_id", String(20)),  # a personnel id found by LinkedIn, to be stamped
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
    sqlite_where=record.c.state == "open",
    postgresql_where=record.c.state == "open",
)
Index("ix_record_run", record.c.run_id, record.c.state)
Index("ix_record_plan_id", record.c.plan_id)

# One channel wanted for a record.
want = Table(
    "want",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("record_id", Integer, sa.ForeignKey("record.id"), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("state", String(8), nullable=False),  # lookup | open | held | ready | done
    Column("position", Integer, nullable=False, default=0),  # which source of the mapping's `from`
    Column("unlock_id", Integer, sa.ForeignKey("unlock.id")),
    Column("outcome", String(12)),
    Column("reason", Text, nullable=False, default=""),
    Column("keep_status", sa.Boolean, nullable=False, default=False),
    Column("tried", Text, nullable=False, default="[]"),  # JSON: sources that ended without a value
    Column("baseline", String(64)),  # keyed hash of the field when the purchase was first intended
    Column("parked", sa.Boolean, nullable=False, server_default=sa.false()),  # its value could not be written
    Column("erase_at", UtcTime),  # its parked value was reported, and is erased then
    Column("already_filled", sa.Boolean, nullable=False, server_default=sa.false()),  # skipped for that reason
    Column("shown_outcome", String(20)),  # in the run that last took the record up
    Column("shown_reason", Text, nullable=False, server_default=""),
)
Index("ix_want_record", want.c.record_id)
Index("ix_want_unlock", want.c.unlock_id)
Index(
    "ix_want_lookup",
    want.c.state,
    sqlite_where=want.c.state == "lookup",
    postgresql_where=want.c.state == "lookup",
)

# One purchase of one channel for one person.
unlock = Table(
    "unlock",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("person", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", String(12), nullable=False),
    Column("result", String(12)),
    Column("reason", Text, nullable=False, default=""),
    Column("event_id", String(100)),
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
    Column("repeat_allowed", sa.Boolean, nullable=False, default=False),  # an operator lets a failed one be bought anew
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
    sa.UniqueConstraint("provider", "account", "channel", "person", "generation"),
)
Index("ix_unlock_run", unlock.c.run_id, unlock.c.provider, unlock.c.state, unlock.c.channel, unlock.c.place)
Index("ix_unlock_final_at", unlock.c.final_at)
Index("ix_unlock_answers", unlock.c.provider, unlock.c.account, unlock.c.channel, unlock.c.final_at)
Index("ix_unlock_task", unlock.c.task_id)
Index("ix_unlock_attempt", unlock.c.attempt_id)
Index("ix_unlock_check_at", unlock.c.provider, unlock.c.check_at)
Index(
    "ix_unlock_not_before",
    unlock.c.not_before,
    sqlite_where=unlock.c.not_before.is_not(None),
    postgresql_where=unlock.c.not_before.is_not(None),
)
Index(
    "ix_unlock_hold",
    unlock.c.hold,
    unlock.c.provider,
    unlock.c.account,
    unlock.c.price_credits,
    sqlite_where=unlock.c.hold == "open",
    postgresql_where=unlock.c.hold == "open",
)
Index(
    "ix_unlock_prior",
    unlock.c.prior_attempt_id,
    sqlite_where=unlock.c.prior_attempt_id.is_not(None),
    postgresql_where=unlock.c.prior_attempt_id.is_not(None),
)

# A value that was bought and that the CRM can never take for one record: for that record it counts as no value.
unusable_value = Table(
    "unusable_value",
    metadata,
    Column("mapping", String(40), primary_key=True),
    Column("crm_id", String(40), primary_key=True),
    Column("unlock_id", Integer, sa.ForeignKey("unlock.id"), primary_key=True),
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
    Column("vendor_id", Text, nullable=False),
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

# Remembered answers to LinkedIn lookups, 404 too.
lookup = Table(
    "lookup",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("account", String(80), primary_key=True),
    Column("linkedin", String(300), primary_key=True),
    Column("personnel_id", String(20)),
    Column("events", Text, nullable=False),  # JSON list
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
    Column("fields", Text, nullable=False),  # JSON: field -> keyed hash of what is written; marked for a status
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
ask = Table(
    "ask",
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
Index("ix_ask_request", ask.c.request_id)
Index(
    "ix_ask_due",
    ask.c.mapping,
    ask.c.not_before,
    sqlite_where=ask.c.state != "done",
    postgresql_where=ask.c.state != "done",
)

# A run that one process asks another to make, because that one drives the ledger.
job = Table(
    "errand",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("command", String(20), nullable=False),
    Column("mappings", Text, nullable=False),  # JSON: name -> digest of the file that is meant
    Column("chosen", Text),  # JSON: which records, where they are not the flagged ones
    Column("state", String(8), nullable=False),  # waiting | running | done
    Column("progress", Text, nullable=False, default=""),  # JSON: stage, steps and notes so far
    Column("result", Text),  # JSON: the run's report, or what went wrong
    Column("asked_at", UtcTime, nullable=False),
)
Index("ix_errand_state", job.c.state)

# A process that does work for others.
worker = Table(
    "worker",
    metadata,
    Column("owner", String(80), primary_key=True),
    Column("kind", String(10), nullable=False),  # serve | worker
    Column("mappings", Text, nullable=False),  # JSON: name -> digest
    Column("beat_at", UtcTime, nullable=False),
)

# The receipt of a callback about a paid request; it counts for nothing until the vendor's own answer confirms it.
callback_receipt = Table(
    "hint",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("attempt_id", String(40), nullable=False),
    Column("vendor_id", Text, nullable=False),
    Column("state", String(8), nullable=False),  # waiting | used | refused
    Column("received_at", UtcTime, nullable=False),
    sa.UniqueConstraint("attempt_id", "vendor_id"),
)
Index(
    "ix_hint_state",
    callback_receipt.c.state,
    sqlite_where=callback_receipt.c.state == "waiting",
    postgresql_where=callback_receipt.c.state == "waiting",
)
