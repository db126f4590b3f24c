"""Failures that random histories found, as short sequences."""

import pytest
from crash_points import DeathError
from harness import Harness, World, email_only, mapping

from connector.engine import lookups


def die(*_args: object, **_more: object) -> None:
    raise DeathError


def test_a_parked_value_does_not_stamp_the_record_at_every_run(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.org.add_validation("Lead", lambda row: bool(row["Email"]), fields=("Email",))
    harness = harness.other(email_only())
    for _ in range(5):
        harness.other().sync()
        world.clock.advance(minutes=15)
    assert world.get(lead)["Enriched_At__c"] is None  # nothing was written
    assert world.org.updates_count("Lead", lead) <= 2


def test_nothing_is_bought_after_the_flag_was_cleared(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = world.contact(world.person(), Lensmor_Personnel_Id__c=None, Lensmor_Event_Id__c=None)
    harness = harness.other(mapping("contact"))
    harness.wait_s = 0
    world.salesfinity.lookup_seconds = 900
    world.lensmor.balance = 0
    harness.sync()  # the private email is requested; Lensmor has no credits
    world.lensmor.balance = 1000
    with monkeypatch.context() as patch:
        patch.setattr(lookups, "resolve_identities", die)
        with pytest.raises(DeathError):
            harness.other().sync()
    world.edit(contact, Enrichment_Requested__c=False)
    harness.other().sync()
    assert world.ours("lensmor") == 0
