"""Translates the schema errors of a mapping file into messages that name the remedy."""

import re
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from connector.config.settings import plain
from connector.core.mapping import MappingFile
from connector.core.mapping_base import PATTERN_WORDS, KeyPath
from connector.core.numerals import misspelt
from connector.core.spelling import nearest

_MESSAGES = {
    "missing": "this key is missing; add it",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "tuple_type": "must be a list, such as [lensmor]",
    "dict_type": "must name each provider, such as {{lensmor: 3000}}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_UNION_TAGS = {"constrained-str", "PicklistFlag", "FixedValue", "str"}
ALIKE = 0.8  # similarity from which a key that is valid elsewhere counts as a misspelt one
Places = dict[str, list[KeyPath]]  # the possible parents of every key
_CAPS = ("max_credits", "max_credits_per_day")


def schema_problems(error: ValidationError, model: type[MappingFile]) -> list[tuple[KeyPath, str]]:
    """List one problem per key, the first one found; a problem inside a key hides a problem with the key itself.

    Args:
        error: the validation error of the model.
        model: the schema; messages suggest its keys.
    """
    problems: dict[KeyPath, Any] = {}
    for problem in error.errors():
        problems.setdefault(tuple(part for part in problem["loc"] if part not in _UNION_TAGS), problem)
    return [
        (loc, _message(loc, problem, _places(model)))
        for loc, problem in problems.items()
        if not any(other[: len(loc)] == loc for other in problems if other != loc)
    ]


def _message(loc: KeyPath, problem: Any, places: Places) -> str:  # noqa: ANN401 pydantic's error
    kind, facts = problem["type"], problem.get("ctx", {})
    special = _key_message(loc, problem, places) or _value_message(problem)
    return special or (_MESSAGES[kind].format(**facts) if kind in _MESSAGES else plain(problem["msg"]))


def _key_message(loc: KeyPath, problem: Any, places: Places) -> str | None:  # noqa: ANN401 pydantic's error
    """A message that depends on the key; None if there is none."""
    kind, given = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return _unknown_key(loc, places)
    if kind == "model_type":
        return f"must contain keys, each indented on its own line; {_known_keys((*loc, ''), places)}"
    if loc[:1] == ("crm",):
        return _crm(given, str(problem.get("ctx", {}).get("expected", "")))
    if len(loc) == 3 and loc[1] in _CAPS and kind in {"int_type", "int_from_float"}:
        return _cap(str(loc[2]), given)
    return None


def _value_message(problem: Any) -> str | None:  # noqa: ANN401 pydantic's error
    """A message that depends on the value; None if there is none."""
    kind, given, facts = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "string_type" and isinstance(given, int | float) and not isinstance(given, bool):
        return "must be text; put a number in quotes"
    if kind == "string_pattern_mismatch":
        return PATTERN_WORDS.get(facts["pattern"])
    near = nearest(str(given), re.findall("'([^']+)'", facts["expected"])) if kind == "enum" and given else None
    return f"must be {facts['expected']}; did you mean {near}?" if near else None


def _crm(given: object, expected: str) -> str:
    known = " or ".join(re.findall("'([^']+)'", expected))
    name = given if isinstance(given, str) and re.fullmatch(r"[a-z0-9_-]{1,40}", given) else "this CRM"
    return f"this version of the connector does not support {name}; write {known}, or leave the key out"


def _cap(provider: str, given: object) -> str:
    """The message for a cap that is not a whole number. YAML reads `{lensmor: 50,000}` as 50 and a key 000."""
    if provider.isdecimal():
        return "write 50000, without separators: inside braces a comma begins the next entry"
    if isinstance(given, str):
        return misspelt(given.strip()) or "must be a whole number, such as 3000"
    if isinstance(given, float) and not isinstance(given, bool):
        return "must be a whole number, such as 50000, without separators or decimals"
    return _MESSAGES["int_type"]


# -- unknown keys: misspelt, or at the wrong level -------------------------------------------------------------


def _unknown_key(loc: KeyPath, places: Places) -> str:
    key, parent = str(loc[-1]), tuple(str(part) for part in loc[:-1])
    elsewhere = [place for place in places.get(key, ()) if place != parent]
    here = _keys_at(parent, places)
    if elsewhere and nearest(key, here, ALIKE) is None:
        return f"{_move(elsewhere, parent)}: {key} belongs {_named(elsewhere)}"
    near = nearest(key, here)
    hint = f"did you mean {near}? " if near else ""
    return f"unknown key; {hint}{_known_keys(loc, places)}"


def _named(places: list[KeyPath]) -> str:
    names = [f"under {'.'.join(map(str, place))}" if place else "at the top level of the file" for place in places]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _move(places: list[KeyPath], parent: KeyPath) -> str:
    """The change of indentation that would put a key in its place, if all possible places agree."""
    if all(len(place) > len(parent) for place in places):
        return "wrong indentation, indent it further"
    if all(len(place) < len(parent) for place in places):
        return "wrong indentation, indent it less"
    return "unknown key here"


@cache
def _places(model: type[MappingFile]) -> Places:
    """The possible parents of every key of the schema."""
    found: Places = {}
    for parent, key in _walk(model, ()):
        found.setdefault(key, []).append(parent)
    return found


def _walk(model: type[BaseModel], parent: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield parent, key
        for inner in _models_in(field.annotation):
            yield from _walk(inner, (*parent, key))


def _keys_at(parent: KeyPath, places: Places) -> list[str]:
    return sorted(key for key, found in places.items() if parent in found)


def _known_keys(loc: KeyPath, places: Places) -> str:
    """A hint with the keys that the schema allows at the place of an unknown one."""
    names = _keys_at(tuple(loc[:-1]), places)
    return f"known here: {', '.join(names)}" if names else "remove it"


def _models_in(annotation: object) -> list[type[BaseModel]]:
    parts = typing.get_args(annotation) if typing.get_origin(annotation) in {types.UnionType, typing.Union} else ()
    return [kind for kind in (annotation, *parts) if isinstance(kind, type) and issubclass(kind, BaseModel)]
