"""The simulated Lensmor over real HTTP: validation and reads."""

from collections.abc import Iterator

import httpx
import pytest
from lensmor_harness import EMAIL, LensmorHarness

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


class TestValidation:
    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            "70011",
            {"personnel_ids": []},
            {"personnel_ids": "70011"},
            {"personnel_ids": [70011]},
            {"personnel_ids": ["70011"], "event_id": ""},
            {"personnel_ids": ["70011"], "event_id": 52001},
            {"personnel_ids": ["70011"], "event_id": None},
            {"personnel_ids": ["70011"], "event_id": "5" * 101},
        ],
    )
    def test_malformed_submissions(self, site: LensmorSite, client: httpx.Client, body: object) -> None:
        response = client.post(EMAIL, json=body)
        assert (response.status_code, response.json()["errorKey"]) == (400, "INVALID_REQUEST")
        assert site.charges.total() == 0

    def test_a_body_that_is_not_json(self, client: httpx.Client) -> None:
        text = '{"personnel_ids": ["70011"]}'
        assert client.post(EMAIL, content=text).status_code == 400
        assert client.post(EMAIL, content=text[:-1], headers={"Content-Type": "application/json"}).status_code == 400

    def test_a_batch_that_is_too_large(self, site: LensmorSite, client: httpx.Client) -> None:
        site.max_batch = 100
        response = client.post(EMAIL, json={"personnel_ids": [str(number) for number in range(101)]})
        body = response.json()
        assert (response.status_code, body["errorKey"]) == (422, "LEAD_SELECTION_LIMIT_EXCEEDED")
        assert body["details"] == {"requestedCount": 101, "limit": 100, "selectionMode": "selected"}
        assert body["traceId"] == response.headers["X-Request-ID"]

    @pytest.mark.parametrize(
        ("authorization", "status"),
        [
            ("Bearer sim-lensmor-key", 200),
            ("bearer sim-lensmor-key", 200),
            ("Basic sim-lensmor-key", 401),
            ("Bearer other", 401),
            ("sim-lensmor-key", 401),
            ("", 401),
        ],
    )
    def test_keys(self, client: httpx.Client, authorization: str, status: int) -> None:
        headers = {"Authorization": authorization}
        assert client.get("/external/credits/balance", headers=headers).status_code == status

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/external/personnel/profile", 400),
            ("/external/personnel/profile?personnel_id=7a", 400),
            ("/external/personnel/profile?personnel_id=123456789012345678901", 400),
            ("/external/personnel/profile?personnel_id=4", 404),
            ("/external/personnel/events?personnel_id=70011&page=0", 400),
            ("/external/personnel/events?personnel_id=70011&pageSize=101", 400),
            ("/external/personnel/events?personnel_id=70011&attendance_scope=nobody", 400),
            ("/external/personnel/events?personnel_id=4", 404),
            ("/external/personnel/list", 400),
            ("/external/personnel/list?event_id=1", 404),
            ("/external/personnel/list?event_id=52001&pageSize=51", 400),
            ("/external/contacts/search", 400),
            ("/external/events/1", 404),
            ("/external/events/list?date_start_from=tomorrow", 400),
            ("/external/events/list?has_visitors=yes", 400),
            ("/external/contacts/unlock-tasks/1", 404),
            ("/external/personnel/events/by-linkedin", 400),
            ("/external/personnel/events/by-name?name=x", 404),
        ],
    )
    def test_malformed_reads(self, client: httpx.Client, path: str, status: int) -> None:
        response = client.get(path)
        assert (response.status_code, response.json()["code"]) == (status, status)


class TestReading:
    @pytest.mark.parametrize(
        ("url", "found"),
        [
            ("https://www.linkedin.com/in/person-70011", "70011"),
            ("https://linkedin.com/in/Person-70011/?a=b#c", "70011"),
            ("http://www.linkedin.com/in/person-70011/", "70011"),
            ("https://www.linkedin.com/in/%E9%9D%92%E8%91%89-%E5%81%A5%E4%BA%BA", "80001"),
            ("https://www.linkedin.com/in/%e9%9d%92%e8%91%89-%e5%81%a5%e4%ba%ba", "80001"),
            ("https://www.linkedin.com/in/nobody", None),
            ("https://nl.linkedin.com/in/person-70011", None),
            ("https://www.linkedin.com/in/person-70011/en", None),
            ("www.linkedin.com/in/person-70011", None),
            ("https://www.linkedin.com/company/person-70011", None),
            ("https://example.com/in/person-70011", None),
            ("https://[/in/person-70011", None),
        ],
    )
    def test_a_linkedin_address(self, client: httpx.Client, url: str, found: str | None) -> None:
        response = client.get("/external/personnel/events/by-linkedin", params={"linkedin_url": url})
        if found is None:
            assert response.status_code == 404
        else:
            assert response.json()["personnel"]["id"] == found
            assert response.json()["events"]["total"] == 1

    def test_a_linkedin_address_that_is_too_long(self, client: httpx.Client) -> None:
        url = "https://www.linkedin.com/in/" + "a" * 500
        assert client.get("/external/personnel/events/by-linkedin", params={"linkedin_url": url}).status_code == 400

    def test_an_event_shows_a_preview_until_it_is_bought(self, client: httpx.Client) -> None:
        def read(page: int) -> tuple[int, bool, dict[str, object]]:
            body = client.get("/external/personnel/list", params={"event_id": "9001", "page": page}).json()
            return len(body["items"]), body["hasMore"], body["semantics"]

        items, more, semantics = read(1)
        assert (items, more) == (50, False)
        assert semantics["accessMode"] == "preview"
        assert semantics["counts"] == {"actualTotal": 64, "visibleTotal": 50, "remainingLockedCount": 14}
        assert read(2)[0] == 0
        client.post("/external/events/52001/unlock")
        items, more, semantics = read(1)
        assert (items, more, semantics["accessMode"]) == (50, True, "full")
        assert read(2)[:2] == (14, False)

    def test_filters(self, client: httpx.Client) -> None:
        def total(path: str, **query: str | int) -> int:
            return int(client.get(path, params=query).json()["total"])

        people, companies, events = "/external/personnel/list", "/external/contacts/search", "/external/events/list"
        assert total(people, event_id="52001", search_query="buyer") == 32
        assert total(people, event_id="52001", sourceType="visitors,social") == 0
        assert total(companies, company_name="example works") == 65
        assert total(companies, company_name="Example Works", person_name="80001") == 1
        assert total(companies, company_name="Nobody") == 0
        assert total(events) == 2
        assert total(events, keyword="robotics") == 1
        assert total(events, country="germany", city="Jena") == 1
        assert total(events, date_start_from="2027-03-02", date_start_to="2027-03-02") == 1
        assert total(events, has_visitors=1) == 1
        assert total("/external/personnel/events", personnel_id="80001", attendance_scope="visitor") == 0

    def test_rate_headers_and_the_end_of_the_window(self, site: LensmorSite, client: httpx.Client) -> None:
        site.rate_limit = 2
        left = [client.get("/external/credits/balance").headers["X-RateLimit-Remaining"] for _ in range(2)]
        assert left == ["1", "0"]
        site.clock.advance(39.5)
        refused = client.get("/external/credits/balance")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "21")
        assert refused.json()["errorKey"] == "RATE_LIMIT_EXCEEDED"
        site.keys["second"] = "default"
        second = client.get("/external/credits/balance", headers={"Authorization": "Bearer second"})
        assert second.status_code == 200
        site.clock.advance(20.5)
        assert client.get("/external/credits/balance").status_code == 200
        assert site.requests.count("getCreditsBalance", 429) == 1
