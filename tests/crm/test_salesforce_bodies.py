"""The models of Salesforce's bodies: odd members, recorded answers, the form of requests, and privacy."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import recordings
from pydantic import BaseModel, ValidationError

from connector.core.model import FieldValue
from connector.crm.interface import Message, Notified
from connector.crm.salesforce import bodies
from connector.crm.salesforce.bodies import (
    ApiVersions,
    CollectionResult,
    CollectionRow,
    CollectionUpdate,
    DailyRequests,
    DescribedField,
    Description,
    ErrorRow,
    Limits,
    Notification,
    OutboundMessage,
    PicklistValue,
    QueryPage,
    ReadByIds,
    RecordsById,
    RecordUpdate,
    Resources,
    TokenAnswer,
    TokenRefusal,
    TokenRequest,
)
from connector.crm.salesforce.messages import parse

MODELS = [
    one
    for one in vars(bodies).values()
    if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == bodies.__name__
]
LEAD = "00QSm0000000001AAA"
PRIVATE = "ada@example.com"

# -- odd members ---------------------------------------------------------------------------------------------------


def test_a_member_of_a_wrong_type_counts_as_absent() -> None:
    read: list[tuple[object, object]] = [
        (Limits.read(None).daily.most, None),
        (Limits.read({"DailyApiRequests": {"Max": "100", "Remaining": 5.0}}).daily.most, None),
        (Limits.read({"DailyApiRequests": {"Max": "100", "Remaining": 5.0}}).daily.remaining, 5),
        (Limits.read({"daily": {"most": 5}}).daily.most, None),
        (Resources.read({"identity": 5}).identity, "5"),
        (Resources.read([]).identity, ""),
        ([row.version for row in ApiVersions.read([{"version": 66.0}, 7, {"version": None}]).rows or ()], ["66.0", ""]),
        (ApiVersions.read({"version": "66.0"}).rows, None),
        (Description.read({"fields": {}}).fields, None),
        (Description.read({"fields": [None, []]}).fields, ()),
        (Description.read({"keyPrefix": 500, "updateable": None}).key_prefix, ""),
        (Description.read({"updateable": None}).updateable, True),
        (Description.read({"updateable": False}).updateable, False),
        (DescribedField.read({"name": "A", "length": "40", "scale": -1, "digits": 8.0}).length, 0),
        (DescribedField.read({"name": None, "type": 5, "label": ["x"]}).name, ""),
        (DescribedField.read({"name": None, "type": 5, "label": ["x"]}).type, "5"),
        (DescribedField.read({"name": None, "type": 5, "label": ["x"]}).label, "['x']"),
        (DescribedField.read({"updateable": "true", "filterable": "false"}).updateable, False),
        (DescribedField.read({"updateable": "true", "filterable": "false"}).filterable, True),
        (DescribedField.read({"key_prefix": "x", "picklistValues": "a"}).picklist_values, ()),
        ([one.value for one in DescribedField.read({"picklistValues": ["a", {"value": "b"}]}).picklist_values], ["b"]),
        (PicklistValue.read({"value": "a"}).active, True),
        (PicklistValue.read({"value": "a", "active": None}).active, False),
        (QueryPage.read({"records": {}}).records, None),
        (QueryPage.read({"records": [None, {"Id": 1}, "x"]}).records, [{"Id": 1}]),
        (QueryPage.read({"records": [], "done": None}).done, True),
        (QueryPage.read({"totalSize": True}).total_size, None),
        (RecordsById.read([None, {}, [], {"Id": 1}]).rows, [None, {}, None, {"Id": 1}]),
        (RecordsById.read({}).rows, None),
        (CollectionResult.read(None).rows, None),
        (
            [row.success for row in CollectionResult.read([{"success": True}, {"success": 1}, None]).rows or ()],
            [1, 0, 0],
        ),
        (CollectionRow.read({"errors": {"statusCode": "A"}}).errors, ()),
        ([row.code for row in CollectionRow.read({"errors": [None, {"statusCode": "A"}]}).errors], ["A"]),
        (ErrorRow.read({"statusCode": "", "errorCode": "B"}).code, "B"),
        (ErrorRow.read({"errorCode": "see below"}).code, ""),
        (ErrorRow.read({"errorCode": "A" * 90}).code, "A" * 80),
        (ErrorRow.read({"fields": ["Email", None, 5, "Phone"]}).fields, ("Email", "Phone")),
        (ErrorRow.first([]).code, ""),
        (ErrorRow.first([[{"errorCode": "A"}]]).code, ""),
        (ErrorRow.first({"errorCode": "A"}).code, "A"),
        (ErrorRow.first("<html>").message, ""),
        (TokenAnswer.read({"access_token": 5}).access_token, ""),
        (TokenAnswer.read({"accessToken": "a"}).access_token, ""),
        (TokenRefusal.read({"error": None, "error_description": ["x"]}).error_description, "['x']"),
    ]
    assert [(place, found, expected) for place, (found, expected) in enumerate(read) if found != expected] == []


def test_an_unknown_member_is_ignored() -> None:
    assert DailyRequests.read({"Max": 5, "Ant Migration Tool": {"Max": 0}}) == DailyRequests.read({"Max": 5})


# -- recorded answers ----------------------------------------------------------------------------------------------


def recorded() -> Iterator[Any]:
    """Every JSON value in the recordings, and every value in it."""
    for path in sorted(recordings.folder().rglob("*.json")):
        try:
            waiting: list[Any] = [json.loads(path.read_text(encoding="utf-8"))]
        except ValueError:
            continue  # some recordings are XML or CSV under another name
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []


def test_recorded_pages_are_read_whole() -> None:
    pages = [node for node in recorded() if isinstance(node, dict) and "records" in node and "totalSize" in node]
    assert len(pages) > 10
    for page in pages:
        found = QueryPage.read(page)
        assert (found.records, found.total_size, found.done) == (page["records"], page["totalSize"], page["done"])


def test_recorded_results_of_collections_are_read_whole() -> None:
    rows = [node for node in recorded() if isinstance(node, dict) and isinstance(node.get("errors"), list)]
    results = [row for row in rows if "success" in row]
    assert len(results) > 20
    (*found,) = CollectionResult.read(results).rows or ()
    assert [row.success for row in found] == [row["success"] for row in results]
    errors = [error for row in found for error in row.errors]
    texts = [error for row in results for error in row["errors"]]
    assert [(error.code, error.message, list(error.fields)) for error in errors] == [
        (text["statusCode"], text["message"], text["fields"]) for text in texts
    ]
    assert len(errors) > 5


def test_recorded_errors_of_requests_are_read_whole() -> None:
    errors = [node for node in recorded() if isinstance(node, list) and node and "errorCode" in node[0]]
    assert len(errors) > 8
    for body in errors:
        found = ErrorRow.first(body)
        assert (found.code, found.message) == (body[0]["errorCode"], body[0]["message"])


@pytest.mark.parametrize("name", ["Lead", "Contact", "Account", "Custom__c"])
def test_recorded_describes_are_read_whole(name: str) -> None:
    body = recordings.describe(name)
    found = Description.read(body)
    assert (found.name, found.key_prefix, found.updateable) == (body["name"], body["keyPrefix"], body["updateable"])
    rows = found.fields or ()
    assert len(rows) == len(body["fields"])
    for row, text in zip(rows, body["fields"], strict=True):
        members = {str(member.alias or key): getattr(row, key) for key, member in DescribedField.model_fields.items()}
        choices = [(one.value, one.active) for one in row.picklist_values]
        assert choices == [(one["value"], one["active"]) for one in text["picklistValues"]]
        members |= {"picklistValues": text["picklistValues"]}
        assert members == {key: "" if text[key] is None else text[key] for key in members}


def test_recorded_limits_versions_and_logins_are_read() -> None:
    limits = recordings.answer("get-limits", "get", "limits")[2]
    daily = Limits.read(limits).daily
    assert (daily.most, daily.remaining) == tuple(limits["DailyApiRequests"][key] for key in ("Max", "Remaining"))
    versions = recordings.body("restforce/services_data_success_response.json")
    assert [row.version for row in ApiVersions.read(versions).rows or ()] == ["20.0", "100"]
    granted = recordings.body("restforce/auth_success_response.json")
    assert TokenAnswer.read(granted).access_token == granted["access_token"]
    refused = recordings.body("restforce/auth_error_response.json")
    found = TokenRefusal.read(refused)
    assert (found.error, found.error_description) == (refused["error"], refused["error_description"])


# -- requests ------------------------------------------------------------------------------------------------------


def test_requests_have_the_documented_form() -> None:
    read = ReadByIds(ids=(LEAD,), fields=("Id", "Email"))
    assert json.dumps(read.sent()) == f'{{"ids": ["{LEAD}"], "fields": ["Id", "Email"]}}'
    values: dict[str, FieldValue] = {
        "Email": "a@b.c",
        "Score__c": 5.0,
        "Flag__c": False,
        "Phone": None,
        "Half__c": "\ud83d",
    }
    update = CollectionUpdate(records=(RecordUpdate(object="Lead", id=LEAD, values=values),))
    assert json.dumps(update.sent()) == (
        f'{{"allOrNone": false, "records": [{{"attributes": {{"type": "Lead"}}, "id": "{LEAD}", "Email": "a@b.c", '
        '"Score__c": 5.0, "Flag__c": false, "Phone": null, "Half__c": "\\ud83d"}]}'
    )
    assert TokenRequest(grant_type="client_credentials").form() == {"grant_type": "client_credentials"}
    assert TokenRequest(grant_type="g", assertion="a").form() == {"grant_type": "g", "assertion": "a"}


# -- messages ------------------------------------------------------------------------------------------------------

NOTIFICATION = (
    '<Notification><Id>04l000000000001AAA</Id><sObject xsi:type="sf:Lead" xmlns:sf="urn:sobject.enterprise.soap.'
    f'sforce.com"><sf:Id>{LEAD}</sf:Id></sObject></Notification>'
)
ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications '
    'xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId> 00D1 </OrganizationId>{}</notifications>'
    "</soapenv:Body></soapenv:Envelope>"
)


def test_an_outbound_message_is_read() -> None:
    found = parse(ENVELOPE.format(NOTIFICATION * 100).encode())
    assert found == Message("00D1", (Notified("04l000000000001AAA", "Lead", LEAD),) * 100)


@pytest.mark.parametrize(
    "notifications",
    [
        "",
        NOTIFICATION * 101,
        NOTIFICATION.replace("04l000000000001AAA", "04l000000000001"[:14]),
        NOTIFICATION.replace("04l000000000001AAA", "04l-00000000001AAA"),
        NOTIFICATION.replace("04l000000000001AAA", ""),
        NOTIFICATION.replace("sf:Lead", "sf:"),
        NOTIFICATION.replace(LEAD, " "),
        NOTIFICATION.replace("sObject", "record"),
    ],
    ids=["none", "too many", "short id", "odd id", "no id", "no type", "no record", "no object"],
)
def test_a_message_that_is_not_whole_is_none(notifications: str) -> None:
    assert parse(ENVELOPE.format(notifications).encode()) is None
    assert notifications == "" or parse(ENVELOPE.format(NOTIFICATION + notifications).encode()) is None


def test_a_message_without_its_org_is_none() -> None:
    assert parse(ENVELOPE.format(NOTIFICATION).replace("00D1", "").encode()) is None


# -- privacy -------------------------------------------------------------------------------------------------------


def test_no_model_shows_what_it_holds() -> None:
    update = RecordUpdate(object="Lead", id=PRIVATE, values={"Email": PRIVATE})
    shown: list[object] = [
        update,
        CollectionUpdate(records=(update,)),
        ReadByIds(ids=(PRIVATE,), fields=(PRIVATE,)),
        TokenRequest(grant_type="g", assertion=PRIVATE),
        QueryPage.read({"records": [{"Email": PRIVATE}]}),
        RecordsById.read([{"Email": PRIVATE}]),
        CollectionResult.read([{"errors": [{"message": PRIVATE}]}]).rows,
        TokenAnswer.read({"access_token": PRIVATE}),
        TokenRefusal.read({"error": PRIVATE, "error_description": PRIVATE}),
        Notification(id="0" * 15, object=PRIVATE, record_id=PRIVATE),
    ]
    assert [type(one).__name__ for one in shown if PRIVATE in f"{one!r} {one} {one!s}"] == []


WRONG: list[Callable[[], object]] = [
    lambda: ReadByIds.model_validate({"ids": PRIVATE, "fields": [PRIVATE, 5]}),
    lambda: CollectionUpdate.model_validate({"records": [{"object": PRIVATE, "id": {PRIVATE: 5}, "values": {}}]}),
    lambda: TokenRequest.model_validate({"grant_type": [PRIVATE], "assertion": [PRIVATE]}),
    lambda: OutboundMessage.model_validate({"org_id": [PRIVATE], "notifications": [{"id": PRIVATE}]}),
]


def test_no_error_of_a_model_shows_what_it_was_given() -> None:
    for wrong in WRONG:
        with pytest.raises(ValidationError) as caught:
            wrong()
        assert PRIVATE not in str(caught.value)


def test_every_model_is_frozen_and_hides_its_input() -> None:
    configs = {model.__name__: model.model_config for model in MODELS}
    assert {name for name, config in configs.items() if not config.get("hide_input_in_errors")} == set()
    assert {name for name, config in configs.items() if not config.get("frozen")} == set()
