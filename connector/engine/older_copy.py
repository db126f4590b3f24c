"""A ledger that was restored from an older copy: noticed by two signs, then nobody is bought who was not read first.

The first sign is a mark outside the database; the second is a stamp in the CRM that is newer than anything this ledger
has done. Purchases that the copy does not know of are found by reading the vendor's own record of each person, which is
free. Their cost is seen in the vendor's balance, and counts against the caps of the day on which it is noticed.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta

from connector.core.mapping import MappingFile
from connector.core.model import Attention, CrmRecord
from connector.core.person import Source
from connector.engine.context import Run
from connector.store.credits import Payer, budget_day
from connector.store.ledger import Ledger
from connector.store.restored import Restored, Unseen

BY_MARK = "it lacks a purchase that this machine has sent, or the mark file beside it cannot be read"
BY_STAMP = "the CRM shows stamps newer than this ledger's last run"
TRUST = "connector ledger trust"
CONSEQUENCE = (
    "Each person is read at the vendor before a purchase; where a vendor keeps no record of people, nothing is bought"
)
CLOCKS_DIFFER = timedelta(minutes=10)  # a stamp so much newer than the last run was written by another ledger


def notice(run: Run) -> None:
    """Look at the mark, and hold back what an older copy must not buy."""
    if detect(run.services.ledger, run.now()):
        _report(run, BY_MARK)
    follow(run)


def detect(ledger: Ledger, now: datetime) -> bool:
    """Compare the mark with the ledger, and keep what it shows; whether an older copy was noticed."""
    if not ledger.mark.is_missing_in(ledger.database):
        return False
    ledger.restored.begin(Restored(now, BY_MARK), [], now)
    ledger.mark.reset(ledger.database)
    return True


def follow(run: Run) -> None:
    """Hold back what an older copy must not buy, where it was noticed earlier."""
    state = run.services.ledger.restored.state()
    if state is not None:
        hold_back(run, state.trusted)
        run.services.ledger.restored.read_planned(run.read_first, run.now())


def follow_forecast(run: Run) -> None:
    """Hold back in a forecast what a run would hold back; without any effect."""
    ledger = run.services.ledger
    state = ledger.restored.state()
    if state is not None or ledger.mark.is_missing_in(ledger.database):
        hold_back(run, state.trusted if state is not None else frozenset())


def notice_stamp(run: Run, mapping: MappingFile, page: Sequence[CrmRecord]) -> None:
    """Compare the stamps of a page of records with the last write that this ledger knows of.

    A stamp that lies ahead says nothing: a clock was wrong, or a person has typed it.
    """
    last, field_name = run.last_write, mapping.stamp.enriched_at
    if last is None or field_name is None or run.is_older_copy:
        return
    stamps = [stamp for record in page if (stamp := _moment(record, field_name)) and stamp <= run.now()]
    newest = max(stamps, default=last)
    if newest <= last + CLOCKS_DIFFER:
        return
    latest = run.services.ledger.restored.last_write()  # another run of this ledger may have written it meanwhile
    if latest is None or newest > latest + CLOCKS_DIFFER:
        _begin_by_stamp(run)
        follow(run)


def _begin_by_stamp(run: Run) -> None:
    ledger, credits_ = run.services.ledger, run.services.ledger.credits
    unseen = [
        _unseen(ledger, run.services.providers[name].source, run.id, balances["before"], run.now())
        for name, balances in run.balances.items()
    ]
    ledger.restored.begin(Restored(run.now(), BY_STAMP), unseen, run.now())
    for one in unseen:  # their balances were read before this was noticed, and show the charges already
        balance = run.balances[one.payer.provider]["before"]
        credits_.observe(one.payer.provider, one.payer.account, run.id, balance, run.now(), credits_.newest_entry())
    _report(run, BY_STAMP)


def _report(run: Run, sign: str) -> None:
    text = f"this ledger is an older copy, such as a restored backup: {sign}. {CONSEQUENCE}"
    run.services.progress.note(text)
    next_step = f"use the newest ledger if you still have it; to buy from this one without reading first: {TRUST}"
    run.attention.append(Attention(text, next_step))


def count_unseen_charges(ledger: Ledger, source: Source, run_id: str, balance: int, now: datetime) -> int:
    """Count what the vendor has charged since the copy against the caps of today, once; how much it was.

    Args:
        ledger: the ledger.
        source: the vendor's account.
        run_id: the run that has observed the balance.
        balance: its balance, before this observation is kept.
        now: the ledger's time.
    """
    state = ledger.restored.state()
    if state is None or source.name in state.counted:
        return 0
    unseen = _unseen(ledger, source, run_id, balance, now)
    ledger.restored.count(unseen, now)
    return unseen.credits


def _unseen(ledger: Ledger, source: Source, run_id: str, balance: int, now: datetime) -> Unseen:
    credits_ = ledger.credits.unseen_charges(source.name, source.account, balance, run_id)
    return Unseen(Payer(source.name, source.account, run_id, budget_day(now)), credits_)


def hold_back(run: Run, trusted: AbstractSet[str]) -> None:
    """Read people first where a vendor keeps records of them; buy nothing where none does."""
    run.is_older_copy = True
    providers = {name: one for name, one in run.services.providers.items() if name not in trusted}
    run.read_first = frozenset(name for name, provider in providers.items() if provider.keeps_records)
    for name in sorted(providers.keys() - run.read_first):
        reason = (
            f"this ledger is an older copy, and {name} keeps no record of people to read (to buy there all the same, "
            f"though purchases since the backup may be paid for twice: {TRUST} {name})"
        )
        run.stop_buying(name, reason)


def _moment(record: CrmRecord, field_name: str) -> datetime | None:
    """A stamp as the CRM gives it; None for an empty field, and for a text that is no time."""
    text = record.text(field_name)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
