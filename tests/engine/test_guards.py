"""Guards against absurd runs: each stops before any harm, is reported, and names the next step."""

import pytest
from harness import Harness, World, email_only, mapping, personal_only

from connector.core.model import Outcome
from connector.core.report import Report
from connector.engine import guards
from connector.engine.sync import RunSpec, run_pass


def sync_all(harness: Harness) -> Report:
    """Run `sync --all`."""
    with harness.services() as services, services.ledger.hold_run_lock(harness.mappings):
        return run_pass(services, RunSpec("sync", harness.mappings, {}, override_guards=True))


def unlocked(world: World, count: int) -> list[str]:
    leads: list[str] = []
    for _ in range(count):
        person = world.person()
        world.lensmor.set_unlocked(person.personnel_id, "email")
        leads.append(world.lead(person))
    return leads


# -- the same reason everywhere -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [20, 230])
def test_records_that_all_lack_an_identifier_keep_their_flags(world: World, harness: Harness, count: int) -> None:
    leads = [world.lead() for _ in range(count)]
    harness = harness.other(email_only())
    report = harness.sync()
    assert (report.exit_code, report.selected) == (3, 0)
    assert "would all be skipped for one reason" in report.attention[0].reason
    assert "connector sync -m lead --all" in report.attention[0].next
    assert all(world.get(lead)["Enrichment_Requested__c"] for lead in leads)
    assert all(world.org.updates_count("Lead", lead) == 0 for lead in leads)
    again = sync_all(harness.other())
    assert again.outcomes == {Outcome.SKIPPED: count}
    assert not any(world.get(lead)["Enrichment_Requested__c"] for lead in leads)


def test_one_usable_record_proves_the_mapping(world: World, harness: Harness) -> None:
    for _ in range(25):
        world.lead()
    unlocked(world, 1)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.SKIPPED: 25, Outcome.DELIVERED: 1}


def test_fewer_than_twenty_records_prove_nothing(world: World, harness: Harness) -> None:
    for _ in range(19):
        world.lead()
    assert harness.other(email_only()).sync().outcomes == {Outcome.SKIPPED: 19}


def test_legitimate_skips_cause_no_alarm(world: World, harness: Harness) -> None:
    for _ in range(25):
        world.lead(world.person(), HasOptedOutOfEmail=True)
    assert harness.other(email_only()).sync().outcomes == {Outcome.SKIPPED: 25}


def test_a_wrong_field_is_detected_among_other_faults(world: World, harness: Harness) -> None:
    """Different reasons do not indicate one mistake."""
    for index in range(24):
        world.lead(LinkedIn_URL__c=None, Lensmor_Personnel_Id__c="x" if index % 2 else None)
    assert harness.other(email_only()).sync().outcomes == {Outcome.SKIPPED: 24}


def test_channels_that_lack_different_identifiers_share_one_cause(world: World, harness: Harness) -> None:
    contacts = [world.contact() for _ in range(30)]
    report = harness.other(mapping("contact")).sync()
    assert (report.exit_code, report.selected) == (3, 0)
    assert all(world.get(contact)["Enrichment_Requested__c"] for contact in contacts)


def test_a_few_other_skips_do_not_hide_it(world: World, harness: Harness) -> None:
    leads = [world.lead() for _ in range(228)]
    leads += [world.lead(DoNotCall=True), world.lead(MobilePhone="+1 212 555 0100")]
    report = harness.other(mapping("lead")).sync()
    assert (report.exit_code, report.selected) == (3, 0)
    assert all(world.get(lead)["Enrichment_Requested__c"] for lead in leads)


def test_a_frozen_plan_with_only_one_skip_reason_clears_no_flag(world: World, harness: Harness) -> None:
    leads = [world.lead() for _ in range(30)]
    harness = harness.other(email_only())
    report = harness.other().apply(harness.plan())
    assert report.exit_code == 3
    assert all(world.get(lead)["Enrichment_Requested__c"] for lead in leads)


@pytest.mark.long
def test_stopped_runs_do_not_lower_the_usual_number(world: World, harness: Harness) -> None:
    leads = [world.lead() for _ in range(1100)]
    harness = harness.other(email_only())
    for _ in range(3):
        harness.other().sync()
        world.clock.advance(minutes=15)
    for lead in leads:
        person = world.person()
        world.lensmor.set_unlocked(person.personnel_id, "email")
        world.edit(lead, Lensmor_Personnel_Id__c=person.personnel_id)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1100}


# -- answers without a value ----------------------------------------------------------------------------------------


def test_a_vendor_without_any_value_is_not_bought_from(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "ANSWERS", 6)
    world.salesfinity.lookup_seconds = 1
    people = [world.person(personal_email=None) for _ in range(9)]
    contacts = [world.contact(person) for person in people]
    harness = harness.other(personal_only())
    report = harness.sync()
    bought = world.salesfinity.requests.count("requestEmailEnrichment")
    assert bought >= 6
    if bought < 9:
        assert report.outcomes[Outcome.DEFERRED] == 9 - bought
    second = world.contact(world.person())
    assert "contained no value" in " ".join(harness.other().preview().notes)
    report = harness.other().sync()
    assert report.outcomes[Outcome.DEFERRED] == 1 + 9 - bought
    assert report.exit_code == 4
    assert "contained no value" in next(iter(report.reasons["personal_email"]["deferred"]))
    assert "--all" in report.attention[0].next
    assert world.salesfinity.requests.count("requestEmailEnrichment") == bought
    assert world.get(second)["Enrichment_Requested__c"] is True
    again = sync_all(harness.other())
    assert world.get(second)["Personal_Email__c"] is not None
    assert again.outcomes[Outcome.DELIVERED] == 1
    assert all(world.get(contact)["Personal_Email__c"] is None for contact in contacts)


def test_one_value_among_the_latest_answers_continues_purchases(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "ANSWERS", 6)
    world.salesfinity.lookup_seconds = 1
    for index in range(12):
        world.contact(world.person(**({} if index % 5 == 4 else {"personal_email": None})))
    report = harness.other(personal_only()).sync()
    assert Outcome.DEFERRED not in report.outcomes


# -- unusually many -------------------------------------------------------------------------------------------------


def usual_runs(world: World, harness: Harness, runs: int, records: int) -> None:
    for _ in range(runs):
        unlocked(world, records)
        assert harness.other().sync().outcomes == {Outcome.DELIVERED: records}
        world.clock.advance(hours=1)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty records show the same as a thousand in less time."""
    monkeypatch.setattr(guards, "LEAST_FLAGGED", 40)


@pytest.mark.usefixtures("few")
def test_at_most_ten_times_the_usual_number_is_taken(world: World, harness: Harness) -> None:
    harness = harness.other(email_only())
    usual_runs(world, harness, 3, 2)
    leads = unlocked(world, 45)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 20}
    assert report.exit_code == 4
    assert "unusually many records are flagged (the usual number is 2); 20 are taken" in report.stopped[0]
    assert "connector sync -m lead --all" in report.attention[0].next
    assert sum(bool(world.get(lead)["Enrichment_Requested__c"]) for lead in leads) == 25
    assert sync_all(harness.other()).outcomes == {Outcome.DELIVERED: 25}


@pytest.mark.usefixtures("few")
def test_a_plan_reports_it_but_takes_all_records(world: World, harness: Harness) -> None:
    harness = harness.other(email_only())
    usual_runs(world, harness, 3, 2)
    unlocked(world, 45)
    found = harness.preview()
    assert found.selected == 45
    assert "45 records are flagged, the usual number is 2" in found.notes[0]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("runs", "records", "flagged"), [(2, 1, 45), (3, 1, 40), (3, 5, 45)])
def test_a_usual_number_is_taken_completely(
    world: World, harness: Harness, runs: int, records: int, flagged: int
) -> None:
    harness = harness.other(email_only())
    usual_runs(world, harness, runs, records)
    unlocked(world, flagged)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: flagged}


@pytest.mark.usefixtures("few")
def test_runs_without_records_are_usual_too(world: World, harness: Harness) -> None:
    harness = harness.other(email_only())
    for _ in range(4):
        assert harness.other().sync().selected == 0
        world.clock.advance(minutes=15)
    unlocked(world, 45)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 10}  # the minimum; it grows from run to run
