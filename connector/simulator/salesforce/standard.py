"""The objects of the simulated org: the standard ones, with the custom fields that the connector ships.

The custom fields are those of the shipped mappings: the two unlock statuses are unrestricted picklists, so that a new
status never blocks a write.
"""

from connector.simulator.salesforce.fields import (
    ACCOUNT,
    CONTACT,
    LEAD,
    PERMISSION_SET,
    PERMISSION_SET_ASSIGNMENT,
    RECORD_TYPE,
    USER,
    standard_fields,
)
from connector.simulator.salesforce.schema import Field, ObjectType

_STATUSES = ("Requested", "Found", "Not Found", "Failed")

ENRICHMENT = (
    Field("Enrichment_Requested__c", "boolean", nillable=False, default=False),
    Field("Enrichment__c", "picklist", 255, choices=("Requested", "Running", "Done", "Failed")),
    Field("Lensmor_Personnel_Id__c", "string", 64, external_id=True),
    Field("Lensmor_Event_Id__c", "string", 64),
    Field("LinkedIn_URL__c", "url", 255),
    Field("Email_Unlock_Status__c", "picklist", 255, choices=_STATUSES),
    Field("Phone_Unlock_Status__c", "picklist", 255, choices=_STATUSES),
    Field("Personal_Email__c", "email", 80),
    Field("Enriched_At__c", "datetime"),
    Field("Enrichment_Source__c", "string", 80),
    Field("Enrichment_Error__c", "string", 255),
)

_CUSTOM_OBJECT = """
Id | id 18 | Record ID | ! ro
OwnerId | reference 18 | Owner ID | ! >Group,User
IsDeleted | boolean | Deleted | ! ro :false
Name | string 80 | Name
CreatedDate | datetime | Created Date | ! ro
CreatedById | reference 18 | Created By ID | ! ro >User
LastModifiedDate | datetime | Last Modified Date | ! ro
LastModifiedById | reference 18 | Last Modified By ID | ! ro >User
SystemModstamp | datetime | System Modstamp | ! ro
"""


def standard_objects() -> tuple[ObjectType, ...]:
    """New copies of the object types, so that each org can change its own."""
    return (
        ObjectType("Lead", "00Q", standard_fields(LEAD) + ENRICHMENT),
        ObjectType("Contact", "003", standard_fields(CONTACT) + ENRICHMENT),
        ObjectType("Account", "001", standard_fields(ACCOUNT)),
        ObjectType("User", "005", standard_fields(USER), writable=False),
        ObjectType("PermissionSet", "0PS", standard_fields(PERMISSION_SET), label="Permission Set", writable=False),
        ObjectType("PermissionSetAssignment", "0Pa", standard_fields(PERMISSION_SET_ASSIGNMENT)),
        ObjectType("RecordType", "012", standard_fields(RECORD_TYPE), label="Record Type", writable=False),
    )


def custom_object(name: str, prefix: str, fields: tuple[Field, ...] = ()) -> ObjectType:
    """A custom object with the system fields that every custom object has."""
    return ObjectType(name, prefix, standard_fields(_CUSTOM_OBJECT) + fields)
