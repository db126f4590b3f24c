"""Records from selection to finish: open and ready records, erased values, and the outcomes of each run."""

from datetime import timedelta

import pytest
from ledger_harness import EMAIL, LENSMOR, PHONE, START, LedgerHarness, buying, planned
from persons import link, person_with, pid

from connector.core.model import Channel, Outcome, PurchaseKey, Result
from connector.core.plan import AttachToPending, ResolveIdentity, Reuse, Skip
from connector.store import tables as t
from connector.store.record_views import Finish, Unwritten
from connector.store.run_outcomes import EndedPurchases
from connector.store.runs import Intended

ADA = PurchaseKey("lensmor", "default", EMAIL, pid("70011"))


@pytest.fixture(name="harness")
def _harness() -> LedgerHarness:
    return LedgerHarness()


def channels_of(harness: LedgerHarness, crm_id: str) -> list[int]:
    return [int(str(record_channel["id"])) for record_channel in harness.channels(crm_id)]


def attaching(harness: LedgerHarness, person: str = "70011") -> AttachToPending:
    found = harness.ledger.snapshots.read("lead", {"x": person_with(person)}, [LENSMOR]).purchases
    return AttachToPending(found[PurchaseKey("lensmor", "default", EMAIL, pid(person))], 0)


def delivered(harness: LedgerHarness, *crm_ids: str, value: str = "ada@example.com") -> int:
    """Deliver one person's value to these records; returns the purchase id."""
    harness.save(*(planned(crm_id, buying("70011")) for crm_id in crm_ids))
    purchase_id = harness.id_of("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id, value=value)
    harness.mark_ready()
    return purchase_id


def value_of(harness: LedgerHarness, purchase_id: int) -> str | None:
    return harness.ledger.records.purchase_views([purchase_id])[purchase_id].value


# -- erasing ----------------------------------------------------------------------------------------------------


def test_a_value_is_erased_when_no_record_waits_for_it(harness: LedgerHarness) -> None:
    purchase_id = delivered(harness, "00Q1", "00Q2")
    harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
    assert value_of(harness, purchase_id) == "ada@example.com"  # the other record still waits for it
    harness.finish(harness.record_id("00Q2"), *channels_of(harness, "00Q2"))
    assert value_of(harness, purchase_id) is None
    hashed = harness.purchase(purchase_id)["value_hash"]
    assert harness.ledger.seal.matches(str(hashed), "ada@example.com")  # recognised, although erased


def test_a_record_that_stays_open_keeps_its_value(harness: LedgerHarness) -> None:
    purchase_id = delivered(harness, "00Q1")
    parked = Finish(
        harness.record_id("00Q1"), Outcome.PARKED, "too long", {}, closes=False, parked_version="v1|d", attention="fix"
    )
    harness.ledger.records.finish("run-1", [parked], harness.now)
    assert value_of(harness, purchase_id) == "ada@example.com"
    (row,) = harness.all(t.record)
    assert (row["state"], row["outcome"], row["parked_version"], row["attention"]) == ("open", "parked", "v1|d", "fix")


def test_one_written_channel_is_erased_while_the_other_waits(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011"), buying("70011", PHONE)))
    email, phone = harness.id_of("70011"), harness.id_of("70011", PHONE)
    harness.finalize(email, phone, charged=False)
    email_channel, phone_channel = channels_of(harness, "00Q1")
    harness.finish(harness.record_id("00Q1"), email_channel, closes=False)
    assert (value_of(harness, email), value_of(harness, phone)) == (None, "ada@example.com")
    harness.finish(harness.record_id("00Q1"), phone_channel)
    assert value_of(harness, phone) is None


def test_a_dropped_record_does_not_keep_a_value(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70011")))
    # In the next run only one of the two is still flagged; nothing was bought yet.
    harness.save(planned("00Q1", attaching(harness)), run="run-2")
    harness.ledger.records.drop_unselected("run-2", ["lead"], harness.now, harness.now)
    purchase_id = harness.id_of("70011")
    harness.accept(harness.batch(run="run-2"))
    harness.finalize(purchase_id)
    harness.mark_ready("run-2")
    harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
    assert value_of(harness, purchase_id) is None


def test_a_value_for_a_closed_record_is_erased_by_the_next_run(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70012")))
    gone, waiting = harness.id_of("70011"), harness.id_of("70012")
    harness.accept(harness.batch())
    # The record was deleted in the CRM while the vendor's task was running.
    harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
    harness.finalize(gone, waiting)
    assert value_of(harness, gone) == "ada@example.com"
    harness.ledger.erase_expired(START)
    assert value_of(harness, gone) is None
    assert harness.purchase(gone)["value_hash"] is not None
    assert value_of(harness, waiting) == "ada@example.com"
    harness.assert_accounting_closes()


def test_before_images_are_erased_after_the_undo_time(harness: LedgerHarness) -> None:
    intend = harness.ledger.runs.intend
    intend("run-1", "Lead", [Intended(1, "00Q1", {"Email": "old@example.com"}, {"Email": "a@example.com"})], START)
    (row,) = harness.all(t.change)
    assert isinstance(row["before"], bytes)
    assert harness.ledger.seal.open(row["before"]) == {"Email": "old@example.com"}
    assert "example.com" not in str(row["fields"])
    harness.ledger.erase_expired(START)
    assert harness.all(t.change)[0]["before"] is not None
    harness.ledger.erase_expired(START + timedelta(microseconds=1))
    assert harness.all(t.change)[0]["before"] is None


# -- during a run -----------------------------------------------------------------------------------------------


def test_records_without_waiting_channels_are_complete(harness: LedgerHarness) -> None:
    harness.save(
        planned("00Q1", Skip("filled")),
        planned("00Q2", buying("70011")),
        planned("00Q3", ResolveIdentity("lensmor", link("ada-sample"), 0), person=person_with(linkedin="ada-sample")),
        planned("00Q4", Skip("filled"), buying("70012", PHONE)),
    )
    records = harness.ledger.records
    assert [row.crm_id for row in records.complete("run-1", 10)] == ["00Q1"]
    assert [row.crm_id for row in records.incomplete("run-1", "lead", 10)] == ["00Q2", "00Q3", "00Q4"]
    after = harness.record_id("00Q2")
    assert [row.crm_id for row in records.incomplete("run-1", "lead", 1, after)] == ["00Q3"]
    at_first = {("lead", "work_email", 0)}
    assert [record.crm_id for _, record in records.pending_matches("run-1", at_first, 10)] == ["00Q3"]
    assert records.pending_matches("run-1", {("lead", "work_email", 1), ("other", "work_email", 0)}, 10) == []
    records.defer_lookups(channels_of(harness, "00Q3"), "no budget")
    assert records.pending_matches("run-1", at_first, 10) == []
    assert harness.channels("00Q3")[0]["reason"] == "no budget"


def test_ended_channels_are_listed_once_they_have_a_result(harness: LedgerHarness) -> None:
    first, second, third = harness.plan("70011", "70012", "70013")
    harness.accept(harness.batch())
    harness.finalize(first)
    harness.finalize(second, result=Result.NOT_FOUND, charged=False)
    ended = harness.ended()
    assert [(e.record_channel.purchase_id, e.result, e.has_value, e.provider) for e in ended] == [
        (first, Result.DELIVERED, True, "lensmor"),
        (second, Result.NOT_FOUND, False, "lensmor"),
    ]
    assert [e.record_channel.purchase_id for e in harness.ledger.ended.of_purchases("run-1", [second, third])] == [
        second
    ]
    assert harness.ended("run-2") == harness.ended("run-1", "other") == []
    assert harness.ledger.ended.of_purchases("run-2", [first, second]) == []
    harness.ledger.ended.mark_ready(ended)
    assert harness.ended() == []


def test_an_erased_value_that_is_needed_again_is_read_again(harness: LedgerHarness) -> None:
    purchase_id = delivered(harness, "00Q1")
    harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
    purchase = harness.ledger.snapshots.read("lead", {"x": person_with("70011")}, [LENSMOR]).purchases[ADA]
    harness.save(planned("00Q9", Reuse(purchase, 0)), run="run-2")
    assert harness.ended("run-2") == []
    (row,) = harness.due_rereads("run-2")
    assert (row.id, row.person, row.provider_task_id) == (purchase_id, pid("70011"), "task-1")
    harness.ledger.results.reseal(purchase_id, "ada@example.com")
    assert harness.due_rereads("run-2") == []
    assert [e.has_value for e in harness.ended("run-2")] == [True]
    harness.assert_accounting_closes()


def test_a_value_that_the_vendor_no_longer_shows_fails(harness: LedgerHarness) -> None:
    purchase_id = delivered(harness, "00Q1")
    harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
    purchase = harness.ledger.snapshots.read("lead", {"x": person_with("70011")}, [LENSMOR]).purchases[ADA]
    harness.save(planned("00Q9", Reuse(purchase, 0)), run="run-2")
    harness.ledger.records.fail_channel_of(purchase_id, "paid earlier, no longer readable")
    (record_channel,) = harness.channels("00Q9")
    assert (record_channel["state"], record_channel["outcome"], record_channel["purchase_id"]) == (
        "ready",
        "failed",
        None,
    )
    assert harness.channels("00Q1")[0]["outcome"] == "delivered"


# -- from run to run --------------------------------------------------------------------------------------------


def test_a_new_run_adopts_purchases_and_drops_unselected_records(harness: LedgerHarness) -> None:
    harness.plan("70011", "70012", "70013")
    harness.accept(harness.batch(size=1))
    harness.lose(harness.batch(size=1))
    records = harness.ledger.records
    run_outcomes = harness.ledger.run_outcomes
    assert records.adopt("run-2", ["contact"], harness.now) == 0
    assert records.adopt("run-2", ["lead"], harness.now) == 2
    assert (run_outcomes.selected("run-2"), run_outcomes.selected("run-1")) == (2, 1)
    records.drop_unselected("run-2", ["lead"], harness.now, harness.now)
    assert [(row["crm_id"], row["state"]) for row in harness.all(t.record)] == [
        ("lead-70011", "open"), ("lead-70012", "open"), ("lead-70013", "closed"),
    ]  # fmt: skip


def test_a_stored_value_is_adopted_until_it_is_written(harness: LedgerHarness) -> None:
    delivered(harness, "00Q1")
    assert harness.ledger.records.adopt("run-2", ["lead"], harness.now) == 1
    harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
    assert harness.ledger.records.adopt("run-3", ["lead"], harness.now) == 0


def test_a_record_is_not_moved_onto_an_open_record(harness: LedgerHarness) -> None:
    harness.plan("70011")
    harness.plan("70012", mapping="contact")
    move = harness.ledger.records.move
    record_id = harness.record_id("lead-70011")
    assert not move(record_id, "contact", "Contact", "contact-70012")
    assert move(record_id, "contact", "Contact", "0031")
    row = next(row for row in harness.all(t.record) if row["id"] == record_id)
    assert (row["mapping"], row["object"], row["crm_id"]) == ("contact", "Contact", "0031")


def test_the_outcomes_of_each_run_are_kept(harness: LedgerHarness) -> None:
    delivered(harness, "00Q1")
    harness.save(planned("00Q2", Skip("filled")))
    records = harness.ledger.records
    run_outcomes = harness.ledger.run_outcomes
    harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
    records.note("run-1", [Unwritten(harness.record_id("00Q2"), Outcome.DEFERRED, "quota", {})])
    run_outcomes.keep_outcomes("run-1")
    outcomes = [(one.crm_id, one.outcome, one.reason, one.attention) for one in run_outcomes.outcomes("run-1")]
    assert outcomes == [("00Q1", Outcome.DELIVERED, "", ""), ("00Q2", Outcome.DEFERRED, "quota", "")]
    harness.finish(harness.record_id("00Q2"))
    run_outcomes.keep_outcomes("run-1")
    found = [(one.crm_id, one.outcome, one.reason, one.attention) for one in run_outcomes.outcomes("run-1")]
    assert found == outcomes
    assert list(run_outcomes.outcomes("run-2")) == []
    assert run_outcomes.counts("run-1") == {Outcome.DELIVERED: 1, Outcome.DEFERRED: 1}
    assert run_outcomes.counts_by_mapping("run-1") == {"lead": 2}
    assert run_outcomes.selected("run-1") == 2


def test_a_closed_record_keeps_its_outcome(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", Skip("filled")))
    record_id = harness.record_id("00Q1")
    harness.finish(record_id, *channels_of(harness, "00Q1"))
    harness.ledger.records.note("run-1", [Unwritten(record_id, Outcome.UNKNOWN, "x", {})])
    assert harness.all(t.record)[0]["outcome"] == "delivered"


def test_often_flagged_records_are_counted(harness: LedgerHarness) -> None:
    for _ in range(5):
        harness.save(planned("00Q1", Skip("filled")))
        harness.finish(harness.record_id("00Q1"), *channels_of(harness, "00Q1"))
        harness.pass_time(60)
    often = harness.ledger.run_outcomes.often_flagged
    assert often("run-1", START, 4) == [("00Q1", 5)]
    assert often("run-1", START, 5) == []
    assert often("run-1", START + timedelta(seconds=60), 4) == []


def test_purchases_that_ended_in_a_run_are_counted_with_their_cost(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    harness.accept(harness.batch())
    harness.finalize(first)
    harness.pass_time(60)
    harness.finalize(second, result=Result.NOT_FOUND, charged=False)
    ended = harness.ledger.run_outcomes.ended_purchases
    without = EndedPurchases("lensmor", Channel.WORK_EMAIL, Result.NOT_FOUND, False, 1, 0)
    assert sorted(ended([LENSMOR], START), key=lambda one: one.result) == [
        EndedPurchases("lensmor", Channel.WORK_EMAIL, Result.DELIVERED, False, 1, 15),
        without,
    ]
    assert ended([LENSMOR], harness.now) == [without]
    assert ended([LENSMOR], START, ["another"]) == []
