"""The models of vendors' bodies: no JSON object makes one raise, and none shows what it holds."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from connector import providers
from connector.core.limits import is_event_id
from connector.providers.bodies import (
    AnswerBody,
    Balance,
    Count,
    Id,
    Ids,
    OrEmpty,
    OrNone,
    Price,
    RequestBody,
    Rows,
    Text,
)
from connector.providers.lensmor.bodies import (
    EventItem,
    EventRef,
    EventUnlockResult,
    LinkedinPerson,
    UnlockItem,
    UnlockRequest,
    UnlockSubmission,
)
from connector.providers.salesfinity.bodies import EmailEnrichment, EmailEnrichmentCallback, EmailEnrichmentRequest

ADDRESS = "ada@example.com"
ModelT = TypeVar("ModelT", bound=BaseModel)


def _models(base: type[ModelT]) -> Iterator[type[ModelT]]:
    """Every model of a body that derives from this one; the names of mere bases begin with an underscore."""
    for model in base.__subclasses__():
        if model.__module__.startswith(f"{providers.__name__}.") and not model.__name__.startswith("_"):
            yield model
        yield from _models(model)


REQUESTS = tuple(_models(RequestBody))
MODELS = tuple(_models(AnswerBody))
NAMES = sorted({str(field.alias or name) for model in MODELS for name, field in model.model_fields.items()})
HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["\x00", "\ud800", "\u202e", "9" * 30, "x" * 500, "7\n", ADDRESS, "70011", "52001", 10**400]),
)
JSON = st.recursive(
    HOSTILE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8) | st.just("\ud800"), inner, max_size=3)
    ),
    max_leaves=8,
)


def _models_in(annotation: object) -> Iterator[type[AnswerBody]]:
    if isinstance(annotation, type) and issubclass(annotation, AnswerBody):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


@cache
def _bodies(model: type[AnswerBody]) -> st.SearchStrategy[dict[str, object]]:
    """Objects with any JSON in the members of a model, objects of the right form among it, and in other members."""
    members: dict[str, st.SearchStrategy[object]] = {}
    for name, field in model.model_fields.items():
        values: st.SearchStrategy[object] = JSON
        for inner in _models_in(field.annotation):
            values |= _bodies(inner) | st.lists(_bodies(inner) | HOSTILE, max_size=3)
        members[str(field.alias or name)] = values
    others = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), JSON, max_size=3)
    return st.builds(lambda known, more: more | known, st.fixed_dictionaries({}, optional=members), others)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_json_object_makes_a_model_raise(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    found = model.model_validate(data.draw(_bodies(model)))
    assert repr(found) == f"{model.__name__}()"
    if isinstance(found, EventRef):
        assert found.usable_id is None or is_event_id(found.usable_id)
        assert isinstance(found.is_about("52001"), bool)
    if isinstance(found, EventUnlockResult):
        assert isinstance(found.is_about("52001"), bool)


def test_every_vendor_has_models_of_what_is_sent_and_what_is_read() -> None:
    folders = {path.parent.name for path in VENDOR_FILES}
    for models in (REQUESTS, MODELS):
        assert {model.__module__.split(".")[2] for model in models} == folders
    assert [model.__name__ for model in REQUESTS if not model.__name__.endswith("Request")] == []
    assert [model.__name__ for model in MODELS if model.__name__.endswith("Request")] == []
    bodies = {model for model in _models(BaseModel) if model.__module__.endswith(".bodies")}
    assert bodies == {RequestBody, AnswerBody, *REQUESTS, *MODELS}


class _Row(AnswerBody):
    id: Id = None


class _Anything(AnswerBody):
    """One member of each shared type."""

    id: Id = None
    ids: Ids = ()
    balance: Balance = None
    count: Count = None
    price: Price = None
    text: Text = None
    rows: Rows[_Row] = ()
    row_or_none: OrNone[_Row] = None
    row: OrEmpty[_Row] = _Row()


SEVEN = _Row(id="7")


def read_as(member: str, read: object, *sent: object) -> list[tuple[str, object, object]]:
    """Rows of a table: what is sent in a member, and what is read there."""
    return [(member, one, read) for one in sent]


READ = [
    *read_as("id", "7", "7", 7, 7.0),
    *read_as("id", " 7/8 ", " 7/8 "),
    *read_as("id", None, None, "", "7\n", "\ud800", "7" * 201, True, 7.5, 10**40, ["7"], {"id": "7"}),
    *read_as("ids", ("7", "8", "9"), ["7", 8, 9.0, None, True, 1.5, "", "\x00", ["7"], {"id": "7"}]),
    *read_as("ids", (), None, "7", 7, {"7": True}, []),
    *read_as("balance", 9115, 9115, 9115.7),
    *read_as("balance", -3, -3),
    *read_as("balance", None, None, "9115", True, [1], {}, float("inf"), float("nan"), 10**400),
    *read_as("count", 4, 4, 4.0),
    *read_as("count", None, None, "4", True, -1, 1.5, 10**19, []),
    *read_as("price", 2000, 2000, 2000.0),
    *read_as("price", None, None, "15", True, -1, 10**8, []),
    *[row for text in ("", "as sent \n", "\ud800") for row in read_as("text", text, text)],
    *read_as("text", None, None, 5, True, ["a"], {"a": "b"}),
    *read_as("rows", (SEVEN, _Row(), _Row()), [None, {"id": 7}, 5, "7", [{"id": 7}], {"id": []}, {}, True]),
    *read_as("rows", (), None, {"id": 7}, "rows", 5, True, []),
    *read_as("row_or_none", SEVEN, {"id": 7, "unknown": 1}),
    *read_as("row_or_none", _Row(), {}),
    *read_as("row_or_none", None, None, [], [{"id": 7}], "7", 7, True),
    *read_as("row", SEVEN, {"id": 7, "unknown": 1}),
    *read_as("row", _Row(), None, {}, [], [{"id": 7}], "7", 7, True),
]


def test_a_member_of_a_wrong_type_counts_as_absent() -> None:
    wrong = [
        (name, sent, got)
        for name, sent, read in READ
        if (got := getattr(_Anything.model_validate({name: sent, "unknown": sent}), name)) != read
    ]
    assert wrong == []


def test_states_and_values_stay_as_they_were_sent() -> None:
    for raw in ("Completed ", ["completed"], {"is": "completed"}, True, 5, None, "\ud800"):
        item = UnlockItem.model_validate({"status": raw, "email": raw, "phone": raw})
        assert (item.status, item.email, item.phone) == (raw, raw, raw)
        lookup = EmailEnrichment.model_validate({"status": raw, "type": raw, "email": {"email": raw, "type": raw}})
        assert (lookup.status, lookup.type, lookup.email.email, lookup.email.type) == (raw, raw, raw, raw)
        assert EmailEnrichmentCallback.model_validate({"external_id": raw}).external_id == raw


@pytest.mark.parametrize("sent", [ADDRESS, 5, True, [ADDRESS], None])
def test_an_email_that_is_no_object_is_the_email(sent: object) -> None:
    found = EmailEnrichment.model_validate({"_id": 17, "email": sent})
    assert (found.id, found.email.email, found.email.type) == ("17", sent, None)


@pytest.mark.parametrize("name", ["skipped_detail", "skippedDetail", "Skipped-Detail", "SKIPPED DETAIL"])
@pytest.mark.parametrize("reason", ["missing_personnel_ids", "missingPersonnelIds", "Missing-Personnel-IDs"])
def test_skips_are_found_under_any_spelling(name: str, reason: str) -> None:
    body = {"status": "accepted", "skippedPersonnelIds": [1, None], name: {reason: [2, "3"]}}
    found = UnlockSubmission.model_validate(body)
    assert found.skipped_personnel_ids == ("1",)
    assert found.skipped_detail.missing_personnel_ids == ("2", "3")


@pytest.mark.parametrize("name", ["task_id", "taskId", "TASK-ID", "jobId", "job_id"])
def test_a_paid_task_is_found_under_any_spelling(name: str) -> None:
    """A vendor that renames it as in its other answers must not turn every paid answer into a lost one."""
    found = UnlockSubmission.model_validate({"Status": "accepted", name: 9})
    assert (found.status, found.task_id or found.job_id) == ("accepted", "9")


NO_IDS: tuple[object, ...] = (None, "", 0, [], False)
UNUSABLE_IDS: tuple[object, ...] = (["52001"], True, 1.5, "5" * 101, "52\n001")
EVENT_IDS: list[tuple[dict[str, object], str | None]] = [
    ({"eventId": "52001", "id": "9001"}, "52001"),
    ({"eventId": 52001.0}, "52001"),
    ({"id": "9001"}, "9001"),
    *[({"eventId": nothing, "id": "9001"}, "9001") for nothing in NO_IDS],
    *[({"eventId": unusable, "id": "9001"}, "9001") for unusable in UNUSABLE_IDS],
    ({}, None),
]


def test_the_id_of_an_event() -> None:
    wrong = [(sent, got) for sent, read in EVENT_IDS if (got := EventRef.model_validate(sent).usable_id) != read]
    assert wrong == []


UNLOCKED_EVENTS: list[tuple[object, bool]] = [
    (None, True),
    ("52001", True),
    ({"id": "9001"}, True),
    ({"eventId": 52001}, True),
    ({"eventId": None, "id": "52001"}, True),
    ({"eventId": None}, False),
    ({"eventId": ["52001"], "id": "9001"}, False),
    ({"eventId": "52002"}, False),
]


def test_the_event_of_an_unlock() -> None:
    wrong = [
        (sent, about) for sent, about in UNLOCKED_EVENTS
        if EventUnlockResult.model_validate({"event": sent}).is_about("52001") is not about
    ]  # fmt: skip
    assert wrong == []


OF_LENSMOR: list[tuple[type[AnswerBody], str, list[tuple[str, object, object]]]] = [
    (EventUnlockResult, "success", read_as("success", True, True)),
    (EventUnlockResult, "success", read_as("success", False, False, "true", 1, None, [True])),
    (UnlockItem, "error_code", read_as("errorCode", "TASK-FAILED_2", "TASK-FAILED_2")),
    (UnlockItem, "error_code", read_as("errorCode", "X" * 60, "X" * 500)),
    (UnlockItem, "error_code", read_as("errorCode", "", None, 17, "", f"no {ADDRESS}", "a b", "\ud800")),
    (LinkedinPerson, "id", read_as("id", "70011", "70011", 70011, 70011.0, "'0070011 ", "7.0011E4")),
    (LinkedinPerson, "id", read_as("id", None, None, "p-7", 1.5, -1, "0", True, ["7"], "7" * 21)),
    (EventItem, "name", read_as("name", "Sensors\\x0a\\ud800Forum", " Sensors\n\ud800Forum ")),
    (EventItem, "name", read_as("name", "x" * 199 + "…", "x" * 300)),
    (EventItem, "date_start", read_as("dateStart", "", None, 20270302, ["2027-03-02"], {}, True)),
]


def test_members_that_only_lensmor_has() -> None:
    wrong = [
        (model, alias, sent, got)
        for model, name, rows in OF_LENSMOR
        for alias, sent, read in rows
        if (got := getattr(model.model_validate({alias: sent}), name)) != read
    ]
    assert wrong == []


SENT: list[tuple[RequestBody, dict[str, Any]]] = [
    (UnlockRequest(personnel_ids=("1", "2")), {"personnel_ids": ("1", "2")}),
    (UnlockRequest(personnel_ids=("1",), event_id="52001"), {"personnel_ids": ("1",), "event_id": "52001"}),
    (
        EmailEnrichmentRequest(linkedin_url="https://example.com/in/ada", type="work", external_id="17"),
        {"linkedin_url": "https://example.com/in/ada", "type": "work", "external_id": "17"},
    ),
    (
        EmailEnrichmentRequest(
            linkedin_url="u", type="personal", external_id="17", callback_url="https://us.example/x"
        ),
        {"linkedin_url": "u", "type": "personal", "external_id": "17", "callback_url": "https://us.example/x"},
    ),
]


def test_a_request_is_sent_without_what_it_does_not_have() -> None:
    assert [request.model_dump(exclude_none=True) for request, _ in SENT] == [body for _, body in SENT]
    assert [(repr(request), str(request)) for request, _ in SENT] == [
        (f"{type(request).__name__}()", "") for request, _ in SENT
    ]


@pytest.mark.parametrize("model", MODELS)
def test_no_model_shows_what_it_holds(model: type[AnswerBody]) -> None:
    body = {str(field.alias or name): ADDRESS for name, field in model.model_fields.items()}
    found = model.model_validate(body)
    assert ADDRESS not in f"{found} {found!r}"
    with pytest.raises(ValidationError) as refused:
        model.model_validate(ADDRESS)
    assert ADDRESS not in f"{refused.value} {refused.value!r}"


def test_a_request_that_is_refused_does_not_show_the_person() -> None:
    with pytest.raises(ValidationError) as refused:
        EmailEnrichmentRequest.model_validate({"linkedin_url": ADDRESS, "type": ADDRESS, "more": ADDRESS})
    assert ADDRESS not in f"{refused.value} {refused.value!r}"


VENDOR_FILES = tuple(
    path
    for path in Path(str(providers.__file__)).parent.glob("*/*.py")
    if path.name not in {"bodies.py", "__init__.py"}
)


def _picks_apart(node: ast.AST) -> bool:
    """Whether a node looks for a member by its name, or asks whether a value is an object."""
    match node:
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(), *_]):
            return True
        case ast.Subscript(slice=ast.Constant(value=str())):
            return True
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="dict" | "list")]):
            return True
    return False


def test_only_models_look_into_a_body() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in VENDOR_FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr) and _picks_apart(node)
    ]
    assert found == []
