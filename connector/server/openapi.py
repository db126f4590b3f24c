"""The OpenAPI document of the trigger API, in the form that Salesforce External Services can import.

The schemas come from the models in `bodies.py`. The importer needs version 3.0, a JSON body for every answer, short
descriptions, and no `not`, `anyOf`, `enum`, floating-point numbers or nullable optional values
(docs/salesforce-triggers.md). Outbound Messages and callbacks are left out, because Flows do not call them.
"""

from typing import Any

from connector.server.bodies import schemas

_ERRORS = {
    "400": "The request is not valid, for example because of ids of another object.",
    "401": "The bearer token is missing or wrong.",
    "404": "There is no such request.",
    "409": "The same request_id was used with another body within 7 days.",
    "408": "The body took too long.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "503": "The request could not be stored or read; send it again.",
}
RECORD_PATH = "/v1/enrichments/{mapping}/{record}"
# In lower case: the names of an imported operation and its inputs are then the same in every version of the importer.
RECORD_OPERATION = "requestrecord"
_REFUSALS = ("400", "401", "408", "409", "413", "415", "503")


def document(version: str, server_url: str = "") -> dict[str, Any]:
    """Build the OpenAPI document.

    Args:
        version: the version of the connector.
        server_url: the public address of the server; empty if it is unknown.
    """
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "CRM enrichment connector",
            "version": version,
            "description": "Requests emails and phones for CRM records. It answers at once and works later.",
        },
        "servers": [{"url": server_url}] if server_url else [],
        "paths": {
            "/v1/enrichments": {"post": _ask()},
            RECORD_PATH: {"post": _ask_record()},
            "/v1/enrichments/{request_id}": {"get": _look()},
        },
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def record_document(version: str, server_url: str) -> dict[str, Any]:
    """Build the document of the operation for one record alone, which a flow calls without any generated type."""
    whole = document(version, server_url)
    kept = {name: whole["components"]["schemas"][name] for name in ("Accepted", "Error")}
    return {
        **whole,
        "paths": {RECORD_PATH: {"post": _ask_record()}},
        "components": {**whole["components"], "schemas": kept},
    }


def _ask_record() -> dict[str, Any]:
    inputs = {"mapping": "Name of the mapping file.", "record": "The record's id."}
    return {
        "operationId": RECORD_OPERATION,
        "summary": "Request the enrichment of one record",
        "description": "The record needs no flag. The request has no body.",
        "parameters": [
            {"name": name, "in": "path", "required": True, "description": words, "schema": {"type": "string"}}
            for name, words in inputs.items()
        ],
        "responses": {"202": _answer("Accepted and stored.", "Accepted"), **_errors("400", "401", "408", "413", "503")},
    }


def _ask() -> dict[str, Any]:
    return {
        "operationId": "requestEnrichment",
        "summary": "Request the enrichment of records",
        "description": "The records need no flag. Sending the same request_id again within 7 days has no effect.",
        "requestBody": {"required": True, "content": _json("EnrichmentRequest")},
        "responses": {"202": _answer("Accepted and stored.", "Accepted"), **_errors(*_REFUSALS)},
    }


def _look() -> dict[str, Any]:
    return {
        "operationId": "getEnrichmentRequest",
        "summary": "State, outcome counts and reasons of a request",
        "parameters": [{"name": "request_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": _answer("The state of the request.", "RequestState"), **_errors("401", "404", "503")},
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": _json(schema)}


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: _answer(_ERRORS[status], "Error") for status in statuses}
