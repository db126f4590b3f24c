"""The trigger API: requests from Flow or Apex are stored once and answered at once."""

import threading
from datetime import timedelta

import httpx
import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
import sqlalchemy as sa
from ledger_harness import START
from server_harness import ASK, BEARER, SECRET, TOKEN, ServerHarness, error_of, lead

from connector.core.model import Outcome
from connector.server import guards
from connector.store import tables as t
from connector.store.inbox import KEPT, RequestedRecord

pytest_plugins = ("server_fixtures",)
KNOWN = TOKEN.encode()
SHORT, FULL = "00Q000000000001", "00Q000000000001EAA"
GOOD = {"mapping": "lead", "record_ids": [FULL]}
SAID = "Zebra7Quagga"  # no answer to a bad request may repeat the caller's text


def test_a_request_is_stored_and_answered_202(server: ServerHarness) -> None:
    response = server.ask(lead(1), lead(2), request_id="flow-1")
    assert response.status_code == 202
    assert response.json() == {"request_id": "flow-1", "accepted": 2, "duplicate": False}
    assert server.asked() == [("lead", lead(1)), ("lead", lead(2))]
    assert {(row["request_id"], row["state"], row["not_before"]) for row in server.rows(t.request_item)} == {
        ("flow-1", "waiting", START)
    }
    assert server.wakes == 1


def test_one_record_can_be_requested_without_a_body(server: ServerHarness) -> None:
    for content in (b"", b"{}"):
        response = server.client.post(f"{ASK}/lead/{SHORT}", content=content, headers=BEARER)
        assert response.status_code == 202
        assert (response.json()["accepted"], response.json()["duplicate"]) == (1, False)
    assert set(server.asked()) == {("lead", FULL)}


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"lead/{SAID}", 400), (f"{SAID}/{SHORT}", 400), (f"contact/{SHORT}", 400), (f"lead/{SHORT}/more", 404)],
)
def test_a_wrong_record_or_mapping_in_the_path_is_refused(server: ServerHarness, path: str, status: int) -> None:
    response = server.client.post(f"{ASK}/{path}", headers=BEARER)
    assert response.status_code == status
    assert SAID not in response.text
    assert server.asked() == []


def test_one_record_needs_the_token(server: ServerHarness) -> None:
    assert server.client.post(f"{ASK}/lead/{SHORT}").status_code == 401
    large = server.client.post(f"{ASK}/lead/{SHORT}", content=b"x" * 200_000, headers=BEARER)
    assert large.status_code == 413
    assert server.asked() == []


def test_a_repeated_request_is_a_duplicate(server: ServerHarness) -> None:
    server.ask(lead(1), lead(2), request_id="flow-1")
    again = server.ask(lead(1), lead(2), request_id="flow-1")
    assert again.status_code == 202
    assert again.json() == {"request_id": "flow-1", "accepted": 2, "duplicate": True}
    assert len(server.asked()) == 2
    assert server.wakes == 1


@pytest.mark.parametrize(
    "ids", [(lead(2), lead(1)), (lead(1), lead(2), lead(1)), (SHORT, lead(2)), (f" {SHORT} ", SHORT, FULL, lead(2))]
)
def test_order_doubles_and_the_form_of_ids_do_not_matter(server: ServerHarness, ids: tuple[str, ...]) -> None:
    server.ask(lead(1), lead(2), request_id="flow-1")
    again = server.ask(*ids, request_id="flow-1")
    assert again.json() == {"request_id": "flow-1", "accepted": 2, "duplicate": True}
    assert len(server.asked()) == 2


def test_ids_of_15_characters_are_stored_with_18(server: ServerHarness) -> None:
    assert server.ask(SHORT, "00QABCDEabcdeXY").json()["accepted"] == 2
    assert server.asked() == [("lead", FULL), ("lead", "00QABCDEabcdeXY2HY")]


@pytest.mark.parametrize("other", [(lead(1),), (lead(1), lead(3)), (lead(1), lead(2), lead(3))])
def test_another_body_under_the_same_id_is_a_conflict(server: ServerHarness, other: tuple[str, ...]) -> None:
    server.ask(lead(1), lead(2), request_id="flow-1")
    assert error_of(server.ask(*other, request_id="flow-1"), 409) == "this request_id was used with another body"
    assert len(server.asked()) == 2


def test_another_mapping_under_the_same_id_is_a_conflict(server: ServerHarness) -> None:
    contact = "003000000000001AAA"
    server.ask(contact, mapping="contact", request_id="flow-1")
    error_of(server.ask(contact, mapping="contact-late", request_id="flow-1"), 409)


def finish_all(server: ServerHarness) -> None:
    server.execute(sa.update(t.request_item).values(state="done", outcome=Outcome.DELIVERED.value))


def test_a_request_id_is_reusable_after_seven_days(server: ServerHarness) -> None:
    server.ask(lead(1), request_id="flow-1")
    finish_all(server)
    server.clock.time = START + KEPT
    assert server.ask(lead(1), request_id="flow-1").json()["duplicate"] is True
    error_of(server.ask(lead(2), request_id="flow-1"), 409)
    server.clock.time += timedelta(seconds=1)
    assert server.ask(lead(2), request_id="flow-1").json() == {
        "request_id": "flow-1",
        "accepted": 1,
        "duplicate": False,
    }
    assert server.asked() == [("lead", lead(2))]
    assert server.look("flow-1").json()["state"] == "waiting"


@pytest.mark.parametrize("more", [{}, {"request_id": None}, {"request_id": ""}])
def test_a_missing_request_id_is_generated(server: ServerHarness, more: dict[str, object]) -> None:
    body = GOOD | more
    first, second = server.ask_for(body), server.ask_for(body)
    assert first.status_code == second.status_code == 202
    assert first.json()["request_id"] != second.json()["request_id"]
    assert len(server.asked()) == 2
    assert server.look(first.json()["request_id"]).json()["records"] == 1


def test_the_limit_is_two_thousand_ids(server: ServerHarness) -> None:
    ids = [lead(number) for number in range(2001)]
    assert server.ask(*ids[:2000]).json()["accepted"] == 2000
    assert error_of(server.ask(*ids), 400) == "record_ids must hold 1 to 2000 ids"
    assert len(server.asked()) == 2000


def test_simultaneous_equal_requests_are_stored_once(server: ServerHarness) -> None:
    barrier, duplicates = threading.Barrier(8), []

    def send() -> None:
        barrier.wait()
        duplicates.append(server.ask(lead(1), lead(2), request_id="flow-1").json()["duplicate"])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(duplicates) == [False] + [True] * 7
    assert len(server.asked()) == 2


# -- what is refused --------------------------------------------------------------------------------------------

WORDS = "the body needs mapping (text) and record_ids (a list of texts)"
ID_WORDS = "request_id may hold 80 letters, digits, dots, dashes and underscores"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            GOOD | {"mapping": SAID},
            "no mapping of this name is served here; served mappings: lead, contact, contact-late",
        ),
        (
            GOOD | {"record_ids": [FULL, SAID]},
            "entry 2 of record_ids is not a Salesforce id (15 or 18 letters and digits)",
        ),
        (
            GOOD | {"record_ids": ["00Q000000000001EAB"]},
            "entry 1 of record_ids is not a Salesforce id (15 or 18 letters and digits)",
        ),
        (GOOD | {"record_ids": [""]}, "entry 1 of record_ids is not a Salesforce id (15 or 18 letters and digits)"),
        (
            GOOD | {"record_ids": ["00Q00000000000\ud800"]},
            "entry 1 of record_ids is not a Salesforce id (15 or 18 letters and digits)",
        ),
        (GOOD | {"record_ids": []}, "record_ids must hold 1 to 2000 ids"),
        (GOOD | {"record_ids": SAID}, WORDS),
        (GOOD | {"record_ids": {SAID: FULL}}, WORDS),
        (GOOD | {"record_ids": [FULL, 7]}, WORDS),
        (GOOD | {"record_ids": [[FULL]]}, WORDS),
        (GOOD | {"record_ids": None}, WORDS),
        (GOOD | {"mapping": None}, WORDS),
        (GOOD | {"mapping": ["lead"]}, WORDS),
        ({"mapping": "lead"}, WORDS),
        ({"record_ids": [FULL]}, WORDS),
        ({}, WORDS),
        (GOOD | {"request_id": 7}, ID_WORDS),
        (GOOD | {"request_id": 0}, ID_WORDS),
        (GOOD | {"request_id": False}, ID_WORDS),
        (GOOD | {"request_id": []}, ID_WORDS),
        (GOOD | {"request_id": {SAID: 1}}, ID_WORDS),
        (GOOD | {"request_id": SAID * 7}, ID_WORDS),
        (GOOD | {"request_id": f"{SAID} "}, ID_WORDS),
        (GOOD | {"request_id": f"{SAID}\n"}, ID_WORDS),
        (GOOD | {"request_id": f"notification:{SAID}"}, ID_WORDS),
        ([GOOD], "the body must be a JSON object"),
        (SAID, "the body must be a JSON object"),
        (None, "the body must be a JSON object"),
    ],
)
def test_a_bad_request_is_refused_with_a_fixed_message(server: ServerHarness, body: object, words: str) -> None:
    response = server.ask_for(body)
    assert error_of(response, 400) == words
    assert SAID not in response.text
    assert server.asked() == []
    assert server.wakes == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        SAID.encode(),
        b'{"mapping": "lead", "record_ids": ["\xff"]}',
        b"[" * 100_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'{"mapping": ' + b"9" * 5000 + b"}",
        b"\x00\x01",
    ],
)
def test_bodies_that_are_not_json_are_refused(server: ServerHarness, raw: bytes) -> None:
    response = server.client.post(ASK, content=raw, headers={**BEARER, "Content-Type": "application/json"})
    assert error_of(response, 400) == "the body is not valid JSON"
    assert SAID not in response.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_another_content_type_is_refused(server: ServerHarness, content_type: str) -> None:
    response = server.client.post(ASK, content=b"{}", headers={**BEARER, "Content-Type": content_type})
    assert error_of(response, 415) == "the body must be application/json"


def test_the_usual_spellings_of_the_content_type_are_accepted(server: ServerHarness) -> None:
    for content_type in ("application/json; charset=utf-8", "Application/JSON ;charset=utf-8"):
        response = server.client.post(
            ASK, content=b'{"mapping": "lead", "record_ids": ["%s"]}' % FULL.encode(), headers=_typed(content_type)
        )
        assert response.status_code == 202


def _typed(content_type: str) -> dict[str, str]:
    return {**BEARER, "Content-Type": content_type}


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer wrong",
        b"Basic " + KNOWN,
        KNOWN,
        b"Bearer " + KNOWN + b"x",
        b"Bearer " + KNOWN[:-1],
        b"Bearer " + KNOWN.upper(),
        b"Bearer " + SECRET.encode(),
        b"Bearer \xff\xfe",
    ],
)
def test_without_the_token_requests_are_refused(server: ServerHarness, given: bytes | None) -> None:
    headers = httpx.Headers([] if given is None else [(b"Authorization", given)])
    asked = server.client.post(ASK, json=GOOD, headers=headers)
    looked = server.client.get(f"{ASK}/flow-1", headers=headers)
    for response in (asked, looked):
        assert error_of(response, 401) == "a valid bearer token is required"
        assert response.headers["www-authenticate"] == "Bearer"
    assert server.asked() == []


def test_the_scheme_may_be_spelt_in_any_case(server: ServerHarness) -> None:
    headers = {"Authorization": f"bearer  {TOKEN}"}
    assert server.client.post(ASK, json=GOOD, headers=headers).status_code == 202


def test_other_methods_are_refused_in_json(server: ServerHarness) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert error_of(server.client.request(method, ASK, headers=BEARER), 405) == "this method is not allowed here"


def test_an_extra_slash_is_no_route_and_no_redirect(server: ServerHarness) -> None:
    for path in (f"{ASK}/", "/healthz/", "/v1/callbacks/salesfinity/x/"):
        assert error_of(server.client.post(path, json=GOOD, headers=BEARER), 404) == "not found"


# -- how much, and how long -------------------------------------------------------------------------------------

LIMIT = 128 * 1024


def test_a_body_announced_as_too_large_is_refused_unread(server: ServerHarness) -> None:
    head = (
        f"POST {ASK} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {LIMIT + 1}\r\n\r\n"
    )
    answer = server.shared_server.exchange(head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"error":"the body is too large"}')


def test_a_chunked_body_is_refused_once_it_is_too_large(server: ServerHarness) -> None:
    response = server.client.post(ASK, content=iter([b" " * 1024] * 129), headers=_typed("application/json"))
    assert error_of(response, 413) == "the body is too large"


def test_a_body_of_the_maximum_size_is_read(server: ServerHarness) -> None:
    body = b'{"mapping": "lead", "record_ids": ["%s"]}' % FULL.encode()
    padded = body + b" " * (LIMIT - len(body))
    assert server.client.post(ASK, content=padded, headers=_typed("application/json")).status_code == 202


def test_a_body_that_never_arrives_times_out(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "BODY_TIMEOUT_S", 0.1)
    head = (
        f"POST {ASK} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    answer = server.shared_server.exchange(head.encode())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b'{"error":"the body took too long"}')


# -- what became of it ------------------------------------------------------------------------------------------


def test_the_state_of_a_request_goes_from_waiting_to_done(server: ServerHarness) -> None:
    server.ask(lead(1), lead(2), lead(3), request_id="flow-1")
    none = dict.fromkeys(("delivered", "not_found", "failed", "skipped", "waiting", "deferred", "parked", "unknown"), 0)
    assert server.look("flow-1").json() == {
        "request_id": "flow-1",
        "state": "waiting",
        "records": 3,
        "open": 3,
        **none,
        "reasons": [],
    }

    first = server.rows(t.request_item)[0]
    server.ledger.inbox.postpone([RequestedRecord(first["id"], first["crm_id"])], "no credits", START)
    working = {"request_id": "flow-1", "state": "working", "records": 3, "open": 3, **none, "deferred": 1}
    postponed = {"outcome": "deferred", "reason": "no credits", "count": 1}
    assert server.look("flow-1").json() == {**working, "reasons": [postponed]}

    finish_all(server)
    done = {"request_id": "flow-1", "state": "done", "records": 3, "open": 0, **none, "delivered": 3}
    found = server.look("flow-1").json()
    del found["reasons"]
    assert found == done


@pytest.mark.parametrize("request_id", ["flow-2", "a" * 81, "a%20b", "notification:04l000000000001", "%00", "%ff"])
def test_an_unknown_request_is_not_found(server: ServerHarness, request_id: str) -> None:
    server.ask(lead(1), request_id="flow-1")
    assert error_of(server.look(request_id), 404) == "not found"


def test_notifications_have_no_request_state(server: ServerHarness) -> None:
    server.execute(sa.insert(t.request).values(id="notification:04l000000000001", digest="", accepted_at=START))
    error_of(server.look("notification:04l000000000001"), 404)


def test_every_answer_forbids_caching(server: ServerHarness) -> None:
    for response in (server.ask(lead(1)), server.look("none"), server.client.get("/nowhere")):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "server" not in response.headers
