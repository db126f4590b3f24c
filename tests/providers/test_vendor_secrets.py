"""No error text ever holds a key, a person's data, or a word of the answer that caused it."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import product

import httpx
import pytest
from vendor_calls import CALLS, Call
from vendor_harness import ADA, VendorHost, Vendors, answering

from connector.core.errors import ConnectorError

KEY = "sk_live_4f3c2b1a"
EMAIL, PHONE, NAME = "ada.private@example.com", "+1 415 555 0100", "Ada Sample"
LEAKY = {
    "code": 400,
    "message": f"no credits for {NAME} <{EMAIL}> {PHONE}, key {KEY}",
    "errorKey": f"KEY_{KEY}",
    "traceId": EMAIL,
    "details": {"url": f"https://www.linkedin.com/in/{ADA}", "phone": PHONE},
}
LEAKY_HEADERS = {"X-Request-ID": f"{EMAIL} {KEY}", "Retry-After": EMAIL, "X-RateLimit-Limit": PHONE}
SECRETS = (KEY, EMAIL, PHONE, PHONE.replace(" ", ""), NAME, ADA, "no credits for", "linkedin.com")


@pytest.fixture(scope="module")
def harness() -> Iterator[VendorHost]:
    with VendorHost() as harness:
        yield harness


@pytest.fixture
def vendors(harness: VendorHost) -> Vendors:
    return harness.fresh()


def cut_off(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError(f"lost {request.url} {request.headers.get('authorization')}", request=request)


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"cannot reach {request.url} with {request.headers.get('x-api-key')}", request=request)


def status(code: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(code, json=LEAKY, headers=LEAKY_HEADERS)


ANSWERS: Mapping[str, Callable[[httpx.Request], httpx.Response]] = {
    **{str(code): status(code) for code in (200, 201, 302, 400, 401, 402, 403, 404, 409, 418, 422, 429, 500, 503)},
    "html": lambda _: httpx.Response(200, html=f"<p>{EMAIL} {KEY}</p>"),
    "truncated": lambda _: httpx.Response(201, content=f'{{"email": "{EMAIL}'.encode()),
    "list": lambda _: httpx.Response(200, json=[EMAIL, KEY]),
    "cut off": cut_off,
    "refused": refused,
}


def error_of(vendors: Vendors, call: Call, answer: Callable[[httpx.Request], httpx.Response]) -> ConnectorError | None:
    """What the call raises when the vendor answers so."""
    try:
        call.over(vendors, vendors.http(call.site, KEY, transport=answering(answer)))
    except ConnectorError as error:
        return error
    return None


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def say_nothing_private(vendors: Vendors, call: Call, answer: str) -> None:
    error = error_of(vendors, call, ANSWERS[answer])
    if error is None:  # nobody has this LinkedIn name, or a task of an unknown form, which has not ended
        assert (call.name, answer) in {("linkedin", "404"), ("lookup", "200"), ("lookup", "201")}
        return
    assert call.site in str(error)
    assert leaks(str(error)) == []
    ours = [line for line in traceback.format_exception(error) if line.startswith("connector.")]
    assert leaks("".join(ours)) == []


def test_an_error_tells_nothing_that_is_private(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call, answer in product(CALLS, ANSWERS):
        with subtests.test(call=str(call), answer=answer):
            say_nothing_private(harness.fresh(), call, answer)


WRONG_VALUES: tuple[dict[str, object], ...] = (
    {"status": f"accepted {EMAIL}", "task_id": [KEY], "skipped_detail": {EMAIL: [NAME]}},
    {"totalBalance": EMAIL, "balance": PHONE},
    {"personnel": {"id": EMAIL, "email": EMAIL}, "event": EMAIL, "success": NAME},
)


def quote_nothing(vendors: Vendors, call: Call, body: dict[str, object]) -> None:
    error = error_of(vendors, call, lambda _: httpx.Response(201, json=body))
    assert error is None or leaks(str(error)) == []


def test_values_of_wrong_kinds_are_not_quoted(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call, body in product(CALLS, WRONG_VALUES):
        with subtests.test(call=str(call), body=body):
            quote_nothing(harness.fresh(), call, body)


def test_a_trace_id_is_told_when_it_is_one(vendors: Vendors) -> None:
    headers = {"X-Request-ID": "3f0c0d6e-0000-4000-8000-1f2e3d4c5b6a"}
    transport = answering(lambda _: httpx.Response(400, json=LEAKY, headers=headers))
    with pytest.raises(ConnectorError, match="trace 3f0c0d6e-0000-4000-8000-1f2e3d4c5b6a"):
        vendors.lensmor(vendors.http("lensmor", KEY, transport=transport)).balance()


def test_neither_a_connection_nor_a_provider_shows_its_key(vendors: Vendors) -> None:
    http = vendors.http("lensmor", KEY)
    assert KEY not in repr(http)
    assert KEY not in repr(vendors.lensmor(http))
