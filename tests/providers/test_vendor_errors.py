"""Every status at every call, from real answers: which error it becomes, and how often the request left.

The rule behind the table: a paid request leaves once whatever happens, and only what certainly had no effect is a
refusal; a free read is repeated while that can help.
"""

import socket
from collections.abc import Iterator
from itertools import product

import pytest
from vendor_calls import CALLS, FREE, PAID, PURCHASES, Call
from vendor_harness import VendorHost, Vendors

from connector.core.errors import (
    ConfigurationError,
    ConnectorError,
    CreditsError,
    DownError,
    LostAnswerError,
    NotThereError,
    RefusedError,
    UnreachableError,
)
from connector.providers.http import DEFAULT_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S, READ_ATTEMPTS, VendorHttp
from connector.providers.interface import IdentityResult

PASSING = (408, 425, 500, 502, 503, 504, 520)
DEFINITE_FOR_READS = (405, 406, 410, 413, 414, 415, 418, 431, 451)
REDIRECTS = (301, 302, 303, 307, 308)
REFUSALS = {400: RefusedError, 402: CreditsError, 404: NotThereError, 409: RefusedError, 422: RefusedError}
PAID_REFUSALS = REFUSALS | {404: RefusedError}


@pytest.fixture(scope="module")
def harness() -> Iterator[VendorHost]:
    with VendorHost() as harness:
        yield harness


@pytest.fixture
def vendors(harness: VendorHost) -> Vendors:
    return harness.fresh()


def failing(vendors: Vendors, call: Call) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        call.over(vendors)
    return caught.value


def test_a_definite_refusal_is_said_once_and_never_repeated(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call, status in product(CALLS, (400, 402, 404, 409, 422)):
        with subtests.test(call=str(call), status=status):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=status)
            if (call.name, status) == ("linkedin", 404):
                found = call.over(vendors)
                assert isinstance(found, IdentityResult)
                assert found.match.identifier is None
            else:
                error = failing(vendors, call)
                assert type(error) is (PAID_REFUSALS if call.kind == PAID else REFUSALS)[status]
                if isinstance(error, RefusedError):
                    assert (error.reread, error.retry_after_s) == (status == 409, None)
            assert vendors.count(call.site, call.operation) == 1
            assert vendors.slept == []
            assert vendors.sim.charges.total() == 0


def test_a_refused_key_is_a_setting_at_first_and_a_vendor_that_is_down_later(
    harness: VendorHost, subtests: pytest.Subtests
) -> None:
    for call in CALLS:
        with subtests.test(call=str(call)):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=401)
            first = failing(vendors, call)
            answered_before = call.name == "preview-list"  # the event itself was read by then
            assert type(first) is (DownError if answered_before else ConfigurationError)
            assert first.exit_code == (4 if answered_before else 2)
            assert f"{call.site.upper()}_API_KEY" in str(first)

            vendors.sim.faults.clear()
            http = answered_once(vendors, call.site)
            vendors.arm_forever(call.site, call.operation, "status", status=401)
            with pytest.raises(DownError) as later:
                call.over(vendors, http)
            assert (type(later.value), later.value.exit_code) == (DownError, 4)
            assert vendors.slept == []
            assert vendors.sim.charges.total() == 0


def answered_once(vendors: Vendors, site: str) -> VendorHttp:
    """A connection whose key the vendor has taken already."""
    http = vendors.http(site)
    (vendors.lensmor(http) if site == "lensmor" else vendors.salesfinity(http)).balance()
    return http


def test_403_at_a_free_call_is_a_refused_key(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call in [c for c in FREE if c.name != "preview-list"]:
        with subtests.test(call=str(call)):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=403)
            assert type(failing(vendors, call)) is ConfigurationError
            assert vendors.count(call.site, call.operation) == 1


def test_any_other_status_of_a_purchase_is_a_lost_answer(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call, status in product(PURCHASES, (403, *PASSING, *DEFINITE_FOR_READS, *REDIRECTS)):
        with subtests.test(call=str(call), status=status):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=status)
            assert type(failing(vendors, call)) is LostAnswerError
            assert vendors.count(call.site, call.operation) == 1
            assert vendors.slept == []


def test_an_unknown_definite_refusal_of_a_free_call_is_never_run_again_later(
    harness: VendorHost, subtests: pytest.Subtests
) -> None:
    for call, status in product(FREE, DEFINITE_FOR_READS):
        with subtests.test(call=str(call), status=status):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=status)
            first = failing(vendors, call)
            answered_before = call.name == "preview-list"
            assert type(first) is (RefusedError if answered_before else ConfigurationError)
            assert vendors.count(call.site, call.operation) == 1
            vendors.sim.faults.clear()
            http = answered_once(vendors, call.site)
            vendors.arm_forever(call.site, call.operation, "status", status=status)
            with pytest.raises(RefusedError) as later:
                call.over(vendors, http)
            for error in (first, later.value):
                assert f"HTTP {status}" in str(error)
                assert "again" not in str(error)
            assert vendors.slept == []


def test_a_redirect_of_a_free_call_names_the_setting_and_is_not_repeated(
    harness: VendorHost, subtests: pytest.Subtests
) -> None:
    for call, status in product(FREE, REDIRECTS):
        with subtests.test(call=str(call), status=status):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=status)
            error = failing(vendors, call)
            assert type(error) is (DownError if call.name == "preview-list" else ConfigurationError)
            assert "redirects to another address" in str(error)
            assert f"{call.site.upper()}_BASE_URL" in str(error)
            assert vendors.count(call.site, call.operation) == 1


def test_any_other_status_of_a_free_call_is_tried_again_until_patience_ends(
    harness: VendorHost, subtests: pytest.Subtests
) -> None:
    for call, status in product(FREE, PASSING):
        with subtests.test(call=str(call), status=status):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=status)
            error = failing(vendors, call)
            assert type(error) is call.without_answer
            assert f"HTTP {status}" in str(error)
            assert vendors.count(call.site, call.operation) == READ_ATTEMPTS
            assert len(vendors.slept) == READ_ATTEMPTS - 1
            assert all(0 < seconds <= 21 for seconds in vendors.slept)


BAD_ANSWERS: list[tuple[str, dict[str, object]]] = [
    ("drop_before", {}),
    ("drop_after", {}),
    ("html", {}),
    ("truncated", {}),
    ("error_before", {}),
    ("error_after", {"status": 502}),
    ("status", {"status": 429, "retry_after": 7}),
]


def test_a_free_call_recovers_from_one_bad_answer(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call, (action, params) in product(FREE, BAD_ANSWERS):
        with subtests.test(call=str(call), action=action, params=params):
            vendors = harness.fresh()
            vendors.start_tasks()
            vendors.arm(call.site, call.operation, action, **params)
            call.over(vendors)
            assert vendors.count(call.site, call.operation) == 2
            assert len(vendors.slept) == 1
            assert vendors.sim.charges.doubles() == []


UNREADABLE: list[tuple[str, bool]] = [
    ("drop_before", False),
    ("error_before", False),
    ("drop_after", True),
    ("error_after", True),
    ("html", True),
    ("truncated", True),
    ("wrong_types", True),
]


def test_a_purchase_without_a_readable_answer_is_lost_and_sent_once(
    harness: VendorHost, subtests: pytest.Subtests
) -> None:
    for call, (action, effect) in product(PURCHASES, UNREADABLE):
        with subtests.test(call=str(call), action=action, effect=effect):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, action)
            assert type(failing(vendors, call)) is LostAnswerError
            vendors.sim.clock.advance(3600)
            assert len(vendors.sim.charges.entries) == effect
            assert vendors.count(call.site, call.operation) == 1
            assert len(vendors.arrivals) == 1
            assert vendors.slept == []


def test_an_error_inside_a_good_status_is_no_success(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call in [c for c in CALLS if c.site == "lensmor"]:
        with subtests.test(call=str(call)):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "error_in_2xx")
            assert type(failing(vendors, call)) is call.without_answer
            assert vendors.count(call.site, call.operation) == (1 if call.kind == PAID else READ_ATTEMPTS)
            assert vendors.sim.charges.total() == 0


WAITS: list[tuple[object, float]] = [
    (7, 7.0),
    ("0", 0.0),
    ("2.5", 2.5),
    ("3600", LONGEST_RETRY_AFTER_S),
    ("000007", 7.0),
    (None, DEFAULT_RETRY_AFTER_S),
    *[
        (absurd, DEFAULT_RETRY_AFTER_S)
        for absurd in (
            "soon",
            "nan",
            "inf",
            "-inf",
            "1e3",
            "1_000",
            "0x10",
            "+5",
            "-30",
            "86400000",
            "9" * 400,
            "7" + "0" * 60_000,
            "7, 8",
            ".",
            "Fri, 31 Dec 2100 23:59:59 -0000",
            "Fri, 31 Dec 2100 23:59:59 GMT",
            "Wed, 99 Foo 2026 99:99:99 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Mon, 20 Nov 9999999999 07:00:00 GMT",
            "Mon, 20 Nov 2026 07:00:00 +99999999999",
        )
    ],
]


def test_too_many_requests_at_a_purchase(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call, (told, expected) in product(PURCHASES, WAITS):
        with subtests.test(call=str(call), told=told, expected=expected):
            vendors = harness.fresh()
            params = {} if told is None else {"retry_after": told}
            vendors.arm(call.site, call.operation, "status", status=429, **params)
            error = failing(vendors, call)
            assert type(error) is RefusedError
            assert error.retry_after_s == expected
            assert vendors.pace.pauses == [expected]
            assert vendors.slept == []
            assert vendors.count(call.site, call.operation) == 1


def test_too_many_requests_at_a_free_call(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call in FREE:
        with subtests.test(call=str(call)):
            vendors = harness.fresh()
            vendors.arm_forever(call.site, call.operation, "status", status=429, retry_after=33)
            assert type(failing(vendors, call)) is DownError
            assert vendors.count(call.site, call.operation) == READ_ATTEMPTS
            assert vendors.slept == [33.0] * (READ_ATTEMPTS - 1)
            assert vendors.pace.pauses == [33.0] * READ_ATTEMPTS


def test_a_vendor_behind_a_closed_port(harness: VendorHost, subtests: pytest.Subtests) -> None:
    for call in CALLS:
        with subtests.test(call=str(call)):
            vendors = harness.fresh()
            with socket.socket() as reserved:
                reserved.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
                http = vendors.http(call.site, url=f"http://127.0.0.1:{reserved.getsockname()[1]}")
                with pytest.raises(DownError) as caught:
                    call.over(vendors, http)
            assert type(caught.value) is (UnreachableError if call.kind == PAID else DownError)
            assert len(vendors.slept) == (0 if call.kind == PAID else READ_ATTEMPTS - 1)
