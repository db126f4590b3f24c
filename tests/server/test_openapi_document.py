"""The OpenAPI document: valid, and in the form that Salesforce External Services imports (docs/salesforce.md)."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import jsonschema
import pytest
import sqlalchemy as sa
from openapi_spec_validator import OpenAPIV30SpecValidator
from server_harness import ASK, BEARER, PUBLIC_URL, VERSION, ServerHarness, lead

from connector.core.model import RECORD_OUTCOMES
from connector.server import openapi
from connector.store import tables as t

pytest_plugins = ("server_fixtures",)
NOT_IMPORTED = {"not", "anyOf", "oneOf", "allOf", "enum", "nullable", "additionalProperties", "discriminator"}
LONGEST_DESCRIPTION = 1333


@pytest.fixture
def document() -> dict[str, Any]:
    return openapi.document(VERSION, PUBLIC_URL)


def nodes(node: object, path: str = "#") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object in a document, with its path."""
    if isinstance(node, Mapping):
        yield path, node
        for name, inner in node.items():
            yield from nodes(inner, f"{path}/{name}")
    elif isinstance(node, list):
        for place, inner in enumerate(node):
            yield from nodes(inner, f"{path}/{place}")


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_the_document_is_public(server: ServerHarness, document: dict[str, Any]) -> None:
    response = server.client.get("/openapi.json")
    assert response.status_code == 200
    assert response.json() == document
    assert document["info"]["version"] == VERSION


def test_the_document_is_valid_version_3_0(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.0.")
    OpenAPIV30SpecValidator(document).validate()
    OpenAPIV30SpecValidator(openapi.document(VERSION, "https://connector.example.com")).validate()


def test_the_document_has_the_public_address() -> None:
    assert openapi.document(VERSION, "https://connector.example.com")["servers"] == [
        {"url": "https://connector.example.com"}
    ]


def test_no_keyword_that_external_services_refuse(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for place, node in nodes({"paths": document["paths"], "schemas": schemas}):
        if place.endswith("/properties"):
            continue  # its keys are our own names
        assert not NOT_IMPORTED & node.keys(), place
        assert node.get("type") != "number", place
        assert "float" not in str(node.get("format")), place
        assert "double" not in str(node.get("format")), place
        assert not isinstance(node.get("type"), list), place


def test_every_operation_has_a_name_and_json_answers(document: dict[str, Any]) -> None:
    names = []
    for path, method, operation in operations(document):
        names.append(operation["operationId"])
        assert operation["operationId"].isalnum()
        for status, answer in operation["responses"].items():
            assert set(answer["content"]) == {"application/json"}, (path, method, status)
            name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert document["components"]["schemas"][name]["type"] == "object"
    assert len(names) == len(set(names)) == 3


def test_the_operation_for_one_record_has_a_document_of_its_own() -> None:
    """A flow needs no generated type for it: its inputs are texts in the path, and it has no body."""
    found = openapi.record_document(VERSION, "https://connector.example.com")
    OpenAPIV30SpecValidator(found).validate()
    ((path, operation),) = [(path, one["post"]) for path, one in found["paths"].items()]
    assert "requestBody" not in operation
    assert operation["operationId"] == operation["operationId"].lower()
    assert {one["name"]: one["schema"]["type"] for one in operation["parameters"]} == {
        "mapping": "string",
        "record": "string",
    }
    assert all(f"{{{one['name']}}}" in path for one in operation["parameters"])


def test_descriptions_are_short(document: dict[str, Any]) -> None:
    texts = [node["description"] for _, node in nodes(document) if isinstance(node.get("description"), str)]
    assert texts
    assert max(map(len, texts)) <= LONGEST_DESCRIPTION


def test_routes_that_flows_do_not_call_are_left_out(document: dict[str, Any]) -> None:
    paths = ("", "/{mapping}/{record}", "/{request_id}")
    assert set(document["paths"]) == {f"/v1/enrichments{path}" for path in paths}
    for word in ("outbound", "callback", "metrics", "secret"):
        assert word not in str(document).lower()


def test_the_state_of_a_request_has_every_outcome(document: dict[str, Any]) -> None:
    assert {outcome.value for outcome in RECORD_OUTCOMES} <= set(
        document["components"]["schemas"]["RequestState"]["required"]
    )


# -- what is answered is what is written ------------------------------------------------------------------------


def judge(document: Mapping[str, Any], path: str, method: str, response: httpx.Response) -> None:
    """Check that an answer is documented and has exactly the documented members."""
    found = document["paths"][path][method]["responses"]
    assert str(response.status_code) in found, response.status_code
    reference = found[str(response.status_code)]["content"]["application/json"]["schema"]["$ref"]
    name = reference.rpartition("/")[2]
    schema = document["components"]["schemas"][name]
    jsonschema.validate(response.json(), {**schema, "components": document["components"]})
    assert response.json().keys() == schema["properties"].keys()
    assert response.headers["content-type"] == "application/json"


def test_real_answers_match_the_document(server: ServerHarness, document: dict[str, Any]) -> None:
    typed = {**BEARER, "Content-Type": "application/json"}
    asked = {
        202: server.ask(lead(1), request_id="flow-1"),
        400: server.ask("no id"),
        401: server.client.post(ASK, json={}),
        409: server.ask(lead(2), request_id="flow-1"),
        413: server.client.post(ASK, content=b" " * 200_000, headers=typed),
        415: server.client.post(ASK, content=b"{}", headers=BEARER),
    }
    server.execute(
        sa.update(t.request_item).values(state="done", outcome="skipped", reason="opted out (HasOptedOutOfEmail)")
    )
    looked = {200: server.look("flow-1"), 404: server.look("flow-2"), 401: server.client.get(f"{ASK}/flow-1")}
    assert looked[200].json()["reasons"] == [
        {"outcome": "skipped", "reason": "opted out (HasOptedOutOfEmail)", "count": 1}
    ]
    server.ledger.close()
    server.path.write_bytes(b"no ledger any more" * 1000)
    asked[503], looked[503] = server.ask(lead(1)), server.look("flow-1")
    for path, method, answers in ((ASK, "post", asked), (f"{ASK}/{{request_id}}", "get", looked)):
        for status, response in answers.items():
            assert response.status_code == status
            judge(document, path, method, response)


@pytest.mark.parametrize(
    ("body", "is_valid"),
    [
        ({"mapping": "lead", "record_ids": [lead(1)]}, True),
        ({"mapping": "lead", "record_ids": [lead(1)], "request_id": "flow-1"}, True),
        ({"mapping": "lead", "record_ids": []}, False),
        ({"mapping": "lead", "record_ids": [lead(1)] * 2001}, False),
        ({"mapping": "lead"}, False),
        ({"mapping": 7, "record_ids": [lead(1)]}, False),
        ({"mapping": "lead", "record_ids": [7]}, False),
        ({"mapping": "lead", "record_ids": [lead(1)], "request_id": 7}, False),
    ],
)
def test_a_documented_request_is_accepted(
    server: ServerHarness, document: dict[str, Any], body: dict[str, object], is_valid: bool
) -> None:
    schema = document["components"]["schemas"]["EnrichmentRequest"]
    assert jsonschema.Draft4Validator(schema).is_valid(body) is is_valid
    assert server.ask_for(body).status_code == (202 if is_valid else 400)
