"""The JSON bodies of the trigger API; its OpenAPI document is generated from these models."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from connector.app.inbound import MOST_IDS

REQUEST_ID = r"[A-Za-z0-9._-]{1,80}"
_REQUEST_ID_WORDS = "request_id may hold 80 letters, digits, dots, dashes and underscores"
_BODY_WORDS = "the body needs mapping (text) and record_ids (a list of texts)"
_REFERENCE = "#/components/schemas/{model}"


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class EnrichmentRequest(_Body):
    """The body of a request. The number of ids is checked later, together with the ids themselves."""

    mapping: str = Field(description="Name of the mapping file.")
    record_ids: list[str] = Field(json_schema_extra={"minItems": 1, "maxItems": MOST_IDS})
    request_id: Annotated[str, BeforeValidator(lambda found: "" if found is None else found)] = Field(
        default="",
        pattern=rf"^({REQUEST_ID})?$",  # in pydantic's regex engine, `$` matches only at the end of the text
        description="Optional. Letters, digits, dot, dash and underscore, at most 80.",
    )


class Accepted(_Body):
    """The answer to a request that was stored."""

    request_id: str
    accepted: int
    duplicate: bool


class Reason(_Body):
    """The number of records of a request with one outcome and reason."""

    outcome: str
    reason: str = Field(description="For example: opted out (HasOptedOutOfEmail)")
    count: int = Field(description="Records with this outcome for this reason.")


class RequestState(_Body):
    """The state of a request, with a count for each outcome."""

    request_id: str
    state: str = Field(description="waiting, working or done")
    records: int
    open: int
    delivered: int
    not_found: int
    failed: int
    skipped: int
    waiting: int
    deferred: int
    parked: int
    unknown: int
    reasons: list[Reason] = Field(description="The outcomes by reason, the most frequent first.")


class Error(_Body):
    """The body of every error answer."""

    error: str


SCHEMAS: tuple[type[_Body], ...] = (EnrichmentRequest, Accepted, RequestState, Reason, Error)


def read_request(body: Mapping[str, Any]) -> EnrichmentRequest:
    """Read a request from a JSON object; unknown members are ignored.

    Raises:
        ValueError: the object is not a request; the message names the problem.
    """
    try:
        return EnrichmentRequest.model_validate(body)
    except ValidationError as error:
        only_id = all(one["loc"][0] == "request_id" for one in error.errors())
        raise ValueError(_REQUEST_ID_WORDS if only_id else _BODY_WORDS) from None


class _ExternalServices(GenerateJsonSchema):
    """Generates schemas that Salesforce External Services can import (docs/salesforce-triggers.md)."""

    def generate(self, schema: Any, mode: Any = "validation") -> JsonSchemaValue:  # noqa: ANN401 pydantic's own types
        """The schema of one model, with plain types only and without titles."""
        made = super().generate(schema, mode)
        made.pop("$defs", None)
        return {key: value for key, value in _plain(made).items() if key != "description"}


def _plain(node: Any) -> Any:  # noqa: ANN401 any JSON
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _plain(value) for key, value in node.items() if key not in {"title", "default", "pattern"}}
    properties = node.get("properties")
    if isinstance(properties, dict):
        kept["properties"] = {name: _plain(inner) for name, inner in properties.items()}
    return kept | {"format": "int32"} if kept.get("type") == "integer" else kept


def schemas() -> dict[str, JsonSchemaValue]:
    """The schema of each body, by name."""
    return {
        model.__name__: model.model_json_schema(
            ref_template=_REFERENCE, schema_generator=_ExternalServices,
            mode="validation" if model is EnrichmentRequest else "serialization",
        )
        for model in SCHEMAS
    }  # fmt: skip
