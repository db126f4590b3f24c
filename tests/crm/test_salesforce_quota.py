"""The org's daily requests: a share of them is left to others, and the count is the org's own."""

from collections.abc import Iterator

import pytest
from org_harness import Harness, OrgHost, Wire, token_answer

from connector.core.errors import QuotaError
from connector.crm.interface import Selection, Update, Usage
from connector.crm.salesforce.site import SalesforceCrm


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def harness(host: OrgHost) -> Harness:
    return host.fresh()


RESERVE = 20  # percent, by default


def ask(crm: SalesforceCrm) -> None:
    list(crm.select(Selection("Lead", ())))


@pytest.mark.parametrize(
    ("reserve", "used", "allowed"),
    [
        (20, 78, True),
        (20, 79, False),  # the request that asks for the limits is the 80th
        (20, 100, False),
        (0, 98, True),
        (0, 99, False),
        (99, 0, False),
        (50, 48, True),
    ],
)
def test_the_reserve_is_looked_at_when_logging_in(harness: Harness, reserve: int, used: int, allowed: bool) -> None:
    harness.org.daily_limit, harness.org.daily_used = 100, used
    crm = harness.crm(reserve_percent=reserve)
    if allowed:
        crm.login()
        return
    with pytest.raises(QuotaError) as caught:
        crm.login()
    assert caught.value.exit_code == 4
    with pytest.raises(QuotaError):
        ask(crm)
    if used < 100:
        assert "SALESFORCE_API_RESERVE_PERCENT" in str(caught.value)
        assert harness.count("query") == 0


def test_the_reserve_is_kept_in_mid_run_by_what_each_answer_says(harness: Harness) -> None:
    lead = harness.lead()
    harness.org.daily_limit = 100
    crm = harness.ready()
    harness.org.daily_used = 77  # somebody else's requests
    ask(crm)
    ask(crm)
    ask(crm)
    with pytest.raises(QuotaError, match="80 of 100"):
        ask(crm)
    with pytest.raises(QuotaError):
        crm.update("Lead", [Update(lead, {"Phone": "1"})])
    assert (harness.count("query"), harness.count("update_many")) == (3, 0)
    assert harness.org.updates_count("Lead", lead) == 0


def test_a_quota_that_others_use_up_between_two_pages(harness: Harness) -> None:
    harness.leads(3)
    harness.org.daily_limit = 100
    crm = harness.ready()
    harness.org.daily_used = 100
    with pytest.raises(QuotaError, match="daily request quota is used up"):
        ask(crm)
    assert (harness.count("query"), harness.slept) == (1, [])


def test_repeats_count_as_the_requests_that_they_are(harness: Harness) -> None:
    crm = harness.ready()
    harness.arm("query", "drop_after")
    ask(crm)
    usage = crm.usage()
    assert usage == Usage(2, 0, 1, 3, 15_000, RESERVE)
    assert harness.org.daily_used == 3


def test_usage_before_and_after_the_login(harness: Harness) -> None:
    lead = harness.lead()
    crm = harness.crm()
    assert crm.usage() == Usage(reserve_percent=RESERVE)
    crm.login()
    assert crm.usage() == Usage(0, 0, 1, 1, 15_000, RESERVE)
    crm.describe("Lead")
    crm.describe("Lead")
    crm.check_condition("Lead", "IsConverted = false")
    ask(crm)
    crm.read("Lead", [lead], ["Email"])
    crm.update("Lead", [Update(lead, {"Phone": "1"})])
    assert crm.usage() == Usage(2, 1, 3, 6, 15_000, RESERVE)


@pytest.mark.parametrize("limits", [{}, [], {"DailyApiRequests": None}, {"DailyApiRequests": {"Max": "100"}}])
def test_an_org_that_does_not_tell_its_limits_is_not_refused(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, limits: object
) -> None:
    wire = Wire(lambda request: (200, token_answer() if "oauth2" in str(request.url) else limits))
    wire.install(monkeypatch)
    crm = harness.crm(harness.login(instance_url="https://acme.my.salesforce.com"))
    crm.login()
    assert crm.usage() == Usage(other_calls=1, reserve_percent=RESERVE)
