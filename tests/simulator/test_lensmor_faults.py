"""The simulated Lensmor over real HTTP: misbehaviour on request, and the charges despite it."""

from collections.abc import Iterator

import httpx
import pytest
from lensmor_harness import EMAIL, LensmorHarness, profile, read_task, submit

from connector.simulator.faults import FOREVER, Fault
from connector.simulator.lensmor import LensmorSite


@pytest.fixture(scope="module")
def harness() -> Iterator[LensmorHarness]:
    with LensmorHarness() as harness:
        yield harness


@pytest.fixture
def site(harness: LensmorHarness) -> LensmorSite:
    return harness.fresh()


@pytest.fixture
def client(harness: LensmorHarness, site: LensmorSite) -> httpx.Client:
    assert site is harness.site
    return harness.client


def arm(site: LensmorSite, operation: str, action: str, **params: object) -> None:
    site.faults.arm(Fault("lensmor", operation, action, params=params))


class TestFaults:
    def test_a_lost_answer_with_effect(self, site: LensmorSite, client: httpx.Client) -> None:
        arm(site, "submitEmailUnlock", "drop_after")
        with pytest.raises(httpx.TransportError):
            submit(client, "70011")
        assert profile(client, "70011")["contactUnlockStatus"] == "unlocking"
        assert site.charges.count("lensmor", "70011", "email") == 1
        assert submit(client, "70011")["status"] == "success"
        assert site.requests.count("submitEmailUnlock", 0) == 1

    def test_a_lost_request_without_effect(self, site: LensmorSite, client: httpx.Client) -> None:
        arm(site, "submitEmailUnlock", "drop_before")
        with pytest.raises(httpx.TransportError):
            submit(client, "70011")
        assert site.charges.total() == 0

    @pytest.mark.parametrize(
        ("action", "params", "status", "charged"),
        [
            ("error_before", {}, 500, False),
            ("error_after", {"status": 502}, 502, True),
            ("status", {"status": 409}, 409, False),
            ("status", {"status": 503}, 503, False),
            ("not_found", {}, 404, False),
            ("html", {}, 201, True),
            ("truncated", {}, 201, True),
            ("wrong_types", {}, 201, True),
            ("error_in_2xx", {}, 201, False),
            ("delay", {"seconds": 0.01}, 201, True),
        ],
    )
    def test_uninformative_answers(
        self,
        site: LensmorSite,
        client: httpx.Client,
        action: str,
        params: dict[str, object],
        status: int,
        charged: bool,
    ) -> None:
        arm(site, "submitEmailUnlock", action, **params)
        response = client.post(EMAIL, json={"personnel_ids": ["70011"]})
        assert response.status_code == status
        assert site.charges.count("lensmor", "70011", "email") == int(charged)
        assert site.requests.count("submitEmailUnlock", status) == 1

    def test_too_many_requests_with_and_without_a_time(self, site: LensmorSite, client: httpx.Client) -> None:
        arm(site, "*", "status", status=429, retry_after=7)
        arm(site, "*", "status", status=429)
        assert client.get("/external/credits/balance").headers["Retry-After"] == "7"
        assert "Retry-After" not in client.get("/external/credits/balance").headers

    def test_a_skip_without_reason(self, site: LensmorSite, client: httpx.Client) -> None:
        arm(site, "submitEmailUnlock", "extra_skip", persons=["70012"])
        answer = submit(client, "70011", "70012")
        assert (answer["skipped_personnel_ids"], answer["skipped_detail"]) == (["70012"], {})
        assert site.charges.count("lensmor", "70012", "email") == 0

    def test_unknown_states(self, site: LensmorSite, client: httpx.Client) -> None:
        answer = submit(client, "70011")
        arm(site, "getEmailUnlockTask", "unknown_word", word="archived")
        arm(site, "getPersonnelProfile", "unknown_word")
        assert read_task(client, answer)[0] == "archived"
        assert profile(client, "70011")["contactUnlockStatus"] == "under_review"
        assert read_task(client, answer)[0] == "pending"

    def test_a_fault_for_one_person_only(self, site: LensmorSite, client: httpx.Client) -> None:
        site.faults.arm(Fault("lensmor", "*", "not_found", times=FOREVER, subject="70012"))
        assert profile(client, "70011")["id"] == "70011"
        assert profile(client, "70012")["errorKey"] == "NOT_FOUND"
        by_linkedin = {"linkedin_url": "https://linkedin.com/in/person-70012"}
        assert client.get("/external/personnel/events/by-linkedin", params=by_linkedin).status_code == 404

    def test_the_log_counts_requests_and_people(self, site: LensmorSite, client: httpx.Client) -> None:
        answer = submit(client, "70011", "70012")
        read_task(client, answer)
        client.post(EMAIL, json={})
        assert site.requests.counters() == {
            "getEmailUnlockTask": {"requests": 1, "people": 2, "200": 1},
            "submitEmailUnlock": {"requests": 2, "people": 2, "201": 1, "400": 1},
        }
        assert site.requests.people("submitEmailUnlock") == 2
