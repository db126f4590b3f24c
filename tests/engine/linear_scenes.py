"""The scenes of the linearity check: each plays commands on a world of any size, and names what it has played."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from harness import Harness, World, mapping
from meter import Work, counting
from service_harness import ServiceHarness
from shared_sites import SharedSites

from benchmarks.ledger import Size, fill
from connector.app.figures import service_figures
from connector.app.inbound import InboundService
from connector.app.past_runs import find_run, outcomes_of, runs_view
from connector.app.status import status_of
from connector.core.states import RequestItemState
from connector.crm.salesforce.site import SalesforceCrm
from connector.engine import close, guards, plan, prices, scheduler
from connector.engine.context import Run
from connector.engine.scheduler import Scheduler
from connector.engine.undo import undo
from connector.engine.work_source import WorkSource
from connector.providers.lensmor import provider as lensmor
from connector.simulator.people import SimPerson
from connector.store import attempts, ended, overdue, polls, retention, run_outcomes
from connector.store import tables as t

PAGE = 40  # instead of the pages of 200 to 5,000: the smaller size has several of them, as a large run has
URL = "https://connector.example.com"
CREDITS = 1_000_000_000


@dataclass
class Play:
    """A world of a size, and a connector on it."""

    world: World
    harness: Harness
    size: int

    def again(self) -> Harness:
        """The connector as a new process."""
        return self.harness.other()


Steps = Iterator[str]  # the name of each step after it was played
Scene = Callable[[Play], Steps]
Prepare = Callable[[Harness], None]


def nothing(_harness: Harness) -> None:
    """Prepare nothing."""


def with_earlier_runs(records: int, runs: int) -> Prepare:
    """Fill the ledger with closed records of earlier runs."""

    def prepare(harness: Harness) -> None:
        with harness.ledger() as ledger:
            fill(ledger, Size(records, runs), harness.world.clock.now())

    return prepare


def add_leads(play: Play, change: Callable[[int, SimPerson], dict[str, object]] = lambda _n, _p: {}) -> list[str]:
    """Add as many flagged Leads as the world has; `change` adapts a person, and returns other values of the Lead."""
    ids: list[str] = []
    for number in range(play.size):
        person = play.world.person()
        ids.append(play.world.lead(person, **change(number, person)))
    return ids


def usual(play: Play) -> Steps:
    """Runs, the commands that read the ledger, an undo, and the retention of everything."""
    add_leads(play)
    run_id = play.harness.sync().run_id
    yield "first run"
    play.again().sync()
    yield "run without any change"
    yield from views(play, run_id)
    with play.harness.services() as services, services.ledger.hold_run_lock():
        assert undo(services, run_id).exit_code == 0
    yield "undo"
    play.world.clock.advance(days=500)
    play.again().sync()
    yield "retention"


def views(play: Play, run_id: str = "latest") -> Steps:
    """The commands that only read the ledger."""
    with play.harness.ledger() as ledger:
        status_of(ledger, "", play.world.clock.now())
    yield "status"
    with play.harness.ledger() as ledger:
        runs_view(ledger, 50)
    yield "runs"
    with play.harness.ledger() as ledger:
        ledger.credits.totals()
        ledger.credits.by_month()
        ledger.credits.cost_of_values()
    yield "credits"
    with play.harness.ledger() as ledger:
        assert list(outcomes_of(ledger, find_run(ledger, run_id)))
    yield "export"


def scraped(play: Play) -> Steps:
    """A monitor reads the figures."""
    with play.harness.services() as services:
        sources = list(services.sources.values())
        service_figures(services.ledger, ["lead"], sources)
    yield "first scrape"
    with play.harness.services() as services:
        service_figures(services.ledger, ["lead"], sources)
    yield "scrape"


def with_requests(records: int, runs: int) -> Prepare:
    """Fill the ledger with closed records, and as many records of requests that have their outcome."""

    def prepare(harness: Harness) -> None:
        with_earlier_runs(records, runs)(harness)
        done = {"mapping": "lead", "state": RequestItemState.DONE, "outcome": "delivered", "request_id": "r"}
        items = [{**done, "crm_id": str(number), "not_before": harness.world.clock.now()} for number in range(records)]
        with harness.ledger() as ledger, ledger.database.write() as connection:
            request = {"id": "r", "digest": "", "accepted_at": harness.world.clock.now()}
            connection.execute(sa.insert(t.request), request)
            connection.execute(sa.insert(t.request_item), items)

    return prepare


def by_linkedin(play: Play) -> Steps:
    """Half of the people are looked up by their LinkedIn address."""
    add_leads(play, lambda number, _: {"Lensmor_Personnel_Id__c": None} if number % 2 else {})
    play.harness.sync()
    yield "first run"


def parked(play: Play) -> Steps:
    """The CRM refuses every value."""
    play.world.org.add_validation("Lead", lambda record: bool(record["Email"] or record["MobilePhone"]))
    add_leads(play)
    for name in ("first run", "run without any change"):
        report = play.again().sync()
        assert report.outcomes == {"parked": play.size}
        yield name
    for name in ("notice", "erasure"):
        play.world.clock.advance(days=100)
        play.again().sync()
        yield name


def next_source(play: Play) -> Steps:
    """The first source has no value, and the second one calls back."""

    def without_email(_number: int, person: SimPerson) -> dict[str, object]:
        play.world.lensmor.script(person.personnel_id, "email", "no_value")
        return {}

    add_leads(play, without_email)
    play.harness.public_url = URL
    play.world.salesfinity.lookup_seconds = 3600.0
    play.harness.wait_s = 60
    play.harness.sync()
    yield "first run"
    with play.harness.ledger() as ledger:
        inbound = InboundService(ledger, play.harness.mappings, play.world.clock, lambda: None)
        for lookup in play.world.salesfinity.lookups():
            body = lookup.body(play.world.clock.unix())
            inbound.called_back("salesfinity", str(lookup.callback_url).rpartition("/")[2], body)
    yield "callbacks"
    play.world.clock.advance(hours=2)
    report = play.again().sync()
    yield "run after the answers"
    assert report.outcomes == {"delivered": play.size}


def refused_for_good(play: Play) -> Steps:
    """The CRM can never accept the email of the first source."""
    play.world.org.add_validation(
        "Lead", lambda record: str(record["Email"]).startswith("p"), "INVALID_EMAIL_ADDRESS", fields=("Email",)
    )
    add_leads(play)
    report = play.harness.sync()
    yield "first run"
    assert report.outcomes == {"delivered": play.size}


def capped(play: Play) -> Steps:
    """The cap allows half of the values."""
    add_leads(play)
    harness = play.harness.other(mapping("lead", limits=_limits(82 * play.size)))
    harness.sync()
    yield "first run"
    harness.other().sync()
    yield "second run"


def waiting(play: Play) -> Steps:
    """The vendor needs hours, so another run collects the results."""
    add_leads(play)
    play.world.lensmor.task_seconds = 7200
    play.harness.wait_s = 60
    play.harness.sync()
    yield "first run"
    with play.harness.ledger() as ledger:
        status_of(ledger, "", play.world.clock.now())
    yield "status"
    play.world.clock.advance(hours=3)
    report = play.again().sync()
    yield "run that collects"
    assert report.outcomes == {"delivered": play.size}


def lost(play: Play) -> Steps:
    """The answer to every paid request is lost, and every person is read instead."""
    add_leads(play)
    for operation in ("submitEmailUnlock", "submitPhoneUnlock"):
        play.world.arm("lensmor", operation, "drop_after", times=play.size)
    play.harness.wait_s = 60
    play.harness.sync()
    yield "first run"
    play.world.clock.advance(minutes=15)
    play.again().sync()
    yield "second run"


def planned(play: Play) -> Steps:
    """A frozen plan is made and applied."""
    add_leads(play)
    frozen = play.harness.plan()
    yield "plan"
    report = play.harness.apply(frozen)
    yield "apply"
    assert report.outcomes == {"delivered": play.size}
    play.again().apply(frozen)
    yield "apply again"


def triggered(play: Play) -> Steps:
    """The CRM's automation requests the records."""
    ids = add_leads(play, lambda _n, _p: {"Enrichment_Requested__c": False})
    service = ServiceHarness(play.harness)
    for start in range(0, len(ids), PAGE):
        service.ask(*ids[start : start + PAGE], request_id=f"r{start}")
    yield "requests"
    service.work()
    yield "jobs"
    assert service.request_state("r0").outcomes == {"delivered": min(PAGE, len(ids))}


def _limits(lensmor: int = CREDITS) -> dict[str, dict[str, int]]:
    found = {"lensmor": lensmor, "salesfinity": CREDITS}
    return {"max_credits": found, "max_credits_per_day": found}


def small_pages(patch: pytest.MonkeyPatch) -> None:
    """Let every page and batch of the ledger and the CRM have at most `PAGE` rows."""
    patch.setattr(lensmor, "BATCH", PAGE // 2)
    patch.setattr(SalesforceCrm, "read_size", PAGE)
    patch.setattr(SalesforceCrm, "write_size", PAGE)
    patch.setattr(scheduler, "WRITE_AT", PAGE)
    patch.setattr(prices, "EVERY", 4)
    patch.setattr(guards, "ANSWERS", PAGE)
    patch.setattr(attempts, "WINDOW", PAGE)
    patch.setattr(plan, "LOOKUPS_AT_ONCE", PAGE)
    patch.setattr(polls, "AT_ONCE", 2)
    patch.setattr(retention, "RECORDS_AT_ONCE", PAGE)
    patch.setattr(overdue, "AT_ONCE", PAGE)
    patch.setattr(run_outcomes, "RATED_ANSWERS", PAGE)
    for module in (ended, run_outcomes, close):
        patch.setattr(module, "PAGE", PAGE)


def play(scene: Scene, size: int, sites: SharedSites, folder: Path, before: Prepare = nothing) -> dict[str, Work]:
    """Play a scene on a new world and ledger; returns the work of each step.

    Args:
        scene: the scene.
        size: the number of Leads.
        sites: the servers.
        folder: the folder of the ledger.
        before: prepares the ledger, which is not measured.
    """
    world = World()
    world.urls = sites.show(world.simulator)
    world.lensmor.starting_balance = world.salesfinity.balance = CREDITS
    harness = Harness(world, folder, mapping("lead", limits=_limits()))
    before(harness)
    found: dict[str, Work] = {}
    with counting() as meter, _watching(meter.watch):
        for step in scene(Play(world, harness, size)):
            found[step] = meter.take()
            found[step].calls["(requests)"] = _requests(world)
    sites.check()
    return found


def _requests(world: World) -> int:
    """The requests since the last call."""
    crm, vendors = world.simulator.salesforce.requests, (world.lensmor.requests, world.salesfinity.requests)
    count = crm.total() + sum(log.count() for log in vendors)
    for log in (crm, *vendors):
        log.clear()
    return count


@contextmanager
def _watching(watch: Callable[[object], None]) -> Iterator[None]:
    """Watch every run, scheduler and work source that is made in the block."""
    with pytest.MonkeyPatch.context() as patch:
        for made in (Run, Scheduler, WorkSource):
            patch.setattr(made, "__init__", _watched(made.__init__, watch))
        yield


def _watched(init: Callable[..., None], watch: Callable[[object], None]) -> Callable[..., None]:
    def watched(self: object, *given: object, **named: object) -> None:
        watch(self)
        init(self, *given, **named)

    return watched
