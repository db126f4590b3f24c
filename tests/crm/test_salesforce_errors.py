"""The table of Salesforce's errors, one by one through real answers: what is repeated, what stops, what is final."""

from collections.abc import Callable, Iterator
from itertools import product

import pytest
from org_harness import Harness, OrgHost

from connector.core.errors import (
    ConfigurationError,
    ConnectorError,
    CrmRefusedError,
    DownError,
    PassingError,
    QuotaError,
)
from connector.crm.interface import ErrorClass, Rejection, RowError, Selection, Update
from connector.crm.salesforce.client import ATTEMPTS
from connector.crm.salesforce.site import SalesforceCrm

PRIVATE = ("ada@example.com", "+1 415 555 0100")
WORDS = f"value {PRIVATE[0]} of {PRIVATE[1]} is not good"


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


def read_queue(crm: SalesforceCrm, lead: str) -> object:
    del lead
    return list(crm.select(Selection("Lead", ("Email",))))


CALLS: dict[str, Callable[[SalesforceCrm, str], object]] = {
    "limits": lambda crm, _: crm.login(),
    "describe": lambda crm, _: crm.describe("Lead"),
    "query": read_queue,
    "retrieve_many": lambda crm, lead: crm.read("Lead", [lead], ["Email"]),
    "update_many": lambda crm, lead: crm.update("Lead", [Update(lead, {"Phone": "1"})]),
}
READS = [name for name in CALLS if name != "update_many"]
# The limits are an optional read: tests/crm/test_salesforce_refusals.py.
NEEDED = [name for name in CALLS if name != "limits"]
NEEDED_READS = [name for name in NEEDED if name != "update_many"]


def failing(harness: Harness, operation: str, action: str = "status", **params: object) -> ConnectorError:
    """What a call raises when every request of it is spoilt."""
    lead, crm = harness.lead(), harness.ready()
    if operation != "describe":
        crm.describe("Lead")
    harness.arm_forever(operation, action, **params)
    with pytest.raises(ConnectorError) as caught:
        CALLS[operation](crm, lead)
    return caught.value


# -- repeated ----------------------------------------------------------------------------------------------------

CONCURRENT = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
Spoilt = tuple[str, dict[str, object]]


def refusal(status: int, code: str = "ANY", **more: object) -> Spoilt:
    return "status", {"status": status, "errorCode": code, **more}


PASSING: list[Spoilt] = [
    *[refusal(status) for status in (406, 408, 420, 425, 429, 500, 502, 503, 504, 520)],
    refusal(429, retry_after=7),
    refusal(503, retry_after=7),
    refusal(500, "UNKNOWN_EXCEPTION"),
    refusal(400, "QUERY_TIMEOUT"),
    refusal(400, "UNABLE_TO_LOCK_ROW"),
    refusal(403, "SERVER_UNAVAILABLE"),
    refusal(400, "REQUEST_RUNNING_TOO_LONG"),
    refusal(403, "REQUEST_LIMIT_EXCEEDED", message=CONCURRENT),
    ("html", {"status": 503}),
    ("html", {"status": 502}),
    ("truncated", {}),
    ("cut_body", {}),
    ("drop_before", {}),
    ("drop_after", {}),
]


def test_what_passes_is_tried_again(host: OrgHost, subtests: pytest.Subtests) -> None:
    for (action, params), operation in product(PASSING, READS):
        with subtests.test(action=action, params=params, operation=operation):
            harness = host.fresh()
            lead, crm = harness.lead(), harness.ready()
            if operation != "describe":
                crm.describe("Lead")
            harness.arm(operation, action, **params)
            CALLS[operation](crm, lead)
            assert harness.count(operation) == 2
            (wait,) = harness.slept
            assert 0 < wait <= 21


def test_a_write_is_never_repeated_by_itself(host: OrgHost, subtests: pytest.Subtests) -> None:
    for action, params in PASSING:
        with subtests.test(action=action, params=params):
            harness = host.fresh()
            lead, crm = harness.lead(), harness.ready()
            harness.arm("update_many", action, **params)
            with pytest.raises(PassingError, match="run again"):
                CALLS["update_many"](crm, lead)
            assert (harness.count("update_many"), harness.slept) == (1, [])


LASTING: list[Spoilt] = [
    refusal(500),
    refusal(503, retry_after=7),
    ("html", {"status": 503}),
    ("truncated", {}),
    ("drop_before", {}),
]


def test_what_does_not_pass_stops_the_run_and_keeps_the_queue(host: OrgHost, subtests: pytest.Subtests) -> None:
    for (action, params), operation in product(LASTING, NEEDED_READS):
        with subtests.test(action=action, params=params, operation=operation):
            harness = host.fresh()
            error = failing(harness, operation, action, **params)
            assert (type(error), error.exit_code) == (DownError, 4)
            assert harness.count(operation) == ATTEMPTS
            assert len(harness.slept) == ATTEMPTS - 1
            assert harness.slept == sorted(harness.slept), "each wait is longer than the one before"


def test_a_write_whose_answer_was_lost_is_left_to_whoever_compares_again(harness: Harness) -> None:
    lead, crm = harness.lead(), harness.ready()
    harness.arm("update_many", "drop_after")
    with pytest.raises(PassingError):
        crm.update("Lead", [Update(lead, {"Phone": "+1 415 555 0100"})])
    changes = [change.changes for change in harness.org.history("Lead", lead)]
    assert changes == [{"Phone": (None, "+1 415 555 0100")}]


# -- stops -------------------------------------------------------------------------------------------------------


STOPPING: list[tuple[str, str, str]] = [
    ("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "daily request quota"),
    ("API_DISABLED_FOR_ORG", "API is not enabled for this Organization", "API Enabled"),
]


def test_what_stops_the_run_is_not_repeated(host: OrgHost, subtests: pytest.Subtests) -> None:
    for (code, message, advice), operation in product(STOPPING, CALLS):
        with subtests.test(code=code, message=message, advice=advice, operation=operation):
            harness = host.fresh()
            error = failing(harness, operation, status=403, errorCode=code, message=message)
            assert (type(error), error.exit_code) == (QuotaError, 4)
            assert advice in str(error)
            assert (harness.count(operation), harness.slept) == (1, [])


def test_too_many_long_requests_at_a_time_is_not_called_the_days_quota(
    host: OrgHost, subtests: pytest.Subtests
) -> None:
    for operation in READS:
        with subtests.test(operation=operation):
            harness = host.fresh()
            error = failing(harness, operation, status=403, errorCode="REQUEST_LIMIT_EXCEEDED", message=CONCURRENT)
            assert type(error) is QuotaError
            assert "daily" not in str(error)
            assert harness.count(operation) == ATTEMPTS


ADMINS: list[tuple[int, str]] = [
    (400, "INVALID_FIELD"),
    (400, "INVALID_TYPE"),
    (400, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    (400, "MALFORMED_QUERY"),
    (400, "INVALID_QUERY_FILTER_OPERATOR"),
    (403, "INSUFFICIENT_ACCESS"),
    (403, "anything else"),
    (404, "NOT_FOUND"),
    (410, "GONE"),
]


def test_what_an_admin_must_correct(host: OrgHost, subtests: pytest.Subtests) -> None:
    for (status, code), operation in product(ADMINS, NEEDED):
        with subtests.test(status=status, code=code, operation=operation):
            harness = host.fresh()
            error = failing(harness, operation, status=status, errorCode=code, message="No such column 'Foo__c'")
            assert (type(error), error.exit_code) == (ConfigurationError, 2)
            assert (harness.count(operation), harness.slept) == (1, [])
            if status == 400:
                assert code in str(error)
                assert "Foo__c" in str(error)


def test_a_retired_version_names_the_setting(harness: Harness) -> None:
    with pytest.raises(ConfigurationError, match="SALESFORCE_API_VERSION"):
        harness.crm(version="20.0").login()
    with pytest.raises(ConfigurationError):
        harness.crm(version="99.0").login()


UNKNOWN_STATUSES = [300, 400, 405, 409, 411, 412, 413, 414, 415, 416, 417, 428, 431, 451]


def test_an_unknown_refusal_of_a_write_is_one_of_its_rows(host: OrgHost, subtests: pytest.Subtests) -> None:
    for status in UNKNOWN_STATUSES:
        with subtests.test(status=status):
            harness = host.fresh()
            lead, crm = harness.lead(), harness.ready()
            harness.arm_forever("update_many", "status", status=status, errorCode="SOMETHING_NEW", message=WORDS)
            answers = CALLS["update_many"](crm, lead)
            assert answers == [Rejection(ErrorClass.AUTOMATION, (RowError("SOMETHING_NEW"),))]
            assert (harness.count("update_many"), harness.slept) == (1, [])


def test_an_unknown_refusal_names_its_code_and_is_never_run_again_later(
    host: OrgHost, subtests: pytest.Subtests
) -> None:
    for code, status, operation in product(("SOMETHING_NEW", "JSON_PARSER_ERROR"), UNKNOWN_STATUSES, NEEDED_READS):
        with subtests.test(code=code, status=status, operation=operation):
            harness = host.fresh()
            error = failing(harness, operation, status=status, errorCode=code, message=WORDS)
            assert type(error) is CrmRefusedError
            assert error.code == code
            assert f"HTTP {status}, {code}" in str(error)
            assert "value … of … is not good" in str(error)
            assert "run again" not in str(error)
            assert not any(value in str(error) for value in PRIVATE)
            assert (harness.count(operation), harness.slept) == (1, [])


def test_an_unknown_refusal_of_the_first_request_is_a_matter_of_configuration(
    host: OrgHost, subtests: pytest.Subtests
) -> None:
    for operation in NEEDED:
        with subtests.test(operation=operation):
            harness = host.fresh()
            lead, crm = harness.lead(), harness.crm()
            for name in ("limits", *NEEDED):
                harness.arm_forever(name, "status", status=415, errorCode="UNSUPPORTED_MEDIA_TYPE", message=WORDS)
            with pytest.raises(ConfigurationError, match="HTTP 415, UNSUPPORTED_MEDIA_TYPE"):
                CALLS[operation](crm, lead)
            assert harness.slept == []


QUOTING: list[tuple[int, str]] = [
    (500, f"CODE {PRIVATE[0]}"),
    (403, f"CODE {PRIVATE[0]}"),
    (404, "NOT_FOUND"),
    (403, "REQUEST_LIMIT_EXCEEDED"),
    (401, "INVALID_SESSION_ID"),
    (401, "INVALID_AUTH_HEADER"),
]


def test_no_error_quotes_an_answer(host: OrgHost, subtests: pytest.Subtests) -> None:
    for (status, code), operation in product(QUOTING, NEEDED):
        with subtests.test(status=status, code=code, operation=operation):
            harness = host.fresh()
            error = failing(harness, operation, status=status, errorCode=code, message=WORDS)
            assert not any(value in str(error) for value in (*PRIVATE, "00Q", "00D", "Okafor", "sim-client-secret"))
