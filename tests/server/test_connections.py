"""Limits for slow, greedy and broken clients: none occupies a connection for long."""

import socket
import time

import pytest
from server_harness import ASK, BEARER, ServerHarness, SharedServer, drained, soon

from connector.server import listen

pytest_plugins = ("server_fixtures",)
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
PATIENCE_S = 0.3


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "HEAD_TIMEOUT_S", PATIENCE_S)


def answer(connection: socket.socket) -> bytes:
    """Read one answer on a connection that stays open."""
    found = b""
    while b'"}' not in found:
        chunk = connection.recv(65536)
        assert chunk, "closed without an answer"
        found += chunk
    return found


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, HEAD + b"X-Long: "])
def test_a_connection_without_a_complete_head_is_closed(server: ServerHarness, sent: bytes) -> None:
    began = time.monotonic()
    assert server.shared_server.exchange(sent) == b""
    assert PATIENCE_S * 0.9 < time.monotonic() - began < PATIENCE_S + 2


@pytest.mark.usefixtures("_impatient")
def test_a_slow_head_is_closed(server: ServerHarness) -> None:
    began = time.monotonic()
    with server.shared_server.connect() as connection:
        connection.settimeout(0.05)
        for byte in HEAD * 20:
            try:
                connection.sendall(bytes([byte]))
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert time.monotonic() - began < PATIENCE_S + 2


@pytest.mark.usefixtures("_impatient")
def test_an_incomplete_second_head_is_closed(server: ServerHarness) -> None:
    with server.shared_server.connect() as connection:
        connection.sendall(HEAD + b"\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(HEAD)
        began = time.monotonic()
        assert drained(connection) == b""
        assert time.monotonic() - began < PATIENCE_S + 2


@pytest.mark.usefixtures("_impatient")
def test_a_busy_connection_is_not_closed_between_requests(server: ServerHarness) -> None:
    with server.shared_server.connect() as connection:
        end = time.monotonic() + 4 * PATIENCE_S
        while time.monotonic() < end:
            connection.sendall(HEAD)  # half of a head has been sent when an earlier timer would expire
            time.sleep(PATIENCE_S / 4)
            connection.sendall(b"\r\n")
            assert answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [HEAD + b"X-Long: ", b"GET /"])
def test_an_endless_head_is_cut_off(server: ServerHarness, sent: bytes) -> None:
    began = time.monotonic()
    with server.shared_server.connect() as connection:
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 it takes several
            connection.sendall(sent)
            for _ in range(1000):
                connection.sendall(b"x" * 65536)
        drained(connection)
    assert time.monotonic() - began < 3


def test_a_head_of_reasonable_size_is_read(server: ServerHarness) -> None:
    assert server.client.get("/healthz", headers={"X-Long": "x" * 30_000}).status_code == 200


def test_a_refusal_can_be_read_despite_a_large_body(server: ServerHarness) -> None:
    response = server.client.post(ASK, content=b" " * 2_000_000, headers={"Content-Type": "application/json"})
    assert response.status_code == 401


def test_a_disconnecting_sender_is_not_a_fault(server: ServerHarness, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    head = f"POST {ASK} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {BEARER['Authorization']}\r\n"
    with server.shared_server.connect() as connection:
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert soon(lambda: any(record.name == "connector.http" for record in caplog.records))
    assert [getattr(record, "status", None) for record in caplog.records if record.name == "connector.http"] == [400]
    assert [record for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


def test_bytes_that_are_not_http_are_refused(shared_server: SharedServer, server: ServerHarness) -> None:
    del server
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00", b"HELO example.com\r\n\r\n", b"GET /healthz\x00 HTTP/1.1\r\n\r\n"):
        assert shared_server.exchange(sent).startswith(b"HTTP/1.1 400 ")


def test_an_upgrade_to_a_web_socket_is_an_ordinary_request(server: ServerHarness) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    with server.shared_server.connect() as connection:
        connection.sendall(HEAD + upgrade + b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200 ")
