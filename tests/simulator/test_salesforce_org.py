"""Actions of people in the org: ids, seeding, edits, merge, conversion."""

import pytest

from connector.simulator.clock import SimClock
from connector.simulator.salesforce import Field, Org
from connector.simulator.salesforce.errors import RecordError
from connector.simulator.salesforce.ids import parse_id, to_18


@pytest.fixture(name="org")
def _org() -> Org:
    return Org(SimClock(speed=0.0, source=lambda: 1_795_168_800.0))


def lead(org: Org, **values: object) -> str:
    return org.insert("Lead", {"LastName": "Moreau", "Company": "Example Ltd", **values})


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("001D000000IqhSL", "001D000000IqhSLIAZ"),
        ("003ak00000jvIfp", "003ak00000jvIfpAAE"),
        ("00Qak00000696HF", "00Qak00000696HFEAY"),
        ("001xx000003DGb2", "001xx000003DGb2AAG"),
    ],
)
def test_ids_of_salesforces_own_examples(short: str, full: str) -> None:
    assert to_18(short) == full
    assert parse_id(short) == parse_id(full) == full


@pytest.mark.parametrize("text", ["", "001D000000IqhS", "001D000000IqhSLIAA", "001D000000IqhSL!", "ü01D000000IqhSL", 5])
def test_texts_that_are_not_ids(text: object) -> None:
    assert parse_id(text) is None


def test_records_are_found_by_both_forms_and_copied(org: Org) -> None:
    record_id = lead(org, FirstName="Anaïs")
    copy = org.get("Lead", record_id[:15])
    copy["LastName"] = "Changed"
    assert record_id.startswith("00Q")
    assert len(record_id) == 18
    assert org.get("lead", record_id)["Name"] == "Anaïs Moreau"
    assert [record["Id"] for record in org.records("Lead")] == [record_id]


def test_seeding_may_set_read_only_fields(org: Org) -> None:
    record = org.get("Lead", lead(org, CreatedDate="2020-01-01T00:00:00Z", IsConverted=True, Status="Old"))
    assert (record["CreatedDate"], record["IsConverted"]) == ("2020-01-01T00:00:00.000+0000", True)


def test_seeding_refuses_impossible_values(org: Org) -> None:
    with pytest.raises(RecordError, match="REQUIRED_FIELD_MISSING"):
        org.insert("Lead", {"LastName": "Moreau"})
    with pytest.raises(RecordError, match="INVALID_EMAIL_ADDRESS"):
        lead(org, Email="nothing")
    with pytest.raises(KeyError):
        lead(org, Nope__c="x")


def test_a_person_edits(org: Org) -> None:
    record_id = lead(org)
    org.clock.advance(5)
    org.edit("Lead", record_id, {"Phone": "1", "LastName": "Morel"})
    record = org.get("Lead", record_id)
    assert (record["Name"], record["SystemModstamp"]) == ("Morel", "2026-11-20T10:00:05.000+0000")
    update = org.history("Lead", record_id)[0]
    assert (update.who, update.changes) == ("person", {"Phone": (None, "1"), "LastName": ("Moreau", "Morel")})
    assert org.updates_count("Lead", record_id) == 0


def test_a_merge(org: Org) -> None:
    winner, loser = lead(org, Phone="1"), lead(org, Phone="2")
    org.merge("Lead", winner, loser)
    assert org.get("Lead", winner)["Phone"] == "1"
    lost = org.get("Lead", loser)
    assert (lost["IsDeleted"], lost["MasterRecordId"]) == (True, winner)


@pytest.mark.parametrize("carry_custom", [False, True])
def test_a_conversion(org: Org, carry_custom: bool) -> None:
    record_id = lead(
        org, Email="m@example.com", MobilePhone="2", DoNotCall=True, LinkedIn_URL__c="https://example.com/m"
    )
    contact_id = org.convert_lead(record_id, carry_custom=carry_custom)
    converted, contact = org.get("Lead", record_id), org.get("Contact", contact_id)

    assert converted["IsConverted"]
    assert converted["ConvertedContactId"] == contact_id
    assert converted["ConvertedAccountId"] == contact["AccountId"]
    assert org.get("Account", str(contact["AccountId"]))["Name"] == "Example Ltd"
    assert [contact[name] for name in ("Name", "Email", "MobilePhone", "DoNotCall")] == [
        *("Moreau", "m@example.com", "2", True)
    ]
    assert contact["LinkedIn_URL__c"] == ("https://example.com/m" if carry_custom else None)


def test_a_new_field_reaches_old_records(org: Org) -> None:
    record_id = lead(org)
    org.add_field("Lead", Field("Opt_Out__c", "boolean", nillable=False, default=False))
    assert org.get("Lead", record_id)["Opt_Out__c"] is False
    org.edit("Lead", record_id, {"Opt_Out__c": True})
    assert org.get("Lead", record_id)["Opt_Out__c"] is True
