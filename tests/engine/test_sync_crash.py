"""The process dies at any point and is started again: nothing is bought twice, and every purchase is delivered."""

import pytest
import sqlalchemy as sa
from engine_crash import Crash, crash_in
from harness import Harness, World, email_only
from ledgers import journal_of

from connector.core.model import Outcome
from connector.crm.salesforce.site import SalesforceCrm
from connector.providers.lensmor.provider import Lensmor
from connector.providers.salesfinity.provider import Salesfinity
from connector.store.answers import Answers
from connector.store.records import Records
from connector.store.results import Results


def _die(harness: Harness, owner: type, name: str, *, after: bool, nth: int = 1) -> None:
    with crash_in(owner, name, after=after, nth=nth), pytest.raises(Crash):
        harness.sync()


def test_after_the_hold_is_committed_and_before_anything_is_sent(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    _die(harness, Lensmor, "submit", after=False)
    assert world.paid_posts() == 0
    reports = harness.syncs(most=8, minutes=16)
    assert reports[0].outcomes == {Outcome.UNKNOWN: 1}  # the ledger cannot know that it was never sent
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1


def test_after_the_effect_and_before_its_answer_is_committed(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only())
    _die(harness, Lensmor, "submit", after=True)
    assert world.paid_posts() == 1
    harness.syncs(most=4, minutes=16)
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 1


def test_after_the_answer_is_committed_and_before_the_first_poll(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    _die(harness, Answers, "accept", after=True, nth=2)
    world.clock.advance(minutes=1)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.credits["lensmor"].charged == 165
    assert world.get(lead)["Email"] == person.email
    assert world.paid_posts() == 2


def test_after_the_result_is_committed_and_before_the_write(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    _die(harness, SalesforceCrm, "update", after=False)
    assert world.org.updates_count("Lead", lead) == 0
    polls = world.lensmor.requests.count("getEmailUnlockTask")
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert world.lensmor.requests.count("getEmailUnlockTask") == polls
    assert world.paid_posts() == 2


def test_after_the_write_and_before_the_ledger_records_it(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    _die(harness, SalesforceCrm, "update", after=True)
    assert world.get(lead)["Email"] == person.email
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert report.crm["salesforce"].write_calls == 0
    assert world.org.updates_count("Lead", lead) == 1
    assert harness.other().sync().selected == 0


def test_after_a_result_and_before_its_record_is_updated(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    _die(harness, Results, "finalize", after=True)
    harness.syncs(most=4, minutes=16)
    assert world.get(lead)["Email"] is not None
    assert world.get(lead)["MobilePhone"] is not None
    assert world.paid_posts() == 2


def test_between_two_collections_of_a_large_write(world: World, harness: Harness) -> None:
    leads = [world.lead(world.person()) for _ in range(201)]
    world.lensmor.task_seconds = 1
    harness = harness.other(email_only())
    _die(harness, Records, "finish", after=True, nth=2)
    assert 0 < sum(bool(world.get(lead)["Email"]) for lead in leads) < 201
    report = harness.other().sync()
    assert all(world.get(lead)["Email"] for lead in leads)
    assert [world.org.updates_count("Lead", lead) for lead in leads] == [1] * 201
    assert set(report.outcomes) == {Outcome.DELIVERED}


def test_a_salesfinity_lookup_of_a_dead_process_is_unknown_and_not_repeated(world: World, harness: Harness) -> None:
    world.lead(world.person())
    harness = harness.other(email_only("salesfinity"))
    _die(harness, Salesfinity, "submit", after=True)
    world.clock.advance(hours=1)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 1}
    world.clock.advance(days=1)
    assert harness.other().sync().outcomes == {Outcome.UNKNOWN: 1}
    assert world.paid_posts() == 1


def test_an_unstorable_answer_is_journaled_and_adopted(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = world.person()
    lead = world.lead(person)
    harness = harness.other(email_only("salesfinity"))  # no other read could replace the answer

    def gone(*_args: object) -> None:
        raise sa.exc.OperationalError("", {}, Exception("disk I/O error"))

    monkeypatch.setattr(Answers, "accept", gone)
    with pytest.raises(sa.exc.OperationalError):
        harness.sync()
    monkeypatch.undo()
    (file,) = journal_of(harness.folder)
    assert "@" not in file.read_text()
    world.clock.advance(minutes=1)
    report = harness.other().sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.work_email
    assert not journal_of(harness.folder)
    assert world.paid_posts() == 1


def test_a_crashed_run_is_shown_as_such(world: World, harness: Harness) -> None:
    world.lead(world.person())
    _die(harness, Lensmor, "submit", after=False)
    harness.other().sync()
    with harness.ledger() as ledger:
        assert [run.state for run in ledger.runs.newest(5)] == ["finished", "died"]
