"""A display of any process sees a run's figures: of an own run, a resumed one, a delegated one, and an undo."""

from dataclasses import replace

import pytest
from harness import Harness, World
from service_harness import ServiceHarness

from connector.app.delegation import delegate
from connector.core.run_figures import ASKING, FiguresReader, RunFigures
from connector.engine.sync import RunSpec, run_pass
from connector.engine.undo import undo


class Display:
    """Reads the figures at the beginning of each stage, and after the run."""

    def __init__(self) -> None:
        self.watched: FiguresReader | None = None
        self.starts = 0
        self.stages: dict[str, RunFigures | None] = {}
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None = None) -> None:
        del total
        self.stages[name] = self.now()

    def step(self, count: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        self.notes.append(text)

    def watch(self, run: FiguresReader | None) -> None:
        self.watched = run
        self.starts += 1

    def now(self) -> RunFigures | None:
        return None if self.watched is None else self.watched.read()


def synced(harness: Harness) -> tuple[Display, RunFigures]:
    """A sync of a new process; returns its display with the figures at its end."""
    display = Display()
    with harness.services() as services, services.ledger.hold_run_lock(harness.mappings):
        run_pass(replace(services, progress=display), RunSpec("sync", harness.mappings, {}))
        services.clock.sleep(2)
        end = display.now()
    assert end is not None
    return display, end


def test_a_run_from_the_first_record_to_the_last(world: World, harness: Harness) -> None:
    for _ in range(3):
        world.lead(world.person())
    display, end = synced(harness)
    assert list(display.stages) == ["Reading records", ASKING, "Writing to Salesforce"]
    reading = display.stages["Reading records"]
    assert reading is not None
    assert reading.counts.records == 0
    assert (end.counts.records, end.counts.finished, end.counts.written) == (3, 3, 3)
    assert end.counts.open_channels == 0
    (lensmor,) = (one for one in end.providers if one.name == "lensmor")
    assert (lensmor.spent, lensmor.held, lensmor.per_minute) == (world.ours("lensmor"), 0, 6000)
    assert lensmor.sent
    assert end.crm is not None
    assert end.crm.calls > 0
    assert end.crm.daily_limit is not None


def test_a_resumed_run_shows_the_work_it_continues(world: World, harness: Harness) -> None:
    harness.wait_s = 1
    world.simulator.lensmor.task_seconds = 100
    for _ in range(2):
        world.lead(world.person())
    _, first = synced(harness)
    assert first.counts.waiting == {"lensmor": 4}
    charged = sum(one.spent for one in first.providers)
    held = sum(one.held for one in first.providers)
    assert (charged, held) == (0, 330)
    world.simulator.lensmor.task_seconds = 1
    world.clock.advance(minutes=15)
    later = harness.other()
    later.wait_s = 3600
    display, end = synced(later)
    asking = display.stages[ASKING]
    assert asking is not None
    assert (end.counts.records, end.counts.finished) == (2, 2)
    assert sum(one.spent for one in end.providers) == 330
    assert sum(one.held for one in end.providers) == 0


def test_an_undo_counts_its_writes(world: World, harness: Harness) -> None:
    world.lead(world.person())
    run_id = harness.sync().run_id
    display = Display()
    with harness.services() as services:
        undo(replace(services, progress=display), run_id)
        services.clock.sleep(2)
        end = display.now()
    assert end is not None
    assert list(display.stages) == ["Restoring values"]
    assert (end.counts.records, end.counts.written, end.providers) == (0, 1, ())


def test_a_delegated_run_is_seen_by_the_process_that_waits(
    world: World, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, display = ServiceHarness(harness), Display()
    for _ in range(2):
        world.lead(world.person())
    digests = {name: found.digest() for name, found in harness.mappings.items()}
    with harness.ledger() as ledger:
        ledger.jobs.delegate("sync", digests, None, world.clock.now())
        service.work()
        (job_id,) = _jobs(harness)
        done = ledger.jobs.find(job_id)
        assert done is not None
        assert done.progress is not None
        monkeypatch.setattr(ledger.jobs, "delegate", lambda *_: job_id)  # the run has ended already
        found = delegate(ledger, "sync", digests, None, display, world.clock)
        world.clock.sleep(2)
        end = display.now()
    assert found is not None
    assert display.starts == 1
    assert end is not None
    assert (end.counts.records, end.counts.finished, end.counts.written) == (2, 2, 2)
    assert sum(one.spent for one in end.providers) == world.ours("lensmor")
    assert end.crm is not None
    assert end.crm.calls > 0


def _jobs(harness: Harness) -> list[str]:
    with harness.ledger() as ledger, ledger.database.read() as connection:
        return list(connection.exec_driver_sql("SELECT id FROM job WHERE kind = 'run'").scalars())
