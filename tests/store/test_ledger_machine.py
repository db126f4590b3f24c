"""Random sequences of purchases, answers and losses: after each step the accounting closes and no cap is exceeded."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_harness import PRICE, LedgerHarness

from connector.core.model import Result
from connector.core.states import UNANSWERED
from connector.store import tables as t
from connector.store.credits import CapRules
from connector.store.rows import Batch, BudgetExhausted

RULES = CapRules(run={"lead": 9 * PRICE, "contact": 4 * PRICE}, day=11 * PRICE)
PEOPLE = 5
KINDS = st.sampled_from(["task", "free", "unexplained", "gone", "back"])


class LedgerMachine(RuleBasedStateMachine):
    """One ledger that gets answers in any order, late and twice."""

    def __init__(self) -> None:
        super().__init__()
        self.harness = LedgerHarness()
        self.batches: list[Batch] = []
        self.people = 0
        self.seen: list[dict[str, object]] = []
        self.finals: dict[object, dict[str, object]] = {}

    # -- rules -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.people < PEOPLE)  # few people, so that each one is changed often
    @rule(count=st.integers(1, 3), mapping=st.sampled_from(["lead", "contact"]))
    def plan(self, count: int, mapping: str) -> None:
        self.harness.plan(*(str(self.people + n) for n in range(count)), mapping=mapping)
        self.people += count

    @rule(size=st.integers(1, 5))
    def take(self, size: int) -> None:
        before = self.harness.used()
        taken = self.harness.take(RULES, size)
        if isinstance(taken, Batch):
            self.batches.append(taken)
            assert self.harness.used() == before + PRICE * len(taken.purchases)
        elif isinstance(taken, BudgetExhausted):
            assert all(cap.left < PRICE for cap in taken.caps.values())

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), task=st.booleans())
    def answer(self, data: st.DataObject, task: bool) -> None:
        """Answer any batch at any time: late, and twice."""
        batch = data.draw(self._batch())
        kinds = {purchase_id: data.draw(KINDS) for purchase_id in batch.purchases.values()}
        if not task:  # without a task, the providers list every person
            kinds = {purchase_id: "unexplained" if kind == "task" else kind for purchase_id, kind in kinds.items()}
        self.harness.accept(
            batch,
            task=f"task-{batch.attempt_id}" if task else None,
            check={
                purchase_id: kind == "free" for purchase_id, kind in kinds.items() if kind in {"free", "unexplained"}
            },
            gone={purchase_id: "no match" for purchase_id, kind in kinds.items() if kind == "gone"},
            back=[purchase_id for purchase_id, kind in kinds.items() if kind == "back"],
        )

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), whole=st.booleans())
    def refuse(self, data: st.DataObject, whole: bool) -> None:
        batch = data.draw(self._batch())
        ids = list(batch.purchases.values())
        self.harness.refuse(batch, *(ids if whole else ids[:1]), whole=whole)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.harness.lose(data.draw(self._batch()))

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), presumed=st.booleans())
    def repeat(self, data: st.DataObject, presumed: bool) -> None:
        """Lose a batch, find no trace of it, and send it again, in one step, so that later states are frequent."""
        batch = data.draw(self._batch())
        self.harness.lose(batch)
        if presumed:
            self.presume_charged()
        for purchase_id in batch.purchases.values():
            self.harness.allow_repeat(purchase_id)
        self.take(5)

    @rule()
    def die(self) -> None:
        """Let the process die; a new run finds its requests."""
        self.harness.ledger.answers.orphaned({("lensmor", "default"): self.harness.now}, self.harness.now)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), result=st.sampled_from(Result), charged=st.booleans())
    def finalize(self, data: st.DataObject, result: Result, charged: bool) -> None:
        self.harness.finalize(*data.draw(self._purchases()), result=result, charged=charged)

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def allow_repeat(self, data: st.DataObject) -> None:
        for purchase_id in data.draw(self._purchases()):
            self.harness.allow_repeat(purchase_id)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), running=st.booleans())
    def read(self, data: st.DataObject, running: bool) -> None:
        """Read the vendor's record of people, except for those whose request is being sent."""
        for purchase_id in data.draw(self._purchases()):
            check = self.harness.check_row(purchase_id)
            if check.state in {"planned", "submitted", "unknown"}:
                now = self.harness.now
                self.harness.ledger.polls.check_again(check, None, running=running, now=now)

    @rule()
    def pass_time(self) -> None:
        self.harness.pass_time(60)

    @rule()
    def presume_charged(self) -> None:
        """Presume all unknown purchases charged, as after a day."""
        self.harness.ledger.operator.presume_charged(self.harness.pass_time(), self.harness.now)

    def _batch(self) -> st.SearchStrategy[Batch]:
        """Mostly one of the latest batches, whose purchases are still open."""
        return st.sampled_from([*self.batches, *self.batches[-2:] * 4])

    def _purchases(self) -> st.SearchStrategy[list[int]]:
        return st.lists(st.integers(1, self.people), min_size=1, max_size=4, unique=True)

    # -- invariants --------------------------------------------------------------------------------------------

    @invariant()
    def accounting_closes(self) -> None:
        assert self.harness.ledger.credits.imbalance() == ""

    @invariant()
    def each_attempts_hold_is_the_sum_of_its_purchases(self) -> None:
        by_entries: Counter[object] = Counter()
        for entry in self.seen_entries():
            sign = 1 if entry["kind"] == "hold" else -1
            by_entries[entry["attempt_id"], entry["mapping"]] += sign * int(str(entry["credits"]))
        by_purchases: Counter[object] = Counter()
        for purchase in self.harness.all(t.purchase):
            if purchase["hold"] == "open":
                by_purchases[purchase["attempt_id"], purchase["mapping"]] += PRICE
            if purchase["prior_hold"] == "open":
                by_purchases[purchase["prior_attempt_id"], purchase["prior_mapping"]] += PRICE
        assert +by_entries == +by_purchases
        assert min(by_entries.values(), default=0) >= 0

    @invariant()
    def no_cap_is_exceeded(self) -> None:
        used: Counter[object] = Counter()
        for entry in self.seen_entries():
            sign = {"hold": 1, "charge": 0, "release": -1}[str(entry["kind"])]
            used[entry["mapping"]] += sign * int(str(entry["credits"]))
        assert all(used[mapping] <= cap for mapping, cap in RULES.run.items())
        assert RULES.day is not None
        assert sum(used.values()) <= RULES.day
        assert sum(used.values()) == self.harness.used()

    @invariant()
    def entries_are_only_appended(self) -> None:
        now = self.seen_entries()
        assert now[: len(self.seen)] == self.seen
        self.seen = now

    @invariant()
    def final_is_final(self) -> None:
        purchases = {row["id"]: row for row in self.harness.all(t.purchase)}
        for purchase_id, row in self.finals.items():
            now = purchases[purchase_id]
            changed = {name for name in row if now[name] != row[name]} - {"task_id"}  # a late answer names its task
            if changed and row["result"] != Result.DELIVERED.value:  # or shows that a given-up purchase was free
                assert (row["hold"], now["hold"]) == ("charged", "released")
                changed -= {"hold", "charged_credits", "repeat_allowed"}
            assert not changed
        self.finals = {purchase_id: row for purchase_id, row in purchases.items() if row["state"] == "final"}
        for row in self.finals.values():
            assert row["hold"] in {"", "charged", "released"}
            assert row["prior_attempt_id"] is None

    @invariant()
    def every_submitting_purchase_has_an_unanswered_request(self) -> None:
        open_attempts = {row["id"] for row in self.harness.all(t.attempt) if row["state"] in UNANSWERED}
        for row in self.harness.all(t.purchase):
            if row["state"] == "submitting":
                assert row["attempt_id"] in open_attempts

    def seen_entries(self) -> list[dict[str, object]]:
        return self.harness.all(t.entry)

    def teardown(self) -> None:
        """Finalize the open purchases, which must end every hold."""
        self.harness.finalize(*range(1, self.people + 1), charged=True)
        assert self.harness.ledger.credits.imbalance() == ""
        assert all(totals.open == 0 for totals in self.harness.ledger.credits.totals().values())
        self.harness.ledger.close()


TestLedgerMachine = pytest.mark.timeout(600)(LedgerMachine.TestCase)  # shrinking a failure takes long
TestLedgerMachine.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
