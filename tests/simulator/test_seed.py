"""The seeded worlds: complete, varied, the same every time, and free of real data."""

import re
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from connector.simulator.clock import SimClock
from connector.simulator.seed import DemoFacts, DemoRecord, seed_bulk, seed_demo
from connector.simulator.seed_cases import CASES
from connector.simulator.server import Simulator, Urls

LENSMOR = {"Authorization": "Bearer sim-lensmor-key"}
FICTION = re.compile(
    r"\+1 \(?\d{3}\)?[ -]555[ -]01\d\d|\+44 20 7946 0\d{3}|\+49 30 23125 \d{3}|\+33 1 99 00 12 \d\d|\+46 8 465 004 \d\d"
)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Simulator, DemoFacts, Urls]]:
    sim = Simulator(SimClock(speed=0))
    sim.lensmor.rate_limit = None
    facts = seed_demo(sim)
    with sim:
        yield sim, facts, sim.start()


@pytest.fixture
def sim(world: tuple[Simulator, DemoFacts, Urls]) -> Simulator:
    return world[0]


@pytest.fixture
def facts(world: tuple[Simulator, DemoFacts, Urls]) -> DemoFacts:
    return world[1]


@pytest.fixture
def lensmor(world: tuple[Simulator, DemoFacts, Urls]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=world[2].lensmor, headers=LENSMOR, trust_env=False) as client:
        yield client


def values(sim: Simulator, record: DemoRecord) -> dict[str, str | bool | int | float | None]:
    return sim.salesforce.org.get(record.object_name, record.record_id)


def test_counts(sim: Simulator, facts: DemoFacts) -> None:
    assert Counter(record.object_name for record in facts.flagged) == {"Lead": 260, "Contact": 110}
    assert Counter(record.object_name for record in facts.untouched) == {"Lead": 30, "Contact": 15}
    for name, many in (("Lead", 290), ("Contact", 125)):
        records = sim.salesforce.org.records(name)
        assert len(records) == many
        flagged = {record.record_id for record in facts.flagged if record.object_name == name}
        assert {record["Id"] for record in records if record["Enrichment_Requested__c"]} == flagged


def test_the_same_every_time(sim: Simulator) -> None:
    again = Simulator(SimClock(speed=0))
    seed_demo(again)
    for name in ("Lead", "Contact", "Account"):
        first, second = (one.salesforce.org.records(name) for one in (sim, again))
        dated = {"CreatedDate", "LastModifiedDate", "SystemModstamp"}
        for one, other in zip(first, second, strict=True):
            assert {key: one[key] for key in one if key not in dated} == {k: other[k] for k in other if k not in dated}


def test_no_real_data(sim: Simulator, facts: DemoFacts) -> None:
    for name in ("Lead", "Contact"):
        for record in sim.salesforce.org.records(name):
            assert record["Email"] is None or str(record["Email"]).endswith("@example.com")
            assert record["MobilePhone"] is None or FICTION.fullmatch(str(record["MobilePhone"]))
    for one in facts.records:
        assert one.person.phone is None or FICTION.fullmatch(one.person.phone)


def test_people_differ_unless_they_are_meant_to_be_shared(facts: DemoFacts) -> None:
    seen = Counter(record.person.personnel_id for record in facts.records)
    shared = Counter(record.person.personnel_id for record in facts.of_case("shared"))
    assert {person: times for person, times in seen.items() if times > 1} == shared
    assert set(shared.values()) == {2}
    emails = Counter(record.person.email for record in facts.records if record.person.email)
    assert {email for email, times in emails.items() if times > 1} <= {
        record.person.email for record in facts.of_case("shared")
    }
    assert sum(len(record.person.event_ids) == 2 for record in facts.records) > 20


def test_every_case_exists_with_its_properties(sim: Simulator, facts: DemoFacts) -> None:
    assert {case.name for case in CASES} == {record.case for record in facts.records}
    for record in facts.of_case("no_identifier"):
        found = values(sim, record)
        assert found["Lensmor_Personnel_Id__c"] is None
        assert found["LinkedIn_URL__c"] is None
    for record in facts.of_case("id_with_letters"):
        assert not str(values(sim, record)["Lensmor_Personnel_Id__c"]).isdigit()
    assert all(values(sim, record)["HasOptedOutOfEmail"] for record in facts.of_case("opted_out"))
    assert all(values(sim, record)["DoNotCall"] for record in facts.of_case("do_not_call"))
    for record in facts.of_case("bounced"):
        found = values(sim, record)
        assert found["EmailBouncedDate"] is not None
        assert found["Email"] not in {None, record.person.email}
    assert all("/company/" in str(values(sim, record)["LinkedIn_URL__c"]) for record in facts.of_case("company_page"))
    assert all("/sales/" in str(values(sim, record)["LinkedIn_URL__c"]) for record in facts.of_case("sales_navigator"))
    for case in ("other_script", "other_script_linkedin"):
        assert all(not record.person.full_name.isascii() for record in facts.of_case(case))


def test_linkedin_addresses_have_every_spelling(sim: Simulator, facts: DemoFacts) -> None:
    urls = [str(values(sim, record)["LinkedIn_URL__c"]) for record in facts.of_case("linkedin_only")]
    others = [str(values(sim, record)["LinkedIn_URL__c"]) for record in facts.of_case("other_script_linkedin")]
    for sign in ("http://", "nl.linkedin.com", "/en", "?", "#", "HTTPS://"):
        assert any(sign in url for url in urls)
    assert any(url.startswith("linkedin.com") for url in urls)
    assert any("%E" in url for url in others)
    assert any("%e" in url for url in others)
    assert any(not url.isascii() for url in others)


def test_lensmor_has_the_right_people(facts: DemoFacts, lensmor: httpx.Client) -> None:
    def profile(record: DemoRecord) -> httpx.Response:
        return lensmor.get("/external/personnel/profile", params={"personnel_id": record.person.personnel_id})

    for record in facts.of_case("owned"):
        body = profile(record).json()
        assert (body["email"], body["phone"]) == (record.person.email, record.person.phone)
    absent = [case.name for case in CASES if case.at_lensmor == "absent"]
    assert all(profile(record).status_code == 404 for case in absent for record in facts.of_case(case))
    for record in facts.of_case("linkedin_only")[:12]:
        url = f"https://www.linkedin.com/in/{record.person.linkedin_name}"
        found = lensmor.get("/external/personnel/events/by-linkedin", params={"linkedin_url": url}).json()
        assert found["personnel"]["id"] == record.person.personnel_id


def test_the_credits_suffice_for_all_flagged_records(facts: DemoFacts, lensmor: httpx.Client) -> None:
    people = {record.person.personnel_id for record in facts.flagged}
    assert lensmor.get("/external/credits/balance").json()["totalBalance"] >= len(people) * 165


def test_bulk() -> None:
    sim = Simulator(SimClock(speed=0))
    bulk = seed_bulk(sim, 1_000)
    leads = sim.salesforce.org.records("Lead")
    assert [lead["Id"] for lead in leads] == list(bulk.lead_ids)
    assert all(lead["Enrichment_Requested__c"] and lead["Lensmor_Event_Id__c"] == bulk.event_id for lead in leads)
    assert len({lead["Lensmor_Personnel_Id__c"] for lead in leads}) == 1_000
    assert all(person.email and person.phone for person in sim.lensmor.people.values())
    assert sim.lensmor.balance >= bulk.credits_needed == 165_000
