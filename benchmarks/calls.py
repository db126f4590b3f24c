"""The requests of a sync, of its Bulk variant, and of a second run that finds nothing to change."""

from benchmarks import floors
from benchmarks.figures import Figure, Section
from benchmarks.lab import ALL_LEADS, LEAD_MAPPING, Lab
from benchmarks.processes import connector
from benchmarks.world import BALANCES, POLLS, READS, SUBMISSIONS, WRITES
from benchmarks.world_spec import WorldSpec

AIMED_LEADS = 10_000
MOST_REST, MOST_BULK = 70, 20  # for so many changed records
CHECKS = 4  # of both conditions, the count that chooses the API, and the page that shows that there are no more records


def calls(lab: Lab) -> Section:
    """Salesforce calls for changed records, late compare included."""
    leads = lab.sizes.leads
    most, most_bulk = (MOST_REST, MOST_BULK) if leads == AIMED_LEADS else (None, None)
    usual = lab.usual("sqlite").counts
    figures = [
        Figure(
            f"Salesforce calls for {leads:,} changed records, REST",
            usual.salesforce(),
            at_most=most,
            note=f"{usual.salesforce(*READS)} reads, {usual.salesforce(*WRITES)} writes",
        )
    ]
    text = ""
    if "--api" in connector({}, "backfill", "--help").out:
        figures.append(_bulk(lab, most_bulk))
    else:
        text = "Bulk was not measured: `connector backfill` has no option `--api`."
    return Section("calls", "Salesforce calls", tuple(figures), text)


def _bulk(lab: Lab, most: float | None) -> Figure:
    leads = lab.sizes.leads
    with lab.opened(WorldSpec(leads)) as (made, store):
        options = ("-m", LEAD_MAPPING, "--where", ALL_LEADS, "--yes", "--all", "--api", "bulk", "--json", "--quiet")
        connector(made.settings | store.settings, "backfill", *options)
        counts = made.counts()
    return Figure(f"Salesforce calls for {leads:,} changed records, Bulk", counts.salesforce(), at_most=most)


def unchanged(lab: Lab) -> Section:
    """A second run over the same records, with nothing to buy or write."""
    leads = lab.sizes.leads
    second = lab.second_run("sqlite")
    usage, counts = second.usage, second.counts
    reads = floors.read_calls(leads) + CHECKS
    figures = (
        Figure("Reads of records", counts.salesforce(*READS), at_most=reads, note="one pass"),
        Figure("Records read, for each record", counts.rows(*READS) / leads, at_most=1.01),
        Figure("Writes", counts.salesforce(*WRITES), at_most=0),
        Figure("Vendor POSTs", counts.vendor(*SUBMISSIONS), at_most=0),
        Figure("Vendor polls", counts.vendor(*POLLS), at_most=0),
        Figure("Other vendor requests, balances aside", counts.vendor_work(), at_most=0),
        Figure("Requests for a balance", counts.vendor(*BALANCES)),
        Figure("CPU", usage.cpu_s, "s"),
        Figure("Peak memory", usage.peak_mb, "MB"),
    )
    text = (
        "A backfill of all records after the sync that enriched them: the report of the records is all that it makes."
    )
    return Section("unchanged", f"Unchanged second run of {leads:,}", figures, text)
