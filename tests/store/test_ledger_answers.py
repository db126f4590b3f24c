"""Answers to paid requests, refusals, losses and late answers; after each test, the accounting closes."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from ledger_harness import EMAIL, PRICE, LedgerHarness, planned
from persons import pid, pids

from connector.core.model import Result
from connector.core.plan import AttachToPending
from connector.store import tables as t

HOLD, CHARGE, RELEASE = ("hold", PRICE), ("charge", PRICE), ("release", PRICE)


@pytest.fixture(name="harness")
def _harness() -> Iterator[LedgerHarness]:
    harness = LedgerHarness()
    yield harness
    harness.assert_accounting_closes()


# -- answers in time --------------------------------------------------------------------------------------------


def test_an_accepted_request_is_polled_delivered_and_charged(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    batch = harness.batch()
    harness.accept(batch)
    assert harness.states(first, second) == ["submitted", "submitted"]
    (task,) = harness.due_tasks()
    assert (task.provider_task_id, task.channel, task.polls) == ("task-1", EMAIL, 0)
    assert harness.ledger.polls.people_in(task).waiting == {pid("70011"): first, pid("70012"): second}
    assert harness.finalize(first) == [first]
    assert harness.finalize(second, result=Result.NOT_FOUND, charged=False) == [second]
    assert harness.entries() == [("hold", 2 * PRICE), CHARGE, RELEASE]
    assert harness.ledger.polls.people_in(task).waiting == {}
    assert (harness.purchase(first)["result"], harness.purchase(first)["hold"]) == ("delivered", "charged")
    assert (harness.purchase(second)["result"], harness.purchase(second)["hold"]) == ("not_found", "released")


@pytest.mark.parametrize("result", Result)
def test_finalizing_twice_has_no_effect(harness: LedgerHarness, result: Result) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.accept(harness.batch())
    assert harness.finalize(purchase_id) == [purchase_id]
    before, entries = harness.purchase(purchase_id), harness.entries()
    harness.pass_time()
    assert harness.finalize(purchase_id, result=result, charged=False) == []
    assert (harness.purchase(purchase_id), harness.entries()) == (before, entries)


def test_an_answer_is_adopted_once(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    batch = harness.batch()
    harness.accept(batch)
    harness.accept(batch, task="task-2")
    harness.refuse(batch)
    harness.lose(batch)
    assert [row["provider_task_id"] for row in harness.all(t.task)] == ["task-1"]
    assert harness.states(purchase_id) == ["submitted"]
    assert harness.entries() == [HOLD]


def test_a_definite_refusal_releases_the_hold(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.refuse(harness.batch())
    row = harness.purchase(purchase_id)
    assert (row["state"], row["hold"], row["attempt_id"], row["reason"]) == ("planned", "released", None, "refused")
    assert harness.entries() == [HOLD, RELEASE]
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    assert harness.entries() == [HOLD, RELEASE, HOLD, CHARGE]


def test_a_refusal_of_a_part_leaves_the_rest_waiting(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    batch = harness.batch()
    harness.refuse(batch, first, whole=False)
    harness.refuse(batch, first, whole=False)
    assert harness.states(first, second) == ["planned", "submitting"]
    assert harness.entries() == [("hold", 2 * PRICE), RELEASE]
    harness.accept(batch)
    assert harness.states(first, second) == ["planned", "submitted"]


def test_an_answer_may_treat_each_person_differently(harness: LedgerHarness) -> None:
    in_task, unlocked, unexplained, missing, regrouped = harness.plan(*(str(n) for n in range(70011, 70016)))
    batch = harness.batch()
    harness.accept(batch, check={unlocked: True, unexplained: False}, gone={missing: "no match"}, back=[regrouped])
    assert harness.states(in_task, unlocked, unexplained, missing, regrouped) == [
        "submitted", "submitted", "submitted", "final", "planned",
    ]  # fmt: skip
    (task,) = harness.due_tasks()
    assert list(harness.ledger.polls.people_in(task).waiting.values()) == [in_task]
    assert [row.id for row in harness.due_checks()] == [unlocked, unexplained]
    assert (harness.purchase(missing)["result"], harness.purchase(missing)["reason"]) == ("failed", "no match")
    assert harness.entries() == [("hold", 5 * PRICE), RELEASE, RELEASE]
    harness.finalize(in_task, unlocked, unexplained)
    # An unlocked person is free; an unexplained one is presumed charged.
    assert sorted(harness.entries()[3:]) == [("charge", 2 * PRICE), RELEASE]


# -- lost answers -----------------------------------------------------------------------------------------------


def test_a_lost_answer_keeps_its_hold_and_schedules_a_read(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    assert harness.states(purchase_id) == ["unknown"]
    assert [row["state"] for row in harness.all(t.attempt)] == ["lost"]
    (check,) = harness.due_checks()
    assert (check.id, check.checks, check.resubmitted) == (purchase_id, 0, 0)
    assert harness.take() is None
    assert harness.entries() == [HOLD]
    harness.finalize(purchase_id)
    assert harness.entries() == [HOLD, CHARGE]


def test_a_late_answer_after_a_loss_is_adopted(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    batch = harness.batch()
    harness.lose(batch)
    harness.accept(batch, task="late", check={second: True})
    assert harness.states(first, second) == ["submitted", "submitted"]
    (task,) = harness.due_tasks()
    assert task.provider_task_id == "late"
    assert list(harness.ledger.polls.people_in(task).waiting) == pids(["70011"])
    harness.finalize(first, second)
    assert harness.entries() == [("hold", 2 * PRICE), CHARGE, RELEASE]


def test_a_late_refusal_after_a_loss_releases_the_hold(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    batch = harness.batch()
    harness.lose(batch)
    harness.refuse(batch)
    assert harness.states(purchase_id) == ["planned"]
    assert harness.entries() == [HOLD, RELEASE]


def test_a_late_answer_replaces_an_unsent_repeat(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011", mapping="lead")
    batch = harness.batch()
    harness.lose(batch)
    harness.allow_repeat(purchase_id)
    harness.plan("70011", mapping="contact")  # another mapping attaches, and would pay for the repeat
    harness.accept(batch, task="late")
    assert harness.states(purchase_id) == ["submitted"]
    assert (harness.purchase(purchase_id)["mapping"], harness.purchase(purchase_id)["prior_attempt_id"]) == (
        "lead",
        None,
    )
    assert harness.take() is None
    (task,) = harness.due_tasks()
    assert harness.ledger.polls.people_in(task).waiting == {pid("70011"): purchase_id}
    harness.finalize(purchase_id)
    assert harness.entries() == [HOLD, CHARGE]


@pytest.mark.parametrize("sent", [False, True])
def test_a_late_refusal_after_a_repeat_releases_the_first_hold(harness: LedgerHarness, sent: bool) -> None:
    (purchase_id,) = harness.plan("70011")
    first = harness.batch()
    harness.lose(first)
    harness.allow_repeat(purchase_id)
    harness.pass_time()
    second = harness.batch() if sent else None
    harness.refuse(first, purchase_id)
    assert harness.states(purchase_id) == ["submitting" if sent else "planned"]
    assert harness.used() == (PRICE if sent else 0)
    harness.accept(second or harness.batch())
    harness.finalize(purchase_id)
    assert harness.used() == PRICE
    assert attempt_of(harness, "charge") == [1]


def test_a_repeat_of_another_mapping_releases_the_first_mappings_hold(harness: LedgerHarness) -> None:
    purchase_id = lost_and_repeated(harness)
    harness.save(
        planned("contact-1", AttachToPending(harness.known_purchase("70011"), 0)), run="run-2", mapping="contact"
    )
    harness.accept(harness.batch(run="run-2"))
    harness.finalize(purchase_id)
    by_mapping = {(row["mapping"], row["kind"]) for row in harness.all(t.entry)}
    assert by_mapping == {("lead", "hold"), ("lead", "release"), ("contact", "hold"), ("contact", "charge")}


@pytest.mark.parametrize("kind", ["gone", "back", "check", "task"])
def test_a_late_answer_does_not_change_a_final_purchase(harness: LedgerHarness, kind: str) -> None:
    final, other = harness.plan("70011", "70012")
    batch = harness.batch()
    harness.lose(batch)
    harness.finalize(final)
    before = harness.purchase(final)
    harness.accept(
        batch,
        gone={final: "no match"} if kind == "gone" else {},
        back=[final] if kind == "back" else [],
        check={final: True} if kind == "check" else {},
    )
    assert harness.purchase(final) == before
    assert harness.states(other) == ["submitted"]
    assert harness.entries() == [("hold", 2 * PRICE), CHARGE]


def test_every_request_of_a_dead_process_is_unknown(harness: LedgerHarness) -> None:
    dead, answered, refused = harness.plan("70011", "70012", "70013")
    harness.batch(size=1)
    harness.accept(harness.batch(size=1))
    harness.refuse(harness.batch(size=1))
    later = harness.now + timedelta(minutes=1)
    orphaned = harness.ledger.answers.orphaned
    assert orphaned({("lensmor", "second"): later, ("salesfinity", "default"): later}, harness.now) == 0
    assert orphaned({("lensmor", "default"): later}, harness.now) == 1
    assert orphaned({("lensmor", "default"): later}, harness.now) == 0
    assert harness.states(dead, answered, refused) == ["unknown", "submitted", "planned"]
    assert harness.purchase(dead)["check_at"] == later
    assert harness.due_checks() == []


def test_an_orphan_without_records_waits_for_an_operator(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.batch()
    harness.ledger.answers.orphaned({("lensmor", "default"): None}, harness.now)
    assert (harness.states(purchase_id), harness.purchase(purchase_id)["check_at"]) == (["unknown"], None)


# -- one permitted resubmission ---------------------------------------------------------------------------------


def lost_and_repeated(harness: LedgerHarness) -> int:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    harness.allow_repeat(purchase_id)
    return purchase_id


def test_a_repeat_keeps_the_first_hold_and_takes_its_own(harness: LedgerHarness) -> None:
    purchase_id = lost_and_repeated(harness)
    row = harness.purchase(purchase_id)
    assert (row["state"], row["resubmitted"], row["hold"]) == ("planned", 1, "")
    assert row["prior_attempt_id"] == harness.all(t.attempt)[0]["id"]
    harness.batch()
    assert harness.entries() == [HOLD, HOLD]
    assert harness.used() == 2 * PRICE


def attempt_of(harness: LedgerHarness, kind: str) -> list[object]:
    """The attempts of the entries of a kind, as positions in the order of submission."""
    order = [row["id"] for row in sorted(harness.all(t.attempt), key=lambda row: str(row["created_at"]))]
    return [order.index(row["attempt_id"]) for row in harness.all(t.entry) if row["kind"] == kind]


@pytest.mark.parametrize(
    ("free", "charged", "charges", "releases"),
    [
        (True, True, [0], [1]),  # "already unlocked": the first was charged
        (False, True, [1], [0]),  # a new task: the second was charged
        (True, False, [], [0, 1]),
        (False, False, [], [0, 1]),
    ],
)
def test_the_second_answer_decides_which_request_was_charged(
    harness: LedgerHarness, free: bool, charged: bool, charges: list[int], releases: list[int]
) -> None:
    purchase_id = lost_and_repeated(harness)
    harness.pass_time()
    batch = harness.batch()
    harness.accept(batch, task=None, check={purchase_id: True}) if free else harness.accept(batch)
    result = Result.DELIVERED if charged else Result.FAILED
    harness.finalize(purchase_id, result=result, charged=charged)
    assert attempt_of(harness, "charge") == charges
    assert sorted(map(str, attempt_of(harness, "release"))) == sorted(map(str, releases))
    assert harness.purchase(purchase_id)["prior_attempt_id"] is None


def test_a_repeat_for_an_unknown_person_releases_both_holds(harness: LedgerHarness) -> None:
    purchase_id = lost_and_repeated(harness)
    harness.accept(harness.batch(), task=None, gone={purchase_id: "no match"})
    assert harness.states(purchase_id) == ["final"]
    assert harness.used() == 0
    assert harness.purchase(purchase_id)["prior_attempt_id"] is None


def test_a_value_after_a_refused_repeat_charges_the_first_request(harness: LedgerHarness) -> None:
    purchase_id = lost_and_repeated(harness)
    harness.pass_time()
    harness.refuse(harness.batch())
    harness.finalize(purchase_id, charged=True)
    assert attempt_of(harness, "charge") == [0]
    assert attempt_of(harness, "release") == [1]


def test_a_value_before_the_repeat_charges_the_first_request(harness: LedgerHarness) -> None:
    purchase_id = lost_and_repeated(harness)
    harness.finalize(purchase_id, charged=True)
    assert harness.entries() == [HOLD, CHARGE]


def test_a_second_lost_answer_presumes_the_oldest_request_charged(harness: LedgerHarness) -> None:
    purchase_id = lost_and_repeated(harness)
    harness.pass_time()
    harness.lose(harness.batch())
    harness.assert_accounting_closes()
    harness.allow_repeat(purchase_id)
    harness.assert_accounting_closes()
    assert attempt_of(harness, "charge") == [0]
    harness.pass_time()
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    assert attempt_of(harness, "charge") == [0, 2]
    assert attempt_of(harness, "release") == [1]


def test_a_repeat_is_allowed_once_per_read(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.lose(harness.batch())
    check = harness.check_row(purchase_id)
    harness.ledger.results.allow_repeat(check, "no trace", harness.now)
    harness.lose(harness.batch())
    harness.ledger.results.allow_repeat(check, "no trace", harness.now)  # the same read again
    assert (harness.states(purchase_id), harness.purchase(purchase_id)["resubmitted"]) == (["unknown"], 1)


@pytest.mark.parametrize("state", ["planned", "submitting", "submitted", "final"])
def test_only_an_unknown_purchase_may_be_repeated(harness: LedgerHarness, state: str) -> None:
    (purchase_id,) = harness.plan("70011")
    if state != "planned":
        batch = harness.batch()
        if state != "submitting":
            harness.accept(batch)
        if state == "final":
            harness.finalize(purchase_id)
    before = harness.purchase(purchase_id)
    harness.allow_repeat(purchase_id)
    assert harness.purchase(purchase_id) == before


# -- the accounting ---------------------------------------------------------------------------------------------


def test_an_imbalance_is_described() -> None:
    harness = LedgerHarness()
    harness.plan("70011")
    harness.batch()
    with harness.ledger.database.write() as connection:
        connection.execute(t.purchase.update().values(hold="released"))
    assert "entries hold 15 credits, purchases 0" in harness.ledger.credits.imbalance()


def test_totals_are_sums_of_entries(harness: LedgerHarness) -> None:
    ids = harness.plan("70011", "70012", "70013")
    harness.accept(harness.batch())
    newest = harness.ledger.credits.newest_entry()
    harness.finalize(ids[0])
    harness.finalize(ids[1], result=Result.NOT_FOUND, charged=False)
    totals = harness.ledger.credits.totals()["lensmor"]
    assert (totals.held, totals.charged, totals.released, totals.open) == (45, 15, 15, 15)
    assert harness.ledger.credits.totals("run-1") == {"lensmor": totals}
    assert harness.ledger.credits.totals("run-2") == {}
    assert harness.ledger.credits.charged_since(newest) == {"lensmor": 15}
    assert harness.ledger.credits.by_month() == [("2026-11", "lensmor", "lead", totals)]
