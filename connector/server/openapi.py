"""The OpenAPI document of the trigger API, in the form that Salesforce External Services imports as it is.

That is version 3.0, with a JSON body on every answer, and without `not`, `anyOf`, `enum`, floating numbers and optional
values that may be null; descriptions stay short (docs/salesforce.md, Triggering). Outbound Messages and callbacks are
not part of it: nobody calls them from a Flow.
"""

from typing import Any

from connector.app.inbound import MOST_IDS

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
            "description": "Asks for emails and phones of Salesforce records. Answers at once; the work is done later.",
        },
        "servers": [{"url": server_url}] if server_url else [],
        "paths": {
            "/v1/enrichments": {"post": _ask()},
            "/v1/enrichments/{request_id}": {"get": _look()},
        },
        "components": {
            "schemas": {
                "EnrichmentRequest": _REQUEST,
                "Accepted": _ACCEPTED,
                "RequestState": _STATE,
                "Reason": _REASON,
                "Error": _ERROR,
            },
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


def _object(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "format": "int32"}
OUTCOMES = ("delivered", "not_found", "failed", "skipped", "waiting", "deferred", "parked", "unknown")
_REQUEST = _object(
    ["mapping", "record_ids"],
    mapping=_TEXT | {"description": "Name of the mapping file."},
    record_ids={"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_IDS},
    request_id=_TEXT | {"description": "Optional. Letters, digits, dot, dash and underscore, at most 80."},
)
_ACCEPTED = _object(
    ["request_id", "accepted", "duplicate"], request_id=_TEXT, accepted=_COUNT, duplicate={"type": "boolean"}
)
_REASON = _object(
    ["outcome", "reason", "count"],
    outcome=_TEXT,
    reason=_TEXT | {"description": "Such as: opted out (HasOptedOutOfEmail)"},
    count=_COUNT | {"description": "Records with this outcome for this reason."},
)
_STATE = _object(
    ["request_id", "state", "records", "open", *OUTCOMES, "reasons"],
    request_id=_TEXT,
    state=_TEXT | {"description": "waiting, working or done"},
    records=_COUNT,
    open=_COUNT,
    **dict.fromkeys(OUTCOMES, _COUNT),
    reasons={
        "type": "array",
        "items": {"$ref": "#/components/schemas/Reason"},
        "description": "The outcomes by reason, the most frequent first.",
    },
)
_ERROR = _object(["error"], error=_TEXT)
