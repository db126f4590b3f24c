"""What must be true after every test, whatever went wrong in it. The vendors' own charge ledger is the judge."""

from harness import Harness
from ledgers import has_ledger

VENDORS = ("lensmor", "salesfinity")


def judge(harness: Harness) -> None:
    """Nothing paid twice, nothing paid that the ledger does not know of, books that close, no route never to be called.

    Raises:
        AssertionError: one of these is broken.
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
        known = totals[vendor].used if vendor in totals else 0
        assert world.ours(vendor) <= known, f"{vendor} took credits that the ledger does not know of"
