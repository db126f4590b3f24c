"""Describe: what an object and its fields are, as far as the API user may know.

A field that is hidden from the user is missing here; a read-only one says `updateable: false`. Members and their values
follow recorded describes of stock Lead and Contact.
"""

from connector.simulator.salesforce.schema import ID_TYPES, TEXT_TYPES, Field, ObjectType

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "datetime": "xsd:dateTime",
    "date": "xsd:date",
    "int": "xsd:int",
    "double": "xsd:double",
}


def summary(kind: ObjectType, version: str) -> dict[str, object]:
    """An object's entry in the list of all objects."""
    base = f"/services/data/v{version}/sobjects/{kind.name}"
    return {
        "name": kind.name,
        "label": kind.name,
        "labelPlural": f"{kind.name}s",
        "keyPrefix": kind.prefix,
        "custom": kind.name.endswith("__c"),
        "createable": True,
        "updateable": True,
        "deletable": True,
        "queryable": True,
        "retrieveable": True,
        "searchable": True,
        "mergeable": True,
        "undeletable": True,
        "urls": {"sobject": base, "describe": f"{base}/describe", "rowTemplate": f"{base}/{{ID}}"},
    }


def describe(kind: ObjectType, version: str) -> dict[str, object]:
    """The whole describe of one object."""
    fields = [_field(kind, field) for field in kind.readable_fields()]
    return summary(kind, version) | {"fields": fields, "childRelationships": [], "recordTypeInfos": []}


def _field(kind: ObjectType, field: Field) -> dict[str, object]:
    writable = kind.can_write(field)
    text = field.type in TEXT_TYPES | ID_TYPES
    return {
        "name": field.name,
        "label": field.shown_label,
        "type": field.type,
        "soapType": _SOAP_TYPES.get(field.type, "xsd:string"),
        "length": field.length if text else 0,
        "byteLength": field.length * 3 if field.type in TEXT_TYPES else field.length,
        "custom": field.custom,
        "calculated": False,
        "autoNumber": False,
        "caseSensitive": False,
        "createable": writable,
        "updateable": writable,
        "nillable": field.nillable,
        "defaultedOnCreate": field.default is not None or field.name in ("Id", "OwnerId") or not field.writable,
        "defaultValue": field.default if field.type == "boolean" else None,
        "externalId": field.external_id,
        "unique": False,
        "idLookup": field.type == "id" or field.external_id or (field.name == "Email" and not field.custom),
        "nameField": field.name == "Name",
        "filterable": field.filterable,
        "sortable": field.type != "textarea",
        "groupable": field.type not in ("datetime", "double", "textarea"),
        "aggregatable": field.type not in ("boolean", "textarea"),
        "permissionable": field.nillable and field.name not in ("Name", "MasterRecordId"),
        "picklistValues": [_choice(field, value) for value in field.choices],
        "restrictedPicklist": field.restricted,
        "referenceTo": [field.refers_to] if field.refers_to else [],
        "relationshipName": field.name.removesuffix("Id") if field.refers_to else None,
    }


def _choice(field: Field, value: str) -> dict[str, object]:
    is_default = value == field.default
    return {"active": True, "defaultValue": is_default, "label": value, "validFor": None, "value": value}
