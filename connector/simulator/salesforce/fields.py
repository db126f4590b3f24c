"""The standard fields of Lead, Contact, Account, User and RecordType, one per line.

Names, types, lengths, labels and rights come from the Object Reference and recorded describes (API 59.0); a test
compares them with the recordings. Opt-outs can be hidden, for recorded describes lack them. A line is
`name | type length | label | notes`. Notes, in any order:

    !              not nillable                      ro, create, update   the only rights of the API; none: both
    >Account       the object that it points to      in:Address           part of that compound field
    =a;b           values of a picklist              =!a;b                the same, restricted; `a/b`: value/label
    :text          default of a new record           rel:Name             relationship name, if it is not the usual one
    +              not permissionable, though optional and writable       -   permissionable, though not by the rule
"""

from connector.simulator.salesforce.schema import Field

_GEOCODE = "=!Address;NearAddress;Block;Street;ExtendedZip;Zip;Neighborhood;City;County;State;Unknown"
_CLEAN = (
    "=!Matched/In Sync;Different;Acknowledged/Reviewed;NotFound/Not Found;Inactive;Pending/Not Compared;"
    "SelectMatch/Select Match;Skipped"
)
_SOURCE = "=Web;Phone Inquiry;Partner Referral;Purchased List;Other"
_INDUSTRY = (
    "=Agriculture;Apparel;Banking;Biotechnology;Chemicals;Communications;Construction;Consulting;Education;"
    "Electronics;Energy;Engineering;Entertainment;Environmental;Finance;Food & Beverage;Government;Healthcare;"
    "Hospitality;Insurance;Machinery;Manufacturing;Media;Not For Profit;Recreation;Retail;Shipping;Technology;"
    "Telecommunications;Transportation;Utilities;Other"
)

_STATUS = "=Open - Not Contacted;Working - Contacted;Closed - Converted;Closed - Not Converted"
_TYPE = (
    "=Prospect;Customer - Direct;Customer - Channel;Channel Partner / Reseller;Installation Partner;"
    "Technology Partner;Other"
)

_SYSTEM = """
CreatedDate | datetime | Created Date | ! ro
CreatedById | reference 18 | Created By ID | ! ro >User
LastModifiedDate | datetime | Last Modified Date | ! ro
LastModifiedById | reference 18 | Last Modified By ID | ! ro >User
SystemModstamp | datetime | System Modstamp | ! ro
"""
_ACTIVITY = """
LastActivityDate | date | Last Activity | ro
LastViewedDate | datetime | Last Viewed Date | ro
LastReferencedDate | datetime | Last Referenced Date | ro
"""
_PERSON_NAME = """
LastName | string 80 | Last Name | ! in:Name
FirstName | string 40 | First Name | + in:Name
Salutation | picklist 40 | Salutation | + in:Name =Mr.;Ms.;Mrs.;Dr.;Prof.{more}
Name | string 121 | Full Name | ! ro
"""
_BOUNCES = """
EmailBouncedReason | string 255 | Email Bounced Reason | + {rights}
EmailBouncedDate | datetime | Email Bounced Date | + {rights}
"""
_CONSENT = """
HasOptedOutOfEmail | boolean | Email Opt Out | ! - :false
HasOptedOutOfFax | boolean | Fax Opt Out | ! - :false
DoNotCall | boolean | Do Not Call | ! - :false
"""


def _start(object_name: str) -> str:
    return f"""
Id | id 18 | {object_name} ID | ! ro
IsDeleted | boolean | Deleted | ! ro :false
MasterRecordId | reference 18 | Master Record ID | ro >{object_name}
"""


def _address(prefix: str, label: str) -> str:
    name = f"{prefix}Address"
    return f"""
{prefix}Street | textarea 255 | {label}Street | in:{name}
{prefix}City | string 40 | {label}City | in:{name}
{prefix}State | string 80 | {label}State/Province | in:{name}
{prefix}PostalCode | string 20 | {label}Zip/Postal Code | in:{name}
{prefix}Country | string 80 | {label}Country | in:{name}
{prefix}Latitude | double 0 | {label}Latitude | in:{name}
{prefix}Longitude | double 0 | {label}Longitude | in:{name}
{prefix}GeocodeAccuracy | picklist 40 | {label}Geocode Accuracy | in:{name} {_GEOCODE}
{name} | address | {label}Address | ro -
"""


LEAD = (
    _start("Lead")
    + _PERSON_NAME.format(more=";Mx.")
    + """
Title | string 128 | Title
Company | string 255 | Company | !
"""
    + _address("", "")
    + f"""
Phone | phone 40 | Phone
MobilePhone | phone 40 | Mobile Phone
Fax | phone 40 | Fax
Email | email 80 | Email
Website | url 255 | Website
PhotoUrl | url 255 | Photo URL | ro
Description | textarea 32000 | Description
LeadSource | picklist 255 | Lead Source | {_SOURCE}
Status | picklist 255 | Status | ! :Open - Not Contacted {_STATUS}
Industry | picklist 255 | Industry | {_INDUSTRY}
Rating | picklist 255 | Rating | =Hot;Warm;Cold
AnnualRevenue | currency | Annual Revenue
NumberOfEmployees | int | Employees
RecordTypeId | reference 18 | Record Type ID | + >RecordType
OwnerId | reference 18 | Owner ID | ! >Group,User
"""
    + _CONSENT
    + """
IsConverted | boolean | Converted | ! create :false
ConvertedDate | date | Converted Date | ro
ConvertedAccountId | reference 18 | Converted Account ID | ro >Account
ConvertedContactId | reference 18 | Converted Contact ID | ro >Contact
ConvertedOpportunityId | reference 18 | Converted Opportunity ID | ro >Opportunity
IsUnreadByOwner | boolean | Unread By Owner | ! :false
"""
    + _SYSTEM
    + _ACTIVITY
    + f"""
Jigsaw | string 20 | Data.com Key
JigsawContactId | string 20 | Jigsaw Contact ID | ro rel:JigsawContact
CleanStatus | picklist 40 | Clean Status | {_CLEAN}
CompanyDunsNumber | string 9 | Company D-U-N-S Number
DandbCompanyId | reference 18 | D&B Company ID | >DandBCompany
"""
    + _BOUNCES.format(rights="update")
    + """
IndividualId | reference 18 | Individual ID | + >Individual
"""
)

CONTACT = (
    _start("Contact")
    + """
AccountId | reference 18 | Account ID | >Account
"""
    + _PERSON_NAME.format(more="")
    + _address("Other", "Other ")
    + _address("Mailing", "Mailing ")
    + f"""
Phone | phone 40 | Business Phone
Fax | phone 40 | Business Fax
MobilePhone | phone 40 | Mobile Phone
HomePhone | phone 40 | Home Phone
OtherPhone | phone 40 | Other Phone
AssistantPhone | phone 40 | Asst. Phone
ReportsToId | reference 18 | Reports To ID | >Contact
Email | email 80 | Email
Title | string 128 | Title
Department | string 80 | Department
AssistantName | string 40 | Assistant's Name
LeadSource | picklist 255 | Lead Source | {_SOURCE}
Birthdate | date | Birthdate
Description | textarea 32000 | Contact Description
RecordTypeId | reference 18 | Record Type ID | + >RecordType
OwnerId | reference 18 | Owner ID | ! >User
"""
    + _CONSENT
    + _SYSTEM
    + """
LastActivityDate | date | Last Activity | ro
LastCURequestDate | datetime | Last Stay-in-Touch Request Date | ro
LastCUUpdateDate | datetime | Last Stay-in-Touch Save Date | ro
LastViewedDate | datetime | Last Viewed Date | ro
LastReferencedDate | datetime | Last Referenced Date | ro
"""
    + _BOUNCES.format(rights="")
    + f"""
IsEmailBounced | boolean | Is Email Bounced | ! ro :false
PhotoUrl | url 255 | Photo URL | ro
Jigsaw | string 20 | Data.com Key
JigsawContactId | string 20 | Jigsaw Contact ID | ro rel:JigsawContact
CleanStatus | picklist 40 | Clean Status | {_CLEAN}
IndividualId | reference 18 | Individual ID | + >Individual
"""
)

ACCOUNT = (
    _start("Account")
    + f"""
Name | string 255 | Account Name | ! in:Name
Type | picklist 40 | Account Type | {_TYPE}
RecordTypeId | reference 18 | Record Type ID | + >RecordType
ParentId | reference 18 | Parent Account ID | >Account
"""
    + _address("Billing", "Billing ")
    + _address("Shipping", "Shipping ")
    + f"""
Phone | phone 40 | Account Phone
Fax | phone 40 | Account Fax
AccountNumber | string 40 | Account Number
Website | url 255 | Website
PhotoUrl | url 255 | Photo URL | ro
Sic | string 20 | SIC Code
Industry | picklist 40 | Industry | {_INDUSTRY}
AnnualRevenue | currency | Annual Revenue
NumberOfEmployees | int | Employees
Ownership | picklist 40 | Ownership | =Public;Private;Subsidiary;Other
TickerSymbol | string 20 | Ticker Symbol
Description | textarea 32000 | Account Description
Rating | picklist 40 | Account Rating | =Hot;Warm;Cold
Site | string 80 | Account Site
OwnerId | reference 18 | Owner ID | ! >User
"""
    + _SYSTEM
    + _ACTIVITY
    + f"""
IsPartner | boolean | Partner Account | ! update :false
IsCustomerPortal | boolean | Customer Portal Account | ! update :false
Jigsaw | string 20 | Data.com Key
JigsawCompanyId | string 20 | Jigsaw Company ID | ro rel:JigsawCompany
CleanStatus | picklist 40 | Clean Status | {_CLEAN}
AccountSource | picklist 40 | Account Source | {_SOURCE}
DunsNumber | string 9 | D-U-N-S Number
Tradestyle | string 255 | Tradestyle
NaicsCode | string 8 | NAICS Code
NaicsDesc | string 120 | NAICS Description
YearStarted | string 4 | Year Started
SicDesc | string 80 | SIC Description
DandbCompanyId | reference 18 | D&B Company ID | >DandBCompany
OperatingHoursId | reference 18 | Operating Hour ID | >OperatingHours
"""
)

USER = (
    """
Id | id 18 | User ID | ! ro
IsDeleted | boolean | Deleted | ! ro :false
Username | string 80 | Username | !
LastName | string 80 | Last Name | ! in:Name
FirstName | string 40 | First Name | + in:Name
Name | string 121 | Full Name | ! ro
Email | email 128 | Email | !
Title | string 80 | Title
Department | string 80 | Department
Alias | string 8 | Alias | !
IsActive | boolean | Active | ! :true
OwnerId | reference 18 | Owner ID | ro >User
"""
    + _SYSTEM
)

PERMISSION_SET = (
    """
Id | id 18 | Permission Set ID | ! ro
IsDeleted | boolean | Deleted | ! ro :false
Name | string 80 | Permission Set Name | !
Label | string 80 | Permission Set Label | !
OwnerId | reference 18 | Owner ID | ro >User
"""
    + _SYSTEM
)

PERMISSION_SET_ASSIGNMENT = (
    """
Id | id 18 | Permission Set Assignment ID | ! ro
IsDeleted | boolean | Deleted | ! ro :false
AssigneeId | reference 18 | Assignee ID | ! >User
PermissionSetId | reference 18 | Permission Set ID | ! >PermissionSet
OwnerId | reference 18 | Owner ID | ro >User
"""
    + _SYSTEM
)

RECORD_TYPE = (
    """
Id | id 18 | Record Type ID | ! ro
IsDeleted | boolean | Deleted | ! ro :false
Name | string 80 | Name | !
DeveloperName | string 80 | Record Type Name | !
Description | string 255 | Description
SobjectType | picklist 40 | SObject Type Name | !
IsActive | boolean | Active | ! :true
OwnerId | reference 18 | Owner ID | ro >User
"""
    + _SYSTEM
)


def standard_fields(table: str) -> tuple[Field, ...]:
    """The fields of one of the tables above, in the order of describe."""
    return tuple(_field(line) for line in table.splitlines() if line.strip())


def _field(line: str) -> Field:
    name, kind, label, *rest = (part.strip() for part in line.split(" | "))
    type_name, _, length = kind.partition(" ")
    notes = f" {rest[0]}" if rest else ""
    values = notes.partition(" =")[2]
    notes = notes.partition(" =")[0]
    default = notes.partition(" :")[2]
    words = notes.partition(" :")[0].split()
    marked = {word[:1] if word[:1] in "!>+-" else word.partition(":")[0]: word for word in words}
    pairs = [_value_and_label(one) for one in values.removeprefix("!").split(";")] if values else []
    return Field(
        name,
        type_name,
        int(length or 0),
        label,
        nillable="!" not in marked,
        createable=not {"ro", "update"} & marked.keys(),
        updateable=not {"ro", "create"} & marked.keys(),
        default={"": None, "false": False, "true": True}.get(default, default),
        choices=tuple(value for value, _ in pairs),
        choice_labels=tuple(shown for _, shown in pairs),
        restricted=values.startswith("!"),
        refers_to=tuple(marked.get(">", ">").removeprefix(">").split(",")) if ">" in marked else (),
        relationship=marked.get("rel", "").removeprefix("rel:"),
        compound=marked.get("in", "").removeprefix("in:"),
        permissionable="-" in marked or None if "+" not in marked else False,
    )


def _value_and_label(text: str) -> tuple[str, str]:
    """Split `Matched/In Sync` into value and label; a slash between blanks belongs to the value."""
    value, slash, label = text.partition("/")
    return (value, label) if slash and not value.endswith(" ") else (text, text)
