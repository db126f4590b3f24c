"""The simulated Salesfinity's callbacks, good and bad, from the receiver's view."""

from collections.abc import Iterator

import httpx
import pytest
from salesfinity_harness import NOBODY, Receiver, SalesfinityHarness, ask, read

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


@pytest.fixture
def receiver(harness: SalesfinityHarness, site: SalesfinitySite) -> Receiver:
    assert site is harness.site
    return harness.receiver


class TestCallbacks:
    def test_the_result_is_sent_once(self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver) -> None:
        site.start()
        asked = ask(client, callback_url=receiver.url, external_id="lead:1")
        site.clock.advance(20)
        assert receiver.next() == read(client, asked)
        site.stop()
        assert [(sent.attempt, sent.status) for sent in site.deliveries] == [(1, 200)]

    def test_three_attempts_and_no_more(self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver) -> None:
        receiver.statuses = [503, 404, 500]
        site.start()
        ask(client, callback_url=receiver.url)
        for wait in (20, 30, 120):
            site.clock.advance(wait)
            receiver.next()
        site.stop()
        site.clock.advance(1_000_000)
        site.start()
        ask(client, NOBODY, callback_url=receiver.url)
        site.clock.advance(20)
        assert receiver.next()["status"] == "not-found"
        assert [(sent.attempt, sent.status) for sent in site.deliveries[:3]] == [(1, 503), (2, 404), (3, 500)]

    def test_no_receiver(self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver) -> None:
        site.callbacks.before_answer = True
        ask(client, callback_url="http://127.0.0.1:1/nobody")
        assert [sent.status for sent in site.deliveries] == [None]
        assert receiver.bodies.empty()

    def test_repeated_and_late(self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver) -> None:
        site.callbacks.repeat, site.callbacks.late = 1, 100
        site.start()
        ask(client, callback_url=receiver.url)
        site.clock.advance(20)
        assert site.charges.total() == 1
        assert receiver.bodies.empty()
        site.clock.advance(100)
        assert receiver.next() == receiver.next()

    def test_before_the_answer(self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver) -> None:
        site.callbacks.before_answer = True
        asked = ask(client, callback_url=receiver.url)
        assert asked["status"] == "pending"
        assert receiver.bodies.get_nowait()["_id"] == asked["_id"]
        assert read(client, asked)["status"] == "completed"

    def test_never(self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver) -> None:
        site.callbacks.never = site.callbacks.before_answer = True
        ask(client, callback_url=receiver.url)
        assert receiver.bodies.empty()
        assert site.charges.total() == 1

    def test_a_forged_callback_arrives_before_the_vendors(
        self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver
    ) -> None:
        site.callbacks.forged = site.callbacks.before_answer = True
        asked = ask(client, callback_url=receiver.url, external_id="lead:1")
        bodies = [receiver.next() for _ in range(3)]
        emails = [body["email"] for body in bodies]
        assert [body["_id"] for body in bodies] == ["f" * 24, asked["_id"], asked["_id"]]
        assert emails[:2] == [{"email": "forged@example.com", "type": "work"}] * 2
        assert emails[2] == {"email": "ada@example.com", "type": "work"}

    def test_a_failed_lookup_is_sent_only_on_request(
        self, site: SalesfinitySite, client: httpx.Client, receiver: Receiver
    ) -> None:
        site.script("ada-sample-example", "work", "failed")
        site.callbacks.before_answer = True
        ask(client, callback_url=receiver.url)
        assert receiver.bodies.empty()
        site.callbacks.on_failed = True
        ask(client, callback_url=receiver.url)
        assert receiver.next()["status"] == "failed"
