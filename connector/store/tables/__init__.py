"""The tables of the ledger; the migrations create the same tables.

Times are UTC. Credits are integers. Personal data other than a vendor's identifier is sealed (`LargeBinary`) or hashed.
Rows of `entry` are only appended.
"""

from connector.store.tables.base import metadata
from connector.store.tables.purchases import (
    attempt,
    entry,
    identity_match,
    monthly_spend,
    observation,
    purchase,
    rate_limit,
    running_total,
    task,
    unusable_value,
)
from connector.store.tables.records import (
    bulk_job,
    change,
    meta,
    monthly_sum,
    received_value,
    record,
    record_channel,
    run,
    run_record,
)
from connector.store.tables.work import alert, callback_receipt, job, request, request_item, worker

__all__ = [
    "alert",
    "attempt",
    "bulk_job",
    "callback_receipt",
    "change",
    "entry",
    "identity_match",
    "job",
    "meta",
    "metadata",
    "monthly_spend",
    "monthly_sum",
    "observation",
    "purchase",
    "rate_limit",
    "received_value",
    "record",
    "record_channel",
    "request",
    "request_item",
    "run",
    "run_record",
    "running_total",
    "task",
    "unusable_value",
    "worker",
]
