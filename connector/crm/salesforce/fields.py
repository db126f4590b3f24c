"""From a describe of Salesforce to fields as the connector knows them."""

from collections.abc import Mapping
from typing import Any

from connector.core.limits import count_of
from connector.core.printable import one_line
from connector.crm.interface import FieldInfo

LONGEST_LABEL = 255
_TEXT_TYPES = {"string", "email", "phone", "url", "picklist", "textarea", "combobox", "multipicklist"}


def fields_of(rows: list[object]) -> list[FieldInfo]:
    """The fields of a describe; a field that others name as their compound is one."""
    found = [row for row in rows if isinstance(row, dict)]
    compounds = {str(row["compoundFieldName"]) for row in found if row.get("compoundFieldName")}
    return [_field(row, compounds) for row in found]


def _field(row: Mapping[str, Any], compounds: set[str]) -> FieldInfo:
    kind, name = str(row.get("type", "")), str(row.get("name", ""))
    options = _options(row.get("picklistValues"))
    return FieldInfo(
        name=name,
        type=kind,
        length=_whole(row.get("length")) if kind in _TEXT_TYPES else 0,
        updateable=row.get("updateable") is True,
        filterable=row.get("filterable") is not False,
        allowed=options if row.get("restrictedPicklist") is True else None,
        label=one_line(str(row.get("label") or name), LONGEST_LABEL),
        createable=row.get("createable") is True,
        custom=row.get("custom") is True,
        nillable=row.get("nillable") is not False,
        calculated=row.get("calculated") is True,
        auto_number=row.get("autoNumber") is True,
        compound=name in compounds,
        permissionable=row.get("permissionable") is not False,
        precision=_whole(row.get("precision")),
        scale=_whole(row.get("scale")),
        digits=_whole(row.get("digits")),
        options=options,
    )


def _options(values: object) -> frozenset[str]:
    """The values of a picklist that can be chosen now."""
    rows = values if isinstance(values, list) else []
    return frozenset(str(row.get("value")) for row in rows if isinstance(row, dict) and row.get("active", True))


def _whole(value: object) -> int:
    return count_of(value) or 0
