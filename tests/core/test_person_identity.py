"""Whom a record stands for, and under which key each source knows that person."""

import pytest
from core_cases import LENSMOR, SALESFINITY, mapping_of, record_of

from connector.core.mapping import PersonFields
from connector.core.model import FieldValue, Lookup, Person
from connector.core.person import (
    Identified,
    Identity,
    NeedsLookup,
    NobodyThere,
    Source,
    Unidentified,
    identify,
    person_of,
)

URL = "https://www.linkedin.com/in/Ada-Sample/en"
FIELDS = mapping_of().person


@pytest.mark.parametrize(
    ("values", "person"),
    [
        ({}, Person()),
        ({"Pid__c": None, "Url__c": "", "Event__c": "  "}, Person()),
        ({"Pid__c": "70011"}, Person(personnel_id="70011")),
        ({"Pid__c": " 70011 ", "Event__c": " 52001 "}, Person("70011", "52001")),
        ({"Pid__c": 70011}, Person(personnel_id="70011")),
        ({"Url__c": URL}, Person(linkedin="ada-sample")),
        ({"Pid__c": "70011", "Url__c": URL}, Person("70011", None, "ada-sample")),
        ({"Pid__c": "9" * 20}, Person(personnel_id="9" * 20)),
    ],
)
def test_identifiers_are_read_and_trimmed(values: dict[str, FieldValue], person: Person) -> None:
    assert person_of(record_of(**values), FIELDS) == person


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"Pid__c": "7001l"}, "Pid__c is not a personnel id: it must be digits only"),
        ({"Pid__c": "70011.0"}, "digits only"),
        ({"Pid__c": "-70011"}, "digits only"),
        ({"Pid__c": "７００１１"}, "digits only"),
        ({"Pid__c": "٧٠٠١١"}, "digits only"),
        ({"Pid__c": "9" * 21}, "more than 20 digits"),
        ({"Url__c": "https://www.linkedin.com/company/example"}, "Url__c: the LinkedIn address is a company page"),
        ({"Url__c": "https://www.linkedin.com/sales/lead/ACw"}, "Sales Navigator"),
    ],
)
def test_what_cannot_be_a_persons_is_told(values: dict[str, FieldValue], problem: str) -> None:
    person = person_of(record_of(**values), FIELDS)
    assert (person.personnel_id, person.linkedin) == (None, None)
    assert len(person.problems) == 1
    assert problem in person.problems[0]


def test_one_bad_identifier_does_not_spoil_the_other() -> None:
    person = person_of(record_of(Pid__c="x", Url__c=URL), FIELDS)
    assert person.linkedin == "ada-sample"
    assert len(person.problems) == 1


def test_a_fixed_event_counts_for_every_record() -> None:
    fields = PersonFields.model_validate({"personnel_id": "Pid__c", "event_id": {"value": "52001"}})
    assert person_of(record_of(Pid__c="70011", Event__c="9"), fields) == Person("70011", "52001")


ADA = Person("70011", "52001", "ada-sample")
BY_NAME = Person(linkedin="ada-sample")


@pytest.mark.parametrize(
    ("person", "source", "lookup", "identity"),
    [
        # Lensmor: the personnel id counts first, whatever was looked up
        (ADA, LENSMOR, None, Identified("70011", "52001")),
        (ADA, LENSMOR, Lookup("99999", ("1",)), Identified("70011", "52001")),
        (Person("70011"), LENSMOR, None, Identified("70011", None)),
        # then LinkedIn: asked once, the answer remembered, 404 too
        (BY_NAME, LENSMOR, None, NeedsLookup("ada-sample")),
        (BY_NAME, LENSMOR, Lookup("70011", ("52017", "52001")), Identified("70011", "52017")),
        (BY_NAME, LENSMOR, Lookup("70011"), Identified("70011", None)),
        (Person(None, "52001", "ada-sample"), LENSMOR, Lookup("70011", ("52017",)), Identified("70011", "52001")),
        (BY_NAME, LENSMOR, Lookup(None), NobodyThere("ada-sample")),
        # Salesfinity: the LinkedIn name and nothing else
        (ADA, SALESFINITY, None, Identified("ada-sample")),
        (BY_NAME, SALESFINITY, Lookup(None), Identified("ada-sample")),
        (Person("70011"), SALESFINITY, None, Unidentified("the record has no LinkedIn address")),
        (Person(), LENSMOR, None, Unidentified("the record has no personnel id or LinkedIn address")),
        (Person(problems=("Pid__c: no", "Url__c: no")), LENSMOR, None, Unidentified("Pid__c: no; Url__c: no")),
        (Person("70011", problems=("Url__c: no",)), SALESFINITY, None, Unidentified("Url__c: no")),
        (Person("70011", problems=("Url__c: no",)), LENSMOR, None, Identified("70011")),
    ],
)
def test_each_source_knows_a_person_by_its_own_key(
    person: Person, source: Source, lookup: Lookup | None, identity: Identity
) -> None:
    assert identify(person, source, lookup) == identity


def test_a_source_that_cannot_look_up_needs_its_own_id() -> None:
    without = Source(LENSMOR.name, LENSMOR.account, LENSMOR.prices, LENSMOR.identified_by)
    assert isinstance(identify(BY_NAME, without, None), Unidentified)
