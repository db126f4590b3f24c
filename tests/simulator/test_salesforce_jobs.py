"""Bulk jobs of the simulated Salesforce: the answers compared with recorded ones, the rows, and the course of a job."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
import recordings
import requests
from recordings import shape
from test_salesforce_driver import DATA, TOKEN, Driver, Host

RECORDED = ("amp-labs-connectors", "test", "bulk")
INGEST, QUERY = f"{DATA}/jobs/ingest", f"{DATA}/jobs/query"


class BulkDriver:
    """A driver of bulk jobs with a clock that stands still."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.org = driver.org

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:  # noqa: ANN401 JSON or bytes
        given = {"json": body} if isinstance(body, dict) else {"data": body}
        sent = {"Authorization": f"Bearer {TOKEN}", **headers}
        session = self.driver.session
        return session.request(method, self.driver.url + path, headers=sent, timeout=10, **given)

    def create(self, **settings: object) -> Any:  # noqa: ANN401 JSON
        answer = self.send("POST", INGEST, {"object": "Lead", "operation": "update", **settings})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, job: str, text: str) -> requests.Response:
        return self.send("PUT", f"{INGEST}/{job}/batches", text.encode(), **{"Content-Type": "text/csv"})

    def close(self, job: str) -> Any:  # noqa: ANN401 JSON
        answer = self.send("PATCH", f"{INGEST}/{job}", {"state": "UploadComplete"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def started(self, text: str, **settings: object) -> str:
        job = str(self.create(**settings)["id"])
        assert self.upload(job, text).status_code == 201
        self.close(job)
        return job

    def info(self, job: str) -> Any:  # noqa: ANN401 JSON
        return self.send("GET", f"{INGEST}/{job}").json()

    def run(self, text: str, **settings: object) -> str:
        job = self.started(text, **settings)
        self.wait(60)
        return job

    def wait(self, seconds: float) -> None:
        self.driver.clock.advance(seconds)

    def rows(self, job: str, file: str) -> list[dict[str, str]]:
        answer = self.send("GET", f"{INGEST}/{job}/{file}")
        assert answer.status_code == 200, answer.text
        return table(answer.text)

    def select(self, soql: str, operation: str = "query") -> str:
        answer = self.send("POST", QUERY, {"operation": operation, "query": soql})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture(name="bulk")
def _bulk(host: Host) -> BulkDriver:
    return BulkDriver(host.fresh())


def compared(recorded: Any) -> Any:  # noqa: ANN401 JSON
    """The shape of a recorded job without the member that only upserts have."""
    return shape({name: value for name, value in recorded.items() if name != "externalIdFieldName"})


# -- compared with the recordings


def test_a_new_job_is_described_as_recorded(bulk: BulkDriver) -> None:
    recorded = recordings.body(*RECORDED, "write", "launch-job-opportunity.json")
    job = bulk.create()
    assert shape(job) == compared(recorded)
    assert (job["state"], job["contentUrl"]) == ("Open", f"services/data/v67.0/jobs/ingest/{job['id']}/batches")
    assert list(job) == [name for name in recorded if name != "externalIdFieldName"]
    bulk.upload(job["id"], "Id\n")
    closed = bulk.close(job["id"])
    assert shape(closed) == compared(recordings.body(*RECORDED, "write", "update-job-opportunity.json"))
    assert (closed["state"], closed["id"][:3]) == ("UploadComplete", "750")


def test_a_jobs_course_is_described_as_recorded(bulk: BulkDriver) -> None:
    leads = [bulk.driver.lead() for _ in range(4)]
    job = bulk.started("Id,Phone\n" + "".join(f"{lead},1\n" for lead in leads))
    assert bulk.info(job)["state"] == "UploadComplete"
    bulk.wait(3.1)
    half = bulk.info(job)
    assert shape(half) == compared(recordings.body(*RECORDED, "info", "in-progress.json"))
    assert (half["state"], half["numberRecordsProcessed"], half["totalProcessingTime"]) == ("InProgress", 2, 0)
    bulk.wait(1)
    whole = bulk.info(job)
    assert shape(whole) == compared(recordings.body(*RECORDED, "info", "success.json"))
    assert (whole["state"], whole["numberRecordsProcessed"], whole["numberRecordsFailed"]) == ("JobComplete", 4, 0)


def test_an_unknown_column_fails_the_job_as_recorded(bulk: BulkDriver) -> None:
    lead = bulk.driver.lead()
    job = bulk.run(f"Id,Phone,Nonsense__c\n{lead},1,x\n")
    recorded, info = recordings.body(*RECORDED, "info", "complete-failure.json"), bulk.info(job)
    assert shape(info) == compared(recorded)
    assert info["errorMessage"] == recorded["errorMessage"].replace("StageName_invalid_field_on_purpose", "Nonsense__c")
    assert bulk.org.updates_count("Lead", lead) == 0
    assert bulk.rows(job, "unprocessedRecords") == [{"Id": lead, "Phone": "1", "Nonsense__c": "x"}]
    assert bulk.rows(job, "successfulResults") == bulk.rows(job, "failedResults") == []


def test_a_wrong_value_fails_its_row_as_recorded(bulk: BulkDriver) -> None:
    lines = recordings.folder().joinpath(*RECORDED, "info", "partial-failure.csv").read_text().splitlines()
    recorded = list(csv.reader(lines))
    when = recorded[1][5]
    lead, other = bulk.driver.lead(), bulk.driver.lead()
    bulk.org.add_field("Lead", _date_field())
    job = bulk.run(f"Id,Phone,Title,CloseDate\n{lead},1,x,{when}\n{other},1,,2026-01-02\n")
    text = bulk.send("GET", f"{INGEST}/{job}/failedResults").text
    assert text.splitlines()[0] == '"sf__Id","sf__Error",Id,Phone,Title,CloseDate'
    assert lines[0].startswith('"sf__Id","sf__Error",')
    assert table(text)[0]["sf__Error"] == recorded[1][1]
    assert text.splitlines()[1].endswith(f'"x","{when}"')
    info = bulk.info(job)
    assert (info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"]) == ("JobComplete", 2, 1)


def _date_field() -> Any:  # noqa: ANN401 a field
    from connector.simulator.salesforce import Field

    return Field("CloseDate", "date")


def test_a_query_job_is_described_as_recorded(bulk: BulkDriver) -> None:
    answer = bulk.send("POST", QUERY, {"operation": "query", "query": "SELECT Id FROM Lead"})
    recorded = recordings.body(*RECORDED, "read-launch-job-account.json")
    assert shape(answer.json()) == shape(recorded)
    assert list(answer.json()) == list(recorded)
    assert answer.json()["state"] == recorded["state"]


# -- rows


def test_cells_and_their_values(bulk: BulkDriver) -> None:
    lead = bulk.driver.lead(Title="Old", Phone="1", Email="a@example.com", DoNotCall=True)
    bulk.run(f'Id,Title,Phone,Email,DoNotCall,Description\n{lead[:15]}," A ""B"", C ",,#N/A,false,"two\nlines"\n')
    row = bulk.org.get("Lead", lead)
    assert (row["Title"], row["Phone"], row["Email"], row["DoNotCall"]) == ('A "B", C', "1", None, False)
    assert row["Description"] == "two\nlines"
    (update,) = bulk.org.history("Lead", lead)
    assert update.who == "api"
    assert set(update.changes) == {"Title", "Email", "DoNotCall", "Description"}


def test_rows_have_the_rules_of_collections(bulk: BulkDriver) -> None:
    org, driver = bulk.org, bulk.driver
    leads = [driver.lead() for _ in range(6)]
    long, deleted, locked, broken, twice, fine = leads
    org.delete("Lead", deleted)
    org.lock(locked)
    org.add_validation("Lead", lambda row: row["Phone"] == "bad", message="No: bad", fields=("Phone",))
    phones = {long: "9" * 41, broken: "bad"}
    ids = [twice, twice, *(lead for lead in leads if lead != twice), "00QSm0000999999", "nonsense", ""]
    lines = [f"{record_id},{phones.get(record_id, '1')}\n" for record_id in ids]
    job = bulk.run("Id,Phone\n" + "".join(lines))
    errors = [(row["Id"], row["sf__Error"]) for row in bulk.rows(job, "failedResults")]
    assert [(row, error.partition(":")[0]) for row, error in errors] == [
        (twice, "DUPLICATE_VALUE"),
        (twice, "DUPLICATE_VALUE"),
        (long, "STRING_TOO_LONG"),
        (deleted, "ENTITY_IS_DELETED"),
        (locked, "UNABLE_TO_LOCK_ROW"),
        (broken, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
        ("00QSm0000999999", "INVALID_CROSS_REFERENCE_KEY"),
        ("nonsense", "MALFORMED_ID"),
        ("", "MISSING_ARGUMENT"),
    ]
    assert errors[5][1] == "FIELD_CUSTOM_VALIDATION_EXCEPTION:No: bad:Phone --"
    assert errors[3][1] == "ENTITY_IS_DELETED:entity is deleted:--"
    assert bulk.rows(job, "successfulResults") == [
        {"sf__Id": fine, "sf__Created": "false", "Id": fine, "Phone": "1"},
    ]


def test_automation_fails_chunks_of_200(bulk: BulkDriver) -> None:
    leads = [bulk.driver.lead() for _ in range(500)]
    bulk.driver.arm("ingest_rows", "governor_limit", rows=100)
    job = bulk.run("Id,Phone\n" + "".join(f"{lead},1\n" for lead in leads))
    info = bulk.info(job)
    assert (info["numberRecordsProcessed"], info["numberRecordsFailed"]) == (500, 200)
    assert {row["sf__Error"].partition(":")[0] for row in bulk.rows(job, "failedResults")} == {
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"
    }


def test_faults_of_single_rows(bulk: BulkDriver) -> None:
    first, second = bulk.driver.lead(), bulk.driver.lead()
    bulk.driver.arm("ingest_rows", "row_error", subject=second, code="UNABLE_TO_LOCK_ROW", message="busy")
    job = bulk.run(f"Id,Phone\n{first},1\n{second},1\n")
    assert [row["sf__Error"] for row in bulk.rows(job, "failedResults")] == ["UNABLE_TO_LOCK_ROW:busy:--"]
    assert [row["Id"] for row in bulk.rows(job, "successfulResults")] == [first]
    assert bulk.driver.faults.armed() == []


def test_people_edit_records_before_between_and_after(bulk: BulkDriver) -> None:
    first, second = bulk.driver.lead(), bulk.driver.lead()
    bulk.started(f"Id,Phone\n{first},api\n{second},api\n")
    for lead in (first, second):
        bulk.org.edit("Lead", lead, {"Phone": "before"})
    bulk.wait(3.1)
    for lead in (first, second):
        bulk.org.edit("Lead", lead, {"Phone": "between"})
    bulk.wait(10)
    assert [bulk.org.get("Lead", lead)["Phone"] for lead in (first, second)] == ["between", "api"]


def test_watchers_hear_of_saved_rows(bulk: BulkDriver) -> None:
    lead, heard = bulk.driver.lead(), []
    bulk.org.after_update(lambda name, record_id: heard.append((name, record_id)))
    job = bulk.run(f"Id,Phone\n{lead},1\n")
    assert bulk.info(job)["state"] == "JobComplete"
    assert heard == [("Lead", lead)]


# -- files


@pytest.mark.parametrize(
    ("settings", "text", "state"),
    [
        ({}, "Id,Phone\n{},1\n", "JobComplete"),
        ({}, "\ufeffId,Phone\n{},1\n", "JobComplete"),
        ({}, "iD,phone\n{},1", "JobComplete"),
        ({}, "Id,Phone\r\n{},1\r\n", "ClientInputError"),
        ({"lineEnding": "CRLF"}, "Id,Phone\r\n{},1\r\n", "JobComplete"),
        ({"lineEnding": "CRLF"}, "Id,Phone\n{},1\n", "ClientInputError"),
        ({"columnDelimiter": "SEMICOLON"}, "Id;Phone\n{};1\n", "JobComplete"),
        ({"columnDelimiter": "PIPE"}, "Id,Phone\n{},1\n", "InvalidBatch"),
        ({}, "Id,Phone\n{}\n", "InvalidBatch"),
        ({}, 'Id,Phone\n{},"1\n', "InvalidBatch"),
        ({}, "Id,Phone,PHONE\n{},1,2\n", "InvalidBatch"),
        ({}, "", "InvalidBatch"),
    ],
)
def test_line_endings_delimiters_and_headers(
    bulk: BulkDriver, settings: dict[str, object], text: str, state: str
) -> None:
    lead = bulk.driver.lead()
    info = bulk.info(bulk.run(text.format(lead), **settings))
    assert info["state"] == ("JobComplete" if state == "JobComplete" else "Failed")
    assert info.get("errorMessage", "").startswith(state if state != "JobComplete" else "")
    assert bulk.org.get("Lead", lead)["Phone"] == ("1" if state == "JobComplete" else None)


# -- states


def test_requests_that_do_not_fit_the_state(bulk: BulkDriver) -> None:
    job = str(bulk.create()["id"])
    assert _refusal(bulk.send("GET", f"{INGEST}/{job}/failedResults")) == (400, "INVALIDJOBSTATE")
    assert _refusal(bulk.send("DELETE", f"{INGEST}/{job}")) == (400, "INVALIDJOBSTATE")
    wrong = bulk.send("PUT", f"{INGEST}/{job}/batches", b"Id\n", **{"Content-Type": "application/json"})
    assert _refusal(wrong) == (415, "UNSUPPORTED_MEDIA_TYPE")
    bulk.driver.site.ingest.most_bytes = 10
    assert bulk.upload(job, "Id,Phone\n00Q").status_code == 413
    assert bulk.upload(job, "Id\n").status_code == 201
    again = bulk.upload(job, "Id\n")
    assert _refusal(again) == (400, "CLIENTINPUTERROR")
    assert again.json()[0]["message"].startswith(f"Found multiple contents for job: <{job}>")
    bulk.close(job)
    assert _refusal(bulk.upload(job, "Id\n")) == (400, "INVALIDJOBSTATE")
    assert _refusal(bulk.send("PATCH", f"{INGEST}/{job}", {"state": "UploadComplete"})) == (400, "INVALIDJOBSTATE")
    bulk.wait(60)
    late = bulk.send("PATCH", f"{INGEST}/{job}", {"state": "Aborted"})
    assert late.json()[0] == {"errorCode": "INVALIDJOBSTATE", "message": "Aborting already Completed Job not allowed"}
    assert bulk.send("DELETE", f"{INGEST}/{job}").status_code == 204
    assert _refusal(bulk.send("GET", f"{INGEST}/{job}")) == (404, "NOT_FOUND")


def _refusal(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"object": "Lead", "operation": "insert"}, "SIMULATOR_LIMIT"),
        ({"object": "Lead", "operation": "enrich"}, "JSON_PARSER_ERROR"),
        ({"object": "Lead", "operation": "update", "lineEnding": "CR"}, "JSON_PARSER_ERROR"),
        ({"object": "Nonsense__c", "operation": "update"}, "INVALIDENTITY"),
    ],
)
def test_refused_jobs(bulk: BulkDriver, body: dict[str, object], code: str) -> None:
    assert _refusal(bulk.send("POST", INGEST, body)) == (400, code)


def test_an_aborted_job_keeps_what_it_saved(bulk: BulkDriver) -> None:
    leads = [bulk.driver.lead() for _ in range(4)]
    job = bulk.started("Id,Phone\n" + "".join(f"{lead},1\n" for lead in leads))
    bulk.wait(3.1)
    assert bulk.send("PATCH", f"{INGEST}/{job}", {"state": "Aborted"}).json()["state"] == "Aborted"
    bulk.wait(60)
    assert [bulk.org.get("Lead", lead)["Phone"] for lead in leads] == ["1", "1", None, None]
    assert [row["Id"] for row in bulk.rows(job, "successfulResults")] == leads[:2]
    assert [row["Id"] for row in bulk.rows(job, "unprocessedRecords")] == leads[2:]


@pytest.mark.parametrize(
    ("action", "state"), [("job_failed", "Failed"), ("job_aborted", "Aborted"), ("job_stuck", "InProgress")]
)
def test_faults_of_a_jobs_course(bulk: BulkDriver, action: str, state: str) -> None:
    leads = [bulk.driver.lead() for _ in range(4)]
    bulk.driver.arm("ingest_job", action, message="InternalServerError : gone")
    job = bulk.run("Id,Phone\n" + "".join(f"{lead},1\n" for lead in leads))
    info = bulk.info(job)
    assert (info["state"], info["numberRecordsProcessed"]) == (state, 2)
    assert info.get("errorMessage") == ("InternalServerError : gone" if state == "Failed" else None)
    if state != "InProgress":
        assert [row["Id"] for row in bulk.rows(job, "unprocessedRecords")] == leads[2:]


def test_jobs_are_listed_and_kept_for_seven_days(bulk: BulkDriver) -> None:
    job = str(bulk.create()["id"])
    listed = bulk.send("GET", INGEST).json()
    assert (listed["done"], [one["id"] for one in listed["records"]]) == (True, [job])
    bulk.wait(8 * 86_400)
    bulk.driver.site.accept_token(TOKEN)
    assert _refusal(bulk.send("GET", f"{INGEST}/{job}")) == (404, "NOT_FOUND")
    assert bulk.send("GET", INGEST).json()["records"] == []


def test_each_request_costs_one_call(bulk: BulkDriver) -> None:
    before = bulk.org.daily_used
    job = bulk.run(f"Id,Phone\n{bulk.driver.lead()},1\n")
    bulk.info(job)
    bulk.rows(job, "failedResults")
    assert bulk.org.daily_used - before == 5


def test_lost_answers_take_effect(bulk: BulkDriver) -> None:
    lead = bulk.driver.lead()
    job = str(bulk.create()["id"])
    for operation, send in (
        ("ingest_upload", lambda: bulk.upload(job, f"Id,Phone\n{lead},1\n")),
        ("ingest_state", lambda: bulk.close(job)),
    ):
        bulk.driver.arm(operation, "drop_after")
        with pytest.raises(requests.ConnectionError):
            send()
    bulk.wait(60)
    assert bulk.info(job)["state"] == "JobComplete"
    assert bulk.org.get("Lead", lead)["Phone"] == "1"


# -- queries


def test_a_querys_result_and_its_forms(bulk: BulkDriver) -> None:
    stamp = "2026-11-20T10:00:00.000+0000"
    lead = bulk.driver.lead(
        Description='two\nlines, "quoted"', AnnualRevenue=5, DoNotCall=True, Enriched_At__c=stamp, Phone=None
    )
    job = bulk.select(
        "SELECT Id, Description, AnnualRevenue, DoNotCall, HasOptedOutOfEmail, Enriched_At__c, Phone, Owner.Name "
        "FROM Lead"
    )
    early = bulk.send("GET", f"{QUERY}/{job}/results")
    assert _refusal(early) == (412, "JOB_NOT_COMPLETE")
    bulk.wait(60)
    answer = bulk.send("GET", f"{QUERY}/{job}/results")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert (answer.headers["Sforce-Locator"], answer.headers["Sforce-NumberOfRecords"]) == ("null", "1")
    assert answer.text.startswith('"Id","Description",')
    values = (lead, 'two\nlines, "quoted"', "5.0", "true", "false", "2026-11-20T10:00:00.000Z", "", "Robin Owner")
    assert tuple(table(answer.text)[0].values()) == values
    info = bulk.send("GET", f"{QUERY}/{job}").json()
    assert (info["jobType"], info["state"], info["numberRecordsProcessed"]) == ("V2Query", "JobComplete", 1)


def test_pages_of_a_query_outlive_their_token(bulk: BulkDriver) -> None:
    leads = [bulk.driver.lead() for _ in range(5)]
    job = bulk.select("SELECT Id FROM Lead ORDER BY Id")
    bulk.wait(60)
    bulk.driver.lead()  # after the job was processed
    found: list[str] = []
    locator, path = "", f"{QUERY}/{job}/results?maxRecords=2"
    while locator != "null":
        answer = bulk.send("GET", path + (f"&locator={locator}" if locator else ""))
        found += [row["Id"] for row in table(answer.text)]
        locator = answer.headers["Sforce-Locator"]
        bulk.driver.site.expire_tokens()
        bulk.driver.site.accept_token(TOKEN)
    assert found == leads
    for wrong in ("nonsense", "OTk"):  # 99
        assert _refusal(bulk.send("GET", f"{path}&locator={wrong}")) == (400, "INVALID_QUERY_LOCATOR")
    other = path.replace("67.0", "66.0")
    assert bulk.send("GET", other).status_code == 409


def test_deleted_records_and_empty_results(bulk: BulkDriver) -> None:
    lead = bulk.driver.lead()
    bulk.org.delete("Lead", lead)
    jobs = [bulk.select("SELECT Id FROM Lead", operation) for operation in ("query", "queryAll")]
    bulk.wait(60)
    texts = [bulk.send("GET", f"{QUERY}/{job}/results").text for job in jobs]
    assert texts == ['"Id"\n', f'"Id"\n"{lead}"\n']


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT COUNT() FROM Lead", "API_ERROR"),
        ("SELECT Address FROM Lead", "API_ERROR"),
        ("SELECT Nonsense__c FROM Lead", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE", "MALFORMED_QUERY"),
    ],
)
def test_refused_queries(bulk: BulkDriver, soql: str, code: str) -> None:
    assert _refusal(bulk.send("POST", QUERY, {"operation": "query", "query": soql})) == (400, code)


@pytest.mark.parametrize(
    ("action", "state"), [("job_failed", "Failed"), ("job_aborted", "Aborted"), ("job_stuck", "InProgress")]
)
def test_faults_of_a_query_jobs_course(bulk: BulkDriver, action: str, state: str) -> None:
    bulk.driver.arm("query_job", action)
    job = bulk.select("SELECT Id FROM Lead")
    bulk.wait(60)
    assert bulk.send("GET", f"{QUERY}/{job}").json()["state"] == state
    if state == "InProgress":
        assert bulk.send("PATCH", f"{QUERY}/{job}", {"state": "Aborted"}).json()["state"] == "Aborted"
    assert bulk.send("DELETE", f"{QUERY}/{job}").status_code == 204
    assert bulk.send("GET", f"{QUERY}/{job}").status_code == 404


# -- a foreign client


def test_plain_simple_salesforce_updates_and_queries(bulk: BulkDriver) -> None:
    pace = bulk.driver.site.pace
    pace.queued_s = pace.least_s = pace.per_row_s = 0.0
    first, second = bulk.driver.lead(), bulk.driver.lead()
    bulk.org.delete("Lead", second)
    library: Any = bulk.driver.sf  # it declares its handles as a union of unrelated types
    handle = library.bulk2.Lead
    records = [{"Id": lead, "Phone": "1"} for lead in (first, second)]
    (result,) = handle.update(records=records, wait=0)
    assert (result["numberRecordsProcessed"], result["numberRecordsFailed"], result["numberRecordsTotal"]) == (2, 1, 2)
    failed = table(handle.get_failed_records(result["job_id"]))
    assert [row["sf__Error"] for row in failed] == ["ENTITY_IS_DELETED:entity is deleted:--"]
    assert [row["Id"] for row in table(handle.get_successful_records(result["job_id"]))] == [first]
    assert table(handle.get_unprocessed_records(result["job_id"])) == []
    assert list(handle.query("SELECT Id, Phone FROM Lead", max_records=1, wait=0)) == [f'"Id","Phone"\n"{first}","1"\n']
