"""Backfills that read and write by jobs: values, refusals, edits, lost answers, jobs that fail, and open jobs."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only

from connector.core.crm_api import CrmApi
from connector.core.errors import StopError
from connector.core.model import Outcome
from connector.core.report import Report
from connector.core.states import BulkJobState, ChangeState
from connector.crm.salesforce.bulk import SalesforceBulk
from connector.engine.undo import undo
from connector.store import tables as t

FILLED = "by.hand@example.com"


def emails(harness: Harness) -> Harness:
    """A process that buys emails at Lensmor only."""
    return harness.other(email_only("lensmor"))


def rows(harness: Harness, table: sa.Table) -> list[dict[str, object]]:
    with harness.services() as services, services.ledger.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def requests(world: World, *names: str) -> int:
    return sum(world.simulator.salesforce.requests[name] for name in names)


def states(harness: Harness) -> list[object]:
    return [row["state"] for row in rows(harness, t.bulk_job)]


def changes(harness: Harness) -> list[object]:
    return [row["state"] for row in rows(harness, t.change)]


@pytest.fixture(name="leads")
def _leads(world: World) -> list[str]:
    return [world.lead(world.person(), Enrichment_Requested__c=False) for _ in range(5)]


def assert_delivered(world: World, leads: list[str], report: Report) -> None:
    assert all(world.get(lead)["Email"] for lead in leads)
    assert report.outcomes == {Outcome.DELIVERED: len(leads)}
    assert report.exit_code == 0


def test_a_backfill_reads_and_writes_by_jobs(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    report = harness.backfill()
    assert_delivered(world, leads, report)
    assert requests(world, "query_job_create") == requests(world, "ingest_create") == 1
    assert requests(world, "update_many") == 0
    figures = report.crm["salesforce"]
    assert (figures.records_written, figures.records_unchanged, figures.records_failed) == (5, 0, 0)
    assert states(harness) == [BulkJobState.ENDED]
    assert changes(harness) == [ChangeState.WRITTEN] * 5
    assert all(row["bulk_job_id"] is None and row["state"] == "closed" for row in rows(harness, t.record))


def test_few_records_go_by_single_calls(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    assert_delivered(world, leads, harness.backfill(CrmApi.AUTO))
    assert requests(world, "query_job_create", "ingest_create") == 0
    assert requests(world, "update_many") == 1


def test_many_records_go_by_jobs(
    world: World, harness: Harness, leads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = emails(harness)
    monkeypatch.setattr(SalesforceBulk, "read_from", 4)
    monkeypatch.setattr(SalesforceBulk, "write_from", 4)
    assert_delivered(world, leads, harness.backfill(CrmApi.AUTO))
    assert requests(world, "query_job_create") == requests(world, "ingest_create") == 1


def test_a_sync_never_uses_jobs(world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SalesforceBulk, "read_from", 0)
    monkeypatch.setattr(SalesforceBulk, "write_from", 0)
    leads = [world.lead(world.person()) for _ in range(3)]
    assert_delivered(world, leads, emails(harness).sync())
    assert requests(world, "query_job_create", "ingest_create") == 0


def test_several_jobs_follow_each_other(
    world: World, harness: Harness, leads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = emails(harness)
    monkeypatch.setattr(SalesforceBulk, "most_rows", 2)
    assert_delivered(world, leads, harness.backfill())
    assert states(harness) == [BulkJobState.ENDED] * 3


def test_a_refused_row_is_parked_with_the_reason_of_the_single_call(
    world: World, harness: Harness, leads: list[str]
) -> None:
    harness = emails(harness)
    world.org.add_validation("Lead", lambda row: bool(row["Email"] and row["Id"] == leads[0]))
    report = harness.backfill()
    assert report.outcomes == {Outcome.DELIVERED: 4, Outcome.PARKED: 1}
    assert (report.crm["salesforce"].records_failed, report.exit_code) == (1, 3)
    assert "FIELD_CUSTOM_VALIDATION_EXCEPTION" in report.attention[0].reason
    assert world.get(leads[0])["Email"] is None


@pytest.mark.parametrize("action", ["job_failed", "job_aborted"])
def test_the_rest_of_a_job_that_ends_early_goes_by_single_calls(
    world: World, harness: Harness, leads: list[str], action: str
) -> None:
    harness = emails(harness)
    world.arm("salesforce", "ingest_job", action)
    assert_delivered(world, leads, harness.backfill())
    assert requests(world, "ingest_create") == 1
    assert requests(world, "update_many") == 1


def test_an_edit_before_the_job_reaches_the_row_in_another_field_stays(
    world: World, harness: Harness, leads: list[str]
) -> None:
    harness = emails(harness)
    _on_upload(world, lambda: world.edit(leads[0], Company="Another Works"))
    assert_delivered(world, leads, harness.backfill())
    assert world.get(leads[0])["Company"] == "Another Works"


def test_an_edit_after_the_job_stays(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    edits = [FILLED]

    def edit(_name: str, record_id: str) -> None:
        if record_id == leads[0] and edits:
            world.edit(record_id, Email=edits.pop())

    world.org.after_update(edit)
    report = harness.backfill()
    assert world.get(leads[0])["Email"] == FILLED
    assert sum(report.outcomes.values()) == 5
    assert all(world.get(lead)["Email"] for lead in leads)


def test_an_edit_before_the_upload_stays(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    world.clock.at(2, lambda: world.edit(leads[0], Email=FILLED))
    report = harness.backfill()
    assert world.get(leads[0])["Email"] == FILLED
    assert report.outcomes[Outcome.DELIVERED] == 4


def test_a_job_that_does_not_end_is_finished_by_a_later_run(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    world.arm("salesforce", "ingest_job", "job_stuck")
    report = harness.backfill()
    assert (report.outcomes, report.exit_code) == ({Outcome.DEFERRED: 5}, 4)
    assert "has not finished" in report.stopped[0]
    assert requests(world, "update_many") == 0
    waiting = harness.other().sync()
    assert waiting.outcomes[Outcome.DEFERRED] == 5
    world.clock.advance(days=1, minutes=1)  # now the job is stopped
    assert_delivered(world, leads, harness.other().sync())
    assert states(harness) == [BulkJobState.ENDED]
    assert world.paid_posts() == 1


@pytest.mark.parametrize("operation", ["ingest_create", "ingest_upload", "ingest_state", "ingest_info"])
@pytest.mark.parametrize("action", ["drop_before", "drop_after"])
def test_a_lost_answer_loses_nothing(
    world: World, harness: Harness, leads: list[str], operation: str, action: str
) -> None:
    harness = emails(harness)
    world.arm("salesforce", operation, action)
    harness.backfill()
    for _ in range(3):
        harness.other().sync()
    assert all(world.get(lead)["Email"] for lead in leads)
    assert world.paid_posts() == 1
    assert set(states(harness)) == {BulkJobState.ENDED}


def test_a_refused_job_leads_to_single_calls(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    world.arm("salesforce", "ingest_create", "status", status=400, errorCode="INVALIDENTITY", message="no jobs")
    assert_delivered(world, leads, harness.backfill())
    assert requests(world, "update_many") == 1


def test_a_run_by_jobs_can_be_undone(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    report = harness.backfill()
    with harness.services() as services:
        undone = undo(services, report.run_id)
    assert undone.outcomes == {Outcome.DELIVERED: 5}
    assert not any(world.get(lead)["Email"] for lead in leads)


def test_a_value_that_a_job_cannot_express_goes_by_a_single_call(
    world: World, harness: Harness, leads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = emails(harness)
    monkeypatch.setattr(SalesforceBulk, "can_carry", lambda _self, update: update.id != leads[0])
    assert_delivered(world, leads, harness.backfill())
    assert (requests(world, "ingest_create"), requests(world, "update_many")) == (1, 1)


def _on_upload(world: World, action: Callable[[], object]) -> None:
    """Do something at the read before the upload, once its answer is complete."""
    pending = [action]

    def watch(_name: str, _record_id: str) -> None:
        if pending and requests(world, "query_job_results"):
            pending.pop()()

    world.org.after_read(watch)


def test_unreadable_answers_do_not_block_records_for_ever(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    world.arm("salesforce", "ingest_job", "job_failed")
    for operation in ("ingest_failed", "ingest_successful", "ingest_unprocessed"):
        world.arm("salesforce", operation, "html", times=1000)
    assert harness.backfill().exit_code == 4
    assert harness.other().sync().exit_code == 4
    world.clock.advance(days=1, minutes=1)
    assert_delivered(world, leads, harness.other().sync())
    assert world.paid_posts() == 1


def test_an_undo_waits_for_the_job_of_its_run(world: World, harness: Harness, leads: list[str]) -> None:
    harness = emails(harness)
    world.arm("salesforce", "ingest_job", "job_stuck")
    report = harness.backfill()
    with harness.services() as services, pytest.raises(StopError, match="still processes a job"):
        undo(services, report.run_id)
    world.clock.advance(days=1, minutes=1)
    with harness.services() as services:
        undo(services, report.run_id)
    assert not any(world.get(lead)["Email"] for lead in leads)


def test_the_contacts_of_an_account_are_sent_together(world: World, harness: Harness) -> None:
    accounts = [world.org.insert("Account", {"Name": f"Works {letter}"}) for letter in "AB"]
    contacts = [world.contact(world.person(), AccountId=accounts[number % 2]) for number in range(4)]
    harness = harness.other(email_only("lensmor", name="contact"))
    written: list[str] = []
    world.org.after_update(lambda _name, record_id: written.append(record_id))
    report = harness.backfill()
    assert report.outcomes == {Outcome.DELIVERED: 4}
    assert written == [contacts[2], contacts[0], contacts[3], contacts[1]]  # the newest first, by account
    assert requests(world, "ingest_create") == 1
