"""The requirements of the engine for every provider, tested over HTTP against the provider's simulated site.

A paid request is sent once, and its errors state what it may have cost. Reads are free and repeatable. The provider's
registration is correct. No answer, however late, lost, doubled or malformed, becomes a value that was not sold.
"""

import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

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
from connector.core.limits import is_plain, is_vendor_id
from connector.core.model import Channel, Identifier
from connector.core.recover import ProviderState
from connector.providers.connection import Connection
from connector.providers.interface import CallbackParts, Item, ItemState, Submission, TaskReport
from connector.providers.registration import BuiltWith, ProviderSettings
from connector.testing import faulty
from connector.testing.faulty import Fault, is_get, is_post
from connector.testing.provider_kit import ProviderKit

WRONG_KEY = "a-key-that-nobody-has"
RETRY_AFTER_S = 17
LONGEST_IDENTIFIER = 300
# The faults of a paid request, and the error that the provider must raise: LostAnswerError unless it had no effect.
PAID: Mapping[str, tuple[Fault, type[ConnectorError]]] = {
    "400": (Fault(status=400), RefusedError),
    "401": (Fault(status=401), ConfigurationError),
    "402": (Fault(status=402), CreditsError),
    "404": (Fault(status=404), RefusedError),
    "409": (Fault(status=409), RefusedError),
    "422": (Fault(status=422), RefusedError),
    "429": (Fault(status=429, headers={"Retry-After": str(RETRY_AFTER_S)}), RefusedError),
    "403": (Fault(status=403), LostAnswerError),
    "500": (Fault(status=500), LostAnswerError),
    "503": (Fault(status=503), LostAnswerError),
    "500 after": (Fault(status=500, after=True), LostAnswerError),
    "redirect": (Fault(status=302, headers={"Location": "https://login.example.com/"}), LostAnswerError),
    "dropped before": (Fault(drop=True), LostAnswerError),
    "dropped after": (Fault(drop=True, after=True), LostAnswerError),
    "web page": (Fault(body=faulty.web_page), LostAnswerError),
    "cut off": (Fault(body=faulty.cut_off), LostAnswerError),
    "huge": (Fault(body=faulty.huge), LostAnswerError),
    "wrong types": (Fault(edit=faulty.of_wrong_types), LostAnswerError),
    "a list": (Fault(edit=lambda _value: []), LostAnswerError),
    "null": (Fault(edit=lambda _value: None), LostAnswerError),
}
PLACEHOLDERS = ("N/A", "", "***", "hidden", None, 0, True)


class ProviderSuite:
    """The requirements. A derived class adds the fixture `kit`, a fresh `ProviderKit` for each test."""

    # -- registration --------------------------------------------------------------------------------------------

    def test_the_provider_matches_its_registration(self, kit: ProviderKit) -> None:
        found, provider = kit.registration, kit.provider()
        assert (provider.name, provider.source.name, provider.source.account) == (found.name, found.name, "default")
        assert set(provider.source.prices.by_channel) == found.channels
        assert all(price > 0 for price in provider.source.prices.by_channel.values())
        assert provider.keeps_records is found.keeps_records
        assert isinstance(provider.charges_failures, bool)
        assert provider.parallel >= 1
        assert list(provider.poll_schedule_s) == sorted(provider.poll_schedule_s)
        assert all(seconds > 0 for seconds in provider.poll_schedule_s)
        kinds = {kind.name for kind in found.identifiers}
        used = (*provider.source.accepts, *provider.source.resolves)
        assert provider.source.accepts
        assert {kind.name for kind in used} <= kinds, "a mapping file must be able to name what it needs"
        assert provider.source.groups_by is None or provider.source.groups_by.name in kinds

    def test_settings_have_an_address_and_hide_the_key(self, kit: ProviderKit) -> None:
        settings = kit.registration.settings.model_validate({"api_key": "secret-key-of-mine"})
        assert settings.base_url.startswith("https://")
        assert "secret-key-of-mine" not in repr(settings)
        prefix = f"{kit.registration.name.upper()}_"
        assert kit.registration.settings.prefix == prefix

    def test_settings_of_another_class_are_refused(self, kit: ProviderKit) -> None:
        with pytest.raises(TypeError):
            kit.registration.build(ProviderSettings(), _built_with(kit))

    def test_price_settings_have_the_providers_prefix(self, kit: ProviderKit) -> None:
        provider = kit.provider()
        for channel in kit.registration.channels:
            name = provider.price_setting(channel)
            assert name == "" or name.startswith(f"{provider.name.upper()}_")

    # -- buying --------------------------------------------------------------------------------------------------

    def test_the_largest_batch_is_one_request(self, kit: ProviderKit, subtests: pytest.Subtests) -> None:
        provider, spent, sent = kit.provider(), 0, 0
        for channel in _channels(kit):
            with subtests.test(channel=channel.value):
                size = provider.batch_size(channel)
                people = list(kit.people(size))
                assert len(set(people)) == size >= 1
                submission = _submit(kit, channel, people)
                sent, spent = sent + 1, spent + size * provider.source.prices.of(channel)
                assert submission.task_id is not None
                assert is_vendor_id(submission.task_id)
                assert submission.skipped == {}
                assert kit.transport.count("POST") == sent
                kit.let_it_finish()
                report = provider.read_task(channel, submission.task_id, people)
                assert report.ended
                assert set(report.items) == set(people), "each person by the identifier that was sent"
                assert kit.spent() == spent

    def test_a_task_from_start_to_end(self, kit: ProviderKit, subtests: pytest.Subtests) -> None:
        provider = kit.provider()
        for channel in _channels(kit):
            with subtests.test(channel=channel.value):
                people, before = kit.people(1), kit.spent()
                task_id = _task(kit, channel, people)
                started = provider.read_task(channel, task_id, people)
                assert not started.ended
                assert all(item.state is ItemState.RUNNING for item in started.items.values())
                kit.let_it_finish()
                ended = provider.read_task(channel, task_id, people)
                item = ended.items[people[0]]
                assert (ended.ended, item.state) == (True, ItemState.DELIVERED)
                assert item.value
                assert item.value == item.value.strip()
                assert provider.read_task(channel, task_id, people) == ended, "reading is repeatable"
                assert kit.spent() == before + provider.source.prices.of(channel), "and free"

    def test_each_result_of_a_person_in_a_task(self, kit: ProviderKit, subtests: pytest.Subtests) -> None:
        provider, people = kit.provider(), iter(kit.people(len(ItemState) * len(_channels(kit))))
        for channel in _channels(kit):
            for state in (ItemState.DELIVERED, ItemState.NO_VALUE, ItemState.NOT_FOUND, ItemState.FAILED):
                person, before = next(people), kit.spent()
                if not kit.script(person, channel, state):
                    assert state is not ItemState.DELIVERED
                    continue
                with subtests.test(channel=channel.value, state=state.value):
                    task_id = _task(kit, channel, [person])
                    kit.let_it_finish()
                    report = provider.read_task(channel, task_id, [person])
                    assert report.ended
                    assert report.items[person].state is state
                    assert (report.items[person].value is not None) == (state is ItemState.DELIVERED)
                    charged = kit.spent() > before
                    if state is ItemState.FAILED and charged:
                        assert provider.charges_failures, "kept credits must be presumed charged"
                    if state is ItemState.NOT_FOUND:
                        assert not charged, "a person whom the vendor does not know costs nothing"

    def test_an_unknown_state_counts_as_running(self, kit: ProviderKit, subtests: pytest.Subtests) -> None:
        for channel in _channels(kit):
            with subtests.test(channel=channel.value):
                report = _spoilt_report(kit, channel, faulty.with_members("archived", *kit.state_members))
                assert not report.ended
                words = {report.unknown_word, *(item.unknown_word for item in report.items.values())}
                assert "archived" in words, "the report must name it"
                assert all(item.value is None for item in report.items.values())

    def test_a_placeholder_is_not_a_value(self, kit: ProviderKit, subtests: pytest.Subtests) -> None:
        people = kit.people(1)
        for channel in _channels(kit):
            task_id = _finished_task(kit, channel, people)
            for placeholder in PLACEHOLDERS:
                with subtests.test(channel=channel.value, placeholder=placeholder):
                    edit = faulty.with_members(placeholder, *kit.value_members)
                    kit.transport.arm(is_get, Fault(edit=edit, times=1))
                    report = kit.provider().read_task(channel, task_id, people)
                    assert set(report.items.values()) == {Item(ItemState.NO_VALUE)}

    def test_a_task_of_wrong_types_counts_as_running(self, kit: ProviderKit, subtests: pytest.Subtests) -> None:
        for channel in _channels(kit):
            with subtests.test(channel=channel.value):
                report = _spoilt_report(kit, channel, faulty.of_wrong_types)
                assert not report.ended
                assert all(item.state is ItemState.RUNNING for item in report.items.values())
                assert report.unknown_word

    def test_an_unknown_task(self, kit: ProviderKit) -> None:
        for channel in _channels(kit):
            with pytest.raises(NotThereError):
                kit.provider().read_task(channel, kit.unknown_task, kit.people(1))

    def test_hostile_task_ids_stay_in_the_path(self, kit: ProviderKit) -> None:
        for hostile in ("1/../2", "1?x=y", "1#x", "%2e%2e", "a b"):
            with pytest.raises(ConnectorError):
                kit.provider().read_task(_channels(kit)[0], hostile, kit.people(1))
            *_, (_, path) = kit.transport.requests
            assert ".." not in path.split("/")

    def test_parallel_requests(self, kit: ProviderKit) -> None:
        provider, channel = kit.provider(), _channels(kit)[0]
        people = list(kit.people(provider.parallel))
        answers: dict[Identifier, Submission] = {}

        def buy(person: Identifier) -> None:
            answers[person] = provider.submit(channel, [person], kit.grouping_key, f"attempt-{people.index(person)}")

        threads = [threading.Thread(target=buy, args=(person,)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({answer.task_id for answer in answers.values()}) == len(people)
        kit.let_it_finish()
        for person, answer in answers.items():
            items = provider.read_task(channel, str(answer.task_id), [person]).items
            assert items[person].state is ItemState.DELIVERED

    # -- errors --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", PAID)
    def test_a_paid_request_is_sent_once_and_its_error_states_its_effect(self, kit: ProviderKit, name: str) -> None:
        fault, expected = PAID[name]
        kit.transport.arm(is_post, replace(fault))
        for number, channel in enumerate(_channels(kit)):
            with pytest.raises(ConnectorError) as caught:
                _submit(kit, channel, kit.people(1))
            assert type(caught.value) is expected
            assert kit.transport.count("POST") == number + 1
            assert kit.key not in str(caught.value)
            assert kit.url not in str(caught.value)
            if isinstance(caught.value, RefusedError):
                assert caught.value.retry_after_s == (RETRY_AFTER_S if name == "429" else None)
                assert caught.value.reread == (name == "409")
        assert kit.slept == []
        kit.let_it_finish()
        if expected is not LostAnswerError:
            assert kit.spent() == 0
        assert kit.pace.pauses == ([RETRY_AFTER_S] * len(_channels(kit)) if name == "429" else [])

    def test_without_credits_nothing_is_started(self, kit: ProviderKit) -> None:
        kit.set_balance(0)
        for channel in _channels(kit):
            with pytest.raises(CreditsError):
                _submit(kit, channel, kit.people(1))
        assert kit.provider().balance() == 0
        assert kit.spent() == 0

    def test_an_unreachable_vendor_is_not_a_lost_answer(self, kit: ProviderKit) -> None:
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            provider = kit.provider(url=f"http://127.0.0.1:{reserved.getsockname()[1]}")
            with pytest.raises(UnreachableError):
                provider.submit(_channels(kit)[0], kit.people(1), kit.grouping_key, "attempt-1")

    def test_a_refused_key_before_and_after_a_good_answer(self, kit: ProviderKit) -> None:
        setting = f"{kit.registration.name.upper()}_API_KEY"
        with pytest.raises(ConfigurationError, match=setting) as first:
            kit.provider(key=WRONG_KEY).balance()
        assert WRONG_KEY not in str(first.value)
        provider = kit.provider()
        provider.balance()
        kit.transport.arm(faulty.every, Fault(status=401))
        with pytest.raises(DownError, match=setting):
            provider.balance()

    def test_a_failed_read_is_repeated(self, kit: ProviderKit) -> None:
        kit.set_balance(1234)
        balance = kit.provider().balance()
        assert (type(balance), balance) == (int, 1234)
        for fault in (Fault(drop=True), Fault(status=503), Fault(body=faulty.web_page), Fault(body=faulty.cut_off)):
            kit.transport.arm(is_get, replace(fault, times=2))
            assert kit.provider().balance() == 1234
        before = kit.transport.count("GET")
        kit.transport.arm(is_get, Fault(drop=True))
        with pytest.raises(DownError):
            kit.provider().balance()
        assert kit.transport.count("GET") > before + 2
        assert kit.slept

    def test_a_malformed_balance_is_refused(self, kit: ProviderKit) -> None:
        edits: tuple[faulty.Edit, ...] = (faulty.of_wrong_types, lambda _value: {})
        for edit in edits:
            kit.transport.arm(is_get, Fault(edit=edit))
            with pytest.raises((RefusedError, DownError)):
                kit.provider().balance()

    def test_reads_and_purchases_wait_for_the_rate_limiter(self, kit: ProviderKit) -> None:
        provider = kit.provider()
        provider.wait_turn()
        assert (kit.pace.permits, kit.transport.count()) == (1, 0)
        provider.submit(_channels(kit)[0], kit.people(1), kit.grouping_key, "attempt-1")
        assert kit.pace.permits == 1, "the caller has waited already"
        provider.balance()
        assert kit.pace.permits == 2

    # -- optional capabilities -----------------------------------------------------------------------------------

    def test_the_record_of_a_person_shows_purchases(self, kit: ProviderKit) -> None:
        provider, people = kit.provider(), list(kit.people(len(_channels(kit))))
        if not provider.keeps_records:
            with pytest.raises(UnsupportedError):
                provider.read_person(people[0])
            assert kit.transport.count() == 0
            return
        lost = Fault(drop=True, after=True)
        kit.transport.arm(is_post, lost)
        for channel, person in zip(_channels(kit), people, strict=True):
            assert provider.read_person(person)[channel].view is ProviderState.NOT_BOUGHT
            with pytest.raises(LostAnswerError):
                _submit(kit, channel, [person])
            assert provider.read_person(person)[channel].view is ProviderState.RUNNING
        kit.let_it_finish()
        for channel, person in zip(_channels(kit), people, strict=True):
            seen = provider.read_person(person)
            assert seen[channel].view is ProviderState.DELIVERED
            assert seen[channel].value
            assert set(seen) == kit.registration.channels
            assert all(status.value is None for other, status in seen.items() if other is not channel)

    def test_identities_are_resolved(self, kit: ProviderKit) -> None:
        provider, asked = kit.provider(), kit.unresolved()
        if asked is None:
            assert provider.source.resolves == ()
            with pytest.raises(UnsupportedError):
                provider.resolve_identity(kit.people(1)[0])
            return
        assert asked.kind in {kind.name for kind in provider.source.resolves}
        found = provider.resolve_identity(asked).match
        assert found.identifier == kit.people(1)[0]
        assert is_plain(found.identifier.value, LONGEST_IDENTIFIER)
        assert provider.resolve_identity(Identifier(asked.kind, "nobody-of-that-name")).match.identifier is None
        assert kit.spent() == 0

    def test_a_callback_is_parsed(self, kit: ProviderKit) -> None:
        parse, body = kit.registration.parse_callback, kit.callback("task-17", "attempt-17")
        if body is None:
            assert not kit.provider().calls_back
            assert parse({"id": "task-17", "task_id": "task-17", "_id": "task-17"}) is None
            return
        assert kit.provider().calls_back
        found = parse(body)
        assert found is not None
        assert found.task_id == "task-17"
        assert found.attempt_id in {"attempt-17", None}
        for spoilt in ({}, {"unrelated": 1}, faulty.of_wrong_types(dict(body))):
            assert isinstance(spoilt, dict)
            assert _is_nothing(parse(spoilt))

    def test_only_the_vendor_confirms_the_task_of_a_lost_request(self, kit: ProviderKit) -> None:
        provider, people = kit.provider(), list(kit.people(2))
        if not provider.calls_back:
            return
        task_id = _task(kit, _channels(kit)[0], people[:1], "attempt-17")
        assert provider.knows_task(task_id, "attempt-17", people[0])
        assert not provider.knows_task(task_id, "attempt-18", people[0])
        assert not provider.knows_task(task_id, "attempt-17", people[1])


def _channels(kit: ProviderKit) -> list[Channel]:
    return sorted(kit.registration.channels)


def _submit(
    kit: ProviderKit, channel: Channel, people: Sequence[Identifier], attempt_id: str = "attempt-1"
) -> Submission:
    return kit.provider().submit(channel, list(people), kit.grouping_key, attempt_id)


def _task(kit: ProviderKit, channel: Channel, people: Sequence[Identifier], attempt_id: str = "attempt-1") -> str:
    task_id = _submit(kit, channel, people, attempt_id).task_id
    assert task_id is not None
    return task_id


def _finished_task(kit: ProviderKit, channel: Channel, people: Sequence[Identifier]) -> str:
    task_id = _task(kit, channel, people)
    kit.let_it_finish()
    return task_id


def _spoilt_report(kit: ProviderKit, channel: Channel, edit: faulty.Edit) -> TaskReport:
    """The report of a finished task whose answer was changed in transit."""
    people = kit.people(1)
    task_id = _finished_task(kit, channel, people)
    kit.transport.arm(is_get, Fault(edit=edit, times=1))
    return kit.provider().read_task(channel, task_id, people)


def _built_with(kit: ProviderKit) -> BuiltWith:
    return BuiltWith(Connection(kit.pace, kit.slept.append, transport=kit.transport), (1.0,))


def _is_nothing(found: CallbackParts | None) -> bool:
    return found is None or not is_vendor_id(found.task_id)
