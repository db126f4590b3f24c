"""The custom fields that a mapping needs and an org lacks, with their types and lengths (docs/salesforce.md)."""

from collections.abc import Sequence

from connector.core.mapped_fields import MappedField, Use, words_written
from connector.core.mapping import MappingFile
from connector.crm.salesforce.components import Component, Element, yes_or_no

LONGEST_NAME = 40  # characters, without the ending
ENDING = "__c"
# A new field for one of these would be empty in every record: an opt-out that nobody has, a condition that never holds.
# The name is more probably a mistake than a missing field.
NEVER_CREATED = frozenset({Use.OPT_OUT, Use.EMPTY_WHEN})
_GROUP_KEYS_LENGTH = 100
_TEXT_LENGTHS = {
    Use.PERSON_ID: 64,
    Use.ID_STAMP: 64,
    Use.PERSON_WORDS: 255,
    Use.SOURCE: 80,
    Use.VALUE_SOURCE: 80,
    Use.RUN_ID: 64,
    Use.REASON: 255,
}
_PURPOSES = {
    Use.FLAG: "Ticked: enrichment is requested. The connector clears it with the outcome.",
    Use.FLAG_WORD: "Requests enrichment, and shows that it is finished.",
    Use.PERSON_ID: "The person's id at the data vendor.",
    Use.PERSON_URL: "The person's profile address.",
    Use.PERSON_WORDS: "Identifies the person.",
    Use.EMAIL: "An email address that the connector found.",
    Use.PHONE: "A phone number that the connector found.",
    Use.STATUS: "The state of the last enrichment of this value.",
    Use.WHEN: "The time of the last enrichment.",
    Use.SOURCE: "The vendor that delivered.",
    Use.VALUE_SOURCE: "The vendor that delivered this value.",
    Use.RUN_ID: "The connector's run that wrote the value.",
    Use.REASON: "Why nothing was delivered, in one line.",
    Use.ID_STAMP: "The person's id at the data vendor.",
}
_SHOWN = {
    Use.FLAG: "Checkbox",
    Use.FLAG_WORD: "Picklist",
    Use.STATUS: "Picklist",
    Use.WHEN: "DateTime",
    Use.EMAIL: "Email",
    Use.PHONE: "Phone",
    Use.PERSON_URL: "Url",
}


def is_creatable(name: str) -> bool:
    """Whether a name can be that of a new custom field of this org; packages own the names with a prefix."""
    own = name.removesuffix(ENDING)
    return name.endswith(ENDING) and 0 < len(own) <= LONGEST_NAME and "__" not in own and not own.endswith("_")


def new_field(mapping: MappingFile, mapped: MappedField) -> Component:
    """The component of a field that the org lacks."""
    length = _length(mapping, mapped)
    kind = _SHOWN.get(mapped.use, "Text")
    elements: list[Element] = [
        ("description", _PURPOSES[mapped.use]),
        ("externalId", yes_or_no(_is_external_id(mapping, mapped))),
        ("label", mapped.name.removesuffix(ENDING).replace("_", " ")),
    ]
    if kind == "Checkbox":
        elements += [("defaultValue", "false"), ("type", kind)]  # `required` is refused for a checkbox
    else:
        elements += [("length", str(length))] if kind == "Text" else []
        elements += [("required", "false"), ("type", kind)]
        elements += [("unique", "false")] if kind in {"Text", "Email"} else []
    if kind == "Picklist":
        elements.append(("valueSet", _values(words_written(mapping, mapped))))
    detail = f"{kind}({length})" if kind == "Text" else kind
    return Component("CustomField", f"{mapping.object}.{mapped.name}", tuple(elements), detail)


def _is_external_id(mapping: MappingFile, mapped: MappedField) -> bool:
    return mapped.use is Use.ID_STAMP or (mapped.use is Use.PERSON_ID and not _is_group(mapping, mapped))


def _is_group(mapping: MappingFile, mapped: MappedField) -> bool:
    return any(kind.groups and mapped.path[-1] in kind.keys for kind in mapping.person.kinds)


def _length(mapping: MappingFile, mapped: MappedField) -> int:
    is_group = mapped.use is Use.PERSON_ID and _is_group(mapping, mapped)
    return _GROUP_KEYS_LENGTH if is_group else _TEXT_LENGTHS.get(mapped.use, 0)


def _values(words: Sequence[str]) -> tuple[Element, ...]:
    """An unrestricted list of values: a word that a later version adds must not block a write."""
    each: list[Element] = [("value", (("fullName", word), ("default", "false"), ("label", word))) for word in words]
    return (("restricted", "false"), ("valueSetDefinition", (("sorted", "false"), *each)))
