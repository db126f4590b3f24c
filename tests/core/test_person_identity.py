"""Whom a record stands for, and under which key each source knows that person."""

import pytest
from core_cases import LENSMOR, SALESFINITY, mapping_of, record_of

from connector.core.mapping import PersonFields
from connector.core.model import CrmRecord, FieldValue, Lookup, Person
from connector.core.person import (
    Identified,
    Identity,
    NeedsLookup,
    NobodyThere,
    Source,
    Unidentified,
    identify,
    names_same,
    person_of,
)

URL = "https://www.linkedin.com/in/Ada-Sample/en"
FIELDS = mapping_of().person


READ: list[tuple[dict[str, FieldValue], Person]] = [
    ({}, Person()),
    ({"Pid__c": None, "Url__c": "", "Event__c": "  "}, Person()),
    ({"Pid__c": "70011"}, Person(personnel_id="70011")),
    ({"Pid__c": " 70011 ", "Event__c": " 52001 "}, Person("70011", "52001")),
    ({"Pid__c": 70011}, Person(personnel_id="70011")),
    ({"Url__c": URL}, Person(linkedin="ada-sample")),
    ({"Pid__c": "70011", "Url__c": URL}, Person("70011", None, "ada-sample")),
    ({"Pid__c": "98" * 10}, Person(personnel_id="98" * 10)),
    # number fields, spreadsheets and copies
    ({"Pid__c": 62992312.0}, Person(personnel_id="62992312")),
    ({"Pid__c": float(2**53 - 1)}, Person(personnel_id=str(2**53 - 1))),
    ({"Pid__c": "62992312.0"}, Person(personnel_id="62992312")),
    ({"Pid__c": "62992312.00"}, Person(personnel_id="62992312")),
    ({"Pid__c": "6.2992312E7"}, Person(personnel_id="62992312")),
    ({"Pid__c": "6.2992312e+07"}, Person(personnel_id="62992312")),
    ({"Pid__c": "'62992312"}, Person(personnel_id="62992312")),
    ({"Pid__c": "\ufeff62992312\u200b"}, Person(personnel_id="62992312")),
    ({"Pid__c": "6299\u20602312\t"}, Person(personnel_id="62992312")),
    ({"Pid__c": "0062992312"}, Person(personnel_id="62992312")),
    ({"Pid__c": "70011", "Event__c": 52001.0}, Person("70011", "52001")),
    ({"Pid__c": "70011", "Event__c": "52001.0"}, Person("70011", "52001")),
    ({"Pid__c": "70011", "Event__c": "'52001\u200b"}, Person("70011", "52001")),
    ({"Pid__c": "70011", "Event__c": "expo_2027-A"}, Person("70011", "expo_2027-A")),
    ({"Pid__c": "70011", "Event__c": "52\t001"}, Person("70011")),
    ({"Pid__c": "70011", "Event__c": "0"}, Person("70011")),
    ({"Pid__c": "70011", "Event__c": "none"}, Person("70011")),
    ({"Pid__c": "70011", "Event__c": "-"}, Person("70011")),
]


def test_identifiers_are_read_and_trimmed() -> None:
    wrong = [
        (values, person, got) for values, person in READ if (got := person_of(record_of(**values), FIELDS)) != person
    ]
    assert wrong == []


UNUSABLE: list[tuple[dict[str, FieldValue], str]] = [
    ({"Pid__c": "7001l"}, "Pid__c is not a personnel id: it must be digits only"),
    ({"Pid__c": "70011.5"}, "digits only"),
    ({"Pid__c": 70011.5}, "without a fraction"),
    ({"Pid__c": float("inf")}, "digits only"),
    ({"Pid__c": float("nan")}, "digits only"),
    ({"Pid__c": -70011.0}, "digits only"),
    ({"Pid__c": -70011}, "digits only"),
    ({"Pid__c": True}, "digits only"),
    ({"Pid__c": float(2**53)}, "too large to be exact"),
    ({"Pid__c": 1e20}, "too large to be exact"),
    ({"Pid__c": "6.3E+07"}, "a rounded number"),
    ({"Pid__c": "6.29923E+07"}, "a rounded number"),
    ({"Pid__c": "6.29923125E7"}, "without a fraction"),
    ({"Pid__c": "70,011"}, "digits only"),
    ({"Pid__c": "70.011"}, "digits only"),
    ({"Pid__c": "70 011"}, "digits only"),
    ({"Pid__c": "70\u00a0011"}, "digits only"),
    ({"Pid__c": "70011\t70012"}, "two entries may have been joined"),
    ({"Pid__c": "70011;70012"}, "digits only"),
    ({"Pid__c": "0"}, "0 is a placeholder"),
    ({"Pid__c": "000"}, "0 is a placeholder"),
    ({"Pid__c": 0}, "0 is a placeholder"),
    ({"Pid__c": 0.0}, "0 is a placeholder"),
    ({"Pid__c": "0.0"}, "0 is a placeholder"),
    ({"Pid__c": "99999999"}, "its digits are a placeholder"),
    ({"Pid__c": 1111111}, "its digits are a placeholder"),
    ({"Pid__c": "123456789"}, "its digits are a placeholder"),
    ({"Pid__c": "n/a"}, "digits only"),
    ({"Pid__c": "-70011"}, "digits only"),
    ({"Pid__c": "７００１１"}, "digits only"),
    ({"Pid__c": "٧٠٠١١"}, "digits only"),
    ({"Pid__c": "98" * 10 + "7"}, "more than 20 digits"),
    ({"Url__c": "https://www.linkedin.com/company/example"}, "Url__c: the LinkedIn address is a company page"),
    ({"Url__c": "https://www.linkedin.com/sales/lead/ACw"}, "Sales Navigator"),
]


def test_what_cannot_be_a_persons_is_told(subtests: pytest.Subtests) -> None:
    for values, problem in UNUSABLE:
        with subtests.test(values=values, problem=problem):
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


KEYS: list[tuple[Person, Source, Lookup | None, Identity]] = [
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
]


def test_each_source_knows_a_person_by_its_own_key() -> None:
    wrong = [
        (person, source, lookup, identity, got)
        for person, source, lookup, identity in KEYS
        if (got := identify(person, source, lookup)) != identity
    ]
    assert wrong == []


def test_a_source_that_cannot_look_up_needs_its_own_id() -> None:
    without = Source(LENSMOR.name, LENSMOR.account, LENSMOR.prices, LENSMOR.identified_by)
    assert isinstance(identify(BY_NAME, without, None), Unidentified)


REPLACED: list[tuple[Person, str | None, Person, bool]] = [
    (Person(linkedin="ada"), "7", Person(), True),  # emptied: the record says nothing else
    (Person(linkedin="ada"), "7", Person(bad_linkedin=True), False),
    (Person("7", linkedin="ada"), None, Person("7", bad_linkedin=True), True),
    (Person("7", linkedin="ada"), None, Person(bad_linkedin=True), False),
    (Person("7", linkedin="ada"), None, Person(linkedin="ada", bad_personnel_id=True), True),
    (Person("7"), None, Person(bad_personnel_id=True), False),
    (Person("7", linkedin="ada"), None, Person(bad_personnel_id=True, bad_linkedin=True), False),
    (Person("7"), None, Person("7", bad_linkedin=True), True),  # unusable from the start
    (Person(linkedin="ada"), None, Person(linkedin="ada", bad_personnel_id=True), True),
]


def test_an_identifier_replaced_by_something_unusable_names_nobody() -> None:
    wrong = [
        (before, resolved_id, now, same, got)
        for before, resolved_id, now, same in REPLACED
        if (got := names_same(before, resolved_id, now)) is not same
    ]
    assert wrong == []


def test_a_company_page_is_seen_to_be_there() -> None:
    values = {"Id__c": "12-34x", "Link__c": "https://www.linkedin.com/company/sample"}
    found = person_of(CrmRecord("00Q1", "v1", values), PersonFields(personnel_id="Id__c", linkedin_url="Link__c"))
    assert (found.bad_personnel_id, found.bad_linkedin) == (True, True)
    found = person_of(CrmRecord("00Q1", "v1", {}), PersonFields(personnel_id="Id__c", linkedin_url="Link__c"))
    assert (found.bad_personnel_id, found.bad_linkedin) == (False, False)
