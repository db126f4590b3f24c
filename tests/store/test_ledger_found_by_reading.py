"""Sequences found by a hostile reading of the code, each a hole once, as short as they could be made."""

from dataclasses import replace
from datetime import timedelta

from ledger_shelf import EMAIL, LENSMOR, Shelf, buying, planned

from connector.core.model import Prices
from connector.engine.resolution import OperatorsWord, resolve
from connector.store.credits import CapRules
from connector.store.rows import Batch


def test_a_request_lost_twice_blocks_no_balance_after_a_day() -> None:
    shelf = Shelf()
    (unlock,) = shelf.plan("ada")
    shelf.lose(shelf.batch())
    shelf.allow_repeat(unlock)
    shelf.lose(shelf.batch())
    shelf.pass_time(25 * 3600)
    shelf.ledger.operator.presume_charged(shelf.now - timedelta(hours=24), shelf.now)
    assert shelf.ledger.credits.totals()["lensmor"].open == 0


def test_a_late_first_answer_is_adopted_when_its_repeat_is_lost_too() -> None:
    shelf = Shelf()
    (unlock,) = shelf.plan("ada")
    first = shelf.batch()
    shelf.lose(first)
    shelf.allow_repeat(unlock)
    shelf.lose(shelf.batch())
    shelf.accept(first)
    (task,) = shelf.due_tasks()
    assert shelf.ledger.results.people_of(task) == {"ada": unlock}


def test_a_repeat_allowed_by_an_operator_is_not_sent_after_the_late_answer() -> None:
    shelf = Shelf()
    (unlock,) = shelf.plan("ada")
    first = shelf.batch()
    shelf.lose(first)
    resolve(shelf.ledger, unlock, OperatorsWord.ALLOW_REPEAT, shelf.now)
    shelf.save(planned("lead-ada", buying("ada", generation=2)))
    shelf.accept(first)
    shelf.ledger.results.improve(unlock, "ada@example.com", shelf.now, charged=True)
    assert not isinstance(shelf.take(), Batch)


def test_a_price_that_rose_is_held_whole() -> None:
    shelf = Shelf()
    shelf.plan("ada", "bob")
    dearer = replace(LENSMOR, prices=Prices({EMAIL: 30}))
    taken = shelf.ledger.attempts.take(dearer, EMAIL, None, 100, "run-1", "me", CapRules(day=30), shelf.now)
    assert isinstance(taken, Batch)
    assert (len(taken.unlocks), shelf.used()) == (1, 30)
