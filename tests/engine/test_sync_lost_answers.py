"""A paid request whose answer was lost: the vendor's record is read on a fixed schedule; nothing is paid twice."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from harness import FaultRow, Harness, World, email_only, phone_only

from connector.core.model import Outcome
from connector.core.recover import TRACE_SCHEDULE_S
from connector.core.states import PurchaseState
from connector.engine.sync import RunSpec, run_pass

LOSING: tuple[FaultRow, ...] = (
    ("drop_after", {}),
    ("error_after", {"status": 500}),
    ("error_after", {"status": 502}),
    ("html", {}),
    ("truncated", {}),
    ("wrong_types", {}),
    ("unknown_word", {"fields": ["status"]}),
)
NOT_TAKEN: tuple[FaultRow, ...] = (
    ("drop_before", {}),
    ("error_before", {"status": 500}),
    ("status", {"status": 503}),
    ("error_in_2xx", {}),
)


def _ids(rows: Sequence[FaultRow]) -> list[str]:
    return [f"{action} {params.get('status', '')}".strip() for action, params in rows]


def _reads(world: World) -> list[int]:
    """Seconds from the first paid request to each read of a profile."""
    entries = world.lensmor.requests.entries
    sent = next(entry.at for entry in entries if entry.operation in {"submitEmailUnlock", "submitPhoneUnlock"})
    return [round(entry.at - sent) for entry in entries if entry.operation == "getPersonnelProfile"]


@pytest.mark.parametrize(("action", "params"), LOSING, ids=_ids(LOSING))
def test_a_lost_request_with_effect_is_delivered_by_one_read(
    world: World, harness: Harness, action: str, params: Mapping[str, object]
) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", action, **params)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert _reads(world) == [60]
    assert world.paid_posts() == 1
    assert report.credits["lensmor"].charged == 15


@pytest.mark.parametrize(("action", "params"), NOT_TAKEN, ids=_ids(NOT_TAKEN))
def test_a_lost_request_without_effect_is_sent_once_more(
    world: World, harness: Harness, action: str, params: Mapping[str, object]
) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", action, **params)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert _reads(world) == [60, 360, 1260]
    assert world.paid_posts() == 2
    assert report.credits["lensmor"].charged == 15
    assert report.credits["lensmor"].held == 0


@pytest.mark.parametrize("unreadable_reads", [1, 2, 4])
def test_an_unreadable_record_leads_to_no_conclusion(world: World, harness: Harness, unreadable_reads: int) -> None:
    """When it counted as running, three later reads without a trace ended the purchase as failed and charged."""
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    world.arm("lensmor", "getPersonnelProfile", "unknown_word", fields=["contactUnlockStatus"], times=unreadable_reads)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert len(_reads(world)) == unreadable_reads + len(TRACE_SCHEDULE_S)
    assert world.paid_posts() == 2
    assert report.credits["lensmor"].charged == 15


def test_a_phone_is_resolved_by_its_own_states(world: World, harness: Harness) -> None:
    people = [world.person(), world.person()]
    leads = [world.lead(people[0]), world.lead(people[1], Lensmor_Event_Id__c=None)]
    world.arm("lensmor", "submitPhoneUnlock", "drop_after", subject=people[0].personnel_id)
    world.arm("lensmor", "submitPhoneUnlock", "drop_before", subject=people[1].personnel_id)
    report = harness.other(phone_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 2}
    assert all(world.get(lead)["MobilePhone"] for lead in leads)
    assert world.paid_posts() == 3
    assert world.ours("lensmor") == 300


def test_a_second_loss_ends_in_unknown_and_is_never_sent_a_third_time(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.arm("lensmor", "submitEmailUnlock", "drop_before", times=2)
    harness = harness.other(email_only("lensmor", "salesfinity"))
    report = harness.sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    assert report.exit_code == 3
    assert [found.record_id for found in report.attention] == [lead]
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unknown"
    assert world.get(lead)["Enrichment_Requested__c"] is True
    assert _reads(world)[3:] == [1320, 1620, 2520]
    for days in (1, 30, 200):
        world.clock.advance(days=days)
        again = harness.other().sync()
        assert again.outcomes == {Outcome.UNKNOWN: 1}
        assert again.crm["salesforce"].write_calls == 0
    assert world.paid_posts() == 2
    assert world.salesfinity.requests.count("requestEmailEnrichment") == 0


def test_a_resubmission_absorbed_by_the_old_task(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.profile_lag_seconds = 1500  # longer than the three reads take
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    harness = harness.other(email_only())
    report = harness.sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2
    assert world.ours("lensmor") == 15
    assert report.credits["lensmor"].charged == 15
    assert report.credits["lensmor"].held == 0


def test_a_lost_batch_is_resolved_person_by_person(world: World, harness: Harness) -> None:
    people = [world.person() for _ in range(5)]
    leads = [world.lead(person) for person in people]
    for person, outcome in zip(people, ("delivered", "failed", "no_value", "missing", "unfinished"), strict=True):
        world.lensmor.script(person.personnel_id, "email", outcome)
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 3, Outcome.FAILED: 1, Outcome.NOT_FOUND: 1}
    assert [world.get(lead)["Email_Unlock_Status__c"] for lead in leads] == [
        "Unlocked",
        "Failed",
        "Not found",
        "Unlocked",
        "Unlocked",
    ]
    assert world.paid_posts() == 1
    assert report.credits["lensmor"].charged == 75


@pytest.mark.parametrize("vendor", ["lensmor", "salesfinity"])
def test_a_slow_answer_is_not_a_lost_answer(world: World, harness: Harness, vendor: str) -> None:
    lead = world.lead(world.person())
    operation = "submitEmailUnlock" if vendor == "lensmor" else "requestEmailEnrichment"
    world.arm(vendor, operation, "delay", seconds=0.2)
    assert harness.other(email_only(vendor)).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None
    assert world.paid_posts() == 1


@pytest.mark.parametrize("vendor", ["lensmor", "salesfinity"])
def test_a_key_refused_at_the_purchase_loses_nothing(world: World, harness: Harness, vendor: str) -> None:
    lead = world.lead(world.person())
    operation = "submitEmailUnlock" if vendor == "lensmor" else "requestEmailEnrichment"
    world.arm(vendor, operation, "status", status=401)
    harness = harness.other(email_only(vendor))
    report = harness.sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert report.exit_code == 4
    assert report.credits[vendor].held == 0
    assert any(f"check {vendor.upper()}_API_KEY" in text for text in report.stopped)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] is not None


def test_the_undetectable_worst_case_is_one_more_charge(world: World, folder: Path) -> None:
    """The vendor accepted the lost request, shows no trace of it for 21 minutes, and does not skip the person."""
    person = world.person()
    lead = world.lead(person)
    world.lensmor.profile_lag_seconds = 1500
    world.lensmor.skip_lag_seconds = 1500
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    report = Harness(world, folder, email_only()).sync()  # not the fixture: its judge allows no double charge
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.charges.count("lensmor", person.personnel_id, "email") == 2


def test_a_running_lost_request_is_polled_like_a_task(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.task_seconds = 110
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}
    assert _reads(world) == [60, 80, 100, 120]
    assert world.get(lead)["Email"] == person.email


def test_an_unknown_state_in_the_profile_leaves_a_request_unknown(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    world.arm("lensmor", "getPersonnelProfile", "unknown_word", times=200)
    harness = harness.other(email_only())
    harness.wait_s = 900
    report = harness.sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    assert "the unknown status" in " ".join(found.reason for found in report.attention)
    assert world.paid_posts() == 1
    assert world.get(lead)["Email"] is None


def test_another_persons_profile_decides_nothing(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    world.arm("lensmor", "getPersonnelProfile", "wrong_types", times=200)
    harness = harness.other(email_only())
    harness.wait_s = 900
    assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}
    assert world.paid_posts() == 1


def test_a_removed_person_fails_and_counts_as_charged(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    world.arm("lensmor", "getPersonnelProfile", "not_found")
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.FAILED: 1}
    assert world.get(lead)["Enrichment_Error__c"] == "work email: lensmor no longer has the person"
    assert report.credits["lensmor"].charged == 15


def test_later_runs_resolve_an_earlier_loss(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    harness = harness.other(email_only())
    harness.wait_s = 30
    first = harness.sync()
    assert first.outcomes == {Outcome.UNKNOWN: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "Unknown"
    world.clock.advance(minutes=15)
    harness.wait_s = 900
    reports = harness.syncs(most=8)
    assert reports[-1].selected == 0
    assert world.get(lead)["Email"] == person.email
    assert world.get(lead)["Enrichment_Requested__c"] is False
    assert world.paid_posts() == 2


def test_the_vendors_late_answer_wins(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "drop_after")
    world.lensmor.task_seconds = 3000
    harness = harness.other(email_only())
    harness.wait_s = 30
    assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}
    world.clock.advance(minutes=15)
    assert harness.other().sync().outcomes == {Outcome.WAITING: 1}
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.clock.advance(minutes=60)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email


@pytest.mark.parametrize(("action", "params"), [*LOSING[:2], LOSING[4], NOT_TAKEN[2]], ids=str)
def test_a_lost_lookup_at_salesfinity_stays_unknown_and_is_never_repeated(
    world: World, harness: Harness, action: str, params: Mapping[str, object]
) -> None:
    person = world.person()
    lead = world.lead(person)
    world.arm("salesfinity", "requestEmailEnrichment", action, **params)
    harness = harness.other(email_only("salesfinity", "lensmor"))
    report = harness.sync()
    assert report.outcomes == {Outcome.UNKNOWN: 1}
    assert report.exit_code == 3
    assert report.credits["salesfinity"].held == 1
    record = world.get(lead)
    assert record["Email_Unlock_Status__c"] == "Unknown"
    assert record["Enrichment_Requested__c"] is True
    assert "the answer to the paid request was lost" in str(record["Enrichment_Error__c"])
    world.clock.advance(days=2)
    again = harness.other().sync()
    assert again.outcomes == {Outcome.UNKNOWN: 1}
    assert again.crm["salesforce"].write_calls == 0
    assert world.paid_posts() == 1


def test_an_unknown_older_than_a_day_counts_as_presumed_charged(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.arm("salesfinity", "requestEmailEnrichment", "drop_after")
    harness = harness.other(email_only("salesfinity"))
    harness.sync()
    world.clock.advance(hours=25)
    report = harness.other().sync()
    assert report.credits["salesfinity"].held == 0
    assert report.credits["salesfinity"].charged == 1


def test_simultaneous_reads_count_once(world: World, harness: Harness) -> None:
    """A slow reader's claim may expire beside other runs; its late read must not shorten the schedule."""
    harness = harness.other(email_only())
    harness.wait_s = 1.0
    world.lead(world.person())
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}
    world.clock.advance(minutes=2)
    with harness.services() as services:
        polls, source = services.ledger.polls, services.providers["lensmor"].source
        (slow,) = polls.due_checks(source, world.clock.now())
        assert polls.claim_check(slow, world.clock.later(60))
        world.clock.advance(seconds=61)
        (quick,) = polls.due_checks(source, world.clock.now())
        assert polls.claim_check(quick, world.clock.later(60))
        for row in (quick, slow):
            polls.check_again(row, world.clock.later(300), running=False, now=world.clock.now())
        world.clock.advance(minutes=5)
        (again,) = polls.due_checks(source, world.clock.now())
    assert again.checks == 1


def test_only_a_run_with_a_waiting_record_repeats_a_lost_request(world: World, harness: Harness) -> None:
    """A run of another mapping reads the person too, and cannot know whether the repeat is still needed."""
    person = world.person()
    lead = world.lead(person)
    leads, contacts = harness.other(email_only()), harness.other(email_only(name="contact"))
    leads.wait_s = contacts.wait_s = 5.0
    contacts.shared = True
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    leads.sync()
    for _ in range(8):
        world.clock.advance(minutes=5)
        with contacts.services() as services, services.ledger.hold_run_lock():
            run_pass(services, RunSpec("sync", contacts.mappings, {}))
    with harness.ledger() as ledger:
        (purchase,) = ledger.operator.needs_a_look()
    assert purchase.state is PurchaseState.UNKNOWN
    assert purchase.check_at is not None
    leads.syncs(6)
    assert world.get(lead)["Email"] == person.email
    assert world.ours("lensmor") == 15
