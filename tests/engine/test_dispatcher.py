"""The dispatcher of both drivers: requests, the schedule, delegated runs, and records left open."""

from contextlib import ExitStack, nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only, mapping, with_ceiling
from service_harness import ServiceHarness

from connector.app import delegation
from connector.core.errors import ConfigurationError, DownError, LockedError
from connector.core.frozen import FrozenPlan
from connector.core.mapping import MappingFile
from connector.engine import sync
from connector.engine.context import Silent
from connector.engine.sync import RunSpec
from connector.store import tables as t
from connector.store.inbox import RequestState
from connector.store.jobs import Jobs
from connector.store.workers import WorkerRow


@pytest.fixture
def harness(harness: Harness) -> Harness:
    return harness.other(unscheduled())


@pytest.fixture
def service(harness: Harness) -> ServiceHarness:
    return ServiceHarness(harness)


def unscheduled(**changes: object) -> MappingFile:
    return mapping("lead", schedule=None, **changes)


def emails_only(**changes: object) -> MappingFile:
    found = email_only("lensmor").channels.model_dump(by_alias=True, exclude_none=True)
    channels = {"work_email": None, "phone": None, "personal_email": None, **found}
    return unscheduled(channels=channels, **changes)


def scheduled(cron: str = "*/15 * * * *") -> MappingFile:
    return mapping("lead", schedule=cron)


class TestRequests:
    def test_a_record_needs_no_flag(self, world: World, service: ServiceHarness) -> None:
        person = world.person()
        lead = world.lead(person, Enrichment_Requested__c=False)
        service.ask(lead)
        assert service.request_state().state == "waiting"
        assert service.work() == 1
        assert world.get(lead)["Email"] == person.email
        assert service.request_state() == RequestState({"done": 1}, {"delivered": 1})
        assert service.work() == 0

    def test_the_same_request_again_buys_nothing(self, world: World, service: ServiceHarness) -> None:
        lead = world.lead(world.person(), Enrichment_Requested__c=False)
        assert service.ask(lead)
        service.work()
        posts = world.paid_posts()
        assert not service.ask(lead)
        assert service.work() == 0
        assert service.ask(lead, request_id="r2")  # a new request is planned, and everything is there already
        service.work()
        assert world.paid_posts() == posts
        assert service.request_state("r2").states == {"done": 1}

    def test_simultaneous_requests_are_one_run(self, world: World, service: ServiceHarness) -> None:
        for number in range(5):
            service.ask(world.lead(world.person(), Enrichment_Requested__c=False), request_id=f"r{number}")
        assert service.work() == 1
        assert service.commands() == ["trigger"]

    def test_the_mappings_condition_and_opt_outs_apply(self, world: World, service: ServiceHarness) -> None:
        converted = world.lead(world.person(), Enrichment_Requested__c=False, IsConverted=True)
        opted = world.lead(world.person(), HasOptedOutOfEmail=True, DoNotCall=True)
        service.ask(converted, opted, "00Q000000000009")
        service.work()
        assert world.paid_posts() == 0
        assert service.request_state() == RequestState({"done": 3}, {"skipped": 3})

    def test_deferred_requests_are_retried_for_a_week(self, world: World, harness: Harness) -> None:
        service = ServiceHarness(harness.other(unscheduled(limits={"max_credits": {"lensmor": 0, "salesfinity": 0}})))
        lead = world.lead(world.person(), Enrichment_Requested__c=False)
        service.ask(lead)
        service.work()
        assert service.request_state() == RequestState({"working": 1}, {"deferred": 1})
        assert service.work() == 0
        world.clock.advance(minutes=15)
        assert service.work() == 1
        world.clock.advance(days=7, minutes=1)
        with service.dispatcher() as dispatcher:
            dispatcher.purge()
        assert service.request_state() == RequestState({"done": 1}, {"deferred": 1})

    def test_a_raised_cap_finishes_a_deferred_request(self, world: World, harness: Harness) -> None:
        person = world.person()
        lead = world.lead(person, Enrichment_Requested__c=False)
        service = ServiceHarness(harness.other(unscheduled(limits={"max_credits": {"lensmor": 0, "salesfinity": 0}})))
        service.ask(lead)
        service.work()
        world.clock.advance(minutes=15)
        later = ServiceHarness(harness)
        later.work()
        assert world.get(lead)["Email"] == person.email
        assert later.request_state().states == {"done": 1}

    def test_a_failed_login_costs_nothing_and_is_retried(self, world: World, service: ServiceHarness) -> None:
        lead = world.lead(world.person(), Enrichment_Requested__c=False)
        service.ask(lead)
        service.broken = DownError("Salesforce cannot be reached")
        assert service.work() == 1
        assert service.work() == 0  # the retry waits
        assert service.request_state().outcomes == {"deferred": 1}
        service.broken = None
        world.clock.advance(minutes=1)
        service.work()
        assert service.request_state() == RequestState({"done": 1}, {"delivered": 1})

    def test_an_outage_before_a_read_loses_no_request(self, world: World, service: ServiceHarness) -> None:
        person = world.person()
        lead = world.lead(person, Enrichment_Requested__c=False)
        with service.dispatcher() as dispatcher:
            dispatcher.work("lead")
            service.ask(world.lead(world.person()), request_id="r0")
            dispatcher.work("lead")  # the login and the fields are checked now
            service.ask(lead)
            world.arm("salesforce", "query", "status", times=50, status=503)
            dispatcher.work("lead")
        assert service.request_state() == RequestState({"working": 1}, {"deferred": 1})
        world.faults.clear()
        world.clock.advance(minutes=1)
        service.work()
        assert world.get(lead)["Email"] == person.email
        assert service.request_state() == RequestState({"done": 1}, {"delivered": 1})

    def test_a_request_during_a_run_gets_its_own_read(self, world: World, harness: Harness) -> None:
        service = ServiceHarness(harness.other(emails_only()))
        person = world.person()
        lead = world.lead(person, HasOptedOutOfEmail=True)
        world.lead(world.person())
        world.lensmor.task_seconds = 300.0

        def change_their_mind() -> None:
            world.edit(lead, HasOptedOutOfEmail=False)
            service.ask(lead)

        world.clock.at(120, change_their_mind)
        service.harness.sync()  # skips the record at its start
        assert service.request_state().state == "waiting"
        service.work()
        assert world.get(lead)["Email"] == person.email
        assert service.request_state() == RequestState({"done": 1}, {"delivered": 1})

    def test_a_stopping_process_buys_no_more_and_loses_nothing(self, world: World, service: ServiceHarness) -> None:
        lead = world.lead(world.person(), Enrichment_Requested__c=False)
        service.ask(lead)
        service.stopping = True
        service.work()
        assert world.paid_posts() == 0
        assert service.request_state().states == {"working": 1}
        service.stopping = False
        world.clock.advance(minutes=15)
        service.work()
        assert service.request_state() == RequestState({"done": 1}, {"delivered": 1})


class TestPolls:
    def test_a_slow_task_is_finished_by_later_polls(self, world: World, harness: Harness) -> None:
        harness.wait_s = 10.0
        service = ServiceHarness(harness.other(emails_only()))
        person = world.person()
        world.lensmor.task_seconds = 400.0
        lead = world.lead(person, Enrichment_Requested__c=False)
        service.ask(lead)
        service.work()
        assert world.get(lead)["Email"] is None
        for _ in range(20):
            world.clock.advance(minutes=1)
            service.work()
        assert world.get(lead)["Email"] == person.email
        assert service.request_state() == RequestState({"done": 1}, {"delivered": 1})
        assert set(service.commands()) <= {"trigger", "finish"}

    def test_polls_back_off_while_nothing_changes(self, world: World, harness: Harness) -> None:
        harness.wait_s = 10.0
        service = ServiceHarness(harness.other(emails_only()))
        world.lensmor.task_seconds = 10_000_000.0
        world.lead(world.person())
        service.harness.sync()
        with service.dispatcher() as dispatcher:
            for _ in range(2 * 60):
                world.clock.advance(minutes=1)
                while dispatcher.due():
                    dispatcher.work("lead")
        assert 8 <= service.commands().count("finish") <= 14  # in two hours

    def test_no_poll_without_open_work(self, world: World, service: ServiceHarness) -> None:
        world.lead(world.person())
        service.harness.sync()
        world.clock.advance(days=1)
        assert service.work() == 0


class TestSchedule:
    def test_a_sync_starts_on_schedule(self, world: World, harness: Harness) -> None:
        service = ServiceHarness(harness.other(scheduled()))
        lead = world.lead(world.person())
        assert service.work() == 0  # the schedule starts counting now
        world.clock.advance(minutes=14)
        assert service.work() == 0
        world.clock.advance(minutes=1)
        assert service.work() == 1
        assert service.commands() == ["sync"]
        assert world.get(lead)["Email"] is not None

    def test_missed_ticks_count_once(self, world: World, harness: Harness) -> None:
        service = ServiceHarness(harness.other(scheduled()))
        service.work()
        world.clock.advance(hours=5)
        assert service.work() == 1
        assert service.work() == 0

    def test_a_tick_of_a_dead_process_is_made_by_the_next(self, world: World, harness: Harness) -> None:
        service = ServiceHarness(harness.other(scheduled()))
        service.work()
        lead = world.lead(world.person())
        world.clock.advance(minutes=15)
        with service.dispatcher() as dispatcher:
            assert dispatcher.due() == ["lead"]  # the tick is claimed, and then the process dies
        service.work()
        assert world.get(lead)["Email"] is not None

    def test_a_tick_uses_the_current_mapping(self, world: World, harness: Harness) -> None:
        """The file changed meanwhile: after a crash, a process often starts with a newer mapping."""
        service = ServiceHarness(harness.other(scheduled()))
        service.work()
        lead = world.lead(world.person())
        world.clock.advance(minutes=15)
        with service.dispatcher() as dispatcher:
            assert dispatcher.due() == ["lead"]
        changed = mapping("lead", schedule="*/15 * * * *", limits={"max_credits": {"lensmor": 10_000}})
        ServiceHarness(harness.other(changed)).work()
        assert world.get(lead)["Email"] is not None

    def test_two_processes_make_one_sync_of_a_tick(self, world: World, harness: Harness) -> None:
        service = ServiceHarness(harness.other(scheduled()))
        service.work()
        world.clock.advance(minutes=15)
        with service.dispatcher() as one, service.dispatcher() as other:
            assert one.due() == other.due() == ["lead"]
        assert service.work() == 1


class TestYielding:
    def test_nothing_starts_while_a_command_requests_the_lock(self, world: World, service: ServiceHarness) -> None:
        service.ask(world.lead(world.person(), Enrichment_Requested__c=False))
        with service.dispatcher() as dispatcher, service.harness.ledger() as ledger:
            with ledger.locks.request_yield(), pytest.raises(LockedError, match="another command"):
                dispatcher.work("lead")
            assert service.commands() == []
            assert dispatcher.work("lead")
        assert service.request_state().state == "done"

    def test_a_running_run_stops_waiting_for_vendors(self, world: World, service: ServiceHarness) -> None:
        world.lensmor.task_seconds = 900
        lead = world.lead(world.person(), Enrichment_Requested__c=False)
        service.ask(lead)
        with service.dispatcher() as dispatcher, service.harness.ledger() as ledger, ExitStack() as wanted:
            world.clock.at(60, lambda: wanted.enter_context(ledger.locks.request_yield()))
            began = world.clock.now()
            dispatcher.work("lead")
            assert world.clock.now() - began < timedelta(seconds=300)
        world.clock.advance(minutes=16)
        service.work()
        assert world.get(lead)["Email"] is not None
        assert world.paid_posts() == 2


class TestHelperRuns:
    def help(self, service: ServiceHarness, run_id: str, *driven: str) -> None:
        """Help for a few polls while another process holds the run lock of these mappings."""
        polls = iter(range(6))
        leading = service.harness.ledger() if driven else nullcontext()
        with (
            leading as ledger,
            ledger.hold_run_lock(driven) if ledger else nullcontext(),
            service.dispatcher() as dispatcher,
        ):
            dispatcher._dependencies = replace(dispatcher._dependencies, stopping=lambda: next(polls, None) is None)
            dispatcher.assist(run_id)

    def begin(self, harness: Harness, plan: FrozenPlan | None = None) -> str:
        """Start a run that plans a full batch and buys nothing yet; returns its id."""
        with harness.services() as services:
            spec = RunSpec("apply" if plan else "sync", harness.mappings, {}, plan)
            run = sync._begin(replace(services, shared=True), spec)
            sync._take_up(run, spec)
        return run.id

    def test_a_helper_buys_full_batches(self, world: World, harness: Harness) -> None:
        for _ in range(100):
            world.lead(world.person())
        harness = harness.other(emails_only())
        run_id = self.begin(harness)
        self.help(ServiceHarness(harness), run_id)
        assert world.ours("lensmor") == 0  # the run's leader is dead, so the run starts again instead
        self.help(ServiceHarness(harness), run_id, "lead")
        assert world.ours("lensmor") == 100 * 15

    def test_no_help_with_a_frozen_plan(self, world: World, harness: Harness) -> None:
        for _ in range(100):
            world.lead(world.person())
        harness = harness.other(emails_only())
        plan = with_ceiling(harness.plan(), 15)
        self.help(ServiceHarness(harness), self.begin(harness, plan), "lead")
        assert world.paid_posts() == 0

    def test_no_help_with_another_version_of_the_mapping(self, world: World, harness: Harness) -> None:
        """The other version may have other caps."""
        for _ in range(100):
            world.lead(world.person())
        harness = harness.other(emails_only())
        run_id = self.begin(harness)
        with (
            harness.services() as services,
            services.ledger.locks.present("another"),
            services.ledger.hold_run_lock(["else"]),
        ):
            other = WorkerRow("another", "worker", {"lead": "another version"})
            services.ledger.worker_list.report_alive(other, world.clock.now())
            self.help(ServiceHarness(harness), run_id)
        assert world.paid_posts() == 0

    def test_a_run_does_not_wait_for_tasks_of_a_concurrent_run(self, world: World, harness: Harness) -> None:
        with harness.services() as services:
            ledger, now = services.ledger, world.clock.now()
            mine, other = (ledger.runs.start("sync", [name], now) for name in ("lead", "contact"))
            attempt = {"provider": "lensmor", "account": "default", "channel": "work_email", "run_id": other}
            with ledger.database.write() as connection:
                sent = {"id": "a", "owner": "o", "state": "submitted", "size": 1, "budget_day": "2026-11-20"}
                connection.execute(sa.insert(t.attempt).values(**attempt, **sent, created_at=now))
                task = {"provider_task_id": "v", "attempt_id": "a", "state": "open", "next_poll_at": now}
                connection.execute(sa.insert(t.task).values(**attempt, **task, submitted_at=now))
            polls, until = ledger.polls, world.clock.later(60)
            assert polls.next_due(mine, now, ["lensmor"], now, until) is None
            assert polls.next_due(other, now, ["lensmor"], now, until) == now
            ledger.runs.mark_crashed(now)  # any run waits for the tasks of a dead run
            assert polls.next_due(mine, now, ["lensmor"], now, until) == now


class TestDelegatedRuns:
    def delegate(self, harness: Harness, command: str, chosen: dict[str, Any] | None = None, **digests: str) -> str:
        known = {name: found.digest() for name, found in harness.mappings.items()} | digests
        with harness.ledger() as ledger:
            return ledger.jobs.delegate(command, known, chosen, harness.world.clock.now())

    def test_a_sync_is_made_and_its_report_stored(self, world: World, service: ServiceHarness) -> None:
        lead = world.lead(world.person())
        job_id = self.delegate(service.harness, "sync")
        assert service.work() == 1
        with service.harness.ledger() as ledger:
            found = ledger.jobs.find(job_id)
        assert found is not None
        assert found.state == "done"
        assert found.result is not None
        assert found.result["exit_code"] == 0
        assert found.result["report"]["outcomes"]["delivered"] == 1
        assert found.progress is not None
        assert found.progress["stage"] == "Writing to Salesforce"
        assert world.get(lead)["Email"] is not None

    def test_a_backfill_takes_the_chosen_records(self, world: World, service: ServiceHarness) -> None:
        meant, other = (world.lead(world.person(), Enrichment_Requested__c=False) for _ in range(2))
        self.delegate(service.harness, "backfill", {"where": None, "ids": [meant], "limit": None})
        service.work()
        assert world.get(meant)["Email"] is not None
        assert world.get(other)["Email"] is None

    def test_another_version_of_the_mapping_is_refused(self, world: World, service: ServiceHarness) -> None:
        world.lead(world.person())
        job_id = self.delegate(service.harness, "sync", lead="another")
        service.work()
        with service.harness.ledger() as ledger:
            found = ledger.jobs.find(job_id)
        assert found is not None
        assert found.result is not None
        assert found.result["exit_code"] == 2
        assert "restart it" in found.result["error"]
        assert world.paid_posts() == 0

    def test_an_error_reaches_the_requester(self, service: ServiceHarness) -> None:
        job_id = self.delegate(service.harness, "sync")
        service.broken = ConfigurationError("Lead: there is no field Email")
        service.work()
        with service.harness.ledger() as ledger:
            found = ledger.jobs.find(job_id)
        assert found is not None
        assert found.result == {"error": "Lead: there is no field Email", "exit_code": 2}

    def test_an_interrupted_run_is_continued(self, world: World, service: ServiceHarness) -> None:
        lead = world.lead(world.person())
        job_id = self.delegate(service.harness, "sync")
        service.stopping = True
        with service.dispatcher() as dispatcher:
            dispatcher.work("lead")
        assert world.get(lead)["Email"] is None
        service.stopping = False
        service.work()
        assert world.get(lead)["Email"] is not None
        with service.harness.ledger() as ledger:
            found = ledger.jobs.find(job_id)
        assert found is not None
        assert found.state == "done"

    def test_a_continued_backfill_keeps_its_limit(
        self, world: World, service: ServiceHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leads = [world.lead(world.person(), Enrichment_Requested__c=False) for _ in range(3)]
        self.delegate(service.harness, "backfill", {"where": "Email = null", "ids": None, "limit": 1})

        def end(*_args: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Jobs, "end", end)  # the process dies after the work, before it ends the job
            with service.dispatcher() as dispatcher, pytest.raises(KeyboardInterrupt):
                dispatcher.work("lead")
        assert sum(bool(world.get(lead)["Email"]) for lead in leads) == 1
        service.work()
        assert sum(bool(world.get(lead)["Email"]) for lead in leads) == 1
        assert world.paid_posts() == 2

    def test_a_continued_run_keeps_its_budget(
        self, world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = ServiceHarness(harness.other(emails_only(limits={"max_credits": {"lensmor": 30, "salesfinity": 0}})))
        for _ in range(5):
            world.lead(world.person())
        self.delegate(service.harness, "sync")

        def end(*_args: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Jobs, "end", end)
            with service.dispatcher() as dispatcher, pytest.raises(KeyboardInterrupt):
                dispatcher.work("lead")
        service.work()
        assert world.ours("lensmor") == 30

    def test_a_run_that_was_taken_over_leaves_its_records(self, world: World, service: ServiceHarness) -> None:
        """The server ended the session that held its lock, and another process took the run over."""
        world.lead(world.person())
        job_id = self.delegate(service.harness, "sync")
        service.harness.wait_s = 100.0
        service.has_locks = False
        with service.dispatcher() as dispatcher, service.dispatcher() as other:
            world.clock.at(2, lambda: other.work("lead"))
            with pytest.raises(LockedError, match="taken this run over"):
                dispatcher.work("lead")
        with service.harness.ledger() as ledger:
            found = ledger.jobs.find(job_id)
            assert [run.state for run in ledger.runs.newest()] == ["finished", "died"]
        assert found is not None
        assert found.state == "done"
        assert world.paid_posts() == 2

    def test_the_set_up_is_not_checked_for_each_run(self, world: World, service: ServiceHarness) -> None:
        with service.dispatcher() as dispatcher:
            for number in range(3):
                service.ask(world.lead(world.person(), Enrichment_Requested__c=False), request_id=f"r{number}")
                dispatcher.work("lead")
        assert service.checks == 1

    def test_workers_of_other_mappings_are_not_waited_for(
        self, world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The only worker with this mapping left, and another one stays."""
        polls: list[object] = []

        def workers(now: object) -> list[WorkerRow]:
            polls.append(now)
            assert len(polls) < 100
            return [WorkerRow("another", "worker", {"contact": "a digest"})]

        monkeypatch.setattr(delegation, "POLL_INTERVAL_S", 0.001)
        digests = {name: found.digest() for name, found in harness.mappings.items()}
        with harness.ledger() as ledger:
            monkeypatch.setattr(ledger, "workers", workers)
            assert delegation.delegate(ledger, "sync", digests, None, Silent(), world.clock) is None
            assert ledger.jobs.due(digests, world.clock.now(), 900.0) == []
