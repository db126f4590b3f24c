"""Secrets are compared in constant time and never written; faults show no details."""

import hmac
import logging
from collections.abc import Callable

import httpx
import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
import sqlalchemy as sa
from ledger_harness import LedgerHarness
from server_harness import ASK, BEARER, ORG, SECRET, TOKEN, ServerHarness, error_of, lead, soon
from soap_letters import letter, note

from connector.report.logs import JsonLines

pytest_plugins = ("server_fixtures",)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All log lines, in the form that the program writes."""
    return [JsonLines().format(record) for record in caplog.records]


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """Records all comparisons in constant time."""
    found: list[tuple[bytes, bytes]] = []
    usual = hmac.compare_digest

    def compare(given: bytes, right: bytes) -> bool:
        found.append((given, right))
        return usual(given, right)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    return found


@pytest.mark.parametrize("given", [TOKEN, TOKEN[:-1] + "x", "x", ""])
def test_tokens_are_compared_in_constant_time(
    server: ServerHarness, compared: list[tuple[bytes, bytes]], given: str
) -> None:
    headers = [(b"Authorization", f"Bearer {given}".strip().encode())]
    server.client.get(f"{ASK}/flow-1", headers=headers)
    assert compared == [(given.encode(), TOKEN.encode())]


@pytest.mark.parametrize("given", [SECRET, SECRET[:-1] + "x", "x"])
def test_secrets_are_compared_in_constant_time(
    server: ServerHarness, compared: list[tuple[bytes, bytes]], given: str
) -> None:
    server.send(letter(note(1)), given)
    assert compared == [(given.encode(), SECRET.encode())]


def test_addresses_are_compared_in_constant_time(server: ServerHarness, compared: list[tuple[bytes, bytes]]) -> None:
    address = server.ledger.seal.address("a1")
    server.call_back(address[:-1] + "x", {"_id": "66f0c0ffee"})
    assert compared == [(f"{address[3:-1]}x".encode(), address[3:].encode())]


# -- what is logged ---------------------------------------------------------------------------------------------


def test_log_lines_have_only_route_status_and_time(server: ServerHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "connector.http")
    server.ask(lead(1), request_id="flow-1")
    assert soon(lambda: len(caplog.records) == 1)
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("connector.http", "answered")
    usual = vars(logging.makeLogRecord({})).keys() | {"message"}
    fields = {name: value for name, value in vars(record).items() if name not in usual}
    assert fields.keys() == {"route", "status", "ms"}
    assert (fields["route"], fields["status"]) == ("/v1/enrichments", 202)
    assert 0 <= fields["ms"] < 20_000


def test_log_lines_have_no_secret_id_or_query(server: ServerHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stored = LedgerHarness(server.ledger)
    stored.plan("70011")
    batch = stored.batch()
    stored.lose(batch)
    address = server.ledger.seal.address(batch.attempt_id)
    client = logging.getLogger("httpx"), logging.getLogger("httpcore")  # the callers' own lines
    for logger in client:
        logger.setLevel(logging.WARNING)
    server.ask(lead(1), request_id="flow-1")
    server.ask(lead(1), "no-id-at-all", request_id="flow-1")
    server.look("flow-1")
    server.client.get(f"{ASK}/flow-1?query-of-nobody", headers={"Authorization": "Bearer wrong-token"})
    server.send(letter(note(7)), query="?mapping=lead")
    server.send(letter(note(7)), query="?mapping=mapping-of-nobody")
    server.send(letter(note(7)), "wrong-secret")
    server.call_back(address, {"_id": "66f0c0ffee", "email": "ada@example.com"})
    server.call_back("wrong-address", {})
    server.client.get("/path-of-nobody")
    assert soon(lambda: sum(record.name == "connector.http" for record in caplog.records) == 10)
    for logger in client:
        logger.setLevel(logging.NOTSET)
    text = "\n".join(lines(caplog))
    for word in (TOKEN, SECRET, ORG[:15], lead(1)[:15], lead(7)[:15], "04l", "flow-1", batch.attempt_id, address):
        assert word not in text
    for word in ("66f0c0ffee", "ada@", "nobody", "wrong", "no-id", "mapping=", "?"):
        assert word not in text


# -- faults -----------------------------------------------------------------------------------------------------

DETAIL = "Zebra7Quagga"


def raising(error: Exception) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def asks(server: ServerHarness) -> list[httpx.Response]:
    """One request for each route that uses the ledger."""
    stored = LedgerHarness(server.ledger)
    stored.plan("70011")
    address = server.ledger.seal.address(stored.batch().attempt_id)
    return [
        server.ask(lead(1), request_id="flow-1"),
        server.look("flow-1"),
        server.send(letter(note(1))),
        server.call_back(address, {"_id": "66f0c0ffee"}),
        server.client.get("/metrics"),
    ]


def break_all(server: ServerHarness, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    for place, name in (
        ("inbox", "accept"),
        ("inbox", "state_of"),
        ("inbox", "open_counts"),
        ("callback_receipts", "receive"),
    ):
        monkeypatch.setattr(getattr(server.ledger, place), name, raising(error))


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.OperationalError(f"INSERT {DETAIL}", {}, Exception("disk is full")),
        sa.exc.IntegrityError(f"INSERT {DETAIL}", {}, Exception(DETAIL)),
        sa.exc.DataError(f"INSERT {DETAIL}", {}, Exception(DETAIL)),
        sa.exc.TimeoutError(DETAIL),
    ],
)
def test_a_storage_error_is_answered_503_without_detail(
    server: ServerHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    break_all(server, monkeypatch, error)
    for response in asks(server):
        assert error_of(response, 503) == "the request could not be stored or read; send it again"
    kinds = [getattr(record, "kind", None) for record in caplog.records if record.levelname == "WARNING"]
    assert kinds == [type(error).__name__] * 5
    assert DETAIL not in "\n".join(lines(caplog))


def test_an_internal_fault_is_answered_500_without_a_traceback(
    server: ServerHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    break_all(server, monkeypatch, RuntimeError(DETAIL))
    for response in asks(server):
        assert error_of(response, 500) == "internal fault"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["connection"] == "close"
    assert soon(lambda: sum(getattr(record, "status", None) == 500 for record in caplog.records) == 5)
    assert DETAIL not in "\n".join(lines(caplog))
    assert server.client.get("/healthz").status_code == 200


def test_a_fault_during_readiness_shows_no_detail(server: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.ledger.credits, "newest_entry", raising(RuntimeError(DETAIL)))
    assert error_of(server.client.get("/readyz", headers=BEARER), 500) == "internal fault"
