"""The person that a record represents, and the key by which each source knows that person."""

import pytest
from core_cases import LENSMOR, SALESFINITY, mapping_of, record_of
from persons import link, match_with, person_with, pid

from connector.core.mapping import PersonFields
from connector.core.model import CrmRecord, FieldValue, IdentityMatch, Person
from connector.core.person import (
    Identified,
    Identity,
    MatchOf,
    NobodyThere,
    Source,
    Unidentified,
    Unresolved,
    identify,
    names_same,
    person_of,
)
from connector.providers.lensmor.identifiers import PERSONNEL_ID

URL = "https://www.linkedin.com/in/Ada-Sample/en"
FIELDS = mapping_of().person
NO = "it is none"


def answering(match: IdentityMatch | None) -> MatchOf:
    return lambda _name, _identifier: match


def fields_of(**keys: object) -> PersonFields:
    return type(FIELDS).model_validate(keys)


READ: list[tuple[dict[str, FieldValue], Person]] = [
    ({}, person_with()),
    ({"Pid__c": None, "Url__c": "", "Event__c": "  "}, person_with()),
    ({"Pid__c": "70011"}, person_with(personnel_id="70011")),
    ({"Pid__c": " 70011 ", "Event__c": " 52001 "}, person_with("70011", "52001")),
    ({"Pid__c": 70011}, person_with(personnel_id="70011")),
    ({"Url__c": URL}, person_with(linkedin="ada-sample")),
    ({"Pid__c": "70011", "Url__c": URL}, person_with("70011", None, "ada-sample")),
    ({"Pid__c": "98" * 10}, person_with(personnel_id="98" * 10)),
    # number fields, spreadsheets and copies
    ({"Pid__c": 62992312.0}, person_with(personnel_id="62992312")),
    ({"Pid__c": float(2**53 - 1)}, person_with(personnel_id=str(2**53 - 1))),
    ({"Pid__c": "62992312.0"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "62992312.00"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "6.2992312E7"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "6.2992312e+07"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "'62992312"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "\ufeff62992312\u200b"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "6299\u20602312\t"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "0062992312"}, person_with(personnel_id="62992312")),
    ({"Pid__c": "70011", "Event__c": 52001.0}, person_with("70011", "52001")),
    ({"Pid__c": "70011", "Event__c": "52001.0"}, person_with("70011", "52001")),
    ({"Pid__c": "70011", "Event__c": "'52001\u200b"}, person_with("70011", "52001")),
    ({"Pid__c": "70011", "Event__c": "expo_2027-A"}, person_with("70011", "expo_2027-A")),
    ({"Pid__c": "70011", "Event__c": "52\t001"}, person_with("70011")),
    ({"Pid__c": "70011", "Event__c": "0"}, person_with("70011")),
    ({"Pid__c": "70011", "Event__c": "none"}, person_with("70011")),
    ({"Pid__c": "70011", "Event__c": "-"}, person_with("70011")),
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


def test_unusable_identifiers_have_a_reason(subtests: pytest.Subtests) -> None:
    for values, problem in UNUSABLE:
        with subtests.test(values=values, problem=problem):
            person = person_of(record_of(**values), FIELDS)
            assert person.identifiers == {}
            assert len(person.problems) == 1
            assert problem in next(iter(person.problems.values()))


def test_one_bad_identifier_does_not_spoil_the_other() -> None:
    person = person_of(record_of(Pid__c="x", Url__c=URL), FIELDS)
    assert person.identifiers == {"linkedin_url": "ada-sample"}
    assert len(person.problems) == 1


def test_a_fixed_event_applies_to_every_record() -> None:
    fields = fields_of(personnel_id="Pid__c", event_id={"value": "52001"})
    assert person_of(record_of(Pid__c="70011", Event__c="9"), fields) == person_with("70011", "52001")


ADA = person_with("70011", "52001", "ada-sample")
AT_52001 = person_with(None, "52001", "ada-sample")
BY_NAME = person_with(linkedin="ada-sample")


KEYS: list[tuple[Person, Source, IdentityMatch | None, Identity]] = [
    # Lensmor: the personnel id comes first, whatever was resolved
    (ADA, LENSMOR, None, Identified(pid("70011"), "52001")),
    (ADA, LENSMOR, match_with("99999", ("1",)), Identified(pid("70011"), "52001")),
    (person_with("70011"), LENSMOR, None, Identified(pid("70011"), None)),
    # then LinkedIn: queried once, the answer is stored, also a 404
    (BY_NAME, LENSMOR, None, Unresolved(link("ada-sample"))),
    (BY_NAME, LENSMOR, match_with("70011", ("52017", "52001")), Identified(pid("70011"), "52017")),
    (BY_NAME, LENSMOR, match_with("70011"), Identified(pid("70011"), None)),
    (
        person_with(None, "52001", "ada-sample"),
        LENSMOR,
        match_with("70011", ("52017",)),
        Identified(pid("70011"), "52001"),
    ),
    (BY_NAME, LENSMOR, match_with(None), NobodyThere(link("ada-sample"), "LinkedIn address")),
    # Salesfinity: only the LinkedIn name
    (ADA, SALESFINITY, None, Identified(link("ada-sample"))),
    (BY_NAME, SALESFINITY, match_with(None), Identified(link("ada-sample"))),
    (person_with("70011"), SALESFINITY, None, Unidentified("the record has no LinkedIn address")),
    (person_with(), LENSMOR, None, Unidentified("the record has no personnel id or LinkedIn address")),
    (person_with(bad_id="Pid__c: no", bad_link="Url__c: no"), LENSMOR, None, Unidentified("Pid__c: no; Url__c: no")),
    (person_with("70011", bad_link="Url__c: no"), SALESFINITY, None, Unidentified("Url__c: no")),
    (person_with("70011", bad_link="Url__c: no"), LENSMOR, None, Identified(pid("70011"))),
]


def test_each_source_knows_a_person_by_its_own_key() -> None:
    wrong = [
        (person, source, match, identity, got)
        for person, source, match, identity in KEYS
        if (got := identify(person, source, answering(match))) != identity
    ]
    assert wrong == []


def test_a_source_that_cannot_resolve_needs_its_own_id() -> None:
    without = Source(LENSMOR.name, LENSMOR.account, LENSMOR.prices, LENSMOR.accepts)
    assert isinstance(identify(BY_NAME, without, lambda _name, _identifier: None), Unidentified)


REPLACED: list[tuple[Person, str | None, Person, bool]] = [
    (person_with(linkedin="ada"), "7", person_with(), True),  # emptied: the record has no other information
    (person_with(linkedin="ada"), "7", person_with(bad_link=NO), False),
    (person_with("7", linkedin="ada"), None, person_with("7", bad_link=NO), True),
    (person_with("7", linkedin="ada"), None, person_with(bad_link=NO), False),
    (person_with("7", linkedin="ada"), None, person_with(linkedin="ada", bad_id=NO), True),
    (person_with("7"), None, person_with(bad_id=NO), False),
    (person_with("7", linkedin="ada"), None, person_with(bad_id=NO, bad_link=NO), False),
    (person_with("7"), None, person_with("7", bad_link=NO), True),  # unusable from the start
    (person_with(linkedin="ada"), None, person_with(linkedin="ada", bad_id=NO), True),
]


def test_an_identifier_replaced_by_an_unusable_one() -> None:
    wrong = [
        (before, resolved_id, now, same, got)
        for before, resolved_id, now, same in REPLACED
        if (got := names_same(before, {} if resolved_id is None else {PERSONNEL_ID.name: resolved_id}, now)) is not same
    ]
    assert wrong == []


def test_a_company_page_is_a_problem_not_an_absence() -> None:
    values = {"Id__c": "12-34x", "Link__c": "https://www.linkedin.com/company/sample"}
    found = person_of(CrmRecord("00Q1", "v1", values), fields_of(personnel_id="Id__c", linkedin_url="Link__c"))
    assert found.problems.keys() == {"personnel_id", "linkedin_url"}
    found = person_of(CrmRecord("00Q1", "v1", {}), fields_of(personnel_id="Id__c", linkedin_url="Link__c"))
    assert found == Person()
