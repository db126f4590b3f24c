"""Callbacks: a valid address stores a receipt, which proves nothing by itself; other addresses are unknown routes."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
import sqlalchemy as sa
from ledger_harness import KEY, LENSMOR, START, LedgerHarness
from server_harness import CALLBACKS, SECRET, TOKEN, ServerHarness, SharedServer, copied, error_of, seen

from connector.core.errors import ConfigurationError
from connector.server.site import Secrets
from connector.store import tables as t
from connector.store.callback_receipts import MOST_RECEIPTS
from connector.store.rows import RequestAnswer
from connector.store.seal import Seal, new_key

pytest_plugins = ("server_fixtures",)
SALESFINITY = replace(LENSMOR, name="salesfinity")
LOOKUP = "66f0c0ffee"


def sent(server: ServerHarness, task: str | None = None) -> str:
    """Make a paid request whose answer was lost or, with a task, arrived; returns the attempt's id."""
    stored = LedgerHarness(server.ledger)
    stored.plan("70011")
    batch = stored.batch()
    let_it_call_back(server)
    if task is None:
        stored.lose(batch)
    else:
        stored.accept(batch, task)
    return batch.attempt_id


def let_it_call_back(server: ServerHarness) -> None:
    """Let the vendor of the requests send callbacks."""
    for table in (t.attempt, t.purchase):
        server.execute(sa.update(table).values(provider="salesfinity"))


def address(server: ServerHarness, attempt_id: str) -> str:
    return server.ledger.seal.address(attempt_id)


def callback_receipts(server: ServerHarness) -> list[tuple[str, str, str]]:
    return [(row["attempt_id"], row["provider_task_id"], row["state"]) for row in server.rows(t.callback_receipt)]


def next_poll(server: ServerHarness) -> object:
    (task,) = server.rows(t.task)
    return task["next_poll_at"]


@pytest.mark.parametrize("with_external_id", [True, False])
def test_a_callback_to_a_valid_address_is_stored(server: ServerHarness, with_external_id: bool) -> None:
    attempt_id = sent(server)
    body: dict[str, object] = {"_id": LOOKUP, "status": "completed", "email": {"email": "ada@example.com"}}
    response = server.call_back(
        address(server, attempt_id), body | {"external_id": attempt_id} if with_external_id else body
    )
    assert (response.status_code, response.json()) == (200, {"status": "stored"})
    assert callback_receipts(server) == [(attempt_id, LOOKUP, "waiting")]
    assert [
        (callback_receipt.provider_task_id, callback_receipt.person.value)
        for callback_receipt in server.ledger.callback_receipts.waiting(SALESFINITY)
    ] == [(LOOKUP, "70011")]
    assert server.wakes == 1


def test_only_the_id_of_a_callback_is_stored(server: ServerHarness) -> None:
    attempt_id = sent(server)
    before = server.rows(t.purchase)
    server.call_back(address(server, attempt_id), {"_id": LOOKUP, "status": "completed", "email": "ada@example.com"})
    assert server.rows(t.purchase) == before
    assert b"ada@example.com" not in server.path.read_bytes() + server.path.with_name("connector.db-wal").read_bytes()


def test_repeats_are_one_receipt_and_other_ids_are_others(server: ServerHarness) -> None:
    attempt_id = sent(server)
    for provider_task_id in (LOOKUP, LOOKUP, "other", LOOKUP):
        assert server.call_back(address(server, attempt_id), {"_id": provider_task_id}).status_code == 200
    assert callback_receipts(server) == [(attempt_id, LOOKUP, "waiting"), (attempt_id, "other", "waiting")]


def test_a_callback_before_the_answer_of_its_request_waits(server: ServerHarness) -> None:
    stored = LedgerHarness(server.ledger)
    stored.plan("70011")
    batch = stored.batch()
    let_it_call_back(server)
    assert server.call_back(address(server, batch.attempt_id), {"_id": LOOKUP}).status_code == 200
    assert server.ledger.callback_receipts.waiting(SALESFINITY) == []
    stored.lose(batch)
    assert [
        callback_receipt.provider_task_id for callback_receipt in server.ledger.callback_receipts.waiting(SALESFINITY)
    ] == [LOOKUP]


def test_the_task_of_a_known_request_is_polled_at_once(server: ServerHarness) -> None:
    attempt_id = sent(server, LOOKUP)
    server.execute(sa.update(t.task).values(next_poll_at=START + timedelta(minutes=5)))
    server.clock.time += timedelta(seconds=7)
    assert server.call_back(address(server, attempt_id), {"_id": LOOKUP}).status_code == 200
    assert next_poll(server) == server.clock.time
    assert callback_receipts(server) == [(attempt_id, LOOKUP, "used")]
    assert server.wakes == 1
    server.clock.time += timedelta(seconds=1)
    assert server.call_back(address(server, attempt_id), {"_id": LOOKUP}).status_code == 200
    assert next_poll(server) == server.clock.time - timedelta(seconds=1)
    assert server.wakes == 1


def test_too_many_callbacks_for_one_request_are_refused(server: ServerHarness) -> None:
    attempt_id = sent(server)
    mine = address(server, attempt_id)
    for number in range(MOST_RECEIPTS):
        assert server.call_back(mine, {"_id": f"forged-{number}"}).status_code == 200
    response = server.call_back(mine, {"_id": LOOKUP})
    assert error_of(response, 429) == "too many callbacks wait for this request"
    assert response.headers["retry-after"].isdecimal()
    assert len(callback_receipts(server)) == server.wakes == MOST_RECEIPTS
    assert server.call_back(mine, {"_id": "forged-0"}).status_code == 200  # a repeat is answered, without effect
    assert server.wakes == MOST_RECEIPTS


def test_an_id_of_another_task_is_ignored(server: ServerHarness) -> None:
    attempt_id = sent(server, LOOKUP)
    later = START + timedelta(minutes=5)
    server.execute(sa.update(t.task).values(next_poll_at=later))
    server.ledger.poll_backoff.polled("lead", START, 1.0, moved=False)
    kept = server.rows(t.job)
    assert server.call_back(address(server, attempt_id), {"_id": "other"}).status_code == 200
    assert next_poll(server) == later
    assert callback_receipts(server) == []
    assert server.rows(t.job) == kept  # nor is the mapping processed early


def test_a_callback_after_the_end_of_its_task(server: ServerHarness) -> None:
    attempt_id = sent(server, LOOKUP)
    server.execute(sa.update(t.task).values(state="ended", next_poll_at=None))
    assert server.call_back(address(server, attempt_id), {"_id": LOOKUP}).status_code == 200
    assert next_poll(server) is None
    assert callback_receipts(server) == [(attempt_id, LOOKUP, "used")]


# -- addresses --------------------------------------------------------------------------------------------------


def test_a_forged_address_is_an_unknown_route(server: ServerHarness) -> None:
    attempt_id = sent(server)
    right = address(server, attempt_id)
    foreign = Seal([new_key()]).address(attempt_id)
    unknown = server.client.post("/v1/callbacks/nobody/here", json={"_id": LOOKUP})
    assert error_of(unknown, 404) == "not found"
    forged = [attempt_id, attempt_id + ".", foreign, right[:-1], right + "0", right.upper(), "." + right, right + "/"]
    forged += [f"x{right}", right.replace(".", "..", 1), "%00", "%ff.%ff", "x", "é.é", "", "%2e%2e"]
    for one in forged:
        assert seen(server.call_back(one, {"_id": LOOKUP, "external_id": attempt_id})) == seen(unknown), one
        # Before the request is examined.
        plain = server.client.post(CALLBACKS + one, content=b"{", headers={"Content-Type": "text/plain"})
        assert seen(plain) == seen(unknown), one
    assert callback_receipts(server) == []
    assert server.wakes == 0


def test_an_address_of_an_unknown_request(server: ServerHarness) -> None:
    assert error_of(server.call_back(address(server, "no-such-attempt"), {"_id": LOOKUP}), 404) == "not found"
    assert callback_receipts(server) == []


def test_addresses_under_an_older_key_still_work(
    shared_server: SharedServer, blank_ledger: Path, tmp_path: Path
) -> None:
    path, newer = copied(blank_ledger, tmp_path), new_key()
    server = ServerHarness(shared_server, path, Secrets(TOKEN, {"salesforce": SECRET}))
    attempt_id = sent(server)
    old = address(server, attempt_id)
    server.ledger.close()

    rotated = ServerHarness(shared_server, path, Secrets(TOKEN, {"salesforce": SECRET}), keys=(newer, KEY))
    new = address(rotated, attempt_id)
    assert new != old
    assert rotated.call_back(old, {"_id": "by-old"}).status_code == 200
    assert rotated.call_back(new, {"_id": "by-new"}).status_code == 200
    rotated.ledger.keys.reseal()
    with pytest.raises(ConfigurationError, match="requests without an answer"):  # the old address is still needed
        ServerHarness(shared_server, path, Secrets(TOKEN, {"salesforce": SECRET}), keys=(newer,))
    rotated.ledger.answers.accept(RequestAnswer(attempt_id, "by-new"), rotated.clock.time, rotated.clock.time)
    rotated.ledger.close()

    forgotten = ServerHarness(shared_server, path, Secrets(TOKEN, {"salesforce": SECRET}), keys=(newer,))
    error_of(forgotten.call_back(old, {"_id": "too-late"}), 404)
    assert [provider_task_id for _, provider_task_id, _ in callback_receipts(forgotten)] == ["by-old", "by-new"]
    forgotten.ledger.close()


# -- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("external_id", ["other", "", 7, 0, False, [], {}, [["x"]], "\ud800"])
def test_a_body_for_another_request_is_refused(server: ServerHarness, external_id: object) -> None:
    attempt_id = sent(server)
    response = server.call_back(address(server, attempt_id), {"_id": LOOKUP, "external_id": external_id})
    assert error_of(response, 404) == "not found"
    assert callback_receipts(server) == []


@pytest.mark.parametrize("provider_task_id", [17, 17.0, "17"])
def test_an_id_may_be_a_number(server: ServerHarness, provider_task_id: object) -> None:
    attempt_id = sent(server)
    assert server.call_back(address(server, attempt_id), {"_id": provider_task_id}).status_code == 200
    assert callback_receipts(server) == [(attempt_id, "17", "waiting")]


@pytest.mark.parametrize(
    "provider_task_id", [None, "", 7.5, [], {}, True, "x" * 201, "a\u0000b", "\ud800", "a b", "é", "a\n"]
)
def test_a_body_with_an_invalid_id_is_refused(server: ServerHarness, provider_task_id: object) -> None:
    attempt_id = sent(server)
    assert error_of(server.call_back(address(server, attempt_id), {"_id": provider_task_id}), 404) == "not found"
    assert callback_receipts(server) == []


def test_an_unreadable_body_is_refused(server: ServerHarness) -> None:
    right = CALLBACKS + address(server, sent(server))
    json = {"Content-Type": "application/json"}
    for content, headers, status in (
        (b"", json, 400),
        (b"[]", json, 400),
        (b'{"_id": ', json, 400),
        (b"[" * 50_000, json, 400),
        (b'{"_id": "66f0c0ffee"}', {"Content-Type": "text/plain"}, 415),
        (b'{"_id": "66f0c0ffee"}' + b" " * 64 * 1024, json, 413),
    ):
        error_of(server.client.post(right, content=content, headers=headers), status)
    assert callback_receipts(server) == []
