"""Any sequence of purchases, answers, losses and late words: the books close and no cap is passed after each step."""

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
WORDS = st.sampled_from(["task", "free", "unexplained", "gone", "back"])


class Books(RuleBasedStateMachine):
    """One ledger, driven by somebody who tells answers in any order, late and twice."""

    def __init__(self) -> None:
        super().__init__()
        self.harness = LedgerHarness()
        self.batches: list[Batch] = []
        self.people = 0
        self.seen: list[dict[str, object]] = []
        self.finals: dict[object, dict[str, object]] = {}

    # -- what may happen ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.people < PEOPLE)  # few people, so that much happens to each
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
        """Any batch at any time: answers come late, and twice."""
        batch = data.draw(self._batch())
        words = {purchase_id: data.draw(WORDS) for purchase_id in batch.purchases.values()}
        if not task:  # the providers name everybody where there is no task
            words = {purchase_id: "unexplained" if word == "task" else word for purchase_id, word in words.items()}
        self.harness.accept(
            batch,
            task=f"task-{batch.attempt_id}" if task else None,
            check={
                purchase_id: word == "free" for purchase_id, word in words.items() if word in {"free", "unexplained"}
            },
            gone={purchase_id: "knows nobody" for purchase_id, word in words.items() if word == "gone"},
            back=[purchase_id for purchase_id, word in words.items() if word == "back"],
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
        """A whole story at once, so that what follows it is met often: lost, no trace, sent once more."""
        batch = data.draw(self._batch())
        self.harness.lose(batch)
        if presumed:
            self.presume_charged()
        for purchase_id in batch.purchases.values():
            self.harness.allow_repeat(purchase_id)
        self.take(5)

    @rule()
    def die(self) -> None:
        """The process is gone; a new driver finds its requests."""
        self.harness.ledger.answers.orphaned({("lensmor", "default"): self.harness.now}, self.harness.now)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), result=st.sampled_from(Result), charged=st.booleans())
    def settle(self, data: st.DataObject, result: Result, charged: bool) -> None:
        self.harness.settle(*data.draw(self._purchases()), result=result, charged=charged)

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def allow_repeat(self, data: st.DataObject) -> None:
        for purchase_id in data.draw(self._purchases()):
            self.harness.allow_repeat(purchase_id)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), running=st.booleans())
    def read(self, data: st.DataObject, running: bool) -> None:
        """The vendor's record of people is read; not of those whose request is just leaving."""
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
        """A day has gone by, as far as unknowns are concerned."""
        self.harness.ledger.operator.presume_charged(self.harness.pass_time(), self.harness.now)

    def _batch(self) -> st.SearchStrategy[Batch]:
        """Mostly one of the latest, so that something is left to be told of it."""
        return st.sampled_from([*self.batches, *self.batches[-2:] * 4])

    def _purchases(self) -> st.SearchStrategy[list[int]]:
        return st.lists(st.integers(1, self.people), min_size=1, max_size=4, unique=True)

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def books_close(self) -> None:
        assert self.harness.ledger.credits.imbalance() == ""

    @invariant()
    def each_attempts_hold_is_the_sum_of_its_unlocks(self) -> None:
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
    def no_cap_is_passed(self) -> None:
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
            if changed and row["result"] != Result.DELIVERED.value:  # or shows that what was given up cost nothing
                assert (row["hold"], now["hold"]) == ("charged", "released")
                changed -= {"hold", "charged_credits", "repeat_allowed"}
            assert not changed
        self.finals = {purchase_id: row for purchase_id, row in purchases.items() if row["state"] == "final"}
        for row in self.finals.values():
            assert row["hold"] in {"", "charged", "released"}
            assert row["prior_attempt_id"] is None

    @invariant()
    def nothing_is_left_in_submitting_without_its_request(self) -> None:
        open_attempts = {row["id"] for row in self.harness.all(t.attempt) if row["state"] in UNANSWERED}
        for row in self.harness.all(t.purchase):
            if row["state"] == "submitting":
                assert row["attempt_id"] in open_attempts

    def seen_entries(self) -> list[dict[str, object]]:
        return self.harness.all(t.entry)

    def teardown(self) -> None:
        """However it went: settling what is left ends every hold."""
        self.harness.settle(*range(1, self.people + 1), charged=True)
        assert self.harness.ledger.credits.imbalance() == ""
        assert all(totals.open == 0 for totals in self.harness.ledger.credits.totals().values())
        self.harness.ledger.close()


TestBooks = pytest.mark.timeout(600)(Books.TestCase)  # a failure takes its time to be made short
TestBooks.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
