"""The permission set of a mapping: read and edit on exactly its fields and its object, and nothing else."""

import re
from collections.abc import Iterable, Mapping

from connector.core.mapped_fields import WRITTEN, mapped_fields
from connector.core.mapping import MappingFile
from connector.crm.interface import ObjectInfo
from connector.crm.salesforce.components import Component, Element, yes_or_no

# Salesforce refuses read access to some objects without read access to others (known).
PARENTS = {"Contact": ("Account",)}
_WORD = re.compile(r"'(?:[^'\\]|\\.)*'|([A-Za-z]\w*)")


def field_access(mapping: MappingFile, info: ObjectInfo) -> dict[str, bool]:
    """Every field that the connector's user must see, and whether the user must edit it.

    Fields that every user has, such as required ones, are left out: Salesforce refuses to grant them.
    """
    found: dict[str, bool] = {}
    for mapped in mapped_fields(mapping):
        found[mapped.name] = found.get(mapped.name, False) or mapped.use in WRITTEN
    for name in condition_fields(mapping.select.where or "", info):
        found.setdefault(name, False)
    return {name: edits for name, edits in found.items() if _may_be_granted(info, name)}


def condition_fields(condition: str, info: ObjectInfo) -> list[str]:
    """The object's own fields in a condition."""
    names = [match[1] for match in _WORD.finditer(condition) if match[1]]
    fields = [found.name for name in names if (found := info.get(name)) is not None]
    unseen = [name for name in names if name.endswith("__c") and info.get(name) is None]
    return list(dict.fromkeys([*fields, *unseen]))


def _may_be_granted(info: ObjectInfo, name: str) -> bool:
    found = info.get(name)
    return found is None or found.permissionable


def permission_set(name: str, label: str, object_name: str, fields: Mapping[str, bool]) -> Component:
    """The component.

    Args:
        name: its API name.
        label: its name in Setup.
        object_name: the mapping's object.
        fields: by name, whether the field may be edited.
    """
    fields_of = [
        (
            "fieldPermissions",
            (("editable", yes_or_no(edits)), ("field", f"{object_name}.{field}"), ("readable", "true")),
        )
        for field, edits in sorted(fields.items())
    ]
    objects = [_object(object_name, edits=True), *(_object(one, edits=False) for one in PARENTS.get(object_name, ()))]
    elements: tuple[Element, ...] = (
        ("description", f"What the enrichment connector reads and writes of {object_name}, and nothing else."),
        *fields_of,
        ("hasActivationRequired", "false"),
        ("label", label),
        *objects,
    )
    edited = sum(fields.values())
    detail = f"{object_name}: reads {len(fields)} fields, edits {edited} of them"
    return Component("PermissionSet", name, elements, detail)


def _object(name: str, *, edits: bool) -> Element:
    rights = (("allowCreate", False), ("allowDelete", False), ("allowEdit", edits), ("allowRead", True))
    return (
        "objectPermissions",
        (
            *((right, yes_or_no(given)) for right, given in rights),
            ("modifyAllRecords", "false"),
            ("object", name),
            ("viewAllRecords", "false"),
        ),
    )


def grants(elements: Iterable[Element]) -> set[tuple[str, str]]:
    """The granted rights of a permission set, as (field or object, right)."""
    found: set[tuple[str, str]] = set()
    for name, content in elements:
        if name not in {"fieldPermissions", "objectPermissions"} or isinstance(content, str):
            continue
        row = {key: value for key, value in content if isinstance(value, str)}
        subject = row.get("field") or row.get("object", "")
        found |= {(subject, key) for key, value in row.items() if value == "true"}
    return found
