"""A wrong clock, or a clock set during a run: no run hangs, nothing is paid twice, and the change is reported."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only
from service_harness import ServiceHarness
from test_dispatcher import scheduled

from connector.core.model import Outcome
from connector.engine import purchase
from connector.engine.context import AccountLimits
from connector.engine.sync import RunSpec, run_pass
from connector.store import tables as t
from connector.store.attempts import Attempts

CORRECTED = "were too far in the future"


def _corrections(report_attention: object) -> list[str]:
    return [one.reason for one in report_attention if CORRECTED in one.reason]  # type: ignore[attr-defined]


def test_a_clock_an_hour_ahead_does_not_delay_the_next_sync(world: World, harness: Harness) -> None:
    world.clock.set(hours=1)
    world.lead(world.person())
    harness.other(email_only()).sync()
    world.clock.set(hours=-1)
    person = world.person()
    lead = world.lead(person)
    before = world.clock.waited_s
    report = harness.other(email_only()).sync()
    assert world.get(lead)["Email"] == person.email
    assert world.clock.waited_s - before < 60
    assert len(_corrections(report.attention)) == 1
    assert report.exit_code == 3
    assert not _corrections(harness.other(email_only()).sync().attention)


def test_a_poll_planned_in_a_year_is_made_now(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.task_seconds = 1200
    harness = harness.other(email_only())
    harness.wait_s = 30.0
    assert harness.sync().outcomes == {Outcome.WAITING: 1}
    _postpone(harness, t.task.c.next_poll_at, days=365)
    world.clock.advance(minutes=30)
    report = harness.other(email_only()).sync()
    assert report.outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email
    assert len(_corrections(report.attention)) == 1


def test_a_read_of_a_person_is_never_made_too_early(world: World, harness: Harness) -> None:
    """An early read could allow a repeat too early, so the read is due after the longest wait of its schedule."""
    person = world.person()
    lead = world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "drop_before")
    harness = harness.other(email_only())
    harness.wait_s = 10.0
    assert harness.sync().outcomes == {Outcome.UNKNOWN: 1}
    _postpone(harness, t.purchase.c.check_at, days=30)
    began = world.clock.now()
    reports = harness.other(email_only()).syncs(16, minutes=5)
    assert any(report.outcomes == {Outcome.DELIVERED: 1} for report in reports)
    assert world.get(lead)["Email"] == person.email
    reads = [
        entry.at - began.timestamp()
        for entry in world.lensmor.requests.entries
        if entry.operation == "getPersonnelProfile" and entry.at >= began.timestamp()
    ]
    assert reads[0] >= 895
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1


def test_a_purchase_postponed_for_a_month_leaves_after_fifteen_minutes(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    world.arm("lensmor", "submitEmailUnlock", "status", status=402)
    harness = harness.other(email_only())
    harness.wait_s = 10.0
    harness.sync()
    with harness.ledger() as ledger, ledger.database.write() as connection:
        connection.execute(sa.update(t.purchase).values(check_at=None))
    _postpone(harness, t.purchase.c.not_before, days=30)
    report = harness.other(email_only()).sync()
    assert len(_corrections(report.attention)) == 1
    world.clock.advance(minutes=16)
    harness.wait_s = 3600.0
    assert harness.other(email_only()).sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1


def test_cool_downs_from_the_future_begin_now(world: World, harness: Harness) -> None:
    """A wrong clock dated a result next year: the person can still be bought again before then."""
    person = world.person(email=None)
    lead = world.lead(person)
    harness = harness.other(email_only(name="lead"))
    world.clock.set(days=365)
    harness.sync()
    world.clock.set(days=-365)
    world.flag(lead)
    harness.other(email_only()).sync()
    with harness.ledger() as ledger, ledger.database.read() as connection:
        final_at = connection.execute(sa.select(t.purchase.c.final_at)).scalar_one()
    assert final_at <= world.clock.now()


def test_a_run_counts_only_its_own_purchases_after_a_correction(world: World, harness: Harness) -> None:
    world.clock.set(hours=1)
    world.lead(world.person())
    skewed = harness.other(email_only()).sync()
    world.clock.set(hours=-1)
    world.clock.advance(minutes=1)
    world.lead(world.person())
    report = harness.other(email_only()).sync()
    figures = report.purchases["lensmor"]["work_email"]
    assert (figures.bought, figures.credits) == (1, 15)
    with harness.ledger() as ledger:
        assert [run.id for run in ledger.runs.newest(2)] == [report.run_id, skewed.run_id]


def test_setting_the_clock_back_does_not_lengthen_a_run(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "stuck")
    harness = harness.other(email_only())
    harness.wait_s = 300.0
    world.clock.at(60, lambda: world.clock.set(hours=-5))
    report = harness.sync()
    assert report.outcomes == {Outcome.WAITING: 1}
    assert 240 <= world.clock.waited_s <= 301


def test_setting_the_clock_forward_does_not_shorten_a_run(world: World, harness: Harness) -> None:
    person = world.person()
    lead = world.lead(person)
    world.lensmor.task_seconds = 200
    harness = harness.other(email_only())
    harness.wait_s = 900.0
    world.clock.at(10, lambda: world.clock.set(hours=5))
    harness.sync()
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1
    world.simulator.lensmor.task_seconds = 0
    harness.other(email_only()).syncs(3)
    assert world.get(lead)["Email"] == person.email


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_request_that_waited_too_long_is_not_sent(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The process was suspended between the hold and the sending, and the clock was set meanwhile."""
    person = world.person()
    world.lead(person)
    usual = Attempts.may_send

    def after_a_pause(self: Attempts, batch: object) -> bool:
        found = usual(self, batch)  # type: ignore[arg-type]
        if not stood_still:
            stood_still.append(True)
            world.clock.advance(seconds=purchase.FENCE_S + 1)
            world.clock.set(hours=hours)
        return found

    stood_still: list[bool] = []
    monkeypatch.setattr(Attempts, "may_send", after_a_pause)
    with harness.other(email_only()).services() as services, services.ledger.hold_run_lock():
        run_pass(services, RunSpec("sync", harness.other(email_only()).mappings, {}))
    assert world.paid_posts() == 1, "the second try, with a hold of its own"
    assert world.charges.count("lensmor", person.personnel_id, "email") == 1


def test_a_clock_jump_alone_delays_no_request(world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    world.lead(world.person())
    usual = Attempts.may_send

    def after_a_jump(self: Attempts, batch: object) -> bool:
        world.clock.set(hours=1)
        return usual(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Attempts, "may_send", after_a_jump)
    given_back: list[object] = []
    monkeypatch.setattr(purchase, "_give_back", lambda *args, **_more: given_back.append(args))
    harness.other(email_only()).sync()
    assert not given_back


def test_a_daily_cap_counts_spend_under_a_clock_ahead(world: World, harness: Harness) -> None:
    """A clock one day ahead must not let one day spend the caps of two."""
    people = [world.person(), world.person()]
    for person in people:
        world.lead(person)
    mapping = email_only(name="lead")
    capped = mapping.model_copy(
        update={"limits": mapping.limits.model_copy(update={"max_credits_per_day": {"lensmor": 15}})}
    )
    world.clock.set(days=1)
    harness.other(capped).sync()
    world.clock.set(days=-1)
    harness.other(capped).sync()
    assert world.ours("lensmor") == 15


def test_a_clock_far_ahead_does_not_use_up_a_later_cap(world: World, harness: Harness) -> None:
    harness = harness.other(email_only())
    harness.limits = {"lensmor": AccountLimits(day=15)}
    world.clock.set(days=200)
    world.lead(world.person())
    harness.sync()
    world.clock.set(days=-200)
    person = world.person()
    lead = world.lead(person)
    assert harness.other().sync().outcomes == {Outcome.DEFERRED: 1}, "it counts on the day on which it is noticed"
    world.clock.advance(days=1)
    assert harness.other().sync().outcomes == {Outcome.DELIVERED: 1}
    assert world.get(lead)["Email"] == person.email


def test_a_schedule_with_a_future_tick_counts_from_now(world: World, harness: Harness) -> None:
    service = ServiceHarness(harness.other(scheduled()))
    service.work()
    world.clock.set(days=30)
    world.clock.advance(minutes=16)
    service.work()
    world.clock.set(days=-30)
    person = world.person()
    lead = world.lead(person)
    for _ in range(3):
        service.work()
        world.clock.advance(minutes=16)
    service.work()
    assert world.get(lead)["Email"] == person.email


def test_a_long_wait_prints_its_reason(world: World, harness: Harness) -> None:
    person = world.person()
    world.lead(person)
    world.lensmor.script(person.personnel_id, "email", "stuck")
    harness = harness.other(email_only())
    harness.wait_s = 120.0
    harness.sync()
    assert world.clock.reasons_to_wait == ["purchases of this run are not finished at lensmor"]


def test_a_wait_for_a_locked_row_prints_its_reason(world: World, harness: Harness) -> None:
    lead = world.lead(world.person())
    world.org.lock(lead, times=3)
    harness.other(email_only()).sync()
    assert any("locked" in reason for reason in world.clock.reasons_to_wait)


def test_identity_matches_from_the_future_expire_in_time(world: World, harness: Harness) -> None:
    person = world.person()
    world.clock.set(days=100)
    world.lead(person, Lensmor_Personnel_Id__c=None)
    harness.sync()
    world.clock.set(days=-100)
    harness.sync()
    with harness.ledger() as ledger, ledger.database.read() as connection:
        ahead = connection.scalars(
            sa.select(t.identity_match.c.at).where(t.identity_match.c.at > world.clock.now() + timedelta(1))
        )
        assert list(ahead) == []


def _postpone(harness: Harness, column: sa.Column[object], **ahead: float) -> None:
    """Move a stored time ahead, as a wrong clock does."""
    with harness.ledger() as ledger, ledger.database.write() as connection:
        moved = connection.execute(
            sa.update(column.table)
            .where(column.is_not(None))
            .values({column.name: harness.world.clock.now() + timedelta(**ahead)})
        )
        assert moved.rowcount > 0


def test_a_corrected_task_of_an_earlier_run_is_still_polled(world: World, harness: Harness) -> None:
    """Polled once as an older task, it then counted as one of this run, which waited for it without end."""
    leads = [world.lead(world.person())]
    world.lensmor.task_seconds = 60
    harness = harness.other(email_only())
    harness.wait_s = 1
    harness.sync()
    world.clock.advance(seconds=5)
    leads.append(world.lead(world.person()))
    later = harness.other()
    later.wait_s = 900
    world.clock.at(2, lambda: world.clock.set(hours=-1))
    assert later.sync().outcomes == {Outcome.DELIVERED: 2}
    assert all(world.get(lead)["Email"] for lead in leads)
