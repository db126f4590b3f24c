"""Taking a batch: the hold is taken in the transaction that checks every cap, and no cap is ever exceeded."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_harness import EMAIL, LENSMOR, NO_CAPS, PRICE, START, LedgerHarness, buying, planned
from persons import person_with, pid, pids

from connector.core.model import PurchaseKey, Result
from connector.core.plan import AttachToPending
from connector.core.preview import HitRate
from connector.store import tables as t
from connector.store.credits import CapRules
from connector.store.planned import PlanScope
from connector.store.rows import Batch, BudgetExhausted, PurchaseGroup, RequestRefusal

PEOPLE = [str(number) for number in range(70011, 70031)]
YESTERDAY = START.replace(day=19)
LAST_MONTH = datetime(2026, 10, 31, 23, 59, tzinfo=UTC)


def leads_of(mapping: str) -> PlanScope:
    return PlanScope("run-1", mapping, "Lead", "salesforce")


@pytest.fixture(name="harness")
def _harness() -> LedgerHarness:
    return LedgerHarness()


def observe(harness: LedgerHarness, balance: int) -> None:
    credits_now = harness.ledger.credits
    credits_now.observe("lensmor", "default", "run-1", balance, harness.now, credits_now.newest_entry())


# -- batches ----------------------------------------------------------------------------------------------------


def test_a_batch_moves_to_submitting_with_its_hold(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    batch = harness.batch()
    assert batch.purchases == {pid("70011"): first, pid("70012"): second}
    assert (batch.provider, batch.channel, batch.grouping_key, batch.owner) == ("lensmor", EMAIL, None, "me")
    assert harness.states(first, second) == ["submitting", "submitting"]
    assert harness.purchase(first)["hold"] == "open"
    (entry,) = harness.all(t.entry)
    assert (entry["kind"], entry["credits"], entry["budget_day"], entry["mapping"], entry["run_id"]) == (
        "hold",
        2 * PRICE,
        "2026-11-20",
        "lead",
        "run-1",
    )
    (attempt,) = harness.all(t.attempt)
    assert (attempt["id"], attempt["state"], attempt["size"]) == (batch.attempt_id, "submitting", 2)
    harness.assert_accounting_closes()


def test_a_taken_purchase_is_not_taken_again(harness: LedgerHarness) -> None:
    harness.plan("70011")
    harness.batch()
    assert harness.take() is None
    assert harness.entries() == [("hold", PRICE)]


def test_a_batch_has_one_event_and_at_most_its_size(harness: LedgerHarness) -> None:
    harness.plan(*PEOPLE[:3], event="52001")
    harness.plan(*PEOPLE[3:5])
    assert harness.groups() == [PurchaseGroup(EMAIL, "52001", 3), PurchaseGroup(EMAIL, None, 2)]
    first = harness.take(event="52001", size=2)
    assert isinstance(first, Batch)
    assert list(first.purchases) == pids(PEOPLE[:2])
    second = harness.take(event=None)
    assert isinstance(second, Batch)
    assert list(second.purchases) == pids(PEOPLE[3:5])


def test_people_are_taken_in_the_order_of_the_runs_records(harness: LedgerHarness) -> None:
    harness.plan("70013", "70012", run="old-run")  # planned earlier in another order, and not bought
    page = [
        planned("00Q1", buying("70011")),
        planned("00Q2", attaching(harness, "70012")),
        planned("00Q3", attaching(harness)),
    ]
    harness.save(*page)
    harness.ledger.planning.save(leads_of("lead"), [planned("00Q4", buying("70014"))], harness.now, first_place=3)
    again = planned("00Q5", attaching(harness, "70011"))  # on a later page: the person keeps the first place
    harness.ledger.planning.save(leads_of("lead"), [again], harness.now, first_place=4)
    assert [list(harness.batch(size=2).purchases) for _ in range(2)] == [
        pids(["70011", "70012"]),
        pids(["70013", "70014"]),
    ]


def attaching(harness: LedgerHarness, person: str = "70013") -> AttachToPending:
    snapshot = harness.ledger.snapshots.read("lead", {"x": person_with(person)}, [LENSMOR])
    return AttachToPending(snapshot.purchases[PurchaseKey("lensmor", "default", EMAIL, pid(person))], 0)


def test_another_runs_plan_is_not_taken(harness: LedgerHarness) -> None:
    harness.plan("70011", run="run-2")
    assert harness.take() is None


def test_not_before_and_a_pending_read_hold_a_purchase_back(harness: LedgerHarness) -> None:
    later, checked = harness.plan("70011", "70012")
    batch = harness.batch()
    give_back = harness.ledger.answers.give_back
    give_back(RequestRefusal(batch.attempt_id, [later], "429", START.replace(minute=1), whole=False), harness.now)
    give_back(RequestRefusal(batch.attempt_id, [checked], "409", check_at=harness.now, whole=False), harness.now)
    assert harness.take() is None
    harness.pass_time(59)
    assert harness.take() is None
    harness.pass_time(1)
    assert list(harness.batch().purchases) == pids(["70011"])


def test_only_the_owner_may_send_and_only_without_an_answer(harness: LedgerHarness) -> None:
    harness.plan("70011")
    batch = harness.batch()
    attempts = harness.ledger.attempts
    assert attempts.may_send(batch)
    assert not attempts.may_send(replace(batch, owner="another process"))
    assert not attempts.may_send(replace(batch, attempt_id="unknown"))
    harness.lose(batch)
    assert not attempts.may_send(batch)


def test_only_a_planned_purchase_can_change_its_group(harness: LedgerHarness) -> None:
    planned_id, taken_id = harness.plan("70011", "70012")
    harness.plan("70011")
    harness.batch(size=1)
    for purchase_id in (planned_id, taken_id):
        harness.ledger.attempts.set_grouping_key(purchase_id, "52001", "run-1")
    assert [harness.purchase(each)["grouping_key"] for each in (planned_id, taken_id)] == [None, "52001"]


# -- each cap ---------------------------------------------------------------------------------------------------

CAPS = {
    "cap of mapping lead per run": lambda credits_: CapRules(run={"lead": credits_}),
    "cap of mapping lead per day": lambda credits_: CapRules(mapping_day={"lead": credits_}),
    "daily cap over all runs": lambda credits_: CapRules(day=credits_),
    "monthly cap over all runs": lambda credits_: CapRules(month=credits_),
}


@pytest.mark.parametrize("name", CAPS)
@pytest.mark.parametrize(("limit", "fits"), [(10 * PRICE, 10), (10 * PRICE - 1, 9), (PRICE, 1), (10_000, 20)])
def test_a_cap_limits_the_batch(harness: LedgerHarness, name: str, limit: int, fits: int) -> None:
    harness.plan(*PEOPLE)
    batch = harness.batch(CAPS[name](limit))
    assert list(batch.purchases) == pids(PEOPLE[:fits])
    assert harness.used() == fits * PRICE


@pytest.mark.parametrize("name", CAPS)
@pytest.mark.parametrize("limit", [0, PRICE - 1])
def test_a_cap_that_allows_no_purchase_is_named(harness: LedgerHarness, name: str, limit: int) -> None:
    harness.plan(*PEOPLE)
    exhausted = harness.take(CAPS[name](limit))
    assert isinstance(exhausted, BudgetExhausted)
    assert {mapping: cap.name for mapping, cap in exhausted.caps.items()} == {"lead": name}
    assert exhausted.caps["lead"].left == limit
    assert harness.entries() == []
    assert set(harness.states(*[harness.id_of(p) for p in PEOPLE])) == {"planned"}


def test_nothing_planned_gives_none(harness: LedgerHarness) -> None:
    assert harness.take() is None
    assert harness.take(CapRules(day=0)) is None


def test_the_balance_minus_reserve_and_holds_is_a_cap(harness: LedgerHarness) -> None:
    observe(harness, 100)
    harness.plan(*PEOPLE)
    first = harness.batch(CapRules(reserve=25))  # 75 left
    assert len(first.purchases) == 5
    exhausted = harness.take(CapRules(reserve=25))
    assert isinstance(exhausted, BudgetExhausted)
    assert exhausted.caps["lead"].name == "balance at the vendor"
    assert len(harness.batch(CapRules(reserve=10)).purchases) == 1


def test_charges_count_until_the_next_observation(harness: LedgerHarness) -> None:
    observe(harness, 60)
    ids = harness.plan(*PEOPLE)
    harness.accept(harness.batch(size=2))
    harness.finalize(*ids[:2])
    assert len(harness.batch().purchases) == 2  # 60 - 2 charged - 2 held = 0
    assert isinstance(harness.take(), BudgetExhausted)
    observe(harness, 60)  # a person bought credits: the earlier charges are part of this balance
    assert len(harness.batch().purchases) == 2


def test_a_balance_below_the_reserve_allows_nothing(harness: LedgerHarness) -> None:
    observe(harness, 10)
    harness.plan("70011")
    assert isinstance(harness.take(CapRules(reserve=500)), BudgetExhausted)


def test_the_first_hold_of_a_repeated_purchase_still_counts(harness: LedgerHarness) -> None:
    observe(harness, 3 * PRICE)
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    harness.allow_repeat(purchase_id)
    harness.batch()  # two holds for one person now
    harness.plan(*PEOPLE[1:])
    assert len(harness.batch().purchases) == 1


# -- scopes -----------------------------------------------------------------------------------------------------


def spend_at(harness: LedgerHarness, when: datetime, *people: str, run: str = "old-run", mapping: str = "lead") -> None:
    now, harness.now = harness.now, when
    ids = harness.plan(*people, run=run, mapping=mapping)
    harness.accept(harness.batch(run=run))
    harness.finalize(*ids)
    harness.now = now


@pytest.mark.parametrize(
    ("when", "run", "mapping", "counts"),
    [
        (START, "run-1", "lead", {"run", "mapping_day", "day", "month"}),
        (START, "old-run", "lead", {"mapping_day", "day", "month"}),
        (START, "run-1", "contact", {"day", "month"}),
        (YESTERDAY, "old-run", "lead", {"month"}),
        (YESTERDAY, "run-1", "lead", {"run", "month"}),  # a run that began before midnight
        (LAST_MONTH, "old-run", "lead", set()),
        (LAST_MONTH, "run-1", "lead", {"run"}),
    ],
)
def test_the_scope_of_each_cap(
    harness: LedgerHarness, when: datetime, run: str, mapping: str, counts: set[str]
) -> None:
    spend_at(harness, when, "70011", run=run, mapping=mapping)
    harness.plan("70012")
    rules = {
        "run": CapRules(run={"lead": PRICE}),
        "mapping_day": CapRules(mapping_day={"lead": PRICE}),
        "day": CapRules(day=PRICE),
        "month": CapRules(month=PRICE),
    }
    exhausted = {name for name, rule in rules.items() if isinstance(_try_take(harness, rule), BudgetExhausted)}
    assert exhausted == counts


def _try_take(harness: LedgerHarness, rules: CapRules) -> Batch | BudgetExhausted | None:
    """Take a batch and give it back at once."""
    taken = harness.take(rules)
    if isinstance(taken, Batch):
        harness.refuse(taken)
    return taken


def test_a_release_after_midnight_counts_on_the_day_of_the_hold(harness: LedgerHarness) -> None:
    harness.now = YESTERDAY.replace(hour=23, minute=59)
    harness.plan("70011")
    batch = harness.batch()
    harness.now = START
    harness.refuse(batch)
    assert [(row["kind"], row["budget_day"]) for row in harness.all(t.entry)] == [
        ("hold", "2026-11-19"),
        ("release", "2026-11-19"),
    ]
    assert len(harness.batch(CapRules(day=PRICE)).purchases) == 1


def test_caps_are_per_account(harness: LedgerHarness) -> None:
    harness.plan("70011")
    harness.batch()
    remaining_budget = harness.ledger.credits.remaining_budget(
        "lensmor", "second", "run-1", CapRules(day=PRICE), harness.now
    )
    assert [cap.left for cap in remaining_budget.shared] == [PRICE]


def test_one_mappings_cap_does_not_block_another_mapping(harness: LedgerHarness) -> None:
    for place, (mapping, people) in enumerate([("lead", PEOPLE[:10]), ("contact", PEOPLE[10:12])]):
        page = [planned(f"{mapping}-{person}", buying(person)) for person in people]
        harness.ledger.planning.save(leads_of(mapping), page, harness.now, first_place=100 * place)
    rules = CapRules(run={"lead": 2 * PRICE, "contact": 100 * PRICE})
    assert list(harness.batch(rules, size=2).purchases) == pids(PEOPLE[:2])
    assert list(harness.batch(rules, size=2).purchases) == pids(PEOPLE[10:12])
    exhausted = harness.take(rules, size=2)
    assert isinstance(exhausted, BudgetExhausted)
    assert set(exhausted.caps) == {"lead"}


def test_a_purchase_planned_at_a_higher_price_exhausts_the_budget(harness: LedgerHarness) -> None:
    harness.plan("70011")
    with harness.ledger.database.write() as connection:
        connection.execute(t.purchase.update().values(price_credits=PRICE + 5))
    exhausted = harness.take(CapRules(day=PRICE))
    assert isinstance(exhausted, BudgetExhausted)
    assert exhausted.caps["lead"].name == "daily cap over all runs"


def test_cheaper_purchases_pass_an_unaffordable_one(harness: LedgerHarness) -> None:
    first, _ = harness.plan("70011", "70012")
    with harness.ledger.database.write() as connection:
        connection.execute(t.purchase.update().where(t.purchase.c.id == first).values(price_credits=150))
    assert list(harness.batch(CapRules(day=20)).purchases) == pids(["70012"])


@given(
    st.lists(st.sampled_from(["lead", "contact"]), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from(["lead", "contact"]), st.integers(0, 200)),
    st.dictionaries(st.sampled_from(["lead", "contact"]), st.integers(0, 200)),
    st.one_of(st.none(), st.integers(0, 200)),
    st.one_of(st.none(), st.integers(0, 200)),
    st.integers(1, 5),
)
@settings(max_examples=20, deadline=None)
def test_taking_all_never_exceeds_a_cap(
    mappings: list[str], run: dict[str, int], day: dict[str, int], over_all: int | None, balance: int | None, size: int
) -> None:
    harness = LedgerHarness()
    for person, mapping in zip(PEOPLE, mappings, strict=False):
        harness.plan(person, mapping=mapping)
    if balance is not None:
        observe(harness, balance)
    rules = CapRules(run=run, mapping_day=day, day=over_all)
    bought = 0
    while isinstance(taken := harness.take(rules, size=size), Batch):
        bought += len(taken.purchases)
    by_mapping = {
        name: sum(int(str(row["credits"])) for row in harness.all(t.entry) if row["mapping"] == name)
        for name in ("lead", "contact")
    }
    for caps in (run, day):
        assert all(by_mapping[name] <= cap for name, cap in caps.items())
    for cap in (over_all, balance):
        assert cap is None or sum(by_mapping.values()) <= cap
    if taken is None:
        assert bought == len(mappings)
    else:
        assert taken.caps
        assert all(cap.left < PRICE for cap in taken.caps.values())
    harness.assert_accounting_closes()


def test_hit_rates_come_from_history(harness: LedgerHarness) -> None:
    ids = harness.plan(*PEOPLE[:4])
    harness.accept(harness.batch(NO_CAPS))
    harness.finalize(*ids[:3])
    harness.finalize(ids[3], result=Result.NOT_FOUND, charged=False)
    assert harness.ledger.run_outcomes.hit_rates([LENSMOR]) == {("lensmor", EMAIL): HitRate(4, 3)}
    assert LENSMOR.prices.of(EMAIL) == PRICE


# -- one person, several mappings -------------------------------------------------------------------------------


def attach(harness: LedgerHarness, *people: str, run: str = "run-1", mapping: str = "contact") -> None:
    """Save records of another mapping that wait for the same purchases."""
    records = [planned(f"{mapping}-{p}", AttachToPending(harness.known_purchase(p), 0)) for p in people]
    harness.save(*records, run=run, mapping=mapping)


def test_any_mapping_with_budget_pays_for_a_shared_person(harness: LedgerHarness) -> None:
    harness.plan("70011", "70012")
    attach(harness, "70011", "70012")
    rules = CapRules(run={"lead": 0, "contact": PRICE})
    batch = harness.batch(rules)
    assert list(batch.purchases) == pids(["70011"])
    assert harness.all(t.entry)[0]["mapping"] == "contact"
    exhausted = harness.take(rules)
    assert isinstance(exhausted, BudgetExhausted)
    assert {name: cap.left for name, cap in exhausted.caps.items()} == {"lead": 0, "contact": 0}
    assert harness.groups() == [PurchaseGroup(EMAIL, None, 1)]
    pairs = [(EMAIL.value, "lead"), (EMAIL.value, "contact")]
    assert harness.ledger.attempts.groups(LENSMOR, "run-1", harness.now, pairs) == []
    assert harness.ledger.attempts.groups(LENSMOR, "run-1", harness.now, pairs[:1]) == [PurchaseGroup(EMAIL, None, 1)]
    harness.assert_accounting_closes()


def test_a_capped_run_leaves_a_shared_person_to_another_run(harness: LedgerHarness) -> None:
    first, second = (harness.ledger.runs.start("sync", [name], harness.now) for name in ("lead", "contact"))
    (purchase_id,) = harness.plan("70011", run=first)
    attach(harness, "70011", run=second)
    assert harness.purchase(purchase_id)["run_id"] == second
    assert isinstance(harness.take(CapRules(run={"contact": 0}), run=second), BudgetExhausted)
    assert list(harness.batch(CapRules(run={"lead": PRICE}), run=first).purchases) == pids(["70011"])
    assert harness.all(t.entry)[0]["mapping"] == "lead"


def test_a_capped_run_keeps_its_own_purchases(harness: LedgerHarness) -> None:
    run = harness.ledger.runs.start("sync", ["lead"], harness.now)
    (purchase_id,) = harness.plan("70011", run=run)
    assert isinstance(harness.take(CapRules(run={"lead": 0}), run=run), BudgetExhausted)
    assert harness.purchase(purchase_id)["run_id"] == run


@pytest.mark.parametrize("people", [1, 15])
def test_the_number_of_statements_does_not_depend_on_the_batch_size(harness: LedgerHarness, people: int) -> None:
    harness.plan(*PEOPLE[:people])
    attach(harness, *PEOPLE[:people])
    found: list[str] = []
    engine = harness.ledger.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: found.append(args[2]))
    batch = harness.batch(CapRules(run={"lead": 10_000, "contact": 10_000}))
    assert len(batch.purchases) == people
    assert sum("record_channel" in statement for statement in found) == 1
