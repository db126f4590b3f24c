"""Caps of every kind are never exceeded; deferred records wait, with a reason, until a cap allows them."""

from collections.abc import Mapping

import pytest
from harness import Harness, World, email_only, mapping, reasons_of

from connector.app.mappings import CATALOG
from connector.core.mapping import MappingFile
from connector.core.model import Outcome
from connector.core.report import Report
from connector.engine.context import AccountLimits

EMAIL = 15


def _capped(limits: Mapping[str, object]) -> MappingFile:
    found = email_only()
    return CATALOG.model.model_validate(
        {**found.model_dump(by_alias=True, exclude_none=True), "limits": {"max_credits": {}, **limits}}
    )


def _emails(world: World, leads: list[str]) -> list[bool]:
    return [bool(world.get(lead)["Email"]) for lead in leads]


def _reasons(report: Report) -> str:
    return " ".join(reasons_of(report, "deferred"))


CAPS: dict[str, tuple[dict[str, object], AccountLimits, str]] = {
    "run": ({"max_credits": {"lensmor": 44}}, AccountLimits(), "cap of mapping lead per run for lensmor"),
    "mapping and day": (
        {"max_credits_per_day": {"lensmor": 44}},
        AccountLimits(),
        "cap of mapping lead per day for lensmor",
    ),
    "provider and day": ({}, AccountLimits(day=44), "daily cap over all runs for lensmor"),
    "provider and month": ({}, AccountLimits(month=44), "monthly cap over all runs for lensmor"),
    "reserve": ({}, AccountLimits(reserve=100_000 - 44), "balance at the vendor for lensmor"),
}
LATER = {"run": 0, "mapping and day": 1, "provider and day": 1, "provider and month": 31, "reserve": 0}


@pytest.mark.parametrize("name", CAPS)
def test_a_cap_is_never_exceeded_and_newest_records_come_first(world: World, harness: Harness, name: str) -> None:
    limits, account, words = CAPS[name]
    leads = [world.lead(world.person()) for _ in range(5)]
    harness = harness.other(_capped(limits))
    harness.limits = {"lensmor": account}
    report = harness.sync()
    assert world.ours("lensmor") == 2 * EMAIL
    assert _emails(world, leads) == [False, False, False, True, True]
    assert report.outcomes == {Outcome.DELIVERED: 2, Outcome.DEFERRED: 3}
    assert report.exit_code == 4
    assert words in _reasons(report)
    for lead in leads[:3]:
        assert world.get(lead)["Enrichment_Requested__c"] is True
        assert world.org.updates_count("Lead", lead) == 0
    if name != "run":
        again = harness.other().sync()
        assert again.credits["lensmor"].charged == 0
        assert again.crm["salesforce"].write_calls == 0
    if name == "reserve":
        world.lensmor.balance = world.lensmor.balance + 2 * EMAIL
    world.clock.advance(days=LATER[name])
    later = harness.other().sync()
    assert later.outcomes == {Outcome.DELIVERED: 2, Outcome.DEFERRED: 1}
    assert _emails(world, leads) == [False, True, True, True, True]
    assert world.ours("lensmor") == 4 * EMAIL


def test_oldest_first_if_the_mapping_requests_it(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(4)]
    found = email_only().model_copy(update={"select": mapping("lead", select={"order": "oldest"}).select})
    harness = harness.other(found)
    harness.limits = {"lensmor": AccountLimits(day=30)}
    harness.sync()
    assert _emails(world, leads) == [True, True, False, False]


def test_a_run_cap_is_per_run_and_a_day_cap_over_all_runs(world: World, harness: Harness) -> None:
    for _ in range(6):
        world.lead(world.person())
    harness = harness.other(_capped({"max_credits": {"lensmor": 30}, "max_credits_per_day": {"lensmor": 50}}))
    harness.sync()
    assert world.ours("lensmor") == 30
    report = harness.other().sync()
    assert world.ours("lensmor") == 45
    assert "cap of mapping lead per day for lensmor: 5 of 50 credits left, one purchase costs 15" in _reasons(report)


def test_each_mapping_has_its_own_caps(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(3)]
    contacts = [world.contact(world.person()) for _ in range(3)]
    limits = {"max_credits": {"lensmor": 15}}
    contact = email_only(name="contact")
    harness = harness.other(_capped(limits), contact)
    report = harness.sync()
    assert sum(_emails(world, leads)) == 1
    assert sum(_emails(world, contacts)) == 3
    assert report.outcomes == {Outcome.DELIVERED: 4, Outcome.DEFERRED: 2}


def test_the_vendors_balance_is_never_overdrawn(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(5)]
    world.lensmor.balance = 40
    harness = harness.other(email_only())
    report = harness.sync()
    assert world.lensmor.balance == 10
    assert world.lensmor.requests.count("submitEmailUnlock", 402) == 0
    assert "balance at the vendor for lensmor" in _reasons(report)
    assert sum(_emails(world, leads)) == 2
    assert (report.credits["lensmor"].balance_before, report.credits["lensmor"].balance_after) == (40, 10)


def test_holds_of_running_tasks_count_against_the_balance(world: World, harness: Harness) -> None:
    first = world.person()
    assert first.linkedin_name is not None
    world.salesfinity.script(first.linkedin_name, "work", "stuck")
    world.salesfinity.balance = 1
    world.lead(first)
    harness = harness.other(email_only("salesfinity"))
    harness.wait_s = 60
    harness.sync()
    world.lead(world.person())
    report = harness.other().sync()
    assert report.outcomes == {Outcome.WAITING: 1, Outcome.DEFERRED: 1}
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 1


def test_an_unaffordable_phone_does_not_block_an_email(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness.limits = {"lensmor": AccountLimits(day=100)}
    report = harness.sync()
    record = world.get(lead)
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert record["Email"] == person.email
    assert record["MobilePhone"] is None
    assert record["Phone_Unlock_Status__c"] is None
    assert record["Enrichment_Requested__c"] is True
    world.clock.advance(days=1)
    harness.limits = {}
    again = harness.other().sync()
    assert again.outcomes == {Outcome.DELIVERED: 1}
    assert again.credits["lensmor"].charged == 150
    assert world.get(lead)["MobilePhone"] is not None


def test_credits_released_after_midnight_go_to_the_paying_day(world: World, harness: Harness) -> None:
    person = world.person()
    assert person.linkedin_name is not None
    world.salesfinity.script(person.linkedin_name, "work", "not-found")
    world.salesfinity.lookup_seconds = 3600
    world.clock.advance(hours=13, minutes=50)  # 23:50
    world.lead(person)
    harness = harness.other(email_only("salesfinity"))
    harness.limits = {"salesfinity": AccountLimits(day=1)}
    harness.wait_s = 60
    harness.sync()
    world.clock.advance(hours=2)
    harness.other().sync()
    with harness.ledger() as ledger:
        months = ledger.credits.by_month()
    assert [(month, found.open) for month, _, _, found in months] == [("2026-11", 0)]
    world.salesfinity.lookup_seconds = 20
    others = [world.lead(world.person()) for _ in range(2)]
    harness.other().sync()
    assert sum(_emails(world, others)) == 1  # yesterday's release adds no budget today


def test_402_during_a_run_stops_that_vendor(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(2)]
    harness = harness.other(email_only("lensmor", "salesfinity"))
    world.arm("lensmor", "submitEmailUnlock", "status", status=402)
    report = harness.sync()
    assert report.outcomes == {Outcome.DEFERRED: 2}
    assert report.exit_code == 4
    assert "lensmor reports that the credits are used up" in report.stopped[0]
    assert world.paid_posts() == 1
    assert report.credits["lensmor"].held == 0
    world.clock.advance(minutes=16)
    again = harness.other().sync()
    assert world.lensmor.requests.count("getPersonnelProfile") == 2
    assert again.outcomes == {Outcome.DELIVERED: 2}
    assert all(_emails(world, leads))


def test_402_of_one_vendor_does_not_stop_the_other(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    contact = world.contact(world.person())
    world.salesfinity.balance = 0
    report = harness.other(mapping("lead"), mapping("contact")).sync()
    assert world.get(lead)["Email"] is not None
    assert world.get(contact)["Email"] is not None
    assert world.get(contact)["Personal_Email__c"] is None
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 1}


def test_a_colleagues_spending_during_a_run_loses_no_record(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(2)]
    harness = harness.other(mapping("lead"))
    world.lensmor.balance = 330  # both emails and both phones, until other spend takes 230 after the balance was read
    spend = [230]
    world.org.after_read(lambda _name, _id: world.lensmor.set_balance("default", world.lensmor.balance - _take(spend)))
    report = harness.sync()
    assert report.outcomes == {Outcome.DEFERRED: 2}
    assert world.ours("lensmor") == 30
    assert world.lensmor.requests.count("submitPhoneUnlock", 402) == 1
    world.lensmor.balance = 1000
    world.clock.advance(minutes=20)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 2}
    assert all(_emails(world, leads))
    assert world.ours("lensmor") == 330


def _take(spend: list[int]) -> int:
    return spend.pop() if spend else 0


@pytest.mark.parametrize("fields", [{}, {"Lensmor_Personnel_Id__c": None}], ids=["by id", "by LinkedIn"])
def test_a_balance_that_pays_for_all_buys_all_in_one_run(
    world: World, harness: Harness, fields: Mapping[str, None]
) -> None:
    """The balance is read while requests are at the vendor, so their holds count twice until they are answered."""
    leads = [world.lead(world.person(), **fields) for _ in range(330)]
    world.lensmor.balance = 330 * 15 + 10
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 330}
    assert all(_emails(world, leads))
    assert world.ours("lensmor") == 330 * 15


def test_a_balance_that_is_too_small_is_read_once_more_and_no_further(world: World, harness: Harness) -> None:
    for _ in range(330):
        world.lead(world.person())
    world.lensmor.balance = 300 * 15
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 300, Outcome.DEFERRED: 30}
    assert world.lensmor.requests.count("getCreditBalance") <= 5


def test_a_newer_record_comes_before_deferred_ones(world: World, harness: Harness) -> None:
    older = [world.lead(world.person()) for _ in range(2)]
    harness = harness.other(_capped({"max_credits": {"lensmor": 15}}))
    harness.sync()
    newest = world.lead(world.person())
    harness.other().sync()
    assert _emails(world, [*older, newest]) == [False, True, True]
