"""Guards against the absurd: each stops before harm is done, is reported, and names a way to proceed."""

import pytest
from harness import Harness, World, email_only, mapping, personal_only

from connector.core.model import Outcome
from connector.core.report import Report
from connector.engine import guards
from connector.engine.sync import RunSpec, run_pass


def sync_all(harness: Harness) -> Report:
    """`sync --all`."""
    with harness.services() as services, services.ledger.hold_run_lock(harness.mappings):
        return run_pass(services, RunSpec("sync", harness.mappings, {}, override_guards=True))


def unlocked(world: World, count: int) -> list[str]:
    leads: list[str] = []
    for _ in range(count):
        person = world.person()
        world.lensmor.set_unlocked(person.personnel_id, "email")
        leads.append(world.lead(person))
    return leads


# -- one reason for all ---------------------------------------------------------------------------------------------


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


def test_one_usable_record_among_the_first_shows_that_the_mapping_is_right(world: World, harness: Harness) -> None:
    for _ in range(25):
        world.lead()
    unlocked(world, 1)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.SKIPPED: 25, Outcome.DELIVERED: 1}


def test_fewer_than_twenty_records_show_nothing(world: World, harness: Harness) -> None:
    for _ in range(19):
        world.lead()
    assert harness.other(email_only()).sync().outcomes == {Outcome.SKIPPED: 19}


def test_records_skipped_for_a_good_reason_are_no_alarm(world: World, harness: Harness) -> None:
    for _ in range(25):
        world.lead(world.person(), HasOptedOutOfEmail=True)
    assert harness.other(email_only()).sync().outcomes == {Outcome.SKIPPED: 25}


def test_a_wrong_field_is_noticed_though_some_records_have_other_faults(world: World, harness: Harness) -> None:
    """Different reasons are no sign of one mistake."""
    for index in range(24):
        world.lead(LinkedIn_URL__c=None, Lensmor_Personnel_Id__c="x" if index % 2 else None)
    assert harness.other(email_only()).sync().outcomes == {Outcome.SKIPPED: 24}


def test_channels_that_lack_different_identifiers_share_one_cause(world: World, harness: Harness) -> None:
    contacts = [world.contact() for _ in range(30)]
    report = harness.other(mapping("contact")).sync()
    assert (report.exit_code, report.selected) == (3, 0)
    assert all(world.get(contact)["Enrichment_Requested__c"] for contact in contacts)


def test_a_few_opted_out_or_filled_records_do_not_hide_it(world: World, harness: Harness) -> None:
    leads = [world.lead() for _ in range(228)]
    leads += [world.lead(DoNotCall=True), world.lead(MobilePhone="+1 212 555 0100")]
    report = harness.other(mapping("lead")).sync()
    assert (report.exit_code, report.selected) == (3, 0)
    assert all(world.get(lead)["Enrichment_Requested__c"] for lead in leads)


def test_a_frozen_plan_of_nothing_but_one_skip_clears_no_flag(world: World, harness: Harness) -> None:
    leads = [world.lead() for _ in range(30)]
    harness = harness.other(email_only())
    report = harness.other().apply(harness.plan())
    assert report.exit_code == 3
    assert all(world.get(lead)["Enrichment_Requested__c"] for lead in leads)


@pytest.mark.long
def test_runs_that_a_guard_stopped_do_not_make_few_records_usual(world: World, harness: Harness) -> None:
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


def test_a_vendor_that_brings_nothing_at_all_sells_no_more(
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


def test_one_value_among_the_latest_answers_lets_the_purchases_go_on(
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
    """A thousand flagged records would take long; forty show the same."""
    monkeypatch.setattr(guards, "LEAST_FLAGGED", 40)


@pytest.mark.usefixtures("few")
def test_unusually_many_flagged_records_are_taken_ten_times_the_usual_number(world: World, harness: Harness) -> None:
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
def test_a_plan_reports_it_and_holds_nothing_back(world: World, harness: Harness) -> None:
    harness = harness.other(email_only())
    usual_runs(world, harness, 3, 2)
    unlocked(world, 45)
    found = harness.preview()
    assert found.selected == 45
    assert "45 records are flagged, the usual number is 2" in found.notes[0]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("runs", "records", "flagged"), [(2, 1, 45), (3, 1, 40), (3, 5, 45)])
def test_what_is_not_unusual_is_taken_whole(
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
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 10}  # the least: it grows from run to run
