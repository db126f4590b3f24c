"""Which requests leave first, when tasks are polled, and how many people are looked up at the same time."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from harness import Harness, World, email_only

from connector.core.errors import DownError
from connector.core.identifiers import LINKEDIN
from connector.core.model import Identifier, IdentityMatch, Outcome
from connector.core.poll_times import PollSchedule
from connector.engine import lookups
from connector.engine.context import Run
from connector.engine.scheduler import Scheduler
from connector.engine.work_source import BUY, WorkSource
from connector.engine.worker_pool import WorkerPool
from connector.providers.interface import IdentityResult

SUBMIT, POLL, LOOK_UP = "submitEmailUnlock", "getEmailUnlockTask", "findPersonByLinkedin"
LINK_ONLY: dict[str, object] = {"Lensmor_Personnel_Id__c": None, "Lensmor_Event_Id__c": None}


def _operations(world: World) -> list[str]:
    return [one.operation for one in world.lensmor.requests.entries]


def test_all_planned_purchases_leave_before_a_poll(world: World, harness: Harness) -> None:
    for _ in range(250):
        world.lead(world.person())
    world.lensmor.task_seconds = 1
    harness.other(email_only()).sync()
    order = [one for one in _operations(world) if one in {SUBMIT, POLL}]
    assert order[:3] == [SUBMIT] * 3
    assert set(order[3:]) == {POLL}


def test_polls_are_left_out_until_such_tasks_usually_end(world: World, harness: Harness) -> None:
    world.lensmor.task_seconds = 50
    polls = []
    for _ in range(8):
        world.lead(world.person())
        before = world.lensmor.requests.count(POLL)
        harness.other(email_only()).sync()
        polls.append(world.lensmor.requests.count(POLL) - before)
    assert polls[0] == 5  # at 3, 8, 18, 38 and 58 seconds
    assert polls[-1] <= 2


def test_people_are_looked_up_in_batches(world: World, harness: Harness) -> None:
    for _ in range(2 * lookups.STORED_AT_ONCE + 10):
        world.lead(world.person(), **LINK_ONLY)
    statements = Counter[str]()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements[" ".join(statement.split()[:3])] += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        report = harness.other(email_only()).sync()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert report.outcomes == {Outcome.DELIVERED: 110}
    assert world.lensmor.requests.count(LOOK_UP) == 110
    assert statements["INSERT INTO identity_match"] == 3


def test_a_lookup_of_one_person_needs_few_statements_and_commits(world: World, harness: Harness) -> None:
    """Of a vendor with one person in each request; the difference of two runs is the cost of the further people."""
    found = []
    for people in (10, 40):
        for _ in range(people):
            world.lead(world.person())
        with _counted() as counts:
            report = harness.other(email_only("salesfinity")).sync()
        assert sum(report.outcomes.values()) == people
        found.append(counts)
    each = {name: (found[1][name] - found[0][name]) / 30 for name in ("statements", "commits")}
    assert each["commits"] <= 5.5
    assert each["statements"] <= 33


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """Count statements and commits."""
    counts = Counter[str]()

    def statement(*_: object) -> None:
        counts["statements"] += 1

    def commit(_connection: object) -> None:
        counts["commits"] += 1

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    sa.event.listen(sa.Engine, "commit", commit)
    try:
        yield counts
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", statement)
        sa.event.remove(sa.Engine, "commit", commit)


class Directory:
    """Answers lookups only when so many are made at the same time."""

    def __init__(self, at_once: int) -> None:
        self.barrier = threading.Barrier(at_once)

    def __call__(self, _identifier: Identifier) -> IdentityResult:
        self.barrier.wait(20)
        return IdentityResult(IdentityMatch(None))


def _waiting(count: int) -> lookups.Waiting:
    return {Identifier(LINKEDIN.name, f"person-{number}"): [] for number in range(count)}


def test_many_people_are_looked_up_at_the_same_time(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    with harness.run() as run, ThreadPoolExecutor(lookups.MOST_AT_ONCE) as threads:
        provider = run.services.providers["lensmor"]
        monkeypatch.setattr(provider, "resolve_identity", Directory(lookups.MOST_AT_ONCE))
        answers = lookups.resolve_identities(run, provider, _waiting(2 * lookups.MOST_AT_ONCE), threads)
        assert len(answers.found) == 2 * lookups.MOST_AT_ONCE


def test_a_vendor_that_is_down_is_asked_for_few_people_of_a_batch(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def down(identifier: Identifier) -> IdentityResult:
        asked.append(identifier.value)
        raise DownError("lensmor gives no answer")

    with harness.run() as run:
        provider = run.services.providers["lensmor"]
        monkeypatch.setattr(provider, "resolve_identity", down)
        answers = lookups.resolve_identities(run, provider, _waiting(40), None)
    assert (len(asked), len(answers.errors), answers.is_answered) == (3, 3, False)


def test_answers_that_came_before_a_fault_are_stored(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def second_fails(identifier: Identifier) -> IdentityResult:
        if identifier.value == "person-1":
            raise ZeroDivisionError
        return IdentityResult(IdentityMatch(None))

    with harness.run() as run:
        provider = run.services.providers["lensmor"]
        monkeypatch.setattr(provider, "resolve_identity", second_fails)
        with pytest.raises(ZeroDivisionError):
            lookups.resolve_identities(run, provider, _waiting(3), None)
        with run.services.ledger.database.read() as connection:
            stored = list(connection.scalars(sa.text("SELECT value FROM identity_match")))
    assert stored == ["person-0"]


def test_work_is_started_while_many_records_are_written(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purchase is planned and its pool is free, but the main thread writes."""
    world.lead(world.person())
    sent, writing = threading.Event(), threading.Event()
    with harness.run() as alone:
        run = Run(replace(alone.services, workers=4), alone.id, alone.mappings, alone.started_at)
        monkeypatch.setattr(WorkSource, "next", lambda _self, **_: None if sent.is_set() else ("key", sent.set))

        def write(_run: Run) -> None:
            writing.set()
            assert sent.wait(20)

        monkeypatch.setattr("connector.engine.write.write_complete", write)
        scheduler = Scheduler(run)
        scheduler._ready_since_s = run.monotonic() - 100
        scheduler._advance()
        assert writing.is_set()


def test_polls_wait_for_paid_requests_that_the_limit_holds_back(world: World, harness: Harness) -> None:
    pool, may_end = WorkerPool("lensmor", 2), threading.Event()
    with _submitted(world, harness) as run:
        provider = run.services.providers["lensmor"]
        world.clock.advance(seconds=10)
        source = WorkSource(run, provider, pool)
        pool.start(f"{BUY}work_email", lambda: _wait_for(may_end))
        try:
            run.permit_wait_s["lensmor"] = 0.5
            assert source.next(partial=True) is None
            run.permit_wait_s["lensmor"] = 0.0
            source.expect_due_work()
            assert _key(source) == "poll 1"
            run.permit_wait_s["lensmor"] = 0.5
            world.clock.advance(seconds=60)  # due for longer than the longest wait between two polls
            source.expect_due_work()
            assert _key(source) == "poll 1"
        finally:
            may_end.set()
            source.close()


@contextmanager
def _submitted(world: World, harness: Harness) -> Iterator[Run]:
    """A run that has submitted its only purchase."""
    world.lead(world.person())
    world.lensmor.task_seconds = 10_000
    waiting = harness.other(email_only())
    waiting.wait_s = 0
    waiting.sync()
    with waiting.run() as run:
        yield Run(run.services, run.id, run.mappings, run.started_at.replace(year=run.started_at.year - 1))


def _wait_for(event: threading.Event) -> None:
    assert event.wait(20)


def _key(source: WorkSource) -> str:
    item = source.next(partial=True)
    assert item is not None
    return item[0]


def test_the_operators_poll_schedule_is_every_providers_and_exact(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = harness.configured()
    with harness.services() as services:
        assert not any(one.polls_exactly for one in services.providers.values())
    settings = usual.settings.model_copy(update={"connector_poll_seconds": (7.0, 9.0)})
    monkeypatch.setattr(harness, "configured", lambda: replace(usual, settings=settings))
    with harness.services() as services:
        assert len(services.providers) == 2
        assert {one.poll_rules for one in services.providers.values()} == {PollSchedule((7.0, 9.0), is_exact=True)}
