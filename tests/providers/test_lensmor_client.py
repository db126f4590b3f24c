"""What the Lensmor client makes of Lensmor's answers: tasks, profiles and lookups in all their forms."""

from collections.abc import Iterator
from itertools import product

import httpx
import pytest
from persons import link, match_with, pid, pids
from pydantic import SecretStr
from vendor_harness import ADA, VendorHost, Vendors, answering, built_with

from connector.core.errors import ConfigurationError, RefusedError
from connector.core.model import Channel
from connector.core.recover import ProviderState
from connector.providers.interface import ChannelStatus, IdentityResult, Item, ItemState, TaskReport
from connector.providers.lensmor import REGISTRATION, LensmorSettings
from connector.providers.lensmor.provider import Lensmor

EMAIL, PHONE = Channel.WORK_EMAIL, Channel.PHONE
PEOPLE = ["1", "2", "3"]
UNLOCK_PATHS = {EMAIL: "/external/contacts/unlock", PHONE: "/external/contacts/unlock-phone"}


@pytest.fixture(scope="module")
def harness() -> Iterator[VendorHost]:
    with VendorHost() as harness:
        yield harness


@pytest.fixture
def vendors(harness: VendorHost) -> Vendors:
    return harness.fresh()


def told(vendors: Vendors, body: object) -> Lensmor:
    """A client whose vendor always gives this answer."""
    return vendors.lensmor(vendors.http("lensmor", transport=answering(lambda _: httpx.Response(200, json=body))))


# -- tasks -----------------------------------------------------------------------------------------------------


TASK_WORDS: list[tuple[str, bool]] = [
    *[(word, False) for word in ("pending", "processing", "Processing", "IN_PROGRESS", "in-progress", "queued")],
    *[(word, True) for word in ("completed", "COMPLETED", "Completed ", "done", "Done", "success", "succeeded")],
    *[(word, True) for word in ("failed", "Failed", "error", "ERROR")],
]


def test_task_words(vendors: Vendors) -> None:
    wrong = [
        (status, ended, got)
        for status, ended in TASK_WORDS
        if (got := told(vendors, {"taskStatus": status, "items": []}).read_task(EMAIL, "9", pids(PEOPLE)))
        != TaskReport(ended, {})
    ]
    assert wrong == []


UNKNOWN_WORDS: list[tuple[object, str]] = [
    ("under_review", "under_review"),
    ("Under Review!", "Under Review"),
    ("x" * 60, "x" * 40),
    ("<b>late</b>", "blateb"),
    ("wait for ada@example.com", "no word"),
    ("call +1 415 555 0100", "no word"),
    ("\u5f85\u3061", "no word"),
    ("", "no word"),
    (None, "no word"),
    (["completed"], "no word"),
    ({"state": "completed"}, "no word"),
    (True, "no word"),
]


def test_an_unknown_word_counts_as_running_and_is_reported(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for status, word in UNKNOWN_WORDS:
        with subtests.test(status=status, word=word):
            rows = [{"personnelId": "1", "status": status, "email": "a@example.com"}]
            report = told(vendors, {"taskStatus": status, "items": rows}).read_task(EMAIL, "9", pids(PEOPLE))
            assert report == TaskReport(False, {pid("1"): Item(ItemState.RUNNING, unknown_word=word)}, word)


NOT_EMAILS = ["N/A", "null", "not found", "-", "a***@example.com", "email_not_unlocked@example.com", "a@example", 5]
NOT_PHONES = ["N/A", "null", "-", "0000000000", "+1 415 555 XXXX", "+1 415 *** **12", "555", True]
RUNNING, NO_VALUE = Item(ItemState.RUNNING), Item(ItemState.NO_VALUE)


ITEMS: list[tuple[dict[str, object], Item]] = [
    ({"status": "pending"}, RUNNING),
    ({"status": "processing"}, RUNNING),
    ({"status": "In progress", "email": "a@example.com"}, RUNNING),
    ({"status": "Unlocked", "email": "a@example.com"}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "UN-LOCKED", "email": "a@example.com"}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "success", "email": "a@example.com"}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "unlocked", "email": "mailto:a@example.com"}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "unlocked", "email": "Ada <a@example.com>"}, Item(ItemState.DELIVERED, "a@example.com")),
    *[({"status": "unlocked", "email": text}, NO_VALUE) for text in NOT_EMAILS],
    ({"status": "Error"}, Item(ItemState.FAILED)),
    ({"status": "unlocked", "email": "a@example.com"}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "unlocked", "email": " a@example.com\n"}, Item(ItemState.DELIVERED, "a@example.com")),
    ({"status": "unlocked", "email": None}, NO_VALUE),
    ({"status": "unlocked", "email": "  "}, NO_VALUE),
    ({"status": "unlocked", "email": ["a@example.com"]}, NO_VALUE),
    ({"status": "unlocked", "phone": "+1 415 555 0100"}, NO_VALUE),
    ({"status": "unlocked"}, NO_VALUE),
    ({"status": "failed", "errorCode": "TASK_FAILED"}, Item(ItemState.FAILED, detail="TASK_FAILED")),
    ({"status": "failed"}, Item(ItemState.FAILED)),
    ({"status": "failed", "errorCode": 17}, Item(ItemState.FAILED)),
    ({"status": "failed", "errorCode": "no mail for a@example.com"}, Item(ItemState.FAILED)),
    ({"status": "failed", "errorCode": "X" * 500}, Item(ItemState.FAILED, detail="X" * 60)),
]


def test_items(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for item, expected in ITEMS:
        with subtests.test(item=item, expected=expected):
            body = {"taskStatus": "processing", "items": [{"personnelId": "1", **item}]}
            assert told(vendors, body).read_task(EMAIL, "9", pids(PEOPLE)).items == {pid("1"): expected}


def test_a_phone_task_gives_phones_only(vendors: Vendors) -> None:
    rows = [
        {"personnelId": 1, "status": "unlocked", "phone": "+1 415 555 0100", "email": "a@example.com"},
        {"personnelId": "2", "status": "unlocked", "email": "a@example.com"},
    ]
    report = told(vendors, {"taskStatus": "completed", "items": rows}).read_task(PHONE, "9", pids(PEOPLE))
    assert report == TaskReport(True, {pid("1"): Item(ItemState.DELIVERED, "+1 415 555 0100"), pid("2"): NO_VALUE})


def test_a_phone_that_is_no_number_is_no_value(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for text in NOT_PHONES:
        with subtests.test(text=text):
            rows = [{"personnelId": "1", "status": "unlocked", "phone": text}]
            report = told(vendors, {"taskStatus": "completed", "items": rows}).read_task(PHONE, "9", pids(PEOPLE))
            assert report.items == {pid("1"): NO_VALUE}


def test_ids_and_phones_may_be_numbers(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for person, value in product(("123", 123, 123.0), ("+1 415 555 0100", 14155550100, 14155550100.0)):
        with subtests.test(person=person, value=value):
            rows = [{"personnelId": person, "status": "unlocked", "phone": value}]
            report = told(vendors, {"taskStatus": "completed", "items": rows}).read_task(PHONE, "9", pids(PEOPLE))
            number = value if isinstance(value, str) else "14155550100"
            assert report.items == {pid("123"): Item(ItemState.DELIVERED, number)}


UNLOCKED = {"personnelId": "1", "status": "unlocked", "email": "a@example.com"}
DELIVERED = Item(ItemState.DELIVERED, "a@example.com")


BEST_LINES: list[tuple[list[object], Item]] = [
    ([UNLOCKED, {"personnelId": 1, "status": "failed"}], DELIVERED),
    ([{"personnelId": 1.0, "status": "failed"}, UNLOCKED], DELIVERED),
    ([UNLOCKED, {**UNLOCKED, "email": None}], DELIVERED),
    ([{**UNLOCKED, "email": "N/A"}, UNLOCKED], DELIVERED),
    ([UNLOCKED, {**UNLOCKED, "status": "pending"}], DELIVERED),
    ([UNLOCKED, {**UNLOCKED, "email": "b@example.com"}], DELIVERED),
    ([{**UNLOCKED, "email": "N/A"}, {"personnelId": "1", "status": "failed"}], NO_VALUE),
    ([{"personnelId": "1", "status": "failed"}, {"personnelId": "1", "status": "processing"}], RUNNING),
    ([{"personnelId": "1", "status": "failed"}, {"personnelId": "1", "status": "failed"}], Item(ItemState.FAILED)),
]


def test_the_best_line_of_a_person_counts(vendors: Vendors) -> None:
    wrong = [
        (rows, best, got)
        for rows, best in BEST_LINES
        if (got := told(vendors, {"taskStatus": "failed", "items": rows}).read_task(EMAIL, "9", pids(PEOPLE)).items)
        != {pid("1"): best}
    ]
    assert wrong == []


UNREADABLE_ITEMS: list[object] = [
    None,
    "items",
    5,
    {"1": "unlocked"},
    [None, "1", 5, [], {}],
    [{"personnelId": None}, {"personnelId": True}],
    [
        {"personnelId": "1\n", "status": "failed"},
        {"personnelId": 1.5},
        {"personnelId": ""},
        {"personnelId": "1" * 201},
    ],
]


def test_unreadable_items_are_no_items(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for items in UNREADABLE_ITEMS:
        with subtests.test(items=items):
            report = told(vendors, {"taskStatus": "completed", "items": items}).read_task(EMAIL, "9", pids(PEOPLE))
            assert report == TaskReport(True, {})


@pytest.mark.parametrize(
    ("channel", "route"),
    [(EMAIL, "unlock-tasks"), (PHONE, "unlock-phone-tasks")],
)
def test_an_odd_task_id_stays_one_part_of_the_path(vendors: Vendors, channel: Channel, route: str) -> None:
    asked: list[bytes] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200, json={"taskStatus": "pending", "items": []})

    provider = vendors.lensmor(vendors.http("lensmor", transport=answering(respond)))
    provider.read_task(channel, "task 1/../2?x=%20#é", pids(PEOPLE))
    assert asked == [f"/external/contacts/{route}/task%201%2F..%2F2%3Fx%3D%2520%23%C3%A9".encode()]


def test_a_whole_task_of_the_simulated_vendor(vendors: Vendors) -> None:
    site = vendors.sim.lensmor
    for person, outcome in (("70012", "failed"), ("70013", "no_value"), ("70014", "missing"), ("70015", "unfinished")):
        site.script(person, "email", outcome)
    people = pids(["70011", "70012", "70013", "70014", "70015"])
    provider = vendors.lensmor()
    task_id = str(provider.submit(EMAIL, people, "52001", "attempt-1").task_id)
    assert provider.read_task(EMAIL, task_id, people) == TaskReport(False, {})
    vendors.sim.clock.advance(7)
    halfway = provider.read_task(EMAIL, task_id, people)
    assert not halfway.ended
    assert halfway.items[pid("70011")] == Item(ItemState.DELIVERED, "ada@example.com")
    vendors.sim.clock.advance(60)
    assert provider.read_task(EMAIL, task_id, people) == TaskReport(
        True,
        {
            pid("70011"): Item(ItemState.DELIVERED, "ada@example.com"),
            pid("70012"): Item(ItemState.FAILED, detail="TASK_FAILED"),
            pid("70013"): NO_VALUE,
            pid("70015"): RUNNING,
        },
    )
    assert vendors.count("lensmor", "submitEmailUnlock") == 1


# -- what the account already shows ------------------------------------------------------------------------------

ALL_UNREADABLE = {EMAIL: ChannelStatus(ProviderState.UNREADABLE), PHONE: ChannelStatus(ProviderState.UNREADABLE)}


PROFILE_WORDS: list[tuple[dict[str, object], ProviderState, ProviderState]] = [
    ({"contactUnlockStatus": "locked", "phoneUnlockStatus": None}, ProviderState.NOT_BOUGHT, ProviderState.NOT_BOUGHT),
    ({"contactUnlockStatus": "locked"}, ProviderState.NOT_BOUGHT, ProviderState.NOT_BOUGHT),
    (
        {"contactUnlockStatus": "unlocking", "phoneUnlockStatus": "processing"},
        ProviderState.RUNNING,
        ProviderState.RUNNING,
    ),
    ({"contactUnlockStatus": "failed", "phoneUnlockStatus": "failed"}, ProviderState.FAILED, ProviderState.FAILED),
    ({"contactUnlockStatus": "unlocked", "phoneUnlockStatus": "ready"}, ProviderState.NO_VALUE, ProviderState.NO_VALUE),
    ({"contactUnlockStatus": "Locked"}, ProviderState.NOT_BOUGHT, ProviderState.NOT_BOUGHT),
    ({"contactUnlockStatus": "UNLOCKED", "phoneUnlockStatus": "Ready"}, ProviderState.NO_VALUE, ProviderState.NO_VALUE),
    ({"contactUnlockStatus": "error", "phoneUnlockStatus": "ERROR"}, ProviderState.FAILED, ProviderState.FAILED),
    (
        {"contactUnlockStatus": "Processing", "phoneUnlockStatus": "in_progress"},
        ProviderState.RUNNING,
        ProviderState.RUNNING,
    ),
]


def test_profile_words(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for shown, email, phone in PROFILE_WORDS:
        with subtests.test(shown=shown, email=email, phone=phone):
            found = told(vendors, {"id": "70011", "fullName": "Ada", **shown}).read_person(pid("70011"))
            assert found == {EMAIL: ChannelStatus(email), PHONE: ChannelStatus(phone)}


UNKNOWN_PROFILE_WORDS: list[tuple[dict[str, object], str, str]] = [
    ({"contactUnlockStatus": "archived", "phoneUnlockStatus": "Held back"}, "archived", "Held back"),
    ({"contactUnlockStatus": ["locked"], "phoneUnlockStatus": {}}, "no word", "no word"),
    ({"contactUnlockStatus": "ready", "phoneUnlockStatus": "locked"}, "ready", "locked"),
    ({"phoneUnlockStatus": ""}, "no word", "no word"),
]


def test_unknown_profile_words_prove_nothing(vendors: Vendors, subtests: pytest.Subtests) -> None:
    """Read as "not bought", such a word would let a lost purchase be made a second time."""
    for shown, email, phone in UNKNOWN_PROFILE_WORDS:
        with subtests.test(shown=shown, email=email, phone=phone):
            found = told(vendors, {"id": "70011", "email": "a@example.com", "phone": "+14155550100", **shown})
            assert found.read_person(pid("70011")) == {
                EMAIL: ChannelStatus(ProviderState.UNREADABLE, unknown_word=email),
                PHONE: ChannelStatus(ProviderState.UNREADABLE, unknown_word=phone),
            }


def test_a_profile_with_a_placeholder_has_no_value(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for email, phone in zip(NOT_EMAILS, NOT_PHONES, strict=True):
        with subtests.test(email=email, phone=phone):
            person = {"contactUnlockStatus": "unlocked", "phoneUnlockStatus": "ready", "email": email, "phone": phone}
            nothing = {EMAIL: ChannelStatus(ProviderState.NO_VALUE), PHONE: ChannelStatus(ProviderState.NO_VALUE)}
            assert told(vendors, {"id": 70011.0, **person}).read_person(pid("70011")) == nothing
            assert told(vendors, {"personnel": {"id": 70011, **person}}).resolve_identity(link(ADA)).statuses == nothing


def test_a_value_counts_only_with_the_word_that_says_so(vendors: Vendors) -> None:
    shown = {"id": "70011", "email": " a@example.com ", "contactUnlockStatus": "locked", "phone": "+1 415 555 0100"}
    found = told(vendors, shown).read_person(pid("70011"))
    assert found[EMAIL] == ChannelStatus(ProviderState.NOT_BOUGHT)
    assert found[PHONE] == ChannelStatus(ProviderState.NOT_BOUGHT)
    found = told(vendors, {**shown, "contactUnlockStatus": "unlocked", "phoneUnlockStatus": "ready"}).read_person(
        pid("70011")
    )
    assert found[EMAIL] == ChannelStatus(ProviderState.DELIVERED, "a@example.com")
    assert found[PHONE] == ChannelStatus(ProviderState.DELIVERED, "+1 415 555 0100")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ok": True},
        {"id": "70012", "email": "other@example.com"},
        {"id": ["70011"], "contactUnlockStatus": "locked"},
    ],
)
def test_an_answer_about_nobody_or_another_never_says_that_nothing_was_bought(
    vendors: Vendors, body: dict[str, object]
) -> None:
    """Read as "not bought", it would let a lost purchase be made a second time."""
    assert told(vendors, body).read_person(pid("70011")) == ALL_UNREADABLE


BOB = {"id": "777", "contactUnlockStatus": "unlocked", "email": "bob@example.com"}


@pytest.mark.parametrize("url", ["https://www.linkedin.com/in/bob", "linkedin.com/in/bob-2/en"])
def test_a_lookup_answered_with_another_profile_is_refused(vendors: Vendors, url: str) -> None:
    with pytest.raises(RefusedError, match="about another profile"):
        told(vendors, {"personnel": {**BOB, "linkedinUrl": url}}).resolve_identity(link(ADA))


@pytest.mark.parametrize(
    "url", [None, "", 5, "N/A", "linkedin.com/in/ACoAAA8BYqEBxyz", f"HTTPS://nl.linkedin.com/in/{ADA.title()}/?x=1"]
)
def test_a_lookup_answered_with_this_profile_or_none_is_taken(vendors: Vendors, url: object) -> None:
    found = told(vendors, {"personnel": {**BOB, "linkedinUrl": url}}).resolve_identity(link(ADA))
    assert found.match == match_with("777")
    assert found.statuses[EMAIL] == ChannelStatus(ProviderState.DELIVERED, "bob@example.com")


def test_profiles_of_the_simulated_vendor(vendors: Vendors) -> None:
    provider = vendors.lensmor()
    assert provider.read_person(pid("70011")) == {
        EMAIL: ChannelStatus(ProviderState.NOT_BOUGHT),
        PHONE: ChannelStatus(ProviderState.NOT_BOUGHT),
    }
    vendors.start_tasks()
    assert provider.read_person(pid("70011")) == {
        EMAIL: ChannelStatus(ProviderState.RUNNING),
        PHONE: ChannelStatus(ProviderState.RUNNING),
    }
    vendors.sim.clock.advance(60)
    delivered = {
        EMAIL: ChannelStatus(ProviderState.DELIVERED, "ada@example.com"),
        PHONE: ChannelStatus(ProviderState.DELIVERED, "+1 415 555 0100"),
    }
    assert provider.read_person(pid("70011")) == delivered
    vendors.arm("lensmor", "getPersonnelProfile", "wrong_types")
    assert provider.read_person(pid("70011")) == ALL_UNREADABLE

    assert provider.resolve_identity(link(ADA)) == IdentityResult(match_with("70011", ("52001",)), delivered)
    assert provider.resolve_identity(link("nobody-at-all")) == IdentityResult(match_with(None))
    assert provider.grouping_keys_of(pid("70011")) == ("52001",)


def test_a_lookup_on_the_wire(vendors: Vendors) -> None:
    vendors.lensmor().resolve_identity(link("青葉-健人"))
    (arrival,) = vendors.arrivals
    assert arrival.path == (
        "/external/personnel/events/by-linkedin?linkedin_url="
        "https%3A%2F%2Fwww.linkedin.com%2Fin%2F%25E9%259D%2592%25E8%2591%2589-%25E5%2581%25A5%25E4%25BA%25BA"
    )


NO_IDS: list[object] = [
    None,
    "70011",
    [],
    {},
    {"id": None},
    {"id": "p-70011"},
    {"id": ["70011"]},
    {"id": "٧٠"},
    {"id": -1},
    {"id": 1.5},
    {"id": "0"},
    {"id": 1e20},
    {"id": "70011\t2"},
    {"id": "7" * 21},
]


def test_a_lookup_that_names_no_id_is_no_answer(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for personnel in NO_IDS:
        with subtests.test(personnel=personnel), pytest.raises(RefusedError, match="names no personnel id"):
            told(vendors, {"personnel": personnel, "events": {"items": []}}).resolve_identity(link(ADA))


EVENTS: list[tuple[object, tuple[str, ...]]] = [
    (
        {"items": [{"eventId": "52001", "id": "9001"}, {"id": "9002"}, {"eventId": 52017}]},
        ("52001", "9002", "52017"),
    ),
    ({"items": [{}, None, "52001", {"eventId": None, "id": ""}, {"eventId": []}]}, ()),
    ({"items": [{"eventId": 52001.0}, {"eventId": "52\n001"}, {"eventId": "5" * 201}]}, ("52001",)),
    ({"items": 5}, ()),
    ({"items": True}, ()),
    ({"items": {"eventId": "1"}}, ()),
    ({"items": None}, ()),
    ([], ()),
    (None, ()),
]


def test_events_of_a_person(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for events, ids in EVENTS:
        with subtests.test(events=events, ids=ids):
            found = told(vendors, {"personnel": {"id": 70011}, "events": events}).resolve_identity(link(ADA))
            assert found.match == match_with("70011", ids)
            if isinstance(events, dict):
                assert told(vendors, events).grouping_keys_of(pid("70011")) == ids


# -- credits and settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "credits_left"), [({"totalBalance": 9115, "giftBalance": 1}, 9115), ({"totalBalance": 12.0}, 12)]
)
def test_the_balance_is_the_total(vendors: Vendors, body: dict[str, object], credits_left: int) -> None:
    assert told(vendors, body).balance() == credits_left


NO_BALANCES: tuple[object, ...] = (None, "9115", True, [9115], {}, float("inf"), float("nan"), 10**400)


def read_a_balance(vendors: Vendors, total: object) -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        import json

        return httpx.Response(200, content=json.dumps({"totalBalance": total}).encode())

    with pytest.raises(RefusedError, match="balance cannot be read"):
        vendors.lensmor(vendors.http("lensmor", transport=answering(respond))).balance()


def test_a_balance_that_is_no_number(vendors: Vendors, subtests: pytest.Subtests) -> None:
    for total in NO_BALANCES:
        with subtests.test(total=total):
            read_a_balance(vendors, total)


def test_prices_come_from_the_settings(vendors: Vendors) -> None:
    settings = LensmorSettings(api_key=SecretStr("k"), email_credits=12, phone_credits=140, account="second")
    provider = REGISTRATION.build(settings, built_with(vendors))
    source = provider.source
    assert (source.account, source.prices.of(EMAIL), source.prices.of(PHONE)) == ("second", 12, 140)
    assert not source.sells(Channel.PERSONAL_EMAIL)


def test_a_refused_key_at_the_balance_names_the_setting(vendors: Vendors) -> None:
    with pytest.raises(ConfigurationError, match="LENSMOR_API_KEY"):
        vendors.lensmor(vendors.http("lensmor", key="wrong-key")).balance()
