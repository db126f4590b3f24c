"""Jobs of updates through the true client: values, answers, states, lost answers, renewed logins, requests."""

from collections.abc import Iterator

import pytest
from org_harness import Harness, OrgHost

from connector.core.errors import ConfigurationError, ConnectorError, DownError, PassingError, QuotaError
from connector.core.model import FieldValue
from connector.crm.bulk import UNPROCESSED, BulkApi, JobState, UnfitRowsError
from connector.crm.interface import ErrorClass, Rejection, Update
from connector.crm.salesforce import bulk
from connector.crm.salesforce.site import SalesforceCrm


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


def jobs_of(crm: SalesforceCrm) -> BulkApi:
    assert crm.bulk is not None
    return crm.bulk


def started(harness: Harness, jobs: BulkApi, updates: list[Update]) -> str:
    """A job that has been processed."""
    job = jobs.create("Lead", list(dict.fromkeys(name for update in updates for name in update.values)))
    jobs.upload(job, "Lead", updates)
    harness.org.clock.advance(60)
    return job


def phones(ids: list[str], phone: FieldValue = "1") -> list[Update]:
    return [Update(lead, {"Phone": phone}) for lead in ids]


def classes(answers: list[Rejection | None]) -> list[ErrorClass | None]:
    return [answer.error_class if answer else None for answer in answers]


# -- what is written, and what it costs


def test_ten_thousand_rows_cost_five_requests(harness: Harness) -> None:
    leads = harness.leads(10_000)
    crm = harness.ready()
    jobs = jobs_of(crm)
    crm.describe("Lead")
    harness.site.requests.clear()
    before = crm.usage().write_calls
    job = started(harness, jobs, phones(leads))
    found = jobs.find(job)
    assert (found.state, found.processed, found.failed) == (JobState.COMPLETE, 10_000, 0)
    assert jobs.answers(job, phones(leads)) == [None] * 10_000
    assert dict(harness.site.requests) == {
        "ingest_create": 1,
        "ingest_upload": 1,
        "ingest_state": 1,
        "ingest_info": 1,
    }
    assert crm.usage().write_calls - before == 4
    assert {row["Phone"] for row in harness.org.records("Lead")} == {"1"}
    assert harness.org.updates_count("Lead", leads[0]) == 1


def test_values_of_every_kind(harness: Harness) -> None:
    first = harness.lead(Title="Old", Email="a@example.com", Phone="1", DoNotCall=True, Website="https://example.com")
    second = harness.lead(Title="Kept", Phone="1")
    crm = harness.ready()
    stamp = "2026-11-20T10:00:00.000+0000"
    values: dict[str, FieldValue] = {
        "Title": 'She said "no, never"; \u00e9\U0001f600',
        "Email": None,
        "Website": "  ",
        "DoNotCall": False,
        "Enriched_At__c": stamp,
        "NumberOfEmployees": 7,
        "AnnualRevenue": 2.5,
    }
    updates = [Update(first, values), Update(second, {"Phone": "2"})]
    job = started(harness, jobs_of(crm), updates)
    assert jobs_of(crm).answers(job, updates) == [None, None]
    row = harness.org.get("Lead", first)
    assert {name: row[name] for name in values} == values | {"Website": None}
    assert row["Phone"] == "1", "a field that an update does not name is unchanged"
    assert (harness.org.get("Lead", second)["Title"], harness.org.get("Lead", second)["Phone"]) == ("Kept", "2")


def test_the_file_has_the_same_columns_in_every_process(harness: Harness) -> None:
    leads = harness.leads(2)
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", ["Phone"])
    jobs.upload(job, "Lead", [Update(leads[0], {"Phone": "1", "Email": None}), Update(leads[1], {"Title": "a,b"})])
    (file,) = [arrival for arrival in harness.arrivals if arrival.method == "PUT"]
    assert file.body.decode() == f'Id,Phone,Email,Title\n{leads[0]},1,#N/A,\n{leads[1]},,,"a,b"\n'
    assert file.headers["content-type"] == "text/csv"
    assert file.path == f"/services/data/v67.0/jobs/ingest/{job}/batches"


@pytest.mark.parametrize("value", ["#N/A", " #n/a ", "two\nlines", "a\rb", "\ud800", float("inf"), "\0"])
def test_values_that_no_job_expresses(harness: Harness, value: FieldValue) -> None:
    lead = harness.lead(Title="Old")
    jobs = jobs_of(harness.ready())
    update = Update(lead, {"Title": value})
    assert not jobs.can_carry(update)
    assert jobs.can_carry(Update(lead, {"Title": "N/A", "Phone": None, "DoNotCall": True, "AnnualRevenue": 1.5}))
    job = jobs.create("Lead", ["Title"])
    with pytest.raises(UnfitRowsError, match=lead):
        jobs.upload(job, "Lead", [update])
    assert harness.count("ingest_upload") == 0


def test_jobs_that_are_too_large(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    lead = harness.lead()
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", ["Phone"])
    for updates in ([], phones([lead, lead]), phones([f"00Q{number:015}" for number in range(jobs.most_rows + 1)])):
        with pytest.raises(UnfitRowsError):
            jobs.upload(job, "Lead", updates)
    monkeypatch.setattr(bulk, "MOST_BYTES", 20)
    with pytest.raises(UnfitRowsError, match="MB"):
        jobs.upload(job, "Lead", phones([lead]))
    assert harness.count("ingest_upload") == 0


def test_a_field_that_the_user_does_not_see(harness: Harness) -> None:
    harness.org.hide_field("Lead", "Phone")
    with pytest.raises(ConfigurationError, match="Phone"):
        jobs_of(harness.ready()).create("Lead", ["Title", "Phone"])
    assert harness.count("ingest_create") == 0


# -- answers


def test_refused_rows_have_the_classes_of_collections(harness: Harness) -> None:
    org = harness.org
    fine, long, gone, locked, broken, auto = harness.leads(6)
    org.delete("Lead", gone)
    org.lock(locked, times=2)
    org.add_validation("Lead", lambda row: row["Title"] == "x", message='No: "x",\nplease', fields=("Title",))
    values: dict[str, dict[str, FieldValue]] = {long: {"Phone": "9" * 41}, broken: {"Title": "x"}}
    updates = [Update(lead, values.get(lead, {"Phone": "1"})) for lead in (fine, long, gone, locked, broken, auto)]
    crm = harness.ready()
    params = {"code": "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "message": "LeadTrigger: Apex CPU time limit exceeded"}
    for operation in ("ingest_rows", "update_many"):
        harness.arm(operation, "row_rule", when_fields=["Phone"], **params)
        harness.faults.armed()[-1].subject = auto
    job = started(harness, jobs_of(crm), updates)
    answers = jobs_of(crm).answers(job, updates)
    assert answers == crm.update("Lead", updates)
    assert classes(answers) == [
        None,
        ErrorClass.ROW,
        ErrorClass.MOVED,
        ErrorClass.LOCKED,
        ErrorClass.ROW,
        ErrorClass.LIMIT,
    ]
    assert harness.count("ingest_failed") == 1
    assert harness.count("ingest_successful") == 0
    by_record = zip((update.id for update in updates), answers, strict=True)
    assert list(jobs_of(crm).outcome_of(job)) == list(by_record), "refused rows come after the others, in their order"


@pytest.mark.parametrize(("action", "state"), [("job_failed", JobState.FAILED), ("job_aborted", JobState.ABORTED)])
def test_a_job_that_ends_early(harness: Harness, action: str, state: JobState) -> None:
    leads = harness.leads(6)
    harness.org.delete("Lead", leads[1])
    jobs = jobs_of(harness.ready())
    harness.arm("ingest_job", action, message="InternalServerError : gone")
    job = started(harness, jobs, phones(leads))
    found = jobs.find(job)
    assert (found.state, found.processed, found.failed) == (state, 3, 1)
    assert found.message == ("InternalServerError : gone" if state is JobState.FAILED else "")
    answers = jobs.answers(job, phones(leads))
    assert classes(answers) == [None, ErrorClass.MOVED, None, *[ErrorClass.LOCKED] * 3]
    assert [answer.code for answer in answers[3:] if answer] == [UNPROCESSED] * 3
    assert [harness.org.get("Lead", lead)["Phone"] for lead in leads] == ["1", None, "1", None, None, None]
    assert dict(jobs.outcome_of(job)) == dict(zip(leads, answers, strict=True))


def test_a_job_that_failed_before_any_row(harness: Harness) -> None:
    leads = harness.leads(2)
    crm = harness.ready()
    jobs = jobs_of(crm)
    crm.describe("Lead")
    harness.org.hide_field("Lead", "Phone")
    job = started(harness, jobs, phones(leads))
    found = jobs.find(job)
    assert (found.state, found.message) == (JobState.FAILED, "InvalidBatch : Field name not found : Phone")
    assert classes(jobs.answers(job, phones(leads))) == [ErrorClass.LOCKED] * 2
    assert harness.count("ingest_failed") + harness.count("ingest_successful") == 0
    assert [record_id for record_id, _ in jobs.outcome_of(job)] == leads


# -- states


def test_the_course_of_a_job(harness: Harness) -> None:
    leads = harness.leads(4)
    jobs = jobs_of(harness.ready())
    harness.arm("ingest_job", "job_stuck")
    job = jobs.create("Lead", ["Phone"])
    assert jobs.find(job).state is JobState.OPEN
    jobs.upload(job, "Lead", phones(leads))
    assert jobs.find(job).state is JobState.RUNNING
    harness.org.clock.advance(3_600)
    assert (jobs.find(job).state, jobs.find(job).processed) == (JobState.RUNNING, 2)
    with pytest.raises(PassingError, match=job):
        jobs.answers(job, phones(leads))
    jobs.abort(job)
    jobs.abort(job)
    assert jobs.find(job).state is JobState.ABORTED
    assert classes(jobs.answers(job, phones(leads))) == [None, None, ErrorClass.LOCKED, ErrorClass.LOCKED]
    harness.org.clock.advance(8 * 86_400)
    harness.site.expire_tokens()
    assert jobs.find(job).state is JobState.GONE
    jobs.abort(job)
    with pytest.raises(PassingError):
        jobs_of(harness.ready()).answers(job, phones(leads))


def test_an_upload_to_a_job_that_is_not_open(harness: Harness) -> None:
    leads = harness.leads(1)
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", ["Phone"])
    jobs.abort(job)
    with pytest.raises(PassingError, match=job):
        jobs.upload(job, "Lead", phones(leads))
    with pytest.raises(PassingError):
        jobs.upload("750Sm0000099999AAA", "Lead", phones(leads))
    assert harness.org.updates_count("Lead", leads[0]) == 0


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_withdrawn_upload_has_no_effect(harness: Harness, allowed: int) -> None:
    leads = harness.leads(1)
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", ["Phone"])
    may_leave = iter([True] * allowed + [False])
    with pytest.raises(PassingError):
        jobs.upload(job, "Lead", phones(leads), lambda: next(may_leave))
    harness.org.clock.advance(60)
    assert jobs.find(job).state is JobState.OPEN
    assert harness.org.updates_count("Lead", leads[0]) == 0


# -- lost and strange answers

LOST = ("drop_before", "drop_after", "cut_body", "html", "truncated")


@pytest.mark.parametrize("action", LOST)
@pytest.mark.parametrize("operation", ["ingest_create", "ingest_info", "ingest_failed", "ingest_successful"])
def test_requests_without_effect_are_repeated(harness: Harness, operation: str, action: str) -> None:
    leads = harness.leads(4)
    harness.org.delete("Lead", leads[0])
    jobs = jobs_of(harness.ready())
    harness.arm("ingest_job", "job_aborted")
    harness.arm(operation, action)
    job = started(harness, jobs, phones(leads))
    answers = jobs.answers(job, phones(leads))
    assert classes(answers) == [ErrorClass.MOVED, None, ErrorClass.LOCKED, ErrorClass.LOCKED]
    assert len(harness.slept) == 1


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("ingest_upload", "drop_before"),
        ("ingest_upload", "drop_after"),
        ("ingest_upload", "html"),
        ("ingest_state", "drop_before"),
        ("ingest_state", "drop_after"),
        ("ingest_state", "cut_body"),
        ("ingest_state", "html"),
    ],
)
def test_a_lost_upload_is_not_repeated(harness: Harness, operation: str, action: str) -> None:
    leads = harness.leads(2)
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", ["Phone"])
    harness.arm(operation, action, **({"after_effect": True} if action == "html" else {}))
    with pytest.raises(PassingError):
        jobs.upload(job, "Lead", phones(leads))
    harness.org.clock.advance(60)
    took_effect = operation == "ingest_state" and action != "drop_before"
    assert jobs.find(job).state is (JobState.COMPLETE if took_effect else JobState.OPEN)
    assert [harness.org.updates_count("Lead", lead) for lead in leads] == [int(took_effect)] * 2
    assert (harness.count("ingest_upload"), harness.slept) == (1, [])


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("<!DOCTYPE html><html></html>", "text/html"),
        ('"sf__Id","sf__Error",Id,Phone\n', "text/csv"),
        ('"sf__Id","sf__Error",Id,Phone\n"{0}","ENTITY_IS_DELETED:entity is de', "text/csv"),
        ('"sf__Id","sf__Error",Id,Phone\n"{0}","X:y:--"\n', "text/csv"),
        ('"sf__Id","sf__Error",Phone\n"{0}","X:y:--","1"\n', "text/csv"),
        ('"sf__Id","sf__Error",Id,Id\n"{0}","X:y:--","{0}","{0}"\n', "text/csv"),
        ('[{{"errorCode": "X"}}]', "application/json"),
        ('"sf__Id","sf__Error",Id\n"{0}","ENTITY_IS_DELETED:entity is deleted:--","{0}"\n', "text/plain"),
        ("", "text/csv"),
    ],
)
def test_files_that_cannot_be_read(harness: Harness, text: str, content_type: str) -> None:
    lead = harness.lead()
    harness.org.delete("Lead", lead)
    jobs = jobs_of(harness.ready())
    job = started(harness, jobs, phones([lead]))
    harness.arm_forever("ingest_failed", "body", text=text.format(lead), content_type=content_type)
    with pytest.raises(DownError):
        jobs.answers(job, phones([lead]))
    harness.faults.clear()
    assert classes(jobs.answers(job, phones([lead]))) == [ErrorClass.MOVED]


@pytest.mark.parametrize(
    "text",
    [
        '\ufeffId,"sf__Error",Phone\n"{short}","ENTITY_IS_DELETED:entity is deleted:--","1"\n',
        '"sf__Id","sf__Error",Phone,Id\n"","ENTITY_IS_DELETED:entity is deleted:--","1","{short}"\n',
        '"SF__ID","SF__ERROR",id\r\n"{full}","ENTITY_IS_DELETED:entity is deleted:--",""\r\n',
    ],
)
def test_files_in_other_forms(harness: Harness, text: str) -> None:
    first, lead = harness.leads(2)
    harness.org.delete("Lead", lead)
    jobs = jobs_of(harness.ready())
    job = started(harness, jobs, phones([first, lead]))
    harness.arm("ingest_failed", "body", text=text.format(short=lead[:15], full=lead), content_type="text/csv")
    assert classes(jobs.answers(job, phones([first, lead]))) == [None, ErrorClass.MOVED]


@pytest.mark.parametrize("json", [None, [], {}, {"id": "x"}, {"state": "JobComplete"}, {"id": 5, "state": []}])
def test_descriptions_that_cannot_be_read(harness: Harness, json: object) -> None:
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", [])
    harness.arm_forever("*", "body", json=json)
    with pytest.raises(DownError):
        jobs.find(job)
    with pytest.raises(ConnectorError):
        jobs.create("Lead", [])


def test_an_unknown_state_is_one_under_way(harness: Harness) -> None:
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", [])
    harness.arm("ingest_info", "body", json={"id": job, "state": "PreparingSomething"})
    assert jobs.find(job).state is JobState.RUNNING


@pytest.mark.parametrize(
    "operation",
    ["ingest_create", "ingest_upload", "ingest_state", "ingest_info", "ingest_failed", "ingest_successful"],
)
def test_a_login_is_renewed_at_each_request(harness: Harness, operation: str) -> None:
    leads = harness.leads(4)
    harness.org.delete("Lead", leads[0])
    jobs = jobs_of(harness.ready())
    harness.arm("ingest_job", "job_aborted")
    harness.arm(operation, "expire_token")
    job = started(harness, jobs, phones(leads))
    assert classes(jobs.answers(job, phones(leads)))[:2] == [ErrorClass.MOVED, None]
    assert (harness.count("token"), harness.slept) == (1, [])
    files = [arrival for arrival in harness.arrivals if arrival.method == "PUT"]
    assert {file.headers["sforce-auto-assign"] for file in files} == {"FALSE"}


def test_the_reserve_of_the_quota(harness: Harness) -> None:
    leads = harness.leads(1)
    jobs = jobs_of(harness.ready())
    job = jobs.create("Lead", ["Phone"])
    harness.org.daily_used = 14_000
    jobs.find(job)
    with pytest.raises(QuotaError):
        jobs.upload(job, "Lead", phones(leads))
    with pytest.raises(QuotaError):
        jobs.create("Lead", ["Phone"])
    assert harness.count("ingest_upload") == 0
