"""The org's daily requests: a share of them is left to others, and the count is the org's own."""

from collections.abc import Iterator

import pytest
from org_stage import OrgHost, Stage, Wire, token_answer

from connector.core.errors import QuotaError
from connector.crm.interface import Selection, Update, Usage
from connector.crm.salesforce import SalesforceCrm


@pytest.fixture(scope="module")
def host() -> Iterator[OrgHost]:
    with OrgHost() as host:
        yield host


@pytest.fixture
def stage(host: OrgHost) -> Stage:
    return host.fresh()


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
def test_the_reserve_is_looked_at_when_logging_in(stage: Stage, reserve: int, used: int, allowed: bool) -> None:
    stage.org.daily_limit, stage.org.daily_used = 100, used
    crm = stage.crm(reserve_percent=reserve)
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
        assert stage.count("query") == 0


def test_the_reserve_is_kept_in_mid_run_by_what_each_answer_says(stage: Stage) -> None:
    lead = stage.lead()
    stage.org.daily_limit = 100
    crm = stage.ready()
    stage.org.daily_used = 77  # somebody else's requests
    ask(crm)
    ask(crm)
    ask(crm)
    with pytest.raises(QuotaError, match="80 of 100"):
        ask(crm)
    with pytest.raises(QuotaError):
        crm.update("Lead", [Update(lead, {"Phone": "1"})])
    assert (stage.count("query"), stage.count("update_many")) == (3, 0)
    assert stage.org.updates_count("Lead", lead) == 0


def test_a_quota_that_others_use_up_between_two_pages(stage: Stage) -> None:
    stage.leads(3)
    stage.org.daily_limit = 100
    crm = stage.ready()
    stage.org.daily_used = 100
    with pytest.raises(QuotaError, match="daily request quota is used up"):
        ask(crm)
    assert (stage.count("query"), stage.slept) == (1, [])


def test_repeats_count_as_the_requests_that_they_are(stage: Stage) -> None:
    crm = stage.ready()
    stage.arm("query", "drop_after")
    ask(crm)
    usage = crm.usage()
    assert usage == Usage(2, 0, 1, daily_used=3, daily_limit=15_000)
    assert stage.org.daily_used == 3


def test_usage_before_and_after_the_login(stage: Stage) -> None:
    lead = stage.lead()
    crm = stage.crm()
    assert crm.usage() == Usage()
    crm.login()
    assert crm.usage() == Usage(0, 0, 1, 1, 15_000)
    crm.describe("Lead")
    crm.describe("Lead")
    crm.check_condition("Lead", "IsConverted = false")
    ask(crm)
    crm.read("Lead", [lead], ["Email"])
    crm.update("Lead", [Update(lead, {"Phone": "1"})])
    assert crm.usage() == Usage(2, 1, 3, 6, 15_000)


@pytest.mark.parametrize("limits", [{}, [], {"DailyApiRequests": None}, {"DailyApiRequests": {"Max": "100"}}])
def test_an_org_that_does_not_tell_its_limits_is_not_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, limits: object
) -> None:
    wire = Wire(lambda request: (200, token_answer() if "oauth2" in str(request.url) else limits))
    wire.install(monkeypatch)
    crm = stage.crm(stage.login(instance_url="https://acme.my.salesforce.com"))
    crm.login()
    assert crm.usage() == Usage(other_calls=1)
