"""The objects of the simulated org: Lead, Contact and a small Account, with the connector's custom fields.

Names, types and lengths of standard fields are those of the Object Reference and of recorded describes (Email 80, every
phone and Fax 40, Title 128, Company and Website 255). The custom fields are the ones the connector ships: the two
unlock statuses are unrestricted picklists, so that a new status never blocks a write.
"""

from connector.simulator.salesforce.schema import Field, ObjectType

_SYSTEM = (
    Field("Id", "id", 18, "Record ID", nillable=False, writable=False),
    Field("IsDeleted", "boolean", label="Deleted", nillable=False, writable=False, default=False),
    Field("MasterRecordId", "reference", 18, "Master Record ID", writable=False),
    Field("OwnerId", "reference", 18, "Owner ID", nillable=False, refers_to="User"),
    Field("CreatedDate", "datetime", label="Created Date", nillable=False, writable=False),
    Field("LastModifiedDate", "datetime", label="Last Modified Date", nillable=False, writable=False),
    Field("SystemModstamp", "datetime", label="System Modstamp", nillable=False, writable=False),
)

_PERSON = (
    Field("LastName", "string", 80, "Last Name", nillable=False),
    Field("FirstName", "string", 40, "First Name"),
    Field("Name", "string", 121, "Full Name", nillable=False, writable=False),
    Field("Title", "string", 128),
    Field("Email", "email", 80),
    Field("Phone", "phone", 40),
    Field("MobilePhone", "phone", 40, "Mobile Phone"),
    Field("Fax", "phone", 40),
    Field("HasOptedOutOfEmail", "boolean", label="Email Opt Out", nillable=False, default=False),
    Field("DoNotCall", "boolean", label="Do Not Call", nillable=False, default=False),
    Field("EmailBouncedReason", "string", 255, "Email Bounced Reason"),
    Field("EmailBouncedDate", "datetime", label="Email Bounced Date"),
    Field("IndividualId", "reference", 18, "Individual ID", refers_to="Individual"),
)

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

_LEAD = (
    Field("Company", "string", 255, nillable=False),
    Field(
        "Status",
        "picklist",
        255,
        nillable=False,
        default="Open - Not Contacted",
        choices=("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    ),
    Field("IsConverted", "boolean", label="Converted", nillable=False, writable=False, default=False),
    Field("ConvertedDate", "date", label="Converted Date", writable=False),
    Field("ConvertedAccountId", "reference", 18, "Converted Account ID", writable=False, refers_to="Account"),
    Field("ConvertedContactId", "reference", 18, "Converted Contact ID", writable=False, refers_to="Contact"),
)

_CONTACT = (Field("AccountId", "reference", 18, "Account ID", refers_to="Account"),)

_ACCOUNT = (
    Field("Name", "string", 255, "Account Name", nillable=False),
    Field("Phone", "phone", 40, "Account Phone"),
    Field("Website", "url", 255),
)


def standard_objects() -> tuple[ObjectType, ...]:
    """Fresh object types; each org may change its own."""
    return (
        ObjectType("Lead", "00Q", _SYSTEM + _PERSON + _LEAD + ENRICHMENT),
        ObjectType("Contact", "003", _SYSTEM + _PERSON + _CONTACT + ENRICHMENT),
        ObjectType("Account", "001", _SYSTEM + _ACCOUNT),
    )
