"""Servers for network tests: one that sends exact bytes, one with TLS, and an HTTP proxy."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handler = Callable[[socket.socket], None]
OUTSIDE = "vendor.example.com"  # known only to a test's proxy


@dataclass
class RawSite:
    """A listening socket that passes each connection to a handler in its own thread."""

    handler: Handler
    tls: ssl.SSLContext | None = None
    connections: int = 0
    _listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "RawSite":
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                self._start(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(20)
            wrapped = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with wrapped:
                self.handler(wrapped)


def request_of(connection: socket.socket) -> bytes:
    """Read one request, head and body, as raw bytes."""
    found = b""
    while b"\r\n\r\n" not in found:
        piece = connection.recv(65_536)
        if not piece:
            return found
        found += piece
    head, _, body = found.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def saying(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    """A handler that answers every request of a connection with the same bytes, then closes."""

    def handle(connection: socket.socket) -> None:
        asked = request_of(connection)
        if seen is not None:
            seen.append(asked)
        connection.sendall(answer)

    return handle


def json_answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Type: application/json", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"Connection: close", b"", body])


def dripping(head: bytes, drop: bytes = b"x", every_s: float = 0.005, most: int = 100_000) -> Handler:
    """A handler that sends a start, then one piece after another."""

    def handle(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(head)
        stop = threading.Event()
        for _ in range(most):
            connection.sendall(drop)
            stop.wait(every_s)

    return handle


@contextlib.contextmanager
def connect_proxy(targets: dict[str, int], asked: list[bytes], refuse: bytes = b"") -> Iterator[RawSite]:
    """An HTTP proxy that knows invented host names: `CONNECT vendor.example.com:443` reaches a local port.

    Args:
        targets: local port by host name.
        asked: receives the head of each CONNECT request.
        refuse: a status line to answer instead.
    """

    def handle(connection: socket.socket) -> None:
        head = request_of(connection)
        asked.append(head)
        host = head.split(b" ", 2)[1].rpartition(b":")[0].decode()
        if refuse:
            connection.sendall(b"HTTP/1.1 " + refuse + b"\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", targets[host])) as other:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_copy, args=(other, connection), daemon=True)
            back.start()
            _copy(connection, other)
            back.join(10)

    with RawSite(handle) as proxy:
        yield proxy


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Authority:
    """A company's own certificate authority, and a server's certificate from it.

    Attributes:
        file: the authority's certificate, as an admin would name it.
        server: the certificate that a site presents.
    """

    file: Path
    server: ssl.SSLContext


def make_authority(folder: Path, host: str = OUTSIDE, *, days: int = 30) -> Authority:
    """Sign a certificate for a host and for 127.0.0.1; with negative days it has expired."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Company CA")])
    issuer = (
        x509.CertificateBuilder()
        .subject_name(ca_name)
        .issuer_name(ca_name)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now + datetime.timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False),
            critical=True,
        )
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
        .issuer_name(ca_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    file, chain = folder / "company-ca.pem", folder / "server.pem"
    file.write_bytes(issuer.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    chain.write_bytes(certificate.public_bytes(pem) + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    return Authority(file, server)
