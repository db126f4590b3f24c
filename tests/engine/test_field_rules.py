"""Every mapped field is checked against its use: errors, warnings, and faults that no permission can remove."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from harness import mapping

from connector.core.errors import ConfigurationError
from connector.core.mapped_fields import MappedField, Use, words_written
from connector.core.mapping import MappingFile
from connector.crm.interface import FieldInfo, ObjectInfo
from connector.crm.salesforce.checks import check_fields

TYPES = {
    "Enrichment_Requested__c": "boolean",
    "Lensmor_Personnel_Id__c": "string",
    "Lensmor_Event_Id__c": "string",
    "LinkedIn_URL__c": "url",
    "Email": "email",
    "MobilePhone": "phone",
    "EmailBouncedDate": "datetime",
    "HasOptedOutOfEmail": "boolean",
    "DoNotCall": "boolean",
    "Email_Unlock_Status__c": "picklist",
    "Phone_Unlock_Status__c": "picklist",
    "Enriched_At__c": "datetime",
    "Enrichment_Source__c": "string",
    "Enrichment_Error__c": "string",
    "Title": "string",
    "Status": "picklist",
    "LastName": "string",
    "Fax": "phone",
}
WORDS = ("In progress", "Unlocked", "Not found", "Failed", "Skipped", "Unknown")


def usual(name: str) -> FieldInfo:
    return FieldInfo(name, TYPES.get(name, "string"), 0, updateable=True, filterable=True, custom=name.endswith("__c"))


class FakeCrm:
    """An org with one described object."""

    def __init__(self, *changed: FieldInfo, updateable: bool = True, hidden: tuple[str, ...] = ()) -> None:
        fields = {name.lower(): usual(name) for name in TYPES if name not in hidden}
        fields |= {field.name.lower(): field for field in changed}
        self.info = ObjectInfo("Lead", fields, updateable=updateable)

    def describe(self, object_name: str) -> ObjectInfo:
        if object_name.lower() != "lead":
            raise ConfigurationError(f"there is no object {object_name}")
        return self.info

    def check_condition(self, object_name: str, condition: str) -> None:
        """Accept every condition."""


def findings(crm: FakeCrm, found: MappingFile | None = None, *, only_fatal: bool = True) -> list[str]:
    as_crm: Any = crm
    problems = check_fields(as_crm, found or mapping("lead"))
    return [f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems if p.fatal or not only_fatal]


def changed(name: str, **facts: object) -> FieldInfo:
    return replace(usual(name), **facts)  # type: ignore[arg-type]


def test_the_usual_fields_are_suitable() -> None:
    assert findings(FakeCrm(), only_fatal=False) == []


# -- types ------------------------------------------------------------------------------------------------------

NUMBER: Mapping[str, object] = {"type": "double", "precision": 18, "scale": 0}


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("HasOptedOutOfEmail", {"type": "picklist"}, "an opt-out must be a checkbox"),
        ("HasOptedOutOfEmail", {"type": "string"}, "HasOptedOutOfEmail is a text field; an opt-out must be a checkbox"),
        ("HasOptedOutOfEmail", {"type": "datetime"}, "an opt-out must be a checkbox"),
        ("DoNotCall", {"type": "double"}, "DoNotCall is a number field; an opt-out must be a checkbox"),
        ("EmailBouncedDate", {"type": "double"}, "empty_when must be a date, a checkbox or a text"),
        ("EmailBouncedDate", {"type": "int"}, "empty_when must be a date, a checkbox or a text"),
        ("EmailBouncedDate", {"type": "currency"}, "empty_when must be a date, a checkbox or a text"),
        ("EmailBouncedDate", {"type": "reference"}, "empty_when must be a date, a checkbox or a text"),
        ("LinkedIn_URL__c", {"type": "double"}, "map one of type URL or long text or text"),
        ("LinkedIn_URL__c", {"type": "reference"}, "LinkedIn_URL__c is a lookup field"),
        ("LinkedIn_URL__c", {"type": "encryptedstring"}, "LinkedIn_URL__c is an encrypted text field"),
        ("Lensmor_Event_Id__c", {"type": "reference"}, "Lensmor_Event_Id__c is a lookup field"),
        ("Lensmor_Event_Id__c", {"type": "boolean"}, "Lensmor_Event_Id__c is a checkbox field"),
        ("Lensmor_Event_Id__c", {**NUMBER, "scale": 2}, "is a number with 2 decimals"),
        ("Lensmor_Event_Id__c", {"type": "currency", "precision": 18, "scale": 2}, "is a number with 2 decimals"),
        ("Lensmor_Event_Id__c", {"type": "percent", "precision": 5, "scale": 2}, "is a number with 2 decimals"),
        ("Lensmor_Event_Id__c", {**NUMBER, "precision": 5}, "holds 5 digits at most"),
        ("Lensmor_Event_Id__c", {"type": "int", "digits": 4}, "holds 4 digits at most"),
        ("Enrichment_Requested__c", {"type": "picklist"}, "is a picklist field, not a checkbox; for a picklist write"),
        ("Enrichment_Requested__c", {"type": "string"}, "is a text field, not a checkbox"),
        ("Enrichment_Requested__c", {"filterable": False}, "Salesforce cannot filter by Enrichment_Requested__c"),
        ("Enriched_At__c", {"type": "date"}, "Enriched_At__c is a date field; map one of type date and time"),
        ("Enrichment_Error__c", {"type": "picklist"}, "Enrichment_Error__c is a picklist field; map one of type"),
        ("Enrichment_Source__c", {"type": "multipicklist"}, "Enrichment_Source__c is a multi-select picklist field"),
        ("Email", {"type": "phone"}, "Email is a phone field; map one of type email"),
        ("MobilePhone", {"type": "email"}, "MobilePhone is an email field; map one of type"),
        ("Email_Unlock_Status__c", {"type": "boolean"}, "Email_Unlock_Status__c is a checkbox field"),
        ("Email_Unlock_Status__c", {"type": "multipicklist"}, "is a multi-select picklist field"),
    ],
)
def test_a_field_of_a_wrong_type_is_refused(name: str, facts: Mapping[str, object], words: str) -> None:
    lines = findings(FakeCrm(changed(name, **facts)))
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("Lensmor_Event_Id__c", NUMBER),
        ("Lensmor_Event_Id__c", {"type": "int", "digits": 9}),
        ("Lensmor_Event_Id__c", {"type": "percent", "precision": 18, "scale": 0}),
        ("Lensmor_Event_Id__c", {"type": "picklist"}),
        ("Lensmor_Event_Id__c", {"calculated": True, "updateable": False}),
        ("LinkedIn_URL__c", {"calculated": True, "updateable": False, "type": "string"}),
        ("LinkedIn_URL__c", {"type": "textarea", "filterable": False}),
        ("EmailBouncedDate", {"type": "date"}),
        ("EmailBouncedDate", {"type": "boolean"}),
        ("EmailBouncedDate", {"type": "string"}),
        ("EmailBouncedDate", {"type": "picklist"}),
        ("HasOptedOutOfEmail", {"calculated": True, "updateable": False}),
        ("Email_Unlock_Status__c", {"type": "string", "length": 40}),
        ("Enrichment_Error__c", {"type": "textarea", "length": 32_000}),
    ],
)
def test_types_of_fields_that_are_only_read(name: str, facts: Mapping[str, object]) -> None:
    assert findings(FakeCrm(changed(name, **facts))) == []


def test_a_personnel_id_in_a_number_is_read_and_not_written() -> None:
    crm = FakeCrm(changed("Lensmor_Personnel_Id__c", **NUMBER))
    assert findings(crm, mapping("lead", stamp={"personnel_id": None})) == []
    (line,) = findings(crm)
    assert line.startswith("stamp.personnel_id: Lensmor_Personnel_Id__c is a number field; map one of type")


# -- values of picklists -----------------------------------------------------------------------------------------


def restricted(name: str, *words: str) -> FieldInfo:
    return changed(name, type="picklist", allowed=frozenset(words), options=frozenset(words))


def test_a_restricted_status_must_have_every_value() -> None:
    assert findings(FakeCrm(restricted("Email_Unlock_Status__c", *WORDS))) == []
    (line,) = findings(
        FakeCrm(restricted("Email_Unlock_Status__c", "In progress", "Unlocked", "Not Found", "Failed", "X"))
    )
    assert "is a restricted picklist without Not found, Skipped, Unknown (it has Not Found, not Not found)" in line


def test_a_restricted_source_must_have_every_combination() -> None:
    both, source = mapping("contact"), MappedField(("stamp", "source"), "Enrichment_Source__c", Use.SOURCE)
    assert words_written(both, source) == ("lensmor", "salesfinity", "salesfinity, lensmor", "lensmor, salesfinity")
    (line,) = findings(FakeCrm(restricted("Enrichment_Source__c", "lensmor", "salesfinity")))
    assert "stamp.source: Enrichment_Source__c is a restricted picklist without" in line
    assert "salesfinity, lensmor" in line
    everything = words_written(mapping("lead"), source)
    assert findings(FakeCrm(restricted("Enrichment_Source__c", *everything))) == []


def stamped(**fields: str) -> MappingFile:
    channels = mapping("lead").model_dump(by_alias=True, exclude_none=True)["channels"]
    return mapping("lead", channels={**channels, "work_email": {**channels["work_email"], "stamp": fields}})


def test_the_source_of_a_value_needs_only_the_providers_of_its_channel() -> None:
    found = stamped(source="Email_Source__c")
    assert findings(FakeCrm(restricted("Email_Source__c", "lensmor", "salesfinity")), found) == []
    (line,) = findings(FakeCrm(restricted("Email_Source__c", "lensmor")), found)
    assert "channels.work_email.stamp.source: Email_Source__c is a restricted picklist without salesfinity" in line


def test_the_stamps_of_a_value_are_checked_like_any_written_field() -> None:
    fields = [changed("Email_At__c", type="date"), changed("Email_Run__c", updateable=False)]
    lines = findings(FakeCrm(*fields), stamped(at="Email_At__c", run="Email_Run__c"))
    assert "channels.work_email.stamp.at: Email_At__c is a date field; map one of type date and time" in lines[0]
    assert "channels.work_email.stamp.run: Email_Run__c cannot be edited" in lines[1]


PICKLIST = {"field": "Ask__c", "asks": "Requested", "done": "Done"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("Requested", "Done"), None),
        (("Requested",), "select.flag.field: Ask__c is a restricted picklist without Done"),
        (("Done",), "select.flag.field: Ask__c is a restricted picklist without Requested"),
        (("requested", "Done"), "without Requested (it has requested, not Requested)"),
    ],
)
def test_a_restricted_flag_must_have_both_values(words: tuple[str, ...], line: str | None) -> None:
    lines = findings(FakeCrm(restricted("Ask__c", *words)), mapping("lead", select={"flag": PICKLIST}))
    assert lines == [] if line is None else line in lines[0]


def test_an_unrestricted_flag_gets_a_warning() -> None:
    wanted = mapping("lead", select={"flag": PICKLIST})
    loose = changed("Ask__c", type="picklist", options=frozenset({"Requested"}))
    assert findings(FakeCrm(loose), wanted) == []
    (line,) = findings(FakeCrm(loose), wanted, only_fatal=False)
    assert "does not list Done" in line
    other_case = changed("Ask__c", type="picklist", options=frozenset({"REQUESTED", "Done"}))
    (line,) = findings(FakeCrm(other_case), wanted)  # Salesforce would select it, and no run would clear it
    assert "write REQUESTED, as the picklist Ask__c does, not Requested" in line


@pytest.mark.parametrize(("kind", "words"), [("boolean", "without asks and done"), ("multipicklist", "multi-select")])
def test_the_picklist_form_needs_a_picklist(kind: str, words: str) -> None:
    lines = findings(FakeCrm(changed("Ask__c", type=kind)), mapping("lead", select={"flag": PICKLIST}))
    assert words in lines[0]


def test_a_text_status_must_be_long_enough() -> None:
    (line,) = findings(FakeCrm(changed("Email_Unlock_Status__c", type="string", length=5)))
    assert "Email_Unlock_Status__c holds 5 characters, and In progress has 11" in line


# -- fields that cannot be edited --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"calculated": True}, "a formula or roll-up summary field, which Salesforce computes"),
        ({"auto_number": True}, "an auto-number field, which Salesforce fills"),
        ({"compound": True}, "a compound field, which is made of other fields"),
        ({"type": "address"}, "a compound field, which is made of other fields"),
        ({"type": "location"}, "a compound field, which is made of other fields"),
        ({"type": "id", "custom": False}, "the record's id"),
        ({"custom": False, "permissionable": False}, "a system field, which Salesforce alone sets"),
    ],
)
def test_read_only_fields_are_named_by_their_kind(facts: Mapping[str, object], words: str) -> None:
    lines = findings(FakeCrm(changed("Enrichment_Error__c", updateable=False, **facts)))
    assert any(f"Enrichment_Error__c is {words}: it can never be edited; map another field" in line for line in lines)
    assert "edit access" not in str(lines)


def test_a_missing_permission_is_named() -> None:
    lines = findings(FakeCrm(changed("Email", updateable=False)))
    assert lines == [
        "channels.work_email.field: Email cannot be edited; give the user's permission set edit access to it"
    ]


def test_an_uneditable_object_is_one_problem() -> None:
    fields = [replace(usual(name), updateable=False) for name in TYPES]
    lines = findings(FakeCrm(*fields, updateable=False))
    assert lines == [
        "object: the connector's user may not edit Lead records; give the user's permission set Edit on the object"
    ]


# -- names ------------------------------------------------------------------------------------------------------


def test_an_unknown_object_is_the_mappings_problem() -> None:
    assert findings(FakeCrm(), mapping("lead", object="Leed")) == [
        "object: there is no object Leed; did you mean Lead?"
    ]
    assert findings(FakeCrm(), mapping("lead", object="Vehicle__c")) == ["object: there is no object Vehicle__c"]


def test_an_unknown_field_gets_a_suggestion() -> None:
    channels = {"work_email": {"from": ["lensmor"], "field": "Emial"}, "phone": None, "personal_email": None}
    lines = findings(FakeCrm(), mapping("lead", channels=channels))
    assert "Lead has no field Emial that the connector's user can see; did you mean Email? Else check" in lines[0]
    lines = findings(FakeCrm(hidden=("EmailBouncedDate",)))
    assert "has no field EmailBouncedDate that the connector's user can see; " in lines[0]


# -- targets that look like mistakes -----------------------------------------------------------------------------


def phone_into(field: str) -> MappingFile:
    return mapping("lead", channels={"phone": {"from": ["lensmor"], "field": field}})


@pytest.mark.parametrize(
    ("field", "words", "certain"),
    [
        ("Title", "Title is a standard field with a meaning of its own; is a phone number meant to go there?", False),
        ("Fax", "Fax is not the person's own number", False),
        ("LastName", "LastName holds a name; a phone number there would replace it", True),
    ],
)
def test_a_phone_in_an_unusual_field_gets_a_warning(field: str, words: str, certain: bool) -> None:
    (line,) = findings(FakeCrm(), phone_into(field), only_fatal=False)
    assert line.startswith("channels.phone.field: ")
    assert words in line
    assert bool(findings(FakeCrm(), phone_into(field))) is certain


def test_our_status_in_lead_status_gets_a_warning() -> None:
    channels = {"phone": {"from": ["lensmor"], "field": "MobilePhone", "status": "Status"}}
    (line,) = findings(FakeCrm(), mapping("lead", channels=channels), only_fatal=False)
    assert line == (
        "channels.phone.status: Status is a standard field with a meaning of its own; are the connector's status words "
        "meant to go there?"
    )
    assert findings(FakeCrm(), mapping("lead", channels=channels)) == []


def test_a_short_text_field_for_an_address_gets_a_warning() -> None:
    channels = {"work_email": {"from": ["lensmor"], "field": "Mail__c"}, "phone": None}
    crm = FakeCrm(changed("Mail__c", length=20))
    (line,) = findings(crm, mapping("lead", channels=channels), only_fatal=False)
    assert "Mail__c holds 20 characters at most" in line
