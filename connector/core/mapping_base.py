"""What all models of the mapping file share: strictness, and the form of names."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FIELD_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
MAPPING_NAME = r"^[a-z][a-z0-9_-]{0,39}$"
REGION = r"^[A-Z]{2}$"
PATTERN_WORDS: Mapping[str, str] = {
    FIELD_NAME: "must be an API name of letters, digits and _, such as Email or LinkedIn_URL__c",
    MAPPING_NAME: "must be at most 40 lower-case letters, digits, - and _, the first a letter, such as lead",
    REGION: "must be two capital letters, such as US",
}
FieldName = Annotated[str, Field(pattern=FIELD_NAME, max_length=80)]
KeyPath = tuple[str | int, ...]


class Strict(BaseModel):
    """The base of all models: unknown keys and wrong types are errors, and values are immutable."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
