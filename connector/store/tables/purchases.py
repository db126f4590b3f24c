"""Purchases, their requests and tasks, credit entries, observed balances, and identity matches."""

import sqlalchemy as sa
from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from connector.core.states import PurchaseState, TaskState
from connector.store.tables.base import Json, metadata
from connector.store.utc_time import UtcTime

# The purchase of one channel for one person.
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
    Column("grouping_key", String(100)),  # the same for all purchases of a request, if the provider groups people
    Column("mapping", String(40), nullable=False),  # the mapping whose caps it counts against
    Column("run_id", String(40), nullable=False),  # the run that last planned it
    Column("place", Integer, nullable=False, default=0),  # in that run's order of purchases
    Column("tried_in", String(40)),  # the run that changed its group, or read its value again; once a run
    Column("price_credits", Integer, nullable=False),
    Column("charged_credits", Integer, nullable=False, server_default="0"),  # the total cost of a final purchase
    Column("attempt_id", String(40)),
    Column("task_id", Integer),
    # Its share of the hold: open | charged | released | presumed.
    Column("hold", String(10), nullable=False, default=""),
    Column("free", sa.Boolean, nullable=False, default=False),  # the vendor reported no charge for this attempt
    Column("resubmitted", Integer, nullable=False, default=0),
    Column("repeat_allowed", sa.Boolean, nullable=False, default=False),  # an operator allows to repeat a failed one
    Column("prior_attempt_id", String(40)),  # a lost attempt whose hold stays until the resubmission is answered
    Column("prior_hold", String(10), nullable=False, server_default=""),  # that attempt's share: open | presumed
    Column("prior_mapping", String(40)),  # the mapping whose caps that attempt counts against
    Column("not_before", UtcTime),
    Column("check_at", UtcTime),  # when to read the vendor's own record of the person
    Column("checks", Integer, nullable=False, default=0),
    Column("value", LargeBinary),  # sealed; erased after the write, or when the undo time ends
    Column("value_hash", String(64)),
    Column("state_at", UtcTime, nullable=False),
    Column("final_at", UtcTime),
    sa.UniqueConstraint(
        "provider", "account", "channel", "person", "generation", "person_kind", name="uq_purchase_generation"
    ),
)
_IS_PLANNED = purchase.c.state == PurchaseState.PLANNED
Index(
    "ix_purchase_planned",
    purchase.c.run_id,
    purchase.c.provider,
    purchase.c.channel,
    purchase.c.grouping_key,
    purchase.c.place,
    sqlite_where=_IS_PLANNED,
    postgresql_where=_IS_PLANNED,
)
Index("ix_purchase_answers", purchase.c.provider, purchase.c.account, purchase.c.channel, purchase.c.final_at)
Index("ix_purchase_task", purchase.c.task_id)
Index(
    "ix_purchase_cost",  # for the cost of delivered values
    purchase.c.provider,
    purchase.c.channel,
    purchase.c.result,
    purchase.c.charged_credits,
    purchase.c.state,
    sqlite_where=purchase.c.charged_credits > 0,
    postgresql_where=purchase.c.charged_credits > 0,
)
Index("ix_purchase_attempt", purchase.c.attempt_id)
Index(
    "ix_purchase_check_at",
    purchase.c.provider,
    purchase.c.check_at,
    sqlite_where=purchase.c.check_at.is_not(None),
    postgresql_where=purchase.c.check_at.is_not(None),
)
# The conditions of some partial indexes, for queries in the same form: no other form would use the index.
IS_PLANNED: sa.ColumnElement[bool] = sa.literal_column("purchase.state = 'planned'")
IS_SENT: sa.ColumnElement[bool] = sa.literal_column("purchase.state IN ('submitting', 'submitted', 'unknown')")
HELD_FOR_NOTHING: sa.ColumnElement[bool] = sa.literal_column(
    "purchase.hold = 'open' AND purchase.state IN ('planned', 'final')"
)
HELD_AND_FREE: sa.ColumnElement[bool] = sa.literal_column("purchase.hold = 'open' AND purchase.free")
_SENT = sa.text("state IN ('submitting', 'submitted', 'unknown')")
Index("ix_purchase_sent", purchase.c.provider, purchase.c.state, sqlite_where=_SENT, postgresql_where=_SENT)
Index(
    "ix_purchase_value",
    purchase.c.id,
    sqlite_where=purchase.c.value.is_not(None),
    postgresql_where=purchase.c.value.is_not(None),
)
Index(
    "ix_purchase_not_before",
    purchase.c.not_before,
    sqlite_where=purchase.c.not_before.is_not(None),
    postgresql_where=purchase.c.not_before.is_not(None),
)
# Both conditions are rare, so these indexes are nearly empty.
_FOR_NOTHING = sa.text("hold = 'open' AND state IN ('planned', 'final')")
_FREE = sa.text("hold = 'open' AND free")
Index("ix_purchase_held_for_nothing", purchase.c.id, sqlite_where=_FOR_NOTHING, postgresql_where=_FOR_NOTHING)
Index("ix_purchase_held_and_free", purchase.c.provider, sqlite_where=_FREE, postgresql_where=_FREE)
Index(
    "ix_purchase_prior",
    purchase.c.prior_attempt_id,
    sqlite_where=purchase.c.prior_attempt_id.is_not(None),
    postgresql_where=purchase.c.prior_attempt_id.is_not(None),
)

# A bought value that the CRM can never accept for one record; for that record it counts as no value.
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
Index("ix_attempt_run", attempt.c.run_id, attempt.c.created_at)  # for the page of a run

# The vendor's asynchronous job for one request.
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
    Column("polled_by", String(40)),  # the later run that polled it, once
)
Index("ix_task_attempt", task.c.attempt_id)
_IS_OPEN = task.c.state == TaskState.OPEN
Index(
    "ix_task_unpolled",
    task.c.provider,
    task.c.polled_by,
    task.c.next_poll_at,
    sqlite_where=_IS_OPEN,
    postgresql_where=_IS_OPEN,
)
Index("ix_task_open", task.c.provider, task.c.next_poll_at, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)

# Credits: append only.
entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("budget_day", String(10), nullable=False),  # the UTC day of the hold; a later release counts on the same day
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("mapping", String(40), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("attempt_id", String(40), nullable=False),
    Column("kind", String(8), nullable=False),  # hold | charge | release
    Column("credits", Integer, nullable=False),
)
Index("ix_entry_attempt", entry.c.attempt_id)
Index("ix_entry_newest", entry.c.provider, entry.c.account, entry.c.id)

# Sums of the entries by scope (`store/totals.py`), changed by the transaction that appends an entry.
running_total = Table(
    "running_total",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("account", String(80), primary_key=True),
    Column("scope", String(60), primary_key=True),
    Column("mapping", String(40), primary_key=True),
    Column("credits", sa.BigInteger, nullable=False),
    Column("checked", sa.BigInteger, nullable=False, server_default="0"),  # the credits when it was last checked
)
_IS_HELD = running_total.c.scope == "held"
Index("ix_total_held", running_total.c.provider, sqlite_where=_IS_HELD, postgresql_where=_IS_HELD)
CHANGED_SINCE_CHECK: sa.ColumnElement[bool] = sa.literal_column("running_total.credits != running_total.checked")
_CHANGED = sa.text("credits != checked")
Index("ix_running_total_changed", running_total.c.scope, sqlite_where=_CHANGED, postgresql_where=_CHANGED)

# Sums of the entries for the figures that commands show (`store/monthly_spend.py`).
monthly_spend = Table(
    "monthly_spend",
    metadata,
    Column("month", String(7), primary_key=True),
    Column("provider", String(40), primary_key=True),
    Column("mapping", String(40), primary_key=True),
    Column("kind", String(8), primary_key=True),  # hold | charge | release
    Column("credits", sa.BigInteger, nullable=False),
)

# A balance as the vendor reported it.
observation = Table(
    "observation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider", String(40), nullable=False),
    Column("account", String(80), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("began_at", UtcTime, nullable=False),
    Column("last_entry", Integer, nullable=False),  # the newest entry when the observation began
    Column("balance", sa.BigInteger, nullable=False),
)

# The answers to the question who has an identifier, including "no match".
identity_match = Table(
    "identity_match",
    metadata,
    Column("provider", String(40), primary_key=True),
    Column("account", String(80), primary_key=True),
    Column("kind", String(40), primary_key=True),
    Column("value", String(300), primary_key=True),
    Column("matched_kind", String(40)),  # of the identifier by which the provider sells; NULL if there is no match
    Column("matched", Text),
    Column("grouping_keys", Json, nullable=False, server_default="[]"),
    Column("at", UtcTime, nullable=False),
)

rate_limit = Table(
    "rate_limit",
    metadata,
    Column("key", String(120), primary_key=True),
    Column("tat", sa.BigInteger, nullable=False),  # the theoretical arrival time, in microseconds since the epoch
    Column("at", UtcTime, nullable=False, server_default="0"),  # when `tat` was written
    Column("per_minute", Integer, nullable=False),
    Column("sent", sa.BigInteger, nullable=False, server_default="0"),  # all permits since the row was made
)
