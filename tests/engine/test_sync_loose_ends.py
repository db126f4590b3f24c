"""Leftovers of one channel, of an earlier mapping or of an earlier key do not delay the rest."""

import pytest
from harness import Harness, World, email_only, mapping, reasons_of
from ledgers import on_postgres

from connector.core.errors import ConfigurationError
from connector.core.model import Outcome
from connector.crm.interface import Selection
from connector.store.seal import new_key

EMAIL_RULES = mapping("lead").channels.model_dump(by_alias=True, exclude_none=True)["work_email"]
THEIRS = "typed.by.hand@example.com"


def test_a_later_phone_is_written_despite_a_parked_email(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    rules = ["no email"]
    world.org.add_validation("Lead", lambda row: bool(rules and row["Email"]), fields=("Email",))
    world.lensmor.task_seconds = 600
    harness = harness.other(mapping("lead", channels={"work_email": {**EMAIL_RULES, "from": ["salesfinity"]}}))
    harness.wait_s = 120
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    assert world.get(lead)["MobilePhone"] is None
    world.clock.advance(minutes=10)
    assert harness.other().sync().outcomes == {Outcome.PARKED: 1}
    assert world.get(lead)["MobilePhone"] is not None
    assert world.get(lead)["Phone_Unlock_Status__c"] == "Unlocked"
    assert world.get(lead)["Email"] is None
    rules.clear()
    world.clock.advance(days=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email


def test_a_rule_without_a_field_withholds_only_its_value(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    rules = ["no email"]
    world.org.add_validation("Lead", lambda row: bool(rules and row["Email"]))
    report = harness.sync()
    assert report.outcomes == {Outcome.PARKED: 1}
    record = world.get(lead)
    assert record["MobilePhone"] is not None
    assert record["Email"] is None
    assert record["Enrichment_Requested__c"] is True
    rules.clear()
    world.clock.advance(days=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2


def test_purchases_of_a_removed_source_are_collected(world: World, harness: Harness) -> None:
    """The source was replaced while its task was open; the task is still read."""
    person = world.person()
    lead = world.lead(person)
    world.lensmor.task_seconds = 3000
    first = harness.other(email_only("lensmor"))
    first.wait_s = 60
    assert first.sync().outcomes == {Outcome.WAITING: 1}
    world.clock.advance(hours=1)
    report = harness.other(email_only("salesfinity")).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1


def test_dropped_work_does_not_keep_its_status(world: World, harness: Harness) -> None:
    person = world.person(email=None)
    lead = world.lead(person)
    world.lensmor.task_seconds = 600
    harness = harness.other(email_only("lensmor", "salesfinity"))
    harness.wait_s = 60
    harness.sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.clock.advance(hours=1)
    world.arm("salesfinity", "getEnrichmentCredits", "status", times=50)
    assert harness.other().sync().outcomes == {Outcome.DEFERRED: 1}
    world.faults.clear()
    world.edit(lead, Enrichment_Requested__c=False)
    assert harness.other().sync().outcomes == {Outcome.SKIPPED: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "Skipped"
    assert harness.other().sync().selected == 0


def test_nothing_is_bought_for_a_field_edited_while_deferred(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person, Email="old@example.com")
    broke = email_only(write="overwrite", empty_when=None)
    world.arm("lensmor", "getCreditsBalance", "status", times=50)
    assert harness.other(broke).sync().outcomes == {Outcome.DEFERRED: 1}
    world.faults.clear()
    world.edit(lead, Email=THEIRS)
    report = harness.other(broke).sync()
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert "was changed by somebody" in next(iter(reasons_of(report, "skipped")))
    assert world.get(lead)["Email"] == THEIRS
    assert world.paid_posts() == 0
    world.flag(lead)  # requested again, over the new value
    assert harness.other(broke).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email


def test_an_unknown_linkedin_name_is_resolved_again_in_time(world: World, harness: Harness) -> None:
    lead = world.lead(LinkedIn_URL__c="https://www.linkedin.com/in/newcomer-one")
    harness = harness.other(email_only())
    assert harness.sync().outcomes == {Outcome.NOT_FOUND: 1}
    newcomer = world.person(linkedin_name="newcomer-one")
    world.flag(lead)
    assert harness.other().sync().outcomes == {Outcome.NOT_FOUND: 1}
    world.clock.advance(days=31)
    world.flag(lead)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == newcomer.email


def test_the_next_step_of_an_unknown_lookup_is_shown(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.arm("salesfinity", "requestEmailEnrichment", "drop_after")
    report = harness.other(email_only("salesfinity")).sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    assert "connector resolve" in report.attention[0].next


def test_a_rotated_key_opens_values_and_may_then_be_removed(world: World, harness: Harness) -> None:
    """Stored values are sealed again; the old key must stay while it is needed, the new one for good."""
    if on_postgres(harness.folder):
        pytest.skip("its key is a setting of each process: here the key's file is changed")
    person = world.person()
    lead = world.lead(person, Email="old@example.com")
    world.org.lock(lead, times=50)
    overwriting = email_only(write="overwrite", empty_when=None)
    harness = harness.other(overwriting)
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    key_file = harness.folder / "connector.db.key"
    old, new = key_file.read_text().strip(), new_key()
    key_file.write_text(f"{new},{old}\n")
    assert harness.other().sync().outcomes == {Outcome.PARKED: 1}
    for too_few, why in ((old, "lacks the newest key"), (new, "those records close")):
        key_file.write_text(f"{too_few}\n")
        with pytest.raises(ConfigurationError, match=why):
            harness.other().sync()
    key_file.write_text(f"{new},{old}\n")
    world.org.lock(lead, times=0)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    key_file.write_text(f"{new_key()}\n")
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        harness.other().sync()
    key_file.write_text(f"{new}\n")
    assert harness.other().sync().selected == 0


def _chosen(world: World, harness: Harness) -> str:
    """Add a Lead without a flag that a condition chooses and whose request never reaches the vendor."""
    lead = world.lead(world.person(), Enrichment_Requested__c=False)
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    fields = tuple(sorted(harness.mappings["lead"].read_fields()))
    chosen = {"lead": Selection("Lead", fields, where=("Company != null",))}
    assert harness.sync(chosen, "backfill").outcomes == {Outcome.UNKNOWN: 1}
    return lead


def test_a_chosen_records_lost_request_is_sent_again_by_a_sync(world: World, harness: Harness) -> None:
    harness = harness.other(email_only())
    harness.wait_s = 30
    lead = _chosen(world, harness)
    for _ in range(8):
        world.clock.advance(minutes=15)
        harness.other().sync()
    assert world.get(lead)["Email"] is not None
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"
    assert world.paid_posts() == 2
    assert world.ours("lensmor") == 15


def test_an_unneeded_lost_request_is_not_sent_again(world: World, harness: Harness) -> None:
    harness = harness.other(email_only())
    harness.wait_s = 30
    lead = _chosen(world, harness)
    world.edit(lead, HasOptedOutOfEmail=True)
    for _ in range(6):
        world.clock.advance(minutes=15)
        harness.other().sync()
    assert world.ours("lensmor") == 0
    with harness.ledger() as ledger:
        (unsent,) = ledger.operator.needs_a_look()
        assert unsent.unsent
    world.clock.advance(days=2)
    harness.other().sync()
    with harness.ledger() as ledger:
        assert ledger.operator.needs_a_look() == []
        assert ledger.credits.totals()["lensmor"].charged == 15  # presumed charged: the vendor will never answer


def test_a_bounced_field_with_our_own_value_is_left_unchanged(world: World, harness: Harness) -> None:
    """The bounce date stays after our write; the new address must not count as empty for ever."""
    person = world.person()
    lead = world.lead(person, Email="bounced@example.com", EmailBouncedDate="2026-11-01T00:00:00.000+0000")
    harness = harness.other(email_only())
    assert harness.sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    world.flag(lead)
    world.lensmor.profile_lag_seconds = 600
    assert harness.other().sync().outcomes == {Outcome.SKIPPED: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unlocked"
