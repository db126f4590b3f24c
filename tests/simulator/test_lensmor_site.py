"""The simulated Lensmor's unlocks over real HTTP: their results, costs and owners."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from lensmor_harness import EMAIL, PHONE, TASKS, LensmorHarness, profile, read_task, someone, submit

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


class TestUnlocking:
    def test_items_finish_one_by_one_and_the_value_belongs_to_the_account(
        self, site: LensmorSite, client: httpx.Client
    ) -> None:
        answer = submit(client, "70011", "70012", "70013")
        assert answer == {"status": "accepted", "task_id": answer["task_id"], "job_id": answer["task_id"]}
        assert read_task(client, answer) == ("pending", {})
        assert profile(client, "70011")["contactUnlockStatus"] == "unlocking"
        site.clock.advance(10.5)
        assert read_task(client, answer) == (
            "processing",
            {
                "70011": {"personnelId": "70011", "status": "unlocked", "email": "p70011@example.com"},
                "70012": {"personnelId": "70012", "status": "processing"},
                "70013": {"personnelId": "70013", "status": "pending"},
            },
        )
        site.clock.advance(19.5)
        status, items = read_task(client, answer)
        assert status == "completed"
        assert set(items) == {"70011", "70012", "70013"}
        shown = profile(client, "70013")
        assert (shown["contactUnlockStatus"], shown["email"]) == ("unlocked", "p70013@example.com")
        assert (shown["phoneUnlockStatus"], shown["phone"]) == (None, None)

    def test_a_phone_has_its_own_states_and_price(self, site: LensmorSite, client: httpx.Client) -> None:
        answer = submit(client, "70011", path=PHONE)
        assert profile(client, "70011")["phoneUnlockStatus"] == "processing"
        site.clock.advance(30)
        assert read_task(client, answer, PHONE)[1] == {
            "70011": {"personnelId": "70011", "status": "unlocked", "phone": "+44 20 7946 0011"}
        }
        shown = profile(client, "70011")
        assert (shown["phoneUnlockStatus"], shown["contactUnlockStatus"]) == ("ready", "locked")
        assert (site.charges.total(), site.balance) == (150, 100_000 - 150)

    def test_every_reason_to_skip(self, site: LensmorSite, client: httpx.Client) -> None:
        site.set_unlocked("70011", "email")
        submit(client, "70012")
        answer = submit(client, "70011", "70012", "70013", "70013", "12a", "4", "80001")
        assert answer["status"] == "accepted"
        assert answer["skipped_detail"] == {
            "already_unlocked_personnel_ids": ["70011"],
            "unlocking_personnel_ids": ["70012"],
            "invalid_personnel_ids": ["12a"],
            "missing_personnel_ids": ["4"],
            "unlinked_personnel_ids": ["80001"],
        }
        skipped = answer["skipped_personnel_ids"]
        assert isinstance(skipped, list)
        assert sorted(skipped) == ["12a", "4", "70011", "70012", "80001"]
        assert [entry.person for entry in site.charges.entries] == ["70012", "70013"]

    def test_success_without_task_when_nothing_is_chargeable(self, site: LensmorSite, client: httpx.Client) -> None:
        site.set_unlocked("70011", "email")
        assert submit(client, "70011") == {
            "status": "success",
            "skipped_personnel_ids": ["70011"],
            "skipped_detail": {"already_unlocked_personnel_ids": ["70011"]},
        }
        assert site.charges.total() == 0

    def test_without_an_event_no_person_is_skipped_as_unlinked(self, client: httpx.Client) -> None:
        assert "skipped_detail" not in submit(client, "70011", "80001", event=None)

    def test_an_event_is_known_by_both_its_numbers(self, client: httpx.Client) -> None:
        assert "skipped_detail" not in submit(client, "80001", event="9002")
        assert client.post(EMAIL, json={"personnel_ids": ["70011"], "event_id": "1"}).status_code == 404

    def test_the_older_contract_requires_an_event_and_prefixes_task_ids(
        self, site: LensmorSite, client: httpx.Client
    ) -> None:
        site.require_event, site.task_ids_prefixed = True, True
        assert client.post(EMAIL, json={"personnel_ids": ["70011"]}).status_code == 400
        answer = submit(client, "70011")
        assert str(answer["task_id"]).startswith("task_")
        assert read_task(client, answer)[0] == "pending"

    @pytest.mark.parametrize(
        ("outcome", "task_status", "item", "shown"),
        [
            ("failed", "completed", {"status": "failed", "errorCode": "TASK_FAILED"}, ("failed", None)),
            ("task_failed", "failed", {"status": "failed", "errorCode": "TASK_FAILED"}, ("failed", None)),
            ("no_value", "completed", {"status": "unlocked", "email": None}, ("unlocked", None)),
            ("missing", "completed", None, ("unlocked", "p70012@example.com")),
            ("unfinished", "completed", {"status": "processing"}, ("unlocked", "p70012@example.com")),
            ("stuck", "processing", {"status": "processing"}, ("unlocking", None)),
        ],
    )
    def test_every_scripted_outcome(
        self,
        site: LensmorSite,
        client: httpx.Client,
        outcome: str,
        task_status: str,
        item: dict[str, object] | None,
        shown: tuple[str, str | None],
    ) -> None:
        site.script("70012", "email", outcome)
        answer = submit(client, "70011", "70012", "70013")
        site.clock.advance(31)
        status, items = read_task(client, answer)
        assert status == task_status
        assert items.get("70012") == (None if item is None else {"personnelId": "70012", **item})
        assert {"70011", "70013"} <= set(items)
        person = profile(client, "70012")
        assert (person["contactUnlockStatus"], person["email"]) == shown
        assert site.charges.count("lensmor", "70012", "email") == 1

    def test_a_person_without_email_ends_as_failed(self, site: LensmorSite, client: httpx.Client) -> None:
        site.add_person(someone(70011, email=None))
        answer = submit(client, "70011")
        site.clock.advance(30)
        assert read_task(client, answer)[1] == {
            "70011": {"personnelId": "70011", "status": "failed", "errorCode": "TASK_FAILED"}
        }

    def test_a_failed_item_may_be_bought_again_and_costs_again(self, site: LensmorSite, client: httpx.Client) -> None:
        site.script("70011", "email", "failed")
        submit(client, "70011")
        site.clock.advance(30)
        assert submit(client, "70011")["status"] == "accepted"
        assert site.charges.doubles() == [("lensmor", "70011", "email")]

    def test_a_failed_item_is_refunded(self, site: LensmorSite, client: httpx.Client) -> None:
        site.refund_failed = True
        site.script("70011", "email", "failed")
        submit(client, "70011")
        assert site.charges.count("lensmor", "70011", "email") == 1
        site.clock.advance(30)
        assert (site.charges.count("lensmor", "70011", "email"), site.charges.total()) == (0, 0)
        assert site.balance == 100_000

    def test_the_profile_lags_at_both_ends(self, site: LensmorSite, client: httpx.Client) -> None:
        site.profile_lag_seconds = 60
        answer = submit(client, "70011")
        site.clock.advance(30)
        assert read_task(client, answer)[0] == "completed"
        assert profile(client, "70011")["contactUnlockStatus"] == "locked"
        assert submit(client, "70011")["status"] == "success"
        site.clock.advance(30)
        assert profile(client, "70011")["contactUnlockStatus"] == "unlocking"
        site.clock.advance(30)
        assert profile(client, "70011")["email"] == "p70011@example.com"

    def test_a_repetition_is_charged_while_skip_rules_lag(self, site: LensmorSite, client: httpx.Client) -> None:
        site.skip_lag_seconds = 5
        submit(client, "70011")
        submit(client, "70011")
        site.clock.advance(5)
        assert submit(client, "70011")["status"] == "success"
        assert site.charges.doubles() == [("lensmor", "70011", "email")]


class TestMoney:
    def test_all_or_nothing_when_credits_are_short(self, site: LensmorSite, client: httpx.Client) -> None:
        site.balance = 44
        response = client.post(EMAIL, json={"personnel_ids": ["70011", "70012", "70013"]})
        assert (response.status_code, response.json()["errorKey"]) == (402, "INSUFFICIENT_CREDITS")
        assert site.balance == 44
        assert profile(client, "70011")["contactUnlockStatus"] == "locked"
        assert submit(client, "70011", "70012")["status"] == "accepted"
        assert site.balance == 14

    def test_an_event_is_bought_once(self, site: LensmorSite, client: httpx.Client) -> None:
        site.balance = 2_500
        first = client.post("/external/events/9001/unlock")
        again = client.post("/external/events/52001/unlock")
        assert first.json()["creditsUsed"] == 2000
        assert first.json()["balanceAfter"]["totalBalance"] == 500
        assert (again.status_code, again.json()["alreadyUnlocked"], again.json()["balanceAfter"]) == (201, True, None)
        assert client.post("/external/events/9002/unlock").status_code == 402
        assert site.charges.count("lensmor", "52001", "event") == 1

    def test_the_balance_is_the_sum_of_its_parts(self, site: LensmorSite, client: httpx.Client) -> None:
        site.balance = 3_000
        body = client.get("/external/credits/balance").json()
        parts = body["subscriptionBalance"] + body["addonBalance"] + body["giftBalance"]
        assert (body["totalBalance"], parts) == (3_000, 3_000)

    def test_precheck_costs_nothing(self, site: LensmorSite, client: httpx.Client) -> None:
        def decide(action: str, **params: object) -> tuple[object, object]:
            body = client.post("/external/actions/precheck", json={"action_type": action, "params": params}).json()
            return body["reason_code"], body["credits"]

        site.set_unlocked("70012", "email")
        assert decide("unlock_contact_emails", personnel_ids=["70011", "70012"], event_id="52001") == ("ok", 15)
        assert decide("unlock_contact_emails", personnel_ids=["70012"]) == ("already_unlocked", 0)
        assert decide("unlock_contact_phones", personnel_ids=["70011"]) == ("ok", 150)
        assert decide("unlock_contact_phones", personnel_ids=["4"]) == ("not_found", 0)
        assert decide("unlock_contact_phones") == ("invalid_subject", 0)
        assert decide("dance") == ("unsupported_action", 0)
        site.balance = 10
        assert decide("unlock_contact_emails", personnel_ids=["70011"]) == ("insufficient_balance", 15)
        site.max_batch = 1
        assert decide("unlock_contact_emails", personnel_ids=["1", "2"]) == ("exceed_max_unlock_limit", 0)
        assert site.charges.total() == 0

    def test_simultaneous_submissions_are_two_separate_steps(self, site: LensmorSite, client: httpx.Client) -> None:
        ids = [str(number) for number in range(70011, 70061)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: submit(client, *ids), range(16)))
        assert [answer["status"] for answer in answers].count("accepted") == 1
        assert (len(site.charges.entries), site.charges.doubles()) == (50, [])

    def test_unlocks_and_tasks_belong_to_the_account(self, site: LensmorSite, client: httpx.Client) -> None:
        site.keys["other-key"] = "other"
        answer = submit(client, "70011")
        site.clock.advance(30)
        other = {"Authorization": "BEARER other-key"}
        assert client.get(f"{TASKS[EMAIL]}{answer['task_id']}", headers=other).status_code == 404
        assert client.get(f"{TASKS[PHONE]}{answer['task_id']}").status_code == 404
        shown = client.get("/external/personnel/profile", params={"personnel_id": "70011"}, headers=other).json()
        assert (shown["contactUnlockStatus"], shown["email"]) == ("locked", None)
        assert site.balance_of("other") == 100_000


def test_unknown_scripts_are_refused(site: LensmorSite) -> None:
    with pytest.raises(ValueError, match="cannot script"):
        site.script("70011", "email", "lost")
