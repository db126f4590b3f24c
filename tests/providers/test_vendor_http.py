"""The connection to a vendor: what stands on the wire, whose limits it follows, and answers no contract knows."""

import functools
import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import product

import httpx
import pytest
from company import wait_until
from persons import link, pids
from vendor_calls import CALLS, FREE, PAID, PURCHASES, Call
from vendor_harness import PaceSpy, VendorHost, Vendors, answering

from connector.core.errors import ConfigurationError, DownError, LostAnswerError, UnreachableError
from connector.core.model import Channel
from connector.providers import http as vendor_http
from connector.providers.connection import Connection
from connector.providers.http import READ_ATTEMPTS, VendorHttp
from connector.providers.lensmor.provider import LOOKUP_TIMEOUT_S

GOOD_BALANCE = {"lensmor": {"totalBalance": 9115}, "salesfinity": {"balance": 250}}


@pytest.fixture(scope="module")
def harness() -> Iterator[VendorHost]:
    with VendorHost() as harness:
        yield harness


@pytest.fixture
def vendors(harness: VendorHost) -> Vendors:
    return harness.fresh()


def test_each_request_carries_the_login_of_its_vendor_and_nothing_of_the_other(
    harness: VendorHost, subtests: pytest.Subtests
) -> None:
    for call in CALLS:
        with subtests.test(call=str(call)):
            vendors = harness.fresh()
            vendors.start_tasks()
            call.over(vendors)
            for arrival in vendors.arrivals:
                own = {"authorization", "x-call-source"} if call.site == "lensmor" else {"x-api-key"}
                assert {"authorization", "x-call-source", "x-api-key"} & set(arrival.headers) == own
                if call.site == "lensmor":
                    assert arrival.headers["authorization"] == "Bearer sim-lensmor-key"
                    assert arrival.headers["x-call-source"] == "api"
                else:
                    assert arrival.headers["x-api-key"] == "sim-salesfinity-key"
                assert "sim-" not in arrival.path


def test_every_request_but_a_paid_one_takes_its_own_permit(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call in CALLS:
        with subtests.test(call=str(call)):
            vendors = harness.fresh()
            vendors.start_tasks()
            vendors.pace = PaceSpy()
            http = vendors.http(call.site)
            call.over(vendors, http)
            assert vendors.pace.permits == (0 if call.kind == PAID else len(vendors.arrivals))
            http.wait_turn()
            assert vendors.pace.permits == (1 if call.kind == PAID else len(vendors.arrivals) + 1)


def test_repeated_reads_take_a_permit_each(vendors: Vendors) -> None:
    vendors.arm_forever("lensmor", "getCreditsBalance", "drop_before")
    with pytest.raises(DownError):
        vendors.lensmor().balance()
    assert vendors.pace.permits == READ_ATTEMPTS


# -- the vendor's own statement of its limits ----------------------------------------------------------------


def test_the_vendors_rate_headers_are_followed(vendors: Vendors) -> None:
    vendors.sim.lensmor.rate_limit = 2
    provider = vendors.lensmor()
    provider.balance()
    assert (vendors.pace.limits, vendors.pace.pauses) == ([1.9], [])
    provider.balance()
    assert vendors.pace.limits == [1.9, 1.9]
    (pause,) = vendors.pace.pauses  # none is left: wait until the window ends, as the vendor's clock has it
    assert 55 <= pause <= 61
    with pytest.raises(DownError):
        provider.balance()
    assert vendors.slept == [60.0] * (READ_ATTEMPTS - 1)


def test_a_paid_answers_rate_headers_are_followed_too(vendors: Vendors) -> None:
    vendors.sim.lensmor.rate_limit = 90
    CALLS[1].over(vendors)
    assert vendors.pace.limits == [88.2]


ODD_HEADERS: list[tuple[Mapping[str, str], list[float], list[float]]] = [
    ({}, [], []),
    ({"X-RateLimit-Limit": "0"}, [], []),
    ({"X-RateLimit-Limit": "-5"}, [], []),
    ({"X-RateLimit-Limit": "many"}, [], []),
    ({"X-RateLimit-Limit": "9" * 5000}, [], []),
    ({"X-RateLimit-Limit": " 120 "}, [117.6], []),
    ({"X-RateLimit-Remaining": "0"}, [], []),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, [], []),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 400}, [], []),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000"}, [], [0.0]),
    ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}, [], []),
    ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "99999999999"}, [], []),
]


def follow_headers(vendors: Vendors, headers: Mapping[str, str], limits: list[float], pauses: list[float]) -> None:
    transport = answering(lambda _: httpx.Response(200, json=GOOD_BALANCE["lensmor"], headers=headers))
    assert vendors.lensmor(vendors.http("lensmor", transport=transport)).balance() == 9115
    assert (vendors.pace.limits, vendors.pace.pauses) == (limits, pauses)


def test_rate_headers_in_odd_forms(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for headers, limits, pauses in ODD_HEADERS:
        with subtests.test(headers=headers, limits=limits, pauses=pauses):
            follow_headers(harness.fresh(), headers, limits, pauses)


def test_a_429_says_its_own_wait_and_the_window_is_not_counted_on_top(vendors: Vendors) -> None:
    reset = str(int(datetime.now(UTC).timestamp()) + 500)
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset, "Retry-After": "9"}
    answers = iter([httpx.Response(429, headers=headers), httpx.Response(200, json=GOOD_BALANCE["lensmor"])])
    provider = vendors.lensmor(vendors.http("lensmor", transport=answering(lambda _: next(answers))))
    assert provider.balance() == 9115
    assert (vendors.pace.pauses, vendors.slept) == ([9.0], [9.0])


# -- answers that nobody can read ------------------------------------------------------------------------------

UNREADABLE: dict[str, httpx.Response] = {
    "empty": httpx.Response(201),
    "html": httpx.Response(200, html="<html><body>one moment please</body></html>"),
    "truncated": httpx.Response(201, content=b'{"status": "accepted", "task_'),
    "list": httpx.Response(201, json=[]),
    "text": httpx.Response(200, json="ok"),
    "number": httpx.Response(200, json=5),
    "null": httpx.Response(200, content=b"null"),
    "true": httpx.Response(200, json=True),
    "bomb": httpx.Response(200, content=b" " * 2**22 + b"{}"),
    "compression": httpx.Response(200, headers={"X-Encoding": "br"}, content=b"{}"),
    "no text": httpx.Response(201, content=b"\xff\xfe\x00\x01\x02"),
    "deep": httpx.Response(200, content=b"[" * 100_000),
    "long number": httpx.Response(200, content=b'{"a": ' + b"1" * 5000 + b"}"),
    "error key": httpx.Response(200, json={"code": 200, "message": "no", "errorKey": "USER_HAS_NO_FEATURE"}),
    "no content": httpx.Response(204),
    "gateway": httpx.Response(502, html="<h1>502</h1>"),
}
REASONS = {
    "empty": "answered with an empty body instead of JSON",
    "html": "answered with a web page instead of JSON",
    "list": "answered with JSON that is not an object",
    "null": "answered with JSON that is not an object",
    "number": "answered with JSON that is not an object",
    "true": "answered with JSON that is not an object",
    "deep": "answered with JSON that is nested too deeply",
    "error key": "answered with an error within HTTP 200",
    "gateway": "answered HTTP 502",
    "bomb": "sent an answer of more than 4 MB",
    "compression": "answered in a compression that was not requested",
}


def answer_unreadably(vendors: Vendors, call: Call, name: str) -> None:
    asked: list[httpx.Request] = []
    answer = UNREADABLE[name]

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        headers = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
        if "X-Encoding" in answer.headers:
            headers["Content-Encoding"] = answer.headers["X-Encoding"]
        return httpx.Response(answer.status_code, headers=headers, stream=httpx.ByteStream(answer.content))

    http = vendors.http(call.site, transport=answering(respond))
    with pytest.raises((DownError, LostAnswerError)) as caught:
        call.over(vendors, http)
    assert type(caught.value) is call.without_answer
    assert len(asked) == (1 if call.kind == PAID else READ_ATTEMPTS)
    assert f"{call.site} {REASONS.get(name, '')}" in str(caught.value)
    assert "cannot be reached" not in str(caught.value)


def test_unreadable_answers(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for name, call in product(UNREADABLE, CALLS):
        if name == "error key" and call.site != "lensmor":  # the form of Lensmor's errors alone
            continue
        with subtests.test(name=name, call=str(call)):
            answer_unreadably(harness.fresh(), call, name)


def redirect(vendors: Vendors, call: Call, status: int) -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, headers={"Location": "https://login.example.com/?next=%2Fsecret"})

    with pytest.raises((ConfigurationError, LostAnswerError)) as caught:
        call.over(vendors, vendors.http(call.site, transport=answering(respond)))
    assert type(caught.value) is (LostAnswerError if call.kind == PAID else ConfigurationError)
    assert f"{call.site} redirects to another address (login.example.com, HTTP {status})" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert [request.url.host for request in asked] == ["127.0.0.1"]


def test_a_redirect_to_a_login_page_names_the_host_and_takes_no_key_there(
    harness: VendorHost, subtests: pytest.Subtests
) -> None:
    for status, call in product((301, 302, 307, 308), CALLS):
        with subtests.test(status=status, call=str(call)):
            redirect(harness.fresh(), call, status)


@pytest.mark.parametrize("key", [None, ""])
def test_an_empty_error_key_is_a_success(vendors: Vendors, key: object) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=GOOD_BALANCE["lensmor"] | {"errorKey": key})
        return httpx.Response(201, json={"status": "accepted", "task_id": "7", "errorKey": key})

    provider = vendors.lensmor(vendors.http("lensmor", transport=answering(respond)))
    assert provider.balance() == 9115
    assert provider.submit(Channel.WORK_EMAIL, pids(["70011"]), None, "a").task_id == "7"


ERROR_KEYS: tuple[object, ...] = ("USER_HAS_NO_FEATURE", 5, False, [], {})


def answer_with_error_key(vendors: Vendors, key: object) -> None:
    transport = answering(lambda _: httpx.Response(201, json={"status": "accepted", "task_id": "7", "errorKey": key}))
    with pytest.raises(LostAnswerError):
        vendors.lensmor(vendors.http("lensmor", transport=transport)).submit(Channel.PHONE, pids(["70011"]), None, "a")


def test_any_other_error_key_is_none(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for key in ERROR_KEYS:
        with subtests.test(key=key):
            answer_with_error_key(harness.fresh(), key)


def test_a_task_is_kept_though_its_answer_holds_half_a_character(vendors: Vendors) -> None:
    body = b'{"status": "accepted", "task_id": "7", "note": "\\ud83d"}'
    transport = answering(lambda _: httpx.Response(201, content=body))
    provider = vendors.lensmor(vendors.http("lensmor", transport=transport))
    assert provider.submit(Channel.PHONE, pids(["70011"]), None, "a").task_id == "7"


@pytest.mark.parametrize("call", [PURCHASES[0], PURCHASES[2], FREE[0]], ids=str)
def test_a_body_that_drips_is_a_lost_answer_after_thirty_seconds(vendors: Vendors, call: Call) -> None:
    now_s = [0.0]

    class Drops(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                now_s[0] += 2.0
                yield b" "

    transport = answering(lambda _: httpx.Response(200, stream=Drops()))
    http = vendors.http(call.site, transport=transport, clock=lambda: now_s[0])
    with pytest.raises((DownError, LostAnswerError), match="gave no complete answer within 30 s"):
        call.over(vendors, http)
    tries = 1 if call.kind == PAID else READ_ATTEMPTS
    assert now_s[0] == 30.0 * tries


@pytest.mark.parametrize("call", PURCHASES, ids=str)
def test_a_broken_compression_is_an_unreadable_answer(vendors: Vendors, call: Call) -> None:
    broken = httpx.ByteStream(gzip.compress(json.dumps({"status": "accepted", "task_id": "1"}).encode())[:12] + b"#")
    headers = {"Content-Encoding": "gzip"}
    transport = answering(lambda _: httpx.Response(201, stream=broken, headers=headers))
    with pytest.raises(LostAnswerError):
        call.over(vendors, vendors.http(call.site, transport=transport))


TROUBLES: list[tuple[Exception, type[Exception]]] = [
    (httpx.ConnectError("x"), UnreachableError),
    (httpx.ConnectTimeout("x"), UnreachableError),
    (httpx.PoolTimeout("x"), UnreachableError),
    (httpx.UnsupportedProtocol("x"), UnreachableError),
    (httpx.ReadTimeout("x"), LostAnswerError),
    (httpx.WriteTimeout("x"), LostAnswerError),
    (httpx.ReadError("x"), LostAnswerError),
    (httpx.WriteError("x"), LostAnswerError),
    (httpx.CloseError("x"), LostAnswerError),
    (httpx.RemoteProtocolError("x"), LostAnswerError),
    (httpx.LocalProtocolError("x"), LostAnswerError),
    (httpx.ProxyError("407 x"), UnreachableError),
    (httpx.DecodingError("x"), LostAnswerError),
]


def break_the_line(vendors: Vendors, trouble: Exception, paid: type[Exception]) -> None:
    sent: list[httpx.Request] = []

    def fail(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise trouble

    for call in (*PURCHASES, FREE[0]):
        sent.clear()
        lasting = isinstance(trouble, httpx.ProxyError) and call.kind != PAID
        with pytest.raises((DownError, LostAnswerError, ConfigurationError)) as caught:
            call.over(vendors, vendors.http(call.site, transport=answering(fail)))
        assert type(caught.value) is (paid if call.kind == PAID else ConfigurationError if lasting else DownError)
        assert len(sent) == (1 if call.kind == PAID or lasting else READ_ATTEMPTS)
        assert type(trouble).__name__ in str(caught.value)


def test_trouble_on_the_line(harness: VendorHost, subtests: pytest.Subtests) -> None:
    """Only what happens before the first byte leaves is certain to be without effect."""
    for trouble, paid in TROUBLES:
        with subtests.test(trouble=trouble, paid=paid):
            break_the_line(harness.fresh(), trouble, paid)


# -- how it is built -------------------------------------------------------------------------------------------


def test_all_four_time_limits_are_set_and_a_lookup_has_its_longer_one(vendors: Vendors) -> None:
    asked: list[Mapping[str, float]] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.extensions["timeout"])
        return httpx.Response(404)

    provider = vendors.lensmor(vendors.http("lensmor", transport=answering(respond)))
    provider.resolve_identity(link("ada"))
    with pytest.raises(Exception, match="404"):
        provider.balance()
    lookup, usual = asked
    assert (lookup["read"], usual["read"]) == (LOOKUP_TIMEOUT_S, vendor_http.READ_TIMEOUT_S)
    assert all(0 < limits[kind] <= 60 for limits in asked for kind in ("connect", "read", "write", "pool"))


def _has_arrived(vendors: Vendors, call: Call) -> bool:
    return vendors.count(call.site, call.operation) > 0


def test_a_silent_vendor_ends_in_a_time_out(vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor_http, "READ_TIMEOUT_S", 0.05)
    for call in PURCHASES[1:]:
        vendors.arm(call.site, call.operation, "delay", seconds=0.2)
        with pytest.raises(LostAnswerError, match="ReadTimeout"):
            call.over(vendors)
        wait_until(functools.partial(_has_arrived, vendors, call), "the request has arrived")
        assert vendors.count(call.site, call.operation) == 1


KEYS: list[str] = ["sk_abc\n", "sk_abc ", "sk_\u00e4bc", "sk_\u200babc", "a\rb", "\u043a\u043b\u044e\u0447"]


def test_a_key_that_no_header_can_carry_is_a_setting_to_correct(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for site, key in product(("lensmor", "salesfinity"), KEYS):
        with subtests.test(site=site, key=key):
            vendors = harness.fresh()
            headers = {"x-api-key": key} if site == "salesfinity" else {"Authorization": f"Bearer {key}"}
            with pytest.raises(ConfigurationError, match=f"{site.upper()}_API_KEY") as caught:
                VendorHttp(site, "https://vendor.example.com", headers, Connection(PaceSpy(), vendors.slept.append))
            assert "abc" not in str(caught.value)


def test_the_environment_cannot_send_the_key_through_a_proxy(vendors: Vendors, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    headers = {"Authorization": "Bearer sim-lensmor-key"}
    http = VendorHttp("lensmor", vendors.urls["lensmor"], headers, Connection(PaceSpy(), vendors.slept.append))
    assert vendors.lensmor(http).balance() == 100_000
    http.close()
