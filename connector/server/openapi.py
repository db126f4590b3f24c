"""The OpenAPI document of the trigger API, in the form that Salesforce External Services imports as it is.

The schemas are those of the models in `bodies.py`. That form is version 3.0, with a JSON body on every answer, and
without `not`, `anyOf`, `enum`, floating numbers and optional values that may be null; descriptions stay short
(docs/salesforce.md, Triggering). Outbound Messages and callbacks are not part of it: nobody calls them from a Flow.
"""

from typing import Any

from connector.server.bodies import schemas

_ERRORS = {
    "400": "The request cannot be done as it is, such as ids of another object.",
    "401": "The bearer token is missing or wrong.",
    "404": "There is no such request.",
    "409": "The same request_id came with another body within 7 days.",
    "408": "The body took too long.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "503": "Nothing could be stored or read; send it again.",
}
_REFUSALS = ("400", "401", "408", "409", "413", "415", "503")


def document(version: str, server_url: str = "") -> dict[str, Any]:
    """The document.

    Args:
        version: of the connector.
        server_url: where it is reached from outside, when that is known.
    """
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "CRM enrichment connector",
            "version": version,
            "description": "Asks for emails and phones of CRM records. Answers at once; the work is done later.",
        },
        "servers": [{"url": server_url}] if server_url else [],
        "paths": {
            "/v1/enrichments": {"post": _ask()},
            "/v1/enrichments/{request_id}": {"get": _look()},
        },
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _ask() -> dict[str, Any]:
    return {
        "operationId": "requestEnrichment",
        "summary": "Ask for records to be enriched",
        "description": "The records need no flag. Sending the same request_id again within 7 days changes nothing.",
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
