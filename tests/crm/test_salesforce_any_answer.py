"""Any JSON in place of an answer of Salesforce, or of a part of it: it is read, or refused with our own error."""

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from simple_salesforce.exceptions import SalesforceError

from connector.core.errors import ConnectorError, DownError
from connector.crm.bulk import BulkApi
from connector.crm.interface import Selection, Update
from connector.crm.salesforce import Login, bodies
from connector.crm.salesforce.bodies import (
    ApiVersion,
    ApiVersions,
    CollectionResult,
    CollectionRow,
    DailyRequests,
    DescribedField,
    Description,
    ErrorRow,
    JobInfo,
    Limits,
    PicklistValue,
    QueryPage,
    RecordsById,
    Resources,
    TokenAnswer,
    TokenRefusal,
)
from connector.crm.salesforce.client import Client
from connector.crm.salesforce.errors import is_own_error, is_passing, translate
from connector.crm.salesforce.request import Request
from connector.crm.salesforce.site import SalesforceCrm
from connector.crm.salesforce.tokens import TokenSource
from connector.net import UnreadableError

ANSWERS = (
    *(ApiVersion, ApiVersions, CollectionResult, CollectionRow, DailyRequests, DescribedField, Description, ErrorRow),
    *(JobInfo, Limits, PicklistValue, QueryPage, RecordsById, Resources, TokenAnswer, TokenRefusal),
)
MEMBERS: list[tuple[type[Any], str, TypeAdapter[Any]]] = [
    (model, name, TypeAdapter(cast("type", member.annotation)))
    for model in ANSWERS
    for name, member in model.model_fields.items()
]
LEAD, SECOND = "00QSm0000000001MAA", "00QSm0000000002MAA"
JOB = "750Sm0000000001IAA"

# -- answers as they should be, and any JSON ---------------------------------------------------------------------

ROW = {"attributes": {"type": "Lead"}, "Id": LEAD, "SystemModstamp": "2026-11-20", "Email": "ada@example.com"}
CONVERTED = {**ROW, "Id": SECOND, "IsConverted": True, "ConvertedContactId": "003Sm0000000001IAA"}
ERROR = {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "Ask the owner", "fields": ["Email"]}
FIELD = {"name": "Kind__c", "type": "picklist", "picklistValues": [{"value": "a", "active": True}]}
GOOD: Mapping[str, object] = {
    "limits/": {"DailyApiRequests": {"Max": 1000, "Remaining": 900}},
    "": {"identity": "https://login.salesforce.com/id/00DSm0000000001MAA/005Sm0000000001IAA"},
    "sobjects/Lead/describe": {"name": "Lead", "fields": [FIELD, {**FIELD, "name": "MasterRecordId"}]},
    "query/": {"totalSize": 2, "done": True, "records": [ROW, CONVERTED]},
    "queryAll/": {"records": [{"Id": SECOND, "MasterRecordId": LEAD}]},
    "composite/sobjects/Lead": [ROW, None],
    "jobs/ingest": {"id": JOB, "state": "Open"},
    f"jobs/ingest/{JOB}": {
        "id": JOB,
        "state": "Failed",
        "numberRecordsProcessed": 2,
        "numberRecordsFailed": 0,
        "errorMessage": "InvalidBatch : Field name not found : X",
    },
    "composite/sobjects": [{"id": LEAD, "success": True, "errors": []}, {"success": False, "errors": [ERROR]}],
}
NAMES = sorted(
    {str(member.alias or name) for model in ANSWERS for name, member in model.model_fields.items()}
    | {"Id", "SystemModstamp", "IsConverted", "ConvertedContactId", "MasterRecordId", "attributes"}
)
CODES = ["INVALID_FIELD", "REQUEST_LIMIT_EXCEEDED", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "invalid_grant", LEAD]
HALVES = ["\ud83d", "\udc00 x"]  # of surrogate pairs
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**400, *CODES, *HALVES])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=8),
    max_leaves=12,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


def spoilt(value: object, path: tuple[str | int, ...], other: object) -> object:
    """The value with another one at a path."""
    if not path:
        return other
    copy: Any = deepcopy(value)
    node = copy
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = other
    return copy


PLACES = [(name, path) for name, answer in GOOD.items() for path in places(answer)]


# -- the adapter -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answering:
    """Gives the same answer to every request of a path."""

    answers: Mapping[str, object]

    def call(self, _kind: str, _what: str, path: str, **_: object) -> object:
        return self.answers[path]

    def optional(self, _what: str, path: str, *_: object) -> object:
        return self.answers[path]

    write = optional

    def repeated(self, _what: str, request: Request) -> object:
        return self.answers[request.path]

    def note_quota(self, used: int, limit: int) -> None:
        assert isinstance(used, int)
        assert isinstance(limit, int)

    def check_quota(self) -> None:
        pass


def jobs_of(crm: SalesforceCrm) -> BulkApi:
    assert crm.bulk is not None
    return crm.bulk


CALLS: dict[str, Callable[[SalesforceCrm], object]] = {
    "login": lambda crm: crm.login(),
    "org_id": lambda crm: crm.org_id(),
    "describe": lambda crm: crm.describe("Lead"),
    "check_condition": lambda crm: crm.check_condition("Lead", "IsConverted = false"),
    "select": lambda crm: next(crm.select(Selection("Lead", ())), None),
    "count": lambda crm: crm.count(Selection("Lead", ())),
    "read": lambda crm: crm.read("Lead", [LEAD, SECOND], []),
    "new job": lambda crm: jobs_of(crm).create("Lead", []),
    "job": lambda crm: jobs_of(crm).find(JOB),
    "update": lambda crm: crm.update("Lead", [Update(LEAD, {}), Update(SECOND, {})]),
}


def answered(answers: Mapping[str, object]) -> SalesforceCrm:
    return SalesforceCrm(cast("Client", Answering(answers)))


def refusal(call: Callable[[], object]) -> str:
    """The text of a refusal; empty where there is none."""
    try:
        call()
    except (ConnectorError, UnreadableError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def test_the_answers_as_they_should_be_are_read() -> None:
    crm = answered(GOOD)
    assert {name: refusal(partial(call, crm)) for name, call in CALLS.items()} == dict.fromkeys(CALLS, "")
    assert crm.org_id() == "00DSm0000000001MAA"
    assert list(crm.describe("Lead").fields) == ["kind__c", "masterrecordid"]
    assert [record.moved_to for record in next(crm.select(Selection("Lead", ())))] == [
        None,
        ("Contact", "003Sm0000000001IAA"),
    ]
    moved = crm.read("Lead", [LEAD, SECOND], [])[SECOND]
    assert moved is not None
    assert moved.moved_to == ("Lead", LEAD)


@settings(deadline=None, max_examples=50)
@given(JSON)
def test_any_json_in_any_place_is_read_or_refused(found: object) -> None:
    for name, path in PLACES:
        crm = answered({**GOOD, name: spoilt(GOOD[name], path, found)})
        refusals = [refusal(partial(call, crm)) for call in CALLS.values()]
        assert [text for text in refusals if text and not re.match("DownError: Salesforce.*; run again", text)] == []


REFUSED = {
    "describe": "description of Lead cannot be read",
    "select": "answer to reading records cannot be read",
    "check_condition": "answer to the condition cannot be read",
    "count": "answer to a count cannot be read",
    "read": "answer to a read by id cannot be read",
    "update": "answer to a write cannot be read",
}
NO_LISTS: list[object] = [None, {}, [], "x", {"fields": {}, "records": "x", "totalSize": -1}, [{}]]


def test_an_answer_without_its_list_is_refused(subtests: pytest.Subtests) -> None:
    for name, text in REFUSED.items():
        for found in NO_LISTS:
            answers = dict.fromkeys(GOOD, found)
            if name == "read":
                answers["sobjects/Lead/describe"] = GOOD["sobjects/Lead/describe"]
            with subtests.test(name=name, found=found), pytest.raises(DownError, match=text):
                CALLS[name](answered(answers))


# -- refusals and logins -----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(JSON, st.sampled_from([300, 400, 401, 403, 404, 409, 410, 500]))
def test_a_refusal_with_any_json_is_translated(found: Any, status: int) -> None:  # noqa: ANN401 JSON
    for content in (found, [found], {"errorCode": found, "message": found}):
        error = SalesforceError("https://acme.my.salesforce.com", status, "Lead", cast("bytes", content))
        assert isinstance(translate(error, "the condition"), ConnectorError)
        assert is_passing(error) in {True, False}
        assert is_own_error(error) in {True, False}


@dataclass(frozen=True)
class TokenSession:
    """Answers a token request with a status and a value."""

    status_code: int
    body: object

    def post(self, *_: object, **__: object) -> "TokenSession":
        return self

    def json(self) -> object:
        return self.body


@settings(deadline=None)
@given(JSON, st.sampled_from([200, 400, 401, 429, 503]))
def test_a_login_is_granted_or_refused_by_any_json(found: Any, status: int) -> None:  # noqa: ANN401 JSON
    login = Login("https://acme.my.salesforce.com", client_id="id", client_secret="secret")
    for body in (found, {"access_token": found}, {"error": found, "error_description": found}):
        source = TokenSource(login, cast("requests.Session", TokenSession(status, body)))
        text = refusal(source.get)
        assert "login" in text if text else source.get().isascii()


# -- the models --------------------------------------------------------------------------------------------------


def test_every_model_of_an_answer_is_tested() -> None:
    models = {one for one in vars(bodies).values() if isinstance(one, type) and issubclass(one, BaseModel)}
    assert {model for model in models if hasattr(model, "read") and model.__name__[0] != "_"} == set(ANSWERS)


def bodies_with(model: type[BaseModel], found: object) -> list[object]:
    """The value as an answer, as each of its members, and as an entry of each."""
    names = [member.alias or name for name, member in model.model_fields.items()]
    return [found, [found], *({name: found} for name in names), *({name: [found]} for name in names)]


@settings(deadline=None)
@given(JSON)
def test_every_model_reads_any_json_and_shows_none_of_it(found: Any) -> None:  # noqa: ANN401 JSON
    for model in ANSWERS:
        read = {repr(model.read(body)) for body in bodies_with(model, found)}
        assert read == {f"{model.__name__}()"}
    assert ErrorRow.read(found).code.replace("_", "a").isalnum() or ErrorRow.read(found).code == ""


@settings(deadline=None)
@given(JSON)
def test_every_member_has_its_type_whatever_arrived(found: Any) -> None:  # noqa: ANN401 JSON
    for model, name, declared in MEMBERS:
        for body in bodies_with(model, found):
            declared.validate_python(getattr(model.read(body), name), strict=True)


def test_a_value_without_end_counts_as_absent() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert ErrorRow.read({"message": deep, "errorCode": 10**5000}) == ErrorRow()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ({"done": False, "records": [ROW]}, "repeats a page"),
        ({"done": False, "records": []}, "cannot be read"),
        ({"done": False, "records": [1, None]}, "cannot be read"),
    ],
)
def test_pages_that_never_end_are_refused(page: object, words: str) -> None:
    crm = answered({**GOOD, "query/": page})
    with pytest.raises(DownError, match=words):
        for _ in zip(range(9), crm.select(Selection("Lead", ())), strict=False):
            pass
