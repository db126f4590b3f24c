"""Each HTTP request has one budget: all its runs share it, and no other request uses it."""

import pytest
from harness import Harness, World, email_only, mapping
from service_harness import ServiceHarness

from connector.app.inbound import InboundService
from connector.core.mapping import MappingFile
from connector.crm.interface import Message, Notified


def emails(credits_: int, *sources: str) -> MappingFile:
    found = email_only(*(sources or ("lensmor",))).channels.model_dump(by_alias=True, exclude_none=True)
    channels = {"work_email": None, "phone": None, "personal_email": None, **found}
    limits = {"max_credits": {"lensmor": credits_, "salesfinity": credits_}}
    return mapping("lead", schedule=None, channels=channels, limits=limits)


def leads(world: World, count: int) -> list[str]:
    return [world.lead(world.person(), Enrichment_Requested__c=False) for _ in range(count)]


def serve(world: World, service: ServiceHarness, hours: int = 2) -> None:
    """Serve the deferred records again, four times an hour."""
    for _ in range(4 * hours):
        service.work()
        world.clock.advance(minutes=15)


def test_all_runs_that_serve_a_request_share_its_cap(world: World, harness: Harness) -> None:
    service = ServiceHarness(harness.other(emails(30)))
    service.ask(*leads(world, 5))
    serve(world, service)
    assert world.ours("lensmor") == 30
    assert service.request_state().outcomes == {"delivered": 2, "deferred": 3}


def test_simultaneous_requests_have_separate_budgets(world: World, harness: Harness) -> None:
    service = ServiceHarness(harness.other(emails(30)))
    for name in ("r1", "r2"):
        service.ask(*leads(world, 3), request_id=name)
    serve(world, service)
    assert world.ours("lensmor") == 60
    for name in ("r1", "r2"):
        assert service.request_state(name).outcomes == {"delivered": 2, "deferred": 1}


def test_requests_of_one_record_pay_from_their_own_budgets(world: World, harness: Harness) -> None:
    service = ServiceHarness(harness.other(emails(30)))
    for number, lead in enumerate(leads(world, 5)):
        service.ask(lead, request_id=f"r{number}")
    assert service.work() == 1
    assert world.ours("lensmor") == 75
    assert service.commands() == ["trigger"]


def test_a_record_above_its_budget_is_served_separately(world: World, harness: Harness) -> None:
    found = mapping("lead", schedule=None, limits={"max_credits": {"lensmor": 160}})
    service = ServiceHarness(harness.other(found))
    for number, lead in enumerate(leads(world, 2)):
        service.ask(lead, request_id=f"r{number}")
    serve(world, service)
    assert world.ours("lensmor") in {30, 300}  # an email or a phone for each of the two, never both
    assert service.commands().count("trigger") >= 2


def test_an_outbound_message_is_one_request(world: World, harness: Harness) -> None:
    service = ServiceHarness(harness.other(emails(30)))
    with harness.ledger() as ledger:
        inbound = InboundService(
            ledger, service.harness.mappings, world.clock, lambda: None, {"salesforce": world.org.organization_id}
        )
        notified = tuple(
            Notified(f"04l00000000000{number}", "Lead", lead) for number, lead in enumerate(leads(world, 4))
        )
        assert inbound.notify("salesforce", Message(world.org.organization_id, notified)) == 4
    serve(world, service)
    assert world.ours("lensmor") == 30


@pytest.mark.parametrize("seconds", [30, 3000])
def test_the_next_source_counts_against_the_request(world: World, harness: Harness, seconds: float) -> None:
    """With a slow vendor, the next source is due in runs that only finish open work."""
    found = emails(30, "lensmor", "salesfinity")
    caps = found.limits.model_copy(update={"max_credits": {"lensmor": 30, "salesfinity": 1}})
    service = ServiceHarness(harness.other(found.model_copy(update={"limits": caps})))
    service.harness.wait_s = 60
    world.lensmor.task_seconds = seconds
    people = [world.person() for _ in range(2)]
    for person in people:
        world.lensmor.script(person.personnel_id, "email", "no_value")
    service.ask(*(world.lead(person, Enrichment_Requested__c=False) for person in people))
    serve(world, service)
    assert world.ours("lensmor") == 30
    assert world.ours("salesfinity") == 1
