"""Old closed records and runs are condensed to sums; later decisions stay as they would have been."""

from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only, mapping, personal_only, reasons_of

from connector.app.past_runs import find_run, with_details
from connector.app.plans import check_age
from connector.core.errors import ConfigurationError
from connector.core.mapping import MappingFile
from connector.core.model import Outcome
from connector.crm.salesforce.ids import spellings
from connector.engine.undo import undo
from connector.store import retention
from connector.store import tables as t

KEEP_DAYS = 400  # the default
ALWAYS = {"refresh_after": "1500d", "retry_not_found_after": "1500d"}
DETAILS = (t.record, t.record_channel, t.change, t.run_record)


def rows(harness: Harness, *tables: sa.Table) -> dict[str, int]:
    """The number of rows of each table."""
    with harness.ledger() as ledger, ledger.database.read() as connection:
        count = sa.select(sa.func.count())
        return {one.name: int(connection.scalar(count.select_from(one)) or 0) for one in tables or DETAILS}


def sums(harness: Harness) -> dict[tuple[str, str, str], int]:
    """The sums by mapping, channel and outcome."""
    with harness.ledger() as ledger:
        return {(one.mapping, one.channel, one.outcome): one.count for one in ledger.retention.sums()}


def condensed_later(harness: Harness, *mappings: MappingFile, days: float = KEEP_DAYS + 1) -> Harness:
    """Let time pass, and make one run, which condenses what is old by then."""
    harness.world.clock.advance(days=days)
    later = harness.other(*mappings)
    later.sync()
    return later


def facts(harness: Harness, *names: str) -> Mapping[str, object]:
    """Figures that retention must not change."""
    with harness.ledger() as ledger, ledger.database.read() as connection:
        every = {
            "months": ledger.credits.by_month(),
            "values": ledger.credits.cost_of_values(),
            "totals": ledger.credits.totals(),
            "entries": [tuple(row) for row in connection.execute(sa.select(t.entry))],
            "purchases": [tuple(row) for row in connection.execute(sa.select(t.purchase))],
        }
    return {name: every[name] for name in names or every}


# -- the sums ---------------------------------------------------------------------------------------------------


def test_closed_records_are_condensed_after_their_time(world: World, harness: Harness) -> None:
    for _ in range(3):
        world.lead(world.person())
    world.lead(world.person(email=None, work_email=None))
    world.lead()
    run = harness.sync()
    before = facts(harness, "months", "values", "totals", "entries")
    condensed_later(harness, days=KEEP_DAYS - 1)
    assert rows(harness)["record"] == 5
    assert sums(harness) == {}
    later = condensed_later(harness, days=2)
    assert rows(harness) == dict.fromkeys(("record", "record_channel", "change", "run_record"), 0)
    assert {outcome: n for (_, channel, outcome), n in sums(harness).items() if not channel} == {
        str(outcome.value): n for outcome, n in run.outcomes.items() if n
    }
    for channel, by_outcome in run.channels.items():
        found = {outcome: n for (_, name, outcome), n in sums(harness).items() if name == channel}
        assert sum(found.values()) == sum(by_outcome.values()) == 5
    assert facts(harness, "months", "values", "totals", "entries") == before
    assert condensed_later(later, days=1).world.paid_posts() == world.paid_posts()
    assert sum(sums(harness).values()) == 15  # nothing is counted twice


def test_open_records_and_their_values_stay(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.org.add_validation("Lead", lambda _: True, code="FIELD_CUSTOM_VALIDATION_EXCEPTION", message="closed")
    harness = harness.other(email_only())
    assert harness.sync().outcomes == {Outcome.PARKED: 1}
    before = rows(harness)["record"]
    with harness.ledger() as ledger:
        now = world.clock.now()
        assert ledger.retention.condense(now.replace(year=now.year + 2), now).records == 0
    assert rows(harness)["record"] == before == 1


def test_a_record_that_an_undo_restored_stays_for_its_own_time(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    run = harness.sync()
    world.clock.advance(days=20)
    with harness.services() as services, services.ledger.hold_run_lock():
        undo(services, run.run_id)
    assert world.get(lead)["Email"] is None
    condensed_later(harness, days=KEEP_DAYS - 19)
    assert rows(harness)["record"] == 1
    condensed_later(harness, days=20)
    assert rows(harness)["record"] == 0


def test_a_stopped_call_continues_without_counting_twice(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        world.lead(world.person())
    harness = harness.other(email_only())
    harness.sync()
    world.clock.advance(days=KEEP_DAYS + 1)
    monkeypatch.setattr(retention, "RECORDS_AT_ONCE", 1)
    statements = list(retention._DELETE)
    monkeypatch.setattr(retention, "_DELETE", [*statements[:3], _Fails(statements[3], after=2)])
    with harness.ledger() as ledger:
        ledger.erase_expired(world.clock.now())
        with pytest.raises(RuntimeError):
            ledger.retention.condense(world.clock.now(), world.clock.now())
    assert rows(harness)["record"] + sums(harness)["lead", "", "delivered"] == 4
    assert sums(harness)["lead", "", "delivered"] == 2
    monkeypatch.setattr(retention, "_DELETE", statements)
    harness.other().sync()
    assert rows(harness)["record"] == 0
    assert sums(harness) == {("lead", "", "delivered"): 4, ("lead", "work_email", "delivered"): 4}


class _Fails:
    """A statement that cannot be executed after a number of executions."""

    def __init__(self, statement: object, after: int) -> None:
        self._statement, self._left = statement, after

    def _execute_on_connection(self, connection: sa.Connection, *args: object) -> object:
        self._left -= 1
        if self._left < 0:
            raise RuntimeError("the process dies here")
        return self._statement._execute_on_connection(connection, *args)  # type: ignore[attr-defined]


def test_a_call_does_a_bounded_part_and_records_that_stay_block_nothing(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [world.lead(world.person()) for _ in range(6)]
    harness = harness.other(email_only())
    harness.sync()
    with harness.ledger() as ledger, ledger.database.write() as connection:  # the first three stay for a reason
        stays = t.record.c.crm_id.in_(ids[:3])
        connection.execute(sa.update(t.record).where(stays).values(in_progress=True))
        # The oldest; all were closed together.
        connection.execute(sa.update(t.record).where(stays).values(closed_at=world.clock.now().replace(day=1)))
        connection.execute(sa.update(t.run).values(started_at=world.clock.now().replace(day=1)))
    monkeypatch.setattr(retention, "RECORDS_AT_ONCE", 2)
    monkeypatch.setattr(retention, "RECORDS_PER_CALL", 2)
    world.clock.advance(days=KEEP_DAYS + 30)
    left = []
    for _ in range(5):
        harness.other().sync()
        left.append(rows(harness)["record"])
    assert left == [6, 5, 3, 3, 3]


# -- later decisions --------------------------------------------------------------------------------------------


def test_a_value_that_was_received_counts_as_enriched(world: World, harness: Harness) -> None:
    person = world.person()
    contact = world.contact(person)
    harness = harness.other(personal_only(write="overwrite"))
    harness = harness.other(mapping("contact", channels=_channels(harness), limits=ALWAYS))
    harness.sync()
    later = condensed_later(harness)
    assert rows(harness)["record"] == 0
    world.edit(contact, Personal_Email__c="by.hand@example.com")
    world.flag(contact)
    report = later.other().sync()
    assert report.outcomes == {Outcome.SKIPPED: 1}
    assert "was enriched less than 1500 days ago" in str(reasons_of(report, "skipped"))
    assert world.get(contact)["Personal_Email__c"] == "by.hand@example.com"
    assert world.paid_posts() == 1


def _channels(harness: Harness) -> dict[str, object]:
    (found,) = harness.mappings.values()
    return found.channels.model_dump(by_alias=True, exclude_none=False)


def test_a_deleted_value_and_a_second_record_are_written_at_no_cost(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(mapping("lead", limits=ALWAYS))
    harness.sync()
    later = condensed_later(harness)
    assert rows(harness)["record"] == 0
    world.edit(lead, Email=None, Enrichment_Requested__c=True)
    second = world.lead(person)
    assert later.other().sync().outcomes == {Outcome.DELIVERED: 2}
    assert world.get(lead)["Email"] == world.get(second)["Email"] == person.email
    assert world.paid_posts() == 2
    world.flag(lead)
    assert later.other().sync().outcomes == {Outcome.SKIPPED: 1}
    assert world.paid_posts() == 2


def test_refresh_after_allows_a_new_purchase_as_before(world: World, harness: Harness) -> None:
    person = world.person()
    world.bought_again.add(("salesfinity", str(person.linkedin_name), "personal"))
    contact = world.contact(person)
    harness = harness.other(personal_only(write="overwrite"))
    harness.sync()
    later = condensed_later(harness)
    world.flag(contact)
    assert later.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.ours("salesfinity") == 2
    world.flag(contact)
    assert later.other().sync().outcomes == {Outcome.SKIPPED: 1}
    assert world.ours("salesfinity") == 2


def test_not_found_is_not_asked_again_within_its_period(world: World, harness: Harness) -> None:
    lead = world.lead(world.person(work_email=None))
    channels = email_only("salesfinity").channels.model_dump(by_alias=True)
    harness = harness.other(mapping("lead", channels=channels, limits=ALWAYS))
    assert harness.sync().outcomes == {Outcome.NOT_FOUND: 1}
    later = condensed_later(harness)
    posts = world.paid_posts()
    world.flag(lead)
    assert later.other().sync().outcomes == {Outcome.NOT_FOUND: 1}
    assert world.paid_posts() == posts


def test_an_opt_out_still_counts(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    harness = harness.other(email_only(opt_out="HasOptedOutOfEmail"))
    harness.sync()
    later = condensed_later(harness)
    world.edit(lead, Email=None, HasOptedOutOfEmail=True, Enrichment_Requested__c=True)
    assert later.other().sync().outcomes == {Outcome.SKIPPED: 1}
    assert world.get(lead)["Email"] is None
    assert world.paid_posts() == 1


def test_a_status_in_progress_of_this_ledger_stays_known(world: World, harness: Harness) -> None:
    """Otherwise its records would be deferred for ever, as those of another ledger."""
    leads, contacts = harness.other(email_only("salesfinity")), harness.other(email_only(name="contact"))
    person = world.person()
    world.bought_again.add(("salesfinity", str(person.linkedin_name), "work"))
    lead = world.lead(person)
    world.salesfinity.lookup_seconds = 600
    leads.wait_s = 30
    leads.sync()
    assert world.get(lead)["Email_Unlock_Status__c"] == "In progress"
    world.edit(lead, Enrichment_Requested__c=False)
    with contacts.ledger() as ledger:
        assert ledger.overdue.release("lead", world.clock.now()) == 1
    world.clock.advance(days=1)
    contacts.other().sync()
    condensed_later(contacts)
    world.flag(lead)
    leads.wait_s = 3600
    assert leads.other().sync().outcomes == {Outcome.DELIVERED: 1}


def test_a_value_that_the_crm_never_accepts_stays_known(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.org.add_validation(
        "Lead",
        lambda record: record.get("Email") is not None,
        code="INVALID_EMAIL_ADDRESS",
        message="invalid email address",
        fields=("Email",),
    )
    harness = harness.other(mapping("lead", channels=email_only().channels.model_dump(by_alias=True), limits=ALWAYS))
    first = harness.sync()
    unusable = rows(harness, t.unusable_value)
    later = condensed_later(harness)
    assert rows(harness)["record"] == 0
    assert rows(harness, t.unusable_value) == unusable == {"unusable_value": 1}
    world.flag(lead)
    assert later.other().sync().outcomes == first.outcomes
    assert world.paid_posts() == 1


def test_the_last_write_stays_known(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness.sync()
    with harness.ledger() as ledger:
        last = ledger.restored.last_write()
    condensed_later(harness)
    assert rows(harness)["change"] == 0
    with harness.ledger() as ledger:
        assert last is not None
        assert ledger.restored.last_write() == last


def test_a_condensed_sync_does_not_count_as_usual(world: World, harness: Harness) -> None:
    for _ in range(3):
        world.lead(world.person())
        harness.other().sync()
        world.clock.advance(minutes=1)
    with harness.ledger() as ledger:
        assert ledger.run_outcomes.usual_selection("lead", 10) == [1, 1, 1]
    condensed_later(harness)
    with harness.ledger() as ledger:
        assert ledger.run_outcomes.usual_selection("lead", 10) == [0]  # the run that condensed them


# -- runs, plans and forgotten records --------------------------------------------------------------------------


def test_a_condensed_run_keeps_its_sums_and_says_so(world: World, harness: Harness) -> None:
    world.lead(world.person())
    world.lead()
    run = harness.sync()
    condensed_later(harness)
    with harness.ledger() as ledger:
        found = find_run(ledger, run.run_id)
        assert found.report is not None
        assert found.report["outcomes"] == run.to_json()["outcomes"]
        assert (found.report["reasons"], found.report["attention"]) == ({}, [])
        assert found.condensed == (
            f"the details of run {run.run_id} were condensed on {world.clock.now():%Y-%m-%d}, 401 days after it ended "
            "(CONNECTOR_KEEP_DAYS); its sums are kept"
        )
        with pytest.raises(ConfigurationError, match=f"connector show {run.run_id}"):
            with_details(found)
        latest = find_run(ledger, "latest")
        assert latest.condensed == ""
        assert with_details(latest) is latest


def test_a_run_is_condensed_before_its_records_are(world: World, harness: Harness) -> None:
    """Otherwise an export would lack some records and not say so."""
    world.lead(world.person())
    run = harness.sync()
    with harness.ledger() as ledger:
        ends, now = world.clock.now(), world.clock.now()
        ledger.erase_expired(ends.replace(year=2031))
        with ledger.database.write() as connection:  # it ended later than its records were closed
            later = sa.update(t.run).where(t.run.c.id == run.run_id).values(finished_at=ends.replace(year=2030))
            connection.execute(later)
        assert ledger.retention.condense(ends.replace(year=2028), now) == retention.Condensed(0, 0)
        assert len(list(ledger.run_outcomes.outcomes(run.run_id))) == 1
        assert ledger.retention.condense(ends.replace(year=2031), now) == retention.Condensed(1, 1)


def test_a_plan_from_before_the_retention_is_refused(world: World, harness: Harness) -> None:
    world.lead(world.person())
    plan = harness.plan()
    world.clock.advance(days=KEEP_DAYS)
    check_age(plan.terms, world.clock.now(), KEEP_DAYS)
    world.clock.advance(seconds=1)
    with pytest.raises(ConfigurationError, match="more than 400 days ago"):
        check_age(plan.terms, world.clock.now(), KEEP_DAYS)


def test_a_condensed_record_is_forgotten(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person, Lensmor_Personnel_Id__c=None)
    harness.sync()
    condensed_later(harness)
    assert rows(harness, t.received_value, t.identity_match) == {"received_value": 2, "identity_match": 1}
    with harness.ledger() as ledger:
        assert ledger.operator.forget([lead], spellings) == 2
    assert rows(harness, t.received_value, t.identity_match) == {"received_value": 0, "identity_match": 0}
