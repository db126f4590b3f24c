"""One exchange against hostile answers: it ends within its limits of time and size, and with the right reason."""

import gzip
import random
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import product

import httpx
import pytest
from net_sites import Handler, RawSite, dripping, json_answer, saying

from connector.net import Budget, ExchangeError, NetworkSettings, NoAnswerError, RedirectError, UnreadableError
from connector.net.deadline import Deadline
from connector.net.decode import json_of, read_body
from connector.net.exchange import exchange

MB = 2**20
BUDGET = Budget(30.0, 4 * MB)


class Hours:
    """A monotonic clock that advances by some seconds at each reading."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self.step_s = 1000.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def ask(url: str, budget: Budget = BUDGET, clock: Hours | None = None, method: str = "GET") -> object:
    transport = NetworkSettings().transport(url)
    try:
        return exchange(transport, httpx.Request(method, url), budget, clock or Hours(0.0)).json()
    finally:
        transport.close()


def failing(answer: bytes) -> ExchangeError:
    with RawSite(saying(answer)) as site, pytest.raises(ExchangeError) as caught:
        ask(site.url)
    return caught.value


def holding(until: threading.Event) -> Handler:
    """A handler that neither reads nor answers."""

    def handle(_: socket.socket) -> None:
        until.wait(10)

    return handle


# -- time --------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


DRIPS: dict[str, tuple[bytes, bytes]] = {
    "length": (HEAD + b"Content-Length: 1000000\r\n\r\n{", b" "),
    "chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "until closed": (HEAD + b"\r\n", b" "),
    "header": (HEAD + b"X-Endless: ", b"x"),
    "status line": (b"", b"H"),
    "gzip name": (HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\0", b"n"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


def test_a_slow_answer_ends_at_the_deadline(subtests: pytest.Subtests) -> None:
    """Each reading of the clock is two seconds later, as if every byte had taken that long."""
    for name, (head, drop) in DRIPS.items():
        with subtests.test(name):
            with (
                RawSite(dripping(head, drop)) as site,
                pytest.raises(NoAnswerError, match="no complete answer within 30 s") as end,
            ):
                ask(site.url, clock=Hours(2.0))
            assert end.value.left


def test_a_silent_server_ends_at_the_deadline() -> None:
    silent = threading.Event()
    with RawSite(holding(silent)) as site:
        with pytest.raises(NoAnswerError, match="ReadTimeout"):
            ask(site.url, Budget(0.05, MB))
        silent.set()


def test_an_unread_request_ends_at_the_deadline() -> None:
    silent = threading.Event()
    with RawSite(holding(silent)) as site:
        transport = NetworkSettings().transport(site.url)
        request = httpx.Request("POST", site.url, content=b"x" * 64 * MB)
        with pytest.raises(NoAnswerError, match="WriteTimeout") as end:
            exchange(transport, request, Budget(0.2, MB))
        assert end.value.left
        transport.close()
        silent.set()


def test_a_late_answer_gets_no_more_time() -> None:
    clock = Hours(0.0)
    deadline = Deadline(Budget(130.0, MB, answer_s=30.0), clock)
    clock.now_s += 100.0
    assert deadline.left_s() == 30.0
    deadline.answered()
    clock.now_s += 29.0
    assert not deadline.over
    deadline.answered()
    clock.now_s += 1.0
    assert deadline.over
    late = Deadline(Budget(130.0, MB, answer_s=30.0), clock)
    clock.now_s += 125.0
    late.answered()
    assert late.left_s() == 5.0, "the whole is never longer than the whole"


def test_a_slow_answer_within_the_deadline_is_accepted() -> None:
    with RawSite(dripping(HEAD + b"Content-Length: 9\r\n\r\n", b"1", every_s=0.001, most=9)) as site:
        assert ask(site.url, clock=Hours(0.5)) == 111111111


def test_a_closed_port_means_nothing_was_sent() -> None:
    with RawSite(saying(b"")) as site:
        url = site.url
    with pytest.raises(NoAnswerError, match=r"cannot be reached \(ConnectError\)") as end:
        ask(url)
    assert not end.value.left


def test_all_addresses_of_a_name_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[object] = []

    def connect(address: object, timeout: float, **_: object) -> None:
        tried.append((address, timeout))
        raise TimeoutError

    addresses = [(2, 1, 6, "", (f"127.0.0.{number}", 443)) for number in range(1, 60)]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: addresses)
    monkeypatch.setattr("socket.create_connection", connect)
    with pytest.raises(NoAnswerError) as end:
        ask("http://vendor.example.com", clock=Hours(2.0))
    assert not end.value.left
    assert 0 < len(tried) < 20


# -- size --------------------------------------------------------------------------------------------------------


def packed(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def zeros(megabytes: int, level: int = 9) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return b"".join(packer.compress(b" " * MB) for _ in range(megabytes)) + packer.flush()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return zeros(300)


@pytest.mark.parametrize("limit_mb", [4, 32])
def test_a_bomb_is_cut_off_at_the_limit(bomb: bytes, limit_mb: int) -> None:
    import tracemalloc

    assert len(bomb) < 320_000
    with RawSite(saying(json_answer(bomb, b"Content-Encoding: gzip"))) as site:
        tracemalloc.start()
        try:
            with pytest.raises(UnreadableError, match=f"more than {limit_mb} MB"):
                ask(site.url, Budget(30.0, limit_mb * MB))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < (2 * limit_mb + 2) * MB


LARGER: dict[str, bytes] = {
    "plain": json_answer(b" " * (4 * MB + 1)),
    "until closed": HEAD + b"\r\n" + b" " * (4 * MB + 1),
    "absurd length": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + b" " * (4 * MB + 1),
    "members": json_answer(packed(b" " * MB) * 5, b"Content-Encoding: gzip"),
    "deflate": json_answer(zlib.compress(b" " * 5 * MB), b"Content-Encoding: deflate"),
}


def test_oversized_answers_are_cut_off(subtests: pytest.Subtests) -> None:
    for name, answer in LARGER.items():
        with subtests.test(name):
            error = failing(answer)
            assert isinstance(error, UnreadableError | NoAnswerError)
            assert "4 MB" in error.why or "connection" in error.why


READ: list[tuple[bytes, bytes]] = [
    (b'{"a": 1}', b"identity"),
    (packed(b'{"a": 1}'), b"gzip"),
    (packed(b'{"a": 1}'), b"X-GZIP"),
    (packed(b'{"a": ') + packed(b"1}"), b"gzip"),
    (packed(b'{"a": 1}') + b"\0\0\0\0", b"gzip"),
    (zlib.compress(b'{"a": 1}'), b"deflate"),
    (zlib.compress(b'{"a": 1}')[2:-4], b"deflate"),
]


def test_supported_compressions(subtests: pytest.Subtests) -> None:
    for body, encoding in READ:
        site = RawSite(saying(json_answer(body, b"Content-Encoding: " + encoding)))
        with subtests.test(body=body, encoding=encoding), site:
            assert ask(site.url) == {"a": 1}


def test_padding_after_a_compressed_body_is_not_read() -> None:
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        yield packed(b"{}")
        for number in range(1600):
            read.append(number)
            yield b"\0" * 65_536

    assert read_body(chunks(), "gzip", 4 * MB) == b"{}"
    assert len(read) == 1


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_chunks_may_split_members_anywhere(size: int) -> None:
    body = packed(b'{"a": ') + packed(b"") + packed(b"1}") + b"\0"
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert read_body(pieces, "gzip", MB) == b'{"a": 1}'


PACKED: dict[str, tuple[list[bytes], str]] = {
    "many members": ([packed(b"")] * 60_000, "too many compressed parts"),
    "many in one chunk": ([packed(b"") * 40_000], "too many compressed parts"),
    "incompressible": ([packed(random.Random(1).randbytes(2 * MB))], "more than 1 MB"),
    "gzip name": (
        [b"\x1f\x8b\x08\x10" + b"\0" * 6, *[b"n" * 65_536] * 1000],
        "more than 1 MB",
    ),  # a file name without its terminator
}


def test_compressed_bytes_count_too(subtests: pytest.Subtests) -> None:
    for name, (chunks, words) in PACKED.items():
        with subtests.test(name):
            begun = time.process_time()
            with pytest.raises(UnreadableError, match=words):
                read_body(chunks, "gzip", MB)
            assert time.process_time() - begun < 1


def test_a_large_compressed_answer_below_the_limit() -> None:
    text = b'["' + bytes(range(97, 123)) * 100_000 + b'"]'
    with RawSite(saying(json_answer(packed(text), b"Content-Encoding: gzip"))) as site:
        assert ask(site.url) == [text[2:-2].decode()]


NOT_READ: list[tuple[bytes, bytes]] = [
    (b"{}", b"br"),
    (b"{}", b"zstd"),
    (b"{}", b"gzip, gzip"),
    (b"{}", b"no such thing"),
    (b"{}", b"\xff\xfe"),
    (b"{}", b"gzip"),
    (packed(b'{"a": 1}')[:-9], b"gzip"),
    (b"\x1f\x8b" + b"\0" * 20, b"gzip"),
]


def test_unsupported_compressions() -> None:
    wrong = [
        (body, encoding, got)
        for body, encoding in NOT_READ
        if not isinstance(got := failing(json_answer(body, b"Content-Encoding: " + encoding)), UnreadableError)
    ]
    assert wrong == []


# -- headers -----------------------------------------------------------------------------------------------------


NO_HEADERS: list[list[bytes]] = [
    [b"Content-Length: -1"],
    [b"Content-Length: 1e3"],
    [b"Content-Length: 2, 3"],
    [b"Content-Length: \xd9\xa3"],
    [b"Content-Length: 2", b"Content-Length: 3"],
    [b"Transfer-Encoding: nothing"],
    [b"X: \x00"],
    [b"\xff\xfe: 1"],
    [b"no colon"],
    [b"Retry-After: " + b"9" * 200_000],
    [b"Set-Cookie: a=b; Expires=Mon, 20 Nov 9999999999 07:00:00 GMT", b"Content-Length: x"],
]


def test_unreadable_headers_are_no_answer(subtests: pytest.Subtests) -> None:
    for headers in NO_HEADERS:
        with subtests.test(headers=headers):
            error = failing(b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", b"{}"]))
            assert isinstance(error, NoAnswerError)
            assert error.left


HARMLESS: list[bytes] = [
    b"Set-Cookie: a=b; Expires=Mon, 20 Nov 9999999999 07:00:00 GMT",
    b"Content-Type: application/json; charset=no-such-charset",
    b"Content-Type: ;;;=",
    b"Date: never",
    b"Retry-After: " + b"9" * 60_000,
    b"Location: http://[::1",
    b"X-Odd: \xff\xfe",
    b"Link: <" + b"a" * 1000,
]


def test_meaningless_headers_are_harmless(subtests: pytest.Subtests) -> None:
    for header in HARMLESS:
        with subtests.test(header=header):
            body = b'{"a": 1}'
            lines = [b"HTTP/1.1 200 OK", header, b"Content-Length: %d" % len(body), b"Connection: close", b"", body]
            with RawSite(saying(b"\r\n".join(lines))) as site:
                assert ask(site.url) == {"a": 1}


LOCATIONS: list[tuple[bytes, str]] = [
    (b"https://login.example.com/?next=/secret", "login.example.com"),
    (b"//other.example.com", "other.example.com"),
    (b"/login?token=abc", "127.0.0.1"),
    (b"https://user:pass@host.example.com:444/x", "unreadable host"),
    (b"http://[::1", "unreadable host"),
    (b"https://<script>/", "unreadable host"),
    ("https://b\u00fccher.example/".encode(), "unreadable host"),
]


def test_a_redirect_is_named_by_its_host_and_not_followed(subtests: pytest.Subtests) -> None:
    for (location, host), status in product(LOCATIONS, (301, 302, 303, 307, 308)):
        with subtests.test(location=location, host=host, status=status):
            seen: list[bytes] = []
            answer = b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, location)
            with RawSite(saying(answer, seen)) as site, pytest.raises(RedirectError) as caught:
                ask(site.url)
            assert caught.value.why == f"redirects to another address ({host}, HTTP {status})"
            assert len(seen) == 1


def test_a_redirect_without_an_address() -> None:
    error = failing(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(error, RedirectError)


# -- JSON --------------------------------------------------------------------------------------------------------


NO_JSON: list[tuple[bytes, str]] = [
    (b"", "an empty body instead of JSON"),
    (b" \r\n ", "an empty body instead of JSON"),
    (b"<html><body>Log in</body></html>", "a web page instead of JSON"),
    (b"\xef\xbb\xbf\n<!DOCTYPE html>", "a web page instead of JSON"),
    (b"<?xml version='1.0'?>", "a web page instead of JSON"),
    (b"OK", "text that is not JSON"),
    (b'{"a": 1', "text that is not JSON"),
    (b"\xff\xfe\x00\x01\x02", "text that is not JSON"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b"[" * 900 + b"1" * 5000 + b"]" * 900, "too long"),
]


def test_bodies_without_a_json_value(subtests: pytest.Subtests) -> None:
    for body, why in NO_JSON:
        with subtests.test(body=body, why=why), pytest.raises(UnreadableError, match=why):
            json_of(body)


JSON: list[tuple[bytes, str | None, object]] = [
    (b"null", None, None),
    (b"5", None, 5),
    (b"true", None, True),
    ('{"a": "é"}'.encode(), "iso-8859-1", {"a": "é"}),
    ('{"a": "é"}'.encode("latin-1"), "iso-8859-1", {"a": "é"}),
    ('{"a": "é"}'.encode("latin-1"), "no such", {"a": "\ufffd"}),
    ('{"a": "é"}'.encode("latin-1"), None, {"a": "\ufffd"}),
    ('{"a": "é"}'.encode("utf-16"), "utf-8", {"a": "é"}),
    (b'\xef\xbb\xbf{"a": 1}', None, {"a": 1}),
    (b'{"a": 1, "a": 2}', None, {"a": 2}),
    (b'{"a": "\\ud83d", "task_id": "7"}', None, {"a": "\ufffd", "task_id": "7"}),
    (b'{"a": 1e999}', None, {"a": float("inf")}),
]


def test_bodies_with_a_json_value() -> None:
    wrong = [
        (body, charset, value, got) for body, charset, value in JSON if (got := json_of(body, [charset].pop)) != value
    ]
    assert wrong == []


def test_not_a_number_is_read() -> None:
    assert str(json_of(b'{"a": NaN}')) == "{'a': nan}"
