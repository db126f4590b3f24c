"""Salesfinity's callbacks in the engine: a receipt leads to a poll and is never trusted by itself.

The simulated vendor sends nothing by itself: each test decides when a callback arrives.
"""

import contextlib

import pytest
from harness import Harness, World, email_only

from connector.app.inbound import CrowdedError, InboundService
from connector.core.model import Identifier, Outcome
from connector.providers.salesfinity.provider import Salesfinity
from connector.simulator.people import SimPerson
from connector.simulator.salesfinity_state import Lookup
from connector.store import tables as t
from connector.store.callback_receipts import MOST_RECEIPTS

URL = "https://connector.example.com"


@pytest.fixture
def harness(harness: Harness) -> Harness:
    made = harness.other(email_only("salesfinity"))
    made.public_url = URL
    return made


def lookups(world: World) -> list[Lookup]:
    return world.salesfinity.lookups()


def call_back(harness: Harness, lookup: Lookup, **instead: object) -> bool:
    """Deliver a lookup's callback as the vendor does; returns whether it was accepted."""
    address = str(lookup.callback_url).rpartition("/")[2]
    with harness.ledger() as ledger:
        inbound = InboundService(ledger, harness.mappings, harness.world.clock, lambda: None)
        return inbound.called_back("salesfinity", address, {**lookup.body(harness.world.clock.unix()), **instead})


def test_each_lookup_has_its_own_address(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(2)]
    for person in people:
        world.lead(person)
    harness.sync()
    addresses = {str(lookup.callback_url) for lookup in lookups(world)}
    assert len(addresses) == 2
    assert all(address.startswith(f"{URL}/v1/callbacks/salesfinity/") for address in addresses)
    assert all(str(lookup.external_id) in str(lookup.callback_url) for lookup in lookups(world))


def test_without_a_public_address_no_callback_is_requested(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness.public_url = ""
    harness.sync()
    assert [lookup.callback_url for lookup in lookups(world)] == [None]


def test_polling_works_without_a_callback(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    began = world.clock.now()
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
    assert (world.clock.now() - began).total_seconds() >= 60  # the first poll comes after a minute


def test_a_callback_causes_an_earlier_poll(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness.wait_s = 1.0
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    world.clock.advance(minutes=0.5)
    assert call_back(harness, lookups(world)[0])
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email


def test_a_callback_recovers_a_lost_request(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    _lose(world, harness)
    assert call_back(harness, lookups(world)[0])
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
    assert world.paid_posts() == 1
    assert world.ours("salesfinity") == 1


def test_the_value_in_a_callback_is_never_used(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    _lose(world, harness)
    forged = {"email": "mallory@example.com", "type": "work"}
    assert call_back(harness, lookups(world)[0], email=forged, status="completed")
    harness.other().sync()
    assert world.get(lead)["Email"] == person.work_email


@pytest.mark.parametrize("known", [True, False])
def test_a_callback_that_names_another_lookup_changes_nothing(world: World, harness: Harness, known: bool) -> None:
    """A caller that knows one address cannot pass off another person's lookup."""
    other, person = world.person(), world.person()
    if known:
        name = str(other.linkedin_name)
        world.salesfinity.script(name, "work", "not-found")  # a charge outside the ledger would confuse the judge
        world.salesfinity.start_lookup(f"https://www.linkedin.com/in/{name}", name, "work", None, None)
    lead = world.lead(person)
    _lose(world, harness)
    mine = lookups(world)[-1]
    stranger = lookups(world)[0].lookup_id if known else "66f0a1b2c3d4e5f601999999"
    assert call_back(harness, mine, _id=stranger)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 1}
    assert world.get(lead)["Email"] is None
    assert call_back(harness, mine)  # the genuine callback still counts
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email


def test_a_callback_before_the_answer_waits_for_it(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = world.person()
    lead = world.lead(person)
    start = world.salesfinity.start_lookup

    def called_back_at_once(*args: object, **more: object) -> Lookup:
        lookup = start(*args, **more)  # type: ignore[arg-type]
        world.salesfinity.resolve_now(lookup)
        assert call_back(harness, lookup)
        return lookup

    monkeypatch.setattr(world.salesfinity, "start_lookup", called_back_at_once)
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
    with harness.ledger() as ledger, ledger.database.read() as connection:
        assert len(connection.execute(t.task.select()).all()) == 1


def test_an_id_that_fails_at_the_vendor_blocks_no_one(world: World, harness: Harness) -> None:
    world.lead(world.person())
    _lose(world, harness)
    assert call_back(harness, lookups(world)[0], _id="not-an-id-of-theirs")
    person = world.person()
    lead = world.lead(person)
    world.arm("salesfinity", "getEmailEnrichment", "status", subject="not-an-id-of-theirs", times=100, status=400)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 1, Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email


def test_repeated_and_late_callbacks_change_nothing(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    harness.sync()
    before = world.get(lead)
    for _ in range(3):
        assert call_back(harness, lookups(world)[0])
        assert harness.other().sync().selected == 0
    assert world.get(lead) == before


def test_a_callback_after_an_operator_gave_up_still_delivers(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    _lose(world, harness)
    world.clock.advance(days=2)  # presumed charged by now
    harness.other().sync()
    assert call_back(harness, lookups(world)[0])
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
    with harness.ledger() as ledger:
        assert ledger.credits.totals()["salesfinity"].charged == 1
        assert ledger.credits.imbalance() == ""


def _lose(world: World, harness: Harness) -> SimPerson | None:
    """Run a sync whose paid request takes effect and whose answer is lost."""
    world.arm("salesfinity", "requestEmailEnrichment", "drop_after")
    assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}
    world.clock.advance(minutes=1)
    return None


def _forge(harness: Harness, lookup: Lookup, count: int, *, begin: int = 0) -> int:
    """Send forged task ids to a genuine address; returns how many were accepted."""
    taken = 0
    for number in range(begin, begin + count):
        with contextlib.suppress(CrowdedError):
            taken += call_back(harness, lookup, _id=f"66f0a1b2c3d4e5f6{number:08d}")
    return taken


def test_forged_callbacks_do_not_delay_other_purchases(world: World, harness: Harness) -> None:
    world.lead(world.person())
    _lose(world, harness)
    assert _forge(harness, lookups(world)[0], 200) == MOST_RECEIPTS
    lead = world.lead(world.person())
    before = len(world.salesfinity.requests.entries)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 1, Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"]
    made = [one.operation for one in world.salesfinity.requests.entries[before:]]
    assert made.index("requestEmailEnrichment") < made.index("getEmailEnrichment")  # the purchase comes first
    forged = made.count("getEmailEnrichment") - 1  # without the one poll of the purchase
    assert forged == MOST_RECEIPTS


def test_endless_callbacks_do_not_lengthen_a_run(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forgery arrives during each check: the run still ends, and the next one uses the genuine callback."""
    person = world.person()
    lead = world.lead(person)
    _lose(world, harness)
    mine, asked = lookups(world)[0], list[str]()
    knows = Salesfinity.knows_task

    def slow(self: Salesfinity, task_id: str, attempt_id: str, person: Identifier) -> bool:
        if len(asked) < 500:
            asked.append(task_id)
            world.clock.advance(seconds=30)
            with contextlib.suppress(CrowdedError):
                call_back(harness, mine, _id=f"66f0a1b2c3d4e5f6{len(asked):08d}")
        return knows(self, task_id, attempt_id, person)

    monkeypatch.setattr(Salesfinity, "knows_task", slow)
    _forge(harness, mine, 1, begin=1000)
    ending = harness.other()
    ending.wait_s = 300.0
    began = world.clock.now()
    assert ending.sync().outcomes == {Outcome.UNKNOWN: 1}
    assert (world.clock.now() - began).total_seconds() < 400
    assert 5 <= len(asked) <= 12
    monkeypatch.undo()
    assert call_back(harness, mine)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
