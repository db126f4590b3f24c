"""A paid request leaves on a connection of its own: one that was kept may have been closed by the vendor just now."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from net_sites import OUTSIDE, RawSite, connect_proxy, make_authority, request_of
from vendor_harness import PaceSpy

from connector.net import NetworkSettings
from connector.providers.connection import Connection
from connector.providers.http import Answer, VendorHttp

KEPT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Ask = Callable[[VendorHttp], Answer]
PAID: dict[str, Ask] = {
    "submit": lambda http: http.pay("/paid", {"people": []}),
    "event": lambda http: http.repeatable_post("/paid"),
}


class Vendor:
    """A vendor that keeps its connections open, and takes in some requests of each before it closes it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = threading.Lock()
        self.served: list[str] = []
        self.dropped: list[str] = []
        self.heads: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        for number in range(1, 100):
            asked = request_of(connection)
            if not asked:
                return
            with self._guard:
                self.heads.append(asked)
                (self.served if number <= self._most else self.dropped).append(asked.split(b" ", 1)[0].decode())
            if number > self._most:
                return  # it closes as the request arrives: the request was never looked at
            connection.sendall(KEPT)


def client(url: str, network: NetworkSettings | None = None) -> VendorHttp:
    return VendorHttp(
        "vendor", url, {}, Connection(PaceSpy(), lambda _seconds: None, network=network or NetworkSettings())
    )


@pytest.mark.parametrize("kind", PAID)
def test_a_vendor_that_closes_kept_connections_loses_no_paid_request(kind: str) -> None:
    vendor = Vendor(most=1)
    with RawSite(vendor) as site:
        http = client(site.url)
        http.read("/balance")
        PAID[kind](http)  # on the kept connection it would be sent, and nobody would know what became of it
        PAID[kind](http)
        http.close()
        assert site.connections == 3
    assert vendor.served == ["GET", "POST", "POST"]
    assert vendor.dropped == []


@pytest.mark.parametrize("kind", PAID)
def test_a_paid_request_says_that_its_connection_ends_with_it(kind: str) -> None:
    vendor = Vendor(most=100)
    with RawSite(vendor) as site:
        http = client(site.url)
        http.read("/balance")
        PAID[kind](http)
        http.close()
    free, paid = (head.lower().partition(b"\r\n\r\n")[0] for head in vendor.heads)
    assert b"\r\nconnection: close" in paid
    assert b"\r\nconnection: close" not in free


def test_free_reads_share_a_connection_beside_paid_requests() -> None:
    vendor = Vendor(most=100)
    with RawSite(vendor) as site:
        http = client(site.url)
        for _ in range(3):
            http.read("/task")
            http.pay("/paid", {})
        http.close()
        assert site.connections == 1 + 3


def test_behind_a_proxy_each_paid_request_has_a_tunnel_of_its_own(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    asked: list[bytes] = []
    with RawSite(Vendor(most=1), authority.server) as site, connect_proxy({OUTSIDE: site.port}, asked) as proxy:
        network = NetworkSettings({"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(authority.file)})
        http = client(f"https://{OUTSIDE}", network)
        http.read("/balance")
        http.pay("/paid", {})
        http.pay("/paid", {})
        http.close()
        assert site.connections == len(asked) == 3
