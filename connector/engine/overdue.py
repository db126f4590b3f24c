"""Reports work that has waited too long, with the command that ends the wait."""

from datetime import datetime, timedelta
from typing import assert_never

from connector.core.ages import PARKED_NOTICE
from connector.core.model import Attention
from connector.engine.context import Run
from connector.store.overdue import Overdue, Waiting


def attention_of(found: Overdue) -> Attention:
    """Describe overdue work, with the command that ends the wait."""
    since, count, name = f"{found.since:%Y-%m-%d %H:%M} UTC", found.count, found.subject
    match found.what:
        case Waiting.RECORDS:
            return Attention(
                f"{count} open record(s) of mapping {name} were last selected on {since}: no run covers the mapping",
                f"connector sync -m {name}; if the mapping is no longer used: connector release {name}",
            )
        case Waiting.PURCHASES:
            return Attention(
                f"{count} purchase(s) of {name} have no result, the oldest since {since}",
                f"check it in {name}'s own application; to end the wait: connector resolve {found.example} --give-up "
                "(connector status lists all)",
            )
        case Waiting.REQUESTS:
            return Attention(
                f"{count} requested record(s) of mapping {name} are due since {since}, and no process takes them",
                f"connector serve -m {name} (embedded ledger) or connector worker -m {name} (PostgreSQL)",
            )
        case Waiting.RUNS:
            return Attention(
                f"{count} queued run(s) ({name}) wait since {since}, and no process takes them",
                "start connector serve or connector worker with their mappings",
            )
        case Waiting.PARKED:
            return Attention(
                f"{count} parked value(s) of mapping {name} could not be written and are erased from {since} on",
                f"correct the record or the field, then: connector resolve {found.example} --retry-write "
                "(connector status lists all)",
            )
        case _:
            assert_never(found.what)


def end_parked(run: Run) -> None:
    """Erase parked values whose erasure an earlier run announced, and announce the erasure of old ones."""
    overdue, days = run.services.ledger.overdue, run.services.undo_days
    reason = f"paid for, but it could not be written within {days + PARKED_NOTICE.days} days; the value was erased"
    for value in overdue.erase_parked(run.now(), reason):
        advice = "correct the record, then flag it again: the vendor's record is read again at no cost"
        run.call_attention(Attention(f"purchase {value.purchase_id}: {reason}", advice, value.crm_id), is_stored=False)
    ends = f"{run.now() + PARKED_NOTICE:%Y-%m-%d}"
    for value in overdue.announce(run.now(), timedelta(days=days)):
        text = f"purchase {value.purchase_id}: its value could not be written for {days} days; it is erased on {ends}"
        advice = (
            f"correct the record, then: connector resolve {value.purchase_id} --retry-write; to give it up: "
            f"connector resolve {value.purchase_id} --give-up"
        )
        run.call_attention(Attention(text, advice, value.crm_id), is_stored=False)


def purge_requests(run: Run) -> None:
    """Delete old requests, and report the requested records that were given up."""
    given_up = run.services.ledger.inbox.purge(run.now())
    if given_up:
        run.attention.append(
            Attention(
                f"{given_up} requested record(s) were given up: nothing was bought within a week", "request them again"
            )
        )


def still_waiting(run: Run, now: datetime) -> list[Attention]:
    """Describe overdue work at the end of a run; parked values have entries of their own."""
    return [attention_of(one) for one in run.services.ledger.overdue.all(now) if one.what is not Waiting.PARKED]
