"""The simulated Salesfinity over real HTTP: lookups, their cost, and misbehaviour on request."""

from collections.abc import Iterator

import httpx
import pytest
from salesfinity_harness import ADA, EMAIL, NOBODY, SalesfinityHarness, ask, read

from connector.simulator.faults import Fault
from connector.simulator.salesfinity import SalesfinitySite


@pytest.fixture(scope="module")
def harness() -> Iterator[SalesfinityHarness]:
    with SalesfinityHarness() as harness:
        yield harness


@pytest.fixture
def site(harness: SalesfinityHarness) -> Iterator[SalesfinitySite]:
    site = harness.fresh()
    yield site
    site.stop()


@pytest.fixture
def client(harness: SalesfinityHarness, site: SalesfinitySite) -> httpx.Client:
    assert site is harness.site
    return harness.client


class TestLookups:
    def test_the_life_of_a_lookup(self, site: SalesfinitySite, client: httpx.Client) -> None:
        asked = ask(client, external_id="lead:1")
        assert asked == {"_id": asked["_id"], "status": "pending", "linkedin_url": ADA, "external_id": "lead:1"}
        assert len(str(asked["_id"])) == 24
        site.clock.advance(10)
        assert read(client, asked)["status"] == "processing"
        assert site.charges.total() == 0
        site.clock.advance(10)
        assert read(client, asked) == {
            "_id": asked["_id"],
            "status": "completed",
            "linkedin_url": ADA,
            "external_id": "lead:1",
            "enrichment_type": "work_email",
            "email": {"email": "ada@example.com", "type": "work"},
        }
        assert read(client, asked)["status"] == "completed"
        assert client.get("/v1/api/enrichment/credits").json() == {"balance": 4_999}

    def test_not_found_costs_nothing(self, site: SalesfinitySite, client: httpx.Client) -> None:
        asked = ask(client, NOBODY, "personal")
        site.clock.advance(20)
        found = read(client, asked)
        assert (found["status"], found["email"], found["enrichment_type"]) == ("not-found", None, "personal_email")
        assert site.charges.total() == 0

    def test_a_completed_lookup_is_charged_even_if_it_is_not_read(
        self, site: SalesfinitySite, client: httpx.Client
    ) -> None:
        ask(client)
        site.clock.advance(20)
        assert site.charges.count("salesfinity", "ada-sample-example", "work") == 1

    def test_every_post_is_a_new_lookup(self, site: SalesfinitySite, client: httpx.Client) -> None:
        first, second = ask(client), ask(client)
        assert first["_id"] != second["_id"]
        ask(client, kind="personal")
        site.clock.advance(20)
        assert site.charges.total() == 3
        assert site.charges.doubles() == [("salesfinity", "ada-sample-example", "work")]

    @pytest.mark.parametrize(
        ("outcome", "status"), [("failed", "failed"), ("not-found", "not-found"), ("stuck", "processing")]
    )
    def test_scripted_outcomes(self, site: SalesfinitySite, client: httpx.Client, outcome: str, status: str) -> None:
        site.script("ada-sample-example", "work", outcome)
        asked = ask(client)
        site.clock.advance(1_000_000)
        assert read(client, asked)["status"] == status
        assert site.charges.total() == 0

    def test_completed_needs_an_email_to_find(self, site: SalesfinitySite) -> None:
        site.script("ada-sample-example", "work", "completed")
        with pytest.raises(ValueError, match="no work email"):
            site.script("nobody", "work", "completed")
        with pytest.raises(ValueError, match="cannot script"):
            site.script("ada-sample-example", "mobile", "completed")

    def test_refused_only_when_no_credit_is_left(self, site: SalesfinitySite, client: httpx.Client) -> None:
        site.balance = 1
        first, second = ask(client), ask(client, kind="personal")
        site.clock.advance(20)
        assert [read(client, asked)["status"] for asked in (first, second)] == ["completed", "failed"]
        assert site.balance == 0
        assert client.post(EMAIL, json={"linkedin_url": ADA, "type": "work"}).status_code == 402


class TestValidation:
    @pytest.mark.parametrize(
        "url",
        [
            "https://www.linkedin.com/in/ada-sample-example",
            "http://linkedin.com/in/Ada-Sample-Example",
            "https://nl.linkedin.com/in/ada%2Dsample%2Dexample",
        ],
    )
    def test_accepted_addresses(self, site: SalesfinitySite, client: httpx.Client, url: str) -> None:
        ask(client, url)
        site.clock.advance(20)
        assert site.charges.total() == 1

    @pytest.mark.parametrize(
        "url",
        [
            "https://www.linkedin.com/in/",
            "https://www.linkedin.com/in/ada-sample-example/",
            "https://www.linkedin.com/in/ada-sample-example/en",
            "https://www.linkedin.com/in/ada-sample-example?a=b",
            "https://www.linkedin.com/in/ada-sample-example#a",
            "https://www.linkedin.com/company/ada-sample-example",
            "https://www.linkedin.com/sales/lead/ada-sample-example",
            "https://linkedin.com.example.com/in/ada-sample-example",
            "https://www.linkedin.com@example.com/in/ada-sample-example",
            "www.linkedin.com/in/ada-sample-example",
            "https://[/in/ada",
            "",
            7,
            None,
        ],
    )
    def test_refused_addresses(self, site: SalesfinitySite, client: httpx.Client, url: object) -> None:
        assert client.post(EMAIL, json={"linkedin_url": url, "type": "work"}).status_code == 400
        site.clock.advance(20)
        assert site.charges.total() == 0

    @pytest.mark.parametrize(
        "more",
        [
            {"type": "mobile"},
            {"type": ["work"]},
            {"external_id": "x" * 257},
            {"external_id": 7},
            {"callback_url": "somewhere"},
            {"callback_url": "https://[/"},
            {"callback_url": 7},
        ],
    )
    def test_other_refused_values(self, client: httpx.Client, more: dict[str, object]) -> None:
        assert client.post(EMAIL, json={"linkedin_url": ADA, "type": "work", **more}).status_code == 400

    def test_refused_bodies_keys_and_ids(self, client: httpx.Client) -> None:
        assert client.post(EMAIL, json=[ADA]).status_code == 400
        assert client.post(EMAIL, content="{").status_code == 400
        assert client.post(EMAIL, json={"linkedin_url": ADA}).status_code == 400
        assert client.get(f"{EMAIL}/{'0' * 24}").status_code == 404
        assert client.get("/v1/api/enrichment/phone").status_code == 404
        for key in ("", "sim-lensmor-key"):
            assert client.get("/v1/api/enrichment/credits", headers={"x-api-key": key}).status_code == 401

    def test_a_rate_limit_is_optional(self, site: SalesfinitySite, client: httpx.Client) -> None:
        assert "X-RateLimit-Limit" not in client.get("/v1/api/enrichment/credits").headers
        site.rate_limit = 1
        assert client.get("/v1/api/enrichment/credits").status_code == 200
        assert client.get("/v1/api/enrichment/credits").status_code == 429


class TestFaults:
    @pytest.mark.parametrize(
        ("action", "params", "status", "charged"),
        [
            ("drop_before", {}, None, 0),
            ("drop_after", {}, None, 1),
            ("error_before", {}, 500, 0),
            ("error_after", {"status": 504}, 504, 1),
            ("status", {"status": 429, "retry_after": 3}, 429, 0),
            ("status", {"status": 402}, 402, 0),
            ("html", {}, 201, 1),
            ("truncated", {}, 201, 1),
            ("wrong_types", {}, 201, 1),
            ("delay", {"seconds": 0.01}, 201, 1),
        ],
    )
    def test_the_cost_of_a_spoilt_request(
        self,
        site: SalesfinitySite,
        client: httpx.Client,
        action: str,
        params: dict[str, object],
        status: int | None,
        charged: int,
    ) -> None:
        site.faults.arm(Fault("salesfinity", "requestEmailEnrichment", action, params=params))
        if status is None:
            with pytest.raises(httpx.TransportError):
                ask(client)
        else:
            assert client.post(EMAIL, json={"linkedin_url": ADA, "type": "work"}).status_code == status
        site.clock.advance(20)
        assert site.charges.total() == charged

    def test_a_denied_lookup_and_an_unknown_state(self, site: SalesfinitySite, client: httpx.Client) -> None:
        asked = ask(client)
        subject = "ada-sample-example"
        site.faults.arm(Fault("salesfinity", "getEmailEnrichment", "not_found", subject=subject))
        site.faults.arm(Fault("salesfinity", "getEmailEnrichment", "unknown_word", params={"word": "queued"}))
        assert client.get(f"{EMAIL}/{asked['_id']}").status_code == 404
        assert read(client, asked)["status"] == "queued"
        assert site.requests.counters()["getEmailEnrichment"] == {"requests": 2, "people": 2, "404": 1, "200": 1}
