"""Callbacks: a valid address stores a hint, which is never the truth; every other address is no route at all."""

from datetime import timedelta
from pathlib import Path

import pytest
import shelf_nearby  # noqa: F401 makes ledger_shelf importable
import sqlalchemy as sa
from ledger_shelf import KEY, LENSMOR, START, Shelf
from server_stage import SECRET, TOKEN, House, Street, copied, error_of, seen

from connector.app.joining import CALLBACK_PATH
from connector.core.errors import ConfigurationError
from connector.server.site import Secrets
from connector.store import tables as t
from connector.store.hints import MOST_RECEIPTS
from connector.store.seal import Seal, new_key

pytest_plugins = ("server_fixtures",)
LOOKUP = "66f0c0ffee"


def sent(house: House, task: str | None = None) -> str:
    """A paid request whose answer was lost, or, with a task, came; the attempt's id."""
    shelf = Shelf(house.ledger)
    shelf.plan("70011")
    batch = shelf.batch()
    if task is None:
        shelf.lose(batch)
    else:
        shelf.accept(batch, task)
    return batch.attempt_id


def address(house: House, attempt_id: str) -> str:
    return house.ledger.seal.address(attempt_id)


def hints(house: House) -> list[tuple[str, str, str]]:
    return [(row["attempt_id"], row["vendor_id"], row["state"]) for row in house.rows(t.hint)]


def next_poll(house: House) -> object:
    (task,) = house.rows(t.task)
    return task["next_poll_at"]


@pytest.mark.parametrize("with_external_id", [True, False])
def test_a_callback_to_a_valid_address_is_stored_as_a_hint(house: House, with_external_id: bool) -> None:
    attempt_id = sent(house)
    body: dict[str, object] = {"_id": LOOKUP, "status": "completed", "email": {"email": "ada@example.com"}}
    response = house.call_back(
        address(house, attempt_id), body | {"external_id": attempt_id} if with_external_id else body
    )
    assert (response.status_code, response.json()) == (200, {"status": "stored"})
    assert hints(house) == [(attempt_id, LOOKUP, "waiting")]
    assert [(hint.vendor_id, hint.person) for hint in house.ledger.hints.waiting(LENSMOR)] == [(LOOKUP, "70011")]
    assert house.wakes == 1


def test_nothing_that_a_callback_says_is_kept_but_the_id(house: House) -> None:
    attempt_id = sent(house)
    before = house.rows(t.unlock)
    house.call_back(address(house, attempt_id), {"_id": LOOKUP, "status": "completed", "email": "ada@example.com"})
    assert house.rows(t.unlock) == before
    assert b"ada@example.com" not in house.path.read_bytes() + house.path.with_name("connector.db-wal").read_bytes()


def test_repeats_are_one_hint_and_other_ids_are_hints_of_their_own(house: House) -> None:
    attempt_id = sent(house)
    for vendor_id in (LOOKUP, LOOKUP, "other", LOOKUP):
        assert house.call_back(address(house, attempt_id), {"_id": vendor_id}).status_code == 200
    assert hints(house) == [(attempt_id, LOOKUP, "waiting"), (attempt_id, "other", "waiting")]


def test_a_callback_before_the_answer_of_its_own_request_waits(house: House) -> None:
    shelf = Shelf(house.ledger)
    shelf.plan("70011")
    batch = shelf.batch()
    assert house.call_back(address(house, batch.attempt_id), {"_id": LOOKUP}).status_code == 200
    assert house.ledger.hints.waiting(LENSMOR) == []
    shelf.lose(batch)
    assert [hint.vendor_id for hint in house.ledger.hints.waiting(LENSMOR)] == [LOOKUP]


def test_the_task_of_a_known_request_is_read_at_once(house: House) -> None:
    attempt_id = sent(house, LOOKUP)
    house.execute(sa.update(t.task).values(next_poll_at=START + timedelta(minutes=5)))
    house.clock.time += timedelta(seconds=7)
    assert house.call_back(address(house, attempt_id), {"_id": LOOKUP}).status_code == 200
    assert next_poll(house) == house.clock.time
    assert hints(house) == [(attempt_id, LOOKUP, "used")]
    assert house.wakes == 1
    house.clock.time += timedelta(seconds=1)
    assert house.call_back(address(house, attempt_id), {"_id": LOOKUP}).status_code == 200
    assert next_poll(house) == house.clock.time - timedelta(seconds=1)
    assert house.wakes == 1


def test_too_many_callbacks_for_one_request_are_sent_away_without_effect(house: House) -> None:
    attempt_id = sent(house)
    mine = address(house, attempt_id)
    for number in range(MOST_RECEIPTS):
        assert house.call_back(mine, {"_id": f"forged-{number}"}).status_code == 200
    response = house.call_back(mine, {"_id": LOOKUP})
    assert error_of(response, 429) == "too many callbacks wait for this request"
    assert response.headers["retry-after"].isdecimal()
    assert len(hints(house)) == house.wakes == MOST_RECEIPTS
    assert house.call_back(mine, {"_id": "forged-0"}).status_code == 200  # a repeat is answered, and does nothing
    assert house.wakes == MOST_RECEIPTS


def test_another_id_than_that_of_the_known_task_is_ignored(house: House) -> None:
    attempt_id = sent(house, LOOKUP)
    later = START + timedelta(minutes=5)
    house.execute(sa.update(t.task).values(next_poll_at=later))
    house.ledger.follow_ups.looked("lead", START, 1.0, moved=False)
    kept = house.rows(t.meta)
    assert house.call_back(address(house, attempt_id), {"_id": "other"}).status_code == 200
    assert next_poll(house) == later
    assert hints(house) == []
    assert house.rows(t.meta) == kept  # nor is the mapping looked at before its time


def test_a_callback_after_the_end_of_its_task_changes_nothing(house: House) -> None:
    attempt_id = sent(house, LOOKUP)
    house.execute(sa.update(t.task).values(state="ended", next_poll_at=None))
    assert house.call_back(address(house, attempt_id), {"_id": LOOKUP}).status_code == 200
    assert next_poll(house) is None
    assert hints(house) == [(attempt_id, LOOKUP, "used")]


# -- addresses --------------------------------------------------------------------------------------------------


def test_a_forged_address_looks_like_an_unknown_route(house: House) -> None:
    attempt_id = sent(house)
    right = address(house, attempt_id)
    foreign = Seal([new_key()]).address(attempt_id)
    unknown = house.client.post("/v1/callbacks/nobody/here", json={"_id": LOOKUP})
    assert error_of(unknown, 404) == "not found"
    forged = [attempt_id, attempt_id + ".", foreign, right[:-1], right + "0", right.upper(), "." + right, right + "/"]
    forged += [f"x{right}", right.replace(".", "..", 1), "%00", "%ff.%ff", "x", "é.é", "", "%2e%2e"]
    for one in forged:
        assert seen(house.call_back(one, {"_id": LOOKUP, "external_id": attempt_id})) == seen(unknown), one
        # Before anything of the request is looked at.
        plain = house.client.post(CALLBACK_PATH + one, content=b"{", headers={"Content-Type": "text/plain"})
        assert seen(plain) == seen(unknown), one
    assert hints(house) == []
    assert house.wakes == 0


def test_an_address_for_a_request_that_is_not_known_is_no_route(house: House) -> None:
    assert error_of(house.call_back(address(house, "no-such-attempt"), {"_id": LOOKUP}), 404) == "not found"
    assert hints(house) == []


def test_addresses_made_under_an_older_key_still_work(street: Street, blank_ledger: Path, tmp_path: Path) -> None:
    path, newer = copied(blank_ledger, tmp_path), new_key()
    house = House(street, path, Secrets(TOKEN, SECRET))
    attempt_id = sent(house)
    old = address(house, attempt_id)
    house.ledger.close()

    rotated = House(street, path, Secrets(TOKEN, SECRET), keys=(newer, KEY))
    new = address(rotated, attempt_id)
    assert new != old
    assert rotated.call_back(old, {"_id": "by-old"}).status_code == 200
    assert rotated.call_back(new, {"_id": "by-new"}).status_code == 200
    rotated.ledger.keys.rotate()
    with pytest.raises(ConfigurationError, match="requests without an answer"):  # the old address is still needed
        House(street, path, Secrets(TOKEN, SECRET), keys=(newer,))
    rotated.ledger.attempts.accept(attempt_id, "by-new", rotated.clock.time, {}, {}, [], rotated.clock.time)
    rotated.ledger.close()

    forgotten = House(street, path, Secrets(TOKEN, SECRET), keys=(newer,))
    error_of(forgotten.call_back(old, {"_id": "too-late"}), 404)
    assert [vendor_id for _, vendor_id, _ in hints(forgotten)] == ["by-old", "by-new"]
    forgotten.ledger.close()


# -- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("external_id", ["other", "", 7, 0, False, [], {}, [["x"]], "\ud800"])
def test_a_body_for_another_request_is_refused(house: House, external_id: object) -> None:
    attempt_id = sent(house)
    response = house.call_back(address(house, attempt_id), {"_id": LOOKUP, "external_id": external_id})
    assert error_of(response, 404) == "not found"
    assert hints(house) == []


@pytest.mark.parametrize("vendor_id", [17, 17.0, "17"])
def test_an_id_may_be_a_number(house: House, vendor_id: object) -> None:
    attempt_id = sent(house)
    assert house.call_back(address(house, attempt_id), {"_id": vendor_id}).status_code == 200
    assert hints(house) == [(attempt_id, "17", "waiting")]


@pytest.mark.parametrize("vendor_id", [None, "", 7.5, [], {}, True, "x" * 201, "a\u0000b", "\ud800", "a b", "é", "a\n"])
def test_a_body_whose_id_is_none_is_refused(house: House, vendor_id: object) -> None:
    attempt_id = sent(house)
    assert error_of(house.call_back(address(house, attempt_id), {"_id": vendor_id}), 404) == "not found"
    assert hints(house) == []


def test_a_body_that_cannot_be_read_is_refused(house: House) -> None:
    right = CALLBACK_PATH + address(house, sent(house))
    json = {"Content-Type": "application/json"}
    for content, headers, status in (
        (b"", json, 400),
        (b"[]", json, 400),
        (b'{"_id": ', json, 400),
        (b"[" * 50_000, json, 400),
        (b'{"_id": "66f0c0ffee"}', {"Content-Type": "text/plain"}, 415),
        (b'{"_id": "66f0c0ffee"}' + b" " * 64 * 1024, json, 413),
    ):
        error_of(house.client.post(right, content=content, headers=headers), status)
    assert hints(house) == []
