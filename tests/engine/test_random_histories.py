"""Random histories: people, vendors, the org, operators and dying processes act in any order; a plain model judges.

The short form plays a few fixed histories; `make test-long` plays new ones for ten thousand steps.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import ClassVar

import pytest
import sqlalchemy as sa
from crash_points import DeathError, Points, watched
from engine_judge import judge
from harness import Harness, World
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledgers import Ledgers
from random_model import FLAG, ID, LINK, SOLD_AS, Key, Model
from random_moves import (
    CRM_ROWS,
    FAR_FROM_A_PERSON,
    LOST_ROWS,
    ORDERS,
    READ_ROWS,
    REFUSED_ROWS,
    ROW_ERRORS,
    SPELLINGS,
    Row,
    Variant,
    mappings_of,
)
from shared_sites import SharedSites

from connector.core.errors import LockedError, StopError
from connector.core.report import Report
from connector.engine.context import AccountLimits
from connector.engine.resolve import OperatorDecision, resolve
from connector.engine.undo import undo
from connector.simulator.faults import Fault
from connector.simulator.people import SimPerson
from connector.store import tables as t
from connector.store.database import Database

# A dead process leaves sockets open, which cause warnings later.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
LONG_STEPS = 10_000
POSTGRES_STEPS = 2_000  # each history creates and drops a database
LAST_SYNCS = 40
CALM = 3  # consecutive passes without a change: no more changes will follow

picks = st.integers(0, 30)
delays = st.sampled_from([0, 0, 1, 4, 8, 25, 70, 400, 1500])
deaths = st.one_of(st.integers(1, 40), st.integers(1, 140))
EDITS: dict[str, list[object]] = {
    "Email": [None, "by.hand@example.com", "by.another.hand@example.com"],
    "MobilePhone": [None, "+31 20 794 0001", "+31 20 794 0002"],
    "Personal_Email__c": [None, "mine@example.com"],
    FLAG: [False],
    LINK: [*FAR_FROM_A_PERSON],
    "HasOptedOutOfEmail": [True, False],
    "DoNotCall": [True, False],
    "EmailBouncedDate": ["2026-11-01T00:00:00Z", None],
}
edits = st.one_of([st.tuples(st.just(name), st.sampled_from(values)) for name, values in EDITS.items()])
typed_values = st.tuples(st.sampled_from(["Email", "MobilePhone"]), st.just("")).map(
    lambda it: (it[0], EDITS[it[0]][1])
)
variants = st.builds(
    Variant,
    order=st.sampled_from(ORDERS),
    write=st.sampled_from(["if_empty", "overwrite"]),
    caps=st.sampled_from([0, 0, 0, 1, 2, 3]),
    soon=st.booleans(),
)


class Histories(RuleBasedStateMachine):
    """One history: a world, a ledger and random steps."""

    tally: ClassVar[Counter[str]] = Counter()
    reasons: ClassVar[Counter[str]] = Counter()
    shared_sites: ClassVar[SharedSites]
    ledgers: ClassVar[Ledgers]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.urls = self.shared_sites.show(self.world.simulator)
        self.model = Model(self.world)
        self.place = self.ledgers.new()
        self.folder = self.place.__enter__()
        self.variant = Variant()
        self.limits: dict[str, AccountLimits] = {}
        self.wait_s = 900.0
        self.strict = False
        self.running = False
        self.report: Report | None = None
        self.runs: list[str] = []
        self.at_fault = False  # a check failed, so the history ends here
        self.people: list[SimPerson] = []
        for name in ("Lead", "Contact"):
            self.world.org.add_validation(name, lambda row: self.strict and bool(row["Email"]), fields=("Email",))

    # -- setup -----------------------------------------------------------------------------------------------

    @initialize(variant=variants, day=st.sampled_from([None, None, None, (180, 2), (330, 3)]))
    def begin(self, variant: Variant, day: tuple[int, int] | None) -> None:
        self.variant = variant
        if day is not None:
            self.model.account_day = dict(zip(("lensmor", "salesfinity"), day, strict=True))
            self.limits = {vendor: AccountLimits(day=most) for vendor, most in self.model.account_day.items()}
        self._flagged_record(self._person(), as_lead=True)

    @invariant()
    def count(self) -> None:
        self.tally["steps"] += 1

    def _person(self, **facts: object) -> SimPerson:
        made = self.world.person(**facts)
        self.model.know(made)
        self.people.append(made)
        return made

    def _address(self, person: SimPerson, spelling: int) -> str:
        address = SPELLINGS[spelling % len(SPELLINGS)].format(person.linkedin_name)
        self.model.names[address] = str(person.linkedin_name)
        return address

    def _flagged_record(self, person: SimPerson, *, as_lead: bool, named_by: int = 2, spelling: int = 0) -> None:
        values: dict[str, object] = {LINK: self._address(person, spelling)}
        if named_by == 0:
            values[LINK] = None
        if named_by == 1:
            values |= {ID: None, "Lensmor_Event_Id__c": None}
        made = (self.world.lead if as_lead else self.world.contact)(person, **values)
        self.model.add_record(made)

    def _record(self, pick: int) -> str:
        return self.model.records[pick % len(self.model.records)]

    def _soon(self, in_s: int, act: Callable[[], object]) -> None:
        if in_s:
            self.world.clock.at(in_s, act)
        else:
            act()

    def _edit(self, in_s: int, record: str, **values: object) -> None:
        def act() -> None:
            self.world.edit(record, **values)
            self.model.note_identity(record)

        self._soon(in_s, act)

    # -- people in the org -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.model.records) < 8)
    @rule(
        gaps=st.sets(st.sampled_from(["email", "phone", "work_email", "personal_email"]), max_size=2),
        strange_to=st.sampled_from(["", "", "", "lensmor", "salesfinity"]),
        as_lead=st.booleans(),
        named_by=st.sampled_from([0, 1, 2, 2]),
        spelling=picks,
    )
    def add_a_person(self, gaps: set[str], strange_to: str, as_lead: bool, named_by: int, spelling: int) -> None:
        person = self._person(**dict.fromkeys(sorted(gaps)))
        if strange_to == "lensmor":
            self.world.lensmor.people.pop(person.personnel_id)
            self.world.lensmor.person_of_linkedin.pop(str(person.linkedin_name))
        if strange_to == "salesfinity":
            self.world.salesfinity.people.pop(str(person.linkedin_name))
        self._flagged_record(person, as_lead=as_lead, named_by=named_by, spelling=spelling)

    @precondition(lambda self: len(self.model.records) < 8)
    @rule(pick=picks, as_lead=st.booleans(), named_by=st.sampled_from([0, 1, 2]), spelling=picks)
    def add_another_record_of_a_person(self, pick: int, as_lead: bool, named_by: int, spelling: int) -> None:
        person = self.people[pick % len(self.people)]
        self._flagged_record(person, as_lead=as_lead, named_by=named_by, spelling=spelling)

    @rule(pick=picks, in_s=delays)
    def flag_again(self, pick: int, in_s: int) -> None:
        self._edit(in_s, self._record(pick), **{FLAG: True})

    @rule(pick=picks, in_s=delays, change=edits)
    def edit_a_record(self, pick: int, in_s: int, change: tuple[str, object]) -> None:
        self._change(self._record(pick), in_s, change)

    def _change(self, record: str, in_s: int, change: tuple[str, object]) -> None:
        name, value = change
        if name != "Personal_Email__c" or not record.startswith("00Q"):
            self._edit(in_s, record, **{name: value})

    @rule(pick=picks, in_s=delays, whom=picks, what=st.sampled_from([ID, LINK, "both", "clear id", "clear link"]))
    def correct_the_identity(self, pick: int, in_s: int, whom: int, what: str) -> None:
        person = self.people[whom % len(self.people)]
        ours = {ID: person.personnel_id, LINK: self._address(person, whom)}
        changes: dict[str, dict[str, object]] = {
            ID: {ID: ours[ID]},
            LINK: {LINK: ours[LINK]},
            "both": {**ours},
            "clear id": {ID: None},
            "clear link": {LINK: None},
        }
        self._edit(in_s, self._record(pick), **changes[what])

    # -- the vendors and the org as services -----------------------------------------------------------------

    @rule(
        whom=picks,
        answer=st.one_of(
            st.tuples(
                st.sampled_from(["email", "phone"]),
                st.sampled_from(["delivered", "failed", "no_value", "missing", "stuck", "task_failed", "unfinished"]),
            ),
            st.tuples(st.sampled_from(["work", "personal"]), st.sampled_from(["", "not-found", "failed", "stuck"])),
        ),
    )
    def a_vendor_will_answer(self, whom: int, answer: tuple[str, str]) -> None:
        person, (kind, outcome) = self.people[whom % len(self.people)], answer
        if kind in {"email", "phone"}:
            self.world.lensmor.script(person.personnel_id, kind, outcome)
            return
        name = str(person.linkedin_name)
        self.world.salesfinity._scripts.pop((name, kind), None)
        if outcome:
            self.world.salesfinity.script(name, kind, outcome)

    @rule(
        task_s=st.sampled_from([1.0, 30.0, 1200.0]),
        lookup_s=st.sampled_from([1.0, 20.0, 900.0]),
        lag_s=st.sampled_from([0.0, 0.0, 60.0, 600.0]),
        patience_s=st.sampled_from([0.0, 60.0, 900.0, 1800.0]),
    )
    def pace(self, task_s: float, lookup_s: float, lag_s: float, patience_s: float) -> None:
        self.world.lensmor.task_seconds, self.world.salesfinity.lookup_seconds = task_s, lookup_s
        self.world.lensmor.profile_lag_seconds = self.world.lensmor.skip_lag_seconds = lag_s
        self.wait_s = patience_s

    @rule(row=st.sampled_from(LOST_ROWS), times=st.integers(1, 2))
    def an_answer_gets_lost(self, row: Row, times: int) -> None:
        self.model.losses[row[0]] += times
        self._arm(row, times)

    @rule(
        row=st.one_of(st.sampled_from(REFUSED_ROWS), st.sampled_from(READ_ROWS), st.sampled_from(CRM_ROWS)),
        times=st.sampled_from([1, 2, 30]),
    )
    def a_request_goes_wrong(self, row: Row, times: int) -> None:
        if row[1:3] == ("getEmailEnrichment", "not_found"):
            self.model.losses["salesfinity"] += times
        self._arm(row, times)

    def _arm(self, row: Row, times: int) -> None:
        site, operation, action, params = row
        self.world.faults.arm(Fault(site, operation, action, times, params=params))

    @rule(
        pick=picks,
        trouble=st.one_of(
            st.sampled_from([1, 3, 20]),
            st.tuples(st.sampled_from(ROW_ERRORS), st.sampled_from([(), ("Email",), ("MobilePhone",)])),
            st.none(),
        ),
    )
    def rows_are_refused(self, pick: int, trouble: int | tuple[str, tuple[str, ...]] | None) -> None:
        """Lock a row a number of times, refuse it once with a code, or switch a validation rule."""
        if isinstance(trouble, int):
            self.world.org.lock(self._record(pick), trouble)
            return
        if trouble is None:
            self.strict = not self.strict
            return
        params = {"code": trouble[0], "message": "no", "fields": list(trouble[1])}
        self.world.faults.arm(Fault("salesforce", "*", "row_error", subject=self._record(pick), params=params))

    @rule(in_s=delays, quota=st.sampled_from([None, 0.0, 0.79, 0.95]), credits_left=st.sampled_from([0, 10, 40, 5_000]))
    def others_use_up(self, in_s: int, quota: float | None, credits_left: int) -> None:
        """Other clients use the org's daily requests, or colleagues use the credits."""

        def act() -> None:
            if quota is None:
                self.world.lensmor.balance, self.world.salesfinity.balance = 20 * credits_left, credits_left
            else:
                self.world.org.daily_used = int(self.world.org.daily_limit * quota)

        self._soon(in_s, act)

    @rule()
    def all_is_well_again(self) -> None:
        self._heal()

    def _heal(self) -> None:
        self.world.faults.clear()
        self.strict = False
        self.world.org.daily_used = 0
        self.world.lensmor.balance, self.world.salesfinity.balance = 100_000, 5_000
        for record in self.model.records:
            self.world.org.lock(record, 0)

    # -- the connector ---------------------------------------------------------------------------------------

    @rule(variant=variants)
    def the_mapping_is_rewritten(self, variant: Variant) -> None:
        self.variant = variant

    @rule(minutes=st.sampled_from([1, 16, 61, 130, 1440, 1500, 40 * 1440]))
    def time_goes_by(self, minutes: int) -> None:
        self.world.clock.advance(minutes=minutes)

    @rule()
    def sync(self) -> None:
        self._sync()

    @precondition(lambda self: len(self.model.records) < 12)
    @rule(in_s=st.sampled_from([1, 2, 4, 9, 25, 60]), as_lead=st.booleans(), change=st.one_of(typed_values, edits))
    def sync_while_somebody_types(self, in_s: int, as_lead: bool, change: tuple[str, object]) -> None:
        self._flagged_record(self._person(), as_lead=as_lead)
        self._change(self.model.records[-1], in_s, change)
        self._sync()

    @rule()
    def sync_again_soon(self) -> None:
        self._sync()
        self.world.clock.advance(minutes=15)
        self._sync()

    @rule(die_at=deaths)
    def sync_and_die(self, die_at: int) -> None:
        self._sync(die_at)

    @rule(in_s=st.sampled_from([1, 4, 10]))
    def sync_while_another_tries(self, in_s: int) -> None:
        def other() -> None:
            if self.running:
                with self._harness().ledger() as ledger, pytest.raises(LockedError), ledger.hold_run_lock():
                    raise AssertionError("two processes drive one ledger")
                self.tally["second processes turned away"] += 1

        self.world.clock.at(in_s, other)
        self._sync()

    def _harness(self) -> Harness:
        made = Harness(self.world, self.folder, *mappings_of(self.variant))
        made.limits, made.wait_s = self.limits, self.wait_s
        return made

    @contextmanager
    def _judged(self, *, undone: str = "") -> Iterator[Harness]:
        """Run a process in the block and judge its results."""
        harness = self._harness()
        self.model.begin(is_undo=bool(undone))
        self.running = self.at_fault = True
        try:
            yield harness
        except DeathError:
            self.tally["crashes"] += 1
            self.model.deaths += 1
            self.model.losses.update(("lensmor", "salesfinity"))
        except StopError:
            self.tally["stopped at the start"] += 1
        self.running = False
        with harness.ledger() as ledger:
            new = [run.id for run in ledger.runs.newest(10_000) if run.id not in self.runs]
            self.model.end(ledger, self.variant, new[0] if new else "never began", undone)
            self.runs += new
        self.world.bought_again = self.model.permitted_doubles()
        judge(harness)
        self.shared_sites.check()
        self.at_fault = False

    def _sync(self, die_at: int = 0) -> None:
        self.report = None
        self.tally["syncs"] += 1
        with self._judged() as harness, watched(Points(die_at)) if die_at else nullcontext():
            self.report = harness.sync()

    @rule(pick=picks, die_at=st.sampled_from([0, 0, 0, 3, 6, 8, 10]))
    def undo_a_run(self, pick: int, die_at: int) -> None:
        if not self.runs:
            return
        run_id = self.runs[pick % len(self.runs)]
        self.tally["undos"] += 1
        with self._judged(undone=run_id) as harness, watched(Points(die_at)) if die_at else nullcontext():
            _undo(harness, run_id)

    @rule(pick=picks, decision=st.sampled_from([OperatorDecision.ALLOW_REPEAT, OperatorDecision.GIVE_UP]))
    def an_operator_decides(self, pick: int, decision: OperatorDecision) -> None:
        with self._harness().ledger() as ledger:
            purchases = _decidable(ledger.database.engine, decision)
            if purchases:
                purchase_id, key = purchases[pick % len(purchases)]
                resolve(ledger, purchase_id, decision, self.world.clock.now())
                self.tally["decisions of operators"] += 1
                if decision is OperatorDecision.ALLOW_REPEAT:
                    self.model.allowed.add((key, purchase_id))

    @rule(pick=picks)
    def forget_a_record(self, pick: int) -> None:
        record = self._record(pick)
        with self._harness().ledger() as ledger:
            ledger.operator.forget([record])
        self.model.forget(record)

    # -- the end ---------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            if not self.at_fault:
                self.tally["histories"] += 1
                self._end_well()
        finally:
            self.place.__exit__(None, None, None)

    def _end_well(self) -> None:
        """Without faults, every record reaches its end, and then nothing is done twice."""
        self.world.clock.advance(hours=1)  # the scheduled edits happen now
        self._heal()
        self.variant, self.limits, self.wait_s = self.variant.uncapped(), {}, 900.0
        self.model.account_day = {}
        calm = 0
        for _ in range(LAST_SYNCS):
            before = self._effects()
            self._sync()
            assert self.report is not None
            calm = calm + 1 if self._effects() == before else 0
            if not self.report.selected or calm == CALM:
                break
            self.world.clock.advance(hours=9)
        before = self._effects()
        self._sync()
        assert self._effects() == before, "a sync without news has bought or written something"
        with self._harness().ledger() as ledger:
            self.model.judge_end(ledger, self.reasons)

    def _effects(self) -> tuple[int, int]:
        """The number of purchases and of writes so far."""
        written = sum(self.world.org.updates_count(_object(record), record) for record in self.model.records)
        return self.world.paid_posts(), written


def _undo(harness: Harness, run_id: str) -> None:
    with harness.services() as services, services.ledger.hold_run_lock():
        undo(services, run_id)


def _object(record_id: str) -> str:
    return "Lead" if record_id.startswith("00Q") else "Contact"


def _decidable(engine: sa.Engine, decision: OperatorDecision) -> list[tuple[int, Key]]:
    """Purchases that this decision applies to, each with its key at the vendor."""
    c = t.purchase.c
    fits = [c.state == "unknown"]
    if decision is OperatorDecision.ALLOW_REPEAT:
        fits.append(c.result == "failed")
    query = sa.select(c.id, c.provider, c.channel, c.person).where(sa.or_(*fits)).order_by(c.id)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [(row.id, (row.provider, row.person, SOLD_AS[row.provider, row.channel])) for row in rows]


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]


@pytest.fixture
def play(shared_sites: SharedSites, ledgers: Ledgers) -> Iterator[Callable[[settings], None]]:
    """A function that plays histories under the given settings."""
    Histories.shared_sites, Histories.ledgers = shared_sites, ledgers
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "migrate", lambda _self: None)  # new ledgers have the schema already
        yield lambda rules: run_state_machine_as_test(Histories, settings=rules)


def test_some_random_histories_cost_and_lose_nothing(play: Callable[[settings], None]) -> None:
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
def test_ten_thousand_steps_of_random_histories_cost_and_lose_nothing(
    play: Callable[[settings], None], figures: Callable[[str, str], None], request: pytest.FixtureRequest
) -> None:
    Histories.tally.clear()
    Histories.reasons.clear()
    on_postgres = request.config.getoption("--store") == "postgres"
    most = POSTGRES_STEPS if on_postgres else LONG_STEPS
    while Histories.tally["steps"] < most:
        play(
            settings(
                max_examples=100,
                stateful_step_count=40,
                database=None,
                deadline=None,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=QUIET,
            )
        )
    tally = Histories.tally
    assert tally["steps"] >= most
    counted = ", ".join(f"{tally[name]} {name}" for name in ("histories", "steps", "syncs", "crashes", "undos"))
    name = "random histories" + (" (PostgreSQL)" if on_postgres else "")
    figures(name, f"{counted}, 0 double charges, 0 lost values, 0 lost edits")
    print(dict(tally), *Histories.reasons.most_common(), sep="\n")  # noqa: T201 what the ends were explained by
