"""Standard objects: relationships, compound and calculated fields, references, and the encoding of answers."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from simple_salesforce.exceptions import SalesforceMalformedRequest
from test_salesforce_driver import DATA, TOKEN, Driver, Host, errors_of

from connector.core.errors import ConfigurationError
from connector.crm.interface import Selection
from connector.crm.salesforce import Login
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.site import SalesforceCrm
from connector.simulator.clock import SimClock
from connector.simulator.salesforce import Field, Org
from connector.simulator.salesforce.errors import ApiError
from connector.simulator.salesforce.query import run
from connector.simulator.salesforce.standard import custom_object

NOW = 1_795_168_800.0
AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture
def driver(host: Host) -> Driver:
    return host.fresh()


@pytest.fixture(scope="module")
def org() -> Org:
    org = Org(SimClock(source=lambda: NOW))
    parent = org.insert("Account", {"Name": "Example Group"})
    works = org.insert("Account", {"Name": "Example Works", "ParentId": parent})
    partner = org.add_record_type("Contact", "Partner_Contact")
    boss = org.insert("Contact", {"LastName": "Abe", "AccountId": works, "RecordTypeId": partner})
    org.insert("Contact", {"LastName": "Brandt", "AccountId": works, "ReportsToId": boss})
    org.insert("Contact", {"LastName": "Castro", "AccountId": parent, "OwnerId": org.user_id})
    org.insert("Contact", {"LastName": "Dahl"})
    return org


def names(org: Org, rest: str) -> str:
    found = run(org, " ".join(("SELECT LastName FROM Contact", rest)), include_deleted=False)
    return "".join(str(row["LastName"])[0] for row in found.rows)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("WHERE Owner.Name = 'robin owner'", "ABD"),
        ("WHERE Owner.Name != 'Robin Owner'", "C"),
        ("WHERE owner.lastname LIKE 'U%'", "C"),
        ("WHERE RecordType.DeveloperName = 'Partner_Contact'", "A"),
        ("WHERE RecordType.DeveloperName = null", "BCD"),
        ("WHERE Account.Name = 'Example Works'", "AB"),
        ("WHERE Account.Parent.Name = 'Example Group'", "AB"),
        ("WHERE Account.Owner.IsActive = true", "ABC"),
        ("WHERE ReportsTo.Account.Parent.Name = 'Example Group'", "B"),
        ("WHERE Account.Name IN ('Example Group', 'Nobody')", "C"),
        ("WHERE Account.CreatedDate = TODAY", "ABC"),
        ("WHERE (NOT Account.Name = 'Example Works')", "CD"),
        ("WHERE Contact.LastName = 'Dahl'", "D"),
        ("ORDER BY Account.Name DESC NULLS LAST, LastName", "ABCD"),
        ("ORDER BY Account.Name NULLS LAST, LastName DESC", "CBAD"),
    ],
)
def test_relationships_in_conditions_and_orders(org: Org, rest: str, expected: str) -> None:
    assert names(org, rest) == expected


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("SELECT Id FROM Lead WHERE Ownr.Name = 'x'", "INVALID_FIELD", "Didn't understand relationship 'Ownr'"),
        ("SELECT Id FROM Lead WHERE Owner.Nam = 'x'", "INVALID_FIELD", "No such column 'Nam' on entity 'User'"),
        ("SELECT Owner.Email.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Email'"),
        ("SELECT Owner.Name, owner.name FROM Lead", "MALFORMED_QUERY", "duplicate field selected: Owner.Name"),
        ("SELECT Id FROM Lead WHERE Address = 'x'", "INVALID_FIELD", "field 'Address' can not be filtered"),
        ("SELECT Id FROM Lead ORDER BY Description", "MALFORMED_QUERY", "field 'Description' can not be sorted"),
        ("SELECT ReportsTo.ReportsTo.ReportsTo.ReportsTo.ReportsTo.ReportsTo.Id FROM Contact", "MALFORMED_QUERY", "at"),
        ("SELECT Individual.Name FROM Lead", "SIMULATOR_LIMIT", "the object behind the relationship Individual"),
    ],
)
def test_relationships_that_lead_nowhere(org: Org, query: str, code: str, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        run(org, query, include_deleted=False)
    assert caught.value.problem.code == code
    assert words in caught.value.problem.message


def test_a_hidden_field_is_hidden_through_a_relationship(driver: Driver) -> None:
    driver.org.hide_field("User", "Email")
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Email' on entity 'User'"):
        driver.sf.query("SELECT Id FROM Lead WHERE Owner.Email = 'x'")
    driver.org.hide_field("Lead", "OwnerId")
    with pytest.raises(SalesforceMalformedRequest, match="Didn't understand relationship 'Owner'"):
        driver.sf.query("SELECT Owner.Name FROM Lead")


def test_nested_records_in_an_answer(driver: Driver) -> None:
    account = driver.org.insert("Account", {"Name": "Example Works"})
    driver.contact(AccountId=account)
    driver.contact()
    query = "SELECT Id, Account.Name, Account.Owner.Name, Account.Parent.Name FROM Contact ORDER BY Id"
    first, second = driver.raw("GET", f"{DATA}/query?q={query}").json()["records"]
    assert first["Account"]["attributes"] == {"type": "Account", "url": f"{DATA}/sobjects/Account/{account}"}
    assert first["Account"]["Name"] == "Example Works"
    assert first["Account"]["Owner"]["Name"] == "Robin Owner"
    assert first["Account"]["Parent"] is None
    assert second["Account"] is None


def test_a_custom_reference_is_followed_by_its_r_name(driver: Driver) -> None:
    driver.org.add_object(custom_object("Show__c", "a01", (Field("City__c", "string", 80),)))
    driver.org.add_field("Lead", Field("Show__c", "reference", 18, refers_to=("Show__c",)))
    show = driver.org.insert("Show__c", {"Name": "Expo", "City__c": "Utrecht"})
    lead = driver.lead(Show__c=show)
    driver.lead()
    found = driver.sf.query("SELECT Id, Show__r.City__c FROM Lead WHERE Show__r.Name = 'expo'")["records"]
    assert [(one["Id"], one["Show__r"]["City__c"]) for one in found] == [(lead, "Utrecht")]


def test_record_types_in_describe_and_on_records(driver: Driver) -> None:
    partner = driver.org.add_record_type("Lead", "Partner_Lead")
    foreign = driver.org.insert("Account", {"Name": "Example Works"})
    infos = driver.raw("GET", f"{DATA}/sobjects/Lead/describe").json()["recordTypeInfos"]
    assert [(info["developerName"], info["master"]) for info in infos] == [("Partner_Lead", False), ("Master", True)]
    lead = driver.lead()
    assert driver.update_many({"id": lead, "RecordTypeId": partner})[0]["success"]
    refused = driver.update_many({"id": lead, "RecordTypeId": foreign})[0]["errors"][0]
    assert (refused["statusCode"], refused["fields"]) == ("INVALID_CROSS_REFERENCE_KEY", ["RecordTypeId"])
    assert "this ID value isn't valid for the user" in refused["message"]


def test_addresses_consist_of_their_parts(driver: Driver) -> None:
    empty, full = driver.lead(), driver.lead(Street="Expo Road 1", City="Utrecht", Latitude=52.1)
    assert driver.raw("GET", f"{DATA}/sobjects/Lead/{empty}?fields=Address").json()["Address"] is None
    address = driver.raw("GET", f"{DATA}/sobjects/Lead/{full}").json()["Address"]
    assert (address["street"], address["latitude"], address["country"]) == ("Expo Road 1", 52.1, None)
    refused = driver.update_many({"id": full, "Address": {"city": "Jena"}})[0]["errors"][0]
    assert (refused["statusCode"], refused["fields"]) == ("INVALID_FIELD_FOR_INSERT_UPDATE", ["Address"])


def test_fields_only_for_new_records_or_updates(driver: Driver) -> None:
    lead = driver.lead()
    codes = [
        [error["statusCode"] for error in driver.update_many({"id": lead, **values})[0]["errors"]]
        for values in ({"EmailBouncedReason": "gone"}, {"IsConverted": True}, {"Name": "Ada"}, {"CreatedDate": None})
    ]
    refused = ["INVALID_FIELD_FOR_INSERT_UPDATE"]
    assert codes == [[], refused, refused, refused]
    sent = {"LastName": "Roe", "Company": "Example", "EmailBouncedReason": "gone"}
    answer = driver.session.post(f"{driver.url}{DATA}/sobjects/Lead", json=sent, headers=AUTH, timeout=10)
    assert answer.json()[0]["fields"] == ["EmailBouncedReason"]


def test_who_changed_a_record_and_whether_its_email_bounced(driver: Driver) -> None:
    contact = driver.contact()
    driver.update_many({"id": contact, "EmailBouncedDate": "2026-11-20T10:00:00Z"}, kind="Contact")
    row = driver.org.get("Contact", contact)
    assert (row["CreatedById"], row["LastModifiedById"]) == (driver.org.owner_id, driver.org.user_id)
    assert row["IsEmailBounced"] is True


@pytest.mark.parametrize(
    ("field", "sent", "stored"),
    [
        ("NumberOfEmployees", "100", 100),
        ("NumberOfEmployees", 7, 7),
        ("NumberOfEmployees", " ", None),
        ("AnnualRevenue", "1250.5", 1250.5),
        ("AnnualRevenue", 139_000_000, 139_000_000.0),
        ("Score__c", "62992312", 62_992_312.0),
    ],
)
def test_numbers_and_numbers_as_text(driver: Driver, field: str, sent: object, stored: object) -> None:
    driver.org.add_field("Lead", Field("Score__c", "double"))
    lead = driver.lead()
    assert driver.update_many({"id": lead, field: sent})[0]["success"]
    text = driver.raw("GET", f"{DATA}/sobjects/Lead/{lead}?fields={field}").text
    assert f'"{field}": {json.dumps(stored)}' in text


@pytest.mark.parametrize(
    ("field", "sent", "words"),
    [
        ("NumberOfEmployees", "many", "instance of int from VALUE_STRING value many"),
        ("NumberOfEmployees", 1.5, "instance of int from VALUE_NUMBER_FLOAT value 1.5"),
        ("AnnualRevenue", "nan", "instance of currency from VALUE_STRING value nan"),
        ("Phone", 5, "instance of phone from VALUE_NUMBER_INT value 5"),
        ("Title", ["Buyer"], "instance of string from START_ARRAY value ["),
        ("DoNotCall", "yes", "instance of boolean from VALUE_STRING value yes"),
    ],
)
def test_values_of_the_wrong_kind(driver: Driver, field: str, sent: object, words: str) -> None:
    lead = driver.lead()
    with pytest.raises(SalesforceMalformedRequest) as caught:
        driver.update_many({"id": lead, field: sent})
    (error,) = errors_of(caught.value)
    assert error["errorCode"] == "JSON_PARSER_ERROR"
    assert words in str(error["message"])


def test_malformed_and_foreign_ids(driver: Driver) -> None:
    lead, contact = driver.lead(), driver.contact()
    crippled = lead[:15] + "AAA"
    rows = driver.update_many({"id": crippled, "Phone": "1"}, {"id": contact, "Phone": "1"}, {"id": "x", "Phone": "1"})
    assert [(row["errors"][0]["statusCode"], row["errors"][0]["message"]) for row in rows] == [
        ("MALFORMED_ID", f"malformed id {crippled}"),
        ("MALFORMED_ID", f"Lead ID: id value of incorrect type: {contact}"),
        ("MALFORMED_ID", "malformed id x"),
    ]


def test_only_a_row_without_attributes_fails(driver: Driver) -> None:
    first, second = driver.lead(), driver.lead()
    records = [{"id": first, "Phone": "1"}, {"attributes": {"type": "Lead"}, "id": second, "Phone": "1"}]
    answer: Any = driver.sf.restful("composite/sobjects", method="PATCH", json={"records": records})
    assert [row["success"] for row in answer] == [False, True]
    assert answer[0]["errors"][0]["statusCode"] == "JSON_PARSER_ERROR"


def test_an_error_quotes_the_query_around_its_position(driver: Driver) -> None:
    secret = "LastName = 'Roe' AND Citty = 'Jane Roe of the very long name that is cut somewhere'"
    with pytest.raises(SalesforceMalformedRequest) as caught:
        driver.sf.query(" ".join(("SELECT Id, Email, Phone FROM Lead WHERE", secret)))
    message = str(errors_of(caught.value)[0]["message"])
    echo, caret, place, words = message.split("\n")[1:]
    assert echo == "FROM Lead WHERE LastName = 'Roe' AND Citty = 'Jane Roe of the very long name"
    assert echo[caret.index("^") :].startswith("Citty")
    assert place == "ERROR at Row:1:Column:62"
    assert words.startswith("No such column 'Citty' on entity 'Lead'")


def test_retrieve_by_query_string(driver: Driver) -> None:
    lead, gone = driver.lead(Email="a@example.com"), driver.lead()
    driver.org.delete("Lead", gone)
    answer = driver.raw("GET", f"{DATA}/composite/sobjects/Lead?ids={lead[:15]},{gone},nothing&fields=Email")
    assert [row and (row["Id"], row["Email"]) for row in answer.json()] == [(lead, "a@example.com"), None, None]
    for query, code in (
        ("ids=x&fields=Nope", "INVALID_FIELD"),
        ("fields=Id", "INVALID_ARGUMENT"),
        ("", "INVALID_ARGUMENT"),
    ):
        refused = driver.raw("GET", f"{DATA}/composite/sobjects/Lead?{query}")
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, code)


def test_answers_are_chunked_and_compressed_on_request(driver: Driver) -> None:
    for _ in range(50):
        driver.lead()
    path = f"{driver.url}{DATA}/query?q=SELECT+Id+FROM+Lead"
    plain = driver.session.get(path, headers={**AUTH, "Accept-Encoding": "identity"}, timeout=10)
    packed = driver.session.get(path, headers={**AUTH, "Accept-Encoding": "gzip"}, stream=True, timeout=10)
    raw = packed.raw.read(decode_content=False)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 4
    for answer in (plain, packed):
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in answer.headers


def test_an_etag_follows_the_content(driver: Driver) -> None:
    lead = driver.lead()

    def tag() -> str:
        return driver.raw("GET", f"{DATA}/sobjects/Lead/{lead}").headers["ETag"]

    before = tag()
    assert tag() == before
    driver.org.edit("Lead", lead, {"Phone": "1"})
    assert tag() != before


class TestLimitsOfTheSimulator:
    def test_the_connector_reports_them(self, driver: Driver) -> None:
        login = Login(instance_url=driver.url, client_id="sim-client-id", client_secret="sim-client-secret")
        crm = SalesforceCrm(Client(login, "67.0", 20, lambda _seconds: None))
        crm.login()
        for where, limit in (
            ("Id IN (SELECT LeadId FROM CampaignMember)", "a semi-join in a query"),
            ("CALENDAR_YEAR(CreatedDate) = 2026", "the function CALENDAR_YEAR in a query"),
            ("Individual.Name = 'x'", "the object behind the relationship Individual in a query"),
        ):
            with pytest.raises(ConfigurationError) as caught:
                list(crm.select(Selection("Lead", ("Email",), where=(where,))))
            assert f"a limit of the simulator, not of Salesforce: it does not support {limit}" in str(caught.value)
        with pytest.raises(ConfigurationError, match="does not support the object Opportunity"):
            crm.describe("Opportunity")
        crm.close()

    def test_our_client_sends_conditions_over_relationships(self, driver: Driver) -> None:
        lead = driver.lead(Email="a@example.com")
        driver.lead(OwnerId=driver.org.user_id)
        login = Login(instance_url=driver.url, client_id="sim-client-id", client_secret="sim-client-secret")
        crm = SalesforceCrm(Client(login, "67.0", 20, lambda _seconds: None))
        crm.login()
        found = list(crm.select(Selection("Lead", ("Email",), where=("Owner.Name = 'Robin Owner'",))))
        assert json.dumps([str(one) for one in found]).count(lead) >= 1
        crm.close()

    @pytest.mark.parametrize("path", ["/search?q=x", "/tooling/query", "/chatter/feeds", "/sobjects/Case/describe"])
    def test_known_resources_are_limits(self, driver: Driver, path: str) -> None:
        answer = driver.raw("GET", DATA + path)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "SIMULATOR_LIMIT")

    @pytest.mark.parametrize("path", ["/nonsense", "/sobjects/Leed/describe"])
    def test_unknown_ones_are_not(self, driver: Driver, path: str) -> None:
        answer: requests.Response = driver.raw("GET", DATA + path)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")
