"""A restored older ledger is detected, and buys a person only after the vendor's own record was read."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from backups import Backup
from harness import Harness, World, email_only, mapping, personal_only
from test_event_purchases import buyer

from connector.core.errors import OlderCopyError
from connector.core.model import CrmRecord, Outcome
from connector.crm.interface import Selection
from connector.engine.context import AccountLimits, Run
from connector.engine.older_copy import restrict_forecast
from connector.engine.preview import preview
from connector.engine.sync import RunSpec, run_pass
from connector.store.mark import MarkedHold
from connector.store.restored import Restored
from connector.store.spool import Spool

COPY = "this ledger is an older copy"


def marks(harness: Harness) -> list[Path]:
    return sorted(harness.folder.glob("connector-*.mark"))


def found(report: object) -> list[str]:
    return [one.reason for one in report.attention if COPY in one.reason]  # type: ignore[attr-defined]


@pytest.fixture(name="lensmor")
def _lensmor(harness: Harness) -> Harness:
    return harness.other(email_only())


def test_yesterdays_ledger_buys_no_person_again(world: World, lensmor: Harness) -> None:
    world.lead(world.person())
    lensmor.sync()
    backup = Backup(lensmor)
    world.clock.advance(hours=2)
    people = [world.person() for _ in range(5)]
    leads = [world.lead(person) for person in people]
    lensmor.other().sync()
    backup.restore()
    world.clock.advance(hours=2)
    for lead in leads:  # an admin flags them again, or the CRM was restored too
        world.edit(lead, Email=None, Enriched_At__c=None, Enrichment_Requested__c=True)
    posts = world.paid_posts()
    report = lensmor.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 5}
    assert [world.get(lead)["Email"] for lead in leads] == [person.email for person in people]
    assert world.paid_posts() == posts
    assert all(world.charges.count("lensmor", person.personnel_id, "email") == 1 for person in people)
    assert len(found(report)) == 1
    assert report.exit_code == 3
    assert not found(lensmor.other().sync())


def test_a_new_person_is_bought_after_one_read(world: World, lensmor: Harness) -> None:
    _restored(world, lensmor)
    person = world.person()
    lead = world.lead(person)
    reads = world.lensmor.requests.count("getPersonnelProfile")
    report = lensmor.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.lensmor.requests.count("getPersonnelProfile") == reads + 1
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1


def test_a_running_purchase_is_waited_for(world: World, lensmor: Harness) -> None:
    backup = _ready(world, lensmor)
    person = world.person()
    lead = world.lead(person)
    world.lensmor.task_seconds = 7200
    short = lensmor.other()
    short.wait_s = 10.0
    short.sync()
    backup.restore()
    reports = lensmor.other().syncs(12)
    assert reports[0].outcomes == {Outcome.WAITING: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1


def test_purchases_planned_in_the_copy_are_read_first(world: World, lensmor: Harness) -> None:
    world.lead(world.person())
    lensmor.sync()
    person = world.person()
    lead = world.lead(person)
    capped = lensmor.other()
    capped.limits = {"lensmor": AccountLimits(day=20)}
    assert capped.sync().outcomes == {Outcome.DEFERRED: 1}
    backup = Backup(lensmor)
    lensmor.other().sync()
    assert world.get(lead)["Email"] == person.email
    backup.restore()
    world.edit(lead, Email=None, Enrichment_Requested__c=True)
    report = lensmor.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1


def test_charges_after_the_backup_count_against_the_day(world: World, lensmor: Harness) -> None:
    backup = _ready(world, lensmor)
    for _ in range(4):
        world.lead(world.person())
    lensmor.other().sync()
    backup.restore()
    spent = world.ours("lensmor")
    for _ in range(4):
        world.lead(world.person())
    capped = lensmor.other()
    capped.limits = {"lensmor": AccountLimits(day=90)}
    report = capped.sync()
    assert world.ours("lensmor") == 90
    assert spent == 75
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 3}
    assert report.credits["lensmor"].charged == 15, "the report counts what this run has bought"


def test_charges_after_the_backup_count_against_the_mapping(world: World, harness: Harness) -> None:
    usual = email_only()
    limits = usual.limits.model_copy(update={"max_credits_per_day": {"lensmor": 90}})
    capped = harness.other(usual.model_copy(update={"limits": limits}))
    backup = _ready(world, capped)
    for _ in range(4):
        world.lead(world.person())
    capped.other().sync()
    backup.restore()
    for _ in range(4):
        world.lead(world.person())
    capped.other().sync()
    assert world.ours("lensmor") == 90


def test_nothing_is_bought_from_an_unreadable_vendor(world: World, harness: Harness) -> None:
    salesfinity = harness.other(email_only("salesfinity"))
    backup = _ready(world, salesfinity)
    person = world.person()
    lead = world.lead(person)
    salesfinity.other().sync()
    backup.restore()
    world.edit(lead, Email=None, Enriched_At__c=None, Enrichment_Requested__c=True)
    posts = world.paid_posts()
    report = salesfinity.other().sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert world.paid_posts() == posts
    assert "connector ledger trust salesfinity" in report.stopped[0]
    assert report.exit_code == 4
    with salesfinity.ledger() as ledger:
        assert ledger.restored.trust("salesfinity")
    world.bought_again.add(("salesfinity", person.linkedin_name or "", "work"))  # the operator's decision
    assert salesfinity.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.paid_posts() == posts + 1


def test_a_second_restore_of_one_backup_is_detected_too(world: World, harness: Harness) -> None:
    """What the first detection stored is gone with the ledger that it was stored in."""
    salesfinity = harness.other(email_only("salesfinity"))
    backup = _ready(world, salesfinity)
    lead = world.lead(world.person())
    salesfinity.other().sync()
    posts = world.paid_posts()
    for _ in range(3):
        backup.restore()
        world.edit(lead, Email=None, Enriched_At__c=None, Enrichment_Requested__c=True)
        report = salesfinity.other().sync()
        assert found(report)
        assert report.outcomes == {Outcome.DEFERRED: 1}
    assert world.paid_posts() == posts


def test_a_return_to_the_newest_ledger_is_detected(world: World, lensmor: Harness) -> None:
    """An older copy has left "in progress" in the CRM, and the newest ledger has not written it."""
    backup = _ready(world, lensmor)
    world.lead(world.person())
    lensmor.other().sync()
    newest = Backup(lensmor)
    backup.restore()
    person = world.person()
    lead = world.lead(person)
    world.lensmor.task_seconds = 7200
    world.colleague_buys(person, "email")
    posts = world.paid_posts()
    short = lensmor.other()
    short.wait_s = 10.0
    assert found(short.sync())
    assert world.paid_posts() == posts, "so the mark names no hold that the newest ledger lacks"
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    newest.restore()
    reports = lensmor.other().syncs(12)
    assert found(reports[0])
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == posts


def test_the_next_source_is_not_bought_without_a_read(world: World, harness: Harness) -> None:
    both = harness.other(email_only("lensmor", "salesfinity"))
    _restored(world, both)
    person = world.person(email=None)
    lead = world.lead(person)
    report = both.other().sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert world.charges.count("salesfinity", person.linkedin_name or "", "work") == 0
    with both.ledger() as ledger:
        assert ledger.restored.trust(None)
        assert not ledger.restored.trust(None)
    both.other().sync()
    assert world.get(lead)["Email"] == person.work_email


def test_a_stamp_newer_than_the_last_run_shows_an_older_copy_without_its_mark(world: World, lensmor: Harness) -> None:
    """The whole machine was restored with its mark; the CRM was not."""
    backup = _ready(world, lensmor)
    world.clock.advance(hours=1)
    person = world.person()
    lead = world.lead(person)
    lensmor.other().sync()
    backup.restore()
    for file in marks(lensmor):
        file.unlink()
    world.edit(lead, Email=None, Enrichment_Requested__c=True)
    report = lensmor.other().sync()
    assert [reason for reason in found(report) if "stamps newer" in reason]
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1


def test_stamps_of_the_ledgers_own_runs_are_no_sign(world: World, lensmor: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(3)]
    lensmor.sync()
    world.clock.advance(days=1)
    for lead in leads:
        world.flag(lead)
    assert not found(lensmor.other().sync())
    assert not found(lensmor.other().sync())


def test_a_new_ledger_on_an_org_with_stamps_is_no_copy(world: World, lensmor: Harness) -> None:
    world.lead(world.person(), Enriched_At__c="2026-11-19T10:00:00.000+0000")
    assert not found(lensmor.sync())


@pytest.mark.parametrize("spoil", [lambda file: file.write_text("{"), lambda file: file.write_text('{"entry": "x"}')])
def test_an_unreadable_mark_is_a_sign(world: World, lensmor: Harness, spoil: Callable[[Path], object]) -> None:
    _ready(world, lensmor)
    (file,) = marks(lensmor)
    spoil(file)
    assert len(found(lensmor.other().sync())) == 1


def test_an_empty_mark_is_no_sign(world: World, lensmor: Harness) -> None:
    _ready(world, lensmor)
    (file,) = marks(lensmor)
    file.write_text("")
    assert not found(lensmor.other().sync())


def test_an_unwritable_mark_prevents_requests(world: World, lensmor: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    from connector.store import mark

    def refused(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    world.lead(world.person())
    monkeypatch.setattr(mark, "_write", refused)
    report = lensmor.sync()
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert report.exit_code == 4
    assert world.paid_posts() == 0
    assert report.credits["lensmor"].held == 0


def test_an_older_mark_of_another_host_is_no_sign(world: World, lensmor: Harness) -> None:
    """Each machine marks its own requests, so an older mark can be correct."""
    _ready(world, lensmor)
    (file,) = marks(lensmor)
    old = file.read_bytes()
    world.lead(world.person())
    lensmor.other().sync()
    file.write_bytes(old)
    assert not found(lensmor.other().sync())


def test_a_copy_that_grew_past_the_mark_is_detected(world: World, folder: Path) -> None:
    """A machine without a mark bought with the copy first; the lost purchases are never counted."""
    lensmor = Harness(world, folder, email_only())
    backup = _ready(world, lensmor)
    world.lead(world.person())
    lensmor.other().sync()
    (file,) = marks(lensmor)
    newest = file.read_bytes()
    backup.restore()
    file.unlink()
    for _ in range(4):
        world.lead(world.person())
        lensmor.other().sync()
    file.write_bytes(newest)
    assert len(found(lensmor.other().sync())) == 1


def test_two_mappings_and_both_channels_after_a_restore(world: World, harness: Harness) -> None:
    both = harness.other(mapping("lead"), personal_only())
    backup = _ready(world, both)
    person = world.person()
    lead, contact = world.lead(person), world.contact(person)
    both.other().sync()
    backup.restore()
    world.edit(lead, Email=None, MobilePhone=None, Enrichment_Requested__c=True)
    world.flag(contact)
    both.other().syncs(3)
    assert world.get(lead)["Email"] == person.email
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1
    assert world.charges.count("lensmor", person.personnel_id, "phone") == 1
    assert world.charges.count("salesfinity", person.linkedin_name or "", "personal") == 1


def test_an_event_purchase_hides_nothing(world: World, harness: Harness) -> None:
    """The mark is checked before it moves, and the balance before it is stored."""
    lookups, lensmor = harness.other(email_only("salesfinity")), harness.other(email_only())
    backup = _ready(world, lookups)
    person = world.person()
    lead = world.lead(person)
    lookups.other().sync()
    backup.restore()
    world.edit(lead, Email=None, Enriched_At__c=None, Enrichment_Requested__c=True)
    for event in ("52001", "52002"):
        with buyer(lensmor) as buying:
            buying.buy(event, 2000)
    assert lookups.other().sync().outcomes == {Outcome.DEFERRED: 1}
    assert world.charges.count("salesfinity", person.linkedin_name or "", "work") == 1


def test_charges_stay_counted_when_an_event_command_reads_the_balance_first(world: World, lensmor: Harness) -> None:
    backup = _ready(world, lensmor)
    for _ in range(3):
        world.lead(world.person())
    lensmor.other().sync()
    backup.restore()
    lensmor.limits = {"lensmor": AccountLimits(day=60)}
    with buyer(lensmor, AccountLimits(day=1)) as buying:
        buying.buy("52001", 2000)  # its cap refuses it
    for _ in range(3):
        world.lead(world.person())
    lensmor.other().sync()
    assert world.ours("lensmor") == 60


def test_a_running_run_stops_buying_when_a_copy_is_detected(world: World, lensmor: Harness) -> None:
    """Another process detected the copy: this run has not read its planned people at the vendor."""
    world.lead(world.person())
    with lensmor.services() as services, services.ledger.hold_run_lock():
        usual = services.crm.select

        def noticed(selection: Selection) -> Iterator[list[CrmRecord]]:
            services.ledger.restored.begin(Restored(world.clock.now(), "a sign"), [], world.clock.now())
            return usual(selection)

        services.crm.select = noticed  # type: ignore[method-assign]
        report = run_pass(services, RunSpec("sync", lensmor.mappings, {}))
    assert report.outcomes == {Outcome.DEFERRED: 1}
    assert world.paid_posts() == 0
    assert report.exit_code == 4


def test_a_ledger_replaced_during_a_run_buys_nothing_more(world: World, lensmor: Harness) -> None:
    backup = _ready(world, lensmor)
    world.lead(world.person())
    lensmor.other().sync()
    with lensmor.other().ledger() as ledger:
        hold = MarkedHold(10_000, "a" * 32)
        backup.restore()
        with pytest.raises(OlderCopyError):
            ledger.mark.advance(hold, ledger.database)
    assert len(found(lensmor.other().sync())) == 1


def test_a_stamp_from_a_clock_ahead_is_no_sign(world: World, lensmor: Harness) -> None:
    world.clock.set(hours=3)
    lead = world.lead(world.person())
    lensmor.sync()
    world.clock.set(hours=-3)
    for hours in (0.1, 0.1, 4, 1):
        world.clock.advance(hours=hours)
        world.lead(world.person())
        world.flag(lead)
        assert not found(lensmor.other().sync()), hours


def test_a_future_stamp_by_a_person_is_no_sign(world: World, lensmor: Harness) -> None:
    world.lead(world.person())
    lensmor.sync()
    world.lead(world.person(), Enriched_At__c="2031-01-01T10:00:00.000+0000")
    assert not found(lensmor.other().sync())


def test_a_plan_keeps_its_ceiling_despite_other_charges(world: World, lensmor: Harness) -> None:
    backup = _ready(world, lensmor)
    for _ in range(4):
        world.lead(world.person())
    lensmor.other().sync()
    backup.restore()
    leads = [world.lead(world.person()) for _ in range(3)]
    report = lensmor.other().apply(lensmor.other().plan())
    assert report.outcomes == {Outcome.DELIVERED: 3}
    assert all(world.get(lead)["Email"] for lead in leads)


def test_reads_before_purchases_respect_the_budget(world: World, lensmor: Harness) -> None:
    _restored(world, lensmor)
    world.clock.advance(days=1)
    for _ in range(260):
        world.lead(world.person())
    lensmor.limits = {"lensmor": AccountLimits(day=15)}
    before = world.lensmor.requests.count("getPersonnelProfile")
    waited = world.clock.waited_s
    report = lensmor.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 259}
    assert world.lensmor.requests.count("getPersonnelProfile") - before <= 200, "two batches at most"
    assert world.clock.waited_s - waited < 300


def test_a_forecast_shows_withheld_purchases(world: World, harness: Harness) -> None:
    salesfinity = harness.other(email_only("salesfinity"))
    backup = _ready(world, salesfinity)
    world.lead(world.person())
    salesfinity.other().sync()
    backup.restore()
    world.lead(world.person())
    with salesfinity.other().services() as services:
        run = Run(services, "plan", salesfinity.mappings, world.clock.now())
        restrict_forecast(run)
        shown = preview(run, {}, Spool())
    assert any("connector ledger trust salesfinity" in note for note in shown.notes)
    with salesfinity.ledger() as ledger:
        assert ledger.restored.state() is None, "a forecast has no effect"
    salesfinity.other().sync()


def _ready(world: World, harness: Harness) -> Backup:
    """A ledger with one purchase, and its backup."""
    world.lead(world.person())
    harness.sync()
    world.clock.advance(minutes=30)
    return Backup(harness)


def _restored(world: World, harness: Harness) -> None:
    """Restore an older copy of the ledger and let a run detect it."""
    backup = _ready(world, harness)
    world.lead(world.person())
    harness.other().sync()
    backup.restore()
    assert len(found(harness.other().sync())) == 1


def test_an_unreadable_record_proves_nothing(world: World, lensmor: Harness) -> None:
    """Once the record is readable and shows no purchase, the person is bought."""
    _restored(world, lensmor)
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "getPersonnelProfile", "wrong_types", times=2)
    lensmor.other().syncs(8, minutes=20)
    assert world.get(lead)["Email"] == person.email
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1
