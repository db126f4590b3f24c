"""The shapes of metadata components: the elements of each type, in nested tables, and references between components.

Source: Metadata API Developer Guide, version 67.0 (seen November 2026). A component with an unknown element, a missing
required one, or a reference to something that does not exist is refused, with the codes of recorded answers.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Protocol
from xml.etree.ElementTree import Element

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_NS = f"{{{NAMESPACE}}}"
REQUIRED = "required"
Shape = Mapping[str, object]  # element -> "", REQUIRED, or a nested shape

_CONNECTOR: Shape = {"targetReference": REQUIRED}
_VALUE: Shape = {"stringValue": "", "booleanValue": "", "elementReference": "", "numberValue": ""}
_PLACE: Shape = {"locationX": REQUIRED, "locationY": REQUIRED}
SHAPES: Mapping[str, Shape] = {
    "CustomField": {
        **{"fullName": REQUIRED, "label": REQUIRED, "type": REQUIRED},
        **dict.fromkeys(("description", "defaultValue", "externalId", "length", "required", "unique"), ""),
        **dict.fromkeys(("inlineHelpText", "visibleLines", "precision", "scale", "trackHistory"), ""),
        "valueSet": {
            "restricted": "",
            "valueSetDefinition": {
                "sorted": "",
                "value": {"fullName": REQUIRED, "default": REQUIRED, "label": ""},
            },
        },
    },
    "PermissionSet": {
        **{"fullName": REQUIRED, "label": REQUIRED},
        **dict.fromkeys(("description", "hasActivationRequired", "license"), ""),
        "fieldPermissions": {"editable": REQUIRED, "field": REQUIRED, "readable": ""},
        "objectPermissions": {
            **dict.fromkeys(("allowCreate", "allowDelete", "allowEdit", "allowRead"), REQUIRED),
            **dict.fromkeys(("modifyAllRecords", "viewAllRecords", "object"), REQUIRED),
            "viewAllFields": "",
        },
        "userPermissions": {"enabled": REQUIRED, "name": REQUIRED},
        "externalCredentialPrincipalAccesses": {"enabled": REQUIRED, "externalCredentialPrincipal": REQUIRED},
    },
    "ListView": {
        **{"fullName": REQUIRED, "filterScope": REQUIRED, "label": REQUIRED},
        "columns": "",
        "filters": {"field": REQUIRED, "operation": REQUIRED, "value": ""},
    },
    "ExternalCredential": {
        **{"fullName": REQUIRED, "authenticationProtocol": REQUIRED, "label": REQUIRED},
        "description": "",
        "externalCredentialParameters": {
            **{"parameterName": REQUIRED, "parameterType": REQUIRED},
            **dict.fromkeys(("parameterGroup", "parameterValue", "sequenceNumber", "description"), ""),
        },
    },
    "NamedCredential": {
        **{"fullName": REQUIRED, "label": REQUIRED, "namedCredentialType": REQUIRED},
        **dict.fromkeys(("allowMergeFieldsInBody", "allowMergeFieldsInHeader", "calloutStatus"), ""),
        "generateAuthorizationHeader": "",
        "namedCredentialParameters": {
            **{"parameterName": REQUIRED, "parameterType": REQUIRED},
            **dict.fromkeys(("parameterValue", "externalCredential", "description"), ""),
        },
    },
    "ExternalServiceRegistration": {
        **{"fullName": REQUIRED, "label": REQUIRED, "status": REQUIRED, "registrationProviderType": REQUIRED},
        **dict.fromkeys(("description", "namedCredentialReference", "schema", "schemaType", "serviceBinding"), ""),
        "operations": {"active": REQUIRED, "name": REQUIRED},
    },
    "Flow": {
        **{"fullName": REQUIRED, "label": REQUIRED, "processType": REQUIRED, "start": {}},
        **dict.fromkeys(("apiVersion", "description", "environments", "interviewLabel", "status"), ""),
        "actionCalls": {
            **_PLACE,
            **dict.fromkeys(("name", "label", "actionName", "actionType"), REQUIRED),
            **dict.fromkeys(("flowTransactionModel", "storeOutputAutomatically"), ""),
            "inputParameters": {"name": REQUIRED, "value": _VALUE},
            "faultConnector": _CONNECTOR,
            "connector": _CONNECTOR,
        },
    },
}
_START: Shape = {
    **_PLACE,
    **dict.fromkeys(("object", "recordTriggerType", "triggerType"), REQUIRED),
    **dict.fromkeys(("doesRequireRecordChangedToMeetCriteria", "filterLogic"), ""),
    "connector": _CONNECTOR,
    "filters": {"field": REQUIRED, "operator": REQUIRED, "value": _VALUE},
    "scheduledPaths": {"connector": _CONNECTOR, "pathType": REQUIRED},
}
_FIELD_TYPES = frozenset({"Text", "Checkbox", "Url", "Picklist", "DateTime", "Email", "Phone"})
_DEVELOPER_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")
_LABEL_LENGTHS = {"CustomField": 40, "ListView": 40}


class ShapeError(Exception):
    """A component is refused."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Names(Protocol):
    """The components and fields of the org."""

    def has(self, kind: str, name: str) -> bool:
        """Whether there is a component of this type and full name."""


def check_shape(kind: str, name: str, node: Element, names: Names) -> None:
    """Refuse a component that Salesforce would refuse.

    Raises:
        ShapeError: with the code and the text of the refusal.
    """
    if kind not in SHAPES:
        raise ShapeError("SIMULATOR_LIMIT", f"the simulator does not support components of type {kind}")
    _check(node, SHAPES[kind], kind)
    own = name.rpartition(".")[2].removesuffix("__c")
    if not _DEVELOPER_NAME.fullmatch(own):
        raise ShapeError(
            "FIELD_INTEGRITY_EXCEPTION", f"The Name field can only contain underscores and alphanumeric: {name}"
        )
    longest = _LABEL_LENGTHS.get(kind)
    if longest is not None and len(_text(node, "label")) > longest:
        raise ShapeError("STRING_TOO_LONG", f"Label: data value too large (max length={longest})")
    _RULES[kind](name, node, names)


def _check(node: Element, shape: Shape, path: str) -> None:
    seen = {child.tag.removeprefix(_NS) for child in node}
    for name, wanted in shape.items():
        if wanted == REQUIRED and name not in seen:
            raise ShapeError("REQUIRED_FIELD_MISSING", f"Required field is missing: {path}.{name}")
    for child in node:
        name = child.tag.removeprefix(_NS)
        wanted = _START if (path, name) == ("Flow", "start") else shape.get(name)
        if wanted is None:
            raise ShapeError("INVALID_TYPE", f"Element {name} invalid at this location in type {path}")
        if isinstance(wanted, Mapping):
            _check(child, wanted, f"{path}.{name}")
        elif len(child):
            raise ShapeError("INVALID_TYPE", f"Element {name} must be a text in type {path}")


def _text(node: Element, path: str) -> str:
    return node.findtext("/".join(f"{_NS}{part}" for part in path.split("/"))) or ""


def _need(names: Names, kind: str, name: str) -> None:
    if not names.has(kind, name):
        raise ShapeError("INVALID_CROSS_REFERENCE_KEY", f"In field: no {kind} named {name} found")


def _field(name: str, node: Element, names: Names) -> None:
    _need(names, "CustomObject", name.partition(".")[0])
    kind = _text(node, "type")
    if not name.endswith("__c"):
        raise ShapeError("INVALID_FULL_NAME", f"{name}: a custom field ends in __c")
    if kind not in _FIELD_TYPES:
        raise ShapeError("SIMULATOR_LIMIT", f"the simulator does not support fields of type {kind}")
    if kind == "Checkbox" and node.find(f"{_NS}required") is not None:
        raise ShapeError("FIELD_INTEGRITY_EXCEPTION", "Can not specify 'required' for a CustomField of type Checkbox")
    if kind == "Checkbox" and _text(node, "defaultValue") not in {"true", "false"}:
        raise ShapeError("FIELD_INTEGRITY_EXCEPTION", "Checkbox fields must have a default value")
    if (kind == "Text") is not bool(_text(node, "length")):
        raise ShapeError(
            "FIELD_INTEGRITY_EXCEPTION", "'length' is needed for a CustomField of type Text, and for no other"
        )
    if kind == "Text" and not 1 <= int(_text(node, "length")) <= 255:
        raise ShapeError("FIELD_INTEGRITY_EXCEPTION", "Invalid length, maximum is: 255")
    if (kind == "Picklist") is not (node.find(f"{_NS}valueSet") is not None):
        raise ShapeError("FIELD_INTEGRITY_EXCEPTION", "'valueSet' is needed for a CustomField of type Picklist")


def _permission_set(_name: str, node: Element, names: Names) -> None:
    for row in node.findall(f"{_NS}fieldPermissions"):
        field = _text(row, "field")
        _need(names, "CustomField", field)
        if _text(row, "editable") == "true" and _text(row, "readable") != "true":
            raise ShapeError("FIELD_INTEGRITY_EXCEPTION", f"{field}: editable needs readable")
    objects = {_text(row, "object") for row in node.findall(f"{_NS}objectPermissions")}
    for name in objects:
        _need(names, "CustomObject", name)
    if "Contact" in objects and "Account" not in objects:
        raise ShapeError("FIELD_INTEGRITY_EXCEPTION", "Permission Read Contact depends on permission(s): Read Account")
    for row in node.findall(f"{_NS}externalCredentialPrincipalAccesses"):
        _need(names, "ExternalCredential", _text(row, "externalCredentialPrincipal").partition("-")[0])


def _list_view(name: str, node: Element, names: Names) -> None:
    object_name = name.partition(".")[0]
    used = [one.text or "" for one in node.findall(f"{_NS}columns")]
    used += [_text(one, "field") for one in node.findall(f"{_NS}filters")]
    for column in used:
        if column.endswith("__c"):
            _need(names, "CustomField", f"{object_name}.{column}")


def _named_credential(_name: str, node: Element, names: Names) -> None:
    for row in node.findall(f"{_NS}namedCredentialParameters"):
        if _text(row, "parameterType") == "Authentication":
            _need(names, "ExternalCredential", _text(row, "externalCredential"))
        if _text(row, "parameterType") == "Url" and not _text(row, "parameterValue").startswith(
            ("https://", "http://")
        ):
            raise ShapeError("FIELD_INTEGRITY_EXCEPTION", "URL: enter a valid address")


def _external_service(_name: str, node: Element, names: Names) -> None:
    _need(names, "NamedCredential", _text(node, "namedCredentialReference"))
    try:
        schema, _ = json.loads(_text(node, "schema")), json.loads(_text(node, "serviceBinding"))
    except ValueError as error:
        raise ShapeError("INVALID_INPUT", "the schema is not valid JSON") from error
    offered = {one["operationId"].lower() for path in schema["paths"].values() for one in path.values()}
    for row in node.findall(f"{_NS}operations"):
        if _text(row, "name") not in offered:
            raise ShapeError("INVALID_INPUT", f"the schema has no operation {_text(row, 'name')}")


def _flow(_name: str, node: Element, names: Names) -> None:
    object_name = _text(node, "start/object")
    _need(names, "CustomObject", object_name)
    for row in node.findall(f"{_NS}start/{_NS}filters"):
        _need(names, "CustomField", f"{object_name}.{_text(row, 'field')}")
    actions = {_text(row, "name") for row in node.findall(f"{_NS}actionCalls")}
    for target in node.iter(f"{_NS}targetReference"):
        if target.text not in actions:
            raise ShapeError("INVALID_INPUT", f"the flow has no element {target.text}")
    for row in node.findall(f"{_NS}actionCalls"):
        if _text(row, "actionType") == "externalService":
            _need(names, "ExternalServiceRegistration", _text(row, "actionName").partition(".")[0])


def _anything(_name: str, _node: Element, _names: Names) -> None:
    """No rule beyond the shape."""


_RULES: Mapping[str, Callable[[str, Element, Names], None]] = {
    "CustomField": _field,
    "PermissionSet": _permission_set,
    "ListView": _list_view,
    "ExternalCredential": _anything,
    "NamedCredential": _named_credential,
    "ExternalServiceRegistration": _external_service,
    "Flow": _flow,
}
