"""Models of the bodies that Salesforce's API takes and returns.

Answers are read leniently. A member of a wrong type counts as absent, unknown members are ignored, and a list keeps
the entries that can be read. `read` takes every JSON value and raises nothing. Where an answer is useless without its
list or its number, that member is None, and the caller refuses the answer.

No model shows its members: neither `repr` nor the text of an error holds a record's value, a token or an answer's text.

Shapes: docs/salesforce.md, Calls, and answers that public projects recorded from real orgs (seen November 2026).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SkipValidation,
    model_serializer,
)
from pydantic.alias_generators import to_camel, to_pascal

from connector.core.body import Body
from connector.core.limits import count_of
from connector.core.model import FieldValue

MOST_NOTIFICATIONS = 100  # in one Outbound Message
_CODE_LENGTH = 80

# -- requests ----------------------------------------------------------------------------------------------------


class RequestBody(Body):
    """A JSON body that is sent."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    def sent(self) -> dict[str, Any]:
        """The JSON object, members in the order of the model."""
        return self.model_dump(by_alias=True)


class ReadByIds(RequestBody):
    """POST `composite/sobjects/<object>`: up to 2,000 records by id."""

    ids: tuple[str, ...]
    fields: tuple[str, ...]


class RecordUpdate(Body):
    """One record of a collection; its values stand beside its id, as they are, under the names of their fields."""

    object: str
    id: str
    values: Annotated[Mapping[str, FieldValue], SkipValidation]

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        return {"attributes": {"type": self.object}, "id": self.id, **self.values}


class CollectionUpdate(RequestBody):
    """PATCH `composite/sobjects`: up to 200 records, each accepted or refused on its own."""

    all_or_none: bool = False
    records: tuple[RecordUpdate, ...]


class NewIngestJob(RequestBody):
    """POST `jobs/ingest`."""

    object: str
    operation: str = "update"
    content_type: str = "CSV"
    line_ending: str = "LF"
    column_delimiter: str = "COMMA"


class NewQueryJob(RequestBody):
    """POST `jobs/query`."""

    query: str
    operation: str = "query"
    content_type: str = "CSV"
    line_ending: str = "LF"
    column_delimiter: str = "COMMA"


class JobWord(StrEnum):
    """The state of a job in Salesforce's words; a job under way has others."""

    OPEN = "Open"
    UPLOADED = "UploadComplete"
    COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"


class JobChange(RequestBody):
    """PATCH of a job."""

    state: JobWord


class RecordAssignment(RequestBody):
    """POST `sobjects/PermissionSetAssignment`."""

    model_config = ConfigDict(alias_generator=to_pascal)

    assignee_id: str
    permission_set_id: str


class TokenRequest(Body):
    """The form of POST `/services/oauth2/token`; a JWT login has an assertion."""

    grant_type: str
    assertion: str | None = None

    def form(self) -> dict[str, str]:
        """The form's fields."""
        return self.model_dump(exclude_none=True)


# -- members of answers ------------------------------------------------------------------------------------------


def _text(found: object) -> str:
    if isinstance(found, str):
        return found
    try:
        return str(found) if found else ""
    except (RecursionError, ValueError):  # nested too deeply; a number of more digits than Python spells out
        return ""


def _objects(found: object) -> list[dict[str, Any]] | None:
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else None


def _objects_in_place(found: object) -> list[dict[str, Any]] | None:
    return [row if isinstance(row, dict) else {} for row in found] if isinstance(found, list) else None


def _rows_in_place(found: object) -> list[dict[str, Any] | None] | None:
    return [row if isinstance(row, dict) else None for row in found] if isinstance(found, list) else None


def _texts(found: object) -> tuple[str, ...]:
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


# A text, or the spelling of another value, such as a version sent as a number; empty for null, false and zero.
Text = Annotated[str, BeforeValidator(_text)]
# A text; empty for any other value.
TextOnly = Annotated[str, BeforeValidator(lambda found: found if isinstance(found, str) else "")]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
# A flag that counts only when it is set, and one that counts unless it is unset.
IfTrue = Annotated[bool, BeforeValidator(lambda found: found is True)]
UnlessFalse = Annotated[bool, BeforeValidator(lambda found: found is not False)]
Count = Annotated[int | None, BeforeValidator(count_of)]
CountOrZero = Annotated[int, BeforeValidator(lambda found: count_of(found) or 0)]

# One row of a query or a read: values by field name, and `attributes`. A value is a text, a number, a boolean or null;
# of a compound or related field, an object, which passes unread. Rows are not models and are not copied, because a run
# may read a million of them.
RecordRow = Mapping[str, Any]


# -- answers -----------------------------------------------------------------------------------------------------


class _Answer(Body):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")

    @classmethod
    def read(cls, found: object) -> Self:
        """The answer in a JSON value; a value that is no object has no members."""
        return cls.model_validate(found if isinstance(found, dict) else {})


class _ListAnswer(_Answer):
    @classmethod
    def read(cls, found: object) -> Self:
        """The answer in a JSON value, which should be a list."""
        return cls.model_validate({"rows": found})


class DailyRequests(_Answer):
    """The org's API requests of 24 hours."""

    most: Count = Field(default=None, alias="Max")
    remaining: Count = Field(default=None, alias="Remaining")


class Limits(_Answer):
    """GET `limits`."""

    daily: Annotated[DailyRequests, BeforeValidator(DailyRequests.read)] = Field(
        default=DailyRequests(), alias="DailyApiRequests"
    )


class Resources(_Answer):
    """GET a version's root; `identity` is the user's address, which contains the org's id."""

    identity: Text = ""


class ApiVersion(_Answer):
    """An API version that the org offers."""

    version: Text = ""


class ApiVersions(_ListAnswer):
    """GET `/services/data/`."""

    rows: Annotated[tuple[ApiVersion, ...] | None, BeforeValidator(_objects)] = None


class PicklistValue(_Answer):
    """A value of a picklist; it can be chosen unless `active` is false, null or empty."""

    value: Text = ""
    active: Annotated[bool, BeforeValidator(bool)] = True


class DescribedField(_Answer):
    """A field of an object, with what the user may do with it."""

    name: Text = ""
    type: Text = ""
    label: Text = ""
    length: CountOrZero = 0
    precision: CountOrZero = 0
    scale: CountOrZero = 0
    digits: CountOrZero = 0
    updateable: IfTrue = False
    createable: IfTrue = False
    custom: IfTrue = False
    calculated: IfTrue = False
    auto_number: IfTrue = False
    restricted_picklist: IfTrue = False
    filterable: UnlessFalse = True
    nillable: UnlessFalse = True
    permissionable: UnlessFalse = True
    compound_field_name: Text = ""
    picklist_values: Annotated[tuple[PicklistValue, ...], BeforeValidator(lambda found: _objects(found) or [])] = ()


class Description(_Answer):
    """GET `sobjects/<object>/describe`; `fields` is None where the answer holds no list."""

    name: Text = ""
    key_prefix: TextOnly = ""
    updateable: UnlessFalse = True
    createable: IfTrue = False
    deletable: IfTrue = False
    fields: Annotated[tuple[DescribedField, ...] | None, BeforeValidator(_objects)] = None


class QueryPage(_Answer):
    """GET `query` or `queryAll`.

    Attributes:
        records: the rows; None where the answer holds no list.
        total_size: rows of the whole result, which is the answer to a count.
        done: the result has no further page.
    """

    records: Annotated[list[RecordRow] | None, PlainValidator(_objects)] = None
    total_size: Count = None
    done: UnlessFalse = True


class RecordsById(_ListAnswer):
    """The answer to `ReadByIds`: a row for each id in the same order, None for a record that is gone."""

    rows: Annotated[list[RecordRow | None] | None, PlainValidator(_rows_in_place)] = None


class ErrorRow(_Answer):
    """An error of a request (`errorCode`) or of one record of a collection (`statusCode`)."""

    status_code: Text = ""
    error_code: Text = ""
    message: Text = ""
    fields: Texts = ()

    @property
    def code(self) -> str:
        """The error's code; empty where it is no code."""
        text = (self.status_code or self.error_code)[:_CODE_LENGTH]
        return text if text.replace("_", "").isalnum() else ""

    @classmethod
    def first(cls, content: object) -> Self:
        """The first error of a refused request, whose body may be a list, an object, or text of a web page."""
        return cls.read(content[0] if isinstance(content, list) and content else content)


class CollectionRow(_Answer):
    """The result of one record of a collection; a failure carries no id."""

    success: IfTrue = False
    errors: Annotated[tuple[ErrorRow, ...], BeforeValidator(lambda found: _objects(found) or [])] = ()


class CollectionResult(_ListAnswer):
    """The answer to `CollectionUpdate`: a row for each record in the same order."""

    rows: Annotated[tuple[CollectionRow, ...] | None, BeforeValidator(_objects_in_place)] = None


class JobInfo(_Answer):
    """A job of `jobs/ingest` or `jobs/query`; a new one has no counts."""

    id: Text = ""
    state: Text = ""
    number_records_processed: Count = None
    number_records_failed: Count = None
    error_message: Text = ""


class TokenAnswer(_Answer):
    """A granted login."""

    access_token: TextOnly = Field(default="", alias="access_token")


class TokenRefusal(_Answer):
    """A refused login (RFC 6749, section 5.2)."""

    error: Text = ""
    error_description: Text = Field(default="", alias="error_description")


# -- messages ----------------------------------------------------------------------------------------------------


def _notification_id(found: str) -> str:
    if not found.isalnum() or len(found) not in {15, 18}:
        raise ValueError("not the id of a notification")
    return found


class Notification(Body):
    """One record of an Outbound Message; `object` is its type without the namespace."""

    id: Annotated[str, AfterValidator(_notification_id)]
    object: str = Field(min_length=1)
    record_id: str = Field(min_length=1)


class OutboundMessage(Body):
    """An Outbound Message; it is valid only as a whole, for one acknowledgement covers all its notifications."""

    org_id: str = Field(min_length=1)
    notifications: tuple[Notification, ...] = Field(min_length=1, max_length=MOST_NOTIFICATIONS)
