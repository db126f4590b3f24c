"""Describes an object and its fields, as far as the API user may see them.

A field that is hidden from the user is missing; a read-only one has `updateable: false`. Members and their values
follow recorded describes of stock Lead, Contact and Account (API 59.0).
"""

from connector.simulator.salesforce.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES, Field, ObjectType

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "datetime": "xsd:dateTime",
    "date": "xsd:date",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "address": "urn:address",
}
_NAME_PARTS = frozenset({"LastName", "FirstName", "Salutation", "Name"})
_SAME_FOR_ALL: dict[str, object] = {
    **dict.fromkeys(("calculatedFormula", "controllerName", "defaultValueFormula", "filteredLookupInfo")),
    **dict.fromkeys(("inlineHelpText", "mask", "maskType", "referenceTargetField", "relationshipOrder")),
    **dict.fromkeys(("aiPredictionField", "autoNumber", "calculated", "cascadeDelete", "caseSensitive"), False),
    **dict.fromkeys(("dependentPicklist", "deprecatedAndHidden", "displayLocationInDecimal", "encrypted"), False),
    **dict.fromkeys(("formulaTreatNullNumberAsZero", "highScaleNumber", "htmlFormatted", "restrictedDelete"), False),
    **dict.fromkeys(("unique", "writeRequiresMasterRead"), False),
}
_OBJECT_SAME: dict[str, object] = {
    **dict.fromkeys(("associateEntityType", "associateParentEntity"), None),
    **dict.fromkeys(("activateable", "customSetting", "deepCloneable", "deprecatedAndHidden", "hasSubtypes"), False),
    **dict.fromkeys(("isInterface", "isSubtype"), False),
    **dict.fromkeys(("feedEnabled", "layoutable", "mruEnabled", "queryable", "replicateable"), True),
    **dict.fromkeys(("retrieveable", "searchable", "triggerable", "undeletable"), True),
}


def summary(kind: ObjectType, version: str) -> dict[str, object]:
    """An object's entry in the list of all objects."""
    base = f"/services/data/v{version}/sobjects/{kind.name}"
    more = ("compactLayouts", "approvalLayouts", "layouts")
    return {
        "name": kind.name,
        "label": kind.label,
        "labelPlural": f"{kind.label}s",
        "keyPrefix": kind.prefix,
        "custom": kind.name.endswith("__c"),
        "createable": kind.writable and not kind.only_edit,
        "updateable": kind.writable,
        "deletable": kind.writable and not kind.only_edit,
        "mergeable": kind.name in {"Lead", "Contact", "Account"},
        **_OBJECT_SAME,
        "urls": {
            "sobject": base,
            "describe": f"{base}/describe",
            "rowTemplate": f"{base}/{{ID}}",
            "listviews": f"{base}/listviews",
            "quickActions": f"{base}/quickActions",
            **{name: f"{base}/describe/{name}" for name in more},
        },
    }


def describe(kind: ObjectType, version: str, record_types: list[dict[str, object]]) -> dict[str, object]:
    """The complete describe of one object.

    Args:
        kind: the object.
        version: the API version in its addresses.
        record_types: its `recordTypeInfos` besides the master record type.
    """
    return summary(kind, version) | {
        "actionOverrides": [],
        "childRelationships": [],
        "compactLayoutable": True,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [_field(kind, field) for field in kind.readable_fields()],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [*record_types, _master(kind, version, is_default=not record_types)],
        "searchLayoutable": True,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {kind.label.lower()}s", "name": "everything"}],
    }


def record_type_info(kind: ObjectType, version: str, row: dict[str, object]) -> dict[str, object]:
    """One entry of `recordTypeInfos`."""
    info = _master(kind, version, is_default=False)
    layout = f"/services/data/v{version}/sobjects/{kind.name}/describe/layouts/{row['Id']}"
    names = {"developerName": row["DeveloperName"], "name": row["Name"], "recordTypeId": row["Id"]}
    return info | names | {"active": row["IsActive"], "master": False, "urls": {"layout": layout}}


def _master(kind: ObjectType, version: str, *, is_default: bool) -> dict[str, object]:
    number = "012000000000000AAA"
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": is_default,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": number,
        "urls": {"layout": f"/services/data/v{version}/sobjects/{kind.name}/describe/layouts/{number}"},
    }


def _field(kind: ObjectType, field: Field) -> dict[str, object]:
    text = field.type in TEXT_TYPES | ID_TYPES
    is_place = field.type == "double" and field.compound.endswith("Address")
    return {
        **_SAME_FOR_ALL,
        "name": field.name,
        "label": field.shown_label,
        "type": field.type,
        "soapType": _SOAP_TYPES.get(field.type, "xsd:string"),
        "extraTypeInfo": _extra_type(kind, field),
        "length": field.length if text else 0,
        "byteLength": (field.length * 3 if field.type in TEXT_TYPES else field.length) if text else 0,
        "precision": 18 if field.type in NUMBER_TYPES - {"int"} else 0,
        "scale": 15 if is_place else 0,
        "digits": 8 if field.type == "int" else 0,
        "custom": field.custom,
        "compoundFieldName": field.compound or None,
        "createable": kind.can_create(field),
        "updateable": kind.can_update(field),
        "nillable": field.nillable,
        "permissionable": _is_permissionable(field),
        "defaultedOnCreate": _is_defaulted(field),
        "defaultValue": field.default,
        "externalId": field.external_id,
        "idLookup": field.type == "id" or field.external_id or (field.name == "Email" and kind.name != "User"),
        "nameField": field.name == "Name",
        "namePointing": "Group" in field.refers_to,
        "polymorphicForeignKey": len(field.refers_to) > 1,
        "queryByDistance": field.type == "address",
        "filterable": field.filterable,
        "searchPrefilterable": _is_prefilterable(kind, field),
        "sortable": field.filterable and field.type != "address",
        "groupable": field.filterable and field.type not in NUMBER_TYPES - {"int"} | {"datetime", "address"},
        "aggregatable": field.filterable and field.type not in {"boolean", "address"},
        "picklistValues": _choices(field),
        "restrictedPicklist": field.restricted,
        "referenceTo": list(field.refers_to),
        "relationshipName": field.relationship_name,
    }


def _is_permissionable(field: Field) -> bool:
    """Whether field-level security applies: to optional fields that can be written, and to custom fields."""
    if field.permissionable is not None:
        return field.permissionable
    return (field.nillable and field.createable) or (field.custom and field.type == "boolean")


def _is_defaulted(field: Field) -> bool:
    """Whether a new record gets a value in this field even if it does not name the field."""
    given = field.type == "boolean" or field.default is not None or field.name == "OwnerId" or not field.createable
    return not field.nillable and given and field.name != "Name"


def _is_prefilterable(kind: ObjectType, field: Field) -> bool:
    if field.type != "reference" or field.name in {"MasterRecordId", "RecordTypeId"}:
        return False
    return bool({"User", "Group"}.isdisjoint(field.refers_to)) and kind.name != "User"


def _extra_type(kind: ObjectType, field: Field) -> str | None:
    if field.name in _NAME_PARTS and not field.custom:
        return "switchablepersonname" if kind.name == "Account" else "personname"
    if field.type == "textarea":
        return "plaintextarea"
    return "imageurl" if field.name == "PhotoUrl" else None


def _choices(field: Field) -> list[dict[str, object]]:
    labels = field.choice_labels or field.choices
    return [
        {"active": True, "defaultValue": value == field.default, "label": label, "validFor": None, "value": value}
        for value, label in zip(field.choices, labels, strict=True)
    ]
