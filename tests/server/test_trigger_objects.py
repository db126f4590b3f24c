"""The trigger API refuses ids of another object, shows reasons by outcome, and stays closed to web pages."""

import httpx
import ledger_harness_nearby  # noqa: F401 makes ledger_harness importable
import pytest
import sqlalchemy as sa
from server_harness import ASK, BEARER, PUBLIC_URL, VERSION, ServerHarness, error_of, lead, mappings
from soap_letters import letter, note

from connector.app.inbound import InboundService, NotAcceptedError
from connector.core.model import Outcome
from connector.server.guards import is_own_name
from connector.server.site import Secrets, Site
from connector.store import tables as t
from connector.store.inbox import MOST_REASONS, OTHER_REASONS

pytest_plugins = ("server_fixtures",)
CONTACT = "003000000000001AAA"
OPTED_OUT = "opted out (HasOptedOutOfEmail)"


# -- ids of another object ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [("003000000000001",), (CONTACT, "001000000000001AAA"), ("a01000000000001",)])
def test_ids_of_another_object_are_refused_and_nothing_is_stored(
    server: ServerHarness, others: tuple[str, ...]
) -> None:
    words = error_of(server.ask(lead(1), *others), 400)
    assert words == f"{len(others)} of {1 + len(others)} ids are not ids of Lead: those begin with 00Q"
    assert server.asked() == []
    assert server.wakes == 0


def test_the_prefix_is_that_of_the_mappings_object(server: ServerHarness) -> None:
    assert server.ask(CONTACT, mapping="contact").status_code == 202
    assert "not ids of Contact: those begin with 003" in error_of(server.ask(lead(1), mapping="contact"), 400)
    # Ids are case-sensitive: 00q is another object's prefix.
    assert error_of(server.ask("00q000000000001"), 400).startswith("1 of 1 ids are not ids of Lead")


def test_a_notification_about_another_objects_id_is_refused(server: ServerHarness) -> None:
    message = letter(note(1, record_id=CONTACT))
    assert "not ids of Lead" in error_of(server.send(message), 400)
    assert server.asked() == []


def _intake(server: ServerHarness, object_name: str, prefixes: dict[str, str] | None) -> InboundService:
    custom = mappings()["lead"].model_copy(update={"object": object_name})
    return InboundService(server.ledger, {"lead": custom}, server.clock, lambda: None, prefixes=prefixes)


def test_a_custom_objects_prefix_comes_from_the_crm(server: ServerHarness) -> None:
    inbound = _intake(server, "Visitor__c", {"lead": "a0B"})
    assert inbound.ask("lead", ["a0B000000000001"]).accepted == 1
    with pytest.raises(NotAcceptedError, match="not ids of Visitor__c: those begin with a0B"):
        inbound.ask("lead", ["a0C000000000001"])


def test_without_a_known_prefix_every_id_is_accepted(server: ServerHarness) -> None:
    assert _intake(server, "Visitor__c", {"lead": ""}).ask("lead", ["a0C000000000001"]).accepted == 1


def test_the_standard_prefix_applies_without_one_from_the_crm(server: ServerHarness) -> None:
    with pytest.raises(NotAcceptedError, match="begin with 001"):
        _intake(server, "Account", {"lead": ""}).ask("lead", [lead(1)])


# -- reasons ------------------------------------------------------------------------------------------------------


def _end(server: ServerHarness, number: int, outcome: Outcome, reason: str, state: str = "done") -> None:
    server.execute(
        sa.update(t.request_item)
        .where(t.request_item.c.crm_id == lead(number))
        .values(state=state, outcome=outcome.value, reason=reason)
    )


def test_the_state_of_a_request_has_reasons_by_outcome(server: ServerHarness) -> None:
    server.ask(*(lead(number) for number in range(1, 7)), request_id="flow-1")
    assert server.look("flow-1").json()["reasons"] == []
    for number in (1, 2, 3):
        _end(server, number, Outcome.SKIPPED, OPTED_OUT)
    _end(server, 4, Outcome.DEFERRED, "cap reached", state="working")
    _end(server, 5, Outcome.DELIVERED, "")
    found = server.look("flow-1").json()
    assert found["reasons"] == [
        {"outcome": "skipped", "reason": OPTED_OUT, "count": 3},
        {"outcome": "deferred", "reason": "cap reached", "count": 1},
    ]
    assert (found["skipped"], found["deferred"], found["delivered"]) == (3, 1, 1)


def test_the_same_reason_in_two_states_is_one_row(server: ServerHarness) -> None:
    server.ask(lead(1), lead(2), request_id="flow-1")
    _end(server, 1, Outcome.DEFERRED, "cap reached")
    _end(server, 2, Outcome.DEFERRED, "cap reached", state="working")
    assert server.look("flow-1").json()["reasons"] == [{"outcome": "deferred", "reason": "cap reached", "count": 2}]


def test_many_reasons_are_bounded_and_still_add_up(server: ServerHarness) -> None:
    count = MOST_REASONS + 20
    server.ask(*(lead(number) for number in range(count)), request_id="flow-1")
    for number in range(count):
        _end(server, number, Outcome.FAILED, f"reason {number:03d}")
    reasons = server.look("flow-1").json()["reasons"]
    assert len(reasons) == MOST_REASONS + 1
    assert reasons[-1] == {"outcome": "failed", "reason": OTHER_REASONS, "count": 20}
    assert sum(row["count"] for row in reasons) == count


# -- web pages ----------------------------------------------------------------------------------------------------

OPEN = ("/healthz", "/readyz", "/metrics", "/openapi.json")


@pytest.mark.parametrize("path", OPEN)
def test_a_web_page_with_its_own_host_name_reads_nothing(server: ServerHarness, path: str) -> None:
    for host in ("evil.example.com", "evil.example.com:8080", "127.0.0.1.example.com", "localhost.example.com", "[::1"):
        words = error_of(server.client.get(path, headers={"Host": host}), 421)
        assert words == "this host name is not served here; use the address that serve prints"
    for host in ("127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "enrich.example.com", "10.0.0.7"):
        assert server.client.get(path, headers={"Host": host}).status_code == 200


def test_any_host_name_is_served_on_a_public_address(server: ServerHarness) -> None:
    open_site = Site(server.inbound, Secrets("x"), lambda: True, VERSION, PUBLIC_URL)
    server.shared_server.behind = open_site.application()
    assert server.client.get("/metrics", headers={"Host": "connector.monitoring.svc"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "is_own"), [("", True), ("app.localhost", True), ("a b", False), ("127.1", False), ("xlocalhost", False)]
)
def test_own_names(host: str, is_own: bool) -> None:
    assert is_own_name(host) is is_own


def test_a_web_page_cannot_post_a_form(server: ServerHarness) -> None:
    page = {"Origin": "https://evil.example.com"}
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        sent = {**BEARER, **page, "Content-Type": content_type}
        error_of(server.client.post(ASK, content=b"{}", headers=sent), 415)
    asked = {**page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight: httpx.Response = server.client.options(ASK, headers=asked)
    assert preflight.status_code == 405
    assert not [name for name in preflight.headers if name.startswith("access-control")]
    error_of(server.client.post(ASK, json={"mapping": "lead", "record_ids": [lead(1)]}, headers=page), 401)
    assert server.asked() == []
