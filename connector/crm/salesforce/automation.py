"""The record-triggered flow that requests enrichment, and the credentials that it needs; none of them has a secret.

The flow calls an operation of the trigger API without a body: its two inputs are plain texts, so that no generated type
occurs in the flow. It is a draft: an admin enters the token first, then activates it. Not verified in an org; shapes by
the Metadata API Developer Guide (November 2026).
"""

import json

from connector.core.mapping import MappingFile
from connector.crm.provisioning import TriggerApi
from connector.crm.salesforce.components import Component, Element

CREDENTIAL = "CRM_Enrichment"  # of the external credential, the named credential and the external service
PRINCIPAL = "Connector"
SECRET = "Token"  # noqa: S105 the name of the parameter that an admin fills in Setup
CALLER_SET = "CRM_Enrichment_Request"
RECORD_INPUT, MAPPING_INPUT = "record", "mapping"
_ACTION = "Request_enrichment"
_BINDING: dict[str, object] = {
    "host": "",
    "basePath": "/",
    "allowedSchemes": [],
    "requestMediaTypes": [],
    "responseMediaTypes": [],
    "compatibleMediaTypes": {},
}


def credentials(trigger: TriggerApi) -> tuple[Component, ...]:
    """The external credential, the named credential, the external service, and the permission set for callers."""
    external: tuple[Element, ...] = (
        ("authenticationProtocol", "Custom"),
        ("externalCredentialParameters", _principal()),
        ("externalCredentialParameters", _header()),
        ("label", "CRM enrichment"),
    )
    named: tuple[Element, ...] = (
        ("allowMergeFieldsInBody", "false"),
        ("allowMergeFieldsInHeader", "true"),
        ("calloutStatus", "Enabled"),
        ("generateAuthorizationHeader", "false"),
        ("label", "CRM enrichment"),
        ("namedCredentialParameters", _parameter("Url", "Url", value=trigger.url)),
        ("namedCredentialParameters", _parameter("ExternalCredential", "Authentication", credential=CREDENTIAL)),
        ("namedCredentialType", "SecuredEndpoint"),
    )
    return (
        Component("ExternalCredential", CREDENTIAL, external, "without the token, which you enter in Setup"),
        Component("NamedCredential", CREDENTIAL, named, trigger.url),
        Component("ExternalServiceRegistration", CREDENTIAL, _service(trigger), f"operation {trigger.operation}"),
        Component("PermissionSet", CALLER_SET, _callers(), "for people whose changes start the flow"),
    )


def _principal() -> tuple[Element, ...]:
    return (
        ("parameterGroup", PRINCIPAL),
        ("parameterName", PRINCIPAL),
        ("parameterType", "NamedPrincipal"),
        ("sequenceNumber", "1"),
    )


def _header() -> tuple[Element, ...]:
    return (
        ("parameterGroup", "DefaultGroup"),
        ("parameterName", "Authorization"),
        ("parameterType", "AuthHeader"),
        ("parameterValue", f"{{!'Bearer ' & $Credential.{CREDENTIAL}.{SECRET}}}"),
        ("sequenceNumber", "1"),
    )


def _parameter(name: str, kind: str, *, value: str = "", credential: str = "") -> tuple[Element, ...]:
    given: tuple[Element, ...] = (("externalCredential", credential),) if credential else ()
    named: tuple[Element, ...] = (("parameterName", name), ("parameterType", kind))
    return (*given, *named, *((("parameterValue", value),) if value else ()))


def _service(trigger: TriggerApi) -> tuple[Element, ...]:
    return (
        ("label", "CRM enrichment"),
        ("namedCredentialReference", CREDENTIAL),
        ("operations", (("active", "true"), ("name", trigger.operation))),
        ("registrationProviderType", "Custom"),
        ("schema", trigger.description),
        ("schemaType", "OpenApi3"),
        ("serviceBinding", json.dumps(_BINDING)),
        ("status", "Complete"),
    )


def _callers() -> tuple[Element, ...]:
    access = (("enabled", "true"), ("externalCredentialPrincipal", f"{CREDENTIAL}-{PRINCIPAL}"))
    return (
        ("description", "May send requests to the enrichment connector. Assign it to people who request enrichment."),
        ("externalCredentialPrincipalAccesses", access),
        ("hasActivationRequired", "false"),
        ("label", "CRM enrichment: request"),
    )


def flow(mapping: MappingFile, trigger: TriggerApi, version: str) -> Component:
    """The flow of one mapping; it starts only when the flag turns on, so that the connector's write never starts it.

    Args:
        mapping: the mapping.
        trigger: the operation that it calls.
        version: of the API.
    """
    name = flow_name(mapping)
    asks = mapping.select.asks
    value: Element = ("booleanValue", "true") if asks is True else ("stringValue", str(asks))
    place: tuple[Element, ...] = (("locationX", "0"), ("locationY", "0"))
    start: tuple[Element, ...] = (
        *place,
        ("doesRequireRecordChangedToMeetCriteria", "true"),
        ("filterLogic", "and"),
        ("filters", (("field", mapping.select.flag_field), ("operator", "EqualTo"), ("value", (value,)))),
        ("object", mapping.object),
        ("recordTriggerType", "CreateAndUpdate"),
        ("scheduledPaths", (("connector", (("targetReference", _ACTION),)), ("pathType", "AsyncAfterCommit"))),
        ("triggerType", "RecordAfterSave"),
    )
    elements: tuple[Element, ...] = (
        ("actionCalls", (*_action_head(place), *_action_inputs(mapping, trigger))),
        ("apiVersion", version),
        ("description", "Sends a record to the enrichment connector when its flag turns on."),
        ("environments", "Default"),
        ("interviewLabel", f"{name} {{!$Flow.CurrentDateTime}}"),
        ("label", f"Request enrichment: {mapping.name}"),
        ("processType", "AutoLaunchedFlow"),
        ("start", start),
        ("status", "Draft"),
    )
    return Component("Flow", name, elements, f"when {mapping.select.flag_field} of {mapping.object} turns on; a draft")


def flow_name(mapping: MappingFile) -> str:
    """The API name of a mapping's flow."""
    return f"Request_Enrichment_{identifier(mapping.name)}"


def _action_head(place: tuple[Element, ...]) -> tuple[Element, ...]:
    return (("name", _ACTION), ("label", "Request enrichment"), *place)


def _action_inputs(mapping: MappingFile, trigger: TriggerApi) -> tuple[Element, ...]:
    return (
        ("actionName", f"{CREDENTIAL}.{trigger.operation}"),
        ("actionType", "externalService"),
        ("flowTransactionModel", "CurrentTransaction"),
        ("inputParameters", (("name", MAPPING_INPUT), ("value", (("stringValue", mapping.name),)))),
        ("inputParameters", (("name", RECORD_INPUT), ("value", (("elementReference", "$Record.Id"),)))),
        ("storeOutputAutomatically", "true"),
    )


def identifier(name: str) -> str:
    """A mapping's name as a part of an API name: letters, digits and single underscores."""
    return "_".join(part for part in name.replace("-", "_").split("_") if part)


def list_view(mapping: MappingFile) -> Component:
    """The list of an object's flagged records."""
    asks = mapping.select.asks
    title = "Flagged for enrichment"
    name_column = {"Lead": "FULL_NAME"}.get(mapping.object, "NAME")
    shown = [name_column, mapping.select.flag_field, *(rules.status for _, rules in mapping.channels.items())]
    elements: tuple[Element, ...] = (
        *(("columns", column) for column in dict.fromkeys(shown) if column),
        ("filterScope", "Everything"),
        (
            "filters",
            (
                ("field", mapping.select.flag_field),
                ("operation", "equals"),
                ("value", "1" if asks is True else str(asks)),
            ),
        ),
        ("label", title if mapping.name == mapping.object.lower() else f"{title}: {mapping.name}"[:40]),
    )
    name = f"Flagged_for_Enrichment_{identifier(mapping.name)}"
    return Component("ListView", f"{mapping.object}.{name}", elements, f"records with {mapping.select.flag_field} set")
