"""What the Salesfinity client sends, and what it makes of the answers."""

import json
from collections.abc import Iterator
from itertools import product

import httpx
import pytest
from persons import link
from pydantic import SecretStr
from vendor_harness import ADA, VendorHost, Vendors, answering, built_with

from connector.core.errors import ConfigurationError, CreditsError, LostAnswerError, NotThereError, RefusedError
from connector.core.model import Channel
from connector.providers.interface import Item, ItemState, Submission, TaskReport
from connector.providers.salesfinity import REGISTRATION, SalesfinitySettings
from connector.providers.salesfinity.provider import Salesfinity

WORK, PERSONAL = Channel.WORK_EMAIL, Channel.PERSONAL_EMAIL
NOT_ENDED = TaskReport(False, {})


@pytest.fixture(scope="module")
def harness() -> Iterator[VendorHost]:
    with VendorHost() as harness:
        yield harness


@pytest.fixture
def vendors(harness: VendorHost) -> Vendors:
    return harness.fresh()


WITHOUT_VALUE = TaskReport(True, {link(ADA): Item(ItemState.NO_VALUE)})


def told(vendors: Vendors, body: object, status: int = 200) -> Salesfinity:
    """A client whose vendor always gives this answer."""
    content = json.dumps(body).encode()
    transport = answering(lambda _: httpx.Response(status, content=content))
    return vendors.salesfinity(vendors.http("salesfinity", transport=transport))


@pytest.mark.parametrize(("channel", "kind"), [(WORK, "work"), (PERSONAL, "personal")])
def test_a_submission_on_the_wire(vendors: Vendors, channel: Channel, kind: str) -> None:
    vendors.salesfinity().submit(channel, [link(ADA)], "52001", "attempt-17")
    (arrival,) = vendors.arrivals
    assert (arrival.method, arrival.path) == ("POST", "/v1/api/enrichment/email")
    assert arrival.body == {
        "linkedin_url": "https://www.linkedin.com/in/ada-sample-example",
        "type": kind,
        "external_id": "attempt-17",
    }


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("josé-álvarez", "https://www.linkedin.com/in/jos%C3%A9-%C3%A1lvarez"),
        ("青葉-健人", "https://www.linkedin.com/in/%E9%9D%92%E8%91%89-%E5%81%A5%E4%BA%BA"),
        ("a.b_c~d", "https://www.linkedin.com/in/a.b_c~d"),
    ],
)
def test_the_address_is_the_canonical_one_and_the_vendor_takes_it(vendors: Vendors, name: str, url: str) -> None:
    submission = vendors.salesfinity().submit(WORK, [link(name)], None, "attempt-1")
    assert vendors.arrivals[0].body["linkedin_url"] == url
    assert vendors.arrivals[0].body["linkedin_url"].isascii()
    assert submission.task_id is not None
    assert submission.skipped == {}


def test_two_people_in_one_request_are_a_fault_of_the_caller(vendors: Vendors) -> None:
    with pytest.raises(ValueError, match="unpack"):
        vendors.salesfinity().submit(WORK, [link(ADA), link("other")], None, "attempt-1")
    assert vendors.arrivals == []


NO_HANDLES: list[tuple[dict[str, object], int]] = [
    ({"status": "pending"}, 201),
    ({"_id": None}, 201),
    ({"_id": ""}, 201),
    ({"_id": 1.5}, 201),
    ({"_id": True}, 201),
    ({"_id": "5f\n1"}, 201),
    ({"_id": "5" * 201}, 201),
    ({"_id": ["5f"]}, 201),
    ({"id": "5f"}, 201),
    ({"_id": "5f"}, 200),
    ({"_id": "5f"}, 202),
]


def test_an_answer_without_a_handle_is_lost(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for body, status in NO_HANDLES:
        with subtests.test(body=body, status=status), pytest.raises(LostAnswerError):
            told(vendors, body, status).submit(WORK, [link(ADA)], None, "attempt-1")


@pytest.mark.parametrize("body", [{"_id": "5f 1/2"}, {"_id": "5f 1/2", "status": ["pending"]}])
def test_the_handle_is_all_that_a_submission_needs(vendors: Vendors, body: dict[str, object]) -> None:
    assert told(vendors, body, 201).submit(WORK, [link(ADA)], None, "attempt-1") == Submission("5f 1/2")


@pytest.mark.parametrize("sent", [17, 17.0, "17"])
def test_a_handle_may_be_a_number(vendors: Vendors, sent: object) -> None:
    assert told(vendors, {"_id": sent}, 201).submit(WORK, [link(ADA)], None, "attempt-1") == Submission("17")


@pytest.mark.parametrize(
    ("status", "word"), [("under_review", "under_review"), (["completed"], "no word"), (None, "no word")]
)
def test_an_unknown_state_counts_as_running_and_is_reported(vendors: Vendors, status: object, word: str) -> None:
    body = {"status": status, "email": {"email": "a@example.com"}}
    assert told(vendors, body).read_task(WORK, "5f", [link(ADA)]) == TaskReport(False, {}, word)
    assert told(vendors, {}).read_task(WORK, "5f", [link(ADA)]) == TaskReport(False, {}, "no word")


TYPES: list[tuple[Channel, object, Item]] = [
    (WORK, {"email": "a@example.com", "type": "personal"}, Item(ItemState.NO_VALUE)),
    (WORK, {"email": "a@example.com", "type": "Personal"}, Item(ItemState.NO_VALUE)),
    (WORK, {"email": "a@example.com", "type": "personal_email"}, Item(ItemState.NO_VALUE)),
    (PERSONAL, {"email": "a@example.com", "type": "work"}, Item(ItemState.NO_VALUE)),
    (WORK, {"email": "a@example.com", "type": "WORK"}, Item(ItemState.DELIVERED, "a@example.com")),
    (WORK, {"email": "a@example.com", "type": "professional"}, Item(ItemState.DELIVERED, "a@example.com")),
    (PERSONAL, {"email": "a@example.com", "type": None}, Item(ItemState.DELIVERED, "a@example.com")),
    (PERSONAL, "a@example.com", Item(ItemState.DELIVERED, "a@example.com")),
]


def test_only_an_email_of_the_type_that_was_bought_counts(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for channel, found, item in TYPES:
        with subtests.test(channel=channel, found=found, item=item):
            report = told(vendors, {"status": "completed", "email": found}).read_task(channel, "5f", [link(ADA)])
            assert report == TaskReport(True, {link(ADA): item})


def test_a_plain_email_of_another_type_does_not_count(vendors: Vendors) -> None:
    body = {"status": "completed", "email": "a@example.com", "enrichment_type": "personal_email"}
    assert told(vendors, body).read_task(WORK, "5f", [link(ADA)]) == WITHOUT_VALUE
    assert told(vendors, body).read_task(PERSONAL, "5f", [link(ADA)]).items[link(ADA)].state is ItemState.DELIVERED


OTHER_TYPES = [
    *((WORK, word) for word in ("private", "home", "free", "Private Email", "personal-email")),
    *((PERSONAL, word) for word in ("business", "professional", "corporate", "company", "Work_Email")),
]


def test_every_word_for_the_other_type_is_no_value(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for channel, word in OTHER_TYPES:
        with subtests.test(channel=channel, word=word):
            other = PERSONAL if channel is WORK else WORK
            delivered = Item(ItemState.DELIVERED, "a@example.com")
            for found in (
                {"email": {"email": "a@example.com", "type": word}},
                {"email": "a@example.com", "type": word},
                {"email": {"email": "a@example.com"}, "type": word},
                {"email": "a@example.com", "enrichment_type": word},
            ):
                client = told(vendors, {"status": "completed", **found})
                assert client.read_task(channel, "5f", [link(ADA)]) == WITHOUT_VALUE
                assert client.read_task(other, "5f", [link(ADA)]) == TaskReport(True, {link(ADA): delivered})


UNKNOWN_TYPES: list[tuple[object, str]] = [
    (["personal"], "email type no word"),
    ({"is": "work"}, "email type no word"),
    (True, "email type no word"),
    ("role", "email type role"),
    ("for bob@example.com", "email type no word"),
]


def test_an_unknown_type_is_no_value_and_is_reported(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for kind, word in UNKNOWN_TYPES:
        with subtests.test(kind=kind, word=word):
            for found in (
                {"email": {"email": "a@example.com", "type": kind}},
                {"email": "a@example.com", "type": kind},
            ):
                report = told(vendors, {"status": "completed", **found}).read_task(WORK, "5f", [link(ADA)])
                assert report == TaskReport(True, {link(ADA): Item(ItemState.NO_VALUE)}, word)


def test_the_emails_own_type_comes_first(vendors: Vendors) -> None:
    body = {"status": "completed", "type": "email", "email": {"email": "a@example.com", "type": "work"}}
    for more in ({}, {"type": "role"}, {"enrichment_type": "personal_email"}):
        report = told(vendors, {**body, **more}).read_task(WORK, "5f", [link(ADA)])
        assert report == TaskReport(True, {link(ADA): Item(ItemState.DELIVERED, "a@example.com")})


STATES: list[tuple[dict[str, object], TaskReport | Item]] = [
    ({"status": "pending"}, NOT_ENDED),
    ({"status": "processing", "email": {"email": "a@example.com"}}, NOT_ENDED),
    ({"status": "In Progress"}, NOT_ENDED),
    ({"status": "not_found"}, Item(ItemState.NOT_FOUND)),
    ({"status": "NOT FOUND"}, Item(ItemState.NOT_FOUND)),
    ({"status": "notFound"}, Item(ItemState.NOT_FOUND)),
    ({"status": "error"}, Item(ItemState.FAILED)),
    ({"status": "Completed", "email": {"email": "a@example.com"}}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "done", "email": {"email": "Ada <a@example.com>"}}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "completed", "email": {"email": "N/A"}}, Item(ItemState.NO_VALUE)),
    ({"status": "completed", "email": {"email": "a***@example.com"}}, Item(ItemState.NO_VALUE)),
    ({"status": "completed", "email": "not found"}, Item(ItemState.NO_VALUE)),
    ({"status": "completed", "email": {"email": " a@example.com "}}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "completed", "email": {"email": ""}}, Item(ItemState.NO_VALUE)),
    ({"status": "completed", "email": {"email": None, "type": "work"}}, Item(ItemState.NO_VALUE)),
    ({"status": "completed", "email": {"email": ["a@example.com"]}}, Item(ItemState.NO_VALUE)),
    ({"status": "completed", "email": "a@example.com"}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "completed", "email": None}, Item(ItemState.NO_VALUE)),
    ({"status": "completed"}, Item(ItemState.NO_VALUE)),
    ({"status": "not-found", "email": None}, Item(ItemState.NOT_FOUND)),
    ({"status": "not-found", "email": {"email": "a@example.com"}}, Item(ItemState.NOT_FOUND)),
    ({"status": "failed"}, Item(ItemState.FAILED)),
    ({"status": "failed", "error": "no mail for a@example.com"}, Item(ItemState.FAILED)),
]


def test_states_of_a_lookup(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for body, expected in STATES:
        with subtests.test(body=body, expected=expected):
            report = told(vendors, body).read_task(WORK, "5f", [link(ADA)])
            assert report == (expected if isinstance(expected, TaskReport) else TaskReport(True, {link(ADA): expected}))


OTHERS: list[dict[str, object]] = [
    {"_id": "60", "linkedin_url": "https://www.linkedin.com/in/bob", "external_id": "zzz"},
    {"_id": "60"},
    {"_id": 60},
    {"linkedin_url": "https://www.linkedin.com/in/bob"},
    {"_id": "5f", "linkedin_url": "linkedin.com/in/bob-2"},
]


def test_an_answer_about_another_lookup_or_person_proves_nothing(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for status, identity in product(("completed", "not-found", "failed", "pending"), OTHERS):
        with subtests.test(status=status, identity=identity):
            body = {"status": status, "email": {"email": "bob@example.com", "type": "work"}, **identity}
            assert told(vendors, body).read_task(WORK, "5f", [link(ADA)]) == TaskReport(False, {}, "of another lookup")


@pytest.mark.parametrize(
    "identity",
    [
        {"_id": "5f", "linkedin_url": f"http://linkedin.com/in/{ADA.upper()}/?x=1"},
        {"_id": None, "linkedin_url": None},
        {"_id": ["60"], "linkedin_url": ["https://www.linkedin.com/in/bob"]},
        {"linkedin_url": "https://www.linkedin.com/company/bob"},
    ],
)
def test_an_answer_about_this_person_or_nobody_in_particular_counts(
    vendors: Vendors, identity: dict[str, object]
) -> None:
    body = {"status": "completed", "email": "a@example.com", **identity}
    assert told(vendors, body).read_task(WORK, "5f", [link(ADA)]).items[link(ADA)].state is ItemState.DELIVERED


@pytest.mark.parametrize(
    ("channel", "outcome", "item", "charged"),
    [
        (WORK, None, Item(ItemState.DELIVERED, "ada.work@example.com"), 1),
        (PERSONAL, None, Item(ItemState.DELIVERED, "ada.home@example.com"), 1),
        (WORK, "not-found", Item(ItemState.NOT_FOUND), 0),
        (PERSONAL, "failed", Item(ItemState.FAILED), 0),
    ],
)
def test_a_lookup_of_the_simulated_vendor(
    vendors: Vendors, channel: Channel, outcome: str | None, item: Item, charged: int
) -> None:
    if outcome is not None:
        vendors.sim.salesfinity.script(ADA, "work" if channel is WORK else "personal", outcome)
    provider = vendors.salesfinity()
    lookup_id = str(provider.submit(channel, [link(ADA)], None, "attempt-1").task_id)
    assert provider.read_task(channel, lookup_id, [link(ADA)]) == NOT_ENDED
    vendors.sim.clock.advance(60)
    assert provider.read_task(channel, lookup_id, [link(ADA)]) == TaskReport(True, {link(ADA): item})
    assert vendors.sim.charges.total("salesfinity") == charged
    assert provider.balance() == 5000 - charged


def test_an_unknown_lookup(vendors: Vendors) -> None:
    with pytest.raises(NotThereError):
        vendors.salesfinity().read_task(WORK, "5f0000000000000000000001", [link(ADA)])


def test_an_odd_handle_stays_one_part_of_the_path(vendors: Vendors) -> None:
    with pytest.raises(NotThereError):
        vendors.salesfinity().read_task(WORK, "5f/../credits?x#y", [link(ADA)])
    assert vendors.arrivals[0].path == "/v1/api/enrichment/email/5f%2F..%2Fcredits%3Fx%23y"


def test_no_credits_left(vendors: Vendors) -> None:
    vendors.sim.salesfinity.balance = 0
    with pytest.raises(CreditsError):
        vendors.salesfinity().submit(WORK, [link(ADA)], None, "attempt-1")
    assert vendors.salesfinity().balance() == 0


NO_BALANCES: list[object] = [None, "250", False, [250], {"value": 250}, float("inf"), float("-inf"), 10**400]


def test_a_balance_that_is_no_number(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for balance in NO_BALANCES:
        with subtests.test(balance=balance), pytest.raises(RefusedError, match="balance cannot be read"):
            told(vendors, {"balance": balance}).balance()


def test_a_refused_key_names_the_setting(vendors: Vendors) -> None:
    with pytest.raises(ConfigurationError, match="SALESFINITY_API_KEY"):
        vendors.salesfinity(vendors.http("salesfinity", key="wrong-key")).balance()


def test_the_account_is_the_operators(vendors: Vendors) -> None:
    provider = REGISTRATION.build(SalesfinitySettings(api_key=SecretStr("k"), account="second"), built_with(vendors))
    assert provider.source.account == "second"
    assert not provider.source.sells(Channel.PHONE)
