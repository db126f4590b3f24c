"""The JSON bodies of the trigger API; its OpenAPI document is made from these models."""

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
    """A request; how many ids it may hold is checked with them, after the mapping."""

    mapping: str = Field(description="Name of the mapping file.")
    record_ids: list[str] = Field(json_schema_extra={"minItems": 1, "maxItems": MOST_IDS})
    request_id: Annotated[str, BeforeValidator(lambda found: "" if found is None else found)] = Field(
        default="",
        pattern=rf"^({REQUEST_ID})?$",  # of the library's own engine: `$` is the end of the text only
        description="Optional. Letters, digits, dot, dash and underscore, at most 80.",
    )


class Accepted(_Body):
    """The answer to a request that was stored."""

    request_id: str
    accepted: int
    duplicate: bool


class Reason(_Body):
    """How many records of a request have an outcome for one reason."""

    outcome: str
    reason: str = Field(description="Such as: opted out (HasOptedOutOfEmail)")
    count: int = Field(description="Records with this outcome for this reason.")


class RequestState(_Body):
    """What has become of a request; one count for each outcome of a record."""

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
    """Every answer that is no success."""

    error: str


SCHEMAS: tuple[type[_Body], ...] = (EnrichmentRequest, Accepted, RequestState, Reason, Error)


def read_request(body: Mapping[str, Any]) -> EnrichmentRequest:
    """The request in a JSON object; members that are not known are left out.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    try:
        return EnrichmentRequest.model_validate(body)
    except ValidationError as error:
        only_id = all(one["loc"][0] == "request_id" for one in error.errors())
        raise ValueError(_REQUEST_ID_WORDS if only_id else _BODY_WORDS) from None


class _ExternalServices(GenerateJsonSchema):
    """The form that Salesforce External Services imports (docs/salesforce.md, Triggering): plain types only."""

    def generate(self, schema: Any, mode: Any = "validation") -> JsonSchemaValue:  # noqa: ANN401 pydantic's own types
        """One model's schema, without what the importer refuses or a reader does not need."""
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
    """By name, the schema of each body."""
    return {
        model.__name__: model.model_json_schema(
            ref_template=_REFERENCE, schema_generator=_ExternalServices,
            mode="validation" if model is EnrichmentRequest else "serialization",
        )
        for model in SCHEMAS
    }  # fmt: skip
