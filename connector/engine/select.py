"""Stage 1: read the selected records, decide on each channel, and store the plan in the ledger."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from connector.core.crm_api import CrmApi
from connector.core.errors import CrmRefusedError
from connector.core.mapping import MappingFile
from connector.core.mapping_channels import WritePolicy
from connector.core.model import CrmRecord, Person
from connector.core.person import person_of
from connector.core.plan import AttachToPending, Buy, Decision, Reuse
from connector.core.values import stored_form
from connector.crm.bulk import BulkApi
from connector.crm.interface import Selection
from connector.engine.context import Run
from connector.engine.guards import SameReason, affordable_pages, stop_for_same_reason, usual_pages
from connector.engine.older_copy import check_stamps
from connector.engine.unchanged import finish_unchanged
from connector.store.planned import PlannedChannel, PlannedRecord, PlanScope


def flagged(mapping: MappingFile) -> Selection:
    """The selection of a mapping's flagged records."""
    return Selection(
        object=mapping.object,
        fields=tuple(sorted(mapping.read_fields())),
        flag=(mapping.select.flag_field, mapping.select.asks),
        where=(mapping.select.where,) if mapping.select.where else (),
        newest_first=mapping.select.order.value == "newest",
    )


def within(selection: Selection, taken: int) -> Selection:
    """Reduce a selection's limit by the records that the command has already taken for other mappings."""
    return selection if selection.limit is None else replace(selection, limit=max(0, selection.limit - taken))


def select(run: Run, mapping: MappingFile, selection: Selection, *, usual: bool = False, guarded: bool = True) -> int:
    """Read and plan every page; returns the number of records.

    The first records are stored only after the guard has judged them.

    Args:
        run: the run.
        mapping: the mapping of the records.
        selection: the records.
        usual: take at most ten times the usual number of flagged records.
        guarded: stop if the first records are all skipped for one reason; off for requests, which name their records.
    """
    guard, waiting, count = SameReason(), list[PlannedRecord](), 0
    read: list[CrmRecord] = []  # the records of `waiting`
    chosen = selection.flag is None
    with closing(_pages(run, selection)) as all_pages:
        pages = affordable_pages(run, all_pages)
        for page in usual_pages(run, mapping, pages) if usual else pages:
            planned, records = plan_page(run, mapping, page), page
            if guarded and (waiting or not guard.is_decided):
                guard.add(planned)
                waiting += planned
                read += page
                if not guard.is_decided:
                    continue
                planned, records, waiting, read = waiting, read, [], []
                if stop_for_same_reason(run, mapping, guard, chosen=chosen):
                    return count
            count += keep(run, mapping, planned, records, chosen=chosen)
    if waiting and not stop_for_same_reason(run, mapping, guard, chosen=chosen):
        count += keep(run, mapping, waiting, read, chosen=chosen)
    return count


def _pages(run: Run, selection: Selection) -> Generator[list[CrmRecord]]:
    """Read a selection page by page: by a job if it is large and the run may use jobs, otherwise by single calls."""
    read = False
    expected = None if run.bulk is None else _size_of_job(run, run.bulk, selection)
    if run.bulk is not None and expected is not None:
        try:
            for page in run.bulk.select(selection, run.services.clock.sleep, expected):
                read = True
                yield page
        except CrmRefusedError as error:
            if read or run.api is CrmApi.BULK:
                raise
            run.use_single_calls(str(error))
        else:
            return
    yield from run.services.crm.select(selection)


def _size_of_job(run: Run, bulk: BulkApi, selection: Selection) -> int | None:
    """The number of records to read by a job; None if they are too few for one."""
    count = len(selection.ids) if selection.ids is not None else run.services.crm.count(selection)
    return count if count > bulk.read_from or run.api is CrmApi.BULK else None


def keep(
    run: Run,
    mapping: MappingFile,
    planned: Sequence[PlannedRecord],
    records: Sequence[CrmRecord],
    *,
    chosen: bool,
) -> int:
    """Store the plan of a page, and finish the records that need no update; returns the number of records.

    Args:
        run: the run.
        mapping: the mapping of the records.
        planned: the page.
        records: its records as they were read.
        chosen: the records were chosen by a condition or ids, regardless of their flag.
    """
    scope = PlanScope(run.id, mapping.name, mapping.object, mapping.crm, chosen, run.read_first)
    run.services.ledger.planning.save(scope, planned, run.now(), run.selected)
    run.selected += len(planned)
    finish_unchanged(run, mapping, records)
    run.reuses += sum(isinstance(one.decision, Reuse) for record in planned for one in record.channels)
    run.services.progress.step(len(planned))
    return len(planned)


def plan_pages(run: Run, mapping: MappingFile, selection: Selection) -> Iterator[list[PlannedRecord]]:
    """Read and decide page by page, without storing a plan."""
    for page in run.services.crm.select(selection):
        yield plan_page(run, mapping, page)


def plan_page(run: Run, mapping: MappingFile, page: Sequence[CrmRecord]) -> list[PlannedRecord]:
    """Decide on every channel of every record of a page."""
    check_stamps(run, mapping, page)
    people = {record.id: person_of(record, mapping.person) for record in page}
    sources = [source for name, source in run.services.sources.items() if name in mapping.providers()]
    snapshot = run.services.ledger.snapshots.read(mapping.name, people, sources)
    planner = run.planner(mapping)
    seal = run.services.ledger.seal
    planned: list[PlannedRecord] = []
    for record in page:
        channels: list[PlannedChannel] = []
        for channel, rules in mapping.channels.items():
            decision = planner.plan_channel(record, people[record.id], channel, rules, snapshot)
            baseline: str | None = None
            if rules.write is WritePolicy.OVERWRITE or rules.empty_when:
                baseline = seal.hash(stored_form(record.values.get(rules.field), is_email=rules.is_email))
            channels.append(PlannedChannel(channel, decision, baseline))
        resolved: dict[str, str] = {}
        for planned_channel in channels:
            resolved = resolved_by(people[record.id], planned_channel.decision) | resolved
        planned.append(PlannedRecord(record.id, people[record.id], tuple(channels), resolved, record.version))
    return planned


def resolved_by(person: Person, decision: Decision) -> dict[str, str]:
    """The identifier that a provider found for the decision, by kind; empty if the record has one of that kind."""
    if not isinstance(decision, Buy | AttachToPending | Reuse):
        return {}
    found = decision.key.person if isinstance(decision, Buy) else decision.purchase.key.person
    return {} if found.kind in person.identifiers else {found.kind: found.value}
