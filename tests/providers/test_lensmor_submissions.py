"""What the Lensmor client makes of the answer to a paid request: every form of a 201, and the skips in it."""

from collections.abc import Iterator

import httpx
import pytest
from persons import pid, pids
from vendor_harness import VendorHost, Vendors, answering

from connector.core.errors import LostAnswerError, RefusedError
from connector.core.model import Channel
from connector.providers.interface import SkipReason, Submission

EMAIL, PHONE = Channel.WORK_EMAIL, Channel.PHONE
PEOPLE = ["1", "2", "3"]
UNLOCK_PATHS = {EMAIL: "/external/contacts/unlock", PHONE: "/external/contacts/unlock-phone"}


@pytest.fixture(scope="module")
def harness() -> Iterator[VendorHost]:
    with VendorHost() as harness:
        yield harness


@pytest.fixture
def vendors(harness: VendorHost) -> Vendors:
    return harness.fresh()


def submitted(vendors: Vendors, body: object, status: int = 201, people: list[str] | None = None) -> Submission:
    transport = answering(lambda _: httpx.Response(status, json=body))
    provider = vendors.lensmor(vendors.http("lensmor", transport=transport))
    return provider.submit(EMAIL, pids(people or PEOPLE), "52001", "attempt-1")


@pytest.mark.parametrize(
    ("ids", "task_id"),
    [
        ({"task_id": "88120", "job_id": "88120"}, "88120"),
        ({"task_id": "task_88120"}, "task_88120"),
        ({"job_id": "88121"}, "88121"),
        ({"task_id": None, "job_id": "88121"}, "88121"),
        ({"task_id": "", "job_id": "88121"}, "88121"),
        ({"task_id": 88120}, "88120"),
        ({"task_id": 0}, "0"),
        ({"task_id": True, "job_id": "88121"}, "88121"),
        ({"task_id": ["88120"], "job_id": {"id": 1}, "status": "success"}, None),
        ({"task_id": 88120.0}, "88120"),
        ({"task_id": "88\n120", "job_id": "88121"}, "88121"),
        ({"task_id": "  padded / odd  "}, "  padded / odd  "),
    ],
)
def test_the_task_id_is_kept_exactly_as_sent(vendors: Vendors, ids: dict[str, object], task_id: str | None) -> None:
    assert submitted(vendors, {"status": "accepted", **ids}).task_id == task_id


@pytest.mark.parametrize(
    "body",
    [
        {"status": "accepted"},
        {"status": "accepted", "task_id": None, "job_id": ""},
        {"status": "accepted", "task_id": 88120.5},
        {"status": "accepted", "task_id": "88\x00120"},
        {"status": "accepted", "task_id": "9" * 201},
        {"status": "queued", "task_id": "88120"},
        {"status": ["accepted"], "task_id": "88120"},
        {"status": {"is": "accepted"}, "task_id": "88120"},
        {"status": None, "task_id": "88120"},
        {"status": True, "task_id": "88120"},
        {"task_id": "88120"},
        {},
    ],
)
def test_an_answer_that_is_no_clear_yes_is_lost(vendors: Vendors, body: dict[str, object]) -> None:
    with pytest.raises(LostAnswerError):
        submitted(vendors, body)


@pytest.mark.parametrize("status", [200, 202, 206])
def test_an_undocumented_good_status_is_lost(vendors: Vendors, status: int) -> None:
    with pytest.raises(LostAnswerError):
        submitted(vendors, {"status": "accepted", "task_id": "88120"}, status)


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ("already_unlocked_personnel_ids", SkipReason.ALREADY_UNLOCKED),
        ("unlocking_personnel_ids", SkipReason.UNLOCKING),
        ("invalid_personnel_ids", SkipReason.INVALID),
        ("missing_personnel_ids", SkipReason.MISSING),
        ("unlinked_personnel_ids", SkipReason.UNLINKED),
        ("a_reason_of_tomorrow", SkipReason.UNEXPLAINED),
    ],
)
@pytest.mark.parametrize("also_plain", [True, False])
def test_each_reason_to_skip(vendors: Vendors, listed: str, reason: SkipReason, also_plain: bool) -> None:
    body: dict[str, object] = {"status": "accepted", "task_id": "88120", "skipped_detail": {listed: ["2"]}}
    if also_plain:
        body["skipped_personnel_ids"] = ["2"]
    unnamed = reason is SkipReason.UNEXPLAINED and not also_plain  # a list nobody knows says nothing about anybody
    assert submitted(vendors, body) == Submission("88120", {} if unnamed else {pid("2"): reason})


@pytest.mark.parametrize("status", ["Accepted", "ACCEPTED", "Success", "succeeded"])
@pytest.mark.parametrize(
    "skips",
    [
        {"skipped_detail": {"missing_personnel_ids": [2.0]}},
        {"skippedDetail": {"missingPersonnelIds": ["2"]}},
        {"skipped-detail": {"Missing-Personnel-Ids": [2]}},
    ],
)
def test_names_and_states_are_read_without_case(vendors: Vendors, status: str, skips: dict[str, object]) -> None:
    answer = submitted(vendors, {"status": status, "task_id": "88120", **skips})
    assert answer == Submission("88120", {pid("2"): SkipReason.MISSING})


def test_all_reasons_at_once(vendors: Vendors) -> None:
    detail = {
        "already_unlocked_personnel_ids": ["1"],
        "unlocking_personnel_ids": [2],
        "invalid_personnel_ids": ["3"],
        "missing_personnel_ids": [],
        "unlinked_personnel_ids": ["4", "4"],
    }
    body = {"status": "accepted", "task_id": "9", "skipped_detail": detail, "skipped_personnel_ids": ["1", 2, "3", "5"]}
    answer = submitted(vendors, body, people=["1", "2", "3", "4", "5", "6"])
    assert answer.skipped == {
        pid("1"): SkipReason.ALREADY_UNLOCKED,
        pid("2"): SkipReason.UNLOCKING,
        pid("3"): SkipReason.INVALID,
        pid("4"): SkipReason.UNLINKED,
        pid("5"): SkipReason.UNEXPLAINED,
    }


def test_success_without_a_task_leaves_nobody_out(vendors: Vendors) -> None:
    body = {"status": "success", "skipped_detail": {"already_unlocked_personnel_ids": ["1"]}}
    skipped = {"1": SkipReason.ALREADY_UNLOCKED, "2": SkipReason.UNEXPLAINED, "3": SkipReason.UNEXPLAINED}
    assert submitted(vendors, body) == Submission(None, {pid(one): reason for one, reason in skipped.items()})


def test_skips_about_people_who_were_not_sent_are_ignored(vendors: Vendors) -> None:
    detail = {"missing_personnel_ids": ["99", "1"]}
    body = {"status": "accepted", "task_id": "9", "skipped_detail": detail, "skipped_personnel_ids": ["98"]}
    assert submitted(vendors, body).skipped == {pid("1"): SkipReason.MISSING}


@pytest.mark.parametrize(
    "odd",
    [
        {"skipped_personnel_ids": "1"},
        {"skipped_personnel_ids": {"1": True}},
        {"skipped_personnel_ids": [None, True, 1.5, ["1"], {"id": "1"}]},
        {"skipped_detail": ["1"]},
        {"skipped_detail": {"missing_personnel_ids": "1"}},
        {"skipped_detail": {"missing_personnel_ids": [None, {}]}},
        {"skipped_detail": None, "skipped_personnel_ids": None},
    ],
)
def test_unreadable_skip_lists_do_not_lose_the_task(vendors: Vendors, odd: dict[str, object]) -> None:
    assert submitted(vendors, {"status": "accepted", "task_id": "9", **odd}) == Submission("9", {})


@pytest.mark.parametrize("channel", [EMAIL, PHONE])
def test_a_submission_on_the_wire(vendors: Vendors, channel: Channel) -> None:
    answer = vendors.lensmor().submit(channel, pids(["70011", "70012"]), "52001", "attempt-1")
    (arrival,) = vendors.arrivals
    assert (arrival.method, arrival.path) == ("POST", UNLOCK_PATHS[channel])
    assert arrival.body == {"personnel_ids": ["70011", "70012"], "event_id": "52001"}
    assert answer.task_id is not None
    assert answer.skipped == {}


@pytest.mark.parametrize("event_id", [None, ""])
def test_without_an_event_none_is_named(vendors: Vendors, event_id: str | None) -> None:
    vendors.lensmor().submit(EMAIL, pids(["70011"]), event_id, "attempt-1")
    assert vendors.arrivals[0].body == {"personnel_ids": ["70011"]}


def test_a_vendor_that_sells_only_by_event_is_understood(vendors: Vendors) -> None:
    vendors.sim.lensmor.require_event = True
    provider = vendors.lensmor()
    with pytest.raises(RefusedError) as without:
        provider.submit(EMAIL, pids(["70011"]), None, "attempt-1")
    assert without.value.needs_grouping_key
    with pytest.raises(RefusedError) as with_one:
        provider.submit(EMAIL, pids([]), "52001", "attempt-2")
    assert not with_one.value.needs_grouping_key
    assert vendors.sim.charges.total() == 0


def test_skips_of_the_simulated_vendor(vendors: Vendors) -> None:
    site = vendors.sim.lensmor
    site.set_unlocked("70012", "email")
    vendors.lensmor().submit(EMAIL, pids(["70013"]), "52001", "attempt-1")
    vendors.arm("lensmor", "submitEmailUnlock", "extra_skip", persons=["70014"])
    answer = vendors.lensmor().submit(EMAIL, pids(["70011", "70012", "70013", "70014", "1", "x"]), "52001", "attempt-2")
    assert answer.task_id is not None
    assert answer.skipped == {
        pid("70012"): SkipReason.ALREADY_UNLOCKED,
        pid("70013"): SkipReason.UNLOCKING,
        pid("70014"): SkipReason.UNEXPLAINED,
        pid("1"): SkipReason.MISSING,
        pid("x"): SkipReason.INVALID,
    }
    other_event = vendors.lensmor().submit(EMAIL, pids(["70015"]), "52017", "attempt-3")
    assert other_event == Submission(None, {pid("70015"): SkipReason.UNLINKED})
