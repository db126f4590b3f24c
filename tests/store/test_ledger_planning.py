"""What a plan changes in the ledger: one unlock per person, joined by every record; open records keep their own."""

import pytest
import sqlalchemy as sa
from ledger_shelf import EMAIL, LENSMOR, PHONE, PRICE, Shelf, buying, planned

from connector.core.model import Channel, Lookup, Outcome, Person, Result, UnlockKey, UnlockState
from connector.core.person import IdentifiedBy, Source
from connector.core.plan import Decision, Defer, Exhausted, Join, LookUp, Skip, Take, Tried
from connector.store import tables as t
from connector.store.planned import PlannedRecord, PlannedWant
from connector.store.records import Finish


@pytest.fixture(name="shelf")
def _shelf() -> Shelf:
    return Shelf()


def known(shelf: Shelf, **people: Person) -> dict[UnlockKey, UnlockState]:
    found = shelf.ledger.planning.known("lead", people, [LENSMOR])
    return {key: unlock.state for key, unlock in found.unlocks.items()}


ADA = UnlockKey("lensmor", "default", EMAIL, "70011")
TRIED = (Tried("lensmor", Result.NOT_FOUND, "lensmor did not find it"),)


# -- a page of new records --------------------------------------------------------------------------------------


def test_several_records_of_one_person_in_a_page_share_one_unlock(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", buying("70011")), planned("00Q2", buying("70011")), planned("00Q3", buying("70012")))
    unlocks = shelf.all(t.unlock)
    assert [(u["person"], u["state"], u["price_credits"]) for u in unlocks] == [
        ("70011", "planned", PRICE),
        ("70012", "planned", PRICE),
    ]
    hangs_on = [shelf.wants(crm_id)[0]["unlock_id"] for crm_id in ("00Q1", "00Q2", "00Q3")]
    assert hangs_on == [unlocks[0]["id"], unlocks[0]["id"], unlocks[1]["id"]]


def test_a_later_record_of_the_person_joins(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    unlock = shelf.ledger.planning.known("lead", {"x": Person("70011")}, [LENSMOR]).unlocks[ADA]
    assert unlock.id == unlock_id
    shelf.save(planned("00Q9", Join(unlock, 0)), run="run-2", mapping="contact")
    assert shelf.wants("00Q9")[0]["unlock_id"] == unlock_id
    # What was planned and not bought is taken into the run that wants it now.
    assert (shelf.unlock(unlock_id)["run_id"], shelf.unlock(unlock_id)["mapping"]) == ("run-2", "contact")


def test_what_was_bought_stays_with_the_run_and_mapping_that_paid(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    unlock = shelf.ledger.planning.known("lead", {"x": Person("70011")}, [LENSMOR]).unlocks[ADA]
    shelf.save(planned("00Q9", Join(unlock, 0)), run="run-2", mapping="contact")
    assert (shelf.unlock(unlock_id)["run_id"], shelf.unlock(unlock_id)["mapping"]) == ("run-1", "lead")
    shelf.assert_books_close()


def test_planning_the_same_purchase_twice_makes_one_unlock(shelf: Shelf) -> None:
    first = shelf.plan("70011")
    shelf.save(planned("00Q2", buying("70011")), run="run-2")  # decided before the first was saved
    assert len(shelf.all(t.unlock)) == 1
    assert shelf.wants("00Q2")[0]["unlock_id"] == first[0]


def test_a_new_generation_is_another_unlock(shelf: Shelf) -> None:
    (first,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    shelf.settle(first)
    shelf.save(planned("00Q2", buying("70011", generation=2)))
    second = shelf.id_of("70011")
    assert second != first
    assert (shelf.unlock(second)["generation"], shelf.unlock(second)["state"]) == (2, "planned")
    assert shelf.wants("00Q2")[0]["unlock_id"] == second
    assert known(shelf, x=Person("70011")) == {ADA: UnlockState.PLANNED}  # the newest counts


@pytest.mark.parametrize(
    ("decision", "want"),
    [
        (Skip("opted out", keep_status=True), ("ready", "skipped", "opted out", True)),
        (Defer("daily cap"), ("held", "deferred", "daily cap", True)),
        (Exhausted(Result.NOT_FOUND, "nobody", TRIED), ("ready", "not_found", "nobody", False)),
        (Exhausted(Result.FAILED, "failed", TRIED), ("ready", "failed", "failed", False)),
        (LookUp("lensmor", "ada-sample", 0), ("lookup", None, "", False)),
        (buying("70011"), ("open", None, "", False)),
    ],
)
def test_each_decision_is_kept_as_a_want(
    shelf: Shelf, decision: Decision, want: tuple[str, str | None, str, bool]
) -> None:
    shelf.save(planned("00Q1", decision))
    (row,) = shelf.wants("00Q1")
    assert (row["state"], row["outcome"], row["reason"], row["keep_status"]) == want
    assert len(shelf.all(t.unlock)) == (1 if want[0] == "open" else 0)


def test_what_was_tried_is_remembered(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", Exhausted(Result.NOT_FOUND, "nobody", TRIED)))
    record = shelf.ledger.records.by_ids([shelf.record_id("00Q1")])[shelf.record_id("00Q1")]
    assert record.wants[0].tried == TRIED


def test_a_deferral_that_needs_a_person_says_so(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", Defer("another ledger", attention="clear the status field")))
    assert shelf.all(t.record)[0]["attention"] == "clear the status field"


def test_a_personnel_id_found_by_linkedin_is_kept_for_the_stamp(shelf: Shelf) -> None:
    ada = Person(linkedin="ada-sample")
    shelf.save(planned("00Q1", buying("70011"), person=ada, resolved="70011"))
    shelf.save(planned("00Q2", buying("70012"), person=Person("70012")))
    assert [row["resolved_id"] for row in shelf.all(t.record)] == ["70011", None]
    shelf.save(planned("00Q1", buying("70011"), person=ada), run="run-2")
    assert [row["resolved_id"] for row in shelf.all(t.record)] == ["70011", None]


# -- records that are open already ------------------------------------------------------------------------------


def test_an_open_record_keeps_its_baseline_through_any_number_of_runs(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", buying("70011"), baseline="first"))
    for run in ("run-2", "run-3"):
        shelf.save(planned("00Q1", buying("70011"), baseline=f"seen by {run}"), run=run)
    assert [row["run_id"] for row in shelf.all(t.record)] == ["run-3"]
    (want,) = shelf.wants("00Q1")
    assert want["baseline"] == "first"


def test_an_open_record_keeps_what_was_bought_for_it(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", buying("70011"), baseline="first"))
    shelf.accept(shelf.batch())
    bought = shelf.wants("00Q1")
    shelf.save(planned("00Q1", Skip("opted out since"), baseline="second"), run="run-2")
    assert shelf.wants("00Q1") == bought


@pytest.mark.parametrize("state", ["submitting", "submitted", "unknown", "final"])
def test_in_no_state_is_a_purchase_let_go(shelf: Shelf, state: str) -> None:
    (unlock_id,) = shelf.plan("70011")
    batch = shelf.batch()
    if state in {"submitted", "final"}:
        shelf.accept(batch)
    if state == "unknown":
        shelf.lose(batch)
    if state == "final":
        shelf.settle(unlock_id)
    shelf.save(planned("lead-70011", Skip("changed")), run="run-2")
    assert (shelf.wants("lead-70011")[0]["unlock_id"], shelf.states(unlock_id)) == (unlock_id, [state])


def test_what_was_not_bought_is_decided_anew(shelf: Shelf) -> None:
    shelf.plan("70011")
    shelf.save(planned("lead-70011", Skip("opted out since")), run="run-2")
    (want,) = shelf.wants("lead-70011")
    assert (want["state"], want["outcome"], want["unlock_id"]) == ("ready", "skipped", None)


def test_a_deferred_want_is_decided_anew(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", Defer("daily cap")))
    shelf.save(planned("00Q1", buying("70011")), run="run-2")
    (want,) = shelf.wants("00Q1")
    assert (want["state"], want["outcome"], want["reason"], want["keep_status"]) == ("open", None, "", False)


def test_a_channel_that_was_mapped_since_is_added(shelf: Shelf) -> None:
    shelf.plan("70011")
    shelf.save(planned("lead-70011", buying("70011"), buying("70011", PHONE)), run="run-2")
    assert [want["channel"] for want in shelf.wants("lead-70011")] == ["work_email", "phone"]


def test_a_record_that_was_closed_is_opened_anew(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    first = shelf.record_id("lead-70011")
    shelf.finish(first, *[int(str(want["id"])) for want in shelf.wants("lead-70011")])
    unlock = shelf.ledger.planning.known("lead", {"x": Person("70011")}, [LENSMOR]).unlocks[ADA]
    shelf.save(planned("lead-70011", Take(unlock, 0)), run="run-2")
    assert shelf.record_id("lead-70011") != first
    assert [row["state"] for row in shelf.all(t.record)] == ["closed", "open"]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (Person("70011"), Person("70011"), True),
        (Person("70011", "52001"), Person("70011", "52017"), True),  # another event of the same person
        (Person("70011"), Person("70012"), False),
        (Person("70011"), Person(), False),
        (Person(linkedin="ada"), Person(linkedin="ben"), False),
        (Person(linkedin="ada"), Person("70011", None, "ada"), True),  # the id that was found and stamped
        (Person(linkedin="ada"), Person("70099", None, "ada"), False),
    ],
)
def test_a_record_that_names_another_person_begins_anew(
    shelf: Shelf, before: Person, after: Person, same: bool
) -> None:
    resolved = None if before.personnel_id else "70011"
    shelf.save(planned("00Q1", buying("70011"), baseline="first", person=before, resolved=resolved))
    shelf.accept(shelf.batch())
    shelf.save(planned("00Q1", buying("70012"), baseline="second", person=after), run="run-2")
    states = [(row["state"], row["run_id"]) for row in shelf.all(t.record)]
    assert states == ([("open", "run-2")] if same else [("closed", "run-1"), ("open", "run-2")])
    assert shelf.wants("00Q1")[-1]["baseline"] == ("first" if same else "second")
    shelf.assert_books_close()


def test_a_channel_skipped_for_a_reason_that_no_longer_holds_is_taken_up(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", Skip("opted out"), buying("70011", PHONE)))
    skipped, _ = shelf.wants("00Q1")
    finish = Finish(
        shelf.record_id("00Q1"), Outcome.WAITING, "", {int(str(skipped["id"])): (Outcome.SKIPPED, "")}, closes=False
    )
    shelf.ledger.records.finish([finish], shelf.now)
    shelf.save(planned("00Q1", Skip("opted out still"), buying("70011", PHONE)), run="run-2")
    assert shelf.wants("00Q1")[0]["state"] == "done"
    shelf.save(planned("00Q1", buying("70011"), buying("70011", PHONE)), run="run-3")
    assert shelf.wants("00Q1")[0]["state"] == "open"


def test_one_crm_record_is_open_once_per_mapping(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", Skip("x")))
    shelf.save(planned("00Q1", Skip("x")), mapping="other")
    assert len(shelf.all(t.record)) == 2
    again = sa.insert(t.record).values(
        mapping="lead", object="Lead", crm_id="00Q1", state="open", run_id="r", opened_at=shelf.now
    )
    with pytest.raises(sa.exc.IntegrityError), shelf.ledger.database.write() as connection:
        connection.execute(again)


# -- deciding anew for one want ---------------------------------------------------------------------------------


def redecide(shelf: Shelf, want_id: object, decision: Decision, resolved: str | None = None) -> None:
    shelf.ledger.planning.redecide(int(str(want_id)), "run-1", "lead", EMAIL, decision, shelf.now, resolved)


def test_an_answered_lookup_becomes_a_purchase_with_the_id_for_the_stamp(shelf: Shelf) -> None:
    shelf.save(
        planned("00Q1", LookUp("lensmor", "ada-sample", 0), baseline="kept", person=Person(linkedin="ada-sample"))
    )
    redecide(shelf, shelf.wants("00Q1")[0]["id"], buying("70011"), "70011")
    (want,) = shelf.wants("00Q1")
    assert (want["state"], want["unlock_id"], want["baseline"]) == ("open", shelf.id_of("70011"), "kept")
    assert shelf.all(t.record)[0]["resolved_id"] == "70011"
    redecide(shelf, want["id"], buying("70012"), "70012")  # the first id found is the one that is stamped
    assert shelf.all(t.record)[0]["resolved_id"] == "70011"


def test_a_settled_want_is_not_decided_anew(shelf: Shelf) -> None:
    shelf.save(planned("00Q1", Skip("opted out")))
    redecide(shelf, shelf.wants("00Q1")[0]["id"], buying("70011"))
    assert shelf.wants("00Q1")[0]["outcome"] == Outcome.SKIPPED.value


# -- what planning is told --------------------------------------------------------------------------------------


def test_lookups_are_remembered_404_too(shelf: Shelf) -> None:
    remember = shelf.ledger.planning.remember
    remember(LENSMOR, "ada-sample", Lookup(None), shelf.now)
    remember(LENSMOR, "ben-sample", Lookup("70012", ("52001", "52017")), shelf.now)
    remember(LENSMOR, "ada-sample", Lookup("70011"), shelf.now)
    people = {"a": Person(linkedin="ada-sample"), "b": Person(linkedin="ben-sample"), "c": Person(linkedin="nobody")}
    found = shelf.ledger.planning.known("lead", people, [LENSMOR])
    assert found.lookups == {
        ("lensmor", "ada-sample"): Lookup("70011", at=shelf.now),
        ("lensmor", "ben-sample"): Lookup("70012", ("52001", "52017"), shelf.now),
    }
    other = Source("lensmor", "second", LENSMOR.prices, IdentifiedBy.PERSONNEL_ID, looks_up_linkedin=True)
    assert shelf.ledger.planning.known("lead", people, [other]).lookups == {}


def test_people_are_known_by_the_id_that_their_lookup_gave(shelf: Shelf) -> None:
    shelf.plan("70011")
    shelf.ledger.planning.remember(LENSMOR, "ada-sample", Lookup("70011"), shelf.now)
    assert known(shelf, x=Person(linkedin="ada-sample")) == {ADA: UnlockState.PLANNED}
    assert known(shelf, x=Person(linkedin="somebody")) == {}


def test_served_and_in_progress_are_told_by_mapping(shelf: Shelf) -> None:
    (unlock_id,) = shelf.plan("70011")
    shelf.accept(shelf.batch())
    shelf.settle(unlock_id)
    people = {"lead-70011": Person("70011")}
    assert shelf.ledger.planning.known("lead", people, [LENSMOR]).served == set()
    shelf.finish(shelf.record_id("lead-70011"), *[int(str(w["id"])) for w in shelf.wants("lead-70011")])
    assert shelf.ledger.planning.known("lead", people, [LENSMOR]).served == {("lead-70011", unlock_id)}
    assert shelf.ledger.planning.known("contact", people, [LENSMOR]).served == set()
    with shelf.ledger.database.write() as connection:
        connection.execute(sa.update(t.record).values(in_progress=True))
    assert shelf.ledger.planning.known("lead", people, [LENSMOR]).in_progress == {"lead-70011"}
    assert shelf.ledger.planning.known("contact", people, [LENSMOR]).in_progress == set()


def test_what_is_known_of_one_person(shelf: Shelf) -> None:
    first, second = shelf.plan("70011", "70012")
    shelf.lose(shelf.batch(size=1))
    shelf.allow_repeat(first)
    other = UnlockKey("lensmor", "default", EMAIL, "70012")
    (unlock,) = shelf.ledger.planning.unlocks_of(LENSMOR, "70011").values()
    assert (unlock.key, unlock.id, unlock.lost_before) == (ADA, first, True)
    assert shelf.ledger.planning.unlocks_of(LENSMOR, "70012")[other].id == second
    assert shelf.ledger.planning.unlocks_of(LENSMOR, "70019") == {}


def test_a_page_larger_than_one_statement_is_saved_whole(shelf: Shelf) -> None:
    page = [PlannedRecord(f"00Q{n}", Person(), (PlannedWant(EMAIL, buying(str(n))),)) for n in range(1203)]
    shelf.save(*page)
    people = {record.crm_id: Person(record.crm_id[3:]) for record in page}
    assert len(known(shelf, **people)) == 1203
    assert shelf.ledger.records.selected("run-1") == 1203
    assert shelf.groups() == [(Channel.WORK_EMAIL, None, 1203)]
