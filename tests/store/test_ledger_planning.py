"""Storing a plan: one purchase per person for all of its records; open records keep their purchases."""

import pytest
import sqlalchemy as sa
from ledger_harness import EMAIL, LENSMOR, PHONE, PRICE, LedgerHarness, buying, planned
from persons import link, match_with, person_with, pid

from connector.core.identifiers import LINKEDIN
from connector.core.model import Channel, Outcome, Person, PurchaseKey, Result
from connector.core.person import Source
from connector.core.plan import (
    AttachToPending,
    Decision,
    Defer,
    FailedSource,
    ResolveIdentity,
    Reuse,
    Skip,
    SourcesExhausted,
)
from connector.core.states import PurchaseState
from connector.providers.lensmor.identifiers import EVENT_ID, PERSONNEL_ID
from connector.store import tables as t
from connector.store.planned import PlannedChannel, PlannedRecord, PurchaseTerms, Redecision
from connector.store.record_views import Finish
from connector.store.rows import PurchaseGroup


@pytest.fixture(name="harness")
def _harness() -> LedgerHarness:
    return LedgerHarness()


def snapshot(harness: LedgerHarness, **people: Person) -> dict[PurchaseKey, PurchaseState]:
    found = harness.ledger.snapshots.read("lead", people, [LENSMOR])
    return {key: purchase.state for key, purchase in found.purchases.items()}


ADA = PurchaseKey("lensmor", "default", EMAIL, pid("70011"))
FAILED_SOURCES = (FailedSource("lensmor", Result.NOT_FOUND, "lensmor did not find it"),)


# -- a page of new records --------------------------------------------------------------------------------------


def test_several_records_of_one_person_share_one_purchase(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70011")), planned("00Q3", buying("70012")))
    purchases = harness.all(t.purchase)
    assert [(p["person"], p["state"], p["price_credits"]) for p in purchases] == [
        ("70011", "planned", PRICE),
        ("70012", "planned", PRICE),
    ]
    ids = [harness.channels(crm_id)[0]["purchase_id"] for crm_id in ("00Q1", "00Q2", "00Q3")]
    assert ids == [purchases[0]["id"], purchases[0]["id"], purchases[1]["id"]]


def test_a_later_record_of_the_person_attaches(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    purchase = harness.ledger.snapshots.read("lead", {"x": person_with("70011")}, [LENSMOR]).purchases[ADA]
    assert purchase.id == purchase_id
    harness.save(planned("00Q9", AttachToPending(purchase, 0)), run="run-2", mapping="contact")
    assert harness.channels("00Q9")[0]["purchase_id"] == purchase_id
    # A planned purchase is assigned to the run that needs it now.
    assert (harness.purchase(purchase_id)["run_id"], harness.purchase(purchase_id)["mapping"]) == ("run-2", "contact")


def test_a_sent_purchase_keeps_its_run_and_mapping(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.accept(harness.batch())
    purchase = harness.ledger.snapshots.read("lead", {"x": person_with("70011")}, [LENSMOR]).purchases[ADA]
    harness.save(planned("00Q9", AttachToPending(purchase, 0)), run="run-2", mapping="contact")
    assert (harness.purchase(purchase_id)["run_id"], harness.purchase(purchase_id)["mapping"]) == ("run-1", "lead")
    harness.assert_accounting_closes()


def test_planning_the_same_purchase_twice_makes_one_row(harness: LedgerHarness) -> None:
    first = harness.plan("70011")
    harness.save(planned("00Q2", buying("70011")), run="run-2")  # decided before the first was saved
    assert len(harness.all(t.purchase)) == 1
    assert harness.channels("00Q2")[0]["purchase_id"] == first[0]


def test_a_new_generation_is_another_purchase(harness: LedgerHarness) -> None:
    (first,) = harness.plan("70011")
    harness.accept(harness.batch())
    harness.finalize(first)
    harness.save(planned("00Q2", buying("70011", generation=2)))
    second = harness.id_of("70011")
    assert second != first
    assert (harness.purchase(second)["generation"], harness.purchase(second)["state"]) == (2, "planned")
    assert harness.channels("00Q2")[0]["purchase_id"] == second
    assert snapshot(harness, x=person_with("70011")) == {ADA: PurchaseState.PLANNED}  # the newest counts


@pytest.mark.parametrize(
    ("decision", "record_channel"),
    [
        (Skip("opted out", keep_status=True), ("ready", "skipped", "opted out", True)),
        (Defer("daily cap"), ("deferred", "deferred", "daily cap", True)),
        (SourcesExhausted(Result.NOT_FOUND, "nobody", FAILED_SOURCES), ("ready", "not_found", "nobody", False)),
        (SourcesExhausted(Result.FAILED, "failed", FAILED_SOURCES), ("ready", "failed", "failed", False)),
        (ResolveIdentity("lensmor", link("ada-sample"), 0), ("resolving", None, "", False)),
        (buying("70011"), ("open", None, "", False)),
    ],
)
def test_each_decision_is_stored_as_a_record_channel(
    harness: LedgerHarness, decision: Decision, record_channel: tuple[str, str | None, str, bool]
) -> None:
    harness.save(planned("00Q1", decision))
    (row,) = harness.channels("00Q1")
    assert (row["state"], row["outcome"], row["reason"], row["keep_status"]) == record_channel
    assert len(harness.all(t.purchase)) == (1 if record_channel[0] == "open" else 0)


def test_failed_sources_are_stored(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", SourcesExhausted(Result.NOT_FOUND, "nobody", FAILED_SOURCES)))
    record = harness.ledger.records.by_ids([harness.record_id("00Q1")])[harness.record_id("00Q1")]
    assert record.channels[0].failed_sources == FAILED_SOURCES


def test_the_advice_of_a_deferral_is_stored(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", Defer("another ledger", attention="clear the status field")))
    assert harness.all(t.record)[0]["attention"] == "clear the status field"


def test_a_personnel_id_found_by_linkedin_is_stored_for_the_stamp(harness: LedgerHarness) -> None:
    ada = person_with(linkedin="ada-sample")
    harness.save(planned("00Q1", buying("70011"), person=ada, resolved="70011"))
    harness.save(planned("00Q2", buying("70012"), person=person_with("70012")))
    assert [row["resolved"] for row in harness.all(t.record)] == [{"personnel_id": "70011"}, {}]
    harness.save(planned("00Q1", buying("70011"), person=ada), run="run-2")
    assert [row["resolved"] for row in harness.all(t.record)] == [{"personnel_id": "70011"}, {}]


# -- open records -----------------------------------------------------------------------------------------------


def test_an_open_record_keeps_its_baseline_through_any_number_of_runs(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011"), baseline="first"))
    for run in ("run-2", "run-3"):
        harness.save(planned("00Q1", buying("70011"), baseline=f"seen by {run}"), run=run)
    assert [row["run_id"] for row in harness.all(t.record)] == ["run-3"]
    (record_channel,) = harness.channels("00Q1")
    assert record_channel["baseline"] == "first"


def test_an_open_record_keeps_its_purchases(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", buying("70011"), baseline="first"))
    harness.accept(harness.batch())
    bought = harness.channels("00Q1")
    harness.save(planned("00Q1", Skip("opted out since"), baseline="second"), run="run-2")
    assert harness.channels("00Q1") == bought


@pytest.mark.parametrize("state", ["submitting", "submitted", "unknown", "final"])
def test_a_sent_purchase_is_never_dropped(harness: LedgerHarness, state: str) -> None:
    (purchase_id,) = harness.plan("70011")
    batch = harness.batch()
    if state in {"submitted", "final"}:
        harness.accept(batch)
    if state == "unknown":
        harness.lose(batch)
    if state == "final":
        harness.finalize(purchase_id)
    harness.save(planned("lead-70011", Skip("changed")), run="run-2")
    assert (harness.channels("lead-70011")[0]["purchase_id"], harness.states(purchase_id)) == (purchase_id, [state])


def test_an_unsent_purchase_is_decided_again(harness: LedgerHarness) -> None:
    harness.plan("70011")
    harness.save(planned("lead-70011", Skip("opted out since")), run="run-2")
    (record_channel,) = harness.channels("lead-70011")
    assert (record_channel["state"], record_channel["outcome"], record_channel["purchase_id"]) == (
        "ready",
        "skipped",
        None,
    )


def test_a_deferred_channel_is_decided_again(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", Defer("daily cap")))
    harness.save(planned("00Q1", buying("70011")), run="run-2")
    (record_channel,) = harness.channels("00Q1")
    assert (
        record_channel["state"],
        record_channel["outcome"],
        record_channel["reason"],
        record_channel["keep_status"],
    ) == ("open", None, "", False)


def test_a_channel_that_was_mapped_since_is_added(harness: LedgerHarness) -> None:
    harness.plan("70011")
    harness.save(planned("lead-70011", buying("70011"), buying("70011", PHONE)), run="run-2")
    assert [record_channel["channel"] for record_channel in harness.channels("lead-70011")] == ["work_email", "phone"]


def test_a_closed_record_is_opened_again(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    first = harness.record_id("lead-70011")
    harness.finish(first, *[int(str(record_channel["id"])) for record_channel in harness.channels("lead-70011")])
    purchase = harness.ledger.snapshots.read("lead", {"x": person_with("70011")}, [LENSMOR]).purchases[ADA]
    harness.save(planned("lead-70011", Reuse(purchase, 0)), run="run-2")
    assert harness.record_id("lead-70011") != first
    assert [row["state"] for row in harness.all(t.record)] == ["closed", "open"]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (person_with("70011"), person_with("70011"), True),
        (person_with("70011", "52001"), person_with("70011", "52017"), True),  # another event of the same person
        (person_with("70011"), person_with("70012"), False),
        (person_with("70011"), person_with(), False),
        (person_with(linkedin="ada"), person_with(linkedin="ben"), False),
        (person_with(linkedin="ada"), person_with("70011", None, "ada"), True),  # the id was found and stamped
        (person_with(linkedin="ada"), person_with("70099", None, "ada"), False),
    ],
)
def test_a_record_of_another_person_starts_again(
    harness: LedgerHarness, before: Person, after: Person, same: bool
) -> None:
    resolved = None if PERSONNEL_ID.name in before.identifiers else "70011"
    harness.save(planned("00Q1", buying("70011"), baseline="first", person=before, resolved=resolved))
    harness.accept(harness.batch())
    harness.save(planned("00Q1", buying("70012"), baseline="second", person=after), run="run-2")
    states = [(row["state"], row["run_id"]) for row in harness.all(t.record)]
    assert states == ([("open", "run-2")] if same else [("closed", "run-1"), ("open", "run-2")])
    assert harness.channels("00Q1")[-1]["baseline"] == ("first" if same else "second")
    harness.assert_accounting_closes()


def test_a_channel_skipped_for_a_reason_that_no_longer_holds_is_taken_up(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", Skip("opted out"), buying("70011", PHONE)))
    skipped, _ = harness.channels("00Q1")
    finish = Finish(
        harness.record_id("00Q1"), Outcome.WAITING, "", {int(str(skipped["id"])): (Outcome.SKIPPED, "")}, closes=False
    )
    harness.ledger.records.finish("run-1", [finish], harness.now)
    harness.save(planned("00Q1", Skip("opted out still"), buying("70011", PHONE)), run="run-2")
    assert harness.channels("00Q1")[0]["state"] == "done"
    harness.save(planned("00Q1", buying("70011"), buying("70011", PHONE)), run="run-3")
    assert harness.channels("00Q1")[0]["state"] == "open"


def test_one_crm_record_is_open_once_per_mapping(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", Skip("x")))
    harness.save(planned("00Q1", Skip("x")), mapping="other")
    assert len(harness.all(t.record)) == 2
    again = sa.insert(t.record).values(
        crm="salesforce", mapping="lead", object="Lead", crm_id="00Q1", state="open", run_id="r", opened_at=harness.now
    )
    with pytest.raises(sa.exc.IntegrityError), harness.ledger.database.write() as connection:
        connection.execute(again)


# -- a new decision for one channel -----------------------------------------------------------------------------


def redecide(
    harness: LedgerHarness, record_channel_id: object, decision: Decision, resolved: str | None = None
) -> None:
    found = {} if resolved is None else {PERSONNEL_ID.name: resolved}
    terms = PurchaseTerms("run-1", "lead", harness.now)
    (record_id,) = {int(str(r["record_id"])) for r in harness.all(t.record_channel) if r["id"] == record_channel_id}
    decided = Redecision(int(str(record_channel_id)), record_id, PlannedChannel(EMAIL, decision), found)
    harness.ledger.planning.redecide([decided], terms)


def test_an_answered_lookup_plans_a_purchase(harness: LedgerHarness) -> None:
    harness.save(
        planned(
            "00Q1",
            ResolveIdentity("lensmor", link("ada-sample"), 0),
            baseline="kept",
            person=person_with(linkedin="ada-sample"),
        )
    )
    redecide(harness, harness.channels("00Q1")[0]["id"], buying("70011"), "70011")
    (record_channel,) = harness.channels("00Q1")
    assert (record_channel["state"], record_channel["purchase_id"], record_channel["baseline"]) == (
        "open",
        harness.id_of("70011"),
        "kept",
    )
    assert harness.all(t.record)[0]["resolved"] == {"personnel_id": "70011"}
    redecide(harness, record_channel["id"], buying("70012"), "70012")  # the first id that was found is stamped
    assert harness.all(t.record)[0]["resolved"] == {"personnel_id": "70011"}


def test_a_ready_channel_is_not_decided_again(harness: LedgerHarness) -> None:
    harness.save(planned("00Q1", Skip("opted out")))
    redecide(harness, harness.channels("00Q1")[0]["id"], buying("70011"))
    assert harness.channels("00Q1")[0]["outcome"] == Outcome.SKIPPED.value


# -- planning snapshots -----------------------------------------------------------------------------------------


def test_identity_matches_are_stored_also_without_a_match(harness: LedgerHarness) -> None:
    remember = harness.ledger.planning.remember
    remember(LENSMOR, {link("ada-sample"): match_with(None)}, harness.now)
    remember(LENSMOR, {link("ben-sample"): match_with("70012", ("52001", "52017"))}, harness.now)
    remember(LENSMOR, {link("ada-sample"): match_with("70011")}, harness.now)
    people = {
        "a": person_with(linkedin="ada-sample"),
        "b": person_with(linkedin="ben-sample"),
        "c": person_with(linkedin="unknown"),
    }
    found = harness.ledger.snapshots.read("lead", people, [LENSMOR])
    assert found.matches == {
        ("lensmor", link("ada-sample")): match_with("70011", at=harness.now),
        ("lensmor", link("ben-sample")): match_with("70012", ("52001", "52017"), harness.now),
    }
    other = Source("lensmor", "second", LENSMOR.prices, (PERSONNEL_ID,), (LINKEDIN,), EVENT_ID)
    assert harness.ledger.snapshots.read("lead", people, [other]).matches == {}


def test_purchases_are_found_by_an_identity_match(harness: LedgerHarness) -> None:
    harness.plan("70011")
    harness.ledger.planning.remember(LENSMOR, {link("ada-sample"): match_with("70011")}, harness.now)
    assert snapshot(harness, x=person_with(linkedin="ada-sample")) == {ADA: PurchaseState.PLANNED}
    assert snapshot(harness, x=person_with(linkedin="another")) == {}


def test_served_and_in_progress_are_separate_by_mapping(harness: LedgerHarness) -> None:
    (purchase_id,) = harness.plan("70011")
    harness.accept(harness.batch())
    harness.finalize(purchase_id)
    people = {"lead-70011": person_with("70011")}
    assert harness.ledger.snapshots.read("lead", people, [LENSMOR]).served == set()
    harness.finish(harness.record_id("lead-70011"), *[int(str(row["id"])) for row in harness.channels("lead-70011")])
    assert harness.ledger.snapshots.read("lead", people, [LENSMOR]).served == {("lead-70011", purchase_id)}
    assert harness.ledger.snapshots.read("contact", people, [LENSMOR]).served == set()
    with harness.ledger.database.write() as connection:
        connection.execute(sa.update(t.record).values(in_progress=True))
    assert harness.ledger.snapshots.read("lead", people, [LENSMOR]).in_progress == {"lead-70011"}
    assert harness.ledger.snapshots.read("contact", people, [LENSMOR]).in_progress == set()


def test_the_purchases_of_one_person(harness: LedgerHarness) -> None:
    first, second = harness.plan("70011", "70012")
    harness.lose(harness.batch(size=1))
    harness.allow_repeat(first)
    other = PurchaseKey("lensmor", "default", EMAIL, pid("70012"))
    (purchase,) = harness.ledger.snapshots.purchases_of(LENSMOR, [pid("70011")]).values()
    assert (purchase.key, purchase.id, purchase.lost_before) == (ADA, first, True)
    assert harness.ledger.snapshots.purchases_of(LENSMOR, [pid("70012")])[other].id == second
    assert harness.ledger.snapshots.purchases_of(LENSMOR, [pid("70019")]) == {}


def test_a_page_larger_than_one_statement_is_saved_whole(harness: LedgerHarness) -> None:
    page = [PlannedRecord(f"00Q{n}", person_with(), (PlannedChannel(EMAIL, buying(str(n))),)) for n in range(1203)]
    harness.save(*page)
    people = {record.crm_id: person_with(record.crm_id[3:]) for record in page}
    assert len(snapshot(harness, **people)) == 1203
    assert harness.ledger.run_outcomes.selected("run-1") == 1203
    assert harness.groups() == [PurchaseGroup(Channel.WORK_EMAIL, None, 1203)]
