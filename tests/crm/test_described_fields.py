"""Fields as Salesforce describes them: by hand, in recorded answers of real orgs, and by the simulated org."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from org_harness import Harness, OrgHost

from connector.core.errors import ConfigurationError
from connector.crm.interface import FieldInfo, Selection
from connector.crm.salesforce.bodies import Description
from connector.crm.salesforce.field_rules import why_never_editable
from connector.crm.salesforce.fields import fields_of

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("CONNECTOR_TEST_RECORDINGS") or ROOT.parent / "shared" / "recordings") / "salesforce"
DESCRIBES = "cumulusci/tests/shared_cassettes/GET_sobjects_{}_describe.yaml"


@pytest.fixture(scope="module")
def org_host() -> Iterator[OrgHost]:
    with OrgHost() as made:
        yield made


@pytest.fixture
def harness(org_host: OrgHost) -> Harness:
    return org_host.fresh()


def recorded(name: str) -> dict[str, FieldInfo]:
    """The fields of a recorded describe."""
    path = RECORDINGS / DESCRIBES.format(name)
    if not path.is_file():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the recorded answers are missing: {path.name}")
        pytest.skip("the recorded answers are not here")
    text = path.read_text(encoding="utf-8")
    document = json.JSONDecoder().raw_decode(text[text.index("{", text.index("string:")) :])[0]
    return {field.name: field for field in fields_of(Description.read(document).fields or ())}


def test_a_recorded_lead_is_understood() -> None:
    fields = recorded("Lead")
    assert len(fields) == 54
    email, revenue, employees = fields["Email"], fields["AnnualRevenue"], fields["NumberOfEmployees"]
    assert (email.type, email.length, email.updateable, email.custom, email.label) == (
        "email",
        80,
        True,
        False,
        "Email",
    )
    assert (revenue.type, revenue.precision, revenue.scale) == ("currency", 18, 0)
    assert (employees.type, employees.digits) == ("int", 8)
    assert fields["CleanStatus"].allowed == fields["CleanStatus"].options
    assert fields["Status"].allowed is None
    assert "Open - Not Contacted" in fields["Status"].options
    assert not fields["LastName"].nillable


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Name", "a compound field"),
        ("Address", "a compound field"),
        ("Id", "the record's id"),
        ("CreatedDate", "a system field"),
        ("IsConverted", "a system field"),
        ("JigsawContactId", "a system field"),
        ("PhotoUrl", "a system field"),
    ],
)
def test_recorded_fields_that_can_never_be_edited(name: str, words: str) -> None:
    field = recorded("Lead")[name]
    assert not field.updateable
    assert str(why_never_editable(field)).startswith(words)


def test_every_recorded_field_that_is_not_editable_has_its_reason() -> None:
    for name in ("Lead", "Contact"):
        for field in recorded(name).values():
            if not field.updateable:
                assert why_never_editable(field), field.name


def test_kinds_that_no_recording_has() -> None:
    rows: list[object] = [
        {"name": "Score__c", "type": "double", "calculated": True, "custom": True, "precision": 18, "scale": 2},
        {"name": "No__c", "type": "string", "autoNumber": True, "custom": True, "length": 30},
        {"name": "Kind__c", "type": "picklist", "restrictedPicklist": True, "picklistValues": [
            {"value": "a", "active": True}, {"value": "b", "active": False}, {"value": "c"}, "odd"]},
        {"name": "Odd__c", "type": "string", "length": "40", "precision": True, "picklistValues": None},
        "not a field",
    ]  # fmt: skip
    score, number, choice, odd = fields_of(Description.read({"fields": rows}).fields or ())
    assert (score.calculated, score.precision, score.scale, score.length) == (True, 18, 2, 0)
    assert (number.auto_number, number.length) == (True, 30)
    assert choice.allowed == choice.options == {"a", "c"}
    assert (odd.length, odd.precision, odd.options, odd.label) == (0, 0, frozenset(), "Odd__c")


# -- counts -----------------------------------------------------------------------------------------------------

FLAG = ("Enrichment_Requested__c", True)


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (Selection("Lead", ()), 5),
        (Selection("Lead", (), flag=FLAG), 3),
        (Selection("Lead", (), flag=FLAG, where=("Title = 'Buyer'",)), 2),
        (Selection("Lead", (), flag=FLAG, where=("Title = 'Buyer' OR Title = null", "IsConverted = false")), 3),
        (Selection("Lead", (), limit=2), 2),
        (Selection("Lead", (), ids=()), 0),
        (Selection("Contact", ()), 0),
    ],
)
def test_records_are_counted_without_reading_them(harness: Harness, selection: Selection, count: int) -> None:
    harness.leads(2, Enrichment_Requested__c=True, Title="Buyer")
    harness.leads(1, Enrichment_Requested__c=True)
    harness.leads(2)
    crm = harness.ready()
    assert crm.count(selection) == count
    assert harness.count("query") == (0 if selection.ids == () else 1)


def test_ids_are_counted_in_parts(harness: Harness) -> None:
    ids = harness.leads(3)
    gone = [f"00Q{number:012d}AAA" for number in range(700)]
    crm = harness.ready()
    assert crm.count(Selection("Lead", (), ids=(*ids, *ids, *gone))) == 3
    assert harness.count("query") == 3


def test_a_condition_that_cannot_be_understood_is_told(harness: Harness) -> None:
    with pytest.raises(ConfigurationError):
        harness.ready().count(Selection("Lead", (), where=("Nonsense__c = 1",)))


def read_fields(harness: Harness) -> Mapping[str, FieldInfo]:
    return harness.ready().describe("Lead").fields


def test_the_simulated_org_is_described_alike(harness: Harness) -> None:
    fields = read_fields(harness)
    assert fields["email"].permissionable
    assert (fields["email"].custom, fields["personal_email__c"].custom) == (False, True)
    assert "Requested" in fields["enrichment__c"].options
