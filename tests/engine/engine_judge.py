"""Invariants that hold after every test, also after failed runs. The vendors' own charge ledger decides."""

from harness import Harness
from ledgers import has_ledger

VENDORS = ("lensmor", "salesfinity")


def judge(harness: Harness) -> None:
    """Check the invariants: no double charge, no charge missing in the ledger, no imbalance, no call to a wrong route.

    Raises:
        AssertionError: one of them is violated.
    """
    world = harness.world
    assert set(world.charges.doubles()) <= world.bought_again
    assert world.lensmor.requests.count("unknown") == 0
    assert world.salesfinity.requests.count("unknown") == 0
    if not has_ledger(harness.folder):
        assert not any(world.ours(vendor) for vendor in VENDORS)
        return
    with harness.ledger() as ledger:
        assert ledger.credits.imbalance() == ""
        totals = ledger.credits.totals()
    for vendor in VENDORS:
        used = totals[vendor].used if vendor in totals else 0
        assert world.ours(vendor) <= used, f"{vendor} charged credits that are missing in the ledger"
