"""The one suite that every provider of the registry must pass, over HTTP against its simulated vendor.

What the engine relies on: a purchase leaves once and its errors say what it may have cost; reads are free and can be
repeated; what a provider claims about itself (`keeps_records`, `resolves`, `charges_failures`) is so.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from persons import link, match_with, pid
from provider_kits import EVENT, KITS, NUMBERS, Kit, KitHost, linkedin_name

from connector.config import check_url, read_settings
from connector.core.errors import (
    ConfigurationError,
    ConnectorError,
    CreditsError,
    DownError,
    LostAnswerError,
    NotThereError,
    RefusedError,
    UnreachableError,
    UnsupportedError,
)
from connector.core.identifiers import LINKEDIN
from connector.core.model import Channel, Identifier, IdentityMatch
from connector.core.recover import ProviderState
from connector.providers import REGISTRY
from connector.providers.interface import UNREADABLE_WORD, Item, ItemState, Submission, TaskReport
from connector.providers.settings import BuiltWith, ProviderSettings

SOLD = [(name, channel) for name, entry in REGISTRY.items() for channel in sorted(entry.channels)]
each_provider = pytest.mark.parametrize("name", REGISTRY)
each_channel = pytest.mark.parametrize(("name", "channel"), SOLD)


@pytest.fixture(scope="module")
def host() -> Iterator[KitHost]:
    with KitHost() as host:
        yield host


@pytest.fixture
def kit(host: KitHost, name: str) -> Iterator[Kit]:
    kit = host.fresh(name)
    yield kit
    kit.close()


def submit(kit: Kit, channel: Channel, people: list[Identifier], attempt_id: str = "attempt-1") -> Submission:
    return kit.provider().submit(channel, people, EVENT.event_id, attempt_id)


def test_every_registered_provider_is_tried() -> None:
    assert set(KITS) == set(REGISTRY)


# -- what it says of itself -------------------------------------------------------------------------------------


@each_provider
def test_it_is_what_the_registry_says(kit: Kit, name: str) -> None:
    entry, provider = REGISTRY[name], kit.provider()
    assert (provider.name, provider.source.name, provider.source.account) == (name, name, "default")
    assert set(provider.source.prices.by_channel) == entry.channels
    assert all(price > 0 for price in provider.source.prices.by_channel.values())
    assert isinstance(provider.keeps_records, bool)
    assert isinstance(provider.charges_failures, bool)
    assert provider.parallel >= 1
    assert list(provider.poll_schedule_s) == sorted(provider.poll_schedule_s)
    assert all(seconds > 0 for seconds in provider.poll_schedule_s)


@each_provider
def test_its_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, value in (("API_KEY", "secret-key"), ("ACCOUNT", "second"), ("REQUESTS_PER_MINUTE", "30")):
        monkeypatch.setenv(f"{name.upper()}_{setting}", value)
    monkeypatch.setenv(f"CONNECTOR_MAX_CREDITS_PER_DAY_{name.upper()}", "500")
    entry = REGISTRY[name]
    settings: ProviderSettings = read_settings(entry.settings, None)
    assert check_url("base url", settings.base_url).startswith("https://")
    assert (settings.account, settings.requests_per_minute, settings.max_per_day) == ("second", 30, 500)
    assert settings.api_key is not None
    assert "secret-key" not in repr(settings)
    assert any("secret-key" in value for value in entry.headers(settings.api_key.get_secret_value()).values())


@each_provider
def test_it_is_built_from_its_own_settings_only(kit: Kit, name: str) -> None:
    kit.provider()
    with pytest.raises(TypeError):
        REGISTRY[name].build(kit.connections[0], ProviderSettings(), BuiltWith((1.0,)))


# -- buying ----------------------------------------------------------------------------------------------------


@each_channel
def test_the_largest_batch_is_one_request_that_the_vendor_takes(kit: Kit, channel: Channel) -> None:
    provider = kit.provider()
    size = provider.batch_size(channel)
    assert 1 <= size < len(NUMBERS)
    people = kit.people(size)
    submission = submit(kit, channel, people)
    assert submission.task_id
    assert submission.skipped == {}
    assert kit.log.count() == 1
    kit.let_it_finish()
    report = provider.read_task(channel, submission.task_id, people)
    assert report.ended
    assert set(report.items) == set(people)
    assert kit.spent() == size * provider.source.prices.of(channel)
    assert kit.sim.charges.doubles() == []


@each_channel
def test_a_task_from_its_start_to_its_end(kit: Kit, channel: Channel) -> None:
    (person,) = kit.people(1)
    task_id = str(submit(kit, channel, [person]).task_id)
    provider = kit.provider()
    started = provider.read_task(channel, task_id, [person])
    assert not started.ended
    assert all(item.state is ItemState.RUNNING for item in started.items.values())
    kit.let_it_finish()
    ended = provider.read_task(channel, task_id, [person])
    assert ended.ended
    item = ended.items[person]
    assert item.state is ItemState.DELIVERED
    assert item.value
    assert item.value == item.value.strip()
    assert provider.read_task(channel, task_id, [person]) == ended, "reading is repeatable"
    assert kit.spent() == provider.source.prices.of(channel), "and free"


@each_channel
@pytest.mark.parametrize("state", [state for state in ItemState if state is not ItemState.RUNNING])
def test_each_end_of_an_item(kit: Kit, channel: Channel, state: ItemState) -> None:
    if state not in kit.outcomes:
        assert state in {ItemState.NO_VALUE, ItemState.NOT_FOUND}  # a vendor has one of these two words
        return
    (person,) = kit.people(1)
    kit.script(person, channel, kit.outcomes[state])
    task_id = str(submit(kit, channel, [person]).task_id)
    kit.let_it_finish()
    provider = kit.provider()
    report = provider.read_task(channel, task_id, [person])
    assert isinstance(report, TaskReport)
    assert report.ended
    assert report.items[person].state is state
    assert (report.items[person].value is not None) == (state is ItemState.DELIVERED)
    if state is ItemState.FAILED and kit.spent():
        assert provider.charges_failures, "what the vendor keeps must be presumed charged"
    if state is ItemState.NOT_FOUND:
        assert kit.spent() == 0


@each_channel
def test_a_word_that_nobody_knows_is_no_end(kit: Kit, channel: Channel) -> None:
    people = kit.people(1)
    task_id = str(submit(kit, channel, people).task_id)
    kit.let_it_finish()
    kit.arm(kit.task_routes[channel], "unknown_word", word="archived")
    report = kit.provider().read_task(channel, task_id, people)
    assert not report.ended
    assert report.unknown_word == "archived"


@each_channel
def test_a_placeholder_is_no_value(kit: Kit, channel: Channel) -> None:
    people = kit.people(1)
    task_id = str(submit(kit, channel, people).task_id)
    kit.let_it_finish()
    kit.arm(kit.task_routes[channel], "unknown_word", word="N/A", fields=["email", "phone"])
    report = kit.provider().read_task(channel, task_id, people)
    assert report == TaskReport(True, {people[0]: Item(ItemState.NO_VALUE)})


@each_channel
def test_a_task_of_wrong_types_is_no_end(kit: Kit, channel: Channel) -> None:
    people = kit.people(1)
    task_id = str(submit(kit, channel, people).task_id)
    kit.let_it_finish()
    kit.arm(kit.task_routes[channel], "wrong_types")
    assert kit.provider().read_task(channel, task_id, people) == TaskReport(False, {}, UNREADABLE_WORD)


@each_channel
def test_a_task_that_the_vendor_does_not_know(kit: Kit, channel: Channel) -> None:
    with pytest.raises(NotThereError):
        kit.provider().read_task(channel, kit.unknown_task, kit.people(1))


@each_channel
def test_as_many_purchases_at_a_time_as_it_allows(kit: Kit, channel: Channel) -> None:
    provider = kit.provider()
    people = kit.people(provider.parallel)
    answers: dict[Identifier, Submission] = {}

    def buy(person: Identifier) -> None:
        answers[person] = provider.submit(channel, [person], EVENT.event_id, f"attempt-{person.value}")

    threads = [threading.Thread(target=buy, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.task_id for answer in answers.values()}) == len(people)
    kit.let_it_finish()
    for person, answer in answers.items():
        found = provider.read_task(channel, str(answer.task_id), [person]).items[person]
        assert found.state is ItemState.DELIVERED


# -- when it goes wrong ----------------------------------------------------------------------------------------

PAID_ERRORS: list[tuple[str, dict[str, object], type[ConnectorError]]] = [
    ("status", {"status": 400}, RefusedError),
    ("status", {"status": 401}, ConfigurationError),
    ("status", {"status": 402}, CreditsError),
    ("status", {"status": 404}, RefusedError),
    ("status", {"status": 409}, RefusedError),
    ("status", {"status": 422}, RefusedError),
    ("status", {"status": 429}, RefusedError),
    ("status", {"status": 500}, LostAnswerError),
    ("status", {"status": 503}, LostAnswerError),
    ("drop_before", {}, LostAnswerError),
    ("drop_after", {}, LostAnswerError),
    ("error_after", {}, LostAnswerError),
    ("html", {}, LostAnswerError),
    ("truncated", {}, LostAnswerError),
    ("wrong_types", {}, LostAnswerError),
]


@each_channel
@pytest.mark.parametrize(("action", "params", "expected"), PAID_ERRORS)
def test_a_purchase_that_fails_left_once_and_says_what_it_may_have_cost(
    kit: Kit, channel: Channel, action: str, params: dict[str, object], expected: type[ConnectorError]
) -> None:
    route = kit.submit_routes[channel]
    kit.arm(route, action, **params)
    with pytest.raises(ConnectorError) as caught:
        submit(kit, channel, kit.people(1))
    assert type(caught.value) is expected
    assert kit.log.count(route) == 1
    assert kit.slept == []
    kit.let_it_finish()
    if expected is not LostAnswerError:
        assert kit.spent() == 0
    if isinstance(caught.value, RefusedError):
        assert (caught.value.retry_after_s is not None) == (params["status"] == 429)
        assert caught.value.reread == (params["status"] == 409)


@each_channel
def test_without_credits_nothing_is_started(kit: Kit, channel: Channel) -> None:
    kit.set_balance(0)
    with pytest.raises(CreditsError):
        submit(kit, channel, kit.people(1))
    assert kit.provider().balance() == 0
    assert kit.spent() == 0


@each_channel
def test_a_purchase_that_cannot_leave_is_told_from_one_that_was_lost(kit: Kit, channel: Channel) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        provider = kit.provider(url=f"http://127.0.0.1:{reserved.getsockname()[1]}")
        with pytest.raises(UnreachableError):
            provider.submit(channel, kit.people(1), EVENT.event_id, "attempt-1")


@each_provider
def test_a_key_that_is_refused_at_first_and_one_that_is_refused_later(kit: Kit) -> None:
    with pytest.raises(ConfigurationError, match=f"{kit.name.upper()}_API_KEY"):
        kit.provider(key="wrong-key").balance()
    provider = kit.provider()
    provider.balance()
    kit.arm("*", "status", status=401)
    with pytest.raises(DownError, match=f"{kit.name.upper()}_API_KEY"):
        provider.balance()


@each_provider
def test_the_balance_is_a_whole_number_and_is_asked_for_again_when_the_answer_is_lost(kit: Kit) -> None:
    kit.set_balance(1234)
    balance = kit.provider().balance()
    assert (type(balance), balance) == (int, 1234)
    kit.arm(kit.balance_route, "drop_before")
    with pytest.raises(DownError):
        kit.provider().balance()
    assert kit.log.count(kit.balance_route) > 2
    assert kit.slept


@each_provider
def test_the_rate_budget_is_asked_before_a_purchase_and_by_every_read(kit: Kit, name: str) -> None:
    provider = kit.provider()
    provider.wait_turn()
    assert (kit.pace.permits, kit.log.count()) == (1, 0)
    channel = min(REGISTRY[name].channels)
    provider.submit(channel, kit.people(1), EVENT.event_id, "attempt-1")
    assert kit.pace.permits == 1, "the caller holds the permit already"
    provider.balance()
    assert kit.pace.permits == 2


@each_channel
def test_a_vendor_that_asks_to_wait_slows_everybody_down(kit: Kit, channel: Channel) -> None:
    kit.arm(kit.submit_routes[channel], "status", status=429, retry_after=17)
    with pytest.raises(RefusedError) as caught:
        submit(kit, channel, kit.people(1))
    assert caught.value.retry_after_s == 17
    assert kit.pace.pauses == [17.0]


# -- what only some offer ---------------------------------------------------------------------------------------


@each_channel
def test_what_was_bought_can_be_seen_where_records_are_kept(kit: Kit, channel: Channel) -> None:
    provider = kit.provider()
    (person,) = kit.people(1)
    if not provider.keeps_records:
        with pytest.raises(UnsupportedError):
            provider.read_person(person)
        assert kit.log.count() == 0
        return
    assert provider.read_person(person)[channel].view is ProviderState.NOT_BOUGHT
    kit.arm(kit.submit_routes[channel], "drop_after")
    with pytest.raises(LostAnswerError):
        submit(kit, channel, [person])
    assert provider.read_person(person)[channel].view is ProviderState.RUNNING
    kit.let_it_finish()
    seen = provider.read_person(person)
    assert seen[channel].view is ProviderState.DELIVERED
    assert seen[channel].value
    assert set(seen) == REGISTRY[kit.name].channels
    assert all(sight.value is None for other, sight in seen.items() if other is not channel)
    with pytest.raises(NotThereError):
        provider.read_person(pid("1"))


@each_provider
def test_people_are_found_by_linkedin_where_it_says_so(kit: Kit) -> None:
    provider = kit.provider()
    if not provider.source.resolves:
        with pytest.raises(UnsupportedError):
            provider.resolve_identity(link(linkedin_name(NUMBERS[0])))
        assert kit.log.count() == 0
        return
    assert LINKEDIN not in provider.source.accepts
    found = provider.resolve_identity(link(linkedin_name(NUMBERS[0])))
    assert found.match == IdentityMatch(kit.people(1)[0], (EVENT.event_id,))
    assert provider.resolve_identity(link("nobody-of-that-name")).match == match_with(None)
    assert kit.spent() == 0


@each_provider
def test_events_of_a_person_where_it_sells_by_event(kit: Kit) -> None:
    provider = kit.provider()
    with contextlib.suppress(UnsupportedError):
        assert provider.grouping_keys_of(kit.people(1)[0]) == (EVENT.event_id,)
        return
    assert kit.log.count() == 0


@each_provider
def test_it_can_be_closed_twice(kit: Kit) -> None:
    provider = kit.provider()
    provider.balance()
    provider.close()
    provider.close()
