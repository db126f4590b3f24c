"""The view of `connector status`: open work, and the next step for each kind of it."""

from datetime import datetime

from connector.app.older_copy import older_copy_view
from connector.app.past_runs import newest_runs
from connector.app.views import (
    HeldAndCharged,
    LastRun,
    Overdue,
    PurchaseCount,
    PurchaseToDecide,
    StatusView,
    WorkingProcess,
)
from connector.core.ages import TASK_AGE
from connector.core.report import iso
from connector.core.states import AT_PROVIDER, PurchaseState, RequestItemState
from connector.engine.overdue import attention_of
from connector.providers.registry import REGISTRY
from connector.store.ledger import Ledger
from connector.store.operator import OpenPurchase
from connector.store.overdue import Overdue as OverdueWork


def status_of(ledger: Ledger, place: str, now: datetime) -> StatusView:
    """Collect open work, and the next step for each kind of it.

    Args:
        ledger: the ledger to read.
        place: its location, without a password.
        now: the ledger's time.
    """
    counts = ledger.runs.open_counts()
    last = next(iter(newest_runs(ledger, 1)), None)
    requested = ledger.inbox.counts()
    return StatusView(
        ledger=place,
        last_run=None if last is None else LastRun(id=last.id, command=last.command, state=last.state),
        purchases=[
            PurchaseCount(provider=provider, state=state, count=count, next=_what_next(provider, state))
            for (provider, state), count in sorted(counts.purchases.items())
        ],
        needs_a_look=[decision_view(row) for row in ledger.operator.needs_a_look(sent_before=now - TASK_AGE)],
        overdue=[_overdue(one) for one in ledger.overdue.all(now)],
        open_tasks=counts.tasks,
        open_records=counts.records,
        parked_records=counts.parked,
        credits={
            name: HeldAndCharged(held=found.open, charged=found.charged)
            for name, found in sorted(ledger.credits.totals().items())
        },
        older_copy=older_copy_view(ledger),
        requested_records=requested,
        open_requests=sum(count for state, count in requested.items() if state != RequestItemState.DONE),
        workers=[WorkingProcess(kind=one.kind, mappings=sorted(one.mappings)) for one in ledger.workers(now)],
        accounting="; ".join(filter(None, [ledger.credits.open_imbalance(), ledger.runs.unclosed()])),
    )


def decision_view(row: OpenPurchase) -> PurchaseToDecide:
    """A purchase that an operator may have to resolve, and the next step."""
    return PurchaseToDecide(
        purchase_id=row.id,
        provider=row.provider,
        channel=row.channel.value,
        state="parked" if row.parked else row.state.value,
        reason=row.reason,
        since=iso(row.since),
        next=_next_of(row),
    )


def _overdue(one: OverdueWork) -> Overdue:
    words = attention_of(one)
    return Overdue(
        what=one.what.value,
        subject=one.subject,
        count=one.count,
        since=iso(one.since),
        reason=words.reason,
        next=words.next,
    )


def _next_of(row: OpenPurchase) -> str:
    if row.event_id:
        return f"repeat it, which is free: connector events unlock {row.event_id}"
    if row.parked:
        return (
            f"its value is not written yet; to try at once: connector resolve {row.id} --retry-write; "
            f"to do without it: connector resolve {row.id} --give-up"
        )
    if row.unsent:
        return "sent again when a record requests it; otherwise its lost request counts as charged after a day"
    if row.state in AT_PROVIDER:
        return (
            f"the vendor has not finished it; to end the wait: connector resolve {row.id} --give-up (it counts as "
            "charged, and a result that still comes is kept)"
        )
    if row.check_at:
        return f"the vendor is read again at {iso(row.check_at)}"
    return (
        f"needs a manual decision: connector resolve {row.id} --give-up "
        "(or --delivered, or --allow-repeat; see: connector resolve --help)"
    )


def _what_next(provider: str, state: str) -> str:
    if state != PurchaseState.UNKNOWN:
        return "polled by the next sync"
    if provider in REGISTRY and REGISTRY[provider].keeps_records:
        return "the next syncs read the vendor's record of the person; sent again at most once, if nothing was charged"
    return "needs a callback or a manual decision; it is never sent again on its own (at most 1 credit each is at risk)"
