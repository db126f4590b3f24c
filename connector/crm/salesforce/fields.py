"""From a describe of Salesforce to fields as the connector knows them."""

from collections.abc import Sequence

from connector.core.printable import one_line
from connector.crm.interface import FieldInfo
from connector.crm.salesforce.bodies import DescribedField

LONGEST_LABEL = 255
_TEXT_TYPES = {"string", "email", "phone", "url", "picklist", "textarea", "combobox", "multipicklist"}


def fields_of(rows: Sequence[DescribedField]) -> list[FieldInfo]:
    """The fields of a describe; a field that others name as their compound is one."""
    compounds = {row.compound_field_name for row in rows if row.compound_field_name}
    return [_field(row, compounds) for row in rows]


def _field(row: DescribedField, compounds: set[str]) -> FieldInfo:
    options = frozenset(choice.value for choice in row.picklist_values if choice.active)
    return FieldInfo(
        name=row.name,
        type=row.type,
        length=row.length if row.type in _TEXT_TYPES else 0,
        updateable=row.updateable,
        filterable=row.filterable,
        allowed=options if row.restricted_picklist else None,
        label=one_line(row.label or row.name, LONGEST_LABEL),
        createable=row.createable,
        custom=row.custom,
        nillable=row.nillable,
        calculated=row.calculated,
        auto_number=row.auto_number,
        compound=row.name in compounds,
        permissionable=row.permissionable,
        precision=row.precision,
        scale=row.scale,
        digits=row.digits,
        options=options,
    )
