"""The monthly sums of the entries: exact after every append, compared with the entries, and read by the commands."""

from datetime import timedelta

import sqlalchemy as sa
from ledger_harness import LedgerHarness

from connector.core.model import Result
from connector.core.spend import Totals
from connector.store import monthly_spend
from connector.store import tables as t

M = t.monthly_spend.c


def bought() -> LedgerHarness:
    """Two people bought in November, one of them without a charge, and one more in December, without a result yet."""
    harness = LedgerHarness()
    harness.plan("1", "2")
    harness.accept(harness.batch())
    harness.finalize(1)
    harness.finalize(2, result=Result.NOT_FOUND, charged=False)
    harness.now += timedelta(days=20)
    harness.plan("3")
    harness.accept(harness.batch(), "task-2")
    return harness


def test_months_and_totals_are_sums_of_the_entries() -> None:
    credits_ = bought().ledger.credits
    assert credits_.by_month() == [
        ("2026-12", "lensmor", "lead", Totals(15, 0, 0)),
        ("2026-11", "lensmor", "lead", Totals(30, 15, 15)),
    ]
    assert credits_.totals() == {"lensmor": Totals(45, 15, 15)}
    assert credits_.totals("run-1") == credits_.totals()
    assert (credits_.imbalance(), credits_.open_imbalance()) == ("", "")


def test_a_wrong_sum_is_found() -> None:
    harness = bought()
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.monthly_spend).where(M.kind == "charge").values(credits=14))
    assert harness.ledger.credits.imbalance() == ("month 2026-11 lensmor lead charge: 14 credits, the entries have 15")
    assert harness.ledger.credits.open_imbalance() == "lensmor: entries hold 16 credits, totals 15, purchases 15"


def test_a_hold_without_entries_is_found_without_reading_them() -> None:
    harness = bought()
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.purchase).where(t.purchase.c.person == "1").values(hold="open"))
    assert harness.ledger.credits.open_imbalance() == "1 purchase(s) hold credits without a request in flight"


def test_sums_are_computed_again_after_entries_were_moved() -> None:
    harness = bought()
    with harness.ledger.database.write() as connection:
        moved = sa.update(t.entry).where(t.entry.c.budget_day > "2026-12").values(budget_day="2026-11-30")
        connection.execute(moved)
        assert monthly_spend.differences(connection) != []
        monthly_spend.rebuild(connection)
        assert monthly_spend.differences(connection) == []
    assert harness.ledger.credits.by_month() == [("2026-11", "lensmor", "lead", Totals(45, 15, 15))]
