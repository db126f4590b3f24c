"""A ledger that was restored from an older copy: noticed by two signs, then nobody is bought who was not read first.

The first sign is a mark outside the database; the second is a stamp in the CRM that is newer than anything this ledger
has done. Purchases that the copy does not know of are found by reading the vendor's own record of each person, which is
free. Their cost is seen in the vendor's balance, and counts against the caps of the day on which it is noticed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from connector.core.mapping import MappingFile
from connector.core.model import Attention, CrmRecord
from connector.engine.context import Run
from connector.store.credits import Payer, budget_day
from connector.store.restored import Restored, Unseen

BY_MARK = "it lacks a purchase that this machine has sent"
BY_STAMP = "the CRM shows stamps newer than this ledger's last run"
TRUST = "connector ledger trust"
CLOCKS_DIFFER = timedelta(minutes=10)  # a stamp so much newer than the last run was written by another ledger


def notice(run: Run) -> None:
    """Look at the mark, and hold back what an older copy must not buy."""
    ledger = run.parts.ledger
    if ledger.mark.is_missing_in(ledger.database):
        begin(run, BY_MARK)
        ledger.mark.reset(ledger.database)
    follow(run)


def follow(run: Run) -> None:
    """Hold back what an older copy must not buy, where it was noticed earlier."""
    state = run.parts.ledger.restored.state()
    if state is not None:
        _hold_back(run, state)


def notice_stamp(run: Run, mapping: MappingFile, page: Sequence[CrmRecord]) -> None:
    """Compare the stamps of a page of records with the ledger's last run before this one."""
    last, field_name = run.last_activity, mapping.stamp.enriched_at
    if last is None or field_name is None or run.is_older_copy:
        return
    if any(stamp > last + CLOCKS_DIFFER for record in page if (stamp := _moment(record, field_name))):
        begin(run, BY_STAMP)
        follow(run)


def begin(run: Run, sign: str) -> None:
    """Keep in the ledger that it is an older copy, and say so."""
    ledger, credits_ = run.parts.ledger, run.parts.ledger.credits
    unseen = [_unseen(run, name, balances["before"]) for name, balances in run.balances.items()]
    ledger.restored.begin(Restored(run.now(), sign), unseen, run.now())
    for one in unseen:  # their balances were read before this was noticed, and show the charges already
        balance = run.balances[one.payer.provider]["before"]
        credits_.observe(one.payer.provider, one.payer.account, run.id, balance, run.now(), credits_.newest_entry())
    text = (
        f"this ledger is an older copy, such as a restored backup: {sign}. Each person is read at the vendor before a "
        "purchase; where a vendor keeps no record of people, nothing is bought"
    )
    run.parts.progress.note(text)
    next_step = f"use the newest ledger if you still have it; to buy from this one without reading first: {TRUST}"
    run.attention.append(Attention(text, next_step))


def count_unseen_charges(run: Run, provider: str, balance: int) -> bool:
    """Count what the vendor has charged since the copy against the caps of today, once; whether there was anything.

    Args:
        run: the run.
        provider: the vendor.
        balance: its balance, as this run has observed it.
    """
    state = run.parts.ledger.restored.state() if run.is_older_copy else None
    if state is None or provider in state.counted:
        return False
    unseen = _unseen(run, provider, balance)
    run.parts.ledger.restored.count(unseen, run.now())
    if unseen.credits:
        text = f"{unseen.credits:,} credits that {provider} charged since the copy count against today's caps"
        run.parts.progress.note(text)
    return unseen.credits > 0


def _unseen(run: Run, provider: str, balance: int) -> Unseen:
    source, now = run.parts.providers[provider].source, run.now()
    credits_ = run.parts.ledger.credits.unseen_charges(source.name, source.account, balance, run.id)
    return Unseen(Payer(source.name, source.account, run.id, budget_day(now)), credits_)


def _hold_back(run: Run, state: Restored) -> None:
    run.is_older_copy = True
    providers = {name: one for name, one in run.parts.providers.items() if name not in state.trusted}
    run.read_first = frozenset(name for name, provider in providers.items() if provider.keeps_records)
    run.parts.ledger.restored.read_planned(run.read_first, run.now())
    for name in sorted(providers.keys() - run.read_first):
        reason = f"this ledger is an older copy, and {name} keeps no record of people to read: {TRUST} {name}"
        run.stop_buying(name, reason)


def _moment(record: CrmRecord, field_name: str) -> datetime | None:
    """A stamp as Salesforce gives it; None for an empty field, and for a text that is no time."""
    text = record.text(field_name)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
