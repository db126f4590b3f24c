"""Harmful and odd answers on request, from each vendor and Salesforce: the answer, and the effect of the request."""

import gzip
import zlib
from collections.abc import Iterator

import httpx
import pytest
from lensmor_harness import EMAIL, LensmorHarness, profile, read_task, submit
from salesfinity_harness import EMAIL as LOOKUP
from salesfinity_harness import SalesfinityHarness, ask, read
from test_salesforce_driver import DATA, TOKEN, Driver, Host

from connector.simulator.faults import FOREVER, Fault
from connector.simulator.lensmor import LensmorSite
from connector.simulator.salesfinity import SalesfinitySite
from connector.simulator.salesforce import recipes

TOKEN_PATH = "/services/oauth2/token"
LOGIN = {"grant_type": "client_credentials", "client_id": "sim-client-id", "client_secret": "sim-client-secret"}


@pytest.fixture(scope="module")
def lensmor_harness() -> Iterator[LensmorHarness]:
    with LensmorHarness() as harness:
        yield harness


@pytest.fixture(scope="module")
def salesfinity_harness() -> Iterator[SalesfinityHarness]:
    with SalesfinityHarness() as harness:
        yield harness


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture
def lensmor(lensmor_harness: LensmorHarness) -> LensmorSite:
    return lensmor_harness.fresh()


@pytest.fixture
def client(lensmor_harness: LensmorHarness, lensmor: LensmorSite) -> httpx.Client:
    assert lensmor is lensmor_harness.site
    return lensmor_harness.client


@pytest.fixture
def salesfinity(salesfinity_harness: SalesfinityHarness) -> SalesfinitySite:
    return salesfinity_harness.fresh()


@pytest.fixture
def driver(host: Host) -> Driver:
    return host.fresh()


def arm(site: LensmorSite | SalesfinitySite, operation: str, action: str, times: int = 1, **params: object) -> None:
    name = "lensmor" if isinstance(site, LensmorSite) else "salesfinity"
    assert action in site.actions
    site.faults.arm(Fault(name, operation, action, times=times, params=params))


def unpacked(raw: bytes) -> int:
    return len(zlib.decompress(raw, 31))


class TestAtTheVendors:
    @pytest.mark.parametrize("value", [None, 5, True, "text", [], [1], 1.5])
    def test_any_json_value_in_place_of_the_answer(
        self, lensmor: LensmorSite, client: httpx.Client, value: object
    ) -> None:
        arm(lensmor, "submitEmailUnlock", "body", json=value)
        answer = client.post(EMAIL, json={"personnel_ids": ["70011"]})
        assert (answer.status_code, answer.json()) == (200, value)
        assert lensmor.charges.count("lensmor", "70011", "email") == 1

    def test_a_web_page_without_effect(self, lensmor: LensmorSite, client: httpx.Client) -> None:
        page = "<html>Log in</html>"
        arm(lensmor, "submitEmailUnlock", "body", text=page, before_effect=True)
        answer = client.post(EMAIL, json={"personnel_ids": ["70011"]})
        assert (answer.text, answer.headers["content-type"]) == (page, "text/html; charset=utf-8")
        assert lensmor.charges.total() == 0

    def test_a_redirect_has_no_effect(self, lensmor: LensmorSite, client: httpx.Client) -> None:
        arm(lensmor, "submitEmailUnlock", "redirect", location="https://sso.example.com/login")
        answer = client.post(EMAIL, json={"personnel_ids": ["70011"]})
        assert (answer.status_code, answer.headers["location"]) == (302, "https://sso.example.com/login")
        assert lensmor.charges.total() == 0

    def test_a_slow_body_arrives_byte_by_byte(self, salesfinity_harness: SalesfinityHarness) -> None:
        site = salesfinity_harness.fresh()
        arm(site, "getEnrichmentCredits", "drip", seconds=0)
        with salesfinity_harness.client.stream("GET", "/v1/api/enrichment/credits") as answer:
            chunks = list(answer.iter_raw())
            assert "content-length" not in answer.headers
        assert b"".join(chunks) == b'{"balance": 5000}'
        assert len(chunks) > 1

    def test_a_gzip_bomb_is_small_on_the_wire(self, salesfinity_harness: SalesfinityHarness) -> None:
        site = salesfinity_harness.fresh()
        arm(site, "getEnrichmentCredits", "gzip_bomb", megabytes=20)
        with salesfinity_harness.client.stream("GET", "/v1/api/enrichment/credits") as answer:
            raw = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip"
        assert len(raw) < 30_000
        assert unpacked(raw) > 20 * 1024 * 1024

    def test_an_absurd_waiting_time(self, lensmor: LensmorSite, client: httpx.Client) -> None:
        absurd = "Mon, 20 Nov 9999999999 07:00:00 GMT"
        arm(lensmor, "getPersonnelProfile", "status", status=429, retry_after=absurd)
        answer = client.get("/external/personnel/profile", params={"personnel_id": "70011"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, absurd)

    def test_a_null_error_key_in_a_success(self, lensmor: LensmorSite, client: httpx.Client) -> None:
        arm(lensmor, "submitEmailUnlock", "add_fields", fields={"errorKey": None})
        answer = submit(client, "70011")
        assert answer["errorKey"] is None
        assert answer["status"] == "accepted"

    def test_ids_and_phones_as_numbers(self, lensmor: LensmorSite, client: httpx.Client) -> None:
        lensmor.set_unlocked("70011", "phone")
        arm(lensmor, "getPersonnelProfile", "numbers")
        shown = profile(client, "70011")
        assert (shown["id"], shown["phone"], shown["fullName"]) == (70011, 442079460011, "Person 70011")
        arm(lensmor, "submitEmailUnlock", "numbers")
        assert isinstance(submit(client, "70012")["task_id"], int)

    @pytest.mark.parametrize("raw", ["N/A", "null", "-", "a***@example.com", "email_not_unlocked@example.com"])
    def test_an_unusable_value(self, lensmor: LensmorSite, client: httpx.Client, raw: str) -> None:
        lensmor.set_value("70011", "email", raw)
        task = submit(client, "70011", "70012")
        lensmor.clock.advance(lensmor.task_seconds)
        _, items = read_task(client, task)
        assert [items["70011"]["email"], items["70012"]["email"]] == [raw, "p70012@example.com"]  # type: ignore[index]
        assert profile(client, "70011")["email"] == raw

    def test_an_unusable_value_for_one_person_over_the_control_route(
        self, lensmor: LensmorSite, client: httpx.Client
    ) -> None:
        task = submit(client, "70011", "70012")
        lensmor.clock.advance(lensmor.task_seconds)
        arm(lensmor, "getEmailUnlockTask", "value", value="mailto:p@example.com", person="70011")
        _, items = read_task(client, task)
        assert items["70011"]["email"] == "mailto:p@example.com"  # type: ignore[index]
        assert items["70012"]["email"] == "p70012@example.com"  # type: ignore[index]

    def test_states_in_other_spellings(self, lensmor: LensmorSite, client: httpx.Client) -> None:
        task = submit(client, "70011")
        lensmor.clock.advance(lensmor.task_seconds)
        words = {"completed": "done", "unlocked": "Unlocked"}
        arm(lensmor, "getEmailUnlockTask", "words", words=words, fields=["taskStatus", "status"])
        status, items = read_task(client, task)
        assert (status, items["70011"]["status"]) == ("done", "Unlocked")  # type: ignore[index]

    @pytest.mark.parametrize("first", [False, True])
    def test_a_person_twice_in_a_task(self, lensmor: LensmorSite, client: httpx.Client, first: bool) -> None:
        task = submit(client, "70011", "70012")
        lensmor.clock.advance(lensmor.task_seconds)
        arm(lensmor, "getEmailUnlockTask", "twice", person="70011", first=first)
        items = client.get(f"/external/contacts/unlock-tasks/{task['task_id']}").json()["items"]
        found = [item["status"] for item in items if item["personnelId"] == "70011"]
        assert found == (["failed", "unlocked"] if first else ["unlocked", "failed"])
        assert len(items) == 3

    @pytest.mark.parametrize("word", ["Completed", "COMPLETED", "done", "under_review"])
    def test_salesfinity_with_other_states(
        self, salesfinity: SalesfinitySite, salesfinity_harness: SalesfinityHarness, word: str
    ) -> None:
        lookup = ask(salesfinity_harness.client)
        salesfinity.clock.advance(salesfinity.lookup_seconds)
        arm(salesfinity, "getEmailEnrichment", "words", words={"completed": word})
        assert read(salesfinity_harness.client, lookup)["status"] == word

    def test_salesfinity_finds_a_private_address(
        self, salesfinity: SalesfinitySite, salesfinity_harness: SalesfinityHarness
    ) -> None:
        lookup = ask(salesfinity_harness.client)
        salesfinity.clock.advance(salesfinity.lookup_seconds)
        arm(salesfinity, "getEmailEnrichment", "value", value="personal", fields=["type"])
        assert read(salesfinity_harness.client, lookup)["email"] == {"email": "ada@example.com", "type": "personal"}

    def test_salesfinity_with_plain_text_and_numbers(
        self, salesfinity: SalesfinitySite, salesfinity_harness: SalesfinityHarness
    ) -> None:
        salesfinity.numeric_ids = True
        salesfinity.set_value("ada-sample-example", "work", "Ada <ada@example.com>")
        arm(salesfinity, "requestEmailEnrichment", "numbers")
        lookup = ask(salesfinity_harness.client)
        assert isinstance(lookup["_id"], int)
        salesfinity.clock.advance(salesfinity.lookup_seconds)
        arm(salesfinity, "getEmailEnrichment", "plain_email")
        answer = salesfinity_harness.client.get(f"{LOOKUP}/{lookup['_id']}").json()
        assert (answer["email"], answer["status"]) == ("Ada <ada@example.com>", "completed")


class TestAtSalesforce:
    @pytest.mark.parametrize("value", [None, 5, True, []])
    @pytest.mark.parametrize("operation", ["update_many", "token"])
    def test_any_json_value(self, driver: Driver, value: object, operation: str) -> None:
        lead = driver.lead()
        driver.arm(operation, "body", json=value)
        if operation == "token":
            answer = driver.session.post(driver.url + TOKEN_PATH, LOGIN, timeout=10)
        else:
            records = [{"attributes": {"type": "Lead"}, "id": lead, "Phone": "1"}]
            answer = driver.session.patch(
                f"{driver.url}{DATA}/composite/sobjects",
                json={"records": records},
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=10,
            )
            assert driver.org.get("Lead", lead)["Phone"] == "1"
        assert (answer.status_code, answer.json()) == (200, value)

    @pytest.mark.parametrize("operation", ["token", "data"])
    def test_another_host(self, driver: Driver, operation: str) -> None:
        driver.faults.arm(recipes.moved_to("https://new.example.com/x", operation))
        if operation == "token":
            answer = driver.session.post(driver.url + TOKEN_PATH, LOGIN, timeout=10, allow_redirects=False)
        else:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = driver.session.get(
                f"{driver.url}{DATA}/limits", headers=headers, timeout=10, allow_redirects=False
            )
        assert (answer.status_code, answer.headers["Location"]) == (302, "https://new.example.com/x")

    def test_a_bomb_and_a_slow_body(self, driver: Driver) -> None:
        driver.arm("limits", "gzip_bomb", megabytes=8)
        answer = driver.session.get(
            f"{driver.url}{DATA}/limits", headers={"Authorization": f"Bearer {TOKEN}"}, stream=True, timeout=10
        )
        packed = answer.raw.read(decode_content=False)
        assert len(gzip.decompress(packed)) > 8 * 1024 * 1024 > 100 * len(packed)
        driver.arm("limits", "drip", seconds=0)
        dripped = driver.raw("GET", f"{DATA}/limits")
        assert dripped.headers["Transfer-Encoding"] == "chunked"
        assert dripped.json()["DailyApiRequests"]["Max"] == 15_000

    def test_the_scope_is_missing(self, driver: Driver) -> None:
        driver.faults.arm(recipes.no_api_scope())
        assert driver.session.post(driver.url + TOKEN_PATH, LOGIN, timeout=10).status_code == 200
        for path in ("/limits", "/query?q=SELECT+Id+FROM+Lead", "/sobjects/Lead/describe"):
            answer = driver.raw("GET", DATA + path)
            assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")

    def test_the_version_is_unknown(self, driver: Driver) -> None:
        driver.faults.arm(recipes.unknown_version())
        for path in ("", "/limits", "/sobjects/Lead/describe"):
            assert driver.raw("GET", DATA + path).status_code == 404
        assert driver.raw("GET", "/services/data").status_code == 200

    def test_the_limits_are_forbidden(self, driver: Driver) -> None:
        driver.faults.arm(recipes.limits_forbidden())
        assert driver.raw("GET", f"{DATA}/limits").status_code == 403
        answer = driver.raw("GET", f"{DATA}/query?q=SELECT+Id+FROM+Lead")
        assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/15000"

    @pytest.mark.parametrize("name", sorted(recipes.LOGIN_REFUSALS))
    def test_a_login_is_refused(self, driver: Driver, name: str) -> None:
        driver.faults.arm(recipes.login_refused(name, times=1))
        answer = driver.session.post(driver.url + TOKEN_PATH, LOGIN, timeout=10)
        error, description = recipes.LOGIN_REFUSALS[name]
        assert (answer.status_code, answer.json()) == (400, {"error": error, "error_description": description})
        assert driver.session.post(driver.url + TOKEN_PATH, LOGIN, timeout=10).status_code == 200

    def test_a_fault_for_all_data_does_not_affect_the_login(self, driver: Driver) -> None:
        driver.faults.arm(Fault("salesforce", "data", "status", times=FOREVER, params={"status": 503}))
        assert driver.raw("GET", f"{DATA}/limits").status_code == 503
        assert driver.session.post(driver.url + TOKEN_PATH, LOGIN, timeout=10).status_code == 200
