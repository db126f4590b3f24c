"""Regression tests for faults found by code review, each as short as possible."""

from dataclasses import replace
from datetime import timedelta

from ledger_harness import EMAIL, LENSMOR, LedgerHarness, buying, planned
from persons import pid

from connector.core.model import Prices
from connector.engine.resolve import OperatorDecision, resolve
from connector.store.credits import CapRules
from connector.store.rows import Batch, PurchaseGroup


def test_a_request_lost_twice_holds_no_credits_after_a_day() -> None:
    harness = LedgerHarness()
    (purchase,) = harness.plan("ada")
    harness.lose(harness.batch())
    harness.allow_repeat(purchase)
    harness.lose(harness.batch())
    harness.pass_time(25 * 3600)
    harness.ledger.operator.presume_charged(harness.now - timedelta(hours=24), harness.now)
    assert harness.ledger.credits.totals()["lensmor"].open == 0


def test_a_late_first_answer_is_adopted_when_its_repeat_is_lost_too() -> None:
    harness = LedgerHarness()
    (purchase,) = harness.plan("ada")
    first = harness.batch()
    harness.lose(first)
    harness.allow_repeat(purchase)
    harness.lose(harness.batch())
    harness.accept(first)
    (task,) = harness.due_tasks()
    assert harness.ledger.polls.people_in(task).waiting == {pid("ada"): purchase}


def test_a_repeat_allowed_by_an_operator_is_not_sent_after_the_late_answer() -> None:
    harness = LedgerHarness()
    (purchase,) = harness.plan("ada")
    first = harness.batch()
    harness.lose(first)
    resolve(harness.ledger, purchase, OperatorDecision.ALLOW_REPEAT, harness.now)
    harness.save(planned("lead-ada", buying("ada", generation=2)))
    harness.accept(first)
    harness.ledger.results.improve(purchase, "ada@example.com", harness.now, charged=True)
    assert not isinstance(harness.take(), Batch)


def test_a_risen_price_is_held_completely() -> None:
    harness = LedgerHarness()
    harness.plan("ada", "bob")
    dearer = replace(LENSMOR, prices=Prices({EMAIL: 30}))
    taken = harness.ledger.attempts.take(
        dearer, PurchaseGroup(EMAIL, None, 100), "run-1", "me", CapRules(day=30), harness.now
    )
    assert isinstance(taken, Batch)
    assert (len(taken.purchases), harness.used()) == (1, 30)
