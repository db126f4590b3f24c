"""Random histories of a ledger in trouble: restored backups, changed clocks and hostile answers.

Only Lensmor sells here, because its profiles prove every purchase. People are behind Leads and Contacts of two mappings
with caps of their own; syncs die at random points.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import ClassVar

import pytest
from backups import Backup
from crash_points import DeathError, Points, watched
from harness import Harness, World, email_only
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from ledgers import Ledgers
from shared_sites import SharedSites

from connector.core.errors import ConfigurationError, StopError
from connector.core.mapping import MappingFile
from connector.core.states import PurchaseState
from connector.engine.resolve import OperatorDecision, resolve
from connector.simulator.people import SimPerson
from connector.store.database import Database

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
LONG_STEPS = 4_000
POSTGRES_STEPS = 800  # each history creates and drops a database
LAST_SYNCS = 60
picks = st.integers(0, 1_000)
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]
HOSTILE: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("submitEmailUnlock", "drop_after", {}),
    ("submitEmailUnlock", "drop_before", {}),
    ("submitEmailUnlock", "wrong_types", {}),
    ("submitEmailUnlock", "truncated", {}),
    ("submitEmailUnlock", "error_after", {"status": 500}),
    ("getEmailUnlockTask", "wrong_types", {}),
    ("getEmailUnlockTask", "unknown_word", {"fields": ["status"]}),
    ("getPersonnelProfile", "wrong_types", {}),
    ("getPersonnelProfile", "html", {}),
    ("getCreditBalance", "wrong_types", {}),
)


class TroubledHistories(RuleBasedStateMachine):
    """One history: a world, a ledger and its troubles."""

    tally: ClassVar[Counter[str]] = Counter()
    shared_sites: ClassVar[SharedSites]
    ledgers: ClassVar[Ledgers]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.urls = self.shared_sites.show(self.world.simulator)
        self.place = self.ledgers.new()
        self.folder = self.place.__enter__()
        self.people: dict[str, SimPerson] = {}
        self.backups: list[Backup] = []
        self.caps = True

    @initialize()
    def begin(self) -> None:
        self.add_a_person(as_lead=True, as_contact=True)

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        self.tally["steps"] += 1
        assert self.world.charges.doubles() == []

    @rule(as_lead=st.booleans(), as_contact=st.booleans())
    def add_a_person(self, as_lead: bool, as_contact: bool) -> None:
        person = self.world.person()
        if as_lead or not as_contact:
            self.people[self.world.lead(person)] = person
        if as_contact:
            self.people[self.world.contact(person)] = person

    @rule(pick=picks)
    def request_again(self, pick: int) -> None:
        """Empty a field and flag the record again: the person may have been bought, and must not be bought again."""
        record = sorted(self.people)[pick % len(self.people)]
        self.world.edit(record, Email=None, Enriched_At__c=None, Enrichment_Requested__c=True)

    @rule()
    def back_up(self) -> None:
        self.backups.append(Backup(self._harness()))

    @rule(pick=picks)
    def restore(self, pick: int) -> None:
        if self.backups:
            self.backups[pick % len(self.backups)].restore()
            self.tally["restored"] += 1

    @rule(minutes=st.sampled_from([-1500, -120, -61, -1, 1, 61, 120, 1500]), in_s=st.sampled_from([0, 2, 30]))
    def the_clock_is_set(self, minutes: int, in_s: int) -> None:
        self.tally["clocks set"] += 1
        if in_s:
            self.world.clock.at(in_s, lambda: self.world.clock.set(minutes=minutes))
        else:
            self.world.clock.set(minutes=minutes)

    @rule(row=st.sampled_from(HOSTILE), times=st.integers(1, 2))
    def an_answer_is_hostile(self, row: tuple[str, str, dict[str, object]], times: int) -> None:
        operation, action, params = row
        self.world.arm("lensmor", operation, action, times=times, **params)

    @rule(seconds=st.sampled_from([0, 30, 4000]))
    def tasks_take(self, seconds: int) -> None:
        self.world.lensmor.task_seconds = seconds

    @rule(minutes=st.integers(1, 600))
    def time_goes_by(self, minutes: int) -> None:
        self.world.clock.advance(minutes=minutes)

    @rule(die_at=st.sampled_from([0, 0, 0, 2, 3, 5, 8, 13, 21, 34]))
    def sync(self, die_at: int) -> None:
        self.tally["syncs"] += 1
        try:
            with watched(Points(die_at)) if die_at else nullcontext():
                self._harness().sync()
        except DeathError:
            self.tally["crashes"] += 1
        except (StopError, ConfigurationError):
            self.tally["stopped"] += 1  # an answer to the first requests was unreadable

    def teardown(self) -> None:
        try:
            self.tally["histories"] += 1
            self._end_well()
        finally:
            self.place.__exit__(None, None, None)

    def _end_well(self) -> None:
        """Without trouble, every flagged record gets its value, and no person was paid for twice."""
        self.world.clock.advance(hours=2)
        self.world.faults.clear()
        self.world.lensmor.task_seconds = 0
        self.caps = False
        self._sync_to_the_end()
        if self._decide():
            self._sync_to_the_end()
        for record, person in self.people.items():
            found = self.world.get(record)
            assert found["Email"] == person.email, f"{record} waits still: {found}"
            assert not found["Enrichment_Requested__c"]
        assert self.world.charges.doubles() == []
        with self._harness().ledger() as ledger:
            assert ledger.credits.imbalance() == ""

    def _sync_to_the_end(self) -> None:
        for _ in range(LAST_SYNCS):
            if not self._harness().sync().selected:
                break
            self.world.clock.advance(hours=7)

    def _decide(self) -> int:
        """Allow the repeat of purchases that two lost requests did not make; returns their number."""
        with self._harness().ledger() as ledger:
            unknown = [
                one.id
                for one in ledger.operator.needs_a_look()
                if one.state is PurchaseState.UNKNOWN and one.check_at is None
            ]
            for purchase_id in unknown:
                resolve(ledger, purchase_id, OperatorDecision.ALLOW_REPEAT, self.world.clock.now())
        self.tally["decisions"] += len(unknown)
        return len(unknown)

    def _harness(self) -> Harness:
        made = Harness(self.world, self.folder, self._capped("lead", 45), self._capped("contact", 75))
        made.wait_s = 600.0
        return made

    def _capped(self, name: str, credits_: int) -> MappingFile:
        found = email_only(name=name)
        caps = {"max_credits_per_day": {"lensmor": credits_ if self.caps else 100_000}, "max_credits": {}}
        return found.model_copy(update={"limits": found.limits.model_copy(update=caps)})


@pytest.fixture
def play(shared_sites: SharedSites, ledgers: Ledgers) -> Iterator[Callable[[settings], None]]:
    """A function that plays histories under the given settings."""
    TroubledHistories.shared_sites, TroubledHistories.ledgers = shared_sites, ledgers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "migrate", lambda _self: None)  # new ledgers have the schema already
        yield lambda rules: run_state_machine_as_test(TroubledHistories, settings=rules)


def test_some_troubled_histories_cost_and_lose_nothing(play: Callable[[settings], None]) -> None:
    play(
        settings(
            max_examples=4,
            stateful_step_count=20,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=QUIET,
        )
    )


@pytest.mark.long
def test_thousands_of_steps_of_troubled_histories_cost_and_lose_nothing(
    play: Callable[[settings], None], figures: Callable[[str, str], None], request: pytest.FixtureRequest
) -> None:
    TroubledHistories.tally.clear()
    on_postgres = request.config.getoption("--store") == "postgres"
    most = POSTGRES_STEPS if on_postgres else LONG_STEPS
    while TroubledHistories.tally["steps"] < most:
        play(
            settings(
                max_examples=50,
                stateful_step_count=40,
                database=None,
                deadline=None,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=QUIET,
            )
        )
    tally = TroubledHistories.tally
    kinds = ("histories", "steps", "syncs", "crashes", "restored", "clocks set")
    counted = ", ".join(f"{tally[name]} {name}" for name in kinds)
    name = "troubled histories" + (" (PostgreSQL)" if on_postgres else "")
    figures(name, f"{counted}, 0 double charges, 0 lost values")
