"""One address cannot lock out the others: its waiting connections are closed, oldest first; requests are served."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from server_harness import SECRET, TOKEN, ServerHarness, SharedServer, copied, soon

from connector.server import crowd, listen
from connector.server.crowd import Crowd, address_of
from connector.server.site import Secrets

pytest_plugins = ("server_fixtures",)
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = (
    b"POST /v1/enrichments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
)
ANOTHER = "127.0.0.2"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, blank_ledger: Path, tmp_path: Path) -> Iterator[ServerHarness]:
    """A server with small limits."""
    monkeypatch.setattr(crowd, "MOST_WAITING_ON_LOOPBACK", 5)
    monkeypatch.setattr(crowd, "MOST_WAITING", 8)
    monkeypatch.setattr(listen, "MOST_CONNECTIONS", 12)
    shared_server = SharedServer()
    made = ServerHarness(shared_server, copied(blank_ledger, tmp_path), Secrets(TOKEN, {"salesforce": SECRET}))
    yield made
    shared_server.close()
    made.ledger.close()


def opened(
    server: ServerHarness, count: int, sent: bytes, held: contextlib.ExitStack, address: str
) -> list[socket.socket]:
    made: list[socket.socket] = []
    for _ in range(count):
        one = socket.create_connection(
            ("127.0.0.1", server.shared_server.port), timeout=20, source_address=(address, 0)
        )
        made.append(held.enter_context(one))
        one.sendall(sent)
    return made


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def health(server: ServerHarness, address: str) -> int:
    """The answer to a monitor at an address."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=20) as client:
        return client.get(f"http://127.0.0.1:{server.shared_server.port}/healthz").status_code


@pytest.mark.parametrize("sent", [b"", b"GET", HEAD, BODY, BODY + b"{"], ids=["idle", "word", "head", "body", "slow"])
@pytest.mark.parametrize("asks", [ANOTHER, "127.0.0.1"])
def test_one_address_locks_out_neither_others_nor_itself(small: ServerHarness, sent: bytes, asks: str) -> None:
    with contextlib.ExitStack() as held:
        flood = opened(small, 40, sent, held, "127.0.0.1")
        assert soon(lambda: sum(map(is_open, flood)) <= 5)
        assert health(small, asks) == 200
        assert is_open(flood[-1]) or asks == "127.0.0.1"  # the oldest went, not the newest
        assert not is_open(flood[0])


def test_a_quiet_connection_survives_a_flood_from_another_address(small: ServerHarness) -> None:
    with contextlib.ExitStack() as held:
        (quiet,) = opened(small, 1, HEAD, held, ANOTHER)
        flood = opened(small, 40, b"", held, "127.0.0.1")
        assert soon(lambda: sum(map(is_open, flood)) <= 5)
        quiet.setblocking(True)
        quiet.sendall(b"\r\n")
        assert quiet.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_all_addresses_together_have_a_limit(small: ServerHarness) -> None:
    with contextlib.ExitStack() as held:
        flood = [one for number in range(3, 43) for one in opened(small, 1, b"", held, f"127.0.0.{number}")]
        assert soon(lambda: sum(map(is_open, flood)) <= 8)
        assert health(small, ANOTHER) == 200


def test_slow_sending_does_not_restart_a_wait(small: ServerHarness) -> None:
    with contextlib.ExitStack() as held:
        (first,) = opened(small, 1, b"", held, "127.0.0.1")
        rest = opened(small, 4, b"", held, "127.0.0.1")
        for byte in b"GET /":
            first.sendall(bytes([byte]))
        opened(small, 1, b"", held, "127.0.0.1")
        assert soon(lambda: not is_open(first))
        assert all(map(is_open, rest))


def test_a_request_in_progress_does_not_wait(small: ServerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is not closed, however many others its address opens in the meantime."""
    go = threading.Event()
    monkeypatch.setattr(small.inbound, "is_ready", lambda: go.wait(20))
    with contextlib.ExitStack() as held:
        (asking,) = opened(small, 1, HEAD.replace(b"healthz", b"readyz") + b"\r\n", held, "127.0.0.1")
        flood = opened(small, 40, b"", held, "127.0.0.1")
        assert soon(lambda: sum(map(is_open, flood)) <= 5)
        go.set()
        asking.setblocking(True)
        assert asking.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_kept_connection_is_reused(small: ServerHarness) -> None:
    with contextlib.ExitStack() as held:
        (mine,) = opened(small, 1, b"", held, "127.0.0.1")
        for _ in range(20):
            opened(small, 1, b"", held, "127.0.0.1")
            mine.sendall(HEAD + b"\r\n")
            assert mine.recv(65536).startswith(b"HTTP/1.1 200 ")


# -- counting ---------------------------------------------------------------------------------------------------


class Connection:
    def __init__(self) -> None:
        self.closed = False

    def hang_up(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("address", "most"),
    [
        ("192.0.2.7", crowd.MOST_WAITING_PER_ADDRESS),
        ("127.0.0.1", crowd.MOST_WAITING_ON_LOOPBACK),
        ("2001:db8::/64", crowd.MOST_WAITING_PER_ADDRESS),
        ("", crowd.MOST_WAITING_PER_ADDRESS),
    ],
)
def test_each_kind_of_address_has_its_limit(address: str, most: int) -> None:
    at, made = Crowd(), [Connection() for _ in range(most + 3)]
    for one in made:
        at.waits(one, address)
    assert [one.closed for one in made] == [True] * 3 + [False] * most


def test_the_busiest_address_loses_a_connection() -> None:
    at = Crowd()
    greedy = [Connection() for _ in range(crowd.MOST_WAITING_ON_LOOPBACK)]
    for one in greedy:
        at.waits(one, "127.0.0.1")
    others = [Connection() for _ in range(crowd.MOST_WAITING - len(greedy) + 10)]
    for number, one in enumerate(others):
        at.waits(one, f"192.0.2.{number // 10}")
    assert sum(one.closed for one in greedy) == 10
    assert not any(one.closed for one in others)


def test_finished_waits_are_not_counted() -> None:
    at = Crowd()
    for _ in range(10_000):
        one = Connection()
        at.waits(one, "192.0.2.7")
        at.waits_no_more(one, "192.0.2.7")
        at.waits_no_more(one, "192.0.2.7")
        assert not one.closed


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (("2001:db8::1", 1, 0, 0), "2001:db8::/64"),
        (("2001:db8::ffff:2", 1, 0, 0), "2001:db8::/64"),
        (("::1", 1, 0, 0), "::1"),
        (("fe80::1%eth0", 1, 0, 0), "fe80::/64"),
        ("", ""),
        (None, ""),
    ],
)
def test_addresses_for_counting(peer: object, address: str) -> None:
    assert address_of(peer) == address
