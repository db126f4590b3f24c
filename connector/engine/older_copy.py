"""Detects that the ledger is an older copy, and then reads each person at the vendor before buying.

There are two signs: a mark outside the database, and a stamp in the CRM that is newer than the last write of this
ledger. Purchases unknown to the copy are found by reading the vendor's own record of each person, which is free. Their
cost shows in the vendor's balance, and counts against the caps of the day of the detection.
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

BY_MARK = "it lacks what this machine has noted in the mark file beside it, or that file cannot be read"
BY_STAMP = "the CRM shows stamps newer than this ledger's last run"
TRUST = "connector ledger trust"
CONSEQUENCE = (
    "Each person is read at the vendor before a purchase; where a vendor keeps no record of people, nothing is bought"
)
CLOCKS_DIFFER = timedelta(minutes=10)  # a stamp that is newer by more than this was written by another ledger


def check_mark(run: Run) -> None:
    """Check the mark, report an older copy, and apply its restrictions."""
    if detect(run.services.ledger, run.now()):
        _report(run, BY_MARK)
    apply_restrictions(run)


def detect(ledger: Ledger, now: datetime) -> bool:
    """Compare the mark with the ledger, and store the result; returns whether an older copy was detected now."""
    if not ledger.mark.is_missing_in(ledger.database):
        return False
    detection = ledger.restored.begin(Restored(now, BY_MARK), [], now)
    ledger.mark.reset(ledger.database, detection)
    return True


def apply_restrictions(run: Run) -> None:
    """Restrict the purchases of a run, if the ledger is known to be an older copy."""
    state = run.services.ledger.restored.state()
    if state is not None:
        restrict(run, state.trusted)
        run.services.ledger.restored.read_planned(run.read_first, run.now())


def restrict_forecast(run: Run) -> None:
    """Restrict a forecast as a run would be restricted, without any effect."""
    ledger = run.services.ledger
    state = ledger.restored.state()
    if state is not None or ledger.mark.is_missing_in(ledger.database):
        restrict(run, state.trusted if state is not None else frozenset())


def check_stamps(run: Run, mapping: MappingFile, page: Sequence[CrmRecord]) -> None:
    """Compare the stamps of a page of records with this ledger's last write to a CRM.

    A stamp in the future does not count: a clock was wrong, or a person typed it.
    """
    last, field_name = run.last_write, mapping.stamp.enriched_at
    if last is None or field_name is None or run.is_older_copy:
        return
    stamps = [stamp for record in page if (stamp := _moment(record, field_name)) and stamp <= run.now()]
    newest = max(stamps, default=last)
    if newest <= last + CLOCKS_DIFFER:
        return
    latest = run.services.ledger.restored.last_write()  # another run may have written it meanwhile
    if latest is None or newest > latest + CLOCKS_DIFFER:
        _begin_by_stamp(run)
        apply_restrictions(run)


def _begin_by_stamp(run: Run) -> None:
    ledger, credits_ = run.services.ledger, run.services.ledger.credits
    unseen = [
        _unseen(ledger, run.services.providers[name].source, run.id, balances["before"], run.now())
        for name, balances in run.balances.items()
    ]
    ledger.restored.begin(Restored(run.now(), BY_STAMP), unseen, run.now())
    for one in unseen:  # their balances were read before the detection, and already include the charges
        balance = run.balances[one.payer.provider]["before"]
        credits_.observe(one.payer.provider, one.payer.account, run.id, balance, run.now(), credits_.newest_entry())
    _report(run, BY_STAMP)


def _report(run: Run, sign: str) -> None:
    text = f"this ledger is an older copy, such as a restored backup: {sign}. {CONSEQUENCE}"
    run.services.progress.note(text)
    next_step = f"use the newest ledger if you still have it; to buy from this one without reading first: {TRUST}"
    run.attention.append(Attention(text, next_step))


def count_unseen_charges(ledger: Ledger, source: Source, run_id: str, balance: int, now: datetime) -> int:
    """Count a vendor's charges since the copy against today's caps, once; returns the credits.

    Args:
        ledger: the ledger.
        source: the vendor's account.
        run_id: the run that read the balance.
        balance: the balance, before its observation is stored.
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


def restrict(run: Run, trusted: AbstractSet[str]) -> None:
    """Read people before a purchase if the provider keeps records of them; otherwise buy nothing from it."""
    run.is_older_copy = True
    providers = {name: one for name, one in run.services.providers.items() if name not in trusted}
    run.read_first = frozenset(name for name, provider in providers.items() if provider.keeps_records)
    for name in sorted(providers.keys() - run.read_first):
        reason = (
            f"this ledger is an older copy, and {name} keeps no record of people to read (to buy there anyway, though "
            f"purchases since the backup may be paid for twice: {TRUST} {name})"
        )
        run.stop_buying(name, reason)


def _moment(record: CrmRecord, field_name: str) -> datetime | None:
    """Parse a stamp; None if the field is empty or is not a time."""
    text = record.text(field_name)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
