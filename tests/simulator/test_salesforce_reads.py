"""Reading over HTTP with plain simple-salesforce: pages, describe, retrieve, limits, versions."""

from collections.abc import Iterator

import pytest
from simple_salesforce.exceptions import (
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)
from test_salesforce_driver import DATA, Driver, Host, errors_of

from connector.simulator.salesforce import Field


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture(name="driver")
def _driver(host: Host) -> Driver:
    return host.fresh()


def code_of(error: SalesforceMalformedRequest) -> str:
    return str(errors_of(error)[0]["errorCode"])


def test_pages_follow_one_another_and_have_the_total(driver: Driver) -> None:
    ids = [driver.lead() for _ in range(4_100)]

    first = driver.sf.query("SELECT Id FROM Lead ORDER BY Id")
    second = driver.sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    third = driver.sf.query_more(second["nextRecordsUrl"], identifier_is_url=True)

    pages = [first, second, third]
    assert [len(page["records"]) for page in pages] == [2_000, 2_000, 100]
    assert {page["totalSize"] for page in pages} == {4_100}
    assert [page["done"] for page in pages] == [False, False, True]
    assert "nextRecordsUrl" not in third
    assert [record["Id"] for page in pages for record in page["records"]] == ids
    assert first["records"][0]["attributes"] == {"type": "Lead", "url": f"{DATA}/sobjects/Lead/{ids[0]}"}
    assert driver.site.log[-3:] == [("query", 200, 2_000), ("query_more", 200, 2_000), ("query_more", 200, 100)]


@pytest.mark.parametrize(("asked", "given"), [("250", 250), ("10", 200), ("9999", 600), ("x", 600)])
def test_the_page_size_is_a_suggestion(driver: Driver, asked: str, given: int) -> None:
    for _ in range(600):
        driver.lead()
    answer = driver.sf.query("SELECT Id FROM Lead", headers={"Sforce-Query-Options": f"batchSize={asked}"})
    assert len(answer["records"]) == given


def test_a_locator_belongs_to_its_token_and_expires(driver: Driver) -> None:
    for _ in range(2_001):
        driver.lead()
    more = driver.sf.query("SELECT Id FROM Lead")["nextRecordsUrl"]
    other = driver.login()

    with pytest.raises(SalesforceMalformedRequest) as caught:
        other.query_more(more, identifier_is_url=True)
    assert code_of(caught.value) == "INVALID_QUERY_LOCATOR"
    assert driver.sf.query_more(more, identifier_is_url=True)["done"]

    driver.clock.advance(2 * 86_400)
    driver.site.token_seconds = 1e9
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_QUERY_LOCATOR"):
        driver.sf.query_more(more, identifier_is_url=True)


def test_query_all_iter_returns_every_record_once(driver: Driver) -> None:
    ids = {driver.contact() for _ in range(2_500)}
    found = [record["Id"] for record in driver.sf.query_all_iter("SELECT Id FROM Contact")]
    assert len(found) == 2_500
    assert set(found) == ids


def test_keyset_pages_need_no_locator(driver: Driver) -> None:
    ids = [driver.lead(Enrichment_Requested__c=True) for _ in range(450)]
    driver.lead()
    seen: list[str] = []
    last = "000000000000000"
    while True:
        where = f"WHERE Enrichment_Requested__c = true AND IsConverted = false AND Id > '{last}'"
        records = driver.sf.query(" ".join(("SELECT Id FROM Lead", where, "ORDER BY Id LIMIT 200")))["records"]
        if not records:
            break
        seen += [record["Id"] for record in records]
        last = seen[-1]
    assert seen == ids


def test_query_all_finds_the_loser_of_a_merge(driver: Driver) -> None:
    winner, loser = driver.lead(), driver.lead()
    driver.org.merge("Lead", winner, loser)
    soql = "SELECT Id, IsDeleted, MasterRecordId FROM Lead WHERE MasterRecordId != null"

    assert driver.sf.query(soql)["totalSize"] == 0
    record = driver.sf.query(soql, include_deleted=True)["records"][0]
    assert (record["Id"], record["IsDeleted"], record["MasterRecordId"]) == (loser, True, winner)


def test_a_refused_query_names_the_column(driver: Driver) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        driver.sf.query("SELECT Id, Mobile FROM Lead")
    assert code_of(caught.value) == "INVALID_FIELD"
    assert "No such column 'Mobile' on entity 'Lead'" in str(errors_of(caught.value)[0]["message"])


def test_describe_shows_the_users_access(driver: Driver) -> None:
    driver.org.hide_field("Lead", "DoNotCall")
    driver.org.make_read_only("Lead", "Phone")
    driver.org.restrict_picklist("Lead", "Enrichment__c", ("RequestedRecord", "Done"))
    driver.org.add_field("Lead", Field("Score__c", "double"))

    described = driver.handle("Lead").describe() or {}
    fields = {field["name"]: field for field in described["fields"]}

    assert described["keyPrefix"] == "00Q"
    assert "DoNotCall" not in fields
    assert not fields["Phone"]["updateable"]
    assert fields["MobilePhone"]["updateable"]
    assert not fields["IsConverted"]["updateable"]
    assert (fields["Email"]["type"], fields["Email"]["length"]) == ("email", 80)
    assert [fields[name]["length"] for name in ("Phone", "MobilePhone", "Fax", "Title", "Company")] == [
        *(40, 40, 40, 128, 255)
    ]
    assert fields["Lensmor_Personnel_Id__c"]["externalId"]
    assert not fields["LastName"]["nillable"]
    assert not fields["Email_Unlock_Status__c"]["restrictedPicklist"]
    assert fields["Enrichment__c"]["restrictedPicklist"]
    assert [choice["value"] for choice in fields["Enrichment__c"]["picklistValues"]] == ["RequestedRecord", "Done"]
    assert fields["Score__c"]["type"] == "double"
    assert {entry["name"] for entry in (driver.sf.describe() or {})["sobjects"]} == {
        *("Lead", "Contact", "Account", "User", "RecordType", "PermissionSet", "PermissionSetAssignment")
    }


def test_a_hidden_field_does_not_exist_anywhere(driver: Driver) -> None:
    lead = driver.lead(DoNotCall=True)
    driver.org.hide_field("Lead", "DoNotCall")

    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        driver.sf.query("SELECT Id FROM Lead WHERE DoNotCall = true")
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        driver.sf.restful("composite/sobjects/Lead", method="POST", json={"ids": [lead], "fields": ["DoNotCall"]})
    assert "DoNotCall" not in driver.handle("Lead").get(lead)
    failed = driver.update_many({"id": lead, "DoNotCall": False})[0]
    assert failed["errors"][0]["statusCode"] == "INVALID_FIELD"
    assert driver.org.get("Lead", lead)["DoNotCall"] is True

    driver.org.grant_field("Lead", "DoNotCall")
    assert driver.handle("Lead").get(lead)["DoNotCall"] is True


def test_many_records_by_id_keep_their_order(driver: Driver) -> None:
    first, gone, last = driver.lead(Phone="1"), driver.lead(), driver.lead(Phone="3")
    driver.org.delete("Lead", gone)
    ids = [last, gone, first[:15], "00QSm00000zzzzzAAA", "nonsense", driver.contact()]

    answer = driver.sf.restful("composite/sobjects/Lead", method="POST", json={"ids": ids, "fields": ["phone"]})

    assert answer is not None
    assert [record and (record["Id"], record["Phone"]) for record in answer] == [
        *((last, "3"), None, (first, "1"), None, None, None)
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"ids": ["00QSm0000010000MAA"] * 2_001, "fields": ["Id"]}, "EXCEEDED_ID_LIMIT"),
        ({"ids": ["00QSm0000010000MAA"], "fields": ["Nope"]}, "INVALID_FIELD"),
        ({"ids": ["00QSm0000010000MAA"]}, "INVALID_ARGUMENT"),
        ({"ids": [], "fields": ["Id"]}, "INVALID_ARGUMENT"),
    ],
)
def test_many_records_by_id_are_refused(driver: Driver, body: dict[str, object], code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        driver.sf.restful("composite/sobjects/Lead", method="POST", json=body)
    assert code_of(caught.value) == code


def test_one_record(driver: Driver) -> None:
    lead = driver.lead(FirstName="Chidi", Enriched_At__c="2026-11-20T11:30:00.123+01:00")
    whole = driver.handle("Lead").get(lead[:15])
    part = driver.sf.restful(f"sobjects/Lead/{lead}", params={"fields": "Name,enriched_at__c"})

    assert (whole["Id"], whole["Name"], whole["Status"]) == (lead, "Chidi Okafor", "Open - Not Contacted")
    assert part == {
        "attributes": {"type": "Lead", "url": f"{DATA}/sobjects/Lead/{lead}"},
        "Name": "Chidi Okafor",
        "Enriched_At__c": "2026-11-20T10:30:00.000+0000",
        "Id": lead,
    }


def test_missing_records(driver: Driver) -> None:
    lead = driver.lead()
    driver.org.delete("Lead", lead)
    handle = driver.handle("Lead")
    for record_id, code in ((lead, "ENTITY_IS_DELETED"), ("00QSm00000zzzzz", "NOT_FOUND"), ("abc", "NOT_FOUND")):
        with pytest.raises(SalesforceResourceNotFound, match=code):
            handle.get(record_id)
    with pytest.raises(SalesforceMalformedRequest, match="MALFORMED_ID"):
        handle.get("00QSm0000010000AAA")
    with pytest.raises(SalesforceResourceNotFound, match="NOT_FOUND"):
        driver.handle("Opportunityy").describe()


def test_versions(driver: Driver) -> None:
    listed = driver.session.get(f"{driver.url}/services/data", timeout=10).json()
    assert {"59.0", "67.0"} <= {entry["version"] for entry in listed}

    for version, status in (("59.0", 200), ("30.0", 410), ("99.0", 404), ("abc", 404)):
        assert driver.raw("GET", f"/services/data/v{version}/limits").status_code == status
    assert driver.raw("GET", f"{DATA}/").json()["query"] == f"{DATA}/query"


def test_unknown_paths_and_methods(driver: Driver) -> None:
    missing, wrong = driver.raw("GET", f"{DATA}/nothing/here"), driver.raw("DELETE", f"{DATA}/limits")
    assert (missing.status_code, missing.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    assert (wrong.status_code, wrong.json()[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")


def test_every_request_counts_until_the_allowance_is_used_up(driver: Driver) -> None:
    driver.org.daily_limit = 3
    assert driver.sf.limits()["DailyApiRequests"] == {"Max": 3, "Remaining": 2}
    with pytest.raises(SalesforceMalformedRequest):
        driver.sf.query("SELECT nonsense")
    driver.sf.query("SELECT Id FROM Lead")
    assert driver.sf.api_usage["api-usage"] == (3, 3)

    with pytest.raises(SalesforceRefusedRequest) as caught:
        driver.sf.query("SELECT Id FROM Lead")
    assert errors_of(caught.value) == [
        {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
    ]
    assert driver.org.daily_used == 3

    driver.clock.advance(86_401)
    driver.site.accept_token(driver.sf.session_id)
    assert driver.sf.limits()["DailyApiRequests"]["Remaining"] == 2


def test_a_uri_that_is_too_long_is_refused(driver: Driver) -> None:
    ids = ",".join(f"'00QSm00000{number:05d}'" for number in range(1_000))
    with pytest.raises(SalesforceGeneralError) as caught:
        driver.sf.query(" ".join(("SELECT Id FROM Lead WHERE Id IN (", ids, ")")))
    assert caught.value.status == 414
    assert isinstance(caught.value.content, str)
    assert driver.raw("GET", f"{DATA}/limits", headers={"X-Long": "x" * 16_400}).status_code == 431


def test_counters_of_reads_and_writes(driver: Driver) -> None:
    lead = driver.lead()
    driver.sf.query("SELECT Id FROM Lead")
    driver.update_many({"id": lead, "Phone": "1"}, {"id": "broken", "Phone": "1"})

    assert driver.site.requests == {"query": 1, "update_many": 1}
    assert driver.site.log == [("query", 200, 1), ("update_many", 200, 2)]
    assert driver.site.requests.counters()["update_many"] == {"requests": 1, "rows": 2, "200": 1}
    driver.site.requests.clear()
    assert not driver.site.log
