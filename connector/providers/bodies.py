"""Vendors' JSON bodies as pydantic models: the two bases, and the types of members that may hold anything.

The models of answers are lenient: an unknown member is ignored, and a member of a wrong type counts as absent. Reading
a JSON object through one never raises. A member that another function judges later (a state, an email, a phone) is an
`object`, exactly as sent: `plain_word`, `unknown_word` and `value_of` of `core/vendor_values.py` decide what it is.
"""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, ConfigDict

from connector.core.body import Body
from connector.core.limits import balance_of, count_of, price_of
from connector.core.vendor_values import id_of


class RequestBody(Body):
    """A body that is sent, without the members that are None: `model_dump(exclude_none=True)`."""

    model_config = ConfigDict(extra="forbid")


class AnswerBody(Body):
    """A body that a vendor sent, as an answer or a callback; or an object within one."""

    model_config = ConfigDict(extra="ignore")


BodyT = TypeVar("BodyT", bound=AnswerBody)


def _ids_of(value: object) -> list[str]:
    return [found for row in (value if isinstance(value, list) else []) if (found := id_of(row)) is not None]


def _text_of(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _objects_of(value: object) -> list[object]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict) else None


def _object_or_empty(value: object) -> object:
    return value if isinstance(value, dict) else {}


Id = Annotated[str | None, BeforeValidator(id_of)]  # a text or a number; see `id_of`
Ids = Annotated[tuple[str, ...], BeforeValidator(_ids_of)]  # the readable ids of a list
Balance = Annotated[int | None, BeforeValidator(balance_of)]
Count = Annotated[int | None, BeforeValidator(count_of)]
Price = Annotated[int | None, BeforeValidator(price_of)]
Text = Annotated[str | None, BeforeValidator(_text_of)]  # as sent
Rows = Annotated[tuple[BodyT, ...], BeforeValidator(_objects_of)]  # the objects of a list
OrNone = Annotated[BodyT | None, BeforeValidator(_object_or_none)]  # an object; None for anything else
OrEmpty = Annotated[BodyT, BeforeValidator(_object_or_empty)]  # an object; one without members for anything else
