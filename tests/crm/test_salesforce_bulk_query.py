"""Selections by query jobs: the same records and values as by pages of REST, whatever happens on the way."""

import base64
from collections.abc import Callable, Iterator

import pytest
from org_harness import Harness, OrgHost
from test_salesforce_bulk import jobs_of

from connector.core.errors import ConfigurationError, ConnectorError, CrmRefusedError, DownError
from connector.core.model import CrmRecord
from connector.crm.interface import Selection
from connector.crm.salesforce import bulk_query

FIELDS = (
    *("Email", "Description", "DoNotCall", "HasOptedOutOfEmail", "AnnualRevenue", "NumberOfEmployees"),
    *("Enriched_At__c", "LastName", "ConvertedDate", "OwnerId", "IsConverted", "ConvertedContactId", "Title"),
)


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


@pytest.fixture(autouse=True)
def _small_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_query, "MOST_PER_RESULT", 3)
    monkeypatch.setattr(bulk_query, "RECORDS_PER_PAGE", 2)


def pause_of(harness: Harness) -> Callable[[float], None]:
    return harness.org.clock.advance


def read(harness: Harness, selection: Selection) -> list[CrmRecord]:
    jobs = jobs_of(harness.opened[-1])
    return [record for page in jobs.select(selection, pause_of(harness)) for record in page]


def test_records_and_values_equal_those_of_rest(harness: Harness) -> None:
    harness.lead(
        Email="a@example.com", Description='two\nlines, "quoted"\r\nand \u00e9', DoNotCall=True, AnnualRevenue=5
    )
    harness.lead(AnnualRevenue=2.25, NumberOfEmployees=7, Enriched_At__c="2026-11-20T10:00:00Z", Title="#N/A")
    converted = harness.lead(Title="  x  ")
    harness.org.convert_lead(converted)
    harness.leads(4)
    crm = harness.ready()
    for newest_first in (False, True):
        selection = Selection("Lead", FIELDS, newest_first=newest_first)
        by_rest = [record for page in crm.select(selection) for record in page]
        by_job = read(harness, selection)
        for ours, theirs in zip(by_job, by_rest, strict=True):
            kept = {name: value for name, value in theirs.values.items() if name != "attributes"}
            assert (ours.id, ours.version, ours.moved_to) == (theirs.id, theirs.version, theirs.moved_to)
            assert ours.values == kept
            assert {name: type(value) for name, value in ours.values.items()} == {
                name: type(value) for name, value in kept.items()
            }


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_pages(harness: Harness, count: int) -> None:
    leads = harness.leads(count)
    crm = harness.ready()
    crm.describe("Lead")
    harness.site.requests.clear()
    before = crm.usage().read_calls
    pages = list(jobs_of(crm).select(Selection("Lead", ("Email",)), pause_of(harness)))
    assert [record.id for page in pages for record in page] == leads
    assert all(0 < len(page) <= 2 for page in pages)
    results = max(1, -(-count // 3))
    assert harness.count("query_job_results") == results
    assert (harness.count("query_job_create"), harness.count("query_job_delete")) == (1, 1)
    assert crm.usage().read_calls - before == sum(harness.site.requests.values())


@pytest.mark.parametrize("limit", [0, 1, 5, 9])
def test_limits_flags_and_ids(harness: Harness, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_query, "IDS_PER_JOB", 4)
    leads = harness.leads(8, Enrichment_Requested__c=True)
    harness.leads(2)
    harness.ready()
    flagged = Selection("Lead", (), flag=("Enrichment_Requested__c", True), limit=limit)
    assert [record.id for record in read(harness, flagged)] == leads[:limit]
    named = Selection("Lead", (), ids=(*leads, leads[0]), newest_first=True, limit=limit, where=("Phone = null",))
    assert [record.id for record in read(harness, named)] == leads[::-1][:limit]
    assert read(harness, Selection("Lead", (), ids=())) == []


def test_the_result_is_of_one_moment(harness: Harness) -> None:
    leads = harness.leads(7)
    crm = harness.ready()
    found: list[str] = []
    for page in jobs_of(crm).select(Selection("Lead", ()), pause_of(harness)):
        found += [record.id for record in page]
        harness.org.delete("Lead", leads[6]) if len(found) == 2 else harness.lead()
    assert found == leads


@pytest.mark.parametrize("action", ["drop_before", "drop_after", "cut_body", "html", "truncated", "expire_token"])
@pytest.mark.parametrize("operation", ["query_job_create", "query_job_info", "query_job_results"])
def test_every_request_survives_a_lost_answer(harness: Harness, operation: str, action: str) -> None:
    leads = harness.leads(7)
    harness.ready()
    harness.arm(operation, action)
    if operation == "query_job_results":
        harness.faults.armed()[-1].after = 1  # in the middle of the result
    assert [record.id for record in read(harness, Selection("Lead", ("Email",)))] == leads


@pytest.mark.parametrize("action", ["drop_before", "status", "html"])
def test_the_removal_is_best_effort(harness: Harness, action: str) -> None:
    leads = harness.leads(2)
    harness.ready()
    harness.arm_forever("query_job_delete", action)
    assert [record.id for record in read(harness, Selection("Lead", ()))] == leads
    assert (harness.count("query_job_delete"), harness.slept) == (1, [])


@pytest.mark.parametrize(("action", "word"), [("job_failed", "Failed"), ("job_aborted", "Aborted")])
def test_a_job_that_ends_badly(harness: Harness, action: str, word: str) -> None:
    harness.leads(2)
    harness.ready()
    harness.arm("query_job", action)
    with pytest.raises(DownError, match=word):
        read(harness, Selection("Lead", ()))
    assert harness.count("query_job_delete") == 1


def test_a_job_that_does_not_end_is_aborted(harness: Harness) -> None:
    crm = harness.ready()
    harness.arm("query_job", "job_stuck")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        harness.org.clock.advance(seconds)

    with pytest.raises(DownError, match="does not finish"):
        list(jobs_of(crm).select(Selection("Lead", ()), pause))
    assert pauses[0] < pauses[3] <= max(pauses) == bulk_query.LONGEST_PAUSE_S
    assert sum(pauses) < bulk_query.GIVE_UP_AFTER_S + bulk_query.LONGEST_PAUSE_S
    assert (harness.count("query_job_state"), harness.count("query_job_delete")) == (1, 1)


def test_a_closed_iterator_removes_its_job(harness: Harness) -> None:
    harness.leads(7)
    crm = harness.ready()
    pages = jobs_of(crm).select(Selection("Lead", ()), pause_of(harness))
    next(pages)
    assert harness.count("query_job_results") == 1, "no page is fetched in advance"
    pages.close()  # type: ignore[attr-defined]  # it is a generator
    assert harness.count("query_job_delete") == 1


def test_a_pause_that_raises_removes_the_job(harness: Harness) -> None:
    crm = harness.ready()

    def stop(_seconds: float) -> None:
        raise DownError("the run was stopped")

    with pytest.raises(DownError, match="stopped"):
        next(jobs_of(crm).select(Selection("Lead", ()), stop))
    assert (harness.count("query_job_state"), harness.count("query_job_delete")) == (1, 1)


def test_a_refused_query_shows_no_value(harness: Harness) -> None:
    harness.ready()
    with pytest.raises((ConfigurationError, CrmRefusedError)) as caught:
        read(harness, Selection("Lead", (), where=("Nonsense__c = 'ada@example.com'",)))
    assert "Nonsense__c" in str(caught.value)
    assert "ada@example.com" not in str(caught.value)
    assert harness.count("query_job_create") == 1


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("<!DOCTYPE html>", "text/html"),
        ('"Id","SystemModstamp"\n"x', "text/csv"),
        ('"Id"\n"{0}"\n', "text/csv"),
        ('"Id","SystemModstamp"\n"{0}"\n', "text/csv"),
    ],
)
def test_results_that_cannot_be_read(harness: Harness, text: str, content_type: str) -> None:
    lead = harness.lead()
    harness.ready()
    harness.arm_forever("query_job_results", "body", text=text.format(lead), content_type=content_type)
    with pytest.raises(DownError):
        read(harness, Selection("Lead", ()))
    assert harness.count("query_job_delete") == 1


def test_a_huge_result_is_cut_off(harness: Harness) -> None:
    harness.lead()
    harness.ready()
    harness.arm_forever("query_job_results", "gzip_bomb", megabytes=40)
    with pytest.raises(DownError):
        read(harness, Selection("Lead", ()))


def test_the_size_of_a_result_follows_the_fields(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_query, "MOST_PER_RESULT", 20_000)
    harness.lead()
    harness.ready()
    for fields in (("Email",), ("Email", "Description")):
        read(harness, Selection("Lead", fields))
    sizes = [path.path.partition("maxRecords=")[2] for path in harness.arrivals if "maxRecords" in path.path]
    assert sizes[0] == "20000"
    assert int(sizes[1]) < 1_000


def test_a_repeated_page_ends_the_reading(harness: Harness) -> None:
    harness.leads(7)
    crm = harness.ready()
    pages = jobs_of(crm).select(Selection("Lead", ()), pause_of(harness))
    real = base64.b64encode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base64, "b64encode", lambda _raw: real(b"3"))
        with pytest.raises(ConnectorError, match="repeats"):
            list(pages)
